"""A recipe, bound and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xgraph.diagnostics import Source, Span
from xgraph.ops.base import attribute
from xgraph.ops.kinds import COUNT, Choice
from xgraph.recipe.asynchrony.asynchronous import Asynchronous
from xgraph.recipe.averages.ema import Ema
from xgraph.recipe.cadence import Cadence
from xgraph.recipe.clips.base import Clip
from xgraph.recipe.distributions.devices import Devices
from xgraph.recipe.images import Images
from xgraph.recipe.kinds import METRICS, NAME, TEXT
from xgraph.recipe.losses.base import Loss
from xgraph.recipe.metrics import Metric
from xgraph.recipe.metrics.top import Top
from xgraph.recipe.optimizers.base import Optimizer
from xgraph.recipe.regularizations.base import Regularization
from xgraph.recipe.schedules.base import Schedule
from xgraph.recipe.sources import DataSource
from xgraph.recipe.stop import Stop
from xgraph.recipe.tunings.tune import Tune
from xgraph.text import Text

PRECISIONS = ("float32", "bfloat16", "float16", "float64")


@dataclass(frozen=True, kw_only=True)
class General:
    """The settings that stand at the top of a recipe, outside its sections."""

    name: str = attribute(NAME, doc="recipe's name, a word")
    doc: Text | None = attribute(TEXT, None, doc="explanation for readers")
    source: Text | None = attribute(TEXT, None, doc="publication it follows")
    epochs: int = attribute(COUNT, doc="passes over the training images")
    batch_size: int = attribute(COUNT, doc="images per update")
    accumulation: int = attribute(
        COUNT, 1, doc="micro-batches, one after another, whose mean gradients make an update"
    )
    precision: str = attribute(
        Choice(PRECISIONS),
        "float32",
        doc="type of activations and gradients; weights are float32 at least",
    )
    metrics: tuple[Metric, ...] = attribute(
        METRICS, (Top(1),), doc="top-k accuracies, mean average precision and recall of the best k"
    )


@dataclass(frozen=True, kw_only=True)
class Recipe(General):
    """How to train, whatever the model. Sections that may be left out may be None."""

    optimizer: Optimizer
    schedule: Schedule
    regularization: Regularization | None
    clip: Clip | None
    ema: Ema | None
    tune: Tune | None
    devices: Devices | None
    asynchronous: Asynchronous | None
    loss: Loss
    data: tuple[DataSource, ...]
    images: Images
    every: Cadence
    stop: Stop | None
    #: the text that it was read from, and where each section stands in it
    text: Source = field(repr=False, compare=False)
    spans: Mapping[str, Span] = field(repr=False, compare=False)

    @property
    def computes_in(self) -> str:
        """The type of weights, images and losses."""
        return "float64" if self.precision == "float64" else "float32"
