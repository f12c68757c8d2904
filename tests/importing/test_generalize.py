"""Whatever is made of several uses, each use is a case of it."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from xgraph.importing.structure.generalize import as_parameters, generalize, new_symbol
from xgraph.importing.structure.inline import value_of
from xgraph.importing.structure.tree import ANY, Hole, Ref

NUMBERS = st.one_of(st.just(ANY), st.sampled_from([2, 4, 6, 8, 12, 24, 7]))
ROWS = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(NUMBERS, min_size=width, max_size=width), min_size=2, max_size=6
    )
)


@settings(max_examples=500, deadline=None)
@given(ROWS)
@example([[12, 2], [24, 4], [36, 6], [7, ANY]])  # 7 is no multiple of what it is taken for
@example([[2, 6, 2], [4, 12, 4], [ANY, 9, 5]])  # 5 and 9 are not related as 2 and 6 are
def test_each_use_is_a_case(rows):
    general = generalize([[Hole("channels", "filters", value) for value in row] for row in rows])
    for number, row in enumerate(rows):
        given_here = {one.symbol: one.values[number] for one in general.columns}
        for meant, value in zip(general.values, row, strict=True):
            made = value_of(meant, given_here) if isinstance(meant, Ref) else meant
            assert value is ANY or made == value, general


def test_what_is_related_is_one_parameter():
    rows = [[8, 2, 32], [16, 4, 64], [24, 6, 96]]
    general = generalize([[Hole("channels", "filters", value) for value in row] for row in rows])
    (one,) = general.columns
    assert general.values == (Ref(one.symbol), Ref(one.symbol, over=4), Ref(one.symbol, times=4))


def test_a_use_without_the_part_of_a_parameter_need_not_give_it():
    """All others give it what a loop says, none of which is a value on its own."""
    loop = Ref(new_symbol())
    uses = [[Hole("rate", "rate", value)] for value in (ANY, loop, Ref(new_symbol()))]
    ((parameter, column),) = as_parameters(generalize(uses).columns)
    assert parameter.default == 0.0
    assert column.values[1] == loop
