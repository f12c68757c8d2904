"""A run by workers that do not wait for each other; this process is their server.

A worker is an actor of Ray. It is given the weights as they are and the keys of a batch, and gives
gradients back, by which the server makes an update at once, whatever the others are at. How many
updates there have been meanwhile is the staleness of the gradients.

Without --processes there are no workers, and the program trains on one device.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import data
import exchange
import numpy as np
from arguments import UserError
from run import Run, Training

Keys = list[tuple[int, int]]  # of the images of a batch
Arrays = dict[str, np.ndarray]  # by canonical name


def asynchronously(
    start: Callable[[AsyncRun], None], staleness: int | None = None
) -> Callable[[Run], None]:
    """`start`, for a server and workers, whose gradients are so many updates behind at most."""
    return lambda run: start(AsyncRun(run, staleness))


@dataclass(eq=False)
class Worker:
    """An actor, and the keys of the batches that it is to compute, by their numbers, in order."""

    name: int
    actor: Any
    batches: dict[int, Keys] = field(default_factory=dict)
    untold: dict[int, Keys] = field(default_factory=dict)  # those that it does not know of

    def told(self) -> dict[int, Keys]:
        """What it is told of, which it then knows."""
        new, self.untold = self.untold, {}
        return new


@dataclass(frozen=True)
class Task:
    """The batch that a worker is at, by the weights that there were after `version` updates."""

    worker: Worker
    number: int
    keys: Keys
    version: int
    weights: Arrays


class AsyncRun(Run):
    """A run whose updates may be by workers' gradients."""

    def __init__(self, run: Run, staleness: int | None = None) -> None:
        self.__dict__.update(vars(run))  # it goes on from a run that has opened its images
        self.bound = staleness
        self.workers: list[Worker] = []  # those that are alive
        self.tasks: dict[Any, Task] = {}  # by what Ray will have of each
        self.returned: dict[int, Keys] = {}  # batches of workers that have died
        self.begun = self.step  # batches below this number have been begun
        self.signalled = 0
        self.behind: list[int] = []  # the staleness of each update since the last line of the log

    def begin(self, training: Training, **about: Any) -> Iterator[Keys]:
        """As for one process, of which there may be several."""
        if count := self.arguments.processes:
            about["processes"] = count
        self.on_cpu = about["device"] == "cpu"
        keys: Iterator[Keys] = super().begin(training, **about)
        return keys

    def updates(self, training: Any, keys: Iterator[Keys]) -> Iterator[float]:
        """Train on the batches of these keys, each by a worker; yields the loss of each.

        They are begun in order. With one worker, the run is that on one device.

        Raises:
            UserError: no worker is left.
        """
        ray = self.start_workers()
        self.begun = self.step
        coming = enumerate(keys, self.step)
        weights = exchange.weights(training)
        while True:
            self.hand_out(ray, weights, coming)
            if not self.tasks:
                return
            answered = self.next_answer(ray)
            if answered is None:
                continue
            task, (loss, gradients, statistics) = answered
            self.behind.append(self.step - task.version)
            self.number = task.number
            moved = {
                name: added(weights[name], task.weights[name], after)
                for name, after in statistics.items()
            }
            exchange.set_weights(training, moved)
            rate = self.recipe.learning_rate(self.step, self.plan)
            exchange.update(training, self.step, gradients, rate)
            exchange.set_passes(training, self.step + 1)
            weights = exchange.weights(training)
            yield loss

    def start_workers(self) -> Any:
        """Start Ray, here or where RAY_ADDRESS says, and as many workers as are wanted.

        Raises:
            UserError: there is no Ray, or not enough for all workers.
        """
        try:
            import ray
        except ImportError:
            wanted = "--processes needs the package ray: pip install ray"
            raise UserError(wanted) from None
        count = self.arguments.processes
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told
        os.environ.setdefault("RAY_worker_niceness", "0")  # workers are what is to have the CPU
        given: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
        address = os.environ.get("RAY_ADDRESS", "local")
        if address == "local":
            given |= {"num_cpus": count, "include_dashboard": False}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of JAX, that a fork may deadlock
            ray.init(address, **given)  # which starts other programs at once
        self.closing.callback(ray.shutdown)
        for number in (signal.SIGINT, signal.SIGTERM):  # which Ray has taken
            signal.signal(number, self.stop)
        device = "CPU" if self.on_cpu else "GPU"
        there = int(ray.cluster_resources().get(device, 0))
        if count > there:
            raise UserError(f"{count} processes are too many for {there} {device}s")
        actors = ray.remote(Actor).options(num_cpus=1, num_gpus=0 if self.on_cpu else 1)
        self.workers = [Worker(name, actors.remote(self.arguments)) for name in range(count)]
        return ray

    def hand_out(self, ray: Any, weights: Arrays, coming: Iterator[tuple[int, Keys]]) -> None:
        """A batch for each worker that has none, if it may begin one, and some to load ahead."""
        busy = {task.worker for task in self.tasks.values()}
        idle = [worker for worker in self.workers if worker not in busy]
        for worker in idle:
            self.assign(worker, 1, coming)
        kept = None
        for worker in sorted(idle, key=lambda worker: min(worker.batches, default=0)):
            if worker.batches and self.may_begin(number := min(worker.batches)):
                self.begun = max(self.begun, number + 1)
                kept = kept or ray.put(weights)
                self.assign(worker, 1 + self.arguments.workers, coming)
                answer = worker.actor.compute.remote(kept, number, worker.told())
                keys = worker.batches.pop(number)
                self.tasks[answer] = Task(worker, number, keys, self.step, weights)
            if worker.untold:
                worker.actor.load.remote(worker.told())

    def assign(self, worker: Worker, count: int, coming: Iterator[tuple[int, Keys]]) -> None:
        """So many batches for a worker, and one more that another has left behind, if there is."""
        new = dict(islice(coming, max(0, count - len(worker.batches))))
        if self.returned:
            number = min(self.returned)
            new[number] = self.returned.pop(number)
        worker.batches |= new
        worker.untold |= new

    def may_begin(self, number: int) -> bool:
        """Whether this batch may be begun now.

        Not before a checkpoint, if it is due before the batch, nor in a run that ends: batches that
        a checkpoint has seen are those before its step, and it is of no moment who computed them.
        """
        if super().stopping() or self.signalled:
            end = self.begun
        else:
            end = (self.step // self.save_every + 1) * self.save_every
        versions = [self.step, *(task.version for task in self.tasks.values())]
        return number < min(end, self.last_step) and self.fits(self.step, versions)

    def fits(self, updates: int, versions: Iterable[int]) -> bool:
        """Whether gradients by the weights of these versions can all still be taken in time."""
        places = enumerate(sorted(versions))
        bound = self.bound
        return bound is None or all(updates + place - at <= bound for place, at in places)

    def next_answer(self, ray: Any) -> tuple[Task, tuple[float, Arrays, Arrays]] | None:
        """The first that is there of those that may be taken; nothing, if its worker has died."""
        versions = {answer: task.version for answer, task in self.tasks.items()}
        may_be_taken = [
            answer
            for answer in versions
            if self.fits(self.step + 1, (versions[other] for other in versions if other != answer))
        ]
        [answer], _ = ray.wait(may_be_taken, num_returns=1)
        task = self.tasks.pop(answer)
        try:
            return task, ray.get(answer)
        except ray.exceptions.RayActorError as error:
            self.lose(task, error)
            return None
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError | data.DataError):
                raise type(error.cause)(*error.cause.args) from None
            raise

    def lose(self, task: Task, error: Exception) -> None:
        """Others compute what a worker had, which has died."""
        worker = task.worker
        self.workers.remove(worker)
        self.returned |= {**worker.batches, task.number: task.keys}
        left = len(self.workers)
        said = f"worker {worker.name} has ended, {reason(error)}"
        if not left:
            raise UserError(f"{said}, and was the last{self.kept()}")
        self.progress.write(f"{said}; {left} of {self.arguments.processes} are left")

    def stop(self, number: int, frame: object) -> None:
        """On Ctrl-C and SIGTERM: stop once what has been begun is done."""
        self.signalled = number
        signal.signal(number, signal.SIG_DFL)

    def stopping(self) -> bool:
        """Whether the run ends after this update, of the last batch that has been begun."""
        done = not self.workers or self.step == self.begun
        if self.signalled and done:
            self.stopped_by = self.signalled
        return super().stopping() and done

    def log_step(self, loss: float, **more: Any) -> None:
        """A line of the log, which also tells how far behind gradients were."""
        if self.behind:
            mean = round(sum(self.behind) / len(self.behind), 3)
            more = {"staleness": mean, "staleness_max": max(self.behind), "batch": self.number}
            self.behind.clear()
        super().log_step(loss, **more)


