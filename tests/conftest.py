"""What all tests share."""

from __future__ import annotations

import itertools
import sys

import pytest

_tests = itertools.count(1)


@pytest.fixture(autouse=True)
def _compiled_code_is_forgotten():
    """JAX keeps what it compiles for every shape, which in thousands of tests becomes gigabytes."""
    yield
    if next(_tests) % 50 == 0 and "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
