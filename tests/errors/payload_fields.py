"""Every place of specs, recipes and command lines where somebody's text stands."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Tree = dict[str, Any]
#: What a text is compared with that says nothing; a word is compared with a word, for words may
#: be parts of names.
BENIGN_TEXT, BENIGN_WORD = "A benign text", "benign"


@dataclass(frozen=True)
class Case:
    """What is compiled: files by name, and the arguments."""

    files: dict[str, str]
    spec: str = "spec.yaml"
    settings: tuple[str, ...] = ()
    recipe: str | None = "digits"
    output: str = "out"  # below the folder of the case


@dataclass(frozen=True)
class Field:
    """A place for a text. `names` says that it is for a name, which is a part of the program."""

    name: str
    make: Callable[[str], Case] = field(repr=False)
    names: bool = False
    #: Texts that are compared, where the value is YAML of any type, by type.
    typed: bool = False
    command: bool = False  # through the command line, with files written

    def benign(self, text: str) -> str:
        return BENIGN_WORD if self.names or _is_word(text) else BENIGN_TEXT

    def as_long(self, text: str) -> str:
        """A benign text that takes as much room in code, where lines are wrapped by it."""
        length = len(text.encode("unicode_escape")) + text.count('"')
        length = min(length, 300)  # beyond a line all is wrapped alike, and expressions have an end
        plain = self.benign(text)
        return (plain + plain[-1] * length)[:length]


def _beside(key: str) -> str:
    """A key that may stand beside `filters`."""
    return f"{key}2" if key == "filters" else key


def _is_word(text: str) -> bool:
    return re.fullmatch(r"[a-z][a-z0-9_]*", text) is not None


def said(text: str) -> str:
    """A text as a YAML scalar that says it exactly, if YAML can."""
    out = []
    for character in text:
        code = ord(character)
        if character in '"\\':
            out.append("\\" + character)
        elif 32 <= code < 127 or (code > 160 and character.isprintable()):
            out.append(character)
        else:
            out.append(f"\\x{code:02x}" if code < 256 else
                       f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}")  # fmt: skip
    return '"' + "".join(out) + '"'


def yaml(value: Any) -> str:
    """A tree as YAML's flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{said(k)}: {yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(yaml, value)) + "]"
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return said(value) if isinstance(value, str) else repr(value)


def document(tree: Tree) -> str:
    return "".join(f"{said(key)}: {yaml(value)}\n" for key, value in tree.items())


def _conv(filters: Any = 2) -> Tree:
    return {"conv": {"filters": filters, "kernel": 1}}


_SPEC: Tree = {
    "xgraph": 1,
    "name": "tiny",
    "input": {"shape": [4, 4, 3]},
    "graph": [_conv(), "relu", "global_avg_pool", {"dense": 3}],
}
_RECIPE: Tree = {
    "xgraph_recipe": 1,
    "name": "short",
    "epochs": 6,
    "batch_size": 32,
    "optimizer": {"sgd": {"momentum": 0.9}},
    "schedule": {"constant": 0.05},
    "loss": "softmax_cross_entropy",
    "images": {"train": {"resize": {"stretch": 1.125}}, "normalize": "symmetric"},
}
_END = ["global_avg_pool", {"dense": 3}]


def _case(over: Tree, **more: Any) -> Case:
    return Case({"spec.yaml": document({**copy.deepcopy(_SPEC), **over})}, **more)


def _size(over: Tree, name: str = "wide", **family: Any) -> Case:
    """A size of a spec that lies beside it."""
    tree = {**copy.deepcopy(_SPEC), **family, "sizes": {name: over}}
    return Case({"family.yaml": document(tree)}, spec=f"{name}.yaml")


def _items(*items: Any, settings: tuple[str, ...] = (), **over: Any) -> Case:
    return _case({"graph": [*items, *_END], **over}, settings=settings)


def _unit(body: list[Any], declared: Tree, *calls: Any, **over: Any) -> Case:
    """A spec whose block `unit` is called so."""
    unit = {"params": declared, "body": body, **over.pop("unit", {})}
    blocks = {**over.pop("blocks", {}), "unit": unit}
    return _items(*calls, blocks=blocks, **over)


def _chosen(act: Any, first: Any, **over: Any) -> Case:
    """Two variants of a block, told apart by a text."""
    body = [_conv("$filters"), {"relu": None, "when": act}]
    calls = [{"unit": {"filters": 2, "act": first}}, {"unit": {"filters": 2, "act": "Zulu"}}]
    return _unit(body, {"filters": None, "act": "Zulu"}, *calls, **over)


