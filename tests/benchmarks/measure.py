"""Runs the subjects in turn, each in a process of its own, and works out the ratios round by round."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import attrs

from tests.benchmarks.lines import Beside, Line, Run

__all__ = ["Compared", "Measured", "Sample", "measure", "sample"]

ROOT = Path(__file__).parents[2]


@attrs.frozen
class Sample:
    """One run: seconds, units done in them, peak memory of the process in bytes, entries a reader missed."""

    seconds: float
    units: int
    peak: int
    skipped: int | None = None

    def cost(self, of: str) -> float:
        """Return the memory, or the time per unit."""
        return self.peak if of == "memory" else self.seconds / self.units


@attrs.frozen
class Compared:
    """A line beside one other thing: the ratio of each round."""

    beside: Beside
    ratios: tuple[float, ...]
    theirs: tuple[Sample, ...]

    @property
    def ratio(self) -> float:
        """The median."""
        return median(self.ratios)

    @property
    def met(self) -> bool | None:
        """Whether the wanted ratio is reached; None where none is wanted."""
        wanted = self.beside.wanted
        if wanted is None:
            return None
        return self.ratio <= wanted if self.beside.cost else self.ratio >= wanted


@attrs.frozen
class Measured:
    """A line with all its rounds."""

    line: Line
    ours: tuple[Sample, ...]
    compared: tuple[Compared, ...]


def sample(run: Run, work: Path) -> Sample:
    """Run a subject once."""
    command = [sys.executable, "-m", f"{__package__}.subject", run.subject, str(work / run.folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return Sample(**json.loads(done.stdout.splitlines()[-1]))


def measure(line: Line, work: Path, *, rounds: int, said: Callable[[str], None]) -> Measured:
    """Measure a line: a round that does not count, then A, B, C, A, B, C, and so on."""
    runs = list(dict.fromkeys(line.runs))
    taken: dict[Run, list[Sample]] = {run: [] for run in runs}
    for number in range(rounds + 1):
        for run in runs:
            said(f"{line.key}: round {number} of {rounds}, {run.subject}")
            found = sample(run, work)
            if number:
                taken[run].append(found)
    ours = tuple(taken[line.run])
    return Measured(line, ours, tuple(_compare(ours, taken[beside.run], beside) for beside in line.beside))


def _compare(ours: tuple[Sample, ...], theirs: list[Sample], beside: Beside) -> Compared:
    ratios = []
    for mine, other in zip(ours, theirs, strict=True):
        ratio = mine.cost(beside.cost) / other.cost(beside.cost)
        ratios.append(ratio if beside.cost else 1 / ratio)
    return Compared(beside, tuple(ratios), tuple(theirs))
