"""What reads well, beyond what is short: where to cut a sequence, and what makes a good block."""

from __future__ import annotations

from collections.abc import Sequence

from xgraph.importing.structure.rates import DROPS
from xgraph.importing.structure.tree import (
    ANY,
    Block,
    Body,
    Fork,
    Item,
    Leaf,
    Option,
    Tree,
    inside,
    leaves,
)

_CLASSES = {
    "conv": ("conv", "depthwise_conv", "separable_conv", "conv_transpose", "dense"),
    "norm": ("batch_norm", "layer_norm", "group_norm", "rms_norm", "local_response_norm"),
    "act": (
        "relu", "relu6", "silu", "gelu", "elu", "sigmoid", "tanh", "mish", "leaky_relu", "prelu",
        "hard_sigmoid", "hard_swish", "softmax",
    ),
    "pool": (
        "max_pool", "avg_pool", "global_avg_pool", "global_max_pool", "adaptive_avg_pool",
        "adaptive_max_pool",
    ),
}  # fmt: skip
_CLASS = {op: name for name, ops in _CLASSES.items() for op in ops}

#: Cuts that a sequence never has, by what it begins with.
_NEVER = {
    "conv": {("conv", "norm"), ("norm", "act")},
    "act": {("act", "conv"), ("conv", "norm")},
    "norm": {("norm", "act"), ("act", "conv")},
}
#: What other cuts cost, each place's mean.
_CUTS = {
    ("conv", "norm"): 2.0,
    ("norm", "act"): 1.0,
    ("conv", "act"): 0.6,
    ("merge", "act"): 0.4,
    ("act", "pool"): 0.2,
}
_LAYER = frozenset({("conv", "norm"), ("conv", "act"), ("norm", "act")})
_USUAL = 3.0  # a convolution with its norm, and perhaps its activation
_WHOLE = 8.0  # a whole path
_MIXED = 20.0  # windows of one pixel and larger ones in one block
_OPTION = 8.0  # what is left out is half of the block
_CROWD = 1.5  # each parameter beyond
_ENOUGH = 4

Place = tuple[Body, int, int]


def is_finish(op: str) -> bool:
    """Whether an op is a norm or an activation, which belongs to what is before it."""
    return _CLASS.get(op) in ("norm", "act")


class Taste:
    """Judges blocks of one tree."""

    def __init__(self, tree: Tree) -> None:
        self.blocks = tree.blocks
        self.last: tuple[Body, bool] = (), False

    def kind(self, item: Item, last: bool) -> str:
        """What an item ends with, or begins with."""
        if isinstance(item, Leaf):
            if item.target in self.blocks:
                body = self.blocks[item.target].body
                return self.kind(body[-1 if last else 0], last)
            return _CLASS.get(item.target, "other")
        if isinstance(item, Fork):
            return "merge" if last else "fork"
        return self.kind(item.body[-1 if last else 0], last) if item.body else "other"

    def cuts(self, place: Place) -> float | None:
        """What it costs to cut a sequence on both sides of a part of it; None: never."""
        body, start, end = place
        never = _NEVER.get(self.kind(body[0], last=False), set())
        if self.activated(body):
            never = never | {("merge", "act")}
        cost = 0.0
        for edge in (start, end):
            if 0 < edge < len(body):
                cut = self.kind(body[edge - 1], last=True), self.kind(body[edge], last=False)
                if cut in never:
                    return None
                cost += _CUTS.get(cut, 0.0)
        return cost

    def parts(self, one: Body, other: Body) -> bool:
        """Whether two sequences that follow each other are no parts of one layer."""
        cut = self.kind(one[-1], last=True), self.kind(other[0], last=False)
        return cut not in _LAYER

    def activated(self, body: Body) -> bool:
        """Whether an activation stands behind every merge of a sequence."""
        if self.last[0] is not body:  # one sequence is cut in many places
            self.last = body, self._activated(body)
        return self.last[1]

    def _activated(self, body: Body) -> bool:
        ends = [k for k, item in enumerate(body) if self.kind(item, last=True) == "merge"]
        return bool(ends) and all(
            k + 1 < len(body) and self.kind(body[k + 1], last=False) == "act" for k in ends
        )

    def of_block(self, block: Block, places: Sequence[Place]) -> float | None:
        """What is to be added to what a block saves; None where it may not be."""
        cuts = [self.cuts(place) for place in places]
        if any(cost is None for cost in cuts) or self.holds_a_neighbour(block.body):
            return None
        if isinstance(block.body[-1], Option) and not all(map(self.ends, places)):
            return None
        total = -sum(cost for cost in cuts if cost is not None) / len(cuts)
        kinds = [self.kind(item, last=False) for item in block.body if isinstance(item, Leaf)]
        if len(kinds) == len(block.body) and tuple(kinds) in (
            ("conv", "norm"),
            ("conv", "norm", "act"),
        ):
            total += _USUAL
        only = len(block.body) == 1 and isinstance(block.body[0], Fork)
        if only or any(map(_is_whole, places)):
            total += _WHOLE
        total -= _CROWD * max(0, len(block.parameters) - _ENOUGH)
        whole = sum(1 for _ in leaves(block.body))
        for item in options(block.body):
            if 2 * sum(1 for _ in leaves((*item.body, *item.other))) >= whole:
                total -= _OPTION
        return total

    def ends(self, place: Place) -> bool:
        """Whether no layer goes on behind a place."""
        body, start, end = place
        return end == len(body) or self.parts(body[start:end], body[end:])

    def holds_a_neighbour(self, body: Body) -> bool:
        """Whether what may be left out is a block of its own that stands before or behind."""
        return any(
            isinstance(item, Option)
            and not item.other
            and any(one.target in self.blocks for one in leaves(item.body))
            for item in (body[0], body[-1])
        )

    def mixes(self, values: Sequence[object]) -> float:
        """What it costs that a parameter is a window of one pixel in some uses alone."""
        single = [value == (1, 1) for value in values if value is not ANY]
        return _MIXED if any(single) and not all(single) else 0.0


def _is_whole(place: Place) -> bool:
    """Whether a place is all of a sequence, but for what drops all that it makes."""
    body, start, end = place
    rest = body[end:]
    dropped = all(isinstance(one, Leaf) and one.target == DROPS for one in rest)
    return start == 0 and dropped


def options(body: Body) -> list[Option]:
    """All options in a sequence."""
    found = []
    for item in body:
        if isinstance(item, Option):
            found.append(item)
        for inner in inside(item):
            found += options(inner)
    return found
