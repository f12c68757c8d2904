"""A file of weights, as the weights.py of every program writes and reads it.

In PyTorch's, `load_file` and `save` are those of `safetensors.torch`, and arrays are tensors.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file, save


def write_file(path: Path, arrays: dict[str, Any], about: dict[str, Any]) -> None:
    """Write weights, and what there is to say about them; whole or not at all."""
    # One entry, for of several the file would hold a random order.
    metadata = {"xgraph": json.dumps({"format": 1, **about})}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(save(arrays, metadata))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_file(
    path: Path, shapes: dict[str, tuple[int, ...]], leave_out: Collection[str]
) -> dict[str, Any]:
    """The weights of a file that has all of these shapes, but for those in parts left out.

    Raises:
        ValueError: see `load_weights`.
    """
    try:
        loaded = load_file(path)
    except (SafetensorError, AttributeError) as error:  # or of a type that the framework has not
        raise ValueError(f"{path} is not a safetensors file: {error}") from None
    parts = [leave_out] if isinstance(leave_out, str) else leave_out
    for part in parts:
        if not any(part_of(name, [part]) for name in (*shapes, *loaded)):
            nearest = ", ".join(_nearest(part, shapes))
            raise ValueError(f"the model has no weights in {part!r}; the nearest are {nearest}")
    wanted = {name: shape for name, shape in shapes.items() if not part_of(name, parts)}
    loaded = {name: array for name, array in loaded.items() if not part_of(name, parts)}
    wrong_shape = [
        f"{name} (expected {shape}, received {tuple(loaded[name].shape)})"
        for name, shape in wanted.items()
        if name in loaded and tuple(loaded[name].shape) != shape
    ]
    types = {name: str(array.dtype).removeprefix("torch.") for name, array in loaded.items()}
    problems = {
        "missing": sorted(wanted.keys() - loaded.keys()),
        "unexpected": sorted(loaded.keys() - wanted.keys()),
        "of another shape": wrong_shape,
        "of another type": [
            f"{name} ({given})"
            for name, given in sorted(types.items())
            if name in wanted and not given.startswith(("float", "bfloat"))
        ],
    }
    if any(problems.values()):
        lines = [_summary(kind, names) for kind, names in problems.items() if names]
        if wrong_shape:
            lines.append("  a head for other classes can be left out: leave_out, or --leave-out")
        raise ValueError(f"{path} does not fit the model:\n" + "\n".join(lines))
    return loaded


def part_of(name: str, parts: Collection[str]) -> str:
    """The longest of these parts that a weight is in, as `head.bias` is in `head`, or nothing."""
    return max((p for p in parts if f"{name}.".startswith(f"{p}.")), key=len, default="")


def _nearest(part: str, names: Collection[str]) -> list[str]:
    """What of the model is called most like it, a part or a weight."""
    paths = [name.split(".") for name in names]
    known = {".".join(path[:end]) for path in paths for end in range(1, len(path) + 1)}
    return difflib.get_close_matches(part, sorted(known), n=3, cutoff=0)


def _summary(kind: str, names: list[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    listed = "".join(c if c.isprintable() else "?" for c in ", ".join(names[:limit]))
    return f"  {kind}: {listed}{more}"
