"""Which uses of a block share a class, and what is taken back where they cannot."""

from __future__ import annotations

from collections.abc import Iterable

from xgraph.emit.planning.context import Context
from xgraph.emit.planning.records import block_calls
from xgraph.emit.planning.state import Body, Restart, RestartSection, Variant, VariantKey, Wire
from xgraph.emit.symbols import code_of
from xgraph.emit.values import differ, hashable, may_be_argument, names_of
from xgraph.ir.elaborated import Instance
from xgraph.ir.structure import Call, Loop
from xgraph.spec.expressions import is_channels


class Sharing:
    """The variants of blocks, and the decisions that tell them apart.

    A decision is remembered and planning starts again (`Restart`); decisions only accumulate.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.program = context.program
        self.types = context.types
        self.decisions = context.decisions
        self.dependence = context.dependence
        self.variants = self.collect()

    def collect(self) -> dict[VariantKey, Variant]:
        """All uses of blocks, those together that share a class.

        What a use has of an earlier one is made already, with all that is in it.
        """
        variants: dict[VariantKey, Variant] = {}
        uses = [
            use
            for section in self.context.elaborated.sections
            for use in block_calls(section.instance.records)
        ]
        for record, is_made in uses:
            if not is_made:
                key = self.variant_key(record.instance)
                variant = variants.setdefault(key, Variant(key, record.instance.block))
                variant.instances.append(record.instance)
                variant.explicit |= {str(argument.key) for argument in record.item.arguments}
        for record, is_made in uses:
            key = self.variant_key(record.instance)
            if is_made and key in variants:
                variants[key].again.append(record.instance)
        return variants

    def variant_key(self, instance: Instance) -> VariantKey:
        """What uses must have in common to share a class: whatever chooses its code."""
        if instance.owner is not None:  # it has the same layers
            return self.variant_key(instance.owner)
        block = instance.block
        chosen = self.decisions.specialized.get(block.name, set())
        words = tuple(
            (name, hashable(value))
            for name, value in instance.arguments.items()
            if name in chosen or not may_be_argument(value)
        )
        if block.name in self.decisions.by_use:
            return (block.name, words, instance.path)
        shapes = tuple(self.types[i].shape for i in instance.inputs)
        if block.name in self.decisions.by_shape:
            return (block.name, words, shapes)
        return (block.name, words, tuple(len(shape) for shape in shapes))

    def open_parameters(self, variant: Variant) -> list[str]:
        """Parameters that stay arguments of the class."""
        if variant.open_names is None:
            variant.open_names = self.find_open(variant)
        return variant.open_names

    def find_open(self, variant: Variant) -> list[str]:
        """Parameters that uses differ in, that they give, or that follow from what is offered."""
        chosen = self.decisions.specialized.get(variant.block.name, set())
        origins = self.dependence.blocks.get(variant.block.name, {})
        open_names = []
        for parameter in variant.block.parameters:
            values = [instance.arguments[parameter.name] for instance in variant.instances]
            varies = any(differ(value, values[0]) for value in values)
            passed = parameter.default is None or parameter.name in variant.explicit
            follows = origins.get(parameter.name, frozenset()) & self.context.root_spelling.keys()
            if parameter.name in chosen or not all(may_be_argument(value) for value in values):
                self.fix(follows)
                continue
            if varies or follows or (passed and not isinstance(values[0], bool)):
                open_names.append(parameter.name)
        return open_names

    def fix(self, names: Iterable[str]) -> None:
        """Make parameters of the spec constants of the code, which offers them no more."""
        chosen = self.decisions.specialized.setdefault("", set())
        if not chosen.issuperset(names):
            chosen.update(names)
            raise Restart

    def unroll(self, loop: Loop) -> None:
        """Write a loop out."""
        if id(loop) not in self.decisions.unrolled:
            self.decisions.unrolled.add(id(loop))
            raise Restart

    def give_up(self, body: Body) -> None:
        """Uses differ in a way that no parameter says.

        Loops are unrolled, then the class is split by the shape of its input, by its parameters'
        values, and at last each use gets a class of its own.
        """
        if body.loops:
            self.unroll(body.loops[-1][0])
        name = body.variant.block.name
        if name not in self.decisions.by_shape:
            self.decisions.by_shape.add(name)
            raise Restart
        self.pin(body.spelling.keys() - self.context.root_spelling.keys(), body)
        if self.program.is_called(body.variant.block) and name not in self.decisions.by_use:
            self.decisions.by_use.add(name)
            raise Restart
        raise AssertionError(f"'{name or self.program.name}' cannot be written as code")

    def separate(self, item: Call, instances: list[Instance], body: Body) -> None:
        """One call whose uses need different classes: its surroundings must tell them apart."""
        if body.loops:
            self.unroll(body.loops[-1][0])
        names: set[str] = set()
        for argument in item.arguments:
            values = [instance.arguments[str(argument.key)] for instance in instances]
            if any(differ(value, values[0]) for value in values):
                names |= names_of(argument.value) & body.spelling.keys()
        if names:
            self.pin(names, body)
        self.give_up(body)

    def pin(self, names: Iterable[str], body: Body) -> None:
        """Make names constants of the code: the class is split by their values."""
        for name in sorted(names):
            if is_channels(name):
                counts = self.dependence.counts.get(body.variant.block.name, frozenset())
                self.fix(counts & self.context.root_spelling.keys())
                continue
            for loop, variables in reversed(body.loops):
                if name in variables:
                    self.unroll(loop)
            owner = body.variant.block.name
            if name not in {p.name for p in body.variant.block.parameters}:
                owner = ""  # a parameter of the spec
            chosen = self.decisions.specialized.setdefault(owner, set())
            if name not in chosen:
                chosen.add(name)
                raise Restart

    def settle(self, names: Iterable[str], body: Body) -> None:
        """Let names be whatever they are in the uses that there are, where these decide alike.

        That is to pin them, but for what is compared with the channels of an input: a class for
        each number of them would be one for each use.
        """
        names = sorted(names)
        if not any(map(is_channels, names)):
            self.pin(names, body)
        origins = self.dependence.blocks.get(body.variant.block.name, {})
        own = {parameter.name for parameter in body.variant.block.parameters}
        for name in names:
            if name in own:
                self.fix(origins.get(name, frozenset()) & self.context.root_spelling.keys())
            else:
                self.pin([name], body)

    def keep_input_literal(self, body: Body) -> None:
        """A section that is given a constant number of channels may just say the number."""
        key = body.variant.key
        if body.input_is_constant and key not in self.decisions.literal_inputs:
            self.decisions.literal_inputs.add(key)
            raise RestartSection

    def check_assumed(
        self, variant: Variant, arguments: dict[str, str], inputs: tuple[Wire, ...]
    ) -> None:
        """An input that goes by a parameter's name because of code that may not run.

        It must have as many channels in every use, whatever the spec's parameters are.
        """
        assert variant.plan is not None
        own = {parameter.origin: parameter.name for parameter in variant.plan.parameters}
        defaults = {parameter.name: parameter.default for parameter in variant.plan.parameters}
        for position, origin in self.decisions.input_names[variant.key].items():
            name = own[origin]
            if code_of(inputs[position].type.channels) != arguments.get(name, defaults[name]):
                self.decisions.own_inputs.add(variant.key)
                self.decisions.assumed.discard(variant.key)
                del self.decisions.input_names[variant.key]
                raise Restart

    def is_constant(self, nodes: list[int], body: Body) -> bool:
        """Whether the channels of nodes are always as many, in code that is used in one place."""
        once = not self.program.is_called(body.variant.block) and body.input_is_constant
        follows = frozenset().union(*(self.dependence.widths[node] for node in nodes))
        return once and not follows & self.context.root_spelling.keys()
