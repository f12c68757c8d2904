"""`extends` and `--set`: a spec laid over another.

Both work on YAML trees, before anything is interpreted, so what they make is read and checked like
a spec written in one piece. Spans keep pointing at the text that each part came from.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Listed
from dataclasses import dataclass, replace
from pathlib import Path

from xgraph.diagnostics import Diagnostic, Source, Span, SpecError, one_of, printable, suggest
from xgraph.ir.document import Entry, Mapping, Scalar, Sequence, Yaml, describe
from xgraph.spec import items, loading, sizes
from xgraph.spec.library import all_specs, bundled, specs_directory

#: A chain of `extends` longer than this is a mistake.
_DEPTH_LIMIT = 8
#: Parts of a spec that nobody can have meant as a parameter.
_PARTS = ("input", "defaults", "blocks", "graph", "outputs", "extends", "xgraph")
#: Keys whose mappings are laid over entry by entry; every other key is replaced whole.
_MERGED = ("params", "input", "blocks", "graph", "outputs")
#: Of them, those whose entries have items, and what an entry is called.
_WITH_ITEMS = {"blocks": "block", "graph": "section"}


#: Keys that a spec need not have, and may leave out that the one below it has.
LEFT_OUT = frozenset({"doc", "source", "recipe", "defaults", "blocks", "outputs", "sizes"})
#: Codes of what names something that is not there.
_NOWHERE = ("XG206", "XG211")
#: How a setting begins that is of the recipe and not of the spec.
_RECIPE = "recipe."


def divided(settings: Listed[str]) -> tuple[list[str], list[str]]:
    """The settings that are for the spec, and those that are for its recipe."""
    kinds: tuple[list[str], list[str]] = ([], [])
    for text in settings:
        kinds[text.lstrip().startswith(_RECIPE)].append(text)
    return kinds


Lay = Callable[[Mapping, Mapping], Mapping]
Find = Callable[[Entry, Path, str], tuple[Path, str]]


def load_layers(
    path: Path,
    shown_as: str,
    lay: Lay | None = None,
    find: Find | None = None,
    family: Path | None = None,
) -> tuple[Yaml, tuple[Source, ...]]:
    """A spec with everything it extends laid under it, and the texts that took part.

    Args:
        path: the file.
        shown_as: how messages call it.
        lay: lays a document over another; as specs are, if it is not given.
        find: where the file lies that `extends` names, and how it is shown; likewise. Only specs
            have sizes.
        family: the file that declares it as a size, whatever files beside that declare.

    Raises:
        SpecError: a file cannot be loaded, is not found, or extends itself.
    """
    layers = _Layers(lay or lay_over, find or _base, sized=find is None)
    if family is not None:
        return layers.size(path, family, shown_as, ())
    return layers.load(path, shown_as, ())


@dataclass(frozen=True)
class _Layers:
    """How documents come to lie over each other; those of specs may have sizes."""

    lay: Lay
    find: Find
    sized: bool

    def load(
        self, path: Path, shown_as: str, chain: tuple[str, ...]
    ) -> tuple[Yaml, tuple[Source, ...]]:
        """A file, or a size that one beside it declares.

        `chain` holds the real paths of the files that led here.
        """
        family = sizes.home(path) if self.sized else None
        if family is not None:
            return self.size(path, family, shown_as, chain)
        document, sources = self.file(path, shown_as, chain)
        if self.sized and isinstance(document, Mapping):
            sizes.read(document, path.parent)  # for their form
            document = sizes.left_out(document)
        return document, sources

    def size(
        self, path: Path, family: Path, shown_as: str, chain: tuple[str, ...]
    ) -> tuple[Yaml, tuple[Source, ...]]:
        """A size laid over its family, whose text comes last, behind the size's name."""
        beside = (Path(shown_as).parent / family.name).as_posix()
        document, sources = self.file(family, beside, (*chain, os.path.realpath(path)))
        assert isinstance(document, Mapping)  # else it declared nothing
        said = sizes.read(document, family.parent)[path.stem]
        name = Source(shown_as, path.stem)
        return self.lay(sizes.left_out(document), said), (*sources[:-1], name, sources[-1])

    def file(
        self, path: Path, shown_as: str, chain: tuple[str, ...]
    ) -> tuple[Yaml, tuple[Source, ...]]:
        """A file over what it extends."""
        near = sizes.beside(path.parent) if self.sized else ()
        source = loading.read(path, shown_as, (size.path.name for size in near))
        document = loading.load(source)
        if not isinstance(document, Mapping):
            return document, (source,)
        extends = _entry(document, "extends")
        if extends is None:
            return document, (source,)
        base_path, base_shown = self.find(extends, path, shown_as)
        chain = (*chain, os.path.realpath(path))
        resolved = os.path.realpath(base_path)
        if resolved in chain or len(chain) >= _DEPTH_LIMIT:
            raise SpecError(
                Diagnostic(
                    "XG802",
                    "a spec extends itself"
                    if resolved in chain
                    else "too many specs extend each other",
                    extends.value.span,
                    expected=f"a chain of at most {_DEPTH_LIMIT} different specs",
                    received=" → ".join(os.path.basename(one) for one in (*chain, resolved)),
                )
            )
        base, sources = self.load(base_path, base_shown, chain)
        over = Mapping(tuple(e for e in document if e.key != "extends"), document.span)
        return (self.lay(base, over) if isinstance(base, Mapping) else base), (*sources, source)


