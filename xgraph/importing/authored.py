"""A network as an author would write it down: what a reader took from a source, in fewer words.

| as read | as written |
|---|---|
| `identity`, a dropout of nothing, softmax and its logarithm at the end | nothing |
| a convolution with as many groups as channels | `depthwise_conv` |
| a depthwise convolution, then one of single pixels | `separable_conv` |
| `zero_pad` before a window | that window's padding |
| padding of half a window at stride 1 | `same`, or as it was: see `forms` |
| more pixels on one side than the other, as many as `same` has | `same` |
| padding of a window of one pixel | whatever suits |
| a mean over the image that keeps its axes, then `flatten` | `global_avg_pool` |
| x · sigmoid(x) | `silu` |
| queries, keys and values, what heads make of them, and a layer behind | `attention` |
| a sum of a long path and a short one, either way | the long path first |
| a concat of more and more | each of the one before and what is new |
| `resize` to a size that is a multiple | by its `scale` |
| a number with the digits of float32 in float64 | with those that it needs |

It computes the same, which the walk beside the source shows afterwards (`xgraph.importing.equal`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from xgraph.importing import heads
from xgraph.importing.digits import shortened
from xgraph.importing.network import ANSWERS, Held, Layer, Network, Refused, op
from xgraph.importing.normal import COMMUTATIVE, DROPS, NEVER_NEGATIVE
from xgraph.importing.structure.decompose import owners
from xgraph.importing.structure.strands import settled
from xgraph.importing.structure.tree import ANY
from xgraph.ir.types import TensorType
from xgraph.ops import Op
from xgraph.ops.windows import pads

_NONE = ((0, 0), (0, 0))
_WINDOWS = frozenset({"conv", "depthwise_conv", "separable_conv", "max_pool", "avg_pool"})
_MAYBE_NOTHING = frozenset({"identity", "concat", "rescale", "normalize"}) | COMMUTATIVE
_SCALES = frozenset({"normalize", "rescale"})
#: Networks of more convolutions than VGG-19 were trained with batch norm.
_OLD = 20


@dataclass
class _Node:
    op: Any
    inputs: tuple[int, ...]
    made: TensorType
    weights: Mapping[str, Held]


def forms(network: Network) -> Iterator[Network]:
    """The network as an author could write it: with `same` padding, and with that of pixels."""
    for half in (False, True):
        yield _Draft(network, half).network()


def form_at_any_size(network: Network) -> Network:
    """The network with `same` for all pixels that are as many, as it would be at other sizes."""
    return _Draft(network, half=False, always_same=True).network()


def remarks(network: Network, always_same: bool = False) -> list[str]:
    """What to know of the forms of a network."""
    draft = _Draft(network, half=False, always_same=always_same)
    draft.network()
    notes = list(dict.fromkeys(draft.notes))
    if draft.lopsided:
        several = f" and {len(draft.lopsided) - 1} more" if len(draft.lopsided) > 1 else ""
        notes.append(
            f"padding of pixels is written as `same`, which it is at this size of images: "
            f"{draft.lopsided[0]}{several}"
        )
    return notes


class _Draft:
    """Nodes that are replaced in place; a node is gone when nothing reads it."""

    def __init__(self, source: Network, half: bool, always_same: bool = False) -> None:
        self.source, self.half, self.always_same = source, half, always_same
        self.nodes = [
            _Node(layer.op, layer.inputs, made, layer.weights)
            for layer, made in zip(source.layers, source.types, strict=True)
        ]
        self.outputs = list(source.outputs)
        self.notes: list[str] = []
        self.lopsided: list[str] = []
        first = owners(source.layers)
        #: Layers with one set of weights stay as they are, for they must stay one op.
        self.shared = {k for place, k in enumerate(first) if k != place}
        self.shared |= {place for place, k in enumerate(first) if k != place}

    def network(self) -> Network:
        """The network after all rewrites, without what no output needs."""
        self.leave_out()
        for rewrite in (
            self.attention,
            self.vectors,
            self.depthwise,
            self.borders,
            self.silu,
            self.windows,
            self.separable,
            self.nested,
            self.long_first,
            self.scales,
            self.numbers,
        ):
            rewrite()
        return self.finished()

    # -- what nodes are to each other -------------------------------------------------------------

    def readers(self) -> list[list[int]]:
        """Who reads each node, outputs left out."""
        found: list[list[int]] = [[] for _ in self.nodes]
        for place in sorted(self.alive()):
            for read in self.nodes[place].inputs:
                found[read].append(place)
        return found

    def alive(self) -> set[int]:
        """What outputs need."""
        todo, seen = [place for _, place in self.outputs], set()
        while todo:
            place = todo.pop()
            if place not in seen:
                seen.add(place)
                todo += self.nodes[place].inputs
        return seen

    def only_reader(self, place: int, readers: Sequence[Sequence[int]]) -> int | None:
        """The one node that reads another; None where there are several, or an output does."""
        if len(readers[place]) != 1 or any(end == place for _, end in self.outputs):
            return None
        return readers[place][0]

    def instead(self, place: int, other: int) -> None:
        """Have all read another node instead of one."""
        for node in self.nodes:
            node.inputs = tuple(other if read == place else read for read in node.inputs)
        self.outputs = [(name, other if end == place else end) for name, end in self.outputs]

    def set(self, place: int, name: str, inputs: tuple[int, ...], **attributes: Any) -> None:
        """A node with another op."""
        self.nodes[place].op = op(name, **attributes)
        self.nodes[place].inputs = inputs

    # -- rewrites ---------------------------------------------------------------------------------

    def leave_out(self) -> None:
        for place, node in enumerate(self.nodes):
            name = node.op.name
            if (name in _MAYBE_NOTHING and _nothing(node)) or (name in DROPS and not node.op.rate):
                self.instead(place, node.inputs[0])
            elif name in ANSWERS and self.is_answer(place):
                self.refuse_twice(place)
                self.notes.append(f"{name} at the end is left out: what comes out are logits")
                self.outputs = [
                    (word, node.inputs[0] if end == place else end) for word, end in self.outputs
                ]

    def is_answer(self, place: int) -> bool:
        """Whether an output is this softmax, and none is what it is of."""
        ends = [end for _, end in self.outputs]
        return place in ends and self.nodes[place].inputs[0] not in ends

    def refuse_twice(self, place: int) -> None:
        """A softmax of a softmax is no answer whose logits are known: one of them would stay."""
        name, (read,) = self.nodes[place].op.name, self.nodes[place].inputs
        if self.nodes[read].op.name in ANSWERS:
            raise Refused(
                f"{self.source.layers[place].name}: {name} of a {self.nodes[read].op.name} at the "
                "end; training wants logits: leave one of them out"
            )

    def vectors(self) -> None:
        """Means over the image are vectors, unless they are read as images."""
        for place, node in enumerate(self.nodes):
            name = node.op.name
            if name == "adaptive_avg_pool" and node.op.size == (1, 1):
                self.set(place, "global_avg_pool", node.inputs, keep_dims=True)
            elif name in ("flatten", "pixel") and (
                node.made.rank == self.nodes[node.inputs[0]].made.rank
            ):
                self.instead(place, node.inputs[0])
        readers = self.readers()
        for place, node in enumerate(self.nodes):
            if node.op.name not in ("global_avg_pool", "global_max_pool"):
                continue
            follow = readers[place]
            other = "flatten" if node.op.keep_dims else "pixel"
            if follow and all(self.nodes[reader].op.name == other for reader in follow):
                made = self.nodes[follow[0]].made
                node.op, node.made = replace(node.op, keep_dims=not node.op.keep_dims), made
                for reader in follow:
                    self.instead(reader, place)

    def attention(self) -> None:
        """Heads and the four layers around them.

        Raises:
            Refused: with each that no attention of a spec is.
        """
        readers = self.readers()
        for _, end in self.outputs:
            readers[end].append(heads.OUTPUT)
        lines = []
        for place, node in enumerate(self.nodes):
            if node.op.name == "heads_attention" and readers[place]:
                try:
                    whole = heads.whole(self.nodes, readers, place)
                except heads.Unsayable as reason:
                    lines.append(f"{self.source.layers[place].name}: {reason}")
                    continue
                made = self.nodes[whole.place]
                made.op, made.inputs, made.weights = whole.op, (whole.image,), whole.weights
        names = [layer.name for layer in self.source.layers]
        for one, other in heads.parted(self.nodes, sorted(self.alive())):
            lines.append(f"{names[one]}: some of its weights, not all, are those of {names[other]}")
        if lines:
            raise Refused(*lines)

    def depthwise(self) -> None:
        for node in self.nodes:
            if node.op.name != "conv" or node.op.groups == 1:
                continue
            channels = self.nodes[node.inputs[0]].made.channels
            if node.op.groups == channels:
                one = node.op
                node.op = op(
                    "depthwise_conv",
                    kernel=one.kernel,
                    stride=one.stride,
                    padding=one.padding,
                    dilation=one.dilation,
                    multiplier=one.filters // channels,
                    bias=one.bias,
                    **_initializer(one),
                )

    def borders(self) -> None:
        """A border of zeros before a window belongs to it."""
        readers = self.readers()
        for place, node in enumerate(self.nodes):
            if node.op.name != "zero_pad":
                continue
            reader = self.only_reader(place, readers)
            if reader is None:
                continue
            below, window = self.nodes[node.inputs[0]], self.nodes[reader]
            suits = window.op.name in ("conv", "depthwise_conv", "separable_conv") or (
                window.op.name == "max_pool"
                and below.op.name in NEVER_NEGATIVE
                and _reaches_in(window.op, node.op.padding)
            )
            if suits and reader not in self.shared and _sides(window.op, node.made) == _NONE:
                window.op = replace(window.op, padding=node.op.padding)
                window.inputs = node.inputs

    def silu(self) -> None:
        for place, node in enumerate(self.nodes):
            if node.op.name == "multiply" and len(node.inputs) == 2:
                for x, gate in (node.inputs, node.inputs[::-1]):
                    if self.nodes[gate].op.name == "sigmoid" and self.nodes[gate].inputs == (x,):
                        self.set(place, "silu", (x,))
                        break

    def windows(self) -> None:
        """Paddings in as few forms as there are meanings."""
        for place, node in enumerate(self.nodes):
            one = node.op
            if one.name not in _WINDOWS or place in self.shared:
                continue
            given = self.nodes[node.inputs[0]].made
            if one.name in ("max_pool", "avg_pool"):
                if one.stride == one.kernel:
                    one = replace(one, stride=None)
                step, dilation = one.step, (1, 1)
            else:
                step, dilation = one.stride, one.dilation
                if one.kernel == (1, 1) and dilation != (1, 1):
                    one = replace(one, dilation=(1, 1))
            sides = _sides(one, given)
            if one.padding != "same" and sides == _NONE and one.padding != "valid":
                one = replace(one, padding="valid")
            if one.name == "avg_pool" and sides == _NONE:
                one = replace(one, count_include_pad=False)
            half = tuple(((k - 1) * d // 2,) * 2 for k, d in zip(one.kernel, dilation, strict=True))
            odd = all(k % 2 for k in one.kernel)
            counted = one.name == "avg_pool" and one.count_include_pad
            if step == (1, 1) and odd and sides == half != _NONE and not counted:
                one = replace(one, padding=half if self.half else "same")
            lopsided = any(low < high for low, high in sides)
            if self.always_same and sides != _NONE:
                lopsided = True  # of images of another size
            if lopsided and not counted and sides == _sides(replace(one, padding="same"), given):
                if one.padding != "same":
                    self.lopsided.append(self.source.layers[place].name)
                one = replace(one, padding="same")  # which no one would spell out
            if one.name in ("conv", "separable_conv") and one.kernel == (1, 1) and sides == _NONE:
                one = replace(one, padding=ANY)
            node.op = one

    def separable(self) -> None:
        readers = self.readers()
        for place, node in enumerate(self.nodes):
            if node.op.name != "depthwise_conv" or node.op.bias or place in self.shared:
                continue
            reader = self.only_reader(place, readers)
            if reader is None:
                continue
            point = self.nodes[reader]
            if (
                point.op.name == "conv"
                and point.op.kernel == point.op.stride == (1, 1)
                and point.op.groups == 1
                and point.op.padding is ANY
                and reader not in self.shared
                and point.op.kernel_initializer == node.op.kernel_initializer
            ):
                one = node.op
                point.op = op(
                    "separable_conv",
                    filters=point.op.filters,
                    kernel=one.kernel,
                    stride=one.stride,
                    padding=one.padding,
                    dilation=one.dilation,
                    multiplier=one.multiplier,
                    bias=point.op.bias,
                    **_initializer(one),
                )
                point.inputs = node.inputs
                below = {f"depthwise_{word}": held for word, held in node.weights.items()}
                point.weights = {**below, **point.weights}

    def nested(self) -> None:
        """A concat that begins as an earlier one does, where nothing else reads what is new."""
        known: dict[tuple[int, ...], int] = {}
        for place, node in enumerate(self.nodes):
            if node.op.name != "concat":
                continue
            whole = node.inputs
            for length in range(len(whole) - 1, 1, -1):
                if whole[:length] in known:
                    node.inputs = (known[whole[:length]], *whole[length:])
                    break
            known.setdefault(whole, place)

    def long_first(self) -> None:
        above: list[int] = []
        for node in self.nodes:
            above.append(1 + max((above[read] for read in node.inputs), default=0))
            if node.op.name in COMMUTATIVE:
                node.inputs = tuple(sorted(node.inputs, key=lambda read: -above[read]))

    def scales(self) -> None:
        """Images that become so many times as large are so of any size."""
        for node in self.nodes:
            if node.op.name == "resize" and node.op.size is not None:
                given = self.nodes[node.inputs[0]].made.shape
                whole = [divmod(m, n) for m, n in zip(node.op.size, given, strict=False)]
                if not any(rest for _, rest in whole):
                    node.op = replace(node.op, size=None, scale=tuple(times for times, _ in whole))

    def numbers(self) -> None:
        """Files keep numbers in float32, and libraries compute them.

        What images are rescaled by is kept: all that follows is as exact as that.
        """
        for node in self.nodes:
            single = node.op.name not in _SCALES
            values = {f.name: getattr(node.op, f.name) for f in fields(node.op)}
            usual = {f.name for f in fields(node.op) if values[f.name] == f.default}
            changed = {k: shortened(value, single) for k, value in values.items() if k not in usual}
            node.op = replace(node.op, **changed)

    def finished(self) -> Network:
        """Layers in order, numbered anew."""
        alive = sorted(self.alive())
        order = self.ordered(alive)
        places = {old: new for new, old in enumerate(order)}
        layers = [
            Layer(
                self.source.layers[old].name,
                self.nodes[old].op,
                tuple(places[read] for read in self.nodes[old].inputs),
                self.nodes[old].weights,
                self.given(old),
            )
            for old in order
        ]
        types = [self.nodes[old].made for old in order]
        outputs = [(name, places[end]) for name, end in self.outputs]
        ends = [end for _, end in outputs]
        return Network(self.source.name, settled(layers, ends), types, outputs)

    def given(self, place: int) -> int | None:
        """The channels of a node's first input."""
        inputs = self.nodes[place].inputs
        return self.nodes[inputs[0]].made.channels if inputs else None

    def ordered(self, alive: Sequence[int]) -> list[int]:
        """Nodes after all that they read; rewrites may have had one read a later one."""
        done: dict[int, None] = {}
        for start in alive:
            todo = [start]
            while todo:
                place = todo[-1]
                missing = [read for read in self.nodes[place].inputs if read not in done]
                if place in done or not missing:
                    done.setdefault(place)
                    todo.pop()
                else:
                    todo += missing
        return list(done)


