"""Programs that several tests of training share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
import torch

from .programs import FRAMEWORKS, LAST, RECIPE, SMALL, Program, render

__all__ = ["RECIPE", "Program", "render"]


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """As the processes that tests start; in PyTorch, more cost networks like these ten times it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Programs in float64 have frameworks compute in it from then on."""
    before, default = jax.config.read("jax_enable_x64"), torch.get_default_dtype()
    yield
    torch.set_default_dtype(default)
    jax.config.update("jax_enable_x64", before)


@pytest.hookimpl(tryfirst=True)  # before slow tests are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of `framework` run in PyTorch by default, and by turns in Keras or Flax."""
    turns: dict[str, str] = {}
    for item in items:
        if not isinstance(item, pytest.Function) or "framework" not in item.fixturenames:
            continue
        name = getattr(item, "callspec", None) and item.callspec.params.get("framework")
        of = f"{item.path}::{item.originalname}"
        turn = turns.setdefault(of, FRAMEWORKS[1 + len(turns) % 2])
        if name in FRAMEWORKS and name not in ("torch", turn) and not _is_chosen(item):
            item.add_marker(pytest.mark.slow)


def _is_chosen(item: pytest.Function) -> bool:
    """Whether a test says itself in which frameworks it runs."""
    return any("framework" in str(mark.args[0]) for mark in item.iter_markers("parametrize"))


@pytest.fixture(params=FRAMEWORKS, scope="session")
def framework(request: pytest.FixtureRequest) -> str:
    """Each framework's name in turn."""
    return request.param


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Program]:
    """The program of every framework for the network with every kind of weight."""
    folder = tmp_path_factory.mktemp("programs")
    return {name: Program(render(folder / name, framework=name)) for name in FRAMEWORKS}


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Program]:
    """The same for the smallest network."""
    folder = tmp_path_factory.mktemp("small")
    return {name: Program(render(folder / name, framework=name, spec=SMALL)) for name in FRAMEWORKS}


@pytest.fixture(scope="session")
def program(programs: dict[str, Program]) -> Program:
    """PyTorch's, for what is the same in all."""
    return programs["torch"]


class Runs(dict[str, Path]):
    """A run of each framework's program, made when it is asked for."""

    def __init__(self, programs: dict[str, Program], folder: Path) -> None:
        super().__init__()
        self.programs, self.folder = programs, folder

    def __missing__(self, name: str) -> Path:
        self[name] = self.folder / name
        arguments = ("--synthetic", "--workers", 0, "--max-steps", LAST)
        self.programs[name].call(*arguments, "--output", self[name])
        return self[name]


@pytest.fixture(scope="session")
def whole_runs(small: dict[str, Program], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """An epoch of 64 steps and six more in each framework, never stopped."""
    return Runs(small, tmp_path_factory.mktemp("whole"))
