"""Definitions of parts.py in PyTorch, of which a program gets those that its recipe needs.

`weights` is the generated module of that name.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from weights import canonical_weights, part_of


def decay_groups(
    model: nn.Module, decay: float, word: str = "weight_decay"
) -> list[dict[str, Any]]:
    """Kernels, which have weight decay, and biases, gamma and beta, which have none."""
    weights = [w for w in canonical_weights(model) if w.tensor.requires_grad]
    kernels = [w.tensor for w in weights if w.is_kernel]
    others = [w.tensor for w in weights if not w.is_kernel]
    return [{"params": kernels, word: decay}, {"params": others, word: 0.0}]


def rate_groups(
    model: nn.Module, groups: Iterable[Mapping[str, Any]], rates: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Groups parted by the `factor` of the learning rate that their weights have."""
    names = {weight.tensor: weight.name for weight in canonical_weights(model)}
    found = []
    for group in groups:
        alike: dict[float, list[torch.Tensor]] = {}
        for tensor in group["params"]:
            factor = rates.get(part_of(names[tensor], rates), 1.0)
            alike.setdefault(factor, []).append(tensor)
        found += [{**group, "params": held, "factor": factor} for factor, held in alike.items()]
    return found


def freeze(
    model: nn.Module, frozen: Collection[str], trained: Collection[str] | None = None
) -> nn.ModuleList:
    """Leave all weights of these parts as they are; returns the batch norms in them.

    Where parts are in each other, the innermost counts, one that is `trained` too.
    """
    norms = nn.ModuleList()
    for path, layer in model.named_modules():
        name = ".".join(word.rstrip("_") for word in path.split("."))
        if part_of(name, frozen if trained is None else [*frozen, *trained]) in frozen:
            for weight in layer.parameters(recurse=False):
                weight.requires_grad_(False)
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                norms.append(layer)
    return norms


@torch.no_grad()
def decay_kernels(optimizer: torch.optim.Optimizer, *given: object) -> None:
    """w ← w − rate·decay·w, before a step of the optimizer's, which knows nothing of it."""
    for group in optimizer.param_groups:
        if group["decoupled"] and group["params"]:
            torch._foreach_mul_(group["params"], 1 - group["lr"] * group["decoupled"])


class RMSprop(torch.optim.Optimizer):
    """s ← ρ·s + (1 − ρ)·g²; m ← μ·m + rate·g / √(s + ε); w ← w − m, as in TensorFlow.

    PyTorch's own has ε outside of the root and the rate outside of the momentum.
    """

    def __init__(
        self,
        weights: Iterable[Any],
        rho: float,
        epsilon: float,
        momentum: float = 0.0,
        initial: float = 0.0,
    ) -> None:
        super().__init__(weights, {"lr": 0.0, "weight_decay": 0.0})
        self.rho, self.epsilon, self.momentum = rho, epsilon, momentum
        for group in self.param_groups:
            for weight in group["params"]:
                self.state[weight]["mean_square"] = torch.full_like(weight, initial)
                if momentum:
                    self.state[weight]["momentum"] = torch.zeros_like(weight)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One update of every weight that has a gradient."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            gradients = [weight.grad for weight in weights]
            if group["weight_decay"]:
                gradients = torch._foreach_add(gradients, weights, alpha=group["weight_decay"])
            squares = [self.state[weight]["mean_square"] for weight in weights]
            torch._foreach_mul_(squares, self.rho)
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - self.rho)
            roots = torch._foreach_sqrt(torch._foreach_add(squares, self.epsilon))
            steps = torch._foreach_div(torch._foreach_mul(gradients, group["lr"]), roots)
            if self.momentum:
                moved = [self.state[weight]["momentum"] for weight in weights]
                torch._foreach_mul_(moved, self.momentum)
                torch._foreach_add_(moved, steps)
                steps = moved
            torch._foreach_sub_(weights, steps)


def clip_by_norm(model: nn.Module, limit: float) -> None:
    """Gradients times min(1, limit / their norm as one vector).

    PyTorch's `clip_grad_norm_` adds 1e-6 to the norm.
    """
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    torch._foreach_mul_(gradients, torch.clamp(limit / norm, max=1.0))


