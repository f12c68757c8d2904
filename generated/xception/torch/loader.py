"""Batches of images on the device, loaded by processes ahead of their turn."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import data
import torch
from arguments import UserError
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
    batches = iter(loader)
    with in_one_line() if workers else nullcontext():
        for images, labels, error in batches:
            if error:
                raise data.DataError(error)
            yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)


@contextmanager
def in_one_line() -> Iterator[None]:
    """A loading process that dies ends the run with a line that says what it died of.

    PyTorch tells it by a RuntimeError out of wherever training is, or where it waits for a batch;
    who reads what the process was sending meets the end of that.
    """

    def died(*signalled: object) -> None:
        try:
            handler(*signalled)
        except RuntimeError as error:
            raise UserError(f"loading ended: {error}".strip()) from None

    number = getattr(signal, "SIGCHLD", None)  # Windows has none
    handler = number and signal.getsignal(number)
    if callable(handler):
        signal.signal(number, died)
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise UserError(f"loading ended: {error}".strip()) from None
    except (ConnectionError, EOFError):
        raise UserError("loading ended: a DataLoader worker has died") from None
    finally:
        if callable(handler):
            signal.signal(number, handler)


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
    """Loading processes end when training does, not on Ctrl-C, or a signal that all have got.

    A cluster tells every process of a job to end; training then saves, and wants its last batches.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(os, "setpgrp"):
        os.setpgrp()
