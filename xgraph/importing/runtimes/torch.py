"""Modules of PyTorch."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from xgraph.importing.network import Array, Refused
from xgraph.importing.readers.torch_chance import rate_of, set_rate
from xgraph.importing.readers.torch_copy import copied, undisturbed
from xgraph.importing.runtimes.base import Passed, TrainingOf

#: Functions of dropout, and of which modules.
_FUNCTIONS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
              "feature_alpha_dropout")  # fmt: skip
_OF_TORCH = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")


class TorchRuntime:
    """A copy of a module, in a type of its own."""

    trains = True
    rounding = 0.0
    tells_dropped = True

    def __init__(self, module: nn.Module, dtype: str = "float64") -> None:
        self.dtype = getattr(torch, dtype)
        self.dropped: list[tuple[str, float]] = []
        self.drew = False
        self.casts = False
        self.beside: list[str] = []
        self.module = copied(module).to("cpu", self.dtype)
        for path, part in self.module.named_modules():
            if rate := rate_of(path, part):
                set_rate(part, 0.0)
                part.register_forward_hook(self._path_dropped(rate))

    def _path_dropped(self, rate: float) -> Any:
        def hook(part: nn.Module, given: Any, made: Any) -> None:
            if part.training:
                self.dropped.append(("stochastic_depth", rate))

        return hook

    def set_arrays(self, arrays: Mapping[str, Array]) -> None:
        state = self.module.state_dict()
        with torch.no_grad():
            for name, array in arrays.items():
                state[name].copy_(torch.from_numpy(np.array(array)))

    def arrays(self) -> dict[str, Array]:
        state = self.module.state_dict()
        return {name: tensor.detach().numpy().copy() for name, tensor in state.items()}

    def run(self, images: Array) -> list[Array]:
        with self._computed(), torch.no_grad():
            return [_last(y) for y in _outputs(self.module.train(False)(self.batch(images)))]

    def passed(self, images: Array, along: Sequence[Array | None], logs: Sequence[bool]) -> Passed:
        self.module.train().zero_grad()
        self.dropped.clear()
        batch = self.batch(images).requires_grad_()
        before = _states()
        with self._computed(), torch.enable_grad():
            given = _outputs(self.module(batch))[: len(along)]
            terms = [
                ((y.log() if log else y) * self.batch(one)).sum()
                for y, one, log in zip(given, along, logs, strict=True)
                if one is not None
            ]
            loss: Any = sum(terms)
            loss.backward()
            self.drew = before != _states()
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
            with self._computed(), torch.no_grad():
                self.module.train(training)(self.batch(images))
        finally:
            for hook in hooks:
                hook.remove()
        return {name: values[0] for name, values in found.items() if len(values) == 1}

    def train(self, training: TrainingOf, batches: Iterable[tuple[Array, Array]]) -> None:
        self.module.train()
        with self._computed(), torch.enable_grad():
            step = training(self.module)
            for images, labels in batches:
                step(self.batch(images), torch.from_numpy(labels))

    @contextlib.contextmanager
    def _computed(self) -> Iterator[None]:
        """While somebody's code runs: dropout of PyTorch's own drops nothing and is told of, batch
        norm keeps the variance that it divides by, and nothing is rounded to float32.
        """

        def kept(name: str) -> Any:
            def function(
                x: torch.Tensor,
                p: float = 0.5,
                training: bool | None = None,
                *more: Any,
                **words: Any,
            ) -> torch.Tensor:
                training = words.pop("train", training)  # as `torch.dropout` calls it
                default = "alpha" not in name  # as PyTorch has them
                if p and (default if training is None else training):
                    self.dropped.append((_kind(name, x), p))
                return x

            return function

        with contextlib.ExitStack() as held:
            for holder, names in ((nn.functional, _FUNCTIONS), (torch, _OF_TORCH)):
                for name in names:
                    held.enter_context(mock.patch.object(holder, name, kept(name)))
            counting = _counting_all(torch.batch_norm)
            held.enter_context(mock.patch.object(torch, "batch_norm", counting))
            held.enter_context(undisturbed())
            precise = held.enter_context(_Precise())
            yield
            self.casts |= precise.casts

    def batch(self, array: Array) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(self.dtype)
        return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def _counting_all(batch_norm: Any) -> Any:
    """A batch norm that keeps the variance it divides by, which PyTorch scales by n/(n − 1).

    No other framework does, and no spec says so. What keeps a variance for modules keeps it for
    functions with buffers of one's own too.
    """

    def function(
        x: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        mean: torch.Tensor | None,
        variance: torch.Tensor | None,
        training: bool,
        momentum: float,
        *more: Any,
        **words: Any,
    ) -> torch.Tensor:
        before = variance.detach().clone() if training and variance is not None else None
        made: torch.Tensor = batch_norm(
            x, weight, bias, mean, variance, training, momentum, *more, **words
        )
        if before is not None and variance is not None:
            count = x.numel() // x.shape[1]
            kept, held = (1 - momentum) * before, variance.data  # which autograd has kept
            held.copy_(kept + (held - kept) * (count - 1) / count)
        return made

    return function


class _Precise(TorchFunctionMode):
    """While a copy in float64 is run: a cast to float32, which is nothing in the model itself, is
    nothing in it either, and a gradient that PyTorch rounds is exact.

    Attributes:
        casts: whether there was one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.casts = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        words = kwargs or {}
        if not (args and isinstance(args[0], torch.Tensor) and args[0].dtype == torch.float64):
            return func(*args, **words)
        if func is torch.Tensor.float:
            self.casts = True
            return args[0]
        if func in _HARD_SIGMOIDS:
            return _hard_sigmoid(*args, **words)
        exact = [_exact(one) for one in args]
        told = {word: _exact(one) for word, one in words.items()}
        given = (*args, *words.values())
        self.casts |= any(a is not b for a, b in zip(given, (*exact, *told.values()), strict=True))
        return func(*exact, **told)


#: Functions whose gradient is a sixth in float32.
_HARD_SIGMOIDS = (nn.functional.hardsigmoid, torch._C._nn.hardsigmoid)


def _hard_sigmoid(input: torch.Tensor, inplace: bool = False) -> torch.Tensor:
    made = nn.functional.relu6(input + 3) / 6
    return input.copy_(made) if inplace else made


#: What somebody may say for float32, and what is meant in a copy of float64.
_EXACT: dict[Any, Any] = {
    torch.float32: torch.float64,
    torch.FloatTensor: torch.DoubleTensor,
    "torch.FloatTensor": torch.DoubleTensor,
}


def _exact(given: Any) -> Any:
    is_type = isinstance(given, torch.dtype | str | type(torch.FloatTensor))
    return _EXACT.get(given, given) if is_type else given


def _states() -> tuple[Any, ...]:
    """Of the generators that somebody's code may draw from."""
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), str(np.random.get_state())


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


def _kind(name: str, x: torch.Tensor) -> str:
    """The op of ours that a function of dropout is."""
    if name in ("dropout1d", "dropout2d", "dropout3d", "feature_dropout"):
        return "spatial_dropout" if x.ndim > 2 else "dropout"
    return name  # that, or no op of ours
