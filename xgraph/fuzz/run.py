"""A fuzzing run: specs drawn, checked, and where one fails, a small spec that fails alike."""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from xgraph.compile import COMPILING
from xgraph.fuzz.generate import random_spec, size_of
from xgraph.fuzz.shrink import shrink
from xgraph.fuzz.trees import Tree, analyse_tree, to_yaml

#: None where all agree; otherwise a message, whose words before the first colon are its kind.
Check = Callable[[str], str | None]

_MESSAGE_LINES = 12


class CannotCheck(Exception):
    """No spec can be checked, whatever it is: a run ends with this. The `reason` says why."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True)
class Failure:
    """A spec that failed: the seed that draws it, what was said, and where the small one lies."""

    seed: int
    message: str
    path: Path | None


@dataclass(frozen=True)
class FuzzReport:
    """What a run came to. `nodes` and `ops` count the drawn specs' nodes, inputs left out."""

    graphs: int
    nodes: int
    ops: Mapping[str, int]
    failures: tuple[Failure, ...]


def graph_seed(seed: int, graph: int) -> int:
    """The seed of one graph of a run. The first has the run's own, so that it repeats alone."""
    if graph == 0:
        return seed
    digest = hashlib.sha256(f"{seed}:{graph}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def graph_seeds(seed: int, most: int | None = None) -> Iterator[int]:
    """The seeds of a run's graphs, without those of graphs that have more than about `most` nodes.

    The first graph is there, whatever its size.
    """
    seeds = (graph_seed(seed, graph) for graph in itertools.count())
    yield next(seeds)
    yield from (own for own in seeds if most is None or size_of(own) <= most)


def fuzz(
    check: Check,
    graphs: int,
    seed: int,
    output: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    jobs: int = 1,
    most: int | None = None,
) -> FuzzReport:
    """Draw specs and check each.

    Args:
        check: compares what a spec, given as YAML, becomes; an exception is a failure too, but
            for `CannotCheck`.
        graphs: how many specs.
        seed: what they are drawn from.
        output: the folder for specs that fail, cut down; made when there is one.
        progress: called with the number of specs done and of failures, after each.
        jobs: how many checks are under way at once; `check` must bear it.
        most: about how many nodes a spec may have; frameworks compile small ones sooner.
    """
    nodes = 0
    seen: Counter[str] = Counter()
    failures: list[Failure] = []

    def one(own: int) -> tuple[list[str], Failure | None]:
        with COMPILING:
            spec = random_spec(own)
            names = [node.op.name for node in analyse_tree(spec)[0].nodes[1:]]
        message = _asked(check, spec)
        failed = None if message is None else _failure(check, spec, message, own, output)
        return names, failed

    with ThreadPoolExecutor(jobs) as pool:
        seeds = itertools.islice(graph_seeds(seed, most), graphs)
        for number, (names, failure) in enumerate(pool.map(one, seeds), 1):
            nodes += len(names)
            seen.update(names)
            failures += [failure] if failure else []
            if progress is not None:
                progress(number, len(failures))
    return FuzzReport(graphs, nodes, dict(sorted(seen.items())), tuple(failures))


def _asked(check: Check, spec: Tree) -> str | None:
    try:
        return check(to_yaml(spec))
    except CannotCheck:
        raise
    except Exception as error:  # whatever a compiler or a framework raises is a finding
        return f"{type(error).__name__}: {error}"


def _kind(message: str) -> str:
    return message.partition(":")[0].strip()


def _failure(check: Check, spec: Tree, message: str, seed: int, output: Path | None) -> Failure:
    if output is None:
        return Failure(seed, _told(message, seed), None)

    def fails(candidate: Tree) -> bool:
        found = _asked(check, candidate)
        return found is not None and _kind(found) == _kind(message)

    small = shrink(spec, fails)
    said = _asked(check, small) or message
    path = output / f"fuzz_{seed}.yaml"
    _write(path, _header(said, seed) + to_yaml(small))
    return Failure(seed, _told(message, seed), path)


def _told(message: str, seed: int) -> str:
    return f"{message} (alone: xgraph fuzz --graphs 1 --seed {seed})"


def _header(message: str, seed: int) -> str:
    """How a spec was found, as comments; long messages are cut."""
    lines = message.splitlines()
    lines = lines[:_MESSAGE_LINES] + (["…"] if len(lines) > _MESSAGE_LINES else [])
    said = "".join(f"# {_printable(line)}".rstrip() + "\n" for line in lines)
    return (
        f"# Found by `xgraph fuzz --graphs 1 --seed {seed}`, and cut down while it failed alike:\n"
        f"#\n{said}\n"
    )


def _printable(line: str) -> str:
    """A line without the characters that YAML refuses even in comments."""
    return "".join(one if one.isprintable() else " " for one in line)[:300]


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
