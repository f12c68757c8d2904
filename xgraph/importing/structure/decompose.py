"""What runs side by side in a network: its layers as a sequence of ops and forks.

Where a single value is alive, a sequence can be cut. What lies between two cuts ends in a merge; if
what the merge takes has no layers in common, they are paths of a fork. What is neither is a tangle,
whose layers name what they take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from xgraph.importing.network import Layer, Refused
from xgraph.importing.structure.cells import tangled
from xgraph.importing.structure.strands import MERGES
from xgraph.importing.structure.tree import Body, Fork, Item, Leaf, Strand, Tangle, leaf

#: Forks in forks in forks are said with names instead, from so many on.
DEEPEST = 8


def decompose(layers: Sequence[Layer], end: int, in_cells: bool = False) -> Body:
    """The layers that lead from the first, which is the input, to the one at `end`.

    With `in_cells`, cells are looked for where paths have layers in common.
    """
    return _Decomposition(layers, in_cells).sequence(0, end)


def with_names(
    layers: Sequence[Layer], outputs: Sequence[tuple[str, int]], in_cells: bool = False
) -> tuple[Body, list[tuple[str, str]]]:
    """The layers that lead to several outputs, and the labels of those."""
    made, labels = tangled(layers, [end for _, end in outputs], in_cells)
    return (made,), [(name, labels[end]) for name, end in outputs]


def is_shared(layers: Sequence[Layer]) -> bool:
    """Whether some layers have the weights of others."""
    return any(first != place for place, first in enumerate(owners(layers)))


def owners(layers: Sequence[Layer]) -> list[int]:
    """The first layer with the weights of each."""
    known: dict[Any, int] = {}
    found = []
    for place, layer in enumerate(layers):
        held = sorted(layer.weights.values(), key=lambda one: (one.name, repr(one.moves)))
        weights = tuple((one.name, one.moves) for one in held)
        found.append(known.setdefault(weights, place) if weights else place)
    return found


def shared(
    layers: Sequence[Layer], outputs: Sequence[tuple[str, int]]
) -> tuple[Body, list[tuple[str, str]]]:
    """Layers some of which have the weights of others, one by one, and the labels of the outputs.

    Labels are given where they are needed. A single output at the end needs none.

    Raises:
        Refused: layers have the same weights and are not the same op.
    """
    first_of = owners(layers)
    behind = [layer.inputs == (place - 1,) for place, layer in enumerate(layers)]
    wanted = {
        read for place, layer in enumerate(layers) if not behind[place] for read in layer.inputs
    }
    wanted |= {first for place, first in enumerate(first_of) if first != place}
    single = len(outputs) == 1 and outputs[0][1] == len(layers) - 1
    if not single:
        wanted |= {end for _, end in outputs}
    named = {place: f"n{place}" if place else "input" for place in wanted}
    items: list[Item] = []
    for place, layer in enumerate(layers[1:], start=1):
        made = leaf(layer)
        if first_of[place] != place:
            first = layers[first_of[place]]
            if first.op != layer.op:
                raise Refused(f"{layer.name} has the weights of {first.name}, and is another op")
            made = Leaf("share", (named[first_of[place]],))
        sources = () if behind[place] else tuple(named[read] for read in layer.inputs)
        items.append(Strand((made,), named.get(place), sources))
    return (Tangle(tuple(items)),), [] if single else [(name, named[end]) for name, end in outputs]


class _Decomposition:
    def __init__(self, layers: Sequence[Layer], in_cells: bool) -> None:
        self.layers, self.in_cells = layers, in_cells
        self.depth = 0

    def sequence(self, start: int, end: int) -> Body:
        """What is behind one layer up to another one, which is the only way out."""
        if start == end:
            return ()
        self.depth += 1
        try:
            return self.between(start, end)
        finally:
            self.depth -= 1

    def between(self, start: int, end: int) -> Body:
        between = self.ancestors(end, start)
        items: list[Item] = []
        place = start
        for cut in self.cuts(between, start):
            items += self.step(place, cut)
            place = cut
        return tuple(items)

    def ancestors(self, end: int, start: int) -> list[int]:
        """What a layer needs, itself included, beyond another one; in order."""
        todo, seen = [end], {start}
        while todo:
            place = todo.pop()
            if place not in seen:
                seen.add(place)
                todo += self.layers[place].inputs
        return sorted(seen - {start})

    def cuts(self, between: Sequence[int], start: int) -> list[int]:
        """The layers behind which nothing of before is needed any more."""
        last = {start: start}
        for place in between:
            last[place] = place
            for read in self.layers[place].inputs:
                last[read] = place
        found = []
        needed = last[start]
        for place in between:
            if needed <= place:
                found.append(place)
            needed = max(needed, last[place])
        return found

    def step(self, start: int, cut: int) -> Body:
        """From one cut to the next: a layer, a fork or a tangle."""
        layer = self.layers[cut]
        if layer.inputs == (start,):
            return (leaf(layer),)
        if self.depth <= DEEPEST and layer.op.name in MERGES and (fork := self.fork(start, cut)):
            return (fork,)
        return (self.tangle(start, cut),)

    def fork(self, start: int, cut: int) -> Fork | None:
        """A merge of paths that have nothing in common."""
        inputs = self.layers[cut].inputs
        seen: set[int] = set()
        for read in inputs:
            above = set() if read == start else set(self.ancestors(read, start))
            if above & seen or 0 in above:
                return None
            seen |= above
        paths = tuple(self.sequence(start, read) for read in inputs)
        return Fork(paths, leaf(self.layers[cut]))

    def tangle(self, start: int, cut: int) -> Tangle:
        """Layers from one cut to the next, numbered by their places among themselves."""
        between = self.ancestors(cut, start)
        local = {start: 0, **{place: k for k, place in enumerate(between, start=1)}}
        layers = [replace(self.layers[start], inputs=())] + [
            replace(
                self.layers[place], inputs=tuple(local[read] for read in self.layers[place].inputs)
            )
            for place in between
        ]
        return tangled(layers, [len(layers) - 1], self.in_cells)[0]
