"""How specs and recipes are laid out: the order of keys, and what stands on lines of its own.

A `Form` says so of one place of a file. Keys that it does not order keep the order of their author:
attributes of ops and arguments, for an author has a reason for that order, and parameters, blocks,
sections and branches, whose order means something.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from xgraph.spec.calls import STRUCTURES
from xgraph.spec.reader import TOP_KEYS

#: A line is at most this long, where it can be broken.
WIDTH: Final = 100
#: Stands for all keys of a mapping that its order does not mention.
_OTHERS: Final = "…"


@dataclass(frozen=True)
class Form:
    """The layout of a list or mapping in one place of a file.

    Attributes:
        order: keys of a mapping in their order.
        entries: by key, the name of the form of what stands there.
        other: that of what stands at any other key.
        items: that of a list's items.
        lines: it has lines of its own, however short it is.
        lines_with: it does if it has one of these keys.
        joins: "mapping" or "list" or both: what stands on one line where it fits, though its author
            has used several. Everything else stays on several lines,
        keeps: and so does a mapping with one of these keys.
    """

    order: tuple[str, ...] = ()
    entries: Mapping[str, str] = field(default_factory=dict)
    other: str = "any"
    items: str = "any"
    lines: bool = False
    lines_with: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()

    def at(self, key: str) -> Form:
        """The form of what stands at a key."""
        return _FORMS[self.entries.get(key, self.other)]

    def item(self) -> Form:
        """The form of an item of a list."""
        return _FORMS[self.items]

    def rank(self, key: str) -> int:
        """Where a key stands among others; those that are alike keep their order."""
        known = key if key in self.order else _OTHERS
        return self.order.index(known) if known in self.order else len(self.order)


#: Keys that an item has beside the op, block or structure that it is about.
_HEADS: Final = tuple(STRUCTURES)
_ITEM_ORDER: Final = (
    *(*_HEADS, _OTHERS, "index", "body", "shortcut", "skip", "then", "else", "merge"),
    *("from", "name", "when", "doc", "source"),
)
_BODIES: Final = ("body", "residual", "shortcut", "then", "else")
_PROSE: Final = ("doc", "source")
#: Keys of recipes, in their order; `xgraph.recipe.reading` knows what they mean.
RECIPE_KEYS: Final = (
    *("xgraph_recipe", "extends", "name", "doc", "source", "epochs", "batch_size", "accumulation"),
    *("precision", "optimizer", "schedule", "regularization", "clip", "ema", "tune", "devices"),
    *("asynchronous", "loss", "metrics", "data", "images", "every", "stop"),
)

_FORMS: Final = {
    "any": Form(),
    "spec": Form(
        TOP_KEYS,
        {
            "params": "parameters",
            "defaults": "defaults",
            "blocks": "blocks",
            "graph": "graph",
            "outputs": "outputs",
            "sizes": "sizes",
        },
        lines=True,
    ),
    "recipe": Form(RECIPE_KEYS, {"images": "images"}, lines=True),
    "images": Form(lines=True),
    # Attributes of ops, arguments of blocks, values of parameters.
    "value": Form(other="value", items="value", joins=("mapping", "list")),
    "parameters": Form(other="value"),
    "defaults": Form(other="value"),
    "blocks": Form(other="block", lines=True),
    "block": Form(
        ("doc", "source", "inputs", "results", "params", "items", "body"),
        {"params": "parameters", "body": "body", "items": "bodies"},
        lines=True,
    ),
    "graph": Form(other="section", items="body", lines=True),
    "section": Form(
        ("doc", "source", "from", "when", "items", "body"),
        {"body": "body", "items": "bodies"},
        other="body",
        items="body",
        lines_with=_PROSE,
    ),
    # A list of items, or one.
    "body": Form(
        _ITEM_ORDER,
        {**dict.fromkeys(_BODIES, "body"), "branches": "bodies", "for": "parameters"},
        other="value",
        items="body",
        joins=("mapping",),
        keeps=_HEADS,
    ),
    "bodies": Form(other="body", items="body", entries={"for": "parameters"}),
    "outputs": Form(other="output"),
    "output": Form(("doc", "source", "from", "loss_weight", "when"), lines_with=_PROSE),
    "sizes": Form(other="size", lines=True),
    "size": Form(("doc", "source", "params", "input"), {"params": "parameters"}, lines_with=_PROSE),
}
#: Of what is neither a spec nor a recipe.
ANY: Final = _FORMS["any"]


def form_of(keys: Collection[str]) -> Form:
    """The form of a file by the keys at its top: that of specs, of recipes, or `ANY`."""
    if "xgraph_recipe" in keys:
        return _FORMS["recipe"]
    return _FORMS["spec"] if "xgraph" in keys or "extends" in keys else ANY