class Ema:
    """The moving average of a model's weights and batch-norm statistics, which is evaluated."""

    def __init__(self, model: nn.Module) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.averages, self.weights = (
            [t for t in (*m.parameters(), *m.buffers()) if t.is_floating_point()]
            for m in (self.model, model)
        )

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """a ← d·a + (1 − d)·w."""
        torch._foreach_lerp_(self.averages, self.weights, 1 - decay)


def named(part: str, model: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a model as a checkpoint calls them, where they are, in canonical layout."""
    return {f"{part}.{weight.name}": weight.view for weight in canonical_weights(model)}


def memories(
    model: nn.Module, optimizer: torch.optim.Optimizer, words: dict[str, str]
) -> dict[str, torch.Tensor]:
    """What the optimizer keeps of each weight, likewise; `words` are ours → PyTorch's."""
    found = {}
    for weight in canonical_weights(model):
        if weight.tensor.requires_grad:
            kept = optimizer.state[weight.tensor]
            for word, own in words.items():
                memory = kept.setdefault(own, torch.zeros_like(weight.tensor))
                found[f"optimizer.{word}.{weight.name}"] = weight.seen(memory)
    return found


def updates_taken(optimizer: torch.optim.Optimizer) -> Any:
    """How many updates the optimizer has taken, by which it corrects its means."""
    for state in optimizer.state.values():
        state.setdefault("step", torch.tensor(0.0))
    return np.int64(max((state["step"].item() for state in optimizer.state.values()), default=0))


def set_updates_taken(optimizer: torch.optim.Optimizer, count: Any) -> None:
    """As if it had taken so many."""
    for state in optimizer.state.values():
        state["step"] = torch.tensor(float(count))


def scaler_state(scaler: torch.amp.GradScaler) -> dict[str, Any]:
    """The factor of the loss, and how many updates there were since it was last changed."""
    state = scaler.state_dict()
    return {
        "scaling.scale": np.float32(state["scale"]),
        "scaling.updates": np.int32(state["_growth_tracker"]),
    }


def load_scaler(scaler: torch.amp.GradScaler, state: Mapping[str, Any]) -> None:
    """The reverse."""
    saved = {
        "scale": float(state["scaling.scale"]),
        "_growth_tracker": int(state["scaling.updates"]),
    }
    scaler.load_state_dict({**scaler.state_dict(), **saved})


def passes(model: nn.Module) -> Any:
    """How many masks each layer of dropout has drawn."""
    return np.int64(next(m.passes.item() for m in model.modules() if isinstance(m, nn.Dropout)))


def set_passes(model: nn.Module, count: Any) -> None:
    """As if each had drawn so many."""
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.passes.fill_(int(count))


def multi_hot(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Labels as ones and zeros (B, K), also those of images that have one each (B,)."""
    return nn.functional.one_hot(labels.long(), classes) if labels.ndim == 1 else labels


def average_precision(hits: torch.Tensor, positives: torch.Tensor, k: int) -> torch.Tensor:
    """Of each image: the precision at each hit among its best k, over all that could be hit.

    Args:
        hits: (B, at least k), whether the class of each rank is a label.
        positives: (B,), how many labels there are.
        k: how many ranks count.
    """
    found = hits[:, :k].double()
    ranks = torch.arange(1, k + 1, device=hits.device)
    return (found * found.cumsum(1) / ranks).sum(1) / positives.clamp(1, k)


def mean_of_all(loss: torch.Tensor) -> torch.Tensor:
    """The mean over the processes."""
    dist.all_reduce(loss)
    return loss / dist.get_world_size()


def sums_of_all(totals: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums and counts, added up over the processes."""
    every = torch.cat([totals, totals.new_tensor([count])])
    dist.all_reduce(every)
    return every[:-1], every[-1]


@torch.no_grad()
def average_statistics(model: nn.Module) -> None:
    """Batch norm's moving statistics: the mean over the processes, each of which moved its own."""
    norms = [n for n in model.modules() if isinstance(n, nn.BatchNorm1d | nn.BatchNorm2d)]
    statistics = [each for norm in norms for each in (norm.running_mean, norm.running_var)]
    every = torch.cat(statistics)
    dist.all_reduce(every)
    every /= dist.get_world_size()
    torch._foreach_copy_(statistics, every.split([len(each) for each in statistics]))
