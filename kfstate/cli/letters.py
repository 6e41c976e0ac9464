"""``kfstate subscriptions`` and ``dead-letters``: who follows the log, and what they could not handle."""

from cyclopts import App

from kfstate.cli.accessing import entering
from kfstate.cli.context import Context, Given
from kfstate.cli.exits import Exit, UsageError
from kfstate.cli.listing import show_all
from kfstate.cli.tables import LETTERS, SUBSCRIPTIONS

__all__ = ["app", "listed", "requeue", "show", "subscriptions"]

app = App(name="dead-letters", help="What the handlers of subscriptions could not handle: list, show, handle again.")


def subscriptions(*, ctx: Given) -> None:
    """List the subscriptions: how far each is, who runs it, what it could not handle.

    Args:
        ctx: The settings of this run.
    """
    with ctx.reader() as engine:
        show_all(ctx, SUBSCRIPTIONS, engine.subscriptions())


@app.command(name="list")
def listed(name: str | None = None, *, ctx: Given) -> int:
    """List the dead letters; leave with 1 where there are any.

    Args:
        name: Only those of this subscription.
        ctx: The settings of this run.
    """
    with ctx.reader() as engine:
        entering(engine, "show", "dead letters")
        found = list(engine.dead_letters(name))
    show_all(ctx, LETTERS, found)
    return Exit.REJECTED if found else Exit.OK


@app.command
def show(letter: str, *, ctx: Given) -> None:
    """Show a dead letter: the error with its traceback, and the entry.

    Args:
        letter: Its id, SUBSCRIPTION:POSITION, as `list` prints it.
        ctx: The settings of this run.
    """
    from kfstate.queries.views import as_json

    name, position = _named(letter)
    with ctx.reader() as engine:
        found = next(iter(engine.dead_letters(name, after=(name, position - 1), limit=1)), None)
        if found is None or found.id != letter:
            raise UsageError(f"there is no dead letter {letter!r}")
        entering(engine, "show", f"dead letter {letter}")
        entry = next(iter(engine.read_all(after=position - 1, limit=1)), None)
    data = as_json(found)
    data["entry"] = None if entry is None else as_json(entry)
    _print(ctx, data)


def _print(ctx: Context, data: dict[str, object]) -> None:
    if ctx.out.json:
        ctx.out.line(data)
        return
    traceback = data.pop("traceback")
    ctx.out.facts({name.replace("_", " "): value for name, value in data.items()})
    ctx.out.text(str(traceback))


@app.command
def requeue(*letters: str, ctx: Given) -> None:
    """Have dead letters handled again by whoever runs their subscription.

    Args:
        letters: Their ids, SUBSCRIPTION:POSITION, as `list` prints them.
        ctx: The settings of this run.
    """
    if not letters:
        raise UsageError("which? give the ids that `kfstate dead-letters list` prints")
    for letter in letters:
        _named(letter)
    with ctx.reader() as engine:
        for letter in letters:
            engine.requeue(letter)
    if ctx.out.json:
        ctx.out.line({"requeued": len(letters)})
    else:
        ctx.out.facts({"requeued": len(letters)})


def _named(letter: str) -> tuple[str, int]:
    name, colon, position = letter.rpartition(":")
    if not (colon and name and position.isdecimal()):
        raise UsageError(f"{letter!r} is no id of a dead letter (SUBSCRIPTION:POSITION)")
    return name, int(position)
