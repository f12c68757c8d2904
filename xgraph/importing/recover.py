"""A network as the spec that an author would have written, proven to be the same network.

reader → authored forms → decompose → compress → text → spec, read again → walk beside the source
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from xgraph.compile import analyse
from xgraph.diagnostics import SpecError, printable
from xgraph.importing.authored import forms, refuse_unknown, remarks
from xgraph.importing.equal import match
from xgraph.importing.network import Network, Refused, of_spec
from xgraph.importing.normal import same_fact
from xgraph.importing.structure.compress import Compressed, Way, compress
from xgraph.importing.structure.cost import Words
from xgraph.importing.structure.decompose import decompose, is_shared, shared, with_names
from xgraph.importing.structure.text import spec_of
from xgraph.importing.structure.tree import ANY, Tree
from xgraph.ir.analysis import Analysis
from xgraph.ops import Op
from xgraph.ops.stochastic_depth import StochasticDepth
from xgraph.spec.form import RESERVED
from xgraph.spec.writer import write


@dataclass(frozen=True)
class Recovered:
    """A spec's text, and what xgraph reads in it.

    Attributes:
        blocks: the names of its blocks.
        notes: what to know of it.
        size_of: the name of the spec in the text, where this is one of its sizes.
    """

    text: str
    analysis: Analysis
    blocks: list[str]
    notes: list[str] = field(default_factory=list)
    size_of: str | None = None


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
    notes = remarks(network)
    outputs: Sequence[tuple[str, str]] = ()
    if is_shared(drafts[0].layers):
        notes.append("layers share weights: no blocks were looked for")
        body, outputs = shared(drafts[0].layers, drafts[0].outputs)
        tree, words = Tree(body), Words()
    else:
        found = _shortest(drafts)
        tree, words, outputs = found.tree, found.words, found.outputs
    plain = spec_of(name, tree, words, shape, _legal(outputs, notes), about)
    text = write(plain)
    analysis = _read(text)
    prove(analysis, network, drafts)
    return Recovered(text, analysis, list(plain.get("blocks", ())), notes)


def _shortest(drafts: Sequence[Network]) -> Compressed:
    """The shortest text of a network; whether it has cells is decided on the first draft."""
    plain, celled = (_way(drafts[0], in_cells) for in_cells in (False, True))
    best, in_cells = compress(plain), False
    if celled != plain and (other := compress(celled)).cost < best.cost:
        best, in_cells = other, True
    for draft in drafts[1:]:
        way = _way(draft, in_cells)
        if way not in (plain, celled):
            best = min(best, compress(way), key=lambda one: one.cost)
    return best


def _way(draft: Network, in_cells: bool) -> Way:
    """The body that a network can be written as, and the labels of its outputs."""
    if len(draft.outputs) > 1:
        return with_names(draft.layers, draft.outputs, in_cells)
    return decompose(draft.layers, draft.outputs[0][1], in_cells), []


def spec_name(title: str) -> str:
    """A name that a spec, or an output of one, may have, for something called so."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    name = "_".join(words) or "network"
    fits = name[0].isalpha() and name not in RESERVED
    return (name if fits else f"net_{name}")[:64].rstrip("_")


def _legal(outputs: Sequence[tuple[str, str]], notes: list[str]) -> list[tuple[str, str]]:
    """Outputs under names that they may have."""
    taken: set[str] = set()
    made = []
    for title, label in outputs:
        word = name = spec_name(title)
        while name in taken:
            name = f"{word}_{len(taken) + 1}"
        taken.add(name)
        made.append((name, label))
        if name != title:
            notes.append(f"the output {printable(title, 100)} is called {name}")
    return made


def _read(text: str) -> Analysis:
    """What a spec means that has been made; it may be one that xgraph refuses."""
    with tempfile.TemporaryDirectory(prefix="xgraph-import-") as folder:
        path = Path(folder) / "recovered.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            return analyse(str(path))
        except SpecError as error:
            told = (f"no spec says this: {one.message}" for one in error.diagnostics)
            raise Refused(*dict.fromkeys(told)) from None


def prove(analysis: Analysis, source: Network, drafts: Sequence[Network]) -> None:
    """Hold the spec to the source: what it computes, and what training alone would see."""
    ours = of_spec(analysis)
    lines = [f"{one.ours}: {one.what}" for one in match(ours, source).differences]
    # That walk leaves out what is nothing in evaluation, momentum and initializers.
    if not any(_is(ours, draft) for draft in drafts):
        lines.append("layers that only training sees are others")
    if lines:
        raise NotTheSame("\n".join(lines[:10]))


def _is(one: Network, other: Network) -> bool:
    """Whether two networks have the same layers, each with all its attributes."""
    todo = list(
        zip((end for _, end in one.outputs), (end for _, end in other.outputs), strict=True)
    )
    pairs: dict[int, int] = {}
    while todo:
        a, b = todo.pop()
        # A network of nothing has to say something, and rates begin with one of nothing.
        while _does_nothing(one.layers[a].op):
            (a,) = one.layers[a].inputs
        if a in pairs:
            if pairs[a] != b:
                return False
            continue
        pairs[a] = b
        mine, yours = one.layers[a], other.layers[b]
        if len(mine.inputs) != len(yours.inputs) or not _same_op(mine.op, yours.op):
            return False
        todo += zip(mine.inputs, yours.inputs, strict=True)
    return len(set(pairs.values())) == len(pairs)


def _does_nothing(op: Op) -> bool:
    """Whether what comes out of an op is what goes in, in training too."""
    return op.name == "identity" or (isinstance(op, StochasticDepth) and op.rate == 0)


def _same_op(one: Op, other: Op) -> bool:
    if type(one) is not type(other):
        return False
    values = ((getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return all(yours is ANY or same_fact(mine, yours) for mine, yours in values)
