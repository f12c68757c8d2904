"""Definitions without the parameters that a program never passes."""

from __future__ import annotations

import inspect
import textwrap
import tokenize
from io import StringIO
from pathlib import Path

import pytest

from xgraph.emit.library_text import definitions
from xgraph.emit.specialize import specialized

ROOT = Path(__file__).parents[2]
LIBRARIES = sorted((ROOT / "backends").glob("*/layers.py"))

LIBRARY = '''\
class Layer(Base):
    """A layer. It may have `holes`.

    Of `factor` as many.
    """

    def __init__(
        self, size: int, step: int = 1, holes: int = 1, factor: int = 1, act=None
    ) -> None:
        self.late = step not in (1, (1, 1)) and holes == 1
        super().__init__(size * factor, step=step, pad=0 if self.late else 1)
        self.act = act  # what comes between

    def forward(self, x):
        if self.late:
            x = pad(x)
        # A remark.
        y = super().forward(x)
        if self.act is not None:
            y = self.act(y)
        return y + 0


def around(x, factor: int = 1):
    return Layer(x, holes=1, factor=factor)
'''


def written(program: str, library: str = LIBRARY) -> str:
    return specialized(library, program)


def test_all_that_is_passed_stays():
    program = "Layer(1, 2, holes=2, factor=3, act=f)\naround(1, factor=2)"
    assert written(program) == LIBRARY


def test_what_nobody_passes_is_written_out():
    assert written("Layer(5)\naround(3)") == textwrap.dedent('''\
        class Layer(Base):
            """A layer."""

            def __init__(self, size: int) -> None:
                super().__init__(size, pad=1)

            def forward(self, x):
                # A remark.
                y = super().forward(x)
                return y + 0


        def around(x):
            return Layer(x)
        ''')


def test_what_follows_from_what_is_left():
    """`step` is passed; whether padding is late is known only when the layer is made."""
    text = written("Layer(5, step=2)\naround(1)")
    assert "def __init__(self, size: int, step: int = 1) -> None:" in text
    assert "self.late = step not in (1, (1, 1))\n" in text
    assert "super().__init__(size, step=step, pad=0 if self.late else 1)" in text
    assert "def around(x):\n    return Layer(x)" in text


def test_a_base_class_and_a_value_keep_everything():
    for program in ("class B(Layer):\n    pass", "f = Layer", "Layer(*given)", "Layer(1, **more)"):
        assert "act=None" in written(program)


def test_a_program_keeps_what_it_passes():
    """Only the library's own calls change; a constant in the program's stays an argument."""
    assert "holes: int = 1" in written("Layer(5, holes=1)")


def test_a_method_that_only_calls_its_base_goes():
    library = textwrap.dedent('''\
        class Norm(Base):
            """A norm."""

            def __init__(self, size: int, eps: float, scale: bool = True) -> None:
                super().__init__(size, eps=eps)
                if not scale:
                    self.weight = None

            def forward(self, x):
                return x
        ''')
    assert "__init__" not in written("Norm(3, eps=1)", library)
    assert "__init__" in written("Norm(3, eps=1, scale=False)", library)


def test_decorators_come_along():
    library = "import functools\n\n\n@functools.cache\ndef f(a, b=1):\n    return a * b\n"
    imports, blocks = definitions(library, frozenset({"f"}), "f(2)")
    assert imports == ["import functools"]
    assert blocks == ["@functools.cache\ndef f(a):\n    return a"]
    assert definitions(library, frozenset({"f"}))[1] == [library.split("\n\n\n")[1].rstrip()]


@pytest.mark.parametrize("path", LIBRARIES, ids=lambda path: path.parent.name)
def test_libraries_have_no_comment_in_brackets(path):
    """It would be lost where the brackets are laid out anew."""
    depth = 0
    for token in tokenize.generate_tokens(StringIO(path.read_text()).readline):
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
        assert token.type != tokenize.COMMENT or depth == 0, token.line


def test_what_is_passed_on_by_name_has_the_same_default():
    """`stride=stride` is left out where nobody passes `stride`: PyTorch's default is ours."""
    from torch import nn

    ours = {"stride": 1, "padding": 0, "dilation": 1, "bias": True}
    theirs = inspect.signature(nn.Conv2d).parameters
    assert {name: theirs[name].default for name in ours} == ours


def test_jax_takes_no_dilation_for_one():
    """`rhs_dilation=self.rhs_dilation` is left out where that is (1, 1)."""
    from jax import lax

    assert inspect.signature(lax.conv_general_dilated).parameters["rhs_dilation"].default is None


CHAIN = """\
def chosen(x, way: str = "a", low: int = 0):
    if way == "a":
        x = x + 1
    elif low != 0:
        x = x - low
    elif way == "b":
        x = x * 2
    else:
        x = -x
    return x
"""


@pytest.mark.parametrize(
    ("call", "lines"),
    [
        ('chosen(x, way)', ['if way == "a":', "    x = x + 1", 'elif way == "b":', "    x = x * 2",
                            "else:", "    x = -x"]),
        ("chosen(x, low=n)", ["x = x + 1"]),
        ('chosen(x, way, low)', ['if way == "a":', "    x = x + 1", "elif low != 0:",
                                 "    x = x - low", 'elif way == "b":', "    x = x * 2", "else:",
                                 "    x = -x"]),
        ("chosen(x)", ["x = x + 1"]),
    ],
)  # fmt: skip
def test_an_elif_is_folded(call, lines):
    made = specialized(CHAIN, call).splitlines()
    assert made[1:-1] == ["    " + line for line in lines]


@pytest.mark.parametrize(
    ("way", "lines"),
    [("b", ["x = x * 2"]), ("c", ["x = -x"])],
)
def test_an_elif_of_a_default_is_folded(way, lines):
    made = specialized(CHAIN.replace('way: str = "a"', f'way: str = "{way}"'), "chosen(x)")
    assert made.splitlines()[1:-1] == ["    " + line for line in lines]


def test_an_elif_that_becomes_an_if():
    chain = CHAIN.replace('way: str = "a"', 'way: str = "b"')
    assert specialized(chain, "chosen(x, low=n)").splitlines()[1:-1] == [
        "    if low != 0:", "        x = x - low", "    else:", "        x = x * 2",
    ]  # fmt: skip
