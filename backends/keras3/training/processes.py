"""The processes that train together, one for each device, by TensorFlow's collectives.

Every process has the whole program and variables of its own. What is summed over all of them is
so within `tf.distribute`, whose strategy has no variables here.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from arguments import UserError

_OTHERS: list[subprocess.Popen[bytes]] = []  # that this process has started
_JOINED: list[tf.distribute.Strategy] = []
_PART = [0]  # where this process's part of a batch begins


def join(arguments: argparse.Namespace) -> None:
    """Join the other processes, if there are any.

    They are known by TF_CONFIG or by what SLURM says. Without either, this process starts the
    others of its host: one for each GPU, or as many as it is told.

    Raises:
        UserError: Keras does not run on TensorFlow, or the processes could not train as asked.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError("Keras trains on several devices on TensorFlow alone")
    if _JOINED:
        return
    gpus = [] if arguments.device == "cpu" else tf.config.list_physical_devices("GPU")
    if "TF_CONFIG" not in os.environ:
        started = arguments.processes or max(1, len(gpus))
        if (tasks := int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))) > 1:
            ask_slurm(tasks)
        elif started == 1:
            return
        elif gpus and started > len(gpus):
            raise UserError(f"{started} processes are too many for {len(gpus)} GPUs")
        else:
            start_others(started)
    workers, index = read_config()
    if len(workers) == 1:
        return
    if arguments.compile:
        raise UserError("--compile is for one process")
    hosts = [address.rpartition(":")[0] for address in workers]
    place = hosts[:index].count(hosts[index])  # among the processes of this host
    # A launcher may have left each process the GPU that is its own.
    tf.config.set_visible_devices(gpus[place : place + 1] or gpus[:1], "GPU")
    _JOINED.append(tf.distribute.MultiWorkerMirroredStrategy())
    if number():  # what all would say, process 0 does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def ask_slurm(tasks: int) -> None:
    """Set TF_CONFIG by what SLURM says of the processes that it has started."""
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
        gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
    )
    workers = resolver.cluster_spec().as_dict()["worker"]
    os.environ["TF_CONFIG"] = tf_config(workers, resolver.task_id)


def start_others(count: int) -> None:
    """Start this program again, so that there are `count` processes, of which this is the first."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    workers = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()

    for index in range(1, count):
        environment = {**os.environ, "TF_CONFIG": tf_config(workers, index)}
        command = [sys.executable, *sys.orig_argv[1:]]
        _OTHERS.append(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL))
    os.environ["TF_CONFIG"] = tf_config(workers, 0)


def tf_config(workers: list[str], index: int) -> str:
    """A TF_CONFIG, by which processes find each other."""
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})


def read_config() -> tuple[list[str], int]:
    """The addresses of all processes, and which of them is this one's, by TF_CONFIG.

    Raises:
        UserError: it does not say.
    """
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        workers, task = config["cluster"]["worker"], config["task"]
        workers[task["index"]]
        if task["type"] != "worker" or len(config["cluster"]) > 1:
            raise KeyError(task["type"])
    except (ValueError, LookupError, TypeError):
        example = '{"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", ...}}'
        raise UserError(f"TF_CONFIG does not say which workers there are: {example}") from None
    return workers, task["index"]


def leave() -> None:
    """Say goodbye: process 0, through which they found each other, is the last to go."""
    sum_of_all(np.zeros(1))
    for other in _OTHERS:
        other.wait()


def lost(error: Exception) -> str:
    """What an error tells of another process, if it does."""
    if not isinstance(error, tf.errors.OpError):
        return ""
    found = re.search(r"Collective ops is aborted by: (.*)", str(error))
    return found[1].rstrip(":") if found else ""


def strategy() -> tf.distribute.Strategy:
    """In which there are all processes."""
    return _JOINED[0] if _JOINED else tf.distribute.get_strategy()


def number() -> int:
    """Which of the processes this is, from 0."""
    return strategy().cluster_resolver.task_id if _JOINED else 0


def count() -> int:
    """How many there are."""
    return strategy().num_replicas_in_sync


def take_part(images: int) -> None:
    """Take part in batches of so many images.

    Raises:
        UserError: they are not enough for all processes to have some.
    """
    if images < count():
        raise UserError(f"{images} images at a time are too few for {count()} devices")
    _PART[0] = number() * images // count()


def images_before() -> int:
    """How many images of such a batch come before those of this process."""
    return _PART[0]


def in_all(function: Callable[..., Any], *given: Any) -> Any:
    """What a function makes that adds up over all processes by `total`, in each of them."""
    return strategy().run(function, args=given) if _JOINED else function(*given)


def total(values: Any) -> Any:
    """Tensors, added up over the processes, in what `in_all` calls."""
    placed = tf.nest.map_structure(tf.identity, values)  # on the device, as is asked for
    return tf.distribute.get_replica_context().all_reduce("SUM", placed)


def of_all(own: Any) -> Any:
    """What each process has, one after the other along a new first axis, likewise."""
    places = tf.one_hot(number(), count(), dtype=own.dtype)
    return total(tf.reshape(places, [-1] + [1] * len(own.shape)) * own[None])


@tf.function(reduce_retracing=True)
def _sum_of_all(values: tf.Tensor) -> tf.Tensor:
    return in_all(total, values)


def sum_of_all(values: np.ndarray) -> np.ndarray:
    """An array, added up over the processes."""
    return _sum_of_all(tf.convert_to_tensor(values)).numpy()


def greatest(values: Sequence[float]) -> list[float]:
    """Of each number the greatest that a process has."""
    every = np.zeros((count(), len(values)))
    every[number()] = values
    return sum_of_all(every).max(0).tolist()


def from_first(thing: Any) -> Any:
    """What process 0 has."""
    content = pickle.dumps(thing) if number() == 0 else b""
    length = int(sum_of_all(np.array([len(content)]))[0])
    words = np.zeros(-(-length // 4), np.int32)
    words.view(np.uint8)[: len(content)] = np.frombuffer(content, np.uint8)
    return pickle.loads(sum_of_all(words).tobytes()[:length])
