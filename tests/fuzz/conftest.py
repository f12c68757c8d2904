"""Networks here are tiny: threads would cost more than they save, above all on a busy machine."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
