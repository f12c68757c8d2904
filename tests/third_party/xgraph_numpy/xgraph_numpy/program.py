"""A generated program in this process, to be measured; see `xgraph.programs`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xgraph.programs import import_files


class Program:
    """The model of a generated program. Its arrays are laid out as a spec has them already."""

    def __init__(self, files: Mapping[str, str], dtype: str = "float64") -> None:
        modules = import_files(files, training=False)
        self.dtype = dtype
        self.model = modules["model"].create_model()
        self.begin = getattr(modules["layers"], "begin", lambda model: None)
        layers = modules["layers"]
        for _, module in list(layers.walk(self.model)):
            if isinstance(module, layers.Module):
                arrays = {n: a for n, a in vars(module).items() if isinstance(a, np.ndarray)}
                vars(module).update({n: a.astype(dtype) for n, a in arrays.items()})

    def weights(self) -> dict[str, np.ndarray]:
        """A copy of every weight, by canonical name."""
        return {name: array.copy() for name, array in self.model.weights().items()}

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Copy weights into the model, by canonical name; dropout begins a run."""
        own = self.model.weights()
        assert own.keys() == weights.keys()
        for name, array in own.items():
            array[...] = weights[name]
        self.begin(self.model)

    def run(self, images: np.ndarray, training: bool = False) -> list[np.ndarray]:
        """The outputs in the order of the spec; training updates moving statistics."""
        self.model.train(training)
        given = self.model(images.astype(self.dtype))
        return list(given.values()) if isinstance(given, dict) else [given]
