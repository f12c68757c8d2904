"""One form for networks that are the same: how they were written is gone, what they compute stays.

| written | in normal form |
|---|---|
| composite ops, `attention` | their steps |
| `same`, `valid`, pixels, `zero_pad` before, `ceil_mode` | the pixels that windows reach |
| `groups` of one channel | `depthwise_conv` |
| one 1×1 convolution for queries, keys and values; their factors | three; one factor |
| a window over the whole image | `dense` or `global_avg_pool` |
| an image of one pixel, with and without its axes | a vector |
| x · sigmoid(x), x · hard_sigmoid(x), x · relu6(x + 3) / 6 | `silu`, `hard_swish` |
| sums of sums, concats of concats | one |
| `average` | a sum by how many there are |
| `normalize`, `rescale` | one `rescale` |
| dropout, `identity`, a concat of one, softmax and its logarithm at the end | nothing |
| a concat of all segments of the channels, in their order | what they are of |

Where training is asked for too, dropout is a unit, and batch norm has its momentum.

All of it is for images of the size that the network was made for: `same` and explicit padding agree
at some sizes and not at others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from xgraph.importing.network import ANSWERS, HeadsAttention, Held, Layer, Network, op
from xgraph.ir.types import TensorType
from xgraph.ops import Composite, Op
from xgraph.ops.pooling import AdaptivePool, Pool
from xgraph.ops.windows import extent, pads

Sides = tuple[tuple[int, int], tuple[int, int]]
_NONE: Sides = ((0, 0), (0, 0))

#: Attributes that training alone looks at, and those that it begins with or shapes say already.
_OF_TRAINING = frozenset({"momentum", "rate"})
_BESIDE = frozenset({"kernel_initializer", "initial", "keep_dims", "seed"})
#: Ops that drop, in training.
DROPS = frozenset({"dropout", "spatial_dropout", "stochastic_depth"})
#: Ops whose results are never below zero, so that a border of zeros never wins a maximum.
NEVER_NEGATIVE = frozenset({"relu", "relu6", "sigmoid", "hard_sigmoid", "softmax"})
#: Ops whose inputs may come in any order, and as sums of sums.
COMMUTATIVE = frozenset({"add", "multiply", "maximum", "average"})
_NESTED = frozenset({"add", "multiply", "maximum"})
#: The hard sigmoid of which `hard_swish` is made.
_USUAL = {"slope": 1 / 6, "offset": 0.5}


@dataclass(frozen=True)
class Unit:
    """A layer in normal form.

    Attributes:
        kind: the op's name.
        facts: what it computes, but for its weights.
        inputs: places of units.
        shape: (height, width, channels) that come out; of a vector (1, 1, channels).
        weights: by the op's words.
        name: the layer that it comes from.
    """

    kind: str
    facts: Mapping[str, Any]
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    weights: Mapping[str, Held] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True)
class Normal:
    """A network in normal form. Units that no output needs may be among them."""

    units: Sequence[Unit]
    outputs: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class _Call:
    """An op in its place, its inputs in normal form already."""

    op: Any
    inputs: tuple[int, ...]
    weights: Mapping[str, Held]
    name: str
    given: tuple[TensorType, ...]
    made: TensorType


def normalize(network: Network, training: bool = False) -> Normal:
    """The network in normal form; with what training alone sees, if it is asked for."""
    writer = _Writer(training)
    values: list[int] = []
    for layer, made in zip(network.layers, network.types, strict=True):
        given = tuple(network.types[place] for place in layer.inputs)
        inputs = tuple(values[place] for place in layer.inputs)
        values.append(writer.place(layer, layer.op, inputs, given, made))
    outputs = []
    for name, place in network.outputs:
        end = values[place]
        if writer.units[end].kind in ANSWERS:
            end = writer.units[end].inputs[0]
        outputs.append((name, end))
    return Normal(_flattened(writer.units), outputs)


def _image(made: TensorType) -> tuple[int, ...]:
    return made.shape if made.rank == 3 else (1, 1, *made.shape)


class _Writer:
    """Places units one after the other, each by the rule of its op."""

    def __init__(self, training: bool) -> None:
        self.training = training
        self.beside = _BESIDE if training else _BESIDE | _OF_TRAINING
        self.units: list[Unit] = []
        self.known: dict[Any, int] = {}

    def place(
        self,
        layer: Layer,
        op: Op,
        inputs: tuple[int, ...],
        given: tuple[TensorType, ...],
        made: TensorType,
    ) -> int:
        """The unit that has what the layer gives."""
        if isinstance(op, Composite):
            values = list(inputs)
            for step, taken, result in op.resolved(given):
                weights = {
                    weight.name: layer.weights[step.weights.get(weight.name, weight.name)]
                    for weight in step.op.weights(taken)
                }
                before = tuple(values[k] for k in step.inputs) if step.inputs else (values[-1],)
                part = Layer(layer.name, step.op, (), weights)
                values.append(self.place(part, step.op, before, taken, result))
            return values[-1]
        call = _Call(op, inputs, layer.weights, layer.name, given, made)
        rule = _RULES.get(op.name)
        return rule(self, call) if rule else self.plain(call)

    def plain(self, call: _Call) -> int:
        """As it stands."""
        op, names = call.op, [f.name for f in fields(call.op) if f.name not in self.beside]
        facts = {name: getattr(op, name) for name in names}
        return self.unit(call, op.name, facts, call.inputs, call.weights)

    def unit(
        self,
        call: _Call,
        kind: str,
        facts: Mapping[str, Any],
        inputs: Sequence[int],
        weights: Mapping[str, Held] | None = None,
    ) -> int:
        """Its place; what has no weights and was placed already is that."""
        same = (kind, repr(sorted(facts.items())), tuple(inputs))
        if not weights and same in self.known:
            return self.known[same]
        shape = _image(call.made)
        self.units.append(Unit(kind, facts, tuple(inputs), shape, weights or {}, call.name))
        if not weights and inputs:
            self.known[same] = len(self.units) - 1
        return len(self.units) - 1

    # -- windows ----------------------------------------------------------------------------------

    def bordered(self, place: int, sides: Sides) -> tuple[int, Sides]:
        """What lies below a border of zeros, and the border with these sides around it."""
        unit = self.units[place]
        if unit.kind != "zero_pad":
            return place, sides
        return unit.inputs[0], _summed(unit.facts["padding"], sides)

    def reached(self, call: _Call, place: int, sides: Sides, dilation: Any = (1, 1)) -> Sides:
        """The border as far as windows reach it; they may end before its last pixels."""
        kept = []
        stride = call.op.step if isinstance(call.op, Pool) else call.op.stride
        for axis in range(2):
            low, high = sides[axis]
            span = extent(call.op.kernel[axis], dilation[axis])
            last = (call.made.shape[axis] - 1) * stride[axis] + span
            kept.append((low, max(last - low - self.units[place].shape[axis], 0)))
            assert kept[-1][1] <= high
        return kept[0], kept[1]

    def convolution(self, call: _Call) -> int:
        op, channels = call.op, call.given[0].channels
        own = _explicit(op, call.given[0].shape, op.stride, op.dilation, op.padding)
        place, sides = self.bordered(call.inputs[0], own)
        sides = self.reached(call, place, sides, op.dilation)
        made, weights = call.made.shape, dict(call.weights)
        single = channels == 1 or (op.name == "conv" and op.groups == 1)
        if single and sides == _NONE and self.units[place].shape[:2] == op.kernel:
            return self.whole(call, place, weights)
        facts = {
            "kernel": op.kernel,
            # Where one window is all there is, or one tap of it, no step is ever made.
            "stride": tuple(s if n > 1 else 1 for s, n in zip(op.stride, made, strict=False)),
            "dilation": tuple(
                d if k > 1 else 1 for d, k in zip(op.dilation, op.kernel, strict=True)
            ),
            "padding": sides,
            "bias": op.bias,
        }
        if single:
            if op.name == "depthwise_conv":
                weights["kernel"] = weights.pop("depthwise_kernel")
            return self.unit(
                call, "conv", {**facts, "filters": made[-1], "groups": 1}, (place,), weights
            )
        if op.name == "conv" and op.groups < channels:
            facts |= {"filters": op.filters, "groups": op.groups}
            return self.unit(call, "conv", facts, (place,), weights)
        if op.name == "conv":
            shape = (*op.kernel, channels, op.filters // channels)
            weights["depthwise_kernel"] = weights.pop("kernel").reshaped(*shape)
        facts["multiplier"] = made[-1] // channels
        return self.unit(call, "depthwise_conv", facts, (place,), weights)

    def whole(self, call: _Call, place: int, weights: dict[str, Held]) -> int:
        """A convolution whose only window is the whole image: a dense layer."""
        height, width, channels = self.units[place].shape
        if height * width > 1:
            shape = (1, 1, height * width * channels)
            self.units.append(Unit("flatten", {}, (place,), shape, {}, call.name))
            place = len(self.units) - 1
        filters = call.made.channels
        word = "depthwise_kernel" if call.op.name == "depthwise_conv" else "kernel"
        weights["kernel"] = weights.pop(word).reshaped(height * width * channels, filters)
        return self.unit(call, "dense", {"units": filters, "bias": call.op.bias}, (place,), weights)

    def pool(self, call: _Call) -> int:
        op: Pool = call.op
        place, shape = call.inputs[0], call.given[0].shape
        total = _explicit(op, shape, op.step, (1, 1), op.around(shape))
        counted = _NONE
        if op.name == "avg_pool":
            if op.count_include_pad:  # type: ignore[attr-defined]  # avg_pool has it
                counted = _explicit(op, shape, op.step, (1, 1), op.padding)
            if counted == total:  # a border of zeros before it is one that counts
                place, total = self.bordered(place, total)
                counted = total
        else:
            below, border = self.bordered(place, total)
            if self.units[self.undropped(below)].kind in NEVER_NEGATIVE:
                place, total = below, border
        total = self.reached(call, place, total)
        counted = tuple(  # type: ignore[assignment]  # two axes
            (low, min(high, reached))
            for (low, high), (_, reached) in zip(counted, total, strict=True)
        )
        if total == _NONE and op.kernel == self.units[place].shape[:2]:
            return self.to_vector(call, op.name, place)
        if op.kernel == (1, 1) == op.step:
            return place
        facts = {"kernel": op.kernel, "stride": op.step, "padding": total}
        if op.name == "avg_pool":
            facts["counted"] = counted
        return self.unit(call, op.name, facts, (place,))

    def to_size(self, call: _Call) -> int:
        op: AdaptivePool = call.op
        (place,) = call.inputs
        name = op.name.removeprefix("adaptive_")
        sizes = call.given[0].shape[:2]
        if op.size == sizes:
            return place
        if op.size == (1, 1):
            return self.to_vector(call, name, place)
        if any(n % m for n, m in zip(sizes, op.size, strict=True)):
            return self.plain(call)
        step = tuple(n // m for n, m in zip(sizes, op.size, strict=True))
        facts = {"kernel": step, "stride": step, "padding": _NONE}
        if name == "avg_pool":
            facts["counted"] = _NONE
        return self.unit(call, name, facts, (place,))

    def pool_all(self, call: _Call) -> int:
        return self.to_vector(call, call.op.name.removeprefix("global_"), call.inputs[0])

    def to_vector(self, call: _Call, name: str, place: int) -> int:
        if self.units[place].shape[:2] == (1, 1):
            return place
        return self.unit(call, f"global_{name}", {}, (place,))

    # -- attention --------------------------------------------------------------------------------

    def attention(self, call: _Call) -> int:
        """Three 1×1 convolutions, what heads make of them, and one more."""
        width = call.op.width(call.made.channels)
        wide = TensorType((*call.made.shape[:2], width))

        def projected(word: str, place: int, given: TensorType, made: TensorType) -> int:
            kernel = call.weights[f"{word}_kernel"]
            held = {"kernel": kernel.reshaped(1, 1, given.channels, made.channels)}
            if call.op.bias:
                held["bias"] = call.weights[f"{word}_bias"]
            conv = op("conv", filters=made.channels, kernel=1, bias=call.op.bias)
            return self.place(Layer(call.name, conv, (), held), conv, (place,), (given,), made)

        words = ("query", "key", "value")
        inputs = tuple(projected(word, call.inputs[0], call.made, wide) for word in words)
        heads = HeadsAttention(call.op.heads, 1 / math.sqrt(width // call.op.heads))
        inner = self.place(Layer(call.name, heads), heads, inputs, (wide,) * 3, wide)
        return projected("output", inner, wide, call.made)

    def heads_attention(self, call: _Call) -> int:
        """A factor of queries or keys is one of their products."""
        query, key, value = call.inputs
        inner, query = self.factor(query)
        outer, key = self.factor(key)
        facts = {"heads": call.op.heads, "scale": call.op.scale * inner * outer}
        return self.unit(call, call.op.name, facts, [*map(self.segment, (query, key, value))])

    def factor(self, place: int) -> tuple[float, int]:
        """The number that all of a value is multiplied with, and of what it is the product."""
        unit = self.units[place]
        if unit.kind != "rescale" or any(unit.facts["offset"]) or len({*unit.facts["scale"]}) > 1:
            return 1.0, place
        return unit.facts["scale"][0], unit.inputs[0]

    def segment(self, place: int) -> int:
        """A part of the channels of a convolution is a convolution with a part of its weights."""
        unit = self.units[place]
        whole = self.units[unit.inputs[0]] if unit.inputs else unit
        word = {"conv": "filters", "dense": "units"}.get(whole.kind)
        if unit.kind != "channel_slice" or word is None or whole.facts.get("groups", 1) > 1:
            return place
        start, count = unit.facts["start"], unit.facts["channels"]
        facts = {**whole.facts, word: count}
        held = {key: one.segment(start, count) for key, one in whole.weights.items()}
        self.units.append(Unit(whole.kind, facts, whole.inputs, unit.shape, held, whole.name))
        return len(self.units) - 1

    # -- what changes nothing ---------------------------------------------------------------------

    def nothing(self, call: _Call) -> int:
        return call.inputs[0]

    def dropout(self, call: _Call) -> int:
        """A draw of its own, even if another one is of the same value."""
        (place,), op = call.inputs, call.op
        if not self.training or not op.rate:
            return place
        one_pixel = op.name == "spatial_dropout" and self.units[place].shape[:2] == (1, 1)
        return self.dropped(place, "dropout" if one_pixel else op.name, op.rate, call.name)

    def dropped(self, place: int, kind: str, rate: float, name: str) -> int:
        shape = self.units[place].shape
        self.units.append(Unit(kind, {"rate": rate}, (place,), shape, {}, name))
        return len(self.units) - 1

    def undropped(self, place: int) -> int:
        """Of what a value is that dropout may have been at."""
        while self.units[place].kind in DROPS:
            (place,) = self.units[place].inputs
        return place

    def flatten(self, call: _Call) -> int:
        (place,) = call.inputs
        before = self.units[place]
        if before.shape[:2] == (1, 1):
            return place
        if before.kind == "dropout":  # of entries, in whatever shape
            inner = self.plain(replace(call, inputs=before.inputs))
            return self.dropped(inner, "dropout", before.facts["rate"], before.name)
        return self.plain(call)

    def zero_pad(self, call: _Call) -> int:
        place, sides = self.bordered(call.inputs[0], call.op.padding)
        if sides == _NONE:
            return place
        return self.unit(call, "zero_pad", {"padding": sides}, (place,))

    def crop(self, call: _Call) -> int:
        return call.inputs[0] if call.op.cropping == _NONE else self.plain(call)

    def channel_slice(self, call: _Call) -> int:
        return call.inputs[0] if call.made == call.given[0] else self.plain(call)

    def conv_transpose(self, call: _Call) -> int:
        op = call.op
        facts = {"kernel": op.kernel, "stride": op.stride, "taken": op.taken(), "bias": op.bias}
        return self.unit(call, op.name, {**facts, "filters": op.filters}, call.inputs, call.weights)

    def resize(self, call: _Call) -> int:
        if call.made == call.given[0]:
            return call.inputs[0]
        facts = {"size": call.made.shape[:2], "method": call.op.method}
        return self.unit(call, "resize", facts, call.inputs)

    # -- several inputs, constants ----------------------------------------------------------------

    def concat(self, call: _Call) -> int:
        if len(call.inputs) == 1:
            return call.inputs[0]
        parts = [self.units[place] for place in call.inputs]
        if all(part.kind == "channel_slice" for part in parts):
            whole, at = parts[0].inputs[0], 0
            for part in parts:
                if part.inputs != (whole,) or part.facts["start"] != at:
                    return self.plain(call)
                at += part.facts["channels"]
            if at == self.units[whole].shape[-1]:
                return whole
        return self.plain(call)

    def average(self, call: _Call) -> int:
        """A sum by how many there are."""
        total = self.unit(call, "add", {}, call.inputs)
        each, channels = 1 / len(call.inputs), call.made.channels
        facts = {"scale": (each,) * channels, "offset": (0.0,) * channels}
        return self.unit(call, "rescale", facts, (total,))

    def multiply(self, call: _Call) -> int:
        if len(call.inputs) == 2:
            for x, gate in (call.inputs, call.inputs[::-1]):
                unit = self.units[gate]
                if unit.inputs != (x,):
                    continue
                if unit.kind == "sigmoid":
                    return self.unit(call, "silu", {}, (x,))
                if unit.kind == "hard_sigmoid" and same_facts(unit.facts, _USUAL):
                    return self.unit(call, "hard_swish", {}, (x,))
        return self.plain(call)

    def rescale(self, call: _Call) -> int:
        op, (place,), channels = call.op, call.inputs, call.made.channels
        if op.name == "normalize":
            means, deviations = _each(op.mean, channels), _each(op.std, channels)
            scale = tuple(1 / s for s in deviations)
            offset = tuple(-m / s for m, s in zip(means, deviations, strict=True))
        else:
            scale, offset = _each(op.scale, channels), _each(op.offset, channels)
        before = self.units[place]
        clipped = self.clipped(before, scale, offset)
        if clipped is not None:
            return self.unit(call, "hard_sigmoid", clipped[1], (clipped[0],))
        if before.kind == "multiply" and len(before.inputs) == 2:  # (x · relu6(x + 3)) / 6
            for x, gate in (before.inputs, before.inputs[::-1]):
                clipped = self.clipped(self.units[gate], scale, offset)
                if clipped is not None and clipped[0] == x and same_facts(clipped[1], _USUAL):
                    return self.unit(call, "hard_swish", {}, (x,))
        if before.kind == "rescale":
            (place,) = before.inputs
            inner, added = before.facts["scale"], before.facts["offset"]
            offset = tuple(s * a + o for s, a, o in zip(scale, added, offset, strict=True))
            scale = tuple(s * k for s, k in zip(scale, inner, strict=True))
        if all(math.isclose(s, 1) for s in scale) and all(abs(o) < 1e-9 for o in offset):
            return place
        return self.unit(call, "rescale", {"scale": scale, "offset": offset}, (place,))

    def clipped(
        self, unit: Unit, scale: Sequence[float], offset: Sequence[float]
    ) -> tuple[int, dict[str, float]] | None:
        """relu6(a · x + b) / 6: the place of x, and the hard sigmoid that it is."""
        if unit.kind != "relu6" or not all(math.isclose(6 * s, 1, rel_tol=1e-6) for s in scale):
            return None
        inner = self.units[unit.inputs[0]]
        if inner.kind != "rescale" or any(offset):
            return None
        slopes, shifts = set(inner.facts["scale"]), set(inner.facts["offset"])
        if len(slopes) != 1 or len(shifts) != 1:
            return None
        facts = {"slope": slopes.pop() / 6, "offset": shifts.pop() / 6}
        return inner.inputs[0], facts


_RULES: dict[str, Callable[[_Writer, _Call], int]] = {
    "attention": _Writer.attention,
    "heads_attention": _Writer.heads_attention,
    "conv": _Writer.convolution,
    "depthwise_conv": _Writer.convolution,
    "max_pool": _Writer.pool,
    "avg_pool": _Writer.pool,
    "adaptive_avg_pool": _Writer.to_size,
    "adaptive_max_pool": _Writer.to_size,
    "global_avg_pool": _Writer.pool_all,
    "global_max_pool": _Writer.pool_all,
    "identity": _Writer.nothing,
    "pixel": _Writer.nothing,
    "dropout": _Writer.dropout,
    "spatial_dropout": _Writer.dropout,
    "stochastic_depth": _Writer.dropout,
    "flatten": _Writer.flatten,
    "zero_pad": _Writer.zero_pad,
    "concat": _Writer.concat,
    "conv_transpose": _Writer.conv_transpose,
    "crop": _Writer.crop,
    "channel_slice": _Writer.channel_slice,
    "resize": _Writer.resize,
    "average": _Writer.average,
    "multiply": _Writer.multiply,
    "rescale": _Writer.rescale,
    "normalize": _Writer.rescale,
}


def _explicit(op: Any, shape: tuple[int, ...], stride: Any, dilation: Any, padding: Any) -> Sides:
    """Padding side by side, for an image of this shape."""
    rows, columns = (
        pads(shape[axis], axis, op.kernel, stride, dilation, padding) for axis in range(2)
    )
    return rows, columns


def _summed(one: Sides, other: Sides) -> Sides:
    rows, columns = ((a[0] + b[0], a[1] + b[1]) for a, b in zip(one, other, strict=True))
    return rows, columns


def _each(numbers: Any, channels: int) -> tuple[float, ...]:
    return numbers if isinstance(numbers, tuple) else (numbers,) * channels


def _flattened(units: Sequence[Unit]) -> list[Unit]:
    """Sums of sums as one sum, where nothing else reads the inner one; concats in any case."""
    readers = [0] * len(units)
    for unit in units:
        for place in unit.inputs:
            readers[place] += 1
    made: list[Unit] = []
    for unit in units:
        inner = [made[place] for place in unit.inputs]
        if unit.kind == "concat" and any(one.kind == "concat" for one in inner):
            inputs: list[int] = []
            for place, one in zip(unit.inputs, inner, strict=True):
                inputs += one.inputs if one.kind == "concat" else [place]
        elif unit.kind in _NESTED and any(one.kind == unit.kind for one in inner):
            inputs = []
            for place, one in zip(unit.inputs, inner, strict=True):
                again = one.kind == unit.kind and readers[place] == 1
                inputs += one.inputs if again else [place]
        else:
            inputs = list(unit.inputs)
        made.append(Unit(unit.kind, unit.facts, tuple(inputs), unit.shape, unit.weights, unit.name))
    return made


def same_facts(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two units compute the same with the same weights."""
    return one.keys() == other.keys() and all(same_fact(one[key], other[key]) for key in one)


def same_fact(one: Any, other: Any) -> bool:
    """Numbers agree to what float32 holds, in which files keep them."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same_fact, one, other))
    if isinstance(one, float) or isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6)
    return bool(one == other)
