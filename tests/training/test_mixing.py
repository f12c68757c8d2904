"""Programs that mix images: the same batches, losses of shares of classes, and runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xgraph import backend, conformance

from ..turns import by_turns
from .programs import (
    CHECKPOINT,
    FRAMEWORKS,
    PLAIN,
    SMALL,
    Program,
    about,
    changed,
    differing,
    files,
    in_turn,
    loaded,
    losses,
    read,
    render,
    without_times,
)

MIXED = {"mixup": {"alpha": 0.4}, "cutmix": {"alpha": 1}, "flip": True}
IMAGES = {"normalize": "symmetric", "train": MIXED}
LOSSES = (
    "softmax_cross_entropy",
    {"softmax_cross_entropy": {"label_smoothing": 0.1}},
    {"softmax_cross_entropy": {"label_smoothing": 0.1, "class_weights": [0.3, 2, 0, 1.7]}},
    {"softmax_cross_entropy": {"class_weights": "balanced"}},
    "sigmoid_cross_entropy",
    {"sigmoid_cross_entropy": {"over_classes": "mean", "class_weights": [0.3, 2, 0, 1.7]}},
)


@pytest.mark.parametrize(("loss", "framework"), by_turns(map(json.dumps, LOSSES), always=()))
def test_losses_of_shares(loss: str, framework: str, tmp_path: Path) -> None:
    """50 updates in float64, against NumPy, by labels that are shares of all classes."""
    recipe = read(changed(PLAIN, loss=json.loads(loss), images=IMAGES))
    worst = conformance.check_part(recipe, backend.get(framework), tmp_path)
    print(f"{framework}, {loss}: {worst:.1e}")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Program]:
    """A program of each framework that mixes."""
    folder = tmp_path_factory.mktemp("mixed")
    every = {"log": {"steps": 1}, "evaluate": {"steps": 4}, "checkpoint": {"steps": 1}}
    text = changed(PLAIN, images=IMAGES, batch_size=128, every=every, epochs=2)
    return {name: Program(render(folder / name, text, name, spec=SMALL)) for name in FRAMEWORKS}


def batches(program: Program, framework: str, workers: int, start: int = 60) -> list[Any]:
    """Those of a few steps around the end of an epoch."""
    data = program.module("data")
    dataset = data.Dataset(data.synthetic_data(4, 0)["train"], seed=2, training=True)
    keys = list(data.training_batches(len(dataset), 16, 2, start, 68))
    return list(in_turn(loaded(framework, program.module("loader"), dataset, keys, workers)))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_are_the_same_in_all_programs(
    workers: int, framework: str, programs: dict[str, Program]
) -> None:
    """To the bit, for any number of workers, and from any step on."""
    data = programs["torch"].module("data")
    dataset = data.Dataset(data.synthetic_data(4, 0)["train"], seed=2, training=True)
    keys = list(data.training_batches(len(dataset), 16, 2, 60, 68))
    made = batches(programs[framework], framework, workers)
    assert len(made) == len(keys) == 8
    kinds = set()
    for batch, (images, labels) in zip(keys, made, strict=True):
        each, own = zip(*(dataset.load(*key) for key in batch), strict=True)
        wanted = dataset.mixed(batch[0], np.stack(each), np.array(own))
        assert images.dtype == labels.dtype == np.float32
        assert np.array_equal(images, wanted[0])
        assert np.array_equal(labels, wanted[1])
        kinds.add(bool((images == np.stack(each)).mean() > 0.02))
        assert not np.array_equal(images, np.stack(each))
    assert kinds == {True, False}, "only one way of mixing was seen"
    later = batches(programs[framework], framework, workers, start=63)
    for (images, labels), wanted in zip(later, made[3:], strict=True):
        assert np.array_equal(images, wanted[0])
        assert np.array_equal(labels, wanted[1])


def test_what_is_evaluated_is_not_mixed(framework: str, programs: dict[str, Program]) -> None:
    program = programs[framework]
    data = program.module("data")
    dataset = data.Dataset(data.synthetic_data(4, 0)["test"])
    keys = list(data.evaluation_batches(len(dataset), 16))
    made = in_turn(loaded(framework, program.module("loader"), dataset, keys))
    for batch, (images, labels) in zip(keys, made, strict=True):
        assert labels.tolist() == [dataset.load(*key)[1] for key in batch]
        assert np.array_equal(images, np.stack([dataset.load(*key)[0] for key in batch]))


RUN = ("--synthetic", "--workers", 2)


@pytest.fixture(scope="module")
def runs(programs: dict[str, Program], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each framework, two epochs of eight steps."""
    folder = tmp_path_factory.mktemp("runs")
    for name, program in programs.items():
        program.call(*RUN, "--output", folder / name)
    return folder


