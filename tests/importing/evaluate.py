"""A network from elsewhere, run in NumPy by the ops' references."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xgraph.importing.network import Network, Pixel
from xgraph.ops.base import Array


def run(network: Network, arrays: Mapping[str, Array], images: Array) -> list[Array]:
    """The outputs for a batch of images (N, H, W, C), in float64."""
    values: list[Array] = []
    for layer in network.layers:
        taken = [values[place] for place in layer.inputs]
        if layer.op.name == "input":
            values.append(images.astype("float64"))
        elif isinstance(layer.op, Pixel):
            values.append(taken[0][:, None, None, :])
        else:
            held = layer.weights.items()
            own = {word: one.seen(arrays[one.name].astype("float64")) for word, one in held}
            values.append(layer.op.reference(taken, own))
    return [values[place] for _, place in network.outputs]


def distance(received: Array, expected: Array) -> float:
    """max|a − b| / max|b|."""
    assert received.shape == expected.shape
    return float(np.abs(received - expected).max() / np.abs(expected).max())
