"""Image folders as people have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from tests.data.programs import program, sizes, write_images

PAIR = {"train/a": 3, "train/b": 2}


@pytest.fixture(scope="module")
def data():
    return program()


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_names_of_the_validation_split(data, tmp_path, name):
    write_images(tmp_path, {**PAIR, f"{name}/a": 1, f"{name}/b": 1, "test/b": 4})
    splits = data.open_data(tmp_path, 2)
    assert sizes(splits) == {"train": 5, "validation": 2, "test": 4}
    assert splits.class_names == ["a", "b"]
    assert splits.notes == []


def test_two_names_of_one_split(data, tmp_path):
    write_images(tmp_path, {**PAIR, "val/a": 1, "valid/a": 1})
    with pytest.raises(data.DataError, match="has val, valid, which mean the same: keep one"):
        data.open_data(tmp_path, 2)


def test_training_without_held_out_images_is_said(data, tmp_path):
    write_images(tmp_path, PAIR)
    assert data.open_data(tmp_path, 2).notes == [
        f"{tmp_path} has no validation images: training is not evaluated"
    ]
    write_images(tmp_path, {"test/a": 1})
    assert data.open_data(tmp_path, 2).notes == [
        f"{tmp_path} has no validation images: training is evaluated on test"
    ]


def test_without_splits_all_is_for_training(data, tmp_path):
    write_images(tmp_path, {"a": 3, "b": 2})
    assert sizes(data.open_data(tmp_path, 2)) == {"train": 5}
    (tmp_path / "c").mkdir()
    with pytest.raises(data.DataError, match="has no images of c"):
        data.open_data(tmp_path, 3)


def test_the_folder_around_it_is_none(data, tmp_path):
    write_images(tmp_path / "pets", PAIR)
    with pytest.raises(data.DataError, match=r"no images at .*: expected train/<class>/"):
        data.open_data(tmp_path, 1)


@pytest.mark.parametrize("what", ["unlabelled", "empty", "unknown", "bare"])
def test_a_test_split_of_no_use_does_not_block(data, tmp_path, what):
    write_images(tmp_path, {**PAIR, "val/a": 1})
    made = {"unlabelled": {"test": 1}, "unknown": {"test/unknown": 2}, "bare": {}, "empty": {}}
    (tmp_path / "test" / ("a" if what == "bare" else "")).mkdir(parents=True)
    write_images(tmp_path, made[what])
    splits = data.open_data(tmp_path, 2)
    assert sizes(splits) == {"train": 5, "validation": 1}
    assert splits.notes == [f"{tmp_path / 'test'} has no images of the classes: it is not used"]


def test_a_class_without_images_is_named(data, tmp_path):
    write_images(tmp_path, {**PAIR, "train/c": 0, "train/d": 0, "val/a": 1, "val/c": 0})
    with pytest.raises(data.DataError, match="train has no images of c, d"):
        data.open_data(tmp_path, 4)
    write_images(tmp_path, {"train/c": 1, "train/d": 1})
    assert sizes(data.open_data(tmp_path, 4)) == {"train": 7, "validation": 1}


def test_another_number_of_classes_lists_them(data, tmp_path):
    write_images(tmp_path, {f"train/c{n:02}": 1 for n in range(23)})
    with pytest.raises(data.DataError) as caught:
        data.open_data(tmp_path, 2)
    names = ", ".join(f"c{n:02}" for n in range(20))
    assert str(caught.value) == (f"{tmp_path} has 23 classes, the model 2: {names} and 3 more")


def test_a_name_cannot_write_to_the_terminal(data, tmp_path):
    write_images(tmp_path, {"train/\x1b[2J\nb": 1})
    with pytest.raises(data.DataError) as caught:
        data.open_data(tmp_path, 2)
    assert str(caught.value).endswith("the model 2: ?[2J?b")
    (tmp_path / "train/\x1b[2J\nb/new\nline.png").write_bytes(b"")
    [found] = data.check(data.open_data(tmp_path, 1)["train"], 1)
    assert "?[2J?b/new?line.png is not a readable image" in found


def test_what_is_passed_over_is_counted_by_kind(data, tmp_path):
    write_images(tmp_path, {**PAIR, "val/a": 1})
    for name in ("a/x.txt", "a/y.TXT", "b/z.csv", "b/README", "b/._0.png", "b/Thumbs.db"):
        (tmp_path / "train" / name).write_bytes(b"")
    Image.new("L", (9, 9)).save(tmp_path / "train" / "loose.png")
    [note] = data.open_data(tmp_path, 2).notes
    place, _, kinds = note.partition(": files passed over: 2 .txt, ")
    assert place == str(tmp_path / "train")
    expected = ["1 .csv", "1 .db", "1 hidden", "1 in no class folder", "1 without an ending"]
    assert sorted(kinds.split(", ")) == expected


def test_folders_of_systems_hold_no_images(data, tmp_path):
    write_images(tmp_path, {**PAIR, "val/a": 1})
    for name in (".ipynb_checkpoints", "__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found"):
        write_images(tmp_path, {f"train/{name}": 1, f"train/a/{name}": 1, f"val/{name}": 1})
    splits = data.open_data(tmp_path, 2)
    assert sizes(splits) == {"train": 5, "validation": 1}
    assert splits.class_names == ["a", "b"]


def links(root: Path, *pairs: tuple[str, str]) -> None:
    for place, target in pairs:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(target, root / place)


@pytest.mark.parametrize("target", [".", "..", "../..", "../../..", "../b", "inner"])
def test_links_that_lead_back_are_followed_once(data, tmp_path, target):
    root = write_images(tmp_path / "data", {**PAIR, "train/a/inner": 2, "val/a": 1})
    links(root, ("train/a/up", target), ("train/a/inner/up", "../.."))
    splits = data.open_data(root, 2)
    assert sizes(splits) == {"train": 7, "validation": 1}


def test_links_to_elsewhere_are_followed(data, tmp_path):
    write_images(tmp_path, {"elsewhere": 3, "more/deep": 2})
    root = write_images(tmp_path / "data", {"train/a": 1})
    links(root, ("train/b", "../../elsewhere"), ("train/a/more", "../../../more"))
    links(root, ("train/a/dangling.png", "nowhere"))
    assert sizes(data.open_data(root, 2)) == {"train": 1 + 2 + 1 + 3}


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_that_may_not_be_read(data, tmp_path):
    write_images(tmp_path, {**PAIR, "train/a/closed": 1})
    (tmp_path / "train/a/closed").chmod(0)
    with pytest.raises(data.DataError, match="closed: Permission denied"):
        data.open_data(tmp_path, 2)
    (tmp_path / "train/a/closed").chmod(0o700)


def test_files_in_memory_are_tried_in_the_order_of_the_recipe(tmp_path):
    both = program(data="[folder, idx]")
    with pytest.raises(
        both.DataError, match=r"no images at .*: expected train/<class>.* or train-i"
    ):
        both.open_data(tmp_path, 2)