def _rows(rows: list[Any], condition: str | None = None) -> Case:
    """A loop over mappings, in a block that is used twice."""
    body: list[Any] = [_conv("$row.filters")]
    if condition is not None:
        body.append({"relu": None, "when": condition})
    unit = [{"for": {"row": "$rows"}, "body": body}]
    return _unit(unit, {"rows": None}, {"unit": {"rows": rows}}, {"unit": {"rows": rows[:1]}})


def _recipe(change: Callable[[Tree], Any]) -> Case:
    tree = copy.deepcopy(_RECIPE)
    change(tree)
    files = {"spec.yaml": document(_SPEC), "recipe.yaml": document(tree)}
    return Case(files, recipe="recipe.yaml")


def _noted(key: str) -> dict[str, Callable[[str], Case]]:
    """`doc` or `source` at every position."""

    def at(item: Any) -> Callable[[str], Case]:
        return lambda text: _items({**copy.deepcopy(item), key: text})

    two = [["relu"], ["elu"]]
    return {
        "spec": lambda text: _case({key: text}),
        "size": lambda text: _size({key: text}),
        "block": lambda text: _unit(
            [_conv("$filters")], {"filters": None}, {"unit": 2}, unit={key: text}
        ),
        "section": lambda text: _case(
            {"graph": {"stem": {"body": [_conv()], key: text}, "head": _END}}
        ),
        "op": at(_conv()),
        "op with a name": at({**_conv(), "name": "first"}),
        "call": lambda text: _unit([_conv("$filters")], {"filters": None}, {"unit": 2, key: text}),
        "repeat": at({"repeat": 2, "body": [_conv()]}),
        "for": at({"for": {"n": [2, 3]}, "body": [_conv("$n")]}),
        "residual": at({"residual": [_conv(3)]}),
        "branches": at({"branches": two, "merge": "concat"}),
        "if": at({"if": True, "then": ["relu"]}),
        "merge": lambda text: _items({"branches": two, "merge": {"concat": None, key: text}}),
        "output": lambda text: _case({"outputs": {"logits": {"from": "dense", key: text}}}),
    }


