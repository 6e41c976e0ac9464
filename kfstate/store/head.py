"""The head of the log: where it ends, and the lock that whoever appends holds."""

from typing import Any

from sqlalchemy import Connection

from kfstate.errors import CorruptLogError, SchemaError
from kfstate.store.canonical import DIGEST_BYTES, LOG_ID_BYTES, first_link
from kfstate.store.columns import bytes_at
from kfstate.store.dialect import lock, query
from kfstate.store.rows import Head

__all__ = ["lock_head", "read_end", "read_head"]

_HEAD = (
    "SELECT h.log_id, h.created_at, e.position, e.chain, e.recorded_at FROM kf_log_head h LEFT JOIN kf_entry e"
    " ON e.position = (SELECT MAX(position) FROM kf_entry)"
)
_MARK = "SELECT position, chain, recorded_at FROM kf_archive_mark ORDER BY position DESC LIMIT 1"


def read_head(conn: Connection) -> Head:
    """Return where the log ends: its last entry, else the archive's mark, else what stands before the first entry.

    Raises :class:`~kfstate.errors.SchemaError` where the log has no head row, and
    :class:`~kfstate.errors.CorruptLogError` where that row, or the last entry, holds what it cannot.
    """
    log_id, created_at, position, chain, recorded_at = _end(conn)
    if position == 0:
        return Head(log_id, created_at, 0, first_link(log_id, created_at), 0)
    if type(recorded_at) is not int:
        raise CorruptLogError(position, "recorded_at holds what no column can hold")
    return Head(log_id, created_at, position, bytes_at(position, "chain", chain, DIGEST_BYTES), recorded_at)


def read_end(conn: Connection) -> tuple[bytes, int, int]:
    """Return log_id, created_at, and the last position, whatever else the entry there holds; else as read_head."""
    return _end(conn)[:3]


def _end(conn: Connection) -> tuple[bytes, int, int, Any, Any]:
    heads = query(conn, _HEAD)
    if len(heads) != 1:
        raise SchemaError(found=f"{len(heads)} rows in kf_log_head", needed="1", remedy="restore it from a backup")
    log_id, created_at, position, chain, recorded_at = heads[0]
    log_id = bytes_at(0, "kf_log_head.log_id", log_id, LOG_ID_BYTES)
    if type(created_at) is not int or created_at < 0:
        raise CorruptLogError(0, "kf_log_head.created_at holds what no column can hold")
    if position is None:
        position, chain, recorded_at = next(iter(query(conn, _MARK)), (0, b"", 0))
    return log_id, created_at, position, chain, recorded_at


def lock_head(conn: Connection) -> Head:
    """Lock the log until the transaction ends, then return its head. Whatever decides an append is read after this.

    Raises :class:`~kfstate.errors.LockTimeoutError`, or :class:`~kfstate.errors.TransactionError` in AUTOCOMMIT.
    """
    with lock(conn):
        return read_head(conn)
