"""A network as the spec that an author would have written, proven to be the same network.

reader → authored forms → decompose → compress → text → spec, read again → walk beside the source
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xgraph.compile import analyse
from xgraph.importing.authored import forms, refuse_unknown
from xgraph.importing.equal import match
from xgraph.importing.network import Network, of_spec
from xgraph.importing.structure.compress import compress
from xgraph.importing.structure.cost import Words
from xgraph.importing.structure.decompose import decompose, is_shared, wired
from xgraph.importing.structure.text import spec_of
from xgraph.importing.structure.tree import Tangle, Tree
from xgraph.ir.analysis import Analysis
from xgraph.spec.writer import write


@dataclass(frozen=True)
class Recovered:
    """A spec's text, and what xgraph reads in it.

    Attributes:
        blocks: the names of its blocks.
        notes: what to know of it.
    """

    text: str
    analysis: Analysis
    blocks: list[str]
    notes: list[str] = field(default_factory=list)


class NotTheSame(Exception):
    """A spec that was recovered is another network than its source: an error of xgraph's own."""


def recover(network: Network, name: str, about: str | None = None) -> Recovered:
    """The spec of a network.

    Args:
        network: as a reader made it.
        name: of the spec.
        about: where it is from, for the spec's `source`.

    Raises:
        Refused: some of its layers have no words in specs.
        NotTheSame: what was recovered is not the network.
    """
    drafts = list(forms(network))
    for draft in drafts:
        refuse_unknown(draft)
    shape = network.types[0].shape
    notes = []
    outputs: Sequence[tuple[str, str]] = ()
    if is_shared(drafts[0].layers):
        notes.append("layers share weights: no blocks were looked for")
        body, outputs = wired(drafts[0].layers, drafts[0].outputs)
        tree, words = Tree((Tangle(body),)), Words()
    elif len(drafts[0].outputs) > 1:
        bodies = []
        for draft in drafts:
            body, outputs = wired(draft.layers, draft.outputs)
            bodies.append((Tangle(body),))
        tree, words = compress(bodies)
    else:
        tree, words = compress([decompose(one.layers, one.outputs[0][1]) for one in drafts])
    plain = spec_of(name, tree, words, shape, outputs, about)
    text = write(plain)
    analysis = _read(text)
    _prove(analysis, network, drafts[0])
    return Recovered(text, analysis, list(plain.get("blocks", ())), notes)


def spec_name(title: str) -> str:
    """A name that a spec may have, for something called so."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    name = "_".join(words) or "network"
    return (name if name[0].isalpha() else f"net_{name}")[:64].rstrip("_")


def _read(text: str) -> Analysis:
    with tempfile.TemporaryDirectory(prefix="xgraph-import-") as folder:
        path = Path(folder) / "recovered.yaml"
        path.write_text(text, encoding="utf-8")
        return analyse(str(path))


def _prove(analysis: Analysis, source: Network, draft: Network) -> None:
    """Hold the spec to the source: what it computes, and what training alone would see."""
    ours = of_spec(analysis)
    found = match(ours, source)
    lines = [f"{one.ours}: {one.what}" for one in found.differences]
    # The walk leaves out what is nothing in evaluation, and momentum: that is the draft's.
    told = (sorted(_training(network)) for network in (ours, draft))
    mine, theirs = told
    if mine != theirs:
        lines.append("dropout or momentum differ")
    if lines:
        raise NotTheSame("\n".join(lines[:10]))


def _training(network: Network) -> list[str]:
    """What only training sees."""
    found = []
    for layer in network.layers:
        rate, momentum = (getattr(layer.op, word, None) for word in ("rate", "momentum"))
        if rate is not None or momentum is not None:
            found.append(f"{layer.op.name} {rate or 0:.9g} {momentum or 0:.9g}")
    return found
