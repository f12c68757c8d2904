"""From a picture on disk to what the model sees. Sizes are relative to the model's input size."""

from __future__ import annotations

from dataclasses import dataclass, field

from xgraph.ops.base import attribute
from xgraph.ops.kinds import BOOLEAN, COUNT, RATE, Integer
from xgraph.recipe.augmentations import Augmentation
from xgraph.recipe.kinds import AMOUNT, COLOR, NORMALIZE, RESIZE, Normalize, Resize
from xgraph.recipe.mixings import Mixing

_SAME_SIZE = Resize("shorter_side", 1.0)


@dataclass(frozen=True)
class TrainingSize:
    """What comes before all augmentations."""

    resize: Resize = attribute(RESIZE, _SAME_SIZE, doc="size before the crop")


@dataclass(frozen=True)
class TrainingImages:
    """Resize, then each augmentation, the first of which cuts out the input size.

    Batches are mixed after that.
    """

    resize: Resize
    augmentations: tuple[Augmentation, ...]
    mixings: tuple[Mixing, ...] = field(default=(), repr=False)  # a fact of its own in a run


@dataclass(frozen=True)
class EvaluationImages:
    """Resize, then keep the center."""

    resize: Resize = attribute(RESIZE, _SAME_SIZE, doc="size before the crop")


@dataclass(frozen=True)
class Holdout:
    """Training images that are kept for validation where the data have none for it."""

    amount: int | float = attribute(AMOUNT, doc="how many, or which share; of each class alike")
    seed: int = attribute(Integer(0), 0, doc="of the choice, whatever the run's seed")


@dataclass(frozen=True)
class Pixels:
    """How files become numbers, and which of them are trained on."""

    normalize: Normalize = attribute(NORMALIZE, doc="range, or mean and standard deviation")
    background: tuple[int, ...] = attribute(COLOR, (255,), doc="what transparent pixels lie on")
    pixel_limit: int = attribute(
        COUNT, 100_000_000, doc="pixels of a file, above which it is not read"
    )
    unreadable: float = attribute(
        RATE, 0.01, doc="share of a split's images that may be unreadable, rounded up"
    )
    balanced: bool = attribute(
        BOOLEAN, False, doc="every class equally often, however many images it has"
    )


@dataclass(frozen=True)
class Images:
    """The whole section; `holdout` may be None."""

    train: TrainingImages
    evaluate: EvaluationImages
    holdout: Holdout | None
    pixels: Pixels
