"""Fine-tuning: weights that are left out, parts that are frozen, and rates of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from .programs import FRAMEWORKS, SMALL, WEIGHTS, Program, log_lines, render
from .test_weights import canonical, create

SYNTHETIC = ("--synthetic", "--workers", 0, "--device", "cpu")


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Program]:
    """The smallest network with five classes instead of four."""
    folder = tmp_path_factory.mktemp("five")
    return {
        name: Program(render(folder / name, framework=name, spec=SMALL, classes=5))
        for name in FRAMEWORKS
    }


@pytest.fixture
def of_four(framework: str, small: dict[str, Program], tmp_path: Path) -> Path:
    """Weights of four classes, none of them as a model begins."""
    path = tmp_path / "four.safetensors"
    rng = np.random.default_rng(0)
    begun = canonical(small[framework].module("weights"), create(small[framework], 0))
    save_file({n: rng.normal(size=a.shape).astype(np.float32) for n, a in begun.items()}, path)
    return path


@pytest.mark.parametrize("part", ["classifier", "classifier.kernel classifier.bias"])
def test_what_is_left_out_stays_as_it_began(
    part: str, framework: str, five: dict[str, Program], of_four: Path
) -> None:
    weights, model = five[framework].module("weights"), create(five[framework], 3)
    begun, given = canonical(weights, model), load_file(of_four)
    left_out = weights.load_weights(model, of_four, part.split())
    assert left_out == ["classifier.kernel", "classifier.bias"]
    found = canonical(weights, model)
    for name, array in found.items():
        wanted = begun if name in left_out else given
        assert np.array_equal(array, wanted[name]), name
    assert begun["classifier.kernel"].any()


def test_what_is_left_out_may_be_missing_or_unexpected(
    framework: str, five: dict[str, Program], of_four: Path
) -> None:
    """A new head of another name, and an old one that the model has no more."""
    weights, model = five[framework].module("weights"), create(five[framework], 3)
    given = load_file(of_four)
    given |= {
        "old.kernel": given.pop("classifier.kernel"),
        "old.bias": given.pop("classifier.bias"),
    }
    save_file(given, of_four)
    with pytest.raises(ValueError, match=r"missing: classifier\.bias, classifier\.kernel\n  unexp"):
        weights.load_weights(model, of_four)
    assert len(weights.load_weights(model, of_four, ["classifier", "old"])) == 2
    assert np.array_equal(canonical(weights, model)["stem.kernel"], given["stem.kernel"])


def test_what_is_not_left_out_must_fit(
    framework: str, five: dict[str, Program], of_four: Path
) -> None:
    """And a part is cut at a dot: `class` or `norm.gam` is none."""
    weights, model = five[framework].module("weights"), create(five[framework], 3)
    begun = canonical(weights, model)
    for left_out, message in (
        ([], r"classifier\.kernel \(expected \(128, 5\), received \(128, 4\)\)"),
        (["stem", "norm"], "of another shape: classifier"),
        (["classifier.bias"], r"of another shape: classifier\.kernel"),
        (["clasifier"], "no weights in 'clasifier'; the nearest are classifier, classifier.bias"),
        (["class"], "no weights in 'class'; the nearest are classifier"),
        (["classifier", "norm.gam"], r"no weights in 'norm\.gam'; the nearest are norm\.gamma"),
        (["classifier", ""], "no weights in ''"),
    ):
        with pytest.raises(ValueError, match=message):
            weights.load_weights(model, of_four, left_out)
    given = load_file(of_four)
    save_file({name: a for name, a in given.items() if name != "norm.beta"}, of_four)
    with pytest.raises(ValueError, match=r"missing: norm\.beta$"):
        weights.load_weights(model, of_four, ["classifier"])
    after = canonical(weights, model)
    assert all(np.array_equal(begun[name], after[name]) for name in begun)


def test_a_run_leaves_out_a_head(
    framework: str, five: dict[str, Program], of_four: Path, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "run"
    begin = (*SYNTHETIC, "--output", out, "--max-steps", 1, "--weights", of_four)
    assert "does not fit the model" in five_refused(five[framework], *begin)
    message = five[framework].refused(*begin, "--leave-out", "classifer")
    assert message == (
        "the model has no weights in 'classifer'; "
        "the nearest are classifier, classifier.bias, classifier.kernel"
    )
    assert not out.exists()
    five[framework].call(*begin, "--leave-out", "classifier")
    said = capsys.readouterr().out
    line = f"left out of {of_four}: 2 weights, classifier.kernel, classifier.bias"
    assert said.splitlines().count(line) == 1
    assert log_lines(out)
    assert load_file(out / WEIGHTS)["classifier.kernel"].shape == (128, 5)


def five_refused(program: Program, *arguments: object) -> str:
    """What it says in several lines."""
    with pytest.raises(SystemExit) as stopped:
        program.call(*arguments)
    return str(stopped.value)


def test_leaving_out_is_for_training(small: dict[str, Program], capsys: Any) -> None:
    for arguments in (
        [*SYNTHETIC],
        [*SYNTHETIC, "--weights", "w", "--evaluate"],
        ["--predict", "x.png", "--weights", "w"],
    ):
        assert small["torch"].ended(*arguments, "--leave-out", "classifier") == 2
        assert "--leave-out goes with --weights, to train" in capsys.readouterr().err
