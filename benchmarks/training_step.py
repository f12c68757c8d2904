"""One training step of the generated Xception against its peer in the same framework.

    python benchmarks/training_step.py --backend torch|keras|flax [--batch 2] [--rounds 5]

The peers are timm's `legacy_xception`, `keras.applications.Xception` under `fit`, and a plain NNX
Xception (`nnx_xception.py`). They and the generated model are trained by the same loop, with
momentum alone; the whole program by its own updates, with weight decay, a moving average and what
it does about memory. Each measurement is a process of its own; the three take turns, and ratios to
the peer are taken round by round. `--compile` compiles all of them.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from itertools import repeat
from pathlib import Path

PEERS = {"torch": "timm", "keras": "keras.applications", "flax": "hand-written NNX"}
GENERATED = Path(__file__).parents[1] / "generated" / "xception"
CONTENDERS = ("model", "program", "peer")


def generated_model(backend, which):
    sys.path.insert(0, str(GENERATED / backend))
    if which == "program":  # as its run begins
        from run import reuse_memory

        reuse_memory()
    from model import create_model

    return create_model()


def program():
    """Module train of the program, and a plan for its rates."""
    import train
    from run import Plan

    return train, Plan(32, 40_000, 4_000_000, train.LEARNING_RATE)


def timed(step, count):
    """Seconds of each of so many steps, and two before."""
    times = []
    for _ in range(count + 2):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return times


def torch_steps(which, options):
    """Seconds of each step, and the peak memory in MiB that PyTorch itself counts, if it does."""
    import torch
    import torch.nn.functional as F

    torch.manual_seed(0)
    from torch_peers import timm_model

    model = timm_model("legacy_xception") if which == "peer" else generated_model("torch", which)
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    device = torch.device(options.device)
    model = model.to(device, memory_format=layout).train()
    images = torch.randn(options.batch, 3, options.size, options.size, device=device)
    images = images.contiguous(memory_format=layout)
    labels = torch.randint(0, 1000, (options.batch,), device=device)
    if which == "program":
        train, plan = program()
        training = train.Training(model, options.compile)
        update = train.updates(training, repeat((images, labels)), plan).__next__
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.045, momentum=0.9)
        forward = torch.compile(model) if options.compile else model

        def update():
            with torch.autocast(device.type, torch.bfloat16, enabled=options.bfloat16):
                loss = F.cross_entropy(forward(images), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    def step():
        update()
        if device.type == "cuda":
            torch.cuda.synchronize()

    times = timed(step, options.steps)
    peak = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else None
    return times, peak


def keras_steps(which, options):
    """Seconds of each batch of a `fit`, both models compiled alike."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import numpy as np

    if which == "peer":
        model = keras.applications.Xception(weights=None, classifier_activation=None)
    else:
        model = generated_model("keras", which)
    count = options.steps + 2
    random = np.random.default_rng(0)
    images = random.standard_normal((options.batch * count, options.size, options.size, 3), "f")
    labels = random.integers(0, 1000, options.batch * count)
    times = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.start = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            times.append(time.perf_counter() - self.start)

    if which == "program":
        train, plan = program()

        class Batches(keras.utils.PyDataset):
            def __len__(self):
                return count

            def __getitem__(self, index):
                part = slice(index * options.batch, (index + 1) * options.batch)
                return images[part], labels[part]

        training = train.Training(model, plan, options.compile)
        train.fit(training, Batches(), callbacks=[Clock()])
        return times, None
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.045, momentum=0.9), loss, jit_compile=options.compile)
    model.fit(images, labels, options.batch, verbose=0, callbacks=[Clock()])
    return times, None


def flax_steps(which, options):
    """Seconds of each step, both models under the same jit-compiled function."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    from flax import nnx

    if which == "peer":
        from nnx_xception import Xception

        model = Xception(rngs=nnx.Rngs(0))
    else:
        model = generated_model("flax", which)
    random = np.random.default_rng(0)
    images = jnp.asarray(
        random.standard_normal((options.batch, options.size, options.size, 3), "f")
    )
    labels = jnp.asarray(random.integers(0, 1000, options.batch))
    if which == "program":
        train, plan = program()
        update = train.updates(train.Training(model), repeat((images, labels)), plan).__next__
    else:
        model.train()
        optimizer = nnx.Optimizer(model, optax.sgd(0.045, momentum=0.9), wrt=nnx.Param)

        @nnx.jit(donate_argnames=("model", "optimizer"))
        def take(model, optimizer, images, labels):
            def loss_of(model):
                logits = model(images)
                return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

            loss, gradients = nnx.value_and_grad(loss_of)(model)
            optimizer.update(model, gradients)
            return loss

        def update():
            return take(model, optimizer, images, labels)

    return timed(lambda: jax.block_until_ready(update()), options.steps), None


STEPS = {"torch": torch_steps, "keras": keras_steps, "flax": flax_steps}


def worker(which, options):
    """Print median seconds of a step, the first two left out, and the process' peak memory."""
    times, peak = STEPS[options.backend](which, options)
    if peak is None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": statistics.median(times[2:]), "peak_mib": peak}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=tuple(PEERS), default="torch")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--size", type=int, default=299)
    parser.add_argument("--steps", type=int, default=5, help="timed steps in each process")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="of PyTorch")
    parser.add_argument(
        "--bfloat16", action="store_true", help="PyTorch's autocast, of model and peer"
    )
    parser.add_argument("--channels-last", action="store_true", help="PyTorch's memory format")
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile, Keras' jit_compile; Flax always is"
    )
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options)
        return
    # The program's precision is its recipe's, and it is compiled in float32.
    taking_part = [one for one in CONTENDERS if one != "program" or not options.bfloat16]
    results = {which: [] for which in taking_part}
    for _ in range(options.rounds):
        for which, found in results.items():
            command = [sys.executable, __file__, *sys.argv[1:], "--worker", which]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    print(f"the peer is {PEERS[options.backend]}")
    for key, unit in (("seconds", "s"), ("peak_mib", "MiB")):
        columns = {which: [one[key] for one in found] for which, found in results.items()}
        for which, found in columns.items():
            ratios = [a / b for a, b in zip(found, columns["peer"], strict=True)]
            print(
                f"{key}: {which} {statistics.median(found):.3f} {unit}, to the peer's "
                f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
            )


if __name__ == "__main__":
    main()
