"""What dropout costs whose mask is the same in any framework, in multiples of the framework's own.

    python benchmarks/dropout.py --backend torch|keras|flax [--rounds 21]

Forward and back in training, float32, on what Xception has before its classifier and on a batch of
images. In Keras and Flax both are compiled, as in training; in PyTorch first as they are.
"""

import argparse
import runpy
import statistics
import time
from pathlib import Path

import numpy as np

SHAPES = ((32, 2048), (32, 35, 35, 192))
RATE = 0.5
LAYERS = Path(__file__).parents[1] / "backends"


def seconds(function, argument):
    """Of one call, all of which is waited for."""
    start = time.perf_counter()
    function(argument)
    return time.perf_counter() - start


def in_torch(shape):
    """(what is measured, its peer, their argument, the name) of each way to run."""
    import torch

    own = runpy.run_path(str(LAYERS / "pytorch/layers.py"))["Dropout"](RATE).train()
    peer = torch.nn.Dropout(RATE).train()
    x = torch.randn(shape).movedim(-1, 1).requires_grad_()

    def passes(layer):
        return lambda x: torch.autograd.grad(layer(x).sum(), x)

    yield passes(own), passes(peer), x, "PyTorch"
    yield passes(torch.compile(own)), passes(torch.compile(peer)), x, "PyTorch, compiled"


def in_keras(shape):
    """See `in_torch`; on TensorFlow."""
    import keras
    import tensorflow as tf

    own = runpy.run_path(str(LAYERS / "keras3/layers.py"))["Dropout"](RATE)
    peer = keras.layers.Dropout(RATE)

    def passes(layer):
        @tf.function
        def both(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.reduce_sum(layer(x, training=True))
            return tape.gradient(y, x)

        return lambda x: both(x).numpy()

    yield passes(own), passes(peer), tf.random.normal(shape), "Keras on TensorFlow"


def in_flax(shape):
    """See `in_torch`."""
    import jax
    from flax import nnx

    own = runpy.run_path(str(LAYERS / "flax_nnx/layers.py"))["Dropout"](RATE)
    peer = nnx.Dropout(RATE, rngs=nnx.Rngs(0))

    def passes(layer):
        @nnx.jit
        def both(layer, x):
            return nnx.grad(lambda layer, x: layer(x).sum(), argnums=1)(layer, x)

        return lambda x: both(layer, x).block_until_ready()

    x = jax.numpy.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))
    yield passes(own), passes(peer), x, "Flax NNX"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ways = {"torch": in_torch, "keras": in_keras, "flax": in_flax}
    parser.add_argument("--backend", choices=ways, required=True)
    parser.add_argument("--rounds", type=int, default=21)
    arguments = parser.parse_args()
    for shape in SHAPES:
        for own, peer, x, name in ways[arguments.backend](shape):
            pairs = [(seconds(own, x), seconds(peer, x)) for _ in range(arguments.rounds + 2)][2:]
            ratio = statistics.median(a / b for a, b in pairs)
            mine, other = (1e3 * statistics.median(times) for times in zip(*pairs, strict=True))
            print(f"{name} {shape}: {mine:.2f} ms, {ratio:.1f} times the {other:.2f} ms of its own")


if __name__ == "__main__":
    main()
