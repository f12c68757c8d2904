"""The experiments: what is trained for each, and what the paper or the slides found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent


@dataclass(frozen=True)
class Arm:
    """A network and how it is trained: a spec of `specs/`, a recipe of `recipes/`, settings.

    `seconds` is what an epoch took on one CPU core, in PyTorch: 60,000 images of training and
    10,000 of evaluation. It says beforehand how long a command takes, and nothing else.
    """

    name: str
    spec: str
    seconds: int
    recipe: str = "sgd"
    settings: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Of its spec."""
        return str(HERE / "specs" / f"{self.spec}.yaml")

    @property
    def recipe_path(self) -> str:
        """Of its recipe."""
        return str(HERE / "recipes" / f"{self.recipe}.yaml")


@dataclass(frozen=True)
class Experiment:
    """Arms that differ in one thing. The first is the one that the others are compared with.

    `budget` is by how much, at most, the others' numbers of trained parameters differ from the
    first's, as a share of it; None where the parameters are part of what is compared.
    """

    name: str
    title: str
    arms: tuple[str, ...]
    found: str
    budget: float | None


def _segments(segments: int, width: float, seconds: int) -> Arm:
    settings = (f"segments={segments}", f"width={width}")
    return Arm(f"segments_{segments}", "segments", seconds, settings=settings)


_BETWEEN = "defaults.separable_conv.depthwise_activation"
_TOWER = ("auxiliary=true",)
_NO_DROPOUT = ("dropout=0",)  # as the paper on JFT

#: All arms by name; several experiments share some.
ARMS: Final = {
    arm.name: arm
    for arm in (
        Arm("xception", "xception", 105),
        Arm("inception_v3", "inception_v3", 70),
        Arm("no_residual", "no_residual", 85),
        Arm("relu", "xception", 120, settings=(f"{_BETWEEN}=relu",)),
        Arm("elu", "xception", 120, settings=(f"{_BETWEEN}=elu",)),
        Arm("pointwise_first", "pointwise_first", 105),
        _segments(1, 0.32, 65),
        _segments(2, 0.43, 65),
        _segments(4, 0.565, 80),
        _segments(16, 0.8, 135),
        Arm("vgg16", "vgg16", 25),
        Arm("resnet18", "resnet18", 55),
        Arm("xception_rmsprop", "xception", 135, "rmsprop", _NO_DROPOUT),
        Arm("inception_v3_rmsprop", "inception_v3", 75, "rmsprop", _NO_DROPOUT),
        Arm("xception_fc", "xception_fc", 115, "rmsprop", _NO_DROPOUT),
        Arm("inception_v3_fc", "inception_v3_fc", 75, "rmsprop", _NO_DROPOUT),
        Arm("xception_adam", "xception", 140, "adam"),
        Arm("inception_v3_tower", "inception_v3", 70, "adam", _TOWER),
        Arm("relu_adam", "xception", 130, "adam", (f"{_BETWEEN}=relu",)),
        Arm("elu_adam", "xception", 110, "adam", (f"{_BETWEEN}=elu",)),
    )
}

#: Of the paper's two networks, Xception has 3.4 % less.
_LIKE_THE_PAPER = 0.035

EXPERIMENTS: Final = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "figure6",
            "Figure 6: Xception and Inception V3, by gradient descent with momentum",
            ("xception", "inception_v3"),
            "on ImageNet, Xception is better, by a little",
            _LIKE_THE_PAPER,
        ),
        Experiment(
            "figure7",
            "Figure 7: Xception and Inception V3 without fully connected layers, by RMSprop",
            ("xception_rmsprop", "inception_v3_rmsprop"),
            "on JFT, Xception is better, by more",
            _LIKE_THE_PAPER,
        ),
        Experiment(
            "figure8",
            "Figure 8: Xception and Inception V3 with fully connected layers, by RMSprop",
            ("xception_fc", "inception_v3_fc"),
            "on JFT, Xception is better, and both are better than without these layers",
            _LIKE_THE_PAPER,
        ),
        Experiment(
            "figure9",
            "Figure 9: Xception with and without residual connections",
            ("xception", "no_residual"),
            "on ImageNet, residual connections are essential: faster, and better in the end",
            None,
        ),
        Experiment(
            "figure10",
            "Figure 10: nothing, ReLU and ELU between depthwise and pointwise convolutions",
            ("xception", "relu", "elu"),
            "on ImageNet, nothing is better than ELU, and ELU better than ReLU",
            0.0,
        ),
        Experiment(
            "order",
            "Figure 4's remark: spatial or 1×1 convolutions first",
            ("xception", "pointwise_first"),
            "unimportant, by an argument without an experiment",
            _LIKE_THE_PAPER,
        ),
        Experiment(
            "spectrum",
            "Section 5: from regular to depthwise convolutions, by the number of segments",
            ("pointwise_first", "segments_16", "segments_4", "segments_2", "segments_1"),
            "left open; points in between may be better than either end",
            _LIKE_THE_PAPER,
        ),
        Experiment(
            "slides",
            "The slides: Xception and Inception V3 with its auxiliary tower, by Adam",
            ("xception_adam", "inception_v3_tower"),
            "on CIFAR-10, Inception V3 is better, by 0.57 points, with 17 % more parameters",
            None,
        ),
        Experiment(
            "activations",
            "The slides' curves: nothing, ReLU and ELU in between, by Adam",
            ("xception_adam", "relu_adam", "elu_adam"),
            "as Figure 10, in curves without numbers",
            0.0,
        ),
        Experiment(
            "budget",
            "VGG-16 and ResNet-18 beside them, at the same budget",
            ("xception", "inception_v3", "vgg16", "resnet18"),
            "(VGG-16 and ResNet-152 are in Table 1 with several times the parameters, and worse)",
            _LIKE_THE_PAPER,
        ),
    )
}
