"""The checks that a contributor runs by hand, so that none is forgotten."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]],
    ids=["lint", "format", "types"],
)
def test_clean(command):
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_on_disk_is_current():
    import json

    from xgraph.spec.schema import schema

    assert json.loads((ROOT / "xgraph/spec/schema.json").read_text()) == schema()


def test_the_schema_accepts_every_spec_and_rejects_a_typo():
    import jsonschema

    from xgraph.spec import library, loading
    from xgraph.spec.schema import schema

    validator = jsonschema.Draft202012Validator(schema())
    validator.check_schema(schema())
    for path in library.spec_files():
        plain = loading.load(loading.read(path, path.name)).plain()
        assert not [error.message for error in validator.iter_errors(plain)], path
        assert path.read_text().startswith("# yaml-language-server: $schema="), path
    good = {
        "xgraph": 1,
        "name": "a",
        "input": {"shape": [8, 8, 3]},
        "graph": [{"conv": {"filters": 3}}],
    }
    assert validator.is_valid(good)
    assert not validator.is_valid({**good, "grahp": []})
    assert not validator.is_valid({**good, "graph": [{"conv": {"filter": 3}}]})
    assert not validator.is_valid({**good, "graph": [{"conv": {"filters": 0}}]})
    assert validator.is_valid({**good, "graph": [{"conv": {"filters": "$n * 2"}}]})


def test_nothing_names_a_registry_or_a_machine_path():
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    ).stdout.splitlines()
    words = ("pypi" + ".org", "download." + "pytorch", "/wo" + "rk/", "/ro" + "ot/")
    for name in tracked:
        path = ROOT / name
        if path.is_file() and path.suffix in {".py", ".md", ".toml", ".yaml", ".txt", ".jinja", ""}:
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not [word for word in words if word in text], name
