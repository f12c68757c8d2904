"""The process of one framework: `python -m xgraph.parity.worker BACKEND`.

It reads jobs from standard input, a line each, and answers in lines of JSON: `{"at": …}` while it
works, then `{"done": …}` or `{"error": …}`. In the stage "lockstep" it says `{"at": …, "waits":
true}` before every step and goes on when it has read `{"state": …}`. Frameworks talk on standard
output, so the answers go to a copy of it and all else to standard error.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xgraph import backend
from xgraph.backend import Backend
from xgraph.ops.base import Array
from xgraph.parity.job import NUDGE, Job, result, save_arrays, state_file
from xgraph.programs import (
    Between,
    Length,
    MeasuredProgram,
    Refused,
    State,
    Stopped,
    Trained,
    Training,
)

Say = Callable[[dict[str, Any]], None]
#: What all programs are given, by the names in `Job.given`.
Given = Mapping[str, Array]


def main() -> None:
    """Work until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")

    target = backend.get(sys.argv[1])
    for line in sys.stdin:
        try:
            say({"done": perform(target, Job.read(line), say)})
        except ImportError as error:
            say({"error": f"{error}", "missing": error.name})
        except Refused as error:
            say({"refused": f"{error}"})
        except Stopped as stopped:
            say({"error": f"{stopped.__cause__}", "reached": stopped.reached})
        except Exception as error:  # whatever a framework raises is an answer too
            text = "".join(traceback.format_exception(error))
            say({"error": f"{type(error).__name__}: {error}", "traceback": text})


def perform(target: Backend, job: Job, say: Say) -> dict[str, float]:
    """Do a job; returns seconds by stage, and the process's peak memory in bytes."""
    began = time.perf_counter()
    seconds: dict[str, float] = {}
    say({"at": "importing"})
    program = target.load(job.files, job.dtype, job.device)
    if not job.dropout:
        program.keep_all()
    seconds["load"] = time.perf_counter() - began
    output = Path(job.output)
    output.mkdir(parents=True, exist_ok=True)
    start: dict[str, Array] = {}
    if _FROM_START.intersection(job.stages):
        # As training has them: drawn in float64, held in float32.
        start = {name: value.astype(np.float32) for name, value in program.weights().items()}
    if "start" in job.stages:
        (output / "start.json").write_text(json.dumps(_digests(start)))
    if "begin" in job.stages:
        save_arrays(result(output, "begin"), start)
    with np.load(job.given) as given:
        held = {name: given[name] for name in given.files}
    weights = {
        name.removeprefix("weights/"): value
        for name, value in held.items()
        if name.startswith("weights/")
    }
    for stage in job.stages:
        if stage in ("start", "begin"):
            continue
        say({"at": stage})
        before = time.perf_counter()
        # Training begins where it always does. From weights drawn at random it is chaotic: with a
        # deep network, a high rate and few images, rounding grows to the size of the weights.
        begin = start if stage in ("steps", "lockstep") else weights
        program.set_weights(_nudged(begin) if job.nudged else begin)
        save_arrays(result(output, stage), _STAGES[stage](program, job, held, say))
        seconds[stage] = time.perf_counter() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {**seconds, "peak_memory": peak * (1 if sys.platform == "darwin" else 1024)}


def _evaluation(program: MeasuredProgram, job: Job, given: Given, say: Say) -> dict[str, Array]:
    return _numbered("outputs", program.run(given["images"][0]))


def _training(program: MeasuredProgram, job: Job, given: Given, say: Say) -> dict[str, Array]:
    before = _digests(program.weights())  # copies of all are much where weights are many
    first = given["images"][0]
    count = sum(name.startswith("projections/") for name in given)
    if not count:
        made = program.gradients(first, given["labels"][0])
    else:
        made = program.projected(first, [given[f"projections/{k}"] for k in range(count)])
    after = program.weights()
    statistics = {name: value for name, value in after.items() if _is_statistic(name)}
    now = _digests(after)
    del after
    changed = [name for name in before if name not in statistics and before[name] != now[name]]
    assert not changed, f"a pass without an update changed {changed}"
    return {
        **_numbered("outputs", made.outputs),
        "loss": np.array(made.loss),
        **_under("gradients", made.weights),
        "images": made.images,
        **_under("statistics", statistics),
    }


def _steps(program: MeasuredProgram, job: Job, given: Given, say: Say) -> dict[str, Array]:
    def between(step: int, training: Training) -> None:
        say({"at": "steps", "step": step})

    trained = _train(program, job, given, between)
    return {"losses": np.array(trained.losses), **_by_kind(trained.state)}


def _lockstep(program: MeasuredProgram, job: Job, given: Given, say: Say) -> dict[str, Array]:
    def between(step: int, training: Training) -> None:
        save_arrays(state_file(Path(job.output), step), _by_kind(training.state()))
        say({"at": "lockstep", "step": step, "waits": True})
        path = json.loads(sys.stdin.readline())["state"]
        if path is not None:
            with np.load(path) as held:
                state = {key.partition("/")[2]: held[key] for key in held}
            training.load_state(_nudged(state, "model.") if job.nudged else state)

    trained = _train(program, job, given, between)
    return {"losses": np.array(trained.losses)}


def _train(program: MeasuredProgram, job: Job, given: Given, between: Between) -> Trained:
    images, labels = given["images"], given["labels"]
    batches = zip(images[: job.steps], labels[: job.steps], strict=True)
    length = Length(images.shape[1], job.steps_per_epoch, job.total_steps)
    return program.train(batches, length, between)


def _activations(program: MeasuredProgram, job: Job, given: Given, say: Say) -> dict[str, Array]:
    values = program.activations(given["images"][0], job.training)
    return {f"{path}/{k}": value for path, many in values.items() for k, value in enumerate(many)}


_STAGES: dict[str, Callable[[MeasuredProgram, Job, Given, Say], dict[str, Array]]] = {
    "evaluation": _evaluation,
    "training": _training,
    "steps": _steps,
    "lockstep": _lockstep,
    "activations": _activations,
}
_STATISTICS = frozenset({"moving_mean", "moving_variance"})
#: Stages that have to do with the weights that a program draws itself.
_FROM_START = frozenset({"start", "begin", "steps", "lockstep"})


def _digests(arrays: Mapping[str, Array]) -> dict[str, str]:
    """What tells whether arrays are the same to the bit."""
    return {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}


def _nudged(arrays: Mapping[str, Array], prefix: str = "") -> dict[str, Array]:
    """With a few roundings added to those whose name begins so."""
    random = np.random.default_rng(0)
    return {
        name: value * (1 + NUDGE * random.standard_normal(value.shape))
        if name.startswith(prefix)
        else value
        for name, value in arrays.items()
    }


def _by_kind(state: State) -> dict[str, Array]:
    """A state with the kind of each array before its name, and a slash between."""
    return {f"{_kind(name)}/{name}": array for name, array in state.items()}


def _kind(name: str) -> str:
    part = name.partition(".")[0]
    if part == "model":
        return "statistics" if _is_statistic(name) else "weights"
    return part


def _is_statistic(name: str) -> bool:
    return name.rpartition(".")[2] in _STATISTICS


def _under(kind: str, arrays: dict[str, Array]) -> dict[str, Array]:
    return {f"{kind}/{name}": array for name, array in arrays.items()}


def _numbered(kind: str, arrays: list[Array]) -> dict[str, Array]:
    return {f"{kind}/{number}": array for number, array in enumerate(arrays)}


if __name__ == "__main__":
    main()
