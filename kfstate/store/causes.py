# ruff: noqa: S608 (the SQL is put together from constants)
"""What own entries need to know of the entries before them: their intent, the send they count, their place in time."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import attrs
from sqlalchemy import Connection

from kfstate.clock import SECOND
from kfstate.errors import EnvelopeError
from kfstate.machine.kinds import OWN_KINDS
from kfstate.store.dialect import as_text, listed, query, query_in
from kfstate.store.identity import Fresh
from kfstate.store.rows import Draft, StreamKey
from kfstate.store.streams import Open, Streams, same

__all__ = ["Causes", "Settled", "look_back"]

_OUTCOMES = ("message_sent", "message_refused")
_LOOK_BACK = 3 * 86_400
"""Seconds: a reply that came later than this after its intent names its cause itself, or counts by itself."""

_AT = "COALESCE(occurred_at, sort_second * 1000000)"
_EARLIER = f"position, stream, kind, {_AT}, counts, tie"
_LAST_OWN = (
    "SELECT stream, sort_second, MAX(occurred_at) FROM kf_entry WHERE stream = ? AND sort_second = ?"
    f" AND kind IN ({', '.join(repr(kind) for kind in sorted(OWN_KINDS))}) GROUP BY stream, sort_second"
)
_INTENTS = (
    f"SELECT {_EARLIER}, ref FROM kf_entry WHERE stream = ? AND sort_second >= ? AND kind = 'message_intended'"
    " AND ref IN (??)"
)
_PARTS = 100
_WITHIN = frozenset({"correction", "limit_reached", "session_expired"})
"""Kinds that speak about an entry of their own conversation, and have no effect on any other."""


class _Earlier(NamedTuple):
    position: int
    stream: int
    kind: str
    at: int
    counts: int | None
    tie: int


class Settled(NamedTuple):
    """The parts of an own entry that depend on what was recorded before it."""

    occurred_at: int
    tie: int
    counts: int | None
    cause: int | None


@attrs.define
class Causes:
    """What was recorded before, for the streams and positions that a batch's own entries look at."""

    head: int
    """Position of the last entry before the batch."""
    latest: dict[int, int]
    """Stream id → latest time in it, microseconds."""
    intents: dict[tuple[int, str], int]
    """(stream id, msgid) → position of its latest ``message_intended``."""
    entries: dict[int, _Earlier]
    own: dict[tuple[int, int], int]
    """(stream id, second) → latest time of an own entry in it, for the whole seconds that callers gave."""
    ahead: set[int]
    """Positions in the batch itself that its own entries name."""

    def check(self, draft: Draft, stream: Open | None, fresh: Sequence[Fresh]) -> None:
        """Refuse an own entry that names what is not there; ``fresh`` are the entries that go before it.

        Raises :class:`~kfstate.errors.EnvelopeError`.
        """
        if draft.cause is not None:
            self._stream(draft.cause, "cause", fresh)
        if draft.target is not None:
            key, id_ = self._stream(draft.target, "target", fresh)
            if draft.kind in _WITHIN and key != same(draft.stream) and (stream is None or id_ != stream.row.id):
                raise EnvelopeError("$.target", str(draft.target), "that entry is not of this conversation")

    def _stream(self, position: int, name: str, fresh: Sequence[Fresh]) -> tuple[StreamKey | None, int | None]:
        """Return the key, or the id, of the stream in which an earlier entry stands."""
        if self.head < position <= self.head + len(fresh):
            return same(fresh[position - self.head - 1][2].stream), None
        if position not in self.entries:
            raise EnvelopeError(f"$.{name}", str(position), "no entry stands there")
        return None, self.entries[position].stream

    def note(self, row: Sequence[Any], at: int) -> None:
        """Take up an entry of WeCom's in this batch, and its time."""
        position, stream = row[0], row[1]
        if at > self.latest.get(stream, -1):
            self.latest[stream] = at
        if position in self.ahead:
            self.entries[position] = _Earlier(position, stream, row[2], at, None, row[4])

    def settle(self, draft: Draft, stream: int, position: int) -> Settled:
        """Return what an own entry becomes at this position; :meth:`check` has seen it."""
        cause = draft.cause
        if cause is None and draft.kind in _OUTCOMES and draft.ref:
            cause = self.intents.get((stream, draft.ref))
        earlier = self.entries.get(cause) if cause is not None else None
        occurred_at = draft.occurred_at or 0
        decoded = self.entries.get(draft.target) if draft.kind == "redecoded" and draft.target else None
        if decoded is not None:
            occurred_at = decoded.at if draft.own == 2 else occurred_at
        elif draft.own == 2:
            # Never before what was recorded before its intent, and one microsecond after it, so that own entries of a
            # stream that are lifted to the same time keep the order in which they were made.
            here = earlier is not None and earlier.stream == stream
            floor = earlier.at if here and earlier is not None else self.latest.get(stream, -1)
            occurred_at = max(occurred_at, floor + 1)
        elif occurred_at % SECOND == 0:
            # The caller counts in whole seconds: what it recorded first came first.
            last = occurred_at + SECOND - 1
            occurred_at = min(max(occurred_at, self.own.get((stream, occurred_at // SECOND), -1) + 1), last)
        intended = earlier.counts if earlier is not None and earlier.kind == "message_intended" else None
        counts = _counts(draft.kind, draft.via, intended)
        # Two own calls in one second are folded in the order they were made, and only for them do we know it: hence the
        # microsecond comes first. WeCom's entries have whole seconds, their tie is a hash alone.
        # A later decoding stands in the place of the original.
        tie = (occurred_at % SECOND) << 28 | draft.tie if decoded is None else decoded.tie
        self._remember(draft, _Earlier(position, stream, draft.kind, occurred_at, counts, tie))
        return Settled(occurred_at, tie, counts, cause)

    def _remember(self, draft: Draft, settled: _Earlier) -> None:
        stream, at = settled.stream, settled.at
        self.latest[stream] = max(at, self.latest.get(stream, -1))
        second = stream, at // SECOND
        self.own[second] = max(at, self.own.get(second, -1))
        self.entries[settled.position] = settled
        if draft.kind == "message_intended" and draft.ref:
            self.intents[stream, draft.ref] = settled.position


def _counts(kind: str, via: str | None, intended: int | None) -> int | None:
    """Return by how much the entry changes the used sends; None where the kind never does.

    The intent counts; its outcome confirms it or takes it back. An outcome without intent counts by itself.
    """
    single = 1 if via == "send_msg" else 0
    if kind == "message_intended":
        return single
    if kind == "message_sent":
        return 0 if intended is not None else single
    if kind == "message_refused":
        return -intended if intended is not None else 0
    return None


def look_back(conn: Connection, drafts: Iterable[Draft], streams: Streams, head: int) -> Causes | None:
    """Read what the batch's own entries look at, in a statement each; None where it has none."""
    own = [draft for draft in drafts if draft.own]
    if not own:
        return None
    causes = Causes(head=head, latest={}, intents={}, entries={}, own={}, ahead=set())
    asked: dict[tuple[int, int], set[str]] = {}
    seconds: dict[tuple[int, int], None] = {}
    named: set[int] = set()
    for draft in own:
        named.update(place for place in (draft.cause, draft.target) if place is not None)
        stream = streams.at(draft.stream)
        if stream is None or not stream.version:
            continue
        id_ = stream.row.id
        causes.latest[id_] = stream.latest
        if draft.kind in _OUTCOMES and draft.cause is None and draft.ref:
            asked.setdefault((id_, stream.latest // SECOND - _LOOK_BACK), set()).add(draft.ref)
        if draft.own == 1 and draft.occurred_at is not None and draft.occurred_at % SECOND == 0:
            seconds[id_, draft.occurred_at // SECOND] = None
    causes.ahead = {place for place in named if place > head}
    for row in query_in(conn, f"SELECT {_EARLIER} FROM kf_entry WHERE position IN (??)", sorted(named - causes.ahead)):
        causes.entries[row[0]] = _earlier(row)
    for *fields, ref in _union(conn, [_intents(conn, at, sorted(refs)) for at, refs in asked.items()]):
        earlier = causes.entries[fields[0]] = _earlier(fields)
        place = earlier.stream, as_text(ref)
        causes.intents[place] = max(earlier.position, causes.intents.get(place, 0))
    for id_, second, latest in _union(conn, [(_LAST_OWN, at) for at in seconds]):
        causes.own[id_, second] = latest
    return causes


def _union(conn: Connection, parts: Sequence[tuple[str, tuple[Any, ...]]]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(parts), _PARTS):
        chunk = parts[start : start + _PARTS]
        yield from query(
            conn, " UNION ALL ".join(sql for sql, _ in chunk), tuple(value for _, at in chunk for value in at)
        )


def _earlier(row: Sequence[Any]) -> _Earlier:
    position, stream, kind, at, counts, tie = row
    return _Earlier(position, stream, as_text(kind), at, counts, tie)


def _intents(conn: Connection, since: tuple[int, int], refs: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
    sql, given = listed(conn, _INTENTS, refs)
    return sql, (*since, *given)
