"""How axes lie, told of arrays that NumPy moves in the same way."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xgraph.importing import axes as laid
from xgraph.importing.axes import BATCH, Blocks, Part
from xgraph.importing.network import Held

SHAPE = (4, 6, 12)  # H, W, C
BATCHES = 2


def laid_out(axes: laid.Axes) -> np.ndarray:
    """The entries (N, H, W, C), numbered, as a tensor has them whose axes lie so."""
    height, width, channels = SHAPE
    steps = {"n": height * width * channels, "h": width * channels, "w": channels, "c": 1, "x": 0}
    made = np.zeros((), int)
    for part in (part for axis in axes for part in axis):
        made = made[..., None] + np.arange(part.size) * part.stride * steps[part.letter]
    return made.reshape([laid.size(axis) for axis in axes])


def first(batch: laid.Size = BATCHES) -> laid.Axes:
    return tuple(laid.of_shape(SHAPE, batch).values())


@pytest.mark.parametrize("seed", range(30))
def test_views_and_transposes_are_numpys(seed):
    rng = np.random.default_rng(seed)
    axes, array = first(), laid_out(first())
    for _ in range(6):
        if rng.integers(2):
            order = rng.permutation(len(axes))
            axes, array = tuple(axes[k] for k in order), array.transpose(order)
        else:
            flat = int(rng.integers(1, 4))
            sizes = [math.prod(array.shape[:flat]), *array.shape[flat:]]
            at, by = int(rng.integers(len(sizes))), int(rng.integers(1, 4))
            if sizes[at] % by == 0:
                sizes[at : at + 1] = [by, sizes[at] // by]
            made = laid.reshaped(axes, sizes)
            if made is None:
                continue
            axes, array = made, array.reshape(sizes)
        assert np.array_equal(laid_out(axes), array)
        assert laid.reshaped(axes, array.shape) == axes


def test_what_tells_no_more_is_none():
    assert laid.reshaped(first(), (2, 8, 3, 12, 2)) is None
    assert laid.reshaped(first(), (2, 12, 4)) is None
    assert laid.reshaped(first(), (2, 12, 4, 6, 2)) is None
    assert laid.reshaped(first(BATCH), (24, 4, 6)) is None  # how large a batch is is not known
    assert laid.reshaped(first(BATCH), (BATCH, 12, 24)) is not None


def test_a_weight_along_an_axis_comes_in_our_order():
    flat = laid.reshaped(first(), (BATCHES, 12 * 4 * 6))
    assert flat is not None
    axis = laid.flat(flat[1], SHAPE)
    rows = Held("", (12 * 4 * 6, 5))
    array = np.arange(12 * 4 * 6 * 5).reshape(12, 4, 6, 5)
    expected = array.transpose(1, 2, 0, 3).reshape(-1, 5)
    assert np.array_equal(laid.in_order(rows, axis).seen(array.reshape(-1, 5)), expected)


def test_repeated_entries_go_with_others():
    whole = first()
    gate = (*whole[:2], (), ())
    wide = laid.expanded(gate, (BATCHES, 12, 4, 6))
    assert wide == (*whole[:2], (Part("x", 4, 0),), (Part("x", 6, 0),))
    assert laid.fits(wide, whole)
    assert laid.fits(gate, whole)
    assert not laid.fits(whole, wide)
    assert laid.expanded(whole, (BATCHES, 24, 4, 6)) is None


@pytest.mark.parametrize("crd", [False, True])
@pytest.mark.parametrize("apart", [False, True])
def test_blocks(apart, crd):
    """As NumPy moves them: (n, c, h, b, w, b) and the other way round."""
    inner = (2, 2, 3) if not crd else (3, 2, 2)
    if apart:
        axes = laid.reshaped(first(), (BATCHES, *inner, 4, 6))
        order = (0, 1, 4, 2, 5, 3) if crd else (0, 3, 4, 1, 5, 2)
        shape = (BATCHES, 3, 8, 12)
    else:
        axes = laid.reshaped(first(), (BATCHES, 12, 2, 2, 3, 2))
        order = (0, 1, 3, 5, 2, 4) if crd else (0, 3, 5, 1, 2, 4)
        shape = (BATCHES, 48, 2, 3)
    assert axes is not None
    made = laid.reshaped(tuple(axes[k] for k in order), shape)
    assert made is not None
    known = laid.of_shape(SHAPE, BATCHES)
    assert next(laid.blocks(made, SHAPE, known)) == ("nchw", Blocks(2, apart, crd))
