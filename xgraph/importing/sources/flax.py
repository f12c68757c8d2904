"""Flax' modules: of anyone's function, or in this process; and files of their weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xgraph.importing.arrays import read_safetensors, write_safetensors
from xgraph.importing.network import Array, Network, Refused, Shape
from xgraph.importing.runtimes.base import Runtime
from xgraph.importing.sources.base import ModuleSource, called, needed, wrong_kind

_ENDINGS = (".safetensors",)
_SHOWN = 5


class FlaxModule(ModuleSource):
    """An `nnx.Module` in this process, which is called with images (N, H, W, C).

    Weights are called by their paths in its state, "stages.0.conv1.kernel".
    """

    def network(self, input_shape: Shape) -> Network:
        module = self.made()
        from xgraph.importing.readers.flax import read

        return read(module, input_shape, self.title)

    def arrays(self) -> Mapping[str, Array]:
        module = self.made()
        from xgraph.importing.readers.flax import arrays

        found = arrays(module)
        if found is None:
            raise Refused(
                f"{self.title} has shapes and no numbers, as nnx.eval_shape gives it; "
                "make it without, and read its weights before it is given"
            )
        return found

    def runtime(self, dtype: str, input_shape: Shape) -> Runtime:
        module = self.made()
        from xgraph.importing.runtimes.flax import FlaxRuntime

        return FlaxRuntime(module, dtype)

    def write(self, path: Path, arrays: Mapping[str, Array]) -> None:
        if path.suffix != ".safetensors":
            raise wrong_kind(path, self.title, _ENDINGS)
        module = self.made()
        from xgraph.importing.readers.flax import arrays as of_module

        own = of_module(module) or {}
        write_safetensors(path, {**own, **arrays}, {"model": self.title})


class FlaxModel(FlaxModule):
    """What a function returns that a user names, with its weights or those of a file."""

    def __init__(self, name: str, path: Path | None = None) -> None:
        super().__init__(None, f"flax:{name}")
        self.name, self.path = name, path

    def made(self) -> Any:
        if self.module is None:
            nnx = needed("flax.nnx", self.title)
            self.module = called("flax", self.name)
            if not isinstance(self.module, nnx.Module):
                kind = type(self.module).__name__
                raise Refused(f"{self.title} gives a {kind}, no nnx.Module")
        return self.module

    def image_shape(self) -> Shape | None:
        """No module says it."""
        self.made()  # where it cannot be, that is what is wrong, and not that no size was said
        return None

    def arrays(self) -> Mapping[str, Array]:
        if self.path is None:
            return super().arrays()
        from xgraph.importing.readers.flax import shapes

        own, found = shapes(self.made()), read_safetensors(self.path)
        missing = sorted(own.keys() - found.keys())
        wrong = [name for name in own.keys() & found.keys() if found[name].shape != own[name]]
        surplus = sorted(found.keys() - own.keys())
        lines = [
            f"{self.path.name}: {len(names)} {what}: {', '.join(names[:_SHOWN])}"
            f"{' …' if len(names) > _SHOWN else ''}"
            for what, names in (
                ("weights of the model are not in it", missing),
                ("are of another shape than the model's", sorted(wrong)),
                ("are not the model's", surplus),
            )
            if names
        ]
        if missing or wrong:
            raise Refused(*lines)
        self.notes = lines
        return found

    def with_weights(self, path: Path) -> FlaxModel:
        if path.suffix != ".safetensors":
            raise wrong_kind(path, self.title, _ENDINGS)
        return FlaxModel(self.name, path)
