"""No size in a graph is absurd, wherever it comes from."""

from __future__ import annotations

import pytest

from xgraph.compile import analyse
from xgraph.diagnostics import SpecError
from xgraph.passes import elaborate

HEAD = "xgraph: 1\nname: net\ninput: {shape: [8, 8, 3]}\n"


@pytest.mark.parametrize(
    ("items", "received"),
    [
        ("[{repeat: 4, body: {resize: 2147483647}}]", "17,179,869,176×17,179,869,176×3"),
        ("[{repeat: 40, body: {resize: 2}}]", "2,147,483,648×2,147,483,648×3"),
        ("[{conv: {filters: 2147483647, kernel: 1}}, {space_to_depth: 2}]", "4×4×8,589,934,588"),
        (
            "[{conv_transpose: {filters: 1, kernel: 1, stride: 2147483647}}]",
            "17,179,869,176×17,179,869,176×1",
        ),
    ],
)
def test_what_comes_out_is_bounded(items, received, tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(f"{HEAD}graph: {items}\n")
    with pytest.raises(SpecError) as caught:
        analyse(str(path))
    said = caught.value.diagnostics[0]
    assert said.code == "XG502"
    assert said.message.startswith("what comes out is too large")
    assert said.span is not None
    assert said.received == received


def test_a_count_from_channels_is_held_while_it_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setattr(elaborate, "EXPANSION_LIMIT", 10_000)
    path = tmp_path / "spec.yaml"
    path.write_text(
        HEAD + "graph: {a: [{conv: {filters: 200, kernel: 1}}], "
        "b: [{repeat: $input.channels, body: {repeat: $input.channels, body: relu}}]}\n"
    )
    with pytest.raises(SpecError) as caught:
        analyse(str(path))
    (said,) = caught.value.diagnostics
    assert said.code == "XG504"
    assert said.span.line == 4
