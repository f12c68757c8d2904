"""Files of named arrays that need no framework."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xgraph.emit.library.weight_file import write_file
from xgraph.importing.network import Array, Refused

#: Of safetensors, as NumPy has them; bfloat16 is widened to float32, which loses nothing.
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
          "I8": "i1", "U8": "u1", "BOOL": "?"}  # fmt: skip
#: The longest header that safetensors itself reads.
_LONGEST = 100_000_000


def read_safetensors(path: Path) -> dict[str, Array]:
    """All arrays of a file, by name; bfloat16, which NumPy has not, as float32.

    Raises:
        Refused: it is no such file, or holds a type that no weight is of.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        types = _header(path)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise Refused(f"{path.name} is not a safetensors file") from None
    unknown = sorted({kind for kind in types.values() if kind != "BF16" and kind not in _TYPES})
    if unknown:
        raise Refused(f"{path.name} holds numbers of type {', '.join(unknown)}")
    if "BF16" not in types.values():
        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise Refused(f"{path.name} is not a safetensors file: {error}") from None
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    found: dict[str, Array] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        raw = data[begin:end]
        try:
            if entry["dtype"] == "BF16":
                wide = np.frombuffer(raw, "<u2").astype("<u4") << np.uint32(16)
                array = wide.view("<f4")
            else:
                array = np.frombuffer(raw, _TYPES[entry["dtype"]])
            found[name] = array.reshape(entry["shape"])
        except ValueError:
            raise Refused(f"{path.name}: {name} is not as long as it says") from None
    return found


def _header(path: Path) -> dict[str, str]:
    """The type of each array."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= _LONGEST:
            raise ValueError
        header = json.loads(file.read(length))
    return {name: entry["dtype"] for name, entry in header.items() if name != "__metadata__"}


def write_safetensors(path: Path, arrays: Mapping[str, Array], about: Mapping[str, Any]) -> None:
    """Write arrays as the weights.py of a program does, whole or not at all."""
    import numpy as np

    write_file(path, {name: np.ascontiguousarray(a) for name, a in arrays.items()}, dict(about))
