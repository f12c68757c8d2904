"""Which nodes of two graphs are the same, and which only one of them has.

Names come first: a variant keeps those of what it leaves alone. What has no namesake is matched by
its op, in the order of the graph, between neighbors that are matched.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from xgraph.ir.graph import Graph, Node
from xgraph.ir.types import TensorType

Types = Sequence[TensorType]
#: Gaps of more nodes than this are compared by name alone: matching them takes quadratic time.
_LONGEST_GAP = 2_000


@dataclass(frozen=True)
class Alignment:
    """Node indexes of two graphs.

    Attributes:
        pairs: nodes of one op that stand for each other, by that of the first graph.
        replaced: nodes of different ops in the same place, whose outputs have the same shape.
        removed: nodes that the first graph alone has.
        added: nodes that the second alone has.
    """

    pairs: dict[int, int]
    replaced: dict[int, int]
    removed: list[int]
    added: list[int]


def align(one: Graph, one_types: Types, other: Graph, other_types: Types) -> Alignment:
    """How two graphs go together; the inputs always do. Linear but for long gaps without names."""
    named = {node.name: index for index, node in enumerate(other.nodes)}
    pairs = {0: 0}
    for index, node in enumerate(one.nodes):
        found = named.get(node.name)
        if index and found and other.nodes[found].op.name == node.op.name:
            pairs[index] = found
    if 2 * len(pairs) < min(len(one.nodes), len(other.nodes)):
        pairs = {0: 0}  # a few names that are alike by chance
    replaced: dict[int, int] = {}
    for mine, theirs in _gaps(pairs, one, other):
        matched, instead = _matched([one.nodes[k] for k in mine], [other.nodes[k] for k in theirs])
        pairs.update((mine[a], theirs[b]) for a, b in matched)
        for a, b in instead:
            if one_types[mine[a]] == other_types[theirs[b]]:
                replaced[mine[a]] = theirs[b]
    taken = {*pairs.values(), *replaced.values()}
    return Alignment(
        pairs,
        replaced,
        [k for k in range(len(one.nodes)) if k not in pairs and k not in replaced],
        [k for k in range(len(other.nodes)) if k not in taken],
    )


def _gaps(pairs: dict[int, int], one: Graph, other: Graph) -> Iterator[tuple[list[int], list[int]]]:
    """Unmatched nodes of both between neighbors that are matched in the same order."""
    anchors = [*_increasing(sorted(pairs.items())), (len(one.nodes), len(other.nodes))]
    taken = set(pairs.values())
    for (a, b), (next_a, next_b) in itertools.pairwise(anchors):
        mine = [k for k in range(a + 1, next_a) if k not in pairs]
        theirs = [k for k in range(b + 1, next_b) if k not in taken]
        if mine and theirs and max(len(mine), len(theirs)) <= _LONGEST_GAP:
            yield mine, theirs


def _increasing(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest run of pairs whose second numbers grow as the first do."""
    ends: list[int] = []  # of the best run of each length, the second number of its last pair
    last: list[int] = []  # and which pair that is
    before: list[int] = []
    for index, (_, second) in enumerate(pairs):
        length = bisect.bisect_left(ends, second)
        before.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [second]
        last[length : length + 1] = [index]
    run: list[tuple[int, int]] = []
    index = last[-1] if last else -1
    while index >= 0:
        run.append(pairs[index])
        index = before[index]
    return run[::-1]


def _matched(
    one: list[Node], other: list[Node]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(places with the same op, places with another op instead) of two rows of nodes."""
    mine, theirs = ([node.op.name for node in row] for row in (one, other))
    same: list[tuple[int, int]] = []
    instead: list[tuple[int, int]] = []
    for what, a, a_end, b, b_end in SequenceMatcher(None, mine, theirs, False).get_opcodes():
        places = zip(range(a, a_end), range(b, b_end), strict=False)
        if what == "equal":
            same += places
        elif what == "replace" and a_end - a == b_end - b:
            instead += places
    return same, instead
