"""The table of faults fits the code, and (slow) the checks notice the faults."""

from __future__ import annotations

import pytest

from tests.mutants import run
from tests.mutants.faults import FAULTS, Fault


def test_there_are_many_of_different_names():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 200


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_text_is_there_once(fault):
    text = (run.ROOT / fault.file).read_text(encoding="utf-8")
    assert text.count(fault.old) == 1
    assert fault.old != fault.new


def test_every_place_has_faults():
    files = {fault.file for fault in FAULTS}
    for folder in ("pytorch", "keras3", "flax_nnx"):
        own = {name.removeprefix(f"backends/{folder}/") for name in files}
        assert {"lowering.py", "layers.py", "recipe.py", "templates/weights.py.jinja"} <= own
        assert {"training/library.py", "training/spelling.py"} <= own
    for room in ("ops", "emit", "recipe", "passes"):
        assert any(name.startswith(f"xgraph/{room}/") for name in files)


def test_only_caught_or_explained_faults_pass():
    fault = Fault("a", "b", "c", "d", "e")
    explained = Fault("a", "b", "c", "d", "e", survives="it means the same")
    caught = [run.Result(fault, run.CAUGHT, "", 0)] * 39
    for given, outcome, good in (
        (explained, run.SURVIVED, True),
        (fault, run.SURVIVED, False),
        (explained, run.BROKEN, False),
    ):
        assert run.verdict([*caught, run.Result(given, outcome, "", 0)])[0] is good
    assert not run.verdict([*caught[1:], *[run.Result(explained, run.SURVIVED, "", 0)] * 2])[0]


@pytest.mark.parametrize("file", ["xgraph/cli.py", "xgraph/no_such_file.py"])
def test_a_fault_without_a_place_is_not_caught(file):
    result = run.attempt(Fault("a", file, "no such text", "b", "c", survives="an explanation"))
    assert result.outcome == run.BROKEN
    assert not run.verdict([result])[0]


@pytest.mark.slow
def test_nothing_is_found_without_a_fault():
    result = run.unharmed(FAULTS)
    assert result.outcome == run.SURVIVED, result.found


@pytest.mark.slow
def test_the_faults_are_caught():
    rows = []
    results = run.attempt_all(FAULTS, 1, lambda result: rows.append(result.row))
    good, score = run.verdict(results)
    assert good, "\n".join([score, *rows])
