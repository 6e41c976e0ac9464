"""The engine's methods for readers of the log and for subscriptions."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Literal
from weakref import WeakSet

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from kfstate.clock import Clock
from kfstate.concurrency import Concurrency
from kfstate.errors import ArgumentError, UnknownDeadLetterError, UnknownSubscriptionError
from kfstate.feed import lease as leases
from kfstate.feed import letters, status
from kfstate.feed.handling import Handler, Settings
from kfstate.feed.running import Subscription
from kfstate.feed.status import DeadLetterView, SubscriptionView
from kfstate.feed.wake import Wakes
from kfstate.queries.entries import EntryView, entries
from kfstate.store.checkpoint import Checkpoint, checkpoint_at, hold
from kfstate.store.database import Database
from kfstate.store.head import read_head
from kfstate.store.upcasting import SHIPPED, Upcaster

__all__ = ["Feed", "Start"]

Start = Literal["beginning", "now"] | int | Checkpoint
"""Where a new subscription begins: at the first entry, after the last one, or after a position or checkpoint."""

_PAGE = 1000
_NAME_BYTES = 64


class Feed:
    """The part of :class:`kfstate.Engine` that reads the log and follows it."""

    _database: Database
    _clock: Clock
    _concurrency: Concurrency

    def _open_feed(self, upcasters: Iterable[Upcaster]) -> None:
        self._upcasters = SHIPPED.joined(upcasters)
        self._wakes = Wakes(self._database, self._concurrency)
        self._subscribed: WeakSet[Subscription] = WeakSet()

    def _close_feed(self) -> None:
        subscribed = list(self._subscribed)
        for subscription in subscribed:
            subscription.halt()
        for subscription in subscribed:
            subscription.end()
        self._wakes.close()

    def read_all(self, *, after: int | Checkpoint = 0, limit: int | None = None) -> Iterator[EntryView]:
        """Yield entries of the log in order of position, with their payloads, without a gap.

        ``after`` is where to go on: a position, or the ``checkpoint`` of the last entry that was read. No transaction
        stays open between pages. Raises :class:`~kfstate.errors.CheckpointError` where the log is not the one that was
        read up to that checkpoint: a restored one, for instance, that lost its tail.
        """
        while limit is None or limit > 0:
            size = _PAGE if limit is None else min(limit, _PAGE)
            with self._database.reading() as conn:
                if isinstance(after, Checkpoint):
                    hold(conn, after)
                at = after.position if isinstance(after, Checkpoint) else after
                found = entries(conn, after=at, limit=size, upcasters=self._upcasters)
            yield from found
            if len(found) < size:
                return
            after = found[-1].checkpoint
            limit = None if limit is None else limit - size

    def subscribe(
        self,
        name: str,
        handler: Handler,
        *,
        start: Start = "beginning",
        transactional: bool = True,
        poll: float = 1.0,
        attempts: int = 5,
        batch: int = 100,
        backoff: float = 0.1,
        lease: float = 30.0,
        on_error: Literal["dead_letter", "stop"] = "dead_letter",
        steps: bool = True,
    ) -> Subscription:
        """Have a handler called for every entry, in order of position; run what is returned.

        ``name`` is that of the subscription, the same in every process that may run it. ``start`` counts the first
        time, later it goes on where it was. A ``transactional`` handler works on ``event.connection`` and takes effect
        exactly once; another one is called at least once. ``poll``, ``backoff`` and ``lease`` are in seconds. An entry
        that fails ``attempts`` times becomes a dead letter, or stops the subscription (``on_error``). Without ``steps``
        events have none, and come even where the projections are behind. Raises
        :class:`~kfstate.errors.CheckpointError` where the log has no such ``start``, and
        :class:`~kfstate.errors.ArgumentError` where ``name`` can be none.
        """
        settings = Settings(
            transactional=transactional, poll=poll, attempts=attempts, batch=batch, backoff=backoff, lease=lease,
            on_error=on_error, steps=steps,
        )  # fmt: skip
        if not _is_name(name):
            allowed = f"1 to {_NAME_BYTES} bytes of text without NUL"
            raise ArgumentError(name="name", value=ascii(name)[:200], allowed=allowed)
        self._create(name, start)
        made = Subscription(
            name, handler, database=self._database, clock=self._clock, concurrency=self._concurrency,
            wakes=self._wakes, settings=settings, upcasters=self._upcasters,
        )  # fmt: skip
        self._subscribed.add(made)
        return made

    def subscriptions(self) -> list[SubscriptionView]:
        """Return every subscription by name: how far it is, who runs it, what it could not handle."""
        with self._database.reading() as conn:
            return status.subscriptions(conn, now=self._clock.now())

    def unsubscribe(self, name: str) -> None:
        """Remove a subscription with its checkpoint and its dead letters; whoever runs it ends.

        Raises :class:`~kfstate.errors.UnknownSubscriptionError`.
        """
        if not _is_name(name):
            raise UnknownSubscriptionError(name=name)
        with self._database.writing() as conn:
            if not leases.remove(conn, name):
                raise UnknownSubscriptionError(name=name)
            letters.forget(conn, name)

    def dead_letters(
        self, name: str | None = None, *, after: tuple[str, int] | None = None, limit: int | None = None
    ) -> Iterator[DeadLetterView]:
        """Yield what handlers could not handle, by name of the subscription and position.

        ``after`` is such a pair to go on from.
        """
        more = name is None or _is_name(name)
        while more and (limit is None or limit > 0):
            size = _PAGE if limit is None else min(limit, _PAGE)
            with self._database.reading() as conn:
                found, after = status.dead_letters(conn, name, after=after, limit=size)
            yield from found
            more = after is not None
            limit = None if limit is None else limit - size

    def requeue(self, letter: str) -> None:
        """Have a dead letter, named by its ``id``, handled again by whoever runs its subscription.

        Raises :class:`~kfstate.errors.UnknownDeadLetterError`.
        """
        if not _is_name(letter.rpartition(":")[0]):
            raise UnknownDeadLetterError(id=letter)
        with self._database.writing() as conn:
            letters.requeue(conn, letter)

    def _create(self, name: str, start: Start) -> None:
        """Add the subscription, unless it is there."""
        find = partial(leases.find, name=name)
        with self._database.reading() as conn:
            if find(conn) is not None:
                return
        try:
            with self._database.writing() as conn:
                if find(conn) is None:
                    leases.create(conn, name, _checkpoint(conn, start), now=self._clock.now())
        except IntegrityError:  # somebody else added it just now
            with self._database.reading() as conn:
                if find(conn) is None:
                    raise


def _is_name(name: str) -> bool:
    """Tell whether a subscription can be called so on every database: no NUL, and no half of a surrogate pair."""
    return 1 <= len(name.encode(errors="replace")) <= _NAME_BYTES and not any(
        char == "\0" or "\ud800" <= char <= "\udfff" for char in name
    )


def _checkpoint(conn: Connection, start: Start) -> Checkpoint:
    if isinstance(start, Checkpoint):
        hold(conn, start)
        return start
    if start == "now":
        head = read_head(conn)
        return Checkpoint(head.position, head.chain.hex())
    return checkpoint_at(conn, 0 if start == "beginning" else int(start))
