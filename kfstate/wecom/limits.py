"""Limits of waiting: each one that is reached becomes an entry, once, so that subscriptions tell whoever has to act.

What counts is what the log says under its lock: the wait has begun, goes on, and is long enough at a time until which
the account's history is known. While nothing is pulled nothing is reached, because whoever answers is not heard either.
A wait that late entries prove to have begun earlier is told once; one that they prove not to have been stays told, for
the log keeps what was said: :func:`still_waits` says whether it holds by now.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

import attrs

from kfstate.clock import SECOND
from kfstate.engine import Engine
from kfstate.errors import ArgumentError
from kfstate.intake import ACTOR, record
from kfstate.projections import live
from kfstate.queries.conversations import WINDOW
from kfstate.queries.entries import EntryView
from kfstate.queries.views import at_second
from kfstate.queries.waiting import WAITS, Wait, WaitKind, told_until, waits
from kfstate.store.envelope import OwnEntry
from kfstate.store.head import lock_head
from kfstate.wecom.site import Site

__all__ = ["KIND", "LimitReached", "Limits", "WaitingLimit", "reached", "still_waits"]

KIND = "limit_reached"
"""The kind of the entries."""
_AT_ONCE = 500
_NAME = 64


def _ids(accounts: Iterable[str]) -> tuple[str, ...]:
    return (accounts,) if isinstance(accounts, str) else tuple(accounts)


@attrs.frozen
class WaitingLimit:
    """How long somebody may wait. ``name`` is what its entries carry; a service's limits have different ones.

    ``accounts``: only those; none given: all.
    """

    kind: WaitKind
    seconds: int
    name: str = attrs.field(default=attrs.Factory(lambda self: f"{self.kind}/{self.seconds}", takes_self=True))
    accounts: tuple[str, ...] = attrs.field(default=(), converter=_ids)

    def __attrs_post_init__(self) -> None:
        """Refuse what is no limit."""
        most = WINDOW - 1 if self.kind == "window" else 1 << 31
        if self.kind not in WAITS:
            raise ArgumentError(name="kind", value=repr(self.kind), allowed=", ".join(WAITS))
        if isinstance(self.seconds, bool) or not isinstance(self.seconds, int) or not 1 <= self.seconds <= most:
            raise ArgumentError(name="seconds", value=repr(self.seconds), allowed=f"a whole number from 1 to {most}")
        if not (0 < len(self.name) <= _NAME and self.name.isascii() and self.name.isprintable()):
            allowed = f"1 to {_NAME} printable ASCII characters"
            raise ArgumentError(name="name", value=ascii(self.name)[:200], allowed=allowed)

    @classmethod
    def queued(cls, seconds: int, *, name: str = "", accounts: Iterable[str] = ()) -> "WaitingLimit":
        """In the pool (state 2) for longer than that."""
        return cls("queued", seconds, name or f"queued/{seconds}", _ids(accounts))

    @classmethod
    def unanswered(cls, seconds: int, *, name: str = "", accounts: Iterable[str] = ()) -> "WaitingLimit":
        """With a servicer (state 3), but without an answer for longer than that.

        It counts from the first message after the last answer; where that came before a servicer had the customer, from
        then on. A hand-over does not begin it anew.
        """
        return cls("unanswered", seconds, name or f"unanswered/{seconds}", _ids(accounts))

    @classmethod
    def window_ends_in(cls, seconds: int, *, name: str = "", accounts: Iterable[str] = ()) -> "WaitingLimit":
        """The session runs, and the 48 hours in which ``send_msg`` may answer are over in less than that."""
        return cls("window", seconds, name or f"window/{seconds}", _ids(accounts))

    @property
    def after(self) -> int:
        """How many seconds after the beginning of the wait it is reached."""
        return WINDOW - self.seconds if self.kind == "window" else self.seconds


@attrs.frozen(kw_only=True)
class LimitReached:
    """What an entry of a limit says: who waits, since when, and when that was too long."""

    name: str
    kind: WaitKind
    seconds: int
    open_kfid: str
    external_userid: str | None
    servicer_userid: str | None
    since: datetime
    reached_at: datetime
    position: int


class _Told(Protocol):
    """An event of a subscription, whether of an engine or an asynchronous one."""

    @property
    def entry(self) -> EntryView:
        """The entry that it tells of."""
        ...


def reached(seen: _Told | EntryView) -> LimitReached | None:
    """Return what an event, or an entry, says of a limit; None where it is of another kind, or erased."""
    entry = seen if isinstance(seen, EntryView) else seen.entry
    payload = entry.payload
    if entry.kind != KIND or not isinstance(payload, dict):
        return None
    data = payload.get("data") or {}
    since, at = at_second(payload["from_at"] // SECOND), at_second(payload["occurred_at"] // SECOND)
    if data.get("kind") not in WAITS or since is None or at is None:  # somebody else's, recorded by hand
        return None
    return LimitReached(
        name=payload["via"], kind=data["kind"], seconds=data["seconds"], open_kfid=entry.open_kfid,
        external_userid=entry.external_userid, servicer_userid=entry.servicer_userid, since=since, reached_at=at,
        position=entry.position,
    )  # fmt: skip


def still_waits(engine: Engine, told: LimitReached) -> bool:
    """Tell whether that very wait goes on by what is known now; a handler asks this before it acts."""
    if told.external_userid is None:
        return False
    now = engine._clock.now() // SECOND  # noqa: SLF001 (the live side is the engine's neighbour)
    since = int(told.since.timestamp())
    with engine._reading() as conn:  # noqa: SLF001
        stream = engine._stream(conn, told.open_kfid, told.external_userid).id  # noqa: SLF001
        return bool(waits(conn, told.kind, since, now=now, corp_id=engine.corp_id, streams=[stream]))


def _all(limits: Iterable[WaitingLimit]) -> tuple[WaitingLimit, ...]:
    return tuple(limits)


@attrs.define
class Limits:
    """The limits of a service, and which waits it has told of or seen told: those need no second look."""

    site: Site
    limits: tuple[WaitingLimit, ...] = attrs.field(converter=_all)
    _told: dict[str, set[tuple[int, int]]] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Refuse two limits of one name: the second one would stay untold."""
        names = [limit.name for limit in self.limits]
        for name in names:
            if names.count(name) > 1:
                raise ArgumentError(name="limits", value=repr(name), allowed="limits of different names")

    def check(self) -> int:
        """Record every limit that is reached and was not told yet; return how many."""
        return sum(self._check(limit) for limit in self.limits)

    def _check(self, limit: WaitingLimit) -> int:
        site, known = self.site, self._told.get(limit.name, set())
        with site.database.reading() as conn:
            due = self._due(limit, waits(conn, limit.kind, self._since(limit), now=self._now(), corp_id=site.corp_id))
            fresh = [wait for wait in due if (wait.stream, wait.since) not in known]
            told = told_until(conn, limit.name, {wait.stream for wait in fresh})
        pending = {(wait.stream, wait.since) for wait in fresh if told.get(wait.stream, -1) < wait.since}
        streams = sorted(stream for stream, _ in pending)
        done = sum(self._record(limit, streams[start : start + _AT_ONCE]) for start in range(0, len(streams), _AT_ONCE))
        self._told[limit.name] = {(wait.stream, wait.since) for wait in due} - pending
        return done

    def _record(self, limit: WaitingLimit, streams: Sequence[int]) -> int:
        """Look again under the lock, where nothing changes any more, and record what is still so."""
        site = self.site
        with site.database.writing() as conn:
            lock_head(conn)
            if live.behind(conn) != 0:  # what the tables say is not what the log says
                return 0
            now = site.clock.now()
            found = waits(
                conn, limit.kind, self._since(limit), now=now // SECOND, corp_id=site.corp_id, streams=streams
            )
            told = told_until(conn, limit.name, streams)
            entries = [
                _entry(limit, wait) for wait in self._due(limit, found) if told.get(wait.stream, -1) < wait.since
            ]
            if not entries:
                return 0
            results = record(conn, entries, now=now, corp_id=site.corp_id)
        return sum(not result.duplicate for result in results)

    def _due(self, limit: WaitingLimit, found: Iterable[Wait]) -> list[Wait]:
        now = self._now()
        return [
            wait
            for wait in found
            if wait.since + limit.after <= wait.heard_until
            and (not limit.accounts or wait.open_kfid in limit.accounts)
            and (limit.kind != "window" or now < wait.since + WINDOW)
        ]

    def _since(self, limit: WaitingLimit) -> int:
        return self._now() - limit.after

    def _now(self) -> int:
        return self.site.clock.now() // SECOND


def _entry(limit: WaitingLimit, wait: Wait) -> OwnEntry:
    return OwnEntry(
        kind=KIND,
        actor=ACTOR,
        open_kfid=wait.open_kfid,
        external_userid=wait.external_userid,
        servicer_userid=wait.servicer_userid or "",
        occurred_at=(wait.since + limit.after) * SECOND,
        via=limit.name,
        from_at=wait.since * SECOND,
        target=wait.session_id,
        data={"kind": limit.kind, "seconds": limit.seconds},
        key=f"{KIND}/{limit.name}/{wait.stream}/{wait.since}",
    )
