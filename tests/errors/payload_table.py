"""`python -m tests.errors.payload_table [N]`: every text in every place, and a line for each place.

With N, every N-th combination.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections import Counter
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


def main() -> int:
    step = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    start = time.monotonic()
    made, refused, impossible = Counter(), Counter(), Counter()
    codes: dict[str, Counter] = {field.name: Counter() for field in FIELDS}
    faults: list[str] = []
    tried = combinations(step)
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder))
        for field, text in tried:
            outcome = trials.run(field, text)
            faults += [f"{field.name} {text[:60]!r}: {fault}" for fault in outcome.faults]
            if outcome.code == IMPOSSIBLE:
                impossible[field.name] += 1
            elif outcome.code is None:
                made[field.name] += 1
            else:
                refused[field.name] += 1
                codes[field.name][outcome.code] += 1
    print(f"{'place':40} {'made':>6} {'refused':>8} {'none':>5}  codes")
    for name, found in codes.items():
        by = ", ".join(f"{code} {count}" for code, count in found.most_common(4))
        print(f"{name:40} {made[name]:6} {refused[name]:8} {impossible[name]:5}  {by}")
    for fault in faults:
        print("fault:", fault)
    print(
        f"{len(PAYLOADS)} texts, {len(FIELDS)} places, {len(tried):,} combinations in "
        f"{len(BACKENDS)} backends: {made.total():,} programs made, {refused.total():,} refused, "
        f"{impossible.total():,} not possible, {len(faults)} faults; "
        f"{time.monotonic() - start:.0f} s"
    )
    return bool(faults)


if __name__ == "__main__":
    raise SystemExit(main())
