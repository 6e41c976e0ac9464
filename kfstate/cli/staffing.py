"""``kfstate queue`` and ``load``: who waits, and who serves."""

from kfstate.cli.context import Given
from kfstate.cli.listing import show_all
from kfstate.cli.tables import LOAD, QUEUE

__all__ = ["load", "queue"]


def queue(*, account: str | None = None, ctx: Given) -> None:
    """List the customers who wait in the pool now, longest first.

    Args:
        account: Only those of this open_kfid.
        ctx: The settings of this run.
    """
    with ctx.reader() as engine:
        show_all(ctx, QUEUE, engine.queue(account))


def load(*, account: str | None = None, ctx: Given) -> None:
    """List what each servicer carries now, and whether he or she receives customers.

    Args:
        account: Only the servicers of this open_kfid.
        ctx: The settings of this run.
    """
    with ctx.reader() as engine:
        show_all(ctx, LOAD, engine.load(account))
