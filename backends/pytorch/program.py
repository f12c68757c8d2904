"""A generated PyTorch program brought to life in this process, to be measured.

This imports PyTorch; the compiler never imports it.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature

import numpy as np
import torch

from xgraph.ops.base import Array
from xgraph.programs import (
    Between,
    Gradients,
    Length,
    Recorder,
    Refused,
    Stopped,
    Trained,
    import_files,
)


class Program:
    """The model of a generated program. Images and weights are NumPy arrays, channels last."""

    def __init__(
        self, files: Mapping[str, str], dtype: str = "float64", device: str = "cpu"
    ) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise Refused("PyTorch finds no CUDA device here")
        self.recorder = Recorder()
        self.modules = import_files(files, probe=self.recorder)
        if processes := self.modules.get("processes"):
            processes.join(Namespace(device=device))  # it is the only one
        self.dtype = getattr(torch, dtype)
        self.device = torch.device(device)
        self.model = self.modules["model"].create_model().to(self.device, self.dtype).eval()

    def weights(self) -> dict[str, Array]:
        """A copy of every weight, by canonical name."""
        return self._read(self.model)

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Copy weights into the model, by canonical name; dropout begins a run."""
        self._write(self.model, weights)
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.passes.zero_()

    def keep_all(self) -> None:
        """Dropout drops nothing from now on."""
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0

    def run(self, images: Array, training: bool = False) -> list[Array]:
        """The model's outputs in the order of the spec, channels last.

        Moving statistics and dropout's passes change when training.
        """
        self.model.train(training)
        with torch.no_grad():
            return _outputs(self.model(self._batch(images)))

    def gradients(self, images: Array, labels: Array) -> Gradients:
        """One pass forward and back; see `xgraph.programs.MeasuredProgram`."""
        loss_function = self.modules["train"].loss_function
        target = [self._labels(labels)]
        if "class_weights" in signature(loss_function).parameters:
            target.append(self.modules["train"].Training(self.model).class_weights)
        return self._passes(images, lambda given: loss_function(given, *target))

    def projected(self, images: Array, projections: Sequence[Array]) -> Gradients:
        """One pass forward and back; see `xgraph.programs.MeasuredProgram`."""

        def loss(given: torch.Tensor | dict[str, torch.Tensor]) -> torch.Tensor:
            pairs = zip(_in_order(given), projections, strict=True)
            return sum((y * self._batch(along)).sum() for y, along in pairs)

        return self._passes(images, loss)

    def _passes(self, images: Array, loss_function: Callable[..., torch.Tensor]) -> Gradients:
        self.model.train().requires_grad_(True)  # what a recipe freezes, it does in its steps
        batch = self._batch(images).requires_grad_()
        given = self.model(batch)
        loss = loss_function(given)
        self.model.zero_grad()
        loss.backward()
        found = self._seen({p: p.grad for p in self.model.parameters() if p.grad is not None})
        self.model.zero_grad()  # none is left to steps
        assert batch.grad is not None
        return Gradients(_outputs(given), loss.item(), found, _last(batch.grad))

    def train(
        self,
        batches: Iterable[tuple[Array, Array]],
        length: Length,
        between: Between,
    ) -> Trained:
        """Updates by the recipe; see `xgraph.programs.MeasuredProgram`."""
        train = self.modules["train"]
        training = train.Training(self.model)
        given = ((self._batch(images), self._labels(labels)) for images, labels in batches)
        plan = train.Plan(**vars(length), rate=train.LEARNING_RATE)
        losses = []
        between(0, training)
        for step, loss in enumerate(train.updates(training, given, plan), 1):
            losses.append(loss.item())
            between(step, training)
        return Trained(losses, training.state())

    def activations(self, images: Array, training: bool) -> dict[str, list[Array]]:
        """The value of every node of a probed program, by path, in the order of their making."""
        self.recorder.values.clear()
        paths = {
            id(module): ".".join(part.rstrip("_") for part in name.split("."))
            for name, module in self.model.named_modules()
        }
        try:
            self.run(images, training)
        except Exception as error:  # whatever stops it, what was reached is of interest
            raise Stopped(self.recorder.reached(paths)) from error
        found = self.recorder.by_path(paths)
        return {path: [_last(value) for value in values] for path, values in found.items()}

    def _canonical(self, model: torch.nn.Module) -> list:
        return self.modules["weights"].canonical_weights(model)

    def _read(self, model: torch.nn.Module) -> dict[str, Array]:
        return {weight.name: weight.view.cpu().numpy().copy() for weight in self._canonical(model)}

    def _write(self, model: torch.nn.Module, weights: Mapping[str, Array]) -> None:
        own = self._canonical(model)
        assert {weight.name for weight in own} == weights.keys()
        for weight in own:
            weight.view.copy_(torch.from_numpy(np.ascontiguousarray(weights[weight.name])))

    def _seen(self, tensors: Mapping[torch.Tensor, torch.Tensor]) -> dict[str, Array]:
        """Tensors that belong to parameters, by canonical name and in canonical layout.

        They are put where the parameters are, since that is what canonical views are of.
        """
        found = {}
        for weight in self._canonical(self.model):
            if weight.tensor in tensors:
                before = weight.tensor.detach().clone()
                weight.tensor.detach().copy_(tensors[weight.tensor])
                found[weight.name] = weight.view.cpu().numpy().copy()
                weight.tensor.detach().copy_(before)
        return found

    def _batch(self, images: Array) -> torch.Tensor:
        batch = torch.from_numpy(np.ascontiguousarray(images)).to(self.device, self.dtype)
        return batch.permute(0, 3, 1, 2) if batch.ndim == 4 else batch

    def _labels(self, labels: Array) -> torch.Tensor:
        return torch.from_numpy(labels).to(self.device)


def _in_order(given: torch.Tensor | dict[str, torch.Tensor]) -> list[torch.Tensor]:
    return list(given.values()) if isinstance(given, dict) else [given]


def _outputs(given: torch.Tensor | dict[str, torch.Tensor]) -> list[Array]:
    return [_last(y) for y in _in_order(given)]


def _last(tensor: torch.Tensor) -> Array:
    """A copy with channels last."""
    tensor = tensor.detach().cpu()
    return (tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor).numpy().copy()
