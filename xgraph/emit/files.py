"""Writing programs: all of them or nothing, and never over somebody's edits.

Beside the generated files lies `xgraph.json`, which says what they were made from and the SHA-256
of each as it was written. A file whose bytes differ from that was edited, and is not touched
unless `force` is given; then the edited file is kept beside the new one as `NAME.bak`.

Everything is staged, in a folder `.xgraph-new` of the folder that is written to, or beside it as
`.NAME.xgraph-new` where that does not exist yet. Then each file is moved to its place,
`xgraph.json` last; where the system refuses a move, those before it are taken back. A writer holds
a lock on the folder around, so that a stage that it finds was left by one that was killed, and is
removed; a lock ends with its process.

A folder may be a stranger's, and what is in it anything. Nothing is read that is no regular file,
for a pipe would wait forever; a stage is a folder of its own, never a link to another one; and what
cannot be written is refused before the first file is moved.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import hashlib
import json
import os
import shutil
import stat
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xgraph import __version__
from xgraph.diagnostics import Diagnostic, Source, Span, SpecError, printable
from xgraph.ir.analysis import Analysis

MANIFEST = "xgraph.json"
#: The folder in which a program is put together, and what its name ends in where it lies outside.
STAGE = ".xgraph-new"
#: What the name of a copy in the stage ends in that is there to be put back.
_BEFORE = ".before"
_DIFF_LINES = 40
_LINE_LIMIT = 200


@dataclass(frozen=True)
class Program:
    """What is to be written: text by file name, into a folder, made from `origin`."""

    folder: Path
    files: Mapping[str, str]
    origin: Mapping[str, Any]

    @property
    def everything(self) -> dict[str, str]:
        """The files, and `xgraph.json` last."""
        return {**self.files, MANIFEST: manifest_text(self.files, self.origin)}

    @property
    def stage(self) -> Path:
        """Where it is put together: in its folder, or beside it if that does not exist."""
        folder = self.folder
        return folder / STAGE if folder.exists() else folder.with_name(f".{folder.name}{STAGE}")


@dataclass(frozen=True)
class State:
    """How a folder compares with what would be written: file names by what happens to them."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    obsolete: list[str] = field(default_factory=list)

    @property
    def is_current(self) -> bool:
        return not (self.new or self.changed or self.edited or self.obsolete)


class EditedError(SpecError):
    """Files were edited since they were generated (XG701). `diff` shows how."""

    def __init__(self, diagnostics: list[Diagnostic], diff: str) -> None:
        super().__init__(diagnostics)
        self.diff = diff


def origin(analysis: Analysis, backend: str, recipe: str | None = None) -> dict[str, Any]:
    """What a program is made from, as `xgraph.json` says it."""
    return {
        "spec": analysis.name,
        "sha256": analysis.digest,
        "backend": backend,
        "recipe": recipe,
        "settings": list(analysis.settings),
    }


def manifest_text(files: Mapping[str, str], origin: Mapping[str, Any]) -> str:
    """`xgraph.json` for a program."""
    hashes = {name: _digest(text.encode()) for name, text in sorted(files.items())}
    return json.dumps({"xgraph": __version__, **origin, "files": hashes}, indent=2) + "\n"


def compare(folder: Path, files: Mapping[str, str], origin: Mapping[str, Any]) -> State:
    """What writing these files into this folder would change.

    Raises:
        OSError: a folder, a pipe or a device is in the place of a file.
    """
    state = State()
    known = _known(folder)
    for name, text in Program(folder, files, origin).everything.items():
        path = folder / name
        if not os.path.lexists(path):
            state.new.append(name)
            continue
        found = _content(path)
        if found is None:  # a link that leads nowhere is somebody's
            state.edited.append(name)
        elif found == text.encode():
            state.current.append(name)
        elif _manifest(path) is not None if name == MANIFEST else _digest(found) in known[name]:
            state.changed.append(name)
        else:
            state.edited.append(name)
    for name, digests in known.items():
        path = folder / name
        if name not in files and _is_one_of(path, digests):
            state.obsolete.append(name)
    return state


