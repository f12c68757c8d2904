"""What PyTorch's operations make of weights alone: the same numbers in other axes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from xgraph.importing.network import Refused
from xgraph.importing.readers.torch_operation import Operation
from xgraph.importing.readers.torch_ops import OPS, ORDERS, SAME, VIEWS, order
from xgraph.importing.readers.torch_program import Weight, computes_kernel, key, path, said

#: What may take one entry of an axis that has no other, or all of an axis.
_PARTS = ("select", "slice")


def of_weights(call: Operation) -> Any:
    """A weight in another order of its axes, or with other axes and as many entries.

    Raises:
        Refused: it would be another one, or several in one.
    """
    weight, name = call.given.get("self"), key(call.node)
    if isinstance(weight, Weight):
        if name in SAME:
            return OPS[name](call)
        if name in ORDERS:
            axes = order(call, len(weight.shape))
            return replace(weight, held=weight.held.transposed(*axes))
        whole = name in _PARTS and math.prod(weight.shape) == math.prod(call.made)
        if name in VIEWS or whole:
            return replace(weight, held=weight.held.reshaped(*call.made))
    if (conv := computes_kernel(call.node)) is not None:
        raise Refused(
            f"{path(conv)}: {said(conv)} whose kernel is computed of weights alone, as by "
            "weight standardization; read are kernels that are weights themselves"
        )
    raise call.refused("of weights alone; a class token, for one, is no op of ours")
