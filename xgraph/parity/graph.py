"""The graph itself, computed in NumPy by the references of its ops: what all programs must be.

Programs that agree may all be wrong in the same way, where what they have in common is at fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xgraph import interpreter
from xgraph.backend import Compilation
from xgraph.ops.base import Array
from xgraph.parity.distance import Quantity
from xgraph.parity.job import result, save_arrays
from xgraph.recipe.facts import model_facts


@dataclass(frozen=True)
class ComputedGraph:
    """The graph of a compilation, as a `xgraph.parity.measuring.Reference`."""

    compilation: Compilation
    rounding: float = 0.0

    def has(self, quantity: Quantity) -> bool:
        """References of ops have no gradients."""
        return quantity.kind in ("outputs", "loss", "statistics")

    def seen(self, held: Mapping[str, Array]) -> Mapping[str, Array]:
        """All of them."""
        return held

    def compute(self, stage: str, given: Path, output: Path) -> None:
        """See `xgraph.parity.measuring.Reference`."""
        _compute(self.compilation, stage, given, output)

    def compute_nodes(self, training: bool, given: Path, output: Path) -> None:
        """See `xgraph.parity.measuring.Reference`."""
        _compute_nodes(self.compilation, training, given, output)


def _compute(compilation: Compilation, stage: str, given: Path, output: Path) -> None:
    graph, training = compilation.analysis.graph, stage == "training"
    images, weights, held = _read(given)
    if training:
        weights |= interpreter.mask_state(graph, passes=0)
    values: dict[int, Array] = {}
    statistics: dict[str, Array] = {}
    wanted = {output.node for output in graph.outputs}
    for k, (node, inputs, value) in enumerate(
        interpreter.walk(graph, images, weights, training=training)
    ):
        if k in wanted:
            values[k] = value
        if training:
            made = interpreter.updated(node, inputs, weights)
            statistics |= made
            weights |= made  # from which those go on that are shared
    outputs = [values[output.node] for output in graph.outputs]
    found = {f"outputs/{number}": value for number, value in enumerate(outputs)}
    if training:
        found["loss"] = np.array(_loss(compilation, outputs, held))
        found |= {f"statistics/{name}": value for name, value in statistics.items()}
    output.mkdir(parents=True, exist_ok=True)
    save_arrays(result(output, stage), found)


def _compute_nodes(compilation: Compilation, training: bool, given: Path, output: Path) -> None:
    images, weights, _ = _read(given)
    graph = compilation.analysis.graph
    walked = interpreter.walk(graph, images, weights, training=training)
    met: dict[str, int] = {}
    found = {}
    for node, _, value in walked:
        number = met[node.owner] = met.get(node.owner, -1) + 1
        found[f"{node.owner}/{number}"] = value
    save_arrays(result(output, "activations"), found)


def _read(given: Path) -> tuple[Array, dict[str, Array], dict[str, Array]]:
    """The first batch of images, the weights by canonical name, and what the loss is made from."""
    with np.load(given) as held:
        arrays = {name: held[name] for name in held.files}
    images = arrays.pop("images")[0]
    weights = {
        name.removeprefix("weights/"): arrays.pop(name)
        for name in list(arrays)
        if name.startswith("weights/")
    }
    return images, weights, arrays


def _loss(compilation: Compilation, outputs: list[Array], held: dict[str, Array]) -> float:
    recipe = compilation.recipe
    if recipe is None:
        return sum(float((y * held[f"projections/{k}"]).sum()) for k, y in enumerate(outputs))
    facts = model_facts(compilation.analysis)
    by_name = {name: y for (name, _), y in zip(facts.outputs, outputs, strict=True)}
    labels = held["labels"][0]
    return sum(
        weight * recipe.loss.reference(by_name[name], labels) for name, weight in facts.loss_weights
    )
