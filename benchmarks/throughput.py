"""Images a second and working memory of training: programs, public networks, Table 3's ratio.

    python benchmarks/throughput.py --framework NAME [--device cuda --precision bfloat16]

Xception and Inception V3 of a framework are trained in one process, taking turns, by one loop: the
generated model and its peers under the same momentum, the whole program under its own `updates`
(weight decay, moving average and all). Each contender is timed over several batches at a time, in
turns; the figure is the median of the rounds. Batches lie on the device. Several of these processes
may compile beside each other, and then measure one at a time: `--turns FOLDER --parties N`.

A line of JSON for each contender goes to `--output`; a table is printed.
"""

import argparse
import contextlib
import gc
import json
import os
import statistics
import sys
import time
from itertools import repeat
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Spec → recipe.
NETWORKS = {"xception": "imagenet", "inception_v3": "imagenet_inception"}
SIZE, CLASSES, RATE, MOMENTUM = 299, 1000, 0.045, 0.9


def load_program(spec, backend, precision):
    """The modules of the generated program, by name."""
    sys.path.insert(0, str(ROOT))
    from xgraph import backend as backends
    from xgraph.compile import compile_spec
    from xgraph.programs import import_files

    settings = () if precision == "float32" else (f"recipe.precision={precision}",)
    _, files = compile_spec(spec, backends.get(backend), settings, NETWORKS[spec])
    modules = import_files(files)
    sys.modules.update(modules)  # torch.compile looks up what code has imported
    return modules


def plan_of(train):
    return train.Plan(batch_size=32, steps_per_epoch=40_000, total_steps=4_000_000,
                      rate=train.LEARNING_RATE)  # fmt: skip


# -- PyTorch ---------------------------------------------------------------------------------------


class Torch:
    """Contenders in PyTorch; channels_last, autocast, momentum by torch.optim."""

    modes = ("eager", "compiled")

    def __init__(self, options):
        import torch

        self.torch, self.options = torch, options
        self.device = torch.device(options.device)
        torch.backends.cudnn.benchmark = True
        self.dtype = getattr(torch, options.precision)
        images = torch.randn(options.batch, SIZE, SIZE, 3, device=self.device)
        self.images = images.permute(0, 3, 1, 2)  # channels_last
        self.labels = torch.randint(0, CLASSES, (options.batch,), device=self.device)

    def version(self):
        card = self.torch.cuda.get_device_name() if self.device.type == "cuda" else "CPU"
        return f"PyTorch {self.torch.__version__}", card

    def contenders(self, spec):
        yield "generated", lambda mode: self.loop(self.generated(spec), mode)
        yield "program", lambda mode: self.program(spec, mode)
        from torch_peers import timm_model, torchvision_inception

        if spec == "xception":
            yield "timm", lambda mode: self.loop(timm_model("legacy_xception"), mode)
        else:
            yield "torchvision", lambda mode: self.loop(torchvision_inception(), mode)

    def generated(self, spec):
        return load_program(spec, "torch", self.options.precision)["model"].create_model()

    def placed(self, model):
        return model.to(self.device, memory_format=self.torch.channels_last).train()

    def loop(self, model, mode):
        torch, model = self.torch, self.placed(model)
        forward = torch.compile(model) if mode == "compiled" else model
        optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
        mixed = self.dtype != torch.float32

        def step():
            optimizer.zero_grad()
            with torch.autocast(self.device.type, self.dtype, enabled=mixed):
                logits = forward(self.images)
            loss = torch.nn.functional.cross_entropy(logits.float(), self.labels)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step

    def program(self, spec, mode):
        modules = load_program(spec, "torch", self.options.precision)
        train, model = modules["train"], self.placed(modules["model"].create_model())
        training = train.Training(model, mode == "compiled")
        return train.updates(training, repeat((self.images, self.labels)), plan_of(train)).__next__

    def wait(self, loss):
        if self.device.type == "cuda":
            self.torch.cuda.synchronize()
        return float(loss)

    def memory(self, step):
        """Most bytes of a step beyond what lies there before it."""
        if self.device.type != "cuda":
            return None
        cuda = self.torch.cuda
        cuda.synchronize()
        cuda.reset_peak_memory_stats()
        before = cuda.memory_allocated()
        self.wait(step())
        return cuda.max_memory_allocated() - before

    def launches(self, step):
        """Kernels and copies that a step starts on a GPU."""
        if self.device.type != "cuda":
            return None
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
            self.wait(step())
        kinds = self.torch.autograd.DeviceType.CUDA
        return sum(event.device_type == kinds for event in seen.events())


# -- JAX -------------------------------------------------------------------------------------------


