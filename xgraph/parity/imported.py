"""A network that was imported: what its source and the programs of its spec compute."""

from __future__ import annotations

import tempfile
from pathlib import Path

from xgraph.compile import prepare
from xgraph.importing.command import Compared
from xgraph.importing.network import Network, Refused
from xgraph.importing.recover import Recovered
from xgraph.importing.sources.base import Source
from xgraph.parity.comparison import comparable
from xgraph.parity.process import WorkerFailed
from xgraph.parity.progress import Status
from xgraph.parity.verification import Verification
from xgraph.parity.verify import Asked, held_to

_INSTEAD = "nothing was written; --no-verify writes it as it is"


def compare_imported(found: Recovered, source: Source, network: Network, own: bool) -> Compared:
    """Hold the source to the spec that was found in it; a `xgraph.importing.command.Compare`.

    Raises:
        Refused: their numbers are others, or a program fails.
    """
    with tempfile.TemporaryDirectory(prefix="xgraph-import-") as folder:
        report, notes = _verified(found, source, network, own, Path(folder))
    if report is None:
        return Compared(notes=notes)
    if not report.agree_in_numbers:
        raise Refused(*_named(report, Path(folder)).splitlines(), _INSTEAD)
    if not report.measurements:  # of another spec, which is nothing but the same layers
        return Compared(notes=notes)
    notes += report.of_numbers
    notes += [f"in training: {place.what}" for place in report.in_training]
    return Compared(report.told(), report.to_json()["measurements"], notes)


def _named(said: object, folder: Path) -> str:
    """What is said, without the folder that the spec was in for the moment."""
    return str(said).replace(f"{folder.as_posix()}/", "")


def _verified(
    found: Recovered, source: Source, network: Network, own: bool, folder: Path
) -> tuple[Verification | None, list[str]]:
    """With the backends whose frameworks are installed, the spec in a folder; and notes."""
    notes: list[str] = []
    names = comparable()
    status = Status()
    path = folder / f"{found.size_of or found.analysis.name}.yaml"
    path.write_text(found.text, encoding="utf-8")
    size = path.with_name(f"{found.analysis.name}.yaml")
    compilation = prepare(str(size), family=path if found.size_of else None)
    while names:
        how = Asked(names, own_weights=own, evaluation_suffices=True)
        try:
            return held_to(compilation, source, network, how, progress=status.of_worker), notes
        except WorkerFailed as failure:
            if failure.missing is None:
                raise Refused(f"not verified: {_named(failure, folder)}", _INSTEAD) from None
            names = tuple(name for name in names if name != failure.backend)
            notes.append(f"not compared in numbers with {failure.backend}: {failure}")
        except Refused as refused:
            notes += [f"not compared in numbers: {line}" for line in refused.lines]
            break
        finally:
            status.clear()
    return None, notes
