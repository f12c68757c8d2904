"""Batches of images on the device, loaded by processes ahead of their turn."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import data
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
    """Images (B, C, H, W) in channels_last memory and labels, on the device."""
    loader = DataLoader(
        Loaded(dataset),
        sampler=keys,
        batch_size=None,  # they are made whole
        num_workers=workers,
        worker_init_fn=detach,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # so that loading leaves dropout's generator alone
    )
    for images, labels, error in loader:
        if error:
            raise data.DataError(error)
        yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)


class Loaded:
    """Batches by their keys, as a `DataLoader` asks for them; errors are handed over, not raised.

    Raised in a loading process, an error would arrive with that process's traceback as text.
    """

    def __init__(self, dataset: data.Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(
        self, keys: list[tuple[int, int]]
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, str]:
        try:
            images, labels = self.dataset.batch(keys)
        except data.DataError as error:
            return None, None, str(error)
        # NHWC in memory is what PyTorch calls channels_last.
        return torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels), ""


def detach(worker: int) -> None:
    """Loading processes end when training ends them, not on Ctrl-C or a signal to the group."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(os, "setpgrp"):
        os.setpgrp()
