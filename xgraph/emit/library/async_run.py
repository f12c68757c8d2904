"""A run by workers that do not wait for each other; this process is their server.

A worker is an actor of Ray. It is given the weights as they are and the keys of a batch, and gives
gradients back, by which the server makes an update at once, whatever the others are at. How many
updates there have been meanwhile is the staleness of the gradients.

Without --processes there are no workers, and the program trains on one device.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import data
import exchange
import numpy as np
import parts
from arguments import UserError
from run import WEIGHTS, Run, Training

Keys = list[tuple[int, int]]  # of the images of a batch
Arrays = dict[str, np.ndarray]  # by canonical name
# A loss, gradients, moving statistics with the share that they keep in a pass, and messages.
Answer = tuple[float, Arrays, dict[str, tuple[np.ndarray, float]], str]


def asynchronously(
    start: Callable[[AsyncRun], None], staleness: int | None = None
) -> Callable[[Run], None]:
    """`start`, for a server and workers, whose gradients are so many updates behind at most."""

    def started(run: Run) -> None:
        server, status = AsyncRun(run, staleness), 0
        try:
            start(server)
        except SystemExit as stopped:
            if not server.workers or not isinstance(stopped.code, int):
                raise
            status = stopped.code
        if server.workers:
            server.leave(status)

    return started


@dataclass(eq=False)
class Worker:
    """An actor, by the number that messages call it by."""

    name: int
    actor: Any


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
        self.waiting: dict[int, Keys] = {}  # batches that are next, or whose worker has died
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
                self.stop_here()
                return
            answered = self.next_answer(ray)
            if answered is None:
                continue
            task, (loss, gradients, statistics, said) = answered
            print(said, end="", file=sys.stderr)
            self.behind.append(self.step - task.version)
            self.number = task.number
            moved = {
                name: added(weights[name], task.weights[name], *told)
                for name, told in statistics.items()
            }
            exchange.set_weights(training, moved)
            rate = self.recipe.learning_rate(self.step, self.plan)
            exchange.update(training, self.step, gradients, rate)
            set_passes(training, self.step + 1)
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
        for number in (signal.SIGINT, signal.SIGTERM):  # which Ray has taken
            signal.signal(number, self.stop)
        for device in ("CPU",) if self.on_cpu else ("GPU", "CPU"):
            if count > (there := int(ray.available_resources().get(device, 0))):
                raise UserError(
                    f"{count} processes are too many for {there} {device}s that are free"
                )
        actors = ray.remote(Actor).options(num_cpus=1, num_gpus=0 if self.on_cpu else 1)
        self.workers = [Worker(name, actors.remote(self.arguments)) for name in range(count)]
        return ray

    def hand_out(self, ray: Any, weights: Arrays, coming: Iterator[tuple[int, Keys]]) -> None:
        """The next batch for each worker that has none, if it may begin one.

        It is also told of those that are likely to be its own after that, to load them meanwhile.
        """
        busy = {task.worker for task in self.tasks.values()}
        idle = [worker for worker in self.workers if worker not in busy]
        count, ahead = len(self.workers), self.arguments.workers
        self.waiting |= islice(coming, max(0, count * (1 + ahead) - len(self.waiting)))
        kept = None
        for worker in idle:
            number = min(self.waiting, default=self.last_step)
            if not self.may_begin(number):
                return
            keys = self.waiting.pop(number)
            likely = {n: self.waiting[n] for n in self.waiting if (n - number) % count == 0}
            kept = kept or ray.put(weights)
            answer = worker.actor.compute.remote(kept, number, {number: keys, **likely})
            self.tasks[answer] = Task(worker, number, keys, self.step, weights)
            self.begun = max(self.begun, number + 1)

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

    def next_answer(self, ray: Any) -> tuple[Task, Answer] | None:
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
        except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError) as error:
            self.lose(task, error)
            return None
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError | data.DataError):
                raise type(error.cause)(*error.cause.args) from None
            raise

    def lose(self, task: Task, error: Exception) -> None:
        """Others compute the batch of a worker that has died."""
        worker = task.worker
        self.workers.remove(worker)
        self.waiting[task.number] = task.keys
        left = len(self.workers)
        said = f"worker {worker.name} has ended, {reason(error)}"
        if not left:
            raise UserError(f"{said}, and was the last{self.kept()}")
        self.progress.write(f"{said}; {left} of {self.arguments.processes} are left")

    def stop(self, number: int, frame: object) -> None:
        """On Ctrl-C and SIGTERM: stop once what has been begun is done."""
        self.signalled = number
        signal.signal(number, signal.SIG_DFL)

    def leave(self, status: int) -> None:
        """End the program, and so the workers, once all is written.

        Ray's own way to its end now and then aborts the program with another status.
        """
        self.closing.close()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    def stop_here(self) -> None:
        """Stop on a signal that has come when an update was done and no batch had been begun."""
        if self.step == self.last_step:
            return
        if not self.stopping():
            raise RuntimeError(f"no worker may begin batch {self.step}")
        self.save()
        self.save_weights(WEIGHTS)

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
        self.shares: dict[str, float] | None = None
        sys.stderr = self.said = io.StringIO()  # which the server shows

    def compute(self, weights: Arrays, number: int, batches: dict[int, Keys]) -> Answer:
        """What comes of batch `number` with these weights; of the others, images are loaded."""
        for other in [n for n in self.loading if n < number]:  # which another worker has taken
            del self.loading[other]
        for other, keys in batches.items():
            if other not in self.loading:
                self.loading[other] = self.threads.submit(self.run.dataset.batch, keys)
        images, labels = self.loading.pop(number).result()
        if self.shares is None:
            self.shares = self.find_shares(weights, images, labels)
        set_passes(self.run.training, number)
        loss, gradients, after = self.passed(weights, images, labels)
        statistics = {name: (after[name], share) for name, share in self.shares.items()}
        said = self.said.getvalue()
        self.said.seek(0)
        self.said.truncate()
        return loss, gradients, statistics, said

    def passed(
        self, weights: Arrays, images: np.ndarray, labels: np.ndarray
    ) -> tuple[float, Arrays, Arrays]:
        """The loss of a batch by these weights, its gradients, and what the weights are then."""
        training = self.run.training
        exchange.set_weights(training, weights)
        loss, gradients = exchange.gradients(training, images, labels)
        return loss, gradients, exchange.weights(training)

    def find_shares(
        self, weights: Arrays, images: np.ndarray, labels: np.ndarray
    ) -> dict[str, float]:
        """What share of it each moving statistic keeps in a pass.

        It is the momentum of a batch norm, or a power of it, if the layer is applied several times;
        training does not look at these values, so others show what becomes of them.
        """
        names = [name for name in weights if name.rpartition(".")[2].startswith("moving_")]
        zeros, ones = (
            self.passed(
                {**weights, **{name: np.full_like(weights[name], value) for name in names}},
                images,
                labels,
            )[2]
            for value in (0, 1)
        )
        return {name: float((ones[name] - zeros[name]).mean()) for name in names}


def set_passes(training: Any, count: int) -> None:
    """As if each layer of dropout had drawn so many masks, where there is any."""
    if hasattr(parts, "set_passes"):
        parts.set_passes(training.model, count)


def added(now: np.ndarray, before: np.ndarray, after: np.ndarray, share: float) -> np.ndarray:
    """Moving statistics that have changed since a worker has moved them from `before` to `after`.

    They keep a share, and what else there is comes from the worker's batch; `after` is the result
    if nothing has changed.
    """
    return np.where(now == before, after, share * now + (after - share * before))


def reason(error: Exception) -> str:
    """Why a worker has died, as far as Ray knows."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "worker process has died" in line), lines[-1])
    return "killed or out of memory" if "worker process has died" in told else f"by {told}"
