"""`xgraph format`: files of specs and recipes in the canonical layout.

All files are read and laid out before the first is written, so that an error in one leaves all as
they were. Each is written beside itself and moved into place, with its permissions; where it is a
link, what it leads to is written. A file that is as it should be is not touched.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xgraph.diagnostics import Diagnostic, SpecError, printable
from xgraph.spec.formatter import formatted, is_known, laid_out
from xgraph.spec.loading import MAX_BYTES, decoded, load, read

#: Standard input, as an argument and in messages.
STANDARD_INPUT = "-"
_SHOWN = "standard input"


@dataclass(frozen=True)
class Formatted:
    """A file, and what it should be: texts whose lines end as those of the file do."""

    path: str
    before: str
    after: str

    @property
    def changes(self) -> bool:
        """Whether it is not as it should be."""
        return self.before != self.after

    @property
    def shown(self) -> str:
        """How messages call it."""
        return _SHOWN if self.path == STANDARD_INPUT else self.path

    def diff(self) -> list[str]:
        """What would change, as lines of a unified diff."""
        before, after = self.before.splitlines(), self.after.splitlines()
        names = (self.shown, f"{self.shown} (formatted)")
        return list(difflib.unified_diff(before, after, *names, lineterm=""))


def format_all(paths: Sequence[str]) -> list[Formatted]:
    """What files should be; of a folder, all specs and recipes below it. Nothing is written.

    Raises:
        SpecError: with the problems of all files that cannot be read, are no sound YAML, or are
            named and no specs or recipes (XG101 to XG113).
        FormatError: xgraph cannot format one; see `xgraph.spec.formatter`.
    """
    found: dict[str, Formatted] = {}
    problems: list[Diagnostic] = []
    for path, in_folder in _files(paths):
        try:
            one = _format(path, in_folder)
        except SpecError as error:
            problems += error.diagnostics
            continue
        if one is not None:
            real = path if path == STANDARD_INPUT else os.path.realpath(path)
            found.setdefault(real, one)
    if problems:
        raise SpecError(problems)
    return list(found.values())


def write_all(files: Sequence[Formatted]) -> None:
    """Write those that change, standard input to standard output.

    Raises:
        SpecError: XG705, one cannot be written. Those before it are.
    """
    for file in files:
        if file.path == STANDARD_INPUT:
            sys.stdout.flush()
            sys.stdout.buffer.write(file.after.encode())
            sys.stdout.buffer.flush()
        elif file.changes:
            _replace(file)


def _files(paths: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Files that are named, and those of folders; hidden folders are passed over."""
    for path in paths:
        if path == STANDARD_INPUT or not os.path.isdir(path):
            yield path, False
            continue
        for folder, below, names in os.walk(path):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for name in sorted(names):
                if name.endswith((".yaml", ".yml")) and not name.startswith("."):
                    yield os.path.join(folder, name), True


def _format(path: str, in_folder: bool) -> Formatted | None:
    """A file as it should be; None for other YAML in a folder."""
    if path == STANDARD_INPUT:
        source = decoded(sys.stdin.buffer.read(MAX_BYTES + 1), _SHOWN)
    else:
        source = read(Path(path), path)
    if in_folder:
        tree = load(source)
        if not is_known(tree):
            return None
        text = laid_out(source, tree)
    else:
        text = formatted(source)
    end = source.text.find("\n")
    if source.text[:end].endswith("\r"):
        text = text.replace("\n", "\r\n")
    return Formatted(path, source.text, text)


def _replace(file: Formatted) -> None:
    """Write a file, whole or not at all."""
    target = Path(os.path.realpath(file.path))
    made = None
    try:
        handle, made = tempfile.mkstemp(prefix=".", suffix=".yaml.new", dir=target.parent)
        with open(handle, "wb") as stream:
            stream.write(file.after.encode())
        shutil.copymode(target, made)
        os.replace(made, target)
        made = None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"{printable(file.shown, 200)} cannot be written: {reason}"
        raise SpecError(Diagnostic("XG705", message)) from None
    finally:
        if made is not None:
            with contextlib.suppress(OSError):
                os.unlink(made)