class WorkersRun(AsyncRun):
    """The run as a worker knows it, which trains nothing by itself."""

    def begin(self, training: Training, **about: Any) -> Iterator[Keys]:
        """Note what there is to train."""
        self.training = training
        return iter(())

    def updates(self, training: Any, keys: Iterator[Keys]) -> Iterator[float]:
        """None."""
        return iter(())

    def end(self) -> None:
        """It goes on."""


class Actor:
    """What a worker does, in a process of its own."""

    def __init__(self, arguments: Any) -> None:
        import train  # the program that the server is running

        arguments.weights, arguments.tensorboard = None, False
        with open(os.devnull, "w") as nowhere:
            before, sys.stdout = sys.stdout, nowhere  # what all would say, the server does
            self.run = WorkersRun(Run(arguments, train.RECIPE))
            train.start(self.run)
            sys.stdout = before
        self.threads = ThreadPoolExecutor(max(1, arguments.workers))
        self.loading: dict[int, Future[tuple[np.ndarray, np.ndarray]]] = {}

    def load(self, batches: dict[int, Keys]) -> None:
        """Begin to load the images of these batches."""
        for number, keys in batches.items():
            self.loading[number] = self.threads.submit(self.run.dataset.batch, keys)

    def compute(
        self, weights: Arrays, number: int, more: dict[int, Keys]
    ) -> tuple[float, Arrays, Arrays]:
        """The loss of a batch by these weights, its gradients, and the statistics that it moved."""
        self.load(more)
        images, labels = self.loading.pop(number).result()
        training = self.run.training
        exchange.set_weights(training, weights)
        exchange.set_passes(training, number)
        loss, gradients = exchange.gradients(training, images, labels)
        after = exchange.weights(training)
        moved = {
            name: value
            for name, value in after.items()
            if name not in gradients and not np.array_equal(value, weights[name])
        }
        return loss, gradients, moved


def added(now: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Moving statistics with what a worker has moved them by; `after`, if no other has."""
    return np.where(now == before, after, now + (after - before))


def reason(error: Exception) -> str:
    """Why a worker has died, as far as Ray knows."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "worker process has died" in line), lines[-1])
    return "killed or out of memory" if "worker process has died" in told else f"by {told}"
