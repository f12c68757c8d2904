"""Modules of PyTorch."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from xgraph.importing.network import Array, Refused
from xgraph.importing.runtimes.base import Passed, TrainingOf

#: What modules of dropout call how much they drop, whoever wrote them.
_RATES = ("p", "prob", "rate", "drop_prob", "drop_rate", "drop_path")
_FUNCTIONS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
              "feature_alpha_dropout")  # fmt: skip


class TorchRuntime:
    """A copy of a module, in a type of its own."""

    trains = True
    held_to = 0.0

    def __init__(self, module: nn.Module, dtype: str = "float64") -> None:
        self.dtype = getattr(torch, dtype)
        self.module = copy.deepcopy(module).to("cpu", self.dtype)
        for part in self.module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                _count_all(part)
            if any(word in type(part).__name__.lower() for word in ("drop", "stochasticdepth")):
                for word in _RATES:
                    if isinstance(getattr(part, word, None), float):
                        setattr(part, word, 0.0)

    def set_arrays(self, arrays: Mapping[str, Array]) -> None:
        state = self.module.state_dict()
        with torch.no_grad():
            for name, array in arrays.items():
                state[name].copy_(torch.from_numpy(np.array(array)))

    def arrays(self) -> dict[str, Array]:
        state = self.module.state_dict()
        return {name: tensor.detach().numpy().copy() for name, tensor in state.items()}

    def run(self, images: Array) -> list[Array]:
        with _computed(), torch.no_grad():
            return [_last(y) for y in _outputs(self.module.eval()(self.batch(images)))]

    def passed(self, images: Array, along: Sequence[Array | None], logs: Sequence[bool]) -> Passed:
        self.module.train().zero_grad()
        batch = self.batch(images).requires_grad_()
        with _computed():
            given = _outputs(self.module(batch))[: len(along)]
            terms = [
                ((y.log() if log else y) * self.batch(one)).sum()
                for y, one, log in zip(given, along, logs, strict=True)
                if one is not None
            ]
            loss: Any = sum(terms)
            loss.backward()
        named = self.module.named_parameters(remove_duplicate=False)
        found = {name: one.grad.numpy().copy() for name, one in named if one.grad is not None}
        self.module.zero_grad()
        image = torch.zeros_like(batch) if batch.grad is None else batch.grad
        return Passed([_last(y) for y in given], found, _last(image))

    def values(self, images: Array, training: bool) -> dict[str, Array]:
        found: dict[str, list[Array]] = {}

        def seen(name: str) -> Any:
            def hook(part: nn.Module, given: Any, made: Any) -> None:
                if isinstance(made, torch.Tensor):
                    found.setdefault(name, []).append(_last(made))

            return hook

        # What others give may be changed by what is called beside them.
        leaves = [
            (name, part) for name, part in self.module.named_modules() if not [*part.children()]
        ]
        hooks = [part.register_forward_hook(seen(name)) for name, part in leaves]
        try:
            with _computed(), torch.no_grad():
                self.module.train(training)(self.batch(images))
        finally:
            for hook in hooks:
                hook.remove()
        return {name: values[0] for name, values in found.items() if len(values) == 1}

    def train(self, training: TrainingOf, batches: Iterable[tuple[Array, Array]]) -> None:
        self.module.train()
        with _computed():
            step = training(self.module)
            for images, labels in batches:
                step(self.batch(images), torch.from_numpy(labels))

    def batch(self, array: Array) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(self.dtype)
        return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def _count_all(norm: nn.modules.batchnorm._BatchNorm) -> None:
    """Have a batch norm keep the mean square that it divides by, which PyTorch scales by n/(n − 1).

    No other framework does, and no spec says so.
    """
    if norm.running_var is None or norm.momentum is None:
        return
    before = norm.running_var.clone()

    def remember(part: Any, given: tuple[torch.Tensor, ...]) -> None:
        before.copy_(part.running_var)

    def correct(part: Any, given: tuple[torch.Tensor, ...], made: Any) -> None:
        if part.training:
            count = given[0].numel() // given[0].shape[1]
            kept, variance = (1 - part.momentum) * before, part.running_var.data
            variance.copy_(kept + (variance - kept) * (count - 1) / count)

    norm.register_forward_pre_hook(remember)
    norm.register_forward_hook(correct)


@contextlib.contextmanager
def _computed() -> Iterator[None]:
    """While somebody's code runs: dropout that is called as a function drops nothing."""

    def kept(x: torch.Tensor, *given: Any, **more: Any) -> torch.Tensor:
        return x

    with contextlib.ExitStack() as held:
        for name in _FUNCTIONS:
            held.enter_context(mock.patch.object(nn.functional, name, kept))
        yield


def _outputs(given: Any) -> list[torch.Tensor]:
    """Tensors in the order in which `torch.export` has them."""
    found = [one for one in pytree.tree_leaves(given) if isinstance(one, torch.Tensor)]
    if not found:
        raise Refused(f"the module gives a {type(given).__name__}, no tensor")
    return found


def _last(tensor: torch.Tensor) -> Array:
    """A copy with channels last."""
    tensor = tensor.detach()
    return (tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor).numpy().copy()
