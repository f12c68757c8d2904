"""Certificates: one that is true passes, and no part of it, or of what it is of, can be changed."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from xgraph.cli import main
from xgraph.compile import analyse
from xgraph.diagnostics import SpecError
from xgraph.interpreter import random_weights
from xgraph.parity import certificate
from xgraph.parity.certificate import Asked, NoCertificate
from xgraph.parity.report import Measurement, ParityReport

SPEC = """\
xgraph: 1
name: small
params: {width: 4}
recipe: imagenet
input: {shape: [6, 6, 3]}
graph: [{conv: {filters: $width, kernel: 3}}, batch_norm, relu, global_avg_pool, {dense: 5}]
"""
ASKED = Asked(settings=("width=3",), backends=("torch", "keras"), recipe=None, dtype="float64",
              device="cpu", steps=0, batch=2, size=None, seed=0, ties=False)  # fmt: skip
ROWS = (
    Measurement("the graph", "torch", "loss", 3e-16, "", 1e-12),
    Measurement("torch", "keras", "loss", 0.0, "", 1e-12),
    Measurement("torch", "keras", "gradients of weights", 4e-15, "conv.kernel", 3e-12),
    Measurement("torch", "keras", "weights after steps", 1e-3, "conv.kernel", None),
)
REPORT = ParityReport("small", "float64", "cpu", ("torch", "keras"), 2, (6, 6, 3), 0, None, ROWS)


@pytest.fixture
def given(tmp_path, monkeypatch):
    """(certificate, folder of programs, weights): all as it should be."""
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SPEC)
    told = ["compile", "small.yaml", "--set", "width=3", "-o", "programs", "--backend"]
    for name in ASKED.backends:
        assert main([*told, name, "-o", f"programs/{name}"]) == 0
    analysis = analyse("small.yaml", ASKED.settings)
    weights = random_weights(analysis.graph, analysis.types)
    save_file({k: np.ascontiguousarray(v) for k, v in weights.items()}, "w.safetensors")
    found = certificate.certificate("small.yaml", ASKED, REPORT, Path("w.safetensors"))
    return json.loads(json.dumps(found)), Path("programs"), Path("w.safetensors")


def problems(found, programs, weights, report=REPORT) -> list[str]:
    return [
        *certificate.against_files(found, "small.yaml", programs, weights),
        *certificate.against_report(found, report),
    ]


def test_it_is_true(given):
    found, _, weights = given
    assert problems(*given) == []
    assert problems(found, None, weights) == []
    Path("c.json").write_text(json.dumps(found))
    assert certificate.read(Path("c.json")) == found
    assert certificate.asked_of(found) == ASKED
    assert certificate.other_versions(found) == []


def sealed(found):
    """As who edits a certificate would make its seal anew."""
    rest = {key: value for key, value in found.items() if key != "seal"}
    return {**rest, "seal": certificate._seal(rest)}


def edit(path: Path) -> None:
    path.write_text(path.read_text() + "\n# edited\n")


#: What is done to what one has been given, and what is said of it.
TAMPERED = {
    "the spec": (lambda c: edit(Path("small.yaml")), "it is of another spec"),
    "the network": (
        lambda c: Path("small.yaml").write_text(SPEC.replace("relu", "elu")),
        "it is of another network",
    ),
    "the recipe": (
        lambda c: Path("small.yaml").write_text(SPEC.replace("imagenet", "imagenet_inception")),
        "it is of another recipe",
    ),
    "a setting": (lambda c: c["asked"].update(settings=["width=4"]), "it is of another network"),
    "a program": (lambda c: edit(Path("programs/keras/model.py")), "is not as it was compiled"),
    "a program that is gone": (lambda c: Path("programs/torch/data.py").unlink(), "is not there"),
    "code beside a program": (
        lambda c: Path("programs/torch/numpy.py").write_text("print()"),
        "numpy.py is not of the program",
    ),
    "a program more": (
        lambda c: c["programs"].update(flax={"model.py": "0" * 64}),
        "it tells of a program of flax",
    ),
    "the name": (lambda c: c.update(name="other"), "it is of another name"),
    "the digest of a program": (
        lambda c: c["programs"]["torch"].update({"model.py": "0" * 64}),
        "the torch program of this spec is another one: model.py",
    ),
    "a file more": (
        lambda c: c["programs"]["torch"].update({"more.py": "0" * 64}),
        "the torch program of this spec is another one: more.py",
    ),
    "the weights": (
        lambda c: save_file({"conv.kernel": np.zeros(3)}, "w.safetensors"),
        "it is of other weights than w.safetensors",
    ),
    "no weights": (lambda c: c.update(weights=None), "it says nothing of weights"),
    "a distance": (lambda c: c["measurements"][2].update(distance=1e-20), "apart, and should be"),
    "a distance beyond": (lambda c: c["measurements"][0].update(distance=1e-9), "beyond its limit"),
    "a limit": (lambda c: c["measurements"][0].update(limit=1e-3), "and should be 1.0e-12"),
    "no limit": (lambda c: c["measurements"][0].update(limit=None), "the limit of loss"),
    "a measurement less": (lambda c: c["measurements"].pop(1), "it says nothing of loss of torch"),
    "a measurement more": (
        lambda c: c["measurements"].append({**c["measurements"][0], "left": "flax"}),
        "it tells of loss of flax and torch, which was not compared",
    ),
    "that it does not agree": (lambda c: c.update(agree=False), "the programs do not agree"),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_tampered(what, given):
    found, programs, weights = given
    tamper, said = TAMPERED[what]
    before = copy.deepcopy(found)
    tamper(found)
    if found != before:
        assert "it was edited after it was written" in problems(found, programs, weights)
    assert any(said in line for line in problems(sealed(found), programs, weights))


def test_programs_that_do_not_agree_here(given):
    worse = dataclasses.replace(ROWS[0], distance=1e-6)
    report = dataclasses.replace(REPORT, measurements=(worse, *ROWS[1:]))
    assert any(line.startswith("the programs do not agree: ") for line in problems(*given, report))


def test_other_versions_are_told(given):
    found, programs, weights = given
    found["versions"]["torch"] = "1.0"
    assert problems(sealed(found), programs, weights) == []
    (note,) = certificate.other_versions(found)
    assert note.startswith("torch 1.0, here 2.")


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "null", '{"xgraph_certificate": 2}', '{"xgraph_certificate": 1}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_what_is_no_certificate(text, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(NoCertificate, match=r"c\.json"):
        certificate.read(path)


def test_keys_and_rows_that_hide_others(given):
    """And backends that are none, with which nothing would be checked."""
    found, *_ = given
    text = json.dumps(found)
    row = found["measurements"][0]
    for bad in (
        text.replace('"agree": true', '"agree": false, "agree": true'),
        json.dumps({**found, "certified_by": "me"}),
        json.dumps({**found, "measurements": [{**row, "distance": 0}, *found["measurements"]]}),
        json.dumps({**found, "asked": {**found["asked"], "backends": []}}),
        json.dumps({**found, "asked": {**found["asked"], "backends": ["torch", "torch"]}}),
        json.dumps({**found, "versions": {}}),
        json.dumps({**found, "measurements": [{**row, "distance": 10**400}]}),
    ):
        Path("c.json").write_text(bad)
        with pytest.raises(NoCertificate):
            certificate.read(Path("c.json"))


#: Values that are of no use anywhere, by where they are put.
@pytest.mark.parametrize("wrong", [None, 7, "x", [], {}, [[]], {"a": []}, float("nan"), True])
def test_nonsense_is_no_certificate_or_not_true(wrong, given):
    found, programs, weights = given
    for key in [*found, *(("asked", k) for k in found["asked"])]:
        bad = copy.deepcopy(found)
        if isinstance(key, tuple):
            bad[key[0]][key[1]] = wrong
        else:
            bad[key] = wrong
        if bad == found:
            continue
        Path("c.json").write_text(json.dumps(bad))
        try:
            read = certificate.read(Path("c.json"))
            assert problems(read, programs, weights), key
        except (NoCertificate, SpecError):  # no such recipe or backend, as of any command
            continue


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--steps", "0"], "--steps"),
        (["--dtype", "float32"], "--dtype"),
        (["--device", "cpu"], "--device"),
        (["--batch", "2", "--seed", "0"], "--batch, --seed"),
        (["--size", "8"], "--size"),
        (["--ties"], "--ties"),
        (["--set", "width=3"], "--set"),
        (["--backends", "torch,keras"], "--backends"),
        (["--recipe", "imagenet"], "--recipe"),
        (["--certificate", "d.json"], "--certificate"),
    ],
)
def test_what_a_certificate_says_itself_is_not_said_beside_it(more, named, given, capsys):
    """Not even as it is by default: it would be taken for what was checked."""
    found, *_ = given
    Path("c.json").write_text(json.dumps(found))
    assert main(["parity", "small.yaml", "--check-certificate", "c.json", *more]) == 1
    assert capsys.readouterr().err == (
        "xgraph: --check-certificate does again what the certificate tells of, all of which it "
        f"says itself: leave out {named}\n"
    )
    assert not Path("d.json").exists()


def test_command(tmp_path, monkeypatch, capsys):
    """With one backend and the graph, from comparing to checking."""
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SPEC)
    analysis = analyse("small.yaml")
    weights = random_weights(analysis.graph, analysis.types, seed=3)
    save_file({k: np.ascontiguousarray(v) for k, v in weights.items()}, "w.safetensors")
    told = ["parity", "small.yaml", "--backends", "torch", "--weights", "w.safetensors"]
    assert main([*told, "--certificate", "c.json"]) == 0
    check = ["parity", "small.yaml", "--check-certificate", "c.json", "--weights", "w.safetensors"]
    capsys.readouterr()
    assert main(check) == 0
    assert "measurements made again, all is as it says" in capsys.readouterr().out
    save_file({k: v + 1 for k, v in load_file("w.safetensors").items()}, "w.safetensors")
    assert main([*check, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["errors"] == ["it is of other weights than w.safetensors"]
    save_file({"conv.kernel": np.zeros(3)}, "w.safetensors")
    assert main(told) == 1
    assert "weights do not fit the spec" in capsys.readouterr().err
    assert main([*check[:-1], "none.safetensors"]) == 1
    assert "there is no file none.safetensors" in capsys.readouterr().err
