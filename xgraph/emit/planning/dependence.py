"""Which of the spec's parameters a value follows from.

Generated code may offer a parameter only where everything that follows from it is spelled with it.
What is not, such as a word that chooses a layer, or the height and width that a flattened image
has or that weights are for, must not depend on a parameter that is offered.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from xgraph.emit.planning.records import node_indices
from xgraph.emit.symbols import SymbolicInt, is_symbolic
from xgraph.emit.values import names_of, with_channels
from xgraph.ir.elaborated import (
    CallRecord,
    ConditionRecord,
    Elaborated,
    Instance,
    LoopRecord,
    OpRecord,
    ParallelRecord,
    Record,
)
from xgraph.ir.structure import Argument, Call, Loop, Program, Value
from xgraph.ir.types import TensorType
from xgraph.ops.base import Op, ShapeProblem
from xgraph.ops.flatten import Flatten
from xgraph.ops.kinds import LARGEST, Factor, Integer, IntegerPair, Kind, Nullable, PaddingKind
from xgraph.ops.pooling import GlobalPool
from xgraph.spec.expressions import channels_of

Names = frozenset[str]
NOTHING: Names = frozenset()
#: What the names in sight follow from.
Sight = Mapping[str, Names]


class Dependence:
    """What follows from which of the spec's parameters, in the program as it was elaborated.

    Attributes:
        spec: for each parameter of the spec, those that it follows from; itself is one of them.
        blocks: likewise for the parameters of blocks, all uses of a block together.
        sizes: for each node, those that its height and width follow from.
        widths: for each node, those that its channels follow from, or may.
        counts: for each block, those that the channels of its inputs follow from, in any use.
        fixed: those that the height or width follows from of an image that is flattened, or that
            weights are for.
    """

    def __init__(self, elaborated: Elaborated, types: list[TensorType]) -> None:
        self.program = elaborated.program
        self.nodes = elaborated.graph.nodes
        self.types = types
        self.mentions: dict[int, Names] = {}
        self.spec: dict[str, Names] = {}
        for parameter in self.program.parameters:
            above = self.of(parameter.default, self.spec)
            self.spec[parameter.name] = above | {parameter.name}
        self.blocks: dict[str, dict[str, Names]] = {}
        self.fixed: Names = NOTHING
        self.counts: dict[str, Names] = {}
        self.around: Names = NOTHING  # what decides how often loops turn that change channels
        shape = self.program.input_shape
        sizes = shape.content[:2] if isinstance(shape.content, tuple) else (shape,)
        self.sizes = [NOTHING] * len(self.nodes)
        self.widths = [NOTHING] * len(self.nodes)
        self.widths[0] = self.of(shape, self.spec)
        self.sizes[0] = frozenset().union(*(self.of(size, self.spec) for size in sizes))
        for section in elaborated.sections:
            sight = self.spec | self.counted(section.instance)
            self.visit(section.instance.records, sight)

    def of(self, value: Value | None, sight: Sight) -> Names:
        """The spec's parameters that a value follows from."""
        if value is None:
            return NOTHING
        names = self.mentions.get(id(value))
        if names is None:
            names = self.mentions[id(value)] = names_of(value)
        return frozenset().union(*(sight.get(name, NOTHING) for name in names))

    def visit(self, records: list[Record], sight: Sight) -> None:
        for record in records:
            if isinstance(record, OpRecord):
                self.node(record.item, record.node, sight)
            elif isinstance(record, CallRecord):
                self.visit(
                    record.instance.records, self.inside(record.item, record.instance, sight)
                )
            elif isinstance(record, ConditionRecord):
                self.visit(record.records, sight)
                decided = self.of(record.item.condition, sight)
                self.sizes[record.output] |= decided
                self.widths[record.output] |= decided
            elif isinstance(record, LoopRecord):
                self.loop(record, sight)
            elif isinstance(record, ParallelRecord):
                self.parallel(record, sight)
            else:
                for path in record.paths:
                    self.visit(path or [], sight)
                if record.merged:
                    self.node(record.item.merge, record.node, sight)
                for condition in record.item.conditions:
                    decided = self.of(condition, sight)
                    self.sizes[record.node] |= decided
                    self.widths[record.node] |= decided

    def inside(self, item: Call, instance: Instance, sight: Sight) -> Sight:
        """What a block's body sees in one use of it."""
        given = {argument.key: argument.value for argument in item.arguments}
        seen: dict[str, Names] = self.spec | self.counted(instance)
        known = self.blocks.setdefault(instance.block.name, {})
        for parameter in instance.block.parameters:
            name = parameter.name
            own = self.of(given[name], sight) if name in given else self.of(parameter.default, seen)
            seen[name] = own
            known[name] = known.get(name, NOTHING) | own
        return seen

    def counted(self, instance: Instance) -> dict[str, Names]:
        """What the channels of the inputs of a block or section follow from, as its body says.

        In a loop that changes channels, how many there are and in which uses follows from how often
        it turns.
        """
        pairs = zip(instance.block.inputs, instance.inputs, strict=True)
        found = {channels_of(name): self.widths[node] | self.around for name, node in pairs}
        known = self.counts.get(instance.block.name, NOTHING)
        self.counts[instance.block.name] = known.union(*found.values())
        return found

    def loop(self, record: LoopRecord, sight: Sight) -> None:
        turns, bound = self.turns(record.item, sight)
        inner = {**sight, **bound}
        outer, channels = self.around, {self.types[k].channels for k in record.entries}
        if len(channels | {self.types[record.output].channels}) > 1:
            self.around |= turns
        for iteration in record.iterations:
            self.visit(iteration, inner)
        self.around = outer
        if turns:
            # A size or width that is the same after any number of turns may be so by chance.
            self.widths[record.output] |= turns
            within = (k for turn in record.iterations for k in node_indices(turn))
            if any(map(self.resizes, within)):
                self.sizes[record.output] |= turns

    def turns(self, item: Loop, sight: Sight) -> tuple[Names, dict[str, Names]]:
        """What decides how often a loop turns, and what its variables follow from."""
        if item.count is not None:
            turns = self.of(item.count, sight)
            bound = {item.index: turns} if item.index else {}
            return turns, bound
        bound = {name: self.of(value, sight) for name, value in item.variables}
        return frozenset().union(*bound.values()), bound

    def parallel(self, record: ParallelRecord, sight: Sight) -> None:
        """Branches by a loop: how many there are decides the channels that are joined."""
        turns, bound = self.turns(record.item.loop, sight)
        for iteration in record.turns.iterations:
            self.visit(iteration, {**sight, **bound})
        self.node(record.item.merge, record.node, sight)
        self.widths[record.node] |= turns

    def node(self, item: Call, index: int, sight: Sight) -> None:
        """What a node's height, width and channels follow from."""
        node = self.nodes[index]
        own = [
            (argument.key, self.of(argument.value, sight if given else self.spec))
            for given, argument in arguments_of(self.program, item)
        ]
        if _keeps_channels(node.op, tuple(self.types[k] for k in node.inputs)):
            self.widths[index] = frozenset().union(*(self.widths[k] for k in node.inputs))
        counts = _attributes(type(node.op), Integer)
        self.widths[index] |= frozenset().union(*(names for key, names in own if key in counts))
        before = frozenset().union(*(self.sizes[k] for k in node.inputs))
        if node.op.sized or (isinstance(node.op, Flatten) and self.types[node.inputs[0]].rank == 3):
            self.fixed |= before
        if isinstance(node.op, GlobalPool) or self.types[index].rank == 1:
            return
        follows = {str(key): names for key, names in own}
        for attribute in _sizing(node.op, bool(follows.get("kernel"))):
            before |= follows.get(attribute, NOTHING)
        self.sizes[index] = before

    def resizes(self, index: int) -> bool:
        """Whether a node can give another height or width than it takes, of an image of any size.

        The size it is tried with is large, and divided by nothing.
        """
        op, given = self.nodes[index].op, [self.types[k] for k in self.nodes[index].inputs]
        large = (LARGEST, LARGEST)
        images = (TensorType((*large, x.channels)) if x.rank == 3 else x for x in given)
        try:
            made = op.infer(tuple(images))
        except ShapeProblem:
            return True
        return made.rank == 3 and made.shape[:2] != large


