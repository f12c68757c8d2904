"""Specs that were written by hand, and which of them a network is."""

from __future__ import annotations

import math
from collections.abc import Mapping

from benchmarks.zoo.texts import Size, size
from xgraph.compile import analyse
from xgraph.diagnostics import SpecError
from xgraph.importing.equal import match
from xgraph.importing.network import Network, of_spec
from xgraph.spec.library import all_specs, find_spec
from xgraph.spec.overlay import load_layers

#: Differences that may be: Keras' networks bring by what images are rescaled with their weights.
_OF_IMAGES = ("scale (", "offset (")


def index() -> dict[str, list[str]]:
    """Bundled specs and sizes of them by how many weights they have, which are many different."""
    found: dict[str, list[str]] = {}
    for path in all_specs():
        found.setdefault(_weights(of_spec(analyse(path.stem))), []).append(path.stem)
    return found


def spec_of(network: Network, known: Mapping[str, list[str]]) -> tuple[str, Size] | None:
    """The bundled spec that is this network, and its size.

    Lines are those of all files that it extends, with what they say of other sizes.
    """
    for name in known.get(_weights(network), ()):
        try:
            analysis = analyse(name, [f"input.shape={list(network.types[0].shape)}"])
        except SpecError:  # not every spec takes images of any size
            continue
        found = match(of_spec(analysis), network).differences
        if all(one.what.startswith(_OF_IMAGES) for one in found):
            document, files = load_layers(*find_spec(name))
            lines = sum(len(file.text.splitlines()) for file in files)
            return name, size(lines, document.plain(), analysis.elaborated.program)
    return None


def _weights(network: Network) -> str:
    """How many numbers the weights of a network are; those that layers share count once."""
    held = {one.name: one.shape for layer in network.layers for one in layer.weights.values()}
    return str(sum(math.prod(shape) for shape in held.values()))
