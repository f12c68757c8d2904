"""`xgraph import --family`: several networks as one spec with sizes."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

from xgraph.diagnostics import counted, printable
from xgraph.importing.command import (
    Compare,
    Compared,
    may_be_written,
    network_of,
    of_folded,
    source_of,
    write_text,
    written,
)
from xgraph.importing.family import Family, Member, recover_family, size_name, title_name, told_of
from xgraph.importing.network import Network, Refused
from xgraph.importing.recover import Recovered, spec_name
from xgraph.importing.sources.base import Source
from xgraph.spec.sizes import beside
from xgraph.terminal import say, say_line


def import_family(options: argparse.Namespace, compare: Compare | None = None) -> None:
    """Write the spec of several networks: that of the first, and the others as its sizes.

    Nothing is written if `compare` refuses the first, or the smallest of the others.

    Raises:
        Refused: they are no family, or cannot be read or said; or a file is there that would be
            lost.
    """
    path = Path(options.output)
    _check(options, path)
    sources = [source_of(said, None, with_weights=False) for said in options.source]
    networks = [network_of(source, options) for source in sources]
    members, notes = _members(options, path, sources, networks)
    notes += told_of({one.name: of_folded(one.network, options) for one in members})
    found = recover_family(members)
    notes += found.notes
    compared: dict[str, Compared] = {}
    for number in _compared(networks) if compare else ():
        one = members[number]
        of = members[0].name if number else None
        made = Recovered(found.text, found.analyses[number], list(found.blocks), size_of=of)
        assert compare is not None
        compared[one.name] = compare(made, sources[number], one.network, False)
        notes += [f"{one.name}: {note}" for note in compared[one.name].notes]
    written(path, lambda made: write_text(made, found.text))
    _tell(options, found, members, compared, notes)


def _check(options: argparse.Namespace, path: Path) -> None:
    """Refuse what does not go with a family."""
    if len(options.source) < 2:
        raise Refused("a family is of two networks or more; without --family, one is imported")
    if options.weights:
        raise Refused(
            "a family has the weights of none of its sizes; write the spec without --weights, then "
            "those of each size with xgraph weights import"
        )
    if options.model:
        raise Refused(
            "--model is for one file of weights; name the networks of a family themselves"
        )
    if path.suffix != ".yaml":
        raise Refused(f"{path.name}: a spec with sizes is a file named .yaml")
    may_be_written(path, options.force)


def _members(
    options: argparse.Namespace,
    path: Path,
    sources: Sequence[Source],
    networks: Sequence[Network],
) -> tuple[list[Member], list[str]]:
    """The networks with their names; and which of them is not called as its source."""
    name = spec_name(options.name or path.stem)
    taken = {name, path.stem}
    # A size is found by its name beside the file, where no other may have it.
    taken |= {size.path.stem for size in beside(path.parent) if size.file != path}
    members: list[Member] = []
    notes: list[str] = []
    for source, network in zip(sources, networks, strict=True):
        title = printable(source.title, 200)
        if members:
            there = [one.stem for one in path.parent.glob("*.yaml")]
            name = size_name(source.title, {*taken, *there})
            taken.add(name)
            if name != title_name(source.title):
                notes.append(f"the size of {title} is called {name}")
        members.append(Member(title, network, name))
    return members, notes


def _compared(networks: Sequence[Network]) -> list[int]:
    """The first network, and the smallest of the others."""
    return [0, min(range(1, len(networks)), key=lambda k: (_numbers(networks[k]), k))]


def _numbers(network: Network) -> int:
    """How many numbers its weights are."""
    return sum(math.prod(held.form) for layer in network.layers for held in layer.weights.values())


def _tell(
    options: argparse.Namespace,
    found: Family,
    members: Sequence[Member],
    compared: dict[str, Compared],
    notes: Sequence[str],
) -> None:
    path = Path(options.output).as_posix()
    lines = len(found.text.splitlines())
    layers = [len(one.network.layers) - 1 for one in members]
    if options.json:
        told = {
            "ok": True,
            "file": path,
            "spec": members[0].name,
            "lines": lines,
            "blocks": list(found.blocks),
            "sizes": [
                {
                    "name": one.name,
                    "source": one.title,
                    "layers": count,
                    "compared": list(compared[one.name].measurements)
                    if one.name in compared
                    else [],
                }
                for one, count in zip(members, layers, strict=True)
            ],
            "notes": notes,
        }
        say(json.dumps(told, indent=2))
        return
    blocks = f", {counted(len(found.blocks), 'block')}" if found.blocks else ""
    sizes = counted(len(members) - 1, "size")
    say_line(f"{path}: {counted(lines, 'line')}{blocks}, {sizes}")
    for one, count in zip(members, layers, strict=True):
        same = f"the network of {one.title}, layer by layer"
        say_line(f"{one.name}: {same} ({counted(count, 'layer')})")
        if one.name in compared and compared[one.name].line:
            say_line(f"{one.name}: {compared[one.name].line}")
    for note in notes:
        say_line(f"note: {note}")
