"""Write all committed output anew: `python -m tests.golden.regenerate`; read what changed.

It is the programs in `generated/`, the JSON Schema, and the table of ops in the reference.
`python -m tests.golden.regenerate ops` writes the last two alone.
"""

import json
import shutil
import sys
from pathlib import Path

from tests.golden.op_table import with_op_table
from xgraph.cli import main
from xgraph.spec.schema import schema

ROOT = Path(__file__).parents[2]
SPECS = ("xception", "inception_v3", "xception_mini")
BACKENDS = ("torch", "keras", "flax")
REFERENCE = ROOT / "docs" / "spec-language.md"
SCHEMA = ROOT / "xgraph" / "spec" / "schema.json"


def regenerate_ops() -> None:
    """What is said of ops elsewhere."""
    text = REFERENCE.read_text(encoding="utf-8")
    REFERENCE.write_text(with_op_table(text), encoding="utf-8")
    SCHEMA.write_text(f"{json.dumps(schema(), indent=2)}\n", encoding="utf-8")


def regenerate_programs() -> None:
    """The programs of the main specs."""
    for spec in SPECS:
        for backend in BACKENDS:
            output = ROOT / "generated" / spec / backend
            shutil.rmtree(output, ignore_errors=True)  # what git has is the record of edits
            main(["compile", spec, "--backend", backend, "-o", str(output)])


if __name__ == "__main__":
    regenerate_ops()
    if sys.argv[1:] != ["ops"]:
        regenerate_programs()
