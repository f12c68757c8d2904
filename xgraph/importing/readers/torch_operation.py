"""An operation of ATen, and values that only the next operations make something of ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node

from xgraph.importing.axes import Axes, Axis
from xgraph.importing.network import Array, Held, Refused, Shape
from xgraph.importing.readers.attention import Scores
from xgraph.importing.readers.common import Call, Reader, Table, Tensor
from xgraph.importing.readers.torch_program import Weight

#: How far a product of factors may be from 1 by rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Walled:
    """An image in a border of −∞, which no maximum takes: only max pooling reads it.

    Attributes:
        sides: pixels before and behind it, of rows and of columns.
    """

    image: Tensor
    sides: tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Pooled:
    """A mean or a maximum over pixels that may be taken in steps, axis by axis.

    Attributes:
        image: of which it is.
        kind: the op of ours that it is over all pixels.
        axes: what is left; those over which it was taken have no parts.
        gone: over which it was taken.
        factor: what the mean is multiplied with; a sum is a mean times how many there are.
        name, told: the operation that began it, and what is said where it is not over all pixels.
    """

    image: Tensor
    kind: str
    axes: Axes
    gone: Axis
    factor: float
    name: str
    told: str

    @property
    def is_mean(self) -> bool:
        return math.isclose(self.factor, 1, rel_tol=_ROUNDING)


@dataclass(frozen=True)
class Compared:
    """Where a tensor is above zero, or where it is not; at zero it may be either.

    Attributes:
        above: whether it is true where the tensor is above zero.
    """

    tensor: Tensor
    above: bool


@dataclass(frozen=True)
class Step:
    """What is on its way to `mish` or `gelu`, and no op of ours by itself.

    Attributes:
        kind: "softplus", "tanh" of that, "erf", "1 + erf", or "gelu" where the product is there.
        tensor: of what it is.
        factor: what it is multiplied with.
    """

    kind: str
    tensor: Tensor
    factor: float = 1.0


@dataclass(frozen=True)
class Strided:
    """Rows or columns of an image, each so many behind the one before; others go with them.

    Attributes:
        axis: which of the two.
        start: the first.
        step: how far apart they are; they are as many as there are such steps.
    """

    tensor: Tensor
    axis: int
    start: int
    step: int

    @property
    def reason(self) -> str:
        """Why it is no value of ours by itself."""
        return (
            f"of a slice with step {self.step}; read are rows and columns with one step, as in "
            "blocks of pixels"
        )


#: What follows from the images.
OF_IMAGES = (Tensor, Scores, Walled, Pooled, Compared, Step, Strided)


@dataclass(frozen=True)
class Operation(Call):
    """An operation of ATen: its node, and what it is given by its own words."""

    node: Node
    given: Mapping[str, Any]

    @property
    def made(self) -> Shape:
        """The shape of what comes out."""
        return tuple(self.node.meta["val"].shape)

    @property
    def word(self) -> str:
        """PyTorch's word for what it is of; of an operation in place it is always `self`."""
        return "input" if "input" in self.given else "self"

    def raw(self) -> Tensor:
        """What follows from the images, with axes as they are."""
        return self.of_images(self.word)

    def of_images(self, word: str) -> Tensor:
        """The same of an argument that is not the first."""
        return self.seen(self.given[word])

    def seen(self, value: Any) -> Tensor:
        """What follows from the images, if it does."""
        if isinstance(value, Scores):
            raise self.refused("of scores of attention, which are multiplied with values alone")
        if isinstance(value, Walled):
            raise self.refused("of an image in a border of −∞, which max pooling alone reads")
        if isinstance(value, Compared):
            raise self.refused("of where a tensor is above zero, which chooses between it and 0")
        if isinstance(value, Step):
            raise self.refused(f"of {value.kind}, which is read as a part of mish or gelu alone")
        if isinstance(value, Strided):
            raise self.refused(value.reason)
        if isinstance(value, Pooled):
            return completed(self.reader, value)
        if not isinstance(value, Tensor):
            raise self.refused("of what does not follow from the images")
        return value

    def tensor(self) -> Tensor:
        """The same, an image or a vector as it has four axes or two."""
        return self.settled(self.raw())

    def settled(self, value: Tensor) -> Tensor:
        return self.reader.settled(self.name, value)

    def held(self, word: str) -> Held:
        """A weight of the module."""
        weight = self.given[word]
        if isinstance(weight, torch.Tensor):
            said = "a tensor that no state_dict has; read are parameters and buffers"
            raise self.refused(f"whose {word} is {said}: register_buffer makes it one")
        if not isinstance(weight, Weight):
            raise self.refused(f"whose {word} is no parameter but computed")
        return weight.held

    def maybe(self, word: str) -> Held | None:
        """A weight that may be left out."""
        return None if self.given[word] is None else self.held(word)

    def array(self, constant: Any) -> Array:
        """Numbers that are no weights."""
        constant = constant.tensor if isinstance(constant, Weight) else constant
        if not isinstance(constant, torch.Tensor | float | int):
            raise self.refused("with what is no number")
        array: Array = torch.as_tensor(constant, dtype=torch.float64).detach().numpy()
        return array

    def number(self, constant: Any) -> float | None:
        """The one number that all entries of a constant are, if it is one and they are."""
        tensor = constant.tensor if isinstance(constant, Weight) else constant
        if not isinstance(tensor, torch.Tensor | float | int):
            return None
        array = self.array(tensor)
        first = array.flat[0] if array.size else None
        return float(first) if first is not None and (array == first).all() else None

    def bound(self, constant: Any) -> float | None:
        """A number that entries are held to; None is none."""
        number = self.number(constant)
        if number is None and constant is not None:
            raise self.refused("of other than a tensor and one number")
        return number

    def plain(self, **expected: Any) -> None:
        """Refuse arguments that an op of ours has not."""
        for word, value in expected.items():
            given = self.given[word]
            if any(one != value for one in (given if isinstance(given, list | tuple) else [given])):
                raise self.refused(f"with {word} {given}")


def places(value: Any) -> list[int]:
    """The values of ours that an operation's result is made of."""
    if isinstance(value, list | tuple):
        return [place for one in value for place in places(one)]
    if isinstance(value, Tensor):
        return [value.place]
    held = vars(value).values() if isinstance(value, OF_IMAGES) else ()
    return [one.place for one in held if isinstance(one, Tensor)]


def completed(reader: Reader, pooled: Pooled) -> Tensor:
    """A pooling that has been over all pixels.

    Raises:
        Refused: it has not.
    """
    known, place = reader.known(pooled.image.place), pooled.image.place
    if pooled.gone != (*known.get("h", ()), *known.get("w", ())):
        raise Refused(pooled.told)
    if pooled not in reader.as_ours:
        if "h" in known:
            kept = len(pooled.axes) == 4
            place = reader.add(pooled.name, pooled.kind, [place], keep_dims=kept)
        if not pooled.is_mean:
            place = reader.add(pooled.name, "rescale", [place], scale=pooled.factor)
        reader.as_ours[pooled] = Tensor(place, pooled.axes)
    return reader.as_ours[pooled]


def ready(call: Operation, pooled: Pooled) -> Tensor | Pooled:
    """A pooling as one of ours, where it is a mean or a maximum over all pixels by now."""
    known = call.reader.known(pooled.image.place)
    whole = pooled.gone == (*known.get("h", ()), *known.get("w", ()))
    return completed(call.reader, pooled) if whole and pooled.is_mean else pooled


#: What operations mean, by their names.
Meanings = Table[Callable[[Operation], Any]]
