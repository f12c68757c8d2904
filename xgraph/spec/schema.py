"""The JSON Schema of specs, made from the ops' own declarations. Editors use it to complete."""

from __future__ import annotations

import dataclasses
from typing import Any

from xgraph import ops
from xgraph.spec.calls import MERGES
from xgraph.spec.overlay import LEFT_OUT
from xgraph.spec.reader import VERSION

#: A text with `$` is an expression, which may stand wherever a value may.
_EXPRESSION_TEXT = {"type": "string", "pattern": "\\$"}
_EXPRESSION = {"$ref": "#/$defs/expression"}
_NAME = {"type": "string", "pattern": "^[a-z](_?[a-z0-9])*$", "maxLength": 64}
_TEXT = {"type": "string"}
_CONDITION = {"anyOf": [{"type": "boolean"}, _EXPRESSION]}
_NAMES = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}
_BODY = {"$ref": "#/$defs/body"}
_ITEMS: dict[str, Any] = {
    "type": "object",
    "propertyNames": _NAME,
    "additionalProperties": {"$ref": "#/$defs/part"},
    "description": "of a spec that is extended: other items in place of those of these names",
}
_MODIFIERS: dict[str, Any] = {
    "name": {**_NAME, "description": "the node's name, unique in its block or section"},
    "from": {**_NAMES, "description": "what it takes instead of the previous item's output"},
    "when": {**_CONDITION, "description": "whether the item is there at all"},
    "doc": _TEXT,
    "source": _TEXT,
}


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a spec.

    Names of blocks cannot be known here, so calls of them are admitted without a check.
    """
    properties: dict[str, Any] = {
        "xgraph": {"const": VERSION, "description": "version of the spec language"},
        "name": _NAME,
        "doc": _TEXT,
        "source": _TEXT,
        "extends": {"type": "string", "description": "a spec that this one is laid over"},
        "recipe": {"type": "string", "description": "the training recipe's name"},
        "params": {"type": "object", "propertyNames": _NAME},
        "input": _object({"shape": _shape(), "doc": _TEXT}),
        "defaults": _object(
            {
                name: {"anyOf": [{"$ref": f"#/$defs/op_{name}"}, {"type": "null"}]}
                for name in ops.names()
            }
        ),
        "blocks": {
            "type": "object",
            "propertyNames": _NAME,
            "additionalProperties": {"anyOf": [{"$ref": "#/$defs/block"}, {"type": "null"}]},
        },
        "graph": {
            "anyOf": [
                _BODY,
                {
                    "type": "object",
                    "propertyNames": _NAME,
                    "properties": {"items": {"anyOf": [{"$ref": "#/$defs/section"}, _ITEMS]}},
                    "additionalProperties": {"$ref": "#/$defs/section"},
                },
            ]
        },
        "outputs": {
            "type": "object",
            "propertyNames": _NAME,
            "additionalProperties": {"$ref": "#/$defs/output"},
        },
        "sizes": {
            "type": "object",
            "description": "specs that differ from this one in numbers, by name",
            "propertyNames": _NAME,
            "additionalProperties": _object(
                {
                    "doc": _TEXT,
                    "source": _TEXT,
                    "params": {"type": "object", "propertyNames": _NAME},
                    "input": _object({"shape": _shape(), "doc": _TEXT}),
                }
            ),
        },
    }
    # A spec that extends another says so where it leaves out what that one has.
    for key in sorted(LEFT_OUT):
        properties[key] = {"anyOf": [properties[key], {"type": "null"}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "xgraph spec",
        "type": "object",
        "properties": properties,
        "required": ["xgraph", "name"],
        "additionalProperties": False,
        "$defs": {
            **{f"op_{name}": _attributes(name) for name in ops.names()},
            "expression": _EXPRESSION_TEXT,
            "body": {"type": "array", "items": {"$ref": "#/$defs/item"}},
            "part": {"anyOf": [_BODY, {"$ref": "#/$defs/item"}, {"type": "null"}]},
            "item": _item(),
            "branch": {
                "anyOf": [
                    {"$ref": "#/$defs/part"},
                    _object(
                        {
                            "body": {"$ref": "#/$defs/part"},
                            "when": _CONDITION,
                            "doc": _TEXT,
                            "source": _TEXT,
                        },
                        required=["body"],
                    ),
                ]
            },
            "block": _object(
                {
                    "params": {"type": "object", "propertyNames": _NAME},
                    "inputs": {"type": "array", "items": _NAME, "minItems": 1},
                    "results": {"type": "array", "items": _NAME, "minItems": 1},
                    "body": {"$ref": "#/$defs/part"},
                    "items": _ITEMS,
                    "doc": _TEXT,
                    "source": _TEXT,
                },
                one_of=["body", "items"],
            ),
            "section": {
                "anyOf": [
                    _BODY,
                    {"type": "null"},
                    _object(
                        {
                            "from": _NAMES,
                            "when": _CONDITION,
                            "doc": _TEXT,
                            "source": _TEXT,
                            "body": {"$ref": "#/$defs/part"},
                            "items": _ITEMS,
                        },
                        one_of=["body", "items"],
                    ),
                ]
            },
            "output": {
                "anyOf": [
                    _TEXT,
                    {"type": "null"},
                    _object(
                        {
                            "from": _TEXT,
                            "loss_weight": {"anyOf": [{"type": "number"}, _EXPRESSION]},
                            "when": _CONDITION,
                            "doc": _TEXT,
                            "source": _TEXT,
                        },
                        required=["from"],
                    ),
                ]
            },
        },
    }


def _shape() -> dict[str, Any]:
    size = {"anyOf": [{"type": "integer", "minimum": 1}, _EXPRESSION]}
    return {
        "anyOf": [{"type": "array", "items": size, "minItems": 1, "maxItems": 3}, _EXPRESSION],
        "description": "height, width, channels",
    }


def _object(
    properties: dict[str, Any],
    required: list[str] | None = None,
    one_of: list[str] | None = None,
) -> dict[str, Any]:
    """A mapping of these keys, of which some are required, or one of some."""
    made: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if one_of:
        made["oneOf"] = [{"required": [key]} for key in one_of]
    return {**made, "required": required} if required else made


def _attributes(name: str) -> dict[str, Any]:
    """The arguments of an op. Required ones may also come from `defaults`, so none is demanded."""
    properties = {}
    for field in dataclasses.fields(ops.get(name)):
        kind = field.metadata["kind"].schema()
        properties[field.name] = {
            "anyOf": [kind, _EXPRESSION, {"type": "array"}]
            if _is_list(kind)
            else [kind, _EXPRESSION],
            "description": field.metadata["doc"],
        }
    return _object(properties)


def _is_list(kind: dict[str, Any]) -> bool:
    """Whether a list may stand there, whose parts may be expressions."""
    return any(option.get("type") == "array" for option in kind.get("oneOf", [kind]))


def _item() -> dict[str, Any]:
    """A word; a structure; or a call, whose op's attributes are checked and completed."""
    merge = {"anyOf": [{"enum": list(MERGES)}, {"type": "object"}]}
    part = {"$ref": "#/$defs/part"}
    branch = {"$ref": "#/$defs/branch"}
    loops: dict[str, dict[str, Any]] = {
        "repeat": {"repeat": {"anyOf": [{"type": "integer", "minimum": 0}, _EXPRESSION]},
                   "index": _NAME, "body": part},
        "for": {"for": {"type": "object", "propertyNames": _NAME, "minProperties": 1},
                "body": part},
    }  # fmt: skip
    structures: dict[str, dict[str, Any]] = {
        **loops,
        "residual": {"residual": part, "shortcut": part, "skip": _CONDITION, "merge": merge},
        "branches": {"branches": {"anyOf": [
                         {"type": "array", "items": branch},
                         *(_object(loops[head], required=[head, "body"]) for head in loops),
                         {"type": "object", "propertyNames": _NAME, "additionalProperties": branch},
                     ]}, "merge": merge},
        "if": {"if": _CONDITION, "then": part, "else": part},
        "share": {"share": _NAME},
    }  # fmt: skip
    calls = {
        name: {
            "anyOf": [{"$ref": f"#/$defs/op_{name}"}, {"type": ["null", "number", "boolean"]},
                      {"type": "array"}, _TEXT],
            "description": (ops.get(name).__doc__ or "").strip().splitlines()[0],
        }
        for name in ops.names()
    }  # fmt: skip
    call = {
        "type": "object",
        "properties": {**calls, **_MODIFIERS},
        "not": {"anyOf": [{"required": [name]} for name in structures]},
    }
    made = [
        _object({**properties, **_MODIFIERS}, required=[name])
        for name, properties in structures.items()
    ]
    return {"anyOf": [_TEXT, _BODY, *made, call]}
