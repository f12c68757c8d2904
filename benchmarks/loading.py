"""How fast data.py of the generated Xception loads images, against plain Pillow.

    python benchmarks/loading.py [--images 300] [--rounds 5]

JPEGs of 500 × 375 pixels, about the size of ImageNet's, and of 2000 × 1500, resized to a shorter
side of 342, cut to 299 × 299, mirrored and normalized. "Plain" is the fewest lines of Pillow and
NumPy that do so, in the same process. Workers are threads, as in the Keras and Flax programs, or
processes, as in the PyTorch program.
"""

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from xgraph.cli import main as xgraph


def write(folder, count, width, height):
    """JPEGs with the texture of photographs: noise whose amplitude falls with its frequency."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        picture = np.zeros((height, width, 3))
        for size in (4, 16, 64, 256):
            noise = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
            octave = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
            picture += np.asarray(octave) / 4
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)


def plain(path, top, left, flip):
    """What the recipe says, with nothing around it."""
    image = Image.open(path).convert("RGB")
    scale = 342 / min(image.size)
    image = image.resize([round(scale * n) for n in image.size], Image.Resampling.BILINEAR)
    top, left = int(top * (image.height - 298)), int(left * (image.width - 298))
    image = image.crop((left, top, left + 299, top + 299))
    if flip < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(image, np.float32) / 127.5 - 1


def speed(work, count, rounds):
    """Images in a second, the median of some rounds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return count / statistics.median(times)


def load(number):
    """In a process of its own, which has the data set from before it was forked."""
    return DATASET.load(number)[0].shape


def main():
    global DATASET  # noqa: PLW0603  # processes inherit it
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with contextlib.redirect_stdout(io.StringIO()):
            xgraph(["compile", "xception", "-o", str(folder / "program")])
        sys.path.insert(0, str(folder / "program"))
        import data

        for width, height in ((500, 375), (2000, 1500)):
            count = max(8, options.images * 500 * 375 // (width * height))
            images = folder / f"{width}"
            write(images / "train" / "a", count, width, height)
            source = data.open_data(images, 1)["train"]
            DATASET = data.Dataset(source, training=True)
            draws = np.random.default_rng(0).random((count, 3))

            def simply(files=source.files, draws=draws):
                for path, numbers in zip(files, draws, strict=True):
                    plain(path, *numbers)

            found = {"plain": speed(simply, count, options.rounds)}
            found["data.py"] = speed(lambda n=count: [load(i) for i in range(n)], count,
                                     options.rounds)  # fmt: skip
            for workers in (1, 2):
                pools = {
                    "threads": ThreadPoolExecutor(workers),
                    "processes": ProcessPoolExecutor(workers, get_context("fork")),
                }
                for kind, pool in pools.items():
                    with pool:
                        list(pool.map(load, range(8)))  # processes begin now
                        work = lambda p=pool, n=count: list(p.map(load, range(n), chunksize=8))  # noqa: E731
                        found[f"{workers} {kind}"] = speed(work, count, options.rounds)
            print(f"{width} × {height}: " + ", ".join(
                f"{what} {rate:.0f}/s ({rate / found['plain']:.2f})" for what, rate in found.items()
            ))  # fmt: skip


if __name__ == "__main__":
    main()
