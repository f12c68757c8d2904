"""Recipes: every bundled one loads, and every mistake is located."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xgraph.diagnostics import Source, SpecError
from xgraph.recipe import Recipe, load_recipe, recipe_names, recipes_directory
from xgraph.recipe.kinds import Normalize, Period, Resize
from xgraph.recipe.optimizers.sgd import Sgd
from xgraph.recipe.reading import read_recipe
from xgraph.recipe.schedules.constant import Constant
from xgraph.recipe.schedules.cosine import Cosine
from xgraph.recipe.schedules.exponential import Exponential
from xgraph.recipe.stop import Stop
from xgraph.spec import loading

MINIMAL = """\
xgraph_recipe: 1
name: small
epochs: 3
batch_size: 8
optimizer: sgd
schedule: {constant: 0.1}
loss: softmax_cross_entropy
images: {normalize: unit}
"""


_WEIGHTED = "loss: {{softmax_cross_entropy: {{class_weights: {}}}}}"


def read(text: str) -> Recipe:
    source = Source("recipe.yaml", text)
    return read_recipe(loading.load(source), source)


def problems(text: str) -> list[tuple[str, str]]:
    """(code, place) of each diagnostic, in file order."""
    with pytest.raises(SpecError) as caught:
        read(text)
    found = caught.value.diagnostics
    return [(d.code, f"{d.span.line}:{d.span.column}") for d in found if d.span]


@pytest.mark.parametrize("name", recipe_names())
def test_every_bundled_recipe_loads(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe == load_recipe(recipes_directory() / f"{name}.yaml")
    assert recipe.doc


def test_imagenet_is_the_papers() -> None:
    recipe = load_recipe("imagenet")
    assert recipe.optimizer == Sgd(momentum=0.9)
    assert recipe.schedule == Exponential(0.045, 0.94, Period("epochs", 2))
    assert recipe.regularization is not None
    assert recipe.regularization.rate == 1e-5
    assert recipe.ema is not None
    assert [str(metric) for metric in recipe.metrics] == ["top1", "top5"]


def test_defaults() -> None:
    recipe = read(MINIMAL)
    assert recipe.optimizer == Sgd(momentum=0.0, nesterov=False)
    assert recipe.schedule == Constant(0.1)
    assert recipe.regularization is None
    assert recipe.ema is None
    assert recipe.precision == "float32"
    assert recipe.images.pixels.normalize == Normalize((0.0,), (1.0,))
    assert recipe.images.train.resize == Resize("shorter_side", 1.0)
    assert recipe.every.evaluate == Period("epochs", 1)


def test_settings_are_normalized() -> None:
    recipe = read(
        MINIMAL.replace("{constant: 0.1}", "{cosine: {initial: 1, warmup: {samples: 640}}}")
        + "metrics: [top5, top1]\nema: 0.9\nregularization: {l2: 1e-4}\n"
    )
    assert recipe.schedule == Cosine(1.0, 0.0, Period("samples", 640))
    assert [str(metric) for metric in recipe.metrics] == ["top1", "top5"]
    assert recipe.ema is not None
    assert recipe.ema.decay == 0.9


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("epochs: 3", "epochs: 0", [("XG603", "3:9")]),
        ("epochs: 3", "epoch: 3", [("XG601", "3:1"), ("XG602", "1:1")]),
        ("name: small", "name: ../x", [("XG603", "2:7")]),
        ("sgd", "adamm", [("XG601", "5:12")]),
        ("sgd", "{sgd: {momentun: 0.9}}", [("XG601", "5:19")]),
        ("sgd", "{sgd: {momentum: 1.5}}", [("XG603", "5:29")]),
        ("sgd", "{sgd: {nesterov: true}}", [("XG603", "5:1")]),
        ("sgd", "[sgd]", [("XG603", "5:12")]),
        ("sgd", "{sgd: {}, adam: {}}", [("XG603", "5:12")]),
        ("{constant: 0.1}", "{constant: {}}", [("XG602", "6:12")]),
        ("{constant: 0.1}", "{constant: -1}", [("XG603", "6:22")]),
        (
            "{constant: 0.1}",
            "{exponential: {initial: 0.1, rate: 0.9, every: {weeks: 2}}}",
            [("XG603", "6:58")],
        ),
        ("schedule: {constant: 0.1}\n", "", [("XG602", "1:1")]),
        ("{normalize: unit}", "{normalize: unti}", [("XG603", "8:21")]),
        ("{normalize: unit}", "{}", [("XG602", "8:1")]),
        ("{normalize: unit}", "{normalize: unit, flip: true}", [("XG601", "8:27")]),
        (
            "{normalize: unit}",
            "{normalize: {mean: [0, 0], std: [1]}, train: {resize: 320}}",
            [("XG603", "8:63"), ("XG603", "8:21")],
        ),
        ("xgraph_recipe: 1", "xgraph_recipe: 2", [("XG603", "1:16")]),
        ("xgraph_recipe: 1\n", "", [("XG602", "1:1")]),
    ],
)
def test_mistakes_are_located(old: str, new: str, expected: list[tuple[str, str]]) -> None:
    assert old in MINIMAL
    assert sorted(problems(MINIMAL.replace(old, new, 1))) == sorted(expected)


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("sgd", "{adamw: {epsilon: 1e-60}}", "1e-60 is 0"),
        ("sgd", "{adamw: {weight_decay: 1e300}}", "1e+300 is infinite"),
        ("sgd", "{adam: {beta2: 0.999999999}}", "0.999999999 is 1"),
        ("sgd", "{rmsprop: {initial: 4e38}}", "4e+38 is infinite"),
        ("{constant: 0.1}", "{constant: 1e-39}", "1e-39 is 0"),
        ("{constant: 0.1}", "{constant: 1e300}", ""),
        ("{constant: 0.1}", "{cosine: {initial: 0.1, final: 1e20}}", ""),
        ("epochs: 3", "epochs: 3\nregularization: {l2: 1e300}", "1e+300 is infinite"),
        ("epochs: 3", "epochs: 3\nclip: {value: 1e39}", "1e+39 is infinite"),
        ("epochs: 3", "epochs: 3\ntune: {rates: {a: 1, b: 1e-50}}", "1e-50 is 0"),
        ("epochs: 3", "epochs: 3\ntune: {rates: {a: 1e7}}", ""),
        ("loss: softmax_cross_entropy", _WEIGHTED.format("[1, 1e300]"), "1e+300 is infinite"),
        ("loss: softmax_cross_entropy", _WEIGHTED.format("[0, 1e-60]"), "1e-60 is 0"),
        ("loss: softmax_cross_entropy", _WEIGHTED.format("[1, -1]"), ""),
        ("unit", "{mean: [0], std: [1e-300]}", "1e-300 is 0"),
        ("unit", "{mean: [-1e300], std: [1]}", "-1e+300 is infinite"),
    ],
)
def test_numbers_that_float32_does_not_hold(old: str, new: str, hint: str) -> None:
    """They end in infinite weights, or in an exception of PyTorch's, or mean something else."""
    with pytest.raises(SpecError) as caught:
        read(MINIMAL.replace(old, new, 1))
    [problem] = caught.value.diagnostics
    assert problem.code == "XG603"
    assert problem.span is not None
    given = f"programs compute in float32, where {hint}" if hint else None
    assert problem.hint == given


