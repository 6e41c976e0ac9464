"""``kfstate projections``: build them anew beside the live ones, compare, switch, and go back."""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from kfstate.cli.context import Context, Given
from kfstate.cli.exits import Exit, UsageError
from kfstate.cli.listing import show_all
from kfstate.cli.tables import BUILDS

if TYPE_CHECKING:
    from kfstate.engine import Engine

__all__ = ["app", "back", "listed", "rebuild", "run", "status", "switch"]

SHIPPED = "shipped"
app = App(name="projections", help="The projections: how far they are; build, compare, switch, go back.")

Own = Annotated[tuple[str, ...], Parameter(name="--own", negative="")]
"""Own projections to open the database with, each as ``MODULE:NAME``."""


@app.command(name="list")
def listed(*, own: Own = (), ctx: Given) -> None:
    """List every build of every projection.

    Args:
        own: An own projection to open the database with, as MODULE:NAME; may be repeated.
        ctx: The settings of this run.
    """
    with _engine(ctx, own) as engine:
        show_all(ctx, BUILDS, engine.projections.list())


@app.command
def status(name: str = SHIPPED, *, own: Own = (), ctx: Given) -> int:
    """Say how far the builds of one projection are; leave with 1 where its live one failed, or lags behind the log.

    Args:
        name: The projection.
        own: An own projection to open the database with, as MODULE:NAME; may be repeated.
        ctx: The settings of this run.
    """
    with _engine(ctx, own) as engine:
        found = engine.projections.list(name)
    if not found:
        raise UsageError(f"there is no projection {name!r}")
    show_all(ctx, BUILDS, found)
    live = [build for build in found if build.status in {"live", "failed", "unknown"}]
    return Exit.OK if live and all(build.status == "live" and build.lag == 0 for build in live) else Exit.REJECTED


@app.command
def run(name: str, *, follow: Annotated[bool, Parameter(negative="")] = False, own: Own = (), ctx: Given) -> None:
    """Bring the live build of a projection to the head of the log.

    Args:
        name: The projection.
        follow: Keep it there until Ctrl-C.
        own: An own projection to open the database with, as MODULE:NAME; may be repeated.
        ctx: The settings of this run.
    """
    with _engine(ctx, own) as engine:
        show_all(ctx, BUILDS, [engine.projections.run(name, follow=follow)])


@app.command
def rebuild(
    name: str = SHIPPED,
    *,
    stay: Annotated[bool, Parameter(negative="")] = False,
    own: Own = (),
    ctx: Given,
) -> None:
    """Build a projection anew beside the live one while writes go on, compare, and switch where they differ.

    An interrupted build goes on where it stood. What was live is kept: see `back`.

    Args:
        name: The projection.
        stay: Only build and compare; switch later.
        own: An own projection to open the database with, as MODULE:NAME; may be repeated.
        ctx: The settings of this run.
    """
    from kfstate.queries.views import as_json

    with _engine(ctx, own) as engine, ctx.out.progress(engine.position()) as progress:
        task = progress.task_ids[0]

        def told(view: Any) -> None:
            progress.update(task, completed=view.position, done=view.position)

        if stay:
            made = engine.projections.build(name, progress=told)
            found = {"name": name, "version": made.version, "status": made.status, "entries": made.position}
            difference = engine.projections.diff(name, made.version) if made.status == "ready" else None
        else:
            done = engine.projections.rebuild(name, progress=told)
            found = {"name": name, "version": done.version, "switched": done.switched, "entries": done.entries}
            difference = done.difference
    found["different"] = None if difference is None else difference.different
    if ctx.out.json:
        tables = {} if difference is None else {table: as_json(rows) for table, rows in difference.tables.items()}
        ctx.out.line(found | {"tables": tables})
    else:
        rows = {} if difference is None else {table: rows.rows for table, rows in difference.tables.items()}
        ctx.out.facts({**found, **rows})


@app.command
def switch(*names: str, own: Own = (), ctx: Given) -> None:
    """Make the ready builds of these projections live, all in one transaction; what was live is kept.

    Args:
        names: The projections.
        own: An own projection to open the database with, as MODULE:NAME; may be repeated.
        ctx: The settings of this run.
    """
    with _engine(ctx, own) as engine:
        show_all(ctx, BUILDS, engine.projections.switch(names or (SHIPPED,)))


@app.command
def back(*names: str, own: Own = (), ctx: Given) -> None:
    """Make the kept builds of these projections live again, all in one transaction.

    Args:
        names: The projections.
        own: An own projection to open the database with, as MODULE:NAME; may be repeated.
        ctx: The settings of this run.
    """
    with _engine(ctx, own) as engine:
        show_all(ctx, BUILDS, engine.projections.back(names or (SHIPPED,)))


def _engine(ctx: Context, own: Sequence[str]) -> "Engine":
    return ctx.reader(projections=[_loaded(name) for name in own])


def _loaded(name: str) -> Any:
    """Import a projection; what is found is called where it is a class."""
    module, colon, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute) if colon else None
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"--own: {name!r}: {error}") from error
    if found is None:
        raise UsageError(f"--own: {name!r} is not MODULE:NAME")
    return found() if isinstance(found, type) else found
