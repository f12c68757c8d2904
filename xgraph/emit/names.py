"""Names in generated code: valid, free of clashes, and in the style of Python."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

#: How the field writes these words in a class name.
_CAMEL = {
    "bn": "BN",
    "sepconv": "SepConv",
    "se": "SE",
    "vgg": "VGG",
    "resnet": "ResNet",
    "elu": "ELU",
}
#: How the field writes these words in prose.
_SPELLED = {
    "bn": "BN",
    "elu": "ELU",
    "gelu": "GELU",
    "relu": "ReLU",
    "relu6": "ReLU6",
    "se": "SE",
    "silu": "SiLU",
}
_WORD = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_WORD_LIMIT = 24
#: Names that every generated module uses for its own purposes, and one that looks like a number.
_TAKEN = frozenset(
    {"inputs", "l", "make_divisible", "math", "model", "np", "nn", "path", "seed", "self", "super"}
    | {"x"}
)


def safe_name(name: str) -> str:
    """`name` as a variable or attribute: a trailing underscore where Python means something else.

    Names of specs never end in an underscore, so the original is what stands before it.
    """
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or hasattr(builtins, name):
        return f"{name}_"
    return f"{name}_" if name in _TAKEN else name


def class_name(name: str, *words: str) -> str:
    """`sepconv_bn` → `SepConvBN`; `words` that tell it from others follow."""
    parts = [part for word in (name, *words) for part in word.replace(".", "_").split("_") if part]
    camel = "".join(_camel(part) for part in parts)
    return identifier(f"{camel}_" if keyword.iskeyword(camel) else camel)


def sentence(*names: str) -> str:
    """Names as prose: `conv`, `batch_norm`, `relu6` → `Conv, batch norm and ReLU6`."""
    *others, last = (
        " ".join(_SPELLED.get(word, word) for word in name.split("_")) for name in names
    )
    text = f"{', '.join(others)} and {last}" if others else last
    return text[:1].upper() + text[1:]


def is_word(text: str) -> bool:
    """Whether a text of a spec may be part of a name; lines with a long one could not be broken."""
    return len(text) <= _WORD_LIMIT and _WORD.fullmatch(text) is not None


def _camel(word: str) -> str:
    letters = word.rstrip("0123456789")
    known = _CAMEL.get(letters, letters[:1].upper() + letters[1:])
    return known + word[len(letters) :]


def identifier(name: str) -> str:
    """`name`, which must be one that Python reads as such, in ASCII.

    Raises:
        AssertionError: it is not; the one who asked has made it wrongly.
    """
    if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name):
        raise AssertionError(f"{name!r} is not a name")
    return name


class NameTable:
    """Hands out names that nothing else in a scope has."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken)

    def fresh(self, base: str) -> str:
        """`base`, or `base2`, `base3` … when it is taken."""
        name, number = base, 2
        while name in self.taken:
            name, number = f"{base}{number}", number + 1
        self.taken.add(name)
        return identifier(name)


class Scope:
    """The names in one class or function, each with one meaning.

    A name is a number's, known when the network is made (a parameter, a loop's variable, a count
    of channels), or a tensor's. Numbers are told apart by asking; a tensor has the same name
    wherever the spec calls it by the same word, and may be assigned again. No name of one hides
    one of the other, or one that the program has for its own purposes (`reserved`).
    """

    def __init__(self, reserved: Iterable[str]) -> None:
        self.reserved = frozenset(reserved)
        self.numbers: set[str] = set()
        self.tensors: dict[str, str] = {}

    def number(self, word: str) -> str:
        """A name for a number that the spec calls `word`; another one each time."""
        base = self._variable(word)
        if base in self.tensors.values():
            base = f"{base}_value"
        name, number = base, 2
        while self._is_taken(name):
            name, number = f"{base}{number}", number + 1
        self.numbers.add(name)
        return identifier(name)

    def tensor(self, word: str) -> str:
        """The name of the tensor that the spec calls `word`; a path has dots."""
        if word not in self.tensors:
            base = self._variable(word.replace(".", "_"))
            if base in self.numbers:
                base = f"{base}_output"
            name, number = base, 2
            while self._is_taken(name):
                name, number = f"{base}_{number}", number + 1
            self.tensors[word] = identifier(name)
        return self.tensors[word]

    def _variable(self, word: str) -> str:
        """A word of the spec as a variable that hides nothing of the program's own."""
        safe = safe_name(word)
        return f"{safe}_" if safe in self.reserved else safe

    def _is_taken(self, name: str) -> bool:
        return name in self.numbers or name in self.reserved or name in self.tensors.values()
