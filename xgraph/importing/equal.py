"""Whether two networks are one, and which weight of the one is which of the other.

Both are walked in normal form from their outputs on, input by input: pairs of units must be of one
kind, compute the same, and be one to one. That walk is the map of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from xgraph.diagnostics import counted
from xgraph.importing.network import Held, Network
from xgraph.importing.normal import COMMUTATIVE, Normal, Unit, normalize, same_fact, same_facts
from xgraph.ops.batch_norm import BatchNorm

#: Digits of numbers by which units are told apart when inputs come in any order.
_DIGITS = 5
#: How many units above one are looked at to tell it from another where the networks differ.
_NEAR = 8
#: Layers that are told one by one where one of the networks has them alone.
_FEW = 3


@dataclass(frozen=True)
class Difference:
    """Where two networks are not one: the layers' names, and what is wrong about them."""

    ours: str
    theirs: str
    what: str


@dataclass
class Match:
    """How two networks go together.

    Attributes:
        weights: weights that are one, first the spec's.
        differences: why they are not the same network.
        notes: what is different and changes neither weights nor what a trained network is.
        paces: what training alone would see of moving statistics.
        layers: names of layers that compute the same, first the spec's.
        outputs: places of the outputs that are one, first the spec's.
        images: scale and offset, of each channel, that make the source's images of the spec's,
            where one of the two rescales them itself.
        rounded: how far the numbers that layers scale by are apart, which float32 has rounded in
            one of the two; by the source's names.
    """

    weights: list[tuple[Held, Held]] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    paces: list[str] = field(default_factory=list)
    layers: list[tuple[str, str]] = field(default_factory=list)
    outputs: list[tuple[int, int]] = field(default_factory=list)
    images: tuple[Sequence[float], Sequence[float]] | None = None
    rounded: dict[str, float] = field(default_factory=dict)


def match(
    ours: Network, theirs: Network, apart: Callable[[str], bool] = lambda name: False
) -> Match:
    """Walk two networks; see `Match`.

    Args:
        ours: the spec's.
        theirs: the source's.
        apart: of a layer of the spec, whether it may be another one. The walk goes on above it.
    """
    walk = _Walk(normalize(ours), normalize(theirs), apart)
    walk.run()
    found = walk.match
    found.paces += _paces(ours, theirs, walk)
    found.layers += [
        (walk.ours.units[a].name, walk.theirs.units[b].name) for a, b in walk.pairs.items()
    ]
    return found


def differ_in_training(ours: Network, theirs: Network) -> list[Difference]:
    """Where two networks part in what training alone sees: dropout, and the pace of statistics.

    They are the same network otherwise, as `match` has found.
    """
    walk = _Walk(normalize(ours, True), normalize(theirs, True), lambda name: False)
    walk.run()
    return walk.match.differences


