"""Training programs of small networks, as xgraph compiles them, run as users do or in this process.

A process that starts TensorFlow does so for seconds, so what can be proven in this one is.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import yaml
from safetensors import safe_open
from safetensors.numpy import load_file

from xgraph import backend
from xgraph.compile import compile_spec
from xgraph.diagnostics import Source
from xgraph.parity.distance import Arrays, distances
from xgraph.recipe import Recipe, reference
from xgraph.recipe.reading import read_recipe
from xgraph.spec import loading

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported by anyone

FRAMEWORKS = ("torch", "keras", "flax")
LAST = 70  # step of runs that are not stopped
CHECKPOINT, WEIGHTS = "checkpoint.safetensors", "weights.safetensors"

#: Every kind of weight, a loop and dropout, in as few operations as that takes.
SPEC = """\
xgraph: 1
name: tiny
params: {classes: 4, rate: 0.2}
input: {shape: [16, 16, 3]}
defaults: {batch_norm: {momentum: 0.9}}
graph:
- {conv: {filters: 8, kernel: 3, stride: 2, padding: same, bias: false}, name: stem}
- {batch_norm: , name: stem_norm}
- relu
- repeat: 2
  body:
  - {separable_conv: {filters: 8, kernel: 3, padding: same, multiplier: 2}, name: sepconv}
  - {batch_norm: {scale: false}, name: norm}
  - relu
- {conv: {filters: 12, kernel: 3, stride: 2, padding: same, groups: 2}, name: grouped}
- {depthwise_conv: {kernel: 3, padding: same}, name: depthwise}
- relu
- {global_avg_pool: , name: pooled}
- {dropout: $rate, name: dropout}
- {dense: $classes, name: classifier}
outputs: {logits: classifier}
"""

#: The smallest with dropout and batch norm, for what has nothing to do with the network.
SMALL = """\
xgraph: 1
name: small
params: {classes: 4, rate: 0.2}
input: {shape: [16, 16, 3]}
defaults: {batch_norm: {momentum: 0.9}}
graph:
- {conv: {filters: 8, kernel: 4, stride: 4, padding: valid, bias: false}, name: stem}
- {batch_norm: , name: norm}
- relu
- {flatten: , name: flat}
- {dropout: $rate, name: dropout}
- {dense: $classes, name: classifier}
outputs: {logits: classifier}
"""

#: One with a second output that is trained, and a third that is not.
AUXILIARY = SMALL.replace("name: small", "name: auxiliary").replace(
    "outputs: {logits: classifier}",
    "- {dense: $classes, from: flat, name: second}\n"
    "outputs: {logits: classifier, auxiliary: {from: second, loss_weight: 0.4}, "
    "features: {from: flat}}",
)

RECIPE = """
xgraph_recipe: 1
name: try_out
epochs: 2
batch_size: 16
optimizer: {sgd: {momentum: 0.9}}
schedule: {exponential: {initial: 0.05, rate: 0.5, every: {epochs: 1}}}
regularization: {l2: 1e-3}
ema: {decay: 0.9}
loss: softmax_cross_entropy
metrics: [top1, top5]
images:
  train: {resize: {shorter_side: 1.25}, crop: random, flip: true}
  normalize: symmetric
every: {log: {steps: 5}, evaluate: {epochs: 1}, checkpoint: {steps: 7}}
"""

#: What every recipe must say, and nothing else.
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


def read(text: str) -> Recipe:
    """A recipe from its text."""
    source = Source("recipe.yaml", text)
    return read_recipe(loading.load(source), source)


def changed(text: str, **settings: Any) -> str:
    """A recipe with other sections; None leaves one out."""
    tree = {**yaml.safe_load(text), **settings}
    return yaml.safe_dump({name: value for name, value in tree.items() if value is not None})


@functools.cache
def files(
    framework: str,
    recipe: str = RECIPE,
    spec: str = SPEC,
    input_shape: tuple[int, ...] = (16, 16, 3),
    classes: int = 4,
) -> Mapping[str, str]:
    """The files of a program, text by name."""
    spec = spec.replace("[16, 16, 3]", str(list(input_shape)))
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("spec.yaml", spec), ("recipe.yaml", recipe)):
            (Path(folder) / name).write_text(text, encoding="utf-8")
        given = str(Path(folder) / "spec.yaml")
        settings = [] if classes == 4 else [f"classes={classes}"]
        named = str(Path(folder) / "recipe.yaml")
        return compile_spec(given, backend.get(framework), settings, named)[1]


def render(folder: Path, recipe: str = RECIPE, framework: str = "torch", **given: Any) -> Path:
    """A program in `folder`; `given` is for `files`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files(framework, recipe, **given).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Program:
    """A program in a folder: run it as a user does, or import its modules."""

    folder: Path

    def start(self, *arguments: object, script: str = "", **options: Any) -> subprocess.Popen[str]:
        """In a process of its own, which runs `script` first."""
        path = str(self.folder / "train.py")
        start = [path]
        if script:
            start = ["-c", f"{script}\nimport sys, train\nsys.argv[0] = {path!r}\ntrain.main()"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",  # tests may run side by side
            "PYTHONPATH": str(self.folder),
        }
        return subprocess.Popen(
            [sys.executable, *start, *map(str, arguments)],
            cwd=self.folder.parent,
            env=environment,
            **pipes,
            **options,
        )

    def run(self, *arguments: object, code: int = 0, **options: Any) -> str:
        """To the end, in a process of its own: stdout, or stderr where a failure is expected."""
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, err
        return err if code else out

    def call(self, *arguments: object) -> None:
        """Run in this process.

        Raises:
            SystemExit: a mistake of the user, with its message; or a signal, with its number.
        """
        import keras

        argv = sys.argv
        sys.argv = ["train.py", *map(str, arguments)]
        try:
            self.module("train").main()
        finally:
            sys.argv = argv
            keras.config.set_dtype_policy("float32")

    def ended(self, *arguments: object) -> int:
        """The status that it ends with where it ends itself, as after a signal."""
        try:
            self.call(*arguments)
        except SystemExit as stopped:
            code = stopped.code
        else:
            raise AssertionError("it went on")
        assert isinstance(code, int), code
        return code

    def refused(self, *arguments: object) -> str:
        """What it says when it ends with an error: one line."""
        try:
            self.call(*arguments)
        except SystemExit as stopped:
            message = str(stopped)
        else:
            raise AssertionError("it went on")
        assert message.startswith("error: "), message
        assert message.count("\n") == 0, message
        return message.removeprefix("error: ")

    def module(self, name: str) -> ModuleType:
        """One of its modules, imported apart from other programs' modules of that name."""
        return _modules(self.folder)[name]


