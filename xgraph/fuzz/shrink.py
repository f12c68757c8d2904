"""Cutting a failing spec down to a small one that fails alike: greedy delta debugging on the tree.

Asking whether a spec fails means compiling and running it in every framework, so a cut is made
only if the result is legal and smaller, large cuts come first, and no text is asked about twice.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from xgraph.diagnostics import SpecError
from xgraph.fuzz import cuts
from xgraph.fuzz.trees import Tree, analyse_tree, structure_of, trainable

#: Legal candidates are rare among the conceivable ones; most are refused by the analysis.
_ANALYSES_PER_QUESTION = 40

Size = tuple[int, int, int, float]


def shrink(spec: Tree, fails: Callable[[Tree], bool], budget: int = 200) -> Tree:
    """The smallest spec found that still fails; `spec` itself if none is.

    Args:
        spec: a legal spec that fails.
        fails: whether a spec fails as this one does. It is asked about legal specs only.
        budget: how often it may be asked.
    """
    return _Search(spec, fails, budget).run()


def size(spec: Tree) -> Size | None:
    """How large a spec is: nodes first, then structures and blocks, text, numbers; None: illegal.

    A spec whose outputs cannot be trained counts as illegal, for it fails in a way of its own.
    """
    try:
        graph, types = analyse_tree(spec)
    except SpecError:
        return None
    if not trainable(graph, types):
        return None
    found = [graph.nodes[i].op for i in range(1, len(graph.nodes))]
    return len(found), _structures(spec), len(json.dumps(spec)), _numbers(spec)


def _structures(value: Any) -> int:
    if isinstance(value, list):
        return sum(_structures(part) for part in value)
    if isinstance(value, dict):
        own = 1 if structure_of(value) is not None or "body" in value else 0
        return own + sum(_structures(part) for part in value.values())
    return 0


def _numbers(value: Any) -> float:
    if isinstance(value, list):
        return sum(_numbers(part) for part in value)
    if isinstance(value, dict):
        return sum(_numbers(part) for part in value.values())
    return abs(value) if isinstance(value, int | float) else 0


class _Search:
    def __init__(self, spec: Tree, fails: Callable[[Tree], bool], budget: int) -> None:
        self.best = copy.deepcopy(spec)
        self.measure = size(spec)
        self.fails = fails
        self.budget = budget
        self.analyses = budget * _ANALYSES_PER_QUESTION
        self.seen = {json.dumps(spec)}

    def run(self) -> Tree:
        """Every kind of cut in turn, from the coarsest on, until none helps."""
        before = None
        while before != self.measure and not self.spent:
            before = self.measure
            for kind in cuts.KINDS:
                self.exhaust(kind)
        return self.best

    @property
    def spent(self) -> bool:
        return self.budget <= 0 or self.analyses <= 0

    def exhaust(self, kind: Callable[[Tree], Iterator[Tree]]) -> None:
        """Cuts of one kind; after one is made, the next is looked for from the same place on."""
        start, progress = 0, True
        while progress and not self.spent:
            progress = False
            for position, candidate in enumerate(kind(self.best)):
                if position >= start and self.accepts(candidate):
                    start, progress = position, True
                    break
                if self.spent:
                    return
            if not progress and start:  # what was skipped may be possible now
                start, progress = 0, True

    def accepts(self, candidate: Tree) -> bool:
        """Whether a candidate is legal, smaller and fails; it is the best then."""
        candidate = cuts.tidied(candidate)
        text = json.dumps(candidate)
        if text in self.seen:
            return False
        self.seen.add(text)
        self.analyses -= 1
        measure = size(candidate)
        if measure is None or (self.measure is not None and measure >= self.measure):
            return False
        if self.budget <= 0:
            return False
        self.budget -= 1
        if not self.fails(copy.deepcopy(candidate)):
            return False
        self.best, self.measure = candidate, measure
        return True
