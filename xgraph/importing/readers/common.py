"""What readers share: tensors whose axes lie anyhow, and an operation of a source in its place."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from xgraph.importing import axes as laid
from xgraph.importing.axes import BATCH, Axes, Axis, Blocks, Size
from xgraph.importing.network import Builder, Held, Pixel, Refused, Shape, op

#: Lines that are said of what cannot be read.
_LINES = 40
_T = TypeVar("_T")


class Table(dict[str, _T]):
    """What operations mean, a function for each, by the source's names."""

    def of(self, *names: str) -> Callable[[_T], _T]:
        def register(function: _T) -> _T:
            self.update(dict.fromkeys(names, function))
            return function

        return register


def few(lines: Sequence[str]) -> list[str]:
    """Lines for a refusal, each once and not too many."""
    lines = list(dict.fromkeys(lines))
    more = len(lines) - _LINES
    return [*lines[:_LINES], *([f"and {more} more"] if more > 0 else [])]


@dataclass(frozen=True)
class Tensor:
    """A value of ours at a place of the network, and how the source's axes lie in it."""

    place: int
    axes: Axes


class Reader:
    """The network so far. `batch` is the size of batches in the source's shapes."""

    def __init__(self, builder: Builder, batch: Size = BATCH) -> None:
        self.builder = builder
        self.batch = batch
        self.as_ours: dict[Hashable, Tensor] = {}

    def add(
        self, name: str, kind: str, places: Sequence[int], held: Any = None, **given: Any
    ) -> int:
        try:
            made = op(kind, **given)
        except ValueError as error:
            raise Refused(f"{name}: {error}") from None
        return self.builder.add(name, made, places, held)

    def is_read_no_more(self, place: int) -> bool:
        """Whether it is certain that nothing reads a value but what reads it now."""
        return False

    def shape(self, place: int) -> Shape:
        return self.builder.types[place].shape

    def known(self, place: int) -> dict[str, Axis]:
        """The axes of a value by their letters."""
        return laid.of_shape(self.shape(place), self.batch)

    def lying(self, place: int, order: str = "") -> Tensor:
        """A value whose axes are in this order; by default (N, C, H, W) or (N, C)."""
        known = self.known(place)
        return Tensor(place, tuple(known[letter] for letter in order or known))

    def settled(self, name: str, tensor: Tensor) -> Tensor:
        """The same, made an image where it has four axes, a vector where it has two.

        Channels that were split, moved and joined again are shuffled, or blocks of pixels. A vector
        of an image's pixels is one of ours, whose entries may lie in another order.
        """
        if tensor not in self.as_ours:
            self.as_ours[tensor] = self._settled(name, tensor)
        return self.as_ours[tensor]

    def _settled(self, name: str, tensor: Tensor) -> Tensor:
        place, axes, shape = tensor.place, tensor.axes, self.shape(tensor.place)
        known = self.known(place)
        if len(shape) == 1:
            if len(axes) == 4:
                place = self.builder.add(name, Pixel(), [place])
            return Tensor(place, axes)
        if len(axes) == 2:
            if axes[0] != known["n"] or any(part.letter not in "hwc" for part in axes[1]):
                return tensor
            return Tensor(self.add(name, "flatten", [place]), (axes[0], laid.flat(axes[1], shape)))
        if laid.letters(axes, known):
            return tensor
        for k, axis in enumerate(axes):
            if groups := laid.shuffle(axis, known["c"]):
                place = self.add(name, "channel_shuffle", [place], groups=groups)
                return Tensor(place, (*axes[:k], known["c"], *axes[k + 1 :]))
        for order, found in laid.blocks(axes, shape, known):
            return self.blocks(name, place, found, order)
        return tensor

    def blocks(self, name: str, place: int, blocks: Blocks, order: str = "") -> Tensor:
        """Blocks of pixels that become channels, or the reverse, shuffled where they must be."""
        many = self.shape(place)[-1]
        if blocks.apart:
            groups = many // max(blocks.size, 1) ** 2
            if blocks.crd and groups > 1:
                place = self.add(name, "channel_shuffle", [place], groups=groups)
            return self.lying(self.add(name, "depth_to_space", [place], block=blocks.size), order)
        place = self.add(name, "space_to_depth", [place], block=blocks.size)
        if blocks.crd and many > 1:
            place = self.add(name, "channel_shuffle", [place], groups=blocks.size**2)
        return self.lying(place, order)

    def output(self, name: str, tensor: Any) -> int:
        """The place of an output: images with their channels first or last, or vectors of ours."""
        if not isinstance(tensor, Tensor):
            raise Refused(f"the output {name} is nothing that the images say")
        made = self.settled(name, tensor)
        order = laid.letters(made.axes, self.known(made.place))
        if order is None or order.replace("c", "") not in ("n", "nhw"):
            said = laid.said(made.axes)
            raise Refused(f"the output {name} is of axes {said}, which are not ours")
        return made.place


