"""Batches of images, loaded by threads ahead of their turn, and what `fit` tells of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import data
import keras
import numpy as np
from arguments import UserError
from run import Run

# JAX is made to be compiled. TensorFlow's XLA, which Keras would choose as well, takes
# several times as long as TensorFlow without it when it trains on a CPU: --compile asks.
JIT = keras.backend.backend() == "jax"


class Batches(keras.utils.PyDataset):
    """Images (B, H, W, C) and labels in the order of `keys`.

    The threads are its own. With those of `PyDataset`, and Keras on JAX or PyTorch, `fit` looks at
    the first batch before it begins and the order of the others is lost.

    An image that cannot be read waits in `errors` until its batch is due: raised in here, it would
    arrive as pages of the framework's own.
    """

    def __init__(
        self,
        dataset: data.Dataset,
        keys: Iterable[list[tuple[int, int]]],
        count: int,
        workers: int,
    ) -> None:
        super().__init__()
        self.dataset, self.keys, self.count = dataset, iter(keys), count
        self.threads, self.ahead = ThreadPoolExecutor(max(1, workers)), 2 * workers
        self.loading: dict[int, Future[tuple[np.ndarray, np.ndarray]]] = {}
        self.asked = 0
        self.errors: dict[int, data.DataError] = {}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch `index`; they are asked for in order, the first of them perhaps twice."""
        while self.asked < min(index + self.ahead + 1, self.count):
            future = self.threads.submit(self.load, self.asked, next(self.keys))
            self.loading[self.asked] = future
            self.asked += 1
        self.loading.pop(index - 2, None)
        return self.loading[index].result()

    def each(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All batches in order, where no callback looks after them.

        Raises:
            data.DataError: too many images cannot be read.
        """
        for index in range(self.count):
            batch = self[index]
            if index in self.errors:
                raise self.errors[index]
            yield batch

    def load(self, index: int, keys: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        """A batch; of zeros, if there is an error."""
        try:
            return self.dataset.batch(keys)
        except data.DataError as error:
            self.errors[index] = error
            images = np.zeros((len(keys), data.HEIGHT, data.WIDTH, len(data.MODE)), np.float32)
            return images, np.zeros(len(keys), np.int64)


class Callbacks(keras.callbacks.CallbackList):
    """Callbacks that hear of a batch while the device is still at it.

    Keras' own list hands them numbers, so that the device has nothing to do until they are done.
    """

    def __init__(self, callbacks: Iterable[keras.callbacks.Callback], model: keras.Model) -> None:
        super().__init__(list(callbacks), add_history=True, model=model)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """With what the device will give."""
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Likewise."""
        for callback in self.callbacks:
            callback.on_test_batch_end(batch, logs)


class Loaded(keras.callbacks.Callback):
    """Raises the error of a batch that could not be loaded, once it is the batch's turn."""

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.errors = batches.errors

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Raise, before anything is made of the batch."""
        if batch in self.errors:
            raise self.errors[batch]

    on_test_batch_end = on_train_batch_end


class Following(keras.callbacks.Callback):
    """Tells the run of every update, until it has had enough."""

    def __init__(self, run: Run, held_out: Callable[[data.Dataset], Batches]) -> None:
        super().__init__()
        self.run, self.held_out = run, held_out

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """After an update."""
        if not self.run.after_update(logs["loss"], self.held_out):
            self.model.stop_training = True


def find_device(name: str) -> tuple[str, Any]:
    """What Keras computes on, and the scope in which it does.

    Raises:
        UserError: a CUDA GPU was asked for and there is none.
    """
    default = str(keras.ops.zeros(()).device).lower()  # where Keras computes if not told
    has_cuda = "gpu" in default or "cuda" in default
    if name == "cuda" and not has_cuda:
        framework = keras.backend.backend()
        raise UserError(f"{framework} finds no CUDA device here: leave --device out")
    if name == "cpu":
        return "cpu", keras.device("cpu")
    return "cuda" if has_cuda else "cpu", contextlib.nullcontext()
