"""Receptive field of every node: how many input pixels one of its pixels depends on.

Formula: Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional Neural Networks"
(Distill 2019): r ← r + (k − 1)·j, j ← j·s along a path; where paths meet, the largest. Where an
image becomes larger, s is a fraction, and so may r be: a pixel then depends on at most ⌈r⌉.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from xgraph.ir.graph import Graph
from xgraph.ir.types import TensorType
from xgraph.ops.base import Stride

Field = tuple[int, int]


def receptive_fields(graph: Graph, types: Sequence[TensorType]) -> list[Field]:
    """(height, width) in input pixels by node index; it may exceed the image."""
    fields: list[tuple[Stride, Stride]] = []
    jumps: list[tuple[Stride, Stride]] = []
    for node in graph.nodes:
        if not node.inputs:
            fields.append((1, 1))
            jumps.append((1, 1))
            continue
        height = max(fields[i][0] for i in node.inputs)
        width = max(fields[i][1] for i in node.inputs)
        jump = (max(jumps[i][0] for i in node.inputs), max(jumps[i][1] for i in node.inputs))
        window = node.op.window(tuple([types[i] for i in node.inputs]))
        if window is not None:
            height += (window.size[0] - 1) * jump[0]
            width += (window.size[1] - 1) * jump[1]
            jump = (jump[0] * window.stride[0], jump[1] * window.stride[1])
        fields.append((height, width))
        jumps.append(jump)
    return [(math.ceil(height), math.ceil(width)) for height, width in fields]
