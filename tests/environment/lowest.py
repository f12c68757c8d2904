"""Whether the lower bounds in `pyproject.toml` hold: the oldest releases they admit, tried.

    python -m tests.environment.lowest [PART ...]

For each part a fresh environment of this interpreter gets the lowest release of every direct
requirement, and whatever goes with those, and then runs what the part says.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.version import Version

from tests.environment.lock import ROOT, requirements

#: NumPy types its functions anew with each release, and safetensors has come to: what the oldest
#: mypy checks is the code against the types of the releases that are locked.
_STUBS = "-m pip install -q --no-deps -U -c constraints.txt numpy safetensors"
#: By part: extras to install, and the commands to run with its Python, `@` for a folder of its own.
PARTS = {
    "dev": (
        ("dev",),
        ["-m pytest -n 2 -q tests/spec tests/errors tests/golden tests/recipe tests/ir tests/docs "
         "tests/report",
         "-m ruff --version", _STUBS, "-m mypy", "-m build --version"],
    ),
    "torch": (
        ("demo", "tensorboard"),
        ["-m xgraph demo -o @/demo", "-m tests.environment.smoke torch @/smoke",
         "@/smoke/program/train.py --synthetic --max-steps 1 --output @/run --tensorboard"],
    ),
    "keras": (("keras",), ["-m tests.environment.smoke keras @/smoke"]),
    "flax": (("flax",), ["-m tests.environment.smoke flax @/smoke"]),
}  # fmt: skip


def floors(extras: tuple[str, ...]) -> list[str]:
    """The lower bounds as pins; of a package that is required twice, the higher one."""
    bounds: dict[str, Version] = {}
    for one in requirements(extras):
        if one.marker is None or one.marker.evaluate():
            (bound,) = (part.version for part in one.specifier if part.operator == ">=")
            bounds[one.name] = max(bounds.get(one.name, Version("0")), Version(bound))
    return [f"{name}=={bound}" for name, bound in sorted(bounds.items())]


def attempt(part: str) -> bool:
    """Install and run one part; returns whether all went well."""
    extras, commands = PARTS[part]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = folder / "venv/bin/python"
        pins = folder / "floors.txt"
        pins.write_text("".join(f"{pin}\n" for pin in floors(extras)), encoding="utf-8")
        print(f"{part}: {' '.join(floors(extras))}", flush=True)
        steps = [
            [sys.executable, "-m", "venv", folder / "venv"],
            [python, "-m", "pip", "install", "-q", "-c", pins, "-e", f"{ROOT}[{','.join(extras)}]"],
            *([python, *command.replace("@", str(folder / "out")).split()] for command in commands),
        ]
        for step in steps:
            if subprocess.run(step, cwd=ROOT).returncode:
                print(f"{part}: failed at {' '.join(map(str, step[1:]))}", flush=True)
                return False
    print(f"{part}: good", flush=True)
    return True


if __name__ == "__main__":
    results = [attempt(part) for part in sys.argv[1:] or PARTS]
    sys.exit(not all(results))
