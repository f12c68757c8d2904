"""The statistics of dropout's masks: as good as drawn at random, in every direction.

Bounds are of five standard deviations or a chance of one in a million. Nothing here is random: a
mask is a number, and what passes once passes always.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest

from xgraph.ops.dropout import Dropout, mask_bits, mask_key, mix
from xgraph.ops.spatial_dropout import SpatialDropout
from xgraph.ops.stochastic_depth import StochasticDepth

ENTRIES = 2**16
PASSES = 32


@functools.cache
def bits(layer="head.dropout", seed=0, passes=range(PASSES), count=ENTRIES):
    key = mask_key(seed, layer)
    return np.stack([mask_bits(key, t, count) for t in passes])


def masks(rate, **options):
    """What is kept, standardized: of mean 0 and variance 1 if the rate is what it should be."""
    kept = bits(**options) >= int(rate * 2**32)
    return (kept - (1 - rate)) / np.sqrt(rate * (1 - rate))


def assert_uncorrelated(a, b):
    """The mean product of two standardized arrays lies within five deviations of 0."""
    assert abs(float((a * b).mean())) < 5 / np.sqrt(a.size)


def chi_square(counts):
    """How many deviations the counts of equally likely things are from even."""
    expected = counts.sum() / counts.size
    degrees = counts.size - 1
    return (((counts - expected) ** 2).sum() / expected - degrees) / np.sqrt(2 * degrees)


@pytest.mark.parametrize("count", [1, 2**16])
def test_mix_is_the_published_function(count):
    """By whole numbers of any size, as a framework without unsigned ones computes it."""
    x = np.arange(2**32 - count, 2**32, dtype=np.uint64)
    expected = x.astype(np.uint32)
    x ^= x >> np.uint64(16)
    x = x * np.uint64(0x21F0AAAD) % np.uint64(2**32)
    x ^= x >> np.uint64(15)
    x = x * np.uint64(0x735A2D97) % np.uint64(2**32)
    x ^= x >> np.uint64(15)
    assert np.array_equal(mix(expected), x)


def test_mix_is_a_permutation():
    """Its three kinds of step can each be undone; here by their inverses."""
    x = np.random.default_rng(0).integers(0, 2**32, 10000, dtype=np.uint32)
    y = mix(x)
    for shift, factor in ((15, 0x735A2D97), (15, 0x21F0AAAD), (16, 1)):
        y = y ^ (y >> np.uint32(shift)) ^ (y >> np.uint32(2 * shift) if shift < 16 else 0)
        y = y * np.uint32(pow(factor, -1, 2**32))
    assert np.array_equal(y, x)


def test_products_fit_into_signed_numbers():
    assert (2**32 - 1) * max(0x21F0AAAD, 0x735A2D97) < 2**63


def test_each_bit_turns_each_other_half_the_time():
    """Avalanche of the whole formula, in the entry, in the pass and in the key."""
    random = np.random.default_rng(0)
    count = 20000
    entry, passes, key = random.integers(0, 2**32, (3, count), dtype=np.uint32)

    def drawn(entry, passes, key):
        return mix(mix(entry) ^ mix(key ^ passes))

    before = drawn(entry, passes, key)
    for place, bit in itertools.product(range(3), range(32)):
        given = [entry, passes, key]
        given[place] = given[place] ^ np.uint32(1 << bit)
        turned = np.unpackbits((before ^ drawn(*given)).view(np.uint8)).reshape(count, 32)
        assert np.abs(turned.mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(count), (place, bit)


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.2, 0.3, 0.5, 0.9])
def test_mean_and_variance(rate):
    """The share that is kept: of all, and how those of passes and of entries scatter around it."""
    found = masks(rate)
    assert abs(found.mean()) < 5 / np.sqrt(found.size)
    of_passes = found.mean(axis=1) * np.sqrt(ENTRIES)
    assert np.abs(of_passes).max() < 5
    assert abs((of_passes**2).mean() - 1) < 5 * np.sqrt(2 / PASSES)
    of_entries = found.mean(axis=0) * np.sqrt(PASSES)
    assert abs((of_entries**2).mean() - 1) < 5 * np.sqrt((of_entries**2).var() / ENTRIES)


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("apart", [1, 2, 3, 4, 7, 8, 16, 64, 192, 256, 1024, 2048, 4096, 32768])
def test_neighbours_are_independent(rate, apart):
    """Entries so far apart: the next channel, pixel, row or image."""
    found = masks(rate)
    assert_uncorrelated(found[:, apart:], found[:, :-apart])


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("apart", [1, 2, 3, 4, 8, 16])
def test_passes_are_independent(rate, apart):
    found = masks(rate)
    assert_uncorrelated(found[apart:], found[:-apart])
    assert_uncorrelated(found[apart:, 1:], found[:-apart, :-1])  # nor does a mask move on
    assert_uncorrelated(found[apart:, :-1], found[:-apart, 1:])


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize(
    "other",
    [{"layer": "head.dropout_2"}, {"layer": "middle.0.dropout"}, {"seed": 1}, {"seed": 2**32},
     {"passes": range(2**16, 2**16 + PASSES)}, {"passes": range(2**31, 2**31 + PASSES)}],
    ids=str,
)  # fmt: skip
def test_layers_and_seeds_are_independent(rate, other):
    one, two = masks(rate), masks(rate, **other)
    assert_uncorrelated(one, two)
    assert_uncorrelated(one[:, 1:], two[:, :-1])
    assert_uncorrelated(one[1:], two[:-1])


def test_all_pairs_of_passes_and_layers():
    """The correlations of many masks with each other scatter as those of random ones do."""
    layers = [f"middle.{number}.dropout" for number in range(8)]
    many = np.concatenate([masks(0.5, layer=layer, passes=range(16)) for layer in layers])
    found = (many @ many.T)[np.triu_indices(len(many), 1)] / np.sqrt(ENTRIES)
    assert np.abs(found).max() < 6  # of 8128
    assert abs((found**2).mean() - 1) < 5 * np.sqrt(2 / found.size)


@pytest.mark.parametrize("start", range(0, 32, 8))
def test_chi_square_of_each_byte(start):
    """All values of each byte of what is drawn are equally frequent, in passes and together."""
    found = (bits() >> np.uint32(start)).astype(np.uint8)
    assert abs(chi_square(np.bincount(found.ravel(), minlength=256))) < 5
    each = [chi_square(np.bincount(row, minlength=256)) for row in found]
    assert np.abs(each).max() < 5.5
    assert abs(np.mean(each)) < 5 / np.sqrt(PASSES)


def test_chi_square_of_what_follows():
    """Eight entries in a row, kept or dropped: 256 patterns, equally frequent at rate 0.5."""
    kept = bits() >> np.uint32(31)
    for stride in (1, 2, 8, 256):
        rows = kept.reshape(-1, 8, stride)
        patterns = (rows << np.arange(8, dtype=np.uint32)[:, None]).sum(axis=1)
        assert abs(chi_square(np.bincount(patterns.ravel(), minlength=256))) < 5
    across = kept.reshape(-1, 8, ENTRIES)  # one entry in eight passes
    patterns = (across << np.arange(8, dtype=np.uint32)[:, None]).sum(axis=1)
    assert abs(chi_square(np.bincount(patterns.ravel(), minlength=256))) < 5


def test_serial_pairs():
    """What one entry draws says nothing of what the next does: 4096 pairs of six high bits."""
    high = bits(passes=range(16)) >> np.uint32(26)
    for one, two in ((high[:, 1:], high[:, :-1]), (high[1:], high[:-1])):
        assert abs(chi_square(np.bincount((one * 64 + two).ravel(), minlength=4096))) < 5


def test_no_two_passes_share_a_key():
    """A pass has a key of its own, so that no mask comes again."""
    key = mask_key(0, "head.dropout")
    words = mix(np.arange(2**20, dtype=np.uint32) ^ np.uint32(key))
    assert len(np.unique(words)) == words.size


def test_a_mask_depends_on_the_place_in_the_batch_alone():
    """A larger batch begins with the mask of a smaller one, whatever the shape."""
    large, small = mask_bits(1, 2, 1000), mask_bits(1, 2, 10)
    assert np.array_equal(large[:10], small)
    x, state = np.ones((4, 5, 5, 3)), {"key": np.array(1), "passes": np.array(2)}
    image = Dropout(0.3).reference([x], state, True)
    vector = Dropout(0.3).reference([x.reshape(4, -1)], state, True)
    assert np.array_equal(image.ravel(), vector.ravel())
    assert np.array_equal(image == 0, large[:300].reshape(x.shape) < int(0.3 * 2**32))
    assert set(np.unique(image)) == {0, 1 / 0.7}


def test_known_bits():
    """The formula as numbers: a change of it would be another run for every seed."""
    assert mask_key(0, "head.dropout") == 0x0F28DE35
    assert mask_key(2**63 - 1, "a") == 2344082785
    assert bits(passes=range(2), count=4).tolist() == [
        [3749006524, 1284639023, 2187397673, 140650734],
        [3413042289, 1982675305, 195849043, 3031153689],
    ]


def test_what_dropped_is_not_a_number():
    """Zero is put there and not multiplied with, so that what overflowed leaves no trace."""
    state = {"key": np.array(1), "passes": np.array(0)}
    x = np.full((1, 64), np.inf)
    assert set(Dropout(0.5).reference([x], state, True).ravel()) == {0, np.inf}


def test_evaluation_and_rate_zero_are_the_identity():
    x = np.ones((2, 3))
    assert Dropout(0.5).reference([x], {}, False) is x
    assert Dropout(0.0).reference([x], {}, True) is x


def test_what_is_dropped_together():
    """Examples of stochastic depth, channels of spatial dropout: entries share the draw."""
    state = {"key": np.array(1), "passes": np.array(2)}
    dropped = mask_bits(1, 2, 400) < int(0.3 * 2**32)
    x = np.ones((100, 5, 3, 4))
    examples = StochasticDepth(0.3).reference([x], state, True)
    assert np.array_equal(examples == 0, np.broadcast_to(dropped[:100, None, None, None], x.shape))
    flat = StochasticDepth(0.3).reference([x.reshape(100, -1)], state, True)
    assert np.array_equal(flat, examples.reshape(100, -1))
    channels = SpatialDropout(0.3).reference([x], state, True)
    wanted = dropped.reshape(100, 1, 1, 4)
    assert np.array_equal(channels == 0, np.broadcast_to(wanted, x.shape))
    assert set(np.unique(channels)) == set(np.unique(examples)) == {0, 1 / 0.7}
