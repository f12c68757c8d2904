"""The numbers of a figure: what is drawn of which run, where, and in which unit."""

from __future__ import annotations

import math

import pytest

from tests.report.folders import LINES, evaluated, older, trained, write_run
from xgraph.report.curves import average, grouped, picture
from xgraph.report.runs import RunError, read_runs


@pytest.fixture
def make(tmp_path):
    """Runs by name and lines."""

    def runs(**lines):
        return read_runs([write_run(tmp_path / name, given) for name, given in lines.items()])

    return runs


def only(result):
    """The curves of a picture of one panel."""
    [panel] = result.panels
    return panel.curves


def test_loss_and_accuracy_over_steps(make):
    result = picture(make(first=LINES))
    assert (result.runs, result.x_label, result.remarks) == (("first",), "training steps", ())
    assert [panel.metric.label for panel in result.panels] == ["loss", "top-1 accuracy (%)"]
    loss, accuracy = (panel.curves for panel in result.panels)
    assert [(curve.split, curve.x, curve.y) for curve in loss] == [
        (None, (50, 100, 150, 200), (2.0, 1.0, 0.5, 0.25)),
        ("validation", (100, 200), (1.5, 0.5)),
    ]
    assert [(curve.split, curve.x, curve.y) for curve in accuracy] == [
        ("validation", (100, 200), (50.0, 75.0))
    ]
    assert result.splits == (None, "validation")


def test_over_epochs(make):
    result = picture(make(first=LINES), ["top1"], axis="epochs")
    assert result.x_label == "epochs"
    assert [curve.x for curve in only(result)] == [(1.0, 2.0)]


@pytest.mark.parametrize(
    ("last", "unit", "size"),
    [(360, "seconds", 1), (7200, "minutes", 60), (40_000, "hours", 3600), (10**6, "days", 86400)],
)
def test_over_time_in_a_unit_that_suits_it(make, last, unit, size):
    lines = [trained(100, 1.0), trained(last, 0.5)]  # a step takes half a second
    result = picture(make(first=lines), axis="time")
    assert result.x_label == f"training time ({unit})"
    assert only(result)[0].x == (50 / size, last / 2 / size)


def test_a_run_without_times_is_left_out_of_a_figure_over_time(make):
    runs = make(first=LINES, old=older(), late=[*older(LINES[:2]), *LINES[2:]])
    result = picture(runs, ["top1"], axis="time")
    assert {curve.run for curve in only(result)} == {0, 2}
    assert result.remarks == (
        "old: its log has no 'seconds', and so no place over time",
        "late: 2 lines have no 'seconds', and so no place over time",
    )
    with pytest.raises(RunError) as error:
        picture(runs[1:2], axis="time")
    assert error.value.lines == (
        "old: its log has no 'seconds', and so no place over time",
        "loss: nothing of it can be drawn over time",
        "top-1 accuracy: nothing of it can be drawn over time",
    )


def test_metrics_of_any_name(make):
    lines = [trained(1, 2.0), evaluated(1, loss=3.0, map100=0.067, recall=0.5)]
    runs = make(first=lines)
    assert [panel.metric.label for panel in picture(runs).panels] == ["loss", "MAP@100"]
    asked = picture(runs, ["recall", "learning_rate", "recall"])
    assert [panel.metric.label for panel in asked.panels] == ["recall", "learning rate"]
    assert [panel.curves[0].y for panel in asked.panels] == [(0.5,), (0.1,)]


def test_a_metric_that_no_run_logs(make):
    runs = make(first=LINES)
    with pytest.raises(RunError, match=r"^no run logs 'top2'; did you mean 'top1'\?$"):
        picture(runs, ["top2"])
    with pytest.raises(RunError, match=r"^no run logs '·\[2J'; expected one of loss, learning_ra"):
        picture(runs, ["\x1b[2J"])


def test_runs_that_lack_a_metric_are_told(make):
    result = picture(make(first=LINES, second=LINES[:1], third=[]))
    assert result.remarks == (
        "third: nothing is logged yet",
        "top-1 accuracy: not in the log of second",
    )
    assert result.drawn == (0, 1)


def test_nothing_to_draw(make):
    with pytest.raises(RunError, match=r"^there is nothing to draw yet"):
        picture(make(empty=[], bare=[{"step": 1}]))


