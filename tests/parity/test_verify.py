"""Ports of a network by hand, each with a fault, held to the spec that they are to be of."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from xgraph.cli import main
from xgraph.importing.network import Refused
from xgraph.parity import verify
from xgraph.parity.process import Worker

from ..mutants.ports import FAULTS, RECIPE, SPEC, port, sgd
from .test_compare import sabotage


@pytest.fixture(scope="module")
def workers():
    found = {"torch": Worker("torch")}
    yield found
    for worker in found.values():
        worker.close()


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "plain.yaml").write_text(RECIPE)
    path = tmp_path / "port.yaml"
    path.write_text(SPEC)
    return str(path)


def held(spec, model, workers, **more):
    return verify(spec, model, backends=list(workers), workers=workers, **more)


def test_a_port_that_is_right(spec, workers):
    model = port()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = held(spec, model, workers)
    assert report.agree, report
    assert report.first is None
    quantities = [m.quantity for m in report.measurements]
    assert quantities == ["evaluation output", "training output", "gradients of weights",
                          "gradient of images", "moving statistics"]  # fmt: skip
    assert max(m.distance for m in report.measurements) <= 1e-13
    assert "and in numbers" in str(report)
    # it is somebody's, and stays as it was
    assert model.training
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_and_its_place(fault, spec, workers):
    made, node, theirs, what = FAULTS[fault]
    report = held(spec, made(), workers)
    assert not report.agree
    first = report.first
    assert (first.node, first.theirs) == (node, theirs)
    assert what in first.what
    assert first.node == "" or first.place.startswith(f"{spec}:")
    assert str(first) in str(report)
    assert report.to_json()["agree"] is False


def test_training_steps_too(spec, workers, tmp_path):
    asked = {"recipe": str(tmp_path / "plain.yaml"), "steps": 3, "batch": 4}
    report = held(spec, port(), workers, training=sgd(momentum=0.9), **asked)
    assert report.agree, report
    after = {m.quantity: m.distance for m in report.measurements if m.quantity.endswith("steps")}
    assert after.keys() == {"weights after steps", "statistics after steps"}
    assert max(after.values()) <= 1e-12
    assert "after 3 steps" in str(report)
    for wrong in (sgd(momentum=0.9, nesterov=True), sgd(momentum=0.9, weight_decay=1e-4)):
        report = held(spec, port(), workers, training=wrong, **asked)
        assert {m.quantity for m in report.measurements if not m.agree} >= {"weights after steps"}
        assert not report.agree
        assert report.chaotic is False


def test_steps_need_a_training(spec):
    with pytest.raises(Refused, match="give both, or none"):
        verify(spec, port(), steps=2)
    with pytest.raises(Refused, match="give both, or none"):
        verify(spec, port(), training=sgd())


def keras_port(keras, epsilon=1e-3):
    """The same with Keras' layers, and a softmax at the end."""
    layers = keras.layers

    def conv(x, filters, size=3, **more):
        x = layers.ZeroPadding2D(1)(x) if size == 3 else x
        return layers.Conv2D(filters, size, use_bias=False, **more)(x)

    def norm(x, epsilon=1e-3):
        return layers.BatchNormalization(momentum=0.9, epsilon=epsilon)(x)

    images = keras.Input((16, 16, 3))
    x = layers.ReLU()(norm(conv(images, 8)))
    y = layers.ReLU()(norm(conv(x, 8, groups=2)))
    x = layers.ReLU()(layers.Add()([norm(conv(y, 8)), x]))
    y = layers.Activation("relu")(norm(conv(x, 12, 1)))
    y = norm(conv(y, 12, strides=2), epsilon)
    x = layers.ReLU()(layers.Add()([y, norm(conv(x, 12, 1, strides=2))]))
    left = layers.Conv2D(6, 1, use_bias=False, activation="relu")(x)
    right = conv(layers.AveragePooling2D(3, 1, padding="same")(x), 6, 1)
    x = layers.GlobalAveragePooling2D()(layers.Concatenate()([left, right]))
    x = layers.Dropout(0.2)(x)
    return keras.Model(images, layers.Dense(5, activation="softmax", name="top")(x))


class Leaving(nn.Module):
    """A port that ends the program where it is trained."""

    def __init__(self):
        super().__init__()
        self.port = port()

    def forward(self, x):
        if self.training:
            raise SystemExit(0)
        return self.port(x)


def test_code_that_ends_the_program_is_a_refusal(spec, workers):
    with pytest.raises(Refused, match="the model cannot be run: SystemExit"):
        held(spec, Leaving(), workers)


def test_a_training_that_fails_is_told_as_that(spec, workers, tmp_path):
    def training(model):
        raise ValueError("no such rate")

    asked = {"recipe": str(tmp_path / "plain.yaml"), "steps": 1, "training": training}
    with pytest.raises(Refused, match="is not trained by --training: ValueError: no such rate"):
        held(spec, port(), workers, **asked)


