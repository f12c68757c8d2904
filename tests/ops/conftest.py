"""Building ops the way a spec does: through the kinds of their attributes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from xgraph import ops


def _make(name: str, **given: Any) -> ops.Op:
    cls = ops.get(name)
    kinds = {field.name: field.metadata["kind"] for field in dataclasses.fields(cls)}
    return cls(**{key: kinds[key].convert(value) for key, value in given.items()})


@pytest.fixture(scope="session")
def make() -> Callable[..., ops.Op]:
    """An op with attributes as a spec would write them: `make("conv", filters=4, kernel=3)`."""
    return _make
