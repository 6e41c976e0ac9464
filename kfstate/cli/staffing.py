"""``kfstate queue`` and ``load``: who waits, and who serves."""

from kfstate.cli.accessing import noted
from kfstate.cli.context import Given
from kfstate.cli.listing import show_all
from kfstate.cli.tables import LOAD, QUEUE
from kfstate.cli.times import place_of

__all__ = ["load", "queue"]


def queue(*, account: str | None = None, at: str | None = None, known_at: str | None = None, ctx: Given) -> None:
    """List the customers who wait in the pool now, longest first.

    Args:
        account: Only those of this open_kfid.
        at: Who waited at this time, as 2026-11-22T10:00:00+08:00; without a zone it is the machine's.
        known_at: As it was known then: what was stored by this time, or up to this position.
        ctx: The settings of this run.
    """
    place = place_of(at, known_at)
    with ctx.reader() as engine:
        noted(ctx, engine, "list", detail="queue", open_kfid=account)
        found = engine.queue(account) if place is None else engine.audit.queue(**place, account=account)
        show_all(ctx, QUEUE, found)


def load(*, account: str | None = None, ctx: Given) -> None:
    """List what each servicer carries now, and whether he or she receives customers.

    Args:
        account: Only the servicers of this open_kfid.
        ctx: The settings of this run.
    """
    with ctx.reader() as engine:
        show_all(ctx, LOAD, engine.load(account))
