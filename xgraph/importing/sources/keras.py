"""Keras' models: of keras.applications, and in files of Keras 2 and 3."""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xgraph.importing.network import Array, Network, Refused, Shape
from xgraph.importing.readers.keras import KerasModel, read, snake_case
from xgraph.importing.runtimes.base import Runtime
from xgraph.importing.sources.base import Source, called, first_line, needed, whole, wrong_kind

#: What a member of an archive may grow to, for each byte that it has there.
_MOST_GROWTH = 200
#: Layers that keep their weights in layers of their own, in Keras' order.
_PARTS = {"MultiHeadAttention": ("query_dense", "key_dense", "value_dense", "output_dense")}
_ENDINGS = (".keras", ".weights.h5", ".h5", ".hdf5")


class _KerasSource(Source):
    """A Keras model whose configuration and weights are at hand.

    A weight is called by the path of its layer and its place there, "stem/conv1/0".
    """

    version = "3"

    def config(self) -> Mapping[str, Any]:
        raise NotImplementedError  # of no kind in particular

    def image_shape(self) -> Shape | None:
        layers = self.config().get("config", {}).get("layers") or [{}]
        first = layers[0].get("config", {}) if isinstance(layers[0], Mapping) else {}
        shape = first.get("batch_shape") or first.get("batch_input_shape") or ()
        return whole(shape[1:])

    def read_layers(self) -> Mapping[str, Mapping[str, Array]]:
        """The weights of each layer, by its path and in Keras' order."""
        raise NotImplementedError  # of no kind in particular

    @functools.cached_property
    def layers(self) -> Mapping[str, Mapping[str, Array]]:
        return self.read_layers()

    def network(self, input_shape: Shape) -> Network:
        shapes = {
            path: [(name, tuple(array.shape)) for name, array in weights.items()]
            for path, weights in self.layers.items()
        }
        arrays = self.arrays()
        model = KerasModel(self.config(), shapes, lambda name: arrays[name], self.version)
        return read(model, input_shape)

    def arrays(self) -> Mapping[str, Array]:
        return {name: array for held in self.layers.values() for name, array in held.items()}


class KerasModelSource(_KerasSource):
    """A Keras model in this process."""

    def __init__(self, model: Any, title: str = "the model") -> None:
        self.title = title
        self.model = model

    def made(self) -> Any:
        """The model.

        Raises:
            Refused: there is none, or it is one of a class of its own.
        """
        return self.model

    def config(self) -> Mapping[str, Any]:
        config: Mapping[str, Any] = json.loads(self.graph().to_json())
        return config

    def graph(self) -> Any:
        """The model as one of Keras' own classes: what a class of somebody's calls is code."""
        model, keras = self.made(), needed("keras", self.title)
        if type(model) is keras.Sequential:
            return model
        if isinstance(getattr(model, "inputs", None), list) and model.inputs:
            plain = keras.Model(model.inputs, model.outputs, name=model.name)
            if type(model).call is type(plain).call:
                return model if type(model) is type(plain) else plain
        raise Refused(
            f"{self.title} is a {type(model).__name__}, whose layers are called by code and are no "
            "graph; a model that keras.Model(inputs, outputs) makes is read, and keras.Sequential"
        )

    def network(self, input_shape: Shape) -> Network:
        model = self.made()
        if not model.built and type(model) is needed("keras", self.title).Sequential:
            model.build((None, *input_shape))
            self.__dict__.pop("layers", None)
        return super().network(input_shape)

    def read_layers(self) -> Mapping[str, Mapping[str, Array]]:
        return _live(self.made())

    def runtime(self, dtype: str, input_shape: Shape) -> Runtime:
        model = self.graph()
        from xgraph.importing.runtimes.keras import KerasRuntime

        return KerasRuntime(model, dtype)

    def write(self, path: Path, arrays: Mapping[str, Array]) -> None:
        _save(self.made(), path, arrays, self.title)


