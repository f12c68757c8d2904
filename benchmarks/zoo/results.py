"""What has come of networks: a line of JSON for each, kept from one run of the command to the next.

{"network": "timm:resnet50d", "code": …, "layers": 187, "lines": 30, "items": …, "seconds": …}
{"network": "timm:nf_resnet50", "code": …, "failed": "reading", "why": ["stem.conv: …"]}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
RESULTS: Final = ROOT / "benchmarks" / "results" / "zoo.jsonl"
UNSEEN: Final = ROOT / "benchmarks" / "results" / "zoo_unseen.jsonl"
NUMBERS: Final = ROOT / "benchmarks" / "results" / "zoo_numbers.jsonl"
#: Files that what is imported depends on, and what its programs compute.
IMPORTED: Final = ("xgraph/**/*.py", "specs/**/*.yaml")
COMPARED: Final = (*IMPORTED, "backends/**/*.py", "backends/**/*.jinja")

Result = dict[str, Any]


def code(root: Path = ROOT, patterns: Sequence[str] = IMPORTED) -> str:
    """What tells one state of these files from another."""
    digest = hashlib.sha256()
    files = {path for pattern in patterns for path in root.glob(pattern)}
    for path in sorted(files):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def read(path: Path) -> dict[str, Result]:
    """Results by the networks' names."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {one["network"]: one for one in map(json.loads, lines)}


def keep(path: Path, result: Result) -> None:
    """Write a result, in place of an earlier one of the network; the file is whole at any time."""
    found = {**read(path), result["network"]: result}
    made = path.with_suffix(".tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    made.write_text("".join(f"{json.dumps(found[name])}\n" for name in sorted(found)), "utf-8")
    made.replace(path)