@functools.cache
def _modules(folder: Path) -> dict[str, ModuleType]:
    own = [path.stem for path in folder.glob("*.py")]
    saved = {name: sys.modules.pop(name) for name in own if name in sys.modules}
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        return {name: importlib.import_module(name) for name in own}
    finally:
        sys.path.remove(str(folder))
        for name in own:
            sys.modules.pop(name, None)
        sys.modules.update(saved)


@dataclass(frozen=True)
class Given:
    """Images in memory, and what is known of each, as a loader asks for them."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def load(self, index: int, epoch: int = 0) -> tuple[np.ndarray, Any]:
        """The same in every epoch."""
        return self.images[index], self.labels[index]

    def batch(self, keys: Sequence[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        images, labels = zip(*(self.load(*key) for key in keys), strict=True)
        return np.stack(images), np.stack(labels)


def loaded(
    framework: str,
    loader: ModuleType,
    dataset: Any,
    keys: Sequence[list[tuple[int, int]]],
    workers: int = 0,
) -> Any:
    """Batches as the loader of a framework's program makes them for its own `Training`."""
    if framework == "keras":
        return loader.Batches(dataset, keys, len(keys), workers)
    if framework == "flax":
        return loader.load_batches(dataset, iter(keys), workers)
    return loader.load_batches(dataset, iter(keys), loader.find_device("cpu"), workers)


def in_turn(batches: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The images (B, H, W, C) and labels of such batches."""
    if hasattr(batches, "__len__"):  # Keras asks for them by number
        batches = map(batches.__getitem__, range(len(batches)))
    for images, labels in batches:
        made = np.array(images)
        yield made if made.shape[-1] == 3 else made.transpose(0, 2, 3, 1), np.array(labels)


def log_lines(run: Path) -> list[dict[str, Any]]:
    """The log of a run."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def without_times(run: Path) -> list[dict[str, Any]]:
    """The log of a run, but for what depends on the machine."""
    timed = {"images_per_second", "seconds"}
    return [{k: v for k, v in line.items() if k not in timed} for line in log_lines(run)]


def losses(run: Path) -> list[float]:
    """Of each logged step."""
    return [line["loss"] for line in log_lines(run) if "learning_rate" in line]


def about(checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint says of its run."""
    with safe_open(checkpoint, "numpy") as file:
        return json.loads(file.metadata()["run"])


def differing(one: Path, other: Path) -> list[str]:
    """Names of the arrays that are not the same bits in two files, or in one file alone."""
    a, b = load_file(one), load_file(other)
    return sorted(
        name
        for name in a.keys() | b.keys()
        if name not in a
        or name not in b
        or a[name].dtype != b[name].dtype
        or a[name].tobytes() != b[name].tobytes()
    )


def apart(one: Path, other: Path) -> float:
    """The greatest distance of an array of two checkpoints."""
    a, b = load_file(one / CHECKPOINT), load_file(other / CHECKPOINT)
    assert a.keys() == b.keys()
    return max(distances(Arrays(a), Arrays(b)).values())


@dataclass(frozen=True)
class Reference:
    """What NumPy's reference needs for the run of a program for `reference.SPEC` with seed 0."""

    recipe: Recipe
    dataset: Any
    weights: Mapping[str, np.ndarray]
    plan: reference.Length
    data: ModuleType

    def batches(self, numbers: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Those of these numbers."""
        data, count = self.data, len(self.dataset)
        keys = list(data.training_batches(count, self.recipe.batch_size, 0, 0, max(numbers) + 1))
        return [self.dataset.batch(keys[number]) for number in numbers]


def of_reference(folder: Path, text: str) -> Reference:
    """By a PyTorch program on one device; images and first weights are those of all others."""
    plain = changed(text, devices=None, asynchronous=None)
    one = Program(render(folder, plain, spec=reference.SPEC, input_shape=(2, 2, 3)))
    data, recipe = one.module("data"), read(text)
    source = data.synthetic_data(4, 0)["train"]
    torch.set_default_dtype(torch.float64)
    model = one.module("model").create_model(0)
    torch.set_default_dtype(torch.float32)
    weights = {w.name: w.view.numpy() for w in one.module("weights").canonical_weights(model)}
    steps = len(source) // recipe.batch_size
    plan = reference.Length(recipe.batch_size, steps, 2 * steps, recipe.schedule.peak)
    return Reference(recipe, data.Dataset(source, 0, training=True), weights, plan, data)


def wait_for_step(process: subprocess.Popen[str], run: Path, step: int) -> None:
    """Until a step is in the log."""
    deadline = time.monotonic() + 60
    path = run / "metrics.jsonl"
    while process.poll() is None and time.monotonic() < deadline:
        if path.exists() and f'"step": {step},' in path.read_text():
            return
        time.sleep(0.002)
    process.kill()
    raise AssertionError(process.communicate()[1])