class KerasApplication(KerasModelSource):
    """A model of keras.applications; the library fetches trained weights itself."""

    def __init__(self, name: str, *, trained: bool, path: Path | None = None) -> None:
        super().__init__(None, f"keras:{name}")
        self.name = name
        self.trained = trained
        self.path = path

    def image_shape(self) -> Shape | None:
        if self.model is None:
            self.model = self._made({})
        return super().image_shape()

    def network(self, input_shape: Shape) -> Network:
        if self.model is None:
            # Without its own weights it is made for these images; a dense layer may ask for that.
            self.model = self._made({} if self.trained else {"input_shape": input_shape})
        return super().network(input_shape)

    def _made(self, shape: Mapping[str, Any]) -> Any:
        keras = needed("keras", self.title)
        function = getattr(keras.applications, self.name, None)
        if not callable(function):
            raise Refused(f"keras.applications has no model {self.name}")
        try:
            return function(weights="imagenet" if self.trained else None, **shape)
        except Exception as error:  # whatever the library finds on its way
            raise Refused(f"{self.title}: {type(error).__name__}: {first_line(error)}") from None

    def read_layers(self) -> Mapping[str, Mapping[str, Array]]:
        if self.path is not None:
            return _File(self.path).layers(self.config())
        return super().read_layers()

    def with_weights(self, path: Path) -> KerasApplication:
        if not path.name.lower().endswith(_ENDINGS):
            raise wrong_kind(path, self.title, _ENDINGS)
        return KerasApplication(self.name, trained=False, path=path)


class KerasFunction(KerasModelSource):
    """What a function returns that a user names, with its weights or those of a file."""

    def __init__(self, name: str, path: Path | None = None) -> None:
        super().__init__(None, f"keras:{name}")
        self.name, self.path = name, path
        self.called = False

    def made(self) -> Any:
        if not self.called:
            keras = needed("keras", self.title)
            self.model = called("keras", self.name)
            if not isinstance(self.model, keras.Model):
                kind = type(self.model).__name__
                raise Refused(f"{self.title} gives a {kind}, no keras.Model")
            self.called = True
        return self.model

    def read_layers(self) -> Mapping[str, Mapping[str, Array]]:
        if self.path is not None:
            return _File(self.path).layers(self.config())
        return super().read_layers()

    def with_weights(self, path: Path) -> KerasFunction:
        if not path.name.lower().endswith(_ENDINGS):
            raise wrong_kind(path, self.title, _ENDINGS)
        return KerasFunction(self.name, path)


class KerasFile(_KerasSource):
    """A `.keras` archive or an `.h5` file that describes its model."""

    def __init__(self, path: Path, weights: Path | None = None) -> None:
        self.title = path.name
        self.path = path
        self.file = _File(path)
        self.held = self.file if weights is None else _File(weights)
        self.version = self.file.version

    def config(self) -> Mapping[str, Any]:
        return self.file.config()

    def read_layers(self) -> Mapping[str, Mapping[str, Array]]:
        return self.held.layers(self.config())

    def with_weights(self, path: Path) -> KerasFile:
        if not path.name.lower().endswith(_ENDINGS):
            raise wrong_kind(path, self.title, _ENDINGS)
        return KerasFile(self.path, path)

    def runtime(self, dtype: str, input_shape: Shape) -> Runtime:
        model = self.made()
        from xgraph.importing.runtimes.keras import KerasRuntime

        return KerasRuntime(model, dtype)

    def write(self, path: Path, arrays: Mapping[str, Array]) -> None:
        _save(self.made(), path, arrays, self.title)

    def made(self) -> Any:
        """The model, by Keras."""
        keras = needed("keras", self.title)
        try:
            return keras.models.load_model(self.path, compile=False, safe_mode=True)
        except Exception as error:  # whatever the library finds in the file
            raise Refused(f"{self.title}: {type(error).__name__}: {first_line(error)}") from None


