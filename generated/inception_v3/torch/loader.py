"""Batches of images on the device, loaded by processes ahead of their turn."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.sharedctypes import RawValue
from typing import Any

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
    """Images (B, C, H, W) in channels_last memory and labels, on the device.

    Raises:
        UserError: a loading process has died.
    """
    ended = RawValue("b")
    loader = DataLoader(
        Loaded(dataset),
        sampler=keys,
        batch_size=None,  # they are made whole
        num_workers=workers,
        worker_init_fn=partial(detach, ended),
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # so that loading leaves dropout's generator alone
    )
    loading = None
    try:
        with own_handler():
            loading = iter(loader)
        for images, labels, error in loading:
            if error:
                raise data.DataError(error)
            yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
    except (RuntimeError, ConnectionError, EOFError) as error:
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        died = reason(getattr(loading, "_workers", []))
        raise UserError(f"a loading process has ended, {died}") from None
    finally:
        ended.value = True


@contextmanager
def own_handler() -> Iterator[None]:
    """PyTorch does not get to handle SIGCHLD, by an exception wherever training happens to be.

    That a process has died shows where its batch is awaited.
    """
    number = getattr(signal, "SIGCHLD", None)  # Windows has none
    before = number and signal.getsignal(number)
    try:
        yield
    finally:
        if number and signal.getsignal(number) != before:
            signal.signal(number, before)


def reason(processes: list[Any]) -> str:
    """What the first has died of that is dead, as far as it is known."""
    dying = wait([process.sentinel for process in processes], timeout=1)
    for process in processes:
        if process.sentinel in dying:
            process.join(timeout=1)
    codes = [process.exitcode for process in processes if process.exitcode]
    if not codes or codes[0] > 0:
        return "it is not known why"
    name = signal.Signals(-codes[0]).name
    short = {"SIGKILL": ": is memory short?", "SIGBUS": ": is shared memory, /dev/shm, short?"}
    return f"by {name}{short.get(name, '')}"


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


def detach(ended: Any, worker: int) -> None:
    """A loading process ends when `ended` says so, not on Ctrl-C or a signal that all have got.

    A cluster tells every process of a job to end; training then saves, and wants its last batches.
    """
    training = os.getppid()

    def end(*signalled: object) -> None:
        if ended.value or os.getppid() != training:
            os._exit(0)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end)
    if hasattr(os, "setpgrp"):
        os.setpgrp()