def _free() -> dict[str, Callable[[str], Case]]:
    """Places for texts that are values."""
    found: dict[str, Callable[[str], Case]] = {}
    for key in ("doc", "source"):
        found |= {f"{key} of {where}": make for where, make in _noted(key).items()}
    zulu = "$act == 'Zulu'"
    return {
        **found,
        "doc of input": lambda t: _case({"input": {"shape": [4, 4, 3], "doc": t}}),
        "block argument": lambda t: _chosen(zulu, t),
        "block default": lambda t: _unit(
            [_conv("$filters"), {"relu": None, "when": zulu}],
            {"filters": None, "act": t},
            {"unit": 2},
            {"unit": {"filters": 2, "act": "Zulu"}},
        ),
        "spec parameter": lambda t: _chosen(zulu, "$word", params={"word": t}),
        "parameter of a size": lambda t: _size({"params": {"word": t}}, params={"word": "A"}),
        "unread spec parameter": lambda t: _case({"params": {"word": t}}),
        "list of a loop": lambda t: _items(
            {"for": {"act": [t, "Zulu"]}, "body": [_conv(), {"relu": None, "when": zulu}]}
        ),
        "list argument": lambda t: _unit(
            [{"for": {"act": "$acts"}, "body": [_conv(), {"relu": None, "when": zulu}]}],
            {"acts": None},
            {"unit": {"acts": [t, "Zulu", t]}},
        ),
        "list that is searched": lambda t: _chosen(
            "$act in ['Zulu', $word]", "Other", params={"word": t}
        ),
        "mapping value": lambda t: _rows(
            [{"filters": 2, "act": t}, {"filters": 3, "act": "Zulu"}], "$row.act == 'Zulu'"
        ),
        "mapping value, unread": lambda t: _rows([{"filters": 2, "note": t}]),
        "mapping key": lambda t: _rows(
            [{"filters": m, _beside(t): n} for m, n in ((2, 2), (3, 4), (4, 4))]
        ),
        "mapping key of a parameter": lambda t: _items(
            _conv("$sizes.filters"), params={"sizes": {"filters": 2, _beside(t): 3}}
        ),
        "mapping in a mapping": lambda t: _rows(
            [{"filters": n, "more": {t: [n, {t: n}]}} for n in (2, 3, 4)]
        ),
        "text of a condition": lambda t: _chosen(f"$act == '{t}'", "Other"),
        "text of a condition, double quotes": lambda t: _chosen(f'$act == "{t}"', "Other"),
        "text in the list of a condition": lambda t: _chosen(f"$act in ['Zulu', '{t}']", "Other"),
        "text of an if": lambda t: _unit(
            [{"if": f"$n > 2 and '{t}' != 'Zulu'", "then": ["relu"], "else": ["elu"]}],
            {"n": None},
            {"unit": 2},
            {"unit": 3},
        ),
        "text of a section's when": lambda t: _case(
            {
                "graph": {"stem": {"body": ["relu"], "when": f"$w != '{t}'"}, "head": _END},
                "params": {"w": "Zulu"},
            }
        ),
        "text of an output's when": lambda t: _case(
            {
                "outputs": {"logits": "dense", "second": {"from": "relu", "when": f"$w == '{t}'"}},
                "params": {"w": "Zulu"},
            }
        ),
        "text in an attribute": lambda t: _unit(
            [_conv(f"$n if $n != 3 or '{t}' == 'Zulu' else 5")],
            {"n": None},
            {"unit": 2},
            {"unit": 3},
        ),
        "text in an attribute of a function": lambda t: _unit(
            [{"max_pool": {"kernel": f"$n if $n != 3 or '{t}' == 'Zulu' else 1"}}],
            {"n": None},
            {"unit": 1},
            {"unit": 2},
        ),
        "text in an argument": lambda t: _unit(
            [{"inner": f"$n if '{t}' != 'Zulu' else 7"}],
            {"n": None},
            {"unit": 2},
            {"unit": 3},
            blocks={"inner": {"params": {"m": None}, "body": [_conv("$m")]}},
        ),
        "text in a default": lambda t: _unit(
            [_conv("$m")],
            {"n": None, "m": f"$n if '{t}' != 'Zulu' else 7"},
            {"unit": 2},
            {"unit": 3},
        ),
        "text in a count": lambda t: _unit(
            [{"repeat": f"$n if '{t}' != 'Zulu' else 7", "body": [_conv()]}],
            {"n": None},
            {"unit": 2},
            {"unit": 3},
        ),
        "text in a table": lambda t: _unit(
            [{"for": {"m": ["$n", f"$n if '{t}' != 'Zulu' else 7"]}, "body": [_conv("$m")]}],
            {"n": None},
            {"unit": 2},
            {"unit": 3},
        ),
        "text in the model": lambda t: _items(
            _conv(f"$n if '{t}' != 'Zulu' else 7"), params={"n": 2}
        ),
        "text in a parameter's value": lambda t: _items(
            _conv("$m"), params={"n": 2, "m": f"$n if '{t}' != 'Zulu' else 7"}
        ),
        "text in the input's shape": lambda t: _case(
            {"input": {"shape": [f"$n if '{t}' != 'Zulu' else 7", 4, 3]}, "params": {"n": 4}}
        ),
        "text in a loss weight": lambda t: _case(
            {
                "outputs": {
                    "logits": "dense",
                    "second": {"from": "dense", "loss_weight": f"0.3 if $w != '{t}' else 0.4"},
                },
                "params": {"w": "Zulu"},
            }
        ),
        "recipe's doc": lambda t: _recipe(lambda tree: tree.update(doc=t)),
        "recipe's source": lambda t: _recipe(lambda tree: tree.update(source=t)),
        "--set value, quoted": lambda t: _chosen(
            zulu, "$word", params={"word": "A"}, settings=(f"word={said(t)}",)
        ),
    }


