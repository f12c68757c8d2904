"""The machine around training: a run's folder, when it saves, log, progress and signals.

It knows no optimizer, loss or schedule, and is the same for every model and in every framework, as
are the files that it writes. RUN receives

    run.json                  what is trained, on what, and how
    metrics.jsonl             a line for each logged step and for each evaluation
    checkpoint.safetensors    all that a stopped run needs to go on as if it had not stopped
    best.safetensors          the weights of the best evaluation so far
    weights.safetensors       the weights when the run ended or was stopped
    tensorboard/              the log for TensorBoard, on request
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import io
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import data
import numpy as np
from arguments import HIGHEST_RATE, UserError, read_arguments
from checkpoint import (
    ABSURD,
    FORMAT,
    difference,
    locked,
    not_finite,
    read_checkpoint,
    read_classes,
    restore,
    shortened,
    write,
)
from event_file import EventFile, clear_event_files
from safetensors.numpy import save
from tqdm import tqdm

CHECKPOINT, BEST, WEIGHTS = "checkpoint.safetensors", "best.safetensors", "weights.safetensors"


@dataclass(frozen=True)
class Plan:
    """How long a run is, and the learning rate that its schedule is in proportion to."""

    batch_size: int
    steps_per_epoch: int
    total_steps: int
    rate: float


@dataclass(frozen=True)
class Recipe:
    """What train.py says of its recipe.

    `every` gives the steps between lines of the log, evaluations and checkpoints; `facts` are what
    a run that is resumed must have begun with. `patience` is how many evaluations in a row may be
    no better, `hours` how long a run may take, and `settling` how many updates the moving
    statistics of batch norm need. A batch is processed in so many `micro_batches`.
    """

    epochs: int
    batch_size: int
    rate: float
    classes: int
    many_labels: bool
    output: Path
    learning_rate: Callable[[int, Plan], float]
    every: Callable[[Plan], tuple[int, int, int]]
    facts: Mapping[str, Any]
    patience: int | None = None
    hours: float | None = None
    settling: int | None = None
    micro_batches: int = 1


class Training(Protocol):
    """What train.py trains."""

    def state(self) -> dict[str, np.ndarray]:
        """All that an update changes, by name; the same in every framework."""

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from another state with the same names and shapes."""

    def evaluate(self, batches: Any) -> dict[str, float]:
        """The loss and the metrics, the most telling one first after the loss."""

    def logits(self, batches: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The logits (B, classes) and labels of each batch; the model is not trained afterwards."""

    def save_weights(self, path: Path, **about: Any) -> None:
        """Write the weights that are evaluated, and what there is to say about them."""


class Run:
    """One run: its images and its folder, how long it is and how far it has come."""

    def __init__(self, arguments: argparse.Namespace, recipe: Recipe) -> None:
        self.arguments, self.recipe, self.seed = arguments, recipe, arguments.seed
        self.output: Path = arguments.output
        if arguments.weights and not arguments.weights.is_file():
            raise UserError(f"--weights: {arguments.weights} is no file")
        self.closing = contextlib.ExitStack()  # what is given back when the run ends
        try:
            self.events = EventFile(self.output) if arguments.tensorboard else None
        except ImportError:
            wanted = "--tensorboard needs the package tensorboard: pip install tensorboard"
            raise UserError(wanted) from None
        if arguments.predict:
            self.splits = data.open_images(arguments.predict)
        elif arguments.synthetic:
            self.splits = data.synthetic_data(recipe.classes, self.seed)
        else:
            self.splits = data.open_data(arguments.data, recipe.classes)
        for note in self.splits.notes:
            print(note, file=sys.stderr if arguments.predict else sys.stdout)
        self.step = 0
        # How long it would be, which a model that is only evaluated need not know.
        self.dataset = data.Dataset(
            self.splits.get("train", next(iter(self.splits.values()))), self.seed, training=True
        )
        steps_per_epoch = max(1, len(self.dataset) // arguments.batch_size)
        total_steps = arguments.epochs * steps_per_epoch
        rate = arguments.learning_rate
        self.plan = Plan(arguments.batch_size, steps_per_epoch, total_steps, rate)
        self.last_step = min(total_steps, arguments.max_steps or total_steps)

    # Training

    def begin(self, training: Training, **about: Any) -> Iterator[list[tuple[int, int]]]:
        """Open the folder, go on from a checkpoint if there is one, and say what is ahead.

        Args:
            training: with the weights that a run from the start begins with.
            about: what train.py knows of it: its framework, parameters and device.

        Returns:
            The keys of the images of each batch to come; see `data.training_batches`.
        """
        arguments, recipe = self.arguments, self.recipe
        if "train" not in self.splits:
            raise UserError(f"{arguments.data} has no training images: expected train/<class>/")
        count, batch_size = len(self.dataset), arguments.batch_size
        if (taken := min(count, batch_size)) % recipe.micro_batches:
            raise UserError(
                f"{taken} images do not make {recipe.micro_batches} equal micro-batches"
            )
        self.check_rate()
        self.log_every, self.evaluate_every, self.save_every = recipe.every(self.plan)
        self.held_out = next((name for name in ("validation", "test") if name in self.splits), None)

        self.training = training
        self.facts = {
            **recipe.facts,
            "classes": self.splits.class_names,
            "seed": self.seed,
            "images": count,
            "batch_size": batch_size,
            "epochs": arguments.epochs,
            "learning_rate": arguments.learning_rate,
        }
        checkpoint = self.find_checkpoint()
        if checkpoint is None and arguments.weights:
            self.say_if_other_classes(arguments.weights)
        self.output.mkdir(parents=True, exist_ok=True)
        self.closing.enter_context(locked(self.output / "lock"))
        if checkpoint is None:  # an earlier run's files must not be taken for this one's
            for name in (CHECKPOINT, BEST, WEIGHTS):
                (self.output / name).unlink(missing_ok=True)
            clear_event_files(self.output)
            self.best, self.stale, self.before = -math.inf, 0, 0.0
        else:
            self.resume(checkpoint)
        self.log = Log(self.output / "metrics.jsonl", self.step)
        write(self.output / "run.json", json.dumps({**about, **self.facts}, indent=2).encode())
        if self.events:
            self.closing.enter_context(self.events.opened(self.before))
            self.log.events = self.events
        self.stopped_by: int | None = None
        self.enough = ""  # why the run ends by itself before its last step
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.signal(number, self.stop)
            self.closing.callback(signal.signal, number, before or signal.SIG_DFL)
        self.previous: Any = 0.0
        self.unsettled = False
        self.say_what_is_ahead(about)
        self.progress = self.closing.enter_context(
            tqdm(total=self.last_step, initial=self.step, unit="step", disable=None)
        )
        self.began = self.started = time.perf_counter()
        self.seen = 0
        keys = data.training_batches(count, batch_size, self.seed, self.step, self.last_step)
        return iter(keys)

    def check_rate(self) -> None:
        """The learning rate stays a number that a program can hold.

        One that grows is greatest at the end.

        Raises:
            UserError: it does not.
        """
        try:
            last = self.recipe.learning_rate(self.last_step - 1, self.plan)
        except OverflowError:
            last = math.inf
        if not last < HIGHEST_RATE:
            raise UserError(
                f"the learning rate grows to {last:g} at step {self.last_step:,}: "
                f"its schedule, or --epochs, must keep it below {HIGHEST_RATE:g}"
            )

    def say_if_other_classes(self, weights: Path) -> None:
        """Weights may begin the training of a model of something else, but not unnoticed."""
        classes, now = read_classes(weights), self.splits.class_names
        if classes not in (None, now) and not self.arguments.leave_out:
            print(f"{weights} knows other classes: they {difference(classes, now)}")

    def say_left_out(self, names: Sequence[str]) -> None:
        """One line for the weights that a run does not begin with, if there are any."""
        if names:
            weights = "weight" if len(names) == 1 else "weights"
            which = data.listed(names, 5)
            print(f"left out of {self.arguments.weights}: {len(names):,} {weights}, {which}")

    def say_what_is_ahead(self, about: Mapping[str, Any]) -> None:
        """One line before the first step."""
        plan, count = self.plan, len(self.dataset)
        unused = max(0, count - plan.steps_per_epoch * plan.batch_size)
        print(f"classes: {data.listed(self.splits.class_names)}")
        print(
            f"{about['parameters']:,} trainable weights on {about['device']}; "
            f"{count:,} images, {plan.steps_per_epoch:,} steps per epoch"
            + (f" ({unused} images that fill no batch are left out of each)" if unused else "")
            + f"; steps {self.step:,} to {self.last_step:,}",
            flush=True,
        )

    def after_update(self, loss: Any, held_out: Callable[[data.Dataset], Any]) -> bool:
        """Log, evaluate and save what is due after an update; whether to go on.

        Args:
            loss: before the update, of any type that `float` takes. It is looked at when the next
                update is under way, so that no device has to wait.
            held_out: makes the batches that are evaluated.
        """
        self.step += 1
        self.seen += min(self.plan.batch_size, len(self.dataset))
        self.progress.update()
        self.check(self.previous, self.step - 1)
        self.previous = loss
        at_end = self.step == self.last_step
        if self.step % self.log_every == 0 or at_end:
            self.log_step(self.check(loss, self.step))
        if self.held_out and (self.step % self.evaluate_every == 0 or at_end):
            self.evaluate_held_out(held_out)
        hours = self.arguments.hours
        if hours is not None and self.position()["seconds"] >= 3600 * hours:
            self.enough = f"it has trained for {hours:g} hours"
        stopping = self.stopping()
        if self.step % self.save_every == 0 or at_end or stopping:
            self.check(loss, self.step)
            self.save()
        if at_end or stopping:
            self.save_weights(WEIGHTS)
        return not (at_end or stopping)

    def stopping(self) -> bool:
        """Whether the run ends after this update, though it may not be the last."""
        return self.stopped_by is not None or bool(self.enough)

    def save_weights(self, name: str) -> None:
        """Write the weights that are evaluated into the run's folder."""
        self.training.save_weights(self.output / name, classes=self.splits.class_names)

    def end(self) -> None:
        """Say how it ended; a run that was stopped ends the program as its signal would have."""
        self.progress.close()
        if self.stopped_by is not None and self.step < self.last_step:
            print(f"stopped at step {self.step:,}; --resume auto continues")
            sys.exit(128 + self.stopped_by)
        elif self.enough and self.step < self.last_step:
            print(f"ended at step {self.step:,}: {self.enough}")

    def stop(self, number: int, frame: object) -> None:
        """On Ctrl-C and SIGTERM: stop after this step; a second one ends the program at once."""
        self.stopped_by = number
        signal.signal(number, signal.SIG_DFL)

    def check(self, loss: Any, step: int) -> float:
        """The loss as a number.

        Raises:
            UserError: it is not finite.
        """
        value = float(loss)
        if math.isfinite(value):
            return value
        if step == 1:  # no update had been made
            raise UserError(
                f"the loss is {value} before any update: a number of the network, of the loss or "
                "of the images' normalization is too large"
            )
        bad = not_finite(self.training.state())
        where = f", and {bad} is not finite" if bad else ""
        raise UserError(
            f"the loss is {value} at step {step:,}{where}: try a lower --learning-rate{self.kept()}"
        )

    def kept(self) -> str:
        """What there still is, for a message."""
        return "; the last checkpoint is untouched" if (self.output / CHECKPOINT).exists() else ""

    def position(self) -> dict[str, Any]:
        """Where the run is, for a line of the log."""
        seconds = self.before + time.perf_counter() - self.began
        epoch = round(self.step / self.plan.steps_per_epoch, 4)
        return {"step": self.step, "epoch": epoch, "seconds": round(seconds, 3)}

    def log_step(self, loss: float, **more: Any) -> None:
        """A line of the log for the last update, and what else there is to say of it."""
        rate = self.recipe.learning_rate(self.step - 1, self.plan)
        speed = self.seen / (time.perf_counter() - self.started)
        self.log.write(
            **self.position(),
            **more,
            loss=loss,
            learning_rate=rate,
            images_per_second=round(speed, 1),
        )
        self.progress.set_postfix(loss=f"{loss:.4f}", lr=f"{rate:.2e}", img_s=f"{speed:.0f}")
        self.started, self.seen = time.perf_counter(), 0

    def evaluate_held_out(self, batches: Callable[[data.Dataset], Any]) -> None:
        """A line of the log for an evaluation; the best weights are kept."""
        metrics = self.training.evaluate(batches(data.Dataset(self.splits[self.held_out])))
        self.log.write(**self.position(), split=self.held_out, **metrics)
        self.progress.write(f"step {self.step:,}, {self.held_out}: {shown(metrics)}")
        score = next((value for name, value in metrics.items() if name != "loss"), math.nan)
        self.stale += 1
        if score > self.best and math.isfinite(metrics["loss"]):
            self.best, self.stale = score, 0
            self.save_weights(BEST)
        if self.recipe.patience is not None and self.stale >= self.recipe.patience:
            self.enough = f"the last {self.stale} evaluations were no better"
        self.say_if_unsettled(metrics["loss"])
        self.started, self.seen = time.perf_counter(), 0

    def say_if_unsettled(self, loss: float) -> None:
        """A hint, once, where a short run's evaluations are far worse than its training."""
        settling, trained = self.recipe.settling or 0, float(self.previous)
        if self.unsettled or self.last_step >= 2 * settling:
            return
        if not math.isfinite(loss) or loss < 2 * trained + 0.1:
            return
        self.unsettled = True
        self.progress.write(
            f"hint: batch norm's moving statistics, which evaluation uses, need {settling:,} "
            f"updates to forget where they began, and this run takes {self.last_step:,}; with a "
            "lower momentum they need fewer: xgraph compile --set defaults.batch_norm.momentum=0.9"
        )

    # Checkpoints

    def find_checkpoint(self) -> Path | None:
        """Where to go on from, if anywhere."""
        own, resume = self.output / CHECKPOINT, self.arguments.resume
        if resume is None and own.exists():
            raise UserError(
                f"{self.output} holds a run: add --resume auto to continue it, "
                "--resume never to start over"
            )
        if resume in (None, "never") or (resume == "auto" and not own.exists()):
            return None
        if self.arguments.weights:
            raise UserError("a run that is resumed has its own weights: leave --weights out")
        given = own if resume == "auto" else Path(resume)
        return given / CHECKPOINT if given.is_dir() else given

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, whichever framework wrote it."""
        about, arrays = read_checkpoint(path)
        was, step = about["facts"], about["step"]
        for name in sorted({*was, *self.facts}):
            if was.get(name) != self.facts.get(name):
                said = difference(was.get(name), self.facts.get(name))
                raise UserError(
                    f"{path} is of another run: {shortened(name)} {said}; "
                    "--resume never starts over"
                )
        if step > self.last_step:
            raise UserError(f"{path} has taken {step:,} steps, here are {self.last_step:,}")
        restore(self.training, arrays, path)
        self.step, self.best, self.before = step, about["best"], about["seconds"]
        self.stale = about["stale"]
        if self.best is None:
            self.best = -math.inf

    def save(self) -> None:
        """Write all that changes while training, whole or not at all.

        The step says the epoch and the place in it, since the facts fix the order of the images.

        Raises:
            UserError: the last update has left something that is not finite; nothing is written.
        """
        about = {
            "format": FORMAT,
            "step": self.step,
            "best": self.best if math.isfinite(self.best) else None,
            "stale": self.stale,
            "seconds": self.position()["seconds"],
            "facts": self.facts,
        }
        arrays = {name: np.asarray(a, order="C") for name, a in self.training.state().items()}
        if bad := not_finite(arrays):
            raise UserError(
                f"{bad} is not finite after step {self.step:,}: "
                f"try a lower --learning-rate{self.kept()}"
            )
        content = save(arrays, {"run": json.dumps(about)})
        path = self.output / CHECKPOINT
        write(path, content)
        if self.arguments.keep > 1:
            kept = path.with_stem(f"checkpoint-{self.step:09}")
            kept.unlink(missing_ok=True)
            os.link(path, kept)
            for old in sorted(self.output.glob("checkpoint-*.safetensors"))[: -self.arguments.keep]:
                old.unlink()

    # Without training

    def check_data(self) -> int:
        """Read every image once and list what cannot be read; 1 if anything cannot."""
        found = 0
        for split, source in self.splits.items():
            for problem in data.check(source, self.arguments.workers):
                print(f"{split}: {problem}")
                found += 1
        counted = sum(map(len, self.splits.values()))
        print(f"{counted:,} images read, {found:,} of them bad")
        return min(found, 1)


class Log:
    """metrics.jsonl, without what a stopped run logged after the step that it goes on from.

    Lines that cannot be read are moved to metrics.jsonl.damaged.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.events: EventFile | None = None  # that follows it
        whole, damaged = [], []
        for line in path.read_bytes().splitlines() if path.exists() else []:
            try:
                if json.loads(line)["step"] <= step:
                    whole.append(line)
            except (ValueError, TypeError, KeyError, *ABSURD):
                damaged.append(line)
        write(path, b"".join(line + b"\n" for line in whole))
        if damaged:
            with open(path.with_name(path.name + ".damaged"), "ab") as file:
                file.write(b"".join(line + b"\n" for line in damaged))

    def write(self, **values: Any) -> None:
        """Append one line; a number that JSON does not have becomes null."""
        for name, value in values.items():
            if isinstance(value, float) and not math.isfinite(value):
                values[name] = None
        with open(self.path, "a") as file:
            file.write(json.dumps(values) + "\n")
        if self.events:
            self.events.write(values)


def shown(metrics: Mapping[str, float]) -> str:
    """Metrics as text."""
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())


