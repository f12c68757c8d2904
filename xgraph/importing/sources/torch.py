"""PyTorch's models: of torchvision, of timm, of anyone's function; and files of their weights."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from xgraph.importing.arrays import read_safetensors
from xgraph.importing.network import Array, Network, Refused, Shape
from xgraph.importing.runtimes.base import Runtime
from xgraph.importing.sources.base import (
    ModuleSource,
    called,
    first_line,
    needed,
    whole,
    wrong_kind,
)

_ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
#: Where training programs keep the weights among other things, and what they put before names.
_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "ema")
_PREFIXES = ("module.", "_orig_mod.", "model.")


class TorchModule(ModuleSource):
    """An `nn.Module` in this process; weights are called as in its `state_dict`."""

    def network(self, input_shape: Shape) -> Network:
        module = self.made()
        from xgraph.importing.readers.torch import read

        return read(module, input_shape, self.title)

    def arrays(self) -> Mapping[str, Array]:
        return {name: _array(tensor) for name, tensor in self.made().state_dict().items()}

    def runtime(self, dtype: str, input_shape: Shape) -> Runtime:
        from xgraph.importing.runtimes.torch import TorchRuntime

        return TorchRuntime(self.made(), dtype)

    def write(self, path: Path, arrays: Mapping[str, Array]) -> None:
        if path.suffix.lower() not in _ENDINGS:
            raise wrong_kind(path, self.title, _ENDINGS)
        import torch
        from safetensors.torch import save_file

        state = self.made().state_dict()  # itself, for its `_metadata` says of what version it is
        for name in state.keys() & arrays.keys():
            state[name] = torch.from_numpy(arrays[name].copy())
        if path.suffix.lower() == ".safetensors":
            save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
        else:
            torch.save(state, path)


class TorchModel(TorchModule):
    """A model of a library, or what a function returns; torchvision and timm fetch weights."""

    def __init__(self, kind: str, name: str, *, trained: bool, path: Path | None = None) -> None:
        super().__init__(None, f"{kind}:{name}")
        self.kind, self.name, self.trained = kind, name, trained
        self.path = path
        self.read: Mapping[str, Array] | None = None

    def made(self) -> Any:
        if self.module is None:
            torch = needed("torch", self.title)
            try:
                self.module = self._make()
            except Refused:
                raise
            except (Exception, SystemExit) as error:  # whatever is found on the way
                raise Refused(
                    f"{self.title}: {type(error).__name__}: {first_line(error)}"
                ) from None
            if not isinstance(self.module, torch.nn.Module):
                raise Refused(f"{self.title} gives a {type(self.module).__name__}, no nn.Module")
        return self.module

    def _make(self) -> Any:
        if self.kind == "torchvision":
            models = needed("torchvision", self.title).models
            if self.name not in models.list_models():
                raise Refused(f"torchvision has no model {self.name}")
            return models.get_model(self.name, weights="DEFAULT" if self.trained else None)
        if self.kind == "timm":
            timm = needed("timm", self.title)
            if not timm.is_model(self.name):
                raise Refused(f"timm has no model {self.name}")
            return timm.create_model(self.name, pretrained=self.trained)
        return called(self.kind, self.name)

    def image_shape(self) -> Shape | None:
        """As timm and torchvision say of their models; nobody says it of another's."""
        if self.kind == "timm":
            sizes = getattr(self.made(), "default_cfg", {}).get("input_size", ())
            return whole([*sizes[1:], *sizes[:1]])
        if self.kind == "torchvision":
            models = needed("torchvision", self.title).models
            if self.name in models.list_models():
                best = next(iter(models.get_model_weights(self.name)), None)
                crop = getattr(best.transforms, "keywords", {}).get("crop_size") if best else None
                return whole((crop, crop, 3))
        self.made()  # where it cannot be, that is what is wrong, and not that no size was said
        return None

    def network(self, input_shape: Shape) -> Network:
        if self.path is not None:  # buffers may be constants of the network
            held = self.made().state_dict()
            for name, array in self.arrays().items():
                if name in held:
                    held[name].copy_(_tensor(array))
        return super().network(input_shape)

    def arrays(self) -> Mapping[str, Array]:
        if self.path is None:
            return super().arrays()
        if self.read is None:
            state = self.made().state_dict()
            arrays, notes = read_file(self.path)
            self.read, self.notes = _named_as(state, arrays, self.path, notes)
        return self.read

    def with_weights(self, path: Path) -> TorchModel:
        if path.suffix.lower() not in _ENDINGS:
            raise wrong_kind(path, self.title, _ENDINGS)
        return TorchModel(self.kind, self.name, trained=False, path=path)


