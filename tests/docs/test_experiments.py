"""What docs/experiments.md states, from the results beside it and the networks of today."""

from __future__ import annotations

import math
import re

import pytest

from benchmarks.paper import page, results
from benchmarks.paper.experiments import ARMS, EXPERIMENTS
from benchmarks.paper.training import compile_programs, epochs
from tests.docs.markdown import ROOT
from xgraph.compile import analyse
from xgraph.passes.cost import measure, total

TEXT = page.PAGE.read_text(encoding="utf-8")
#: By heading.
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
#: Numbers of the paper and of the slides, and of what is set, which no result has.
ELSEWHERE = {
    "figure6": {"0.8"},
    "slides": {"0.57", "17"},
}
DONE = [each for each in EXPERIMENTS.values() if results.published(each.name)]
READ = pytest.mark.parametrize("experiment", DONE, ids=lambda each: each.name)


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    compile_programs(ARMS.values(), folder)
    return folder / "programs"


def test_the_tables_are_those_of_the_results():
    assert page.page(TEXT) == TEXT, "python -m benchmarks.paper all --redraw"


def test_every_experiment_is_there_and_can_be_made():
    assert [title for title in SECTIONS if title in {e.title for e in EXPERIMENTS.values()}] == [
        experiment.title for experiment in EXPERIMENTS.values()
    ]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [targets] = re.findall(r"^EXPERIMENTS = (.*)$", makefile, re.MULTILINE)
    assert targets.split() == [*EXPERIMENTS]
    assert {path.name for path in results.PUBLISHED.iterdir()} == {
        f"{each.name}{ending}" for each in DONE for ending in (".jsonl", ".svg")
    }


def test_what_has_no_results_says_so_and_no_more():
    for experiment in EXPERIMENTS.values():
        if experiment not in DONE:
            section = SECTIONS[experiment.title]
            assert f"No results yet: `make {experiment.name}` makes them." in section
            assert "](experiments/" not in section
            assert not reading(experiment)


@READ
def test_its_section_shows_its_figure_and_table(experiment):
    section = SECTIONS[experiment.title]
    assert f"](experiments/{experiment.name}.svg)" in section
    assert page.table(experiment.name) in section
    assert len(reading(experiment).split()) > 20


@READ
def test_the_figure_is_of_these_results(experiment):
    """The names that it shows stand beside the outlines of their letters."""
    text = (results.PUBLISHED / f"{experiment.name}.svg").read_text(encoding="utf-8")
    said = {*re.findall(r"<!-- (.*) -->", text)}
    picture = page.picture(experiment.name)
    assert picture.runs == experiment.arms
    assert not picture.remarks
    assert {*experiment.arms, "loss", "top-1 accuracy (%)", "epochs", "training", "test"} <= said
    assert "test, from the least to the greatest" in said


@READ
def test_results_are_of_the_networks_of_today(experiment, programs):
    """All of them, from the same seeds, and to the end."""
    found = results.read(experiment.name)
    seeds = {arm: [one.seed for one in found if one.arm == arm] for arm in experiment.arms}
    assert {one.arm for one in found} == {*experiment.arms}
    assert len({tuple(each) for each in seeds.values()}) == 1
    assert len(seeds[experiment.arms[0]]) >= page.SEEDS
    for one in found:
        program = (programs / one.arm / "train.py").read_text(encoding="utf-8")
        for name in ("network", "recipe", "image_settings"):
            assert f'"{name}": "{one.about[name]}"' in program, (one.arm, name)
        assert one.about["epochs"] == epochs(programs / one.arm) == page.EPOCHS
        assert (one.about["images"], one.about["batch_size"]) == (60_000, 256)
        assert [line["epoch"] for line in one.evaluations] == [1, 2, 3, 4, 5]
        assert {line["split"] for line in one.evaluations} == {"test"}
        for line in one.evaluations:
            assert math.isclose(line["top1"] * 10_000, round(line["top1"] * 10_000))
            assert 0.5 < line["top1"] < 1


def reading(experiment) -> str:
    """What a section says of its results."""
    return SECTIONS[experiment.title].partition("<!-- end -->")[2].strip()


@READ
def test_a_number_that_is_read_stands_in_the_table(experiment):
    table = {*re.findall(r"\d+\.\d+", page.table(experiment.name))}
    for number in re.findall(r"\d+\.\d+", reading(experiment)):
        assert number in table | ELSEWHERE.get(experiment.name, set()), number


def test_no_number_of_the_results_is_said_elsewhere():
    """Where nothing would notice that it has changed."""
    prose = re.sub(r"<!-- table of .*?<!-- end -->", "", TEXT, flags=re.DOTALL)
    for experiment in DONE:
        prose = prose.replace(reading(experiment), "")
    assert {*re.findall(r"\d+\.\d+", prose)} <= {
        "0.2", "3.5", "0.9", "0.1", "0.001", "0.8", "0.57", "1610.02357",
    }  # fmt: skip


def test_what_is_said_of_sizes():
    sizes = {}
    for name, arm in ARMS.items():
        found = analyse(arm.path, arm.settings)
        sizes[name] = total(measure(found.graph, found.types)).trainable
    assert f"{sizes['xception'] / 1e6:.1f} million parameters" in TEXT
    assert 1.15 < sizes["inception_v3_tower"] / sizes["xception_adam"] < 1.25
    assert f"{max(e.budget or 0 for e in EXPERIMENTS.values()):.1%}".replace("%", " %") in TEXT
