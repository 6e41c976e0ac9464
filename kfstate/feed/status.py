"""What can be seen of subscriptions and dead letters."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs
from sqlalchemy import Connection, func, select

from kfstate.clock import SECOND
from kfstate.feed.letters import letters
from kfstate.queries.views import at_time
from kfstate.store.checkpoint import Checkpoint
from kfstate.store.dialect import query_in
from kfstate.store.head import read_head
from kfstate.store.tables import kf_dead_letter, kf_subscription

__all__ = ["DeadLetterView", "SubscriptionView", "dead_letters", "subscriptions"]


@attrs.frozen
class SubscriptionView:
    """How far a subscription is, who runs it, and what it could not handle."""

    name: str
    position: int
    chain: str
    lag: int
    """Entries that are not handled yet."""
    lag_seconds: float
    """How long the oldest of them has been in the log."""
    status: str
    """``running``, ``stopped``, ``abandoned`` (its runner did not come back) or ``failed``."""
    owner: str | None
    lease_until: datetime | None
    dead_letters: int
    error: str | None

    @property
    def checkpoint(self) -> Checkpoint:
        """Where it stands."""
        return Checkpoint(self.position, self.chain)


@attrs.frozen
class DeadLetterView:
    """An entry that a handler could not handle."""

    id: str
    name: str
    position: int
    status: str
    """``dead``, or ``requeued``: it is about to be handled again."""
    error: str
    message: str
    traceback: str
    attempts: int
    first_at: datetime | None
    last_at: datetime | None


def subscriptions(conn: Connection, *, now: int) -> list[SubscriptionView]:
    """Return every subscription by name; ``now`` is in microseconds."""
    rows = conn.execute(select(kf_subscription).order_by(kf_subscription.c.name)).all()
    letter = kf_dead_letter.c
    dead = {row[0]: row[1] for row in conn.execute(select(letter.name, func.count()).group_by(letter.name))}
    sql = "SELECT position, recorded_at FROM kf_entry WHERE position IN (??)"
    oldest = {row[0]: row[1] for row in query_in(conn, sql, sorted({row.position + 1 for row in rows}))}
    head = read_head(conn).position if rows else 0
    return [_subscription(row, head, oldest.get(row.position + 1), dead.get(row.name, 0), now) for row in rows]


def _subscription(row: Any, head: int, oldest: int | None, dead: int, now: int) -> SubscriptionView:
    if row.error is not None:
        status = "failed"
    elif not row.owner:
        status = "stopped"
    else:
        status = "running" if row.lease_until > now else "abandoned"
    return SubscriptionView(
        name=row.name,
        position=row.position,
        chain=bytes(row.chain).hex(),
        lag=head - row.position,
        lag_seconds=0.0 if oldest is None else max(0, now - oldest) / SECOND,
        status=status,
        owner=row.owner or None,
        lease_until=at_time(row.lease_until) if row.owner else None,
        dead_letters=dead,
        error=row.error,
    )


def dead_letters(
    conn: Connection, name: str | None, *, after: tuple[str, int] | None, limit: int
) -> tuple[Sequence[DeadLetterView], tuple[str, int] | None]:
    """Return a page of dead letters by name and position, and where the next one begins; None at the end."""
    rows = list(letters(conn, name, after, limit))
    views = [
        DeadLetterView(
            id=f"{row.name}:{row.position}",
            name=row.name,
            position=row.position,
            status=row.status,
            error=row.error,
            message=row.message,
            traceback=row.traceback,
            attempts=row.attempts,
            first_at=at_time(row.first_at),
            last_at=at_time(row.last_at),
        )
        for row in rows
    ]
    return views, (rows[-1].name, rows[-1].position) if len(rows) == limit else None
