"""PyTorch's modules, as `torch.export` writes down what they compute for images of one size.

Weights are called as in the module's `state_dict()`.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node
from torch.utils import _pytree as pytree

from xgraph.importing import axes as laid
from xgraph.importing.network import Builder, Network, Refused, Shape
from xgraph.importing.readers import torch_ops, torch_pairs, torch_steps
from xgraph.importing.readers import torch_program as program
from xgraph.importing.readers.common import Reader, Tensor, few
from xgraph.importing.readers.torch_memory import Memories
from xgraph.importing.readers.torch_operation import (
    OF_IMAGES,
    Operation,
    Pooled,
    Strided,
    completed,
    places,
)
from xgraph.importing.readers.torch_ops import IGNORED
from xgraph.importing.readers.torch_program import Program, Weight, key, path, said
from xgraph.importing.readers.torch_weights import of_weights

#: What operations mean.
OPS = {**torch_ops.OPS, **torch_pairs.OPS, **torch_steps.OPS}


def read(module: torch.nn.Module, input_shape: Shape, name: str = "model") -> Network:
    """The network of a module in evaluation mode, for images of this shape (H, W, C).

    Raises:
        Refused: it cannot be exported, or has operations that no op of ours is.
    """
    graph = Program(program.exported(module, input_shape))
    unknown = list(graph.unknown({*OPS, *IGNORED, "getitem"}))
    if unknown:
        raise Refused(*few(unknown))
    return _Reader(graph, Builder(name, input_shape)).network()


@dataclass(frozen=True)
class _Stale:
    """A view of what was changed in place."""

    changed: str


class _Reader(Reader):
    def __init__(self, graph: Program, builder: Builder) -> None:
        super().__init__(builder, program.BATCH)
        self.graph = graph
        self.values: dict[Node, Any] = {}
        self.memories = Memories()
        self.now: Node | None = None

    def network(self) -> Network:
        for node in self.graph.nodes:
            self.memories.add(node)
            if node.op == "placeholder":
                images = node.name in self.graph.images
                self.values[node] = self.lying(0) if images else self.graph.placeholder(node)
            elif node in self.graph.live and node.op != "output" and node not in self.graph.inside:
                self.now = node
                self.read(node)
        ends = [(name, self.value(node)) for name, node in self.graph.outputs()]
        return self.builder.network([(name, self.output(name, value)) for name, value in ends])

    def output(self, name: str, tensor: Any) -> int:
        if isinstance(tensor, Strided):
            raise Refused(f"the output {name} is {tensor.reason}")
        value = completed(self, tensor) if isinstance(tensor, Pooled) else tensor
        return super().output(name, value)

    def is_read_no_more(self, place: int) -> bool:
        if any(place in layer.inputs for layer in self.builder.layers[place:]):
            return False
        return not any(
            user is not self.now and user not in self.values and user in self.graph.live
            for node, value in self.values.items()
            if place in places(value)
            for user in node.users
        )

    def read(self, node: Node) -> None:
        if key(node) in IGNORED:
            return
        norm = self.graph.norms.get(node)
        if norm is not None:
            call = Operation(self, path(node), said(node), node, {"self": self.value(norm.given)})
            made: Any = call.image("local_response_norm", call.tensor(), **norm.attributes)
        elif node.target is operator.getitem:
            values, number = node.args
            made = self.value(values)[number]
        else:
            made = self.called(node)
        if isinstance(made, Tensor | Pooled):
            expected = tuple(node.meta["val"].shape)
            if tuple(map(laid.size, made.axes)) != expected:
                raise Refused(f"{path(node)}: {said(node)} of this shape is not read")
            if (kind := node.meta["val"].dtype) not in self.graph.precise:
                raise Refused(f"{path(node)}: {said(node)} makes {kind} of what it is given")
        self.values[node] = made
        if program.in_place(node):
            self.change(node, made)

    def called(self, node: Node) -> Any:
        """What an operation of ATen makes."""
        known = node.op == "call_function" and hasattr(node.target, "_schema")
        given = torch.fx.node.map_arg(program.given(node), self.value) if known else {}
        leaves = pytree.tree_leaves(given)
        of_images = any(isinstance(one, OF_IMAGES) for one in leaves)
        if known and not of_images and not any(map(program.is_learned, leaves)):
            return self.constant(node, given)
        if key(node) not in OPS:
            raise Refused(f"{path(node)}: no op of ours is PyTorch's {said(node)}")
        call = Operation(self, path(node), said(node), node, given)
        return OPS[key(node)](call) if of_images else of_weights(call)

    def constant(self, node: Node, given: Mapping[str, Any]) -> Any:
        """What follows from constants alone is computed."""
        plain = pytree.tree_map(lambda one: one.tensor if isinstance(one, Weight) else one, given)
        target: Any = node.target
        words = target._schema.arguments
        positional = [plain[one.name] for one in words if not one.kwarg_only]
        named = {one.name: plain[one.name] for one in words if one.kwarg_only}
        if program.in_place(node):
            positional[0] = positional[0].clone()
        return target(*positional, **named)

    def value(self, node: Any) -> Any:
        """What is known of a node; outputs may be constants, which are no nodes."""
        found = self.values[node] if isinstance(node, Node) else node
        if isinstance(found, _Stale):
            raise Refused(f"{found.changed} changes in place what is read by another name later")
        return found

    def change(self, node: Node, made: Any) -> None:
        """An operation in place changes all that lies in the same memory."""
        first = node.args[0]
        assert isinstance(first, Node)
        if isinstance(self.values[first], Weight):
            raise Refused(f"{path(node)}: {said(node)} changes a weight")
        same, touched = self.memories.changed(first, self.values)
        self.values |= dict.fromkeys(touched, _Stale(path(node)))
        self.values |= dict.fromkeys([*same, node], made)
