"""What a program prints, whatever hashes of texts begin with."""

from __future__ import annotations

import os
import subprocess
import sys


def printed_for_seeds(code: str) -> set[str]:
    """What Python code prints, in processes whose hashes of texts differ."""
    return {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