def _initializer(one: Any) -> dict[str, Any]:
    """How a kernel starts, as a spec says it."""
    name, _, number = one.kernel_initializer.removesuffix(")").partition("(")
    return {"kernel_initializer": {name: float(number)} if number else name}


def _nothing(node: _Node) -> bool:
    """Whether what comes out is what went in."""
    one = node.op
    if one.name == "rescale":
        return _all(one.scale, 1) and _all(one.offset, 0)
    if one.name == "normalize":
        return _all(one.mean, 0) and _all(one.std, 1)
    return len(node.inputs) == 1


def _reaches_in(window: Any, padding: Any) -> bool:
    """Whether each window holds a pixel of the image, and none a border alone."""
    return all(max(sides) < size for sides, size in zip(padding, window.kernel, strict=True))


def _all(numbers: Any, number: float) -> bool:
    return set(numbers if isinstance(numbers, tuple) else (numbers,)) == {number}


def _sides(one: Op, given: TensorType) -> Any:
    """Pixels that a window's padding adds on each side."""
    window: Any = one
    step = window.step if window.name in ("max_pool", "avg_pool") else window.stride
    dilation = getattr(window, "dilation", (1, 1))
    return tuple(
        pads(given.shape[axis], axis, window.kernel, step, dilation, window.padding)
        for axis in range(2)
    )


def folded(network: Network) -> bool:
    """Whether batch norm was folded into convolutions: all have a bias, and there is no norm."""
    ops = [layer.op for layer in network.layers]
    convolutions: list[Any] = [one for one in ops if one.name in ("conv", "depthwise_conv")]
    norms = any(one.name.endswith("_norm") for one in ops)
    merged = any(one.name in COMMUTATIVE for one in ops)
    # Networks without batch norm there were before it: those have no shortcuts, and few layers.
    plain = not merged and len(convolutions) < _OLD
    return not norms and not plain and bool(convolutions) and all(c.bias for c in convolutions)


def refuse_unknown(network: Network) -> None:
    """Refuse what has no words in specs.

    Raises:
        Refused: with each such layer.
    """
    from xgraph import ops

    known = set(ops.names())
    lines = [
        f"{layer.name}: there is no op for {layer.op.name} in specs"
        for layer in network.layers
        if layer.inputs and layer.op.name not in known
    ]
    if lines:
        raise Refused(*lines)
