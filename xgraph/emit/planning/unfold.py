"""Code plan → flat graph: what generated code builds when it is given certain parameters.

A plan is made from one elaboration, and what it becomes must be right for every value of the
parameters that it offers. Unfolded with other values it must give the graph that the spec
elaborates to with them; `differences` says where it does not. No framework takes part.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xgraph.emit.codes import value_of
from xgraph.emit.plan import (
    Again,
    Alias,
    Append,
    Apply,
    Assign,
    BlockPlan,
    Choose,
    Gather,
    Invoke,
    Measure,
    ModelPlan,
    Repeat,
    Statement,
)
from xgraph.emit.symbols import SymbolicPair, code_of, is_symbolic
from xgraph.ir.graph import Graph
from xgraph.ir.types import TensorType
from xgraph.ops.base import Op
from xgraph.ops.identity import Identity


@dataclass(frozen=True)
class Unfolded:
    """A node that a plan builds: the op's attributes, its inputs' paths and channel counts.

    `open` is false where the code relies on an attribute having one of certain values and it has
    another. `owner` is the node whose weights it has.
    """

    op: type[Op]
    attributes: Mapping[str, Any]
    inputs: tuple[str, ...]
    channels: tuple[int, ...]
    owner: str
    open: bool = True


@dataclass(frozen=True)
class Built:
    """All nodes by path, and the paths of the outputs."""

    nodes: Mapping[str, Unfolded]
    outputs: tuple[str, ...]


def unfold(plan: ModelPlan, parameters: Mapping[str, Any]) -> Built:
    """What the model is with these parameters, by their names in code; others have defaults."""
    names: dict[str, Any] = {}
    for parameter in plan.root.parameters:
        if parameter.name in parameters:
            names[parameter.name] = parameters[parameter.name]
        elif parameter.otherwise is not None:
            names[parameter.name] = value_of(parameter.otherwise, names)
        else:
            assert parameter.default is not None
            names[parameter.name] = value_of(parameter.default, {})
    unfolder = _Unfolder()
    results, _ = unfolder.block(plan.root, names, ("input",), "")
    return Built(unfolder.nodes, results)


def differences(built: Built, graph: Graph, types: list[TensorType]) -> list[str]:
    """What sets a plan's network apart from a graph; nothing does where they are the same."""
    names = [node.name for node in graph.nodes]
    found = []
    for node in graph.nodes[1:]:
        own = built.nodes.get(node.name)
        if own is None:
            found.append(f"{node.name} is missing")
            continue
        if own.op is not type(node.op) or not own.open:
            found.append(f"{node.name} is {own.op.name}, or its code relies on what does not hold")
            continue
        for name, value in own.attributes.items():
            wanted = getattr(node.op, name)
            if value != wanted and not (isinstance(wanted, tuple) and (value, value) == wanted):
                found.append(f"{node.name}: {name} is {value}, not {wanted}")
        if own.owner != node.owner:
            found.append(f"{node.name} has the weights of {own.owner}")
        if own.inputs != tuple(names[k] for k in node.inputs):
            found.append(f"{node.name} reads {own.inputs}")
        channels = tuple(types[k].channels for k in node.inputs)
        if own.channels != channels:
            found.append(f"{node.name} takes {own.channels} channels, not {channels}")
    if len(built.nodes) > len(names) - 1:
        found.append(f"{len(built.nodes)} nodes, not {len(names) - 1}")
    if built.outputs != tuple(names[output.node] for output in graph.outputs):
        found.append(f"gives {built.outputs}")
    return found


