"""Where a network from elsewhere comes from: a file, or a library's model; and how it goes back.

| said | what it is |
|---|---|
| `keras:Xception` | a model of `keras.applications`, with the library's trained weights |
| `torchvision:resnet50`, `timm:resnet50d` | a model of that library, likewise |
| `torch:package.module:function` | a function that returns an `nn.Module` with its weights |
| `keras:package.module:function` | one that returns a Keras model, functional or sequential |
| `flax:package.module:function` | one that returns an `nnx.Module` for images (N, H, W, C) |
| `xgraph:SPEC` | another spec, which has no weights itself |
| `FILE.keras`, `FILE.h5`, `FILE.onnx` | a model that says itself what it is |
| `FILE.weights.h5`, `FILE.safetensors`, `FILE.pt`, … | names and numbers of a model from above |
| `FILE.safetensors`, `FILE.pt`, … | of a bundled spec's published form, if no model is named |
"""

from __future__ import annotations

from pathlib import Path

from xgraph.importing.network import Refused
from xgraph.importing.sources.base import Source

#: Libraries and kinds of models that are named.
KINDS = ("keras", "torchvision", "timm", "torch", "flax", "xgraph")
#: What a file is by its name; the longest ending counts.
MODELS = (".keras", ".h5", ".hdf5", ".onnx")
TORCH_WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
KERAS_WEIGHTS = ".weights.h5"


def find(source: str, model: str | None = None, spec: str | None = None) -> Source:
    """What a user names.

    Args:
        source: a file, or KIND:NAME, see above.
        model: the network whose weights a file of mere weights has: KIND:NAME, or its file.
        spec: that the weights are for, whose published form may be known by its names.

    Raises:
        Refused: there is no such thing, or what it needs is not installed.
    """
    if _kind(source):
        if model is not None:
            raise Refused(f"{source} says what network it is; --model is for a file of weights")
        return _named(source, trained=True)
    path = Path(source)
    if not path.is_file():
        kinds = ", ".join(f"{kind}:NAME" for kind in KINDS)
        raise Refused(f"there is no file {source}; a model of a library is one of {kinds}")
    name = path.name.lower()
    if model is not None:
        return find_model(model).with_weights(path)
    if spec is not None and name.endswith(TORCH_WEIGHTS):
        from xgraph.importing.sources.names import NamedWeights, published

        if known := published(spec):
            return NamedWeights(spec, known, path)
    if name.endswith(KERAS_WEIGHTS) or name.endswith(TORCH_WEIGHTS):
        hint = "for example --model torchvision:resnet50 or keras:Xception"
        raise Refused(f"{source} holds names and numbers alone, not the network: say which, {hint}")
    if name.endswith(".onnx"):
        from xgraph.importing.sources.onnx import OnnxSource

        return OnnxSource(path)
    if name.endswith(MODELS):
        from xgraph.importing.sources.keras import KerasFile

        return KerasFile(path)
    endings = ", ".join((*MODELS, KERAS_WEIGHTS, *TORCH_WEIGHTS))
    raise Refused(f"{source}: a file of a kind that is not read; these are: {endings}")


def find_model(model: str) -> Source:
    """What a user names as the network that weights are written for: KIND:NAME, or a model's file.

    Raises:
        Refused: there is no such thing, or what it needs is not installed.
    """
    if _kind(model) or not Path(model).is_file():
        return _named(model, trained=False)
    return find(model)


def of_object(model: object) -> Source:
    """A network that is an object in this process.

    Raises:
        Refused: it is of no framework that is read.
    """
    kinds = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if "keras" in kinds:  # which may run on PyTorch, and is its module too then
        from xgraph.importing.sources.keras import KerasModelSource

        return KerasModelSource(model)
    if "torch" in kinds:
        from xgraph.importing.sources.torch import TorchModule

        return TorchModule(model)
    if "flax" in kinds:
        from xgraph.importing.sources.flax import FlaxModule

        return FlaxModule(model)
    raise Refused(f"a {type(model).__name__} is no model of PyTorch, Keras or Flax")


def is_named(source: str) -> bool:
    """Whether a model is named, as KIND:NAME, rather than a file."""
    return _kind(source) is not None


def _kind(source: str) -> str | None:
    kind, colon, _ = source.partition(":")
    return kind if colon and kind in KINDS else None


def _named(source: str, *, trained: bool) -> Source:
    """A model of a library, or a spec, with its trained weights or none that count."""
    kind, _, name = source.partition(":")
    if _kind(source) is None or not name:
        kinds = ", ".join(f"{kind}:NAME" for kind in KINDS)
        raise Refused(f"no model is called {source}; one is {kinds}")
    if kind == "xgraph":
        from xgraph.importing.sources.spec import SpecSource

        if trained:
            raise Refused(f"{source} has no weights: give their file, and the spec as --model")
        return SpecSource(name)
    if kind == "flax":
        from xgraph.importing.sources.flax import FlaxModel

        return FlaxModel(name)
    if kind == "keras" and ":" in name:
        from xgraph.importing.sources.keras import KerasFunction

        return KerasFunction(name)
    if kind == "keras":
        from xgraph.importing.sources.keras import KerasApplication

        return KerasApplication(name, trained=trained)
    from xgraph.importing.sources.torch import TorchModel

    return TorchModel(kind, name, trained=trained)
