"""The table of runs: its figures, what is missing, and names that no Markdown reads."""

from __future__ import annotations

import pytest

from tests.report.folders import ABOUT, LINES, evaluated, older, trained, write_run
from xgraph.report import run_table
from xgraph.report.runs import read_runs


@pytest.fixture
def rows(tmp_path):
    def make(**given):
        """Runs by name: their lines, or lines and what they are."""
        paths = []
        for name, what in given.items():
            lines, about = what if isinstance(what, tuple) else (what, ABOUT)
            paths.append(write_run(tmp_path / name, lines, about))
        return run_table.rows(read_runs(paths))

    return make


def words(text):
    return text.split()


def test_the_table(rows):
    text = run_table.rows_text(rows(first=list(LINES)))
    header, _, row = text.splitlines()[:3]
    assert words(header) == words(
        "run network framework parameters evaluated on top-1 accuracy per million epochs time "
        "images/s"
    )
    # 75 % by 0.25 million parameters; 64 images a second in three lines of four.
    assert words(row) == words(
        "first xception_mini PyTorch 250,000 validation 75.00 % 300 % 2 100.0 s 64"
    )
    assert text.endswith(run_table.NOTE)


def test_the_figures_of_the_slides(rows):
    """Inception V3: 85.44 % with 24,371,444 parameters; Xception: 84.87 % with 20,825,402."""
    slides = {"inception": (0.8544, 24_371_444, 1902.98), "xception": (0.8487, 20_825_402, 3116.9)}
    found = rows(
        **{
            name: (
                [{**evaluated(10, "test", top1=top1), "seconds": seconds}],
                {**ABOUT, "parameters": parameters},
            )
            for name, (top1, parameters, seconds) in slides.items()
        }
    )
    assert [round(row.per_million, 2) for row in found] == [3.51, 4.08]
    text = run_table.rows_text(found)
    assert "85.44 %" in text
    assert "0:31:43" in text
    assert "0:51:57" in text


def test_the_last_evaluation_counts(rows):
    lines = [evaluated(1, top1=0.9), evaluated(2, top1=0.8), trained(3, 1.0)]
    [row] = rows(first=lines)
    assert row.evaluation.values == {"top1": 0.8}
    assert row.epochs == 0.03


def test_what_is_missing_is_told(rows):
    found = rows(
        old=(older(), None), fresh=[], started=list(LINES[:2]), odd=(list(LINES), {"spec": 3})
    )
    assert run_table.missing(found) == [
        "old: its log has no 'seconds', so its time is not known; without a run.json, its network "
        "and parameters are not known",
        "fresh: nothing is logged yet",
        "started: it was not evaluated yet",
    ]
    *_, old, fresh, _, odd = run_table.rows_text(found).removesuffix(run_table.NOTE).splitlines()
    assert words(old) == words("old – – – validation 75.00 % 2 – 64")
    assert words(fresh) == words("fresh xception_mini PyTorch 250,000 – – – – –")
    assert words(odd) == words("odd – – – validation 75.00 % 2 100.0 s 64")


def test_columns_that_nobody_fills_are_left_out(rows):
    header = run_table.rows_text(rows(old=([{"step": 1, "loss": 1.0}], None))).splitlines()[0]
    assert header == "run"


def test_metrics_of_any_name(rows):
    lines = [evaluated(1, loss=1.0, map100=0.067, top5=0.9)]
    header, _, row = run_table.rows_text(rows(first=lines)).splitlines()[:3]
    assert "MAP@100  per million  top-5 accuracy" in header
    assert row.split()[5:9] == ["0.067", "0.268", "90.00", "%"]


def test_parameters_of_zero(rows):
    [row] = rows(first=(list(LINES), {**ABOUT, "parameters": 0}))
    assert row.per_million is None


def test_json(rows):
    first, old = run_table.rows_json(rows(first=list(LINES), old=(older(), None)))
    assert first["run"] == {key: ABOUT[key] for key in first["run"]}
    assert first["evaluation"] == {
        "step": 200, "epoch": 2.0, "split": "validation", "metrics": {"loss": 0.5, "top1": 0.75}
    }  # fmt: skip
    assert {name: first[name] for name in ("name", "step", "epoch", "seconds")} == {
        "name": "first", "step": 200, "epoch": 2.0, "seconds": 100.0
    }  # fmt: skip
    assert first["images_per_second"] == 64.0
    assert first["per_million_parameters"] == pytest.approx(300)
    assert old["run"] is old["seconds"] is old["per_million_parameters"] is None


def test_markdown(rows):
    hostile = {**ABOUT, "spec": "a|b`<b>[c](d)*_e_www.f_g", "framework": "https://h @i"}
    text = run_table.rows_markdown(rows(first_run=(list(LINES), hostile)))
    header, rule, row = text.splitlines()
    assert header.startswith("| run | network | framework | parameters |")
    assert rule.startswith("| --- | --- | --- | ---: |")
    assert header.count("|") == rule.count("|")
    assert row.startswith(
        r"| first_run | a\|b\`\<b\>\[c\](d)\*\_e_www\.f_g | https\://h \@i | 250,000 |"
    )
