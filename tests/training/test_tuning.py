"""Fine-tuning: weights that are left out, parts that are frozen, and rates of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from xgraph import backend
from xgraph.diagnostics import SpecError
from xgraph.programs import Length, Trained

from .programs import (
    CHECKPOINT,
    FRAMEWORKS,
    PLAIN,
    RECIPE,
    SMALL,
    SPEC,
    WEIGHTS,
    Given,
    Program,
    changed,
    differing,
    files,
    loaded,
    log_lines,
    read,
    render,
)
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
    save_file({n: np.float32(0.1 + 0.2 * rng.random(a.shape)) for n, a in begun.items()}, path)
    return path


@pytest.mark.parametrize(
    "parts", ["classifier", ("classifier",), ["classifier.kernel", "classifier.bias"]], ids=str
)
def test_what_is_left_out_stays_as_it_began(
    parts: Any, framework: str, five: dict[str, Program], of_four: Path
) -> None:
    """A text is one part, not one for each of its letters."""
    weights, model = five[framework].module("weights"), create(five[framework], 3)
    begun, given = canonical(weights, model), load_file(of_four)
    left_out = weights.load_weights(model, of_four, parts)
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
    for arguments, what in (
        ([*SYNTHETIC], "--weights"),
        ([*SYNTHETIC, "--weights", "w", "--evaluate"], "training, not --evaluate"),
        (["--predict", "x.png", "--weights", "w"], "training, not --predict"),
    ):
        assert small["torch"].ended(*arguments, "--leave-out", "classifier") == 2
        assert f"--leave-out goes with {what}" in capsys.readouterr().err


# Frozen parts, and rates

FROZEN = ("stem", "stem_norm", "sepconv.0", "norm.0")
#: A batch norm takes this bias away again, so that its gradient is none but for rounding.
UNMOVED = {"sepconv.1.bias"}
#: What could move a weight, besides its gradient.
MOVING = {
    "L2": {"regularization": {"l2": 0.1}},
    "decay": {"regularization": {"decoupled": 0.1}},
    "AdamW": {"optimizer": {"adamw": {"weight_decay": 0.3}}, "regularization": None},
}
Between = Callable[[int, Any], None]
LENGTH = Length(batch_size=6, steps_per_epoch=2, total_steps=4)
RNG = np.random.default_rng(0)
BATCHES = [(RNG.normal(size=(6, 16, 16, 3)), RNG.integers(0, 4, 6)) for _ in range(4)]


def nothing(step: int, training: Any) -> None:
    """Between two updates."""


def begun(program: Any) -> dict[str, np.ndarray]:
    """A program with weights of which none is as a model begins."""
    random = np.random.default_rng(1)
    names = program.weights()
    given = {name: 0.2 + 0.3 * random.random(array.shape) for name, array in names.items()}
    program.set_weights(given)
    return {name: array.copy() for name, array in program.weights().items()}


def trained(
    framework: str,
    recipe: str,
    between: Between = nothing,
    spec: str = SPEC,
    dtype: str = "float64",
) -> tuple[dict[str, np.ndarray], Trained]:
    """The weights before, and what four updates have made of them."""
    program = backend.get(framework).load(files(framework, recipe, spec), dtype)
    before = begun(program)
    return before, program.train(BATCHES, LENGTH, between)


def is_in(name: str, parts: Any) -> bool:
    return any(name.startswith(f"{part}.") for part in parts)


@pytest.mark.parametrize("moving", MOVING)
def test_frozen_weights_stay_to_the_bit(moving: str, framework: str) -> None:
    """With all that could move them on, their average too; and nothing is kept of them."""
    tune = {"freeze": list(FROZEN), "rates": {"classifier": 2}}
    recipe = changed(RECIPE, clip={"norm": 0.5}, ema={"decay": 0.6}, tune=tune, **MOVING[moving])
    before, made = trained(framework, recipe)
    for name, array in before.items():
        now, average = made.state[f"model.{name}"], made.state[f"ema.{name}"]
        same = (np.array_equal(array, now), np.array_equal(array, average))
        if name not in UNMOVED:
            assert same == ((True, True) if is_in(name, FROZEN) else (False, False)), name
    kept = {key.split(".", 2)[2] for key in made.state if key.count(".") > 1 and "optim" in key}
    trainable = {name for name in before if "moving" not in name}
    assert kept == {name for name in trainable if not is_in(name, FROZEN)}


def test_a_part_of_a_frozen_one_may_be_trained(framework: str) -> None:
    """The innermost counts, whichever of the two it is."""
    tune = {"freeze": ["sepconv", "norm.0"], "rates": {"sepconv.1": 1, "norm": 0.5}}
    before, made = trained(framework, changed(RECIPE, tune=tune))
    same = {
        name for name, array in before.items() if np.array_equal(array, made.state[f"model.{name}"])
    }
    assert same == {name for name in before if is_in(name, ("sepconv.0", "norm.0"))} | UNMOVED


def test_frozen_statistics_are_used(framework: str) -> None:
    """The loss in training is that of the model in evaluation; otherwise, it is another."""
    spec = SMALL.replace("rate: 0.2", "rate: 0.0")
    found = []
    for tune in ({"freeze": ["norm"]}, None):
        recipe = changed(PLAIN, tune=tune)
        program = backend.get(framework).load(files(framework, recipe, spec))
        begun(program)
        (logits,) = program.run(BATCHES[0][0])
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        wanted = -np.log(shares[np.arange(6), BATCHES[0][1]]).mean()
        found.append(abs(program.train(BATCHES[:1], LENGTH, nothing).losses[0] - wanted))
    assert found[0] < 1e-12
    assert found[1] > 1e-3


SECTIONS = """\
xgraph: 1
name: sections
params: {rate: 0.5}
input: {shape: [16, 16, 3]}
graph:
  body:
  - {conv: {filters: 8, kernel: 4, stride: 4, padding: valid}, name: stem}
  - {batch_norm: , name: norm}
  - {flatten: , name: flat}
  - {dropout: $rate, name: dropout}
  - {dense: 8, name: inner}
  head: [{dense: 4, name: classifier}]
