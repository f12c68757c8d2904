"""Writing a program: atomic, and never over somebody's edits."""

import json
import os
import stat

import pytest

from xgraph.emit import files

ORIGIN = {"spec": "s", "backend": "torch"}
PROGRAM = {"model.py": "a = 1\n", "train.py": "b = 2\n"}


def written(folder):
    return {p.name: p.read_text() for p in folder.iterdir()}


def test_a_new_folder_appears_whole(tmp_path):
    folder = tmp_path / "deep" / "er" / "out"
    state = files.write(folder, PROGRAM, ORIGIN)
    assert sorted(state.new) == ["model.py", "train.py", "xgraph.json"]
    assert written(folder) == {**PROGRAM, "xgraph.json": files.manifest_text(PROGRAM, ORIGIN)}
    assert [p.name for p in folder.parent.iterdir()] == ["out"]


def test_the_folder_is_readable_by_others(tmp_path):
    folder = tmp_path / "out"
    old = os.umask(0o022)
    try:
        files.write(folder, PROGRAM, ORIGIN)
    finally:
        os.umask(old)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "model.py").stat().st_mode) == 0o644


def test_current_files_are_left_alone(tmp_path):
    files.write(tmp_path / "out", PROGRAM, ORIGIN)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}
    state = files.write(tmp_path / "out", PROGRAM, ORIGIN)
    assert state.is_current
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()} == before


def test_pristine_files_are_replaced_and_obsolete_ones_removed(tmp_path):
    folder = tmp_path / "out"
    files.write(folder, {**PROGRAM, "layers.py": "c = 3\n"}, ORIGIN)
    (folder / "notes.txt").write_text("mine")
    state = files.write(folder, {**PROGRAM, "model.py": "a = 2\n"}, ORIGIN)
    assert state.changed == ["model.py", "xgraph.json"]
    assert state.obsolete == ["layers.py"]
    assert not (folder / "layers.py").exists()
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("manifest", ["kept", "lost", "broken", "hostile"])
def test_an_edited_file_is_never_lost(tmp_path, manifest):
    folder = tmp_path / "out"
    files.write(folder, PROGRAM, ORIGIN)
    (folder / "model.py").write_text("a = 99\n")
    path = folder / "xgraph.json"
    if manifest == "lost":
        path.unlink()
    elif manifest == "broken":
        path.write_text("{")
    elif manifest == "hostile":
        path.write_text(json.dumps({"files": {"../victim": "0" * 64, "model.py": 3}}))
    (tmp_path / "victim").write_text("safe")
    before = written(folder)
    with pytest.raises(files.EditedError) as caught:
        files.write(folder, {**PROGRAM, "train.py": "new\n"}, ORIGIN)
    assert written(folder) == before
    assert "-a = 99" in caught.value.diff
    assert caught.value.diagnostics[0].code == "XG701"
    files.write(folder, PROGRAM, ORIGIN, force=True)
    assert (folder / "model.py").read_text() == "a = 1\n"
    assert (folder / "model.py.bak").read_text() == "a = 99\n"
    assert (tmp_path / "victim").read_text() == "safe"


def test_backups_do_not_overwrite_backups(tmp_path):
    folder = tmp_path / "out"
    files.write(folder, PROGRAM, ORIGIN)
    for text in ("one", "two"):
        (folder / "model.py").write_text(text)
        files.write(folder, PROGRAM, ORIGIN, force=True)
    assert (folder / "model.py.bak").read_text() == "one"
    assert (folder / "model.py.bak.2").read_text() == "two"


def test_a_failing_write_leaves_no_trace(tmp_path, monkeypatch):
    folder = tmp_path / "out"
    files.write(folder, PROGRAM, ORIGIN)
    before = written(folder)
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(files.SpecError) as caught:
        files.write(folder, {"model.py": "x\n"}, ORIGIN)
    assert caught.value.diagnostics[0].code == "XG705"
    assert written(folder) == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_file_in_the_way_is_a_located_error(tmp_path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(files.SpecError) as caught:
        files.write(tmp_path / "out" / "torch", PROGRAM, ORIGIN)
    assert caught.value.diagnostics[0].code == "XG705"
    assert (tmp_path / "out").read_text() == "in the way"
