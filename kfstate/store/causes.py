# ruff: noqa: S608 (the SQL is put together from constants)
"""What own entries need to know of the entries before them: their intent, the send they count, their place in time."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import attrs
from sqlalchemy import Connection

from kfstate.clock import SECOND
from kfstate.errors import EnvelopeError
from kfstate.machine.kinds import OWN_KINDS
from kfstate.store.dialect import as_text, query, query_in
from kfstate.store.identity import Fresh
from kfstate.store.rows import Draft, StreamKey
from kfstate.store.streams import Open

__all__ = ["Causes", "Settled", "gather"]

_OUTCOMES = ("message_sent", "message_refused")
_LOOK_BACK = 3 * 86_400
"""Seconds: a reply that came later than this after its intent names its cause itself, or counts by itself."""

_AT = "COALESCE(occurred_at, sort_second * 1000000)"


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

    latest: dict[int, int]
    """Stream id → latest time in it, microseconds."""
    intents: dict[tuple[int, str], int]
    """(stream id, msgid) → position of its latest ``message_intended``."""
    entries: dict[int, _Earlier]
    own: dict[tuple[int, int], int]
    """(stream id, second) → latest time of an own entry in it, for the whole seconds that callers gave."""

    def note(self, stream: int, at: int) -> None:
        """Take up the time of an entry of this batch."""
        if at > self.latest.get(stream, at):
            self.latest[stream] = at

    def settle(self, draft: Draft, stream: int, position: int) -> Settled:
        """Return what an own entry becomes at this position."""
        cause = draft.cause
        if cause is None and draft.kind in _OUTCOMES and draft.ref:
            cause = self.intents.get((stream, draft.ref))
        earlier = self._entry(cause, "cause", position) if cause is not None else None
        if draft.target is not None and not 1 <= draft.target < position:
            raise EnvelopeError(path="$.target", value=str(draft.target), reason="no entry stands there")
        occurred_at = draft.occurred_at or 0
        decoded = self._entry(draft.target, "target", position) if draft.kind == "redecoded" else None
        if decoded is not None:
            occurred_at = decoded.at if draft.own == 2 else occurred_at
        elif draft.own == 2:
            # Never before what was recorded before its intent, and one microsecond after it, so that own entries of a
            # stream that are lifted to the same time keep the order in which they were made.
            same = earlier is not None and earlier.stream == stream
            floor = earlier.at if same and earlier is not None else self.latest[stream]
            occurred_at = max(occurred_at, floor + 1)
        elif (stream, occurred_at // SECOND) in self.own:
            # The caller counts in whole seconds: what it recorded first came first.
            last = occurred_at + SECOND - 1
            occurred_at = min(max(occurred_at, self.own[stream, occurred_at // SECOND] + 1), last)
        intended = earlier.counts if earlier is not None and earlier.kind == "message_intended" else None
        counts = _counts(draft.kind, draft.via, intended)
        # Two own calls in one second are folded in the order they were made, and only for them do we know it: hence the
        # microsecond comes first. WeCom's entries have whole seconds, their tie is a hash alone.
        # A later decoding stands in the place of the original.
        tie = (occurred_at % SECOND) << 28 | draft.tie if decoded is None else decoded.tie
        self._remember(draft, _Earlier(position, stream, draft.kind, occurred_at, counts, tie))
        return Settled(occurred_at, tie, counts, cause)

    def _entry(self, position: int | None, name: str, before: int) -> _Earlier:
        earlier = self.entries.get(position) if position is not None and 1 <= position < before else None
        if earlier is None:
            raise EnvelopeError(path=f"$.{name}", value=str(position), reason="no entry stands there")
        return earlier

    def _remember(self, draft: Draft, settled: _Earlier) -> None:
        stream, at = settled.stream, settled.at
        self.latest[stream] = max(at, self.latest[stream])
        if (second := (stream, at // SECOND)) in self.own:
            self.own[second] = max(at, self.own[second])
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


def gather(conn: Connection, fresh: Iterable[Fresh], opened: dict[StreamKey, Open]) -> Causes | None:
    """Read what the batch's own entries look at; None where it has none."""
    own = [draft for _, _, draft, _ in fresh if draft.own]
    if not own:
        return None
    causes = Causes(latest={}, intents={}, entries={}, own={})
    for key in dict.fromkeys(draft.stream for draft in own):
        stream = opened[key]
        id_ = stream.row.id
        causes.latest[id_] = -1
        if not stream.version:
            continue
        newest = query(conn, "SELECT MAX(sort_second) FROM kf_entry WHERE stream = ?", (id_,))[0][0]
        sql = f"SELECT MAX({_AT}) FROM kf_entry WHERE stream = ? AND sort_second = ?"
        causes.latest[id_] = query(conn, sql, (id_, newest))[0][0]
        if any(draft.kind in _OUTCOMES and draft.cause is None and draft.ref for draft in own if draft.stream == key):
            _intents(conn, id_, newest - _LOOK_BACK, causes)
    for draft in own:
        if draft.own == 1 and draft.occurred_at is not None and draft.occurred_at % SECOND == 0:
            second = draft.occurred_at // SECOND
            causes.own.setdefault((id_ := opened[draft.stream].row.id, second), _own(conn, id_, second))
    named = {draft.cause for draft in own if draft.cause is not None} | set(causes.intents.values())
    named |= {draft.target for draft in own if draft.kind == "redecoded" and draft.target is not None}
    sql = f"SELECT position, stream, kind, {_AT}, counts, tie FROM kf_entry WHERE position IN (??)"
    for row in query_in(conn, sql, sorted(named)):
        causes.entries[row[0]] = _earlier(row)
    return causes


def _own(conn: Connection, stream: int, second: int) -> int:
    kinds = ", ".join(f"'{kind}'" for kind in sorted(OWN_KINDS))
    sql = f"SELECT MAX(occurred_at) FROM kf_entry WHERE stream = ? AND sort_second = ? AND kind IN ({kinds})"
    return query(conn, sql, (stream, second))[0][0] or -1


def _earlier(row: tuple[Any, ...]) -> _Earlier:
    position, stream, kind, at, counts, tie = row
    return _Earlier(position, stream, as_text(kind), at, counts, tie)


def _intents(conn: Connection, stream: int, since: int, causes: Causes) -> None:
    sql = (
        "SELECT ref, position FROM kf_entry"
        " WHERE stream = ? AND sort_second >= ? AND kind = 'message_intended' AND ref <> '' ORDER BY position"
    )
    for ref, position in query(conn, sql, (stream, since)):
        causes.intents[stream, as_text(ref)] = position