def compare_all(programs: Sequence[Program]) -> list[State]:
    """What writing these programs would change.

    Raises:
        SpecError: what is in the place of a file is none, or one cannot be read (XG705).
    """
    _check_names(programs)
    states = []
    for program in programs:
        with _refusing(program.folder):
            states.append(compare(program.folder, program.files, program.origin))
    return states


def write(
    folder: Path, files: Mapping[str, str], origin: Mapping[str, Any], *, force: bool = False
) -> State:
    """Write one program; see `write_all`."""
    return write_all([Program(folder, files, origin)], force=force)[0]


def write_all(programs: Sequence[Program], *, force: bool = False) -> list[State]:
    """Write programs into their folders, which are made where they do not exist.

    All are compared and staged before the first file is moved to its place, so that a problem of
    one leaves all as they were. Files that are current are left alone; files of an earlier program
    that this one does not have are removed if nobody edited them.

    Raises:
        EditedError: a file was edited, and `force` is not given. Nothing was written.
        SpecError: a folder cannot be written (XG705).
    """
    with contextlib.ExitStack() as held:
        _check_names(programs)
        around = {Path(os.path.realpath(p.folder)).parent: p.folder for p in programs}
        for parent, folder in sorted(around.items()):  # in one order, so that no two can block
            with _refusing(folder):
                held.enter_context(_locked(parent))
        for program in programs:
            with _refusing(program.folder):
                _recover(program.folder)
            held.callback(_remove_stages, program.folder)
        for program in programs:
            with _refusing(program.folder):
                _admit(program)
        states = compare_all(programs)
        edited = [(p, state.edited) for p, state in zip(programs, states, strict=True)]
        if not force and any(names for _, names in edited):
            raise _edited(edited)
        for program, state in zip(programs, states, strict=True):
            with _refusing(program.folder):
                _stage(program, state)
        with contextlib.ExitStack() as undo:
            for program, state in zip(programs, states, strict=True):
                with _refusing(program.folder):
                    _move(program, state, undo)
            undo.pop_all()
    return states


def _check_names(programs: Sequence[Program]) -> None:
    """Refuse a folder whose name the system cannot say.

    Raises:
        SpecError: XG705.
    """
    for program in programs:
        with _refusing(program.folder):
            try:
                sayable = b"\0" not in os.fsencode(program.folder)
            except UnicodeEncodeError:
                sayable = False
            if not sayable:
                raise OSError(errno.EINVAL, "no folder can have this name")


