"""Sizes of a family: each is what a file of its name beside it would be, that extends it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xgraph.cli import main
from xgraph.compile import analyse
from xgraph.diagnostics import SpecError
from xgraph.spec import library, sizes

FAMILY = """\
xgraph: 1
name: net
doc: A network
params: {width: 8, depth: 1}
input: {shape: [8, 8, 3]}
graph: [{repeat: $depth, body: {conv: {filters: $width, kernel: 1}}}]
"""
SAID = {
    "net_large": "{params: {width: 16}, doc: A large one, source: A paper}",
    "net_huge": "{params: {width: 32, depth: 2}, input: {shape: [16, 16, 3]}}",
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    said = "".join(f"  {name}: {text}\n" for name, text in SAID.items())
    (tmp_path / "net.yaml").write_text(f"{FAMILY}sizes:\n{said}")
    return tmp_path


@pytest.mark.parametrize("name", SAID)
def test_a_size_is_a_file_that_extends_its_family(name, folder, capsys):
    files = folder / "files"
    files.mkdir()
    (files / "net.yaml").write_text(FAMILY)
    keys = SAID[name].removeprefix("{").removesuffix("}")
    (files / f"{name}.yaml").write_text(f"{{xgraph: 1, extends: net.yaml, name: {name}, {keys}}}\n")
    texts = []
    for at in (folder, files):
        assert main(["compile", str(at / f"{name}.yaml"), "-o", str(at / "out")]) == 0
        texts.append((at / "out" / "model.py").read_text().partition("\n"))
    (header, _, model), (other, _, expected) = texts
    assert model == expected
    assert header != other  # the text of the spec is another one
    assert f"the spec {name} " in header
    capsys.readouterr()


def test_digests_of_sizes_differ(folder):
    digests = {analyse(spec).digest for spec in ("net.yaml", *(f"{one}.yaml" for one in SAID))}
    assert len(digests) == 3


def test_every_command_takes_a_size(folder, capsys):
    for command in (["check"], ["summary"], ["diff", "net.yaml"], ["compile"]):
        assert main([*command, "net_large.yaml"]) == 0
    assert main(["check", "net_large.yaml", "--set", "width=4"]) == 0
    assert capsys.readouterr().out.endswith(
        "net_large: 1 node, input 8×8×3, logits 8×8×4; no errors\n"
    )
    assert (folder / "generated" / "net_large" / "torch" / "model.py").exists()
    assert main(["list", ".", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["path"] for one in listed] == ["net.yaml", "net_huge.yaml", "net_large.yaml"]


def test_a_size_can_be_extended_and_gives_no_sizes_on(folder):
    Path("over.yaml").write_text("xgraph: 1\nname: over\nextends: net_huge.yaml\n")
    analysis = analyse("over.yaml")
    assert analysis.name == "over"
    assert analysis.types[-1].shape == (16, 16, 32)
    assert library.all_specs(folder) == [
        folder / f"{name}.yaml" for name in ("net", "net_huge", "net_large", "over")
    ]


def test_a_family_may_extend(folder):
    Path("over.yaml").write_text(
        "xgraph: 1\nname: over\nextends: net_large.yaml\nsizes: {over_deep: {params: {depth: 3}}}\n"
    )
    assert len(analyse("over_deep.yaml").graph.nodes) == 4
    assert analyse("over_deep.yaml").types[-1].channels == 16


@pytest.mark.parametrize("command", ["path", "extends"])
def test_a_size_that_there_is_not(command, capsys):
    Path("over.yaml").write_text("xgraph: 1\nname: over\nextends: net_hug.yaml\n")
    assert main(["check", "net_hug.yaml" if command == "path" else "over.yaml"]) == 1
    assert "did you mean 'net_huge.yaml'?" in capsys.readouterr().err


def test_a_bundled_size_is_found_by_its_name(capsys):
    assert main(["check", "efficientnet_b3"]) == 0
    assert capsys.readouterr().out.startswith("efficientnet_b3: ")
    Path("mine.yaml").write_text("xgraph: 1\nname: mine\nextends: efficientnet_b3\n")
    assert analyse("mine.yaml").types[0].shape == (300, 300, 3)
    assert main(["check", "efficientnet_b33"]) == 1
    assert "did you mean 'efficientnet_b3'?" in capsys.readouterr().err
    assert library.bundled("net_large") is None


def test_no_two_bundled_specs_have_one_name():
    files = library.spec_files()
    names = [path.stem for path in (*files, *(size.path for size in sizes.declared(files)))]
    assert len(names) > len(files)
    assert sorted(names) == sorted(set(names))


def test_errors_are_where_they_stand(folder):
    Path("net.yaml").write_text(FAMILY + "sizes: {net_large: {params: {width: wide}}}\n")
    with pytest.raises(SpecError) as caught:
        analyse("net_large.yaml")
    (one,) = caught.value.diagnostics
    assert str(one.span) == "net.yaml:7:37"


def test_two_files_declare_one(folder):
    Path("other.yaml").write_text(FAMILY + "sizes: {net_huge: {doc: Another}}\n")
    assert analyse("net_large.yaml").name == "net_large"
    with pytest.raises(SpecError, match="declared in two files") as caught:
        analyse("net_huge.yaml")
    (one,) = caught.value.diagnostics
    assert (one.code, str(one.span)) == ("XG208", "other.yaml:7:9")


def test_a_copy_beside_stops_only_who_asks_for_a_size_by_its_name(folder, capsys):
    Path("net_backup.yaml").write_text(Path("net.yaml").read_text())
    for name in ("net", "net_backup"):
        assert main(["check", f"{name}.yaml"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.partition(":")[0] for line in lines] == ["net", *SAID]
    assert main(["check", "net_huge.yaml"]) == 1
    assert "declared in two files" in capsys.readouterr().err


def test_each_file_checks_its_own_size(folder, capsys):
    Path("net_backup.yaml").write_text(FAMILY + "sizes: {net_huge: {params: {width: 0}}}\n")
    assert main(["check", "net.yaml"]) == 0
    assert "logits 16×16×32" in capsys.readouterr().out
    assert main(["check", "net_backup.yaml"]) == 1
    assert "net_backup.yaml:7:36: error[XG403]" in capsys.readouterr().err


@pytest.mark.parametrize("asked", ["other.yaml", "net.yaml"])
def test_no_size_has_the_name_of_its_spec(asked, folder):
    """They would be one network by name, and be written into one folder."""
    folder = folder / "alone"
    folder.mkdir()
    (folder / "other.yaml").write_text(FAMILY + "sizes: {net: {params: {width: 16}}}\n")
    with pytest.raises(SpecError, match="'net' has the name of the spec itself") as caught:
        analyse(str(folder / asked))
    (one,) = caught.value.diagnostics
    assert (one.code, str(one.span)[-15:]) == ("XG208", "/other.yaml:7:9")
    assert "call this one something else" in one.hint


def test_files_come_first_and_the_size_is_an_error(folder):
    Path("net_huge.yaml").write_text("xgraph: 1\nname: own\nextends: xception_mini\n")
    assert analyse("net_huge.yaml").name == "own"
    with pytest.raises(SpecError, match="'net_huge' is a file of its own"):
        analyse("net_large.yaml")


@pytest.mark.parametrize(
    "text",
    ["sizes: {net_small: {}}\n  x", "- sizes", "sizes: [net_small]", "sizes: net_small", "\0sizes",
     "sizes: {../net_small: {}, Net_small: {}, input: {}}"],
)  # fmt: skip
def test_strange_files_beside_declare_nothing(text, folder):
    Path("strange.yaml").write_text(text)
    Path("folder.yaml").mkdir()
    assert analyse("net_large.yaml").name == "net_large"
    for name in ("net_small", "../net_small", "Net_small", "input", "strange"):
        assert sizes.home(folder / f"{name}.yaml") is None


def test_recipes_have_no_sizes(capsys):
    Path("mine.yaml").write_text(
        "xgraph_recipe: 1\nname: mine\nextends: digits\nsizes: {slow: {doc: Slow}}\n"
    )
    assert main(["check", "net.yaml", "--recipe", "mine.yaml"]) == 1
    assert "sizes" in capsys.readouterr().err
    assert main(["check", "net.yaml", "--recipe", "slow.yaml"]) == 1


def test_a_family_is_checked_with_its_sizes(folder, capsys):
    assert main(["check", "net.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["net", *SAID]
    assert main(["check", "net.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sizes"] == list(SAID)


def test_each_size_that_is_wrong_is_told(folder, capsys):
    """Its form is right, its values are not."""
    said = "  net_thin: {params: {width: 0}}\n  net_odd: {params: {depth: 1.5}}\n"
    (folder / "net.yaml").write_text(f"{FAMILY}sizes:\n{said}")
    assert main(["check", "net.yaml"]) == 1
    found = capsys.readouterr().err
    for code, place in (("XG403", "width: 0"), ("XG506", "depth: 1.5")):
        assert code in found
        assert place in found


def test_a_bundled_family_is_checked_by_name(folder, capsys):
    assert main(["check", "mobilenet_v3_small"]) == 0
    names = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["mobilenet_v3_small", *library.sizes_of("mobilenet_v3_small")]
