"""Generated programs against the published models of Keras and torchvision.

The published model's weights, batch-norm statistics randomized, are written to a safetensors file
under canonical names and read by the generated `load_weights`. Distances are max|a − b| / max|b|.
The generated model is always the one compiled for 299 pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from xgraph import backend
from xgraph.compile import compile_spec
from xgraph.importing.sources.torch import TorchModule
from xgraph.importing.weights import take
from xgraph.ir.analysis import Analysis
from xgraph.programs import MeasuredProgram

from ..turns import by_turns
from . import published

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
SIZES = [299, 224, 151]
quick_and_slow = [
    pytest.param("float64", 151, id="float64-151"),
    *(
        pytest.param(dtype, size, id=f"{dtype}-{size}", marks=pytest.mark.slow)
        for dtype in TOLERANCE
        for size in SIZES
        if (dtype, size) != ("float64", 151)
    ),
]


def compiled(spec: str, name: str, *settings: str) -> tuple[Analysis, dict[str, str]]:
    analysis, files = compile_spec(spec, backend.get(name), settings)
    return analysis, dict(files)


def loaded(
    files: dict[str, str], name: str, weights: published.Weights, dtype: str, folder
) -> MeasuredProgram:
    program = backend.get(name).load(files, dtype)
    path = folder / "weights.safetensors"
    save_file({name: np.ascontiguousarray(value) for name, value in weights.items()}, path)
    program.modules["model"].load_weights(program.model, path)
    return program


def distance(received: np.ndarray, expected: np.ndarray) -> float:
    assert received.shape == expected.shape
    return float(np.abs(received - expected).max() / np.abs(expected).max())


def images(size: int, dtype: str, count: int = 2) -> np.ndarray:
    return np.random.default_rng(5).uniform(-1, 1, (count, size, size, 3)).astype(dtype)


@pytest.mark.parametrize(("dtype", "size"), quick_and_slow)
@pytest.mark.parametrize(
    ("spec", "name"),
    by_turns(["inception_v3", "xception"], always=(), frameworks=("keras", "torch", "flax")),
)
def test_keras(name, spec, dtype, size, tmp_path, record_property):
    analysis, files = compiled(spec, name)
    with published.keras_precision(dtype) as keras:
        make = {"xception": keras.applications.Xception,
                "inception_v3": keras.applications.InceptionV3}[spec]  # fmt: skip
        model = make(weights=None, classifier_activation=None, input_shape=(size, size, 3))
        published.randomize(model)
        x = images(size, dtype)
        expected = np.asarray(model(x, training=False))
        weights = published.keras_weights(model, analysis)
        keras.backend.clear_session()
    assert expected.dtype == dtype
    found = distance(loaded(files, name, weights, dtype, tmp_path).run(x)[0], expected)
    record_property("distance", found)
    print(f"{name} {spec} {size} {dtype}: {found:.2e}")
    assert found <= TOLERANCE[dtype]


#: A name of keras.applications and pixels, many of them as few as the network takes. An odd size
#: is where padding by hand differs from `same`.
FAMILIES = {
    "vgg16": ("VGG16", 64),
    "resnet50": ("ResNet50", 64),
    "resnet101": ("ResNet101", 64),
    "resnet152": ("ResNet152", 64),
    "resnet50_v2": ("ResNet50V2", 75),
    "resnet101_v2": ("ResNet101V2", 64),
    "resnet152_v2": ("ResNet152V2", 64),
    "mobilenet": ("MobileNet", 75),
    "mobilenet_v2": ("MobileNetV2", 75),
    "mobilenet_v3_small": ("MobileNetV3Small", 75),
    "mobilenet_v3_large": ("MobileNetV3Large", 75),
    "densenet121": ("DenseNet121", 75),
    "densenet169": ("DenseNet169", 64),
    "densenet201": ("DenseNet201", 64),
    "convnext_tiny": ("ConvNeXtTiny", 75),
    "convnext_small": ("ConvNeXtSmall", 64),
    "vgg19": ("VGG19", 64),
    "efficientnet_b0": ("EfficientNetB0", 75),
    "efficientnet_b1": ("EfficientNetB1", 64),
    "efficientnet_b2": ("EfficientNetB2", 64),
    "inception_resnet_v2": ("InceptionResNetV2", 75),
    "nasnet_mobile": ("NASNetMobile", 64),
}
#: Of those that take images of 0 to 255.
PIXELS = {"efficientnet_b0", "efficientnet_b1", "efficientnet_b2"}
#: What else the author's function is told.
TOLD = {
    spec: {"include_preprocessing": False}
    for spec in ("mobilenet_v3_small", "mobilenet_v3_large", "convnext_tiny", "convnext_small")
}
QUICK = {("torch", "mobilenet")}
families = [
    pytest.param(name, spec, marks=[] if (name, spec) in QUICK else pytest.mark.slow)
    for spec in FAMILIES
    for name in ("torch", "keras", "flax")
]


@pytest.mark.parametrize(("name", "spec"), families)
def test_keras_families(name, spec, tmp_path, record_property):
    theirs, size = FAMILIES[spec]
    analysis, files = compiled(spec, name, f"input.shape=[{size}, {size}, 3]")
    for dtype, limit in TOLERANCE.items():
        with published.keras_precision(dtype) as keras:
            model = getattr(keras.applications, theirs)(
                weights=None,
                classifier_activation=None,
                input_shape=(size, size, 3),
                **TOLD.get(spec, {}),
            )
            published.randomize(model, rest=True)
            weights = published.keras_weights(model, analysis)
            published.exact_gelu(model)
            x = images(size, dtype)
            if spec in PIXELS:
                x = 127.5 * (x + 1)
            expected = np.asarray(model(x, training=False))
            keras.backend.clear_session()
        found = distance(loaded(files, name, weights, dtype, tmp_path).run(x)[0], expected)
        record_property(dtype, found)
        print(f"{name} {spec} {size} {dtype}: {found:.2e}")
        assert found <= limit


def randomize(model: torch.nn.Module) -> None:
    """Give norms of a PyTorch model statistics, scales and offsets that differ, and biases."""
    rng, of_biases = np.random.default_rng(3), np.random.default_rng(4)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear) and module.bias is not None:
            values = of_biases.uniform(-0.5, 0.5, module.bias.shape)
            if not module.bias.any():  # of those that start at zero
                module.bias.data.copy_(torch.from_numpy(values))
        if isinstance(module, torch.nn.LayerNorm):
            module.weight.data.copy_(torch.from_numpy(rng.uniform(0.5, 1.5, module.weight.shape)))
            module.bias.data.copy_(torch.from_numpy(rng.uniform(-0.5, 0.5, module.bias.shape)))
        if isinstance(module, torch.nn.BatchNorm2d):
            for name in ("weight", "running_var"):
                values = rng.uniform(0.5, 1.5, module.num_features)
                getattr(module, name).data.copy_(torch.from_numpy(values))
            for name in ("bias", "running_mean"):
                values = rng.uniform(-0.5, 0.5, module.num_features)
                getattr(module, name).data.copy_(torch.from_numpy(values))


#: A library and its name of the model, pixels, and settings that the form takes.
TORCH_FAMILIES = {
    "resnet18": ("torchvision", "resnet18", 97),
    "resnet34": ("torchvision", "resnet34", 97),
    "resnet50_torchvision": ("torchvision", "resnet50", 97),
    "resnet101_torchvision": ("torchvision", "resnet101", 97),
    "resnet152_torchvision": ("torchvision", "resnet152", 97),
    "resnext50_32x4d": ("torchvision", "resnext50_32x4d", 97),
    "wide_resnet50_2": ("torchvision", "wide_resnet50_2", 97),
    "squeezenet1_0": ("torchvision", "squeezenet1_0", 111),
    "squeezenet1_1": ("torchvision", "squeezenet1_1", 111),
    "shufflenet_v2": ("torchvision", "shufflenet_v2_x1_0", 97),
    "shufflenet_v2_x0_5": ("torchvision", "shufflenet_v2_x0_5", 97),
    "shufflenet_v2_x1_5": ("torchvision", "shufflenet_v2_x1_5", 97),
    "shufflenet_v2_x2_0": ("torchvision", "shufflenet_v2_x2_0", 97),
    "regnet_x_400mf": ("torchvision", "regnet_x_400mf", 97),
    "regnet_x_800mf": ("torchvision", "regnet_x_800mf", 97),
    "regnet_x_1_6gf": ("torchvision", "regnet_x_1_6gf", 97),
    "regnet_x_3_2gf": ("torchvision", "regnet_x_3_2gf", 97),
    "regnet_x_8gf": ("torchvision", "regnet_x_8gf", 97),
    "regnet_y_400mf": ("torchvision", "regnet_y_400mf", 97),
    "regnet_y_800mf": ("torchvision", "regnet_y_800mf", 97),
    "regnet_y_1_6gf": ("torchvision", "regnet_y_1_6gf", 97),
    "regnet_y_3_2gf": ("torchvision", "regnet_y_3_2gf", 97),
    "regnet_y_8gf": ("torchvision", "regnet_y_8gf", 97),
    "googlenet": ("torchvision", "googlenet", 96),
    "retinanet_resnet50": ("torchvision", "retinanet_resnet50_fpn", 128),  # halved seven times
    "inception_v4": ("timm", "inception_v4", 139),
    "darknet53": ("timm", "darknet53", 97, "slope=0.01"),
    "cspdarknet53": ("timm", "cspdarknet53", 97),
    "cspresnet50": ("timm", "cspresnet50", 97),
    "hrnet_w18_small": ("timm", "hrnet_w18_small", 96),
    "hrnet_w18": ("timm", "hrnet_w18", 96),
    "resnet50d": ("timm", "resnet50d", 97),
    "seresnet50": ("timm", "seresnet50", 97),
    "repvgg_a0": ("timm", "repvgg_a0", 97),
    "ghostnet": ("timm", "ghostnet_100", 97),
    "xception41": ("timm", "xception41", 97),
    "xception65": ("timm", "xception65", 97),
    "efficientnet_lite0": ("timm", "tf_efficientnet_lite0", 97),
    "vit_tiny": ("timm", "vit_tiny_patch16_224", 224),  # of this size alone
}
#: What else the library's function is told.
TORCH_TOLD: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": False},
    "vit_tiny_patch16_224": {"class_token": False, "global_pool": "avg"},
}


def torch_model(library: str, name: str) -> torch.nn.Module:
    """A published model without its weights; neither library is installed for the tests.

    Both want the PyTorch that they were built for; docs/equality.md says how they come beside ours.
    """
    models, told = published.import_torchvision(), TORCH_TOLD.get(name, {})
    if library == "timm":
        return pytest.importorskip("timm").create_model(name, **told)
    if name.startswith("retinanet"):
        detector = getattr(models.detection, name)(weights=None, weights_backbone=None)
        return published.maps(detector)
    return getattr(models, name)(weights=None, **told)


@pytest.mark.parametrize("name", ["torch", "keras", "flax"])
@pytest.mark.parametrize("spec", TORCH_FAMILIES)
@pytest.mark.slow
def test_torch_families(name, spec, tmp_path, record_property):
    library, theirs, size, *settings = TORCH_FAMILIES[spec]
    analysis, files = compiled(spec, name, *settings, f"input.shape=[{size}, {size}, 3]")
    for dtype, limit in TOLERANCE.items():
        torch.manual_seed(0)
        model = torch_model(library, theirs).to(getattr(torch, dtype))
        randomize(model)
        weights = take(analysis, TorchModule(model)).arrays
        x = images(size, dtype)
        with torch.no_grad():
            expected = model.eval()(torch.from_numpy(x).permute(0, 3, 1, 2))
        expected = [expected] if isinstance(expected, torch.Tensor) else expected
        images_last = [y.permute(0, 2, 3, 1) if y.ndim == 4 else y for y in expected]
        outputs = loaded(files, name, weights, dtype, tmp_path).run(x)
        pairs = zip(outputs, images_last, strict=True)
        found = max(distance(own, other.numpy()) for own, other in pairs)
        record_property(dtype, found)
        print(f"{name} {library} {theirs} {size} {dtype}: {found:.2e}")
        assert found <= limit


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        pytest.param("float64", 299, marks=pytest.mark.slow),
        pytest.param("float32", 299, marks=pytest.mark.slow),
        pytest.param("float64", 331, marks=pytest.mark.slow),
    ],
)
def test_torchvision_inception(dtype, size, tmp_path, record_property):
    """Evaluation and training mode, the auxiliary tower and a gradient that both losses reach.

    The tower's 5×5 convolution needs the 17×17 images that 299 pixels give, or larger ones.
    """
    models = published.import_torchvision()
    analysis, files = compiled(
        "inception_v3",
        "torch",
        "bn_scale=true",
        "count_border=true",
        "auxiliary=true",
        "dropout=0.0",
    )
    torch.manual_seed(0)
    theirs = models.inception_v3(
        weights=None, init_weights=False, transform_input=False, dropout=0.0
    ).to(getattr(torch, dtype))
    randomize(theirs)
    weights = published.torch_weights(theirs, analysis)
    program = loaded(files, "torch", weights, dtype, tmp_path)
    x = images(size, dtype)
    batch = torch.from_numpy(x).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = theirs.eval()(batch).numpy()
    found = {"evaluation": distance(program.run(x)[0], expected)}
    theirs.train()
    program.model.train()
    wanted, got = theirs(batch), program.model(batch)
    pairs = {"logits": wanted.logits, "auxiliary": wanted.aux_logits}
    for name, value in pairs.items():
        found[name] = distance(got[name].detach().numpy(), value.detach().numpy())
    (wanted.logits.square().mean() + 0.4 * wanted.aux_logits.square().mean()).backward()
    (got["logits"].square().mean() + 0.4 * got["auxiliary"].square().mean()).backward()
    first = next(p for name, p in theirs.named_parameters() if "Conv2d_1a" in name)
    ours = program.model.stem.conv_bn.conv.weight
    gradient = distance(ours.grad.numpy(), first.grad.numpy())
    record_property("distances", found)
    print(f"torchvision {size} {dtype}: {found}, first kernel's gradient {gradient:.2e}")
    if dtype == "float64":
        assert gradient <= 1e-9
        assert max(found.values()) <= TOLERANCE[dtype]
    else:  # batch statistics of two images lose digits in float32
        assert found["evaluation"] <= TOLERANCE[dtype]
