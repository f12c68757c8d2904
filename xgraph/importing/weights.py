"""Weights of a spec from elsewhere, and back: by the walk that shows that both are one network."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from xgraph.diagnostics import SpecError, printable
from xgraph.emit.library.weight_file import part_of
from xgraph.importing.equal import Match, match
from xgraph.importing.network import Array, Held, Refused, Segment, of_spec
from xgraph.importing.sources.base import Source
from xgraph.interpreter import weight_shapes
from xgraph.ir.analysis import Analysis

Answer = TypeVar("Answer")
#: Differences that are shown; a wrong network has hundreds.
_SHOWN = 10


@dataclass
class Carried:
    """Weights that were carried over.

    Attributes:
        arrays: by the names of where they go.
        left: names of the spec's weights that were left out.
        notes: what to know of the two networks.
    """

    arrays: dict[str, Array]
    left: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def take(analysis: Analysis, source: Source, leave_out: Sequence[str] = ()) -> Carried:
    """The weights of a source by the canonical names of a spec, in canonical layout.

    Args:
        analysis: the spec.
        source: where they come from.
        leave_out: parts of the spec, such as `head`, that take none.

    Raises:
        Refused: the source is not the spec's network, but for these parts, or cannot be read.
    """
    found, wanted = _matched(analysis, source, leave_out)
    pairs = [(ours, theirs) for ours, theirs in found.weights if ours.name in wanted]
    arrays = taken(pairs, asked(source, source.arrays))
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise Refused(f"the source has no weights for {_listed(missing)}")
    every = weight_shapes(analysis.graph, analysis.types)
    notes = [*_notes(found), *(printable(note, 300) for note in source.notes)]
    strange = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if strange:
        notes.append(f"not all numbers are finite in {_listed(strange)}")
    return Carried(arrays, [name for name in every if name not in wanted], notes)


def give(
    analysis: Analysis,
    weights: Mapping[str, Array],
    source: Source,
    leave_out: Sequence[str] = (),
) -> Carried:
    """The weights of a spec by the names and in the layout of a source, which has no say in them.

    Raises:
        Refused: as `take` does, or these are not the weights of the spec.
    """
    found, wanted = _matched(analysis, source, leave_out)
    pairs = [(ours, theirs) for ours, theirs in found.weights if ours.name in wanted]
    arrays = placed(pairs, weights, source.title)
    every = weight_shapes(analysis.graph, analysis.types)
    return Carried(arrays, [name for name in every if name not in wanted], _notes(found))


def taken(pairs: Sequence[tuple[Held, Held]], held: Mapping[str, Array]) -> dict[str, Array]:
    """Weights of a source by the names and in the layout of a spec.

    Raises:
        Refused: two that are not the same would be one there.
    """
    arrays: dict[str, Array] = {}
    for ours, theirs in pairs:
        array = ours.kept(theirs.seen(_array(held, theirs)))
        if not np.array_equal(arrays.setdefault(ours.name, array), array, equal_nan=True):
            raise Refused(
                f"the spec shares {ours.name} between layers of which the source has "
                f"{printable(theirs.name, 200)} apart"
            )
    return arrays


def placed(
    pairs: Sequence[tuple[Held, Held]], weights: Mapping[str, Array], title: str
) -> dict[str, Array]:
    """Weights of a spec by the names and in the layout of a source, of which they fill all.

    Raises:
        Refused: two that are not the same would be one there, or only a part would be written.
    """
    arrays: dict[str, Array] = {}
    given: dict[str, Array] = {}
    for ours, theirs in pairs:
        array, where = ours.seen(_array(weights, ours)), theirs.places()
        made = arrays.setdefault(theirs.name, np.zeros(theirs.shape, array.dtype))
        filled = given.setdefault(theirs.name, np.zeros(theirs.shape, bool))
        if (filled.reshape(-1)[where] & (made.reshape(-1)[where] != array)).any():
            raise Refused(
                f"two layers of {title} share {printable(theirs.name, 200)}, and what they are "
                "given is not the same"
            )
        made.reshape(-1)[where], filled.reshape(-1)[where] = array, True
    parts = [printable(name, 200) for name, filled in given.items() if not filled.all()]
    if parts:
        raise Refused(f"only a part of {_listed(parts)} of {title} would be written")
    return arrays


def _matched(
    analysis: Analysis, source: Source, leave_out: Sequence[str]
) -> tuple[Match, set[str]]:
    """How the two go together, and the spec's weights that are to be carried."""
    shapes = weight_shapes(analysis.graph, analysis.types)
    for part in leave_out:
        if not any(part_of(name, [part]) for name in shapes):
            raise Refused(f"the spec has no weights in '{printable(part, 80)}'")
    wanted = {name for name in shapes if not part_of(name, leave_out)}
    if not wanted:
        raise Refused("all weights of the spec are left out" if shapes else "there are no weights")
    network = asked(source, lambda: source.network(tuple(analysis.types[0].shape)))
    found = match(of_spec(analysis), network, lambda name: bool(part_of(name, leave_out)))
    wrong = list(
        dict.fromkeys(one for one in found.differences if not part_of(one.ours, leave_out))
    )
    if wrong:
        lines = [
            f"{one.ours} is not {one.theirs}: {one.what}"
            if one.theirs
            else f"{one.ours}: {one.what}"
            for one in wrong[:_SHOWN]
        ]
        if len(wrong) > _SHOWN:
            lines.append(f"and {len(wrong) - _SHOWN} more")
        raise Refused(
            f"{source.title} is not the network of the spec {analysis.name}:",
            *(printable(line, 300) for line in lines),
            "xgraph list shows other forms of a network, --set its settings; a part that shall "
            "differ, such as a head for other classes, can be left out: --leave-out head",
        )
    return found, wanted


