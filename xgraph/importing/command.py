"""`xgraph import`, `xgraph weights import` and `xgraph weights export`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xgraph.compile import analyse, prepare
from xgraph.diagnostics import counted, printable
from xgraph.importing import sources
from xgraph.importing.arrays import read_safetensors, write_safetensors
from xgraph.importing.authored import folded
from xgraph.importing.network import Network, Refused
from xgraph.importing.recover import Recovered, recover, spec_name
from xgraph.importing.sources.base import Source, wrong_kind
from xgraph.importing.weights import Carried, asked, give, take
from xgraph.ir.analysis import Analysis
from xgraph.parity.comparison import comparable
from xgraph.parity.process import WorkerFailed
from xgraph.parity.progress import Status
from xgraph.parity.verification import Verification
from xgraph.parity.verify import Asked, held_to
from xgraph.terminal import say, say_line

#: So much of a file's name is in that of the one that becomes it; longer names may be too long.
_ENDING = 60
_INSTEAD = "nothing was written; --no-verify writes it as it is"


def import_network(options: argparse.Namespace) -> None:
    """Write the spec of a network from elsewhere, and its weights if they are asked for.

    Raises:
        Refused: it cannot be read, or said in a spec; or a file is there that would be lost.
    """
    path = Path(options.output)
    if path.suffix not in (".yaml", ".yml"):
        raise Refused(f"{path.name}: a spec is a file named .yaml")
    weights = Path(options.weights) if options.weights else None
    if weights is not None and weights.suffix != ".safetensors":
        raise wrong_kind(weights, "a spec", (".safetensors",))
    for made in (path, weights):
        if made is not None and os.path.lexists(made) and not options.force:
            raise Refused(f"{made.as_posix()} is there already; --force writes over it")
    source = _source(options, with_weights=weights is not None)
    shape = tuple(options.input) if options.input else asked(source, source.image_shape)
    if shape is None:
        raise Refused(
            f"{source.title} does not say what images it is for; "
            "say it, as in --input 224,224,3 for height, width and channels"
        )
    name = spec_name(options.name or path.stem)
    network = asked(source, lambda: source.network(shape))
    found = recover(network, name, printable(source.title, 200))
    notes = list(found.notes)
    if folded(network):
        told = "there is no batch norm, and every convolution has a bias"
        if options.refuse_folded:
            raise Refused(f"{told}: it may have been folded away")
        notes.append(
            f"{told}: it may have been folded away for inference, and the network that was trained "
            "is another one"
        )
    carried = take(found.analysis, source) if weights is not None else None
    verified = None
    if not options.no_verify:
        verified, said = _verified(found, source, network, own=weights is not None)
        notes += said
    _written(path, lambda made: _write(made, found.text))
    if weights is not None and carried is not None:
        about = {"spec": name, "source": source.title}
        arrays = carried.arrays
        _written(weights, lambda made: write_safetensors(made, arrays, about))
        notes += carried.notes
    _tell_import(options, source, found, network, verified, notes)


def _verified(
    found: Recovered, source: Source, network: Network, *, own: bool
) -> tuple[Verification | None, list[str]]:
    """What the source and the programs of the spec compute, if that can be told; and notes.

    Raises:
        Refused: their numbers are others.
    """
    notes = []
    names = comparable()
    report = None
    status = Status()
    with tempfile.TemporaryDirectory(prefix="xgraph-import-") as folder:
        path = Path(folder) / "recovered.yaml"
        path.write_text(found.text, encoding="utf-8")
        compilation = prepare(str(path))
        while names and report is None:
            how = Asked(names, own_weights=own)
            try:
                report = held_to(compilation, source, network, how, progress=status.of_worker)
            except WorkerFailed as failure:
                if failure.missing is None:
                    raise Refused(f"not verified: {failure}", _INSTEAD) from None
                names = tuple(name for name in names if name != failure.backend)
                notes.append(f"not compared in numbers with {failure.backend}: {failure}")
            except Refused as refused:
                notes += [f"not compared in numbers: {line}" for line in refused.lines]
                break
            finally:
                status.clear()
    if report is None:
        return None, notes
    if not report.agree_in_numbers:
        raise Refused(*str(report).splitlines(), _INSTEAD)
    if not report.measurements:
        notes.append("not compared in numbers: the source has nothing that runs it here")
    return report, [*notes, *(f"in training: {place.what}" for place in report.in_training)]


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _source(options: argparse.Namespace, with_weights: bool) -> Source:
    """What a user names; trained weights are fetched only if they are wanted."""
    if sources.is_named(options.source) and not with_weights:
        return sources.find_model(options.source)
    return sources.find(options.source, options.model)


def _tell_import(
    options: argparse.Namespace,
    source: Source,
    found: Recovered,
    network: Network,
    verified: Verification | None,
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
            "verified": verified.to_json()["measurements"] if verified else [],
            "notes": notes,
        }
        say(json.dumps(told, indent=2))
        return
    blocks = f", {counted(len(found.blocks), 'block')}" if found.blocks else ""
    same = f"the network of {source.title}, layer by layer"
    say_line(f"{path}: {counted(lines, 'line')}{blocks}; {same} ({counted(layers, 'layer')})")
    if options.weights:
        say_line(f"{Path(options.weights).as_posix()}: its weights")
    if verified and verified.measurements:
        say_line(verified.told())
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
