"""Runs by workers that do not wait for each other, in float64.

A run says of each update which batch its gradients are of and how far they were behind, so that the
same can be done in NumPy.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.numpy import load_file

from xgraph.diagnostics import SpecError
from xgraph.parity.distance import Arrays, distances
from xgraph.recipe import reference
from xgraph.recipe.asynchrony.asynchronous import Asynchronous

from .programs import (
    CHECKPOINT,
    FRAMEWORKS,
    RECIPE,
    Program,
    about,
    apart,
    changed,
    files,
    log_lines,
    losses,
    of_reference,
    read,
    render,
    wait_for_step,
)

#: How far two runs may be apart that are the same but for rounding.
LIMIT = 1e-9
#: All that a server or a worker could forget.
TOGETHER = {
    "precision": "float64",
    "clip": {"norm": 0.5},
    "optimizer": {"sgd": {"momentum": 0.9, "nesterov": True}},
    "every": {"log": {"steps": 1}, "evaluate": {"epochs": 1}, "checkpoint": {"steps": 7}},
}
SYNTHETIC = ("--synthetic", "--workers", 1, "--device", "cpu")
#: PyTorch's runs are the shortest.
TORCH_FIRST = ["torch", *(pytest.param(name, marks=pytest.mark.slow) for name in FRAMEWORKS[1:])]


def asynchronous(staleness: int | None = None, **settings: Any) -> str:
    """A recipe for workers."""
    return changed(RECIPE, asynchronous={"staleness": staleness}, **{**TOGETHER, **settings})


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Program]:
    """Programs of the network with every kind of weight and dropout."""
    folder = tmp_path_factory.mktemp("asynchronous")
    return {name: Program(render(folder / name, asynchronous(), name)) for name in FRAMEWORKS}


def updates(run: Path) -> list[dict[str, Any]]:
    """The lines of the log that are of an update."""
    return [line for line in log_lines(run) if "learning_rate" in line]


def actors(server: subprocess.Popen[str]) -> list[int]:
    """The processes of a server's workers."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, todo = [], [server.pid]
    while todo:
        own = children.get(todo.pop(), [])
        todo += own
        for pid in own:
            try:
                title = Path(f"/proc/{pid}/cmdline").read_text()
            except OSError:
                continue
            if title.startswith("ray::Actor"):
                found.append(pid)
    return found


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_one_worker_is_one_device(
    framework: str, programs: Mapping[str, Program], tmp_path: Path
) -> None:
    """With dropout, and a run that one device goes on with."""
    begin = (*SYNTHETIC, "--output")
    one, some = tmp_path / "one", tmp_path / "some"
    programs[framework].call(*begin, one, "--workers", 0, "--max-steps", 12)
    programs[framework].run(*begin, some, "--max-steps", 9, "--processes", 1)
    assert about(some / CHECKPOINT)["step"] == 9
    assert {line["staleness"] for line in updates(some)} == {0}
    programs[framework].run(*begin, some, "--max-steps", 12, "--resume", "auto")
    worst = apart(one, some)
    print(f"{framework}: {worst:.1e}")
    assert worst < LIMIT
    assert losses(some) == pytest.approx(losses(one), rel=1e-12)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_two_workers_train_as_numpy_says(framework: str, tmp_path: Path) -> None:
    """All that changes, after 20 updates, of which some are by gradients of old weights."""
    text = asynchronous(images={"normalize": "unit"})
    program = Program(
        render(tmp_path / "program", text, framework, spec=reference.SPEC, input_shape=(2, 2, 3))
    )
    run = tmp_path / "run"
    program.run(*SYNTHETIC, "--output", run, "--max-steps", 20, "--processes", 2)
    taken = updates(run)
    versions = [line["step"] - 1 - line["staleness_max"] for line in taken]
    assert sorted(line["batch"] for line in taken) == list(range(20))
    assert max(line["staleness"] for line in taken) >= 1

    own = of_reference(tmp_path / "one", text)
    given = own.recipe, own.weights, own.batches([line["batch"] for line in taken]), own.plan
    *_, last = made = list(reference.train(*given, versions=versions))
    found = load_file(run / CHECKPOINT)
    assert found.keys() == last.state.keys()
    worst = max(distances(Arrays(last.state), Arrays(found)).values())
    stale = sum(version < t for t, version in enumerate(versions))
    print(f"{framework}: {worst:.1e}, {stale} of 20 stale")
    assert worst < LIMIT
    assert losses(run) == pytest.approx([update.loss for update in made], rel=1e-9)
    *_, other = reference.train(*given)  # of weights as they are
    assert max(distances(Arrays(other.state), Arrays(found)).values()) > 1e-4


