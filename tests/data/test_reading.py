"""Image files of every kind: read right, or named."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from tests.data.programs import program

RAMP = np.tile(np.linspace(0, 1, 40), (40, 1))
GRAY = np.rint(RAMP * 255).astype(np.uint8)
RGB = Image.fromarray(np.stack([GRAY] * 3, axis=-1))


@pytest.fixture(scope="module")
def data():
    return program()


def read(data, path: Path) -> np.ndarray:
    return np.asarray(data.read_image(str(path)))


def test_orientation(data, tmp_path):
    """Each of the eight, against where the camera's corners are (EXIF 2.3, tag 274)."""
    upright = Image.fromarray(np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8))
    upright = upright.resize((48, 32), Image.Resampling.NEAREST)
    turn = Image.Transpose
    undone = {
        2: turn.FLIP_LEFT_RIGHT, 3: turn.ROTATE_180, 4: turn.FLIP_TOP_BOTTOM, 5: turn.TRANSPOSE,
        6: turn.ROTATE_90, 7: turn.TRANSVERSE, 8: turn.ROTATE_270,
    }  # fmt: skip
    for number, transposed in undone.items():
        stored = upright.transpose(transposed)
        exif = stored.getexif()
        exif[0x112] = number
        for name, options in (("a.png", {}), ("a.jpg", {"quality": 100, "subsampling": 0})):
            stored.save(tmp_path / name, exif=exif, **options)
            made = read(data, tmp_path / name).astype(int)
            assert made.shape == (32, 48, 3), number
            assert np.abs(made - np.asarray(upright)).max() <= 8, (number, name)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"II"])
def test_what_cannot_be_known_of_a_camera_does_not_cost_the_picture(data, exif, tmp_path):
    RGB.save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert np.abs(read(data, tmp_path / "a.jpg")[:, :, 0].astype(int) - GRAY).max() <= 5


def test_an_error_in_exif_does_not_cost_the_picture(data, tmp_path, monkeypatch):
    RGB.save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "getexif", lambda self: 1 / 0)
    assert (read(data, tmp_path / "a.png")[:, :, 0] == GRAY).all()


@pytest.mark.parametrize(
    ("values", "suffix"),
    [
        ((RAMP * 65535).astype(np.uint16), "png"),
        ((RAMP * 65535).astype(np.uint16), "tif"),
        ((RAMP * 255).astype(np.int32), "tif"),
        ((RAMP * 65535).astype(np.int32), "tif"),
        ((RAMP * (2**31 - 1)).astype(np.int32), "tif"),
        (RAMP.astype(np.float32), "tif"),
        ((RAMP * 255).astype(np.float32), "tif"),
        ((RAMP * 65535).astype(np.float32), "tif"),
        ((RAMP * 1e12).astype(np.float32), "tif"),
    ],
)
@pytest.mark.parametrize("shape", [(16, 16, 1), (16, 16, 3)])
def test_wide_numbers_are_scaled(values, suffix, shape, tmp_path):
    data = program(shape=shape)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    made = read(data, tmp_path / f"a.{suffix}")
    made = made if shape[2] == 1 else made[:, :, 1]
    assert np.abs(made.astype(int) - GRAY).max() <= 1


def test_what_is_no_number_is_black(data, tmp_path):
    values = RAMP.astype(np.float32)
    values[0] = np.nan
    values[1], values[2] = np.inf, -np.inf
    values[3] = -5
    Image.fromarray(values).save(tmp_path / "a.tif")
    made = read(data, tmp_path / "a.tif")[:, :, 0]
    assert (made[:4] == 0).all()
    assert np.abs(made[4:].astype(int) - GRAY[4:]).max() <= 1
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "zero.tif")
    assert (read(data, tmp_path / "zero.tif") == 0).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA", "P", "tRNS"])
@pytest.mark.parametrize(
    ("background", "color"), [("255", (255, 255, 255)), ("[9, 80, 200]", (9, 80, 200))]
)
def test_transparent_pixels_show_the_background(mode, background, color, tmp_path):
    """x·α + background·(1 − α), the "over" of Porter and Duff 1984."""
    data = program(f"{{normalize: unit, background: {background}}}")
    clear = RAMP > 0.5
    path = tmp_path / "a.png"
    if mode in ("LA", "RGBA"):
        image = RGB.convert(mode)
        image.putalpha(Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
        image.save(path)
    elif mode == "PA":
        path = tmp_path / "a.tif"
        image = RGB.convert("RGBA")
        image.putalpha(Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
        image.save(path)
    elif mode == "P":
        image = Image.fromarray(np.where(clear, 1, 0).astype(np.uint8)).convert("P")
        image.putpalette([50, 50, 50, 1, 2, 3])
        image.save(path, transparency=1)
    else:
        image = Image.fromarray(np.where(clear[..., None], 7, 50).astype(np.uint8).repeat(3, 2))
        image.save(path, transparency=(7, 7, 7))
    made = read(data, path)
    assert (made[clear] == color).all()
    left = made[~clear]
    expected = GRAY[~clear][:, None] if mode in ("LA", "RGBA", "PA") else 50
    assert np.abs(left.astype(int) - expected).max() <= 1


def test_half_transparent(data, tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 51)).save(tmp_path / "a.png")
    assert (read(data, tmp_path / "a.png") == 204).all()


def test_a_model_of_four_channels_keeps_alpha(tmp_path):
    data = program(shape=(16, 16, 4))
    Image.new("RGBA", (4, 4), (10, 20, 30, 40)).save(tmp_path / "a.png")
    assert (read(data, tmp_path / "a.png") == (10, 20, 30, 40)).all()
    Image.new("L", (4, 4), 10).save(tmp_path / "b.png")
    assert (read(data, tmp_path / "b.png") == (10, 10, 10, 255)).all()


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGB"])
def test_other_modes(data, mode, tmp_path):
    image = RGB.quantize(64) if mode == "P" else RGB.convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    made = read(data, path)
    assert made.shape == (40, 40, 3)
    if mode == "1":
        assert set(np.unique(made)) == {0, 255}
    else:
        assert np.abs(made[:, :, 0].astype(int) - GRAY).max() <= 5
    RGB.convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read(data, tmp_path / "a.jpg")[:, :, 0].astype(int) - GRAY).max() <= 6


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif", "avif"])
def test_of_several_pictures_the_first(data, suffix, tmp_path):
    frames = [Image.new("RGB", (32, 32), (60 * n + 40, 0, 0)) for n in range(3)]
    options = {"quality": 95} if suffix == "avif" else {}
    frames[0].save(
        tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], duration=50, **options
    )
    assert abs(int(read(data, tmp_path / f"a.{suffix}")[5, 5, 0]) - 40) <= 3


