"""PyTorch's operations of two tensors, or of one and a weight or a constant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from xgraph.importing import axes as laid
from xgraph.importing.readers import attention, shared
from xgraph.importing.readers.attention import Scores
from xgraph.importing.readers.common import Tensor
from xgraph.importing.readers.torch_operation import (
    OF_IMAGES,
    Compared,
    Meanings,
    Operation,
    Pooled,
    Step,
    ready,
)
from xgraph.importing.readers.torch_program import Weight, is_learned, key
from xgraph.ops.rescale import Rescale

OPS = Meanings()

_KINDS = {
    "add": "add", "sub": "subtract", "subtract": "subtract", "rsub": "subtract",
    "mul": "multiply", "multiply": "multiply",
    "maximum": "maximum", "fmax": "maximum", "minimum": "minimum", "fmin": "minimum",
    "div": "divide", "divide": "divide", "true_divide": "divide",
}  # fmt: skip


@OPS.of(*_KINDS)
def _two(call: Operation) -> Any:
    """self ± alpha · other, and products; `rsub` takes them the other way round."""
    kind, pair = _KINDS[key(call.node)], [call.given["self"], call.given["other"]]
    factor = float(call.given.get("alpha", 1))
    backwards = key(call.node) == "rsub"
    if factor != 1 and (backwards or isinstance(pair[1], Weight | Scores | Compared)):
        raise call.refused(f"with alpha {factor:g}")
    if call.given.get("rounding_mode") is not None:
        raise call.refused("that rounds")
    if factor != 1:
        pair[1] = two(call, "multiply", pair[1], factor)
    return two(call, kind, *(pair[::-1] if backwards else pair))


@OPS.of("addcmul")
def _addcmul(call: Operation) -> Any:
    """self + value · tensor1 · tensor2"""
    call.plain(value=1)
    product = two(call, "multiply", call.given["tensor1"], call.given["tensor2"])
    return two(call, "add", call.given["self"], product)


def two(call: Operation, kind: str, *pair: Any) -> Any:
    """An op of two tensors, or of one and a weight or a constant."""
    if not any(isinstance(one, OF_IMAGES) for one in pair):
        return _of_numbers(call, kind, *pair)
    if any(isinstance(one, Scores) for one in pair):
        return _scaled(call, kind, pair)
    if any(isinstance(one, Compared) for one in pair):
        return _gated(call, kind, pair)
    if any(isinstance(one, Step) for one in pair):
        return _stepped(call, kind, pair)
    if (pooled := _scaled_mean(call, kind, pair)) is not None:
        return pooled
    pair = tuple(_settled(call, one) for one in pair)
    first = not isinstance(pair[0], Tensor)
    value, other = pair[::-1] if first else pair
    if isinstance(other, Tensor):
        if kind in ("divide", "minimum"):
            raise call.refused("of other than a constant")
        return shared.merged(call, kind, pair)
    if kind in ("maximum", "minimum"):
        number = call.bound(other)
        low, high = (number, None) if kind == "maximum" else (None, number)
        return shared.clipped(call, value, low, high)
    if is_learned(other):
        return _with_weight(call, kind, value, other)
    if kind == "add" and isinstance(other, Weight) and sum(size > 1 for size in other.shape) > 1:
        return shared.embedded(call, value, other.shape, other.held)
    return shared.with_constants(call, kind, value, call.array(other), first=first)


def _settled(call: Operation, one: Any) -> Any:
    return call.settled(call.seen(one)) if isinstance(one, OF_IMAGES) else one


def _of_numbers(call: Operation, kind: str, one: Any, other: Any) -> Any:
    """A number times a constant, where an operation has a factor for it."""
    if kind != "multiply" or is_learned(one) or is_learned(other):
        raise call.refused("of weights alone")
    return torch.as_tensor(call.array(one) * call.array(other))


def _with_weight(call: Operation, kind: str, value: Tensor, weight: Weight) -> Tensor:
    """A layer's own bias or factor, one of a layer that has none, or an op of its own."""
    held, shape = weight.held, weight.shape
    if sum(size > 1 for size in shape) > 1 and kind == "add":
        return shared.embedded(call, value, shape, held)
    if kind in ("add", "multiply") and math.prod(shape) == call.shape(value.place)[-1]:
        axis = shared.across(call, value, shape)
        vector = held.reshaped(math.prod(shape))
        vector = vector if axis is None else laid.in_order(vector, value.axes[axis])
        if shared.absorbed(call, kind, value.place, vector):
            return value
    if kind == "multiply":
        return shared.learned(call, "scale", value, shape, "gamma", held, "learned factor")
    raise call.refused("of a learned tensor")


