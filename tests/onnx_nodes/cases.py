"""The backend test cases of the `onnx` package.

The kind `node` tests one operator at a time, its outputs computed in NumPy. The two `pytorch` kinds
are models that PyTorch exported, with the outputs that it computed; those of a single operator
count here as well, as they have what `node` lacks: convolutions with groups and with dilations.
"""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

KINDS = ("node", "pytorch-converted", "pytorch-operator")


@dataclass(frozen=True)
class Case:
    """One operator, its inputs, and the outputs that ONNX expects.

    `inputs` are by position; an optional one that is left out is None. A sequence or an optional
    value is a list, everything else an array. `opset` is the version of the operator set: some
    operators changed their meaning.
    """

    kind: str
    name: str
    op_type: str
    opset: int
    attributes: Mapping[str, Any]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]

    def input(self, position: int) -> Any:
        """An input, or None where it is left out."""
        return self.inputs[position] if position < len(self.inputs) else None

    def __str__(self) -> str:
        return f"{self.kind}-{self.name.removeprefix('test_')}"


@dataclass(frozen=True)
class Suite:
    """What there is: cases of a single operator, and the number of graphs of several, by kind."""

    cases: tuple[Case, ...]
    several: Mapping[str, int]


@functools.cache
def load() -> Suite:
    """Every case of every kind."""
    cases: list[Case] = []
    several: Counter[str] = Counter()
    for kind in KINDS:
        for test in _tests(kind):
            folder = Path(test.model_dir) if test.model_dir else None
            model = test.model or onnx.load(folder / "model.onnx")
            if len(model.graph.node) != 1:
                several[kind] += 1
                continue
            # Models in files have one data set each, as those in memory do.
            inputs, outputs = test.data_sets[0] if test.data_sets else _read(model, folder)
            (node,) = model.graph.node
            given = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
            free = [i.name for i in model.graph.input if i.name not in given]
            given |= dict(zip(free, inputs, strict=True))
            cases.append(
                Case(
                    kind=kind,
                    name=test.name,
                    op_type=node.op_type,
                    opset=next(o.version for o in model.opset_import if o.domain == node.domain),
                    attributes={a.name: _attribute(a) for a in node.attribute},
                    inputs=tuple(given.get(name) for name in node.input),
                    outputs=tuple(outputs),
                )
            )
    return Suite(tuple(cases), several)


def _tests(kind: str) -> list[Any]:
    """ONNX's descriptions of the tests of a kind, in the same order everywhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases of `node` overflow and divide by 0 on purpose
        from onnx.backend.test.loader import load_model_tests

        return sorted(load_model_tests(kind=kind), key=lambda test: test.name)


def _read(model: onnx.ModelProto, folder: Path) -> tuple[list[Any], list[Any]]:
    """The arrays of a test that lies in files."""
    assert [path.name for path in folder.glob("test_data_set_*")] == ["test_data_set_0"]
    weights = len(model.graph.initializer)
    counts = (len(model.graph.input) - weights, len(model.graph.output))
    inputs, outputs = (
        [
            numpy_helper.to_array(onnx.load_tensor(folder / "test_data_set_0" / f"{what}_{k}.pb"))
            for k in range(count)
        ]
        for what, count in zip(("input", "output"), counts, strict=True)
    )
    return inputs, outputs


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    return value.decode() if isinstance(value, bytes) else value


def is_number(value: Any) -> bool:
    """Whether it is an array of floating-point numbers."""
    return isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.floating)