def test_runs_of_all_frameworks_are_the_same(runs: Path) -> None:
    found = [losses(runs / name) for name in FRAMEWORKS]
    assert len(found[0]) == 16
    for other in found[1:]:
        assert np.allclose(found[0], other, rtol=1e-4)
    shown = [without_times(runs / name)[-1] for name in FRAMEWORKS]
    assert all(line["loss"] == pytest.approx(shown[0]["loss"], rel=1e-4) for line in shown)


def test_a_run_goes_on_in_mid_epoch_to_the_same_bits(
    framework: str, programs: dict[str, Program], runs: Path, tmp_path: Path
) -> None:
    program, cut = programs[framework], tmp_path / "cut"
    program.call(*RUN, "--output", cut, "--max-steps", 11)
    program.call("--synthetic", "--workers", 0, "--output", cut, "--resume", "auto")
    assert differing(runs / framework / CHECKPOINT, cut / CHECKPOINT) == []
    assert without_times(cut)[-1] == without_times(runs / framework)[-1]


def test_how_images_are_mixed_is_a_fact_of_a_run(
    programs: dict[str, Program], runs: Path, tmp_path: Path
) -> None:
    said = "cutmix, alpha 1.0, of 0.5; mixup, alpha 0.4, of 0.5"
    assert about(runs / "torch" / CHECKPOINT)["facts"]["mixing"] == said
    images = {**IMAGES, "train": {**MIXED, "mixup": {"alpha": 0.5}}}
    text = changed(PLAIN, images=images, batch_size=128, epochs=2)
    other = Program(render(tmp_path / "other", text, spec=SMALL))
    message = other.refused(*RUN, "--output", tmp_path / "run", "--resume", runs / "torch")
    assert "is of another run: mixing was cutmix, alpha 1.0" in message


def test_programs_that_do_not_mix_have_nothing_of_it(framework: str) -> None:
    """They are what they are beside one that does but for its own lines."""
    plain = files(framework, changed(PLAIN, images={**IMAGES, "train": {"flip": True}}), SMALL)
    mixing = files(framework, changed(PLAIN, images=IMAGES), SMALL)
    same = {name for name in plain if plain[name] == mixing[name]}
    assert {name for name in plain if name.endswith(".py")} - same <= {
        "data.py",
        "train.py",
        "parts.py",
    }
    assert "data.py" not in same
    for word in ("mixed", "mixup", "cutmix", "class_shares", "MIXING"):
        assert not any(word in plain[name] for name in ("data.py", "loader.py", "train.py")), word
    lines = set(plain["data.py"].splitlines()) - set(mixing["data.py"].splitlines())
    assert lines == {"        return np.stack(images), np.stack(labels)"}


def test_an_image_that_cannot_be_read(framework: str, programs: dict[str, Program]) -> None:
    """An error of a loader arrives as such, mixed or not."""
    program = programs[framework]
    data = program.module("data")

    class Broken:
        labels = np.zeros(64, np.int64)

        def __len__(self) -> int:
            return 64

        def __getitem__(self, index: int) -> Any:
            raise data.DataError(f"image {index} is broken")

    dataset = data.Dataset(Broken(), training=True)
    keys = [[(index, 0) for index in range(4)]]
    made = loaded(framework, program.module("loader"), dataset, keys)
    with pytest.raises(data.DataError, match="is broken"):
        list(made.each() if framework == "keras" else made)