def arguments_of(program: Program, item: Call) -> Iterator[tuple[bool, Argument]]:
    """The arguments of an op, and whether the call gives them; the others are the spec's defaults.

    What the call gives is written in the words of its surroundings, a default in the spec's.
    """
    given = {argument.key for argument in item.arguments}
    for argument in program.defaults.get(item.target, ()):
        if argument.key not in given:
            yield False, argument
    for argument in item.arguments:
        yield True, argument


_KINDS: dict[type[Op], tuple[tuple[str, Kind], ...]] = {}


def _attributes(op: type[Op], *kinds: type[Kind]) -> Names:
    """Attributes of certain kinds; that one may be null does not matter."""
    if op not in _KINDS:
        own = [(field.name, field.metadata["kind"]) for field in dataclasses.fields(op)]
        _KINDS[op] = tuple((n, k.kind if isinstance(k, Nullable) else k) for n, k in own)
    return frozenset(name for name, kind in _KINDS[op] if isinstance(kind, kinds))


_KEEPING: dict[type[Op], bool] = {}


def _keeps_channels(op: Op, types: tuple[TensorType, ...]) -> bool:
    """Whether how many channels an op gives follows from how many it takes."""
    if type(op) not in _KEEPING:
        spelled = tuple(with_channels(type_, SymbolicInt(type_.channels, "c")) for type_ in types)
        _KEEPING[type(op)] = is_symbolic(op.infer(spelled).channels)
    return _KEEPING[type(op)]


def _sizing(op: Op, any_kernel: bool) -> Names:
    """The attributes of an op that the height and width of what it gives depend on.

    SAME padding makes up for the window, so that the step alone counts; a window of one pixel is
    not dilated. `any_kernel` says that the kernel's size is a parameter's.
    """
    found = _attributes(type(op), Factor, IntegerPair, PaddingKind)
    if getattr(op, "padding", None) == "same":
        found &= {"stride"} if getattr(op, "stride", None) is not None else {"stride", "kernel"}
    if getattr(op, "kernel", None) == (1, 1) and not any_kernel:
        found -= {"dilation"}
    return found