def _base(extends: Entry, path: Path, shown_as: str) -> tuple[Path, str]:
    """Where the extended spec lies: a file beside this one, or a bundled spec by name."""
    node = extends.value
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        raise SpecError(
            Diagnostic(
                "XG201",
                "extends cannot be this",
                node.span,
                expected="a path beside this file, or the name of a bundled spec",
                received=describe(node),
            )
        )
    text = node.value
    if not text.endswith((".yaml", ".yml")):
        found = bundled(text)
        if found is None:
            names = [p.stem for p in all_specs()]
            raise SpecError(
                Diagnostic(
                    "XG801",
                    "there is no bundled spec of this name",
                    node.span,
                    expected="a file that ends in .yaml, or " + one_of(names),
                    received=describe(node),
                    hint=suggest(text, names)
                    or ("the path of a spec ends in .yaml" if "/" in text or "." in text else None),
                )
            )
        return found, f"specs/{found.relative_to(specs_directory()).as_posix()}"
    if Path(text).is_absolute() or "\0" in text:
        raise SpecError(
            Diagnostic(
                "XG801",
                "extends takes a path relative to this file",
                node.span,
                expected="a relative path that ends in .yaml",
                received=describe(node),
            )
        )
    base = path.parent / text
    if not os.path.isfile(base) and sizes.home(base) is None:
        near = [p.name for p in base.parent.glob("*.y*ml")] if os.path.isdir(base.parent) else []
        near += [size.path.name for size in sizes.beside(base.parent)]
        raise SpecError(
            Diagnostic(
                "XG801",
                "the extended spec does not exist",
                node.span,
                expected="a file beside this one, or the name of a bundled spec",
                received=describe(node),
                hint=suggest(base.name, sorted(near)),
            )
        )
    return base, (Path(shown_as).parent / text).as_posix()