@contextlib.contextmanager
def _refusing(folder: Path) -> Iterator[None]:
    """What the system refuses is an error of the user's (XG705)."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SpecError(
            Diagnostic(
                "XG705",
                f"the program cannot be written to {folder}: {reason}",
                hint="choose another folder with -o",
            )
        ) from None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder, made where it does not exist, against other writers; wait for them.

    When nothing was written, the folders that were made for it are taken away again. The lock is on
    the folder itself, so that it leaves nothing behind.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    handle = None
    try:
        handle = _lock(folder)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # somebody else writes there
            for one in made:
                one.rmdir()
        raise
    finally:
        if handle is not None:
            os.close(handle)


def _lock(folder: Path) -> int | None:
    """The handle that holds the lock; None where the system or the file system has no locks."""
    try:
        import fcntl  # not on Windows
    except ImportError:
        folder.mkdir(parents=True, exist_ok=True)
        return None
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(handle), os.stat(folder)):
                return handle
        except FileNotFoundError:  # a writer that failed took the folder away while we waited
            pass
        except OSError:
            os.close(handle)
            return None
        os.close(handle)


def _admit(program: Program) -> None:
    """Make sure that a program can be staged and moved to its folder.

    Raises:
        OSError: there is something else than a folder, or something in the place of its stage.
    """
    folder, stage = program.folder, program.stage
    if folder.is_symlink() and not folder.exists():
        raise FileNotFoundError(errno.ENOENT, "it is a link that leads nowhere", str(folder))
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "it is not a folder", str(folder))
    if os.path.lexists(stage):  # what a writer had left there is gone by now
        what = "a link" if stage.is_symlink() else "in the way"
        raise FileExistsError(errno.EEXIST, f"{stage.name} is {what}", str(stage))


def _recover(folder: Path) -> None:
    """Finish what a writer that was killed had begun to move, and take away what it left.

    It put its `xgraph.json` into the stage when all else was there. What somebody has edited since
    is left alone, and will be noticed. A stage that is a link was left by nobody of ours.
    """
    stage, current = folder / STAGE, folder / MANIFEST
    staged = _staged_manifest(folder)
    if staged is not None and (_manifest(current) is not None or not os.path.lexists(current)):
        for name, digests in _known(folder).items():
            path = folder / name
            if os.path.lexists(path) and not _is_one_of(path, digests):
                continue
            if name not in staged["files"]:
                path.unlink(missing_ok=True)
            elif _is_one_of(stage / name, [staged["files"][name]], follow=False):
                os.replace(stage / name, path)
        os.replace(stage / MANIFEST, current)
    _remove_stages(folder)


def _remove_stages(folder: Path) -> None:
    """Take away what was put together and not moved, by this writer or by one that was killed."""
    around = Path(os.path.realpath(folder)).parent  # the one that is locked
    for stage in (folder / STAGE, *around.glob(f".*{STAGE}")):
        shutil.rmtree(stage, ignore_errors=True)


def _stage(program: Program, state: State) -> None:
    """Put together what is not current, and copies of what was edited and of what will go."""
    stage = program.stage
    stage.mkdir()
    for name in state.edited:
        _copy(program.folder / name, stage / f"{name}.bak")
    for name in (*state.changed, *state.edited, *state.obsolete):
        _copy(program.folder / name, stage / f"{name}{_BEFORE}")
    for name, text in program.everything.items():
        if name in state.current:
            continue
        with (stage / name).open("wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())


def _copy(path: Path, copy: Path) -> None:
    # Of a link that leads nowhere there is nothing to keep but itself.
    shutil.copy2(path, copy, follow_symlinks=path.exists())


def _move(program: Program, state: State, undo: contextlib.ExitStack) -> None:
    """Bring what was staged to its place; `undo` gets what takes each move back."""
    folder, stage = program.folder, program.stage

    def replaced(name: str) -> None:
        if os.path.lexists(stage / f"{name}{_BEFORE}"):
            undo.callback(_attempt, os.replace, stage / f"{name}{_BEFORE}", folder / name)
        else:
            undo.callback(_attempt, os.unlink, folder / name)

    if not folder.exists():
        stage.rename(folder)
        undo.callback(_attempt, os.rename, folder, stage)
        return
    for name in state.edited:
        backup = stage / f"{name}.bak"
        if (free := _free(folder / backup.name, _content(backup))) is not None:
            os.replace(backup, free)
            undo.callback(_attempt, os.unlink, free)
    pending = [name for name in program.everything if name not in state.current]
    for name in pending:
        if name == MANIFEST:  # the last one: until then the earlier one holds
            for obsolete in state.obsolete:
                replaced(obsolete)
                (folder / obsolete).unlink(missing_ok=True)
        replaced(name)
        os.replace(stage / name, folder / name)


def _attempt(move: Callable[..., None], *paths: Path) -> None:
    """Take a move back if the system lets us: there may be nothing to take back."""
    with contextlib.suppress(OSError):
        move(*paths)


def _free(path: Path, content: bytes | None) -> Path | None:
    """`path`, or the first of path.2, path.3 … that does not exist: no backup is overwritten.

    None when the content is kept already, by a writer that was killed after it.
    """
    candidate, number = path, 2
    while os.path.lexists(candidate):
        if content is not None and _is_one_of(candidate, {_digest(content)}):
            return None
        candidate, number = path.with_name(f"{path.name}.{number}"), number + 1
    return candidate


def _content(path: Path) -> bytes | None:
    """What a file holds; None where there is none, or a link that leads nowhere.

    Raises:
        OSError: it cannot be read, or is something else than a file, such as a pipe.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, f"{path.name} is a folder", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"{path.name} is not a regular file", str(path))
    return path.read_bytes()


