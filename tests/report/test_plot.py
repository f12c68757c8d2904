"""The drawn figure: the data of its artists, its texts, and the bytes of the file."""

from __future__ import annotations

import warnings
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from tests.report.folders import LINES, evaluated, trained, write_run
from xgraph.report import looks, plot
from xgraph.report.curves import grouped, picture
from xgraph.report.runs import RunError, read_runs


@pytest.fixture
def runs(tmp_path):
    other = [{**line, "loss": line["loss"] * 2} for line in LINES]
    return read_runs([write_run(tmp_path / "first"), write_run(tmp_path / "second", other)])


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def legends(figure):
    return [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]


def test_artists_have_the_data_of_the_logs(runs):
    loss, accuracy = plot.draw(picture(runs)).axes
    found = lines(loss)
    assert found.keys() == {f"{run}/{what}" for run in ("first", "second")
                            for what in ("training", "validation")}  # fmt: skip
    for name, factor in (("first", 1), ("second", 2)):
        training, validation = found[f"{name}/training"], found[f"{name}/validation"]
        steps, losses = training.get_data()
        np.testing.assert_array_equal(steps, [50, 100, 150, 200])
        np.testing.assert_array_equal(losses, np.array([2.0, 1.0, 0.5, 0.25]) * factor)
        np.testing.assert_array_equal(validation.get_ydata(), np.array([1.5, 0.5]) * factor)
        assert (training.get_marker(), validation.get_marker()) == ("", "o")
        assert training.get_color() == validation.get_color()
        np.testing.assert_array_equal(lines(accuracy)[f"{name}/validation"].get_ydata(), [50, 75])
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("training steps", "loss")
    assert accuracy.get_ylabel() == "top-1 accuracy (%)"
    assert loss.get_xlim() == accuracy.get_xlim()
    assert loss.get_xlim()[0] == 0


def test_legends_say_what_is_what(runs):
    assert legends(plot.draw(picture(runs))) == [["first", "second"], ["training", "validation"]]
    said = legends(plot.draw(picture(runs, smooth=0.9)))[1]
    assert said == ["training, exponential average of weight 0.9", "as logged", "validation"]


def test_a_group_is_a_line_in_a_band(runs):
    drawn = grouped(picture(runs), ["both", "both"])
    figure = plot.draw(drawn)
    loss, accuracy = figure.axes
    assert lines(loss).keys() == {"both/training", "both/validation"}
    np.testing.assert_array_equal(lines(loss)["both/validation"].get_ydata(), [2.25, 0.75])
    [band] = loss.collections
    assert band.get_label() == "both/validation/band"
    corners = {(x, y) for x, y in band.get_paths()[0].vertices}
    assert {(100, 1.5), (100, 3.0), (200, 0.5), (200, 1.0)} <= corners
    assert band.get_facecolor()[0][3] == looks.BAND
    assert len(accuracy.collections) == 1
    assert legends(figure) == [
        ["both"],
        ["training", "validation", "validation, from the least to the greatest"],
    ]


def test_values_are_faint_behind_their_average(runs):
    drawn = picture(runs[:1], ["loss"], smooth=0.5)
    [axes] = plot.draw(drawn).axes
    found = lines(axes)
    raw, smooth = found["first/training"], found["first/training/average"]
    np.testing.assert_array_equal(smooth.get_ydata(), drawn.panels[0].curves[0].average)
    np.testing.assert_array_equal(raw.get_ydata(), [2.0, 1.0, 0.5, 0.25])
    assert raw.get_alpha() < 0.5
    assert smooth.get_alpha() is None
    assert smooth.get_zorder() > raw.get_zorder()


def test_a_logarithmic_axis(runs):
    figure = plot.draw(picture(runs, logarithmic=True))
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "linear"]
    figure.draw_without_rendering()
    ticks = figure.axes[0].yaxis
    labels = [label.get_text() for label in ticks.get_ticklabels(which="both")]
    assert "1" in labels
    assert not [label for label in labels if "$" in label]


@pytest.mark.parametrize(
    ("last", "ticks"),
    [(1, {"0", "1"}), (1000, {"0", "200", "1k"}), (12_000_000, {"0", "2M", "12M"})],
)
def test_steps_are_whole_and_readable(tmp_path, last, ticks):
    runs = read_runs([write_run(tmp_path / "run", [trained(0, 1.0), trained(last, 0.5)])])
    figure = plot.draw(picture(runs))
    figure.draw_without_rendering()
    labels = {label.get_text() for label in figure.axes[0].get_xticklabels()}
    assert ticks <= labels
    assert not [label for label in labels if "m" in label]


def test_splits_have_markers(tmp_path):
    both = [evaluated(1, "validation", loss=1.0), evaluated(1, "test", loss=2.0)]
    figure = plot.draw(picture(read_runs([write_run(tmp_path / "run", both)])))
    found = lines(figure.axes[0])
    assert [found[f"run/{split}"].get_marker() for split in ("validation", "test")] == ["o", "s"]
    assert legends(figure)[1] == ["validation", "test"]