def reuse_memory() -> None:
    """Let the C library use freed memory again, which it gives back to the system as it comes.

    Each update on a CPU needs the same arrays, and new pages for them take up to an eighth of its
    time. Where MALLOC_ variables are set, or where this is not glibc (mallopt(3)), all stays as it
    is.
    """
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX
    if sys.platform == "linux" and not any(name.startswith("MALLOC_") for name in os.environ):
        with contextlib.suppress(AttributeError, OSError):
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(trim_threshold, -1)  # the end of the heap is kept
            mallopt(mmap_max, 0)  # large arrays are in the heap, too


def carry_out(
    parser: argparse.ArgumentParser, recipe: Recipe, start: Callable[[Run], None]
) -> None:
    """Run the program; mistakes of the user end it with one line."""
    arguments = read_arguments(parser)
    reuse_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):  # which may have no letters for a file's name
        sys.stdout.reconfigure(errors="backslashreplace")
    status: int | str
    try:
        run = Run(arguments, recipe)
        with run.closing:
            if arguments.check_data:
                sys.exit(run.check_data())
            start(run)
        return
    except BrokenPipeError:  # whoever read what we say has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except KeyboardInterrupt:  # where no run has to be saved
        status = 128 + signal.SIGINT
    except (UserError, data.DataError, OSError, ValueError) as error:
        status = f"error: {error}"
    sys.exit(status)  # out here, where no exception keeps a loader alive
