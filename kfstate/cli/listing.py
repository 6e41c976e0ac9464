"""Lists of views: as NDJSON, or as a table; all of them, or a page and how to go on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from kfstate.cli.context import Context
from kfstate.cli.exits import UsageError
from kfstate.cli.output import Column

__all__ = ["ON_TERMINAL", "at_least", "most_of", "one_more", "show_all", "show_page"]

ON_TERMINAL = 50
"""How many rows a table has, unless told otherwise."""


def at_least(least: int, option: str, number: int | None) -> None:
    """Refuse a number that is too small."""
    if number is not None and number < least:
        raise UsageError(f"{option}: {number} is less than {least}")


def most_of(ctx: Context, limit: int | None) -> int | None:
    """Return how many rows to print; None: all."""
    at_least(1, "--limit", limit)
    return ON_TERMINAL if limit is None and not ctx.out.json else limit


def one_more(most: int | None) -> int | None:
    """Return how many to ask for, so that it can be told whether there are more."""
    return None if most is None else most + 1


def show_all(ctx: Context, columns: Sequence[Column], views: Iterable[object]) -> None:
    """Print every view."""
    from kfstate.queries.views import as_json

    if not ctx.out.json:
        ctx.out.table(columns, views)
        return
    for view in views:
        ctx.out.line(as_json(view))


def show_page(
    ctx: Context,
    columns: Sequence[Column],
    found: Iterator[Any],
    most: int | None,
    cursor: Callable[[Any], str],
    *,
    foot: Callable[[int], str] | None = None,
) -> None:
    """Print so many of the views, and how to go on where there are more; ``cursor`` '': nobody can say how.

    ``foot`` returns what stands below a table first, told how many rows that has.
    """
    from kfstate.queries.views import as_json

    last, shown = None, []
    for last in islice(found, most):
        if ctx.out.json:
            ctx.out.line(as_json(last))
        else:
            shown.append(last)
    following = ""
    if last is not None and next(found, None) is not None and (place := cursor(last)):
        following = f"{ctx.out.word('next page')}: --after {place}"
    if not ctx.out.json:
        lines = [foot(len(shown)) if foot is not None else "", following]
        ctx.out.table(columns, shown, foot="\n".join(line for line in lines if line))
    elif following:
        ctx.out.note(following)
