"""What a worker is asked to do, and what it leaves on disk."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """One program to be brought to life and measured.

    Attributes:
        files: the program, text by file name.
        dtype: what it computes in.
        device: what it computes on, one of `DEVICES`.
        given: .npz with the weights, by canonical name, and with `images` and `labels`, of which
            the first batch is for single passes and all are for training; where there are
            `projections` of the outputs, those of single passes are of them and not of the loss.
        output: folder that receives a .npz for each stage.
        stages: some of `STAGES`.
        steps, steps_per_epoch, total_steps: of training.
        training: the mode that activations are of.
        nudged: begin with weights that are off by `NUDGE`.
        dropout: whether it drops.
    """

    files: dict[str, str]
    dtype: str
    given: str
    output: str
    stages: tuple[str, ...]
    steps: int = 0
    steps_per_epoch: int = 1
    total_steps: int = 1
    training: bool = False
    nudged: bool = False
    device: str = "cpu"
    dropout: bool = True

    def text(self) -> str:
        """The job as a line."""
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def read(text: str) -> Job:
        """The job that a line says."""
        values = json.loads(text)
        return Job(**{**values, "stages": tuple(values["stages"])})


#: What a program can be measured on.
DEVICES = ("cpu", "cuda")

#: What can be measured, in this order: what tells the weights that training would start from, these
#: weights, a pass in evaluation, one in training mode with its gradients, training steps, steps
#: that wait for each other (see `lockstep`), and values of all nodes.
STAGES = ("start", "begin", "evaluation", "training", "steps", "lockstep", "activations")

#: Standard deviation of the relative change of nudged weights: a few roundings.
NUDGE = 1e-15


def result(output: Path, stage: str) -> Path:
    """Where a stage's arrays are."""
    return output / f"{stage}.npz"


def state_file(output: Path, step: int) -> Path:
    """Where, in the stage "lockstep", the state after so many steps is."""
    return output / f"lockstep-{step}.npz"


def save_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write NumPy arrays by name."""
    import numpy as np

    np.savez(path, allow_pickle=False, **arrays)
