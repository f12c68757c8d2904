"""Print, in Markdown, which of ONNX's test cases specs can express and why others cannot."""

from __future__ import annotations

from collections import Counter, defaultdict

from . import cases, mapping
from .mapping import RULES, Unmapped


def report() -> str:
    """Three tables: how many cases there are, what is mapped, and what is not."""
    suite = cases.load()
    candidates = mapping.candidates(suite)
    mapped: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    unmapped: dict[tuple[str, str], list[str]] = defaultdict(list)
    # By kind: cases, those of several operators, of other operators, mapped, not mapped.
    counts = {kind: Counter(several=suite.several[kind]) for kind in cases.KINDS}
    for case in suite.cases:
        counts[case.kind]["other"] += case.op_type not in RULES
    for case in candidates:
        name = f"`{case.name.removeprefix('test_')}`"
        try:
            made = mapping.translate(case)
        except Unmapped as why:
            counts[case.kind]["unmapped"] += 1
            unmapped[case.op_type, str(why)].append(name)
            continue
        counts[case.kind]["mapped"] += 1
        for one in made:
            mapped[case.op_type, one.op, one.remark].append(name)
    columns = ("mapped", "unmapped", "other", "several")
    lines = [
        "| kind | cases | mapped | with a reason why not | other operators | several operators |",
        "|---|---|---|---|---|---|",
    ]
    for kind, count in counts.items():
        cells = (kind, count.total(), *(count[column] for column in columns))
        lines.append(_row(*cells))
    total = sum(counts.values(), Counter())
    lines.append(_row("total", total.total(), *(total[column] for column in columns)))
    lines += ["", "| ONNX | op | cases | | remark |", "|---|---|---|---|---|"]
    for (op_type, op, remark), names in sorted(mapped.items()):
        lines.append(_row(op_type, f"`{op}`", len(names), ", ".join(names), remark))
    lines += ["", "| ONNX | why not | cases | |", "|---|---|---|---|"]
    for (op_type, reason), names in sorted(unmapped.items()):
        lines.append(_row(op_type, reason, len(names), ", ".join(names)))
    return "\n".join(lines) + "\n"


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


if __name__ == "__main__":
    print(report(), end="")
