"""A small convolutional net with every kind of weight: the network of tests/training/standin."""

import keras
from keras import layers
from layers import Dropout
from weights import initialize, load_weights, save_weights

__all__ = ["INPUT_SHAPE", "create_model", "load_weights", "save_weights"]

INPUT_SHAPE = (16, 16, 3)
CLASSES = 4


def norm(name, **options):
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=name, **options)


def block(x, channels, name):
    y = layers.ReLU(name=f"{name}-relu")(x)
    y = layers.SeparableConv2D(
        channels, 3, depth_multiplier=2, padding="same", name=f"{name}-sepconv"
    )(y)
    y = norm(f"{name}-norm", scale=False)(y)
    return layers.Add(name=f"{name}-add")([x, y])


def create_model(seed=0):
    images = keras.Input(INPUT_SHAPE, name="images")
    x = layers.ZeroPadding2D(1, name="pad")(images)
    x = layers.Conv2D(16, 3, strides=2, use_bias=False, name="stem")(x)
    x = layers.ReLU(name="relu")(norm("stem_norm")(x))
    for i in range(2):
        x = block(x, 16, f"blocks-{i}")
    x = layers.Conv2D(24, 3, groups=2, activation="relu", name="grouped")(x)
    x = layers.DepthwiseConv2D(3, activation="relu", name="depthwise")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = Dropout(0.2, name="dropout")(x)
    model = keras.Model(images, layers.Dense(CLASSES, name="classifier")(x), name="standin")
    initialize(model, seed)
    return model
