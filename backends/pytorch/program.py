"""A generated PyTorch program brought to life in this process, to be measured.

This imports PyTorch; the compiler never imports it.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from xgraph.ops.base import Array


class Program:
    """The model of a generated program. Images and weights are NumPy arrays, channels last."""

    def __init__(self, files: Mapping[str, str], dtype: str = "float64") -> None:
        self.modules = import_files(files)
        self.dtype = getattr(torch, dtype)
        self.model = self.modules["model"].create_model().to(self.dtype).eval()

    def weights(self) -> dict[str, Array]:
        """A copy of every weight, by canonical name."""
        return {
            weight.name: weight.view.numpy().copy()
            for weight in self.modules["weights"].canonical_weights(self.model)
        }

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Copy weights into the model, by canonical name."""
        own = self.modules["weights"].canonical_weights(self.model)
        assert {weight.name for weight in own} == weights.keys()
        for weight in own:
            weight.view.copy_(torch.from_numpy(np.ascontiguousarray(weights[weight.name])))

    def run(self, images: Array, training: bool = False) -> list[Array]:
        """The model's outputs in the order of the spec, channels last.

        Moving statistics change when training; dropout is always off.
        """
        self.model.train(training)
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.eval()
        batch = torch.from_numpy(np.ascontiguousarray(images)).to(self.dtype)
        if batch.ndim == 4:
            batch = batch.permute(0, 3, 1, 2)
        with torch.no_grad():
            given = self.model(batch)
        outputs = list(given.values()) if isinstance(given, dict) else [given]
        return [(y.permute(0, 2, 3, 1) if y.ndim == 4 else y).numpy().copy() for y in outputs]


def import_files(files: Mapping[str, str]) -> dict[str, Any]:
    """The modules `layers` (if there is one), `weights` and `model` of a program, by name."""
    names = [name for name in ("layers", "weights", "model") if f"{name}.py" in files]
    before = {name: sys.modules.get(name) for name in names}
    made: dict[str, Any] = {}
    try:
        for name in names:
            module = types.ModuleType(name)
            sys.modules[name] = made[name] = module
            # Our own output, as text: it lies in no folder that could be imported.
            exec(compile(files[f"{name}.py"], f"<generated {name}.py>", "exec"), vars(module))
    finally:  # programs import each other by these names; the next one brings its own
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
    return made