class Jax:
    """What Flax and Keras on JAX share: one compiled step, whose state is donated."""

    modes = ("compiled",)

    def __init__(self, options):
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        import jax
        import jax.numpy as jnp
        import numpy as np

        self.jax, self.jnp, self.options = jax, jnp, options
        random = np.random.default_rng(0)
        shape = (options.batch, SIZE, SIZE, 3)
        self.images = jnp.asarray(random.standard_normal(shape, "f"))
        self.labels = jnp.asarray(random.integers(0, CLASSES, options.batch))
        self.temporary = {}

    def wait(self, loss):
        return float(loss)

    def memory(self, step):
        """Bytes of a step's temporary arrays, by XLA."""
        return self.temporary.get(step)

    def launches(self, step):
        return None

    def compiled(self, function, state):
        """A step of `function`: (state, images, labels) → (state, loss)."""
        made = self.jax.jit(function, donate_argnums=0)
        made = made.lower(state, self.images, self.labels).compile()
        held = [state]

        def step():
            held[0], loss = made(held[0], self.images, self.labels)
            return loss

        self.temporary[step] = made.memory_analysis().temp_size_in_bytes
        return step

    def loss(self, logits, labels):
        import optax

        logits = logits.astype(self.jnp.float32)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


class Flax(Jax):
    """Contenders in Flax NNX."""

    def version(self):
        import flax

        return f"Flax {flax.__version__}, JAX {self.jax.__version__}", self.jax.devices()[
            0
        ].device_kind

    def contenders(self, spec):
        yield "generated", lambda mode: self.loop(self.generated(spec))
        yield "program", lambda mode: self.program(spec)
        if spec == "xception":
            yield "by taps", lambda mode: self.loop(self.generated(spec, by="by_taps"))
            yield "hand-written", lambda mode: self.loop(self.written())

    def generated(self, spec, by=None):
        modules = load_program(spec, "flax", self.options.precision)
        if by is not None:  # the other spelling of a depthwise convolution
            layer = modules["layers"].DepthwiseConv
            layer.by_taps = layer.by_groups = getattr(layer, by)
        return modules["model"].create_model()

    def written(self):
        from flax import nnx
        from nnx_xception import Xception

        return Xception(rngs=nnx.Rngs(0))

    def loop(self, model):
        import optax
        from flax import nnx

        model.train()
        dtype = self.jnp.dtype(self.options.precision)
        for _, module in nnx.iter_modules(model):
            if hasattr(module, "dtype"):
                module.dtype = dtype
        optimizer = nnx.Optimizer(model, optax.sgd(RATE, momentum=MOMENTUM), wrt=nnx.Param)
        graph, state = nnx.split((model, optimizer))

        def step(state, images, labels):
            model, optimizer = nnx.merge(graph, state)
            loss, gradients = nnx.value_and_grad(lambda m: self.loss(m(images), labels))(model)
            optimizer.update(model, gradients)
            return nnx.state((model, optimizer)), loss

        return self.compiled(step, state)

    def program(self, spec):
        modules = load_program(spec, "flax", self.options.precision)
        train, model = modules["train"], modules["model"].create_model()
        if self.options.precision != "float32":
            modules["parts"].set_precision(model, self.jnp.dtype(self.options.precision))
        training = train.Training(model)
        batches = repeat((self.images, self.labels))
        return train.updates(training, batches, plan_of(train)).__next__