def _scaled(call: Operation, kind: str, pair: Sequence[Any]) -> Scores:
    """Scores of attention, and a factor."""
    scores, other = pair[::-1] if kind == "multiply" and isinstance(pair[1], Scores) else pair
    plain = not isinstance(other, OF_IMAGES) and not is_learned(other)
    return attention.scaled(call, kind, scores, call.number(other) if plain else None)


def _scaled_mean(call: Operation, kind: str, pair: Sequence[Any]) -> Tensor | Pooled | None:
    """A sum over pixels by how many there are, or times a part of that."""
    pooled, other = pair[::-1] if kind == "multiply" and isinstance(pair[1], Pooled) else pair
    if not isinstance(pooled, Pooled) or pooled.kind != "global_avg_pool":
        return None
    number = None if isinstance(other, OF_IMAGES) else call.number(other)
    if kind not in ("multiply", "divide") or not number or is_learned(other):
        return None
    factor = pooled.factor * number if kind == "multiply" else pooled.factor / number
    return ready(call, replace(pooled, factor=factor))


def _gated(call: Operation, kind: str, pair: Sequence[Any]) -> Tensor:
    """A tensor times where it is above zero."""
    where, other = pair if isinstance(pair[0], Compared) else pair[::-1]
    if kind != "multiply" or not where.above or not isinstance(other, Tensor):
        raise call.refused("of where a tensor is above zero; read is that tensor times it")
    value = call.settled(other)
    if value != where.tensor:
        raise call.refused("of a tensor and of where another one is above zero")
    return call.pointwise("relu", value)


_FILLED = {"zeros": 0.0, "ones": 1.0}


