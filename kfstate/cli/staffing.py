"""``kfstate queue`` and ``load``: who waits, and who serves."""

from collections.abc import Iterable, Sequence

from kfstate.cli.context import Context, Given
from kfstate.cli.output import Column
from kfstate.cli.tables import LOAD, QUEUE

__all__ = ["load", "queue"]


def queue(*, account: str | None = None, ctx: Given) -> None:
    """List the customers who wait in the pool now, longest first.

    Args:
        account: Only those of this open_kfid.
        ctx: The settings of this run.
    """
    with ctx.reader() as engine:
        _print(ctx, QUEUE, engine.queue(account))


def load(*, account: str | None = None, ctx: Given) -> None:
    """List what each servicer carries now, and whether he or she receives customers.

    Args:
        account: Only the servicers of this open_kfid.
        ctx: The settings of this run.
    """
    with ctx.reader() as engine:
        _print(ctx, LOAD, engine.load(account))


def _print(ctx: Context, columns: Sequence[Column], views: Iterable[object]) -> None:
    from kfstate.queries.views import as_json

    if not ctx.out.json:
        ctx.out.table(columns, views)
        return
    for view in views:
        ctx.out.line(as_json(view))
