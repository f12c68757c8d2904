"""Every recipe renders to code that a linter finds nothing in, and only to what it says."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from xgraph import backend, conformance
from xgraph.compile import Compilation, analyse, emit
from xgraph.diagnostics import SpecError
from xgraph.recipe import recipe_names, recipes_directory
from xgraph.recipe.recipe import PRECISIONS

from .programs import (
    AUXILIARY,
    FRAMEWORKS,
    PLAIN,
    RECIPE,
    SMALL,
    SPEC,
    changed,
    files,
    read,
)

LOSSES = (
    "softmax_cross_entropy",
    {"softmax_cross_entropy": {"label_smoothing": 0.1}},
    "sigmoid_cross_entropy",
    {"softmax_cross_entropy": {"label_smoothing": 0.1, "class_weights": "balanced"}},
    {"sigmoid_cross_entropy": {"over_classes": "mean", "class_weights": [0.1, 2, 3.25, 0]}},
)
MIXED = {"mixup": {"alpha": 0.2}, "cutmix": {"alpha": 1}}
METRICS = (["top1"], ["map3"], ["recall2"], ["top1", "top3", "map3", "map4", "recall3"])
#: Whose lines are the longest.
OPTIMIZERS = ({"rmsprop": {"momentum": 0.9}}, {"adamw": {"weight_decay": 1e-4}})
LONG = "classifier" * 4
#: One by one and together, on as many lines as a constant may take.
TUNED = (
    {"freeze": ["stem"]},
    {"rates": {"classifier": 2}},
    {"freeze": ["stem", "norm", LONG], "rates": {"classifier": 0.125, f"{LONG}.{LONG}": 3e-5}},
)
SPECS = {
    "SPEC": SPEC,
    "AUXILIARY": AUXILIARY,
    "one weighted": SMALL.replace(
        "{logits: classifier}", "{logits: {from: classifier, loss_weight: 0.3}}"
    ),
    "all weighted": AUXILIARY.replace(
        "{logits: classifier,", "{logits: {from: classifier, loss_weight: 2},"
    ),
    "untrained": SMALL.replace("{logits: classifier}", "{logits: classifier, f: {from: flat}}"),
    "long names": AUXILIARY.replace("auxiliary:", f"{'auxiliary' * 7}:").replace(
        "logits:", f"{'logits' * 10}:"
    ),
    "initializers": SPEC.replace("groups: 2}", "groups: 2, kernel_initializer: he_normal}").replace(
        "{dense: $classes", "{dense: {units: $classes, kernel_initializer: zeros}"
    ),
}


def recipes() -> Iterator[str]:
    """Texts: what a recipe may say, each in a place of its own, and some together."""
    yield from (PLAIN, RECIPE)
    yield from ((recipes_directory() / f"{n}.yaml").read_text("utf-8") for n in recipe_names())
    for precision in PRECISIONS:
        yield changed(PLAIN, precision=precision)
        for optimizer in OPTIMIZERS:
            clip, decay = {"norm": 0.5}, {"decoupled": 0.1} if "rmsprop" in optimizer else None
            said = {"optimizer": optimizer, "clip": clip, "regularization": decay}
            yield changed(RECIPE, precision=precision, **said)
    for loss in LOSSES:
        yield from (changed(RECIPE, loss=loss, metrics=metrics) for metrics in METRICS)
    for loss in LOSSES:
        yield changed(PLAIN, loss=loss, images={"normalize": "unit", "train": MIXED})
    for unit in ("steps", "samples", "epochs"):
        often = {"steps" if unit == "samples" else unit: 3_000_000}
        every = dict.fromkeys(("log", "evaluate", "checkpoint"), often)
        warm = {"rate": 0.1, "warmup": {unit: 1_000_000}}
        yield changed(PLAIN, every=every, schedule={"constant": warm})
    hostile = {"doc": 'ends """ here \\ and \\n \\u0041 {{ x }} {% y %}', "source": "ü ← λ"}
    yield changed(PLAIN, **hostile)
    yield changed(PLAIN, doc=" ".join(["word"] * 60), name="n" * 60)


def tuned() -> Iterator[str]:
    """Texts that freeze, and give rates, whatever the network has."""
    for optimizer, tune in itertools.product(("sgd", *OPTIMIZERS), TUNED):
        decay = None if "adamw" in optimizer else {"decoupled": 0.1}
        for text, precision in ((PLAIN, "float32"), (RECIPE, "float16")):
            said = {"optimizer": optimizer, "regularization": decay, "tune": tune}
            yield changed(text, precision=precision, **said)


