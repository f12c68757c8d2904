"""Write `generated/` anew: `python -m tests.golden.regenerate`; read what changed."""

from pathlib import Path

from xgraph.cli import main

ROOT = Path(__file__).parents[2]
SPECS = ("xception", "inception_v3", "xception_mini")
BACKENDS = ("torch", "keras", "flax")


def regenerate() -> None:
    for spec in SPECS:
        for backend in BACKENDS:
            output = ROOT / "generated" / spec / backend
            main(["compile", spec, "--backend", backend, "-o", str(output), "--force"])


if __name__ == "__main__":
    regenerate()
