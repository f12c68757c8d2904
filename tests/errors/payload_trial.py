"""What becomes of a text in a place: refused with a located error, or in a sound program.

A program is sound if each of its files is Python as its bytes stand, has the shape of the program
that the same place gives with a text that says nothing, shows no character that hides or drives a
terminal, and if nothing but reading happened while it was made.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import io
import os
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any

from tests.errors.payload_fields import Case, Field
from tests.errors.payloads import MARK
from xgraph import backend, cli
from xgraph.compile import check_spellings, emit, prepare
from xgraph.diagnostics import SpecError
from xgraph.recipe import part
from xgraph.recipe.augmentations import AUGMENTATIONS
from xgraph.recipe.sources import SOURCES

BACKENDS = ("flax", "keras", "torch")
IMPOSSIBLE = "impossible"  # no file can have this name, no program be given this argument


@dataclass
class Outcome:
    """`code` is that of the first error, or None where a program was made."""

    code: str | None = None
    faults: list[str] = dataclass_field(default_factory=list)


class Trials:
    """Runs cases below a folder, in this process."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.folder = self.root / "deep" / "deeper" / "case"
        self.benign: dict[tuple[str, str], Mapping[str, Mapping[str, str]]] = {}
        for section in part.KINDS:  # files of ours that a recipe would import while it is watched
            list(part.named(section).values())
        for found in (SOURCES, AUGMENTATIONS):
            list(found.values())

    def run(self, field: Field, text: str) -> Outcome:
        expected = {} if field.typed else self._expected(field, field.benign(text))
        outcome, programs = self._made(field, field.make(text))
        for name, files in programs.items():
            if field.typed:
                faults = _alone(files)
            else:
                faults = _compared(files, expected[name], field.benign(text), text)
                if faults and not field.command:
                    same = field.as_long(text)
                    faults = _compared(files, self._expected(field, same)[name], same, text)
            outcome.faults += [f"{name}: {fault}" for fault in faults]
        return outcome

    def _expected(self, field: Field, plain: str) -> Mapping[str, Mapping[str, str]]:
        """The programs that a place gives with a text that says nothing."""
        key = (field.name, plain)
        if key not in self.benign:
            outcome, programs = self._made(field, field.make(plain))
            assert outcome.code is None, (field.name, outcome)
            self.benign[key] = programs
        return self.benign[key]

    def _made(self, field: Field, case: Case) -> tuple[Outcome, dict[str, Mapping[str, str]]]:
        """The programs of a case, by backend."""
        outcome, programs = Outcome(), {}
        with self._files(case) as possible:
            if not possible or any("\0" in part for part in (case.spec, *case.settings)):
                return Outcome(IMPOSSIBLE), {}
            with watched(self.root if field.command else None) as seen:
                try:
                    if field.command:
                        outcome, programs = self._commanded(case)
                    else:
                        programs = self._compiled(case)
                except SpecError as error:
                    outcome.code = error.diagnostics[0].code
                    if unsafe := unsafe_characters(str(error)):
                        outcome.faults.append(f"an error shows {unsafe}")
                except Exception as error:
                    outcome.faults.append(f"{type(error).__name__}: {error}")
            outcome.faults += seen
        return outcome, programs

    def _compiled(self, case: Case) -> dict[str, Mapping[str, str]]:
        compilation = prepare(case.spec, case.settings, case.recipe)
        programs = {}
        for name in BACKENDS:
            target = backend.get(name)
            check_spellings(compilation.analysis, target)
            programs[name] = emit(compilation, target)
        return programs

    def _commanded(self, case: Case) -> tuple[Outcome, dict[str, Mapping[str, str]]]:
        outcome, programs = Outcome(), {}
        for name in BACKENDS:
            out, err = io.StringIO(), io.StringIO()
            output = f"{case.output}/{name}"
            arguments = ["compile", case.spec, "--backend", name, f"--output={output}"]
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = cli.main([*arguments, f"--recipe={case.recipe}"])
            if unsafe := unsafe_characters(out.getvalue() + err.getvalue()):
                outcome.faults.append(f"the terminal shows {unsafe}")
            if status:
                code = re.search(r"error\[(XG\d+)\]", err.getvalue())
                outcome.code = code[1] if code else f"exit {status}"
            else:
                programs[name] = {
                    path.name: path.read_bytes().decode()
                    for path in Path(output).iterdir()
                    if path.suffix == ".py"
                }
        return outcome, programs

    @contextlib.contextmanager
    def _files(self, case: Case) -> Iterator[bool]:
        """The case's files, in the folder where we are; False if there can be no such files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        written: list[Path] = []
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            try:
                for name, content in case.files.items():
                    path = self.folder / name
                    if not path.resolve().is_relative_to(self.root) or path.exists():
                        raise ValueError(name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(content, encoding="utf-8")
                    written.append(path)
                possible = True
            except (OSError, ValueError):  # UnicodeEncodeError is one
                possible = False
            yield possible
        finally:
            os.chdir(before)
            for path in written:
                path.unlink()


def _alone(files: Mapping[str, str]) -> list[str]:
    """What is wrong with a program that is compared with none."""
    faults = []
    for name, text in files.items():
        try:
            tree = ast.parse(text.encode())
        except (SyntaxError, ValueError) as error:
            faults.append(f"{name}: {error}")
        else:
            faults += [f"{name}: {word}" for word in identifiers(tree) if MARK in word]
    return faults


def _compared(
    files: Mapping[str, str], benign: Mapping[str, str], plain: str, word: str
) -> list[str]:
    if files.keys() != benign.keys():
        return [f"other files: {sorted(files.keys() ^ benign.keys())}"]
    faults = []
    for name, text in files.items():
        if unsafe := unsafe_characters(text):
            faults.append(f"{name} shows {unsafe}")
        try:
            tree = _tree(_without_top(text))
        except (SyntaxError, ValueError) as error:
            faults.append(f"{name}: {error}")
            continue
        other = _tree(_without_top(benign[name]))
        if tree is not other and (found := difference(other, tree, plain, word)):
            faults.append(f"{name}: {found}")
    return faults


def _without_top(text: str) -> str:
    """A file without what its first lines say of where it comes from, if they can say no more."""
    top, quotes, rest = text.partition('"""')
    lines = top.split("\n")
    plain = all(
        re.fullmatch("# [ -~\xa1-\uffff\U00010000-\U0010ffff]*", line) for line in lines[:-1]
    )
    return quotes + rest if plain and not lines[-1] and "coding" not in top else text