def rendered(tmp_path: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """(framework, files) of every recipe for one network, and of one recipe for all networks."""
    path = tmp_path / "spec.yaml"
    path.write_text(SMALL, encoding="utf-8")
    for framework in FRAMEWORKS:
        for text in recipes():
            yield framework, files(framework, text, AUXILIARY)
        for spec in SPECS.values():
            yield framework, files(framework, RECIPE, spec)
            yield framework, files(framework, changed(RECIPE, precision="float16"), spec)
            yield framework, files(framework, changed(RECIPE, accumulation=4), spec)
            yield framework, files(framework, changed(RECIPE, loss=LOSSES[-2]), spec)
        analysis = analyse(str(path))
        for case in conformance.part_cases():
            made = Compilation(analysis, conformance.recipe_of(*case))
            yield framework, emit(made, backend.get(framework))
        for statistics in ("global", "per_replica"):
            for settings in ({"accumulation": 4}, {"precision": "float16"}, {"tune": TUNED[0]}):
                shared = Compilation(
                    analysis, read(changed(RECIPE, devices=statistics, **settings))
                )
                yield framework, emit(shared, backend.get(framework))
        for text in tuned():
            yield framework, emit(Compilation(analysis, read(text)), backend.get(framework))


#: What is made of a recipe.
OWN = ("train.py", "parts.py")


def test_every_recipe_is_clean_code(tmp_path: Path) -> None:
    """No unused or undefined name, no long line, no other lint; formatted as by a formatter."""
    folder, texts = tmp_path / "programs", set()
    folder.mkdir()
    for framework, program in rendered(tmp_path):
        for name in (*OWN, "weights.py", "loader.py", "processes.py", "shared_run.py"):
            if (text := program.get(name)) and (framework, text) not in texts:
                compile(text, name, "exec", dont_inherit=True)
                path = folder / f"{framework}_{name[:-3]}_{len(texts)}.py"
                path.write_text(text, encoding="utf-8")
                texts.add((framework, text))
    assert len(texts) > 3 * 40
    rules = "E,F,W,B,UP,SIM,C4,PIE,RET,D1,N"
    options = ["--isolated", "--no-cache", "--line-length", "100", "--target-version", "py311"]
    check = ["check", *options, "--select", rules, "--ignore", "D102,D105,D107,N818"]
    for command in (check, ["format", "--diff", *options]):
        ruff = [sys.executable, "-m", "ruff", *command, str(folder)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


#: What a plain recipe has no use for, in any framework.
ABSENT = {
    *("EMA_DECAY", "Ema", "WithEma", "ema", "evaluated", "deepcopy", "clone"),
    *("L2", "decay_groups", "kernels", "kernels_of", "is_kernel", "chain", "masked"),
    *("MOMENTUM", "nesterov", "memories", "LABEL_SMOOTHING", "label_smoothing", "smooth_labels"),
    *("GradScaler", "LossScale", "scaler", "scaling", "autocast", "promote_types", "set_precision"),
    *("multi_hot", "average_precision", "clip_by_norm", "MAP_K", "warmup"),
    *("class_weights", "CLASS_WEIGHTS", "balanced_weights", "replace"),
    *("accumulated", "ACCUMULATION", "MicroBatches", "EachUpdate", "chunk", "micro_batches"),
    *("mixed", "mixup", "cutmix", "class_shares", "MIXING", "partial"),
    *("together", "SharedRun", "share_of_batch", "mean_of_all", "sums_of_all", "mesh"),
    *("DistributedDataParallel", "average_statistics", "replicate", "sharding"),
    *("SharedGradients", "SharedStatistics", "evaluated_together", "images_before", "take_part"),
    *("ReplicaBatchNorm", "WholeBatchNorm"),
}


def words_of(text: str) -> set[str]:
    """All names in code: of variables, attributes, definitions and keywords."""
    fields = ("id", "attr", "name", "arg")
    nodes = ast.walk(ast.parse(text))
    return {getattr(node, field, None) for node in nodes for field in fields} - {None}


def test_what_a_recipe_does_not_say_is_not_there(framework: str) -> None:
    made = files(framework, PLAIN, SMALL)
    own = {
        "torch": {"partial"},
        "keras": {"evaluated"},
        "flax": {"promote_types"},
    }  # which they always have
    texts = (made[name] for name in ("train.py", "parts.py", "loader.py"))
    found = set[str]().union(*map(words_of, texts))
    assert found & ABSENT == own.get(framework, set())
    assert "copy" not in re.findall(r"^import (\w+)", made["train.py"], re.MULTILINE)
    everything = words_of(files(framework, RECIPE, SMALL)["train.py"])
    assert len(everything & ABSENT) > 4, "none of these words is used any more"
    assert not words_of(made["data.py"]) & {"FLIP", "HOLDOUT", "MEAN", "hold_out"}


def test_programs_import_little(framework: str) -> None:
    """Their framework, and what is named in the documents; a Keras program no framework."""
    made = files(framework)
    modules = set()
    for name, text in made.items():
        for node in ast.walk(ast.parse(text)) if name.endswith(".py") else ():
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module.split(".")[0])
    own = {name[:-3] for name in made if name.endswith(".py")}
    frameworks = {"torch": {"torch"}, "keras": {"keras"}, "flax": {"jax", "flax", "optax"}}
    common = {"numpy", "safetensors", "tqdm", "PIL", "tensorboard"}  # the last on request
    assert modules - own - set(sys.stdlib_module_names) == common | frameworks[framework]


@pytest.mark.parametrize(
    ("images", "shape", "message"),
    [
        ({"normalize": "unit"}, (16, 16, 5), "which the model's input is not"),
        (
            {"normalize": {"mean": [0, 0, 0], "std": [1, 1, 1]}},
            (16, 16, 1),
            "another number of channels",
        ),
    ],
)
def test_a_recipe_that_does_not_fit_the_model(
    images: dict[str, Any], shape: tuple[int, ...], message: str, framework: str
) -> None:
    text = PLAIN.replace("images: {normalize: unit}", f"images: {images}")
    pattern = r"recipe\.yaml:9:1: error\[XG603\].*" + message
    with pytest.raises(SpecError, match=pattern):
        files(framework, text, SMALL, input_shape=shape)


def test_a_model_of_something_else_than_images(framework: str) -> None:
    """There is none: the spec is refused before a recipe can be."""
    spec = "xgraph: 1\nname: rows\ninput: {shape: [64]}\ngraph: [{dense: 4}]\n"
    with pytest.raises(SpecError, match=r"spec\.yaml:3:16: error\[XG403\]"):
        files(framework, PLAIN, spec)


def test_reading_is_repeatable() -> None:
    assert read(PLAIN) == read(PLAIN)
    assert read(RECIPE) == read(RECIPE)
