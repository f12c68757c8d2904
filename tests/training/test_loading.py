"""loader.py: the same batches whoever loads them, in how many threads or processes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .programs import Program, in_turn, loaded

FIRST, LAST = 60, 66  # steps around the end of an epoch


def training_images(program: Program) -> tuple[Any, list[list[tuple[int, int]]]]:
    """Images that are cropped and flipped, and the keys of a few batches."""
    data = program.module("data")
    dataset = data.Dataset(data.synthetic_data(4, 0)["train"], seed=2, training=True)
    return dataset, list(data.training_batches(len(dataset), 16, 2, FIRST, LAST))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_loading_does_not_depend_on_workers(
    workers: int, framework: str, small: dict[str, Program]
) -> None:
    program = small[framework]
    dataset, keys = training_images(program)
    batches = list(in_turn(loaded(framework, program.module("loader"), dataset, keys, workers)))
    assert len(batches) == LAST - FIRST
    for batch, (images, labels) in zip(keys, batches, strict=True):
        wanted = [dataset.load(*key) for key in batch]
        assert np.array_equal(images, np.stack([image for image, _ in wanted]))
        assert labels.tolist() == [label for _, label in wanted]


@pytest.mark.parametrize("workers", [0, 2])
def test_pytorchs_batches_and_its_random_numbers(workers: int, small: dict[str, Program]) -> None:
    """Images are in channels_last memory; the global generator is not drawn from."""
    import torch

    dataset, keys = training_images(small["torch"])
    before = torch.get_rng_state()
    batches = list(loaded("torch", small["torch"].module("loader"), dataset, keys, workers))
    assert torch.equal(torch.get_rng_state(), before)
    for images, _ in batches:
        assert images.shape == (16, 3, 16, 16)
        assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("workers", [0, 3])
def test_keras_may_ask_again(workers: int, small: dict[str, Program]) -> None:
    """As `fit` does for the first batches, on JAX and PyTorch."""
    dataset, keys = training_images(small["keras"])
    batches = loaded("keras", small["keras"].module("loader"), dataset, keys, workers)
    wanted = list(in_turn(loaded("keras", small["keras"].module("loader"), dataset, keys)))
    for index in (0, 1, 0, 1, 2, 3, 3, 4, 5):
        images, labels = batches[index]
        assert np.array_equal(images, wanted[index][0])
        assert np.array_equal(labels, wanted[index][1])
