"""What a trained model is asked (inference.py): evaluation, class by class, and predictions."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from .programs import CHECKPOINT, PLAIN, RECIPE, SMALL, SPEC, WEIGHTS, Program, changed, render

NAMES = ("ant", "bee", "cat", "dog")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders to train and test on, of which a test class has 3, 2, 1 and no images."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for split, counts in (("train", (4, 4, 4, 4)), ("test", (3, 2, 1, 0))):
        for label, (name, count) in enumerate(zip(NAMES, counts, strict=True)):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(64 * label, 64 * label + 64, (20, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def trained(small: dict[str, Program], images: Path, tmp_path_factory: Any) -> Path:
    """A run of PyTorch's program on these."""
    run = tmp_path_factory.mktemp("trained") / "run"
    small["torch"].call("--data", images, "--output", run, "--workers", 0, "--batch-size", 8)
    return run


def asked(program: Program, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    program.call(*arguments, "--workers", 0)
    return capsys.readouterr().out


def logits(program: Program, run: Path, images: Path) -> tuple[np.ndarray, np.ndarray]:
    """Of the test images, by the model itself, and their labels."""
    import torch

    data, model = program.module("data"), program.module("model")
    dataset = data.Dataset(data.open_data(images, 4)["test"])
    pixels, labels = zip(*(dataset.load(index) for index in range(len(dataset))), strict=True)
    net = model.create_model(0)
    model.load_weights(net, run / WEIGHTS)
    with torch.inference_mode():
        given = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
        return net.eval()(given).numpy(), np.array(labels)


def test_each_class_is_evaluated(
    framework: str,
    small: dict[str, Program],
    trained: Path,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = tmp_path / "confusion.csv"
    options = ("--evaluate", "--per-class", "--confusion", table)
    said = asked(small[framework], capsys, "--data", images, "--output", trained, *options)
    scores, labels = logits(small["torch"], trained, images)
    best = scores.argmax(1)
    counts = np.zeros((4, 4), int)
    np.add.at(counts, (labels, best), 1)
    head, *rows = csv.reader(table.open())
    assert head[1:] == list(NAMES)
    assert [row[0] for row in rows] == list(NAMES)
    assert np.array_equal([list(map(int, row[1:])) for row in rows], counts)
    for name, line in zip(NAMES, said.splitlines()[-4:], strict=True):
        label = NAMES.index(name)
        right, of_it, taken = counts[label, label], counts[label].sum(), counts[:, label].sum()
        recall = f"{right / of_it:.4f}" if of_it else "-"
        precision = f"{right / taken:.4f}" if taken else "-"
        assert line.split() == [name, str(of_it), recall, precision]


def test_predictions(
    framework: str,
    small: dict[str, Program],
    trained: Path,
    images: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Files and folders, from a run or a file of weights; the classes have their names."""
    scores, _ = logits(small["torch"], trained, images)
    powers = np.exp(scores.astype(float))
    expected = powers / powers.sum(1, keepdims=True)
    paths = sorted(str(path) for path in (images / "test").rglob("*.png"))
    for source in (("--output", trained), ("--weights", trained / WEIGHTS)):
        options = ("--jsonl", "--top", 2, "--batch-size", 4)
        said = asked(small[framework], capsys, "--predict", images / "test", *source, *options)
        lines = [json.loads(line) for line in said.splitlines()]
        assert [line["path"] for line in lines] == paths
        for line, row in zip(lines, expected, strict=True):
            best = np.argsort(-row)[:2]
            assert [one["name"] for one in line["classes"]] == [NAMES[k] for k in best]
            given = [one["probability"] for one in line["classes"]]
            assert np.allclose(given, row[best], atol=1e-5)
    first, second = paths[0], paths[-1]
    said = asked(small[framework], capsys, "--predict", second, first, "--output", trained)
    assert [line.split()[0] for line in said.splitlines()] == [second, first]
    assert all(name in said for name in NAMES)


def test_what_is_no_image_is_said_and_the_others_are_predicted(
    framework: str,
    small: dict[str, Program],
    trained: Path,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    Image.new("L", (30, 9)).save(tmp_path / "b\x1b[31m.png")
    (tmp_path / "c.txt").write_text("not asked about")
    capsys.readouterr()
    with pytest.raises(SystemExit, match="of 2 files 1 could not be answered"):
        small[framework].call("--predict", tmp_path, "--output", trained, "--workers", 0)
    out, err = capsys.readouterr()
    bad, good = out.splitlines()
    assert bad.endswith("not a readable image")
    assert "b?[31m.png" in good
    assert "1 .txt" in err
    assert "a.png is not a readable image" in err


def test_images_with_many_labels(
    framework: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each class has a probability of its own; recall and precision are at one half."""
    recipe = changed(
        PLAIN,
        loss="sigmoid_cross_entropy",
        data={"manifest": {"many": True}},
        metrics=["top1"],
    )
    program = Program(render(tmp_path / framework, recipe, framework, spec=SMALL))
    random = np.random.default_rng(1)
    wanted = {"train": ["ant bee", "cat", "dog", "bee"], "test": ["ant cat", "bee"]}
    for split, labels in wanted.items():
        rows = []
        for number, text in enumerate(labels):
            pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{split}{number}.png")
            rows.append(f"{split}{number}.png,{text}")
        (tmp_path / f"{split}.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    run = tmp_path / "run"
    program.call("--data", tmp_path, "--output", run, "--workers", 0)
    given = ("--predict", tmp_path / "test0.png", tmp_path / "test1.png", "--output", run)
    lines = asked(program, capsys, *given, "--jsonl").splitlines()
    found = [
        {one["name"]: one["probability"] for one in json.loads(line)["classes"]} for line in lines
    ]
    taken = [{name for name, p in image.items() if p > 0.5} for image in found]
    actual = [{"ant", "cat"}, {"bee"}]
    assert any(sum(image.values()) > 1.01 or sum(image.values()) < 0.99 for image in found)
    said = asked(program, capsys, "--data", tmp_path, "--output", run, "--evaluate", "--per-class")
    for line in said.splitlines()[-4:]:
        name, images, recall, _ = line.split()
        of_it = [name in labels for labels in actual]
        right = sum(here and name in got for here, got in zip(of_it, taken, strict=True))
        assert int(images) == sum(of_it)
        assert recall == (f"{right / sum(of_it):.4f}" if any(of_it) else "-")
    told = program.refused(
        "--data", tmp_path, "--output", run, "--workers", 0, "--evaluate", "--confusion", run / "c"
    )
    assert "many labels" in told


def test_weights_know_their_classes(
    small: dict[str, Program],
    trained: Path,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Other names are refused where a model is evaluated, and said where one is trained on."""
    program = small["torch"]
    evaluating = ("--data", images, "--workers", 0, "--evaluate", "--weights")
    asked(program, capsys, *evaluating[:2], "--evaluate", "--weights", trained / WEIGHTS)
    other = tmp_path / "other.safetensors"
    about = {"format": 1, "classes": ["ant", "bee", "cow", "dog"]}
    save_file(load_file(trained / WEIGHTS), other, {"xgraph": json.dumps(about)})
    assert "2 was cow, not cat" in program.refused(*evaluating, other)
    run = tmp_path / "run"
    begun = ("--data", images, "--output", run, "--max-steps", 1)
    assert "2 was cow, not cat" in asked(program, capsys, *begun, "--weights", other)
    for said in ({}, {"xgraph": "[" * 9}, {"xgraph": json.dumps({"classes": [1]})}):
        unknown = tmp_path / "unknown.safetensors"
        save_file(load_file(trained / WEIGHTS), unknown, said)
        first = next(iter((images / "test").rglob("*.png")))
        assert " 0 0." in asked(program, capsys, "--predict", first, "--weights", unknown)


@pytest.mark.parametrize("bias", [0.0, float("nan")])
def test_equal_logits_and_what_is_no_number(
    bias: float,
    framework: str,
    small: dict[str, Program],
    trained: Path,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of equal logits the first counts, and what is no number before all that are."""
    arrays = load_file(trained / WEIGHTS)
    arrays["classifier.kernel"] = np.zeros_like(arrays["classifier.kernel"])
    arrays["classifier.bias"] = np.array([0, 0, bias, 0], np.float32)
    weights = tmp_path / "weights.safetensors"
    save_file(arrays, weights)
    given = ("--weights", weights, "--batch-size", 4)
    said = asked(small[framework], capsys, "--data", images, *given, "--evaluate")
    first = 3 if bias == 0 else 1  # images of 6: of the first class, or of the third
    assert f"top1 {first / 6:.4f}" in said
    if bias != 0:
        with pytest.raises(SystemExit, match="of 6 files 6 could not be answered"):
            asked(small[framework], capsys, "--predict", images / "test", *given, "--jsonl")
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["error"] for line in found] == ["the model gives no numbers"] * 6


def test_names_that_are_not_utf8(
    small: dict[str, Program], trained: Path, images: Path, tmp_path: Path, capsys: Any
) -> None:
    """A table has them as the system does."""
    data = tmp_path / "data"
    shutil.copytree(images, data)
    for split in ("train", "test"):
        (data / split / "dog").rename(data / split / "dog\udcff")
    table = tmp_path / "confusion.csv"
    given = ("--data", data, "--weights", tmp_path / "weights.safetensors", "--evaluate")
    save_file(load_file(trained / WEIGHTS), tmp_path / "weights.safetensors")
    asked(small["torch"], capsys, *given, "--confusion", table)
    assert b"dog\xff," in table.read_bytes()
    refused = (*given, "--workers", 0, "--confusion")
    assert "cannot be a file" in small["torch"].refused(*refused, tmp_path / "none" / "t.csv")
    assert "cannot be a file" in small["torch"].refused(*refused, tmp_path)


def test_classes_of_another_number_are_refused(
    small: dict[str, Program], trained: Path, images: Path, tmp_path: Path
) -> None:
    weights, about = tmp_path / "weights.safetensors", {"classes": ["ant", "bee"]}
    save_file(load_file(trained / WEIGHTS), weights, {"xgraph": json.dumps(about)})
    predicting = ("--predict", images / "test", "--workers", 0)
    assert "knows 2 classes, the model 4" in small["torch"].refused(
        *predicting, "--weights", weights
    )


def test_mistakes(small: dict[str, Program], images: Path, tmp_path: Path, capsys: Any) -> None:
    program = small["torch"]
    none = tmp_path / "none"
    assert "there is no" in program.refused("--predict", none, "--output", tmp_path)
    assert "there is no checkpoint" in program.refused("--predict", images, "--output", none)
    (tmp_path / "empty").mkdir()
    assert "no images at" in program.refused("--predict", tmp_path / "empty")
    assert "is no file" in program.refused("--predict", images, "--weights", tmp_path)
    with pytest.raises(SystemExit):
        program.call("--data", images, "--per-class")
    assert "--evaluate" in capsys.readouterr().err


# Runs that end by themselves


@pytest.mark.parametrize("framework", ["torch", "keras", "flax"])
def test_a_run_ends_when_it_gets_no_better(
    framework: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = changed(
        RECIPE, schedule={"constant": 1e-9}, every={"evaluate": {"steps": 2}}, stop={"patience": 2}
    )
    program = Program(render(tmp_path / "program", recipe, framework, spec=SMALL))
    run = tmp_path / "run"
    said = asked(program, capsys, "--synthetic", "--output", run)
    assert "ended at step 6: the last 2 evaluations were no better" in said
    assert (run / CHECKPOINT).exists()
    said = asked(program, capsys, "--synthetic", "--output", run, "--resume", "auto")
    assert "ended at step 8: the last 3 evaluations were no better" in said


def test_a_run_ends_when_its_time_is_up(
    torch_hours: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    begun = ("--synthetic", "--output", run)
    said = asked(torch_hours, capsys, *begun)
    assert "ended at step 1: it has trained for 1e-07 hours" in said
    said = asked(torch_hours, capsys, *begun, "--hours", 1, "--max-steps", 2, "--resume", "auto")
    assert "ended" not in said
    assert (run / WEIGHTS).exists()


@pytest.fixture
def torch_hours(tmp_path: Path) -> Program:
    recipe = changed(PLAIN, stop={"hours": 1e-7})
    return Program(render(tmp_path / "program", recipe, spec=SMALL))


def test_a_hint_where_statistics_cannot_settle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, in a run that is too short for the momentum; not with one that forgets soon enough."""
    recipe = changed(RECIPE, every={"evaluate": {"steps": 30}}, ema=None)
    for momentum, hints in ((0.999, 1), (0.5, 0)):
        spec = SPEC.replace("momentum: 0.9}", f"momentum: {momentum}}}")
        program = Program(render(tmp_path / str(momentum), recipe, spec=spec))
        begun = ("--synthetic", "--output", tmp_path / f"run{momentum}", "--max-steps", 90)
        said = asked(program, capsys, *begun)
        assert said.count("hint: batch norm's moving statistics") == hints
