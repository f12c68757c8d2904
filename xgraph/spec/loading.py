"""Reading YAML into `document` trees with exact positions, within fixed bounds.

PyYAML serves as a parser only: its events are read, while its composer and constructor, which
know tags, merge keys and YAML 1.1's `no`, are never reached. Each bound holds before the memory
or the time that it guards is spent, whatever the file says.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from xgraph.diagnostics import Diagnostic, Source, Span, SpecError, shown, suggest
from xgraph.ir.document import Entry, Mapping, Scalar, Sequence, Yaml
from xgraph.spec.expressions import QUOTE
from xgraph.spec.scalars import resolve

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_DEPTH: Final = 64
MAX_NODES: Final = 200_000
# With more problems than this, the file is not what its author thinks it is.
_MAX_PROBLEMS: Final = 20

# What may not be in a file: control characters, lone surrogates, byte order marks inside, the
# line separators that YAML 1.1 and 1.2 disagree about (U+0085, U+2028, U+2029), and what reorders
# the text around it on a screen (U+202A to U+202E, U+2066 to U+2069).
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_BOM = "\ufeff"
#: White space and comments.
GAP = re.compile(r"(?:[ \t\r\n]+|#[^\r\n]*)*")
_TAG = re.compile(r"!<[^>\s]*>|[^\s,\[\]{}]*")
_BLOCK_HEADER = re.compile(r"[|>][-+0-9]*")


def read(path: Path, shown_as: str, others: Iterable[str] = ()) -> Source:
    """The text of a spec file.

    Args:
        path: where it lies.
        shown_as: how messages call it.
        others: names beside those of the folder that may have been meant, if there is no such file.

    Raises:
        SpecError: XG101 when it cannot be read, XG102 over 4 MiB, XG103 when it is not UTF-8.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise SpecError(Diagnostic("XG101", f"cannot read {_name(shown_as)}: it is {kind}"))
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SpecError(
            Diagnostic(
                "XG101",
                f"cannot read {_name(shown_as)}: there is no such file",
                hint=_close_names(path, others),
            )
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = error.strerror if isinstance(error, OSError) else None
        reason = (reason or "the path is not valid").lower()
        raise SpecError(Diagnostic("XG101", f"cannot read {_name(shown_as)}: {reason}")) from None
    return decoded(data, shown_as)


def decoded(data: bytes, shown_as: str) -> Source:
    """The text of a spec from the bytes of its file, without a byte order mark.

    Raises:
        SpecError: XG102 over 4 MiB, XG103 when it is not UTF-8.
    """
    if len(data) > MAX_BYTES:
        raise SpecError(_too_large(shown_as))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        source = Source(shown_as, data.decode("utf-8", "replace"))
        before = data[: error.start].decode("utf-8")
        wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        raise SpecError(
            Diagnostic(
                "XG103",
                "the file is not UTF-8",
                _span_at(source, before),
                received=f"the byte 0x{data[error.start]:02x}",
                hint="it looks like UTF-16; save it as UTF-8" if wide else "save it as UTF-8",
            )
        ) from None
    return Source(shown_as, text.removeprefix(_BOM))


def load(source: Source) -> Yaml:
    """The one YAML document of `source` as a tree.

    Aliases become shared references; `<<` is a key like any other.

    Raises:
        SpecError: XG102 to XG112, with all the problems that could be found.
    """
    if len(source.text) > MAX_BYTES:
        raise SpecError(_too_large(source.path))
    # Before parsing: libyaml names bad characters by their bytes, and allows some of these.
    text = source.text.removeprefix(_BOM)
    if bad := FORBIDDEN.search(text):
        before = source.text[: bad.start() + len(source.text) - len(text)]
        raise SpecError(_bad_character(bad.group(), _span_at(source, before)))
    return _Loader(source, text).load()


def load_value(source: Source, start: int) -> Yaml:
    """The YAML value that begins at character `start` of a text of one line, as in `key=value`.

    Raises:
        SpecError: XG102 to XG112; XG110 when there is nothing.
    """
    text = source.text[start:]
    if len(text) > MAX_BYTES:
        raise SpecError(_too_large(source.path))
    if bad := FORBIDDEN.search(text):
        raise SpecError(
            _bad_character(bad.group(), _span_at(source, source.text[: start + bad.start()]))
        )
    return _Loader(source, text).load()


class _Frame:
    """A collection that is being read."""

    __slots__ = (
        "anchor",
        "height",
        "is_flow",
        "is_mapping",
        "items",
        "key",
        "key_span",
        "seen",
        "span",
        "start",
    )

    def __init__(self, event: CollectionStartEvent, span: Span, start: int) -> None:
        self.is_mapping = type(event) is MappingStartEvent
        self.is_flow = bool(event.flow_style)
        self.span = span
        self.anchor: str | None = event.anchor
        self.start = start  # the count of nodes before it
        self.height = 1  # levels of collections, itself included
        self.items: list[Yaml | Entry] = []
        self.seen: dict[str, Span] = {}
        self.key_span: Span | None = None  # of the key whose value comes next
        self.key: str | None = None  # None with a key_span: a key that was reported


class _Anchored:
    """What an alias refers to. `node` is None while its own text is still being read."""

    __slots__ = ("height", "node", "size")

    def __init__(self, node: Yaml | None, size: int, height: int) -> None:
        self.node, self.size, self.height = node, size, height


class _Loader:
    def __init__(self, source: Source, text: str) -> None:
        self.source = source
        self.text = text
        # What stands before `text` on the first line: a byte order mark, or the key of a setting.
        self.shift = len(source.text) - len(text)
        self.problems: list[Diagnostic] = []
        self.stack: list[_Frame] = []
        self.anchors: dict[str, _Anchored] = {}
        self.count = 0  # nodes so far, aliases expanded
        self.root: Yaml | None = None
        self.documents = 0

    def load(self) -> Yaml:
        for event in self.events():
            kind = type(event)
            if kind is ScalarEvent:
                self.scalar(event)
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                self.open(event)
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self.close()
            elif kind is AliasEvent:
                self.alias(event)
            elif kind is DocumentStartEvent:
                self.document(event)
        root = self.root
        if not self.problems and (
            root is None or (isinstance(root, Scalar) and not root.span.length)
        ):
            self.stop(
                Diagnostic(
                    "XG110",
                    "the document is empty",
                    Span(self.source, 1, self.shift + 1),
                    expected="a spec that begins with 'xgraph: 1'",
                    received="nothing, or comments only" if self.text.strip() else "nothing",
                )
            )
        if self.problems or root is None:
            raise SpecError(self.problems)
        return root

    def events(self) -> Iterator[Any]:
        try:
            yield from parse(self.text)
        except yaml.MarkedYAMLError as error:
            self.check_unseen_depth(error)
            self.stop(self.syntax_error(error))
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # The pure Python parser lets such escapes as "\UFFFFFFFF" through to chr().
            reason = "an escape in a quoted text" if isinstance(error, ValueError) else "its text"
            span = Span(self.source, 1, 1)
            self.stop(Diagnostic("XG104", f"this is not valid YAML: {reason} is wrong", span))

    def report(self, problem: Diagnostic) -> None:
        self.problems.append(problem)
        if len(self.problems) >= _MAX_PROBLEMS:
            raise SpecError(self.problems)

    def stop(self, problem: Diagnostic) -> NoReturn:
        raise SpecError([*self.problems, problem])

    # --- positions ---

    def span(self, line: int, column: int, length: int = 1) -> Span:
        """The span at a mark of libyaml, which counts lines and characters from 0."""
        if line == 0:
            column += self.shift
        return Span(self.source, line + 1, column + 1, length)

    def begin(self, event: NodeEvent) -> tuple[int, int]:
        """Where the node itself begins: an event's mark is that of its anchor, if it has one."""
        mark = _start(event)
        if event.anchor is None:
            return mark.line, mark.column
        index = mark.index + 1 + len(event.anchor)
        gap = GAP.match(self.text, index)
        end = gap.end() if gap else index
        skipped = self.text[mark.index : end].replace("\r\n", "\n").replace("\r", "\n")
        if "\n" not in skipped:
            return mark.line, mark.column + len(skipped)
        return mark.line + skipped.count("\n"), len(skipped) - skipped.rindex("\n") - 1

    def scalar_span(self, event: ScalarEvent) -> Span:
        if event.value == "" and not event.style:  # `key:` and nothing
            mark = _start(event)
            return self.span(mark.line, mark.column, 0)
        line, column = self.begin(event)
        end: Any = event.end_mark
        if end.line == line:
            return self.span(line, column, end.column - column)
        span = self.span(line, column)
        rest = self.source.line(span.line)[span.column - 1 :].rstrip()
        header = _BLOCK_HEADER.match(rest) if event.style in ("|", ">") else None
        return self.span(line, column, len(header.group() if header else rest))

    # --- events ---

    def document(self, event: DocumentStartEvent) -> None:
        self.documents += 1
        mark = _start(event)
        if self.documents > 1:
            span = self.span(mark.line, mark.column, 3)
            message = "a second document begins here; a file holds one"
            self.stop(Diagnostic("XG110", message, span, hint="remove the '---'"))
        if event.tags:
            span = self.directive(mark.line, "%TAG")
            self.report(Diagnostic("XG106", "tags are not allowed", span))
        if event.version not in (None, (1, 2)):
            major, minor = event.version
            self.report(
                Diagnostic(
                    "XG104",
                    f"YAML {major}.{minor} is not supported",
                    self.directive(mark.line, "%YAML"),
                    expected="YAML 1.2",
                    hint="remove the %YAML line",
                )
            )

    def directive(self, line: int, name: str) -> Span:
        while line < len(self.source.lines) - 1 and not self.text_line(line).startswith(name):
            line += 1
        return self.span(line, 0, len(self.text_line(line).rstrip()))

    def text_line(self, line: int) -> str:
        return self.source.line(line + 1)[self.shift if line == 0 else 0 :]

    def scalar(self, event: ScalarEvent) -> None:
        if event.tag is not None:
            self.tag(event)
        span = self.scalar_span(event)
        text = event.value
        plain = not event.style  # None, or '' from libyaml
        value: bool | int | float | str | None = text
        valid = True
        if plain:
            try:
                value = resolve(text, False, span)
            except SpecError as error:
                self.report(error.diagnostics[0])
                valid = False
        elif not text.isprintable() and (bad := FORBIDDEN.search(text)):  # by an escape
            self.report(_bad_character(bad.group(), span))
        node = Scalar(value, span, not plain)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(node, 1, 0)
        self.place(node, span, 1, valid=valid)

    def open(self, event: CollectionStartEvent) -> None:
        if event.tag is not None:
            self.tag(event)
        span = self.span(*self.begin(event))
        self.check_depth(1, span)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(None, 0, 0)
        self.stack.append(_Frame(event, span, self.count))

    def close(self) -> None:
        frame = self.stack.pop()
        node: Yaml
        if frame.is_mapping:
            entries: tuple[Entry, ...] = tuple(frame.items)  # type: ignore[arg-type]
            node = Mapping(entries, frame.span)
        else:
            node = Sequence(tuple(frame.items), frame.span)  # type: ignore[arg-type]
        size = self.count - frame.start + 1
        if frame.anchor is not None:
            self.anchors[frame.anchor] = _Anchored(node, size, frame.height)
        self.place(node, frame.span, 1, frame.height)

    def alias(self, event: AliasEvent) -> None:
        name = event.anchor or ""
        mark = _start(event)
        span = self.span(mark.line, mark.column, 1 + len(name))
        target = self.anchors.get(name)
        if target is None or target.node is None:
            if target is None:
                message = f"there is no anchor '&{name}' above this alias"
                known = [anchor for anchor, one in self.anchors.items() if one.node is not None]
                hint = suggest(name, known)
            else:
                message = f"the alias '*{name}' is inside the value that it stands for"
                hint = None
            self.report(Diagnostic("XG109", message, span, hint=hint))
            self.place(Scalar(None, span), span, 1, valid=False)
            return
        self.check_depth(target.height, span)
        self.place(target.node, span, target.size, target.height)

    def check_depth(self, levels: int, span: Span) -> None:
        if len(self.stack) + levels > MAX_DEPTH:
            self.too_deep(span)

    def check_unseen_depth(self, error: yaml.MarkedYAMLError) -> None:
        """Judge the depth of what stands before an error by our limit, not by the parser's.

        Parsers look ahead, up to 1,024 characters for the ':' of a key, and newer ones give up at
        a thousand levels by themselves, before the events of our first 64 have come. Cut there,
        the text has nothing to look ahead to, and all of them come.
        """
        mark = error.problem_mark
        if mark is None:
            return
        depth = 0
        with contextlib.suppress(yaml.YAMLError, ValueError, OverflowError):
            for event in parse(self.text[: mark.index]):
                if isinstance(event, CollectionStartEvent):
                    depth += 1
                    if depth > MAX_DEPTH:
                        self.too_deep(self.span(*self.begin(event)))
                elif isinstance(event, CollectionEndEvent):
                    depth -= 1

    def too_deep(self, span: Span) -> NoReturn:
        message = f"lists and mappings are nested deeper than {MAX_DEPTH} levels"
        self.stop(Diagnostic("XG107", message, span))

    def place(self, node: Yaml, span: Span, size: int, height: int = 0, valid: bool = True) -> None:
        """Put a finished node where the innermost open collection wants it.

        `span` is where it is written, which for an alias is not where the node's own text is.
        `size` counts its nodes, and `height` its levels of collections.
        """
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        if frame.is_mapping and frame.key_span is None:
            self.key(frame, node, span, valid)
            return
        self.count += size
        if self.count > MAX_NODES:
            message = f"the document has more than {MAX_NODES:,} values, aliases expanded"
            self.stop(Diagnostic("XG108", message, span))
        frame.height = max(frame.height, height + 1)
        if not frame.is_mapping:
            frame.items.append(node)
            return
        if frame.key is not None and frame.key_span is not None:
            frame.items.append(Entry(frame.key, frame.key_span, node))
        frame.key = frame.key_span = None

    def key(self, frame: _Frame, node: Yaml, span: Span, valid: bool) -> None:
        if not frame.is_flow and not frame.seen:  # a block mapping begins at its first key
            frame.span = Span(self.source, span.line, span.column)
        frame.key_span = span
        if not valid:
            return
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            self.report(_bad_key(node, span, self.source))
            return
        first = frame.seen.setdefault(node.value, span)
        if first is not span:
            message = f"the key {shown(node.value)} is here twice"
            notes = (("the first one is here", first),)
            self.report(Diagnostic("XG105", message, span, notes=notes))
            return
        frame.key = node.value

    def tag(self, event: NodeEvent) -> None:
        """A tag before or after the node's anchor; the span is the tag's."""
        line, column = _start(event).line, _start(event).column
        if event.anchor is not None and self.text[_start(event).index] == "&":
            line, column = self.begin(event)
        span = self.span(line, column)
        match = _TAG.match(self.source.line(span.line), span.column - 1)
        written = match.group() if match else ""
        self.report(
            Diagnostic(
                "XG106",
                "tags are not allowed",
                self.span(line, column, max(1, len(written))),
                received=shown(written),
                hint="remove the tag; quote the value if it is meant to be a text",
            )
        )

    # --- syntax errors ---

    def syntax_error(self, error: yaml.MarkedYAMLError) -> Diagnostic:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        context, problem = error.context or "", error.problem or "this is not valid YAML"
        opening = error.context_mark
        at_end = mark is None or mark.index >= len(self.text.rstrip())
        code, hint = "XG104", None
        message = problem.replace("found ", "", 1) if problem.startswith("found ") else problem
        text = self.text_line(line)
        here = text[column : column + 1]
        indent = text[: len(text) - len(text.lstrip())]
        notes: tuple[tuple[str, Span | None], ...] = ()
        if "undefined tag handle" in problem:
            code, message = "XG106", "tags are not allowed"
        elif here == "\t" or ("\t" in indent and column <= len(indent)):
            column = text.index("\t")
            message = "a tab cannot indent a line"
            hint = "indent with spaces"
        elif opening and "quoted scalar" in context and "unexpected" in problem:
            line, column = opening.line, opening.column
            message = "this quote is never closed"
            hint = f"close the text with {self.text_line(line)[column : column + 1]}"
        elif opening and "parsing a flow" in context:
            bracket, kind = ("]", "list") if "sequence" in context else ("}", "mapping")
            begin = self.span(opening.line, opening.column)
            here_span = self.span(line, column)
            outer = [one for one in self.stack if one.is_flow and one.span != here_span]
            if begin == here_span and outer:  # libyaml saw a mapping without braces begin here
                begin = outer[-1].span
                bracket, kind = ("}", "mapping") if outer[-1].is_mapping else ("]", "list")
            if at_end:
                line, column = begin.line - 1, begin.column - 1
                column -= self.shift if line == 0 else 0
                message = f"this {kind} is never closed"
            else:
                message = f"expected ',' or '{bracket}' in the {kind}"
                notes = ((f"the {kind} begins here", begin),)
            hint = f"close the {kind} with '{bracket}'"
            if here == "[" and "$" in re.split(r"[,\[\]{}]", text[:column])[-1]:
                hint = QUOTE
        elif "scanning an alias" in context or "scanning an anchor" in context:
            message = f"{'*' if 'alias' in context else '&'} needs a name of letters and digits"
            hint = "quote a text that begins so"
        elif "mapping values are not allowed" in problem:
            message = "a ':' cannot be here"
            hint = "check the indentation, or quote a text that contains ': '"
        elif "could not find expected ':'" in problem:
            if "simple key" in context and opening:
                line, column = opening.line, opening.column
            message = "this key has no ':' after it"
            hint = "write 'key: value', with a space after the colon"
        elif "cannot start any token" in problem:
            message = f"{shown(here)} cannot begin a value"
            hint = "quote the text"
        elif "block mapping" in context:
            message = "expected a key, aligned with the keys above"
            hint = "check the indentation, and the quotes around a text"
        elif "block collection" in context or "block sequence" in context:
            message = "expected '- ', aligned with the items above"
            hint = "check the indentation"
        elif "<document start>" in problem:
            message = "the document ended before this"
            hint = "check the indentation"
        length = 1
        last = len(self.source.lines) - 1
        if at_end and line >= last and not self.text_line(last):  # the end of the text
            line = len(self.text.rstrip().replace("\r\n", "\n").replace("\r", "\n").split("\n")) - 1
            column = len(self.text_line(line).rstrip())
        if code == "XG106":
            length = max(1, len(re.split(r"\s", self.text_line(line)[column:])[0]))
        return Diagnostic(code, message, self.span(line, column, length), hint=hint, notes=notes)


def parse(text: str) -> Iterator[Event]:
    """The events of a text, by libyaml where PyYAML has it, which is ten times as fast."""
    yield from yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _start(event: Event) -> Any:
    """The mark of an event: `line`, `column` and `index`, from 0. The stubs let it be None."""
    return event.start_mark


def _bad_key(node: Yaml, span: Span, source: Source) -> Diagnostic:
    if not isinstance(node, Scalar):
        kind = "a list" if isinstance(node, Sequence) else "a mapping"
        hint = f"quote it if it begins with '{'[' if kind == 'a list' else '{'}'"
        return Diagnostic(
            "XG111", "a key must be a text", span, expected="a text", received=kind, hint=hint
        )
    written = source.line(span.line)[span.column - 1 :][: span.length]
    return Diagnostic(
        "XG111",
        "a key must be a text",
        span,
        expected="a text",
        received=f"{shown(node.value)}" if written else "nothing",
        hint=f"quote it: '{written}'" if written else "write a key before the ':'",
    )


def _bad_character(character: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "XG103",
        "this character is not allowed in a spec",
        span,
        expected="printable text, tabs and line breaks",
        received=f"the character U+{ord(character):04X}",
        hint="remove it",
    )


def _too_large(shown_as: str) -> Diagnostic:
    limit = MAX_BYTES // (1024 * 1024)
    return Diagnostic("XG102", f"{_name(shown_as)} is too large; a spec has at most {limit} MiB")


def _span_at(source: Source, before: str) -> Span:
    """The character that comes after the text `before` in `source`."""
    lines = Source(source.path, before).lines
    return Span(source, len(lines), len(lines[-1]) + 1)


def _close_names(path: Path, others: Iterable[str]) -> str | None:
    try:
        with os.scandir(path.parent) as entries:
            names = sorted(entry.name for entry, _ in zip(entries, range(1000), strict=False))
    except (OSError, ValueError):
        return None
    return suggest(path.name, [*names, *others])


def _name(shown_as: str) -> str:
    return shown(shown_as, limit=200)
