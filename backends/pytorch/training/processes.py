"""The processes that train together, one for each device, as `torchrun` starts them."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn  # before there is a group: its functions would hold it to the end
from arguments import UserError

PATIENCE = timedelta(minutes=1)  # with a process that does not answer


def join(arguments: argparse.Namespace) -> None:
    """Join the others, or be the only one where `torchrun` has started none."""
    if dist.is_initialized():
        return
    backend = "gloo"
    if arguments.device != "cpu" and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "cpu:gloo,cuda:nccl"
    if "RANK" in os.environ:
        dist.init_process_group(backend, timeout=PATIENCE)
    else:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    atexit.register(end)
    if number():  # what all would say, process 0 does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def leave() -> None:
    """Say goodbye, which is done at the exit, after an error too."""


def end() -> None:
    """End the group while the interpreter is whole, for which its threads may ask.

    What else has held the group must be gone before: its last owner waits for these threads, and
    only the group itself lets go of the interpreter meanwhile.
    """
    gc.collect()
    if dist.is_initialized():
        dist.destroy_process_group()


def lost(error: Exception) -> str:
    """What an error tells of another process, if it does."""
    said = str(error)
    told = isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in said)
    return said.partition("\n")[0].partition(". ")[0] if told else ""


def number() -> int:
    """Which of the processes this is, from 0."""
    return dist.get_rank()


def count() -> int:
    """How many there are."""
    return dist.get_world_size()


#: Of this process: how many images of a batch come before its own, and what `share_of_batch` says.
_PART: dict[str, Any] = {"before": 0, "share": 1.0}


def take_part(images: int) -> None:
    """Take part in batches of so many images.

    Raises:
        UserError: they are not enough for all processes to have some.
    """
    if images < count():
        raise UserError(f"{images} images at a time are too few for {count()} devices")
    first, last = (place * images // count() for place in (number(), number() + 1))
    _PART.update(before=first, share=(last - first) * count() / images)


def images_before() -> int:
    """How many images of such a batch come before those of this process."""
    return _PART["before"]


def share_of_batch() -> float:
    """What the mean loss of this process's images counts in the mean over all processes'.

    It is 1 where all have the same number of images.
    """
    return _PART["share"]


def greatest(values: Sequence[float]) -> list[float]:
    """Of each number the greatest that a process has."""
    every = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(every, dist.ReduceOp.MAX)
    return every.tolist()


def from_first(thing: Any) -> Any:
    """What process 0 has."""
    things = [thing]
    dist.broadcast_object_list(things)
    return things[0]