class _Walk:
    def __init__(self, ours: Normal, theirs: Normal, apart: Callable[[str], bool]) -> None:
        self.ours, self.theirs, self.apart = ours, theirs, apart
        self.match = Match()
        self.pairs: dict[int, int] = {}
        self.taken: dict[int, int] = {}
        self.marks = marks(ours), marks(theirs)

    def run(self) -> None:
        if len(self.theirs.outputs) > len(self.ours.outputs):
            names = ", ".join(name for name, _ in self.theirs.outputs)
            self.differ(self.ours.outputs[-1][1], self.theirs.outputs[-1][1],
                        f"the source has the outputs {names}")  # fmt: skip
        mine, yours = ([name for name, _ in one.outputs] for one in (self.ours, self.theirs))
        if {*mine} == {*yours}:
            self.match.outputs += [(k, yours.index(name)) for k, name in enumerate(mine)]
        else:
            self.match.outputs += [(k, k) for k in range(min(len(mine), len(yours)))]
        todo = [(self.ours.outputs[k][1], self.theirs.outputs[n][1]) for k, n in self.match.outputs]
        while todo:
            todo += self.pair(*todo.pop())
        for name, end in self.ours.outputs[len(self.theirs.outputs) :]:
            self.match.notes.append(f"the source has no output '{name}'")
            self.unpaired(end)

    def unpaired(self, end: int) -> None:
        """What an output that the source has not takes beyond what it has."""
        todo = [end]
        seen = set(self.pairs)
        while todo:
            place = todo.pop()
            if place in seen:
                continue
            seen.add(place)
            unit = self.ours.units[place]
            if unit.weights:
                self.match.differences.append(
                    Difference(unit.name, "", "the source has none of it")
                )
            todo += unit.inputs

    def pair(self, a: int, b: int) -> list[tuple[int, int]]:
        """Pair two units; returns which of their inputs are to be paired."""
        if self.pairs.get(a, -1) == b:
            return []
        one, other = self.ours.units[a], self.theirs.units[b]
        if one.kind != other.kind:
            for x, y, who in ((one, other, "source"), (other, one, "spec")):
                if x.kind == "input" and self.rescales(y, who):
                    self.match.notes.append(f"the {who} rescales its images itself: {_scaled(y)}")
                    self.match.images = _images(y, back=who == "source")
                    return [(a, y.inputs[0])] if who == "source" else [(y.inputs[0], b)]
            if not self.apart(one.name) and (again := self.missing(a, b)):
                return [again]
            self.differ(a, b, f"{_said(one)} here, {_said(other)} there")
            if self.apart(one.name) and len(one.inputs) == len(other.inputs) == 1:
                return [(one.inputs[0], other.inputs[0])]
            return []
        if a in self.pairs or b in self.taken:
            self.differ(a, b, "one of them stands for another layer already")
            return []
        self.pairs[a], self.taken[b] = b, a
        for key in dict.fromkeys((*one.facts, *other.facts)):
            mine, yours = one.facts.get(key), other.facts.get(key)
            if not same_fact(mine, yours):
                self.differ(a, b, f"{key} {_value(mine)} here, {_value(yours)} there")
            elif one.kind == "rescale":
                assert mine is not None
                assert yours is not None
                known = self.match.rounded.get(other.name, 0.0)
                self.match.rounded[other.name] = max(known, _apart(mine, yours))
        for word in (*one.weights, *(w for w in other.weights if w not in one.weights)):
            if word in one.weights and word in other.weights:
                mine_held, their_held = one.weights[word], other.weights[word]
                if mine_held.form == their_held.form:
                    self.match.weights.append((mine_held, their_held))
                else:
                    shapes = f"{mine_held.form} here, {their_held.form} there"
                    self.differ(a, b, f"{word} of shape {shapes}")
        if len(one.inputs) != len(other.inputs):
            counts = f"{counted(len(one.inputs), 'input')} here, {len(other.inputs)} there"
            self.differ(a, b, counts)
            return []
        if one.kind == "input" and one.shape != other.shape:
            self.differ(a, b, f"images of {one.shape} here, {other.shape} there")
        if one.kind in COMMUTATIVE:
            return self.ordered(one, other)
        return list(zip(one.inputs, other.inputs, strict=True))

    def missing(self, a: int, b: int) -> tuple[int, int] | None:
        """Say what layers one network has behind what both have; returns that pair, if there is."""
        here, there = (marks[-1] for marks in self.marks)
        mine, yours = _before(self.ours, a, here, there[b]), _before(self.theirs, b, there, here[a])
        one, other = self.ours.units[a].name, self.theirs.units[b].name
        if mine is not None and (yours is None or len(mine[1]) <= len(yours[1])):
            what = f"behind {other} the source has no {_listed(self.ours, mine[1])}"
            self.match.differences.append(Difference(one, "", what))
            return mine[0], b
        if yours is not None:
            what = (
                f"behind it the source has {_listed(self.theirs, yours[1])}, which the spec has not"
            )
            self.match.differences.append(Difference(one, "", what))
            return a, yours[0]
        return None

    def rescales(self, unit: Unit, who: str) -> bool:
        """Whether a network does so with its images, and nothing of it sees them otherwise."""
        normal = self.theirs if who == "source" else self.ours
        if unit.kind != "rescale" or normal.units[unit.inputs[0]].kind != "input":
            return False
        alive = _alive(normal)
        readers = [normal.units[k] for k in alive if unit.inputs[0] in normal.units[k].inputs]
        return all(one.kind == "rescale" and same_facts(one.facts, unit.facts) for one in readers)

    def ordered(self, one: Unit, other: Unit) -> list[tuple[int, int]]:
        """Inputs that go together where their order says nothing."""
        mine, yours = list(one.inputs), list(other.inputs)
        chosen = []

        def choose(mark: Any) -> None:
            for a in list(mine):
                b = next((b for b in yours if mark(a, b)), None)
                if b is not None:
                    mine.remove(a)
                    yours.remove(b)
                    chosen.append((a, b))

        here, there = self.marks
        choose(lambda a, b: self.pairs.get(a) == b)
        for level in range(len(here)):
            choose(lambda a, b, level=level: here[level][a] == there[level][b])
        choose(lambda a, b: self.ours.units[a].kind == self.theirs.units[b].kind)
        choose(lambda a, b: True)
        return chosen

    def differ(self, a: int, b: int, what: str) -> None:
        names = self.ours.units[a].name, self.theirs.units[b].name
        self.match.differences.append(Difference(*names, what))


def _alive(normal: Normal) -> set[int]:
    """The units that outputs need."""
    return _above_all(normal, [end for _, end in normal.outputs])


def _above_all(normal: Normal, ends: Sequence[int]) -> set[int]:
    """Units, and all that they need."""
    todo = list(ends)
    alive: set[int] = set()
    while todo:
        place = todo.pop()
        if place not in alive:
            alive.add(place)
            todo += normal.units[place].inputs
    return alive


