"""How tests compute that make thousands of tiny networks, each of which runs once or twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax
import torch

#: XLA without its optimizer in processes that are started: the variable, and its value.
UNOPTIMIZED = ("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")


@contextlib.contextmanager
def networks() -> Iterator[None]:
    """One thread in PyTorch, where more would cost more than they save; XLA without its optimizer.

    That is a third of the time that XLA takes. The program that it is given is the same, and
    whole networks are compared as users run them, in processes of their own.
    """
    threads = torch.get_num_threads()
    optimizer = jax.config.read("jax_disable_most_optimizations")
    torch.set_num_threads(1)
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    torch.set_num_threads(threads)
    jax.config.update("jax_disable_most_optimizations", optimizer)
