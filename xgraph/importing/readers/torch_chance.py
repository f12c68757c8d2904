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
from xgraph.importing.readers.torch_copy import copied, undisturbed

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
    found = [(path, part, rate_of(path, part)) for path, part in module.named_modules()]
    for path, part, rate in found:
        if rate and not _drops_examples(part):
            raise Refused(
                f"{path}: {type(part).__name__} is called as stochastic depth is, but in training "
                "it does something else than to drop examples and to scale what it keeps"
            )
    hooks = [part.register_forward_hook(_hook(rate)) for _, part, rate in found if rate]
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
    rate: Any = None
    if name == "StochasticDepth":  # torchvision's
        rate, whole = getattr(part, "p", None), getattr(part, "mode", "row") != "row"
        strange = "drops whole batches" if whole else ""
    elif name.endswith("DropPath"):  # timm's, and many authors'
        rate = getattr(part, "drop_prob", None)
        strange = "" if getattr(part, "scale_by_keep", True) else "does not scale what it keeps"
    else:
        return 0.0
    try:
        rate = float(rate)  # of a tensor, as linspace makes them, or NumPy's
    except (TypeError, ValueError, RuntimeError):
        return 0.0
    if rate and strange:
        raise Refused(f"{path}: {name} {strange}, which no op of ours does")
    return float(rate)


#: How often a module is asked to drop where it is tried, and of how many examples.
_TRIED, _EXAMPLES = 0.25, 64


def set_rate(part: nn.Module, rate: float) -> None:
    """Have a module of stochastic depth drop as often."""
    setattr(part, "p" if type(part).__name__ == "StochasticDepth" else "drop_prob", rate)


def _drops_examples(part: nn.Module) -> bool:
    """Whether a module does what its name says, which anybody may call theirs."""
    own = copied(part).train()
    set_rate(own, _TRIED)
    try:
        with undisturbed():
            torch.manual_seed(0)
            made = own(torch.ones(_EXAMPLES, 4, 2, 2))
        rows = made.reshape(_EXAMPLES, -1)
        again = rate_of("", own)
    except Exception:  # whatever somebody's code brings
        return False
    kept = torch.full_like(rows, 1 / (1 - _TRIED))
    whole = ((rows == 0).all(1) | torch.isclose(rows, kept).all(1)).all()
    dropped = int((rows == 0).all(1).sum())
    likely = _EXAMPLES * _TRIED / 4 < dropped < _EXAMPLES * _TRIED * 2
    return bool(whole) and likely and made.shape[0] == _EXAMPLES and again == _TRIED
