"""Sizes of a family: specs that a file declares by name, and that differ from it in numbers.

A size is what a file of its name beside that one would be, if it extended it and said as much.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from xgraph.diagnostics import Diagnostic, Span, SpecError, one_of, printable, suggest
from xgraph.ir.document import Entry, Mapping, Scalar
from xgraph.spec import loading
from xgraph.spec.form import Form, TooManyProblems, is_name

#: What a size may say.
_KEYS = ("doc", "source", "params", "input")
#: More files of one folder are not looked into.
_FILES_LIMIT = 1000


@dataclass(frozen=True)
class Declared:
    """A size: the path that stands for it, the file that declares it, and where."""

    path: Path
    file: Path
    span: Span


def declared(files: Iterable[Path]) -> Iterator[Declared]:
    """The sizes of some files; one that cannot be loaded has none, and says so where it is."""
    for file in files:
        try:
            source = loading.read(file, file.as_posix())
            document = loading.load(source) if "sizes" in source.text else None
        except SpecError:
            continue
        sizes = document.get("sizes") if isinstance(document, Mapping) else None
        for entry in sizes if isinstance(sizes, Mapping) else ():
            if is_name(entry.key):
                yield Declared(file.parent / f"{entry.key}.yaml", file, entry.key_span)


def beside(folder: Path) -> Iterator[Declared]:
    """The sizes of all files of a folder."""
    with contextlib.suppress(OSError, ValueError):  # it cannot be read, or there is none
        yield from declared(sorted(folder.glob("*.yaml"))[:_FILES_LIMIT])


def home(path: Path) -> Path | None:
    """The file that declares the spec of this path as a size; None where there is none.

    Raises:
        SpecError: XG208, there are several.
    """
    if path.suffix != ".yaml" or not is_name(path.stem) or os.path.lexists(path):
        return None
    found = [size for size in beside(path.parent) if size.path == path]
    if len(found) > 1:
        first, second = found[:2]
        raise SpecError(
            Diagnostic(
                "XG208",
                f"the size '{path.stem}' is declared in two files",
                second.span,
                expected="sizes of other names than those of the files beside this one",
                notes=(("first declared here", first.span),),
            )
        )
    return found[0].file if found else None


def read(document: Mapping, folder: Path) -> dict[str, Mapping]:
    """What each size of a spec says, as a small spec of that name.

    Args:
        document: the spec, with all that it extends laid under it.
        folder: where it lies.

    Raises:
        SpecError: with every problem of their form.
    """
    form = Form()
    found = {}
    params = document.get("params")
    known = params.keys() if isinstance(params, Mapping) else ()
    own_name = next((entry for entry in document if entry.key == "name"), None)
    with contextlib.suppress(TooManyProblems):
        for entry in form.entries(document.get("sizes"), "sizes"):
            what = f"size '{printable(entry.key)}'"
            name = form.checked_name(entry.key, entry.key_span, "a size's name")
            if name is not None and os.path.lexists(folder / f"{name}.yaml"):
                form.problem(
                    "XG208",
                    f"the size '{name}' is a file of its own",
                    entry.key_span,
                    expected="a name that no file beside this one has",
                )
            elif name is not None and own_name is not None and own_name.value.plain() == name:
                form.problem(
                    "XG208",
                    f"the size '{name}' has the name of the spec itself",
                    entry.key_span,
                    hint="the spec is what it says without a size; call this one something else",
                    notes=(("the spec's name", own_name.value.span),),
                )
            said = form.mapping(entry.value, what, _KEYS, "{params: {…}}")
            if said is None:
                continue
            for parameter in form.entries(said.get("params"), "params"):
                if parameter.key not in known:
                    form.problem(
                        "XG803",
                        f"the spec has no parameter '{printable(parameter.key)}'",
                        parameter.key_span,
                        expected=one_of(known, "no parameters, for the spec has none"),
                        hint=suggest(parameter.key, known),
                    )
            own = Entry("name", entry.key_span, Scalar(entry.key, entry.key_span))
            found[entry.key] = Mapping((own, *said), said.span)
    if form.problems:
        raise SpecError(form.problems)
    return found


def left_out(document: Mapping) -> Mapping:
    """The spec alone."""
    return Mapping(tuple(e for e in document if e.key != "sizes"), document.span, document.gone)
