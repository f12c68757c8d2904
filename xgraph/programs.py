"""A generated program in this process, to be measured rather than run.

A backend brings a class that does what `MeasuredProgram` says; `import_files` helps it.
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any, Protocol

from xgraph.ops.base import Array


class Program(Protocol):
    """A generated program in this process. Arrays are NumPy's, channels last.

    It is made from (files, dtype), as `Backend.load` does, and from `device` where that is not the
    CPU; it raises `Refused` where there is no such device. Dropout has the masks of a run with seed
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

    def keep_all(self) -> None:
        """Dropout drops nothing from now on; called before anything is computed."""

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


def import_files(
    files: Mapping[str, str], training: bool = True, probe: Any = None
) -> dict[str, Any]:
    """The modules of a program by name: `model` and what it imports.

    Args:
        files: text by file name; it lies in no folder that could be imported.
        training: whether to import what trains it as well, if it has that.
        probe: what a probed program calls with the value of every node.
    """
    names = [name.removesuffix(".py") for name in files if name.endswith(".py")]
    root = "train" if training and "train" in names else "model"
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    finder = _Finder(files, probe)
    sys.meta_path.insert(0, finder)
    try:
        importlib.import_module(root)
        return {name: sys.modules[name] for name in names if name in sys.modules}
    finally:  # programs import each other by these names; the next one brings its own
        sys.meta_path.remove(finder)
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


class _Finder(MetaPathFinder, Loader):
    """Modules whose text is in no file."""

    def __init__(self, files: Mapping[str, str], probe: Any) -> None:
        self.files, self.probe = files, probe

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if f"{fullname}.py" in self.files else None

    def exec_module(self, module: types.ModuleType) -> None:
        if self.probe is not None:
            vars(module)["probe"] = self.probe
        name = f"{module.__name__}.py"
        # Our own output; nothing of a spec is in it that was not checked and quoted.
        exec(_code(name, self.files[name]), vars(module))


@functools.lru_cache(64)
def _code(name: str, text: str) -> types.CodeType:
    """Remembers: most files are the same in many programs."""
    return compile(text, f"<generated {name}>", "exec")


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
