"""Where the `weights.py` of a program finds the weights of each kind of layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xgraph.wrapping import INDENT


@dataclass(frozen=True)
class LayerWeights:
    """The weights of one kind of layer, of which there may be none.

    Attributes:
        layer: the class, as weights.py calls it; one of the program's own layers.py has no dot.
        weights: for each weight its canonical word, and what is yielded beside it: expressions of
            `layer`.
        layout: lines on the shapes of its kernels, for the docstring of weights.py.
        helper: a function that the expressions call.
        start: a line that sets what does not start from the number that is usual for its word; it
            may read `seed` and the `path` of the layer.
        ops: those that are said with a layer of the framework's that few programs have, which is
            left out of all others; empty for one that most have.
    """

    layer: str
    weights: tuple[tuple[str, ...], ...] = ()
    layout: tuple[str, ...] = ()
    helper: str = ""
    start: str = ""
    ops: frozenset[str] = frozenset()


def layer_values(
    table: Iterable[LayerWeights],
    own: frozenset[str],
    ops: frozenset[str],
    each: str,
    each_path: str,
) -> dict[str, Any]:
    """Values for weights.py.jinja.

    Args:
        table: every kind of layer with weights, special ones before those that they derive from.
        own: names that the model takes from its layers.py; other layers of that file are left out.
        ops: names of the model's ops.
        each: how a loop over the layers of `model` begins.
        each_path: how a loop over them and their paths does.
    """
    kept = [
        entry
        for entry in table
        if ("." in entry.layer or entry.layer in own) and (not entry.ops or entry.ops & ops)
    ]
    cases: list[str] = []
    for entry in (entry for entry in kept if entry.weights):
        cases.append(f"{'elif' if cases else 'if'} isinstance(layer, {entry.layer}):")
        cases += [f'{INDENT}yield "{word}", {", ".join(rest)}' for word, *rest in entry.weights]
    helpers = dict.fromkeys(entry.helper for entry in kept if entry.helper)
    starts = {entry.layer: entry.start for entry in kept if entry.start}
    layers = sorted(entry.layer for entry in kept if "." not in entry.layer)
    return {
        "layer_imports": ["", f"from layers import {', '.join(layers)}"] if layers else [],
        "layout_doc": list(dict.fromkeys(line for entry in kept for line in entry.layout)),
        "layer_cases": cases,
        "layer_helpers": [line for text in helpers for line in text.splitlines()],
        "layer_starts": layer_starts(starts, each_path if "path" in str(starts) else each),
        "mask_key": mask_key(own),
    }


def layer_starts(starts: Mapping[str, str], each: str) -> list[str]:
    """A loop over layers that sets where the weights of some of them start; none for none."""
    lines = [] if not starts else [each]
    for layer, start in starts.items():
        lines += [f"{INDENT}if isinstance(layer, {layer}):", f"{2 * INDENT}{start}"]
    return lines


def mask_key(own: frozenset[str]) -> list[str]:
    """The function that keys the masks of dropout, for a model that has some; as in `ops.dropout`.

    Args:
        own: names that the model takes from its layers.py.
    """
    return _MASK_KEY.splitlines() if "Dropout" in own else []


_MASK_KEY = '''\
def mask_key(seed: int, *path: str | int) -> int:
    """32 bits by which the masks of a layer of dropout, in a run with this seed, are its own."""
    name = ".".join(str(part).rstrip("_") for part in path)
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


'''