def test_an_average_is_the_formula():
    values, weight = (3.0, 1.0, 4.0, 1.0, 5.0), 0.7
    found = average(values, weight)
    for t in range(len(values)):
        terms = [weight**i * values[t - i] for i in range(t + 1)]
        assert math.isclose(found[t], (1 - weight) * sum(terms) / (1 - weight ** (t + 1)))
    assert average(values, 0.0) == values
    assert average((2.0,) * 4, 0.9) == pytest.approx((2.0,) * 4)


def test_training_is_smoothed_and_evaluation_is_not(make):
    result = picture(make(first=LINES), smooth=0.5)
    training, validation = result.panels[0].curves
    assert training.y == (2.0, 1.0, 0.5, 0.25)
    assert training.average == average(training.y, 0.5)
    assert validation.average is None


def test_what_has_no_logarithm_is_left_out(make):
    lines = [trained(1, 2.0), trained(2, 0.0), trained(3, -1.0), trained(4, 0.5)]
    lines.append(evaluated(4, loss=0.25, top1=0.0))
    result = picture(make(first=lines), logarithmic=True, smooth=0.1)
    loss, accuracy = result.panels
    assert (loss.logarithmic, accuracy.logarithmic) == (True, False)
    assert loss.curves[0].x == (1, 4)
    averages = average((2.0, 0.0, -1.0, 0.5), 0.1)
    assert loss.curves[0].average == (averages[0], averages[3])
    assert accuracy.curves[0].y == (0.0,)
    assert result.remarks == ("loss: no logarithm of 2 values that are not above 0",)


SEEDS = {
    "one": LINES,
    "two": [{**line, "loss": 3 * line["loss"]} for line in LINES],
    "other": [{**line, "loss": 0.125} for line in LINES],
}


def test_runs_of_a_group_are_their_mean_and_evaluations_a_band(make):
    result = grouped(picture(make(**SEEDS), ["loss"]), ["a", "a", "b"])
    assert (result.runs, result.drawn, result.remarks) == (("a", "b"), (0, 1), ())
    first, second, third, fourth = only(result)
    assert (first.run, first.split, first.x) == (0, None, (50, 100, 150, 200))
    assert (first.y, first.band) == ((4.0, 2.0, 1.0, 0.5), None)
    assert (second.run, second.split, second.x) == (0, "validation", (100, 200))
    assert (second.y, second.band) == ((3.0, 1.0), ((1.5, 4.5), (0.5, 1.5)))
    assert [(curve.run, curve.split) for curve in (third, fourth)] == [(1, None), (1, "validation")]
    assert (fourth.y, fourth.band) == ((0.125, 0.125), None)  # of one run


def test_runs_of_a_group_need_not_stand_together(make):
    one, two, three = make(**SEEDS)
    result = grouped(picture([one, three, two], ["loss"]), ["a", "b", "a"])
    apart = grouped(picture([one, two, three], ["loss"]), ["a", "a", "b"])
    assert result == apart


def test_the_average_of_a_group_is_that_of_its_means(make):
    result = grouped(picture(make(**SEEDS), ["loss"], smooth=0.5), ["a", "a", "b"])
    training, validation, *_ = only(result)
    assert training.average == pytest.approx(average(training.y, 0.5))
    assert validation.average is None


def test_only_places_that_all_of_a_group_have_are_shown(make):
    runs = make(one=LINES, two=LINES[:4], bare=LINES[:2], none=[])
    result = grouped(picture(runs), ["a"] * 4)
    loss, accuracy = result.panels
    assert [curve.x for curve in loss.curves] == [(50, 100), (100,)]
    assert [curve.x for curve in accuracy.curves] == [(100,)]
    assert result.remarks == (
        "none: nothing is logged yet",
        "top-1 accuracy: not in the log of bare",
        "loss of a: 3 places are not in all its runs",
        "top-1 accuracy of a: 1 place is not in all its runs",
    )


def test_nothing_that_a_group_has_in_common(make):
    runs = make(one=[trained(1, 2.0)], two=[trained(2, 2.0)])
    with pytest.raises(RunError) as error:
        grouped(picture(runs), ["a", "a"])
    assert error.value.lines == ("loss of a: 2 places are not in all its runs",)
