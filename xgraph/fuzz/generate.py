"""Random specs that are legal, trainable and small, and use the whole language.

A spec has as many nodes as were drawn for it. Everything follows from `random.Random(seed)`:
nothing iterates over a set, and nothing depends on a hash.
"""

from __future__ import annotations

from random import Random
from typing import Any

from xgraph import ops
from xgraph.fuzz import flow as flows
from xgraph.fuzz.attributes import Field, draw, fields
from xgraph.fuzz.collisions import colliding
from xgraph.fuzz.flow import Flow
from xgraph.fuzz.items import Writer
from xgraph.fuzz.leaves import Items, Place
from xgraph.fuzz.names import Names
from xgraph.fuzz.trees import Tree, reachable_blocks, trainable, valid
from xgraph.ir.graph import Graph
from xgraph.ir.types import TensorType
from xgraph.ops.base import ShapeProblem
from xgraph.ops.kinds import COUNT, Boolean, Choice, InitializerKind, PaddingKind, Real

#: Nodes of a spec without the input: every number between these is as likely.
FEWEST_NODES, MOST_NODES = 5, 60
_SECTIONS = ("stem", "early", "middle", "late", "exit_flow")
_ATTEMPTS = 50
#: How many specs have names that collide with others.
_COLLIDING = 0.4
#: A vector of more entries makes a dense layer of too many weights.
_LONGEST_VECTOR = 500


def random_spec(seed: int) -> Tree:
    """A legal and trainable spec as a plain tree, ready to be written as YAML or JSON.

    The same seed gives the same tree on any platform and version of Python.
    """
    for attempt in range(_ATTEMPTS):
        random = Random(abs(seed) * _ATTEMPTS + attempt)
        author = _Author(random, f"fuzz_{abs(seed)}", size_of(seed))
        tree = author.spec()
        if not valid(tree, author.meant):
            continue
        if random.random() < _COLLIDING:
            called_otherwise = colliding(random, tree)
            if valid(called_otherwise, author.meant):
                return called_otherwise
        return tree
    raise RuntimeError(f"no legal spec was found for seed {seed}")


def size_of(seed: int) -> int:
    """About how many nodes a seed's spec has: drawn once, so that no attempt favours small ones."""
    return Random(abs(seed)).randint(FEWEST_NODES, MOST_NODES)


