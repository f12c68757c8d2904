"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.zoo.results import Result


def zoo_of(result: Result) -> str:
    """The zoo that a result's network is of."""
    return str(result["network"]).partition(":")[0]


def share(part: int, whole: int) -> str:
    """How many of how many, also in percent."""
    return f"{part} of {whole}, {100 * part / whole:.0f} %" if whole else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of these rows."""
    lines = [head, ["---" for _ in head], *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)
