"""Make `constraints.txt` anew: the newest releases that go together, for each supported Python.

    python -m tests.environment.lock [INTERPRETER ...]

Without arguments, `python3.11` and the like are looked for by the versions that `pyproject.toml`
names. Each interpreter's own pip resolves what `.[dev]`, `.[all]` and `.[demo]` need, in a fresh
environment and without installing anything.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "constraints.txt"
EXTRAS = ("all", "demo", "dev")
#: PyTorch's release is chosen by hand, so that pip takes the CPU build of it where one is at hand.
HELD = {"torch": "2.13.0"}
#: What only a GPU needs. PyTorch's CUDA build names the releases that it was made with.
GPU = re.compile(r"(nvidia|cuda)-|triton$")
HEADER = """\
# One release of each package for each supported Python: direct and
# indirect requirements of `.[dev]`, `.[all]` and `.[demo]`. Remade by `make lock`; not edited.
# Libraries for GPUs are not here: those builds bring the ones that they were made with.
"""

#: By package, its version by Python's minor version.
Pins = Mapping[str, Mapping[int, str]]


def project() -> Mapping[str, Any]:
    """What `pyproject.toml` says of the project."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        return tomllib.load(file)["project"]


def minors() -> list[int]:
    """The minor versions of Python 3 that the project supports."""
    pattern = re.compile(r"Programming Language :: Python :: 3\.(\d+)")
    found = [pattern.fullmatch(line) for line in project()["classifiers"]]
    return sorted(int(match[1]) for match in found if match)


def requirements(extras: Iterable[str]) -> list[Requirement]:
    """The direct requirements of the project with some extras, those of other extras included."""
    said = project()
    lines = list(said["dependencies"])
    wanted, seen = list(extras), set()
    while wanted:
        extra = wanted.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for line in said["optional-dependencies"][extra]:
            requirement = Requirement(line)
            if requirement.name == said["name"]:
                wanted += requirement.extras
            else:
                lines.append(line)
    return [Requirement(line) for line in dict.fromkeys(lines)]


def resolve(interpreter: str) -> tuple[int, dict[str, str]]:
    """The minor version of an interpreter, and what its pip would install, by name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([interpreter, "-m", "venv", folder / "venv"], check=True)
        held = folder / "held.txt"
        held.write_text("".join(f"{name}=={version}\n" for name, version in HELD.items()))
        command = [folder / "venv/bin/pip", "install", "--quiet", "--dry-run"]
        command += ["--report", folder / "report.json", "-c", held]
        subprocess.run([*command, *map(str, requirements(EXTRAS))], check=True)
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    found = {}
    for one in report["install"]:
        package = canonicalize_name(one["metadata"]["name"])
        if not GPU.match(package):
            found[package] = Version(one["metadata"]["version"]).public
    _, minor = report["environment"]["python_version"].split(".")
    return int(minor), found


def write(pins: Pins) -> str:
    """The text of the lock: a line for each package, or for each version where Pythons differ."""
    known = sorted({minor for versions in pins.values() for minor in versions})
    lines = []
    for name, versions in sorted(pins.items()):
        runs: list[list[int]] = []  # neighbouring Pythons with one version
        for minor in sorted(versions):
            if runs and runs[-1][-1] == minor - 1 and versions[minor - 1] == versions[minor]:
                runs[-1].append(minor)
            else:
                runs.append([minor])
        for run in runs:
            line = f"{name}=={versions[run[0]]}"
            if len(runs) > 1 or len(run) < len(known):
                bounds = [f"python_version >= '3.{run[0]}'"] if run[0] != known[0] else []
                if run[-1] != known[-1]:
                    bounds.append(f"python_version <= '3.{run[-1]}'")
                line += f" ; {' and '.join(bounds)}" if bounds else ""
            lines.append(line)
    return HEADER + "\n".join(lines) + "\n"


def main(interpreters: list[str]) -> None:
    """Resolve on each interpreter and write the file."""
    interpreters = interpreters or [f"python3.{minor}" for minor in minors()]
    for interpreter in interpreters:
        if shutil.which(interpreter) is None:
            sys.exit(f"{interpreter}: there is no such interpreter")
    pins: dict[str, dict[int, str]] = {}
    for interpreter in interpreters:
        minor, found = resolve(interpreter)
        print(f"Python 3.{minor}: {len(found)} packages", file=sys.stderr)
        for name, version in found.items():
            pins.setdefault(name, {})[minor] = version
    missing = set(minors()) - {minor for versions in pins.values() for minor in versions}
    if missing:
        sys.exit(f"no interpreter was given for Python 3.{', 3.'.join(map(str, sorted(missing)))}")
    LOCK.write_text(write(pins), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
