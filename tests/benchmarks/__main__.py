"""Measure kfstate beside the raw driver and beside ``eventsourcing``: ``python -m tests.benchmarks``.

.. code-block:: text

    python -m tests.benchmarks                        every line; several minutes
    python -m tests.benchmarks --quick                without the lines at a million entries
    python -m tests.benchmarks --only ingest,state    only these
    python -m tests.benchmarks --markdown 2026-01-31  also write the table to docs/benchmarks.md, under that date
    python -m tests.benchmarks --profile rebuild      where the time goes: ingest, replay, rebuild or state

Nothing is asserted: shared machines are too noisy for that. Compare ratios, not figures.
"""

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from tests.benchmarks.data import LOG
from tests.benchmarks.lines import BASE, LARGE, LINES, Line
from tests.benchmarks.measure import ROOT, Measured, measure
from tests.benchmarks.prepare import most_open, postgresql, prepare
from tests.benchmarks.profiling import profile
from tests.benchmarks.report import markdown, show, skipped

__all__ = ["main"]

ERRORS = Console(stderr=True)
PROFILED = ("ingest", "replay", "rebuild", "state")


def said(what: str) -> None:
    """Tell what is being done, on stderr."""
    ERRORS.print(what, style="dim")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    keys = [line.key for line in LINES]
    parser.add_argument("--quick", action="store_true", help="leave out the lines at a million entries")
    parser.add_argument("--only", default="", metavar="LINES", help=f"of {', '.join(keys)}")
    parser.add_argument("--rounds", type=int, default=5, help="how many count; one before them does not (default 5)")
    parser.add_argument("--entries", type=int, default=100_000, help="size of the log (default 100,000)")
    parser.add_argument("--large", type=int, default=1_000_000, help="size of the large log (default 1,000,000)")
    parser.add_argument("--work", type=Path, help="work in this folder, and leave it (default: a temporary one)")
    parser.add_argument("--markdown", default="", metavar="DATE", help="write docs/benchmarks.md")
    parser.add_argument("--profile", choices=PROFILED, help="profile kfstate's part of a line instead")
    return parser.parse_args()


def chosen(options: argparse.Namespace) -> list[Line]:
    """Return the lines to measure."""
    only = [key for key in options.only.split(",") if key]
    unknown = set(only) - {line.key for line in LINES}
    if unknown:
        raise SystemExit(f"no such line: {', '.join(sorted(unknown))}")
    return [line for line in LINES if (line.key in only if only else not (line.large and options.quick))]


def note(database: Path) -> str:
    """Say what a log is like."""
    entries, conversations, most = most_open(database)
    return (
        f"The log: {entries:,} entries of {conversations:,} conversations, at most {most:,} of them open at once"
        " (between their first entry and their last)."
    )


def run(options: argparse.Namespace, work: Path) -> None:
    """Prepare, then measure or profile."""
    lines: Sequence[Line] = [] if options.profile else chosen(options)
    large = options.large if any(line.large for line in lines) else 0
    prepare(work, entries=options.entries, large=large, rounds=options.rounds, said=said)
    if options.profile:
        profile(f"ours:{options.profile}", work / BASE)
        return
    notes = [note(work / folder / LOG) for folder in (BASE, LARGE) if (work / folder / LOG).is_file()]
    found: list[Measured] = []
    server = postgresql(work, said=said) if any(line.server for line in lines) else nullcontext()
    try:
        with server:
            found += (measure(line, work, rounds=options.rounds, said=said) for line in lines)
    finally:
        notes += skipped(found)
        show(found, notes, Console())
    if options.markdown:
        markdown(ROOT / "docs" / "benchmarks.md", found, notes, date=options.markdown)


def main() -> None:
    """Do what the command line says."""
    options = arguments()
    if options.work:
        run(options, options.work)
        return
    with TemporaryDirectory() as work:
        run(options, Path(work))


if __name__ == "__main__":
    main()
