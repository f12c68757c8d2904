"""An installed wheel works from any directory, like the editable checkout."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command, cwd, **environment):
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds nothing but what the wheel installs."""
    build = tmp_path_factory.mktemp("build")
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    # A copy: building in the checkout leaves a build/ folder whose stale files get into wheels.
    copy = build / "source"
    tracked = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines()
    for name in tracked:
        if (ROOT / name).is_file() and not name.startswith(("generated/", "tests/")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    run(
        *pip,
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(build),
        str(copy),
        cwd=build,
    )
    (wheel,) = build.glob("*.whl")
    run(*pip, "install", "-q", "--no-deps", "--target", str(target), str(wheel), cwd=build)
    return target


def test_the_wheel_works_from_any_directory(installed, tmp_path):
    where = run(
        sys.executable, "-c", "import xgraph, xgraph_specs, xgraph_backends.pytorch as p;"
        "print(xgraph.__file__, xgraph_specs.__file__, p.__file__)",
        cwd=tmp_path, PYTHONPATH=str(installed),
    )  # fmt: skip
    assert all(path.startswith(str(installed)) for path in where.split())
    for arguments in (
        ["summary", "xception", "--json"],
        ["summary", "xception_no_residual", "--json"],
        ["list", "--json"],
    ):
        out = run(
            sys.executable, "-m", "xgraph", *arguments, cwd=tmp_path, PYTHONPATH=str(installed)
        )
        assert json.loads(out)
    run(sys.executable, "-m", "xgraph", "explain", "XG206", cwd=tmp_path, PYTHONPATH=str(installed))
    run(
        sys.executable,
        "-m",
        "xgraph",
        "compile",
        "xception",
        cwd=tmp_path,
        PYTHONPATH=str(installed),
    )
    made = tmp_path / "generated" / "xception" / "torch"
    golden = ROOT / "generated" / "xception" / "torch"
    for name in ("model.py", "layers.py", "weights.py", "data.py", "train.py", "xgraph.json"):
        assert (made / name).read_bytes() == (golden / name).read_bytes()


def test_the_editable_checkout_works_from_any_directory(tmp_path):
    out = run(sys.executable, "-m", "xgraph", "summary", "xception", "--json", cwd=tmp_path)
    assert json.loads(out)["totals"]["parameters"] == 22_910_480


def test_the_wheel_holds_every_file(installed):
    for name in run(
        "git", "ls-files", "-co", "--exclude-standard", "xgraph", cwd=ROOT
    ).splitlines():
        if (ROOT / name).is_file():
            assert (installed / name).is_file(), name
    for folder, package in (("backends", "xgraph_backends"), ("specs", "xgraph_specs")):
        for name in run(
            "git", "ls-files", "-co", "--exclude-standard", folder, cwd=ROOT
        ).splitlines():
            if (ROOT / name).is_file():
                assert (installed / package / Path(name).relative_to(folder)).is_file(), name


def test_every_package_is_listed():
    listed = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )
    roots = {"xgraph": "xgraph", "backends": "xgraph_backends", "specs": "xgraph_specs"}
    found = set()
    for folder, package in roots.items():
        for path in (ROOT / folder).rglob("__init__.py"):
            parts = path.parent.relative_to(ROOT / folder).parts
            found.add(".".join([package, *parts]))
    assert listed == found
