"""Runs on several devices: the same run as on one, by NumPy and by the program itself, in float64.

PyTorch's and Keras' are processes on the CPU. Flax' are devices that one process's CPU is taken
for, and two processes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from xgraph.diagnostics import SpecError
from xgraph.parity.distance import Arrays, distances
from xgraph.recipe import reference

from .programs import (
    CHECKPOINT,
    PLAIN,
    RECIPE,
    Program,
    about,
    apart,
    changed,
    files,
    log_lines,
    of_reference,
    read,
    render,
    wait_for_step,
    without_times,
)

SHARING = ("torch", "keras", "flax")
#: How far two runs may be apart that are the same but for rounding, after 20 updates.
LIMIT = 1e-9
STEPS = 20
#: All that a device could do for itself alone, and should not.
TOGETHER = {
    "precision": "float64",
    "accumulation": 2,
    "clip": {"norm": 0.5},
    "optimizer": {"sgd": {"momentum": 0.9, "nesterov": True}},
}
SYNTHETIC = ("--synthetic", "--workers", 0, "--device", "cpu")


def shared(statistics: str = "global", **settings: Any) -> str:
    """A recipe for several devices."""
    return changed(RECIPE, **{"devices": statistics, **TOGETHER, **settings})


def free_port() -> int:
    """One that nobody listens to."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def launched(framework: str, count: int) -> Iterator[dict[str, Any]]:
    """What each process is told by what a launcher sets."""
    ports = [free_port() for _ in range(count)]
    for number in range(count):
        if framework == "torch":
            own = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": count}
            yield own | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": ports[0]}
        elif framework == "keras":
            cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
            task = {"type": "worker", "index": number}
            yield {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}
        else:
            own = {"JAX_NUM_PROCESSES": count, "JAX_PROCESS_ID": number, "JAX_PLATFORMS": "cpu"}
            yield own | {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{ports[0]}"}


@contextlib.contextmanager
def started(
    program: Program, framework: str, count: int, *arguments: object
) -> Iterator[list[subprocess.Popen[str]]]:
    """A run of so many processes, as a launcher starts them; none is left over."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(program.folder / "train.py"), *map(str, arguments)],
            env={**os.environ, "OMP_NUM_THREADS": "1", **{k: str(v) for k, v in own.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for own in launched(framework, count)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


def on_devices(program: Program, framework: str, count: int, *arguments: object) -> str:
    """A run on so many devices, to the end: what it says."""
    if (framework, count) == ("torch", 1):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            program.call(*arguments)
        torch.set_default_dtype(torch.float32)
        return said.getvalue()
    if framework != "torch":  # it starts by itself what it needs
        flags = f"--xla_force_host_platform_device_count={count}"
        own = {"OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
        environment = {**os.environ, **own}
        command = [sys.executable, str(program.folder / "train.py"), *map(str, arguments)]
        if framework == "keras":
            command += ["--processes", str(count)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout
    with started(program, framework, count, *arguments) as processes:
        said = [process.communicate(timeout=300) for process in processes]
        for process, (_, err) in zip(processes, said, strict=True):
            assert process.returncode == 0, err
        assert not any(out for out, _ in said[1:]), "only the first says anything"
        return said[0][0]


#: PyTorch's runs are the shortest.
TORCH_FIRST = ["torch", *(pytest.param(name, marks=pytest.mark.slow) for name in SHARING[1:])]


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Program]:
    """Programs of the network with every kind of weight and dropout, with global statistics."""
    folder = tmp_path_factory.mktemp("sharing")
    return {name: Program(render(folder / name, shared(), framework=name)) for name in SHARING}


#: Batches whose micro-batches are shared out as 4 and 5 images; Flax wants equal parts.
BATCH = {"torch": 18, "keras": 18, "flax": 20}


@pytest.mark.parametrize("statistics", ["global", "per_replica"])
@pytest.mark.parametrize("framework", SHARING)
def test_two_devices_train_as_numpy_says(framework: str, statistics: str, tmp_path: Path) -> None:
    """Every weight, moving statistic, momentum and average after 20 updates by the reference."""
    text = shared(statistics, images={"normalize": "unit"}, batch_size=BATCH[framework])
    program = Program(
        render(tmp_path / "program", text, framework, spec=reference.SPEC, input_shape=(2, 2, 3))
    )
    begin = (*SYNTHETIC, "--output", tmp_path / "run")
    on_devices(program, framework, 2, *begin, "--max-steps", STEPS)

    own = of_reference(tmp_path / "one", text)
    batches = own.batches(range(STEPS))
    *_, last = reference.train(own.recipe, own.weights, batches, own.plan, replicas=2)
    found = load_file(tmp_path / "run" / CHECKPOINT)
    assert found.keys() == last.state.keys()
    worst = max(distances(Arrays(last.state), Arrays(found)).values())
    print(f"{framework}, {statistics}: {worst:.1e}")
    assert worst < LIMIT


@pytest.mark.parametrize("framework", TORCH_FIRST)
def test_a_run_on_several_devices_is_that_on_one(
    framework: str, sharing: dict[str, Program], tmp_path: Path
) -> None:
    """With dropout; the 64 images that are evaluated make a last batch that is not shared equally.

    Twenty updates, of which seven on another number of devices.
    """
    program, many = sharing[framework], 3 if framework == "flax" else 2
    size = 30 if framework == "flax" else 18
    begin = (*SYNTHETIC, "--batch-size", size, "--output")
    one, some = tmp_path / "one", tmp_path / "some"
    on_devices(program, framework, 1, *begin, one, "--max-steps", STEPS)
    on_devices(program, framework, many, *begin, some, "--max-steps", 13)
    other = 1 if framework == "flax" else 3
    on_devices(program, framework, other, *begin, some, "--max-steps", STEPS, "--resume", "auto")
    worst = apart(one, some)
    print(f"{framework}: {worst:.1e}")
    assert worst < LIMIT
    logged = [line for line in without_times(some) if line["step"] != 13]
    expected = without_times(one)
    assert len(logged) == len(expected)
    for line, wanted in zip(logged, expected, strict=True):
        assert line.pop("loss") == pytest.approx(wanted.pop("loss"), rel=1e-12)
        assert line == wanted  # accuracies are quotients of the same numbers
    evaluated = (*SYNTHETIC, "--evaluate", "--batch-size", 7, "--output", one)
    alone, together = (on_devices(program, framework, n, *evaluated) for n in (1, many))
    assert alone == together


@pytest.mark.slow
def test_without_devices_it_is_the_same_run(sharing: dict[str, Program], tmp_path: Path) -> None:
    """A program for one device goes on with what several have trained, to the same weights."""
    plain = Program(render(tmp_path / "plain", shared(devices=None)))
    begin = (*SYNTHETIC, "--output")
    whole, run = tmp_path / "whole", tmp_path / "run"
    on_devices(plain, "torch", 1, *begin, whole, "--max-steps", 10)
    on_devices(sharing["torch"], "torch", 2, *begin, run, "--max-steps", 5)
    on_devices(plain, "torch", 1, *begin, run, "--max-steps", 10, "--resume", "auto")
    assert apart(whole, run) < LIMIT


@pytest.mark.slow
def test_frameworks_agree_where_each_device_has_statistics(tmp_path: Path) -> None:
    """Two processes of PyTorch, Keras and Flax, and two devices of Flax; not the run of one."""
    begin = (*SYNTHETIC, "--batch-size", 16, "--max-steps", STEPS, "--output")
    programs = {
        name: Program(render(tmp_path / f"of_{name}", shared("per_replica"), name))
        for name in SHARING
    }
    for name, program in programs.items():
        on_devices(program, name, 2, *begin, tmp_path / name)
    for name in ("keras", "flax"):  # as launchers start them
        with started(programs[name], name, 2, *begin, tmp_path / f"{name}_started") as both:
            for process in both:
                assert process.wait(300) == 0
    on_devices(programs["torch"], "torch", 1, *begin, tmp_path / "one")
    for other in ("keras", "flax", "keras_started", "flax_started"):
        assert apart(tmp_path / "torch", tmp_path / other) < LIMIT
    assert apart(tmp_path / "torch", tmp_path / "one") > 1e-3


@pytest.mark.slow
def test_keras_asks_slurm_for_the_others(sharing: dict[str, Program], tmp_path: Path) -> None:
    """By the variables that `srun` sets, on one host."""
    program, begin = sharing["keras"], (*SYNTHETIC, "--batch-size", 18, "--max-steps", 3)
    slurm = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "localhost"}
    slurm |= {"SLURM_STEP_TASKS_PER_NODE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, program.folder / "train.py", *map(str, begin)]
    command += ["--output", tmp_path / "tasks"]
    tasks = [
        subprocess.Popen(
            command, env={**os.environ, **slurm, "SLURM_PROCID": number}, stdout=subprocess.PIPE
        )
        for number in ("0", "1")
    ]
    said = [task.communicate(timeout=120)[0] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0]
    assert b"steps 0 to 3" in said[0]
    assert not said[1]
    on_devices(program, "keras", 1, *begin, "--output", tmp_path / "one")
    assert apart(tmp_path / "one", tmp_path / "tasks") < LIMIT


def test_how_many_share_is_a_fact_where_each_has_statistics(tmp_path: Path) -> None:
    program = Program(render(tmp_path / "program", shared("per_replica")))
    run = tmp_path / "run"
    on_devices(program, "torch", 2, *SYNTHETIC, "--output", run, "--max-steps", 1)
    assert about(run / CHECKPOINT)["facts"]["replicas"] == 2
    said = program.refused(*SYNTHETIC, "--output", run, "--resume", "auto")
    assert "replicas was 2, not 1" in said


@pytest.mark.parametrize("framework", TORCH_FIRST)
def test_a_process_that_is_lost_ends_the_run(
    framework: str, sharing: dict[str, Program], tmp_path: Path
) -> None:
    """Within a minute, with its cause; what is left of the run can be resumed."""
    run = tmp_path / "run"
    begin = (*SYNTHETIC, "--output", run)
    with started(sharing[framework], framework, 2, *begin, "--epochs", 50) as (first, second):
        wait_for_step(first, run, 10)
        second.kill()
        began = time.monotonic()
        _, err = first.communicate(timeout=60)
        print(f"{framework}: {time.monotonic() - began:.1f} s\n{err}")
        assert first.returncode not in (0, None)
    assert "another process has ended" in err
    assert about(run / CHECKPOINT)["step"] == 7


@pytest.mark.slow
@pytest.mark.parametrize("framework", SHARING)
def test_a_signal_to_one_process_stops_all(
    framework: str, sharing: dict[str, Program], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    begin = (*SYNTHETIC, "--output", run, "--epochs", 50)
    with started(sharing[framework], framework, 2, *begin) as (first, second):
        wait_for_step(first, run, 10)
        second.send_signal(signal.SIGTERM)
        out, err = first.communicate(timeout=60)
        assert (first.returncode, second.wait(60)) == (143, 143), err
    step = about(run / CHECKPOINT)["step"]
    assert f"stopped at step {step}; --resume auto continues" in out


@pytest.mark.slow
def test_all_stop_early_at_once(tmp_path: Path) -> None:
    """Where evaluations get no better, which each finds by itself."""
    text = shared(stop={"patience": 1}, every={"evaluate": {"steps": 2}})
    program = Program(render(tmp_path / "program", text))
    run = tmp_path / "run"
    out = on_devices(program, "torch", 2, *SYNTHETIC, "--output", run, "--max-steps", 60)
    assert "the last 1 evaluations were no better" in out
    assert log_lines(run)[-1]["step"] < 60


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_what_cannot_be_shared_out(
    framework: str, sharing: dict[str, Program], tmp_path: Path
) -> None:
    run = ("--output", tmp_path / "run")
    for arguments, said in (
        (("--batch-size", 4), "2 images at a time are too few for 3 devices"),
        (("--evaluate", "--per-class"), "--per-class is answered by one process, not by 3"),
    ):
        with started(sharing[framework], framework, 3, *SYNTHETIC, *run, *arguments) as processes:
            _, err = processes[0].communicate(timeout=60)
            assert f"error: {said}" in err
            assert processes[0].returncode == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("framework", TORCH_FIRST)
def test_an_error_of_the_first_process_ends_all(
    framework: str, sharing: dict[str, Program], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / CHECKPOINT).touch()
    with started(sharing[framework], framework, 2, *SYNTHETIC, "--output", run) as (first, second):
        _, err = first.communicate(timeout=60)
        assert "holds a run: add --resume auto to continue it" in err
        assert (first.returncode, second.wait(60)) == (1, 1)
        said = second.communicate()[1]
        assert "error:" not in said
        assert framework != "torch" or said == ""  # the others' libraries have notes of their own


#: Runs train.py, and says at the very end which threads there are; needs Linux to be asked.
WATCHED = """\
import atexit, pathlib, runpy, sys
threads = lambda: pathlib.Path("/proc/self/task").glob("*/comm")
atexit.register(lambda: print(*{t.read_text().strip() for t in threads()}, file=sys.stderr))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("asked", ["--evaluate", "--max-steps=1"])
def test_no_thread_of_the_group_sees_the_interpreter_end(
    asked: str, sharing: dict[str, Program], tmp_path: Path
) -> None:
    """Else a process that has done its work now and then ends in `terminate called`.

    Neither at its end nor in an error, which is that the folder holds a run.
    """
    run = tmp_path / "run"
    sharing["torch"].call(*SYNTHETIC, "--output", run, "--max-steps", 1)
    program = sharing["torch"].folder
    watched = program / f"watched{asked}.py"
    watched.write_text(WATCHED.replace("sys.argv[0]", repr(str(program / "train.py"))))
    own = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, watched, *map(str, SYNTHETIC), "--output", run, asked],
        env={**os.environ, "OMP_NUM_THREADS": "1", **own, "MASTER_PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ("holds a run" in done.stderr) == (done.returncode == 1) == (asked != "--evaluate")
    threads = done.stderr.splitlines()[-1].split()
    assert "python" in " ".join(threads)
    assert not [name for name in threads if name.startswith(("gloo", "pt_"))]


def test_devices_have_parts_of_each_micro_batch(sharing: dict[str, Program]) -> None:
    part = sharing["torch"].module("shared_run").part
    batch = [(i, 0) for i in range(10)]
    assert [part(batch, n, 3) for n in range(3)] == [batch[:3], batch[3:6], batch[6:]]
    assert part(batch, 1, 2, 2) == [*batch[2:5], *batch[7:]]
    assert part(batch[:1], 0, 2) == []


# Errors


@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_mixed_images_are_refused(mixing: str) -> None:
    with pytest.raises(SpecError, match=f"no {mixing}, or no 'devices'"):
        read(changed(PLAIN, devices="global", images={"normalize": "unit", "train": {mixing: 1}}))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"TF_CONFIG": "{}"}, "TF_CONFIG does not say which workers there are"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}, "task": {"index": 1}}'}, "TF_CONFIG does"),
        ({"KERAS_BACKEND": "jax"}, "Keras trains on several devices on TensorFlow alone"),
    ],
)
def test_keras_cannot_join_others(
    settings: dict[str, str], said: str, sharing: dict[str, Program], tmp_path: Path
) -> None:
    command = [sys.executable, sharing["keras"].folder / "train.py", *map(str, SYNTHETIC)]
    done = subprocess.run(
        [*command, "--output", tmp_path / "run"],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert f"error: {said}" in done.stderr
    assert "Traceback" not in done.stderr


def test_programs_of_one_device_know_nothing_of_it() -> None:
    for framework in SHARING:
        plain = files(framework, RECIPE)
        assert not plain.keys() & {"processes.py", "shared_run.py"}
        assert not any("dist." in text or "mesh" in text for text in plain.values())
        assert not any(
            f"{word} processes" in t for t in plain.values() for word in ("import", "from")
        )


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_dropout_knows_the_place_of_an_image(
    framework: str, sharing: dict[str, Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of a batch are dropped as parts of the whole are."""
    layers, processes = (sharing[framework].module(name) for name in ("layers", "processes"))
    x = torch.ones(7, 5, 2, 2, dtype=torch.float64)
    masks = []
    for before, images in ((0, 7), (0, 3), (3, 4)):
        monkeypatch.setattr(processes, "images_before", lambda before=before: before)
        own = x[before : before + images]
        if framework == "torch":
            layer = layers.Dropout(0.5)
            layer.begin(12)
            masks.append(layer(own).numpy())
        else:
            layer = layers.Dropout(0.5, before=layers.images_before, dtype="float64")
            layer.begin(12)
            masks.append(np.asarray(layer(own.numpy(), training=True)))
    assert np.array_equal(masks[0], np.concatenate(masks[1:]))
    assert 0 < np.count_nonzero(masks[0]) < masks[0].size
