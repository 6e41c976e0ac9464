"""Where the time of one subject goes: ``python -m tests.benchmarks --profile ingest``."""

import cProfile
import pstats
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.subject import Stopwatch, find

__all__ = ["profile"]

TOP = 45


class Profiler(Stopwatch):
    """Profiles what the stopwatch times."""

    def __init__(self) -> None:
        super().__init__()
        self.profile = cProfile.Profile()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Profile the block."""
        with super().running(), self.profile:
            yield


def profile(subject: str, folder: Path) -> None:
    """Run a subject in this process under cProfile, and print what took the most time.

    The profiler makes calls of Python functions look dearer than they are, beside what C does.
    """
    watch = Profiler()
    units = find(subject)(folder, watch)
    print(f"{subject}: {units:,} units in {watch.seconds:.2f} s under the profiler")
    stats = pstats.Stats(watch.profile).strip_dirs()
    for order in ("tottime", "cumulative"):
        stats.sort_stats(order).print_stats(TOP)