def _before(
    normal: Normal, end: int, marks: Sequence[int], wanted: int
) -> tuple[int, list[int]] | None:
    """The nearest unit above one that has this mark, and the units between."""
    todo, seen = [(end, 0)], {end}
    for place, far in todo:
        if place != end and marks[place] == wanted:
            between = _above_all(normal, [end]) - _above_all(normal, [place])
            return place, sorted(between)
        for read in normal.units[place].inputs if far < _NEAR else ():
            if read not in seen:
                seen.add(read)
                todo.append((read, far + 1))
    return None


def _listed(normal: Normal, places: Sequence[int]) -> str:
    """Units by what they are, or the first and last of many."""
    units = [normal.units[place] for place in places]
    if len(units) > _FEW:
        return f"{len(units)} layers, {units[0].name} to {units[-1].name}"
    return ", ".join(f"{unit.kind} ({unit.name})" for unit in units)


def marks(normal: Normal) -> tuple[list[int], ...]:
    """Marks that equal units of two networks share, those that say most first.

    The first says everything above and below a unit, the second everything above it, the third no
    numbers but shapes of weights, the fourth those of the units just above.
    """
    shapes = [
        tuple(sorted((word, held.form) for word, held in unit.weights.items()))
        for unit in normal.units
    ]
    own = [(unit.kind, told) for unit, told in zip(normal.units, shapes, strict=True)]
    exact: list[int] = []
    form: list[int] = []
    for place, unit in enumerate(normal.units):
        if unit.kind == "rescale" and normal.units[unit.inputs[0]].kind == "input":
            exact.append(exact[unit.inputs[0]])  # images that are rescaled are images
            form.append(form[unit.inputs[0]])
            continue
        facts = tuple(sorted((key, _rounded(value)) for key, value in unit.facts.items()))
        exact.append(hash((own[place], facts, _above(unit, exact))))
        form.append(hash((own[place], _above(unit, form))))
    near = [hash(one) for one in own]
    for _ in range(_NEAR):
        near = [hash((one, _above(u, near))) for one, u in zip(own, normal.units, strict=True)]
    below: list[set[Hashable]] = [set() for _ in normal.units]
    for number, (_, end) in enumerate(normal.outputs):
        below[end].add(("output", number))
    whole = [0] * len(normal.units)
    for place in range(len(normal.units) - 1, -1, -1):
        unit = normal.units[place]
        whole[place] = hash((exact[place], frozenset(below[place])))
        for number, read in enumerate(unit.inputs):
            told_place = 0 if unit.kind in COMMUTATIVE else number
            below[read].add((whole[place], told_place))
    return whole, exact, form, near


def _above(unit: Unit, known: Sequence[int]) -> tuple[int, ...]:
    """The marks of what a unit reads, in order where that matters."""
    found = [known[place] for place in unit.inputs]
    return tuple(sorted(found) if unit.kind in COMMUTATIVE else found)


def _rounded(value: Any) -> Hashable:
    if isinstance(value, tuple):
        return tuple(_rounded(one) for one in value)
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    hashable: Hashable = value
    return hashable


def _said(unit: Unit) -> str:
    return unit.kind


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)


def _scaled(unit: Unit) -> str:
    scale, offset = unit.facts["scale"], unit.facts["offset"]
    if len(set(scale)) == len(set(offset)) == 1:
        return f"x · {scale[0]:.6g} + {offset[0]:.6g}"
    rows = (", ".join(f"{number:.6g}" for number in numbers) for numbers in (scale, offset))
    return "x · [{}] + [{}]".format(*rows)


def _apart(one: Sequence[float], other: Sequence[float]) -> float:
    """How far numbers are apart, of the larger of two."""
    return max(abs(a - b) / max(abs(a), abs(b), 1e-300) for a, b in zip(one, other, strict=True))


def _images(unit: Unit, *, back: bool) -> tuple[Sequence[float], Sequence[float]]:
    """Scale and offset of a unit that rescales, or of what takes that back."""
    scale, offset = unit.facts["scale"], unit.facts["offset"]
    if not back:
        return scale, offset
    return [1 / s for s in scale], [-o / s for s, o in zip(scale, offset, strict=True)]


def _paces(ours: Network, theirs: Network, walk: _Walk) -> list[str]:
    """What training alone would see: momentum of statistics."""
    momenta: dict[tuple[float, float], int] = {}
    own, known = (
        {
            layer.name: layer.op.momentum
            for layer in network.layers
            if isinstance(layer.op, BatchNorm)
        }
        for network in (ours, theirs)
    )
    for a, b in walk.pairs.items():
        one, other = walk.ours.units[a], walk.theirs.units[b]
        if one.kind == "batch_norm":
            pair = own[one.name], known[other.name]
            if not same_fact(*pair):
                momenta[pair] = momenta.get(pair, 0) + 1
    return [
        f"momentum of {count} batch norms is {mine:g} here, {yours:g} there: further training "
        "follows the batches at another pace"
        for (mine, yours), count in momenta.items()
    ]
