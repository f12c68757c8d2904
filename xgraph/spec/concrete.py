"""A YAML text as it is written: spellings, styles, anchors, comments and blank lines.

`loading` reads what a text means, and this what it looks like, for whoever writes it again
(`writer`). A text must have passed `loading` before: here nothing is checked or bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    MappingStartEvent,
    ScalarEvent,
)

from xgraph.spec.loading import GAP, parse
from xgraph.spec.scalars import resolve

_COMMENT: Final = re.compile(r"#[^\n]*")
#: The first line of a block scalar: how it is folded, what becomes of its end, a comment.
_HEADER: Final = re.compile(r"([|>])([-+0-9]*)[ \t]*(#[^\n]*)?")


@dataclass(slots=True)
class Atom:
    """A scalar or an alias.

    Attributes:
        text: what a text says; None of everything else.
        written: how what is no text is spelled, such as `1e-3`, `null` or `*name`; "" is nothing.
        lines: the header of a block scalar, and its lines without their indentation.
        anchor: the name by which aliases refer to it, or "".
        start, end: characters of the source that it takes.
        line: where it ends, from 0.
    """

    text: str | None
    written: str = ""
    lines: tuple[str, ...] = ()
    anchor: str = ""
    start: int = 0
    end: int = 0
    line: int = 0

    @property
    def is_nothing(self) -> bool:
        """Whether there is no value, which is not the same as a `null`."""
        return self.text is None and not self.written


@dataclass(slots=True)
class Nest:
    """A list or a mapping.

    Attributes:
        block: whether it is written in block style; None if nobody has written it yet.
        opens: the line where it begins, from 0, and `line` where it ends.
        tail: comments behind the last of its slots, "" for a blank line.
        column: that of its slots, in block style.
        flow: how it is written in flow style on one line, once that is known; None if it cannot be.
    """

    is_mapping: bool
    slots: list[Slot] = field(default_factory=list)
    block: bool | None = None
    anchor: str = ""
    tail: list[str] = field(default_factory=list)
    start: int = 0
    end: int = 0
    opens: int = 0
    line: int = 0
    column: int = 0
    flow: str | None = None


@dataclass(slots=True)
class Slot:
    """An entry of a mapping, or an item of a list, which has no key.

    Attributes:
        before: comments on lines of their own above it, "" for a blank line.
        beside: the comment behind it, or behind its first line.
        start, line: where its key or item begins.
    """

    key: Atom | None
    node: Atom | Nest
    before: list[str] = field(default_factory=list)
    beside: str = ""
    start: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class _Comment:
    """`alone` are those that nothing stands before on their line."""

    text: str
    index: int
    line: int
    column: int
    alone: bool


def read(text: str) -> tuple[Slot, list[str]]:
    """The document of a text as a slot without key, and all its comments; lines end in newlines."""
    root, gaps = _built(text)
    document = Slot(None, root, start=root.start, line=-1)
    comments = _comments(text, gaps)
    _Attaching(comments, text).document(document)
    return document, [comment.text for comment in comments]


def has_anchors(node: Atom | Nest) -> bool:
    """Whether it, or something in it, has an anchor."""
    if node.anchor or isinstance(node, Atom):
        return bool(node.anchor)
    return any(
        (slot.key is not None and slot.key.anchor) or has_anchors(slot.node) for slot in node.slots
    )


def _built(text: str) -> tuple[Atom | Nest, list[tuple[int, int]]]:
    """The tree of a text without comments, and where in the text comments may be."""
    root: Atom | Nest | None = None
    stack: list[Nest] = []
    keys: list[Atom | None] = []  # of each collection in `stack`, the key whose value comes next
    gaps: list[tuple[int, int]] = []
    end = 0  # of the scalar before
    for event in parse(text):
        if isinstance(event, CollectionEndEvent):
            nest, _ = stack.pop(), keys.pop()
            nest.end, nest.line = _mark(event.end_mark).index, _mark(event.end_mark).line
            if nest.block:
                nest.line = nest.slots[-1].node.line
        elif isinstance(event, CollectionStartEvent | ScalarEvent | AliasEvent):
            mark = _mark(event.start_mark)
            node: Atom | Nest
            if isinstance(event, CollectionStartEvent):
                node = _nest(event)
            else:
                node, within = _atom(event, text)
                gaps += [(end, mark.index), *within]
                end = node.end
            root = root or node
            if stack:
                _place(node, mark.line, stack[-1], keys)
            if isinstance(node, Nest):
                stack.append(node)
                keys.append(None)
    assert root is not None  # as `loading` has seen
    return root, [*gaps, (end, len(text))]


def _place(node: Atom | Nest, line: int, around: Nest, keys: list[Atom | None]) -> None:
    """Put a node where the innermost open collection wants it."""
    key = keys[-1]
    if around.is_mapping and key is None:
        assert isinstance(node, Atom)  # keys are texts
        keys[-1] = node
        return
    keys[-1] = None
    start, line = (node.start, line) if key is None else (key.start, key.line)
    around.slots.append(Slot(key, node, start=start, line=line))


def _nest(event: CollectionStartEvent) -> Nest:
    start, end = _mark(event.start_mark), _mark(event.end_mark)
    return Nest(
        isinstance(event, MappingStartEvent),
        block=not event.flow_style,
        anchor=event.anchor or "",
        start=start.index,
        opens=start.line,
        # Where an anchor stands before it, this is the column of the first key, or at the dash.
        column=end.column if event.anchor else start.column,
    )


def _mark(mark: Any) -> Any:
    """`line`, `column` and `index`, from 0. The stubs let it be None."""
    return mark


def _atom(event: ScalarEvent | AliasEvent, text: str) -> tuple[Atom, list[tuple[int, int]]]:
    """A scalar or an alias, and where comments may be before its own text begins."""
    start, end = _mark(event.start_mark), _mark(event.end_mark)
    atom = Atom(None, start=start.index, end=end.index, line=end.line)
    if isinstance(event, AliasEvent):
        atom.written = f"*{event.anchor}"
        return atom, []
    gaps, begin = [], start.index
    if event.anchor:
        atom.anchor = event.anchor
        gap = GAP.match(text, begin + 1 + len(event.anchor))
        gaps.append((begin, gap.end() if gap else begin))
        begin = gaps[-1][1]
    if event.style in ("|", ">"):
        header = _HEADER.match(text, begin)
        assert header is not None
        gaps.append(header.span(3))
        atom.text, atom.lines = event.value, _block_lines(header, text[header.end() : end.index])
    elif event.style:
        atom.text = event.value
    else:
        value = resolve(event.value, quoted=False)
        if isinstance(value, str):
            atom.text = value
        elif isinstance(value, bool):
            atom.written = "true" if value else "false"
        else:
            atom.written = "null" if event.value and value is None else event.value
    return atom, gaps


def _block_lines(header: re.Match[str], rest: str) -> tuple[str, ...]:
    """A block scalar as its author has broken it, where that can be said at any indentation."""
    if header[2] not in ("", "-"):
        return ()
    lines = rest.split("\n")[1:]
    first = next((line for line in lines if line.strip(" ")), None)
    if first is None:
        return ()
    width = len(first) - len(first.lstrip(" "))
    lines = [line[width:] for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return (header[1] + header[2], *lines)


def _comments(text: str, gaps: list[tuple[int, int]]) -> list[_Comment]:
    """What begins with a # where comments may be, in order."""
    found = []
    line = begin = 0
    for gap in gaps:
        for match in _COMMENT.finditer(text, *gap):
            line += text.count("\n", begin, match.start())
            begin = text.rfind("\n", 0, match.start()) + 1
            before = text[begin : match.start()]
            found.append(
                _Comment(
                    match.group().rstrip(), match.start(), line, len(before), not before.strip()
                )
            )
    return found


