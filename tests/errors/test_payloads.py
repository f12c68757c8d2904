"""Hostile texts in every place of specs and recipes become values, docstrings, or errors."""

from __future__ import annotations

import pytest

from tests.errors.payload_fields import FIELDS
from tests.errors.payload_table import combinations
from tests.errors.payload_trial import Trials, watched
from tests.errors.payloads import PAYLOADS

#: A prime, so that in time every place meets every kind of text.
SAMPLE = 307


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    return Trials(tmp_path_factory.mktemp("payloads"))


def test_there_are_enough():
    assert len(PAYLOADS) >= 190
    assert len(PAYLOADS) * len(FIELDS) >= 12_000


@pytest.mark.filterwarnings("error")
def test_sample(trials):
    outcomes = [(field, said, trials.run(field, said)) for field, said in combinations(SAMPLE)]
    assert not [
        (field.name, said, fault) for field, said, outcome in outcomes for fault in outcome.faults
    ]
    made = sum(outcome.code is None for *_, outcome in outcomes)
    assert made > len(outcomes) / 4  # refusing is no cure


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_text(field, trials):
    found = [(said, fault) for said in PAYLOADS for fault in trials.run(field, said).faults]
    assert not found


def test_the_watch_sees(tmp_path):
    """What would be an execution is one to the watch."""
    with watched(None) as seen:
        exec("1 + 1", {})
        (tmp_path / "written").write_text("a")
    assert [event.partition(" ")[0] for event in seen] == ["exec", "open"]
