"""Which networks are imported."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Final

LISTED: Final = Path(__file__).with_name("networks.txt")
ZOOS: Final = ("keras", "torchvision", "timm", "onnx")

#: timm's files of networks without attention among positions.
_FILES = (
    "byobnet", "convmixer", "convnext", "cspnet", "cspnext", "densenet", "dla", "dpn",
    "efficientnet", "fasternet", "fastvit", "focalnet", "ghostnet", "hardcorenas", "hgnet",
    "hrnet", "inception_next", "inception_resnet_v2", "inception_v3", "inception_v4", "lcnetv2",
    "mambaout", "metaformer", "mobilenetv3", "nasnet", "nfnet", "pnasnet", "rdnet", "regnet",
    "repghost", "repvit", "res2net", "resnest", "resnet", "resnetv2", "rexnet", "selecsls",
    "senet", "sknet", "starnet", "tresnet", "vgg", "vovnet", "xception", "xception_aligned",
)  # fmt: skip
#: Models of these that have attention all the same, or are there for tests alone.
_OTHERS = re.compile(r"test_|.*hybrid|fastvit_(sa|ma|mci)|caformer|resnet\d+(x\d+)?_clip$|bat_")
#: Networks with more weights are left out.
_MOST = 150_000_000
_EACH = 14
_UNSEEN = 10


def names(zoo: str | None = None) -> list[str]:
    """The networks of a zoo, or of all."""
    lines = LISTED.read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    return [name for name in listed if zoo in (None, name.partition(":")[0])]


def make_importable(network: str) -> None:
    """Have the library of a network be importable: torchvision beside whatever PyTorch there is."""
    if network.startswith(("timm:", "torchvision:")):
        from benchmarks.torch_peers import stand_in

        stand_in()


def onnx_file(name: str) -> Path:
    """Where the package onnx keeps a graph."""
    import onnx

    light = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return light / f"light_{name.partition(':')[2]}.onnx"


def convolutional() -> dict[str, list[str]]:
    """All models of timm's files of convolutional networks, the smallest first."""
    make_importable("timm:")
    import timm
    import torch

    found = {}
    for file in _FILES:
        sized = []
        for name in timm.list_models(module=file):
            if not _OTHERS.match(name):
                with torch.device("meta"):
                    model = timm.create_model(name)
                sized.append((sum(map(torch.Tensor.numel, model.parameters())), name))
        small = [name for count, name in sorted(sized) if count < _MOST]
        found[file] = small
    return found


def chosen(models: list[str]) -> list[str]:
    """Some of the models of a file, by the rule above."""
    count = min(len(models), 2 + len(models) // _EACH)
    step = (len(models) - 1) / max(count - 1, 1)
    return [models[round(k * step)] for k in range(count)]


def unseen(seed: int) -> list[str]:
    """Ten of timm's convolutional networks that are not listed, drawn by chance."""
    every = [f"timm:{name}" for listed in convolutional().values() for name in listed]
    left = sorted({*every} - {*names("timm")})
    return sorted(random.Random(seed).sample(left, _UNSEEN))
