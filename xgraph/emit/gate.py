"""The last gate: what a program must be before any of its files is written.

Every file is read as Python reads it, from its bytes, and every name in the model must be the one
that is meant (`xgraph.emit.resolution`). Where a text of the spec or recipe could act
if a part of it stood outside a string, the program is compared with its *neutral twin*: the same
spec with every such text replaced by a harmless one. Both must have the same syntax tree, up to
what stands in strings. So a text that reaches code, by whatever mistake of ours, is found: it makes
a statement, a call or a name that the twin has not.

The twin costs as much as the program. It is not made where no text could act: prose is no Python,
and a plain word or setting can act only where it stands, so that it is looked for.

The gate does not rely on `xgraph.text` or `xgraph.emit.names`; it is there for the day when they
are gone around.
"""

from __future__ import annotations

import ast
import builtins
import functools
import keyword
import re
from collections.abc import Callable, Collection, Iterable, Mapping

from xgraph.emit.resolution import faults

#: The file that has names of the spec.
MODEL = "model.py"


class LeakError(Exception):
    """A generated program is not what was planned; a defect of xgraph or of a backend."""


def check(
    files: Mapping[str, str], texts: Iterable[str], twin: Callable[[], Mapping[str, str]]
) -> None:
    """Make sure that a program is nothing but what its plan says.

    Args:
        files: text by file name.
        texts: all that the spec, its recipe and settings say in words of their own.
        twin: makes the program of the neutral twin; called only if a text could act.

    Raises:
        LeakError: a file is not Python, a name in the model is another than is meant, or a file has
            another shape than the twin's.
    """
    for name, text in files.items():
        if name.endswith(".py"):
            _check_file(name, text)
    acting = [text for text in texts if not is_inert(text)]
    if all(_PLAIN.fullmatch(text) for text in acting) and _are_absent(acting, files):
        return
    neutral = twin()
    if neutral.keys() != files.keys():
        raise LeakError("a text of the spec decides which files the program has")
    renamed = _renamed(files, neutral, acting)
    for name, text in files.items():
        if not name.endswith(".py") or _body(text) == _body(neutral[name]):
            continue
        if not _same_shape(parsed(name, text), parsed(name, neutral[name]), renamed):
            raise LeakError(f"a text of the spec would be a part of the code of {name}")


def parsed(name: str, text: str) -> ast.Module:
    """The syntax tree of a file, as Python would import it.

    Raises:
        LeakError: it is not Python.
    """
    try:
        return ast.parse(text.encode(), name)
    except (SyntaxError, ValueError) as error:
        raise LeakError(f"{name} is not Python: {error}") from None


#: Comments at the top, each of them one line to Python too.
_TOP = re.compile(r"(?:#[^\r\n]*\n)*")
#: What would make Python read a file in another encoding (PEP 263).
_COOKIE = re.compile(r"[^\n]*coding[:=]|[^\n]*\n[^\n]*coding[:=]")


def _body(text: str) -> str:
    """A file without the comments at its top, which are all that settings are shown in."""
    return text[_TOP.match(text).end() :]  # type: ignore[union-attr]  # it matches nothing, too


def _check_file(name: str, text: str) -> None:
    """A file is Python in UTF-8, and its names, in a model, are what is meant."""
    if _COOKIE.match(text):
        raise LeakError(f"a comment of {name} says how the file is encoded")
    if name != MODEL:
        _check_python(name, _body(text))
    elif wrong := faults(parsed(name, text)):
        raise LeakError(f"a name in {name} is not what is meant: {wrong[0]}")


@functools.lru_cache(32)
def _check_python(name: str, body: str) -> None:
    """Remembers what it has seen: backends share files, and only their tops tell programs apart."""
    parsed(name, body)


def _renamed(
    files: Mapping[str, str], neutral: Mapping[str, str], texts: Iterable[str]
) -> dict[str, str]:
    """What the definitions of the twin's model are called in the model, where that differs.

    A word that an argument says may be a part of a class's name, but never all of it.
    """
    if MODEL not in files:
        return {}
    ours, theirs = (_definitions(parsed(MODEL, one[MODEL])) for one in (files, neutral))
    said = set(texts)
    pairs = zip(theirs, ours, strict=False)  # of another number, they differ in shape
    return {their: our for their, our in pairs if their != our and our not in said}