class Keras(Jax):
    """Contenders in Keras on JAX, under one compiled step; the program under `fit`."""

    def __init__(self, options):
        super().__init__(options)
        os.environ["KERAS_BACKEND"] = "jax"
        import keras

        self.keras = keras
        policy = "float32" if options.precision == "float32" else f"mixed_{options.precision}"
        keras.config.set_dtype_policy(policy)

    def version(self):
        versions = f"Keras {self.keras.__version__}, JAX {self.jax.__version__}"
        return versions, self.jax.devices()[0].device_kind

    def contenders(self, spec):
        public = {"xception": "Xception", "inception_v3": "InceptionV3"}[spec]
        yield "generated", lambda mode: self.loop(self.generated(spec))
        yield "program", lambda mode: self.program(spec)
        yield (
            "keras.applications",
            lambda mode: self.loop(
                getattr(self.keras.applications, public)(weights=None, classifier_activation=None)
            ),
        )

    def generated(self, spec):
        return load_program(spec, "keras", self.options.precision)["model"].create_model()

    def loop(self, model):
        import optax

        rule = optax.sgd(RATE, momentum=MOMENTUM)

        def step(state, images, labels):
            trained, others, memory = state

            def of(trained):
                logits, after = model.stateless_call(trained, others, images, training=True)
                return self.loss(logits, labels), after

            (loss, after), gradients = self.jax.value_and_grad(of, has_aux=True)(trained)
            changes, memory = rule.update(gradients, memory)
            return (optax.apply_updates(trained, changes), after, memory), loss

        trained, others = (
            [self.jnp.array(v.value) for v in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        )
        return self.compiled(step, (trained, others, rule.init(trained)))

    def program(self, spec):
        modules = load_program(spec, "keras", self.options.precision)
        train, model = modules["train"], modules["model"].create_model()
        training = train.Training(model, plan_of(train))
        keras, images, labels = self.keras, self.images, self.labels
        losses = []

        class Same(keras.utils.PyDataset):
            def __len__(self):
                return self.count

            def __getitem__(self, index):
                return images, labels

        class Last(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs):
                losses.append(logs["loss"])

        def steps(count):
            batches = Same()
            batches.count = count
            train.fit(training, batches, 0, [Last()])
            return losses[-1]

        return steps


# -- all -------------------------------------------------------------------------------------------


FRAMEWORKS = {"torch": Torch, "flax": Flax, "keras": Keras}


def take(framework, name, step, count):
    """The last loss of so many steps."""
    if isinstance(framework, Keras) and name == "program":
        return float(step(count))
    for _ in range(count):
        loss = step()
    return framework.wait(loss)


@contextlib.contextmanager
def turn(options):
    """Begins when all parties are ready, and none other is at it."""
    if not options.turns:
        yield
        return
    import fcntl

    folder = Path(options.turns)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{os.getpid()}.ready").touch()
    patience = time.monotonic() + 300  # one may have died
    while len(list(folder.glob("*.ready"))) < options.parties and time.monotonic() < patience:
        time.sleep(0.1)
    with (folder / "turn").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def measure(options):
    """A record for each contender that could be made."""
    framework = FRAMEWORKS[options.framework](options)
    versions, card = framework.version()
    say = {"framework": options.framework, "versions": versions, "device": card,
           "precision": options.precision, "batch": options.batch}  # fmt: skip
    found = []
    for mode in framework.modes if not options.mode else [options.mode]:
        entered = []
        for spec in options.networks.split(","):
            for name, create in framework.contenders(spec):
                if options.only and name not in options.only.split(","):
                    continue
                began = time.perf_counter()
                try:
                    step = create(mode)
                    loss = take(framework, name, step, 3)
                except Exception as error:
                    print(
                        f"{spec} {name} {mode}: {type(error).__name__}: {error}"[:600], flush=True
                    )
                    continue
                seconds = time.perf_counter() - began
                record = {**say, "network": spec, "contender": name, "mode": mode,
                          "first_steps_s": round(seconds, 1), "loss_after_3": loss}  # fmt: skip
                record["working_bytes"] = framework.memory(step)
                record["launches"] = framework.launches(step)
                entered.append((record, name, step, []))
        with turn(options):
            for _ in range(options.rounds):
                for _, name, step, times in entered:
                    began = time.perf_counter()
                    take(framework, name, step, options.steps)
                    times.append((time.perf_counter() - began) / options.steps)
        for record, _, _, times in entered:
            record["seconds"] = [round(t, 6) for t in times]
            record["images_per_s"] = round(options.batch / statistics.median(times), 1)
            found.append(record)
            print(line(record), flush=True)
        del entered
        gc.collect()
    return found


def line(record):
    memory = record.get("working_bytes")
    parts = [
        f"{record['framework']:6} {record['network']:13} {record['contender']:19} "
        f"{record['mode']:9} {record['batch']:4} {record['images_per_s']:9.1f} images/s",
        f"{memory / 2**30:7.2f} GiB" if memory else " " * 11,
        f"{record['launches']:6} launches" if record.get("launches") else "",
        f"{record['first_steps_s']:6.1f} s to begin",
    ]
    return "  ".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--framework", choices=tuple(FRAMEWORKS), required=True)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of PyTorch")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--mode", choices=("eager", "compiled"), help="of PyTorch (default: both)")
    parser.add_argument("--only", help="contenders, separated by commas")
    parser.add_argument("--steps", type=int, default=5, help="steps in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turns", help="folder that processes share which take turns")
    parser.add_argument("--parties", type=int, default=1, help="how many do")
    parser.add_argument("--output", help="file that gets a line of JSON for each contender")
    options = parser.parse_args()
    found = measure(options)
    if options.output:
        with Path(options.output).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(record) + "\n" for record in found)


if __name__ == "__main__":
    main()
