"""Proof that the programs of several backends are the same network and the same training run.

from xgraph.parity import compare

report = compare("my_spec.yaml", backends=["torch", "flax"], steps=3)
assert report.agree, report

from xgraph.parity import verify

report = verify("my_spec.yaml", my_module)  # of PyTorch, Keras or Flax
assert report.agree, report
"""

from __future__ import annotations

from xgraph.parity.comparison import compare
from xgraph.parity.report import Divergence, Measurement, ParityReport
from xgraph.parity.verification import Place, Verification
from xgraph.parity.verify import verify

__all__ = [
    "Divergence",
    "Measurement",
    "ParityReport",
    "Place",
    "Verification",
    "compare",
    "verify",
]
