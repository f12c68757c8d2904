"""Generated models under `torch.fx` and `torch.export`, at sizes and batches not traced with."""

from __future__ import annotations

import pytest
import torch

from .models import SMALL, Traced, bundled, texts, traced, values

TEXTS = texts()
#: Exporting takes a second each, and half a minute where many sizes follow from one another.
EXPORTED = [
    pytest.param(
        name,
        marks=[pytest.mark.slow] if number % 24 or name == "transposed_by_parameters" else [],
    )
    for number, name in enumerate(TEXTS)
]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check_fx(given: Traced) -> None:
    """A symbolic trace, in both modes, computes what the model does, to the bit."""
    blocks = {type(module) for module in given.model.modules()}
    blocks = {block for block in blocks if not block.__module__.startswith("torch.nn")}
    for training in (False, True):
        given.model.train(training)
        before = {name: value.clone() for name, value in given.model.state_dict().items()}
        trace = torch.fx.symbolic_trace(given.model)
        leaves = {type(trace.get_submodule(node.target)) for node in trace.graph.nodes
                  if node.op == "call_module"}  # fmt: skip
        assert not leaves & blocks, "a block is a leaf"
        for images in (given.example, *given.others):
            given.model.load_state_dict(before)
            expected = [*values(given.model(images)), *given.model.state_dict().values()]
            expected = [value.detach().clone() for value in expected]
            given.model.load_state_dict(before)
            received = [*values(trace(images)), *given.model.state_dict().values()]
            assert all(map(torch.equal, expected, received)), (training, images.shape)
    given.model.eval()


def check_export(given: Traced) -> None:
    """An exported program, of any batch and size, computes what the model does."""
    program = torch.export.export(given.model, (given.example,), dynamic_shapes=given.shapes())
    module = program.module()
    for images in (given.example, *given.others):
        for expected, received in zip(
            values(given.model(images)), values(module(images)), strict=True
        ):
            limit = 1e-12 * (1 + float(expected.detach().abs().max()))
            assert float((expected - received).detach().abs().max()) <= limit, images.shape


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if number % 6 else [])
        for number, name in enumerate(TEXTS)
    ],
)
def test_fx(name):
    check_fx(traced(name, TEXTS[name]))


@pytest.mark.parametrize("name", EXPORTED)
def test_export(name):
    check_export(traced(name, TEXTS[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled())
def test_bundled(name):
    given = traced(name, bundled()[name], SMALL)
    check_fx(given)
    check_export(given)