SUFFIXES = {
    "jpg": "JPEG", "jpeg": "JPEG", "jpe": "JPEG", "jfif": "JPEG", "png": "PNG", "webp": "WEBP",
    "gif": "GIF", "tif": "TIFF", "tiff": "TIFF", "bmp": "BMP", "ppm": "PPM", "pgm": "PPM",
    "pbm": "PPM", "pnm": "PPM", "avif": "AVIF", "jp2": "JPEG2000", "j2k": "JPEG2000",
}  # fmt: skip


def test_pillow_can_write_them():
    """The test below would otherwise pass over what could not be written."""
    assert features.check("avif")
    assert features.check("jpg_2000")
    assert features.check("webp")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_ending_is_read(data, suffix, tmp_path):
    modes = {"pgm": "L", "pbm": "1"}
    for split in ("train", "val"):
        folder = tmp_path / split / "a"
        folder.mkdir(parents=True)
        image = RGB.convert(modes.get(suffix, "RGB"))
        image.save(folder / f"x.{suffix.upper()}", SUFFIXES[suffix])
    splits = data.open_data(tmp_path, 1)
    image, _ = splits["train"][0]
    assert image.size == (40, 40)
    assert image.mode == "RGB"


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_smaller(data, orientation, tmp_path, monkeypatch):
    """No side gets shorter than twice what is needed, and what is seen is the same."""
    wide = Image.fromarray(GRAY).resize((1200, 700), Image.Resampling.BICUBIC).convert("RGB")
    exif = wide.getexif()
    exif[0x112] = orientation
    wide.save(tmp_path / "a.jpg", quality=95, exif=exif)
    made = data.read_image(str(tmp_path / "a.jpg"))
    assert made.size == ((150, 88) if orientation == 1 else (88, 150))
    whole = program()
    whole.DRAFT = 10**6
    full = whole.read_image(str(tmp_path / "a.jpg"))
    assert full.size == ((1200, 700) if orientation == 1 else (700, 1200))
    apart = np.asarray(data.center(made), int) - np.asarray(data.center(full), int)
    assert np.abs(apart).max() <= 2


def test_a_thin_image_costs_no_more_than_another(tmp_path):
    data = program(
        "{normalize: unit, train: {resize: {shorter_side: 1.143}}, "
        "evaluate: {resize: {shorter_side: 1.143}}}",
        shape=(299, 299, 3),
    )
    folder = tmp_path / "train" / "a"
    folder.mkdir(parents=True)
    Image.new("RGB", (1, 3000)).save(folder / "thin.png")
    source = data.open_data(tmp_path, 1)["train"]
    for training in (True, False):
        sizes = []
        before, Image.Image.resize = Image.Image.resize, watched(Image.Image.resize, sizes)
        try:
            image, _ = data.Dataset(source, training=training).load(0)
        finally:
            Image.Image.resize = before
        assert image.shape == (299, 299, 3)
        assert sizes == [(299, 299)]


def watched(resize, sizes):
    def watching(image, size, *arguments, **options):
        sizes.append(size)
        return resize(image, size, *arguments, **options)

    return watching


def test_an_image_above_the_limit_is_refused(tmp_path):
    data = program("{normalize: unit, pixel_limit: 1000}")
    Image.new("RGB", (10, 100)).save(tmp_path / "a.png")
    assert read(data, tmp_path / "a.png").shape == (100, 10, 3)
    Image.new("RGB", (11, 100)).save(tmp_path / "a.png")
    with pytest.raises(data.DataError, match=r"a\.png is .* \(11 × 100 pixels, above 1,000\)"):
        read(data, tmp_path / "a.png")


def test_a_bomb_is_refused_before_it_is_unpacked(data, tmp_path):
    """A PNG of 60,000 × 60,000 pixels that are all the same: some MB on disk, 10 GiB unpacked."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(10**6)))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b""))
    tracemalloc.start()
    with pytest.raises(data.DataError, match="60000 × 60000 pixels"):
        read(data, tmp_path / "a.png")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_postscript_is_never_started(data, tmp_path):
    """Pillow gives EPS to Ghostscript, whatever the file is called."""
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    assert Image.open(io.BytesIO(content)).format == "EPS"
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(
        data.DataError, match=r"a\.png is not a readable image \(of no known form\)"
    ):
        read(data, tmp_path / "a.png")
