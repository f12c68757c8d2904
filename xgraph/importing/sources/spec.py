"""Another spec: weights move between two texts of one network, whatever their parts are called."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xgraph.compile import analyse
from xgraph.importing.arrays import read_safetensors, write_safetensors
from xgraph.importing.network import Array, Network, Refused, Shape, of_spec
from xgraph.importing.sources.base import Source, wrong_kind


class SpecSource(Source):
    """A spec by its name or file."""

    def __init__(self, spec: str, path: Path | None = None) -> None:
        self.title = f"xgraph:{spec}"
        self.spec = spec
        self.path = path

    def image_shape(self) -> Shape | None:
        return analyse(self.spec).types[0].shape

    def network(self, input_shape: Shape) -> Network:
        height, width, channels = input_shape
        return of_spec(analyse(self.spec, [f"input.shape=[{height}, {width}, {channels}]"]))

    def arrays(self) -> Mapping[str, Array]:
        if self.path is None:
            raise Refused(f"{self.title} has no weights: give their file, and the spec as --model")
        return read_safetensors(self.path)

    def with_weights(self, path: Path) -> SpecSource:
        if path.suffix != ".safetensors":
            raise wrong_kind(path, self.title, (".safetensors",))
        return SpecSource(self.spec, path)

    def write(self, path: Path, arrays: Mapping[str, Array]) -> None:
        if path.suffix != ".safetensors":
            raise wrong_kind(path, self.title, (".safetensors",))
        write_safetensors(path, arrays, {"spec": self.spec})
