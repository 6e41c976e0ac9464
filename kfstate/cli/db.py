"""``kfstate db``: the schema of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cyclopts import App

from kfstate.cli.context import Context, Given
from kfstate.cli.database import must_exist

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["app", "check", "connected", "current", "sql", "upgrade"]

app = App(name="db", help="The schema of the database: bring it up to this release, say where it is, print its SQL.")


@contextmanager
def connected(ctx: Context) -> Iterator["Connection"]:
    """Open the database as it is, without bringing it up to this release."""
    from kfstate.store.dialect import begin, open_database

    must_exist(ctx.url)
    database = open_database(ctx.url)
    try:
        with begin(database, write=False) as connection:
            yield connection
    finally:
        database.dispose()


@app.command
def upgrade(*, ctx: Given) -> None:
    """Bring the schema up to this release; create the database where there is none.

    Args:
        ctx: The settings of this run.
    """
    from kfstate.cli.exits import DatabaseError
    from kfstate.store import schema

    try:
        with connected(ctx) as connection:
            before = schema.current(connection)
    except DatabaseError:
        before = None
    ctx.writer().close()
    found = {"before": before, "current": schema.head()}
    if ctx.out.json:
        ctx.out.line(found)
    else:
        ctx.out.facts({"before": before, "revision": schema.head()})


@app.command
def current(*, ctx: Given) -> None:
    """Say at which revision the schema is, and which one this release needs.

    Args:
        ctx: The settings of this run.
    """
    from kfstate.store import schema

    with connected(ctx) as connection:
        found = schema.current(connection)
    if ctx.out.json:
        ctx.out.line({"current": found, "head": schema.head()})
    else:
        ctx.out.facts({"revision": found, "head": schema.head()})


@app.command
def check(*, ctx: Given) -> None:
    """Check that the schema is this release's and that the triggers that guard the log stand; else leave with 4.

    Args:
        ctx: The settings of this run.
    """
    from kfstate.store import schema

    with connected(ctx) as connection:
        schema.check(connection)
    if ctx.out.json:
        ctx.out.line({"ok": True, "current": schema.head()})
    else:
        ctx.out.facts({"status": "OK", "revision": schema.head()})


@app.command
def sql(*, ctx: Given) -> None:
    """Print the SQL that creates the schema, for people who run it by hand.

    Args:
        ctx: The settings of this run.
    """
    from kfstate.store import schema

    ctx.out.text(schema.sql(ctx.url))
