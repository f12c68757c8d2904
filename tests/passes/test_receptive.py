"""Receptive fields against what pixels really depend on, by changing each pixel of an image."""

from __future__ import annotations

import json

import numpy as np
import pytest

from xgraph import interpreter
from xgraph.compile import analyse
from xgraph.passes.receptive import receptive_fields

CONV = {"conv": {"filters": 4, "kernel": 3, "padding": "same"}}
SIZE = 12


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([CONV, {"conv": {"filters": 2, "kernel": 3, "stride": 2}}, CONV], 9),
        ([CONV, {"space_to_depth": 2}, CONV], 8),
        ([CONV, {"depth_to_space": 2}, CONV], 4),
        ([{"resize": 3}, CONV], 2),
        ([{"resize": {"scale": 2, "method": "bilinear"}}, CONV], 3),
        ([{"resize": {"scale": 2, "method": "bilinear"}}, {"avg_pool": 2}, CONV], 5),
        ([{"conv_transpose": {"filters": 2, "kernel": 4, "stride": 2}}, CONV], 3),
        ([{"conv_transpose": {"filters": 2, "kernel": 3, "stride": 2}}, CONV], 3),
        ([{"adaptive_avg_pool": 5}], 4),
        ([{"adaptive_max_pool": 5}, {"resize": 2}], 4),
    ],
    ids=str,
)
def test_field(body, field, tmp_path):
    spec = {"xgraph": 1, "name": "field", "input": {"shape": [SIZE, SIZE, 1]}, "graph": body}
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(spec))
    analysis = analyse(str(path))
    graph, output = analysis.graph, analysis.graph.outputs[0].node
    assert receptive_fields(graph, analysis.types)[output] == (field, field)
    assert seen(analysis, output) == field


def seen(analysis, output) -> int:
    """The most rows of the image that a pixel of the output depends on."""
    weights = interpreter.random_weights(analysis.graph, analysis.types)
    image = np.random.default_rng(0).standard_normal((1, SIZE, SIZE, 1))

    def run(images):
        return interpreter.run(analysis.graph, images, weights, False)[output]

    changed = np.repeat(image, SIZE, axis=0)
    for row in range(SIZE):
        changed[row, row] += 10  # a maximum, too
    depends = (run(changed) != run(image)).any(axis=(2, 3))  # (row of the image, of the output)
    first, last = depends.argmax(axis=0), SIZE - depends[::-1].argmax(axis=0)
    return int((last - first)[depends.any(axis=0)].max())
