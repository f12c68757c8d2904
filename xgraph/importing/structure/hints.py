"""What a source calls its layers: words from which blocks get names, and nothing else.

A name is taken apart into words of plain letters. Whatever it holds, what is left of it is a name
that a spec may have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

Words = tuple[str, ...]

_LONGEST = 24
_SHORTEST = 3
#: Words that say where a layer is, or what it is, but not what it is a part of.
_PLAIN = frozenset({
    "act", "activation", "add", "attn", "avgpool", "backbone", "base", "batch", "batchnorm", "bias",
    "block", "blocks", "body", "bottom", "branch", "branches", "branchpool", "cat", "cell", "cells",
    "classifier", "concat", "conv", "convolution", "convs", "dense", "depthwise", "down",
    "downsample", "dwconv", "expand", "fc", "features", "flatten", "graph", "group", "head",
    "heads", "inner", "input", "kernel", "layer", "layers", "left", "linear", "main", "maxpool",
    "merge", "mid", "model", "models", "module", "modules", "mul", "multiply", "net", "network",
    "node", "nodes", "norm", "op", "ops", "out", "output", "pad", "path", "point", "pointwise",
    "pool", "pooling", "proj", "project", "relu", "residual", "right", "root", "sections", "sep",
    "separable", "seq", "sequential", "shortcut", "skip", "stage", "stages", "stem", "tail", "top",
    "unit", "units", "weight",
})  # fmt: skip


def words_of(name: str) -> Words:
    """The words of a layer's name that may name a block, from the outermost in."""
    found = re.findall(r"[a-z]+", name.lower())
    fits = [word for word in found if _SHORTEST <= len(word) <= _LONGEST and word not in _PLAIN]
    return tuple(dict.fromkeys(fits))


def common(several: Iterable[Words | None]) -> Words | None:
    """Words that are in all, None where nothing is known."""
    made: Words | None = None
    for words in several:
        if words is None:
            return None
        made = words if made is None else tuple(word for word in made if word in words)
    return made


def telling(words: Words | None, everywhere: Sequence[str], taken: Iterable[str]) -> str | None:
    """The innermost word that is not in the names of all layers, nor another thing's name."""
    others = {*everywhere, *taken}
    return next((word for word in reversed(words or ()) if word not in others), None)