@functools.lru_cache(1024)
def _tree(text: str) -> ast.Module:
    return ast.parse(text.encode())


def identifiers(tree: ast.AST) -> Iterator[str]:
    """Every name in a program."""
    for node in ast.walk(tree):
        for name in ("id", "attr", "name", "arg", "module", "asname"):
            word = getattr(node, name, None)
            if isinstance(word, str):
                yield word


def difference(benign: ast.AST, tree: ast.AST, plain: str, word: str) -> str | None:
    """Where two programs differ by more than strings, and by names made of these two words."""
    pending: list[tuple[Any, Any]] = [(benign, tree)]
    while pending:
        left, right = pending.pop()
        where = f"line {getattr(right, 'lineno', '?')}"
        if type(left) is not type(right):
            return f"{where}: {type(left).__name__} becomes {type(right).__name__}"
        if isinstance(left, ast.Constant):
            if not isinstance(left.value, str) and (
                type(left.value) is not type(right.value) or left.value != right.value
            ):
                return f"{where}: {left.value!r} becomes {right.value!r}"
        elif isinstance(left, ast.AST):
            pending += [(getattr(left, f), getattr(right, f)) for f in left._fields]
        elif isinstance(left, list):
            if len(left) != len(right):
                return f"{len(left)} parts become {len(right)}"
            pending += zip(left, right, strict=True)
        elif isinstance(left, str):
            if left != right and not _same_name(left, right, plain, word):
                return f"the name {left} becomes {right}"
        elif left != right:
            return f"{where}: {left!r} becomes {right!r}"
    return None


def _same_name(left: str, right: str, plain: str, word: str) -> bool:
    """Whether two names differ by the word of the spec in them alone, or by what avoids a clash."""
    if not (right.isascii() and right.isidentifier()):
        return False
    one, other, plain, word = (text.lower().replace("_", "") for text in (left, right, plain, word))
    if one == word and len(one) == len(other) == 1:  # an index of ours, which the word has taken
        return True
    wanted = one.replace(plain, word) if plain in one else one
    return re.fullmatch(
        re.escape(wanted) + r"(\d*|value|output|layer|block|section|model|list)", other
    ) is not None  # fmt: skip


#: Characters that take part in no word and show nothing, though Python calls them printable.
_FILLERS = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
_SELECTORS = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


def unsafe_characters(text: str) -> str:
    """Those that hide, reorder, or drive a terminal."""
    found = {
        character
        for character in set(text) - {"\n", "\t"}
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp")
        or ord(character) in _FILLERS
        or any(ord(character) in selectors for selectors in _SELECTORS)
    }
    return ", ".join(sorted(f"U+{ord(character):04X}" for character in found))


_READING = ("os.listdir", "os.scandir", "glob.glob", "pathlib.Path.glob", "os.fwalk", "os.walk")
_DOERS = ("os", "subprocess", "socket", "shutil", "ctypes", "tempfile", "pty", "urllib")
_watches: list[tuple[list[str], Path | None]] = []
_armed = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watches:
        return
    seen, root = _watches[-1]
    doing = event in ("exec", "import") or event.partition(".")[0] in _DOERS
    paths: list[Any] = []
    if event == "open":
        path, mode, flags = arguments
        writes = isinstance(mode, str) and set(mode) & set("wax+")
        if not writes and not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
            return
        doing, paths = True, [path]
    if not doing or event in _READING:
        return
    if root is not None and event not in ("exec", "import"):
        paths = paths or [a for a in arguments if isinstance(a, str | bytes | os.PathLike)]
        places = [os.path.realpath(os.fsdecode(p)) for p in paths if not isinstance(p, int)]
        if places and all(Path(place).is_relative_to(root) for place in places):
            return
    seen.append(f"{event} {arguments!r:.200}")


@contextlib.contextmanager
def watched(root: Path | None) -> Iterator[list[str]]:
    """What happens within that is more than reading; below `root` files may be written."""
    global _armed  # noqa: PLW0603 (a hook cannot be taken away again)
    if not _armed:
        sys.addaudithook(_hook)
        _armed = True
    seen: list[str] = []
    _watches.append((seen, root))
    try:
        yield seen
    finally:
        _watches.pop()
