"""How numbers are said in code: attributes and channel counts in the words of parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from xgraph.emit.codes import Unknown, value_of
from xgraph.emit.planning.composites import Composites
from xgraph.emit.planning.context import Context
from xgraph.emit.planning.dependence import arguments_of
from xgraph.emit.planning.sharing import Sharing
from xgraph.emit.planning.state import Body, Restart, Wire
from xgraph.emit.symbols import SymbolicInt, code_of
from xgraph.emit.values import (
    constant_of,
    frozen_list,
    has_symbol,
    is_sides,
    mentions,
    names_of,
    sides,
    symbol_for,
    with_value,
)
from xgraph.ir.elaborated import Instance
from xgraph.ir.structure import Call, Value
from xgraph.ir.types import TensorType
from xgraph.ops.base import Op
from xgraph.ops.kinds import is_integer
from xgraph.spec import expressions
from xgraph.spec.expressions import Expression
from xgraph.text import literal


class Speller:
    """Spells values with the parameters that the author did, and holds spellings to the numbers."""

    def __init__(self, context: Context, sharing: Sharing, composites: Composites) -> None:
        self.context = context
        self.program = context.program
        self.nodes = context.nodes
        self.types = context.types
        self.globals = context.globals
        self.decisions = context.decisions
        self.sharing = sharing
        self.composites = composites

    def default_code(self, default: Value | None) -> str | None:
        """A parameter's default in the signature, when it is a constant."""
        if default is None or mentions(default):
            return None
        return code_of(frozen_list(constant_of(default)))

    def spelled_ops(self, item: Call, nodes: list[int], body: Body) -> dict[int, Op]:
        """Every op that the call became, its attributes spelled with parameters where the author
        did; by the identity of the op that they are spelled for.
        """
        distinct = {id(self.nodes[n].op): self.nodes[n].op for n in nodes}
        changes: dict[int, dict[str, Any]] = {key: {} for key in distinct}
        for given, argument in arguments_of(self.program, item):
            name, value = str(argument.key), argument.value
            spelling, constants = body.spelling, body.constants
            if not given:  # a default, in the words of the whole spec
                spelling, constants = self.default_spelling(value, body), self.globals
            plain = {key: getattr(op, name) for key, op in distinct.items()}
            names = names_of(value) & spelling.keys()
            if not names:
                if len(set(plain.values())) > 1:
                    self.sharing.give_up(body)
                continue
            native = self.composites.spelled_natively(next(iter(distinct.values())))
            if (
                native
                and all(map(is_sides, plain.values()))
                and self.are_numbers(value, spelling, constants, body)
            ):
                for key, around in plain.items():
                    changes[key][name] = self.padding(value, around, spelling, constants)
            elif all(has_symbol(name, one) for one in plain.values()):
                code = self.code(value, spelling, next(iter(plain.values())), constants)
                known = frozenset(plain.values()) if names <= body.listed else None
                scalar = self.is_number(code, body)
                for key, one in plain.items():
                    changes[key][name] = symbol_for(one, code, known, scalar)
            else:  # a word, which chooses the code
                self.sharing.pin(names, body)
        return {key: dataclasses.replace(op, **changes[key]) for key, op in distinct.items()}

    def padding(
        self,
        value: Value,
        plain: tuple[tuple[int, int], tuple[int, int]],
        spelling: dict[str, str],
        constants: Mapping[str, Any],
    ) -> tuple[tuple[int, int], ...]:
        """Explicit padding, each side spelled as the author did."""
        return tuple(
            tuple(  # type: ignore[misc]  # two sides
                SymbolicInt(side, self.code(part, spelling, side, constants))
                if names_of(part) & spelling.keys()
                else side
                for side, part in zip(axis, parts, strict=True)
            )
            for axis, parts in zip(plain, sides(value), strict=True)
        )

    def are_numbers(
        self, value: Value, spelling: dict[str, str], constants: Mapping[str, Any], body: Body
    ) -> bool:
        """Whether each side of a padding is written as a number, rather than a list of them."""
        return all(
            not names_of(part) & spelling.keys()
            or self.is_number(self.code(part, spelling, None, constants), body)
            for axis in sides(value)
            for part in axis
        )

    def is_number(self, code: str, body: Body) -> bool:
        """Whether `code` is one number, rather than a list, wherever it stands."""
        try:
            return all(is_integer(value_of(code, column.values)) for column in body.columns)
        except Unknown:
            return False

    def default_spelling(self, value: Value, body: Body) -> dict[str, str]:
        """How a class says what a default mentions; names of its own that hide others left out."""
        self.need(names_of(value), body)
        hidden = self.hidden(body)
        return {name: code for name, code in body.spelling.items() if name not in hidden}

    def outer_spelling(self, needed: Iterable[str], body: Body) -> dict[str, str]:
        """How a class says the spec's parameters, of which those needed must not be hidden."""
        self.need(needed, body)
        hidden = self.hidden(body)
        offered = self.context.root_spelling
        return {n: code for n, code in body.spelling.items() if n in offered and n not in hidden}

    def need(self, names: Iterable[str], body: Body) -> None:
        """Take back parameters of the spec that are needed where another name hides them."""
        if shadowed := self.context.root_spelling.keys() & {*names} & self.hidden(body):
            self.decisions.specialized.setdefault("", set()).update(shadowed)
            raise Restart

    def hidden(self, body: Body) -> set[str]:
        """Names that mean something else in a class than in the spec around it."""
        loops = {name for _, variables in body.loops for name in variables}
        return loops | {parameter.name for parameter in body.variant.block.parameters}

    def code(
        self, value: Value, spelling: dict[str, str], sample: Any, constants: Mapping[str, Any]
    ) -> str:
        """Python source of a value; names that are not open are written as their values."""
        content = value.content
        if isinstance(content, Expression):
            closed = {n: v for n, v in constants.items() if n not in spelling}
            content = expressions.folded(content, closed)
            if not expressions.names(content) & spelling.keys():
                return code_of(frozen_list(sample))
            self.context.functions |= expressions.functions(content)
            return expressions.to_python(
                content,
                lambda name: spelling.get(name) or code_of(frozen_list(constants[name])),
                literal,
            )
        if isinstance(content, tuple):
            samples = sample if isinstance(sample, list | tuple) else [None] * len(content)
            parts = [
                self.code(part, spelling, known, constants)
                for part, known in zip(content, samples, strict=True)
            ]
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        if isinstance(content, dict):
            entries = sample if isinstance(sample, dict) else {}
            inner = (
                f"{literal(key)}: {self.code(part, spelling, entries.get(key), constants)}"
                for key, part in content.items()
            )
            return "{" + ", ".join(inner) + "}"
        return code_of(content)

    def holds(self, code: str, expected: Iterable[Any], body: Body) -> bool:
        """Whether `code` has the expected value in every use of what is being planned."""
        try:
            return all(
                value_of(code, column.values) == frozen_list(value)
                for column, value in zip(body.columns, expected, strict=True)
            )
        except Unknown:
            return False

    def ensure(self, wire: Wire, nodes: Iterable[int], body: Body) -> None:
        """Make sure that a wire's channels are spelled rightly for what it is in every use."""
        if not self.holds(
            code_of(wire.type.channels), (self.types[n].channels for n in nodes), body
        ):
            self.sharing.give_up(body)

    def output_type(
        self, ops: dict[int, Op], nodes: list[int], inputs: tuple[Wire, ...], body: Body
    ) -> TensorType:
        """The symbolic output type; its channels must be spelled alike in every use."""
        spelled: dict[str, TensorType] = {}
        uses = {
            (
                id(self.nodes[n].op),
                tuple(self.types[i].shape for i in self.nodes[n].inputs),
            ): None
            for n in nodes
        }
        sizes = {tuple(shape[:-1] for shape in shapes) for _, shapes in uses}
        if len(sizes) > 1 and any(op.sized for op in ops.values()):
            self.sharing.give_up(body)
        for own, shapes in uses:
            types = tuple(
                TensorType((*shape[:-1], with_value(wire.type.channels, shape[-1])))
                for shape, wire in zip(shapes, inputs, strict=True)
            )
            given = ops[own].infer(types)
            # Heights and widths are not followed further: convolutions take any.
            output = TensorType((*map(int, given.shape[:-1]), given.channels))
            spelled.setdefault(code_of(output.channels), output)
        if len(spelled) > 1:
            self.sharing.give_up(body)
        return next(iter(spelled.values()))

    def spelled_values(self, body: Body, instance: Instance | None = None) -> dict[str, Any]:
        """Values of the parameters that stand in the code of a class, in one use of it."""
        arguments = self.globals if instance is None else {**self.globals, **instance.arguments}
        return {code: frozen_list(arguments[name]) for name, code in body.own_spelling.items()}
