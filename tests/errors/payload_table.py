"""`python -m tests.errors.payload_table [N]`: every text in every place, and a line for each place.

With N, every N-th combination. Places are tried side by side, a process for each core.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.errors.payload_fields import FIELDS, Field
from tests.errors.payload_trial import BACKENDS, IMPOSSIBLE, Trials
from tests.errors.payloads import PAYLOADS


def combinations(step: int = 1) -> list[tuple[Field, str]]:
    """Places and texts; every `step`-th or nearly so, so that places meet different texts."""
    while math.gcd(step, len(PAYLOADS)) > 1:
        step += 1
    every = [(field, text) for field in FIELDS for text in PAYLOADS]
    return every[::step]


@dataclass
class Row:
    """What became of the texts in one place."""

    name: str
    made: int = 0
    impossible: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        by = ", ".join(f"{code} {count}" for code, count in self.refused.most_common(4))
        refused = self.refused.total()
        return f"{self.name:40} {self.made:6} {refused:8} {self.impossible:5}  {by}"


def tried(number: int, texts: list[str]) -> Row:
    """The texts in the place of that number."""
    place = FIELDS[number]
    row = Row(place.name)
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder))
        for text in texts:
            outcome = trials.run(place, text)
            row.faults += [f"{place.name} {text[:60]!r}: {fault}" for fault in outcome.faults]
            if outcome.code == IMPOSSIBLE:
                row.impossible += 1
            elif outcome.code is None:
                row.made += 1
            else:
                row.refused[outcome.code] += 1
    return row


def main() -> int:
    start = time.monotonic()
    chosen = combinations(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    texts = [[text for place, text in chosen if place is one] for one in FIELDS]
    print(f"{'place':40} {'made':>6} {'refused':>8} {'none':>5}  codes", flush=True)
    rows: list[Row] = []
    with ProcessPoolExecutor() as pool:
        for row in pool.map(tried, range(len(FIELDS)), texts):
            print(row, *(f"fault: {fault}" for fault in row.faults), sep="\n", flush=True)
            rows.append(row)
    faults = sum(len(row.faults) for row in rows)
    print(
        f"{len(PAYLOADS)} texts, {len(FIELDS)} places, {len(chosen):,} combinations in "
        f"{len(BACKENDS)} backends: {sum(row.made for row in rows):,} programs made, "
        f"{sum(row.refused.total() for row in rows):,} refused, "
        f"{sum(row.impossible for row in rows):,} not possible, {faults} faults; "
        f"{time.monotonic() - start:.0f} s"
    )
    return bool(faults)


if __name__ == "__main__":
    raise SystemExit(main())
