"""`xgraph weights import` and `xgraph weights export`."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xgraph.compile import analyse
from xgraph.diagnostics import counted
from xgraph.importing import sources
from xgraph.importing.arrays import read_safetensors, write_safetensors
from xgraph.importing.network import Refused
from xgraph.importing.sources.base import Source, wrong_kind
from xgraph.importing.weights import Carried, give, take
from xgraph.ir.analysis import Analysis
from xgraph.terminal import say, say_line


def weights_import(options: argparse.Namespace) -> None:
    """Write the weights of a network from elsewhere under the names of a spec.

    Raises:
        Refused: see `take`.
    """
    analysis = analyse(options.spec, options.set)
    path = Path(f"{analysis.name}.safetensors" if options.output is None else options.output)
    if path.suffix != ".safetensors":
        raise wrong_kind(path, "a spec", (".safetensors",))
    source = sources.find(options.source, options.model, options.spec)
    about: dict[str, Any] = {"spec": analysis.name, "source": source.title}
    if options.classes:
        about["classes"] = _classes(Path(options.classes), analysis)
    carried = take(analysis, source, options.leave_out)
    _written(path, lambda made: write_safetensors(made, carried.arrays, about))
    _report(options, analysis, source, path, carried)


def weights_export(options: argparse.Namespace) -> None:
    """Write the weights of a spec as another network has them.

    Raises:
        Refused: see `give`.
    """
    analysis = analyse(options.spec, options.set)
    path = Path(options.output)
    source = sources.find_model(options.model)
    if not Path(options.weights).is_file():
        raise Refused(f"there is no file {options.weights}")
    weights = read_safetensors(Path(options.weights))
    carried = give(analysis, weights, source, options.leave_out)
    _written(path, lambda made: source.write(made, carried.arrays))
    _report(options, analysis, source, path, carried)


def _classes(path: Path, analysis: Analysis) -> list[str]:
    """The names of the classes, a line of a file for each, by which a program calls its answers."""
    try:
        names = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise Refused(f"{path.as_posix()} cannot be read as text") from None
    count = analysis.types[analysis.graph.outputs[0].node].channels
    if len(names) != count:
        raise Refused(
            f"{path.as_posix()} has {counted(len(names), 'line')}, the model {count} classes"
        )
    return names


def _written(path: Path, write: Callable[[Path], None]) -> None:
    """Have a file written, whole or not at all, and what it is a link to left alone."""
    if not path.parent.is_dir():
        raise Refused(f"there is no folder {path.parent.as_posix()}")
    if path.is_dir():
        raise Refused(f"{path.as_posix()} is a folder")
    made = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        write(made)
        os.replace(made, path)
    except Refused:
        raise
    except Exception as error:  # whatever the library that writes finds on its way
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise Refused(f"{path.as_posix()} cannot be written: {reason}") from None
    finally:
        made.unlink(missing_ok=True)


def _report(
    options: argparse.Namespace, analysis: Analysis, source: Source, path: Path, carried: Carried
) -> None:
    numbers = sum(array.size for array in carried.arrays.values())
    if options.json:
        found = {
            "ok": True,
            "file": path.as_posix(),
            "spec": analysis.name,
            "source": source.title,
            "weights": len(carried.arrays),
            "numbers": int(numbers),
            "left_out": carried.left,
            "notes": carried.notes,
        }
        say(json.dumps(found, indent=2))
        return
    count = f"{counted(len(carried.arrays), 'weight')}, {counted(int(numbers), 'number')}"
    say_line(f"{path.as_posix()}: {count}; {source.title} is the network of {analysis.name}")
    if carried.left:
        more = " …" if len(carried.left) > 5 else ""
        say_line(
            f"left out: {counted(len(carried.left), 'weight')}, {', '.join(carried.left[:5])}{more}"
        )
    for note in carried.notes:
        say_line(f"note: {note}")
