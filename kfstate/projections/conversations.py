"""Conversations in hand: the folded state with its current session and segment, loaded and written in batches."""

from collections.abc import Collection, Iterable, Iterator

import attrs
import msgspec
from sqlalchemy import Connection

from kfstate.machine.state import SessionState, initial, pack
from kfstate.projections.sessions import Segment, Session, pack_segment, pack_session
from kfstate.projections.tables import kf_conversation, kf_segment, kf_session
from kfstate.store.dialect import bulk_upsert, query, query_in
from kfstate.store.rows import Stream

__all__ = ["Conversation", "checkpoint", "forget_sessions", "load", "new", "packed", "unpacked", "write"]

_STATE = len(attrs.fields(SessionState))
_SESSION = len(attrs.fields(Session))


def _columns(table_alias: str, names: Iterable[str]) -> str:
    return ", ".join(f"{table_alias}.{name}" for name in names)


_LOAD = (
    f"SELECT {_columns('c', kf_conversation.columns.keys())}, {_columns('s', kf_session.columns.keys())}, "
    f"{_columns('g', kf_segment.columns.keys())} FROM kf_conversation c "
    "LEFT JOIN kf_session s ON s.stream = c.stream AND s.number = c.session "
    "LEFT JOIN kf_segment g ON g.stream = c.stream AND g.session = c.session AND g.number = s.segments "
    "WHERE c.stream IN (??)"
)


@attrs.define
class Conversation:
    """One conversation while its new entries are folded."""

    stream: int
    open_kfid: str
    customer: int
    state: SessionState
    session: Session | None = None
    segment: Segment | None = None
    rejected: tuple[int | None, int | None, int | None] = (None, None, None)
    """The reject switch, and second and tie of the entry that set it."""
    served: int | None = None
    """Who served when it was loaded; the count of open sessions per servicer grows by the difference."""
    closed: list[Session | Segment] = attrs.Factory(list)
    """Sessions and segments that are not the last ones any more, to be written."""

    @property
    def serving(self) -> int | None:
        """Who serves now."""
        servicer = self.state.servicer
        return servicer if isinstance(servicer, int) else None


def new(stream: Stream) -> Conversation:
    """Return a conversation of which nothing is folded yet."""
    return Conversation(stream.id, stream.open_kfid, stream.customer, initial())


def load(conn: Connection, streams: Collection[int]) -> Iterator[Conversation]:
    """Yield those of these conversations that are projected already."""
    for row in query_in(conn, _LOAD, streams):
        fields, rest = row[3 : 3 + _STATE], row[3 + _STATE :]
        session, segment = rest[3 : 3 + _SESSION], rest[3 + _SESSION :]
        state = SessionState(*fields)
        found = Conversation(row[0], row[1], row[2], state, rejected=rest[:3])
        found.session = None if session[0] is None else Session(*session)
        found.segment = None if segment[0] is None else Segment(*segment)
        found.served = found.serving
        yield found


def write(conn: Connection, conversations: Iterable[Conversation]) -> None:
    """Write conversations with all sessions and segments that changed."""
    rows, sessions, segments = [], [], []
    for held in conversations:
        rows.append((held.stream, held.open_kfid, held.customer, *pack(held.state), *held.rejected))
        for closed in (*held.closed, held.session, held.segment):
            if isinstance(closed, Session):
                sessions.append(pack_session(closed))
            elif closed is not None:
                segments.append(pack_segment(closed))
        held.closed.clear()
    bulk_upsert(conn, kf_conversation, rows)
    bulk_upsert(conn, kf_session, sessions)
    bulk_upsert(conn, kf_segment, segments)


def packed(state: SessionState) -> bytes:
    """Return a state as bytes for ``kf_session.base``: a MessagePack array of its fields."""
    return msgspec.msgpack.encode(pack(state))


def unpacked(base: bytes) -> SessionState:
    """Return the state that :func:`packed` gave."""
    return SessionState(*msgspec.msgpack.decode(base))


def checkpoint(conn: Connection, stream: int, second: int) -> tuple[int, int, SessionState]:
    """Return where to fold on from for a late entry of this second: session number, first second, state before.

    The last session that opened before that second with a second of its own; else the beginning.
    """
    rows = query(
        conn,
        "SELECT number, opened, base FROM kf_session WHERE stream = ? AND opened < ? AND base IS NOT NULL "
        "ORDER BY number DESC LIMIT 1",
        (stream, second),
    )
    for number, opened, base in rows:
        return number, opened, unpacked(base)
    return 0, -(1 << 62), initial()


def forget_sessions(conn: Connection, stream: int, number: int) -> None:
    """Delete the sessions of a conversation from this number on, and their segments."""
    query(conn, "DELETE FROM kf_session WHERE stream = ? AND number >= ?", (stream, number))
    query(conn, "DELETE FROM kf_segment WHERE stream = ? AND session >= ?", (stream, number))
