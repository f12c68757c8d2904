"""`generated/` is what the compiler writes today, to the byte, wherever and however it runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.regenerate import BACKENDS, DIGESTS, FAMILIES, ROOT, SPECS, digests
from xgraph import backend
from xgraph.cli import main
from xgraph.compile import compile_spec


def extends(spec: Path) -> bool:
    return not spec.exists() or "\nextends: " in spec.read_text()


PAIRS = [(spec, name) for spec in SPECS for name in BACKENDS]


@pytest.mark.parametrize(("spec", "name"), PAIRS)
def test_committed_output_is_current(spec, name, capsys):
    folder = ROOT / "generated" / spec / name
    status = main(["compile", spec, "--backend", name, "-o", str(folder), "--check"])
    assert status == 0, capsys.readouterr().out + "run: python -m tests.golden.regenerate"


@pytest.mark.parametrize(("spec", "name"), PAIRS)
def test_every_committed_file_is_generated(spec, name):
    _, files = compile_spec(spec, backend.get(name))
    folder = ROOT / "generated" / spec / name
    found = {p.name for p in folder.iterdir() if p.suffix != ".pyc" and p.name != "__pycache__"}
    assert found == {*files, "xgraph.json"}


@pytest.mark.parametrize(
    "spec",
    [  # those that extend another one, or are a size of it, are written as that is
        pytest.param(spec, id=spec.stem, marks=[pytest.mark.slow] * extends(spec))
        for spec in FAMILIES
    ],
)
def test_models_of_families_are_what_they_were(spec):
    known = json.loads(DIGESTS.read_text(encoding="utf-8")).get(spec.stem, {})
    changed = [name for name, digest in digests(spec).items() if known.get(name) != digest]
    assert not changed, (
        f"model.py of {spec.stem} is another one in {', '.join(changed)}: compile it before and "
        "after, and read what changed; then run: python -m tests.golden.regenerate"
    )


def test_there_are_no_other_digests():
    known = json.loads(DIGESTS.read_text(encoding="utf-8"))
    assert list(known) == [spec.stem for spec in FAMILIES]


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_bytes_do_not_depend_on_where_when_or_hash_seed(hash_seed, tmp_path):
    place = tmp_path / f"some where {hash_seed}"
    place.mkdir()
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": "Asia/Tokyo"}
    command = [sys.executable, "-m", "xgraph", "compile", "xception", "-o", "out"]
    subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True)
    for path in sorted((ROOT / "generated" / "xception" / "torch").iterdir()):
        if path.is_file():
            assert (place / "out" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize(("spec", "name"), PAIRS)
def test_generated_code_is_clean(spec, name):
    """No unused import, no undefined name, no long line, no other lint an expert would mind."""
    folder = ROOT / "generated" / spec / name
    rules = "E,F,W,B,UP,SIM,C4,PIE,RET"
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache"]
    options = ["--line-length", "100", "--target-version", "py311", "--select", rules]
    done = subprocess.run([*command, *options, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_model_is_no_longer_than_the_hand_written_ones():
    """keras.applications has 355 and 442 lines, timm (legacy_xception) 410."""
    for spec, limit in (("xception", 355), ("inception_v3", 442)):
        text = (ROOT / "generated" / spec / "torch" / "model.py").read_text()
        assert text.count("\n") <= limit


def test_it_stands_alone():
    for path in (ROOT / "generated").rglob("*.py"):
        text = path.read_text()
        assert "import xgraph" not in text, path
        assert "from xgraph" not in text, path


def test_the_folder_holds_nothing_else():
    assert {p.name for p in (ROOT / "generated").iterdir() if p.is_dir()} == set(SPECS)
    assert all(Path(p).is_dir() for p in (ROOT / "generated").iterdir())
