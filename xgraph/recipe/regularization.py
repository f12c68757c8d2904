"""What keeps weights small."""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.ops.base import attribute
from xgraph.ops.kinds import POSITIVE


@dataclass(frozen=True)
class L2:
    """gradient += rate · w (that is, loss + rate/2 · Σw²), on kernels only.

    Biases, gamma and beta are left alone. This is coupled decay: it passes through momentum.
    """

    rate: float = attribute(POSITIVE, doc="λ, the strength")


Regularization = L2

REGULARIZATIONS: dict[str, type[Regularization]] = {"l2": L2}
