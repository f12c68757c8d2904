"""`extends` in recipes and `--set recipe.KEY=VALUE`."""

from __future__ import annotations

from pathlib import Path

import pytest

from xgraph.compile import prepare
from xgraph.diagnostics import SpecError
from xgraph.recipe import Recipe, load_recipe
from xgraph.recipe.kinds import Period
from xgraph.recipe.optimizers.adam import Adam
from xgraph.recipe.optimizers.sgd import Sgd

BASE = """\
xgraph_recipe: 1
name: base
epochs: 3
batch_size: 8
optimizer: {sgd: {momentum: 0.9, nesterov: true}}
schedule: {cosine: {initial: 0.1, warmup: {epochs: 1}}}
regularization: {l2: 1e-4}
ema: {decay: 0.9}
loss: softmax_cross_entropy
images: {train: {resize: {stretch: 1.2}, flip: true}, normalize: unit}
"""


def extended(folder: Path, text: str) -> Recipe:
    (folder / "base.yaml").write_text(BASE)
    (folder / "over.yaml").write_text(f"xgraph_recipe: 1\nextends: base.yaml\nname: over\n{text}")
    return load_recipe(folder / "over.yaml")


def test_what_is_not_said_is_the_bases(tmp_path: Path) -> None:
    recipe = extended(tmp_path, "")
    assert recipe.name == "over"
    assert (recipe.epochs, recipe.optimizer) == (3, Sgd(0.9, True))


def test_settings_of_the_same_part_are_laid_over_and_another_part_replaces(tmp_path: Path) -> None:
    assert extended(tmp_path, "optimizer: {sgd: {momentum: 0.8}}").optimizer == Sgd(0.8, True)
    assert extended(tmp_path, "optimizer: adam").optimizer == Adam()
    assert extended(tmp_path, "optimizer: {adam: {beta1: 0.5}}").optimizer == Adam(0.5)


def test_a_value_that_is_a_mapping_is_replaced_whole(tmp_path: Path) -> None:
    recipe = extended(tmp_path, "schedule: {cosine: {warmup: {steps: 7}}}")
    assert recipe.schedule.warmup == Period("steps", 7)
    assert recipe.schedule.peak == 0.1
    images = extended(tmp_path, "images: {train: {resize: {shorter_side: 1.1}}}").images
    assert images.train.resize.how == "shorter_side"
    assert len(images.train.augmentations) == 2  # the crop and the flip


def test_null_removes(tmp_path: Path) -> None:
    recipe = extended(tmp_path, "regularization: null\nema: null")
    assert (recipe.regularization, recipe.ema) == (None, None)
    with pytest.raises(SpecError, match="XG602"):
        extended(tmp_path, "loss: null")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nowhere.yaml", "XG801"),
        ("imagenett", "XG801"),
        ("[a]", "XG801"),
        ("/etc/passwd", "XG801"),
        ("a.yaml", "XG802"),
    ],
)
def test_a_base_that_cannot_be(tmp_path: Path, text: str, code: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"xgraph_recipe: 1\nextends: {text}\nname: a\n")
    with pytest.raises(SpecError, match=code):
        load_recipe(path)


def test_settings_of_the_command_line() -> None:
    settings = [
        "classes=7",
        "recipe.epochs=2",
        "recipe.optimizer=adam",
        "recipe.ema.decay=0.5",
        "recipe.regularization=null",
        "recipe.schedule.exponential.every={steps: 5}",
    ]
    compilation = prepare("xception", settings)
    recipe = compilation.recipe
    assert recipe is not None
    assert (recipe.epochs, recipe.optimizer, recipe.regularization) == (2, Adam(), None)
    assert recipe.ema is not None
    assert recipe.ema.decay == 0.5
    assert recipe.schedule.every == Period("steps", 5)
    assert sorted(compilation.analysis.settings) == sorted(settings)


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("recipe.epochs", "1:1: error[XG804]"),
        ("recipe.epochs=", "1:15: error[XG804]"),
        ("recipe.epoch=3", "1:8: error[XG601]"),
        ("recipe.optimizer.sgd.momentun=0.1", "1:22: error[XG601]"),
        ("recipe.optimizer.sgd.momentum=7", "1:31: error[XG603]"),
        ("recipe.=3", "1:8: error[XG601]"),
    ],
)
def test_mistakes_are_located(setting: str, place: str) -> None:
    with pytest.raises(SpecError) as caught:
        prepare("xception", [setting])
    assert f"--set:{place}" in str(caught.value)


def test_there_must_be_a_recipe(tmp_path: Path) -> None:
    spec = tmp_path / "alone.yaml"
    spec.write_text(
        "xgraph: 1\nname: alone\ninput: {shape: [8, 8, 3]}\ngraph: [flatten, {dense: 2}]\n"
    )
    with pytest.raises(SpecError, match=r"XG804.*no recipe to set this of"):
        prepare(str(spec), ["recipe.epochs=3"])
    assert prepare(str(spec), ["recipe.epochs=3"], "imagenet").recipe.epochs == 3


def test_a_section_that_was_renamed_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="it is called 'ema' now"):
        extended(tmp_path, "average: {decay: 0.9}")
