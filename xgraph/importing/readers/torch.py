"""PyTorch's modules, as `torch.export` writes down what they compute for images of one size.

What a tensor means is never guessed from its shape. Of each it is known which value of ours it is,
and what each of its axes counts: rows, columns, channels, or parts of these in some order. Views
and permutations change that alone.

Weights are called as in the module's `state_dict()`.
"""

from __future__ import annotations

import itertools
import math
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.fx import Node
from torch.utils import _pytree as pytree

from xgraph.importing.network import Builder, Held, Network, Pixel, Refused, Shape, op

#: Images that the module is exported with; were it one, an axis of one could be any.
_BATCH = 2


@dataclass(frozen=True)
class Digit:
    """What an axis counts, or a part of that: `size` steps of so many rows, columns or channels.

    Attributes:
        letter: of n, h, w, c; or x, where entries are repeated.
        step: how many pixels, or channels, one step is.
        size: how many steps there are, at least 2.
    """

    letter: str
    step: int
    size: int


Axis = tuple[Digit, ...]  # the slowest first; none where the axis is of size 1
Axes = tuple[Axis, ...]


@dataclass(frozen=True)
class Value:
    """A tensor that follows from the images: a place in the network, and how it lies."""

    place: int
    axes: Axes


@dataclass(frozen=True)
class Weight:
    """A parameter or a buffer, perhaps with axes of size 1 put in.

    Attributes:
        held: as `state_dict()` has it.
        shape: as it is now.
        tensor: of a buffer, which may be a constant too.
    """

    held: Held
    shape: Shape
    tensor: torch.Tensor | None = None


@dataclass(frozen=True)
class _Stale:
    """A view of what was changed in place."""

    changed: str


def read(module: torch.nn.Module, input_shape: Shape, name: str = "model") -> Network:
    """The network of a module in evaluation mode, for images of this shape (H, W, C).

    Raises:
        Refused: it cannot be exported, or has operations that no op of ours is.
    """
    program = _exported(module, input_shape)
    graph = _Graph(program)
    unknown = list(dict.fromkeys(graph.unknown()))
    if unknown:
        raise Refused(*unknown)
    return _Reader(graph, Builder(name, input_shape)).network()


def _exported(module: torch.nn.Module, input_shape: Shape) -> torch.export.ExportedProgram:
    height, width, channels = input_shape
    floats = (p.dtype for p in module.parameters() if p.dtype.is_floating_point)
    images = torch.zeros(_BATCH, channels, height, width, dtype=next(floats, torch.float32))
    training = [part for part in module.modules() if part.training]
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return torch.export.export(module.eval(), (images,), strict=False)
    except Exception as error:  # whatever the module's own code raises
        reason = str(error).strip().partition("\n")[0]
        kind = f"{type(module).__name__} cannot be exported"
        raise Refused(f"{kind}: {type(error).__name__}: {reason}") from None
    finally:
        for part in training:
            part.training = True


class _Graph:
    """What is looked up in an exported program."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        self.program = program
        self.nodes: Sequence[Node] = list(program.graph.nodes)
        self.norms = {node: found for node in self.nodes if (found := _local_response(node))}
        self.inside = {node for norm in self.norms.values() for node in norm.inside}
        signature = program.graph_signature
        self.parameters = signature.inputs_to_parameters
        constants = signature.inputs_to_lifted_tensor_constants
        self.buffers = {**signature.inputs_to_buffers, **constants}
        self.images = signature.user_inputs

    def unknown(self) -> Iterator[str]:
        """A line for each operation on the images, or on parameters, that means nothing here."""
        fed = {node for node in self.nodes if node.op == "placeholder" and self.fed(node)}
        for node in self.nodes:
            if node.op in ("placeholder", "output") or node in self.inside:
                continue
            if not any(one in fed for one in node.all_input_nodes):
                continue
            fed.add(node)
            known = node in self.norms or _key(node) in (*_OPS, *_IGNORED, "getitem")
            if not known:
                yield f"{_path(node)}: no op of ours is PyTorch's {_said(node)}"

    def fed(self, node: Node) -> bool:
        """Whether it is no constant."""
        return node.name in self.parameters or node.name in self.images

    def placeholder(self, node: Node) -> Weight | torch.Tensor:
        """A parameter, a buffer or a constant."""
        program = self.program
        target = self.parameters.get(node.name) or self.buffers[node.name]
        if target in program.state_dict:
            tensor = program.state_dict[target].detach()
            held = Held(target, tuple(tensor.shape))
            return Weight(held, held.shape, None if node.name in self.parameters else tensor)
        constant: torch.Tensor = program.constants[target]
        return constant

    def outputs(self) -> list[tuple[str, Any]]:
        """Names of outputs, and their nodes."""
        (ends,) = self.nodes[-1].args
        assert isinstance(ends, tuple | list)
        kinds = [one.kind.name for one in self.program.graph_signature.output_specs]
        if any(kind != "USER_OUTPUT" for kind in kinds):
            raise Refused("the module changes its buffers, in evaluation too")
        found = self.program.call_spec.out_spec
        assert found is not None
        tree = pytree.tree_unflatten(range(found.num_leaves), found)
        paths = [path for path, _ in pytree.tree_flatten_with_path(tree)[0]]
        kept = [(path, end) for path, end in zip(paths, ends, strict=True) if end is not None]
        return [(_output(path, number), end) for number, (path, end) in enumerate(kept)]


def _output(path: Any, number: int) -> str:
    """The name that dictionaries and named tuples give an output."""
    words = [getattr(key, "key", getattr(key, "name", None)) for key in path]
    names = [str(word) for word in words if word is not None]
    return ".".join(names) if names else f"output{number}"


def _path(node: Node) -> str:
    """The module that a node is of, or its own name."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]).partition("@")[0] if stack else ""
    return path or node.name


def _said(node: Node) -> str:
    return str(node.target).removesuffix(".default")


