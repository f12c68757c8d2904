"""Models of generated PyTorch programs, with inputs of several sizes and batches.

This needs PyTorch and xgraph alone, not pytest, so that it also runs in an environment that has
torchvision and the ONNX packages.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.emit.structures import SPECS
from xgraph import backend, conformance
from xgraph.compile import Compilation, analyse
from xgraph.recipe import load_recipe
from xgraph.spec import library

#: Bundled specs are written for hundreds of pixels; a few dozen exercise the same code.
SMALL = 96


@dataclass(frozen=True)
class Traced:
    """A model, the images that it is traced with, and others that the trace must serve as well."""

    name: str
    model: torch.nn.Module
    example: torch.Tensor
    others: list[torch.Tensor]
    any_size: bool

    def shapes(self) -> tuple[dict[int, object]]:
        """What `torch.export` is told of the axes: any batch, and any size where that is so."""
        sides = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO} if self.any_size else {}
        return ({0: torch.export.Dim("batch", min=2, max=64), **sides},)


def values(result: torch.Tensor | dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """All outputs of a model."""
    return list(result.values()) if isinstance(result, dict) else [result]


def texts() -> dict[str, str]:
    """Every test spec and a spec around every case of every op, by name."""
    cases = enumerate(conformance.cases())
    return SPECS | {f"{op}_{n}": conformance.spec_of(op, case) for n, (op, case) in cases}


def bundled() -> dict[str, Path]:
    """Every bundled spec, by name."""
    return {path.stem: path for path in library.all_specs()}


def traced(name: str, spec: str | Path, size: int | None = None) -> Traced:
    """The model of a spec in evaluation mode, with random weights, in float64.

    Args:
        name: what to call it.
        spec: its text or its file.
        size: height and width of the images instead of the spec's, if any size will do.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = spec
        if isinstance(spec, str):
            path = Path(folder) / "spec.yaml"
            path.write_text(spec)
        analysis = analyse(str(path))
    files = backend.get("torch").emit(Compilation(analysis, load_recipe("imagenet")))
    model = backend.get("torch").load(files).model
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.3 if weight.ndim == 1 else weight[0].numel() ** -0.5)
    *sides, channels = (int(n) for n in analysis.types[0].shape)
    height, width = (size, size) if size else sides or (1, 1)

    def images(batch: int, tall: int, wide: int) -> torch.Tensor:
        return torch.randn(batch, channels, tall, wide, dtype=torch.float64)

    others = [images(3, 2 * height + 3, 2 * width + 1), images(5, 2 * height + 8, 2 * width + 6)]
    try:
        for other in others:
            model(other)
    except RuntimeError:  # flattened images fix the size
        height, width = sides
        return Traced(name, model, images(2, *sides), [images(3, *sides), images(5, *sides)], False)
    return Traced(name, model, images(2, 2 * height, 2 * width), others, True)
