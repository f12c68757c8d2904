"""Run an update of a generated PyTorch program on a GPU that is not there, and say what it did.

    python update.py FOLDER_OF_GUARD PROGRAM BATCH HEIGHT WIDTH

Tensors have shapes, types and places, and no values. The output is a line of JSON: for each
operation of the second update its name and, of each tensor that comes out, type, device, whether it
is an image, and whether its channels come last in memory.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

sys.path[:0] = sys.argv[1:3]
importlib.import_module("guard")  # as it is loaded, it gives PyTorch the guard of a device

# ruff: noqa: E402  # where imports come from is said first, and the guard is there before PyTorch
import model as program
import torch
import train
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = torch.device("cuda:0")


class Watch(TorchDispatchMode):
    """Writes down what is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str, bool, bool]]]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = function(*args, **(kwargs or {}))
        tensors = [one for one in tree_leaves(made) if isinstance(one, torch.Tensor)]
        told = [
            (str(t.dtype).removeprefix("torch."), str(t.device), t.ndim == 4, last(t))
            for t in tensors
        ]
        self.found.append((str(function), told))
        return made


def last(tensor: torch.Tensor) -> bool:
    """Whether channels come last in memory; also where it does not matter."""
    return tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)


def placed(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor like this one, without values, on the device; kernels and images channels last."""
    made = torch.empty(tensor.shape, dtype=tensor.dtype, device=DEVICE)
    return made.to(memory_format=torch.channels_last) if tensor.ndim == 4 else made


def place(model: nn.Module) -> None:
    """What `model.to(device)` does, which cannot be asked of such tensors."""
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                module._parameters[name] = nn.Parameter(placed(weight), weight.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = placed(buffer)


def main() -> None:
    batch, height, width = map(int, sys.argv[3:6])
    model = program.create_model()
    FakeTensorMode.__deepcopy__ = lambda self, memo: self  # the average is a copy of the model
    with FakeTensorMode():
        place(model)
        torch.cuda.is_available = lambda: True  # what autocast asks
        torch.cuda.is_bf16_supported = lambda including_emulation=True: True
        training = train.Training(model)
        images = placed(torch.empty(batch, 3, height, width, device="meta"))
        labels = torch.zeros(batch, dtype=torch.int64, device=DEVICE)
        training.update(0, images, labels, 0.1)
        with Watch() as watch:
            training.update(1, images, labels, 0.1)
    print(json.dumps(watch.found), flush=True)
    os._exit(0)  # CUDA's own end is not there


if __name__ == "__main__":
    main()
