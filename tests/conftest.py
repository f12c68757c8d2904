"""What all tests share."""

from __future__ import annotations

import itertools
import sys

import pytest

_tests = itertools.count(1)


def pytest_addoption(parser):
    parser.addoption("--op", metavar="NAME", help="only tests of one op, the slow ones too")


def pytest_collection_modifyitems(config, items):
    """Tests whose parameters are the op, or a case of another suite that is mapped to it."""
    wanted = config.getoption("--op")
    if wanted is None:
        return
    from xgraph import ops

    if wanted not in ops.names():
        raise pytest.UsageError(f"--op: there is no op '{wanted}'")
    kept, others = [], []
    for item in items:
        values = item.callspec.params.values() if hasattr(item, "callspec") else ()
        named = {getattr(value, "op", value) for value in values if _names_an_op(value)}
        (kept if wanted in named else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = kept


def _names_an_op(value):
    return isinstance(getattr(value, "op", value), str)


@pytest.fixture(autouse=True)
def _compiled_code_is_forgotten():
    """JAX keeps what it compiles for every shape, which in thousands of tests becomes gigabytes."""
    yield
    if next(_tests) % 50 == 0 and "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
