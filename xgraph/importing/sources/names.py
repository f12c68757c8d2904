"""Weights of PyTorch by their names alone, where those of a spec's published form are known.

`specs/public_names.json` has them for each such spec, in the order of its own weights, as a shell
expands braces; `python -m tests.importing.public_names` writes it by walking the libraries' models.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xgraph.compile import analyse
from xgraph.diagnostics import printable
from xgraph.importing.network import Array, Held, Network, Refused, Shape, of_spec
from xgraph.importing.sources.base import Source
from xgraph.importing.sources.torch import read_file, unwrapped
from xgraph.ops import Op
from xgraph.spec import library

#: What `.*` stands for: a batch norm's.
_NORM = ".{weight,bias,running_mean,running_var}"
#: `NAME/k` is the k-th of so many parts, as queries, keys and values lie in one weight.
_PARTS = 3
_SHOWN = 5


@dataclass(frozen=True)
class Published:
    """What the published form of a bundled spec calls its weights.

    Attributes:
        model: whose it is, "torchvision:resnet18".
        names: in the order of the spec's weights.
        settings: with which the spec is that form.
        beside: what names begin with that are for training alone.
    """

    model: str
    names: tuple[str, ...]
    settings: tuple[str, ...]
    beside: tuple[str, ...]


def published(spec: str) -> Published | None:
    """The published form of a spec, if it is a bundled one whose names are known."""
    path, _ = library.find_spec(spec)
    known, evidence = _known().get(path.stem), library.evidence(path)
    if known is None or evidence is None:
        return None
    whose, _, name = evidence["reference"].partition("'s ")
    names = tuple(expanded(known["names"].replace(".*", _NORM)))
    told = (tuple(known.get(word, ())) for word in ("settings", "beside"))
    return Published(f"{whose}:{name}", names, *told)


@functools.cache
def _known() -> dict[str, Any]:
    path = library.specs_directory() / "public_names.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def expanded(pattern: str) -> list[str]:
    """The names of a pattern: of `a.{b,c}.d` they are `a.b.d` and `a.c.d`."""
    start = pattern.find("{")
    if start < 0:
        return [pattern]
    depth, begin, choices = 0, start + 1, []
    for place in range(start, len(pattern)):
        depth += {"{": 1, "}": -1}.get(pattern[place], 0)
        if depth == 0 or (depth == 1 and pattern[place] == ","):
            choices.append(pattern[begin:place])
            begin = place + 1
        if depth == 0:
            break
    ends = expanded(pattern[begin:])
    return [
        f"{pattern[:start]}{middle}{end}"
        for choice in choices
        for middle in expanded(choice)
        for end in ends
    ]


class NamedWeights(Source):
    """A file of names and numbers, which are those of a published form or are refused.

    The network is the spec's in that form, so that settings which change it are seen.
    """

    def __init__(self, spec: str, known: Published, path: Path) -> None:
        self.title = f"{path.name}, by its names,"
        self.spec, self.known, self.path = spec, known, path
        self.notes = [
            f"names and shapes are those of {known.model}, which says nothing of what they are "
            f"used for; --model {known.model} walks that network itself"
        ]
        self.read: Mapping[str, Array] | None = None

    def arrays(self) -> Mapping[str, Array]:
        if self.read is None:
            wanted = {name.partition("/")[0] for name in self.known.names}
            arrays, notes = read_file(self.path)
            found = unwrapped(wanted, arrays)
            more = {
                name
                for name in found.keys() - wanted
                if not name.endswith("num_batches_tracked")
                and not name.startswith(self.known.beside)
            }
            missing = wanted - found.keys()
            lines = [
                self.wrong(f"{len(names)} {what}: {_listed(names)}")
                for what, names in (("are not in it", missing), ("are not of it", more))
                if names
            ]
            if lines:
                raise Refused(*lines, *notes, self.hint)
            self.read = {name: found[name] for name in wanted}
            self.notes = [*self.notes, *notes]
        return self.read

    def wrong(self, said: str) -> str:
        return f"{self.path.name} has not the weights of {self.known.model}: {said}"

    @property
    def hint(self) -> str:
        return (
            "weights with other names need --model, which says what network they are of, for "
            f"example --model {self.known.model}"
        )

    def network(self, input_shape: Shape) -> Network:
        arrays, size = self.arrays(), "input.shape=[{}, {}, {}]".format(*input_shape)
        network = of_spec(analyse(self.spec, [*self.known.settings, size]))
        own = dict.fromkeys(held.name for one in network.layers for held in one.weights.values())
        named = dict(zip(own, self.known.names, strict=True))  # a shared weight stands once
        layers = []
        for layer in network.layers:
            held = {
                word: self.held(named[ours.name], arrays, layer.op, ours.shape)
                for word, ours in layer.weights.items()
            }
            layers.append(replace(layer, weights=held))
        return Network(network.name, layers, network.types, network.outputs)

    def held(self, named: str, arrays: Mapping[str, Array], op: Op, ours: Shape) -> Held:
        """A weight of the file as an op of ours has it."""
        name, _, part = named.partition("/")
        found = tuple(arrays[name].shape)
        expected = _theirs(op, ours, _PARTS if part else 1)
        if found not in expected:
            said = f"expected shape {expected[0]}, received {found}"
            raise Refused(self.wrong(f"{printable(name, 200)}: {said}"), self.hint)
        held = Held(name, found)
        if len(found) in (2, 4):
            held = held.transposed(*((1, 0) if len(found) == 2 else (2, 3, 1, 0)))
        if part:
            held = held.segment(int(part) * ours[-1], ours[-1])
        return held.reshaped(*ours)


def _theirs(op: Op, ours: Shape, parts: int) -> list[Shape]:
    """Shapes that PyTorch may have for a weight of ours: filters first, or units, then channels."""
    *window, filters = ours
    if op.name == "position_embedding":
        return [(1, math.prod(window[:2]), filters)]
    if op.name == "depthwise_conv":
        return [(math.prod(ours[2:]), 1, *ours[:2])] if len(ours) == 4 else [ours]
    filters *= parts
    if len(ours) == 4:
        full = (filters, window[2], *window[:2])
        return [full, full[:2]] if full[2:] == (1, 1) else [full]
    if len(ours) == 2:
        return [(filters, *window), (filters, *window, 1, 1)]
    return [(filters,)]


def _listed(names: Any) -> str:
    first = [printable(name, 80) for name in sorted(names)[:_SHOWN]]
    return ", ".join(first) + (" …" if len(names) > _SHOWN else "")