class _Attaching:
    """Gives comments and blank lines to the slots that they belong to.

    A comment behind something belongs to that, one on a line of its own to what comes next; but at
    the end of a collection in block style, to the collection if it is indented as its slots are,
    and more than what comes next.
    """

    def __init__(self, comments: list[_Comment], text: str) -> None:
        self.comments = comments
        self.text = text
        self.lines = text.split("\n")
        self.done = 0  # comments that are given away

    def document(self, document: Slot) -> None:
        """All of a text; what stands behind everything is at the end of the document."""
        node = document.node
        if isinstance(node, Atom):
            self.atom(document)
            document.before += [comment.text for comment in self.comments[self.done :]]
            return
        self.nest(document, node, len(self.text), -1)
        for comment in self.comments[self.done :]:
            self.apart(comment.line, node.tail)
            node.tail.append(comment.text)

    def take(self, limit: int) -> list[_Comment]:
        """The next comments, those that begin before a character."""
        begin = self.done
        while self.done < len(self.comments) and self.comments[self.done].index < limit:
            self.done += 1
        return self.comments[begin : self.done]

    def apart(self, line: int, texts: list[str]) -> None:
        """Note a blank line above a line."""
        if line > 0 and not self.lines[line - 1].strip() and not (texts and not texts[-1]):
            texts.append("")

    def atom(self, slot: Slot) -> None:
        """What stands between a key and its value, or in the header of a block scalar."""
        for comment in self.take(slot.node.end):
            if comment.alone or slot.beside:
                slot.before.append(comment.text)
            else:
                slot.beside = comment.text

    def nest(self, owner: Slot, nest: Nest, limit: int, outside: int) -> None:
        """Those of a collection.

        Args:
            owner: the slot that it stands in.
            nest: the collection.
            limit: the character where something else begins.
            outside: the column of what comes next, in block style.
        """
        for position, slot in enumerate(nest.slots):
            before = nest.slots[position - 1] if position else owner
            ends = {before.node.line} if position else {owner.line, nest.opens}
            for comment in self.take(slot.start):
                beside = not comment.alone and comment.line in ends and not before.beside
                if beside and (position or not nest.block or comment.line == owner.line):
                    before.beside = comment.text
                    continue
                if nest.block:
                    self.apart(comment.line, slot.before)
                slot.before.append(comment.text)
            if nest.block:
                self.apart(slot.line, slot.before)
            last = position == len(nest.slots) - 1
            if isinstance(slot.node, Atom):
                self.atom(slot)
            elif last:
                self.nest(slot, slot.node, limit if nest.block else nest.end, outside)
            else:
                self.nest(slot, slot.node, nest.slots[position + 1].start, nest.column)
        self.rest(nest, limit, outside)

    def rest(self, nest: Nest, limit: int, outside: int) -> None:
        """Comments at the end of a collection."""
        last = nest.slots[-1] if nest.slots else None
        while self.done < len(self.comments):
            comment = self.comments[self.done]
            beside = not comment.alone and last is not None and comment.line == last.node.line
            if nest.block:
                inside = nest.column <= comment.column and outside < comment.column
                if comment.index >= limit or not (beside or (comment.alone and inside)):
                    return
            elif comment.index >= nest.end:
                return
            self.done += 1
            if beside and last is not None and not last.beside:
                last.beside = comment.text
                continue
            if nest.block:
                self.apart(comment.line, nest.tail)
            nest.tail.append(comment.text)
