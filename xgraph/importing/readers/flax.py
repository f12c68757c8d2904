"""Flax' modules, as JAX traces what they compute for images of one size.

Weights are called by their paths in the module, "stages.0.conv1.kernel".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import jax
import numpy as np
from flax import nnx

from xgraph.importing import axes as laid
from xgraph.importing.network import Array, Builder, Held, Network, Refused, Shape, without_unread
from xgraph.importing.readers import flax_idioms as idioms
from xgraph.importing.readers import flax_layers, flax_ops
from xgraph.importing.readers import flax_program as traces
from xgraph.importing.readers.attention import Scores
from xgraph.importing.readers.common import Tensor, few
from xgraph.importing.readers.flax_idioms import Found
from xgraph.importing.readers.flax_node import Operation, Times, Walk, Weight, said
from xgraph.importing.readers.flax_program import Operand, Ref, Step, Traced
from xgraph.ops.conv import Conv
from xgraph.ops.pooling import Pool
from xgraph.ops.windows import pads

#: What steps mean, by their kind.
OPS = {**flax_layers.OPS, **flax_ops.OPS}
IDIOMS = flax_ops.IDIOMS


def read(module: nnx.Module, input_shape: Shape, name: str = "model") -> Network:
    """The network of a module in evaluation mode, for images of this shape (H, W, C).

    Raises:
        Refused: it cannot be traced, or computes what no op of ours does.
    """
    network, again = (
        _read(module, input_shape, name, batch) for batch in (traces.BATCH, traces.OTHER)
    )
    if network != again:
        both = zip_longest(network.layers, again.layers)
        names = [(one or other).name for one, other in both if one != other]
        where = names[0] if names else type(module).__name__
        raise Refused(f"{where}: computes with the number of images, as no op of ours does")
    return network


def _read(module: nnx.Module, input_shape: Shape, name: str, batch: int) -> Network:
    """The network as it is for so many images."""
    traced = traces.traced(module, input_shape, batch)
    reader = _Reader(traced, Builder(name, input_shape), batch)
    unknown = list(reader.unknown())
    if unknown:
        raise Refused(*few(unknown))
    return reader.network()


def shapes(module: nnx.Module) -> dict[str, Shape]:
    """Shapes of a module's variables of floating-point numbers, by name."""
    return {one.name: tuple(one.leaf.shape) for one in traces.state_of(module) if one.is_weight}


def arrays(module: nnx.Module) -> dict[str, Array] | None:
    """A module's variables of floating-point numbers, by name; None where it has only shapes.

    Numbers of types that NumPy has not are widened, which loses nothing.
    """
    found = {}
    for one in traces.state_of(module):
        if one.is_weight:
            if not isinstance(one.leaf, jax.Array | np.ndarray):
                return None
            array = np.asarray(one.leaf)
            found[one.name] = array.astype("float32") if array.dtype.kind != "f" else array
    return found


