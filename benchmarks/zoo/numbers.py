"""One size of each family, imported and compared in numbers as `xgraph import` does it.

python -m benchmarks.zoo.numbers timm:resnet18d specs.json result.json
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.zoo import programs
from benchmarks.zoo.markdown import share, table, zoo_of
from benchmarks.zoo.networks import make_importable
from benchmarks.zoo.one import IMAGE, source_of
from benchmarks.zoo.results import Result
from xgraph.importing.network import Refused
from xgraph.importing.recover import NotTheSame, recover, spec_name
from xgraph.parity.imported import compare_imported

#: What is compared, as a table calls it.
_QUANTITIES = {
    "evaluation output": "evaluation",
    "training output": "training mode",
    "gradients of weights": "gradients of weights",
    "gradient of images": "of images",
    "moving statistics": "moving statistics",
}
_LINES = 12


def smallest(names: Sequence[str], found: Mapping[str, Result]) -> list[str]:
    """Of each family the network of the fewest weights, of those that were imported."""
    imported = [name for name in names if "failed" not in found.get(name, {"failed": ""})]
    families: dict[tuple[str, ...], list[str]] = {}
    for name in imported:
        families.setdefault(family(name), []).append(name)
    return [min(sizes, key=lambda one: found[one]["weights"]) for sizes in families.values()]


def family(network: str) -> tuple[str, ...]:
    """What tells a family: the library's file, and in it the word that names begin with.

    So that RegNetX and RegNetY are two, which are sizes of one function. Keras' files have one
    family each, and its names, in capitals, no such word.
    """
    zoo, _, name = network.partition(":")
    function = programs.function(network)
    if function is None:
        return zoo, name
    word = re.match("[a-z]*", name)
    return zoo, Path(inspect.getfile(function)).stem, word[0] if word else ""


def compared(name: str) -> dict[str, Any]:
    """How far the three programs of a network are from the network, in float64."""
    make_importable(name)
    begun = time.perf_counter()
    try:
        source = source_of(name)
        shape = source.image_shape() or IMAGE
        network = source.network(shape)
        found = recover(network, spec_name(name.partition(":")[2]))
        told = compare_imported(found, source, network, False)
    except Refused as refused:
        return {"failed": "numbers", "why": list(refused.lines[:_LINES])}
    except NotTheSame as error:
        return {"failed": "not the same", "why": str(error).splitlines()[:_LINES]}
    return {
        "image": list(shape),
        "layers": len(network.layers) - 1,
        "measurements": list(told.measurements),
        "notes": list(told.notes),
        "seconds": round(time.perf_counter() - begun, 1),
    }


def furthest(result: Result) -> dict[str, float]:
    """The greatest distance of any program in each quantity."""
    found: dict[str, float] = {}
    for one in result.get("measurements", ()):
        known = found.get(one["quantity"], 0.0)
        found[one["quantity"]] = max(known, one["distance"])
    return found


def said(result: Result) -> str:
    """A result in a line."""
    if "failed" in result:
        return f"failed ({result['failed']}): {result['why'][0]}"
    apart = ", ".join(f"{quantity} {far:.1e}" for quantity, far in furthest(result).items())
    return f"{apart or 'no numbers'}, in {result['seconds']:.0f} s"


def written(found: Sequence[Result]) -> str:
    """How many families of each zoo were compared, and how far programs are apart at most."""
    zoos = list(dict.fromkeys(zoo_of(one) for one in found))
    rows = [_row(name, [one for one in found if zoo_of(one) == name]) for name in zoos]
    if len(rows) > 1:
        rows.append(_row("all", found))
    head = ["", "families", "programs that agree", *_QUANTITIES.values()]
    tables = [table(head, rows)]
    if others := [*_others(found)]:
        tables.append(table(["", "what was not compared, or is not alike"], others))
    return "\n\n".join(tables)


def _row(name: str, found: Sequence[Result]) -> list[str]:
    told = [furthest(one) for one in found]
    agree = sum(_agrees(one) for one in found)
    cells = []
    for quantity in _QUANTITIES:
        values = [one[quantity] for one in told if quantity in one]
        cells.append(f"{max(values):.1e} ({len(values)})" if values else "")
    return [name, str(len(found)), share(agree, len(found)), *cells]


def _agrees(result: Result) -> bool:
    made = result.get("measurements", ())
    return bool(made) and all(one["agree"] for one in made)


def _others(found: Iterable[Result]) -> Iterator[list[str]]:
    for one in found:
        for why in one["why"][:1] if "failed" in one else one["notes"]:
            yield [str(one["network"]), why.replace("|", "/")[:300]]


if __name__ == "__main__":
    network, _, path = sys.argv[1:]
    Path(path).write_text(json.dumps(compared(network)), encoding="utf-8")
