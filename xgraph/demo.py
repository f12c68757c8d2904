"""`xgraph demo`: from a spec to a trained network, on images that come with scikit-learn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from xgraph import backend
from xgraph.compile import compile_spec
from xgraph.emit import files
from xgraph.terminal import say_line

#: Every fifth digit is held out.
_TEST_EVERY = 5


def demo(folder: Path, max_steps: int | None = None) -> int:
    """Compile xception and xception_mini below `folder`, and train the small one on digits.

    Returns:
        The exit status of the training program, or 2 when a package is missing.
    """
    try:
        images = folder / "digits"
        export_digits(images)
    except ImportError as error:
        say_line(f"xgraph: the demo needs {error.name}: pip install 'xgraph[demo]'", sys.stderr)
        return 2
    target = backend.get("torch")
    for spec in ("xception", "xception_mini"):
        analysis, program = compile_spec(spec, target)
        place = folder / spec / target.name
        files.write(place, program, files.origin(analysis, target.name))
        say_line(f"{place}: {program['model.py'].count(chr(10))} lines in model.py")
    train = folder / "xception_mini" / target.name / "train.py"
    command = [sys.executable, str(train), "--data", str(images), "--output", str(folder / "run")]
    command += ["--resume", "auto"]  # a second demo goes on where the first one stopped
    if max_steps is not None:
        command += ["--max-steps", str(max_steps)]
    say_line(" ".join(["$", *command]))
    sys.stdout.flush()  # before what the command says
    return subprocess.run(command, check=False).returncode


def export_digits(folder: Path) -> None:
    """Write scikit-learn's digits (1,797 images of 8×8 pixels) as an image folder.

    `folder` receives train/<digit>/ and test/<digit>/ with PNG files.

    Raises:
        ImportError: scikit-learn or Pillow is not installed.
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    for index, (image, label) in enumerate(zip(pixels, digits.target, strict=True)):
        part = "test" if index % _TEST_EVERY == 0 else "train"
        place = folder / part / str(label)
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"{index:04}.png"
        if not path.exists():
            Image.fromarray(image).convert("RGB").save(path)
