"""Every recipe renders to code that a linter finds nothing in, and only to what it says."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from xgraph.diagnostics import SpecError
from xgraph.recipe import recipe_names, recipes_directory

from .conftest import KERNELS, ROOT, Program, read, render

PLAIN = """
xgraph_recipe: 1
name: plain
epochs: 1
batch_size: 4
optimizer: sgd
schedule: {constant: 0.1}
loss: softmax_cross_entropy
images: {normalize: unit}
"""

PARTS = {
    "schedule: {constant: 0.1}": [
        "schedule: {exponential: {initial: 1, rate: 0.9, every: {samples: 3000000}}}",
        "schedule: {cosine: {initial: 0.1, final: 1e-5, warmup: {epochs: 5}}}",
        "schedule: {constant: {rate: 0.1, warmup: {samples: 1000000}}}",
    ],
    "optimizer: sgd": ["optimizer: {sgd: {momentum: 0.9, nesterov: true}}"],
    "loss: softmax_cross_entropy": [
        "loss: {softmax_cross_entropy: 0.1}\nregularization: {l2: 1e-5}"
    ],
    "images: {normalize: unit}": [
        "images: {normalize: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}, "
        "train: {resize: {stretch: 1.07}, flip: true}, holdout: 5000}",
        "images: {normalize: {mean: [0.5], std: [0.25]}, "
        "train: {resize: {shorter_side: 1.1}, crop: center}, evaluate: {resize: {stretch: 1}}}",
    ],
    "name: plain": [
        "name: plain\naverage: {decay: 0.999, warmup: false}",
        "name: plain\nmetrics: [top1, top3, top5]\nprecision: bfloat16\n"
        "every: {log: {epochs: 1}, evaluate: {steps: 10}, checkpoint: {epochs: 2}}",
        'name: plain\ndoc: \'ends """ here \\ and \\n \\u0041 {{ x }} {% y %}\'\nsource: "ü ← λ"',
    ],
}
RECIPES = (
    [PLAIN]
    + [PLAIN.replace(old, new) for old, news in PARTS.items() for new in news]
    + [(recipes_directory() / f"{name}.yaml").read_text() for name in recipe_names()]
)
FACTS = [
    {"input_shape": (299, 299, 3), "classes": 1000},
    {"input_shape": (40, 28, 3), "outputs": (("logits", 1.0), ("auxiliary", 0.4))},
    {"outputs": (("logits", None), ("features", None))},
    {"initializers": {"stem.kernel": "truncated_normal(0.01)", "head.kernel": "he_normal"}},
    {"initializers": {**KERNELS, "stem.kernel": "zeros"}},
]


def test_every_recipe_is_clean_code(tmp_path: Path) -> None:
    combinations = itertools.chain(
        ((recipe, {}) for recipe in RECIPES), ((RECIPES[-1], facts) for facts in FACTS)
    )
    folders = [
        render(tmp_path / str(i), recipe, **facts) for i, (recipe, facts) in enumerate(combinations)
    ]
    files = [str(f / name) for f in folders for name in ("data.py", "weights.py", "train.py")]
    for path in files:
        compile(Path(path).read_text(), path, "exec", dont_inherit=True)
    shown = ", ".join(f'"{folder}"' for folder in folders)
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    for command in (["check", "--config", f"src=[{shown}]"], ["format", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *command, *config, *files]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_recipe_does_not_say_is_not_there(tmp_path: Path) -> None:
    folder = render(tmp_path, PLAIN)
    train = (folder / "train.py").read_text()
    for absent in ("average", "copy", "L2", "MOMENTUM", "nesterov", "canonical", "smoothing"):
        assert absent not in train
    data = (folder / "data.py").read_text()
    for absent in ("transpose(Image", "HOLDOUT", "MEAN"):
        assert absent not in data


def test_a_plain_recipe_trains(tmp_path: Path) -> None:
    program = Program(render(tmp_path / "torch", PLAIN))
    run = tmp_path / "run"
    program.call("--synthetic", "--output", run, "--workers", 0, "--max-steps", 8)
    program.call("--synthetic", "--output", run, "--workers", 0, "--evaluate")


@pytest.mark.parametrize(
    ("images", "shape", "message"),
    [
        ("images: {normalize: unit}", (16, 16, 5), "which the model's input is not"),
        ("images: {normalize: unit}", (64,), "which the model's input is not"),
        (
            "images: {normalize: {mean: [0, 0, 0], std: [1, 1, 1]}}",
            (16, 16, 1),
            "another number of channels",
        ),
    ],
)
def test_a_recipe_that_does_not_fit_the_model(tmp_path, images, shape, message: str) -> None:
    text = PLAIN.replace("images: {normalize: unit}", images)
    with pytest.raises(SpecError, match=r"recipe\.yaml:9:1: error\[XG603\].*" + message):
        render(tmp_path, text, input_shape=shape)


def test_reading_is_repeatable() -> None:
    assert read(PLAIN) == read(PLAIN)
