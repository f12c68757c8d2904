"""One network: read, recovered and measured, in a process of its own.

python -m benchmarks.zoo.one timm:resnet50d specs.json result.json
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.zoo import hand, programs, texts
from benchmarks.zoo.networks import make_importable, onnx_file
from xgraph.importing import sources
from xgraph.importing.network import Network, Refused
from xgraph.importing.recover import NotTheSame, recover, spec_name
from xgraph.importing.sources.base import Source

#: Lines of a refusal that are kept.
_LINES = 6
#: Of networks that say of no size that they are for it, as keras.applications' MobileNetV3.
IMAGE = (224, 224, 3)


def measured(name: str, known: Mapping[str, list[str]]) -> dict[str, Any]:
    """What comes of a network that is named as for `xgraph import`; `known` is `hand.index()`."""
    begun = time.perf_counter()
    try:
        with _unfilled(name):
            source = source_of(name)
            shape = source.image_shape() or IMAGE
            made = time.perf_counter()
            network = source.network(shape)
    except Refused as refused:
        return _failed("reading", refused)
    read = time.perf_counter()
    found: dict[str, Any] = {
        "image": list(shape),
        "layers": len(network.layers) - 1,
        "weights": _weights(network),
        "seconds": {"made": round(made - begun, 2), "read": round(read - made, 2)},
    }
    try:
        recovered = recover(network, spec_name(name.partition(":")[2]))
    except Refused as refused:
        return found | _failed("recovering", refused)
    except NotTheSame as error:
        return found | {"failed": "not the same", "why": str(error).splitlines()[:_LINES]}
    found["seconds"]["recovered"] = round(time.perf_counter() - read, 2)
    program = recovered.analysis.elaborated.program
    lines = len(recovered.text.splitlines())
    size = texts.size(lines, yaml.safe_load(recovered.text), program)
    return found | vars(size) | _by_hand(network, known) | _programs(name, recovered.text)


def _weights(network: Network) -> int:
    """How many numbers the weights of a network are, shared ones once."""
    held = {one.name: one.shape for layer in network.layers for one in layer.weights.values()}
    return sum(map(math.prod, held.values()))


def _failed(kind: str, refused: Refused) -> dict[str, Any]:
    return {"failed": kind, "why": list(refused.lines[:_LINES])}


def source_of(name: str) -> Source:
    """The model of a zoo, with weights as they are at first, or the package's file."""
    if name.startswith("onnx:"):
        return sources.find(str(onnx_file(name)))
    return sources.find_model(name)


def _by_hand(network: Network, known: Mapping[str, list[str]]) -> dict[str, Any]:
    found = hand.spec_of(network, known)
    return {} if found is None else {"hand": {"spec": found[0], **vars(found[1])}}


def _programs(name: str, text: str) -> dict[str, Any]:
    """The program in the source's framework, beside the library's file."""
    published = programs.published(name)
    backend = "keras" if name.startswith("keras:") else "torch"
    made = {"model": programs.generated(text, backend)}
    return made if published is None else made | {"published": published}


@contextlib.contextmanager
def _unfilled(name: str) -> Iterator[None]:
    """Weights of PyTorch's models are not drawn, for no number of theirs is looked at."""
    if not name.startswith(("timm:", "torchvision:")):
        yield
        return
    make_importable(name)
    import torch

    names = ("normal_", "uniform_", "erfinv_", "kaiming_uniform_")
    with contextlib.ExitStack() as stack:
        for word in names:
            if hasattr(torch.Tensor, word):
                setattr(torch.Tensor, word, lambda tensor, *_, **__: tensor)
                stack.callback(delattr, torch.Tensor, word)
        yield


if __name__ == "__main__":
    network, specs, result = sys.argv[1:]
    index = json.loads(Path(specs).read_text(encoding="utf-8"))
    Path(result).write_text(json.dumps(measured(network, index)), encoding="utf-8")
