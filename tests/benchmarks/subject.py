"""One subject, run once in a process of its own: ``python -m tests.benchmarks.subject MODULE:FUNCTION FOLDER``.

Prints what it took as JSON. The process does nothing else, so its peak memory is the subject's, the interpreter and
the imports included.
"""

import gc
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Stopwatch", "Subject", "find", "main"]


class Stopwatch:
    """Adds up the time inside its ``with self.running()`` blocks, in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.skipped: int | None = None
        """How many entries a reader of the feed missed; None where nobody read."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of the block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - began


Subject = Callable[[Path, Stopwatch], int]
"""Does its work on the files of a folder, runs the stopwatch while it counts, returns how many units it did."""


def find(name: str) -> Subject:
    """Import a subject by its name, ``module:function``, and nothing that it does not import itself."""
    module, _, function = name.partition(":")
    found: Subject = getattr(importlib.import_module(f"{__package__}.{module}"), function)
    return found


def settle() -> None:
    """Put away what was left by the preparation or by the subject before: garbage, and pages not yet on the disk."""
    gc.collect()
    os.sync()


def peak() -> int:
    """Return the most memory that this process ever had resident, in bytes.

    Not ``ru_maxrss`` where the kernel says it better: that one also counts the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(name: str, folder: str) -> None:
    """Run one subject."""
    watch = Stopwatch()
    units = find(name)(Path(folder), watch)
    print(json.dumps({"seconds": watch.seconds, "units": units, "peak": peak(), "skipped": watch.skipped}))


if __name__ == "__main__":
    main(*sys.argv[1:])