def lay_over(base: Mapping, over: Mapping) -> Mapping:
    """`over` laid over `base`.

    Entries of params, input, blocks, graph and outputs replace those of the same name and keep
    their place; new ones come last; `null` removes one. A block or section that says `items` keeps
    all but these, and what it says beside them. Per-op defaults merge attribute by attribute.
    Everything else is replaced whole; `null` leaves out what a spec need not have.

    Raises:
        SpecError: items are laid over what is not there.
    """
    lower = {entry.key: entry for entry in base}
    upper: dict[str, Entry] = {}
    gone = [*base.gone, *over.gone]
    problems: list[Diagnostic] = []
    for entry in over:
        try:
            upper[entry.key], left_out = _completed(entry, lower.get(entry.key))
            gone += left_out
        except SpecError as error:
            problems += error.diagnostics
    if problems:
        raise SpecError(problems)
    entries = []
    for key in {**lower, **upper}:
        below, above = lower.get(key), upper.get(key)
        if above is None:
            assert below is not None
            entries.append(below)
        elif below is None:
            entries.append(above)
        elif (
            isinstance(below.value, Mapping) and isinstance(above.value, Mapping) and key in _MERGED
        ):
            entries.append(Entry(key, above.key_span, _merge(below.value, above.value, key)))
        elif (
            isinstance(below.value, Mapping)
            and isinstance(above.value, Mapping)
            and key == "defaults"
        ):
            entries.append(Entry(key, above.key_span, _merge_deep(below.value, above.value)))
        elif not (key in LEFT_OUT and isinstance(above.value, Scalar) and _is_null(above.value)):
            entries.append(above)
    return Mapping(tuple(entries), over.span, tuple(gone))


def _completed(above: Entry, below: Entry | None) -> tuple[Entry, tuple[Entry, ...]]:
    """An entry of a spec, with blocks and sections whole that say their `items` alone.

    Also entries by which blocks, sections or items are left out.
    """
    under, value = below.value if below else None, above.value
    if above.key not in _WITH_ITEMS or not isinstance(value, Mapping):
        return above, ()
    if above.key == "graph" and isinstance(under, Sequence) and items.is_of_a_list(value):
        body, gone = items.completed_graph(value, under)
        return Entry(above.key, above.key_span, body), gone
    made = items.completed(value, under, _WITH_ITEMS[above.key])
    whole = [e for e in value if isinstance(e.value, Scalar) and _is_null(e.value)]
    return Entry(above.key, above.key_span, made), (*made.gone, *whole)


@contextlib.contextmanager
def telling(document: Yaml) -> Iterator[None]:
    """Problems with a name that is nowhere also tell where a spec has left out what had it."""
    try:
        yield
    except SpecError as error:
        gone = document.gone if isinstance(document, Mapping) else ()
        places = {entry.key: entry.key_span for entry in gone}
        raise SpecError(_told(problem, places) for problem in error.diagnostics) from None


def _told(problem: Diagnostic, places: dict[str, Span]) -> Diagnostic:
    span = problem.span
    if problem.code not in _NOWHERE or span is None:
        return problem
    line = span.source.line(span.line)
    path = line[span.column - 1 :][: span.length].strip("\"'").split(".")
    name = next((part for part in path if part in places), None)
    if name is None:
        return problem
    note = (f"'{printable(name)}' is left out here", places[name])
    return replace(problem, notes=(*problem.notes, note))


def _entry(mapping: Mapping, key: str) -> Entry | None:
    return next((entry for entry in mapping if entry.key == key), None)


def _merge(base: Mapping, over: Mapping, key: str) -> Mapping:
    replaced = {entry.key: entry for entry in over}
    entries = [replaced.pop(entry.key, entry) for entry in base]
    entries += replaced.values()
    if key != "params":  # a parameter without a value is one that has no default
        entries = [e for e in entries if not (isinstance(e.value, Scalar) and _is_null(e.value))]
    return Mapping(tuple(entries), over.span)


def _is_null(value: Scalar) -> bool:
    return value.value is None


def _merge_deep(base: Mapping, over: Mapping) -> Mapping:
    below = {entry.key: entry.value for entry in base}
    entries = []
    for entry in _merge(base, over, "defaults"):
        under = below.get(entry.key)
        if (
            isinstance(entry.value, Mapping)
            and isinstance(under, Mapping)
            and under is not entry.value
        ):
            entries.append(
                Entry(entry.key, entry.key_span, _merge(under, entry.value, "attributes"))
            )
        else:
            entries.append(entry)
    return Mapping(tuple(entries), over.span)


def override(document: Yaml, settings: list[str]) -> Yaml:
    """The spec with `--set key=value` options laid over it.

    A key is a parameter's name, or a dotted path: `params.classes`, `input.shape`,
    `defaults.batch_norm.scale`. A value is YAML.

    Raises:
        SpecError: a setting is malformed or sets something that the spec does not have.
    """
    if not isinstance(document, Mapping):
        return document
    problems: list[Diagnostic] = []
    for text in settings:
        try:
            document = lay_over(document, _setting(document, text))
        except SpecError as error:
            problems += error.diagnostics
    if problems:
        raise SpecError(problems)
    return document


