"""What a server and its workers have of each other: weights and gradients, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from weights import canonical_weights


def weights(training: Any) -> dict[str, np.ndarray]:
    """A copy of every weight and statistic, by canonical name."""
    return {w.name: w.view.cpu().numpy().copy() for w in canonical_weights(training.model)}


@torch.no_grad()
def set_weights(training: Any, given: Mapping[str, np.ndarray]) -> None:
    """Copy those that are given into the model."""
    for weight in canonical_weights(training.model):
        if weight.name in given:
            weight.view.copy_(torch.tensor(given[weight.name]))


def gradients(
    training: Any, images: np.ndarray, labels: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    """The loss of a batch of images (B, H, W, C), and its gradients; statistics move."""
    device = next(training.model.parameters()).device
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).to(device)
    loss = training.gradients(pixels, torch.from_numpy(labels).to(device))
    made = {}
    for weight in canonical_weights(training.model):
        if weight.tensor.grad is not None:
            laid = torch.empty_like(weight.tensor).copy_(weight.tensor.grad)
            made[weight.name] = weight.seen(laid).cpu().numpy()
    return loss.item(), made


def update(training: Any, step: int, given: Mapping[str, np.ndarray], rate: float) -> None:
    """Update `step`, from 0, by these gradients."""
    for weight in canonical_weights(training.model):
        if weight.name in given:
            gradient = torch.empty_like(weight.tensor, requires_grad=False)
            weight.seen(gradient).copy_(torch.tensor(given[weight.name]))
            weight.tensor.grad = gradient
    training.apply(step, rate)
