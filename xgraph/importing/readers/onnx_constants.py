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

#: Numbers that an array may have to be computed; arrays of weights are larger, and only moved.
MOST = 1 << 20

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
INTEGERS = (TensorProto.INT64, TensorProto.INT32)

#: A function of a node's attributes, its arrays, None where one is left out, and the opset.
Fold = Callable[[Mapping[str, Any], Sequence[Any], int], Array]
FOLDS: dict[str, Fold] = {}


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


def _fold(*kinds: str) -> Callable[[Fold], Fold]:
    def register(function: Fold) -> Fold:
        FOLDS.update(dict.fromkeys(kinds, function))
        return function

    return register


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

    def fold(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
        shape = np.broadcast_shapes(*(np.shape(one) for one in arrays))
        _bounded(math.prod(shape))
        made: Array = np.asarray(function(*arrays))
        return made

    return fold


FOLDS.update((kind, _computed(kind)) for kind in _ARITHMETIC)


@_fold("Clip")
def _clip(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
    _bounded(arrays[0].size)
    low, high = [*arrays[1:], None, None][:2]
    low = attributes.get("min") if low is None else low
    high = attributes.get("max") if high is None else high
    made: Array = arrays[0] if low is None else np.maximum(arrays[0], low)
    return made if high is None else np.minimum(made, high)


# -- arrays that are made -------------------------------------------------------------------------


@_fold("ConstantOfShape")
def _constant_of_shape(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
    shape = integers(arrays[0])
    _bounded(math.prod(shape))
    value = attributes.get("value")
    return np.full(shape, np.float32(0) if value is None else value.ravel()[0])


@_fold("Expand")
def _expand(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
    shape = np.broadcast_shapes(arrays[0].shape, tuple(integers(arrays[1])))
    _bounded(math.prod(shape))
    return np.broadcast_to(arrays[0], shape)


@_fold("Range")
def _range(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
    start, limit, step = (one.ravel()[0] for one in arrays)
    _bounded(math.ceil((limit - start) / step))
    return np.arange(start, limit, step)


@_fold("Shape")
def _shape(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
    return sliced_shape(arrays[0].shape, attributes)


def sliced_shape(shape: Sequence[Any], attributes: Mapping[str, Any]) -> Array:
    """The part of a shape that a node Shape asks for."""
    chosen = list(shape)[attributes.get("start", 0) : attributes.get("end")]
    made = np.empty(len(chosen), object)
    made[:] = chosen
    return tidy(made)


# -- arrays that are moved ------------------------------------------------------------------------


@_fold("Identity", "CastLike")
def _same(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
    array: Array = arrays[0]
    return array


@_fold("Cast")
def _cast(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
    array: Array = arrays[0]
    if array.dtype == object:
        if attributes["to"] not in INTEGERS:
            raise ValueError("the size of a batch as a fraction")
        return array
    return array.astype(helper.tensor_dtype_to_np_dtype(attributes["to"]), copy=False)


@_fold("Concat")
def _concat(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
    _bounded(sum(array.size for array in arrays))
    return np.concatenate(arrays, attributes["axis"])


@_fold("Flatten")
def _flatten(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
    array: Array = arrays[0]
    return array.reshape(math.prod(array.shape[: attributes.get("axis", 1)]), -1)


@_fold("Gather")
def _gather(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
    array: Array = arrays[0]
    indices: Array = arrays[1]
    axis = attributes.get("axis", 0)
    _bounded(array.size // max(array.shape[axis], 1) * indices.size)
    made: Array = array.take(indices, axis)
    return made


@_fold("Reshape")
def _reshape(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
    array: Array = arrays[0]
    sizes = integers(arrays[1])
    if not attributes.get("allowzero"):
        sizes = [array.shape[k] if n == 0 else n for k, n in enumerate(sizes)]
    return array.reshape(sizes)


@_fold("Slice")
def _slice(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
    array: Array = arrays[0]
    chosen = [slice(None)] * array.ndim
    for axis, start, stop, step in slices(attributes, arrays, array.ndim):
        low = None if step < 0 and stop < -array.shape[axis] else stop
        chosen[axis] = slice(start, low, step)
    return array[tuple(chosen)]


def slices(
    attributes: Mapping[str, Any], arrays: Sequence[Any], rank: int
) -> list[tuple[int, int, int, int]]:
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


@_fold("Squeeze")
def _squeeze(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
    axes = named_axes(attributes, arrays)
    made: Array = np.squeeze(arrays[0], None if axes is None else tuple(axes))
    return made


@_fold("Unsqueeze")
def _unsqueeze(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
    return np.expand_dims(arrays[0], tuple(named_axes(attributes, arrays) or ()))


def named_axes(attributes: Mapping[str, Any], arrays: Sequence[Any]) -> list[int] | None:
    """The axes that a node names, as an attribute or as its second input."""
    if len(arrays) > 1 and arrays[1] is not None:
        return integers(arrays[1])
    axes = attributes.get("axes")
    return None if axes is None else list(axes)


@_fold("Transpose")
def _transpose(attributes: Mapping[str, Any], arrays: Sequence[Any], opset: int) -> Array:
    made: Array = arrays[0].transpose(attributes.get("perm"))
    return made