"""


def test_dropout_in_a_frozen_part_drops(framework: str) -> None:
    """As it does elsewhere; in Keras too, a layer that is not trained is in training mode."""
    found = []
    for rate, frozen in ((0.5, ["body"]), (0.5, ["body.stem", "body.norm"]), (0.0, ["body"])):
        spec = SECTIONS.replace("rate: 0.5", f"rate: {rate}")
        recipe = changed(PLAIN, tune={"freeze": frozen})
        _, made = trained(framework, recipe, spec=spec)
        found.append(made.losses[0])
        assert made.state.get("dropout.passes", 4) == 4
    assert found[0] == pytest.approx(found[1], rel=1e-12)
    assert found[0] != pytest.approx(found[2], rel=1e-3)


def test_evaluation_leaves_what_is_frozen_frozen(framework: str) -> None:
    """That of the model that is trained, which has no average, between two updates."""
    program = backend.get(framework).load(
        files(framework, changed(PLAIN, tune={"freeze": ["norm"]}), SMALL), "float32"
    )
    before = begun(program)
    given = Given(np.float32(BATCHES[1][0]), BATCHES[1][1])
    keys = [[(0, 0), (0, 1)], [(0, 2), (0, 3)]]
    losses = []

    def between(step: int, training: Any) -> None:
        if step == 2:
            measured = loaded(framework, program.modules["loader"], given, keys)
            losses.append(training.evaluate(measured)["loss"])

    made = program.train(BATCHES, LENGTH, between)
    assert np.isfinite(losses[0])
    begun(program)
    wanted = program.train(BATCHES, LENGTH, nothing)
    assert made.losses == wanted.losses
    for name, array in wanted.state.items():
        assert np.array_equal(array, made.state[name]), name
    for name in ("moving_mean", "moving_variance", "gamma", "beta"):
        assert np.array_equal(before[f"norm.{name}"], made.state[f"model.norm.{name}"])
    assert not np.array_equal(before["stem.kernel"], made.state["model.stem.kernel"])


RATES = {"sepconv": 0.1, "sepconv.1": 3, "norm": 0.25, "classifier": 0.5}
FACTORS = {"sepconv.0": 0.1, "sepconv.1": 3, "norm.0": 0.25, "norm.1": 0.25, "classifier": 0.5}


@pytest.mark.parametrize("decay", [None, 0.2])
def test_a_step_by_rates(decay: float | None, framework: str) -> None:
    """w − lr·r·g, of gradients that the model gives; with decay w − lr·r·λ·w − lr·r·g."""
    regularization = decay and {"decoupled": decay}
    recipe = changed(PLAIN, tune={"rates": RATES}, regularization=regularization)
    program = backend.get(framework).load(files(framework, recipe, SPEC))
    before = begun(program)
    gradients = program.gradients(*BATCHES[0]).weights
    before = begun(program)
    made = program.train(BATCHES[:1], LENGTH, nothing)
    assert len(gradients) == len([name for name in before if "moving" not in name])
    for name, gradient in gradients.items():
        rate = 0.1 * FACTORS.get(name.rpartition(".")[0], 1)
        shrunk = before[name] * (rate * decay if decay and name.endswith("kernel") else 0)
        wanted = before[name] - shrunk - rate * gradient
        assert np.allclose(made.state[f"model.{name}"], wanted, rtol=1e-12, atol=1e-14), name


TUNED = changed(
    RECIPE,
    clip={"norm": 0.5},
    tune={"freeze": ["stem", "norm"], "rates": {"classifier": 0.5}},
)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Program]:
    """The smallest network, of which the classifier alone is trained."""
    folder = tmp_path_factory.mktemp("tuned")
    return {
        name: Program(render(folder / name, TUNED, framework=name, spec=SMALL))
        for name in FRAMEWORKS
    }


def test_a_run_is_resumed_to_the_same_bits(
    framework: str, tuned: dict[str, Program], of_four: Path, tmp_path: Path, capsys: Any
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    begin = (*SYNTHETIC, "--weights", of_four)
    tuned[framework].call(*begin, "--output", whole, "--max-steps", 14)
    assert "516 trainable weights" in capsys.readouterr().out
    tuned[framework].call(*begin, "--output", stopped, "--max-steps", 7)
    tuned[framework].call(*SYNTHETIC, "--output", stopped, "--resume", "auto", "--max-steps", 14)
    assert differing(whole / CHECKPOINT, stopped / CHECKPOINT) == []
    given, state = load_file(of_four), load_file(whole / CHECKPOINT)
    for name, array in given.items():
        same = np.array_equal(array, state[f"model.{name}"])
        assert same == (not name.startswith("classifier")), name
    kept = [name for name in state if name.startswith("optimizer.")]
    assert sorted(kept) == [
        "optimizer.momentum.classifier.bias",
        "optimizer.momentum.classifier.kernel",
    ]


def test_a_run_goes_on_in_another_framework(
    tuned: dict[str, Program], of_four: Path, tmp_path: Path
) -> None:
    """In each of the three for some steps, and as if in one."""
    run = tmp_path / "run"
    begin = (*SYNTHETIC, "--weights", of_four)
    for framework, step in (("torch", 3), ("keras", 6), ("flax", 9), ("torch", 12)):
        on = ("--resume", "auto") if step > 3 else ("--weights", of_four)
        tuned[framework].call(*SYNTHETIC, "--output", run, *on, "--max-steps", step)
    whole = tmp_path / "whole"
    tuned["torch"].call(*begin, "--output", whole, "--max-steps", 12)
    found, wanted = load_file(run / CHECKPOINT), load_file(whole / CHECKPOINT)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert np.allclose(found[name], array, rtol=1e-4, atol=1e-6), name
        if "stem" in name or "norm" in name:
            assert np.array_equal(found[name], array), name
    logged, expected = ({line["step"]: line["loss"] for line in log_lines(r)} for r in (run, whole))
    assert len(expected) == 3
    assert {s: logged[s] for s in expected} == pytest.approx(expected, rel=1e-4)


def moved(given: Path, run: Path) -> set[str]:
    """The weights that a run has changed, of those that it began with."""
    before, after = load_file(given), load_file(run / CHECKPOINT)
    return {n for n, array in before.items() if not np.array_equal(array, after[f"model.{n}"])}


@pytest.mark.parametrize("under", ["jax", pytest.param("torch", marks=pytest.mark.slow)])
def test_another_framework_under_keras(
    under: str, tuned: dict[str, Program], of_four: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", under)
    begin = (*SYNTHETIC, "--weights", of_four, "--max-steps", 6)
    tuned["keras"].run(*begin, "--output", tmp_path / "keras")
    tuned["torch"].call(*begin, "--output", tmp_path / "torch")
    found, wanted = (load_file(tmp_path / name / CHECKPOINT) for name in ("keras", "torch"))
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert np.allclose(found[name], array, rtol=1e-4, atol=1e-6), name
    assert moved(of_four, tmp_path / "keras") == {"classifier.kernel", "classifier.bias"}


def test_in_half_precision(framework: str, of_four: Path, tmp_path: Path) -> None:
    """Where the loss is scaled, and so are gradients."""
    recipe = changed(TUNED, precision="float16", regularization={"decoupled": 0.1})
    folder = render(tmp_path / "program", recipe, framework, spec=SMALL)
    run = tmp_path / "run"
    begin = (*SYNTHETIC, "--weights", of_four, "--output", run, "--batch-size", 128)
    Program(folder).call(*begin, "--max-steps", 4)
    assert moved(of_four, run) == {"classifier.kernel", "classifier.bias"}


OTHERS = {
    "freezes less": ({"freeze": ["stem"]}, "FROZEN were 2, not 1"),
    "another rate": (
        {"freeze": ["norm", "stem"], "rates": {"classifier": 0.25}},
        "RATES was {'classifier': 0.5}, not {'classifier': 0.25}",
    ),
    "nothing": (None, "FROZEN was ['norm', 'stem'], not None"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_run_is_not_resumed_with_other_parts(
    other: str, tuned: dict[str, Program], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    tuned["torch"].call(*SYNTHETIC, "--output", run, "--max-steps", 1)
    tune, message = OTHERS[other]
    program = Program(render(tmp_path / "other", changed(TUNED, tune=tune), spec=SMALL))
    said = program.refused(*SYNTHETIC, "--output", run, "--resume", "auto")
    assert message in said


# Errors

WRONG = [
    (
        {"freeze": ["stm"]},
        "10:17: error[XG603]: the model has no weights in 'stm'",
        "did you mean 'stem'",
    ),
    ({"rates": {"classifer": 0.1}}, "no weights in 'classifer'", "did you mean 'classifier'"),
    ({"freeze": ["norm.gamma"]}, "no weights in 'norm.gamma'", "'norm', not its 'gamma'"),
    ({"freeze": ["dropout"]}, "no weights in 'dropout'", ""),
    ({"freeze": ["stem", "norm", "classifier"]}, "nothing of the model is left to train", ""),
]


@pytest.mark.parametrize(("tune", "message", "hint"), WRONG)
def test_a_part_that_the_model_does_not_have(
    tune: Mapping[str, Any], message: str, hint: str, framework: str
) -> None:
    recipe = PLAIN + f"tune: {tune}\n".replace("'", "")
    with pytest.raises(SpecError) as caught:
        files(framework, recipe, SMALL)
    said = str(caught.value)
    assert "recipe.yaml:" in said
    assert message in said
    assert hint in said


TURNS = """\
xgraph: 1
name: turns
input: {shape: [8, 8, 3]}
graph:
  entry: [{conv: {filters: 4, kernel: 1}, name: stem}]
  middle_flow: [{repeat: 3, body: [{conv: {filters: 4, kernel: 1}, name: middle}]}]
  head: [global_avg_pool, {dense: 4, name: classifier}]
