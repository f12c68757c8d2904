"""A certificate: what was compared, with what, and how it came out, for whoever receives a model.

It is JSON that lies beside the spec, its programs and its weights. Who receives them has xgraph do
again all that it says: read the spec, compile the programs, compare them. A seal over the whole
shows that it was edited, not by whom: what a certificate says is worth what doing it again shows.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from xgraph import __version__, backend
from xgraph.compile import emit_all, prepare
from xgraph.diagnostics import printable
from xgraph.parity.distance import CLOSE
from xgraph.parity.job import DEVICES
from xgraph.parity.report import ParityReport
from xgraph.recipe.facts import model_facts

FORMAT = 1
#: Bytes that none has: of the largest comparison there are some hundred measurements.
_LONGEST = 4_000_000
#: What computes, where it is installed.
_PACKAGES = ("numpy", "torch", "tensorflow", "tensorflow-cpu", "keras", "jax", "jaxlib", "flax",
             "optax")  # fmt: skip
#: How far what is measured again may be from what was: distances, and limits that are measured.
_FACTOR = 100.0


class NoCertificate(Exception):  # the file is at fault
    """A file is no certificate. `lines` are plain messages."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Asked:
    """What a comparison was asked for; see `compare`. The backends are those that it compared."""

    settings: tuple[str, ...]
    backends: tuple[str, ...]
    recipe: str | None
    dtype: str = "float64"
    device: str = "cpu"
    steps: int = 0
    batch: int = 2
    size: tuple[int, int] | None = None
    seed: int = 0
    ties: bool = False


def certificate(
    spec: str, asked: Asked, report: ParityReport, weights: Path | None = None
) -> dict[str, Any]:
    """The certificate of a comparison, as plain data.

    Args:
        spec: what was compared.
        asked: how.
        report: how it came out.
        weights: the file of the weights that it was compared with, if not with random ones.
    """
    made = {
        "xgraph_certificate": FORMAT,
        **_described(spec, asked),
        "asked": {**vars(asked), "settings": list(asked.settings),
                  "backends": list(asked.backends), "size": asked.size and list(asked.size)},
        "weights": weights and {"sha256": _of_file(weights), "file": weights.name},
        "versions": _versions(),
        "agree": report.agree,
        "measurements": [_row(one) for one in report.measurements],
    }  # fmt: skip
    return {**made, "seal": _seal(made)}


