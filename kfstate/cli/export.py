"""``kfstate export``: the log for other tools, and tables for people."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from kfstate.cli.accessing import accessing
from kfstate.cli.context import Given
from kfstate.cli.files import beside
from kfstate.cli.words import label

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kfstate.engine import Engine

__all__ = ["app", "csv", "ndjson", "xlsx"]

app = App(name="export", help="The log as NDJSON; tables for people as CSV and XLSX.")

Table = Literal["conversations", "sessions", "messages"]
_STDOUT = Path("-")


@app.command
def ndjson(file: Path = _STDOUT, *, until: int | None = None, ctx: Given) -> None:
    """Write the whole log as NDJSON, a row of its tables on each line: for verifiers, other tools, other databases.

    Args:
        file: Where to write it; - is standard output.
        until: The last position to take (default: the head of the log).
        ctx: The settings of this run.
    """
    with ctx.reader() as engine, _opened(file) as target, accessing(engine, "export", detail="ndjson"):
        engine.archive.write(target, until=until)
        target.flush()


@app.command
def csv(file: Path = _STDOUT, *, table: Table = "sessions", ctx: Given) -> None:
    """Write a table as CSV, with Chinese headings and Beijing time, as spreadsheet programs open it.

    Args:
        file: Where to write it; - is standard output.
        table: Which one: conversations, sessions or messages (what was said).
        ctx: The settings of this run.
    """
    from kfstate.archive.people import SHEETS, write_csv

    with ctx.reader() as engine, _opened(file) as target, accessing(engine, "export", detail=f"csv {table}"):
        write_csv(target, SHEETS[table], _rows(engine, table), word=partial(label, lang="zh"))
        target.flush()


@app.command
def xlsx(
    file: Path,
    *,
    tables: Annotated[Sequence[Table], Parameter(name="--table")] = ("sessions", "conversations", "messages"),
    ctx: Given,
) -> None:
    """Write an Excel workbook, a sheet for each table, with Chinese headings and Beijing time. Needs extra `archive`.

    Args:
        file: Where to write it.
        tables: Which tables (default: all).
        ctx: The settings of this run.
    """
    from kfstate.archive.people import write_xlsx

    said = f"xlsx {' '.join(tables)}"
    with ctx.reader() as engine, _opened(file) as target, accessing(engine, "export", detail=said):
        write_xlsx(target, {table: _rows(engine, table) for table in tables}, word=partial(label, lang="zh"))
        target.flush()


def _rows(engine: "Engine", table: Table) -> "Iterable[object]":
    from kfstate.archive.people import messages

    if table == "conversations":
        return engine.conversations()
    return engine.sessions() if table == "sessions" else messages(engine.read_all())


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    if file != _STDOUT:
        with beside(file) as target:
            yield target
        return
    yield sys.stdout.buffer
