"""Somebody's module, of which a copy is read and run, so that theirs stays as it is."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from xgraph.importing.network import Refused

_INSTEAD = (
    "a copy of the module is read and run, so that yours stays as it is: "
    "make what cannot be copied where it is used, or give its class a __deepcopy__"
)


class _OfResults(TorchFunctionMode):
    """Copies of tensors that operations have made too, such as what a module keeps of a call."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.Tensor.__deepcopy__ or args[0].is_leaf:
            return func(*args, **(kwargs or {}))
        tensor, known = args
        if id(tensor) not in known:
            made = tensor.detach().clone()
            known[id(tensor)] = made.requires_grad_(tensor.requires_grad)
        return known[id(tensor)]


def copied(module: nn.Module) -> nn.Module:
    """A copy with what people hang on parameters: hooks, and words of their own.

    Raises:
        Refused: something of it cannot be copied.
    """
    try:
        with _OfResults():
            made = copy.deepcopy(module)
    except Exception as error:  # whatever an object brings that is not to be copied
        raise _uncopied(module, error) from None
    for one, other in zip(module.parameters(), made.parameters(), strict=True):
        vars(other).update(vars(one))
        for hook in (one._backward_hooks or {}).values():
            other.register_hook(hook)  # type: ignore[no-untyped-call]  # PyTorch has no type
        for hook in (getattr(one, "_post_accumulate_grad_hooks", None) or {}).values():
            other.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]  # nor here
    return made


def _uncopied(module: nn.Module, error: Exception) -> Refused:
    """That a module cannot be copied, with the attribute that is why, if one is."""
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if name == "_modules":
                continue
            try:
                with _OfResults():
                    copy.deepcopy(value)
            except Exception as reason:  # the same, of this alone
                place = f"{path}.{name}" if path else name
                said = f"{type(reason).__name__}: {str(reason).partition(chr(10))[0]}"
                return Refused(f"{place} cannot be copied: {said}; {_INSTEAD}")
    said = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return Refused(f"{type(module).__name__} cannot be copied: {said}; {_INSTEAD}")


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever is drawn meanwhile, what is drawn later is as it would have been."""
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        random.setstate(before[1])
        np.random.set_state(before[2])
