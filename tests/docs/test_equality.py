"""Limits and counts that docs/semantics.md and docs/equality.md state."""

from __future__ import annotations

import json
import re
from collections import Counter

from tests.docs.markdown import ROOT
from tests.emit.structures import SPECS
from tests.mutants.faults import FAULTS
from tests.mutants.run import SHARE
from tests.onnx_nodes import cases, mapping
from xgraph import conformance
from xgraph.parity.distance import (
    _MOST,
    _ROUNDING,
    CLOSE,
    FLOOR,
    IMAGES_FLOOR,
    MARGIN,
    QUANTITIES,
    TELLING,
)
from xgraph.parity.job import NUDGE

SEMANTICS = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
EQUALITY = (ROOT / "docs" / "equality.md").read_text(encoding="utf-8")


def figure(number: float) -> str:
    """1e-10, as documents write it."""
    return re.sub(r"e-0?", "e-", f"{number:.0e}")


def test_the_limits_of_a_comparison():
    shown = SEMANTICS[SEMANTICS.index("## Equality") :]
    rows = re.findall(r"^\| ([A-Za-z ]+) \| (.*) \|$", shown, re.MULTILINE)
    expected = []
    for quantity in QUANTITIES:
        single = [figure(quantity.float32)] if quantity.float32 else []
        single += ["the yardstick"] if quantity.yardstick else []
        text = ", or ".join(single) or "reported"
        expected.append((quantity.name, text))
    start = [("quantity", "float32"), ("initial weights", "the same bits")]
    assert rows == [*start, *expected]
    text = " ".join(shown.split())
    assert f"at least {figure(_ROUNDING)} and at most {_MOST['float32']}" in text
    assert f"off by a relative {figure(NUDGE)}" in text
    assert f"a tensor may be {MARGIN:.0f} times as far apart" in text
    assert f"Up to {figure(CLOSE)} programs agree" in text
    assert f"{MARGIN:.0f} times a distance of {figure(CLOSE / MARGIN)}" in text
    assert f"beyond {figure(TELLING)}, which is a distance of a program to itself of " in text
    assert f"farther from itself than {figure(TELLING / MARGIN)} after the steps" in text
    assert f"No limit is beyond {figure(_MOST['float64'])}" in text
    assert f"below {figure(FLOOR)} of" in text
    assert f"is below {figure(IMAGES_FLOOR)} of the largest gradient of a weight" in text


def test_the_counts_and_limits_of_ops_and_structures():
    assert f"{len(SPECS)} specs" in EQUALITY
    assert f"{figure(conformance.TOLERANCE)} in float64" in EQUALITY
    assert f"{figure(conformance.GRADIENT_TOLERANCE)} in float64" in EQUALITY


def test_the_counts_of_seeded_defects():
    assert f"There are {len(FAULTS)} faults" in EQUALITY
    assert sum(bool(fault.survives) for fault in FAULTS) == 1
    assert "One of them changes nothing" in EQUALITY
    assert f"At least {SHARE * 100:.0f} % must be caught" in EQUALITY


def test_the_counts_of_onnx():
    """Lower bounds, which another op or release does not change. The suite takes seconds."""
    suite = cases.load()
    candidates = mapping.candidates(suite)
    mapped, specs, reasons = Counter(), 0, Counter()
    for case in candidates:
        try:
            specs += len(mapping.translate(case))
        except mapping.Unmapped as why:
            reasons[str(why)] += 1
        else:
            mapped[case.kind] += 1
    kinds = Counter(case.kind for case in candidates)
    node = sum(case.kind == "node" for case in suite.cases) + suite.several["node"]
    said = re.findall(r"more than ([\d,]+)", EQUALITY[EQUALITY.index("## ONNX's test cases") :])
    counts = (node, kinds["node"], kinds.total(), mapped.total(), specs)
    for least, count in zip((int(n.replace(",", "")) for n in said), counts, strict=True):
        assert least < count < 1.1 * least
    listed = re.findall(r"^\| (.*) \| (\d+)( each)? \|$", EQUALITY, re.MULTILINE)
    counts = [int(n) for reason, n, each in listed for _ in reason.split(";" if each else "\n")]
    assert sum(counts) == reasons.total()


RUNS = ("pytorch", "keras", "flax")


def evaluated(run):
    """The evaluations in a run's log, in their order."""
    text = (ROOT / "docs" / "fashion" / run / "metrics.jsonl").read_text(encoding="utf-8")
    return [line for line in map(json.loads, text.splitlines()) if "split" in line]


def test_the_run_of_ten_epochs():
    """What stands in the table, but for the test images, is in the logs beside it."""
    runs = [evaluated(run) for run in RUNS]
    name = r"loss of the 5,000[^|]*|after 5|after 10|their accuracy after 10"
    rows = dict(re.findall(rf"^\| ({name}) \| (.*) \|$", EQUALITY, re.MULTILINE))
    assert len(rows) == 4
    for (name, row), epoch in zip(rows.items(), (1, 5, 10, 10), strict=True):
        for said, found in zip(row.split(" | "), (run[epoch - 1] for run in runs), strict=True):
            assert found["epoch"] == epoch
            accuracy = said.endswith("%")
            value = 100 * found["top1"] if accuracy else found["loss"]
            digits = len(said.removesuffix(" %").partition(".")[2])
            assert f"{value:.{digits}f}" == said.removesuffix(" %"), name


def test_the_figure_is_of_these_runs():
    text = (ROOT / "docs" / "fashion" / "fashion.svg").read_text(encoding="utf-8")
    assert {*RUNS} <= {*re.findall(r"<!-- (.*) -->", text)}
