"""Writing specs and recipes: from a tree to the YAML text that people would have written.

A list or a mapping stands in flow style on its line where it fits, else in block style, and so on
inside; `layout` says what is different where. Texts have no more quotes than they need to be texts
to readers of YAML 1.2, as xgraph is one, and of YAML 1.1, which take `no` for a truth value and
12:30 for a number.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable
from typing import Any, Final

from yaml.resolver import Resolver

from xgraph.diagnostics import SpecError
from xgraph.spec.concrete import Atom, Nest, Slot, has_anchors
from xgraph.spec.layout import WIDTH, Form, form_of
from xgraph.spec.loading import FORBIDDEN
from xgraph.spec.scalars import INTEGER_DIGITS, resolve


class _Nothing:
    """What stands where a key has no value: a parameter that must be given, a call without any."""

    def __repr__(self) -> str:
        return "NOTHING"


#: `{"filters": NOTHING, "kernel": 3}` is `{filters, kernel: 3}`, and None a `null`.
NOTHING: Final = _Nothing()

#: Keys longer than this need a `?`, for readers do not look further ahead for their `:`.
_KEY_LIMIT: Final = 1000
_STEP: Final = 2
#: What a text without quotes may begin with; a sign may, where no space follows.
_BEGINNING: Final = re.compile(r"[^\s\[\]{},#&*!|>'\"%@`?:-]|-[^\s\[\]{},:-]")
_BLOCK_END: Final = re.compile(r": | #|:$")
_FLOW_END: Final = re.compile(r"[\[\]{},:?]| #")
_ESCAPES: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def write(plain: Any) -> str:
    """A spec, a recipe or any other tree of plain values as YAML text, in the canonical layout.

    Args:
        plain: None, bool, int, float, str, or lists and dicts of these with keys of text; `NOTHING`
            is the value of a key that has none.

    Raises:
        ValueError: there is no way to write it that xgraph would read: a character that may not be
            in a spec, an integer of more than 18 digits.
        TypeError: a value or key of another type.
    """
    return write_document(Slot(None, _node(plain)))


def write_document(document: Slot) -> str:
    """A document with its comments, as YAML text. The tree is changed in place: sorted."""
    node = document.node
    if isinstance(node, Atom):
        comments = [*document.before, *([document.beside] if document.beside else [])]
        lines = node.lines and (node.lines[0], *_indented(node.lines[1:], _STEP))
        return "\n".join([*comments, *(lines or [_spelled(node, in_flow=False)])]) + "\n"
    form = form_of(_keys(node))
    first = next(iter(node.slots), document)
    head = [*first.before, *([document.beside] if document.beside else [])]
    first.before = []
    _prepare(node, form, None, sort=not has_anchors(node))
    # What a file begins with, such as a line for editors, stays there whichever key comes first.
    first = next(iter(node.slots), document)
    first.before = [*head, *first.before]
    writing = _Lines()
    writing.document(document, node, form)
    return "\n".join(writing.lines) + "\n"


def _keys(nest: Nest) -> tuple[str, ...]:
    return tuple(slot.key.text or "" for slot in nest.slots if slot.key is not None)


# -- from plain values ----------------------------------------------------------------------------


def _node(plain: Any) -> Atom | Nest:
    if isinstance(plain, dict):
        return Nest(True, [Slot(_key(key), _node(value)) for key, value in plain.items()])
    if isinstance(plain, list | tuple):
        return Nest(False, [Slot(None, _node(value)) for value in plain])
    if isinstance(plain, str):
        return Atom(_allowed(plain))
    return Atom(None, _number(plain))


def _key(key: Any) -> Atom:
    if not isinstance(key, str):
        raise TypeError(f"a key is a text, not {type(key).__name__}")
    return Atom(_allowed(key))


def _allowed(text: str) -> str:
    if bad := FORBIDDEN.search(text):
        raise ValueError(f"the character U+{ord(bad.group()):04X} may not be in a spec")
    return text


def _number(plain: Any) -> str:
    """What is no text; a float is one to every reader of YAML."""
    if plain is NOTHING:
        return ""
    if plain is None:
        return "null"
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, int):
        if abs(plain) >= 10**INTEGER_DIGITS:
            raise ValueError(f"an integer has at most {INTEGER_DIGITS} digits")
        return str(int(plain))
    if not isinstance(plain, float):
        raise TypeError(f"a {type(plain).__name__} cannot be written into a spec")
    if math.isnan(plain):
        return ".nan"
    if math.isinf(plain):
        return ".inf" if plain > 0 else "-.inf"
    digits, _, exponent = repr(float(plain)).partition("e")
    if not exponent:
        return digits
    # YAML 1.1 wants a point and a sign: 1e-05 is a text there, 1.0e-5 a number.
    return f"{digits if '.' in digits else digits + '.0'}e{int(exponent):+d}"


# -- spelling -------------------------------------------------------------------------------------


def _spelled(atom: Atom, in_flow: bool) -> str:
    """A scalar on one line, behind its anchor."""
    text = atom.written if atom.text is None else spell(atom.text, in_flow)
    if not atom.anchor:
        return text
    return f"&{atom.anchor} {text}" if text or in_flow else f"&{atom.anchor}"


def spell(text: str, in_flow: bool) -> str:
    """A text on one line, in quotes if it needs them; `in_flow` between brackets or braces."""
    if _is_plain(text, in_flow):
        return text
    if text.isprintable():
        if '"' not in text and "\\" not in text:
            return f'"{text}"'
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES or character.isprintable():
        return _ESCAPES.get(character, character)
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_plain(text: str, in_flow: bool) -> bool:
    """Whether it is that text without quotes, to every reader."""
    if not text or not text.isprintable() or not _BEGINNING.match(text) or text[-1] == " ":
        return False
    if (_FLOW_END if in_flow else _BLOCK_END).search(text):
        return False
    if text.startswith(("---", "...")):
        return False
    try:
        if not isinstance(resolve(text, quoted=False), str):
            return False
    except SpecError:  # a number that is too large
        return False
    resolvers = Resolver.yaml_implicit_resolvers
    known = [*resolvers.get(text[0], ()), *resolvers.get(None, ())]
    return not any(pattern.match(text) for _, pattern in known)


def _folded(text: str, width: int) -> tuple[str, ...]:
    """A long text as a block scalar of lines up to a width; nothing where that would change it."""
    body, kept = text.removesuffix("\n"), ">" if text.endswith("\n") else ">-"
    words = body.split(" ")
    if not body.isprintable() or "" in words or len(words) == 1:
        return ()
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return (kept, *lines)


def _literal(text: str) -> tuple[str, ...]:
    """A text of several lines as a block scalar; nothing where that would change it."""
    body, kept = text.removesuffix("\n"), "|" if text.endswith("\n") else "|-"
    lines = body.split("\n")
    if len(lines) == 1 or not lines[0] or not lines[-1] or lines[0][0] in " \t":
        return ()
    if not all(line.isprintable() and (line.strip(" ") or not line) for line in lines):
        return ()
    return (kept, *lines)


# -- layout ---------------------------------------------------------------------------------------


def _prepare(nest: Nest, form: Form, owner: Slot | None, sort: bool) -> None:
    """Order keys, and find what each collection is in flow style, from the inside out."""
    if sort and nest.is_mapping and form.order:
        nest.slots.sort(key=lambda slot: form.rank(_text(slot.key)))
    for slot, after in itertools.pairwise(nest.slots):
        # A list begins in the column of its key, so that what ends it stands above the next one.
        if slot.key is not None and isinstance(slot.node, Nest) and not slot.node.is_mapping:
            after.before = [*slot.node.tail, *after.before]
            slot.node.tail = []
    for slot in nest.slots:
        if isinstance(slot.node, Nest):
            _prepare(slot.node, _form_at(slot, form), slot, sort)
    if owner is not None:
        _raise_comments(nest, owner)
    nest.flow = None
    if nest.slots and _has_lines(nest, form):
        return
    parts = []
    length = 0
    for slot in nest.slots:
        part = _flow_part(slot)
        length += 2 + len(part or "")
        if part is None or length > WIDTH:
            return
        parts.append(part)
    inner = ", ".join(parts)
    nest.flow = f"{{{inner}}}" if nest.is_mapping else f"[{inner}]"


def _text(key: Atom | None) -> str:
    return (key and key.text) or ""


def _form_at(slot: Slot, form: Form) -> Form:
    return form.item() if slot.key is None else form.at(_text(slot.key))


def _has_lines(nest: Nest, form: Form) -> bool:
    """Whether a collection has lines of its own, however short it is."""
    keys = _keys(nest)
    if form.lines or nest.tail or any(key in form.lines_with for key in keys):
        return True
    if not nest.block or _is_of_numbers(nest):
        return False
    joined = ("mapping" if nest.is_mapping else "list") in form.joins
    return not joined or any(key in form.keeps for key in keys)


def _is_of_numbers(nest: Nest) -> bool:
    """Whether it is a list of numbers and truth values, which is a row of a table."""
    return not nest.is_mapping and all(
        isinstance(slot.node, Atom)
        and slot.node.text is None
        and not slot.node.is_nothing
        and not slot.node.anchor
        and not _is_noted(slot)
        for slot in nest.slots
    )


def _is_noted(slot: Slot) -> bool:
    return bool(slot.beside or any(slot.before))


def _flow_part(slot: Slot) -> str | None:
    """An entry or item in flow style; None where it needs lines."""
    node = slot.node
    if _is_noted(slot) or (isinstance(node, Atom) and node.lines):
        return None
    value: str | None
    if isinstance(node, Atom):
        value = _spelled(node, in_flow=True)
    else:
        value = _with_anchor(node, node.flow) if node.flow is not None else None
    if value is None or slot.key is None:
        return value or None
    key = _spelled_key(slot.key, in_flow=True)
    if not value:
        return key
    return f"{key}: {value}"


def _spelled_key(key: Atom, in_flow: bool) -> str:
    """A key before its colon, from which an alias needs a space."""
    return f"{key.written} " if key.text is None else _spelled(key, in_flow)


def _with_anchor(nest: Nest, text: str) -> str:
    return f"&{nest.anchor} {text}" if nest.anchor else text


def _raise_comments(nest: Nest, owner: Slot) -> None:
    """Have comments stand where they do in what is written.

    An item that is a collection begins on the line of its dash, so that what stands above the first
    of its own slots stands above the item.
    """
    if not nest.slots:
        owner.before += [text for text in nest.tail if text]
        nest.tail = []
        return
    if owner.key is not None or nest.anchor:
        return
    first = nest.slots[0]
    owner.before += [text for text in first.before if text]
    first.before = []
    if len(nest.slots) == 1 and first.beside and not owner.beside and not nest.tail:
        owner.beside, first.beside = first.beside, ""


def _indented(lines: Iterable[str], indent: int) -> list[str]:
    return [" " * indent + line if line else "" for line in lines]


class _Lines:
    """Writes lines in block style."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def document(self, document: Slot, node: Nest, form: Form) -> None:
        """All of it."""
        if not node.slots:
            self.lines += [*document.before, _with_anchor(node, node.flow or "")]
            return
        if node.anchor:
            self.lines.append(f"&{node.anchor}")
        self.slots(node, form, 0)

    def slots(self, nest: Nest, form: Form, indent: int, dash: str = "") -> None:
        """Those of a collection; `dash` is what stands before the first one on its line."""
        for position, slot in enumerate(nest.slots):
            for text in slot.before:
                if text or (self.lines and self.lines[-1] and (position or slot.before[0])):
                    self.lines += _indented([text], indent)
            margin = dash if dash and not position else " " * indent
            self.slot(slot, _form_at(slot, form), indent, margin)
        self.lines += _indented(nest.tail, indent)

    def slot(self, slot: Slot, form: Form, indent: int, margin: str) -> None:
        """An entry or an item, behind the margin of its first line."""
        prefix, deeper = f"{margin}-", True
        if slot.key is not None:
            key = _spelled_key(slot.key, in_flow=False)
            prefix, deeper = f"{margin}{key}:", False
            if len(key) > _KEY_LIMIT:
                self.lines.append(f"{margin}? {key}")
                prefix, deeper = " " * indent + ":", True
        node = slot.node
        if isinstance(node, Atom):
            self.atom(node, prefix, indent, slot.beside)
        elif node.flow is not None and _fits(prefix, _with_anchor(node, node.flow)):
            self.add(f"{prefix} {_with_anchor(node, node.flow)}", slot.beside)
        elif not node.slots:
            self.add(f"{prefix} {_with_anchor(node, node.flow or '')}", slot.beside)
        elif _is_of_numbers(node) and not node.tail:
            self.row(node, prefix, indent, slot.beside)
        elif slot.key is None and not node.anchor:
            begin = len(self.lines)
            self.slots(node, form, indent + _STEP, f"{prefix} ")
            if slot.beside and _ends_in_comment(node):
                self.lines.insert(begin, " " * indent + slot.beside)
            elif slot.beside:
                self.lines[begin] += f"  {slot.beside}"
        else:
            self.add(f"{prefix} &{node.anchor}" if node.anchor else prefix, slot.beside)
            self.slots(node, form, indent + _STEP if node.is_mapping or deeper else indent)

    def add(self, line: str, beside: str) -> None:
        self.lines.append(f"{line}  {beside}" if beside else line)

    def atom(self, atom: Atom, prefix: str, indent: int, beside: str) -> None:
        """A scalar behind its key or dash: on the line, or as a block of text."""
        text = _spelled(atom, in_flow=False)
        lines = atom.lines
        if not lines and atom.text is not None:
            lines = _literal(atom.text)
            if not lines and not _fits(prefix, text):
                lines = _folded(atom.text, WIDTH - indent - _STEP)
        if not lines:
            self.add(f"{prefix} {text}" if text else prefix, beside)
            return
        anchor = f"&{atom.anchor} " if atom.anchor else ""
        self.add(f"{prefix} {anchor}{lines[0]}", beside)
        self.lines += _indented(lines[1:], indent + _STEP)

    def row(self, nest: Nest, prefix: str, indent: int, beside: str) -> None:
        """Numbers in flow style, on as many lines as they need."""
        line = f"{prefix} {_with_anchor(nest, '')}["
        for position, slot in enumerate(nest.slots):
            assert isinstance(slot.node, Atom)
            number = slot.node.written + ("]" if position == len(nest.slots) - 1 else ",")
            if len(line) + 1 + len(number) > WIDTH and position:
                self.lines.append(line)
                line = " " * (indent + _STEP) + number
            else:
                line += number if not position else f" {number}"
        self.add(line, beside)


def _fits(prefix: str, text: str) -> bool:
    return len(prefix) + 1 + len(text) <= WIDTH


def _ends_in_comment(nest: Nest) -> bool:
    """Whether the first line of a collection ends in a comment of something inside."""
    first = nest.slots[0]
    if first.beside:
        return True
    node = first.node
    return isinstance(node, Nest) and first.key is None and _ends_in_comment(node)
