"""`extends` and `--set`: a spec laid over another.

Both work on YAML trees, before anything is interpreted, so what they make is read and checked like
a spec written in one piece. Spans keep pointing at the text that each part came from.
"""

from __future__ import annotations

from pathlib import Path

from xgraph.diagnostics import Diagnostic, Source, Span, SpecError, suggest
from xgraph.spec import loading
from xgraph.spec.document import Entry, Mapping, Scalar, Yaml, describe
from xgraph.spec.library import bundled, specs_directory

#: A chain of `extends` longer than this is a mistake.
_DEPTH_LIMIT = 8
#: Keys whose mappings are laid over entry by entry; every other key is replaced whole.
_MERGED = ("params", "input", "blocks", "graph", "outputs")


def load_layers(path: Path, shown_as: str) -> tuple[Yaml, tuple[Source, ...]]:
    """A spec with everything it extends laid under it, and the texts that took part.

    Raises:
        SpecError: a file cannot be loaded, is not found, or extends itself.
    """
    return _load(path, shown_as, (path.resolve(),))


def _load(path: Path, shown_as: str, chain: tuple[Path, ...]) -> tuple[Yaml, tuple[Source, ...]]:
    source = loading.read(path, shown_as)
    document = loading.load(source)
    if not isinstance(document, Mapping):
        return document, (source,)
    extends = next((entry for entry in document if entry.key == "extends"), None)
    if extends is None:
        return document, (source,)
    base_path, base_shown = _base(extends, path, shown_as)
    resolved = base_path.resolve()
    if resolved in chain or len(chain) >= _DEPTH_LIMIT:
        names = " → ".join(p.name for p in (*chain, resolved))
        raise SpecError(
            Diagnostic(
                "XG802",
                "a spec extends itself"
                if resolved in chain
                else "too many specs extend each other",
                extends.value.span,
                received=names,
                expected=f"a chain of at most {_DEPTH_LIMIT} different specs",
            )
        )
    base, sources = _load(base_path, base_shown, (*chain, resolved))
    over = Mapping(tuple(e for e in document if e.key != "extends"), document.span)
    return (lay_over(base, over) if isinstance(base, Mapping) else base), (*sources, source)


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
            raise SpecError(
                Diagnostic(
                    "XG801",
                    "there is no bundled spec of this name",
                    node.span,
                    expected="a file that ends in .yaml, or the name of a bundled spec",
                    received=describe(node),
                    hint=suggest(text, [p.stem for p in specs_directory().rglob("*.yaml")]),
                )
            )
        return found, found.name
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
    if not base.is_file():
        near = [p.name for p in base.parent.glob("*.y*ml")] if base.parent.is_dir() else []
        raise SpecError(
            Diagnostic(
                "XG801",
                "the extended spec does not exist",
                node.span,
                expected="a file beside this one, or the name of a bundled spec",
                received=describe(node),
                hint=suggest(base.name, near),
            )
        )
    return base, str(Path(shown_as).parent / text)


def lay_over(base: Mapping, over: Mapping) -> Mapping:
    """`over` laid over `base`.

    Entries of params, input, blocks, graph and outputs replace those of the same name and keep
    their place; new ones come last; `null` removes one. Per-op defaults merge attribute by
    attribute. Everything else is replaced whole.
    """
    merged = dict.fromkeys([*base.keys(), *over.keys()])
    entries = []
    for key in merged:
        below, above = _entry(base, key), _entry(over, key)
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
        else:
            entries.append(above)
    return Mapping(tuple(entries), over.span)


def _entry(mapping: Mapping, key: str) -> Entry | None:
    return next((entry for entry in mapping if entry.key == key), None)


def _merge(base: Mapping, over: Mapping, key: str) -> Mapping:
    replaced = {entry.key: entry for entry in over}
    entries = [replaced.pop(entry.key, entry) for entry in base]
    entries += replaced.values()
    if key != "params":  # a parameter without a value is one that has no default
        entries = [
            e for e in entries if not (isinstance(e.value, Scalar) and e.value.value is None)
        ]
    return Mapping(tuple(entries), over.span)


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


def _setting(document: Mapping, text: str) -> Mapping:
    """One `--set` option as a small spec of its own."""
    whole = Span(Source("--set", text), 1, 1, max(1, len(text)))
    key, equals, value_text = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise SpecError(
            Diagnostic(
                "XG804", "a setting needs a key and a value", whole, expected="--set key=value",
                hint="for example --set classes=10",
            )
        )  # fmt: skip
    # The value keeps its column: spaces stand where the key was.
    source = Source("--set", text)
    loaded = loading.load(Source("--set", " " * (len(text) - len(value_text)) + value_text))
    parts = key.split(".")
    params = document.get("params")
    known = params.keys() if isinstance(params, Mapping) else ()
    if len(parts) == 1:
        parts = ["params", *parts]
    if parts[0] not in ("params", "input", "defaults") or len(parts) != (
        3 if parts[0] == "defaults" else 2
    ):
        raise SpecError(
            Diagnostic(
                "XG804",
                f"'{key[:60]}' cannot be set",
                Span(source, 1, 1, len(key)),
                expected="a parameter, input.shape, or defaults.OP.ATTRIBUTE",
                hint=suggest(key, known),
            )
        )
    if parts[0] == "params" and parts[1] not in known:
        raise SpecError(
            Diagnostic(
                "XG803",
                f"the spec has no parameter '{parts[1][:60]}'",
                Span(source, 1, 1, len(key)),
                expected="one of " + ", ".join(known) if known else "no parameters",
                hint=suggest(parts[1], known),
            )
        )
    node = loaded
    span = Span(source, 1, 1, len(key))
    for part in reversed(parts):
        node = Mapping((Entry(part, span, node),), span)
    assert isinstance(node, Mapping)
    return node
