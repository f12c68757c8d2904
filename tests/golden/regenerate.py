"""Write `generated/` anew: `python -m tests.golden.regenerate`; read what changed."""

import shutil
from pathlib import Path

from xgraph.cli import main

ROOT = Path(__file__).parents[2]
SPECS = ("xception", "inception_v3", "xception_mini")
BACKENDS = ("torch", "keras", "flax")


def regenerate() -> None:
    for spec in SPECS:
        for backend in BACKENDS:
            output = ROOT / "generated" / spec / backend
            shutil.rmtree(output, ignore_errors=True)  # what git has is the record of edits
            main(["compile", spec, "--backend", backend, "-o", str(output)])


if __name__ == "__main__":
    regenerate()
