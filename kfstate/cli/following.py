"""``kfstate events`` and ``events tail``: the log, as it is and as it grows."""

import sys
from threading import Event
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from kfstate.cli.accessing import entering
from kfstate.cli.context import Context, Given
from kfstate.cli.exits import LARGEST, UsageError
from kfstate.cli.listing import most_of, one_more, show_page
from kfstate.cli.tables import ENTRIES

if TYPE_CHECKING:
    from kfstate.queries.entries import EntryView
    from kfstate.store.checkpoint import Checkpoint

__all__ = ["app", "events", "tail"]

app = App(name="events", help="List the log: every entry in order of position, with its payload in JSON.")
_LAST = 10


@app.default
def events(*, after: str = "0", limit: int | None = None, ctx: Given) -> None:
    """List the log: every entry in order of position, with its payload in JSON.

    Args:
        after: Only entries after this position, or after this checkpoint (POSITION:CHAIN).
        limit: At most so many (default: all in a pipe, 50 on a terminal).
        ctx: The settings of this run.
    """
    most = most_of(ctx, limit)
    with ctx.reader() as engine:
        entering(engine, "export", "events")
        found = engine.read_all(after=_after(after), limit=one_more(most))
        show_page(ctx, ENTRIES, found, most, lambda entry: str(entry.position))


@app.command
def tail(
    *,
    after: str = "",
    follow: Annotated[bool, Parameter(negative="")] = False,
    poll: float = 1.0,
    ctx: Given,
) -> None:
    """Show the last entries of the log, or follow it as it grows.

    Args:
        after: Begin after this position or checkpoint (POSITION:CHAIN), instead of ten entries before the end.
        follow: Go on until Ctrl-C.
        poll: How many seconds to wait between two looks at the log.
        ctx: The settings of this run.
    """
    if poll <= 0:
        raise UsageError(f"--poll: {poll} is not more than 0")
    with ctx.reader() as engine:
        entering(engine, "export", "events tail")
        at = _after(after) if after else max(0, engine.position() - _LAST)
        for entry in engine.read_all(after=at):
            _show(ctx, entry)
            at = entry.checkpoint
        while follow:
            sys.stdout.flush()
            Event().wait(poll)
            for entry in engine.read_all(after=at):
                _show(ctx, entry)
                at = entry.checkpoint


def _show(ctx: Context, entry: "EntryView") -> None:
    from kfstate.queries.views import as_json

    if ctx.out.json:
        ctx.out.line(as_json(entry))
    else:
        ctx.out.row(ENTRIES, entry)


def _after(given: str) -> "int | Checkpoint":
    from kfstate.store.checkpoint import Checkpoint

    try:
        at = Checkpoint.parse(given) if ":" in given else int(given)
    except ValueError as error:
        raise UsageError(f"--after: {given!r} is neither a position nor a checkpoint (POSITION:CHAIN)") from error
    if isinstance(at, int) and not 0 <= at < LARGEST:
        raise UsageError(f"--after: no log has a position such as {given[:100]}")
    return at
