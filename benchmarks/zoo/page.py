"""The page whose tables are written of results."""

from __future__ import annotations

import re
from typing import Final

from benchmarks.zoo import numbers, results, table
from benchmarks.zoo.results import ROOT

PAGE: Final = ROOT / "docs" / "importing.md"
#: Between these lines of the page is what is written here.
_TABLES: Final = re.compile(r"(<!-- tables of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_WRITTEN: Final = {
    "zoo": (results.RESULTS, table.written),
    "unseen": (results.UNSEEN, table.written),
    "numbers": (results.NUMBERS, numbers.written),
}


def filled(text: str) -> str:
    """The page with its tables as the results have them."""

    def tables(match: re.Match[str]) -> str:
        path, written = _WRITTEN[match[2]]
        return f"{match[1]}\n{written([*results.read(path).values()])}\n\n{match[3]}"

    return _TABLES.sub(tables, text)
