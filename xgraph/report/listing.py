"""What there is: specs, ops, recipes, backends."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from xgraph import backend, ops
from xgraph.compile import analyse
from xgraph.diagnostics import Diagnostic, SpecError, printable
from xgraph.passes.cost import measure, total
from xgraph.report.summary import totals_json
from xgraph.report.table import table
from xgraph.semantics import Conventions
from xgraph.spec import library


def specs_json(folder: Path | None = None) -> tuple[list[dict[str, Any]], list[Diagnostic]]:
    """Every spec below a folder (default: the bundled ones) with its totals.

    Those that are at fault are left out; what is wrong with them comes second.
    """
    paths = library.all_specs(folder)
    result = []
    problems: dict[Diagnostic, None] = {}
    for path in paths:
        shown = _shown(path)
        try:
            analysis = analyse(shown)
        except SpecError as error:
            problems |= dict.fromkeys(error.diagnostics)
            continue
        totals = total(measure(analysis.graph, analysis.types)[1:])
        result.append(
            {
                "name": analysis.name,
                "path": shown,
                "doc": doc.raw if (doc := analysis.elaborated.program.doc) else None,
                "input": list(analysis.types[0].shape),
                "totals": totals_json(totals),
                "evidence": library.evidence(path),
            }
        )
    return result, list(problems)


_APART = """\
Apart is max|a − b| / max|b| of logits in float64, with the same random weights, the greatest of all
frameworks. docs/equality.md has the sizes of images and float32."""


def specs_text(specs: list[dict[str, Any]]) -> str:
    """The same as a table, folder by folder."""
    rows = [
        (
            spec["name"],
            "×".join(map(str, spec["input"])),
            f"{spec['totals']['parameters']:,}",
            f"{spec['totals']['macs']:,}",
            *_evidence(spec["evidence"]),
        )
        for spec in specs
    ]
    header = ("name", "input", "parameters", "MACs", "published as", "apart")
    head, rule, *lines = table(header, rows, "<>>><<").splitlines()
    said = [head, rule]
    folder = None
    for spec, line in zip(specs, lines, strict=True):
        if (own := os.path.dirname(spec["path"])) != folder:
            folder = own
            said += ["", f"{printable(folder, len(folder))}/" if folder else "./"]
        said.append(line)
    if any(spec["evidence"] for spec in specs):
        said += ["", _APART]
    return "\n".join(said)


def _evidence(known: dict[str, Any] | None) -> tuple[str, str]:
    """The published network that a spec is, and how far from it its programs are."""
    if known is None:
        return "", ""
    distance = known["float64"]
    return known["reference"], "by its counts" if distance is None else f"{distance:.1e}"


def ops_json() -> list[dict[str, Any]]:
    """Every op with its attributes."""
    result = []
    for name in ops.names():
        op = ops.get(name)
        result.append(
            {
                "name": name,
                "doc": (op.__doc__ or "").strip().splitlines()[0],
                "attributes": [_attribute(field) for field in dataclasses.fields(op)],
            }
        )
    return result


def ops_text(listed: list[dict[str, Any]]) -> str:
    """The same for people."""
    lines = []
    for op in listed:
        lines.append(f"{op['name']}: {op['doc']}")
        for attribute in op["attributes"]:
            default = "required" if attribute["required"] else f"default {attribute['default']}"
            lines.append(
                f"    {attribute['name']}: {attribute['kind']} ({default}); {attribute['doc']}"
            )
    return "\n".join(lines)


def names_text(title: str, names: tuple[str, ...]) -> str:
    """A heading and its names."""
    return "\n".join([title, *(f"  {name}" for name in names)])


def backends_json() -> list[dict[str, Any]]:
    """Every installed backend with its conventions; those of one that cannot be loaded are None."""
    result: list[dict[str, Any]] = []
    for name in backend.names():
        try:
            found = backend.get(name)
        except SpecError:  # `compile` tells why
            result.append({"name": name, "title": None, "conventions": None})
        else:
            conventions = dataclasses.asdict(found.conventions)
            result.append({"name": name, "title": found.title, "conventions": conventions})
    return result


def backends_text(listed: list[dict[str, Any]]) -> str:
    """The same as a table with a column for each."""
    titles = [entry["title"] or "cannot be loaded" for entry in listed]
    rows = [("framework", *titles)]
    for field in dataclasses.fields(Conventions):
        values = ((entry["conventions"] or {}).get(field.name) for entry in listed)
        rows.append((field.name.replace("_", " "), *(_convention(value) for value in values)))
    return table(("", *(entry["name"] for entry in listed)), rows, "<" * (len(listed) + 1))


def _convention(value: str | bool | None) -> str:
    words = {None: "", True: "yes", False: "no"}
    return words[value] if value is None or isinstance(value, bool) else value.replace("_", " ")


def _attribute(field: dataclasses.Field[Any]) -> dict[str, Any]:
    required = field.default is dataclasses.MISSING
    default = None if required else field.default
    return {
        "name": field.name,
        "kind": field.metadata["kind"].expected,
        "required": required,
        "default": default,
        "doc": field.metadata["doc"],
    }


def _shown(path: Path) -> str:
    """The path as seen from here when it lies below, else whole."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


__all__ = [
    "backends_json",
    "backends_text",
    "names_text",
    "ops_json",
    "ops_text",
    "specs_json",
    "specs_text",
]
