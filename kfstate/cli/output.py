"""How a command answers: NDJSON in a pipe or with ``--json``, tables on a terminal; notes go to stderr."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from kfstate.cli.words import Lang, label, state_label
from kfstate.queries.views import readable
from kfstate.service_state import KfServiceState

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text

__all__ = ["Column", "Output", "seconds"]

_PIPE_WIDTH = 140
_NOTHING = "–"


@attrs.frozen
class Column:
    """A column of a table: its heading (a word), and how its value is had from a row.

    ``raw``: text is no word to be translated. ``whole``: it is not broken into lines.
    """

    heading: str
    get: Callable[[Any], object]
    right: bool = False
    raw: bool = False
    whole: bool = False


@attrs.define
class Output:
    """Where a command's answer goes. ``json``: as JSON, one object per line."""

    json: bool
    lang: Lang
    zones: set[str] = attrs.Factory(set)
    """The zones of the times in the table that is being made."""

    def line(self, value: object) -> None:
        """Print one JSON value on a line of its own."""
        try:
            sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
        except UnicodeEncodeError:  # a lone surrogate in a payload, or a stdout that is not UTF-8
            sys.stdout.write(json.dumps(value, separators=(",", ":")) + "\n")

    def text(self, text: str) -> None:
        """Print a text for people, or for other programs, as it is."""
        sys.stdout.write(readable(text if text.endswith("\n") else f"{text}\n"))

    def note(self, text: str) -> None:
        """Tell the person at the terminal something that is not part of the answer."""
        sys.stdout.flush()
        print(text, file=sys.stderr)

    def word(self, word: str) -> str:
        """Return a word in the language of the tables."""
        return label(word, self.lang)

    def table(self, columns: Sequence[Column], rows: Iterable[object], *, foot: str = "") -> None:
        """Print a table with a column per :class:`Column`, and below it what zone its times are in."""
        self._print(self._filled(columns, rows), foot)

    @contextmanager
    def screen(self) -> Iterator[Callable[..., None]]:
        """Give what shows a table (``columns``, ``rows``, ``foot``) in place of the last one, while the block runs."""
        from rich.console import Group
        from rich.live import Live
        from rich.text import Text

        def show(columns: Sequence[Column], rows: Iterable[object], *, foot: str = "") -> None:
            live.update(Group(self._filled(columns, rows), Text(foot, style="dim")), refresh=True)

        with Live(console=self._console(), auto_refresh=False, transient=True) as live:
            yield show

    def row(self, columns: Sequence[Column], row: object) -> None:
        """Print one row of a table that goes on and on: a line, at once."""
        from rich.text import Text

        cells = [self._cell(column.get(row), raw=column.raw) for column in columns]
        self._console().print(Text("  ").join(cells), soft_wrap=True)

    def facts(self, facts: Mapping[str, object], *, foot: str = "") -> None:
        """Print one thing as a table of two columns: a word, and its value."""
        table = self._table(show_header=False)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for name, value in facts.items():
            table.add_row(self.word(name), self._cell(value))
        self._print(table, foot)

    @contextmanager
    def progress(self, total: int | None = None) -> Iterator["Progress"]:
        """Show a progress bar on stderr while the block runs, where stderr is a terminal."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]:,}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        shown = sys.stderr.isatty()
        with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as progress:
            progress.add_task("", total=total, done=0)
            yield progress

    @contextmanager
    def counting(self, total: int) -> Iterator[Callable[[int], None]]:
        """As :meth:`progress`; give what is told how many further ones are done."""
        with self.progress(total) as progress:
            (task,) = progress.task_ids

            def done(further: int) -> None:
                progress.update(task, advance=further, done=progress.tasks[0].fields["done"] + further)

            yield done

    def _filled(self, columns: Sequence[Column], rows: Iterable[object]) -> "Table":
        table = self._table()
        for column in columns:
            justify: Any = "right" if column.right else "left"
            table.add_column(self.word(column.heading), justify=justify, overflow="fold", no_wrap=column.whole)
        for row in rows:
            table.add_row(*(self._cell(column.get(row), raw=column.raw) for column in columns))
        return table

    def _table(self, **options: Any) -> "Table":
        from rich.box import SIMPLE
        from rich.table import Table

        self.zones.clear()
        return Table(box=SIMPLE, pad_edge=False, header_style="bold", **options)

    def _print(self, table: "Table", foot: str) -> None:
        from rich.text import Text

        console = self._console()
        console.print(table)
        if self.zones:
            foot = f"{foot}  " if foot else ""
            foot += f"({self.word('times')}: {', '.join(sorted(self.zones))})"
        if foot:
            console.print(Text(foot, style="dim"), soft_wrap=True)

    def _console(self) -> "Console":
        from rich.console import Console

        width = None if sys.stdout.isatty() else _PIPE_WIDTH
        plain = bool(os.environ.get("NO_COLOR"))
        return Console(file=sys.stdout, highlight=False, width=width, color_system=None if plain else "auto")

    def _cell(self, value: object, *, raw: bool = False) -> "Text":
        from rich.text import Text

        if value is None or value == "":
            return Text(_NOTHING, style="dim")
        if isinstance(value, KfServiceState):
            return Text(state_label(value, self.lang), style=_STYLES[value])
        if isinstance(value, bool):
            return Text(self.word("yes" if value else "no"))
        if isinstance(value, datetime):
            return Text(self.time(value))
        return Text(readable(self.word(value) if isinstance(value, str) and not raw else str(value)))

    def time(self, value: datetime) -> str:
        """Return a time in the machine's zone, and remember the zone for the table's foot."""
        local = value.astimezone()
        offset = local.strftime("%z")
        self.zones.add(f"{local.tzname()} (UTC{offset[:3]}:{offset[3:]})")
        return local.strftime("%Y-%m-%d %H:%M:%S")


_STYLES = {
    KfServiceState.UNTREATED: "yellow",
    KfServiceState.ROBOT: "cyan",
    KfServiceState.QUEUE: "bold magenta",
    KfServiceState.MANUAL: "bold green",
    KfServiceState.FINISHED: "dim",
}


def seconds(value: int | None) -> str | None:
    """Return a span as people say it: ``45s``, ``3m 20s``, ``2h 05m``, ``3d 04h``."""
    if value is None:
        return None
    minutes, rest = divmod(value, 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days}d {hours_left:02}h"
    if hours:
        return f"{hours}h {minutes_left:02}m"
    return f"{minutes}m {rest:02}s" if minutes else f"{rest}s"