def asked(source: Source, ask: Callable[[], Answer], what: str = "cannot be read") -> Answer:
    """What a source answers; whatever a strange file or library brings is a refusal.

    What libraries warn of is for whoever calls them, and quotes lines of ours; what they print goes
    to standard error.
    """
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            return ask()
    except (Refused, SpecError):
        raise
    except (Exception, SystemExit) as error:  # somebody's code may end a program too
        reason = str(error).strip().partition("\n")[0]
        raise Refused(
            f"{source.title} {what}: {type(error).__name__}: {printable(reason, 200)}"
        ) from None


def _array(arrays: Mapping[str, Array], held: Held) -> Array:
    """An array by its name, of the shape that it should have."""
    found = arrays.get(held.name)
    if found is None:
        raise Refused(f"there is no weight {printable(held.name, 200)}")
    if tuple(found.shape) != held.shape:
        said = f"expected shape {held.shape}, received {tuple(found.shape)}"
        raise Refused(f"{printable(held.name, 200)}: {said}")
    if found.dtype.kind != "f":
        raise Refused(f"{printable(held.name, 200)} holds {found.dtype}, no floating-point numbers")
    return found


def _notes(found: Match) -> list[str]:
    """What to know."""
    lines = parted(found)
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return [printable(note, 300) for note in (*found.notes, *found.paces, *lines[:_SHOWN], *more)]


def parted(found: Match) -> list[str]:
    """Of weights that one of the two has once, and the other several times, that it is so."""
    here, there = _uneven(found)
    return [
        f"{one} has {name} once, {other} in {' and '.join(names)}: training parts them"
        for one, other, parts in (
            ("the source", "the spec", there),
            ("the spec", "the source", here),
        )
        for name, names in parts
    ]


def tied(found: Match, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Weights of a spec, made alike where the source has but one for several."""
    first: dict[_Part, tuple[Held, Held]] = {}
    for ours, theirs in found.weights:
        first.setdefault(_part(theirs), (ours, theirs))
    return {**weights, **taken(found.weights, placed([*first.values()], weights, "the source"))}


def parted_names(found: Match) -> set[str]:
    """Names of the spec's weights that `parted` tells of."""
    here, there = _uneven(found)
    return {name for name, _ in here} | {name for _, names in there for name in names}


_Part = tuple[str, tuple[Segment, ...]]  # of a weight, by its name
_Uneven = list[tuple[str, list[str]]]


def _part(held: Held) -> _Part:
    return held.name, tuple(move for move in held.moves if isinstance(move, Segment))


def _uneven(found: Match) -> tuple[_Uneven, _Uneven]:
    """Weights that the spec has once and the source under these names, and the other way."""
    pairs = [(_part(ours), _part(theirs)) for ours, theirs in found.weights]

    def uneven(pairs: Iterable[tuple[_Part, _Part]]) -> _Uneven:
        twins: dict[_Part, dict[str, None]] = {}
        for part, (twin, _) in pairs:
            twins.setdefault(part, {})[twin] = None
        return [(name, [*names]) for (name, _), names in twins.items() if len(names) > 1]

    return uneven(pairs), uneven((theirs, ours) for ours, theirs in pairs)


def _listed(names: Collection[str]) -> str:
    first = [*names][:5]
    return ", ".join(first) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