def _live(model: Any, path: str = "") -> dict[str, dict[str, Array]]:
    """The weights of a Keras model's layers, and of models in it."""
    import numpy as np

    found: dict[str, dict[str, Array]] = {}
    for layer in model.layers:
        own = f"{path}{layer.name}"
        if hasattr(layer, "layers"):
            found |= _live(layer, f"{own}/")
        elif layer.weights:
            found[own] = {f"{own}/{n}": np.asarray(w) for n, w in enumerate(layer.get_weights())}
    return found


def _save(model: Any, path: Path, arrays: Mapping[str, Array], title: str) -> None:
    """Give a Keras model these weights, and let Keras write it."""
    if not path.name.endswith((".keras", ".weights.h5", ".h5")):
        raise wrong_kind(path, title, (".keras", ".weights.h5", ".h5"))

    def give(holder: Any, under: str) -> None:
        for layer in holder.layers:
            own = f"{under}{layer.name}"
            if hasattr(layer, "layers"):
                give(layer, f"{own}/")
            elif layer.weights:
                held = layer.get_weights()
                layer.set_weights([arrays.get(f"{own}/{n}", w) for n, w in enumerate(held)])

    give(model, "")
    if path.name.endswith(".weights.h5"):
        model.save_weights(path, overwrite=True)
    else:
        model.save(path, overwrite=True)


class _File:
    """What stands in a file of Keras; names of weights are those of `_live`, in every format."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.h5py = needed("h5py", path.name)
        self.zipped = zipfile.is_zipfile(path)

    @property
    def version(self) -> str:
        """Of the Keras that wrote it."""
        if self.zipped:
            return str(self._json("metadata.json").get("keras_version", "3"))
        with self._opened() as file:
            return str(_text(file.attrs.get("keras_version", "3")))

    def config(self) -> Mapping[str, Any]:
        """The configuration of the model.

        Raises:
            Refused: the file has none.
        """
        if self.zipped:
            return self._json("config.json")
        with self._opened() as file:
            text = file.attrs.get("model_config")
        if text is None:
            hint = "say which model they are of, for example --model keras:Xception"
            raise Refused(f"{self.path.name} holds weights alone: {hint}")
        try:
            config: Mapping[str, Any] = json.loads(_text(text))
        except (ValueError, RecursionError):
            raise Refused(f"{self.path.name}: its model_config is not JSON") from None
        if not isinstance(config, dict):
            raise Refused(f"{self.path.name}: its model_config is not of Keras")
        return config

    def layers(self, config: Mapping[str, Any]) -> dict[str, dict[str, Array]]:
        """The weights of each layer of a model with this configuration."""
        try:
            with self._opened() as file:
                if "layers" in file or "_layer_checkpoint_dependencies" in file:
                    return dict(_of_groups(file, config, ""))
                group = file.get("model_weights", file)
                if not any(name.startswith("layer_names") for name in group.attrs):
                    raise Refused(f"{self.path.name} holds no weights of Keras")
                return _of_legacy(group, config)
        except Refused as refused:
            raise Refused(*(f"{self.path.name}: {line}" for line in refused.lines)) from None
        except Exception as error:  # whatever a broken file brings
            raise Refused(f"{self.path.name}: its weights cannot be read: {error}") from None

    def _opened(self) -> Any:
        try:
            if not self.zipped:
                return self.h5py.File(self.path, "r")
            return self.h5py.File(io.BytesIO(self._member("model.weights.h5")), "r")
        except OSError as error:
            raise Refused(f"{self.path.name} is not a file of Keras: {first_line(error)}") from None

    def _member(self, name: str) -> bytes:
        try:
            with zipfile.ZipFile(self.path) as archive:
                entry = archive.getinfo(name)
                if entry.file_size > _MOST_GROWTH * max(entry.compress_size, 1):
                    raise Refused(f"{self.path.name}: {name} would grow without measure")
                return archive.read(entry)
        except Refused:
            raise
        except Exception as error:  # encrypted, torn, packed in an unknown way
            raise Refused(f"{self.path.name} is not a file of Keras: {first_line(error)}") from None

    def _json(self, name: str) -> Mapping[str, Any]:
        member = self._member(name)
        try:
            found = json.loads(member)
        except (ValueError, RecursionError):
            raise Refused(f"{self.path.name}: {name} is not JSON") from None
        if not isinstance(found, dict):
            raise Refused(f"{self.path.name}: {name} is not of Keras")
        return found


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _children(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The layers of a configuration by name, in order."""
    inside = config.get("config", {})
    for layer in inside if isinstance(inside, list) else inside.get("layers", []):
        yield str(layer.get("name") or layer.get("config", {}).get("name", "")), layer


