"""Files of PyTorch's weights: what is taken, what is written, and what is wrong with one."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from xgraph.cli import main

SPEC = """\
xgraph: 1
name: s
input: {shape: [6, 6, 4]}
graph: [{conv: {filters: 4, kernel: 1}, name: c}, global_avg_pool, {dense: 3, name: head}]
"""
MODULE = """\
import torch
from torch import nn


class Net(nn.Module):
    _version = 2

    def __init__(self):
        super().__init__()
        self.c, self.head = nn.Conv2d(4, 4, 1), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.c(x).mean((2, 3)))

    def _load_from_state_dict(self, state, prefix, metadata, *others):
        if metadata.get("version") != 2:
            raise ValueError("of another version")
        super()._load_from_state_dict(state, prefix, metadata, *others)


def build():
    torch.manual_seed(0)
    return Net()
"""
MODEL = ["--model", "torch:versioned_net:build"]


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """The weights of a model, whose spec and module lie in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("s.yaml").write_text(SPEC)
    Path("versioned_net.py").write_text(MODULE)
    import versioned_net

    return versioned_net.build().state_dict()


def refused(path: str, capsys) -> str:
    assert main(["weights", "import", "s.yaml", path, *MODEL]) == 1
    assert not Path("s.safetensors").exists()
    return capsys.readouterr().err


def test_what_is_written_says_of_what_version_it_is(state):
    """Modules read files of other versions otherwise, or refuse them."""
    import versioned_net

    assert main(["weights", "import", "s.yaml", MODEL[1]]) == 0
    assert main(["weights", "export", "s.yaml", "s.safetensors", *MODEL, "-o", "back.pth"]) == 0
    back = torch.load("back.pth", weights_only=True)
    versioned_net.build().load_state_dict(back)
    assert list(back) == list(state)
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())


def test_which_of_two_states_is_taken_is_told(state, capsys):
    other = {name: tensor * 0 for name, tensor in state.items()}
    torch.save({"model": other, "ema": other, "epoch": 3, "state_dict": state}, "both.pth")
    assert main(["weights", "import", "s.yaml", "both.pth", *MODEL]) == 0
    said = "note: both.pth: weights are those under 'state_dict', not those under 'model' and 'ema'"
    assert said in capsys.readouterr().out
    np.testing.assert_array_equal(load_file("s.safetensors")["head.bias"], state["head.bias"])
    Path("s.safetensors").unlink()
    torch.save({"state_dict": {"k": torch.ones(2)}, "model": state}, "both.pth")
    err = refused("both.pth", capsys)
    assert "weights of the model are not in it" in err
    assert "not those under 'model'" in err


def test_settings_that_are_called_model_are_no_weights(state, capsys):
    torch.save({"model": {"depth": 3}, "ema": state}, "w.pth")
    assert main(["weights", "import", "s.yaml", "w.pth", *MODEL]) == 0
    assert "note" not in capsys.readouterr().out


def test_damaged_files(state, capsys):
    torch.save(state, "good.pth")
    torch.save(state, "old.pth", _use_new_zipfile_serialization=False)
    torch.save(state, "four.pth", pickle_protocol=4)
    torch.save(torch.nn.Linear(2, 2), "module.pth")
    torch.jit.script(torch.nn.Linear(2, 2)).save("script.pth")
    np.savez("arrays.npz", a=np.ones(3))
    shutil.copy("arrays.npz", "arrays.pth")
    for name in ("good", "old"):
        whole = Path(f"{name}.pth").read_bytes()
        Path(f"{name}_cut.pth").write_bytes(whole[: len(whole) // 2])
    Path("empty.pth").write_bytes(b"")
    Path("text.pth").write_text("hello\nworld\n")
    Path("page.pth").write_text("<html>not found</html>")
    for name, words in {
        "good_cut": "is cut off: it begins as a file of PyTorch does, and has no end",
        "old_cut": "is cut off or damaged, or no file of PyTorch's weights",
        "arrays": "is cut off or damaged, or no file of PyTorch's weights",
        "empty": "is empty",
        "text": "is no file of PyTorch's weights",
        "page": "is no file of PyTorch's weights",
        "four": "is pickled in a protocol that is not read without running what it says; save its "
        "state_dict() with torch.save instead",
        "module": "holds more than tensors, and reading it could run what it says; save its "
        "state_dict() with torch.save instead",
        "script": "is a program of TorchScript, not its weights; save its state_dict() with "
        "torch.save instead",
    }.items():
        assert refused(f"{name}.pth", capsys) == f"xgraph: {name}.pth {words}\n"


def test_kinds_of_numbers(state, capsys):
    torch.save({**state, "head.weight": state["head.weight"] * 1j}, "complex.pth")
    assert refused("complex.pth", capsys) == (
        "xgraph: complex.pth: 1 are complex numbers, which the model's are not: head.weight\n"
    )
    torch.save({**state, "head.bias": state["head.bias"].to_sparse()}, "sparse.pth")
    assert "torch.sparse_coo" in refused("sparse.pth", capsys)


def test_warnings_of_libraries_are_not_shown(state, capsys):
    """They name lines of ours."""
    torch.save(state, "four.pth", pickle_protocol=4)
    torch.save({**state, "head.bias": state["head.bias"] * 1j}, "complex.pth")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for name in ("four.pth", "complex.pth"):
            refused(name, capsys)
    assert not seen
