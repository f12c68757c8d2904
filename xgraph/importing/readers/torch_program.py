"""Modules exported, and what is looked up in the programs that they become."""

from __future__ import annotations

import contextlib
import io
import logging
import operator
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node
from torch.utils import _pytree as pytree

from xgraph.importing.network import Held, Refused, Shape
from xgraph.importing.readers.torch_chance import marked
from xgraph.importing.readers.torch_copy import copied, undisturbed

#: Images that the module is exported with; were it one, an axis of one could be any. Comparisons
#: run it with others, so that a number of images that code computes with is found out.
BATCH = 3
#: How many operations are looked at behind one, where a reason for a refusal is sought.
_FAR = 32


@dataclass(frozen=True)
class Weight:
    """A parameter or a buffer.

    Attributes:
        held: as `state_dict()` has it, and what has become of its axes.
        tensor: of a buffer, which may be a constant too.
    """

    held: Held
    tensor: torch.Tensor | None = None

    @property
    def shape(self) -> Shape:
        return self.held.form


def is_learned(value: Any) -> bool:
    """Whether it is a parameter."""
    return isinstance(value, Weight) and value.tensor is None


def exported(module: torch.nn.Module, input_shape: Shape) -> torch.export.ExportedProgram:
    """The program of a module in evaluation mode, which stays as it is."""
    height, width, channels = input_shape
    floats = (p.dtype for p in module.parameters() if p.dtype.is_floating_point)
    images = torch.zeros(BATCH, channels, height, width, dtype=next(floats, torch.float32))
    own = copied(module)
    try:
        with undisturbed(), _quietly(), torch.no_grad(), marked(own):
            own.eval()  # the mode, and not `train(False)`: a module may have its own
            return torch.export.export(own, (images,), strict=False)
    except Refused:
        raise
    except Exception as error:  # whatever the module's own code raises
        reason = str(error).strip().partition("\n")[0]
        kind = f"{type(module).__name__} cannot be exported"
        raise Refused(f"{kind}: {type(error).__name__}: {reason}") from None


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what PyTorch says of its own steps, of which a refusal says what there is to know."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class Program:
    """What is looked up in an exported program."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        self.program = program
        self.nodes: Sequence[Node] = list(program.graph.nodes)
        self.norms = {node: found for node in self.nodes if (found := _local_response(node))}
        self.inside = {node for norm in self.norms.values() for node in norm.inside}
        signature = program.graph_signature
        self.parameters = signature.inputs_to_parameters
        constants = signature.inputs_to_lifted_tensor_constants
        self.buffers = {**signature.inputs_to_buffers, **constants}
        self.images = signature.user_inputs
        given = {n.meta["val"].dtype for n in self.nodes if n.name in self.images}
        #: Types between which a cast changes nothing but how numbers are rounded.
        self.precise = {*given, torch.float32, torch.float64}
        self.live = self._live()

    def _live(self) -> set[Node]:
        """What outputs need, and what writes; attention's weights may go nowhere."""
        todo = [node for node in self.nodes if node.op == "output" or in_place(node)]
        live: set[Node] = set()
        while todo:
            node = todo.pop()
            if node not in live:
                live.add(node)
                todo += node.all_input_nodes
        return live

    def unknown(self, known: Collection[str]) -> Iterator[str]:
        """A line for each operation on the images, or on parameters, that means nothing here."""
        fed = {node for node in self.nodes if node.name in (*self.parameters, *self.images)}
        for node in self.nodes:
            if node.op in ("placeholder", "output") or node in self.inside:
                continue
            if node not in self.live:
                continue
            if any(one in fed for one in node.all_input_nodes):
                fed.add(node)
                if node not in self.norms and key(node) not in known:
                    yield f"{path(node)}: no op of ours is PyTorch's {said(node)}"

    def placeholder(self, node: Node) -> Weight | torch.Tensor:
        """A parameter, a buffer or a constant."""
        program = self.program
        target = self.parameters.get(node.name) or self.buffers[node.name]
        if target in program.state_dict:
            tensor = program.state_dict[target].detach()
            held = Held(target, tuple(tensor.shape))
            return Weight(held, None if node.name in self.parameters else tensor)
        constant: torch.Tensor = program.constants[target]
        if constant.requires_grad:
            raise Refused(
                f"{target}: a tensor that wants a gradient and is in no state_dict; read are "
                "parameters: nn.Parameter makes it one"
            )
        return constant

    def outputs(self) -> list[tuple[str, Any]]:
        """Names of outputs, and their nodes."""
        (ends,) = self.nodes[-1].args
        assert isinstance(ends, tuple | list)
        kinds = [one.kind.name for one in self.program.graph_signature.output_specs]
        if any(kind != "USER_OUTPUT" for kind in kinds):
            raise Refused("the module changes its buffers, in evaluation too")
        found = self.program.call_spec.out_spec
        assert found is not None
        tree = pytree.tree_unflatten(range(found.num_leaves), found)
        paths = [path for path, _ in pytree.tree_flatten_with_path(tree)[0]]
        kept = [(path, end) for path, end in zip(paths, ends, strict=True) if end is not None]
        return [(_output(path, number), end) for number, (path, end) in enumerate(kept)]


