"""Every recipe renders to code that a linter finds nothing in, and only to what it says."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

from tests.training.test_rendering import FACTS, PLAIN, RECIPES

from .conftest import ROOT, Program, render

#: Outputs with and without a weight, and both together.
OUTPUTS = [
    {"outputs": (("logits", 0.5),)},
    {"outputs": (("logits", None), ("a", 0.3), ("b", 0.3), ("features", None))},
]


def test_every_recipe_is_clean_code(tmp_path: Path) -> None:
    combinations = itertools.chain(
        ((recipe, {}) for recipe in RECIPES),
        ((RECIPES[-1], facts) for facts in [*FACTS, *OUTPUTS]),
    )
    folders = [
        render(tmp_path / str(i), recipe, **facts) for i, (recipe, facts) in enumerate(combinations)
    ]
    files = [str(f / name) for f in folders for name in ("data.py", "weights.py", "train.py")]
    for path in files:
        text = Path(path).read_text()
        compile(text, path, "exec", dont_inherit=True)
        assert not re.search(r"^\s*(import|from) (tensorflow|jax|torch)\b", text, re.MULTILINE)
    shown = ", ".join(f'"{folder}"' for folder in folders)
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    for command in (["check", "--config", f"src=[{shown}]"], ["format", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *command, *config, *files]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_recipe_does_not_say_is_not_there(tmp_path: Path) -> None:
    folder = render(tmp_path, PLAIN)
    train = (folder / "train.py").read_text()
    for absent in ("average", "copy", "L2", "MOMENTUM", "nesterov", "is_kernel", "smoothing"):
        assert absent not in train


def test_a_plain_recipe_trains(tmp_path: Path) -> None:
    program = Program(render(tmp_path / "keras", PLAIN))
    run = tmp_path / "run"
    program.call("--synthetic", "--output", run, "--workers", 0, "--max-steps", 4)
    program.call("--synthetic", "--output", run, "--workers", 0, "--evaluate")