@OPS.of("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
def _filled(call: Operation) -> torch.Tensor:
    """A constant of a tensor's shape, or of another one, with one number in all places."""
    word = key(call.node).removesuffix("_like").removeprefix("new_")
    number = call.given.get("fill_value", _FILLED.get(word))
    return torch.tensor(float(number)).expand(call.made)


@OPS.of("pow", "square")
def _power(call: Operation) -> Tensor:
    power = call.given.get("exponent", 2)
    if not isinstance(power, int | float):
        raise call.refused("to a power that is no number; read is a square")
    if power != 2:
        raise call.refused(f"to the power {power:g}; read is a square")
    value = call.tensor()
    return shared.merged(call, "multiply", [value, value])


@OPS.of("neg", "negative")
def _negated(call: Operation) -> Tensor:
    return call.pointwise("rescale", call.tensor(), scale=-1.0)


# -- mish and gelu by hand ------------------------------------------------------------------------

#: How far numbers may be off by rounding in float64, in which the network is compared.
_ROUNDING = 1e-12


@OPS.of("softplus")
def _softplus(call: Operation) -> Step:
    call.plain(beta=1, threshold=20)
    return Step("softplus", call.tensor())


@OPS.of("tanh")
def _tanh(call: Operation) -> Tensor | Step:
    value = call.given["self"]
    if isinstance(value, Step) and value.kind == "softplus":
        return replace(value, kind="tanh")
    return call.pointwise("tanh", call.tensor())


@OPS.of("erf")
def _erf(call: Operation) -> Step:
    return Step("erf", call.tensor())


def _stepped(call: Operation, kind: str, pair: Sequence[Any]) -> Tensor | Step:
    """x · tanh(softplus(x)), and x / 2 · (1 + erf(x / √2)) in any order."""
    step: Step
    step, other = pair if isinstance(pair[0], Step) else pair[::-1]
    number = None if isinstance(other, OF_IMAGES) or is_learned(other) else call.number(other)
    if kind == "add" and step.kind == "erf" and number == 1:
        return replace(step, kind="1 + erf")
    if step.kind in ("1 + erf", "gelu") and number:
        if kind == "multiply":
            return _halved(call, replace(step, factor=step.factor * number))
        if kind == "divide" and step is pair[0]:
            return _halved(call, replace(step, factor=step.factor / number))
    if kind == "multiply" and isinstance(other, Tensor):
        value = call.settled(other)
        if step.kind == "tanh" and value == step.tensor:
            return call.pointwise("mish", value)
        if step.kind == "1 + erf" and (found := _of_both(call, value, step.tensor)) is not None:
            whole, scale = found
            return _halved(call, Step("gelu", whole, step.factor * scale))
    raise call.refused(f"of {step.kind}, which is read as a part of mish or gelu alone")


def _of_both(call: Operation, value: Tensor, inner: Tensor) -> tuple[Tensor, float] | None:
    """What one tensor is a part of, and which, if the other is that divided by √2."""
    places = call.reader.builder.layers[inner.place].inputs
    whole = Tensor(places[0], inner.axes) if places else inner
    slope = _slope(call, inner, whole)
    if slope is None or not math.isclose(slope, 0.5**0.5, rel_tol=_ROUNDING):
        return None
    scale = 1.0 if value == whole else _slope(call, value, whole)
    return None if scale is None else (whole, scale)


def _halved(call: Operation, step: Step) -> Tensor | Step:
    if step.kind == "gelu" and math.isclose(step.factor, 0.5, rel_tol=_ROUNDING):
        return call.pointwise("gelu", step.tensor)
    return step


# -- where a tensor is above zero ----------------------------------------------------------------

_ABOVE = {"gt": True, "greater": True, "ge": True, "greater_equal": True,
          "lt": False, "less": False, "le": False, "less_equal": False}  # fmt: skip


@OPS.of(*_ABOVE)
def _compared(call: Operation) -> Compared:
    """Of a tensor and zero."""
    if call.number(call.given["other"]) != 0:
        raise call.refused("with other than zero")
    return Compared(call.tensor(), _ABOVE[key(call.node)])


@OPS.of("bitwise_not", "logical_not")
def _not(call: Operation) -> Compared:
    where = call.given["self"]
    if not isinstance(where, Compared):
        raise call.refused("of what is no comparison")
    return replace(where, above=not where.above)


@OPS.of("where")
def _where(call: Operation) -> Tensor:
    """A tensor where it is above zero, and else zero or a part of it."""
    where, pair = call.given["condition"], [call.given["self"], call.given["other"]]
    return _chosen(call, where, *pair)


@OPS.of("masked_fill")
def _masked(call: Operation) -> Tensor:
    return _chosen(call, call.given["mask"], call.given["value"], call.given["self"])


def _chosen(call: Operation, where: Any, one: Any, other: Any) -> Tensor:
    """The one where it is so, else the other: `relu` or `leaky_relu`, if it is one of them."""
    if not isinstance(where, Compared):
        raise call.refused("by what is no comparison of a tensor with zero")
    above, below = (one, other) if where.above else (other, one)
    if isinstance(above, Tensor) and call.settled(above) == where.tensor:
        if call.number(below) == 0:
            return call.pointwise("relu", where.tensor)
        if isinstance(below, Tensor) and (slope := _slope(call, below, where.tensor)) is not None:
            return shared.leaky(call, where.tensor, slope)
    raise call.refused("read is a tensor where it is above zero, and else zero or a part of it")


def _slope(call: Operation, below: Tensor, whole: Tensor) -> float | None:
    """What a tensor is multiplied with to be another one, if that is all."""
    layer, made = call.reader.builder.layers[below.place], below.axes
    if not isinstance(layer.op, Rescale) or layer.inputs != (whole.place,) or made != whole.axes:
        return None
    scale, offset = layer.op.scale, layer.op.offset
    return float(scale) if isinstance(scale, float) and offset == 0 else None