"""
MIDDLE = (
    "'middle_flow.middle' is repeated: its turns are "
    "'middle_flow.middle.0' to 'middle_flow.middle.2'"
)


@pytest.mark.parametrize(
    ("part", "hint"),
    [
        *((part, MIDDLE) for part in ("middle", "middle_1", "middle1", "middle.1")),
        *((f"middle_flow.{part}", MIDDLE) for part in ("middle_1", "middle.3", "middle7")),
        ("stem", "did you mean 'entry.stem'?"),
        ("classifier", "did you mean 'head.classifier'?"),
        ("middle_flow.middle.1.kernel", "it is the whole layer that counts"),
        ("stem_1", None),
    ],
)
def test_a_part_by_a_name_of_its_own(part: str, hint: str | None) -> None:
    """That of one turn of a loop, or of a layer without its section."""
    with pytest.raises(SpecError) as caught:
        files("torch", changed(PLAIN, tune={"freeze": [part]}), TURNS)
    [problem] = caught.value.diagnostics
    assert (problem.hint or "").startswith(hint or "")
    assert (problem.hint is None) == (hint is None)


@pytest.mark.parametrize(
    ("tune", "code", "message"),
    [
        ("{freeze: []}", "XG603", "a list of different parts of the model"),
        ("{freeze: [stem, stem]}", "XG603", "a list of different parts of the model"),
        ("{freeze: ['a b']}", "XG603", "a list of different parts of the model"),
        ("{freeze: ['a..b']}", "XG603", "a list of different parts of the model"),
        ("{freeze: ['\"']}", "XG603", "a list of different parts of the model"),
        ("{rates: {stem: 0}}", "XG603", "numbers above 0 and below 1,000,000 by parts"),
        ("{rates: {stem: fast}}", "XG603", "numbers above 0 and below 1,000,000 by parts"),
        ("{freeze: [stem], rates: {stem: 1}}", "XG603", "'stem' is frozen, and has a rate"),
        ("{freezes: [stem]}", "XG601", "freeze"),
        ("stem", "XG603", "a list of different parts of the model"),
    ],
)
def test_a_section_that_cannot_be(tune: str, code: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(PLAIN + f"tune: {tune}\n")
    said = str(caught.value)
    assert "recipe.yaml:10:" in said
    assert f"error[{code}]" in said
    assert message in said
