"""Arithmetic of an ONNX graph that no image takes part in: of shapes, mostly.

Only what exporters write for shapes and numbers is computed, and only little of it: a weight that
is computed is no weight that a file holds. Where the size of the batch is among numbers, they are
objects, which move and compare like others; arithmetic with it is a TypeError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from xgraph.importing.axes import BATCH
from xgraph.importing.network import Array
from xgraph.importing.readers.common import Table

#: Numbers that an array may have to be computed; arrays of weights are larger, and only moved.
MOST = 1 << 20

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
INTEGERS = (TensorProto.INT64, TensorProto.INT32)

#: A function of a node's attributes and its arrays, None where one is left out.
Attributes = Mapping[str, Any]
Arrays = Sequence[Any]
Fold = Callable[[Attributes, Arrays], Any]
FOLDS: Table[Fold] = Table()


class TooMany(ValueError):  # what a stranger asks for, not the program, is at fault
    """More numbers than are computed here."""

    def __init__(self, count: int) -> None:
        super().__init__(f"computes {count} constants; at most {MOST} are computed")


def tidy(array: Any) -> Array:
    """Numbers without the size of a batch among them are numbers."""
    made: Array = np.asarray(array)
    if made.dtype == object and not any(one is BATCH for one in made.flat):
        made = made.astype(np.int64)
    return made


def _bounded(count: int) -> None:
    if count > MOST:
        raise TooMany(count)


def integers(array: Any) -> list[int]:
    """An array of integers as a list; the batch is none."""
    numbers = np.asarray(array)
    if numbers.dtype.kind not in "iuO":
        raise ValueError(f"{numbers.dtype} where there are integers")
    return [int(one) for one in numbers.ravel()]


# -- numbers --------------------------------------------------------------------------------------


def _quotient(a: Any, b: Any) -> Any:
    """Integers are divided as in C."""
    if np.issubdtype(a.dtype, np.integer):
        return np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))
    return a / b


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Abs": np.abs,
    "Add": np.add,
    "Ceil": np.ceil,
    "Div": _quotient,
    "Equal": np.equal,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mod": np.mod,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Reciprocal": np.reciprocal,
    "Sign": np.sign,
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Where": np.where,
}


def _computed(kind: str) -> Fold:
    function = _ARITHMETIC[kind]

    def fold(attributes: Attributes, arrays: Arrays) -> Any:
        _bounded(math.prod(np.broadcast_shapes(*(np.shape(one) for one in arrays))))
        return np.asarray(function(*arrays))

    return fold


FOLDS.update((kind, _computed(kind)) for kind in _ARITHMETIC)


@FOLDS.of("Clip")
def _clip(attributes: Attributes, arrays: Arrays) -> Any:
    _bounded(arrays[0].size)
    low, high = [*arrays[1:], None, None][:2]
    low = attributes.get("min") if low is None else low
    high = attributes.get("max") if high is None else high
    made = arrays[0] if low is None else np.maximum(arrays[0], low)
    return made if high is None else np.minimum(made, high)


# -- arrays that are made -------------------------------------------------------------------------


@FOLDS.of("ConstantOfShape")
def _constant_of_shape(attributes: Attributes, arrays: Arrays) -> Any:
    shape, value = integers(arrays[0]), attributes.get("value")
    _bounded(math.prod(shape))
    return np.full(shape, np.float32(0) if value is None else value.ravel()[0])


@FOLDS.of("Expand")
def _expand(attributes: Attributes, arrays: Arrays) -> Any:
    shape = np.broadcast_shapes(arrays[0].shape, tuple(integers(arrays[1])))
    _bounded(math.prod(shape))
    return np.broadcast_to(arrays[0], shape)


@FOLDS.of("Range")
def _range(attributes: Attributes, arrays: Arrays) -> Any:
    start, limit, step = (one.ravel()[0] for one in arrays)
    _bounded(math.ceil((limit - start) / step))
    return np.arange(start, limit, step)


@FOLDS.of("Shape")
def _shape(attributes: Attributes, arrays: Arrays) -> Any:
    return sliced_shape(arrays[0].shape, attributes)


def sliced_shape(shape: Sequence[Any], attributes: Attributes) -> Array:
    """The part of a shape that a node Shape asks for."""
    chosen = list(shape)[attributes.get("start", 0) : attributes.get("end")]
    made = np.empty(len(chosen), object)
    made[:] = chosen
    return tidy(made)


# -- arrays that are moved ------------------------------------------------------------------------


@FOLDS.of("Identity", "CastLike")
def _same(attributes: Attributes, arrays: Arrays) -> Any:
    return arrays[0]


@FOLDS.of("Cast")
def _cast(attributes: Attributes, arrays: Arrays) -> Any:
    if arrays[0].dtype != object:
        _bounded(0 if any(arrays[0].strides) else arrays[0].size)  # one number takes no memory
        return arrays[0].astype(helper.tensor_dtype_to_np_dtype(attributes["to"]), copy=False)
    if attributes["to"] not in INTEGERS:
        raise ValueError("the size of a batch as a fraction")
    return arrays[0]


@FOLDS.of("Concat")
def _concat(attributes: Attributes, arrays: Arrays) -> Any:
    _bounded(sum(array.size for array in arrays))
    return np.concatenate(arrays, attributes["axis"])


@FOLDS.of("Flatten")
def _flatten(attributes: Attributes, arrays: Arrays) -> Any:
    return arrays[0].reshape(math.prod(arrays[0].shape[: attributes.get("axis", 1)]), -1)


@FOLDS.of("Gather")
def _gather(attributes: Attributes, arrays: Arrays) -> Any:
    (array, indices), axis = arrays, attributes.get("axis", 0)
    _bounded(array.size // max(array.shape[axis], 1) * indices.size)
    return array.take(indices, axis)


@FOLDS.of("Reshape")
def _reshape(attributes: Attributes, arrays: Arrays) -> Any:
    sizes = integers(arrays[1])
    if not attributes.get("allowzero"):
        sizes = [arrays[0].shape[k] if n == 0 else n for k, n in enumerate(sizes)]
    return arrays[0].reshape(sizes)


@FOLDS.of("Slice")
def _slice(attributes: Attributes, arrays: Arrays) -> Any:
    chosen = [slice(None)] * arrays[0].ndim
    for axis, start, stop, step in slices(attributes, arrays, arrays[0].ndim):
        low = None if step < 0 and stop < -arrays[0].shape[axis] else stop
        chosen[axis] = slice(start, low, step)
    return arrays[0][tuple(chosen)]


def slices(attributes: Attributes, arrays: Arrays, rank: int) -> list[tuple[int, int, int, int]]:
    """(axis, start, stop, step) of a node Slice; attributes say them before opset 10."""
    given = [*arrays, *[None] * 5][:5]
    said = {
        word: attributes.get(word) if array is None else integers(array)
        for word, array in zip(("starts", "ends", "axes", "steps"), given[1:], strict=True)
    }
    starts: list[int] = said["starts"] or []
    axes = said["axes"] or range(len(starts))
    steps = said["steps"] or [1] * len(starts)
    chosen = [axis % rank for axis in axes]
    return list(zip(chosen, starts, said["ends"] or [], steps, strict=True))


@FOLDS.of("Squeeze")
def _squeeze(attributes: Attributes, arrays: Arrays) -> Any:
    return np.squeeze(arrays[0], _named_axes(attributes, arrays))


@FOLDS.of("Unsqueeze")
def _unsqueeze(attributes: Attributes, arrays: Arrays) -> Any:
    return np.expand_dims(arrays[0], _named_axes(attributes, arrays) or ())


def _named_axes(attributes: Attributes, arrays: Arrays) -> tuple[int, ...] | None:
    """The axes that a node names, as an attribute or as its second input."""
    axes = integers(arrays[1]) if len(arrays) > 1 else attributes.get("axes")
    return None if axes is None else tuple(axes)


@FOLDS.of("Transpose")
def _transpose(attributes: Attributes, arrays: Arrays) -> Any:
    return arrays[0].transpose(attributes.get("perm"))
