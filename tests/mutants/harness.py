"""A compact semantic suite for one, perhaps faulty, copy of the compiler.

    PYTHONPATH=COPY python -m tests.mutants.harness --root COPY --backends torch,keras --ops conv

The cheap checks that lean on no framework come first, then ops against their references and each
other, training against formulas, dropout, and at last whole programs against each other. The first
disagreement ends it.

Exit status: 0, all agree; `FOUND`, something disagrees, or a generated program fails, and the last
line says which check found it; anything else, the harness itself failed.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import io
import itertools
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np

from tests.mutants import formulas, networks
from tests.mutants.findings import Disagreement, equal, generated, same
from tests.mutants.guards import Guards, refused

FOUND = 10
#: A float32 run against one computed in float64.
NEAR = 2e-3


class Harness:
    """The checks; `backends` are those that the fault may concern, `ops` those that it names."""

    def __init__(self, backends, ops, folder):
        from xgraph import backend

        self.backends = backends
        self.ops = ops
        self.folder = folder
        self.lead = backend.get(backends[0])
        self.get = backend.get

    def checks(self):
        """In order, cheap ones first."""
        return (
            self.analysis,
            self.wiring,
            self.laid,
            *Guards(self).checks(),
            self.references,
            self.schedules,
            self.tunable,
            self.cases,
            self.ties,
            self.gradients,
            self.starts,
            self.settings,
            self.updates,
            self.tuned,
            self.frozen,
            self.accumulated,
            self.overflows,
            self.run,
            self.mixed,
            self.dropout,
            self.structure,
            self.devices,
            self.workers,
            self.named,
            self.offset,
            self.one_value,
            self.sabotaged,
            self.ported,
            self.parity,
            self.parity_imagenet,
            self.parity_ill_conditioned,
            self.shared,
        )

    # -- without any framework --------------------------------------------------------------------

    def spec(self, text, name="spec.yaml"):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def analyse(self, text):
        from xgraph.compile import analyse

        with generated("the compiler"):
            return analyse(self.spec(text))

    def emit(self, text, recipe, target=None):
        """Files of a program."""
        with generated("the compiler"):
            return self.compiled(text, recipe, target)

    def compiled(self, text, recipe, target=None):
        """The same, where the compiler may refuse it."""
        from xgraph.compile import compile_spec

        path = self.spec(recipe, "recipe.yaml")
        return compile_spec(self.spec(text), target or self.lead, recipe=path)[1]

    def analysis(self):
        """Published figures of Xception."""
        from xgraph.compile import analyse
        from xgraph.passes.cost import measure, total

        with generated("the compiler"):
            found = analyse("xception")
            cost = total(measure(found.graph, found.types))
        equal("xception's parameters", cost.parameters, 22_910_480)
        equal("xception's statistics", cost.non_trainable, 54_528)
        equal("xception's multiply-accumulates", cost.macs, 8_357_403_496)
        shapes = {n.name: t.shape for n, t in zip(found.graph.nodes, found.types, strict=True)}
        expected = {
            "entry_flow.relu_2": (147, 147, 64),
            "entry_flow.module2.add": (74, 74, 128),
            "entry_flow.module4.add": (19, 19, 728),
            "middle_flow.middle.7.add": (19, 19, 728),
            "exit_flow.module13.add": (10, 10, 1024),
            "exit_flow.global_avg_pool": (2048,),
            "head.classifier": (1000,),
        }
        equal("xception's shapes", {name: shapes.get(name) for name in expected}, expected)

    def wiring(self):
        """A flat graph that is known, and its value."""
        from xgraph import interpreter

        found = self.analyse(networks.WIRED)
        nodes = found.graph.nodes
        wires = {n.name: tuple(nodes[i].name for i in n.inputs) for n in nodes}
        equal("the flat graph", list(wires.items()), list(networks.WIRES.items()))
        x = np.random.default_rng(0).standard_normal((2, 6, 6, 4))
        (last,) = (output.node for output in found.graph.outputs)
        with generated("the interpreter"):
            received = interpreter.run(found.graph, x, {})[last]
        first = np.maximum(x, 0) + x  # two slopes of 0.25 change nothing above zero
        main = np.where(np.tanh(first) > 0, np.tanh(first), 0.1 * np.tanh(first))
        y = main + np.where(first > 0, first, 0.5 * np.expm1(first))
        sigmoid = 1 / (1 + np.exp(-y))
        y = 2 * np.concatenate([sigmoid, y, y * sigmoid], axis=-1)
        y = np.where(y > 0, 2 * y, 1.5 * y)
        early = 1 / (1 + np.exp(-np.tanh(1 / (1 + np.exp(-y)))))
        y = np.tanh(early) - early
        same("the value of a known graph", received, y.max(axis=(1, 2)))

    def laid(self):
        """A spec laid over another by names of items is the one that is meant."""
        self.spec(networks.LAID_ON, "laid_on.yaml")
        nodes = self.analyse(networks.LAID_OVER).graph.nodes
        equal("the nodes of a spec laid over another", tuple(n.name for n in nodes), networks.LAID)
        ops = tuple(node.op.name for node in nodes[1:])
        equal("the ops of a spec laid over another", ops, networks.LAID_OPS)
        joined = next(n for n in nodes if n.op.name == "concat")
        taken = tuple(nodes[i].name for i in joined.inputs)
        equal("what branches laid over others give", taken, networks.LAID_ENDS)

    def references(self):
        """Every op of one node against its formula, with weights that the harness makes."""
        from xgraph import interpreter

        random = np.random.default_rng(0)
        for op, attributes, shape, formula, training in _reference_cases():
            given = json.dumps({op: attributes})
            vector = len(shape) == 1
            text = (
                f"xgraph: 1\nname: one\n"
                f"input: {{shape: {[1, 1, *shape] if vector else [*shape]}}}\n"
                f"graph: [{'flatten, ' if vector else ''}{given[:-1]}, name: op}}]\n"
            )
            graph_of = self.analyse(text)
            with generated("the interpreter"):
                shapes = interpreter.weight_shapes(graph_of.graph, graph_of.types)
                weights = {n: random.uniform(0.5, 1.5, s) for n, s in shapes.items()}
                x = 2 * random.standard_normal((2, *shape))
                images = x[:, None, None] if vector else x
                values = interpreter.run(graph_of.graph, images, weights, training)
                after = interpreter.updated_weights(graph_of.graph, values, weights)
            own = {name.rpartition(".")[2]: value for name, value in weights.items()}
            what = f"{op} {attributes}"
            try:
                expected = formula(x, own)
            except (ValueError, IndexError, KeyError) as error:
                raise Disagreement(f"{what}: weights of other names or shapes ({error})") from None
            same(f"the reference of {what}", values[-1], expected)
            same(f"the shape of {what}", graph_of.types[-1].shape, expected.shape[1:])
            if op == "batch_norm":
                momentum = attributes.get("momentum", 0.99)
                for word, batch in zip(
                    ("moving_mean", "moving_variance"), formulas.statistics(x), strict=True
                ):
                    moved = momentum * own[word] + (1 - momentum) * batch
                    same(f"'{word}' of {what}", after[f"op.{word}"], moved)

    def schedules(self):
        """`learning_rate` of generated programs, by itself."""
        cases = (
            (
                "{cosine: {initial: 0.1, final: 0.01, warmup: {steps: 3}}}",
                lambda t: formulas.cosine(t, 28, 0.1, 0.01) * formulas.warmup(t, 3),
            ),
            (
                "{cosine: {initial: 0.2, warmup: {epochs: 2}}}",
                lambda t: formulas.cosine(t, 28, 0.2, 0) * formulas.warmup(t, 14),
            ),
            (
                "{exponential: {initial: 0.045, rate: 0.94, every: {epochs: 2}}}",
                lambda t: formulas.staircase(t, 14, 0.045, 0.94),
            ),
            (
                "{exponential: {initial: 0.5, rate: 0.9, every: {samples: 10}}}",
                lambda t: formulas.staircase(t * 4, 10, 0.5, 0.9),
            ),
            (
                "{exponential: {initial: 0.5, rate: 0.5, every: {steps: 3}}}",
                lambda t: formulas.staircase(t, 3, 0.5, 0.5),
            ),
            (
                "{constant: {rate: 0.3, warmup: {samples: 20}}}",
                lambda t: 0.3 * formulas.warmup(t, 5),
            ),
        )
        old = "{cosine: {initial: 0.1, final: 0.01, warmup: {steps: 3}}}"
        for text, expected in cases:
            recipe = networks.FEATURES_RECIPE.replace(old, text)
            for name in self.backends:
                files = self.emit(networks.DROPPED, recipe, self.get(name))
                space = _functions(
                    files["train.py"],
                    {"learning_rate", "LearningRate", "LEARNING_RATE"},
                    {"math": math, "Plan": None, "JIT": False, **_keras(name)},
                )
                plan = argparse.Namespace(
                    batch_size=4, steps_per_epoch=7, total_steps=28, rate=space["LEARNING_RATE"]
                )
                with generated("learning_rate"):
                    rates = [space["learning_rate"](step, plan) for step in range(28)]
                same(f"{name}'s rate of {text}", rates, [expected(t) for t in range(28)], 1e-12)

    def tunable(self):
        """Parts that a model does not have, or that leave nothing to train, are refused."""
        from xgraph.diagnostics import SpecError

        given = networks.TUNED_RECIPE.partition("tune:\n")[0]
        loss = networks.TUNED_RECIPE.partition("\nloss:")[2]
        for parts, wrong in networks.REFUSED:
            recipe = f"{given}tune: {parts}\nloss:{loss}"
            if wrong:
                refused(f"tune: {parts}", SpecError, self.compiled, networks.TUNED, recipe)
            else:
                self.emit(networks.TUNED, recipe)

    # -- with one framework -----------------------------------------------------------------------

    def starts(self):
        """The weights that training starts from."""
        initializers = {
            "a": "glorot_uniform",
            "b": "he_normal",
            "c": "{truncated_normal: 0.3}",
            "d": "lecun_uniform",
            "e": "glorot_normal",
            "f": "he_uniform",
            "g": "lecun_normal",
        }
        text = networks.starts(initializers)
        files = self.emit(text, networks.FEATURES_RECIPE)
        for seed in (0, 3):
            with generated("the program"):
                program = self.lead.load(files, "float64")
                model = program.modules["model"].create_model(seed)
                own = _weights(self.lead.name, program, model)
            expected = set()
            for name, value in own.items():
                node, _, word = name.rpartition(".")
                expected.add(name)
                if word.endswith("kernel") and node in initializers:
                    given = initializers[node]
                    given = 0.3 if "truncated" in given else given
                    start = formulas.kernel(name, value.shape, seed, given)
                else:
                    start = formulas.start(name, value.shape, seed)
                same(f"the start of '{name}' with seed {seed}", value, start, 1e-6)
            words = {"depthwise.depthwise_kernel", "separable.pointwise_kernel", "a.kernel"}
            if not words <= expected:
                raise Disagreement(f"weights: {sorted(words - expected)} are missing")

    def settings(self):
        """A model made with other parameters is the one that the spec compiles to with them."""
        from xgraph import interpreter
        from xgraph.compile import analyse

        path = self.spec(networks.SETTINGS)
        recipe = self.spec(networks.FEATURES_RECIPE, "recipe.yaml")
        for name in self.backends:
            target = self.get(name)
            for given in networks.GIVEN:
                texts = [f"{word}={value}" for word, value in given.items()]
                own, other = (self.emitted(path, target, one, recipe) for one in ([], texts))
                with generated(f"{name}'s program"):
                    model = own.modules["model"].create_model(0, **given)
                    wanted = other.modules["model"].create_model(0)
                    received, expected = _weights(name, own, model), _weights(name, other, wanted)
                what = f"with {', '.join(texts)} in {name}"
                found = analyse(path, texts)
                shapes = {weight: tuple(value.shape) for weight, value in received.items()}
                wanted = interpreter.weight_shapes(found.graph, found.types)
                equal(f"the shapes {what}", sorted(shapes.items()), sorted(wanted.items()))
                equal(f"the weights {what}", sorted(received), sorted(expected))
                for weight, value in expected.items():
                    same(f"'{weight}' {what}", received[weight], value)

    def emitted(self, path, target, settings, recipe):
        """A program, brought to life."""
        from xgraph.compile import compile_spec

        with generated("the compiler"):
            files = compile_spec(path, target, settings, recipe)[1]
            return target.load(files, "float64")

    def updates(self):
        """Loss, gradients at the logits, and a few updates, against formulas."""
        self.simulate(
            networks.FEATURES_RECIPE,
            lambda t: formulas.cosine(t, 12, 0.1, 0.01) * formulas.warmup(t, 3),
            {"l2": 0.02, "nesterov": True, "smoothing": 0.1, "decay": 0.8, "warm": False},
        )
        self.simulate(
            networks.IMAGENET_LIKE,
            lambda t: formulas.staircase(t, 3, 0.05, 0.5),
            {"l2": 0.05, "nesterov": False, "smoothing": 0.0, "decay": 0.9999, "warm": True},
        )

    def tuned(self):
        """Parts that are frozen or have rates of their own, and listed class weights."""
        self.simulate(
            networks.TUNED_RECIPE,
            lambda t: formulas.cosine(t, 12, 0.1, 0.01) * formulas.warmup(t, 3),
            {
                "decoupled": 0.3, "nesterov": False, "smoothing": 0.1, "decay": 0.8, "warm": False,
                "parts": networks.PARTS, "class_weights": np.array(networks.CLASS_WEIGHTS),
            },
            text=networks.TUNED,
        )  # fmt: skip

    def frozen(self):
        """A frozen batch norm uses its moving statistics, and leaves them as they are."""
        from xgraph import interpreter
        from xgraph.programs import Length

        files = self.emit(networks.TUNED, networks.FROZEN_RECIPE)
        analysis = self.analyse(networks.TUNED)
        start = interpreter.random_weights(analysis.graph, analysis.types)
        random = np.random.default_rng(1)
        images, labels = random.standard_normal((3, 8, 12, 3)), np.array([0, 1, 3])
        values = interpreter.run(analysis.graph, images, start)
        main, auxiliary = (
            formulas.cross_entropy(
                values[output.node], labels, 0.1, np.array(networks.CLASS_WEIGHTS)
            )[0]
            for output in analysis.graph.outputs
        )
        with generated("the program"):
            program = self.lead.load(files)
            program.set_weights(start)
            batches = [(images, labels)] * 2
            trained = program.train(batches, Length(3, 3, 12), lambda step, training: None)
            after = program.weights()
        same("the loss with a frozen batch norm", trained.losses[0], main + 0.3 * auxiliary)
        for name, value in start.items():
            unchanged = bool(np.array_equal(after[name], value))
            equal(f"whether '{name}' is frozen", unchanged, name.startswith("stem."))

    def accumulated(self):
        """Updates by the mean gradients of micro-batches, against NumPy's."""
        from xgraph import conformance
        from xgraph.recipe import load_recipe

        recipe = load_recipe(self.spec(networks.ACCUMULATED_RECIPE, "recipe.yaml"))
        with generated("the program"):
            conformance.check_part(recipe, self.lead, self.folder)

    def devices(self):
        """Two devices that share batches of nine, or in Flax of eight, against NumPy's one."""
        for statistics in ("global", "per_replica"):
            self.by_devices(statistics, 8 if self.lead.name == "flax" else 9)
        self.devices_as_by_one()

    def devices_as_by_one(self):
        """Two devices and one, of a network with weights before its batch norms and dropout."""
        from safetensors.numpy import load_file

        text = networks.SHARED_RECIPE.format(statistics="global", size=8)
        folder = self.folder / "as_by_one"
        folder.mkdir()
        dropping = networks.TRAINED.replace("global_avg_pool,", "global_avg_pool, {dropout: 0.5},")
        for name, content in self.emit(dropping, text).items():
            (folder / name).write_text(content, encoding="utf-8")
        runs = []
        for count in (1, 2):
            with generated("the program"):
                on_devices(self.lead.name, folder, count, "--max-steps", "3")
            runs.append(load_file(folder / f"run{count}" / "checkpoint.safetensors"))
        one, two = runs
        equal("the state", sorted(two), sorted(one))
        for name, value in one.items():
            same(f"'{name}' of two devices, and of one", two[name], value)

    def by_devices(self, statistics, size):
        """The state after six updates, and an evaluation of nine images."""
        from safetensors.numpy import load_file

        from xgraph import interpreter
        from xgraph.recipe import load_recipe, reference

        text = networks.SHARED_RECIPE.format(statistics=statistics, size=size)
        recipe = load_recipe(self.spec(text, "recipe.yaml"))
        files = dict(self.emit(reference.SPEC, text))
        counts = "SYNTHETIC_TRAIN, SYNTHETIC_TEST = "
        files["data.py"] = files["data.py"].replace(f"{counts}1024, 64", f"{counts}22, 9")
        folder = self.folder / statistics
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
        with generated("the program"):
            on_devices(self.lead.name, folder, 2, "--max-steps", "6")
            program = self.lead.load(files)
            data = program.modules["data"]
        splits = data.synthetic_data(4, 0)
        train = data.Dataset(splits["train"], 0, training=True)
        keys = data.training_batches(22, size, 0, 0, 6)
        start = {n: formulas.start(n, v.shape, 0) for n, v in program.weights().items()}
        plan = reference.Length(size, 22 // size, 2 * (22 // size), recipe.schedule.peak)
        batches = [train.batch(batch) for batch in keys]
        expected = list(reference.train(recipe, start, batches, plan, replicas=2))
        last = expected[-1]
        found = load_file(folder / "run2" / "checkpoint.safetensors")
        equal("the state of two devices", sorted(found), sorted(last.state))
        for name, value in last.state.items():
            same(f"'{name}' of two devices, {statistics}", found[name], value)
        images, labels = data.Dataset(splits["test"]).batch([(index, 0) for index in range(9)])
        weights = {n[6:]: value for n, value in last.state.items() if n.startswith("model.")}
        analysis = self.analyse(reference.SPEC)
        logits = interpreter.run(analysis.graph, images, weights)[-1]
        log = (folder / "run2" / "metrics.jsonl").read_text().splitlines()
        *rows, evaluated = [json.loads(line) for line in log]
        losses = [row["loss"] for row in rows if "learning_rate" in row]
        same("the losses of two devices", losses, [update.loss for update in expected])
        loss, _ = formulas.cross_entropy(logits, labels, 0.0)
        same("the loss that two devices evaluate", evaluated["loss"], loss)
        hits = (logits.argmax(axis=1) == labels).mean()
        same("the accuracy that two devices evaluate", evaluated["top1"], hits)

    def workers(self):
        """Twelve updates by two workers against NumPy's, and three by one against one device's."""
        from safetensors.numpy import load_file

        from xgraph.recipe import load_recipe, reference

        text = networks.WORKERS_RECIPE
        recipe, files = load_recipe(self.spec(text, "recipe.yaml")), self.emit(reference.SPEC, text)
        folder = self.folder / "workers"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
        with generated("the program"):
            with_workers(self.lead.name, folder, 2, "--max-steps", "12")
            program = self.lead.load(files)
            data = program.modules["data"]
        log = (folder / "run2" / "metrics.jsonl").read_text().splitlines()
        taken = [row for row in map(json.loads, log) if "learning_rate" in row]
        equal("batches", sorted(row["batch"] for row in taken), list(range(12)))
        behind = [row["staleness_max"] for row in taken]
        equal("whether any gradients are behind", max(behind) > 0, True)
        dataset = data.Dataset(data.synthetic_data(4, 0)["train"], 0, training=True)
        keys = list(data.training_batches(1024, 9, 0, 0, 12))
        batches = [dataset.batch(keys[row["batch"]]) for row in taken]
        start = {n: formulas.start(n, v.shape, 0) for n, v in program.weights().items()}
        plan = reference.Length(9, 1024 // 9, 4 * (1024 // 9), recipe.schedule.peak)
        versions = [row["step"] - 1 - late for row, late in zip(taken, behind, strict=True)]
        *_, last = made = list(reference.train(recipe, start, batches, plan, versions=versions))
        found = load_file(folder / "run2" / "checkpoint.safetensors")
        equal("the state of a server", sorted(found), sorted(last.state))
        for name, value in last.state.items():
            same(f"'{name}' of a server", found[name], value)
        same("the losses of workers", [row["loss"] for row in taken], [u.loss for u in made])

        dropping = networks.TRAINED.replace("global_avg_pool,", "global_avg_pool, {dropout: 0.5},")
        folder = self.folder / "worker"
        folder.mkdir()
        for name, content in self.emit(dropping, text).items():
            (folder / name).write_text(content, encoding="utf-8")
        runs = []
        for count in (0, 1):
            with generated("the program"):
                with_workers(self.lead.name, folder, count, "--max-steps", "3")
            runs.append(load_file(folder / f"run{count}" / "checkpoint.safetensors"))
        for name, value in runs[0].items():
            same(f"'{name}' of one worker, and of one device", runs[1][name], value)

    def overflows(self):
        """In Keras, an update that overflows counts for the schedule, and for Adam it does not."""
        if self.lead.name != "keras":
            return
        import keras

        from xgraph.programs import import_files

        with generated("the program"):
            modules = import_files(self.emit(networks.TRAINED, networks.SCALED_RECIPE))
            train = modules["train"]
            training = train.Training(modules["model"].create_model(), train.Plan(3, 3, 12, 0.1))
            optimizer, weights = training.trained.optimizer, training.variables
            start = keras.ops.convert_to_numpy(weights[0])
            for value in (np.inf, 2.0**16):  # the scale is 2¹⁶ at first, and halves
                gradients = [keras.ops.full(weight.shape, value) for weight in weights]
                optimizer.apply(gradients, weights)
        equal("batches that an optimizer has seen", int(training.optimizer.iterations), 2)
        # Adam's first step is the rate, whatever the gradient.
        same("an update", keras.ops.convert_to_numpy(weights[0]), start - 0.1, 1e-5)

    def simulate(self, recipe, rate, settings, steps=4, text=networks.TRAINED):
        """The program's own training code, step by step against formulas."""
        from xgraph import interpreter
        from xgraph.programs import Length

        files = self.emit(text, recipe)
        analysis = self.analyse(text)
        start = interpreter.random_weights(analysis.graph, analysis.types)
        random = np.random.default_rng(1)
        images = random.standard_normal((steps, 3, 8, 12, 3))
        labels = random.integers(0, 4, (steps, 3))
        with generated("the program"):
            program = self.lead.load(files)
            run = Formulas(program, start, settings)
            for step in range(steps):
                run.update(images[step], labels[step], step, rate(step))
            program.set_weights(start)
            batches = zip(images, labels, strict=True)
            trained = program.train(batches, Length(3, 3, 12), lambda step, training: None)
            after = program.weights()
        same("the losses of updates", trained.losses, run.losses)
        equal("the weights", sorted(after), sorted(run.weights))
        for name in after:
            same(f"'{name}' after {steps} updates", after[name], run.weights[name])
        expected = {f"model.{name}": value for name, value in run.weights.items()}
        expected |= {f"ema.{name}": value for name, value in run.averages.items()}
        expected |= {f"optimizer.momentum.{name}": value for name, value in run.velocity.items()}
        equal("the state", sorted(trained.state), sorted(expected))
        for name, value in expected.items():
            same(f"'{name}' of the state", trained.state[name], value)

    def run(self):
        """`train.py` as a user runs it: order of the data, log, evaluation, weights, resuming."""
        from safetensors.numpy import load_file

        from xgraph import interpreter

        steps, seed, size = 7, 3, (8, 12)
        files = self.emit(networks.TRAINED, networks.FEATURES_RECIPE)
        settings = {"l2": 0.02, "nesterov": True, "smoothing": 0.1, "decay": 0.8, "warm": False}
        with generated("the program"):
            program = self.lead.load(files)
            data = program.modules["data"]
            data.SYNTHETIC_TRAIN, data.SYNTHETIC_TEST = 22, 9
            splits = data.synthetic_data(4, seed)
            start = {n: formulas.start(n, v.shape, seed) for n, v in program.weights().items()}
            simulated = Formulas(program, start, settings)
            for step in range(steps):
                epoch, place = divmod(step, 22 // 4)
                indices = formulas.order(22, seed, epoch)[place * 4 : place * 4 + 4]
                pairs = [splits["train"][index] for index in indices]
                images = np.stack(
                    [
                        formulas.augmented(image, seed, epoch, index, 1.25, *size)
                        for (image, _), index in zip(pairs, indices, strict=True)
                    ]
                )
                rate = formulas.cosine(step, 20, 0.1, 0.01) * formulas.warmup(step, 3)
                simulated.update(images, np.array([label for _, label in pairs]), step, rate)
            program.set_weights(start)
            straight = self.main(program, "straight", seed, "--max-steps", str(steps))
            self.main(program, "stopped", seed, "--max-steps", "3")
            resumed = self.main(
                program, "stopped", seed, "--max-steps", str(steps), "--resume", "auto"
            )
        rows = [json.loads(line) for line in straight.read_text().splitlines()]
        steps_logged = [row for row in rows if "learning_rate" in row]
        equal("the logged steps", [row["step"] for row in steps_logged], list(range(1, steps + 1)))
        rates = [formulas.cosine(t, 20, 0.1, 0.01) * formulas.warmup(t, 3) for t in range(steps)]
        same("the logged rates", [row["learning_rate"] for row in steps_logged], rates, 1e-6)
        same("the losses of a run", [row["loss"] for row in steps_logged], simulated.losses, NEAR)
        saved = load_file(straight.parent / "weights.safetensors")
        equal("the saved weights", sorted(saved), sorted(simulated.averages))
        for name, value in simulated.averages.items():
            equal(f"the type of the saved '{name}'", str(saved[name].dtype), "float32")
            same(f"the saved '{name}'", saved[name], value, NEAR)
        # Evaluation is of the average, on all images once.
        analysis = self.analyse(networks.TRAINED)
        pairs = [splits["test"][index] for index in range(9)]
        images = np.stack([formulas.centered(image, *size) for image, _ in pairs])
        labels = np.array([label for _, label in pairs])
        main = analysis.graph.outputs[0].node
        logits = interpreter.run(analysis.graph, images, simulated.averages)[main]
        evaluated = [row for row in rows if "top1" in row][-1]
        equal("the step of the evaluation", evaluated["step"], steps)
        loss, _ = formulas.cross_entropy(logits, labels, 0.1)
        same("the loss of the evaluation", evaluated["loss"], loss, NEAR)
        hits = (logits.argmax(axis=1) == labels).mean()
        same("the accuracy of the evaluation", evaluated["top1"], hits, 1e-6)
        again = load_file(resumed.parent / "weights.safetensors")
        for name in saved:
            same(f"'{name}' of a resumed run", again[name], saved[name], 1e-5)
        rows = [json.loads(line) for line in resumed.read_text().splitlines()]
        rows = [row for row in rows if "learning_rate" in row]
        losses = [row["loss"] for row in rows]
        same("the losses of a resumed run", losses, simulated.losses, NEAR)

    def mixed(self):
        """A run whose images are mixed, by class weights that it counts; over an epoch's end."""
        steps, seed, size, count = 7, 3, (8, 12), 22
        with generated("the program"):
            program = self.lead.load(self.emit(networks.TRAINED, networks.MIXED_RECIPE))
            data = program.modules["data"]
            data.SYNTHETIC_TRAIN, data.SYNTHETIC_TEST = count, 9
            source = data.synthetic_data(4, seed)["train"]
            pairs = [source[index] for index in range(count)]
            dataset = data.Dataset(source, seed, training=True)
            images, labels = np.random.default_rng(0).random((4, *size, 3)), np.array([0, 1, 3, 2])
            for index, epoch in itertools.product(range(count), range(2)):
                received = dataset.mixed((index, epoch), np.float32(images), labels)
                wanted = formulas.mixed(images, labels, seed, epoch, index, 4, networks.WAYS)
                for what, *both in zip(("images", "labels"), received, wanted, strict=True):
                    same(f"{what} of batch {index}, mixed in epoch {epoch}", *both, 1e-6)
            weights = formulas.balanced([label for _, label in pairs], 4)
            counted = data.balanced_weights(np.array([0, 0, 1]))
            same("balanced weights", counted, formulas.balanced([0, 0, 1], 4))
            # The same by weights that are listed, so that gradients may be asked for.
            listed = networks.MIXED_RECIPE.replace("balanced", str(weights))
            own = self.lead.load(self.emit(networks.TRAINED, listed))
            start = {n: formulas.start(n, v.shape, seed) for n, v in own.weights().items()}
            settings = {"l2": 0.02, "nesterov": True, "smoothing": 0.1, "decay": 0.8, "warm": False}
            simulated = Formulas(own, start, {**settings, "class_weights": np.array(weights)})
            for step in range(steps):
                epoch, place = divmod(step, count // 4)
                indices = formulas.order(count, seed, epoch)[place * 4 : place * 4 + 4]
                images = np.stack(
                    [
                        formulas.augmented(pairs[index][0], seed, epoch, index, 1.25, *size)
                        for index in indices
                    ]
                )
                labels = np.array([pairs[index][1] for index in indices])
                mixed = formulas.mixed(images, labels, seed, epoch, indices[0], 4, networks.WAYS)
                rate = formulas.cosine(step, 20, 0.1, 0.01) * formulas.warmup(step, 3)
                simulated.update(*mixed, step, rate)
            log = self.main(program, "mixed", seed, "--max-steps", str(steps))
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        losses = [row["loss"] for row in rows if "learning_rate" in row]
        same("the losses of a run that mixes", losses, simulated.losses, NEAR)

    def main(self, program, name, seed, *arguments):
        """Run the program's own `main`; the path of its log."""
        folder = self.folder / name
        command = [
            "train.py", "--synthetic", "--output", str(folder), "--seed", str(seed),
            "--workers", "0", "--device", "cpu", *arguments,
        ]  # fmt: skip
        quiet = contextlib.redirect_stderr(io.StringIO())
        with mock.patch.object(sys, "argv", command), quiet:
            if self.lead.name == "keras":
                import keras

                policy, precision = keras.config.dtype_policy(), keras.config.floatx()
                program.modules["train"].main()
                equal("what Keras computes in", keras.config.floatx(), "float32")
                keras.config.set_dtype_policy(policy)
                keras.config.set_floatx(precision)
            else:
                program.modules["train"].main()
        return folder / "metrics.jsonl"

    # -- every backend ----------------------------------------------------------------------------

    def cases(self):
        """The cases of each op, of those alike only one."""
        from xgraph import conformance

        for name in self.backends:
            target = self.get(name)
            for op in self.ops:
                for case in _chosen(op):
                    with generated(f"{name}'s program of {op} {case}"):
                        conformance.check_case(op, case, target, target.load, self.folder)

    def offset(self):
        """Batch norm of images far from zero, where a short cut to the variance loses digits."""
        from xgraph import interpreter

        analysis = self.analyse(networks.NORMED)
        weights = interpreter.random_weights(analysis.graph, analysis.types)
        images = 1e4 + np.random.default_rng(0).standard_normal((4, 9, 8, 3))
        values = interpreter.run(analysis.graph, images, weights, training=True)
        after = interpreter.updated_weights(analysis.graph, values, weights)
        for name in self.backends:
            target = self.get(name)
            files = self.emit(networks.NORMED, networks.FEATURES_RECIPE, target)
            with generated(f"{name}'s program of batch norm far from zero"):
                program = target.load(files)
                program.set_weights(weights)
                received = program.run(images, training=True)[1]
                moved = program.weights()
            same(f"{name}'s batch norm far from zero", received, values[1])
            for word, value in after.items():
                same(f"{name}'s '{word}' far from zero", moved[word], value)

    def named(self):
        """Networks whose names collide, against the interpreter."""
        from xgraph import conformance

        for text in networks.NAMED:
            for name in self.backends:
                target = self.get(name)
                with generated(f"{name}'s program of names that collide"):
                    conformance.check_spec(text, target, target.load, self.folder)

    def one_value(self):
        """Batch norm of one value for each channel: the variance is 0."""
        from xgraph import interpreter

        text = networks.NORMED.replace("[9, 8, 3]", "[1, 1, 3]")
        analysis = self.analyse(text)
        weights = interpreter.random_weights(analysis.graph, analysis.types)
        images = np.random.default_rng(0).standard_normal((1, 1, 1, 3))
        values = interpreter.run(analysis.graph, images, weights, training=True)
        after = interpreter.updated_weights(analysis.graph, values, weights)
        for name in self.backends:
            target = self.get(name)
            files = self.emit(text, networks.FEATURES_RECIPE, target)
            with generated(f"{name}'s batch norm of one value"):
                program = target.load(files)
                program.set_weights(weights)
                received = program.run(images, training=True)[1]
                moved = program.weights()
            same(f"{name}'s batch norm of one value", received, values[1])
            for word, value in after.items():
                same(f"{name}'s '{word}' of one value", moved[word], value)

    def ties(self):
        """Gradients where several entries are the maximum, against another backend."""
        from xgraph import conformance, interpreter
        from xgraph.backend import Compilation
        from xgraph.compile import emit

        for op in sorted({"max_pool", "global_max_pool"} & {*self.ops}):
            analysis = self.analyse(conformance.spec_of(op, _chosen(op)[0]))
            weights = interpreter.random_weights(analysis.graph, analysis.types)
            random = np.random.default_rng(0)
            images = random.choice([-1.0, 0.0, 1.0], (3, *analysis.types[0].shape))
            images[1] = 0.5
            outputs = [analysis.types[output.node].shape for output in analysis.graph.outputs]
            along = [random.standard_normal((3, *shape)) for shape in outputs]
            made = {}
            for name in self.compared():
                with generated(f"{name}'s program of {op} with ties"):
                    program = self.get(name).load(emit(Compilation(analysis, None), self.get(name)))
                    program.set_weights(weights)
                    made[name] = program.projected(images, along).images
            first, *others = made
            for name in others:
                same(f"the gradient of {op} at ties in {name} and {first}", made[name], made[first])

    def gradients(self):
        """Gradients of the two richest cases of each op, against another backend."""
        from xgraph import conformance

        names = list(self.backends)
        if len(names) == 1:
            names.append("keras" if names[0] == "torch" else "torch")
        for op in self.ops:
            for case in [*_hard_gradients(op), *_chosen(op)[:2]]:
                with generated(f"the gradient of {op} {case}"):
                    conformance.check_gradients(
                        op, case, [self.get(name) for name in names], self.folder
                    )

    def structure(self):
        """A whole network with everything in it against the interpreter, and special ones."""
        from xgraph import conformance

        for name in self.backends:
            target = self.get(name)
            with generated(f"{name}'s program of the network that pads"):
                conformance.check_spec(networks.PADDED, target, target.load, self.folder)
            with generated(f"{name}'s program of the network with embeddings"):
                conformance.check_spec(networks.PLACED, target, target.load, self.folder)
            with generated(f"{name}'s program of the network with every op"):
                conformance.check_spec(
                    networks.FEATURES, target, target.load, self.folder, grow=((0, 0), (2, 1))
                )

    def shared(self):
        """Weights that are shared, and statistics that go on from one application to the next."""
        from xgraph import conformance
        from xgraph.parity import compare
        from xgraph.passes.cost import measure, total

        found = self.analyse(networks.SHARED)
        nodes = {node.name: node.owner for node in found.graph.nodes}
        owners = {name: nodes.get(name) for name in networks.SHARES}
        equal("whose weights nodes have", owners, networks.SHARES)
        cost = total(measure(found.graph, found.types))
        equal("the parameters of what is shared", cost.parameters, networks.SHARED_PARAMETERS)
        for name in self.backends:
            target = self.get(name)
            with generated(f"{name}'s program of the network that shares weights"):
                conformance.check_spec(networks.SHARED, target, target.load, self.folder)
        with generated("parity"):
            recipe = self.spec(networks.FEATURES_RECIPE, "recipe.yaml")
            report = compare(
                self.spec(networks.SHARED), backends=self.compared(), steps=2, recipe=recipe
            )
        _agree(report)
        self.refused_to_share()

    def refused_to_share(self):
        """Batch norm that is applied twice, in no order."""
        from xgraph.compile import analyse
        from xgraph.diagnostics import SpecError

        try:
            analyse(self.spec(networks.UNORDERED))
        except SpecError as error:
            codes = [one.code for one in error.diagnostics]
        else:
            codes = []
        equal("what is said of batch norm without an order", codes, ["XG510"])

    def dropout(self):
        """The mask of two passes, the scale, and that evaluation changes nothing."""
        rate = 0.2
        for name in self.backends:
            target = self.get(name)
            files = self.emit(networks.DROPPED, networks.FEATURES_RECIPE, target)
            x = np.ones((2, 40, 40, 3), np.float32)
            with generated(f"{name}'s program with dropout"):
                program = target.load(files, "float32")
                model = program.modules["model"].create_model()
                evaluated, *masks = (_forward(name, model, x, mode) for mode in (False, True, True))
            same(f"{name}'s dropout in evaluation", evaluated, x, 1e-7)
            for passes, mask in enumerate(masks):
                expected = formulas.dropout(x, rate, "dropped", passes)
                same(f"{name}'s dropout in pass {passes}", mask, expected, 1e-6)

    # -- each other -------------------------------------------------------------------------------

    def compared(self):
        """The backends that programs are compared of: one alone proves nothing."""
        names = list(self.backends)
        if len(names) == 1:
            names.append("keras" if names[0] == "torch" else "torch")
        return names

    def sabotaged(self):
        """A comparison tells a program with a small fault from the others, by what it concerns."""
        from xgraph import backend
        from xgraph.parity import compare
        from xgraph.parity.process import Worker

        spec = self.spec(networks.TRAINED)
        recipe = self.spec(networks.FEATURES_RECIPE, "recipe.yaml")
        whole, found = backend.get("torch"), backend.get
        workers = {name: Worker(name) for name in ("torch", "keras")}
        try:
            for file, old, new, steps, quantity in networks.SABOTAGE:

                def emit(compilation, file=file, old=old, new=new):
                    files = dict(whole.emit(compilation))
                    if old not in files[file]:
                        raise ValueError(f"{old} is not in {file}")
                    return {**files, file: files[file].replace(old, new)}

                broken = dataclasses.replace(whole, emit=emit)
                pretended = mock.patch.object(
                    backend,
                    "get",
                    lambda name, broken=broken: broken if name == "torch" else found(name),
                )
                with generated("parity"), pretended:
                    report = compare(
                        spec, backends=[*workers], steps=steps, recipe=recipe, workers=workers
                    )
                failed = [measurement.quantity for measurement in report.failures]
                if report.agree or quantity not in failed:
                    raise Disagreement(f"{new} for {old}: {quantity} is not in {failed}")
        finally:
            for worker in workers.values():
                worker.close()

    def ported(self):
        """A port that is right is told so, and each fault in one by its place; training too."""
        from tests.mutants import ports
        from xgraph.parity import verify
        from xgraph.parity.process import Worker

        spec, recipe = self.spec(ports.SPEC), self.spec(ports.RECIPE, "recipe.yaml")
        workers = {"torch": Worker("torch")}
        asked = {"backends": ["torch"], "workers": workers}
        steps = {**asked, "recipe": recipe, "steps": 3, "batch": 4}
        try:
            with generated("verify"):
                right = [verify(spec, ports.port(), **asked)]
                right += [verify(spec, ports.port(), training=ports.sgd(momentum=0.9), **steps)]
                other = ports.sgd(momentum=0.9, nesterov=True)
                wrong = verify(spec, ports.port(), training=other, **steps)
                found = {
                    name: verify(spec, fault[0](), **asked) for name, fault in ports.FAULTS.items()
                }
        finally:
            workers["torch"].close()
        for report in right:
            if not report.agree:
                raise Disagreement(f"a port that is right: {report.first or report}")
        if wrong.agree:
            raise Disagreement("a port that is trained in another way is told to be the same")
        for name, (_, node, theirs, what) in ports.FAULTS.items():
            first = found[name].first
            if found[name].agree or first is None:
                raise Disagreement(f"a port with {name}: told to be the same")
            if (first.node, first.theirs) != (node, theirs) or what not in first.what:
                raise Disagreement(f"a port with {name}: {first}")

    def parity(self):
        """Outputs, gradients, and training by a recipe that leaves nothing out."""
        from xgraph.parity import compare

        with generated("parity"):
            recipe = self.spec(networks.FEATURES_RECIPE, "recipe.yaml")
            report = compare(
                self.spec(networks.FEATURES), backends=self.compared(), steps=6, recipe=recipe
            )
        _agree(report)

    def parity_ill_conditioned(self):
        """Where programs are far from themselves: no verdict but of what can be told."""
        from xgraph.parity import compare

        with generated("parity"):
            recipe = self.spec(networks.FEATURES_RECIPE, "recipe.yaml")
            spec = self.spec(networks.ILL_CONDITIONED)
            report = compare(spec, backends=self.compared()[:2], steps=4, recipe=recipe)
        _agree(report)
        if len(self.backends) > 1 and not (report.ill_conditioned and report.chaotic):
            raise Disagreement(f"{networks.ILL_CONDITIONED.split()[3]} is not")

    def parity_imagenet(self):
        """The recipe that comes with the compiler."""
        from xgraph.parity import compare

        with generated("parity"):
            report = compare(
                self.spec(networks.FEATURES), backends=self.compared()[:2], steps=8,
                recipe="imagenet",
            )  # fmt: skip
        _agree(report)


class Formulas:
    """Training by formulas; the program is asked for nothing but gradients of its loss."""

    def __init__(self, program, weights, settings):
        self.program = program
        self.settings = {**_NOTHING, **settings}
        self.weights = {name: value.copy() for name, value in weights.items()}
        self.averages = {name: value.copy() for name, value in weights.items()}
        parts = self.settings["parts"]
        self.factors = {name: formulas.factor_of(name, **parts) for name in weights}
        trained = [name for name in weights if "moving_" not in name and self.factors[name]]
        self.velocity = {name: np.zeros(weights[name].shape) for name in trained}
        self.losses = []

    def update(self, images, labels, step, rate):
        """Update number `step`, from 0."""
        settings = self.settings
        self.program.set_weights(self.weights)
        made = self.program.gradients(images, labels)
        main, auxiliary = made.outputs
        given = settings["smoothing"], settings["class_weights"]
        loss, slope = formulas.cross_entropy(main, labels, *given)
        other, other_slope = formulas.cross_entropy(auxiliary, labels, *given)
        same("the loss", made.loss, loss + 0.3 * other)
        for name, expected in (
            ("head.classifier.bias", slope.sum(axis=0)),
            ("auxiliary.scores.bias", 0.3 * other_slope.sum(axis=0)),
        ):
            same(f"the gradient of '{name}'", made.weights[name], expected)
        self.losses.append(made.loss)
        after = self.program.weights()
        for name, weight in self.weights.items():
            if name not in self.velocity:
                self.weights[name] = after[name]  # as it was, or a moving statistic
                continue
            gradient, own, shrunk = made.weights[name], rate * self.factors[name], weight
            if name.endswith("kernel"):
                gradient = gradient + settings["l2"] * weight
                shrunk = weight - own * settings["decoupled"] * weight
            self.weights[name], self.velocity[name] = formulas.momentum_step(
                shrunk, gradient, self.velocity[name], own, 0.9, settings["nesterov"]
            )
        keep = formulas.averaging(settings["decay"], step, settings["warm"])
        for name, value in self.weights.items():
            self.averages[name] = keep * self.averages[name] + (1 - keep) * value


#: What a recipe need not have.
_NOTHING = {
    "l2": 0.0,
    "decoupled": 0.0,
    "class_weights": 1.0,
    "parts": {"frozen": (), "rates": {}},
}


def on_devices(framework, folder, count, *arguments):
    """Run a program on processes, or on devices that JAX takes the CPU for."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    address = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    own = [{**address, "RANK": str(n), "LOCAL_RANK": str(n)} for n in range(count)]
    if framework == "flax":
        flags = f"--xla_force_host_platform_device_count={count}"
        own = [{"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}]
    output = str(folder / f"run{count}")
    run = ("--synthetic", "--workers", "0", "--device", "cpu", "--output", output)
    command = [sys.executable, str(folder / "train.py"), *run, *arguments]
    if framework == "keras":
        own, command = [{}], [*command, "--processes", str(count)]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, env={**os.environ, **each}, **pipes) for each in own]
    said = [process.communicate()[1].decode() for process in processes]
    for process, text in zip(processes, said, strict=True):
        equal("the exit status", (process.returncode, text[-500:] * process.returncode), (0, ""))


def with_workers(framework, folder, count, *arguments):
    """Run a program with so many workers, or without any."""
    output = str(folder / f"run{count}")
    run = ("--synthetic", "--workers", "0", "--device", "cpu", "--output", output)
    workers = ("--processes", str(count)) if count else ()
    own = {"JAX_PLATFORMS": "cpu"} if framework == "flax" else {}
    command = [sys.executable, str(folder / "train.py"), *run, *workers, *arguments]
    process = subprocess.run(command, env={**os.environ, **own}, capture_output=True)
    text = process.stderr.decode()[-500:]
    equal("the exit status", (process.returncode, text * process.returncode), (0, ""))


def _reference_cases():
    """(op, attributes, shape of the input, formula of input and weights, training mode)."""
    f = formulas
    image = (7, 8, 4)

    def batch_norm(epsilon):
        return lambda x, w: f.normalized(
            x, w["moving_mean"], w["moving_variance"], epsilon, w["gamma"], w["beta"]
        )

    def batch_norm_training(epsilon):
        return lambda x, w: f.normalized(x, *f.statistics(x), epsilon, w["gamma"], w["beta"])

    def separable(x, w):
        return f.conv(
            np.maximum(f.depthwise(x, w["depthwise_kernel"], stride=(2, 2), padding=f.SAME), 0),
            w["pointwise_kernel"],
            w["bias"],
        )

    same_window = {"kernel": 3, "stride": 2, "padding": "same"}
    uneven = [[1, 0], [2, 1]]
    return [
        ("conv", {"filters": 6, **same_window, "groups": 2}, image,
         lambda x, w: f.conv(x, w["kernel"], w["bias"], 2, stride=(2, 2), padding=f.SAME), False),
        ("conv", {"filters": 3, "kernel": [2, 3], "dilation": [2, 1], "padding": uneven}, image,
         lambda x, w: f.conv(x, w["kernel"], w["bias"], dilation=(2, 1), padding=uneven), False),
        ("conv", {"filters": 2, "kernel": 3, "bias": False}, image,
         lambda x, w: f.conv(x, w["kernel"]), False),
        ("depthwise_conv", {**same_window, "multiplier": 2}, image,
         lambda x, w: f.depthwise(x, w["depthwise_kernel"], w["bias"], stride=(2, 2),
                                  padding=f.SAME), False),
        ("separable_conv", {"filters": 3, **same_window, "depthwise_activation": "relu"}, image,
         separable, False),
        ("max_pool", same_window, image,
         lambda x, w: f.max_pool(x, (3, 3), stride=(2, 2), padding=f.SAME), False),
        ("max_pool", {"kernel": 2}, image,
         lambda x, w: f.max_pool(x, (2, 2), stride=(2, 2)), False),
        ("avg_pool", {**same_window, "stride": 1}, image,
         lambda x, w: f.avg_pool(x, (3, 3), stride=(1, 1), padding=f.SAME), False),
        ("avg_pool", {**same_window, "count_include_pad": True}, image,
         lambda x, w: f.avg_pool(x, (3, 3), True, stride=(2, 2), padding=f.SAME), False),
        ("batch_norm", {}, image, batch_norm(1e-3), False),
        ("batch_norm", {}, image, batch_norm_training(1e-3), True),
        ("batch_norm", {"momentum": 0.7, "epsilon": 0.1}, (5,), batch_norm_training(0.1), True),
        ("dense", {"units": 3}, (5,), lambda x, w: x @ w["kernel"] + w["bias"], False),
        ("flatten", {}, (2, 3, 4),
         lambda x, w: np.stack([x[:, i, j, c] for i in range(2) for j in range(3)
                                for c in range(4)], axis=1), False),
        ("global_avg_pool", {}, image, lambda x, w: x.sum(axis=(1, 2)) / 56, False),
        ("global_max_pool", {"keep_dims": True}, image,
         lambda x, w: x.max(axis=(1, 2), keepdims=True), False),
        ("zero_pad", {"padding": uneven}, image,
         lambda x, w: np.pad(x, ((0, 0), (1, 0), (2, 1), (0, 0))), False),
        ("relu", {}, image, lambda x, w: np.where(x > 0, x, 0), False),
        ("relu6", {}, image, lambda x, w: np.minimum(np.maximum(x, 0), 6), False),
        ("leaky_relu", {}, image, lambda x, w: np.where(x > 0, x, 0.3 * x), False),
        ("elu", {}, image, lambda x, w: np.where(x > 0, x, np.exp(x) - 1), False),
        ("elu", {"alpha": 0.5}, image, lambda x, w: np.where(x > 0, x, np.exp(x) / 2 - 0.5), False),
        ("gelu", {}, image, lambda x, w: f.gelu(x), False),
        ("gelu", {"approximation": "tanh"}, image, lambda x, w: f.gelu_tanh(x), False),
        ("hard_sigmoid", {}, image, lambda x, w: f.hard_sigmoid(x), False),
        ("hard_swish", {}, image, lambda x, w: x * f.hard_sigmoid(x), False),
        ("silu", {}, image, lambda x, w: x / (1 + np.exp(-x)), False),
        ("sigmoid", {}, image, lambda x, w: 1 / (1 + np.exp(-x)), False),
        ("tanh", {}, image, lambda x, w: np.sinh(x) / np.cosh(x), False),
        ("softmax", {}, image,
         lambda x, w: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True), False),
        ("dropout", {"rate": 0.3}, image, lambda x, w: f.dropout(x, 0.3, "op"), True),
        ("dropout", {"rate": 0.5}, image, lambda x, w: x, False),
        ("spatial_dropout", {"rate": 0.3}, image,
         lambda x, w: f.dropout(x, 0.3, "op", drawn=(len(x), 1, 1, x.shape[-1])), True),
        ("stochastic_depth", {"rate": 0.3}, image,
         lambda x, w: f.dropout(x, 0.3, "op", drawn=(len(x), 1, 1, 1)), True),
    ]  # fmt: skip


def _chosen(op):
    """A case for every combination of kinds of values, the richest first."""
    from xgraph import ops

    found = {}
    for case in ops.get(op).cases():
        ranks = tuple(len(shape) for shape in case.inputs)
        kinds = tuple((name, _kind(value)) for name, value in case.attributes.items())
        found.setdefault((ranks, kinds), case)
    return sorted(found.values(), key=lambda case: -len(case.attributes))


def _kind(value):
    """What two values have in common that are treated alike."""
    if isinstance(value, list):
        if not isinstance(value[0], list):
            return "tall" if value[0] > 3 else "pair"
        return "sides" if any(low != high for low, high in value) else "equal sides"
    return "many" if value.__class__ is int and value > 1 else str(value)


def _hard_gradients(op):
    """Cases of more than the op's own table, whose gradients a framework gets wrong."""
    from xgraph.ops.base import Case

    if op != "avg_pool":
        return []
    return [Case(((3, 4, 2),), {"kernel": 5, "stride": 1, "padding": "same"})]


def _keras(name):
    """The framework, where a schedule is a class of it."""
    if name != "keras":
        return {}
    import keras

    return {"keras": keras}


def _functions(source, names, space):
    """Functions, classes and constants of a program, run without its imports."""
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if _named(node) in names]
    future = ast.parse("from __future__ import annotations").body
    tree.body = [*future, *tree.body]
    exec(compile(tree, "<generated>", "exec"), space)
    return space


def _named(node):
    """What a statement defines."""
    if isinstance(node, ast.Assign):
        return getattr(node.targets[0], "id", None)
    return getattr(node, "name", None)


def _weights(name, program, model):
    """The weights of a model that a program made, by canonical name."""
    canonical = program.modules["weights"].canonical_weights(model)
    if name == "torch":
        return {weight.name: weight.view.numpy().copy() for weight in canonical}
    if name == "keras":
        return {path: np.array(variable) for path, variable in canonical.items()}
    return {path: np.array(variable[...]) for path, variable in canonical.items()}


def _forward(name, model, x, training):
    """The output `value` of a model, channels last, its dropout as it is."""
    if name == "torch":
        import torch

        with torch.no_grad():
            model.train(training)
            return (
                model(torch.from_numpy(x).permute(0, 3, 1, 2))["value"].permute(0, 2, 3, 1).numpy()
            )
    if name == "keras":
        return np.array(model(x, training=training)["value"])
    if training:
        model.train()
    else:
        model.eval()
    return np.array(model(x)["value"])


def _agree(report):
    for measurement in report.failures:
        raise Disagreement(
            f"{measurement.quantity} of {measurement.left} and {measurement.right}: relative "
            f"distance {measurement.distance:.3g} at '{measurement.tensor}'"
        )


def main():
    """Check; the exit status says what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="the copy that is checked")
    parser.add_argument("--backends", default="torch,keras,flax")
    parser.add_argument("--ops", default="")
    parser.add_argument("--checks", default="", help="only these")
    options = parser.parse_args()
    _check_place(options.root)
    backends = options.backends.split(",")
    ops = [op for op in options.ops.split(",") if op]
    with tempfile.TemporaryDirectory() as folder:
        try:
            harness = Harness(backends, ops, Path(folder))
        except Exception as error:  # a backend that cannot be imported is a fault of the copy
            print(f"import: {error}")
            return 3
        for check in harness.checks():
            if options.checks and check.__name__ not in options.checks.split(","):
                continue
            before = time.perf_counter()
            try:
                check()
            except Disagreement as found:
                print(f"{check.__name__}: {found}")
                return FOUND
            print(f"  {check.__name__} {time.perf_counter() - before:.1f} s", flush=True)
    print("all agree")
    return 0


def _check_place(root):
    """The copy is what gets imported, rather than an installed package."""
    import xgraph_backends

    import xgraph

    for module in (xgraph, xgraph_backends):
        place = Path(module.__file__).resolve()
        if not place.is_relative_to(root.resolve()):
            raise SystemExit(f"{module.__name__} comes from {place}, not from {root}")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