@dataclass(frozen=True)
class Setting:
    """A `--set` option: a dotted path with the place of each of its parts, and a value."""

    path: tuple[tuple[str, Span], ...]
    whole: Span
    value_text: str
    source: Source

    def value(self) -> Yaml:
        """The value as YAML.

        Raises:
            SpecError: XG804 there is none, XG102 to XG112 it is not sound YAML.
        """
        start = len(self.source.text) - len(self.value_text)
        if not self.value_text.strip():
            key = ".".join(part for part, _ in self.path)
            raise SpecError(
                Diagnostic(
                    "XG804",
                    "a setting needs a value",
                    Span(self.source, 1, start + 1, 1),
                    expected=f"{key}=VALUE",
                    received="nothing",
                    hint=f"write {key}=null if nothing is meant",
                )
            )
        return loading.load_value(self.source, start)

    def over(self, node: Yaml) -> Mapping:
        """The value below its path, as a small document of its own."""
        for part, span in reversed(self.path):
            node = Mapping((Entry(part, span, node),), span)
        assert isinstance(node, Mapping)
        return node


def read_setting(text: str) -> Setting:
    """The parts of a `--set` option.

    Raises:
        SpecError: XG804, it has no key or no `=`.
    """
    source = Source("--set", text)
    key, equals, value_text = text.partition("=")
    if not equals or not key.strip():
        raise SpecError(
            Diagnostic(
                "XG804",
                "a setting needs a key and a value",
                Span(source, 1, 1, max(1, len(text))),
                expected="--set key=value",
                hint="for example --set classes=10",
            )
        )
    column = len(key) - len(key.lstrip()) + 1
    key = key.strip()
    whole = Span(source, 1, column, len(key))
    path: list[tuple[str, Span]] = []
    for part in key.split("."):
        path.append((part, Span(source, 1, column, max(1, len(part)))))
        column += len(part) + 1
    return Setting(tuple(path), whole, value_text, source)


def _setting(document: Mapping, text: str) -> Mapping:
    """One `--set` option as a small spec of its own."""
    given = read_setting(text)
    path = list(given.path)
    if len(path) == 1:
        path.insert(0, ("params", given.whole))
    _check_settable(document, path, given.whole)
    value = given.value()
    return replace(given, path=tuple(path)).over(value)


def _check_settable(document: Mapping, path: list[tuple[str, Span]], whole: Span) -> None:
    """Whether the spec has what a setting names.

    Raises:
        SpecError: XG803 it has no such parameter, XG804 this is not a place for settings.
    """
    params = document.get("params")
    known = params.keys() if isinstance(params, Mapping) else ()
    head, name = path[0][0], path[1][0]
    lengths = {"params": 2, "input": 2, "defaults": 3}
    if len(path) != lengths.get(head) or (
        head == "params" and name in _PARTS and name not in known
    ):
        key = ".".join(part for part, span in path if span != whole) or name
        raise SpecError(
            Diagnostic(
                "XG804",
                f"'{printable(key)}' cannot be set",
                whole,
                expected="a parameter, input.shape, or defaults.OP.ATTRIBUTE",
                hint={
                    "input": "write input.shape=[224, 224, 3]",
                    "defaults": "write defaults.batch_norm.epsilon=0.01",
                }.get(name if head == "params" else head)
                or (f"a parameter is set whole: {head}=VALUE" if head in known else None)
                or suggest(key, known)
                or "make what changes a parameter, or write a spec that `extends` this one",
            )
        )
    if head == "params" and name not in known:
        raise SpecError(
            Diagnostic(
                "XG803",
                f"the spec has no parameter '{printable(name)}'",
                path[1][1],
                expected=one_of(known, "no settings, for the spec has no parameters"),
                hint=suggest(name, known),
            )
        )