class _Unfolder:
    """Runs statements, with a node's path where the program would have a tensor."""

    def __init__(self) -> None:
        self.nodes: dict[str, Unfolded] = {}
        self.gathered: dict[str, list[tuple[str, int]]] = {}  # by list, paths and their channels
        #: Of blocks that are applied again, whose weights they have.
        self.owners: dict[str, str] = {}
        #: By statement: the node that it has made last, or the names that its block was given.
        self.made: dict[int, tuple[str, dict[str, Any]]] = {}

    def block(
        self, plan: BlockPlan, names: dict[str, Any], inputs: tuple[str, ...], prefix: str
    ) -> tuple[tuple[str, ...], dict[str, Any]]:
        """The results of a block, and the numbers that it keeps."""
        variables = dict(zip(plan.inputs, inputs, strict=True))
        self.run(plan.body, names, variables, prefix, "")
        numbers = {name: value_of(code, names) for name, code in plan.numbers.items()}
        return tuple(variables[name] for name in plan.results), numbers

    def run(
        self,
        statements: list[Statement],
        names: dict[str, Any],
        variables: dict[str, str],
        prefix: str,
        suffix: str,
    ) -> None:
        """Statements in their order; `suffix` are the indices of the loops around them."""
        for statement in statements:
            if isinstance(statement, Apply) and statement.least is not None:
                gathered = self.gathered.pop(prefix + statement.inputs[0])
                path = f"{prefix}{statement.name}{suffix}"
                variables[statement.target] = self.merged(statement, path, gathered, names)
            elif isinstance(statement, Apply):
                path = f"{prefix}{statement.name}{suffix}"
                inputs = tuple(variables[name] for name in statement.inputs)
                channels = tuple(_plain(type_.channels, names) for type_ in statement.input_types)
                self.node(path, statement.op, inputs, channels, names)
                self.made[id(statement)] = path, names
                variables[statement.target] = path
            elif isinstance(statement, Invoke):
                self.invoke(statement, names, variables, prefix, suffix)
            elif isinstance(statement, Again):
                self.again(statement, variables, prefix, suffix)
            elif isinstance(statement, Alias):
                variables[statement.target] = variables[statement.value]
            elif isinstance(statement, Gather):
                self.gathered[prefix + statement.target] = []
            elif isinstance(statement, Append):
                made = variables[statement.value], _plain(statement.channels, names)
                self.gathered[prefix + statement.target].append(made)
            elif isinstance(statement, Assign):
                names[statement.name] = value_of(statement.code, names)
            elif isinstance(statement, Measure):
                names[statement.name] = names[f"{statement.block}.{statement.number}"]
            elif isinstance(statement, Repeat):
                given = value_of(statement.iterable, names)
                for index, row in enumerate(given if statement.variables else range(given)):
                    own = (row,) if len(statement.variables) == 1 else row
                    if statement.variables:
                        names.update(zip(statement.variables, own, strict=True))
                    self.run(statement.body, names, variables, prefix, f"{suffix}.{index}")
            elif isinstance(statement, Choose):
                taken = value_of(statement.condition, names)
                arm = statement.then if taken else statement.otherwise
                self.run(arm, names, variables, prefix, suffix)
            else:
                for index, body in enumerate(statement.bodies):
                    self.run(body, names, variables, prefix, f"{suffix}.{index}")

    def merged(
        self,
        statement: Apply,
        path: str,
        gathered: list[tuple[str, int]],
        names: Mapping[str, Any],
    ) -> str:
        """The merge of all that a loop has gathered."""
        inputs, channels = zip(*gathered, strict=True)
        self.node(path, statement.op if len(inputs) > 1 else Identity(), inputs, channels, names)
        return path

    def invoke(
        self,
        statement: Invoke,
        names: dict[str, Any],
        variables: dict[str, str],
        prefix: str,
        suffix: str,
    ) -> None:
        path = f"{prefix}{statement.name}{suffix}"
        callee = statement.callee
        inputs = tuple(variables[name] for name in statement.inputs)
        given = {name: value_of(code, names) for name, code in statement.arguments.items()}
        if statement.op is not None:
            channels = tuple(given[p.name] for p in callee.parameters if p.implicit)
            self.node(path, statement.op, inputs, channels, names)
            self.made[id(statement)] = path, names
            variables[statement.target] = path
            return
        inner = {
            p.name: value_of(p.default, {}) for p in callee.parameters if p.default is not None
        }
        given = {**inner, **given}
        self.made[id(statement)] = path, dict(given)
        results, numbers = self.block(callee, given, inputs, f"{path}.")
        targets = (statement.target, *statement.extra_targets)
        variables.update(zip(targets, results, strict=True))
        names.update({f"{statement.name}.{name}": value for name, value in numbers.items()})

    def again(self, statement: Again, variables: dict[str, str], prefix: str, suffix: str) -> None:
        """What an earlier statement made, on other inputs."""
        first = statement.first
        path = f"{prefix}{statement.name}{suffix}"
        owner, names = self.made[id(first)]
        inputs = tuple(variables[name] for name in statement.inputs)
        if isinstance(first, Invoke) and first.op is None:
            self.owners[f"{path}."] = f"{self.owner(owner)}."
            results, _ = self.block(first.callee, dict(names), inputs, f"{path}.")
            targets = (statement.target, *statement.extra_targets)
            variables.update(zip(targets, results, strict=True))
            return
        made = self.nodes[owner]
        self.nodes[path] = dataclasses.replace(made, inputs=inputs)
        variables[statement.target] = path

    def owner(self, path: str) -> str:
        """The node, or the block, whose weights one has."""
        start = 0
        while (start := path.find(".", start) + 1) > 0:
            if path[:start] in self.owners:
                return self.owner(self.owners[path[:start]] + path[start:])
        return path

    def node(
        self,
        path: str,
        op: Op,
        inputs: tuple[str, ...],
        channels: tuple[int, ...],
        names: Mapping[str, Any],
    ) -> None:
        attributes, is_open = {}, True
        for name in _attributes(type(op)):
            value = getattr(op, name)
            plain = attributes[name] = _plain(value, names)
            if isinstance(value, SymbolicPair) and value.values is not None:
                pair = plain if isinstance(plain, tuple) else (plain, plain)
                is_open = is_open and pair in value.values
        owner = self.owner(path) if self.owners else path
        self.nodes[path] = Unfolded(type(op), attributes, inputs, channels, owner, is_open)


_ATTRIBUTES: dict[type[Op], tuple[str, ...]] = {}


def _attributes(op: type[Op]) -> tuple[str, ...]:
    if op not in _ATTRIBUTES:
        _ATTRIBUTES[op] = tuple(field.name for field in dataclasses.fields(op))
    return _ATTRIBUTES[op]


def _plain(value: Any, names: Mapping[str, Any]) -> Any:
    return value_of(code_of(value), names) if is_symbolic(value) else value
