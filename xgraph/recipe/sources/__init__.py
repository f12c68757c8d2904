"""Where images come from: one file each. A file's name is the source's; it is imported when used.

What reads them in a program is `xgraph/emit/library/sources/<name>.py`.
"""

from __future__ import annotations

from xgraph.recipe.parts import Parts
from xgraph.recipe.sources.base import DataSource

SOURCES = Parts("xgraph.recipe.sources", DataSource)

__all__ = ["SOURCES", "DataSource"]
