"""What all tests share."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import mmap
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

# It comes with PyTorch's CUDA build, which loads it when it makes the first optimizer. Where
# TensorFlow is loaded by then, that ends the process (segmentation fault, both bring LLVM); the
# other way round all is well. Only tests have two frameworks in one process.
with contextlib.suppress(ImportError):
    import triton  # noqa: F401  # for what it loads

_tests = itertools.count(1)
_CACHE = "JAX_COMPILATION_CACHE_DIR"
_made = pytest.StashKey[str]()
#: Emitters of loops that are fused, which take XLA a third of its time for tiny networks.
_EMITTERS = "xla_cpu_use_fusion_emitters"


def pytest_configure(config):
    """One cache for what XLA compiles for long, for all processes of this run and no other.

    What it compiles it compiles in less time, in this run's processes and those that they start.
    """
    if _CACHE not in os.environ:
        config.stash[_made] = os.environ[_CACHE] = tempfile.mkdtemp(prefix="xgraph-tests-")
    if "XLA_FLAGS" not in os.environ and all(map(_knows_emitters, ("jaxlib", "tensorflow"))):
        os.environ["XLA_FLAGS"] = f"--{_EMITTERS}=false"


def _knows_emitters(package):
    """Whether the package's XLA has the flag: one that it does not know ends the process."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return True
    for path in Path(spec.submodule_search_locations[0]).glob("lib*_c[co]*"):
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held,
        ):
            if held.find(_EMITTERS.encode()) >= 0:
                return True
    return False


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