def test_a_single_value_is_visible(tmp_path):
    runs = read_runs([write_run(tmp_path / "run", [trained(0, 1.0)])])
    [line] = plot.draw(picture(runs)).axes[0].get_lines()
    assert line.get_marker() == "."


def test_every_run_looks_different(tmp_path):
    count = looks.MAX_RUNS + 1
    paths = [write_run(tmp_path / f"{index}", [trained(1, 1.0)]) for index in range(count)]
    runs = read_runs(paths)
    [axes] = plot.draw(picture(runs[:-1])).axes
    seen = {(line.get_color(), str(line._unscaled_dash_pattern)) for line in axes.get_lines()}
    assert len(seen) == looks.MAX_RUNS
    with pytest.raises(RunError, match=r"^29 runs: a figure can show 28$"):
        plot.draw(picture(runs))


def test_more_than_a_figure_holds(tmp_path):
    many = [{"step": 1, "split": f"s{n}", "loss": 1.0} for n in range(100)]
    runs = read_runs([write_run(tmp_path / "run", many)])
    with pytest.raises(RunError, match=r"^100 splits: a figure can show 6$"):
        plot.draw(picture(runs))
    wide = [{"step": 1, **{f"m{n}": 1.0 for n in range(20)}}]
    runs = read_runs([write_run(tmp_path / "wide", wide)])
    with pytest.raises(RunError, match=r"^20 metrics: a figure can show 12$"):
        plot.draw(picture(runs, [f"m{n}" for n in range(20)]))


def test_panels_keep_their_size_below_many_names(tmp_path):
    """A key of many lines makes the figure higher."""
    names = [f"{n:02}_{'a' * 35}" for n in range(looks.MAX_RUNS)]
    runs = read_runs([write_run(tmp_path / name) for name in names])
    heights = []
    for figure in (plot.draw(picture(runs[:1])), plot.draw(picture(runs))):
        figure.draw_without_rendering()
        heights.append(figure.axes[0].get_window_extent().height)
    assert heights[1] == pytest.approx(heights[0], rel=0.1)


HOSTILE = [
    "_hidden",
    "$\\frac{1}$",
    "$x$",
    "<script>&\"'--",
    "漢字",
    "\u202eevil",
    "%s {0}",
    "a" * 300,
]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_names_of_strangers_are_only_shown(tmp_path, kind):
    """As they are, neither hidden nor read as formulas, without a word on standard error."""
    paths = []
    for index, name in enumerate(HOSTILE):
        split = HOSTILE[index % len(looks.MARKERS)]
        line = {"step": 1, "split": split, name[:200]: 0.5, "loss": 1.0}
        paths.append(write_run(tmp_path / str(index) / name[:200].replace("/", ""), [line]))
    runs = read_runs(paths)
    target = tmp_path / f"figure.{kind}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = picture(runs, ["loss", *(name[:200] for name in HOSTILE)])
        plot.save(drawn, str(target))
    assert legends(plot.draw(drawn))[0] == [run.name for run in runs]
    assert target.stat().st_size > 1000
    if kind == "svg":
        text = target.read_text(encoding="utf-8")
        assert ElementTree.fromstring(text).tag.endswith("svg")
        assert "<script" not in text
        assert "\u202e" not in text


def test_numbers_at_the_bounds(tmp_path):
    lines = [trained(1, 9e29), trained(2, -9e29), trained(3, 5e-324), trained(2**53 - 1, 0.0)]
    runs = read_runs([write_run(tmp_path / "run", lines)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for logarithmic in (False, True):
            plot.save(picture(runs, logarithmic=logarithmic), str(tmp_path / "figure.png"))


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_runs_give_the_same_bytes(runs, tmp_path, kind):
    """Whatever the time, and whatever the user's own settings of matplotlib."""
    first, second = tmp_path / f"a.{kind}", tmp_path / f"b.{kind}"
    plot.save(picture(runs), str(first))
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "none"}):
        plot.save(picture(runs), str(second))
        assert mpl.rcParams["font.size"] == 30
    assert first.read_bytes() == second.read_bytes()
    assert mpl.__version__.encode() not in first.read_bytes()


def test_where_it_is_written(runs, tmp_path):
    drawn = picture(runs)
    plot.save(drawn, str(tmp_path / "new" / "figure.PNG"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["figure.PNG"]
    for name in ("figure.pdf", "figure", ".png"):
        with pytest.raises(RunError, match=r"the name of a figure ends in .png or .svg$"):
            plot.save(drawn, str(tmp_path / name))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(RunError, match=r"folder.png: cannot write it: is a directory$"):
        plot.save(drawn, str(tmp_path / "folder.png"))
    with pytest.raises(RunError, match="cannot write it"):
        plot.save(drawn, str(tmp_path / "first" / "run.json" / "a.png"))
    assert not list(tmp_path.glob(".*"))
