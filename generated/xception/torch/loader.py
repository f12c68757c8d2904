"""Batches of images on the device, loaded by processes ahead of their turn."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import data
import numpy as np
import torch
from run import UserError
from torch.utils.data import DataLoader

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]  # images and labels


def find_device(name: str) -> torch.device:
    """`cpu`, `cuda`, or for `auto` a CUDA GPU when there is one.

    Raises:
        UserError: there is no CUDA GPU.
    """
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise UserError("PyTorch finds no CUDA device here: leave --device out")
    torch.backends.cudnn.benchmark = True  # all batches have one size
    return torch.device("cuda" if has_cuda and name != "cpu" else "cpu")


def load_batches(
    dataset: data.Dataset,
    keys: Iterator[list[tuple[int, int]]],
    device: torch.device,
    workers: int,
) -> Batches:
    """Images (B, C, H, W) in channels_last memory and labels (B,), on the device."""
    loader = DataLoader(
        Samples(dataset),
        batch_sampler=keys,
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=detach,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # so that loading leaves dropout's generator alone
    )
    for images, labels, error in loader:
        if error:
            raise data.DataError(error)
        yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)


class Samples:
    """A dataset as a `DataLoader` asks for it; errors are handed over rather than raised.

    Raised in a loading process, an error would arrive with that process's traceback as text.
    """

    def __init__(self, dataset: data.Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> tuple[np.ndarray, int] | data.DataError:
        try:
            return self.dataset.load(*key)
        except data.DataError as error:
            return error


def collate(samples: list[Any]) -> tuple[torch.Tensor | None, torch.Tensor | None, str]:
    """Images (H, W, C) to a batch; NHWC in memory is what PyTorch calls channels_last."""
    for sample in samples:
        if isinstance(sample, data.DataError):
            return None, None, str(sample)
    images, labels = zip(*samples, strict=True)
    return (
        torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2),
        torch.from_numpy(np.stack(labels)),
        "",
    )


def detach(worker: int) -> None:
    """Loading processes end when training ends them, not on Ctrl-C or a signal to the group."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(os, "setpgrp"):
        os.setpgrp()