def _words() -> dict[str, Callable[[str], Case]]:
    """Places where only some words, numbers or expressions are good."""
    return {
        "condition": lambda t: _items({"relu": None, "when": t}),
        "condition with a dollar": lambda t: _items({"relu": None, "when": f"${t}"}),
        "attribute that is an expression": lambda t: _items(
            {"conv": {"filters": f"$n + {t}", "kernel": 1}}, params={"n": 2}
        ),
        "count of a repeat": lambda t: _items({"repeat": t, "body": ["relu"]}),
        "attribute": lambda t: _items({"conv": {"filters": 2, "kernel": 1, "padding": t}}),
        "number": lambda t: _items({"conv": {"filters": t, "kernel": 1}}),
        "initializer": lambda t: _items(
            {"conv": {"filters": 2, "kernel": 1, "kernel_initializer": t}}
        ),
        "initializer's key": lambda t: _items(
            {"conv": {"filters": 2, "kernel": 1, "kernel_initializer": {t: 0.1}}}
        ),
        "default of an op": lambda t: _case({"defaults": {"conv": {"padding": t}}}),
        "op of a default": lambda t: _case({"defaults": {t: {"padding": "same"}}}),
        "loss weight": lambda t: _case(
            {"outputs": {"logits": {"from": "dense", "loss_weight": t}}}
        ),
        "op": lambda t: _items({t: None}),
        "attribute's key": lambda t: _items({"conv": {"filters": 2, "kernel": 1, t: 1}}),
        "modifier": lambda t: _items({"relu": None, t: "x"}),
        "key of a spec": lambda t: _case({t: "x"}),
        "reference": lambda t: _items("relu", {"add": None, "from": ["relu", t]}),
        "output's reference": lambda t: _case({"outputs": {"logits": t}}),
        "merge": lambda t: _items({"branches": [["relu"], ["elu"]], "merge": t}),
        "version": lambda t: _case({"xgraph": t}),
        "recipe of a spec": lambda t: _case({"recipe": t}, recipe=None),
        "extends": lambda t: _case({"extends": t}),
        "item that is replaced": lambda t: Case(
            {
                "spec.yaml": document({"extends": "base.yaml", "graph": {"items": {t: "elu"}}}),
                "base.yaml": document({**_SPEC, "graph": [{**_conv(), "name": "first"}, *_END]}),
            }
        ),
        "result": lambda t: _unit([_conv("$n")], {"n": None}, {"unit": 2}, unit={"results": [t]}),
        "--recipe": lambda t: _case({}, recipe=t),
        "spec's argument": lambda t: Case({"spec.yaml": document(_SPEC)}, spec=t),
        "recipe's precision": lambda t: _recipe(lambda tree: tree.update(precision=t)),
        "recipe's optimizer": lambda t: _recipe(lambda tree: tree.update(optimizer=t)),
        "recipe's optimizer's key": lambda t: _recipe(
            lambda tree: tree.update(optimizer={"sgd": {t: 0.5}})
        ),
        "recipe's schedule": lambda t: _recipe(lambda tree: tree.update(schedule={t: 0.1})),
        "recipe's loss": lambda t: _recipe(lambda tree: tree.update(loss=t)),
        "recipe's metric": lambda t: _recipe(lambda tree: tree.update(metrics=[t])),
        "recipe's normalization": lambda t: _recipe(
            lambda tree: tree["images"].update(normalize=t)
        ),
        "recipe's resizing": lambda t: _recipe(
            lambda tree: tree["images"].update(train={"resize": {t: 1.0}})
        ),
        "recipe's crop": lambda t: _recipe(lambda tree: tree["images"].update(train={"crop": t})),
        "recipe's frozen part": lambda t: _recipe(lambda tree: tree.update(tune={"freeze": [t]})),
        "recipe's statistics": lambda t: _recipe(lambda tree: tree.update(devices=t)),
        "recipe's part with a rate": lambda t: _recipe(
            lambda tree: tree.update(tune={"rates": {t: 0.5}})
        ),
        "recipe's data": lambda t: _recipe(lambda tree: tree.update(data=[t])),
        "column of a manifest": lambda t: _recipe(
            lambda tree: tree.update(data={"manifest": {"path": t}})
        ),
        "separator of a manifest": lambda t: _recipe(
            lambda tree: tree.update(data={"manifest": {"separator": t}})
        ),
        "recipe's augmentation": lambda t: _recipe(
            lambda tree: tree["images"].update(train={t: True})
        ),
        "recipe's holdout": lambda t: _recipe(lambda tree: tree["images"].update(holdout=t)),
        "recipe's background": lambda t: _recipe(
            lambda tree: tree["images"].update(background=[t, 0, 0])
        ),
        "recipe's period": lambda t: _recipe(lambda tree: tree.update(every={"log": {t: 5}})),
        "key of a recipe": lambda t: _recipe(lambda tree: tree.update({t: 5})),
        "--set key": lambda t: _case({"params": {"word": 3}}, settings=(f"{t}=3",)),
        "--set": lambda t: _case({"params": {"word": 3}}, settings=(t,)),
        "--set of a default": lambda t: _case({}, settings=(f"defaults.conv.{t}=same",)),
    }


