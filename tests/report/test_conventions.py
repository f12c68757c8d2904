"""What a summary says of conventions on which published forms differ."""

import pytest

from xgraph.compile import analyse
from xgraph.report.conventions import conventions

PUBLISHED = {
    "xception": [
        "batch_norm: epsilon 0.001, momentum 0.99",
        "windows with a stride: padding same, the odd pixel right and below (×4); no padding (×1)",
        "convolutions before batch norm: without a bias",
    ],
    "inception_v3": [
        "batch_norm: epsilon 0.001, momentum 0.99, no scale",
        "windows with a stride: no padding",
        "avg_pool: padding is not counted",
        "convolutions before batch norm: without a bias",
    ],
    "inception_v3_torchvision": [
        "batch_norm: epsilon 0.001, momentum 0.9",
        "windows with a stride: no padding",
        "avg_pool: padding is counted",
        "convolutions before batch norm: without a bias",
    ],
    "resnet50": [
        "batch_norm: epsilon 1.001e-05, momentum 0.99",
        "windows with a stride: padding in pixels",
        "convolutions before batch norm: with a bias",
    ],
    "resnet50_torchvision": [
        "batch_norm: epsilon 1e-05, momentum 0.9",
        "windows with a stride: padding in pixels",
        "convolutions before batch norm: without a bias",
    ],
}


@pytest.mark.parametrize("spec", PUBLISHED)
def test_published_forms(spec):
    assert conventions(analyse(spec).graph) == PUBLISHED[spec]


def test_a_network_without_any(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text("xgraph: 1\nname: small\ninput: {shape: [4, 4, 3]}\ngraph: [relu]\n")
    assert conventions(analyse(str(path)).graph) == []
