"""What programs are at, while a user waits for them."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

#: Seconds between lines of progress where they are not written over each other.
_PAUSE = 10.0


class Status:
    """Progress on standard error: on a terminal a line that is written over, else one at times."""

    def __init__(self) -> None:
        self.on_terminal = sys.stderr.isatty()
        self.at: dict[str, str] = {}
        self.next = 0.0

    def of_worker(self, name: str, answer: Mapping[str, Any]) -> None:
        """What a worker says."""
        step = f" {answer['step']}" if "step" in answer else ""
        self.at[name] = "done" if "done" in answer else f"{answer['at']}{step}"
        self.show("; ".join(f"{name}: {at}" for name, at in list(self.at.items())))

    def show(self, text: str) -> None:
        """Replace the line, or add one if it is time."""
        if self.on_terminal:
            print(f"\r\033[K{text[:110]}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() >= self.next:
            self.next = time.monotonic() + _PAUSE
            print(text, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave nothing behind on a terminal."""
        if self.on_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
