"""`xgraph import`, `xgraph weights import` and `xgraph weights export`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xgraph.compile import analyse
from xgraph.diagnostics import counted, printable
from xgraph.importing import sources
from xgraph.importing.arrays import read_safetensors, write_safetensors
from xgraph.importing.authored import folded
from xgraph.importing.network import Network, Refused
from xgraph.importing.recover import Recovered, recover, spec_name
from xgraph.importing.sources.base import Source, wrong_kind
from xgraph.importing.weights import Carried, asked, give, take
from xgraph.ir.analysis import Analysis
from xgraph.terminal import say, say_line

#: So much of a file's name is in that of the one that becomes it; longer names may be too long.
_ENDING = 60


@dataclass(frozen=True)
class Compared:
    """What a source and the programs of its spec compute.

    Attributes:
        line: how far they are apart, where that could be told.
        measurements: as plain data.
        notes: what could not be told, and why.
    """

    line: str = ""
    measurements: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()


#: Compares a source and the programs of its spec, with the source's weights if the last is true.
Compare = Callable[[Recovered, Source, Network, bool], Compared]


def import_network(options: argparse.Namespace, compare: Compare | None = None) -> None:
    """Write the spec of a network from elsewhere, and its weights if they are asked for.

    Nothing is written if `compare` refuses what was found.

    Raises:
        Refused: it cannot be read, or said in a spec; or a file is there that would be lost.
    """
    if len(options.source) > 1:
        raise Refused("one network is imported at a time; --family makes one spec of several sizes")
    (said,) = options.source
    path = Path(options.output)
    if path.suffix not in (".yaml", ".yml"):
        raise Refused(f"{path.name}: a spec is a file named .yaml")
    weights = Path(options.weights) if options.weights else None
    if weights is not None and weights.suffix != ".safetensors":
        raise wrong_kind(weights, "a spec", (".safetensors",))
    for made in (path, weights):
        if made is not None:
            may_be_written(made, options.force)
    source = source_of(said, options.model, with_weights=weights is not None)
    network = network_of(source, options)
    name = spec_name(options.name or path.stem)
    found = recover(network, name, printable(source.title, 200))
    notes = list(found.notes)
    notes += of_folded(network, options)
    carried = take(found.analysis, source) if weights is not None else None
    compared = compare(found, source, network, weights is not None) if compare else Compared()
    notes += compared.notes
    written(path, lambda made: write_text(made, found.text))
    if weights is not None and carried is not None:
        about = {"spec": name, "source": source.title}
        arrays = carried.arrays
        written(weights, lambda made: write_safetensors(made, arrays, about))
        notes += carried.notes
    _tell_import(options, source, found, network, compared, notes)


def write_text(path: Path, text: str) -> None:
    """Write a spec."""
    path.write_text(text, encoding="utf-8")


def source_of(said: str, model: str | None, with_weights: bool) -> Source:
    """What a user names; trained weights are fetched only if they are wanted."""
    if sources.is_named(said) and not with_weights:
        return sources.find_model(said)
    return sources.find(said, model)


def network_of(source: Source, options: argparse.Namespace) -> Network:
    """The network of a source, for the images that are asked for or that it says itself.

    Raises:
        Refused: it cannot be read, or nobody says what images it is for.
    """
    shape = tuple(options.input) if options.input else asked(source, source.image_shape)
    if shape is None:
        raise Refused(
            f"{source.title} does not say what images it is for; "
            "say it, as in --input 224,224,3 for height, width and channels"
        )
    return asked(source, lambda: source.network(shape))


def of_folded(network: Network, options: argparse.Namespace) -> list[str]:
    """What to know of a network whose batch norm may have been folded away.

    Raises:
        Refused: such networks are not wanted.
    """
    if not folded(network):
        return []
    told = "there is no batch norm, and every convolution has a bias"
    if options.refuse_folded:
        raise Refused(f"{told}: it may have been folded away")
    return [
        f"{told}: it may have been folded away for inference, and the network that was trained "
        "is another one"
    ]


def _tell_import(
    options: argparse.Namespace,
    source: Source,
    found: Recovered,
    network: Network,
    compared: Compared,
    notes: Sequence[str],
) -> None:
    path = Path(options.output).as_posix()
    lines = len(found.text.splitlines())
    layers = len(network.layers) - 1
    if options.json:
        told = {
            "ok": True,
            "file": path,
            "spec": found.analysis.name,
            "source": source.title,
            "layers": layers,
            "lines": lines,
            "blocks": found.blocks,
            "weights": options.weights,
            "compared": list(compared.measurements),
            "notes": notes,
        }
        say(json.dumps(told, indent=2))
        return
    blocks = f", {counted(len(found.blocks), 'block')}" if found.blocks else ""
    same = f"the network of {source.title}, layer by layer"
    say_line(f"{path}: {counted(lines, 'line')}{blocks}; {same} ({counted(layers, 'layer')})")
    if options.weights:
        say_line(f"{Path(options.weights).as_posix()}: its weights")
    if compared.line:
        say_line(compared.line)
    for note in notes:
        say_line(f"note: {note}")


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
    written(path, lambda made: write_safetensors(made, carried.arrays, about))
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
    written(path, lambda made: source.write(made, carried.arrays))
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


def can_be_written(path: Path) -> None:
    """Whether a file may be there, as far as that is known before it is made.

    Raises:
        Refused: there is no such folder, or one of its name.
    """
    if not path.parent.is_dir():
        raise Refused(f"there is no folder {path.parent.as_posix()}")
    if path.is_dir():
        raise Refused(f"{path.as_posix()} is a folder")


def may_be_written(path: Path, force: bool) -> None:
    """Whether a file may be there, and none is that would be lost.

    Raises:
        Refused: see `can_be_written`; or it is there, and nothing is forced.
    """
    if os.path.lexists(path) and not force:
        raise Refused(f"{path.as_posix()} is there already; --force writes over it")
    can_be_written(path)


def written(path: Path, write: Callable[[Path], None]) -> None:
    """Have a file written, whole or not at all, and what it is a link to left alone."""
    can_be_written(path)
    made = path.with_name(f".{os.getpid()}-{path.name[-_ENDING:]}")  # what a file is, its end says
    try:
        write(made)
        os.replace(made, path)
    except Refused:
        raise
    except Exception as error:  # whatever the library that writes finds on its way
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise Refused(f"{path.as_posix()} cannot be written: {reason}") from None
    finally:
        with contextlib.suppress(OSError):  # whatever hindered the one hinders the other
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
