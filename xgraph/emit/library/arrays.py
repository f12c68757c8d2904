"""Images in memory."""

from __future__ import annotations

import numpy as np
from PIL import Image

from xgraph.emit.library.base import MODE


class ArrayImages:
    """Images uint8 (count, height, width) or (count, height, width, 3), and their labels."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.fromarray(self.images[index]).convert(MODE), int(self.labels[index])
