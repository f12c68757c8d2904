"""What a source of weights can be asked."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from xgraph.importing.network import Array, Network, Refused, Shape
from xgraph.importing.runtimes.base import Runtime


class Source:
    """A network from elsewhere, with weights by the names that it has for them."""

    title: str
    #: Whether it says what training alone sees: dropout, and the pace of statistics.
    tells_training: bool = True
    #: What to know of it, when its weights have been read.
    notes: Sequence[str] = ()

    def image_shape(self) -> Shape | None:
        """The images (H, W, C) that the network was made for, if it says so.

        Raises:
            Refused: it cannot be read.
        """
        return None

    def network(self, input_shape: Shape) -> Network:
        """The network, for images of this shape (H, W, C).

        Raises:
            Refused: it cannot be read, or takes no such images.
        """
        raise NotImplementedError  # of no kind of source in particular

    def arrays(self) -> Mapping[str, Array]:
        """The weights by name.

        Raises:
            Refused: they cannot be read.
        """
        raise NotImplementedError  # of no kind of source in particular

    def with_weights(self, path: Path) -> Source:
        """The same network with the weights of a file.

        Raises:
            Refused: files of this kind are not of this network's framework.
        """
        raise Refused(f"{path.name} does not go with {self.title}")

    def runtime(self, dtype: str, input_shape: Shape) -> Runtime | None:
        """The network in its own framework, in a type of its own; None where there is none.

        Raises:
            Refused: the framework cannot run it.
        """
        return None

    def write(self, path: Path, arrays: Mapping[str, Array]) -> None:
        """Write a file of the source's framework with these weights, and its own for the rest.

        Raises:
            Refused: the framework has no files of this kind.
        """
        raise NotImplementedError  # of no kind of source in particular


class ModuleSource(Source):
    """A network that is an object in this process."""

    def __init__(self, module: Any, title: str = "the model") -> None:
        self.title = title
        self.module = module

    def made(self) -> Any:
        """The object.

        Raises:
            Refused: it cannot be made.
        """
        return self.module


def needed(module: str, what: str) -> ModuleType:
    """A library that a source needs.

    Raises:
        Refused: it is not installed, or does not load.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Refused(f"{what} needs {module.partition('.')[0]}: {error}") from None


def called(kind: str, name: str) -> Any:
    """What a function returns that a user names as MODULE:FUNCTION, with nothing given to it.

    Raises:
        Refused: there is no such function, or it fails.
    """
    title = f"{kind}:{name}"
    function = function_named(title, name, f"{kind}:mine:build")
    try:
        with _working_folder():
            return function()
    except Refused:
        raise
    except (Exception, SystemExit) as error:  # whatever is found on the way
        raise Refused(f"{title}: {type(error).__name__}: {first_line(error)}") from None


def function_named(title: str, name: str, example: str) -> Any:
    """A function that a user names as MODULE:FUNCTION.

    Raises:
        Refused: there is none, or its module fails.
    """
    where, colon, what = name.rpartition(":")
    if not colon or where.endswith(".py"):
        form = f"{example.removesuffix('mine:build')}MODULE:FUNCTION"
        said = f"expected {form}, as {example} is the function build of mine.py in this folder"
        raise Refused(f"{title}: {said}")
    try:
        with _working_folder():
            return getattr(needed(where, title), what)
    except Refused:
        raise
    except (Exception, SystemExit) as error:  # whatever is found on the way
        raise Refused(f"{title}: {type(error).__name__}: {first_line(error)}") from None


@contextlib.contextmanager
def _working_folder() -> Iterator[None]:
    """Modules of the working folder can be imported, as where `python -m` starts a program."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path.remove("")


def first_line(error: BaseException) -> str:
    """What an error of a library says, in a line."""
    return str(error).strip().partition("\n")[0][:300]


def wrong_kind(path: Path, title: str, endings: tuple[str, ...]) -> Refused:
    """That a file of this name cannot hold such weights."""
    known = " or ".join(endings)
    return Refused(f"{path.name}: weights of {title} are in a file named {known}")


def whole(shape: Sequence[object]) -> Shape | None:
    """A shape (H, W, C) if it is one, with three positive integers."""
    sizes = tuple(size for size in shape if isinstance(size, int) and size > 0)
    return sizes if len(sizes) == len(shape) == 3 else None
