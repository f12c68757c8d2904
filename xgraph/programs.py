"""A generated program in this process, to be measured rather than run.

A backend brings a class that does what `MeasuredProgram` says; `import_files` helps it.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from xgraph.ops.base import Array


class Program(Protocol):
    """A generated program in this process. Arrays are NumPy's, channels last.

    It is made from (files, dtype), as `Backend.load` does. Dropout has the masks of a run with seed
    0, whose first pass in training is the first after `set_weights`.
    """

    def weights(self) -> dict[str, Array]:
        """A copy of every weight, by canonical name and in canonical layout."""

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Copy weights into the model; the passes of dropout are counted from 0 again."""

    def run(self, images: Array, training: bool = False) -> list[Array]:
        """The outputs in the order of the spec; training updates moving statistics.

        It also counts a pass of dropout.
        """


@dataclass(frozen=True)
class Gradients:
    """A forward pass in training mode and the gradients of its loss, or of a projection.

    `weights` are the gradients of the trainable weights by canonical name, in canonical layout;
    `images` is that of the input.
    """

    outputs: list[Array]
    loss: float
    weights: dict[str, Array]
    images: Array


@dataclass(frozen=True)
class Length:
    """How long the run is that steps are taken from; a schedule depends on it."""

    batch_size: int
    steps_per_epoch: int
    total_steps: int


#: What training carries from one update to the next, by the names of a checkpoint: "model.NAME" for
#: every weight of the model, moving statistics too, "optimizer.MEMORY.NAME" for what the optimizer
#: keeps of a trainable weight, "ema.NAME" for the moving average of a weight, and what else there
#: is. NAME is canonical, and the layout too.
State = Mapping[str, Array]


class Training(Protocol):
    """Training by the program's own code, between two updates."""

    def state(self) -> State:
        """A copy of its state."""

    def load_state(self, state: State) -> None:
        """Go on from another program's state; it has taken as many updates."""


#: Called before the first update and after each, with the number of updates that were taken.
Between = Callable[[int, Training], None]


@dataclass(frozen=True)
class Trained:
    """The losses of a few updates by the program's own training code, and what they left."""

    losses: list[float]
    state: State


class MeasuredProgram(Program, Protocol):
    """What `xgraph parity` asks of a program besides."""

    def gradients(self, images: Array, labels: Array) -> Gradients:
        """One pass forward and back; moving statistics change, weights do not."""

    def projected(self, images: Array, projections: Sequence[Array]) -> Gradients:
        """The same, where the loss is Σ outputs · projections; the program needs no recipe."""

    def train(
        self,
        batches: Iterable[tuple[Array, Array]],
        length: Length,
        between: Between,
    ) -> Trained:
        """Updates by the recipe, from the first step on."""

    def activations(self, images: Array, training: bool) -> dict[str, list[Array]]:
        """The values of nodes by path, those of a node in a loop in the order of their making.

        Where the backend has probed programs (`Compilation.probed`), this is called on one.
        """


#: In the order in which they import each other.
_MODULES = (
    *("layers", "weights", "model", "data", "run", "inference"),
    *("loader", "parts", "train"),
)


def import_files(
    files: Mapping[str, str], training: bool = True, probe: Any = None
) -> dict[str, Any]:
    """The modules of a program by name: `layers` (if it has one), `weights` and `model`.

    Args:
        files: text by file name; it lies in no folder that could be imported.
        training: whether to import what trains it as well.
        probe: what a probed program calls with the value of every node.
    """
    wanted = _MODULES if training else _MODULES[:3]
    names = [name for name in wanted if f"{name}.py" in files]
    before = {name: sys.modules.get(name) for name in names}
    made: dict[str, Any] = {}
    try:
        for name in names:
            module = types.ModuleType(name)
            sys.modules[name] = made[name] = module
            if probe is not None:
                vars(module)["probe"] = probe
            # Our own output; nothing of a spec is in it that was not checked and quoted.
            exec(compile(files[f"{name}.py"], f"<generated {name}.py>", "exec"), vars(module))
    finally:  # programs import each other by these names; the next one brings its own
        for name in names:
            own = before[name]
            if own is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = own
    return made


class Refused(Exception):  # the message says all
    """What a program's framework cannot do, whatever the spec; the message is one line."""


class Stopped(Exception):  # the cause says why
    """`activations` could not be finished; `reached` are the paths of nodes with values."""

    def __init__(self, reached: Iterable[str]) -> None:
        super().__init__()
        self.reached = tuple(reached)


class Recorder:
    """What a probed program calls with the value of every node: keeps them by the node's path.

    A node in a loop is met several times under one name; its values are numbered in order.
    """

    def __init__(self) -> None:
        self.values: dict[tuple[int, str], list[Any]] = {}

    def __call__(self, layer: Any, name: str, value: Any) -> Any:
        self.values.setdefault((id(layer), name), []).append(value)
        return value

    def reached(self, paths: Mapping[int, str]) -> list[str]:
        """The paths of all values so far, each with its number ("stem.conv/0")."""
        return [f"{p}/{k}" for p, many in self.by_path(paths).items() for k in range(len(many))]

    def by_path(self, paths: Mapping[int, str]) -> dict[str, list[Any]]:
        """Values by path; `paths` gives that of a layer by its identity."""
        return {
            f"{paths[layer]}.{name}".lstrip("."): values
            for (layer, name), values in self.values.items()
        }
