"""What a newcomer writes, and what the message says to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from xgraph.compile import analyse
from xgraph.diagnostics import Diagnostic, SpecError
from xgraph.spec.expressions import INTEGERS, QUOTE

TOP = "xgraph: 1\nname: example\ninput: {shape: [32, 32, 3]}\n"
PARAMS = "params: {width: 8, act: elu, sizes: [8, 16]}\n"
SAME = "kernel: 3, padding: same"


def problems(folder: Path, text: str, top: str = TOP) -> list[Diagnostic]:
    path = folder / "spec.yaml"
    path.write_text(top + text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        analyse(str(path))
    return list(caught.value.diagnostics)


@pytest.mark.parametrize(
    ("graph", "codes"),
    [
        ("[{conv: {filters: $sizes[0], kernel: 3}}]", ["XG104"]),
        ("[{conv: {kernel: 3, filters: $sizes[0]}}]", ["XG104"]),
        ("[{conv: {kernel: 3, filters: 8 if $width in [8] else 4}}]", ["XG104"]),
        ("[{conv: {filters: max($width, 8), kernel: 3}}]", ["XG301", "XG401"]),
        ("[{conv: {filters: max(8, $width), kernel: 3}}]", ["XG401"]),
        ("[{dense: max($width, 8)}]", ["XG301", "XG207"]),
        ("[{repeat: max($width, 8), body: relu}]", ["XG301", "XG202"]),
        ("[{for: {n: [min($width, 8), 9]}, body: {elu: $n}}]", ["XG301"]),
    ],
)
def test_an_expression_that_yaml_cuts_in_two(tmp_path, graph, codes):
    found = problems(tmp_path, f"{PARAMS}graph: {graph}")
    assert [one.code for one in found] == codes
    assert {one.hint for one in found} == {QUOTE}


@pytest.mark.parametrize(
    "graph",
    [
        '[{conv: {filters: "max($width", kernel: 3}}]',  # in quotes no comma ends it
        "\n- conv:\n    filters: max($width\n    kernel: 3",
        "[{conv: {filters: 8 [3], kernel: 3}}]",  # no expression
    ],
)
def test_what_yaml_has_not_cut_is_not_to_be_quoted(tmp_path, graph):
    assert all(one.hint != QUOTE for one in problems(tmp_path, f"{PARAMS}graph: {graph}"))


def test_quoted_they_are_right(tmp_path):
    path = tmp_path / "spec.yaml"
    graph = """[{conv: {filters: "max($width, 8)", kernel: 3}}, {elu: '$sizes[0]'}]"""
    path.write_text(f"{TOP}{PARAMS}graph: {graph}", encoding="utf-8")
    assert analyse(str(path)).types[1].channels == 8


def hint(folder: Path, text: str) -> str | None:
    [problem] = problems(folder, text)
    return problem.hint


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("-1", "no padding is negative; 'crop' takes pixels away"),
        ("[[0, 1], [-2, 0]]", "no padding is negative; 'crop' takes pixels away"),
        ("1.5", f"write it as an integer; in an expression, {INTEGERS}"),
        ("true", None),
        ("[1, 2, 3, 4]", None),
        ("smae", "did you mean 'same'?"),
    ],
)
def test_padding_that_is_none(tmp_path, padding, expected):
    graph = f"graph: [{{max_pool: {{kernel: 3, padding: {padding}}}}}]"
    assert hint(tmp_path, graph) == expected


@pytest.mark.parametrize(
    ("main", "expected"),
    [
        ("{conv: {filters: 3, kernel: 3}}", "padding: same"),
        ("{max_pool: {kernel: 3, stride: 2, padding: same}}", "a stride must be on both paths"),
        (f"{{conv: {{filters: 8, {SAME}}}}}", "a 1×1 conv gives either the same channels"),
        (f"{{conv: {{filters: 8, stride: 2, {SAME}}}}}", "the same filters and stride"),
        ("global_max_pool", "makes a vector of an image"),
    ],
)
def test_a_sum_of_two_shapes(tmp_path, main, expected):
    """What is advised depends on what differs."""
    assert expected in (hint(tmp_path, f"graph: [{{residual: [{main}]}}]") or "")


def test_a_sum_of_two_vectors(tmp_path):
    text = "graph: [global_avg_pool, {residual: [{dense: 5}]}]"
    assert hint(tmp_path, text) == "a dense layer gives either the same channels"


def test_a_node_of_another_section(tmp_path):
    text = "graph:\n  stem: [{elu: , name: first}]\n  body: [relu, {elu: , from: first}]"
    assert (hint(tmp_path, text) or "").endswith("too: 'stem.first'")


def test_an_output_of_a_section(tmp_path):
    text = "graph:\n  stem: [{elu: , name: first}]\noutputs: {y: first}"
    assert (hint(tmp_path, text) or "").endswith("too: 'stem.first'")


@pytest.mark.parametrize(
    "graph",
    [
        "[{conv: {filters: $width * 1.5, kernel: 3}}]",
        "[{conv: {filters: $width * 1.3, kernel: 3}}]",
        "[{repeat: $width / 2, body: relu}]",
        '[{conv: {filters: "$sizes[$width / 2]", kernel: 3}}]',
    ],
)
def test_what_makes_an_integer(tmp_path, graph):
    assert (hint(tmp_path, f"{PARAMS}graph: {graph}") or "").endswith(INTEGERS)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("$width", "compare it: $width > 0"),
        ("$width + 1", "compare it: ($width + 1) > 0"),
        ("not $width", "compare it: $width > 0"),
        ("$act", "compare it: $act == 'elu'"),
        ("3", "write true or false, or compare a parameter"),
        ("$sizes", None),
    ],
)
def test_a_condition_names_the_authors_parameter(tmp_path, condition, expected):
    assert hint(tmp_path, f"{PARAMS}graph: [{{relu: , when: {condition}}}]") == expected


def test_what_a_block_does_not_see(tmp_path):
    text = """\