def _array(tensor: Any) -> Array:
    """A tensor as NumPy has it; bfloat16 is widened, which loses nothing."""
    import torch

    try:
        tensor = tensor.detach().cpu()
        array: Array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    except (TypeError, NotImplementedError, RuntimeError):
        # PyTorch's own ways to say that NumPy has no such type, layout or device.
        kind = f"{tensor.dtype}, {tensor.layout}, on {tensor.device}"
        raise Refused(f"a tensor is of a kind that is not read: {kind}") from None
    return array


def read_file(path: Path) -> tuple[dict[str, Array], list[str]]:
    """The tensors of a file, and notes. A pickle may hold tensors and nothing that acts.

    Raises:
        Refused: it is no such file, or a damaged one.
    """
    if path.suffix.lower() == ".safetensors":
        return read_safetensors(path), []
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken file brings
        raise Refused(f"{path.name} {_fault(path, error)}") from None
    notes = []
    if isinstance(found, Mapping):
        states = [word for word in _WRAPPERS if _is_state(found.get(word))]
        if len(states) > 1:
            left = " and ".join(f"'{word}'" for word in states[1:])
            said = f"weights are those under '{states[0]}', not those under {left}"
            notes.append(f"{path.name}: {said}")
        found = found[states[0]] if states else found
    if not isinstance(found, Mapping):
        raise Refused(f"{path.name} holds no state_dict")
    tensors = {str(name): one for name, one in found.items() if isinstance(one, torch.Tensor)}
    return {name: _array(tensor) for name, tensor in tensors.items()}, notes


def _is_state(value: Any) -> bool:
    """Whether it may be a state_dict, and no settings of the same name."""
    import torch

    return isinstance(value, Mapping) and any(
        isinstance(one, torch.Tensor) for one in value.values()
    )


#: How files begin that PyTorch writes: archives, and pickles as it wrote before.
_ARCHIVE, _PICKLE = b"PK\x03\x04", b"\x80"
_INSTEAD = "save its state_dict() with torch.save instead"


def _fault(path: Path, error: Exception) -> str:
    """What is wrong with a file that PyTorch does not read, said by what lies in it.

    PyTorch's own reader takes whatever it is given for a pickle, and comes to grief anywhere.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_ARCHIVE))
    except OSError as unread:
        return f"cannot be read: {unread.strerror}"
    if not start:
        return "is empty"
    if not start.startswith((_ARCHIVE, _PICKLE)):
        return "is no file of PyTorch's weights"
    damaged = "is cut off or damaged, or no file of PyTorch's weights"
    if start == _ARCHIVE:
        if not zipfile.is_zipfile(path):
            return "is cut off: it begins as a file of PyTorch does, and has no end"
        with zipfile.ZipFile(path) as archive:
            ends = {PurePosixPath(name).name for name in archive.namelist()}
        if "constants.pkl" in ends:
            return f"is a program of TorchScript, not its weights; {_INSTEAD}"
        if "data.pkl" not in ends:
            return damaged
    if not isinstance(error, pickle.UnpicklingError):
        return damaged
    if "Unsupported operand" in str(error):
        return f"is pickled in a protocol that is not read without running what it says; {_INSTEAD}"
    return "holds more than tensors, and reading it could run what it says; " + _INSTEAD


def _tensor(array: Array) -> Any:
    import torch

    return torch.from_numpy(array.copy())


def unwrapped(names: Collection[str], arrays: dict[str, Array]) -> dict[str, Array]:
    """Arrays by the names of a model, without what wrappers have put before them."""
    for prefix in _PREFIXES:
        wrapped = all(name.startswith(prefix) for name in arrays)
        if wrapped and not all(name in names for name in arrays):
            arrays = {name.removeprefix(prefix): array for name, array in arrays.items()}
    return arrays


def _named_as(
    state: Mapping[str, Any], arrays: dict[str, Array], path: Path, notes: Sequence[str]
) -> tuple[dict[str, Array], list[str]]:
    """Arrays by the names of a model, and notes, those of the file first.

    Raises:
        Refused: the file has not all of the model's weights, or some of another shape or kind.
    """
    arrays = unwrapped(state, arrays)
    counted = {name for name in state if name.endswith("num_batches_tracked")}
    missing = sorted(state.keys() - arrays.keys() - counted)
    wrong = [
        name
        for name, tensor in state.items()
        if name in arrays and tuple(tensor.shape) != arrays[name].shape
    ]
    turned = [
        name
        for name, tensor in state.items()
        if name in arrays and arrays[name].dtype.kind == "c" and not tensor.is_complex()
    ]
    surplus = sorted(arrays.keys() - state.keys())
    lines = [
        f"{path.name}: {len(names)} {what}: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
        for what, names in (
            ("weights of the model are not in it", missing),
            ("are of another shape than the model's", wrong),
            ("are complex numbers, which the model's are not", turned),
            ("are not the model's", surplus),
        )
        if names
    ]
    if missing or wrong or turned:
        raise Refused(*lines, *notes)
    return arrays, [*notes, *lines]
