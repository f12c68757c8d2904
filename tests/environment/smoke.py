"""One backend with whatever is installed: every op, a small network, and a short training run.

    python -m tests.environment.smoke BACKEND FOLDER

It needs nothing but what the backend's extra installs; other frameworks and pytest may be missing.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from xgraph import backend, conformance
from xgraph.compile import compile_spec
from xgraph.emit import files

SPEC = "xception_mini"


def main(name: str, folder: Path) -> None:
    """Raises where something is wrong."""
    target = backend.get(name)
    folder.mkdir(parents=True, exist_ok=True)
    seen = set()
    for op, case in conformance.cases():
        if op not in seen:  # the first case of each op; the test suite runs them all
            seen.add(op)
            conformance.check_case(op, case, target, target.load, folder)
    print(f"{name}: {len(seen)} ops", flush=True)

    random = np.random.default_rng(0)
    for part in ("train", "test"):
        for label in ("a", "b"):
            place = folder / "images" / part / label
            place.mkdir(parents=True, exist_ok=True)
            for index in range(8):
                pixels = random.integers(0, 256, (40, 40, 3), np.uint8)
                Image.fromarray(pixels).save(place / f"{index}.png")
    analysis, program = compile_spec(SPEC, target, ["classes=2"])
    files.write(folder / "program", program, files.origin(analysis, name))
    command = [sys.executable, folder / "program/train.py", "--data", folder / "images"]
    subprocess.run([*command, "--output", folder / "run", "--max-steps", "3"], check=True)
    print(f"{name}: {SPEC} trained", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
