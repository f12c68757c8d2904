"""Networks here are tiny, and many."""

from __future__ import annotations

import pytest

from tests import tiny


@pytest.fixture(autouse=True, scope="package")
def _tiny_networks():
    with tiny.networks():
        yield
