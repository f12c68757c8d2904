"""A run for TensorBoard: `tensorboard --logdir RUN` shows what it logs as curves.

RUN/tensorboard has nothing of its own. Its event file is made of run.json and metrics.jsonl
whenever a run begins or goes on, so that no step is there twice, and follows the log from then on.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class EventFile:
    """The event file of a run, and how one is written.

    Raises:
        ImportError: the package tensorboard is not installed; only who asks for it needs it.
    """

    def __init__(self, run: Path) -> None:
        # Not its `Writer`, which loads TensorFlow where that is installed, and writes no texts.
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.run, self.event, self.writer = run, Event, RecordWriter

    @contextlib.contextmanager
    def opened(self, seconds: float) -> Iterator[None]:
        """Say all that the log says, of a run that has trained for so long, and be there for more.

        The time of a point is when it would have been, had the run never stopped.
        """
        self.began = time.time() - seconds
        clear_event_files(self.run)
        folder = self.run / "tensorboard"
        folder.mkdir(exist_ok=True)
        with open(folder / f"events.out.tfevents.{time.time_ns()}.metrics", "wb") as self.file:
            self.add(file_version="brain.Event:2")
            # A TensorBoard that looks on forgets what it has read in older files.
            self.add(session_log={"status": "START"})
            said = (self.run / "run.json").read_text()
            text = "".join(f"    {line}\n" for line in said.splitlines())  # Markdown for "as it is"
            kind = {"plugin_data": {"plugin_name": "text"}}
            tensor = {"dtype": "DT_STRING", "string_val": [text.encode()]}
            self.add(summary={"value": [{"tag": "run", "metadata": kind, "tensor": tensor}]})
            for line in (self.run / "metrics.jsonl").read_bytes().splitlines():
                # A log may have been edited: what is no point is not shown.
                with contextlib.suppress(TypeError, ValueError, OverflowError):
                    self.write(json.loads(line))
            yield

    def write(self, line: Mapping[str, Any]) -> None:
        """The numbers of a line of the log, which are of training unless it names a split."""
        split = line.get("split", "train")
        values = [
            {"tag": f"{split}/{name}", "simple_value": value}
            for name, value in line.items()
            if isinstance(value, int | float) and name not in ("step", "epoch", "seconds")
        ]
        self.add(line["step"], line.get("seconds", 0.0), summary={"value": values})

    def add(self, step: int = 0, seconds: float = 0.0, **what: Any) -> None:
        """One event, `seconds` after the run began; on disk at once, as a line of the log is."""
        event = self.event(step=step, wall_time=self.began + seconds, **what)
        self.writer(self.file).write(event.SerializeToString())
        self.file.flush()


def clear_event_files(run: Path) -> None:
    """Empty the event files that were made here, and remove those that are empty.

    A TensorBoard that reads one goes on to the next when there is no more in it, but not when it is
    gone.
    """
    for path in run.glob("tensorboard/events.out.tfevents.*.metrics"):
        if path.stat().st_size:
            path.write_bytes(b"")
        else:
            path.unlink()
