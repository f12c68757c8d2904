"""From a picture on disk to what the model sees. Sizes are relative to the model's input size."""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.ops.base import attribute
from xgraph.ops.kinds import BOOLEAN, Choice, Integer
from xgraph.recipe.kinds import NORMALIZE, RESIZE, Normalize, Resize

_SAME_SIZE = Resize("shorter_side", 1.0)


@dataclass(frozen=True)
class TrainingImages:
    """Resize, crop to the input size, flip."""

    resize: Resize = attribute(RESIZE, _SAME_SIZE, doc="size before the crop")
    crop: str = attribute(Choice(("random", "center")), "random", doc="which part is kept")
    flip: bool = attribute(BOOLEAN, False, doc="mirror left and right, every other image")


@dataclass(frozen=True)
class EvaluationImages:
    """Resize, then keep the center."""

    resize: Resize = attribute(RESIZE, _SAME_SIZE, doc="size before the crop")


@dataclass(frozen=True)
class Pixels:
    """How bytes become numbers, and which images are held out."""

    normalize: Normalize = attribute(NORMALIZE, doc="range, or mean and standard deviation")
    holdout: int = attribute(
        Integer(0), 0, doc="last training images of CIFAR-10's files kept for validation"
    )


@dataclass(frozen=True)
class Images:
    """The whole section."""

    train: TrainingImages
    evaluate: EvaluationImages
    pixels: Pixels