def _definitions(tree: ast.Module) -> list[str]:
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]


def _same_shape(left: object, right: object, renamed: Mapping[str, str]) -> bool:
    """Whether two syntax trees are the same up to what stands in strings, and names of classes."""
    pending = [(left, right)]
    while pending:
        one, other = pending.pop()
        if type(one) is not type(other):
            return False
        if isinstance(one, ast.Constant):
            assert isinstance(other, ast.Constant)
            if type(one.value) is not type(other.value):
                return False
            if not isinstance(one.value, str) and repr(one.value) != repr(other.value):
                return False
        elif isinstance(one, ast.AST):
            pending += [(getattr(one, name), getattr(other, name)) for name in one._fields]
        elif isinstance(one, list):
            assert isinstance(other, list)
            if len(one) != len(other):
                return False
            pending += zip(one, other, strict=True)
        elif one != other and (not isinstance(other, str) or one != renamed.get(other)):
            return False
    return True


#: What could end a string or a comment, or be code within a string. An apostrophe behind three
#: letters begins no string, since no prefix of strings is as long.
_ENDS = re.compile(r"[\"\\#{}\x00-\x1f\x7f-\x9f\u2028\u2029]|(?<!\w\w\w)'|coding[:=]")
#: Two words of no meaning to Python, side by side: a syntax error wherever they stand.
_KEYWORDS = "|".join((*keyword.kwlist, *keyword.softkwlist))
_SIDE_BY_SIDE = re.compile(
    rf"(?<![\w.])(?!(?:{_KEYWORDS})\b)[A-Za-z_]\w* (?=(?!(?:{_KEYWORDS})\b)\w)"
)
#: What could act on a line of its own: calls and items, assignments, decorators, statements.
_ACTS = re.compile(
    r"\([^()]*\)|\[[^][]*\]|[=@]"
    r"|\b(?:assert|await|break|continue|del|global|import|nonlocal|pass|raise|return|while|yield)\b"
    rf"|\b(?:{_KEYWORDS})\b.*:"
)
#: What the code that follows could make a call or a statement of, at the end of a text, as it could
#: of a builtin. But `; layers as in …` is no Python.
_LEADS_ON = re.compile(r"[(\[]|;(?! \w+ as )")
_BUILTINS = frozenset(dir(builtins))
#: A word, a name with dots, or a setting such as `classes=10`; too short to be wrapped.
_PLAIN = re.compile(r"(?=.{1,60}$)\w+(?:\.\w+)*(?:=(?:[\w.+-]*\w|\[[\w., +-]*\]))?")
#: Of more plain words than these none is looked for: the twin costs less.
_MANY = 64
_TOKEN = re.compile(r"\w+|[^\w\s]")


def is_inert(text: str) -> bool:
    """Whether a text cannot act, wherever in a program it stands, and wherever it is wrapped.

    It cannot leave a string or a comment, and outside of one it is no Python: two words side by
    side, neither of them a word of Python, are a syntax error in any place, unless a line ends
    between them. So what lies between two such pairs may do nothing either.
    """
    if _ENDS.search(text):
        return False
    parts = _SIDE_BY_SIDE.split(text)
    if len(parts) == 1 or _LEADS_ON.search(parts[-1]) or _last_word(parts[-1]) in _BUILTINS:
        return False
    return not any(_ACTS.search(part) for part in parts)


def _last_word(text: str) -> str:
    return re.split(r"\W", text)[-1]


def _are_absent(texts: Collection[str], files: Mapping[str, str]) -> bool:
    """Whether none of these plain texts stands anywhere in a program, spaced as it may be."""
    if len(texts) > _MANY:
        return False
    bodies = [_body(text) for name, text in files.items() if name.endswith(".py")]
    for text in texts:
        tokens = _TOKEN.findall(text)
        spelled = r"\s*".join(map(re.escape, tokens))
        spaced = re.compile(rf"(?<!\w){spelled}(?:(?!\w)|(?<=\]))")
        for body in bodies:
            # Most often a word is missing, which is found sooner.
            if all(token in body for token in tokens) and spaced.search(body):
                return False
    return True
