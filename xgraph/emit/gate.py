"""The last gate: what a program must be before any of its files is written.

Every file is read as Python reads it, from its bytes, and every name in the model must be the one
that is meant (`xgraph.emit.resolution`). Where a text of the spec or recipe could act
if a part of it stood outside a string, the program is compared with its *neutral twin*: the same
spec with every such text replaced by a harmless one. Both must have the same syntax tree, up to
what stands in strings. So a text that reaches code, by whatever mistake of ours, is found: it makes
a statement, a call or a name that the twin has not.

The gate does not rely on `xgraph.text` or `xgraph.emit.names`; it is there for the day when they
are gone around.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Callable, Iterable, Mapping

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
    trees = {name: parsed(name, text) for name, text in files.items() if name.endswith(".py")}
    if MODEL in trees and (wrong := faults(trees[MODEL])):
        raise LeakError(f"a name in {MODEL} is not what is meant: {wrong[0]}")
    if all(is_inert(text) for text in texts):
        return
    neutral = twin()
    if neutral.keys() != files.keys():
        raise LeakError("a text of the spec decides which files the program has")
    for name, tree in trees.items():
        if shape(tree) != shape(parsed(name, neutral[name])):
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


def shape(tree: ast.Module) -> str:
    """All of a syntax tree but what stands in its strings; the tree is used up."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


_KEYWORDS = frozenset((*keyword.kwlist, *keyword.softkwlist))
#: What could end a string or a comment, or be code within a string.
_ENDS = re.compile(r"[\"'\\#{}\x00-\x1f\x7f-\x9f\u2028\u2029]|coding[:=]")
_SIDE_BY_SIDE = re.compile(r"(?<![\w.])([A-Za-z_]\w*) (?=([A-Za-z_]\w*|\d))")
_PLAIN = re.compile(r"[a-z][a-z0-9_.]*(=[\w.,\[\] -]*)?")


def is_inert(text: str) -> bool:
    """Whether a text cannot act, wherever in a program it stands.

    It cannot leave a string or a comment, and outside of one it is no Python: two words side by
    side, neither of them a word of Python, are a syntax error in any place. Or it is a plain
    word, or a plain setting such as `classes=10`.
    """
    if _PLAIN.fullmatch(text):
        return True
    if _ENDS.search(text.replace("'", "")):
        return False
    return any(not {first, second} & _KEYWORDS for first, second in _SIDE_BY_SIDE.findall(text))