class Dropping(nn.Module):
    """What drops, and is of no class that is known for it."""

    def __init__(self, p):
        super().__init__()
        self.port, self.p = port(), p

    def forward(self, x):
        if self.training and torch.rand(()) < self.p:
            return self.port(0 * x)
        return self.port(x)


def test_whatever_is_drawn_is_told(spec, workers):
    """Also if it is drawn seldom: here, never."""
    report = held(spec, Dropping(0.0), workers)
    assert not report.agree
    assert "draws at random" in report.first.what


class Normalized(nn.Module):
    """Mean and deviation as buffers, which are of float32."""

    def __init__(self):
        super().__init__()
        self.port = port()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, x):
        return self.port((x - self.mean) / self.std)


def test_numbers_that_float32_has_rounded(tmp_path, workers):
    normalize = "images: [{normalize: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}}]"
    path = tmp_path / "normalized.yaml"
    path.write_text(SPEC.replace("graph:\n", f"graph:\n  {normalize}\n"))
    with torch.no_grad():  # which is whoever's calls it
        report = held(str(path), Normalized(), workers)
    assert report.agree, report
    assert "float32 has rounded" in report.notes[0]
    assert {m.limit for m in report.measurements} == {1e-6}


def test_what_keras_has_beside_a_network(spec, workers):
    import keras

    model = keras_port(keras)
    model.layers[-1].kernel_regularizer = keras.regularizers.L2(1e-4)
    drawn = random.getstate()
    report = held(spec, model, workers)
    assert random.getstate() == drawn
    assert report.first.what == "it has top: kernel_regularizer, which no spec has"
    noisy = keras.Model(model.input, keras.layers.GaussianNoise(0.5)(model.output))
    report = held(spec, noisy, workers)
    assert any("draws at random" in one.what for one in report.in_training)


def test_a_model_of_keras(spec, workers, tmp_path):
    import keras

    def training(model):
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        model.compile(optimizer, "sparse_categorical_crossentropy")
        return model.train_on_batch

    asked = {"recipe": str(tmp_path / "plain.yaml"), "steps": 3, "batch": 4}
    report = held(spec, keras_port(keras), workers, training=training, **asked)
    assert report.agree, report
    assert max(m.distance for m in report.measurements) <= 1e-12
    assert len(report.measurements) == 7
    report = held(spec, keras_port(keras, epsilon=1e-5), workers)
    assert report.first.node == "stage.batch_norm_4"
    assert "epsilon 0.001 here, 1e-05 there" in report.first.what


