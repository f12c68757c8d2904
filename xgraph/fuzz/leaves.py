"""Single ops, with attributes that fit where they stand."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from xgraph import ops
from xgraph.fuzz import flow as flows
from xgraph.fuzz.attributes import bind, draw, fields
from xgraph.fuzz.flow import Flow, Found
from xgraph.fuzz.names import Names
from xgraph.fuzz.trees import Tree
from xgraph.ir.types import TensorType
from xgraph.ops.base import ShapeProblem

Items = list[Any]

#: Ops that are drawn this many times as often as the others: networks are made of them.
_OFTEN = {"conv": 5, "separable_conv": 3, "depthwise_conv": 3, "dense": 4, "batch_norm": 3}
_ATTEMPTS = 12


@dataclass
class Place:
    """Where items are written: what goes in, which names are seen, how many nodes still fit.

    A calm place keeps sizes, for what is drawn there must fit again: in the next iteration, in
    another call, or beside another branch.
    """

    flow: Flow
    names: Names
    nodes: int
    calm: bool = False
    depth: int = 0

    def within(self, flow: Flow, nodes: int, calm: bool = False) -> Place:
        """The place at the start of a body below this one."""
        return Place(flow, self.names, nodes, self.calm or calm, self.depth + 1)


@dataclass
class Leaves:
    """Writes ops, and keeps count of what the network may still cost."""

    random: Random
    defaults: Tree
    parameters: int = flows.MOST_PARAMETERS
    macs: int = flows.MOST_MACS
    labels: int = 0

    def leaf_items(self, place: Place) -> Items:
        return self.leaf(place)[0]

    def leaf(self, place: Place, named: str | None = None) -> tuple[Items, Found]:
        """One op."""
        single = [name for name in ops.names() if ops.get(name).arity == (1, 1)]
        weighted = [name for name in single for _ in range(_OFTEN.get(name, 1))]
        for _ in range(_ATTEMPTS):
            name = self.random.choice(weighted)
            drawn = self.drawn(name, place)
            if drawn is not None:
                return self.spelled(name, drawn[0], place, named), drawn[1]
        nothing = Found(place.flow, 1, 0, 0)
        return self.spelled("identity", {}, place, named), nothing

    def drawn(self, name: str, place: Place) -> tuple[Tree, Found] | None:
        """Attributes with which an op fits here, and what comes out of it."""
        given = place.flow.type
        try:
            attributes = self.attributes(name, given, place.calm)
            op = bind(name, {**self.defaults.get(name, {}), **attributes})
            made = flows.after(op, [place.flow])
        except (ShapeProblem, LookupError, ValueError):
            return None
        if made is None or made.type.rank != given.rank or self.wasteful(given, made.type, place):
            return None
        cost = sum(weight.size for weight in op.weights((given,)))
        found = Found(made, 1, cost, op.macs((given,), made.type))
        return (attributes, found) if self.affordable(found) else None

    def wasteful(self, given: TensorType, made: TensorType, place: Place) -> bool:
        """Whether an op would leave too few pixels for anything interesting to follow."""
        if given.rank == 1:
            return False
        before, pixels = (x.shape[0] * x.shape[1] for x in (given, made))
        if place.calm:
            return pixels != before
        return pixels < before and pixels < 12 and self.random.random() < 0.8

    def attributes(self, name: str, given: TensorType, calm: bool) -> Tree:
        """Attributes for an op: the required ones and some of the others."""
        attributes: Tree = {}
        often = {"padding": 0.75, "groups": 0.35, "keep_dims": 1.0}
        for one in fields(name):
            likely = 1.0 if one.required else often.get(one.name, 0.3)
            if one.name == "padding" and calm:
                likely = 1.0
            if self.random.random() < likely:
                attributes[one.name] = draw(self.random, one, given, calm)
        if calm and "stride" in {one.name for one in fields(name)}:
            attributes["stride"] = 1
        if "groups" in attributes and "filters" in attributes:  # both must be multiples of it
            times = max(1, attributes["filters"] // attributes["groups"])
            attributes["filters"] = attributes["groups"] * times
        if "keep_dims" in attributes:
            attributes["keep_dims"] = given.rank == 3
        return attributes

    def spelled(self, name: str, attributes: Tree, place: Place, label: str | None = None) -> Items:
        """A call with its attributes, some of them as expressions; at times in short form."""
        kinds = {one.name: one for one in fields(name)}
        said = {
            key: place.names.said(self.random, value, kinds[key], place.flow.type)
            for key, value in attributes.items()
        }
        item: Any = {name: said}
        if not said and label is None and self.random.random() < 0.8:
            return [name]
        if len(said) == 1 and list(said) == list(kinds)[:1]:
            (value,) = said.values()
            item = item if value is None or isinstance(value, dict) else {name: value}
        if label is not None:
            item["name"] = label
        elif self.random.random() < 0.06:
            item["when"] = place.names.condition(self.random, True, place.flow.type)
        if label is None and self.random.random() < 0.04:  # and one that is not there
            never = place.names.condition(self.random, False, place.flow.type)
            return [item, {"relu": {}, "when": never}]
        return [item]

    def label(self) -> str:
        """A name for a node."""
        self.labels += 1
        return f"node{self.labels}"

    def affordable(self, found: Found) -> bool:
        """Whether the network stays small with these."""
        return found.parameters <= self.parameters and found.macs <= self.macs
