"""Definitions that stand in layers.py for those of the same name where processes share a batch.

As `layers.py` of this backend, it is a library of text, and never imported.
"""

import math
from collections.abc import Sequence
from typing import Any

import processes
import torch
import torch.distributed as dist
from xgraph_backends.pytorch.layers import mix_bits


class WholeBatchNorm(torch.autograd.Function):
    """Batch norm of (N, C, …) by the statistics of all processes' images, of which these are N.

    Gives what comes out, mean and variance. Processes may have different numbers of images.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, eps: float
    ) -> tuple[torch.Tensor, ...]:
        wide = x.to(weight.dtype)  # float32 at least
        axes = [0, *range(2, x.ndim)]
        var, mean = torch.var_mean(wide, axes, correction=0)
        own = torch.stack([torch.full_like(mean, x.numel() // x.shape[1]), mean, var])
        every = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(every, own)
        counts, means, variances = torch.stack(every, 1)
        n = counts.sum(0)
        mean = (counts * means).sum(0) / n
        var = (counts * (variances + (means - mean).square())).sum(0) / n
        scale = torch.rsqrt(var + eps)
        ctx.save_for_backward(x, weight, mean, scale, n)
        ctx.mark_non_differentiable(mean, var)
        y = (wide - along(mean, x)) * along(scale * weight, x)
        return (y if bias is None else y + along(bias, x)).to(x.dtype), mean, var

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor, *others: None) -> tuple[torch.Tensor | None, ...]:
        x, weight, mean, scale, n = ctx.saved_tensors
        normal = (x - along(mean, x)) * along(scale, x)
        dy = dy.to(normal.dtype)
        axes = [0, *range(2, x.ndim)]
        of_bias, of_weight = dy.sum(axes), (dy * normal).sum(axes)
        every = torch.stack([of_bias, of_weight])
        dist.all_reduce(every)
        by_mean, by_var = every / n
        dx = (dy - along(by_mean, x) - normal * along(by_var, x)) * along(scale * weight, x)
        return dx.to(x.dtype), of_weight, of_bias if ctx.needs_input_grad[2] else None, None


def along(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """One number for every channel of x, (N, C, H, W) or (N, C)."""
    return values.view(-1, *[1] * (x.ndim - 2))


@torch.fx.wrap
def batch_norm(
    x: torch.Tensor, state: Sequence[torch.Tensor | None], momentum: float, eps: float
) -> torch.Tensor:
    """Batch norm by the statistics of the whole batch, which move the running ones.

    `nn.SyncBatchNorm` moves the variance by n/(n-1) times the batch's, and is for CUDA alone.
    """
    running_mean, running_var, weight, bias = state
    y, mean, var = WholeBatchNorm.apply(x, weight, bias, eps)
    running_mean.lerp_(mean, momentum)
    running_var.lerp_(var, momentum)
    return y


@torch.fx.wrap
def drop_entries(
    x: torch.Tensor, p: float, key: torch.Tensor, passes: torch.Tensor, per: str = "entry"
) -> torch.Tensor:
    """Zero with probability p, else x / (1 - p), by a mask that any framework draws.

    It follows from the layer's key, the passes so far and an entry's place in (N, H, W, C) of the
    whole batch, in which other processes' images come first. There is one draw `per` entry, channel
    or example.
    """
    shape = x.movedim(1, -1).shape
    if per != "entry":
        shape = (shape[0], *[1] * (x.ndim - 2), shape[-1] if per == "channel" else 1)
    first = processes.images_before() * math.prod(shape[1:])
    places = first + torch.arange(math.prod(shape), device=x.device)
    bits = mix_bits(mix_bits(places) ^ mix_bits(key ^ passes))
    passes += 1
    dropped = (bits < int(p * 2**32)).view(shape).movedim(-1, 1)
    return torch.where(dropped, 0, x / (1 - p))
