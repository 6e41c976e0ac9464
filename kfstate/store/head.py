"""The head of the log: where it ends, and the lock that whoever appends holds."""

from sqlalchemy import Connection

from kfstate.errors import SchemaError
from kfstate.store.canonical import first_link
from kfstate.store.dialect import lock, query
from kfstate.store.rows import Head

__all__ = ["lock_head", "read_head"]

_LAST = "SELECT position, chain, recorded_at FROM kf_entry ORDER BY position DESC LIMIT 1"
_MARK = "SELECT position, chain, recorded_at FROM kf_archive_mark ORDER BY position DESC LIMIT 1"


def read_head(conn: Connection) -> Head:
    """Return where the log ends: its last entry, else the archive's mark, else what stands before the first entry.

    Raises :class:`~kfstate.errors.SchemaError` where the log has no head row.
    """
    heads = query(conn, "SELECT log_id, created_at FROM kf_log_head")
    if len(heads) != 1:
        raise SchemaError(found=f"{len(heads)} rows in kf_log_head", needed="1", remedy="restore it from a backup")
    log_id, created_at = heads[0]
    last = query(conn, _LAST) or query(conn, _MARK)
    if not last:
        return Head(bytes(log_id), created_at, 0, first_link(bytes(log_id), created_at), 0)
    position, chain, recorded_at = last[0]
    return Head(bytes(log_id), created_at, position, bytes(chain), recorded_at)


def lock_head(conn: Connection) -> Head:
    """Lock the log until the transaction ends, then return its head. Whatever decides an append is read after this.

    Raises :class:`~kfstate.errors.LockTimeoutError`, or :class:`~kfstate.errors.TransactionError` in AUTOCOMMIT.
    """
    lock(conn)
    return read_head(conn)
