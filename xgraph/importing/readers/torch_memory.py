"""Which tensors of an exported program lie in the same memory, where operations act in place."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node

from xgraph.importing.readers.torch_program import key

#: What gives a tensor back as it is, or a copy, depending on how it lies in memory.
_PERHAPS_COPIED = ("contiguous", "flatten", "reshape", "reshape_as", "to", "type_as", "unflatten")
#: What gives back what it is given, in evaluation.
DROPOUTS = ("dropout", "feature_dropout")


@dataclass(frozen=True)
class _Memory:
    """Where a tensor lies.

    Attributes:
        family: the node that made it, or that of which it may be a view.
        base: the same, where it certainly is a view.
        place: within that: offset, strides and sizes.
    """

    family: Node
    base: Node
    place: tuple[Any, ...]

    def same(self, other: _Memory) -> bool:
        return self.base is other.base and self.place == other.place != ()


class Memories:
    """Where each tensor lies."""

    def __init__(self) -> None:
        self.known: dict[Node, _Memory] = {}

    def add(self, node: Node) -> None:
        tensor = node.meta.get("val")
        place: tuple[Any, ...] = ()
        if isinstance(tensor, torch.Tensor):
            place = tensor.storage_offset(), tuple(tensor.stride()), tuple(tensor.shape)
        first = node.args[0] if node.args else None
        source = self.known.get(first) if isinstance(first, Node) else None
        schema = getattr(node.target, "_schema", None)
        view = bool(schema and schema.arguments and schema.arguments[0].alias_info)
        view = view or key(node) in (*DROPOUTS, *_PERHAPS_COPIED, "getitem")
        if source is None or not view:
            self.known[node] = _Memory(node, node, place)
            return
        copied = key(node) in _PERHAPS_COPIED
        moved = key(node) in DROPOUTS and place != source.place
        self.known[node] = _Memory(source.family, node if copied or moved else source.base, place)

    def changed(self, first: Node, nodes: Iterable[Node]) -> tuple[list[Node], list[Node]]:
        """Of a change of the first: what is the very same, and what may be a part or a view."""
        memory, same, touched = self.known[first], [], []
        for other in nodes:
            if other is first or memory.same(self.known[other]):
                same.append(other)
            elif memory.family is self.known[other].family and not _beside(first, other):
                touched.append(other)
        return same, touched


def _beside(one: Node, other: Node) -> bool:
    """Whether two are different parts of what was split, or one of them is the list of parts."""
    parts = [node for node in (one, other) if node.target is operator.getitem]
    if len(parts) == 2:
        return one.args[0] == other.args[0] and one.args[1] != other.args[1]
    return len(parts) == 1 and parts[0] is one and one.args[0] is other