def test_numbers_that_float32_holds() -> None:
    """To the ends of its range, and 0 where it may be; what is not computed with may be any."""
    weights = _WEIGHTED.format("[1e-60, 1]")
    text = MINIMAL.replace("{constant: 0.1}", "{cosine: {initial: 9e19, final: 1e-60}}")
    text = text.replace(
        "sgd", "{adamw: {epsilon: 1.2e-38, weight_decay: 3.4e38, beta2: 0.9999999}}"
    )
    text = text.replace("loss: softmax_cross_entropy", weights)
    assert read(text + "stop: {hours: 1e300}\n").stop == Stop(hours=1e300)


def test_a_mistake_reads_well() -> None:
    with pytest.raises(SpecError) as caught:
        read(MINIMAL.replace("constant", "consant"))
    assert str(caught.value) == (
        "recipe.yaml:6:12: error[XG601]: there is no schedule 'consant'\n"
        " 6 | schedule: {consant: 0.1}\n"
        "   |            ^^^^^^^\n"
        "   = expected: one of constant, cosine, exponential, polynomial, step_list\n"
        "   = hint: did you mean 'constant'?"
    )


def test_all_mistakes_are_reported_at_once() -> None:
    text = MINIMAL.replace("epochs: 3", "epochs: x").replace("0.1", "x") + "colour: red\n"
    assert [code for code, _ in sorted(problems(text))] == ["XG601", "XG603", "XG603"]


@pytest.mark.parametrize("text", ["[1, 2]", "3", "a: 1"])
def test_not_a_recipe(text: str) -> None:
    with pytest.raises(SpecError):
        read(text)


@pytest.mark.parametrize("name", ["imagenett", "nowhere/recipe.yaml", "../imagenet", "x.yaml"])
def test_a_recipe_that_is_not_there(name: str) -> None:
    with pytest.raises(SpecError, match="XG604"):
        load_recipe(name)


def test_a_close_name_is_suggested() -> None:
    with pytest.raises(SpecError, match="did you mean 'imagenet'"):
        load_recipe("imagnet")


def test_a_recipe_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL)
    assert load_recipe(str(path)).name == "small"
    path.write_text(MINIMAL + "colour: red\n")
    with pytest.raises(SpecError, match=r"mine\.yaml:9:1: error\[XG601\]"):
        load_recipe(path)


def test_importing_recipes_is_light() -> None:
    code = (
        "import sys, xgraph.recipe;"
        "sys.exit(','.join({'numpy', 'torch', 'jinja2', 'networkx'} & set(sys.modules)) or 0)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