def _key(node: Node) -> str:
    """The name of an operation, for all its overloads, in place and not."""
    if node.target is operator.getitem:
        return "getitem"
    schema = getattr(node.target, "_schema", None)
    if node.op != "call_function" or schema is None or not schema.name.startswith("aten::"):
        return str(node.target)
    name: str = schema.name.removeprefix("aten::")
    return name.removesuffix("_")


def _in_place(node: Node) -> bool:
    arguments = node.target._schema.arguments if hasattr(node.target, "_schema") else ()
    return any(one.alias_info is not None and one.alias_info.is_write for one in arguments)


# -- how tensors lie ------------------------------------------------------------------------------


def _count(digits: Axis) -> int:
    return math.prod(digit.size for digit in digits)


def _whole(letter: str, size: int) -> Axis:
    return (Digit(letter, 1, size),) if size > 1 else ()


def _joined(digits: Sequence[Digit]) -> Axis:
    """The same, with parts that follow each other as one."""
    made: list[Digit] = []
    for digit in digits:
        last = made[-1] if made else None
        if last and last.letter == digit.letter and last.step == digit.step * digit.size:
            made[-1] = Digit(digit.letter, digit.step, digit.size * last.size)
        else:
            made.append(digit)
    return tuple(made)


def _laid(axes: Axes, shape: Sequence[int]) -> Axes | None:
    """How a view of this shape lies; None where it cuts what cannot be cut."""
    todo = [digit for axis in axes for digit in axis][::-1]
    made = []
    for size in shape:
        taken: list[Digit] = []
        rest = size
        while rest > 1:
            digit = todo.pop()
            if digit.size > rest:
                if digit.size % rest:
                    return None
                low = digit.size // rest
                todo.append(Digit(digit.letter, digit.step, low))
                digit = Digit(digit.letter, digit.step * low, rest)
            if rest % digit.size:
                return None
            taken.append(digit)
            rest //= digit.size
        made.append(_joined(taken))
    return tuple(made)


def _in_order(held: Held, digits: Axis) -> Held:
    """A weight whose first axis lies like these channels, with them in our order."""
    size, rest = held.form[0], held.form[1:]
    order = sorted(range(len(digits)), key=lambda place: -digits[place].step)
    if order == list(range(len(digits))):
        return held
    trailing = range(len(digits), len(digits) + len(rest))
    split = held.reshaped(*(digit.size for digit in digits), *rest)
    return split.transposed(*order, *trailing).reshaped(size, *rest)


def _spread(digits: Axis) -> bool:
    """Whether all entries along an axis are one."""
    return all(digit.letter == "x" for digit in digits)


# -- local response normalization, of which PyTorch writes down the steps --------------------------


@dataclass(frozen=True)
class _LocalResponse:
    given: Node
    attributes: Mapping[str, Any]
    inside: tuple[Node, ...]


