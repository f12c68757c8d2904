"""A step of a traced module in its place: what it is given, and what it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flax import nnx

from xgraph.importing.network import Builder, Held, Shape
from xgraph.importing.readers.attention import Scores
from xgraph.importing.readers.common import Call, Reader, Tensor
from xgraph.importing.readers.flax_idioms import number
from xgraph.importing.readers.flax_program import Layer, Step
from xgraph.ops.resize import Resize


@dataclass(frozen=True)
class Weight:
    """A variable of the module; along axes in which it is repeated, it has size 1."""

    held: Held

    @property
    def shape(self) -> Shape:
        return self.held.form


@dataclass(frozen=True)
class Times:
    """A sum, which is a mean times a number."""

    tensor: Tensor
    factor: float


class Walk(Reader):
    """A reader that gives ops of a module's own code their names."""

    def __init__(self, builder: Builder, batch: int) -> None:
        super().__init__(builder, batch)
        self.counts: dict[str, int] = {}

    def numbered(self, path: str, kind: str) -> str:
        """A name by the module and the op: "stages.0.relu", "stages.0.relu_1"."""
        name = f"{path}.{kind}" if path else kind
        count = self.counts[name] = self.counts.get(name, -1) + 1
        return f"{name}_{count}" if count else name


@dataclass(frozen=True)
class Operation(Call):
    """A primitive, a layer or an idiom: its last step, and what it is given."""

    reader: Walk
    step: Step | None
    given: Sequence[Any]
    params: Mapping[str, Any]

    @property
    def made(self) -> Shape:
        """The shape of what comes out."""
        assert self.step is not None
        return self.step.shapes[0]

    def add(self, kind: str, places: Sequence[int], /, held: Any = None, **given: Any) -> int:
        """An op of a layer of Flax' is called as that, another one also by its kind.

        Layers that the module's code makes anew, as `nnx.jit` does, are known by their weights.
        """
        owners = {one.name.rpartition(".")[0] for one in (held or {}).values()} - {self.path}
        if self.is_layer:
            name = self.name
        elif len(owners) == 1 and "" not in owners:
            (name,) = owners
        else:
            name = self.reader.numbered(self.path, kind)
        return self.reader.add(name, kind, places, held, **given)

    @property
    def path(self) -> str:
        return "" if self.step is None else self.step.path

    @property
    def is_layer(self) -> bool:
        """Whether it is code of Flax' own, of one of its layers."""
        module = None if self.step is None else self.step.module
        if module is None or not module.__module__.startswith("flax."):
            return False
        return not issubclass(module, nnx.Sequential)

    def raw(self, number: int = 0) -> Tensor:
        """What follows from the images, with axes as they are."""
        value = self.given[number]
        if isinstance(value, Times):
            return self.pointwise("rescale", value.tensor, scale=value.factor)
        if isinstance(value, Scores):
            raise self.refused("of scores of attention, which are multiplied with values alone")
        if not isinstance(value, Tensor):
            raise self.refused("of what does not follow from the images")
        return value

    def tensor(self, number: int = 0) -> Tensor:
        """The same, an image or a vector as it has four axes or two."""
        value = _upsampled(self, self.raw(number))
        name = self.name if self.is_layer else f"{self.path}.{self.said}".removeprefix(".")
        return self.reader.settled(name, value)

    def order(self, tensor: Tensor) -> str:
        """Which axis is which, such as "nhwc"; where sizes are 1, as Flax has them."""
        as_flax = tensor == self.reader.lying(tensor.place, "nhwc")
        return "nhwc" if as_flax else super().order(tensor)

    def resized(self, tensor: Tensor, axis: int, size: int, method: str) -> Tensor:
        """An image with another number of rows or columns; of both in turn, one op."""
        order, place = self.order(tensor), tensor.place
        builder, (height, width, _) = self.reader.builder, self.shape(tensor.place)
        sizes = {"h": height, "w": width}
        layer, before = builder.layers[place], sizes[order[axis]]
        last = place == len(builder.layers) - 1 and self.reader.is_read_no_more(place)
        if last and isinstance(layer.op, Resize) and layer.op.method == method:
            (below,) = layer.inputs
            if before == self.shape(below)["hw".index(order[axis])]:  # of the other axis alone
                place = below
                builder.layers.pop()
                builder.types.pop()
        sizes[order[axis]] = size
        made = self.add("resize", [place], size=[sizes["h"], sizes["w"]], method=method)
        return self.reader.lying(made, order)

    def weight(self, number: int) -> Held:
        """A variable that is an operand."""
        value = self.given[number]
        if not isinstance(value, Weight):
            raise self.refused("with weights that are no variables, but computed or constant")
        return value.held

    def number(self, word: str) -> float:
        """A number by which an idiom goes."""
        found = self.params[word]
        value = number(found) if isinstance(found, np.ndarray) else None
        if value is None:
            raise self.refused(f"whose {word} is not one number")
        return value

    def moved_weight(self) -> Weight:
        """A variable with its axes moved, or of size 1 put in or taken away."""
        assert self.step is not None
        value, kind = self.given[0], self.step.kind
        if len(self.given) > 1 or kind not in _MOVES or not isinstance(value, Weight):
            raise self.refused("of weights alone, which no op of ours computes")
        return Weight(_MOVES[kind](self, value.held))


def said(step: Step) -> str:
    """A step for a message."""
    layer = step.params.get("layer")
    return f"nnx.{layer.kind.__name__}" if isinstance(layer, Layer) else step.kind


# -- weights --------------------------------------------------------------------------------------


def _spread(call: Operation, held: Held) -> Held:
    shape = [1] * len(call.made)
    for axis, n in zip(call.params["broadcast_dimensions"], held.form, strict=True):
        shape[axis] = n
    return held.reshaped(*shape)


def _whole(call: Operation, held: Held) -> Held:
    if held.form != call.made:
        raise call.refused(f"of a part of weights, of shape {call.made} of {held.form}")
    return held


_MOVES: Mapping[str, Callable[[Operation, Held], Held]] = {
    "broadcast_in_dim": _spread,
    "reshape": lambda call, held: held.reshaped(*call.made),
    "rev": lambda call, held: held.reversed(*call.params["dimensions"]),
    "slice": _whole,
    "squeeze": lambda call, held: held.reshaped(*call.made),
    "transpose": lambda call, held: held.transposed(*call.params["permutation"]),
}


def _upsampled(call: Operation, value: Tensor) -> Tensor:
    """Pixels that are repeated side by side, as by `jnp.repeat`."""
    if len(value.axes) != 4:
        return value
    scale, axes, known = {"h": 1, "w": 1}, list(value.axes), call.reader.known(value.place)
    for k, axis in enumerate(axes):
        if len(axis) == 2 and axis[1].letter == "x" and axis[:1] in (known["h"], known["w"]):
            scale[axis[0].letter], axes[k] = axis[1].size, axis[:1]
    if max(scale.values()) == 1:
        return value
    plain = Tensor(value.place, tuple(axes))
    order = call.order(plain)
    place = call.add("resize", [value.place], scale=list(scale.values()), method="nearest")
    return call.reader.lying(place, order)
