"""What a trained model is asked: how good it is, and what images show."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import data
import numpy as np
from arguments import UserError
from checkpoint import class_names, difference, read_checkpoint, read_classes, restore
from run import CHECKPOINT, Run, Training, shown

Load = Callable[[data.Dataset], Any]  # makes the batches of a dataset


def answer(run: Run, training: Training, load: Load) -> None:
    """Evaluate, or say what images show, with `--weights` or the run's checkpoint."""
    arguments = run.arguments
    path = arguments.weights or run.output / CHECKPOINT
    if arguments.weights:
        classes = read_classes(path)
    else:
        about, arrays = read_checkpoint(path)
        classes = class_names(about["facts"])
        restore(training, arrays, path)
    if arguments.predict:
        names = classes or [str(number) for number in range(run.recipe.classes)]
        if len(names) != run.recipe.classes:
            raise UserError(f"{path} knows {len(names)} classes, the model {run.recipe.classes}")
        predict(run, training, load, names)
        return
    now = run.splits.class_names
    if classes not in (None, now):
        raise UserError(f"{path} knows other classes: they {difference(classes, now)}")
    evaluate(run, training, load)


def evaluate(run: Run, training: Training, load: Load) -> None:
    """Print the metrics on the test images, or the validation images."""
    arguments = run.arguments
    split = next((name for name in ("test", "validation") if name in run.splits), None)
    if split is None:
        raise UserError(f"{arguments.data} has no images to evaluate on: no val/ or test/")
    several = run.recipe.many_labels
    if arguments.confusion:
        if several:
            raise UserError("--confusion: images with many labels have no such table")
        if arguments.confusion.is_dir() or not arguments.confusion.parent.is_dir():
            raise UserError(f"--confusion: {arguments.confusion} cannot be a file")
    dataset = data.Dataset(run.splits[split])
    print(f"{split}, {len(dataset):,} images: {shown(training.evaluate(load(dataset)))}")
    if not (arguments.per_class or arguments.confusion):
        return
    logits, labels = map(np.concatenate, zip(*training.logits(load(dataset)), strict=True))
    count = run.recipe.classes
    predicted = logits > 0 if several else one_hot(logits.argmax(1), count)
    actual = labels if labels.ndim == 2 else one_hot(labels, count)
    if arguments.per_class:
        print_per_class(run.splits.class_names, predicted, actual > 0)
    if arguments.confusion:
        write_confusion(arguments.confusion, run.splits.class_names, predicted, actual)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Labels (N,) as (N, classes)."""
    hot: np.ndarray = labels[:, None] == np.arange(classes)
    return hot


def print_per_class(names: Sequence[str], predicted: np.ndarray, actual: np.ndarray) -> None:
    """A row for each class: its images, and the shares that its metrics are.

    Recall is the share of the class's images that are found; of one label per image, the class's
    accuracy. Precision is the share of what is taken for the class that is of it.
    """
    right = (predicted & actual).sum(0)
    images, taken = actual.sum(0), predicted.sum(0)
    width = max(5, *(len(data.printable(name)) for name in names))
    print(f"{'class':{width}}  images  recall  precision")
    for row, name in enumerate(names):
        recall, precision = share(right[row], images[row]), share(right[row], taken[row])
        print(f"{data.printable(name):{width}}  {images[row]:6}  {recall:>6}  {precision:>9}")


def share(part: int, whole: int) -> str:
    """A proportion, if there is one."""
    return f"{part / whole:.4f}" if whole else "-"


def write_confusion(
    path: Path, names: Sequence[str], predicted: np.ndarray, actual: np.ndarray
) -> None:
    """How many images of the class of a row were taken for the class of a column, as CSV."""
    counts = actual.astype(np.int64).T @ predicted.astype(np.int64)
    # Names of folders need not be UTF-8, and stay as they are.
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["actual / predicted", *names])
        writer.writerows([name, *row] for name, row in zip(names, counts.tolist(), strict=True))


def predict(run: Run, training: Training, load: Load, classes: Sequence[str]) -> None:
    """A line for each image: the classes that are the most probable."""
    source = run.splits["images"]
    width = max(len(data.printable(path)) for path in source.files)
    rows = probabilities(training.logits(load(data.Dataset(source))), run.recipe.many_labels)
    failed = 0
    for path, row in zip(source.files, rows, strict=True):
        if row is None or not np.isfinite(row).all():
            failed += 1
            said = "not a readable image" if row is None else "the model gives no numbers"
            found: dict[str, Any] = {"error": said}
        else:
            best = np.argsort(-row, kind="stable")[: run.arguments.top]
            pairs = [(classes[k], round(float(row[k]), 6)) for k in best]
            found = {"classes": [{"name": name, "probability": p} for name, p in pairs]}
            said = ", ".join(f"{data.printable(name)} {p:.4f}" for name, p in pairs)
        line = json.dumps({"path": path, **found})
        print(line if run.arguments.jsonl else f"{data.printable(path):{width}}  {said}")
    if failed:
        sys.exit(f"of {len(source):,} files {failed:,} could not be answered")


def probabilities(
    batches: Iterator[tuple[np.ndarray, np.ndarray]], several: bool
) -> Iterator[np.ndarray | None]:
    """Of each image (classes,); None of one that cannot be read.

    Args:
        batches: logits, and labels that are negative where there is no image.
        several: whether an image may have any number of classes, each with its own probability.
    """
    for logits, labels in batches:
        x = logits.astype(np.float64)
        with np.errstate(invalid="ignore"):  # of what is no number nothing becomes one
            if several:
                found = 0.5 * (1 + np.tanh(x / 2))  # a sigmoid that does not overflow
            else:
                powers = np.exp(x - x.max(1, keepdims=True))
                found = powers / powers.sum(1, keepdims=True)
        for row, label in zip(found, labels, strict=True):
            yield None if np.any(label < 0) else row