class _Author:
    """Writes one spec."""

    def __init__(self, random: Random, name: str, nodes: int) -> None:
        self.random = random
        self.name = name
        self.nodes = nodes
        self.top = Names(eager=0.12, mark="_all")
        height, width = random.randint(5, 24), random.randint(5, 24)
        if random.random() < 0.3:
            width = height
        # Programs read images of these many channels.
        self.shape = (height, width, random.choice([1, 3, 3, 4]))
        self.classes = random.randint(2, 10)
        self.writer = Writer(random, self.defaults(), top=self.top)
        self.sections: dict[str, Any] = {}
        self.flows: dict[str, Flow] = {}

    def meant(self, graph: Graph, types: list[TensorType]) -> bool:
        """Whether a spec has become what was drawn for it."""
        return trainable(graph, types) and len(graph.nodes) - 1 == self.nodes

    def spec(self) -> Tree:
        """The whole tree."""
        head = 2 + self.random.randint(0, min(4, self.nodes - 4))
        auxiliary = self.nodes >= 14 and self.random.random() < 0.3
        trunk = self.nodes - head - (2 if auxiliary else 0)
        classes: Any = self.classes
        if self.random.random() < 0.6:
            classes = f"${self._parameter('classes', self.classes)}"
        given = Flow(TensorType(self.shape))
        outputs: Tree = {}
        graph: Any
        if not auxiliary and self.random.random() < 0.3:
            body, flow = self.writer.body(self._place(given, trunk), exactly=True)
            graph = [*body, *self.head(flow, head, classes)]
            outputs["logits"] = "classifier"
        else:
            last = self.trunk(given, trunk)
            outputs["logits"] = "head"
            if auxiliary:
                outputs["auxiliary"] = self.auxiliary(classes)
            body = self.head(self.flows[last], head, classes)
            self.sections["head"] = {"from": last, "body": body} if auxiliary else body
            graph = self.sections
        return self.finished(graph, outputs)

    def _place(self, flow: Flow, nodes: int) -> Place:
        return Place(flow, self.top, nodes)

    def _parameter(self, name: str, value: int) -> str:
        field = Field("identity", name, COUNT, required=True)
        return self.top.add(name, value, field, TensorType(self.shape))

    def defaults(self) -> Tree:
        """Attributes for every use of some ops: such as fit everywhere."""
        chosen: Tree = {}
        if self.random.random() < 0.5:
            return chosen
        for name in ops.names():
            own = [one for one in fields(name) if not one.required and _anywhere(one)]
            if own and self.random.random() < 0.25:
                one = self.random.choice(own)
                value = draw(self.random, one, TensorType(self.shape))
                chosen[name] = {one.name: "same" if one.name == "padding" else value}
        return chosen

    # --- sections ---

    def trunk(self, given: Flow, nodes: int) -> str:
        """The sections up to the head; the name of the last."""
        count = self.random.randint(1, min(len(_SECTIONS), max(1, nodes // 4)))
        flow, left = given, nodes
        self.flows["input"] = given
        start: Items = []
        for position, name in enumerate(_SECTIONS[:count]):
            last = position == count - 1
            share = left if last else self.random.randint(1, max(1, left - (count - position)))
            body: Items = []
            if share:
                body, flow = self.writer.body(self._place(flow, share), exactly=True)
            left -= share
            self.sections[name] = self._section([*start, *body])
            self.flows[name] = flow
            start = []
            if left == 0:
                return name
            if left >= 4 and self.random.random() < 0.5:
                start, flow, left = self.side(name, left)
        return name

    def _section(self, body: Items) -> Any:
        if self.random.random() < 0.2:
            return {"doc": "Drawn at random", "body": body}
        return body

    def side(self, main: str, left: int) -> tuple[Items, Flow, int]:
        """A section that starts from an earlier value, and the merge that the next begins with."""
        flow = self.flows[main]
        source = self.random.choice(list(self.flows))
        merge = self.writer.merge()
        place = self._place(self.flows[source], min(4, left - 2))
        body = self.writer.fitted(self.writer.body(place)[0], place, flow.type, merge)
        found = self.writer.accepted(body, place) if body else None
        try:
            op = ops.get(merge)()
            made = flows.after(op, [flow, found.flow]) if found else None
        except ShapeProblem:
            made = None
        if not body or found is None or made is None:
            return [], flow, left
        name = f"beside_{main}"
        self.sections[name] = {"from": source, "body": body}
        self.flows[name] = found.flow
        self.writer.parameters -= found.parameters
        self.writer.macs -= found.macs
        if self.random.random() < 0.2:  # and a section that is switched off, passed over
            never = self.top.condition(self.random, False, flow.type)
            self.sections[f"without_{main}"] = {"when": never, "from": main, "body": ["relu"]}
        return [{merge: {}, "from": [main, name]}], made, left - found.nodes - 1

    def auxiliary(self, classes: Any) -> Tree:
        """A second classifier; its output."""
        names = [name for name in self.flows if name != "input"]
        source = self.random.choice(names)
        section: Tree = {"from": source, "body": ["global_avg_pool", {"dense": classes}]}
        output: Tree = {"from": "auxiliary", "loss_weight": self.random.choice([0.3, 0.5, 1.0])}
        if self.random.random() < 0.4:
            condition = self.top.condition(self.random, True, self.flows[source].type)
            section["when"], output["when"] = condition, condition
        self.sections["auxiliary"] = section
        return output

    def head(self, flow: Flow, nodes: int, classes: Any) -> Items:
        """From images to logits, in so many nodes."""
        pools = ["global_avg_pool", "global_avg_pool", "global_max_pool"]
        if flow.type.elements <= _LONGEST_VECTOR:
            pools += ["flatten", "flatten", "flatten"]
        pool = self.random.choice(pools)
        attributes = {"keep_dims": False} if pool in self.writer.defaults else {}
        made = flow.type.elements if pool == "flatten" else flow.type.channels
        vector = Flow(TensorType((made,)), flow.degree, flow.magnified)
        between: Items = []
        if nodes > 2:
            between = self.writer.body(self._place(vector, nodes - 2), exactly=True)[0]
        first = {pool: attributes} if attributes else pool
        return [first, *between, {"dense": {"units": classes}, "name": "classifier"}]

    # --- the rest ---

    def finished(self, graph: Any, outputs: Tree) -> Tree:
        """The tree without what turned out to be unused, and with feature taps."""
        blocks = {name: block.tree for name, block in self.writer.blocks.items()}
        sections = list(graph.values()) if isinstance(graph, dict) else [graph]
        used = [part["body"] if isinstance(part, dict) else part for part in sections]
        blocks = reachable_blocks(blocks, used)
        shape = self._input_shape()
        self.top.forget(graph, blocks, outputs, shape)
        tree: Tree = {"xgraph": 1, "name": self.name, "params": self._params()}
        tree |= {"input": {"shape": shape}, "defaults": self.writer.defaults, "blocks": blocks}
        tree = {key: value for key, value in tree.items() if value}
        tree["graph"] = graph
        if len(outputs) > 1 or self.random.random() < 0.3:
            tree["outputs"] = outputs
        return self._tapped(tree, outputs)

    def _input_shape(self) -> list[Any]:
        if self.random.random() < 0.2:
            name = self._parameter("height", self.shape[0])
            return [f"${name}", *self.shape[1:]]
        return list(self.shape)

    def _params(self) -> Tree:
        """The spec's parameters; some follow from those above them."""
        params: Tree = {}
        above = Names()
        for name, one in self.top.own.items():
            formula = None
            if self.random.random() < 0.2:
                formula = above.formula(self.random, one.value, name)
            params[name] = one.value if formula is None else formula
            above.own[name] = one
        return params

    def _tapped(self, tree: Tree, outputs: Tree) -> Tree:
        """The spec with up to three feature taps among its outputs."""
        if self.random.random() < 0.55:
            return tree
        graph = tree["graph"]
        places = _labels(graph) if isinstance(graph, list) else [
            place
            for name, section in graph.items()
            for place in (name, *(f"{name}.{label}" for label in _labels(section)))
        ]  # fmt: skip
        for number in range(self.random.randint(1, 3)):
            if not places:
                break
            tap = self.random.choice(places)
            source = tap if self.random.random() < 0.5 else {"from": tap}
            tapped = {**tree.get("outputs", outputs), f"tap{number}": source}
            # Names in a part that is switched off, or of what is not on the way, lead nowhere.
            if valid({**tree, "outputs": tapped}, self.meant):
                tree = {**tree, "outputs": tapped}
        return tree


def _anywhere(field: Field) -> bool:
    """Whether an attribute may have any value wherever its op stands."""
    kind = field.kind
    if isinstance(kind, PaddingKind):
        return "same" in kind.words
    return isinstance(kind, Boolean | Real | Choice | InitializerKind) and field.name != "keep_dims"


def _labels(value: Any) -> list[str]:
    """The names that are given to nodes in a tree."""
    if isinstance(value, list):
        return [name for part in value for name in _labels(part)]
    if isinstance(value, dict):
        own = [value["name"]] if isinstance(value.get("name"), str) else []
        return own + [name for part in value.values() for name in _labels(part)]
    return []
