"""What is compiled: Flax' update once, and PyTorch's and Keras' where they are asked to."""

from __future__ import annotations

from pathlib import Path

import pytest

from .programs import CHECKPOINT, Program, about, loaded, losses


def test_flax_compiles_an_update_once(small: dict[str, Program]) -> None:
    """For all rates, and for the model that an update gives back as for the first."""
    train, data = (small["flax"].module(name) for name in ("train", "data"))
    dataset = data.Dataset(data.synthetic_data(4, 0)["train"], training=True)
    keys = list(data.training_batches(len(dataset), 5, 0, 0, 4))  # of a size that no other has
    plan = train.Plan(batch_size=5, steps_per_epoch=1, total_steps=4, rate=0.1)
    assert len({train.learning_rate(step, plan) for step in range(4)}) == 4
    training = train.Training(small["flax"].module("model").create_model())
    before = train.update.jitted_fn._cache_size()
    given = loaded("flax", small["flax"].module("loader"), dataset, keys)
    assert len(list(train.updates(training, given, plan))) == 4
    assert train.update.jitted_fn._cache_size() == before + 1


def test_flax_is_not_asked_to(small: dict[str, Program], capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        small["flax"].call("--synthetic", "--compile")
    assert caught.value.code == 2
    assert "unrecognized arguments: --compile" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torch", "keras"])
def test_compiled(
    name: str, small: dict[str, Program], whole_runs: dict[str, Path], tmp_path: Path
) -> None:
    """The same losses, up to rounding."""
    run = tmp_path / "run"
    common = ("--synthetic", "--workers", 0, "--output", run, "--compile")
    small[name].run(*common, "--max-steps", 20)
    small[name].run(*common, "--max-steps", 40, "--resume", "auto")
    assert about(run / CHECKPOINT)["step"] == 40
    assert losses(run) == pytest.approx(losses(whole_runs[name])[:8], rel=1e-3)
