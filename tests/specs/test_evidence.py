"""What is said of published networks: of which specs, and that tests compare them."""

from __future__ import annotations

import pytest

from xgraph.report.listing import specs_json, specs_text
from xgraph.spec import library

from ..parity.test_keras_applications import FAMILIES, TORCH_FAMILIES

SPECS = {path.stem: path for path in library.all_specs()}
EVIDENCE = {name: found for name, path in SPECS.items() if (found := library.evidence(path))}
#: Compared by tests of their own.
OTHERS = {"xception", "inception_v3", "inception_v3_torchvision"}


def test_every_spec_of_a_family_is_a_published_network():
    families = {name for name, path in SPECS.items() if path.parent.name == "families"}
    assert families <= EVIDENCE.keys()
    assert library._evidence().keys() == EVIDENCE.keys()


@pytest.mark.parametrize("name", EVIDENCE)
def test_what_is_said_is_tested(name):
    """A distance is that of a test with this model; without one, none is told."""
    reference, distance = EVIDENCE[name]["reference"], EVIDENCE[name]["float64"]
    library_of, _, model = reference.rpartition("." if reference.startswith("keras") else "'s ")
    if name in FAMILIES:
        assert (library_of, model) == ("keras.applications", FAMILIES[name][0])
    elif name in TORCH_FAMILIES:
        assert (library_of, model) == TORCH_FAMILIES[name][:2]
    assert (distance is not None) == (name in {*FAMILIES, *TORCH_FAMILIES, *OTHERS})
    assert distance is None or 0 <= distance < 1e-14


def test_specs_of_others_are_nothing_published(tmp_path, monkeypatch):
    """Not even one by the name of a bundled one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "xception.yaml").write_text(
        "xgraph: 1\nname: xception\ninput: {shape: [4, 4, 3]}\ngraph: [global_avg_pool]\n"
    )
    (listed,), problems = specs_json(tmp_path)
    assert not problems
    assert listed["evidence"] is None
    assert "keras" not in specs_text([listed])