def _names() -> dict[str, Callable[[str], Case]]:
    """Places for names."""
    return {
        "name of a spec": lambda t: _case({"name": t}),
        "name of a parameter": lambda t: _items(_conv(f"${t}"), params={t: 2}),
        "name of a block": lambda t: _items(
            {t: 2}, blocks={t: {"params": {"filters": None}, "body": [_conv("$filters")]}}
        ),
        "name of a block's parameter": lambda t: _unit(
            [_conv(f"${t}")], {t: None}, {"unit": {t: 2}}, {"unit": 3}
        ),
        "name of a section": lambda t: _case({"graph": {t: [_conv()], "head": _END}}),
        "name of a node": lambda t: _items({**_conv(), "name": t}),
        "name of a node without weights": lambda t: _items(_conv(), {"relu": None, "name": t}),
        "name of a call": lambda t: _unit(
            [_conv("$filters")], {"filters": None}, {"unit": 2, "name": t}
        ),
        "name of a branch": lambda t: _items(
            {"branches": {t: [_conv()], "right": ["elu"]}, "merge": "concat"}
        ),
        "name of a merge": lambda t: _items(
            {"branches": [[_conv()], ["elu"]], "merge": {"concat": None, "name": t}}
        ),
        "name of an output": lambda t: _case({"outputs": {t: "dense"}}),
        "name of a second output": lambda t: _case({"outputs": {"main": "dense", t: "relu"}}),
        "name of an input": lambda t: _items(
            "relu", {"elu": None, "name": "side"}, {"two": None, "from": ["relu", "side"]},
            blocks={
                "two": {"inputs": [t, "second"], "body": [{"add": None, "from": [t, "second"]}]}
            },
        ),
        "name of a loop's variable": lambda t: _items(
            {"for": {t: [2, 3]}, "body": [_conv(f"${t}")]}
        ),
        "name of a loop's variable in a block": lambda t: _unit(
            [{"for": {t: "$sizes"}, "body": [_conv(f"${t}")]}],
            {"sizes": None}, {"unit": {"sizes": [2, 3]}}, {"unit": {"sizes": [3, 4, 5]}},
        ),
        "name of an index": lambda t: _items(
            {"repeat": 2, "index": t, "body": [_conv(f"${t} + 2")]}
        ),
        "name of a size": lambda t: _size({}, name=t),
        "name of an index of branches": lambda t: _items(
            {"branches": {"repeat": 2, "index": t, "body": [_conv(f"${t} + 2")]},
             "merge": "concat"}
        ),
        "name of a variable of branches": lambda t: _items(
            {"branches": {"for": {t: [2, 3]}, "body": [_conv(f"${t}"), {"relu": None, "name": t}]},
             "merge": "concat"}
        ),
        "name of a result": lambda t: _unit(
            [_conv("$filters"), {"relu": None, "name": t}, {"tanh": None, "name": "other"}],
            {"filters": None}, {"unit": 2, "name": "called"},
            {"concat": None, "from": [f"called.{t}", "called.other"]},
            unit={"results": ["other", t]},
        ),
        "name of an item that is replaced": lambda t: Case(
            {"spec.yaml": document({"extends": "base.yaml", "graph": {"items": {t: _conv(3)}}}),
             "base.yaml": document({**_SPEC, "graph": [{**_conv(), "name": t}, *_END]})}
        ),
        "name of a recipe": lambda t: _recipe(lambda tree: tree.update(name=t)),
    }  # fmt: skip


FIELDS: tuple[Field, ...] = (
    *(Field(name, make) for name, make in _free().items()),
    *(Field(name, make, typed=True) for name, make in _words().items()),
    *(Field(name, make, names=True) for name, make in _names().items()),
    Field(
        "--set value",
        lambda t: _case({"params": {"word": "A"}}, settings=(f"word={t}",)),
        typed=True,
    ),
    Field("file of a spec", lambda t: Case({f"{t}.yaml": document(_SPEC)}, spec=f"{t}.yaml")),
    Field(
        "file of a recipe",
        lambda t: Case(
            {"spec.yaml": document(_SPEC), f"{t}.yaml": document(_RECIPE)}, recipe=f"{t}.yaml"
        ),
    ),
    Field(
        "file of a spec's recipe",
        lambda t: Case(
            {"spec.yaml": document({**_SPEC, "recipe": f"{t}.yaml"}),
             f"{t}.yaml": document(_RECIPE)},
            recipe=None,
        ),
    ),
    Field(
        "file of an extended spec",
        lambda t: Case(
            {"spec.yaml": document({"extends": f"{t}.yaml"}), f"{t}.yaml": document(_SPEC)}
        ),
    ),
    Field("output folder", lambda t: _case({}, output=f"a/b/c/{t}"), command=True),
)  # fmt: skip
