"""The head of the log: where it ends, and the lock that whoever appends holds."""

from sqlalchemy import Connection

from kfstate.errors import SchemaError
from kfstate.store.canonical import first_link
from kfstate.store.dialect import lock, query
from kfstate.store.rows import Head

__all__ = ["lock_head", "read_head"]

_HEAD = (
    "SELECT h.log_id, h.created_at, e.position, e.chain, e.recorded_at FROM kf_log_head h LEFT JOIN kf_entry e"
    " ON e.position = (SELECT MAX(position) FROM kf_entry)"
)
_MARK = "SELECT position, chain, recorded_at FROM kf_archive_mark ORDER BY position DESC LIMIT 1"


def read_head(conn: Connection) -> Head:
    """Return where the log ends: its last entry, else the archive's mark, else what stands before the first entry.

    Raises :class:`~kfstate.errors.SchemaError` where the log has no head row.
    """
    heads = query(conn, _HEAD)
    if len(heads) != 1:
        raise SchemaError(found=f"{len(heads)} rows in kf_log_head", needed="1", remedy="restore it from a backup")
    log_id, created_at, position, chain, recorded_at = heads[0]
    if position is None:
        mark = query(conn, _MARK)
        if not mark:
            return Head(bytes(log_id), created_at, 0, first_link(bytes(log_id), created_at), 0)
        position, chain, recorded_at = mark[0]
    return Head(bytes(log_id), created_at, position, bytes(chain), recorded_at)


def lock_head(conn: Connection) -> Head:
    """Lock the log until the transaction ends, then return its head. Whatever decides an append is read after this.

    Raises :class:`~kfstate.errors.LockTimeoutError`, or :class:`~kfstate.errors.TransactionError` in AUTOCOMMIT.
    """
    with lock(conn):
        return read_head(conn)
