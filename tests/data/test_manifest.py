"""Manifests: tables of paths and labels."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.data.programs import program, sizes, write_images


@pytest.fixture(scope="module")
def data():
    return program(data="manifest")


@pytest.fixture(scope="module")
def many():
    return program(data="{manifest: {many: true, label: labels}}")


@pytest.fixture
def root(tmp_path):
    return write_images(tmp_path, {"images": 4})


def test_csv(data, root):
    (root / "train.csv").write_text(
        "\ufefflabel,path,more\nbee,images/000.png,x\n"
        '"ant, red",images/001.png,\nbee,images/002.png,\n',
        encoding="utf-8",
    )
    (root / "valid.csv").write_text("path,label\r\nimages/003.png,bee\r\n")
    splits = data.open_data(root, 2)
    assert sizes(splits) == {"train": 3, "validation": 1}
    assert splits.class_names == ["ant, red", "bee"]
    assert [splits["train"][i][1] for i in range(3)] == [1, 0, 1]
    assert splits["train"].labels.tolist() == [1, 0, 1]
    image, label = data.Dataset(splits["validation"]).load(0)
    assert image.shape == (16, 16, 3)
    assert label == 1


def test_json_lines_and_an_order_of_classes(data, root):
    rows = [{"path": "images/000.png", "label": 7}, {"path": "images/001.png", "label": "b"}]
    (root / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "classes.txt").write_text("b\n7\nnever seen\n")
    splits = data.open_data(root, 3)
    assert splits.class_names == ["b", "7", "never seen"]
    assert splits["train"].labels.tolist() == [1, 0]


def test_many_labels(many, root):
    (root / "train.csv").write_text(
        "path,labels\nimages/000.png,sky sea\nimages/001.png,\nimages/002.png,sea  sea\n"
    )
    splits = many.open_data(root, 2)
    assert splits.class_names == ["sea", "sky"]
    labels = [many.Dataset(splits["train"]).load(i)[1] for i in range(3)]
    assert all(label.dtype == np.float32 for label in labels)
    assert [label.tolist() for label in labels] == [[1, 1], [0, 0], [1, 0]]


def test_many_labels_in_json(many, root):
    rows = [{"path": "images/000.png", "labels": ["a b", 3]}, {"path": "x.png", "labels": []}]
    (root / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    splits = many.open_data(root, 2)
    assert splits.class_names == ["3", "a b"]
    assert [splits["train"].label(i).tolist() for i in range(2)] == [[1, 1], [0, 0]]


@pytest.mark.parametrize("labels", [{"a": 1}, [["a"]], [{"a": 1}]])
def test_labels_in_json_are_a_list(many, root, labels):
    (root / "train.jsonl").write_text(json.dumps({"path": "images/000.png", "labels": labels}))
    with pytest.raises(many.DataError, match=r"train\.jsonl:1: expected a list of labels"):
        many.open_data(root, 1)


def test_columns_and_separators_are_the_recipes(root):
    data = program(data="{manifest: {many: true, path: file name, label: tags, separator: bar}}")
    (root / "train.csv").write_text("tags,file name\na b| c,images/000.png\n")
    splits = data.open_data(root, 2)
    assert splits.class_names == ["a b", "c"]
    assert splits["train"].label(0).tolist() == [1, 1]


def test_tens_of_thousands_of_classes(many, root):
    lines = [f"images/000.png,{n} {(7 * n) % 17_000}" for n in range(17_000)]
    (root / "train.csv").write_text("\n".join(["path,labels", *lines]))
    source = many.open_data(root, 17_000)["train"]
    assert source.labels.nbytes == 17_000 * 2 * 4
    assert source.label(5).sum() == 2
    assert len(source.label(5)) == 17_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.csv", "path,label\n/etc/passwd,a\n", r"train\.csv:2: the path leads out of"),
        ("train.csv", "path,label\na/../../b.png,a\n", "leads out of"),
        ("train.csv", "path,label\nx.png\n", r"train\.csv:2: the line is too short"),
        ("train.csv", "file,label\nx.png,a\n", r"train\.csv:2: expected 'path' and 'label'"),
        ("train.csv", 'path,label\n"x.png,a\n', r"train\.csv, after line 0: unexpected end of"),
        ("train.csv", "path,label\n", "has no images|has 0 classes"),
        ("train.csv", "", "has no images|has 0 classes"),
        ("train.jsonl", "{}\n", r"train\.jsonl:1: expected 'path' and 'label'"),
        ("train.jsonl", "[1]\n", r"train\.jsonl:1: expected 'path' and 'label'"),
        ("train.jsonl", '{"path": "a"\n', r"train\.jsonl, after line 0: "),
        ("train.jsonl", "[" * 100_000, r"train\.jsonl, after line 0"),
        ("train.jsonl", '{"path": "a", "label": 1' + "0" * 5000 + "}", r"jsonl, after line 0"),
        ("train.jsonl", '{"path": "a", "label": ["b"]}', r"train\.jsonl:1: expected one label"),
        ("train.jsonl", '{"path": "a", "label": {"b": 1}}', r"jsonl:1: expected one label"),
        ("train.jsonl", '{"path": "a", "label": null}', r"jsonl:1: the line is too short"),
        ("train.jsonl", '{"path": "a\\u0000b", "label": 1}\n', "leads out of"),
    ],
)
def test_tables_that_are_not_sound(data, root, name, content, message):
    (root / name).write_text(content)
    with pytest.raises(data.DataError, match=message):
        data.open_data(root, 1)


def test_a_table_in_another_encoding(data, root):
    (root / "train.csv").write_bytes("path,label\nx.png,Bär\n".encode("latin-1"))
    with pytest.raises(data.DataError, match=r"train\.csv is no text in UTF-8"):
        data.open_data(root, 1)


def test_a_label_that_is_no_class(data, root):
    (root / "train.csv").write_text("path,label\nimages/000.png,a\n")
    (root / "val.csv").write_text("path,label\nimages/000.png,a\nimages/001.png,c\n")
    with pytest.raises(data.DataError, match=r"val\.csv:3: there is no class c"):
        data.open_data(root, 1)
    (root / "val.csv").write_text(f"path,label\nimages/000.png,{'c' * 100_000}\n")
    with pytest.raises(data.DataError, match="there is no class ccc") as caught:
        data.open_data(root, 1)
    assert len(str(caught.value)) == 1000
    (root / "classes.txt").write_text("a\na\n")
    with pytest.raises(data.DataError, match="names a class twice"):
        data.open_data(root, 1)
