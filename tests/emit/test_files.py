"""Writing a program: atomic, and never over somebody's edits."""

import json
import os
import random
import signal
import stat
import subprocess
import sys
import time

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


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_name_that_no_folder_can_have(tmp_path, name):
    programs = [files.Program(tmp_path / "out", PROGRAM, ORIGIN)]
    programs.append(files.Program(tmp_path / name, PROGRAM, ORIGIN))
    for refused in (files.write_all, files.compare_all):
        with pytest.raises(files.SpecError) as caught:
            refused(programs)
        assert caught.value.diagnostics[0].code == "XG705"
    assert not list(tmp_path.iterdir())


def test_a_problem_of_one_program_leaves_all_as_they_were(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    files.write(other, PROGRAM, ORIGIN)
    (other / "model.py").write_text("mine")
    before = written(other)
    programs = [files.Program(one, PROGRAM, ORIGIN), files.Program(other, PROGRAM, ORIGIN)]
    with pytest.raises(files.EditedError):
        files.write_all(programs)
    assert not one.exists()
    assert written(other) == before
    (other / "model.py").unlink()
    (other / "model.py").mkdir()
    for force in (False, True):
        with pytest.raises(files.SpecError) as caught:
            files.write_all(programs, force=force)
        assert caught.value.diagnostics[0].code == "XG705"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other"]
    assert sorted(p.name for p in other.iterdir()) == ["model.py", "train.py", "xgraph.json"]


@pytest.mark.parametrize("fails", range(1, 7))
def test_a_full_disk_at_any_file_leaves_all_as_they_were(tmp_path, monkeypatch, fails):
    old, new = tmp_path / "old", tmp_path / "deep" / "new"
    files.write(old, PROGRAM, ORIGIN)
    before = written(old)
    calls = iter(range(1, 100))

    def fsync(_):
        if next(calls) == fails:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    changed = {"model.py": "a = 3\n", "train.py": "b = 3\n"}
    with pytest.raises(files.SpecError):
        files.write_all([files.Program(old, changed, ORIGIN), files.Program(new, changed, ORIGIN)])
    assert written(old) == before
    assert [p.name for p in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("refused", range(1, 10))
def test_a_move_that_is_refused_is_taken_back_with_all_before_it(tmp_path, monkeypatch, refused):
    """Programs in folders of all kinds: with an edited file and one that goes, and a new one."""
    one, new, other = tmp_path / "one", tmp_path / "deep" / "new", tmp_path / "other"
    files.write(one, {**PROGRAM, "layers.py": "c = 3\n"}, ORIGIN)
    files.write(other, PROGRAM, ORIGIN)
    (one / "model.py").write_text("mine")
    (one / "train.py").unlink()
    before = written(one), written(other)
    changed = {"model.py": "a = 3\n", "train.py": "b = 3\n"}
    programs = [files.Program(folder, changed, ORIGIN) for folder in (one, new, other)]
    moves = iter(range(1, 100))

    def refusing(move):
        def moved(*paths, **options):
            if next(moves) == refused:
                raise OSError(13, "Permission denied")
            return move(*paths, **options)

        return moved

    with monkeypatch.context() as patch:
        for owner, name in ((os, "replace"), (os, "rename"), (files.Path, "unlink")):
            patch.setattr(owner, name, refusing(getattr(owner, name)))
        with pytest.raises(files.SpecError) as caught:
            files.write_all(programs, force=True)
    assert caught.value.diagnostics[0].code == "XG705"
    assert (written(one), written(other)) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "other"]
    files.write_all(programs, force=True)
    assert all(written(folder)["train.py"] == "b = 3\n" for folder in (one, new, other))


@pytest.mark.parametrize("text", ["{}", "[1]", '{"name": "theirs"}', '{"files": {}}', "not JSON"])
def test_somebody_elses_manifest_is_not_overwritten(tmp_path, text):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "xgraph.json").write_text(text)
    with pytest.raises(files.EditedError) as caught:
        files.write(folder, PROGRAM, ORIGIN)
    assert "xgraph.json" in str(caught.value)
    assert written(folder) == {"xgraph.json": text}
    files.write(folder, PROGRAM, ORIGIN, force=True)
    assert (folder / "xgraph.json.bak").read_text() == text