blocks: {unit: {params: {n: 1}, body: [{elu: $n * $i}]}}
graph: [{repeat: 3, index: i, body: unit}]
"""
    assert hint(tmp_path, text) == (
        "add 'i' to the params of block 'unit', and pass it where that is used"
    )
    assert hint(tmp_path, "graph: [{elu: $i}]") == "add 'i' to params"


def test_a_shape_in_the_second_use_of_a_block(tmp_path):
    text = f"""\
blocks:
  inner: {{params: {{n}}, body: [{{residual: [{{conv: {{filters: $n, {SAME}}}}}]}}]}}
  unit: {{params: {{n}}, body: [{{repeat: 1, body: [{{inner: $n}}]}}]}}
graph:
  first: [{{unit: 3}}]
  second: [{{repeat: 2, index: i, body: [{{unit: $i * 4 + 3}}]}}]
"""
    [problem] = problems(tmp_path, text)
    used = [(said, span.line) for said, span in problem.notes if span and "used here" in said]
    assert used == [
        ("the block is used here, as 'second.unit.1.inner.0'", 6),
        ("the block is used here, as 'second.unit.1'", 9),
    ]


def test_a_shape_outside_of_blocks_says_nothing_of_them(tmp_path):
    [problem] = problems(tmp_path, "blocks: {a: {body: relu}}\ngraph: [a, {residual: [{conv: "
                         "{filters: 3, kernel: 3}}]}]")  # fmt: skip
    assert not any("used here" in said for said, _ in problem.notes)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("{leaky_relu: 1e300}", "1e+300 is infinite"),
        ("{elu: 1e-300}", "1e-300 is 0"),
        ("{scale: {initial: -1e300}}", "-1e+300 is infinite"),
        ("{batch_norm: {epsilon: 1e-40}}", "1e-40 is 0"),
        (
            "{conv: {filters: 1, kernel: 1, kernel_initializer: {truncated_normal: 1e39}}}",
            "1e+39 is infinite",
        ),
    ],
)
def test_numbers_that_float32_does_not_hold(tmp_path, item, expected):
    """A slope of 1e300 would be an exception of PyTorch's, in the middle of training."""
    assert hint(tmp_path, f"graph: [{item}]") == f"programs compute in float32, where {expected}"


@pytest.mark.parametrize(
    ("graph", "number"),
    [
        ("[{rescale: 1 / 255}]", "0.00392156862745098"),
        ("[{normalize: {mean: [0, 0, 0], std: [1 / 4, 0.5, 1]}}]", "0.25"),
        ("[{conv: {filters: 2 * 32, kernel: 3}}]", "64"),
        ("[{max_pool: 1/0}]", None),
        ("[{max_pool: 2-}]", None),
    ],
)
def test_arithmetic_without_a_parameter(tmp_path, graph, number):
    (problem,) = problems(tmp_path, f"graph: {graph}")
    assert problem.code == "XG403"
    told = "an expression has a parameter in it, and this has none: write "
    assert problem.hint == (None if number is None else told + number)


@pytest.mark.parametrize("over", ["$stages", "$other", "[{n: 1}, $second, {n: 1}]"])
@pytest.mark.parametrize("block", [False, True])
def test_an_entry_of_a_list_that_a_for_runs_over(over, block, tmp_path):
    """The place of the entry that is quoted, also where the list has come by other names."""
    params = "params:\n  second: {n: -1}\n  stages:\n  - {n: 1}\n  - {n: -1}\n  other: $stages\n"
    loop = "{for: {stage: LIST}, body: [{repeat: $stage.n, body: relu}]}"
    if block:
        inner = f"blocks: {{unit: {{params: {{list}}, body: [{loop.replace('LIST', '$list')}]}}}}\n"
        text = f"{params}{inner}graph: [{{unit: {{list: {over}}}}}]"
    else:
        text = f"{params}graph: [{loop.replace('LIST', over)}]"
    [problem] = problems(tmp_path, text)
    [(said, place)] = problem.notes
    assert said == "'stage' is {'n': -1} here"
    line = place.source.line(place.line)[place.column - 1 :]
    assert line.startswith(("{n: -1}", "$second"))
