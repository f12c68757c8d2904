"""What tests of Keras' models share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ..parity import published


@pytest.fixture
def keras() -> Iterator[Any]:
    """Keras, whose new layers compute in float64."""
    with published.keras_precision("float64") as keras:
        yield keras
        keras.backend.clear_session()