def read(path: Path) -> dict[str, Any]:
    """A certificate, whose form is as it should be; what it says is not looked at.

    Raises:
        NoCertificate: it is none.
    """
    try:
        if path.stat().st_size > _LONGEST:
            raise NoCertificate(f"{path.name} is longer than any certificate")
        found = json.loads(path.read_bytes(), object_pairs_hook=_once)
    except OSError as error:
        raise NoCertificate(f"{path.name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise NoCertificate(f"{path.name} is no certificate: it is not JSON") from None
    if not isinstance(found, dict) or found.get("xgraph_certificate") != FORMAT:
        raise NoCertificate(f"{path.name} is no certificate of this xgraph")
    if problem := _malformed(found):
        raise NoCertificate(f"{path.name} is no certificate: {problem}")
    return found


def asked_of(found: Mapping[str, Any]) -> Asked:
    """What the comparison of a certificate was asked for."""
    asked = found["asked"]
    size = asked["size"] and (asked["size"][0], asked["size"][1])
    return Asked(
        **{
            **asked,
            "settings": tuple(asked["settings"]),
            "backends": tuple(asked["backends"]),
            "size": size,
        }
    )


def against_files(
    found: Mapping[str, Any], spec: str, programs: Path | None, weights: Path | None
) -> Iterator[str]:
    """What of a certificate is not so, as far as files tell: a line for each.

    Args:
        found: the certificate.
        spec: the spec that it should be of.
        programs: a folder of one program, or of one for each backend, if they are to be looked at.
        weights: the file of weights that it should be of.
    """
    if found["seal"] != _seal({key: value for key, value in found.items() if key != "seal"}):
        yield "it was edited after it was written"
    described = _described(spec, asked_of(found))
    described_by = (
        ("name", "name"),
        ("spec", "spec"),
        ("network", "network"),
        ("recipe", "recipe"),
    )
    for key, what in described_by:
        if found[key] != described[key]:
            yield f"it is of another {what}"
    for name, files in described["programs"].items():
        claimed = found["programs"].get(name, {})
        wrong = sorted(
            file for file in claimed.keys() | files.keys() if claimed.get(file) != files.get(file)
        )
        if wrong:
            other = found["versions"].get("xgraph")
            by = (
                ""
                if other == __version__
                else f", which xgraph {other} has made, this is {__version__}"
            )
            yield f"the {name} program of this spec is another one: {', '.join(wrong[:5])}{by}"
        if programs is not None:
            yield from _edited(programs, name, claimed, len(found["programs"]))
    for name in found["programs"].keys() - described["programs"].keys():
        yield f"it tells of a program of {printable(name, 80)}, which was not compared"
    kept = found["weights"]
    if kept is None and weights is not None:
        yield "it says nothing of weights: it is of random ones"
    elif kept is not None and weights is None:
        yield f"it is of weights that are not given: --weights {kept['file']}"
    elif kept is not None and weights is not None and kept["sha256"] != _of_file(weights):
        yield f"it is of other weights than {weights.name}"


def against_report(found: Mapping[str, Any], report: ParityReport) -> Iterator[str]:
    """What of a certificate is not so when the comparison is made again: a line for each."""
    if not report.agree:
        yield f"the programs do not agree: {report.reason}"
    if found["agree"] is not True:
        yield "it says itself that the programs do not agree"
    claimed = {_key(row): row for row in found["measurements"]}
    seen = {_key(row): row for row in map(_row, report.measurements)}
    for key in seen.keys() - claimed.keys():
        yield f"it says nothing of {key[2]} of {key[0]} and {key[1]}"
    for key in claimed.keys() - seen.keys():
        yield f"it tells of {key[2]} of {key[0]} and {key[1]}, which was not compared"
    same = found["versions"] == _versions()
    for key in claimed.keys() & seen.keys():
        row, own = claimed[key], seen[key]
        what = f"{key[2]} of {key[0]} and {key[1]}"
        if (row["limit"] is None) != (own["limit"] is None):
            yield f"the limit of {what} is another one"
        elif row["limit"] is not None:
            if row["distance"] > row["limit"]:
                yield f"it says itself that {what} is beyond its limit"
            if row["limit"] > own["limit"] * (1 if own["limit"] == CLOSE else _FACTOR):
                yield f"the limit of {what} is {row['limit']:.1e}, and should be {own['limit']:.1e}"
        least, most = sorted((row["distance"], own["distance"]))
        if same and most > 1e-15 and most > _FACTOR * least:
            yield f"{what} is {own['distance']:.1e} apart, and should be {row['distance']:.1e}"


def other_versions(found: Mapping[str, Any]) -> list[str]:
    """What it was made with that is another one here; no fault of the model."""
    own = _versions()
    return [
        f"{printable(str(name), 40)} {printable(str(version), 40)}, here {own.get(name, 'none')}"
        for name, version in found["versions"].items()
        if own.get(name) != version
    ]


def _described(spec: str, asked: Asked) -> dict[str, Any]:
    """What follows from a spec and its settings alone."""
    compilation = prepare(spec, asked.settings, asked.recipe)
    analysis, recipe = compilation.analysis, compilation.recipe
    targets = [backend.get(name) for name in asked.backends]
    return {
        "name": analysis.name,
        "spec": analysis.digest,
        "network": model_facts(analysis).digest,
        "recipe": recipe and hashlib.sha256(repr(recipe).encode()).hexdigest(),
        "programs": {
            name: {file: _of_text(text) for file, text in files.items()}
            for name, files in emit_all(compilation, targets).items()
        },
    }


def _edited(folder: Path, name: str, files: Mapping[str, str], count: int) -> Iterator[str]:
    """Files of a program that are not as they were written."""
    inside = folder / name
    place = inside if inside.is_dir() or count > 1 else folder
    for file, digest in files.items():
        path = place / file
        if not path.is_file():
            yield f"{path.as_posix()} is not there"
        elif _of_file(path) != digest:
            yield f"{path.as_posix()} is not as it was compiled"
    if place.is_dir():
        for path in sorted(place.rglob("*")):  # what Python would import instead
            own = path.relative_to(place).as_posix() in files or path.parent.name == "__pycache__"
            if path.suffix in (".py", ".pyc", ".so", ".pyd", ".pth") and not own:
                yield f"{printable(path.as_posix(), 200)} is not of the program"


def _row(one: Any) -> dict[str, Any]:
    return {"left": one.left, "right": one.right, "quantity": one.quantity,
            "distance": one.distance, "limit": one.limit}  # fmt: skip


def _key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["left"], row["right"], row["quantity"]


def _versions() -> dict[str, str]:
    found = {"xgraph": __version__, "python": platform.python_version(),
             "machine": f"{platform.system()} {platform.machine()}"}  # fmt: skip
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _of_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(made: Mapping[str, Any]) -> str:
    return _of_text(json.dumps(made, sort_keys=True, ensure_ascii=True))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, of which no key hides another."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is there twice")
    return made


