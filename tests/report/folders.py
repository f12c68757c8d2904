"""Run folders, written as training programs write them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ABOUT = {
    "spec": "xception_mini", "framework": "PyTorch", "recipe": "digits", "parameters": 250_000,
    "macs": 19_017_792, "seed": 0, "batch_size": 32, "precision": "float32",
    "classes": ["0", "1"], "xgraph": "0.1.0",
}  # fmt: skip


def trained(step: int, loss: float, **others: Any) -> dict[str, Any]:
    """A line of training; an epoch has 100 steps, and a step takes half a second."""
    return {
        "step": step, "epoch": step / 100, "loss": loss, "learning_rate": 0.1,
        "images_per_second": 64.0, "seconds": step / 2, **others,
    }  # fmt: skip


def evaluated(step: int, split: str = "validation", **values: Any) -> dict[str, Any]:
    """A line of an evaluation."""
    return {"step": step, "epoch": step / 100, "split": split, "seconds": step / 2, **values}


LINES = (
    trained(50, 2.0),
    trained(100, 1.0),
    evaluated(100, loss=1.5, top1=0.5),
    trained(150, 0.5),
    trained(200, 0.25, images_per_second=128.0),
    evaluated(200, loss=0.5, top1=0.75),
)


def write_run(
    folder: Path, lines: Iterable[Any] = LINES, about: dict[str, Any] | None = ABOUT
) -> str:
    """Write a run; lines that are texts are written as they are. Returns the path."""
    folder.mkdir(parents=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "metrics.jsonl").write_text("".join(f"{text}\n" for text in texts))
    if about is not None:
        (folder / "run.json").write_text(json.dumps(about))
    return str(folder)


def older(lines: Iterable[dict[str, Any]] = LINES) -> list[dict[str, Any]]:
    """The lines as programs wrote them before there was a time in them."""
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]
