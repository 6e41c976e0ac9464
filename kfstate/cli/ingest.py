"""``kfstate ingest``: pages and entries from files and pipes into the log."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import attrs

from kfstate.cli.context import Given
from kfstate.cli.exits import Exit, UsageError
from kfstate.cli.tables import PROBLEMS

if TYPE_CHECKING:
    from rich.progress import Progress

    from kfstate.intake import Report

__all__ = ["ingest", "show_report"]

_SHOWN = 20
_STDIN = Path("-")


def ingest(*files: Path, account: str = "", ctx: Given) -> int:
    """Store what WeCom sent: sync_msg pages, single entries and own entries, from files or a pipe.

    What is known already is counted and not stored again; what cannot be read is reported, and the rest is stored all
    the same. Leaves with 1 when something was rejected.

    Args:
        files: JSON pages, or NDJSON with a page, an entry or an own entry on each line; - is standard input.
        account: The open_kfid that was pulled, for entries that name none.
        ctx: The settings of this run.
    """
    if not files:
        raise UsageError("ingest: name at least one file, or - for standard input")
    unread: list[tuple[Path, str]] = []
    with ctx.writer() as engine, ctx.out.progress(_size(files)) as progress:
        task = progress.task_ids[0]

        def stored(further: int) -> None:
            progress.update(task, done=progress.tasks[0].fields["done"] + further)

        report = engine.ingest(_Files(files, unread, progress), account=account, progress=stored)
    for path, reason in unread:
        report.reject(str(path), "$", reason)
    if ctx.out.json:
        from kfstate.queries.views import as_json

        ctx.out.line(as_json(report))
    else:
        show_report(ctx, report)
    return Exit.REJECTED if report.rejected else Exit.OK


def show_report(ctx: Given, report: "Report") -> None:
    """Print what became of an ingest, and its first problems, as tables."""
    names = ("entries", "appended", "duplicates", "late", "unknown", "conflicts", "unplaced", "rejected", "position")
    ctx.out.facts({name: getattr(report, name) for name in names})
    if report.problems:
        more = len(report.problems) - _SHOWN
        ctx.out.table(PROBLEMS, report.problems[:_SHOWN], foot=f"+ {more}" if more > 0 else "")


def _size(files: Sequence[Path]) -> int | None:
    """Return how many bytes there are to read; None where nobody knows."""
    try:
        return None if _STDIN in files else sum(path.stat().st_size for path in files)
    except OSError:
        return None


@attrs.frozen
class _Files:
    """Opens one file after the other as it is asked for; notes those that cannot be opened, and goes on."""

    paths: Sequence[Path]
    unread: list[tuple[Path, str]]
    progress: "Progress"

    def __iter__(self) -> Iterator[IO[bytes]]:
        task = self.progress.task_ids[0]
        for path in self.paths:
            self.progress.update(task, description=path.name)
            if path == _STDIN:
                yield sys.stdin.buffer
                continue
            try:
                file = open(str(path), "rb")  # noqa: PTH123, SIM115 (the name of the stream is to be text)
            except OSError as error:
                self.unread.append((path, f"cannot be read ({error.strerror})"))
                continue
            with file:
                yield file if self.progress.disable else self.progress.wrap_file(file, task_id=task)
