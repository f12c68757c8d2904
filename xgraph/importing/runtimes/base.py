"""What a network from elsewhere can be asked in its own framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from xgraph.importing.network import Array

#: Somebody's training: given the model, it returns what takes a batch of images and their labels,
#: as the framework has them, and makes an update.
TrainingOf = Callable[[Any], Callable[[Any, Any], Any]]


@dataclass(frozen=True)
class Passed:
    """A pass in training mode and back.

    Attributes:
        outputs: as `Runtime.run` has them.
        gradients: of weights by the source's names; those that none reaches are missing.
        images: the gradient of the images.
    """

    outputs: list[Array]
    gradients: dict[str, Array]
    images: Array


class Runtime(Protocol):
    """A network in its own framework. Arrays are NumPy's, images (N, H, W, C), channels last.

    Weights are called, and lie, as `Source.arrays` has them. Dropout that is known for it drops
    nothing, and is told of instead: its masks are its framework's own.
    """

    #: Whether there are gradients, and a mode for training.
    trains: bool
    #: How far numbers that its model holds in float32 may bring it from what they stand for.
    rounding: float
    #: What it dropped in the last pass in training, op and rate, and whether it drew anything else.
    dropped: list[tuple[str, float]]
    #: Whether that is told; Keras' layers of dropout are in its graph, which is one for both modes.
    tells_dropped: bool
    drew: bool
    #: Whether its code casts to float32, which is nothing in the model, and nothing here.
    casts: bool
    #: What it has for training that is in no network: "conv1: kernel_regularizer".
    beside: list[str]

    def set_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Give it some of its weights."""

    def arrays(self) -> dict[str, Array]:
        """A copy of its weights."""

    def run(self, images: Array) -> list[Array]:
        """The outputs in evaluation, in the order of the network's."""

    def passed(self, images: Array, along: Sequence[Array | None], logs: Sequence[bool]) -> Passed:
        """A pass in training mode, and the gradients of Σ output · along.

        Moving statistics change. An output without a projection counts for nothing; where `logs` is
        set, it is the logarithm of the output that is projected.
        """

    def values(self, images: Array, training: bool) -> dict[str, Array]:
        """What layers give, by their names in the network, as far as that is known.

        Moving statistics may change.
        """

    def train(self, training: TrainingOf, batches: Iterable[tuple[Array, Array]]) -> None:
        """Make an update for each batch of images and labels, by somebody's own code."""
