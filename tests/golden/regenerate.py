"""Write all committed output anew: `python -m tests.golden.regenerate`; read what changed.

It is the programs in `generated/`, digests of the families' models, the JSON Schema, and the table
of ops in the reference. `python -m tests.golden.regenerate ops` writes the last two alone.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

from tests.golden.op_table import with_op_table
from xgraph import backend as backends
from xgraph.backend import Compilation
from xgraph.cli import main
from xgraph.compile import analyse
from xgraph.spec import library
from xgraph.spec.schema import schema

ROOT = Path(__file__).parents[2]
SPECS = ("xception", "inception_v3", "xception_mini")
BACKENDS = ("torch", "keras", "flax")
REFERENCE = ROOT / "docs" / "spec-language.md"
SCHEMA = ROOT / "xgraph" / "spec" / "schema.json"
FAMILIES = library.all_specs(ROOT / "specs" / "families")
DIGESTS = ROOT / "tests" / "golden" / "digests.json"


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


def digests(spec: Path) -> dict[str, str]:
    """The SHA-256 of a spec's model.py, by backend."""
    compilation = Compilation(analyse(str(spec)), None)
    texts = {name: backends.get(name).emit(compilation)["model.py"] for name in BACKENDS}
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}


def regenerate_digests() -> None:
    """What stands for the models of families, whose programs are not committed."""
    found = {spec.stem: digests(spec) for spec in FAMILIES}
    DIGESTS.write_text(f"{json.dumps(found, indent=2)}\n", encoding="utf-8")


if __name__ == "__main__":
    regenerate_ops()
    if sys.argv[1:] != ["ops"]:
        regenerate_programs()
        regenerate_digests()
