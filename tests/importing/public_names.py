"""What published forms call their weights: `python -m tests.importing.public_names` writes it.

torchvision and timm are needed, whose models are walked.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xgraph.compile import analyse
from xgraph.importing.equal import match
from xgraph.importing.network import Segment, of_spec
from xgraph.importing.sources.torch import TorchModule
from xgraph.interpreter import weight_shapes

from ..parity.test_keras_applications import TORCH_FAMILIES, torch_model

PATH = Path(__file__).parents[2] / "specs" / "public_names.json"
#: Of families that a comparison has one of.
ALIKE = {
    "resnext101_32x8d": ("torchvision", "resnext101_32x8d", 97),
    **{
        f"regnet_{k}gf": ("torchvision", f"regnet_{k}gf", 97)
        for k in ("x_16", "x_32", "y_16", "y_32", "y_128")
    },
    **{f"hrnet_w{k}": ("timm", f"hrnet_w{k}", 96) for k in (30, 32, 40, 44, 48, 64)},
    **{f"efficientnet_lite{k}": ("timm", f"tf_efficientnet_lite{k}", 97) for k in range(1, 5)},
}
#: Specs whose published form is known by its names: those that are in this form without settings
#: of their structure.
SPECS = {
    spec: found
    for spec, found in {**TORCH_FAMILIES, **ALIKE}.items()
    if not any(setting.startswith("depths") for setting in found[3:])
}
#: Towers for training, which checkpoints have too.
BESIDE = {"googlenet": ["aux1.", "aux2."]}


def pattern(names: Sequence[str]) -> str:
    """Names in one text, which a shell would expand to them."""
    made = _pattern([tuple(name.split(".")) for name in names])
    return made.replace(".{weight,bias,running_mean,running_var}", ".*")


def _pattern(rows: Sequence[tuple[str, ...]]) -> str:
    heads = []
    for head, alike in itertools.groupby(rows, key=lambda row: row[0]):
        rests = [row[1:] for row in alike]
        heads.append((head, "" if rests == [()] else f".{_pattern(rests)}"))
    groups = itertools.groupby(heads, key=lambda pair: pair[1])
    return _one_of([_one_of([head for head, _ in alike]) + rest for rest, alike in groups])


def _one_of(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{{{','.join(parts)}}}"


def entry(spec: str) -> Mapping[str, Any]:
    """What is known of a spec, by a walk of its published form."""
    library, name, size, *settings = SPECS[spec]
    analysis = analyse(spec, [*settings, f"input.shape=[{size}, {size}, 3]"])
    theirs = TorchModule(torch_model(library, name).eval()).network((size, size, 3))
    found = match(of_spec(analysis), theirs)
    assert found.differences == []
    called = {}
    for ours, held in found.weights:
        parts = [move for move in held.moves if isinstance(move, Segment)]
        called[ours.name] = held.name + "".join(f"/{one.start // one.count}" for one in parts)
    names = [called[name] for name in weight_shapes(analysis.graph, analysis.types)]
    told = {"settings": settings, "beside": BESIDE.get(spec)}
    return {"names": pattern(names), **{word: given for word, given in told.items() if given}}


if __name__ == "__main__":
    PATH.write_text(f"{json.dumps({spec: entry(spec) for spec in sorted(SPECS)}, indent=1)}\n")