#: What a measurement is of.
_NAMED = ("left", "right", "quantity")


def _malformed(found: Mapping[str, Any]) -> str | None:
    """What is wrong with the form of a certificate."""
    keys = {"xgraph_certificate", "name", "spec", "network", "recipe", "programs", "asked",
            "weights", "versions", "agree", "measurements", "seal"}  # fmt: skip
    if found.keys() != keys:
        odd = ", ".join(sorted(map(str, found.keys() ^ keys)))
        return f"it has more keys than it should, or fewer: {printable(odd, 80)}"
    kinds: dict[str, Any] = {"name": str, "spec": str, "network": str, "programs": dict,
                             "asked": dict, "versions": dict, "agree": bool, "measurements": list,
                             "seal": str}  # fmt: skip
    for key, kind in kinds.items():
        if not isinstance(found.get(key), kind):
            return f"{key} is missing or no {kind.__name__}"
    for key in ("recipe", "weights"):
        if key not in found:
            return f"{key} is missing"
    if not isinstance(found["recipe"], str | None):
        return "recipe is no text"
    if not isinstance(found["versions"].get("xgraph"), str):
        return "it does not say by which versions"
    if len({_key(row) for row in found["measurements"] if _texts(row, _NAMED)}) != len(
        found["measurements"]
    ):
        return "a measurement is there twice, or is not whole"
    weights = found["weights"]
    if weights is not None and not _texts(weights, ("sha256", "file")):
        return "weights are not described"
    for files in found["programs"].values():
        if not isinstance(files, dict) or not all(isinstance(d, str) for d in files.values()):
            return "programs are not described"
    for row in found["measurements"]:
        if row.keys() != {*_NAMED, "distance", "limit"} or not _is_number(row["distance"]):
            return "a measurement is not whole"
        if row.get("limit") is not None and not _is_number(row["limit"]):
            return "a measurement is not whole"
    return _malformed_question(found["asked"])


def _malformed_question(asked: Mapping[str, Any]) -> str | None:
    said = "what was asked for is not described"
    if asked.keys() != Asked.__dataclass_fields__.keys():
        return said
    lists = [asked["settings"], asked["backends"]]
    if not all(isinstance(one, list) and all(isinstance(t, str) for t in one) for one in lists):
        return said
    if not asked["backends"] or len(set(asked["backends"])) != len(asked["backends"]):
        return said
    size = asked["size"]
    if size is not None and not (isinstance(size, list) and len(size) == 2):
        return said
    bounds = [(asked["steps"], 0, 1_000), (asked["batch"], 1, 1_000), (asked["seed"], 0, 2**63)]
    bounds += [(side, 1, 4_000) for side in size or ()]
    if not all(_is_count(n) and least <= n <= most for n, least, most in bounds):
        return said
    chosen = asked["dtype"] in ("float64", "float32") and asked["device"] in DEVICES
    good = isinstance(asked["ties"], bool) and isinstance(asked["recipe"], str | None)
    return None if chosen and good else said


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _texts(found: Any, keys: Sequence[str]) -> bool:
    return isinstance(found, dict) and all(isinstance(found.get(key), str) for key in keys)


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value < 1e300  # which a float has, as not every integer
