"""Runs: what is counted, what is reported, what is written."""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path

import pytest
import yaml

from xgraph.compile import analyse
from xgraph.emit.symbols import SymbolicInt
from xgraph.fuzz.generate import random_spec
from xgraph.fuzz.run import CannotCheck, fuzz, graph_seed, graph_seeds
from xgraph.fuzz.trees import analyse_tree, to_yaml
from xgraph.parity.checker import Checker, _without_folders


def test_all_agree(tmp_path):
    texts, told = [], []
    report = fuzz(texts.append, 6, 4, tmp_path / "out", lambda *at: told.append(at))
    assert texts == [to_yaml(random_spec(graph_seed(4, number))) for number in range(6)]
    assert (report.graphs, report.failures) == (6, ())
    assert told == [(number, 0) for number in range(1, 7)]
    assert report.nodes == sum(report.ops.values())
    sizes = [len(analyse_tree(yaml.safe_load(text))[0].nodes) - 1 for text in texts]
    assert report.nodes == sum(sizes)
    assert list(report.ops) == sorted(report.ops)
    assert not (tmp_path / "out").exists()


def complaint(text):
    """A check that finds fault with a multiplication or, in another way, with a dropout."""
    if "multiply" in text:
        return "values: logits differ\nby a lot \x07"
    return "weights: a name" if "dropout" in text else None


def test_failures_are_cut_down_and_written(tmp_path):
    report = fuzz(complaint, 8, 11, tmp_path / "a" / "out", None)
    assert report.failures
    for failure in report.failures:
        assert f"--graphs 1 --seed {failure.seed})" in failure.message
        text = failure.path.read_text()
        assert text.startswith(f"# Found by `xgraph fuzz --graphs 1 --seed {failure.seed}`")
        kind = failure.message.partition(":")[0]
        assert complaint(text.partition("\n\n")[2]).startswith(kind)
        assert len(analyse(str(failure.path)).graph.nodes) - 1 <= 4
    assert {path.suffix for path in (tmp_path / "a" / "out").iterdir()} == {".yaml"}
    again = fuzz(complaint, 1, report.failures[0].seed, tmp_path / "b").failures[0]
    assert again.path.read_bytes() == report.failures[0].path.read_bytes()


def test_an_exception_is_a_failure():
    def check(text):
        raise KeyError("filters")

    (failure,) = fuzz(check, 1, 5).failures
    assert failure.message.startswith("KeyError: 'filters'")
    assert failure.path is None


def test_nothing_half_written_stays(tmp_path, monkeypatch):
    def refuse(*paths):
        raise OSError("disk full")

    monkeypatch.setattr("xgraph.fuzz.run.os.replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        fuzz(lambda text: "values: no", 1, 2, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_graphs_have_seeds_of_their_own():
    seeds = [graph_seed(0, number) for number in range(100)]
    assert len(set(seeds)) == 100
    assert seeds[0] == 0
    assert json.dumps(seeds[1:3]) == json.dumps([graph_seed(0, 1), graph_seed(0, 2)])


def test_only_small_graphs(tmp_path):
    """Of those of the run, and each is what it is without a limit."""
    seen = []
    report = fuzz(seen.append, 12, 7, tmp_path / "out", most=9)
    assert report.graphs == len(seen) == 12
    sizes = [len(analyse_tree(random_spec(seed))[0].nodes) - 1 for seed in seeds(7, 12, 9)]
    assert max(sizes[1:]) <= 9
    assert report.nodes == sum(sizes)
    assert set(seeds(7, 12, 9)[1:]) <= set(seeds(7, 300, None))


def seeds(seed, count, most):
    return list(itertools.islice(graph_seeds(seed, most), count))


def test_reports_name_no_temporary_folder(tmp_path):
    folder = Path(tempfile.gettempdir())
    said = _without_folders(
        f"KeyError: {folder}/tmpab1_x/spec.yaml:3:4 and {folder}/xgraph-1/a.npz"
    )
    assert said == "KeyError: spec.yaml:3:4 and a.npz"


def test_parameters_that_a_trial_takes_back_are_a_failure(monkeypatch):
    """Channels that are divided by a parameter, where the quotient forgets it."""
    text = (
        "xgraph: 1\nname: zoomed\nparams: {zoom: 1}\ninput: {shape: [4, 4, 4]}\n"
        "graph: [{depth_to_space: $zoom}, batch_norm]\n"
    )
    monkeypatch.delattr(SymbolicInt, "__rfloordiv__")
    with Checker(()) as check:
        assert check(text) == "parameters: a trial takes back what was offered: zoom"


def test_what_can_never_be_checked_ends_the_run():
    def check(text):
        raise CannotCheck(KeyError("torch"))

    with pytest.raises(CannotCheck):
        fuzz(check, 3, 5)
