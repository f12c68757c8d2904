"""`constraints.txt` is what the project needs on this Python: no package less and none more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from .lock import EXTRAS, GPU, LOCK, ROOT, minors, project, requirements, write

#: The lock is of Linux on the usual processor; other systems need a few packages more or less.
PLATFORM = {
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_system": "Linux",
    "sys_platform": "linux",
}
#: For what one of them is installed, the other is not, and both need the same.
TWINS = {"tensorflow": "tensorflow-cpu", "tensorflow-cpu": "tensorflow"}


def holds(requirement: Requirement, extras: Iterable[str] = ()) -> bool:
    """Whether it applies on this Python, on the platform of the lock."""
    environment = {**default_environment(), **PLATFORM}
    return requirement.marker is None or any(
        requirement.marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras)
    )


def needed() -> Iterator[tuple[str, Requirement]]:
    """Every requirement, with who has it: direct ones, and those of what is installed for them."""
    todo = [("xgraph", one) for one in requirements(EXTRAS) if holds(one)]
    seen = set()
    while todo:
        whose, one = todo.pop()
        name = canonicalize_name(one.name)
        if GPU.match(name):
            continue
        yield whose, one
        if (name, *sorted(one.extras)) in seen:
            continue
        seen.add((name, *sorted(one.extras)))
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            lines = metadata.requires(TWINS[name]) or []
        found = map(Requirement, lines)
        todo += [(name, other) for other in found if holds(other, one.extras)]


@pytest.fixture(scope="module")
def pins() -> dict[str, Version]:
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    here = [
        one for one in map(Requirement, (s for s in lines if not s.startswith("#"))) if holds(one)
    ]
    assert len({one.name for one in here}) == len(here)
    return {one.name: Version(str(one.specifier).removeprefix("==")) for one in here}


def test_the_lock_names_what_is_needed(pins):
    assert pins.keys() == {canonicalize_name(one.name) for _, one in needed()}


def test_the_lock_keeps_every_range(pins):
    wrong = [
        f"{whose}: {one}, not {pins[canonicalize_name(one.name)]}"
        for whose, one in needed()
        if not one.specifier.contains(pins[canonicalize_name(one.name)], prereleases=True)
    ]
    assert not wrong


def test_the_lock_is_for_any_machine():
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            one = Requirement(line)
            assert one.name == canonicalize_name(one.name)
            assert one.url is None
            assert not GPU.match(one.name)
            assert Version(str(one.specifier).removeprefix("==")).local is None


def test_a_line_for_each_version():
    text = write(
        {
            "same": {11: "1", 12: "1", 13: "1"},
            "newer": {11: "1", 12: "2", 13: "2"},
            "three": {11: "1", 12: "2", 13: "3"},
            "old": {11: "1"},
            "middle": {12: "1"},
        }
    )
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        "middle==1 ; python_version >= '3.12' and python_version <= '3.12'",
        "newer==1 ; python_version <= '3.11'",
        "newer==2 ; python_version >= '3.12'",
        "old==1 ; python_version <= '3.11'",
        "same==1",
        "three==1 ; python_version <= '3.11'",
        "three==2 ; python_version >= '3.12' and python_version <= '3.12'",
        "three==3 ; python_version >= '3.13'",
    ]


def test_supported_pythons():
    required = SpecifierSet(project()["requires-python"])
    assert f"3.{minors()[0]}" in required
    assert f"3.{minors()[0] - 1}" not in required
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    *others, last = (f"3.{minor}" for minor in minors())
    assert f"With Python {', '.join(others)} or {last} as `python3`" in readme


def test_a_missing_interpreter_is_said():
    """The lock is not written without one of them."""
    before = LOCK.read_bytes()
    command = [sys.executable, "-m", "tests.environment.lock", "no-such-python"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr == "no-such-python: there is no such interpreter\n"
    assert LOCK.read_bytes() == before
