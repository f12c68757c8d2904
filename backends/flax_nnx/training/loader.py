"""Batches of images on the device, loaded by threads ahead of their turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import data
import jax
from arguments import UserError

Batches = Iterator[tuple[jax.Array, jax.Array]]  # images and labels


def find_device(name: str) -> jax.Device:
    """`cpu`, `cuda`, or for `auto` what JAX prefers here.

    Raises:
        UserError: there is no CUDA GPU.
    """
    if name != "cuda":
        return jax.devices("cpu" if name == "cpu" else None)[0]
    try:
        return jax.devices("gpu")[0]
    except RuntimeError:
        raise UserError("JAX finds no CUDA device here: leave --device out") from None


def load_batches(
    dataset: data.Dataset, keys: Iterator[list[tuple[int, int]]], workers: int
) -> Batches:
    """Images (B, H, W, C) and labels, on JAX' default device; the next ones load meanwhile.

    Threads do: Pillow decodes and resizes without holding the interpreter's lock.
    """
    pool = ThreadPoolExecutor(max(1, workers))
    try:
        ahead = deque(pool.submit(dataset.batch, batch) for batch in islice(keys, workers + 1))
        while ahead:
            batch = ahead.popleft().result()
            ahead.extend(pool.submit(dataset.batch, batch) for batch in islice(keys, 1))
            # Not committed to the device, as the model is not: else an update would give back a
            # committed model, and be compiled a second time for it.
            yield jax.device_put(batch)
    finally:
        pool.shutdown(cancel_futures=True)
