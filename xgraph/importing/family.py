"""Several networks as one spec and its sizes, each proven to be its network.

readers → authored forms → decompose → side by side → compress → text → spec and sizes, read again
→ each walked beside its source
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xgraph.compile import analyse
from xgraph.diagnostics import SpecError, counted
from xgraph.importing.authored import form_at_any_size, forms, refuse_unknown, remarks
from xgraph.importing.network import Network, Refused
from xgraph.importing.recover import prove, spec_name
from xgraph.importing.structure.align import Apart, side_by_side
from xgraph.importing.structure.compress import Compressed, compress
from xgraph.importing.structure.decompose import decompose, is_shared
from xgraph.importing.structure.text import family_of
from xgraph.importing.structure.tree import Body
from xgraph.ir.analysis import Analysis
from xgraph.spec.writer import write

_APART = "import them apart, each without --family"


@dataclass(frozen=True)
class Member:
    """A network of a family.

    Attributes:
        title: what its user calls it.
        network: as a reader made it.
        name: of the size; that of the first is the spec's.
    """

    title: str
    network: Network
    name: str


@dataclass(frozen=True)
class Family:
    """A family's spec, and what xgraph reads in it and in each of its sizes.

    Attributes:
        text: of the spec with its sizes.
        analyses: the spec's own form, and its sizes.
        blocks: the names of its blocks.
        notes: what to know of it.
    """

    text: str
    analyses: Sequence[Analysis]
    blocks: Sequence[str]
    notes: Sequence[str] = field(default=())


def title_name(title: str) -> str:
    """What a network of this title is called: keras:ResNet101 is resnet101."""
    _, _, said = title.rpartition(":")
    last = said.replace("\\", "/").rpartition("/")[2]
    return spec_name(re.sub(r"(?<=.)\.[A-Za-z]\w*$", "", last))


def size_name(title: str, taken: Collection[str]) -> str:
    """The same, or with a number behind it if that is another's."""
    word = name = title_name(title)
    number = 1
    while name in taken:
        number += 1
        ending = f"_{number}"
        name = word[: 64 - len(ending)].rstrip("_") + ending
    return name


def recover_family(members: Sequence[Member]) -> Family:
    """The spec of several networks: that of the first, and the others as its sizes.

    Raises:
        Refused: they are no sizes of one family, or some of their layers have no words in specs.
        NotTheSame: what was recovered is not the networks.
    """
    drafts = [list(forms(one.network)) for one in members]
    for one, several in zip(members, drafts, strict=True):
        _refuse(one, several[0])
    shapes = [list(one.network.types[0].shape) for one in members]
    plain = len(drafts[0])
    if any(shape != shapes[0] for shape in shapes):
        # The same padding may be other pixels in images of another size.
        for one, several in zip(members, drafts, strict=True):
            several.append(form_at_any_size(one.network))
    found, form = _shortest(members, drafts)
    spec, params = family_of(
        members[0].name, found.tree, found.words, shapes[0], members[0].title, len(members)
    )
    sizes: dict[str, Any] = {}
    for number, one in enumerate(members[1:], start=1):
        said: dict[str, Any] = {"source": one.title}
        mine = {k: v for k, v in params[number].items() if not _same(v, params[0][k])}
        if mine:
            said["params"] = mine
        if shapes[number] != shapes[0]:
            said["input"] = {"shape": shapes[number]}
        for other in range(number):
            if params[number] == params[other] and shapes[number] == shapes[other]:
                raise Refused(
                    f"{members[other].title} and {one.title} are one network; name it once"
                )
        sizes[one.name] = said
    spec["sizes"] = sizes
    text = write(spec)
    analyses = _read(text, [one.name for one in members])
    for one, analysis, several in zip(members, analyses, drafts, strict=True):
        prove(analysis, one.network, several)
    notes = told_of({one.name: remarks(one.network, form == plain) for one in members})
    return Family(text, analyses, list(spec.get("blocks", ())), notes)


def told_of(notes: Mapping[str, Sequence[str]]) -> list[str]:
    """Notes on networks by their names, those on all of them once."""
    every = [note for several in notes.values() for note in several]
    both = [note for note in dict.fromkeys(every) if all(note in s for s in notes.values())]
    apart = [f"{name}: {note}" for name, s in notes.items() for note in s if note not in both]
    return [*both, *apart]


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _refuse(one: Member, draft: Network) -> None:
    """That a network is none that can be one of several."""
    refuse_unknown(draft)
    if len(draft.outputs) > 1:
        raise Refused(f"{one.title} has several outputs: {_APART}")
    if is_shared(draft.layers):
        raise Refused(f"layers of {one.title} share weights: {_APART}")


def _shortest(
    members: Sequence[Member], drafts: Sequence[Sequence[Network]]
) -> tuple[Compressed, int]:
    """The shortest text of all networks side by side, and the form in which they all are there."""
    best: tuple[Compressed, int] | None = None
    seen: list[list[Body]] = []
    for form in range(len(drafts[0])):
        for in_cells in (False, True):
            several = [_body(one[form], in_cells) for one in drafts]
            if several in seen:
                continue
            seen.append(several)
            try:
                body = side_by_side(several)
            except Apart:
                continue
            found = compress((body, ()))
            if best is None or found.cost < best[0].cost:
                best = found, form
    if best is None:
        raise _no_family(members, seen[0])
    return best


def _body(draft: Network, in_cells: bool) -> Body:
    return decompose(draft.layers, draft.outputs[0][1], in_cells)


def _no_family(members: Sequence[Member], bodies: Sequence[Body]) -> Refused:
    """That networks are no family, and where the first two part that are none."""
    for number in range(1, len(members)):
        for other in range(number):
            try:
                side_by_side([bodies[other], bodies[number]])
            except Apart as apart:
                one, two = members[other].title, members[number].title
                layers = counted(apart.alike, "layer")
                return Refused(
                    f"{one} and {two} are no sizes of one family: they part behind {layers}, "
                    f"where one goes on with {apart.first} and the other with {apart.second}",
                    _APART,
                )
    return Refused("each two of these are of one family, but not all together", _APART)


def _read(text: str, names: Sequence[str]) -> list[Analysis]:
    """What a spec and its sizes mean; one of them may be one that xgraph refuses."""
    with tempfile.TemporaryDirectory(prefix="xgraph-import-") as folder:
        path = Path(folder) / f"{names[0]}.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            return [
                analyse(os.fspath(path)),
                *(
                    analyse(os.fspath(path.with_name(f"{one}.yaml")), family=path)
                    for one in names[1:]
                ),
            ]
        except SpecError as error:
            told = (f"no spec says this: {one.message}" for one in error.diagnostics)
            raise Refused(*dict.fromkeys(told)) from None