@pytest.mark.parametrize("staleness", [0, 1])
def test_gradients_are_no_further_behind_than_they_may(staleness: int, tmp_path: Path) -> None:
    """At most so many updates; with 0 it is the run of one device, whoever computes."""
    program = Program(render(tmp_path / "program", asynchronous(staleness)))
    begin = (*SYNTHETIC, "--max-steps", 12, "--output")
    program.run(*begin, tmp_path / "some", "--processes", 3)
    behind = [line["staleness_max"] for line in updates(tmp_path / "some")]
    assert max(behind) == staleness
    if not staleness:
        program.call(*begin, tmp_path / "one", "--workers", 0)
        assert apart(tmp_path / "one", tmp_path / "some") < LIMIT


def test_the_bound_is_the_recipes(programs: Mapping[str, Program]) -> None:
    """What a run waits for is what `Asynchronous` says, which keeps every bound in any order."""
    async_run = programs["torch"].module("async_run")
    draw = random.Random(0)
    for _ in range(500):
        bound = draw.choice([None, 0, 1, 2, 5])
        run = async_run.AsyncRun.__new__(async_run.AsyncRun)
        run.bound = bound
        part = Asynchronous(bound)
        updates = draw.randrange(10)
        versions = [draw.randrange(updates + 1) for _ in range(draw.randrange(5))]
        assert run.fits(updates, versions) == part.reference(updates, versions)
    for bound in (0, 1, 3, 6):  # any order of answers that is admitted
        part, made, working, worst = Asynchronous(bound), 0, [], 0
        for _ in range(2000):
            if len(working) < 4 and part.reference(made, [*working, made]) and draw.random() < 0.6:
                working.append(made)
                continue
            may = [
                place
                for place in range(len(working))
                if part.reference(made + 1, working[:place] + working[place + 1 :])
            ]
            assert may or not working, "they wait for each other"
            if may:
                worst = max(worst, made - working.pop(draw.choice(may)))
                made += 1
        assert worst == bound


@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("framework", TORCH_FIRST)
def test_200_updates_of_which_a_worker_does_not_see_the_end(
    framework: str, workers: int, programs: Mapping[str, Program], tmp_path: Path
) -> None:
    """Others compute what it had: each batch makes one update, and the loss falls."""
    run = tmp_path / "run"
    asked = ("--epochs", 4, "--max-steps", 200, "--processes", workers)
    with programs[framework].start(*SYNTHETIC, "--output", run, *asked) as server:
        wait_for_step(server, run, 40)
        os.kill(actors(server)[0], signal.SIGKILL)
        out, err = server.communicate(timeout=240)
    assert server.returncode == 0, err
    assert f"has ended, killed or out of memory; {workers - 1} of {workers} are left" in out + err
    taken = updates(run)
    assert sorted(line["batch"] for line in taken) == list(range(200))
    behind = [line["staleness_max"] for line in taken]
    first, last = (sum(losses(run)[part]) / 20 for part in (slice(20), slice(-20, None)))
    said = f"{framework}, {workers} workers: loss {first:.3f} to {last:.3f}, staleness"
    print(f"{said} {sum(behind) / 200:.2f} on average, at most {max(behind)}")
    assert last < first / 3
    assert max(behind) > 0


def test_the_last_worker_ends_the_run(programs: Mapping[str, Program], tmp_path: Path) -> None:
    """Within a minute; the checkpoint has all batches before its step, and the run goes on."""
    run = tmp_path / "run"
    begin = (*SYNTHETIC, "--output", run, "--epochs", 50)
    with programs["torch"].start(*begin, "--processes", 2) as server:
        wait_for_step(server, run, 10)
        for pid in actors(server):
            os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        _, err = server.communicate(timeout=60)
        print(f"{time.monotonic() - began:.1f} s\n{err}")
    assert server.returncode == 1
    [line] = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "and was the last; the last checkpoint is untouched" in line
    step = about(run / CHECKPOINT)["step"]
    assert sorted(line["batch"] for line in updates(run)[:step]) == list(range(step))


@pytest.mark.parametrize("framework", TORCH_FIRST)
def test_a_run_that_is_stopped_has_each_batch_once(
    framework: str, programs: Mapping[str, Program], tmp_path: Path
) -> None:
    """What has been begun is done; with other workers it goes on behind that."""
    run = tmp_path / "run"
    begin = (*SYNTHETIC, "--output", run, "--processes")
    with programs[framework].start(*begin, 3) as server:
        wait_for_step(server, run, 10)
        server.send_signal(signal.SIGTERM)
        out, err = server.communicate(timeout=60)
    assert server.returncode == 128 + signal.SIGTERM, err
    step = about(run / CHECKPOINT)["step"]
    assert f"stopped at step {step}" in out
    assert sorted(line["batch"] for line in updates(run)) == list(range(step))
    programs[framework].run(*begin, 2, "--max-steps", step + 9, "--resume", "auto")
    assert sorted(line["batch"] for line in updates(run)) == list(range(step + 9))