def _is_one_of(path: Path, digests: Collection[str], *, follow: bool = True) -> bool:
    """Whether there is a file, or a link to one if those count, with one of these digests."""
    if not path.is_file() or (path.is_symlink() and not follow):
        return False
    return _digest(path.read_bytes()) in digests


def _manifest(path: Path) -> dict[str, Any] | None:
    """What an `xgraph.json` says; None when there is none, or somebody else wrote it."""
    try:
        found = json.loads((_content(path) or b"").decode())
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(found, dict) and isinstance(found.get("xgraph"), str)
    return found if ours and isinstance(found.get("files"), dict) else None


def _staged_manifest(folder: Path) -> dict[str, Any] | None:
    """What the `xgraph.json` says that a writer has left in its stage in the folder.

    A stage, or a manifest in it, that is a link would be somebody else's program.
    """
    stage = folder / STAGE
    if stage.is_symlink() or (stage / MANIFEST).is_symlink():
        return None
    return _manifest(stage / MANIFEST)


def _known(folder: Path) -> defaultdict[str, set[str]]:
    """The digests of what was generated here, by file name.

    A writer that was killed while it moved files left its own `xgraph.json` in the stage.
    """
    known: defaultdict[str, set[str]] = defaultdict(set)
    for manifest in (_manifest(folder / MANIFEST), _staged_manifest(folder)):
        for name, digest in (manifest or {"files": {}})["files"].items():
            if isinstance(digest, str) and _is_name(name):
                known[name].add(digest)
    return known


def _is_name(name: str) -> bool:
    """Whether a file may be called so: a path could lead out of the folder."""
    return name.isprintable() and name == Path(name).name and name not in ("", ".", "..")


def _edited(programs: Sequence[tuple[Program, Sequence[str]]]) -> EditedError:
    diagnostics, parts = [], []
    for program, names in programs:
        texts = program.everything
        for name in names:
            shown = f"{program.folder.as_posix()}/{name}"
            content = _content(program.folder / name)
            found = (content or b"").decode(errors="replace")
            old, new = found.splitlines(), texts[name].splitlines()
            first = next(
                (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b),
                min(len(old), len(new)),
            )
            diagnostics.append(
                Diagnostic(
                    "XG701",
                    "this file was edited since it was generated, or was not generated by xgraph",
                    Span(Source(shown, found), min(first + 1, max(1, len(old))), 1, 1),
                    received="a link that leads nowhere" if content is None else None,
                    hint="write elsewhere with -o DIR, or overwrite it with --force, "
                    f"which keeps it as {name}.bak",
                )
            )
            lines = list(
                difflib.unified_diff(old, new, shown, f"{shown} (generated)", lineterm="", n=1)
            )
            more = len(lines) - _DIFF_LINES
            # The file may hold anything, also what would drive the terminal.
            parts += [_shown(line) for line in lines[:_DIFF_LINES]]
            parts += [f"… and {more} more lines"] if more > 0 else []
    return EditedError(diagnostics, "\n".join(parts))


def _shown(line: str) -> str:
    """A line of a diff as a terminal may show it; a tab stays one."""
    return "\t".join(printable(part, _LINE_LIMIT) for part in line.split("\t"))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
