"""Networks here are tiny, and many."""

from __future__ import annotations

import pytest

from tests import tiny


@pytest.fixture(autouse=True, scope="package")
def _tiny_networks():
    with tiny.networks():
        yield


@pytest.fixture
def compiled_apart():
    """What `torch.compile` remembers of modules called `layers` and `model` ends with the test."""
    import torch
    from torch._dynamo import symbolic_convert

    yield
    torch._dynamo.reset()
    if remembered := getattr(symbolic_convert, "_import_module", None):  # not in every version
        remembered.cache_clear()