#: What is run before a program: a signal as soon as there are workers, before the first batch.
AT_ONCE = """\
import async_run, os, signal
start_workers = async_run.AsyncRun.start_workers
def signalled(run):
    ray = start_workers(run)
    os.kill(os.getpid(), signal.SIGTERM)
    return ray
async_run.AsyncRun.start_workers = signalled
"""


def test_a_run_that_is_stopped_before_its_first_batch(
    programs: Mapping[str, Program], tmp_path: Path
) -> None:
    """It is not taken for one that has ended."""
    run = tmp_path / "run"
    begin = (*SYNTHETIC, "--output", run, "--processes", 2)
    with programs["torch"].start(*begin, script=AT_ONCE) as server:
        out, err = server.communicate(timeout=60)
    assert server.returncode == 128 + signal.SIGTERM, err
    assert "stopped at step 0" in out
    assert about(run / CHECKPOINT)["step"] == 0


def test_a_moving_variance_stays_one(programs: Mapping[str, Program]) -> None:
    """Between what it was and what batches have, however many late workers move it."""
    added = programs["torch"].module("async_run").added
    draw = np.random.default_rng(0)
    for momentum in (0.6, 0.9, 0.99):
        history = [np.ones(3)]
        for t in range(400):
            before = history[max(0, t - int(draw.integers(80)))]
            after = momentum * before + (1 - momentum) * 0.05
            history.append(added(history[-1], before, after, momentum))
            assert (history[-1] >= 0.05 - 1e-12).all()
            assert (history[-1] <= history[-2] + 1e-12).all()


def test_images_that_a_worker_cannot_read_are_named(tmp_path: Path) -> None:
    """As without workers."""
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / "images" / split / name).mkdir(parents=True)
            for number in range(20):
                path = tmp_path / "images" / split / name / f"{number}.png"
                Image.new("RGB", (16, 16), (number, 0, 0)).save(path)
    (tmp_path / "images" / "train" / "a" / "7.png").write_bytes(b"no image")
    text = asynchronous(images={**yaml.safe_load(RECIPE)["images"], "unreadable": 0.5})
    program = Program(render(tmp_path / "program", text, classes=2))
    begin = ("--data", tmp_path / "images", "--device", "cpu", "--output", tmp_path / "run")
    with program.start(*begin, "--workers", 1, "--max-steps", 6, "--processes", 1) as server:
        _, err = server.communicate(timeout=120)
    assert server.returncode == 0, err
    assert "7.png" in err


def test_what_a_worker_cannot_read_is_said(tmp_path: Path) -> None:
    """In a line, as without workers."""
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / "images" / split / name).mkdir(parents=True)
            for number in range(20):
                (tmp_path / "images" / split / name / f"{number}.png").write_bytes(b"no image")
    program = Program(render(tmp_path / "program", asynchronous(), classes=2))
    begin = ("--data", tmp_path / "images", "--device", "cpu", "--output", tmp_path / "run")
    err = program.run(*begin, "--processes", 1, code=1)
    [line] = [line for line in err.splitlines() if line.startswith("error: ")]
    assert ".png" in line
    assert "Traceback" not in err


def test_there_is_no_ray(programs: Mapping[str, Program], tmp_path: Path) -> None:
    begin = (*SYNTHETIC, "--output", tmp_path / "run", "--processes", 2)
    err = programs["torch"].run(*begin, script="import sys; sys.modules['ray'] = None", code=1)
    assert err.splitlines()[-1] == "error: --processes needs the package ray: pip install ray"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"devices": "global"}, "with 'devices' all share a batch"),
        ({"precision": "float16"}, "in float16, a scale of the loss"),
        ({"accumulation": 2}, "an update is by the gradients of one batch"),
        ({"asynchronous": {"staleness": -1}}, "staleness"),
        ({"asynchronous": {"workers": 2}}, "no attribute 'workers'"),
    ],
)
def test_what_does_not_go_with_it_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(changed(RECIPE, **{"asynchronous": {}, **settings}))
    [problem] = caught.value.diagnostics
    assert said in problem.message + str(problem.expected)


def test_programs_without_workers_know_nothing_of_them() -> None:
    for framework in FRAMEWORKS:
        plain = files(framework, RECIPE)
        assert not plain.keys() & {"async_run.py", "exchange.py"}
        assert not any(word in text for text in plain.values() for word in ("import ray", "async"))