def test_an_edited_file_cannot_drive_the_terminal(tmp_path):
    folder = tmp_path / "out"
    files.write(folder, PROGRAM, ORIGIN)
    (folder / "model.py").write_text("\ta = 1 \x1b[2J\x1b]0;title\x07 \u202e\n" + "x" * 10_000)
    with pytest.raises(files.EditedError) as caught:
        files.write(folder, PROGRAM, ORIGIN)
    shown = str(caught.value) + caught.value.diff
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    assert "-\ta = 1 " in shown
    assert max(map(len, shown.splitlines())) <= 200


# -- folders that somebody else has prepared -------------------------------------------------------

#: What may stand where a file or folder should: made at a path.
SPECIAL = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to a pipe": lambda path: (
        os.mkfifo(path.with_name("pipe")),
        path.symlink_to("pipe"),
    ),
    "a device": lambda path: path.symlink_to(os.devnull),
}


def tree(root):
    """All that is below a folder: paths, kinds, and what files and links hold."""
    found = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        content = os.readlink(path) if path.is_symlink() else None
        if stat.S_ISREG(mode):
            content = path.read_text()
        found[path.relative_to(root).as_posix()] = (stat.S_IFMT(mode), content)
    return found


def refused(programs, *, force=False):
    """What is said of programs that cannot be written: XG705, in one line."""
    with pytest.raises(files.SpecError) as caught:
        files.write_all(programs, force=force)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == "XG705"
    return diagnostic.message


@pytest.mark.parametrize("folder", ["nowhere", "itself", "pipe", "file", "stage", "other"])
def test_a_folder_that_is_none_is_refused_before_anything_is_moved(tmp_path, folder):
    old, new, bad = tmp_path / "a_old", tmp_path / "b_new", tmp_path / "c_bad"
    files.write(old, PROGRAM, ORIGIN)
    if folder == "pipe":
        os.mkfifo(bad)
    elif folder == "file":
        bad.write_text("mine")
    else:
        leads = {"itself": "c_bad", "stage": f"a_old/{files.STAGE}", "other": ".b_new.xgraph-new"}
        bad.symlink_to(leads.get(folder, "nowhere"))
    before = tree(tmp_path)
    changed = {"model.py": "a = 3\n", "train.py": "b = 3\n"}
    programs = [files.Program(one, changed, ORIGIN) for one in (old, new, bad)]
    for force in (False, True):
        said = refused(programs, force=force)
        assert "not a folder" in said or "a link that leads nowhere" in said
        assert tree(tmp_path) == before


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("target", ["mine", "nowhere", "file"])
def test_a_stage_that_is_a_link_is_never_followed(tmp_path, target, within):
    mine, folder = tmp_path / "mine", tmp_path / "out" / "torch"
    files.write(mine, PROGRAM, ORIGIN)
    (tmp_path / "file").write_text("mine too")
    folder.parent.mkdir()
    if within:
        folder.mkdir()
    stage = folder / files.STAGE if within else folder.with_name(f".torch{files.STAGE}")
    stage.symlink_to(os.path.relpath(tmp_path / target, stage.parent))
    before = tree(tmp_path)
    program = files.Program(folder, {"model.py": "other\n"}, ORIGIN)
    assert files.compare_all([program])[0].new == ["model.py", "xgraph.json"]
    assert "xgraph-new is a link" in refused([program])
    assert tree(tmp_path) == before
    stage.unlink()
    files.write_all([program])
    assert (folder / "model.py").read_text() == "other\n"


def test_a_stage_that_is_a_file_is_not_taken_away(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / files.STAGE).write_text("mine")
    before = tree(tmp_path)
    assert "xgraph-new is in the way" in refused([files.Program(tmp_path / "out", PROGRAM, ORIGIN)])
    assert tree(tmp_path) == before


