"""Bodies of items: structures and calls of blocks, each checked before it is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xgraph import ops
from xgraph.fuzz import flow as flows
from xgraph.fuzz.attributes import CHANNELS, Field
from xgraph.fuzz.flow import Flow, Found
from xgraph.fuzz.leaves import Items, Leaves, Place
from xgraph.fuzz.names import TIMES, Names
from xgraph.fuzz.trees import Tree, fresh
from xgraph.ir.types import TensorType
from xgraph.spec.calls import MERGES
from xgraph.spec.expressions import channels_of

_DEEPEST = 3
_BRANCHES = ("left", "middle", "right")


@dataclass
class Block:
    """A block, the names of its parameters, and how often it was called."""

    tree: Tree
    names: Names
    calls: int = 0


@dataclass
class Writer(Leaves):
    """Writes bodies. What it writes is legal where it was written."""

    blocks: dict[str, Block] = field(default_factory=dict)
    top: Names = field(default_factory=Names)
    loops: int = 0

    # --- bodies ---

    def body(self, place: Place, *, exactly: bool = False) -> tuple[Items, Flow]:
        """Items with up to `place.nodes` nodes, or exactly so many; and what comes out of them."""
        items: Items = []
        left, flow = place.nodes, place.flow
        wanted = left if exactly else self.random.randint(1, max(1, min(left, 4)))
        while wanted > 0:
            here = Place(flow, place.names, left if exactly else wanted, place.calm, place.depth)
            added, found = self.some(here)
            items += added
            if exactly:  # this is taken; what a structure holds is counted with the structure
                self.parameters -= found.parameters
                self.macs -= found.macs
            flow, wanted, left = found.flow, wanted - found.nodes, left - found.nodes
        return items, flow

    def some(self, place: Place) -> tuple[Items, Found]:
        """One or a few items that belong together."""
        kinds: list[Callable[[Place], Items | None]] = [self.leaf_items] * 4
        if place.depth < _DEEPEST and place.nodes >= 3:
            structures = (self.residual, self.branches, self.skip)
            kinds += [*structures, self.repeat, self.for_each, self.choice, self.call, self.call]
            kinds.append(self.again)
        elif place.nodes >= 2 and place.depth < _DEEPEST:
            kinds += [self.call, self.repeat]
        for _ in range(2):
            make = self.random.choice(kinds)
            items = make(place)
            found = self.accepted(items, place) if items else None
            if items and found:
                return items, found
        return self.leaf(place)

    def accepted(self, items: Items, place: Place) -> Found | None:
        """What items do here, if they are legal and there is room for them."""
        blocks = {name: block.tree for name, block in self.blocks.items()}
        found = flows.probe(items, place.flow, place.names.values(), blocks, self.defaults)
        if found is None or found.nodes > place.nodes or not self.affordable(found):
            return None
        if found.flow.type.rank != place.flow.type.rank:
            return None
        return found

    # --- structures ---

    def bridge(self, place: Place, wanted: TensorType, merge: str) -> Any:
        """An op that makes of the value here what a merge with `wanted` needs; or None."""
        given = place.flow.type
        if given.rank == 1 or wanted.rank == 1:
            return {"dense": {"units": wanted.channels}} if given.rank == wanted.rank else None
        channels = self.random.choice(CHANNELS) if merge == "concat" else wanted.channels
        strides = [s for s in (1, 2, 3, 4) if -(-given.shape[0] // s) == wanted.shape[0]]
        others = [s for s in (1, 2, 3, 4) if -(-given.shape[1] // s) == wanted.shape[1]]
        window: Tree | None = None
        if strides and others:
            kernel = self.random.choice([1, 1, 2, 3])
            step = [strides[0], others[0]] if strides[0] != others[0] else strides[0]
            window = {"kernel": kernel, "stride": step, "padding": "same"}
        else:
            span = [given.shape[axis] - wanted.shape[axis] + 1 for axis in (0, 1)]
            if min(span) >= 1 and max(span) <= 9:
                window = {"kernel": span, "stride": 1, "padding": "valid"}
            elif max(span) <= 1:  # the border that a convolution left away or never had
                sides = [[(1 - size) // 2, (1 - size) - (1 - size) // 2] for size in span]
                window = {"kernel": 1, "stride": 1, "padding": sides}
        if window is None:
            return None
        op = "conv" if self.random.random() < 0.7 else "separable_conv"
        return {op: {"filters": channels, **window}}

    def fitted(self, items: Items, place: Place, wanted: TensorType, merge: str) -> Items | None:
        """Items, and where needed one more that makes them fit a merge with `wanted`."""
        if items:
            found = self.accepted(items, place)
            if found is None:
                return None
            after, left = found.flow, place.nodes - found.nodes
        else:
            after, left = place.flow, place.nodes
        if _fits(after.type, wanted, merge):
            return items
        last = self.bridge(Place(after, place.names, left), wanted, merge)
        return None if last is None or left < 1 else [*items, last]

    def merge(self) -> str:
        return self.random.choice([*MERGES, "add", "add", "concat", "concat"])

    def residual(self, place: Place) -> Items | None:
        merge = self.merge()
        room = place.nodes - 2
        if self.random.random() < 0.2 and place.flow.type.rank == 3:
            return self.gate(place)
        plain = place.calm or self.random.random() < 0.5
        body, flow = self.body(place.within(place.flow, room, plain))
        item: Tree
        if plain:
            fitted = self.fitted(body, place, place.flow.type, merge)
            if not fitted:
                return None
            item = {"residual": fitted}
        else:
            shortcut = self.fitted([], place, flow.type, merge)
            if shortcut is None:
                return None
            item = {"residual": body, "shortcut": shortcut} if shortcut else {"residual": body}
        if merge != "add" or self.random.random() < 0.2:
            item["merge"] = merge
        if "shortcut" not in item and self.random.random() < 0.15:
            never = place.names.condition(self.random, False, place.flow.type)
            item["shortcut"] = [{"relu": {}, "when": never}]  # which leaves the identity
        if plain and self.random.random() < 0.2:
            item["skip"] = place.names.condition(
                self.random, self.random.random() < 0.7, place.flow.type
            )
        return [item]

    def gate(self, place: Place) -> Items:
        """Channels scaled by what their own average says, as squeeze-and-excitation does."""
        pool = self.random.choice(["global_avg_pool", "global_max_pool"])
        squash = self.random.choice(["sigmoid", "hard_sigmoid", "softmax", "tanh"])
        filters = place.flow.type.channels
        layer = {"conv": {"filters": filters, "kernel": 1, "stride": 1, "padding": "valid"}}
        body = [{pool: {"keep_dims": True}}, layer, squash]
        return [{"residual": body, "merge": "multiply"}]

    def branches(self, place: Place) -> Items | None:
        if self.random.random() < 0.25:
            return self.parallel(place)
        merge = self.merge()
        count = self.random.choice([2, 2, 3])
        room = max(1, (place.nodes - 1) // count - 1)
        first, flow = self.body(place.within(place.flow, room))
        paths: list[Any] = [first]
        for _ in range(count - 1):
            same = place.flow.type.shape[:-1] == flow.type.shape[:-1]
            here = place.within(place.flow, room, calm=same)
            drawn = [] if self.random.random() < 0.25 else self.body(here)[0]
            fitted = self.fitted(drawn, place, flow.type, merge)
            if fitted is None:
                fitted = self.fitted([], place, flow.type, merge)
            if fitted is None:
                return None
            paths.append(fitted)
        if self.random.random() < 0.3:  # one that is not there in every use, or in none
            position = self.random.randrange(len(paths))
            there = self.random.random() < 0.6
            condition = place.names.condition(self.random, there, place.flow.type)
            paths[position] = {"body": paths[position], "when": condition}
        if self.random.random() < 0.4:
            return [{"branches": dict(zip(_BRANCHES, paths, strict=False)), "merge": merge}]
        return [{"branches": paths, "merge": merge}]

    def parallel(self, place: Place) -> Items | None:
        """A loop whose turns are branches: each adds channels, or is added to the others."""
        make = self.random.choice([self.repeat, self.for_each])
        loops = make(place)
        return [{"branches": loops[0], "merge": self.merge()}] if loops else None

    def skip(self, place: Place) -> Items | None:
        """A value that is taken up again by name, a few items later."""
        if self.random.random() < 0.15:
            return self.split(place)
        start, end = self.label(), self.label()
        first, made = self.leaf(place, start)
        here = place.within(made.flow, place.nodes - 4)
        body, flow = self.body(here) if here.nodes > 0 else ([], made.flow)
        last, found = self.leaf(Place(flow, place.names, 1, place.calm), end)
        items = [*first, *body, *last]
        merges = [name for name in ops.names() if ops.get(name).arity != (1, 1)]
        merge = self.random.choice([*merges, "concat"])
        if self.random.random() < 0.2 and found.flow.type.rank == 3:
            return [*items, self.two_inputs(end, start, found.flow.type.channels)]
        if not _fits(made.flow.type, found.flow.type, merge):
            across = self.bridge(Place(made.flow, place.names, 1), found.flow.type, merge)
            if across is None:
                return None
            bridged = self.label()
            items.append({**across, "from": start, "name": bridged})
            start = bridged
        return [*items, {merge: {}, "from": self.random.choice([[start, end], [end, start]])}]

    def two_inputs(self, features: str, control: str, channels: int) -> Any:
        """A call of a block with two inputs, which is written when it is first called."""
        if "gate" not in self.blocks:
            names = Names(self.top)
            names.add("filters", channels, None, TensorType((1, 1, channels)))
            layer = {"filters": "$filters", "kernel": 1, "stride": 1, "padding": "valid"}
            body = [
                {"global_avg_pool": {"keep_dims": True}, "from": "control"},
                [{"conv": layer}, {"sigmoid": {}, "name": "scale"}],
                {"multiply": {}, "from": ["features", "scale"]},
            ]
            tree = {
                "inputs": ["features", "control"],
                "params": {"filters": channels},
                "body": body,
            }
            self.blocks["gate"] = Block(tree, names)
        self.blocks["gate"].calls += 1
        return {"gate": {"filters": channels}, "from": [features, control]}

    def split(self, place: Place) -> Items | None:
        """A block with two results, which is written when it is first called, and both of them."""
        if place.flow.type.rank == 1:
            return None
        if "pair" not in self.blocks:
            names = Names(self.top)
            channels = self.random.choice(CHANNELS)
            names.add("filters", channels, None, place.flow.type)
            layer = {"filters": "$filters", "kernel": 1, "stride": 1, "padding": "valid"}
            body = [
                {"conv": layer, "name": "early"},
                [{"tanh": {}}, {"conv": layer, "name": "late"}],
            ]
            results = self.random.choice([["early", "late"], ["late", "early"]])
            tree = {"params": {"filters": channels}, "results": results, "body": body}
            self.blocks["pair"] = Block(tree, names)
        label = self.label()
        self.blocks["pair"].calls += 1
        both = [label, f"{label}.{self.blocks['pair'].tree['results'][1]}"]
        items: Items = [{"pair": {"filters": self.random.choice(CHANNELS)}, "name": label}]
        if self.random.random() < 0.5:
            items.append(self.leaf(Place(place.flow, place.names, 1, calm=True))[0][0])
        self.random.shuffle(both)
        return [*items, {self.random.choice(["concat", "add"]): {}, "from": both}]

    def repeat(self, place: Place) -> Items | None:
        count = self.random.choice([1, 2, 2, 3, 3, 4])
        names = self.loop_names(place, eager=0.35)
        index = None
        if self.random.random() < 0.6:
            index = names.add("index", 0, None, place.flow.type)
        names.closed = True  # a repeat binds nothing but its index
        inner = Place(place.flow, names, max(1, place.nodes // count), True, place.depth + 1)
        body = self.body(inner)[0]
        said = place.names.said(self.random, count, TIMES, place.flow.type)
        item: Tree = {"repeat": said}
        if index is not None:
            item["index"] = index
        return [{**item, "body": body}]

    def loop_names(self, place: Place, eager: float) -> Names:
        self.loops += 1
        return Names(place.names, eager=eager, mark=f"_l{self.loops}")

    def for_each(self, place: Place) -> Items | None:
        count = self.random.choice([1, 2, 2, 3])
        names = self.loop_names(place, eager=0.6)
        inner = Place(place.flow, names, max(1, place.nodes // count), True, place.depth + 1)
        body = self.body(inner)[0]
        names.forget(body)
        if not names.own:
            return None
        for _ in range(3):
            columns = {
                name: [one.value, *(names.another(self.random, name) for _ in range(count - 1))]
                for name, one in names.own.items()
            }
            items = [{"for": columns, "body": body}]
            if self.accepted(items, place):
                return items
        columns = {name: [one.value] * count for name, one in names.own.items()}
        return [{"for": columns, "body": body}]

    def choice(self, place: Place) -> Items:
        """An `if`, both arms of which fit here."""
        here = place.within(place.flow, max(1, place.nodes // 2), calm=place.depth > 0)
        arms = [self.body(here)[0], self.body(here)[0]]
        taken = self.random.random() < 0.6
        item = {"if": place.names.condition(self.random, taken, place.flow.type), "then": arms[0]}
        return [{**item, "else": arms[1]} if not taken or self.random.random() < 0.7 else item]

    def again(self, place: Place) -> Items | None:
        """What keeps the type of a value, applied several times with the same weights."""
        start = self.label()
        first = self.keeping(place, start)
        if first is None:
            return None
        once: Tree = {"share": start}
        between: Items = []
        if self.random.random() < 0.5:
            between, found = self.leaf(Place(place.flow, place.names, 1, calm=True))
            if found.flow.type != place.flow.type:
                between = []
        how = self.random.random()
        if how < 0.4:
            return [*first, *between, {**once, "name": self.label()}]
        if how < 0.7:
            count = place.names.said(self.random, self.random.choice([1, 2, 3]), TIMES,
                                     place.flow.type)  # fmt: skip
            return [*first, {"repeat": count, "body": [once, *between]}]
        if how < 0.85:
            return [*first, {"residual": [*between, once]}]
        return [{"branches": [first, [*between, once]], "merge": self.merge()}]

    def keeping(self, place: Place, label: str) -> Items | None:
        """A layer with weights, or a call of a block, that gives what it is given."""
        given = place.flow.type
        if self.random.random() < 0.5 and (called := self.call(place)) is not None:
            (item,) = called
            first: Items = [{**({item: {}} if isinstance(item, str) else item), "name": label}]
        elif self.random.random() < 0.5:
            first = self.leaf(Place(place.flow, place.names, 1, calm=True), label)[0]
        elif given.rank == 1:
            first = [{"dense": {"units": given.channels}, "name": label}]
        else:
            kernel = self.random.choice([1, 2, 3])
            layer = {"filters": given.channels, "kernel": kernel, "stride": 1, "padding": "same"}
            first = [{self.random.choice(["conv", "separable_conv"]): layer, "name": label}]
        found = self.accepted(first, place)
        kept = found is not None and found.parameters > 0 and found.flow.type == given
        return first if kept else None

    # --- blocks ---

    def call(self, place: Place) -> Items | None:
        """A call of a block: one that exists, with other arguments, or a new one."""
        rank = place.flow.type.rank
        known = [
            name
            for name in self.blocks
            if name not in ("gate", "pair") and self.rank_of(name) == rank
        ]
        if not known or (len(known) < 3 and self.random.random() < 0.25):
            name = self.new_block(place)
        else:
            name = min(known, key=lambda one: (self.blocks[one].calls, one))
        block = self.blocks[name]
        for attempt in range(4):
            likely = 0.0 if block.calls == 0 or attempt == 3 else 0.6
            given = {
                parameter: self.argument(block, parameter, place)
                for parameter in block.names.own
                if self.random.random() < likely
            }
            items = [{name: given}] if given else [name]
            if self.accepted(items, place):
                block.calls += 1
                return items
        return None

    def argument(self, block: Block, parameter: str, place: Place) -> Any:
        value = block.names.another(self.random, parameter)
        shown = block.names.own[parameter].field or Field("identity", parameter, TIMES.kind, True)
        return place.names.said(self.random, value, shown, place.flow.type)

    def rank_of(self, name: str) -> int:
        one = next(iter(self.blocks[name].names.own.values()), None)
        return one.given.rank if one else 3

    def new_block(self, place: Place) -> str:
        """A block that fits here with its parameters' defaults."""
        counts = {channels_of("input"): place.flow.type.channels}
        names = Names(self.top, eager=0.5, counts=counts)
        inner = Place(place.flow, names, min(place.nodes, 6), True, place.depth + 1)
        body, flow = self.body(inner)
        if flow.type == place.flow.type and self.random.random() < 0.35:
            end = self.label()
            last, found = self.leaf(Place(flow, names, 1, True), end)
            if found.flow.type == flow.type:  # a residual, said by the name of the block's input
                body = [*body, *last, {"add": {}, "from": [end, "input"]}]
        names.forget(body)
        params: Tree = {}
        above = Names(self.top, counts=counts)
        for name, one in names.own.items():
            formula = None
            if self.random.random() < 0.25:
                formula = above.formula(self.random, one.value, name)
            params[name] = one.value if formula is None else formula
            above.own[name] = one
        block = fresh("unit", self.blocks)
        self.blocks[block] = Block(
            {"params": params, "body": body} if params else {"body": body}, names
        )
        return block


def _fits(given: TensorType, wanted: TensorType, merge: str) -> bool:
    """Whether two values can be merged."""
    if merge == "concat":
        return given.shape[:-1] == wanted.shape[:-1]
    return given == wanted
