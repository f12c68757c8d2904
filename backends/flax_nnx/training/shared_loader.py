"""Batches of images on the devices that share them, loaded by threads ahead of their turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import data
import jax
import numpy as np
from arguments import UserError
from jax.sharding import NamedSharding, PartitionSpec
from processes import mesh
from shared_run import part

Batches = Iterator[tuple[jax.Array, jax.Array]]  # images and labels


def find_device(name: str) -> jax.Device:
    """The first of this process's devices.

    Raises:
        UserError: it is no CUDA GPU, and should be one.
    """
    device = jax.local_devices()[0]
    if name == "cuda" and device.platform != "gpu":
        raise UserError("JAX finds no CUDA device here: leave --device out")
    return device


def load_batches(
    dataset: data.Dataset, keys: Iterator[list[tuple[int, int]]], workers: int
) -> Batches:
    """Images (B, H, W, C) and labels, each device with an equal part; the next ones load meanwhile.

    What is left for a last batch may not be shared equally: then each device has all of it. A
    process loads what its devices have. Threads do: Pillow decodes and resizes without holding the
    interpreter's lock.
    """
    pool = ThreadPoolExecutor(max(1, workers))
    try:
        ahead = deque(pool.submit(load, dataset, batch) for batch in islice(keys, workers + 1))
        while ahead:
            batch, sharding = ahead.popleft().result()
            ahead.extend(pool.submit(load, dataset, batch) for batch in islice(keys, 1))
            yield jax.make_array_from_process_local_data(sharding, batch)
    finally:
        pool.shutdown(cancel_futures=True)


def load(
    dataset: data.Dataset, batch: list[tuple[int, int]]
) -> tuple[tuple[np.ndarray, np.ndarray], NamedSharding]:
    """This process's images and labels of a batch, and how the devices share it."""
    if len(batch) % mesh().size:
        return dataset.batch(batch), NamedSharding(mesh(), PartitionSpec())
    own = part(batch, jax.process_index(), jax.process_count())
    return dataset.batch(own), NamedSharding(mesh(), PartitionSpec("replica"))
