"""Memory that is freed is used again: an update asks the system for no more of it than once."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

from xgraph import backend
from xgraph.compile import compile_spec

COUNT = """
import json, resource, run

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        b"x" * 2**25
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
run.reuse_memory()
print(json.dumps([before, faults()]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
@pytest.mark.parametrize("said", [{}, {"MALLOC_ARENA_MAX": "4"}], ids=["by default", "told"])
def test_memory_is_used_again(said, tmp_path):
    _, files = compile_spec("xception_mini", backend.get("torch"), recipe="digits")
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        cwd=tmp_path,
        env={**kept, **said},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout)
    assert (after * 4 < before) == (not said)  # what users say of it holds
