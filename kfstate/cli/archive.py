"""``kfstate archive``: the log in Parquet files, and back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter, Token

from kfstate.cli.accessing import accessing
from kfstate.cli.context import Context, Given

__all__ = ["app", "export", "follow", "import_"]

app = App(name="archive", help="The log in Parquet files that keep the chain, and back.")


def _place(_type: object, tokens: Sequence[Token]) -> Path:
    """Return a path; an empty one (a variable of the shell that is not set) is not the working directory."""
    if not tokens[0].value:
        raise ValueError("the path of the archive is empty")
    return Path(tokens[0].value)


Place = Annotated[Path, Parameter(converter=_place)]


@app.command
def export(folder: Place, *, until: int | None = None, processes: int | None = None, ctx: Given) -> None:
    """Bring an archive of Parquet files up to the log; begin it where there is none. Needs the extra `archive`.

    What was broken off goes on where it was. What was erased in the database since is cleared in the archive, too.

    Args:
        folder: Where the archive is, or is to be.
        until: The last position to take (default: the head of the log).
        processes: How many parts are written at once, each by a process that holds it in memory (default: one for each
            core).
        ctx: The settings of this run.
    """
    from kfstate.store.crew import cores

    many = cores() if processes is None else processes
    with ctx.reader() as engine, accessing(engine, "export", detail="archive"), ctx.out.progress() as progress:

        def told(further: int) -> None:
            task = progress.tasks[0]
            progress.update(task.id, done=task.fields["done"] + further)

        done = engine.archive.export(folder, until=until, progress=told, processes=many)
    _show(ctx, {"parts": done.parts, "entries": done.entries, "position": done.position, "chain": done.chain})


@app.command(name="import")
def import_(source: Place, *, ctx: Given) -> None:
    """Put an archive into a database that holds no other log, and verify every entry on the way.

    Args:
        source: A folder that `kfstate archive export` made, or a file that `kfstate export ndjson` wrote.
        ctx: The settings of this run.
    """
    from kfstate.archive.face import import_log

    with ctx.out.progress() as progress:

        def told(further: int) -> None:
            task = progress.tasks[0]
            progress.update(task.id, done=task.fields["done"] + further)

        done = import_log(ctx.url, source, progress=told)
    ctx.writer().close()  # folds the projections
    _show(ctx, {"entries": done.entries, "cleared": done.cleared, "position": done.position, "chain": done.chain})


@app.command
def follow(folder: Place, *, ctx: Given) -> None:
    """Clear in an archive what was erased in the database since it was written. `archive export` does that, too.

    Args:
        folder: Where the archive is.
        ctx: The settings of this run.
    """
    with ctx.reader() as engine, accessing(engine, "follow", detail="archive"):
        done = engine.archive.follow(folder)
    _show(ctx, {"names": done.names, "payloads": done.payloads, "files": done.files})


def _show(ctx: Context, facts: dict[str, object]) -> None:
    if ctx.out.json:
        ctx.out.line(facts)
    else:
        ctx.out.facts(facts)
