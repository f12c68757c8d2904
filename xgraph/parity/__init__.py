"""Proof that the programs of several backends are the same network and the same training run.

from xgraph.parity import compare

report = compare("my_spec.yaml", backends=["torch", "flax"], steps=3)
assert report.agree, report
"""

from __future__ import annotations

from xgraph.parity.comparison import compare
from xgraph.parity.report import Divergence, Measurement, ParityReport

__all__ = ["Divergence", "Measurement", "ParityReport", "compare"]
