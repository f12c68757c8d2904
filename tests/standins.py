"""What the stand-in models of tests of training programs share."""

from __future__ import annotations

from pathlib import Path

from xgraph.emit.library_text import definitions

_BACKENDS = Path(__file__).parents[1] / "backends"


def write_standin(standin: Path, folder: Path, backend: str) -> None:
    """Copy a stand-in model into a program; its layers.py gets dropout, as the backend has it.

    Args:
        standin: the folder with its model.py and layers.py.
        folder: of the program.
        backend: the backend's folder, such as "keras3".
    """
    for path in standin.glob("*.py"):
        (folder / path.name).write_text(path.read_text())
    library = (_BACKENDS / backend / "layers.py").read_text()
    imports, blocks = definitions(library, frozenset({"Dropout"}))
    layers = "\n".join([(standin / "layers.py").read_text(), *imports, *blocks])
    (folder / "layers.py").write_text(layers + "\n")