@pytest.mark.parametrize("planted", ["link", "other text", "manifest"])
def test_only_what_a_writer_had_staged_is_taken_from_its_stage(tmp_path, planted):
    mine, folder = tmp_path / "mine", tmp_path / "out"
    files.write(mine, PROGRAM, ORIGIN)
    stage = folder / files.STAGE
    stage.mkdir(parents=True)
    (stage / "model.py").write_text("planted\n")
    (stage / "xgraph.json").write_text(files.manifest_text(PROGRAM, ORIGIN))
    if planted == "link":
        (stage / "model.py").unlink()
        (stage / "model.py").symlink_to(mine / "model.py")
    elif planted == "manifest":
        (stage / "xgraph.json").unlink()
        (stage / "xgraph.json").symlink_to(mine / "xgraph.json")
    before = tree(mine)
    files.write(folder, {**PROGRAM, "other.py": "c = 3\n"}, ORIGIN)
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert written(folder)["model.py"] == PROGRAM["model.py"]
    assert tree(mine) == before


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "", ".", "..", "../victim", "/victim", "a\nb"])
def test_a_manifest_that_names_what_is_no_name(tmp_path, name):
    folder = tmp_path / "out"
    stage = folder / files.STAGE
    stage.mkdir(parents=True)
    (tmp_path / "victim").write_text("safe")
    digest = files._digest(b"safe")
    for place, listed in ((folder, {name: digest}), (stage, {})):
        text = json.dumps({"xgraph": "0", "files": listed})
        (place / "xgraph.json").write_text(text)
    files.write(folder, PROGRAM, ORIGIN)
    assert (tmp_path / "victim").read_text() == "safe"
    assert sorted(written(folder)) == ["model.py", "train.py", "xgraph.json"]


@pytest.mark.parametrize("name", ["model.py", "xgraph.json"])
@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_file_is_refused_and_never_read(tmp_path, kind, name):
    folder = tmp_path / "out"
    files.write(folder, PROGRAM, ORIGIN)
    (folder / name).unlink()
    SPECIAL[kind](folder / name)
    before = tree(tmp_path)
    program = files.Program(folder, PROGRAM, ORIGIN)
    for force in (False, True):
        assert f"{name} is {'a folder' if kind == 'a folder' else 'not a regular file'}" in refused(
            [program], force=force
        )
    with pytest.raises(files.SpecError, match="XG705"):
        files.compare_all([program])
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["model.py", "xgraph.json"])
@pytest.mark.parametrize("target", ["nowhere", "itself"])
def test_a_link_that_leads_nowhere_is_somebodys(tmp_path, target, name):
    folder = tmp_path / "out"
    target = name if target == "itself" else target
    files.write(folder, PROGRAM, ORIGIN)
    for number in ("", ".2"):
        (folder / name).unlink()
        (folder / name).symlink_to(target)
        before = tree(folder)
        assert name in files.compare(folder, PROGRAM, ORIGIN).edited
        with pytest.raises(files.EditedError, match="a link that leads nowhere"):
            files.write(folder, PROGRAM, ORIGIN)
        assert tree(folder) == before
        files.write(folder, PROGRAM, ORIGIN, force=True)
        assert os.readlink(folder / f"{name}.bak{number}") == target
        assert not (folder / name).is_symlink()
        assert files.compare(folder, PROGRAM, ORIGIN).is_current
    assert not (folder / "nowhere").exists()


# -- writers that are killed, and writers that meet ------------------------------------------------

#: Writes programs into new folders and over them, forever, and says before each folder which.
WRITER = """
import sys
from pathlib import Path
from xgraph.emit import files
root, count = Path(sys.argv[1]), int(sys.argv[2])
while True:
    folders = [root / f"out{count}" / name for name in ("torch", "keras")]
    print(count, flush=True)
    for version in range(6):
        texts = {f"{k}.py": f"# {version} {k}\\n" * 500 for k in range(3 + version % 3)}
        files.write_all([files.Program(f, texts, {"version": version}) for f in folders])
    count += 1
"""