def _output(path: Any, number: int) -> str:
    """The name that dictionaries and named tuples give an output."""
    words = [getattr(key, "key", getattr(key, "name", None)) for key in path]
    names = [str(word) for word in words if word is not None]
    return ".".join(names) if names else f"output{number}"


def path(node: Node) -> str:
    """The module that a node is of, or its own name."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]).partition("@")[0] if stack else ""
    return path or node.name


def said(node: Node) -> str:
    """An operation for a message."""
    return str(node.target).removesuffix(".default")


def key(node: Node) -> str:
    """The name of an operation, for all its overloads, in place and not."""
    if node.target is operator.getitem:
        return "getitem"
    schema = getattr(node.target, "_schema", None)
    if node.op != "call_function" or schema is None or not schema.name.startswith("aten::"):
        return str(node.target)
    name: str = schema.name.removeprefix("aten::")
    return name.removesuffix("_")


def in_place(node: Node) -> bool:
    """Whether an operation writes into what it is given."""
    arguments = node.target._schema.arguments if hasattr(node.target, "_schema") else ()
    return any(one.alias_info is not None and one.alias_info.is_write for one in arguments)


def given(node: Node) -> dict[str, Any]:
    """A node's arguments by the operation's words."""
    arguments = node.target._schema.arguments  # type: ignore[union-attr]  # of those of ATen
    found = {one.name: one.default_value for one in arguments}
    found |= {one.name: value for one, value in zip(arguments, node.args, strict=False)}
    return {**found, **node.kwargs}


def computes_kernel(node: Node) -> Node | None:
    """The convolution for whose kernel alone a node computes something, if it is one's."""
    seen, todo = {node}, [node]
    while todo:
        for user in todo.pop().users:
            if key(user) == "conv2d" and user.args[1] in seen:
                return user
            if user not in seen and len(seen) < _FAR:
                seen.add(user)
                todo.append(user)
    return None


# -- local response normalization, of which PyTorch writes down the steps --------------------------


@dataclass(frozen=True)
class _LocalResponse:
    given: Node
    attributes: Mapping[str, Any]
    inside: tuple[Node, ...]


def _local_response(node: Node) -> _LocalResponse | None:
    """x / (k + alpha · mean of squares) ^ beta, as `torch.nn.LocalResponseNorm` computes it."""
    steps = ("div", "pow", "add", "mul", "view", "squeeze", "avg_pool3d", "pad", "view", "mul")
    inside: list[Node] = []
    for step in steps:
        if not isinstance(node, Node) or node.op != "call_function" or key(node) != step:
            return None
        if inside and len(node.users) > 1:
            return None
        inside.append(node)
        node = node.args[1 if step == "div" else 0]  # type: ignore[assignment]  # looked at next
    divided, power, added, scaled, _, _, pooled, padded, viewed, squared = inside
    if not divided.args[0] == squared.args[0] == squared.args[1] == node:
        return None
    batch, channels, *sizes = node.meta["val"].shape
    pool, pad = given(pooled), given(padded)
    size, padding = pool["kernel_size"][0], pool["padding"]
    volume = (batch, 1, channels, *sizes)
    sound = (
        tuple(viewed.meta["val"].shape) == tuple(pooled.meta["val"].shape) == volume
        and pad["pad"] == [0, 0, 0, 0, size // 2, (size - 1) // 2]
        and pad["mode"] == "constant"
        and not pad["value"]
        and list(pool["kernel_size"]) == [size, 1, 1]
        and not any(padding if isinstance(padding, list) else [padding])
        and pool["divisor_override"] is None
        and given(added)["alpha"] == 1
    )
    numbers = {"alpha": scaled.args[1], "beta": power.args[1], "k": added.args[1]}
    if not sound or not all(isinstance(one, int | float) for one in numbers.values()):
        return None
    return _LocalResponse(node, {"size": size, **numbers}, tuple(inside[1:]))
