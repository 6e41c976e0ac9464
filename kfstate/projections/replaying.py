"""The log once through, without writing anything: every conversation to its last state (see ``machine.replay``)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from kfstate.machine.entry import Entry
from kfstate.machine.replay import replay
from kfstate.machine.state import SessionState
from kfstate.store.dialect import query, query_in
from kfstate.store.read import check_whole, stream_entries

__all__ = ["states"]

_COLUMNS = ", ".join(Entry._fields)
_UNLIMITED = (1 << 63) - 1


def states(conn: Connection, *, until: int | None = None, batch: int = 10_000) -> Iterator[tuple[int, SessionState]]:
    """Yield stream and state of every conversation as of position ``until`` (default: the head of the log).

    Each comes as soon as its last entry is folded; memory holds the conversations that are still open, and ``batch``
    entries.
    """
    upper = _UNLIMITED if until is None else until

    def last_positions(streams: Sequence[int]) -> Mapping[int, int]:
        return dict(query_in(conn, _LAST, streams, upper))

    def refold(stream: int) -> list[Entry]:
        return stream_entries(conn, stream, until=until)

    return replay(_chunks(conn, upper, batch), last_positions=last_positions, refold=refold)


# One index seek per stream: versions grow with positions.
_LAST = (
    "SELECT id, (SELECT position FROM kf_entry WHERE kf_entry.stream = kf_stream.id AND position <= ? "
    "ORDER BY version DESC LIMIT 1) FROM kf_stream WHERE id IN (??)"
)


def _chunks(conn: Connection, upper: int, batch: int) -> Iterator[list[tuple[Any, ...]]]:
    others = {row[0] for row in query(conn, "SELECT id FROM kf_stream WHERE kind <> 'conversation'")}
    sql = f"SELECT {_COLUMNS} FROM kf_entry WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
    after = 0
    while found := query(conn, sql, (after, upper, batch)):
        check_whole(after, found)
        yield [row for row in found if row[1] not in others]
        after = found[-1][0]