def _is_model(layer: Mapping[str, Any]) -> bool:
    return layer.get("class_name") in ("Functional", "Sequential", "Model")


def _of_groups(
    group: Any, config: Mapping[str, Any], path: str
) -> Iterator[tuple[str, dict[str, Array]]]:
    """Of Keras 3: groups called by class, numbered, that say their layer's name or do not yet."""
    holder = group["layers"] if "layers" in group else group["_layer_checkpoint_dependencies"]
    named = {_text(g.attrs["name"]): g for g in holder.values() if "name" in g.attrs}
    counts: dict[str, int] = {}
    for name, layer in _children(config):
        kind = snake_case(str(layer["class_name"]))
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        found = named.get(name)
        if found is None and not named:
            found = holder.get(kind if number == 0 else f"{kind}_{number}")
        if found is None:
            continue
        own = f"{path}{name}"
        if _is_model(layer):
            yield from _of_groups(found, layer, f"{own}/")
        elif "vars" in found:
            parts = _PARTS.get(str(layer["class_name"]))
            groups = [found[part]["vars"] for part in parts] if parts else [found["vars"]]
            arrays = [_array(held, key) for held in groups for key in sorted(held, key=int)]
            yield own, {f"{own}/{n}": array for n, array in enumerate(arrays)}


def _of_legacy(group: Any, config: Mapping[str, Any]) -> dict[str, dict[str, Array]]:
    """Of Keras 2, and of `.h5` files of Keras 3: a group for a layer, with the names in order."""
    found: dict[str, dict[str, Array]] = {}
    for name, layer in _children(config):
        if name not in group:
            continue
        own = group[name]
        arrays = [(_text(key), _array(own, _text(key))) for key in _attribute(own, "weight_names")]
        if not _is_model(layer):
            if arrays:
                found[name] = {f"{name}/{n}": array for n, (_, array) in enumerate(arrays)}
            continue
        inner = dict(_inner(layer, ""))
        for key, array in arrays:  # of a model in the model, all together
            parts = key.split("/")
            path = inner.get(parts[-2] if len(parts) > 1 else "")
            if path is None:
                raise Refused(f"{name}: no layer of it has the weight {key}")
            held = found.setdefault(f"{name}/{path}", {})
            held[f"{name}/{path}/{len(held)}"] = array
    return found


def _array(group: Any, name: str) -> Array:
    """A dataset of this file: what lies in others is not read, nor what grows without measure."""
    own = group.file
    place = group
    for part in name.split("/"):
        if type(place.get(part, getlink=True)).__name__ == "ExternalLink":
            raise Refused(f"{name} is a link to another file, which is not read")
        place = place[part]
    if place.file != own or place.external or place.is_virtual:
        raise Refused(f"{name} lies in another file, which is not read")
    if place.nbytes > _MOST_GROWTH * own.id.get_filesize():
        raise Refused(f"{name} would grow without measure")
    array: Array = place[()]
    return array


def _inner(config: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Layers in a model by their own name: their path."""
    for name, layer in _children(config):
        if _is_model(layer):
            yield from _inner(layer, f"{path}{name}/")
        else:
            yield name, f"{path}{name}"


def _attribute(group: Any, name: str) -> list[Any]:
    """A list that Keras writes in pieces where it is long."""
    if name in group.attrs:
        return list(group.attrs[name])
    found: list[Any] = []
    while f"{name}{len(found)}" in group.attrs:  # pieces are numbered from 0
        found.append(group.attrs[f"{name}{len(found)}"])
    return [one for piece in found for one in piece]