class _Reader(Walk):
    """A walk over the steps of a program.

    Attributes:
        found: idioms by their last step.
        needed: the steps that outputs take part in, in order.
        left: how often each value will still be read.
    """

    def __init__(self, traced: Traced, builder: Builder, batch: int) -> None:
        super().__init__(builder, batch)
        self.traced = traced
        self.found: dict[Step, Found] = {}
        self.left: dict[Ref, int] = {}
        self.needed = self._needed()
        self.values: dict[Ref, Any] = {}
        self.places: dict[int, list[Ref]] = {}

    def _needed(self) -> list[Step]:
        program = self.traced.program
        for end in program.outputs:
            if isinstance(end, Ref):
                self.left[end] = self.left.get(end, 0) + 1
        needed = []
        for step in reversed(program.steps):
            if not any(one in self.left for one in step.made):
                continue
            needed.append(step)
            found = idioms.find(program, step)
            if found is not None:
                self.found[step] = found
            for ref in self.reads(step):
                self.left[ref] = self.left.get(ref, 0) + 1
        return needed[::-1]

    def reads(self, step: Step) -> list[Ref]:
        """The values that a step takes, or the idiom that it is the last of."""
        found = self.found.get(step)
        return found.reads if found else [one for one in step.given if isinstance(one, Ref)]

    def unknown(self) -> Iterator[str]:
        """A line for each step on images or weights that means nothing here."""
        for step in self.needed:
            if step not in self.found and step.kind not in OPS:
                yield f"{self.where(step)}: no op of ours is JAX's {step.kind}"

    def where(self, step: Step) -> str:
        return step.path or self.traced.title

    def network(self) -> Network:
        program = self.traced.program
        self.values |= self._given()
        for step in self.needed:
            self.read(step)
        ends = []
        for name, end in zip(self.traced.outputs, program.outputs, strict=True):
            value = self.values[end] if isinstance(end, Ref) else None
            call = Operation(self, name, name, None, (value,), {})
            value = call.tensor() if isinstance(value, Times | Tensor) else value
            ends.append((name, self.output(name, value)))
        return as_same(without_unread(self.builder.network(ends)))

    def _given(self) -> Iterator[tuple[Ref, Any]]:
        """The images, and the variables."""
        images, *variables = self.traced.program.inputs
        assert isinstance(images, Ref)
        yield images, self.lying(0, "nhwc")
        for one, held in zip(variables, self.traced.state, strict=True):
            if isinstance(one, Ref):
                yield one, Weight(Held(held.name, tuple(held.leaf.shape)))

    def read(self, step: Step) -> None:
        found = self.found.get(step)
        for ref in self.reads(step):
            self.left[ref] -= 1
        if found is not None:
            given = tuple(self.operand(one) for one in found.arrays)
            told = {word: self.operand(one) for word, one in found.numbers.items()}
            told |= {"steps": found.steps, **dict(found.idiom.given)}
            call = Operation(self, self.where(step), found.idiom.name, step, given, told)
            made: Any = [IDIOMS[found.idiom.name](call)]
        else:
            given = tuple(self.operand(one) for one in step.given)
            call = Operation(self, self.where(step), said(step), step, given, step.params)
            of_images = any(isinstance(one, Tensor | Times | Scores) for one in given)
            made = OPS[step.kind](call) if of_images else call.moved_weight()
            made = made if isinstance(made, list) else [made]
        for ref, one, shape in zip(step.made, made, step.shapes, strict=True):
            tensor = one.tensor if isinstance(one, Times) else one
            if isinstance(tensor, Tensor):
                if tuple(map(laid.size, tensor.axes)) != tuple(shape):
                    raise call.refused(f"of shape {shape} is not read")
                self.places.setdefault(tensor.place, []).append(ref)
            self.values[ref] = one

    def operand(self, one: Operand) -> Any:
        return self.values[one] if isinstance(one, Ref) else one

    def is_read_no_more(self, place: int) -> bool:
        read = any(place in layer.inputs for layer in self.builder.layers[place:])
        return not read and not any(self.left.get(ref) for ref in self.places.get(place, ()))


def as_same(network: Network) -> Network:
    """The network with `same` where padding may be that, if somewhere it can hardly be another.

    JAX puts pixels in the place of "SAME". More of them below and to the right than above, as
    many as it has, are nobody's choice of pixels.
    """
    layers = list(network.layers)
    found: dict[int, Any] = {}
    certain = False
    for place, layer in enumerate(layers):
        op: Any = layer.op
        if not isinstance(op, Conv | Pool) or isinstance(op.padding, str):
            continue
        shape = network.types[layer.inputs[0]].shape
        step, dilation = (op.stride, op.dilation) if isinstance(op, Conv) else (op.step, (1, 1))
        same = tuple(pads(shape[axis], axis, op.kernel, step, dilation, "same") for axis in (0, 1))
        if same == op.padding and any(map(any, same)):
            found[place] = replace(op, padding="same")
            certain |= any(low != high for low, high in same) and max(step) > 1
    for place, made in found.items() if certain else ():
        layers[place] = replace(layers[place], op=made)
    return replace(network, layers=layers)
