"""What all tests share."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
import tempfile

import pytest

# It comes with PyTorch's CUDA build, which loads it when it makes the first optimizer. Where
# TensorFlow is loaded by then, that ends the process (segmentation fault, both bring LLVM); the
# other way round all is well. Only tests have two frameworks in one process.
with contextlib.suppress(ImportError):
    import triton  # noqa: F401  # for what it loads

_tests = itertools.count(1)
_CACHE = "JAX_COMPILATION_CACHE_DIR"
_made = pytest.StashKey[str]()


def pytest_configure(config):
    """One cache for what XLA compiles for long, for all processes of this run and no other."""
    if _CACHE not in os.environ:
        config.stash[_made] = os.environ[_CACHE] = tempfile.mkdtemp(prefix="xgraph-tests-")


def pytest_unconfigure(config):
    if folder := config.stash.get(_made, None):
        del os.environ[_CACHE]
        shutil.rmtree(folder, ignore_errors=True)


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