@dataclass(frozen=True)
class Call:
    """An operation in its place: where it is, and what it is."""

    reader: Reader
    name: str
    said: str

    def refused(self, reason: str) -> Refused:
        return Refused(f"{self.name}: {self.said} {reason}")

    def shape(self, place: int) -> Shape:
        return self.reader.shape(place)

    def add(self, kind: str, places: Sequence[int], /, held: Any = None, **given: Any) -> int:
        """An op in place of the operation, or of a part of it."""
        return self.reader.add(self.name, kind, places, held, **given)

    def pointwise(self, kind: str, tensor: Tensor, /, held: Any = None, **given: Any) -> Tensor:
        """An op that moves no entry, however they lie."""
        return Tensor(self.add(kind, [tensor.place], held, **given), tensor.axes)

    def image(self, kind: str, tensor: Tensor, /, held: Any = None, **given: Any) -> Tensor:
        """An op of an image (N, C, H, W), of which it makes another."""
        self.first(tensor)
        return self.reader.lying(self.add(kind, [tensor.place], held, **given))

    def first(self, tensor: Tensor) -> Shape:
        """The shape (H, W, C) of what must be an image with channels first."""
        if len(tensor.axes) != 4 or tensor != self.reader.lying(tensor.place):
            said = laid.said(tensor.axes)
            raise self.refused(f"of axes {said}, which are no image (n, c, h, w)")
        return self.shape(tensor.place)

    def spatial(self, kind: str, tensor: Tensor, /, **given: Any) -> Tensor:
        """An op of an image whose axes may be in any order, and stay in it."""
        order = self.order(tensor)
        return self.reader.lying(self.add(kind, [tensor.place], **given), order)

    def order(self, tensor: Tensor) -> str:
        """Which axis is which, such as "nchw"."""
        order = laid.letters(tensor.axes, self.reader.known(tensor.place))
        if order is None:
            raise self.refused(f"of axes {laid.said(tensor.axes)}")
        return order

    def axis(self, tensor: Tensor, axis: int) -> int:
        """An axis that may be counted from the last."""
        rank = len(tensor.axes)
        if not -rank <= axis < rank:
            raise self.refused(f"over axis {axis} of {rank}")
        return axis % rank

    def over_channels(self, tensor: Tensor, axis: int, *, ordered: bool = False) -> int:
        """An axis that must be all channels, in our order or in any; counted from the first."""
        axis = self.axis(tensor, axis)
        found, channels = tensor.axes[axis], self.reader.known(tensor.place)["c"]
        if found != channels and (ordered or laid.sorted_parts(found) != channels):
            said = laid.said(tensor.axes)
            raise self.refused(f"over axis {axis} of {said}, not over the channels")
        return axis

    def vectors(
        self, tensor: Tensor, axis: int, given: Mapping[str, Held | None]
    ) -> dict[str, Held]:
        """Weights with an entry for each channel, which lie along an axis, by our words."""
        axis = self.over_channels(tensor, axis)
        channels = self.shape(tensor.place)[-1]
        found = {word: held for word, held in given.items() if held is not None}
        for word, held in found.items():
            if held.form != (channels,):
                raise self.refused(f"with a {word} of shape {held.form}; read is one a channel")
        return {word: laid.in_order(held, tensor.axes[axis]) for word, held in found.items()}