def kill_writers(root, times: int, chance: random.Random) -> dict[str, int]:
    """Kill a writer at random moments, check what it left, write again and check that nothing is.

    Returns:
        What the killed writers had left: stages, and programs half of one version.
    """
    left = {"stages": 0, "mixed": 0}
    final = {"model.py": "done\n", "0.py": "other\n"}
    count = 0
    for _ in range(times):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root), str(count)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(chance.random() * 0.05)
        child.send_signal(signal.SIGKILL)
        last = int((child.stdout.read().split() or [count])[-1])
        child.wait()
        folders = [root / f"out{last}" / name for name in ("torch", "keras")]
        left["stages"] += any(root.rglob("*.xgraph-new"))
        for folder in folders:
            if folder.exists():
                left["mixed"] += len({p.read_text()[:3] for p in folder.glob("*.py")}) > 1
        files.write_all([files.Program(folder, final, ORIGIN) for folder in folders])
        for folder in folders:
            assert written(folder) == {**final, "xgraph.json": files.manifest_text(final, ORIGIN)}
        assert not list(root.rglob(".*"))
        for number in range(count, last):
            for folder in (root / f"out{number}").iterdir():
                assert len({p.read_text()[:3] for p in folder.glob("*.py")}) == 1
        count = last + 1
    return left


def test_a_killed_writer_leaves_nothing_that_the_next_does_not_mend(tmp_path):
    kill_writers(tmp_path, 12, random.Random(0))


@pytest.mark.slow
def test_many_killed_writers(tmp_path):
    left = kill_writers(tmp_path, 150, random.Random(1))
    assert left["stages"] > 10, "they were killed while they wrote"


def test_what_was_edited_after_a_kill_is_not_lost(tmp_path):
    folder = tmp_path / "out"
    files.write(folder, PROGRAM, ORIGIN)
    newer = {"model.py": "a = 2\n", "other.py": "c = 3\n"}
    stage = folder / files.STAGE  # as a writer leaves it that is killed after it moved one file
    stage.mkdir()
    (stage / "other.py").write_text(newer["other.py"])
    (stage / "xgraph.json").write_text(files.manifest_text(newer, ORIGIN))
    (folder / "model.py").write_text(newer["model.py"])
    (folder / "train.py").write_text("mine\n")
    assert files.compare(folder, newer, ORIGIN).edited == []
    files.write(folder, newer, ORIGIN)
    expected = {**newer, "train.py": "mine\n"}
    assert written(folder) == {**expected, "xgraph.json": files.manifest_text(newer, ORIGIN)}


def test_writers_into_one_new_folder_do_not_collide(tmp_path):
    code = """
import sys
from pathlib import Path
from xgraph.emit import files
texts = {f"{k}.py": f"# {sys.argv[2]}\\n" * 2000 for k in range(4)}
sys.stdin.readline()
for _ in range(10):
    files.write(Path(sys.argv[1]), texts, {"writer": sys.argv[2]})
"""
    folder = tmp_path / "deep" / "out"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder), str(k)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for k in range(4)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    assert [writer.communicate()[1] for writer in writers] == [b""] * 4
    [winner] = {p.read_text()[:3] for p in folder.glob("*.py")}
    manifest = json.loads((folder / "xgraph.json").read_text())
    assert f"# {manifest['writer']}" == winner
    assert not list(tmp_path.rglob(".*"))


def test_any_way_to_say_the_folder(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "real")
    for text in (".", "../real", "../link", "new", "../link/other", "./deep/../deep/er"):
        assert files.write(files.Path(text), PROGRAM, ORIGIN).edited == []
        assert (files.Path(text) / "model.py").read_text() == "a = 1\n"
    assert not list(tmp_path.rglob(".*"))