def flax_port(detached=False, groups=2):
    """The same in Flax."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    rngs = nnx.Rngs(0)

    def conv(given, filters, size=3, stride=1, groups=1):
        return nnx.Conv(given, filters, (size, size), strides=stride, padding=size // 2,
                        use_bias=False, feature_group_count=groups, rngs=rngs)  # fmt: skip

    def norm(channels):
        return nnx.BatchNorm(channels, momentum=0.9, epsilon=1e-3, rngs=rngs)

    class Flax(nnx.Module):
        def __init__(self):
            self.stem, self.stem_norm = conv(3, 8), norm(8)
            self.conv1, self.norm1 = conv(8, 8, groups=groups), norm(8)
            self.conv2, self.norm2 = conv(8, 8), norm(8)
            self.reduce, self.norm3 = conv(8, 12, 1), norm(12)
            self.down, self.norm4 = conv(12, 12, stride=2), norm(12)
            self.shortcut, self.norm5 = conv(8, 12, 1, 2), norm(12)
            self.left, self.right = conv(12, 6, 1), conv(12, 6, 1)
            self.drop = nnx.Dropout(0.2, rngs=rngs)
            self.classifier = nnx.Linear(12, 5, rngs=rngs)

        def __call__(self, x):
            x = nnx.relu(self.stem_norm(self.stem(x)))
            y = nnx.relu(self.norm1(self.conv1(x)))
            x = nnx.relu(self.norm2(self.conv2(y)) + x)
            y = self.norm4(self.down(nnx.relu(self.norm3(self.reduce(x)))))
            x = jax.lax.stop_gradient(x) if detached else x
            x = nnx.relu(y + self.norm5(self.shortcut(x)))
            pooled = nnx.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)
            x = jnp.concatenate([nnx.relu(self.left(x)), self.right(pooled)], axis=-1)
            return self.classifier(self.drop(x.mean((1, 2))))

    return Flax()


def test_a_module_of_flax(spec, workers, tmp_path):
    import optax
    from flax import nnx

    def training(model):
        optimizer = nnx.Optimizer(model, optax.sgd(0.1, momentum=0.9), wrt=nnx.Param)

        def loss_of(model, images, labels):
            logits = model(images)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        @nnx.jit
        def step(model, optimizer, images, labels):
            optimizer.update(model, nnx.grad(loss_of)(model, images, labels))

        return lambda images, labels: step(model, optimizer, images, labels)

    asked = {"recipe": str(tmp_path / "plain.yaml"), "steps": 3, "batch": 4}
    report = held(spec, flax_port(), workers, training=training, **asked)
    assert report.agree, report
    assert max(m.distance for m in report.measurements) <= 1e-12
    assert len(report.measurements) == 7
    report = held(spec, flax_port(groups=4), workers)
    assert (report.first.node, report.first.theirs) == ("stage.conv", "conv1")
    report = held(spec, flax_port(detached=True), workers)
    assert (report.first.node, report.first.theirs) == ("stage.batch_norm_2", "norm2")
    assert "gradients of weights" in report.first.what


def test_casts_of_flax_are_nothing(spec, workers):
    import jax
    import jax.numpy as jnp
    from flax import nnx

    class Cast(nnx.Module):
        def __init__(self, kind):
            self.port, self.kind = flax_port(), kind

        def __call__(self, x):
            return self.port(x.astype(self.kind)).astype(self.kind)

    report = held(spec, flax_port(), workers)
    assert report.of_numbers == ()
    report = held(spec, Cast("float32"), workers)
    assert report.agree, report
    assert len(report.measurements) == 5
    assert max(m.distance for m in report.measurements) <= 1e-12
    assert "its code casts to float32" in report.of_numbers[0]
    with jax.enable_x64(True):  # where it is not run, a cast is one
        assert jnp.ones(3).astype("float32").dtype == "float32"
        assert jax.jit(lambda x: x.astype("float32"))(jnp.ones(3)).dtype == "float32"
    with pytest.raises(Refused, match="makes bfloat16"):
        held(spec, Cast("bfloat16"), workers)


def test_a_file_of_onnx(spec, workers, tmp_path):
    model = port().train(False)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.uniform_(-0.5, 0.5)
                part.running_var.uniform_(0.0, 0.001)  # what epsilon is has a say
    path = str(tmp_path / "port.onnx")
    torch.onnx.export(model, (torch.zeros(2, 3, 16, 16),), path, dynamo=False, verbose=False,
                      training=torch.onnx.TrainingMode.PRESERVE,
                      do_constant_folding=False)  # fmt: skip
    for own in (False, True):
        report = held(spec, path, workers, own_weights=own)
        assert report.agree, report
        assert [m.quantity for m in report.measurements] == ["evaluation output"]
        assert report.measurements[0].distance <= 1e-12
    assert "says nothing of dropout" in report.notes[-1]
    with pytest.raises(Refused, match="cannot be trained"):
        held(spec, path, workers, training=sgd(), steps=1)


def test_a_program_at_fault(spec, workers, monkeypatch):
    """The port is right; a backend's program is not."""
    sabotage(monkeypatch, "torch", "count_include_pad=False", "count_include_pad=True")
    report = held(spec, port(), workers)
    assert not report.differences
    assert "evaluation output" in {m.quantity for m in report.measurements if not m.agree}
    assert report.first.node == "stage.avg_pool"
    assert report.first.theirs == "pool"


MODULE = """from tests.mutants.ports import Down, port, sgd

training = sgd(momentum=0.9)

def build():
    return port()

def wrong():
    model = port()
    model.down = Down((2, 1))
    return model
"""


def test_the_command(spec, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_port.py").write_text(MODULE)
    told = ["verify", "port.yaml", "torch:my_port:build", "--backends", "torch"]
    steps = ["--recipe", "plain.yaml", "--steps", "2", "--training", "my_port:training"]
    assert main([*told, *steps]) == 0
    assert "torch:my_port:build is the network of port" in capsys.readouterr().out
    assert main(["verify", "port.yaml", "torch:my_port:wrong", "--layers-only"]) == 1
    said = capsys.readouterr().out
    assert "stage.conv_3 (conv) is not down.reduce: stride (1, 1) here, (2, 2) there" in said
    assert "port.yaml:13" in said
    assert main([*told, "--layers-only", *steps]) == 1
    assert "computes nothing" in capsys.readouterr().err
    assert main(["verify", "port.yaml", "torch:my_port:build", "--backends", ""]) == 1
    assert "names none" in capsys.readouterr().err
    assert main([*told, "--steps", "2", "--training", "my_port:none"]) == 1
    assert "--training my_port:none: AttributeError" in capsys.readouterr().err


def test_moving_variance_of_pytorch_is_that_of_all(spec, workers):
    """PyTorch's batch norm scales it by n/(n − 1); the port's own is found out by that."""
    model = port()

    def scale(part: nn.Module, given: object, made: object) -> None:
        if part.training:
            part.running_var.data.mul_(1.0001)

    model.stem[1].register_forward_hook(scale)
    report = held(spec, model, workers)
    wrong = [m for m in report.measurements if not m.agree]
    assert [m.quantity for m in wrong] == ["moving statistics"]
    assert wrong[0].tensor == "stem.batch_norm.moving_variance"
    assert np.isclose(wrong[0].distance, 1e-4, rtol=0.1)
