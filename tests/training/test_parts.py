"""Every part of a recipe, in every framework, against its NumPy reference: 50 updates in float64.

`pytest -rP` shows how far apart they were.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests import tiny
from xgraph import backend, conformance
from xgraph.conformance import Mismatch
from xgraph.recipe import part as parts
from xgraph.recipe.averages.ema import Ema
from xgraph.recipe.clips.value import Value
from xgraph.recipe.optimizers.base import Optimizer
from xgraph.recipe.optimizers.sgd import Sgd
from xgraph.recipe.recipe import PRECISIONS
from xgraph.recipe.schedules.base import Schedule
from xgraph.recipe.tunings.tune import Tune

from ..turns import by_turns, first_of_each
from .programs import FRAMEWORKS, PLAIN, changed, read

CASES = conformance.part_cases()
PARTS = [(section, name) for section in parts.KINDS for name in parts.names(section)]
SPELLED = {
    "torch": "xgraph_backends.pytorch.training.spelling",
    "keras": "xgraph_backends.keras3.training.spelling",
    "flax": "xgraph_backends.flax_nnx.training.spelling",
}


@pytest.fixture(autouse=True, scope="module")
def _tiny_networks() -> Iterator[None]:
    with tiny.networks():
        yield


@pytest.mark.parametrize(
    ("section", "name", "settings", "framework"),
    by_turns(CASES, whole=first_of_each(case[:2] for case in CASES), every=4),
)
def test_a_part(section: str, name: str, settings: str, framework: str, tmp_path: Path) -> None:
    """The first case of a part in all frameworks, others in PyTorch, each fourth in one more."""
    recipe = conformance.recipe_of(section, name, settings)
    worst = conformance.check_part(recipe, backend.get(framework), tmp_path)
    print(f"{framework}, {name} {settings}: {worst:.1e}")


@pytest.mark.parametrize(("section", "name"), PARTS, ids=str)
def test_every_part_is_whole(section: str, name: str) -> None:
    """Cases that bind, a formula, a few words, what settings are, and a reference of its own."""
    part = parts.get(section, name)
    assert [case for case in CASES if case[:2] == (section, name)], "it has no cases"
    assert inspect.getdoc(part), "it has no formula"
    for field in dataclasses.fields(part):
        assert field.metadata["doc"], f"nobody says what {field.name} is"
    for _, _, settings in (case for case in CASES if case[:2] == (section, name)):
        assert getattr(conformance.recipe_of(section, name, settings), section).said
    own = {word for cls in part.mro() if cls.__name__ not in _BASES for word in vars(cls)}
    assert own & _REFERENCES[section], "it has no reference"


#: Classes of `base.py`, whose own references stand for "nothing" or are not written.
_BASES = {"Part", "Optimizer", "Schedule", "Regularization", "Clip", "Loss", "object"}
#: What of a part is a reference, by section.
_REFERENCES = {
    "optimizer": {"step"},
    "schedule": {"factor"},
    "regularization": {"added", "decayed"},
    "clip": {"reference"},
    "ema": {"reference"},
    "tune": {"factor"},
    "devices": {"reference"},
    "asynchronous": {"reference"},
    "loss": {"reference"},
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(("section", "name"), PARTS, ids=str)
def test_every_backend_spells_every_part(section: str, name: str, framework: str) -> None:
    spellings = importlib.import_module(SPELLED[framework]).SPELLINGS
    part = parts.get(section, name)
    if issubclass(part, Schedule):  # a formula that is the same in all
        assert part not in spellings.parts
        return
    assert part in spellings.parts
    for _, _, settings in (case for case in CASES if case[:2] == (section, name)):
        bound = getattr(conformance.recipe_of(section, name, settings), section)
        made = spellings.of(bound)
        text = "\n".join(line for lines in made.places.values() for line in lines)
        own = set(bound.constants) - {"BETA1", "BETA2"}
        assert not own or any(word in text for word in own) or made.definitions


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_backend_spells_every_precision(precision: str, framework: str) -> None:
    """By its own type, and with a factor of the loss where small gradients would vanish."""
    made = importlib.import_module(SPELLED[framework]).SPELLINGS.precisions[precision]
    text = "\n".join(line for lines in made.places.values() for line in lines)
    assert set(re.findall(r"b?float\d+", text)) | {"float32"} == {precision, "float32"}
    assert ("scal" in text) == (precision == "float16")


def test_a_part_without_cases_or_reference_fails() -> None:
    @dataclasses.dataclass(frozen=True)
    class Bare(Optimizer):
        name: ClassVar[str] = "bare"

    with pytest.raises(NotImplementedError):
        list(Bare.cases())
    with pytest.raises(NotImplementedError):
        Bare().step(*[None] * 6)
    with pytest.raises(NotImplementedError):
        _ = Bare().memories


WRONG = {
    "another momentum": (Sgd(0.9), "optimizer", Sgd(0.9 + 1e-6)),
    "no Nesterov": (Sgd(0.9, True), "optimizer", Sgd(0.9)),
    "another average": (Ema(0.9), "ema", Ema(0.9, warmup=False)),
    "another clip": (Value(0.02), "clip", Value(0.021)),
    "another rate": (Tune(None, (("hidden", 0.1),)), "tune", Tune(None, (("hidden", 0.101),))),
    "no frozen statistics": (Tune(("norm",)), "tune", None),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_spelling_is_noticed(fault: str, tmp_path: Path, monkeypatch) -> None:
    """A backend that says another part than it was given."""
    right, section, wrong = WRONG[fault]
    plain = conformance.recipe_of("optimizer", "sgd", "{}")
    recipe = dataclasses.replace(plain, **{section: right})
    torch = backend.get("torch")

    def emit(compilation):
        other = dataclasses.replace(compilation.recipe, **{section: wrong})
        return torch.emit(dataclasses.replace(compilation, recipe=other))

    with pytest.raises(Mismatch, match="after update"):
        conformance.check_part(recipe, dataclasses.replace(torch, emit=emit), tmp_path)


TOGETHER = {
    "clip, L2, momentum, average": {
        "optimizer": {"sgd": {"momentum": 0.9, "nesterov": True}},
        "schedule": {"cosine": {"initial": 0.2, "warmup": {"steps": 7}}},
        "regularization": {"l2": 0.1},
        "clip": {"norm": 0.05},
        "ema": {"decay": 0.9},
    },
    "clip, decay, Adam, average": {
        "optimizer": {"adam": {"beta1": 0.5}},
        "schedule": {"exponential": {"initial": 0.1, "rate": 0.5, "every": {"steps": 9}}},
        "regularization": {"decoupled": 0.3},
        "clip": {"value": 0.02},
        "ema": {"decay": 0.9, "warmup": False},
        "loss": {"softmax_cross_entropy": 0.1},
    },
    "clip, L2, RMSprop": {
        "optimizer": {"rmsprop": {"momentum": 0.9, "epsilon": 1.0, "initial": 1.0}},
        "schedule": {"polynomial": {"initial": 0.1, "power": 0.9}},
        "regularization": {"l2": 0.1},
        "clip": {"norm": 0.05},
    },
    "frozen batch norm, rates, clip, L2, momentum, average": {
        "optimizer": {"sgd": {"momentum": 0.9, "nesterov": True}},
        "schedule": {"exponential": {"initial": 0.2, "rate": 0.5, "every": {"steps": 9}}},
        "regularization": {"l2": 0.1},
        "clip": {"norm": 0.05},
        "ema": {"decay": 0.9},
        "tune": {"freeze": ["norm"], "rates": {"hidden": 0.1, "logits": 2}},
    },
    "frozen layer, clip, L2, momentum, average": {
        "optimizer": {"sgd": {"momentum": 0.9}},
        "regularization": {"l2": 0.1},
        "clip": {"norm": 0.05},
        "ema": {"decay": 0.9},
        "tune": {"freeze": ["hidden"], "rates": {"logits": 0.5}},
    },
    "rates, decay, RMSprop": {
        "optimizer": {"rmsprop": {"momentum": 0.9, "epsilon": 1.0, "initial": 1.0}},
        "schedule": {"exponential": {"initial": 0.1, "rate": 0.5, "every": {"steps": 9}}},
        "regularization": {"decoupled": 0.3},
        "tune": {"rates": {"hidden": 0.1}},
    },
    "frozen, rates, AdamW, average": {
        "optimizer": {"adamw": {"weight_decay": 0.3, "epsilon": 0.1}},
        "ema": {"decay": 0.9},
        "tune": {"freeze": ["norm"], "rates": {"logits": 0.1}},
    },
    "accumulation, clip, L2, momentum, average": {
        "accumulation": 4,
        "optimizer": {"sgd": {"momentum": 0.9, "nesterov": True}},
        "schedule": {"exponential": {"initial": 0.2, "rate": 0.5, "every": {"steps": 9}}},
        "regularization": {"l2": 0.1},
        "clip": {"norm": 0.05},
        "ema": {"decay": 0.9},
    },
    "accumulation, frozen batch norm, rates, class weights, AdamW, average": {
        "accumulation": 2,
        "optimizer": {"adamw": {"weight_decay": 0.3, "epsilon": 0.1}},
        "schedule": {"cosine": {"initial": 0.2, "warmup": {"steps": 7}}},
        "ema": {"decay": 0.9, "warmup": False},
        "tune": {"freeze": ["norm"], "rates": {"logits": 0.1}},
        "loss": {"softmax_cross_entropy": {"class_weights": [0.5, 1, 2, 3]}},
    },
    "frozen layer, decay, RMSprop": {
        "optimizer": "rmsprop",
        "regularization": {"decoupled": 0.3},
        "tune": {"freeze": ["hidden", "norm"]},
    },
}


@pytest.mark.parametrize(("which", "framework"), by_turns(TOGETHER, every=2))
def test_parts_together(which: str, framework: str, tmp_path: Path) -> None:
    """In the order in which the reference lets them act, which matters for what they leave."""
    recipe = read(changed(PLAIN, **TOGETHER[which]))
    conformance.check_part(recipe, backend.get(framework), tmp_path)
