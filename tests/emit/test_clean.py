"""What is generated, of whatever spec, is code that a linter and a formatter let pass."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from xgraph.emit.specialize import defaults, initializer

from .emitted import write_programs

RUFF = [sys.executable, "-m", "ruff"]
OPTIONS = ["--isolated", "--no-cache", "--line-length", "100"]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((range(15), 6), id="some"),
        pytest.param((range(400), 1), id="all", marks=pytest.mark.slow),
    ],
)
def programs(request, tmp_path_factory):
    """A folder of programs, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("programs")
    assert write_programs(folder, *request.param) > 500
    return folder


def ruff(*arguments):
    done = subprocess.run([*RUFF, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_no_unused_name_no_long_line(programs):
    """It parses; no name is unused or undefined; no line has more than 100 columns."""
    rules = ["--select", "F,E7,E501", "--target-version", "py311"]
    ruff("check", *OPTIONS, *rules, "--output-format", "concise", str(programs))


def test_layers_are_formatted(programs):
    """Definitions that were written for a program look as if an editor's formatter had."""
    ruff("format", *OPTIONS, "--diff", *map(str, programs.rglob("layers.py")))


def test_every_parameter_is_passed(programs):
    """No definition of layers.py takes what nobody gives it."""
    for path in programs.rglob("layers.py"):
        library = ast.parse(path.read_text())
        trees = (library, ast.parse(path.with_name("model.py").read_text()))
        definitions = [n for n in library.body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
        bases = {base.id for node in definitions if isinstance(node, ast.ClassDef)
                 for base in node.bases if isinstance(base, ast.Name)}  # fmt: skip
        for node in definitions:
            function = initializer(node)
            if function is None:
                continue
            calls = [n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Call)
                     and isinstance(n.func, ast.Name) and n.func.id == node.name]  # fmt: skip
            names = [a.arg for a in function.args.args][isinstance(node, ast.ClassDef) :]
            given = set()
            for call in calls:
                # `f(x, *weights)` gives whatever there is
                listed = any(isinstance(one, ast.Starred) for one in call.args)
                positional = names if listed else names[: len(call.args)]
                given |= {*positional, *(k.arg for k in call.keywords)}
            if calls and node.name not in bases:  # others are not only called
                assert set(defaults(function)) <= given, (path.parent.name, node.name)
