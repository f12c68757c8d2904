"""The conventions table: one field per axis on which frameworks differ, no defaults.

A spec fixes the mathematics (`docs/semantics.md`). A backend states here how its framework says
each of these; its lowering bridges the difference. Nothing else in xgraph may know of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """How a framework differs from the meaning of a spec. Every field must be stated."""

    #: order of axes in an image batch
    layout: Literal["NHWC", "NCHW"]
    #: batch norm's `momentum`: the weight of the old statistic, or of the new one
    batch_norm_momentum: Literal["old", "new"]
    #: variance that batch norm accumulates: divided by n, or by n − 1
    running_variance: Literal["biased", "unbiased"]
    #: whether `same` padding at a stride above 1 is the framework's own
    strided_same_padding: bool
    #: whether explicit padding may differ between the two sides of an axis
    asymmetric_padding: bool
    #: whether the divisor of average pooling counts the border unless told otherwise
    average_pool_counts_border: bool
    #: what L2 decay λ adds to the gradient: λ·w, or 2λ·w
    l2_gradient: Literal["lambda", "twice_lambda"]
    #: whether momentum accumulates gradients, or gradients times the learning rate
    momentum_holds_learning_rate: bool