def _local_response(node: Node) -> _LocalResponse | None:
    """x / (k + alpha · mean of squares) ^ beta, as `torch.nn.LocalResponseNorm` computes it."""
    steps = ("div", "pow", "add", "mul", "view", "squeeze", "avg_pool3d", "pad", "view", "mul")
    inside: list[Node] = []
    for step in steps:
        if not isinstance(node, Node) or node.op != "call_function" or _key(node) != step:
            return None
        if inside and len(node.users) > 1:
            return None
        inside.append(node)
        node = node.args[1 if step == "div" else 0]  # type: ignore[assignment]  # looked at next
    divided, power, added, scaled, _, _, pooled, padded, viewed, squared = inside
    if not divided.args[0] == squared.args[0] == squared.args[1] == node:
        return None
    (batch, channels, *sizes), given = node.meta["val"].shape, _given(pooled)
    size = given["kernel_size"][0]
    around = [0, 0, 0, 0, size // 2, (size - 1) // 2]
    sound = (
        tuple(viewed.meta["val"].shape) == (batch, 1, channels, *sizes)
        and tuple(pooled.meta["val"].shape) == (batch, 1, channels, *sizes)
        and _given(padded)["pad"] == around
        and _given(padded)["mode"] == "constant"
        and not _given(padded)["value"]
        and list(given["kernel_size"]) == [size, 1, 1]
        and not any(given["padding"] if isinstance(given["padding"], list) else [given["padding"]])
        and given["divisor_override"] is None
        and _given(added)["alpha"] == 1
    )
    numbers = {"alpha": scaled.args[1], "beta": power.args[1], "k": added.args[1]}
    if not sound or not all(isinstance(one, int | float) for one in numbers.values()):
        return None
    return _LocalResponse(node, {"size": size, **numbers}, tuple(inside[1:]))


def _given(node: Node) -> dict[str, Any]:
    """A node's arguments by the operation's words."""
    arguments = node.target._schema.arguments  # type: ignore[union-attr]  # of those of ATen
    found = {one.name: one.default_value for one in arguments}
    found |= {one.name: value for one, value in zip(arguments, node.args, strict=False)}
    return {**found, **node.kwargs}


# -- the walk -------------------------------------------------------------------------------------


class _Reader:
    def __init__(self, graph: _Graph, builder: Builder) -> None:
        self.graph = graph
        self.builder = builder
        self.values: dict[Node, Any] = {}
        self.images_and_vectors: dict[Value, Value] = {}
        self.memory: dict[Node, _Memory] = {}

    def network(self) -> Network:
        for node in self.graph.nodes:
            self.memory[node] = _memory(node, self.memory)
            if node.op == "placeholder":
                images = node.name in self.graph.images
                self.values[node] = self.lying(0) if images else self.graph.placeholder(node)
            elif node.op != "output" and node not in self.graph.inside:
                self.read(node)
        ends = self.graph.outputs()
        return self.builder.network([(name, self.output(name, end)) for name, end in ends])

    def read(self, node: Node) -> None:
        if _key(node) in _IGNORED:
            return
        norm = self.graph.norms.get(node)
        if norm is not None:
            call = _Call(self, node, {"self": self.value(norm.given)})
            made: Any = call.image("local_response_norm", **norm.attributes)
        elif node.target is operator.getitem:
            values, number = node.args
            made = self.value(values)[number]
        else:
            made = self.called(node)
        if isinstance(made, Value):
            expected = tuple(node.meta["val"].shape)
            if tuple(_count(axis) for axis in made.axes) != expected:
                raise Refused(f"{_path(node)}: {_said(node)} of this shape is not read")
        self.values[node] = made
        if _in_place(node):
            self.change(node, made)

    def called(self, node: Node) -> Any:
        """What an operation of ATen makes."""
        if node.op != "call_function" or not hasattr(node.target, "_schema"):
            raise Refused(f"{_path(node)}: no op of ours is PyTorch's {_said(node)}")
        given = torch.fx.node.map_arg(_given(node), self.value)
        flat = pytree.tree_leaves(given)
        if not any(isinstance(one, Value) or _learned(one) for one in flat):
            return self.constant(node, given)
        rule = _OPS.get(_key(node))
        if rule is None:
            raise Refused(f"{_path(node)}: no op of ours is PyTorch's {_said(node)}")
        call = _Call(self, node, given)
        if any(isinstance(one, Value) for one in flat):
            return rule(call)
        return call.reshaped_weight()

    def constant(self, node: Node, given: Mapping[str, Any]) -> Any:
        """What follows from constants alone is computed."""
        plain = pytree.tree_map(lambda one: one.tensor if isinstance(one, Weight) else one, given)
        target: Any = node.target
        words = target._schema.arguments
        positional = [plain[one.name] for one in words if not one.kwarg_only]
        named = {one.name: plain[one.name] for one in words if one.kwarg_only}
        if _in_place(node):
            positional[0] = positional[0].clone()
        return target(*positional, **named)

    def value(self, node: Any) -> Any:
        found = self.values[node]
        if isinstance(found, _Stale):
            raise Refused(f"{found.changed} changes in place what is read by another name later")
        return found

    def change(self, node: Node, made: Any) -> None:
        """An operation in place changes all that lies in the same memory."""
        first = node.args[0]
        assert isinstance(first, Node)
        if isinstance(self.values[first], Weight):
            raise Refused(f"{_path(node)}: {_said(node)} changes a weight")
        changed = self.memory[first]
        for other in self.values:
            memory = self.memory[other]
            if other in (first, node) or changed.same(memory):
                self.values[other] = made
            elif changed.family is memory.family and not _beside(first, other):
                self.values[other] = _Stale(_path(node))

    # -- values ---------------------------------------------------------------------------------

    def sizes(self, place: int) -> dict[str, int]:
        shape = self.builder.types[place].shape
        letters = "hwc" if len(shape) == 3 else "c"
        return {"n": _BATCH, **dict(zip(letters, shape, strict=True))}

    def lying(self, place: int, order: str = "") -> Value:
        """A value as PyTorch has it by default: (N, C, H, W) or (N, C)."""
        sizes = self.sizes(place)
        order = order or ("nchw" if "h" in sizes else "nc")
        return Value(place, tuple(_whole(letter, sizes[letter]) for letter in order))

    def channels(self, value: Value) -> Axis:
        """What an axis of all channels is."""
        return _whole("c", self.sizes(value.place)["c"])

    def letters(self, value: Value) -> str | None:
        """Which axis is which, (N, C, H, W) where sizes of 1 leave a choice; or None."""
        sizes = self.sizes(value.place)
        for order in itertools.permutations("nchw" if "h" in sizes else "nc"):
            if value == self.lying(value.place, "".join(order)):
                return "".join(order)
        return None

    def settled(self, name: str, value: Value) -> Value:
        """The same, as an image where it has four axes, as a vector where it has two."""
        if value not in self.images_and_vectors:
            self.images_and_vectors[value] = self.settle(name, value)
        return self.images_and_vectors[value]

    def settle(self, name: str, value: Value) -> Value:
        sizes, image = self.sizes(value.place), "h" in self.sizes(value.place)
        if len(value.axes) == 4 and not image:
            return Value(self.builder.add(name, Pixel(), [value.place]), value.axes)
        if len(value.axes) == 2 and image:
            steps = {"h": sizes["w"] * sizes["c"], "w": sizes["c"], "c": 1}
            first, second = value.axes
            if first != _whole("n", _BATCH) or any(d.letter not in steps for d in second):
                return value
            flat = [Digit("c", digit.step * steps[digit.letter], digit.size) for digit in second]
            place = self.builder.add(name, op("flatten"), [value.place])
            return Value(place, (first, _joined(flat)))
        for number, axis in enumerate(value.axes if image else ()):
            if len(axis) == 2 and self.all_channels(value, axis):
                slow, fast = axis
                if slow.step == 1 and fast.step == slow.size:
                    axes = [*value.axes]
                    axes[number] = self.channels(value)
                    # Channels i · size + j, j slowest.
                    shuffle = op("channel_shuffle", groups=fast.size)
                    return Value(self.builder.add(name, shuffle, [value.place]), tuple(axes))
        return value

    def all_channels(self, value: Value, axis: Axis) -> bool:
        """Whether an axis counts all channels, in whatever order."""
        if any(digit.letter != "c" for digit in axis):
            return False
        ordered = _joined(sorted(axis, key=lambda digit: -digit.step))
        return ordered == self.channels(value)

    def output(self, name: str, node: Any) -> int:
        value = self.value(node) if isinstance(node, Node) else node
        if isinstance(value, Value):
            value = self.settled(name, value)
            if len(value.axes) in (2, 4) and self.letters(value) is not None:
                return value.place
        raise Refused(f"{name}: an output that is no image and no vector of channels")


def _learned(value: Any) -> bool:
    return isinstance(value, Weight) and value.tensor is None


#: What gives a tensor back as it is, or a copy, depending on how it lies in memory.
_PERHAPS_COPIED = ("contiguous", "flatten", "reshape", "reshape_as", "to", "type_as", "unflatten")
#: What gives back what it is given, in evaluation.
_DROPOUTS = ("dropout", "feature_dropout")


@dataclass(frozen=True)
class _Memory:
    """Where a tensor lies.

    Attributes:
        family: the node that made it, or that of which it may be a view.
        base: the same, where it certainly is a view.
        place: within that: offset, strides and sizes.
    """

    family: Node
    base: Node
    place: tuple[Any, ...]

    def same(self, other: _Memory) -> bool:
        return self.base is other.base and self.place == other.place != ()


def _memory(node: Node, known: Mapping[Node, _Memory]) -> _Memory:
    tensor = node.meta.get("val")
    place: tuple[Any, ...] = ()
    if isinstance(tensor, torch.Tensor):
        place = tensor.storage_offset(), tuple(tensor.stride()), tuple(tensor.shape)
    source = known.get(node.args[0]) if node.args and isinstance(node.args[0], Node) else None
    schema = getattr(node.target, "_schema", None)
    view = bool(schema and schema.arguments and schema.arguments[0].alias_info)
    view = view or _key(node) in (*_DROPOUTS, *_PERHAPS_COPIED, "getitem")
    if source is None or not view:
        return _Memory(node, node, place)
    moved = _key(node) in _DROPOUTS and place != source.place
    if moved or _key(node) in _PERHAPS_COPIED:
        return _Memory(source.family, node, place)
    return _Memory(source.family, source.base, place)


def _beside(one: Node, other: Node) -> bool:
    """Whether two are different parts of what was split, or one of them is the list of parts."""
    parts = [node for node in (one, other) if node.target is operator.getitem]
    if len(parts) == 2:
        return one.args[0] == other.args[0] and one.args[1] != other.args[1]
    return len(parts) == 1 and parts[0] is one and one.args[0] is other


@dataclass(frozen=True)
class _Call:
    """An operation in its place: what it is given, by its own words."""

    reader: _Reader
    node: Node
    given: Mapping[str, Any]

    @property
    def name(self) -> str:
        return _path(self.node)

    @property
    def shape(self) -> Shape:
        """Of what comes out."""
        return tuple(self.node.meta["val"].shape)

    def refused(self, why: str) -> Refused:
        return Refused(f"{self.name}: {why}")

    def add(self, name: str, inputs: Sequence[int], /, held: Any = None, **attributes: Any) -> int:
        """An op in place of the operation, or of a part of it."""
        try:
            made = op(name, **attributes)
        except ValueError as error:
            raise self.refused(str(error)) from None
        return self.reader.builder.add(self.name, made, inputs, held)

    def tensor(self, word: str = "self") -> Value:
        """What follows from the images, image or vector as it has four axes or two."""
        value = self.given[word]
        if not isinstance(value, Value):
            raise self.refused(f"{_said(self.node)} of what does not follow from the images")
        return self.reader.settled(self.name, value)

    def input(self) -> Value:
        return self.tensor("input" if "input" in self.given else "self")

    def pointwise(self, name: str, **attributes: Any) -> Value:
        """An op that sees each entry by itself, however they lie."""
        value = self.input()
        return Value(self.add(name, [value.place], **attributes), value.axes)

    def image(self, name: str, /, held: Any = None, **attributes: Any) -> Value:
        """An op of images, which must lie as (N, C, H, W), as what comes out will."""
        value = self.input()
        if len(value.axes) != 4 or value != self.reader.lying(value.place):
            raise self.refused(f"{_said(self.node)} of a tensor that is no image (N, C, H, W)")
        return self.reader.lying(self.add(name, [value.place], held, **attributes))

    def axis(self, value: Value, word: str = "dim") -> int:
        return int(self.given[word]) % len(value.axes)

    def held(self, word: str) -> Held:
        """A weight as the module has it."""
        weight = self.given[word]
        if not isinstance(weight, Weight) or weight.shape != weight.held.shape:
            raise self.refused(f"its {word} is no parameter but computed")
        return weight.held

    def vectors(self, value: Value, axis: int, words: Mapping[str, str]) -> dict[str, Held]:
        """Weights with an entry for each channel, where all of these lie along an axis.

        `words` are ours, by those of the operation; what it is not given is left out.
        """
        digits = value.axes[axis]
        if not self.reader.all_channels(value, digits):
            raise self.refused(f"{_said(self.node)} along an axis that is not that of channels")
        found = {}
        for word, ours in words.items():
            if self.given[word] is not None:
                held = self.held(word)
                if held.form != (_count(digits),):
                    raise self.refused(f"{_said(self.node)} whose {word} is not one a channel")
                found[ours] = _in_order(held, digits)
        return found

    def reshaped_weight(self) -> Any:
        """A weight with axes of size 1 put in or taken away."""
        weight = self.given.get("self")
        if not isinstance(weight, Weight) or _key(self.node) not in (*_SAME, *_VIEWS, *_ORDERS):
            raise self.refused(f"{_said(self.node)} of weights alone")
        if _key(self.node) in _SAME:
            return _same(self)
        if sum(size > 1 for size in weight.shape) > 1:
            raise self.refused(f"{_said(self.node)} of a weight that is more than a vector")
        return replace(weight, shape=self.shape)

    def across(self, value: Value, shape: Shape) -> int | None:
        """The axis along which something of this shape goes with the channels; None: it is one.

        Where there is one channel only, the axis is that of which nothing is left.
        """
        longer = [place for place, size in enumerate(shape) if size > 1]
        axes = [place - len(shape) + len(value.axes) for place in longer]
        if len(shape) > len(value.axes) or len(axes) > 1:
            raise self.refused(f"{_said(self.node)} with a tensor of shape {shape}")
        if not axes:
            return None
        if not self.reader.all_channels(value, value.axes[axes[0]]):
            raise self.refused(f"{_said(self.node)} of other than one number for each channel")
        return axes[0]

    def numbers(self, value: Value, constant: Any) -> float | list[float]:
        """A constant, for all channels or one for each, in our order."""
        if isinstance(constant, int | float):
            return float(constant)
        tensor = constant.tensor if isinstance(constant, Weight) else constant
        if not isinstance(tensor, torch.Tensor):
            raise self.refused(f"{_said(self.node)} with what is no number")
        tensor = tensor.detach().double()
        axis = self.across(value, tuple(tensor.shape))
        if axis is None:
            return float(tensor.reshape(-1)[0])
        vector = tensor.reshape(-1).numpy()
        ordered = _in_order(Held("", vector.shape), value.axes[axis]).seen(vector)
        return [float(number) for number in ordered]

    def rescaled(self, value: Value, scale: Any = 1.0, offset: Any = 0.0) -> Value:
        return Value(self.add("rescale", [value.place], scale=scale, offset=offset), value.axes)

    def merged(self, name: str, one: Value, other: Value) -> Value:
        """An op of two tensors whose axes mean the same, or are of size 1 in one of them."""
        width = max(len(one.axes), len(other.axes))
        pairs = [((),) * (width - len(value.axes)) + value.axes for value in (one, other)]
        for whole, part in (pairs, pairs[::-1]):
            fits = (a == b or _spread(b) for a, b in zip(whole, part, strict=True))
            if all(fits) and not any(digit.letter == "x" for axis in whole for digit in axis):
                return Value(self.add(name, [one.place, other.place]), whole)
        raise self.refused(f"{_said(self.node)} of two tensors whose axes do not mean the same")


# -- operations -----------------------------------------------------------------------------------

_Rule = Callable[[_Call], Any]
_OPS: dict[str, _Rule] = {}
#: What has no result, or none that matters.
_IGNORED = ("_assert_tensor_metadata", "_assert_async", "_assert_scalar")


def _rule(*names: str) -> Callable[[_Rule], _Rule]:
    def register(function: _Rule) -> _Rule:
        _OPS.update(dict.fromkeys(names, function))
        return function

    return register


def _pair(numbers: Any, default: Any = None) -> tuple[int, int]:
    """One number for both axes, or one for each; PyTorch's `[]` says that there is none."""
    given = [numbers] if isinstance(numbers, int) else list(numbers) or list(_pair(default))
    return (given[0], given[0]) if len(given) == 1 else (given[0], given[1])


def _sides(padding: Any) -> list[list[int]]:
    return [[pixels, pixels] for pixels in _pair(padding)]


def _plain(call: _Call, **expected: Any) -> None:
    """Refuse arguments that an op of ours has not."""
    for word, value in expected.items():
        given = call.given[word]
        if any(one != value for one in (given if isinstance(given, list | tuple) else [given])):
            raise call.refused(f"{_said(call.node)} with {word} {given}")


# -- the same entries -----------------------------------------------------------------------------

_SAME = (
    "_to_copy", "alias", "clone", "contiguous", "detach", "lift_fresh_copy", "positive", "to",
    "type_as",
)  # fmt: skip
_VIEWS = (
    "_unsafe_view", "flatten", "reshape", "reshape_as", "squeeze", "unflatten", "unsqueeze", "view",
    "view_as",
)  # fmt: skip


@_rule(*_SAME)
def _same(call: _Call) -> Any:
    value = call.given["self"]
    source, made = call.node.all_input_nodes[0].meta["val"].dtype, call.node.meta["val"].dtype
    if source != made:
        raise call.refused(f"{_said(call.node)} makes {made} of {source}")
    return value


@_rule(*_VIEWS)
def _view(call: _Call) -> Value:
    value = call.given["self"]
    axes = _laid(value.axes, call.shape)
    if axes is None:
        given = tuple(_count(axis) for axis in value.axes)
        raise call.refused(f"a view of shape {call.shape} of {given} cuts across axes")
    return Value(value.place, axes)


_ORDERS = ("permute", "transpose", "swapaxes", "swapdims")


@_rule("permute")
def _permute(call: _Call) -> Value:
    value = call.given["self"]
    return Value(value.place, tuple(value.axes[axis] for axis in call.given["dims"]))


@_rule(*_ORDERS[1:])
def _transpose(call: _Call) -> Value:
    value = call.given["self"]
    one, other = (int(place) for word, place in call.given.items() if word != "self")
    axes = list(value.axes)
    axes[one], axes[other] = axes[other], axes[one]
    return Value(value.place, tuple(axes))


@_rule("expand", "expand_as", "broadcast_to")
def _expand(call: _Call) -> Value:
    value, shape = call.given["self"], call.shape
    axes = ((),) * (len(shape) - len(value.axes)) + value.axes
    repeated = (
        axis if _count(axis) == size else (Digit("x", 0, size),)
        for axis, size in zip(axes, shape, strict=True)
    )
    return Value(value.place, tuple(repeated))


@_rule("select")
def _select(call: _Call) -> Value:
    """The only entry of an axis."""
    value = call.given["self"]
    axis = call.axis(value)
    if value.axes[axis]:
        raise call.refused("one entry of an axis that has more")
    return Value(value.place, value.axes[:axis] + value.axes[axis + 1 :])


# -- parts and wholes -----------------------------------------------------------------------------


def _part(call: _Call, value: Value, axis: int, start: int, size: int) -> Value:
    """A segment of an axis: of channels, rows or columns."""
    whole = _count(value.axes[axis])
    axes = list(value.axes)
    if size == whole:
        return value
    if axes[axis] == call.reader.channels(value):
        place = call.add("channel_slice", [value.place], channels=size, start=start)
        axes[axis] = _whole("c", size)
        return Value(place, tuple(axes))
    letter = axes[axis][0].letter
    if letter not in "hw" or axes[axis] != _whole(letter, call.reader.sizes(value.place)[letter]):
        raise call.refused("a part of an axis that is not that of channels, rows or columns")
    cropping = [[0, 0], [0, 0]]
    cropping["hw".index(letter)] = [start, whole - start - size]
    axes[axis] = _whole(letter, size)
    return Value(call.add("crop", [value.place], cropping=cropping), tuple(axes))


def _parts(call: _Call, sizes: Sequence[int]) -> list[Value]:
    value = call.tensor()
    axis = call.axis(value)
    starts = itertools.accumulate(sizes, initial=0)
    return [
        _part(call, value, axis, start, size) for start, size in zip(starts, sizes, strict=False)
    ]


@_rule("slice")
def _slice(call: _Call) -> Value:
    value = call.tensor()
    axis = call.axis(value)
    start, stop, step = (call.given[word] for word in ("start", "end", "step"))
    start, stop, step = slice(start, stop, step).indices(_count(value.axes[axis]))
    if step != 1:
        raise call.refused(f"a slice with step {step}")
    return _part(call, value, axis, start, stop - start)


@_rule("narrow")
def _narrow(call: _Call) -> Value:
    value = call.tensor()
    start = int(call.given["start"])
    axis = call.axis(value)
    return _part(call, value, axis, start % _count(value.axes[axis]), call.given["length"])


@_rule("chunk", "split", "split_with_sizes")
def _split(call: _Call) -> list[Value]:
    axis = int(call.given["dim"])
    return _parts(call, [int(one.shape[axis]) for one in call.node.meta["val"]])


@_rule("cat", "concat")
def _concat(call: _Call) -> Value:
    tensors = call.given["tensors"]
    if not all(isinstance(one, Value) for one in tensors):
        raise call.refused("joins what does not follow from the images")
    values = [call.reader.settled(call.name, one) for one in tensors]
    axis = call.axis(values[0])
    axes = list(values[0].axes)
    for one in values:
        if one.axes[axis] != call.reader.channels(one):
            raise call.refused("joins an axis that is not that of channels")
        if any(a != b for k, (a, b) in enumerate(zip(axes, one.axes, strict=True)) if k != axis):
            raise call.refused("joins tensors whose axes do not mean the same")
    place = call.add("concat", [one.place for one in values])
    axes[axis] = call.reader.channels(Value(place, ()))
    return Value(place, tuple(axes))


@_rule("pad", "constant_pad_nd")
def _pad(call: _Call) -> Value:
    if call.given.get("mode", "constant") != "constant" or call.given["value"]:
        raise call.refused("pads with other than zeros")
    value, pixels = call.tensor(), list(call.given["pad"])
    letters = call.reader.letters(value) if len(value.axes) == 4 else None
    around = {"h": [0, 0], "w": [0, 0]}
    for number, sides in enumerate(zip(pixels[::2], pixels[1::2], strict=True)):
        letter = letters[-1 - number] if letters else ""
        if any(sides) and letter not in around:
            raise call.refused("pads an axis that is not one of an image's height and width")
        around[letter] = list(sides)
    place = call.add("zero_pad", [value.place], padding=[around["h"], around["w"]])
    return call.reader.lying(place, letters or "")


@_rule("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(call: _Call) -> Value:
    return call.image("channel_shuffle", groups=call.given["groups"])


@_rule("pixel_shuffle")
def _pixel_shuffle(call: _Call) -> Value:
    block = call.given["upscale_factor"]
    mixed = call.image("channel_shuffle", groups=call.shape[1])
    return call.reader.lying(call.add("depth_to_space", [mixed.place], block=block))


@_rule("pixel_unshuffle")
def _pixel_unshuffle(call: _Call) -> Value:
    block = call.given["downscale_factor"]
    made = call.image("space_to_depth", block=block)
    return call.reader.lying(call.add("channel_shuffle", [made.place], groups=block**2))


# -- layers with weights --------------------------------------------------------------------------


@_rule("conv2d")
def _conv(call: _Call) -> Value:
    given, held = call.given, {"kernel": call.held("weight")}
    filters, _, *kernel = held["kernel"].shape
    held["kernel"] = held["kernel"].transposed(2, 3, 1, 0)
    if given["bias"] is not None:
        held["bias"] = call.held("bias")
    padding = given["padding"]
    window = {
        "kernel": kernel,
        "stride": _pair(given["stride"]),
        "padding": padding if isinstance(padding, str) else _sides(padding),
        "dilation": _pair(given["dilation"]),
    }
    told = {"filters": filters, "groups": given["groups"], "bias": "bias" in held}
    return call.image("conv", held, **told, **window)


@_rule("conv_transpose2d")
def _conv_transpose(call: _Call) -> Value:
    _plain(call, groups=1, dilation=1)
    given, held = call.given, {"kernel": call.held("weight")}
    _, filters, *kernel = held["kernel"].shape
    held["kernel"] = held["kernel"].transposed(2, 3, 1, 0)
    if given["bias"] is not None:
        held["bias"] = call.held("bias")
    window = {
        "kernel": kernel,
        "stride": _pair(given["stride"]),
        "padding": _sides(given["padding"]),
        "output_padding": _pair(given["output_padding"]),
    }
    return call.image("conv_transpose", held, filters=filters, bias="bias" in held, **window)


@_rule("linear")
def _linear(call: _Call) -> Value:
    """Of the last axis: a dense layer of vectors, a 1×1 convolution of images."""
    value, kernel = call.input(), call.held("weight").transposed(1, 0)
    if not call.reader.all_channels(value, value.axes[-1]):
        raise call.refused("a linear layer along an axis that is not that of channels")
    channels, units = kernel.form
    held = {"kernel": _in_order(kernel, value.axes[-1])}
    if call.given["bias"] is not None:
        held["bias"] = call.held("bias")
    bias = "bias" in held
    if "h" in call.reader.sizes(value.place):
        held["kernel"] = held["kernel"].reshaped(1, 1, channels, units)
        place = call.add("conv", [value.place], held, filters=units, kernel=1, bias=bias)
    else:
        place = call.add("dense", [value.place], held, units=units, bias=bias)
    return Value(place, (*value.axes[:-1], _whole("c", units)))


@_rule("batch_norm")
def _batch_norm(call: _Call) -> Value:
    given = call.given
    if given["training"] or given["running_mean"] is None:
        raise call.refused("batch norm by the batch's own statistics, in evaluation too")
    if not given["momentum"]:
        raise call.refused("batch norm without momentum, whose statistics move otherwise or never")
    value = call.input()
    words = {"weight": "gamma", "bias": "beta"}
    words |= {"running_mean": "moving_mean", "running_var": "moving_variance"}
    held = call.vectors(value, 1, words)
    told = {"scale": "gamma" in held, "center": "beta" in held, "epsilon": given["eps"]}
    momentum = round(1 - given["momentum"], 12)
    place = call.add("batch_norm", [value.place], held, momentum=momentum, **told)
    return Value(place, value.axes)


def _norm(call: _Call, name: str, value: Value, axis: int, **told: Any) -> Value:
    """A norm of single examples."""
    held = call.vectors(value, axis, {"weight": "gamma", "bias": "beta"})
    told |= {"scale": "gamma" in held, "center": "beta" in held, "epsilon": call.given["eps"]}
    return Value(call.add(name, [value.place], held, **told), value.axes)


def _last_alone(call: _Call) -> None:
    if len(call.given["normalized_shape"]) != 1:
        raise call.refused(f"{_said(call.node)} over more than the last axis")


@_rule("layer_norm")
def _layer_norm(call: _Call) -> Value:
    _last_alone(call)
    return _norm(call, "layer_norm", call.input(), -1)


@_rule("rms_norm")
def _rms_norm(call: _Call) -> Value:
    _last_alone(call)
    value = call.input()
    held, epsilon = call.vectors(value, -1, {"weight": "gamma"}), call.given["eps"]
    epsilon = torch.finfo(call.node.meta["val"].dtype).eps if epsilon is None else epsilon
    told = {"epsilon": epsilon, "scale": bool(held)}
    return Value(call.add("rms_norm", [value.place], held, **told), value.axes)


def _of_groups(call: _Call, value: Value, groups: int) -> Value:
    if value.axes[1] != call.reader.channels(value):
        raise call.refused(f"{_said(call.node)} along an axis that is not that of channels")
    return _norm(call, "group_norm", value, 1, groups=groups)


@_rule("group_norm")
def _group_norm(call: _Call) -> Value:
    return _of_groups(call, call.input(), call.given["num_groups"])


@_rule("instance_norm")
def _instance_norm(call: _Call) -> Value:
    if not call.given["use_input_stats"]:
        raise call.refused("instance norm by moving statistics")
    value = call.input()
    return _of_groups(call, value, call.reader.sizes(value.place)["c"])


@_rule("prelu")
def _prelu(call: _Call) -> Value:
    value = call.input()
    held = call.vectors(value, 1, {"weight": "alpha"})
    return Value(call.add("prelu", [value.place], held), value.axes)


# -- pooling --------------------------------------------------------------------------------------


def _window(call: _Call) -> dict[str, Any]:
    kernel = _pair(call.given["kernel_size"])
    stride = _pair(call.given["stride"], kernel)
    around = _sides(call.given["padding"])
    return {
        "kernel": kernel, "stride": stride, "padding": around, "ceil_mode": call.given["ceil_mode"],
    }  # fmt: skip


@_rule("max_pool2d")
def _max_pool(call: _Call) -> Value:
    _plain(call, dilation=1)
    return call.image("max_pool", **_window(call))


@_rule("avg_pool2d")
def _avg_pool(call: _Call) -> Value:
    _plain(call, divisor_override=None)
    counted = call.given["count_include_pad"]
    return call.image("avg_pool", count_include_pad=counted, **_window(call))


def _to_size(call: _Call, name: str) -> Value:
    size = _pair(call.given["output_size"])
    if size == (1, 1):
        return call.image(f"global_{name}", keep_dims=True)
    return call.image(f"adaptive_{name}", size=size)


@_rule("adaptive_avg_pool2d")
def _adaptive_avg_pool(call: _Call) -> Value:
    return _to_size(call, "avg_pool")


@_rule("adaptive_max_pool2d")
def _adaptive_max_pool(call: _Call) -> list[Any]:
    """Its second result says where the maxima are."""
    return [_to_size(call, "max_pool"), None]


def _pool_all(call: _Call, name: str) -> Value:
    """Means or maxima over all pixels, wherever their axes are."""
    value = call.tensor()
    dims = call.given["dim"]
    places = {int(place) % len(value.axes) for place in (dims if dims is not None else [])}
    gone = sorted(
        (digit for place in places for digit in value.axes[place]),
        key=lambda digit: (digit.letter, -digit.step),
    )
    sizes = call.reader.sizes(value.place)
    pixels = [*_whole("h", sizes.get("h", 1)), *_whole("w", sizes.get("w", 1))]
    if list(_joined(gone)) != pixels or not places:
        raise call.refused(f"{_said(call.node)} over other than all pixels")
    place = value.place
    if "h" in sizes:
        place = call.add(name, [place], keep_dims=call.given["keepdim"])
    rest = [axis for at, axis in enumerate(value.axes) if at not in places]
    if call.given["keepdim"]:
        rest = [() if at in places else axis for at, axis in enumerate(value.axes)]
    return Value(place, tuple(rest))


@_rule("mean")
def _mean(call: _Call) -> Value:
    if call.given.get("dim") is None:
        raise call.refused("the mean of all entries")
    return _pool_all(call, "global_avg_pool")


@_rule("amax")
def _amax(call: _Call) -> Value:
    return _pool_all(call, "global_max_pool")


@_rule("upsample_nearest2d", "_upsample_nearest_exact2d")
def _nearest(call: _Call) -> Value:
    sizes = call.node.all_input_nodes[0].meta["val"].shape[2:]
    exact = "exact" in _key(call.node)
    for n, m in zip(sizes, call.shape[2:], strict=True):
        ours = [(2 * i + 1) * n // (2 * m) for i in range(m)]
        if not exact and ours != [i * n // m for i in range(m)]:
            raise call.refused(f"nearest of {n} pixels to {m}; nearest-exact is read at all sizes")
    return _resized(call, "nearest")


@_rule("upsample_bilinear2d")
def _bilinear(call: _Call) -> Value:
    _plain(call, align_corners=False)
    return _resized(call, "bilinear")


def _resized(call: _Call, method: str) -> Value:
    factors = call.given.get("scale_factors") or [
        factor for word in ("scales_h", "scales_w") if (factor := call.given.get(word)) is not None
    ]
    sizes = call.node.all_input_nodes[0].meta["val"].shape[2:]
    for factor, n, m in zip(factors, sizes, call.shape[2:], strict=False):
        if not math.isclose(n * factor, m, rel_tol=1e-9):
            raise call.refused(f"{n} pixels times {factor:g}, which is not whole")
    return call.image("resize", size=call.shape[2:], method=method)


# -- entries by themselves ------------------------------------------------------------------------

#: Ops of ours, and what PyTorch calls their attributes.
_POINTWISE: dict[str, tuple[str, dict[str, str]]] = {
    "hardsigmoid": ("hard_sigmoid", {}),
    "hardswish": ("hard_swish", {}),
    "leaky_relu": ("leaky_relu", {"negative_slope": "negative_slope"}),
    "mish": ("mish", {}),
    "relu": ("relu", {}),
    "relu6": ("relu6", {}),
    "sigmoid": ("sigmoid", {}),
    "silu": ("silu", {}),
    "tanh": ("tanh", {}),
}


@_rule(*_POINTWISE)
def _pointwise(call: _Call) -> Value:
    name, words = _POINTWISE[_key(call.node)]
    return call.pointwise(name, **{ours: call.given[word] for ours, word in words.items()})


@_rule("elu")
def _elu(call: _Call) -> Value:
    _plain(call, scale=1, input_scale=1)
    return call.pointwise("elu", alpha=call.given["alpha"])


@_rule("gelu")
def _gelu(call: _Call) -> Value:
    approximation = "tanh" if call.given["approximate"] == "tanh" else "exact"
    return call.pointwise("gelu", approximation=approximation)


def _clipped(call: _Call, least: Any, most: Any) -> Value:
    if least == 0 and most in (None, math.inf):
        return call.pointwise("relu")
    if (least, most) == (0, 6):
        return call.pointwise("relu6")
    if (least, most) == (0, 1):
        return call.pointwise("hard_sigmoid", slope=1.0, offset=0.0)
    raise call.refused(f"{_said(call.node)} to {least} … {most}; only to 0 … 6, 0 … 1 and above 0")


@_rule("hardtanh")
def _hardtanh(call: _Call) -> Value:
    return _clipped(call, call.given["min_val"], call.given["max_val"])


@_rule("clamp", "clip", "clamp_min")
def _clamp(call: _Call) -> Value:
    return _clipped(call, call.given["min"], call.given.get("max"))


@_rule("softmax", "_softmax")
def _softmax(call: _Call) -> Value:
    value = call.tensor()
    if value.axes[call.axis(value)] != call.reader.channels(value):
        raise call.refused("softmax along an axis that is not that of channels")
    return call.pointwise("softmax")


@_rule(*_DROPOUTS)
def _dropout(call: _Call) -> Value:
    value, rate = call.input(), call.given["p"]
    if rate == 0:
        return value
    whole = _key(call.node) == "feature_dropout" and len(value.axes) == 4
    return call.pointwise("spatial_dropout" if whole else "dropout", rate=rate)


# -- two tensors, or one and a constant -----------------------------------------------------------


@_rule("add", "sub", "rsub", "subtract")
def _sum(call: _Call) -> Value:
    """self ± alpha · other; `rsub` takes them the other way round."""
    kind, (one, other) = _key(call.node), (call.given["self"], call.given["other"])
    if kind == "rsub":
        one, other = other, one
    factor = float(call.given.get("alpha", 1))
    if factor != 1 and (kind == "rsub" or isinstance(other, Value)):
        raise call.refused(f"{_said(call.node)} with alpha {factor:g}")
    if _learned(one) or _learned(other):
        raise call.refused(f"{_said(call.node)} of a learned tensor")
    takes = kind != "add"
    if isinstance(one, Value) and isinstance(other, Value):
        one, other = (call.reader.settled(call.name, value) for value in (one, other))
        return call.merged("subtract" if takes else "add", one, other)
    if isinstance(one, Value):
        value = call.reader.settled(call.name, one)
        factor = -factor if takes else factor
        return call.rescaled(value, offset=_times(call.numbers(value, other), factor))
    value = call.reader.settled(call.name, other)
    return call.rescaled(value, -1.0 if takes else 1.0, call.numbers(value, one))


def _times(numbers: float | list[float], factor: float) -> float | list[float]:
    return [n * factor for n in numbers] if isinstance(numbers, list) else numbers * factor


@_rule("mul", "multiply")
def _product(call: _Call) -> Value:
    one, other = call.given["self"], call.given["other"]
    if not isinstance(one, Value):
        one, other = other, one
    value = call.reader.settled(call.name, one)
    if isinstance(other, Value):
        return call.merged("multiply", value, call.reader.settled(call.name, other))
    if not _learned(other):
        return call.rescaled(value, call.numbers(value, other))
    axis, channels = call.across(value, other.shape), call.reader.sizes(value.place)["c"]
    if axis is None and channels > 1:
        raise call.refused("one learned factor for all channels")
    vector = other.held.reshaped(channels)
    held = {"gamma": vector if axis is None else _in_order(vector, value.axes[axis])}
    return Value(call.add("scale", [value.place], held), value.axes)


@_rule("div", "divide", "true_divide")
def _quotient(call: _Call) -> Value:
    one, other = call.given["self"], call.given["other"]
    if call.given.get("rounding_mode") is not None:
        raise call.refused(f"{_said(call.node)} that rounds")
    if not isinstance(one, Value) or isinstance(other, Value) or _learned(other):
        raise call.refused(f"{_said(call.node)} by other than a constant")
    value = call.reader.settled(call.name, one)
    numbers = call.numbers(value, other)
    every = numbers if isinstance(numbers, list) else [numbers]
    if not all(every):
        raise call.refused("a division by zero")
    inverse = [1 / n for n in every]
    return call.rescaled(value, inverse if isinstance(numbers, list) else inverse[0])


@_rule("neg", "negative")
def _negated(call: _Call) -> Value:
    return call.rescaled(call.tensor(), -1.0)


@_rule("maximum")
def _maximum(call: _Call) -> Value:
    return call.merged("maximum", call.tensor("self"), call.tensor("other"))
