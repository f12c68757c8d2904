"""Writing a program: all of it or nothing, and never over somebody's edits.

Beside the generated files lies `xgraph.json`, which says what they were made from and the SHA-256
of each as it was written. A file whose bytes differ from that was edited, and is not touched
unless `force` is given; then the edited file is kept beside the new one as `NAME.bak`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xgraph import __version__
from xgraph.diagnostics import Diagnostic, Source, Span, SpecError
from xgraph.ir.analysis import Analysis

MANIFEST = "xgraph.json"
_DIFF_LINES = 40


@dataclass(frozen=True)
class State:
    """How a folder compares with what would be written: file names by what happens to them."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    obsolete: list[str] = field(default_factory=list)

    @property
    def is_current(self) -> bool:
        return not (self.new or self.changed or self.edited or self.obsolete)


class EditedError(SpecError):
    """Files were edited since they were generated (XG701). `diff` shows how."""

    def __init__(self, diagnostics: list[Diagnostic], diff: str) -> None:
        super().__init__(diagnostics)
        self.diff = diff


def origin(analysis: Analysis, backend: str, recipe: str | None = None) -> dict[str, Any]:
    """What a program is made from, as `xgraph.json` says it."""
    return {
        "spec": analysis.name,
        "sha256": analysis.digest,
        "backend": backend,
        "recipe": recipe,
        "settings": list(analysis.settings),
    }


def manifest_text(files: Mapping[str, str], origin: Mapping[str, Any]) -> str:
    """`xgraph.json` for a program."""
    hashes = {name: _digest(text.encode()) for name, text in sorted(files.items())}
    return json.dumps({"xgraph": __version__, **origin, "files": hashes}, indent=2) + "\n"


def compare(folder: Path, files: Mapping[str, str], origin: Mapping[str, Any]) -> State:
    """What writing these files into this folder would change."""
    state = State()
    written = _hashes(folder)
    manifest = {MANIFEST: manifest_text(files, origin)}
    for name, text in {**files, **manifest}.items():
        path = folder / name
        if not path.exists() and not path.is_symlink():
            state.new.append(name)
            continue
        found = path.read_bytes() if path.is_file() else b""
        if found == text.encode():
            state.current.append(name)
        elif name == MANIFEST or written.get(name) == _digest(found):
            state.changed.append(name)
        else:
            state.edited.append(name)
    for name, digest in written.items():
        path = folder / name
        if name not in files and path.is_file() and _digest(path.read_bytes()) == digest:
            state.obsolete.append(name)
    return state


def write(
    folder: Path, files: Mapping[str, str], origin: Mapping[str, Any], *, force: bool = False
) -> State:
    """Write a program into a folder, which is made when it does not exist.

    Everything is staged beside the folder first; then each file is moved to its place,
    `xgraph.json` last. Files that are current are left alone; files of an earlier program that this
    one does not have are removed if nobody edited them.

    Raises:
        EditedError: a file was edited, and `force` is not given. Nothing was written.
        SpecError: the folder cannot be written (XG705).
    """
    try:
        state = compare(folder, files, origin)
        if state.edited and not force:
            raise _edited(folder, files, state)
        folder.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            _move(stage, folder, files, origin, state)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SpecError(
            Diagnostic(
                "XG705",
                f"the program cannot be written to {folder}: {reason}",
                hint="choose another folder with -o",
            )
        ) from None
    return state


def _move(
    stage: Path, folder: Path, files: Mapping[str, str], origin: Mapping[str, Any], state: State
) -> None:
    everything = {**files, MANIFEST: manifest_text(files, origin)}
    pending = [name for name in everything if name not in state.current]
    for name in pending:
        with (stage / name).open("wb") as file:
            file.write(everything[name].encode())
            file.flush()
            os.fsync(file.fileno())
    umask = os.umask(0)
    os.umask(umask)
    if not folder.exists():
        stage.chmod(0o777 & ~umask)
        stage.rename(folder)
        return
    for name in state.edited:
        shutil.copy2(folder / name, _free(folder / f"{name}.bak"))
    for name in pending:
        os.replace(stage / name, folder / name)
    for name in state.obsolete:
        (folder / name).unlink(missing_ok=True)


def _free(path: Path) -> Path:
    """`path`, or the first of path.2, path.3 … that does not exist: no backup is overwritten."""
    candidate, number = path, 2
    while candidate.exists():
        candidate, number = path.with_name(f"{path.name}.{number}"), number + 1
    return candidate


def _hashes(folder: Path) -> dict[str, str]:
    """What `xgraph.json` says of each file; empty when there is none that can be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = manifest["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    if not isinstance(files, dict):
        return {}
    plain = {name: digest for name, digest in files.items() if isinstance(digest, str)}
    # A name that is a path could lead out of the folder.
    return {name: digest for name, digest in plain.items() if name == Path(name).name}


def _edited(folder: Path, files: Mapping[str, str], state: State) -> EditedError:
    diagnostics, parts = [], []
    for name in state.edited:
        shown = f"{folder.as_posix()}/{name}"
        found = (folder / name).read_text(encoding="utf-8", errors="replace")
        old, new = found.splitlines(), files[name].splitlines()
        first = next(
            (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b),
            min(len(old), len(new)),
        )
        source = Source(shown, found)
        diagnostics.append(
            Diagnostic(
                "XG701",
                "this file was edited since it was generated, or was not generated by xgraph",
                Span(source, min(first + 1, max(1, len(old))), 1, 1),
                hint="write elsewhere with -o DIR, or overwrite it with --force, "
                f"which keeps it as {name}.bak",
            )
        )
        lines = list(
            difflib.unified_diff(old, new, shown, f"{shown} (generated)", lineterm="", n=1)
        )
        more = len(lines) - _DIFF_LINES
        parts += lines[:_DIFF_LINES] + ([f"… and {more} more lines"] if more > 0 else [])
    return EditedError(diagnostics, "\n".join(parts))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
