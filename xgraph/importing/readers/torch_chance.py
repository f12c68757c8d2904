"""Stochastic depth, which no framework module of PyTorch's own is, and which leaves no trace in
a program of evaluation: modules that are known for it are marked while they are exported.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from xgraph.importing.network import Refused

#: What a marked module's output goes through, as an exported program calls it.
MARK = "xgraph.stochastic_depth.default"

_LIBRARY: Any = torch.library.Library("xgraph", "DEF")  # type: ignore[no-untyped-call]  # nor has PyTorch types
_LIBRARY.define("stochastic_depth(Tensor input, float rate) -> Tensor")


def _evaluated(input: torch.Tensor, rate: float) -> torch.Tensor:
    return input.clone()


_LIBRARY.impl("stochastic_depth", _evaluated, "CompositeExplicitAutograd")


@contextlib.contextmanager
def marked(module: nn.Module) -> Iterator[None]:
    """Meanwhile, what comes out of modules of stochastic depth is marked with their rate.

    Raises:
        Refused: one drops in a way that no op of ours does.
    """
    hooks = [
        part.register_forward_hook(_hook(rate))
        for path, part in module.named_modules()
        if (rate := rate_of(path, part))
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _hook(rate: float) -> Any:
    def hook(part: nn.Module, given: Any, made: torch.Tensor) -> torch.Tensor:
        marked: torch.Tensor = torch.ops.xgraph.stochastic_depth(made, rate)
        return marked

    return hook


def rate_of(path: str, part: nn.Module) -> float:
    """How often a module drops an example, if that is what it does."""
    name = type(part).__name__
    if name == "StochasticDepth":  # torchvision's
        rate, whole = getattr(part, "p", None), getattr(part, "mode", "row") != "row"
        strange = "drops whole batches" if whole else ""
    elif name.endswith("DropPath"):  # timm's, and many authors'
        rate = getattr(part, "drop_prob", None)
        strange = "" if getattr(part, "scale_by_keep", True) else "does not scale what it keeps"
    else:
        return 0.0
    if not isinstance(rate, float | int) or not rate:
        return 0.0
    if strange:
        raise Refused(f"{path}: {name} {strange}, which no op of ours does")
    return float(rate)
