"""Names in generated code: valid, free of clashes, and in the style of Python."""

from __future__ import annotations

import builtins
import keyword
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
#: Names that every generated module uses for its own purposes.
_TAKEN = frozenset({"x", "self", "seed", "path", "model", "np", "nn", "math", "inputs", "super"})


def safe_name(name: str) -> str:
    """`name` as a variable or attribute: a trailing underscore where Python means something else.

    Names of specs never end in an underscore, so the original is what stands before it.
    """
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or hasattr(builtins, name):
        return f"{name}_"
    return f"{name}_" if name in _TAKEN else name


def class_name(name: str) -> str:
    """`sepconv_bn` → `SepConvBN`; safe as a Python identifier."""
    words = [word for word in name.replace(".", "_").split("_") if word]
    camel = "".join(_camel(word) for word in words)
    return f"{camel}_" if keyword.iskeyword(camel) else camel or "Block"


def _camel(word: str) -> str:
    letters = word.rstrip("0123456789")
    known = _CAMEL.get(letters, letters[:1].upper() + letters[1:])
    return known + word[len(letters) :]


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
        return name
