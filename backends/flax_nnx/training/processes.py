"""The devices that train together, and the processes that have them."""

from __future__ import annotations

import argparse
import functools
import os
import pickle
import sys
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from arguments import UserError
from jax.experimental import multihost_utils
from jax.sharding import Mesh

PATIENCE = 30  # seconds, with a process that does not answer


def join(arguments: argparse.Namespace) -> None:
    """Join the other processes, if there are any.

    They are known by what SLURM says, or by JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
    JAX_PROCESS_ID.
    """
    if arguments.device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    given: dict[str, Any] = {"heartbeat_timeout_seconds": PATIENCE}
    if "JAX_COORDINATOR_ADDRESS" in os.environ:
        given["num_processes"] = int(os.environ["JAX_NUM_PROCESSES"])
        given["process_id"] = int(os.environ["JAX_PROCESS_ID"])
        jax.distributed.initialize(**given)
    elif int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        jax.distributed.initialize(**given)
    if number():  # what all would say, process 0 does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def leave() -> None:
    """Say goodbye."""
    if count() > 1:
        jax.distributed.shutdown()


def lost(error: Exception) -> str:
    """What an error tells of another process, if it does."""
    said = str(error)
    told = isinstance(error, RuntimeError) and ("Gloo" in said or "NCCL" in said)
    return said.partition("\n")[0].partition(". ")[0] if told else ""


@functools.cache
def mesh() -> Mesh:
    """All devices, in the order of processes; a batch is shared out along `replica`."""
    return Mesh(np.array(jax.devices()), ("replica",))


def number() -> int:
    """Which of the processes this is, from 0."""
    return jax.process_index()


def count() -> int:
    """How many there are."""
    return jax.process_count()


def take_part(images: int) -> None:
    """Take part in batches of so many images.

    Raises:
        UserError: they do not make equal parts for all devices.
    """
    if images % mesh().size:
        raise UserError(
            f"{images} images at a time do not make equal parts for {mesh().size} devices"
        )


def greatest(values: Sequence[float]) -> list[float]:
    """Of each number the greatest that a process has."""
    return multihost_utils.process_allgather(np.array(values, np.float32)).max(0).tolist()


def from_first(thing: Any) -> Any:
    """What process 0 has."""
    content = np.frombuffer(pickle.dumps(thing), np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.array(len(content))))
    given = np.resize(content, length)  # the others', of as many bytes, is of no meaning
    return pickle.loads(multihost_utils.broadcast_one_to_all(given).astype(np.uint8).tobytes())
