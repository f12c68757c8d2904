"""Each augmentation in a program is its NumPy reference."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.data.programs import program, recipe
from xgraph.diagnostics import SpecError
from xgraph.recipe.augmentations import AUGMENTATIONS
from xgraph.recipe.augmentations.base import Place

CASES = [(name, case) for name, cls in AUGMENTATIONS.items() for case in cls.cases()]


def images(train: dict[str, object]) -> str:
    return json.dumps({"normalize": "unit", "train": train})


def both(train: dict[str, object], pixels: np.ndarray, tries: int = 30, channels: int = 3):
    """What the program makes of the pixels, and what the references do, for some numbers."""
    data = program(images(train), "idx", (14, 16, channels))
    told = recipe(images(train), "idx").images.train
    rng = np.random.default_rng(5)
    for _ in range(tries):
        taken, expected = 0, pixels
        random = rng.random(64)
        for step in told.augmentations:
            place = Place(14, 16, told.resize, taken)
            draws = step.draws(told.resize)
            expected = step.reference(expected, place, random[taken : taken + draws])
            taken += draws
        arguments = (random[:taken],) if taken else ()
        yield np.asarray(data.augment(Image.fromarray(pixels), *arguments)), expected


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(("name", "case"), CASES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_program_is_the_reference(name, case, channels):
    """Where nothing is resized, or the whole image is, to the byte."""
    resize = {} if name == "resized_crop" else {"resize": {"stretch": 1.0}}
    if name == "crop":
        resize = {"resize": {"stretch": 1.5}}
    shape = (21, 24) if name == "crop" else (14, 16)
    for made, expected in both({**resize, name: case}, noise(*shape, channels), 30, channels):
        assert np.array_equal(made, expected)


@pytest.mark.parametrize("how", ["shorter_side", "stretch"])
@pytest.mark.parametrize("name", ["crop", "pad_crop"])
@pytest.mark.parametrize("shape", [(40, 30), (9, 31), (100, 7)])
def test_a_part_is_resized_as_if_the_whole_were(how, name, shape):
    """But for rounding: Pillow keeps the corners of a part in float32."""
    for made, expected in both({"resize": {how: 1.3}, name: {}}, noise(*shape), 10):
        apart = np.abs(made.astype(int) - expected.astype(int))
        assert apart.max() <= 1


def test_all_at_once():
    train = {"resized_crop": {}, "flip": 0.3, "color_jitter": {"contrast": 0.5, "saturation": 1}}
    for made, expected in both(train, noise(40, 30)):
        assert np.array_equal(made, expected)


def test_a_box_is_as_torchvision_draws_it():
    """The distribution of area and proportions, in a square image, where tries seldom fail."""
    data = program(images({"resized_crop": {"scale": [0.2, 0.5], "ratio": [0.5, 2]}}), "idx")
    image = Image.new("RGB", (1000, 1000))
    rng = np.random.default_rng(0)
    boxes = [data.random_box(image, (0.2, 0.5), (0.5, 2.0), rng.random(22)) for _ in range(3000)]
    left, top, right, bottom = np.array(boxes).T
    areas = (right - left) * (bottom - top) / 1e6
    logs = np.log2((right - left) / (bottom - top))
    assert np.allclose(np.quantile(areas, [0, 0.5, 1]), [0.2, 0.35, 0.5], atol=0.01)
    assert np.allclose(np.quantile(logs, [0, 0.25, 0.5, 0.75, 1]), [-1, -0.5, 0, 0.5, 1], atol=0.07)
    assert left.min() == top.min() == 0 or (left.min() < 5 and top.min() < 5)
    assert right.max() > 995
    assert bottom.max() > 995


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_flips_are_as_frequent_as_said(share):
    data = program(images({"resize": {"stretch": 1.0}, "flip": share}), "idx")
    pixels = noise(16, 16)
    dataset = data.Dataset(data.ArrayImages(pixels[None], np.array([0])), training=True)
    plain = pixels.astype(np.float32) / 255
    flipped = [not np.array_equal(dataset.load(0, epoch)[0], plain) for epoch in range(400)]
    assert abs(np.mean(flipped) - share) < 0.07


def test_a_padded_crop_goes_everywhere_and_no_farther():
    data = program(images({"pad_crop": 0.125}), "idx")
    pixels = np.full((16, 16, 3), 255, np.uint8)
    dataset = data.Dataset(data.ArrayImages(pixels[None], np.array([0])), training=True)
    places = set()
    for epoch in range(500):
        rows, columns = np.nonzero(dataset.load(0, epoch)[0][:, :, 0])
        places.add((rows.min() - (15 - rows.max()), columns.min() - (15 - columns.max())))
    assert places == {(a, b) for a in range(-2, 3) for b in range(-2, 3)}


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"crop": "center", "pad_crop": {}}, "cannot have crop and pad_crop at once"),
        ({"resized_crop": {}, "resize": {"stretch": 2}}, "cannot have resized_crop and resize"),
        ({"flipp": True}, "did you mean 'flip'"),
        ({"flip": 1.5}, "at least 0 and at most 1"),
        ({"resized_crop": {"scale": [0.5, 0.1]}}, "numbers above 0 and at most 1"),
        ({"color_jitter": {"hue": 1}}, "no attribute 'hue'"),
    ],
)
def test_mistakes(train, message):
    with pytest.raises(SpecError, match=message):
        recipe(images(train))


def test_what_is_not_said_is_not_there():
    same = {"resize": {"stretch": 1.0}}
    plain = program(json.dumps({"normalize": "unit", "train": same, "evaluate": same}), "idx")
    for name in ("resized_part", "random_box", "brightened", "cover"):
        assert not hasattr(plain, name)
