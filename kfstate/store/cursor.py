"""How far each account was pulled, and by whom: cursors, the epoch that fences a stale puller, and the pulls."""

import attrs
from sqlalchemy import Connection

from kfstate.errors import CursorConflictError
from kfstate.store.dialect import as_text, bulk_insert, query
from kfstate.store.head import lock_head
from kfstate.store.tables import kf_cursor, kf_pull

__all__ = ["Cursor", "Pull", "advance", "claim", "read_cursor", "read_pull", "record_pull"]


@attrs.frozen
class Cursor:
    """Where the next pull of an account begins.

    ``cursor`` is '' before the first pull. ``epoch`` grows with every :func:`claim`; ``synced_until`` is the start of
    the last complete pull (microseconds), None before the first.
    """

    corp_id: str
    open_kfid: str
    cursor: str
    epoch: int
    synced_until: int | None


@attrs.frozen(kw_only=True)
class Pull:
    """One page that was fetched, or read from a file (then without cursors).

    ``pulled_at`` and ``date_at`` (WeCom's ``Date`` header) are microseconds; ``elements`` counts the page's entries.
    """

    open_kfid: str
    pulled_at: int
    elements: int
    corp_id: str = ""
    cursor_before: str = ""
    cursor_after: str = ""
    has_more: bool = False
    date_at: int | None = None
    software: str = ""


def read_cursor(conn: Connection, open_kfid: str, *, corp_id: str = "") -> Cursor | None:
    """Return the cursor of an account, or None where it was never claimed."""
    sql = "SELECT next_cursor, epoch, synced_until FROM kf_cursor WHERE corp_id = ? AND open_kfid = ?"
    found = query(conn, sql, (corp_id, open_kfid))
    if not found:
        return None
    cursor, epoch, synced_until = found[0]
    return Cursor(corp_id, open_kfid, as_text(cursor), epoch, synced_until)


def claim(conn: Connection, open_kfid: str, *, corp_id: str = "") -> Cursor:
    """Make the caller the puller of an account: whoever claimed it before can no longer advance its cursor."""
    lock_head(conn)
    found = read_cursor(conn, open_kfid, corp_id=corp_id)
    if found is None:
        bulk_insert(conn, kf_cursor, [(corp_id, open_kfid, "", 1, None)])
        return Cursor(corp_id, open_kfid, "", 1, None)
    where = (kf_cursor.c.corp_id == corp_id) & (kf_cursor.c.open_kfid == open_kfid)
    conn.execute(kf_cursor.update().where(where).values(epoch=found.epoch + 1))
    return attrs.evolve(found, epoch=found.epoch + 1)


def advance(
    conn: Connection,
    open_kfid: str,
    *,
    expected: str,
    new: str,
    epoch: int,
    synced_until: int | None = None,
    corp_id: str = "",
) -> Cursor:
    """Move the cursor from ``expected`` to ``new``, in the transaction that appends the page.

    ``synced_until`` is given at the end of a complete pull: when that pull began. Raises
    :class:`~kfstate.errors.CursorConflictError` where the cursor is elsewhere, or somebody claimed the account since.
    """
    lock_head(conn)
    held = kf_cursor.c
    values: dict[str, str | int] = {"next_cursor": new}
    if synced_until is not None:
        values["synced_until"] = synced_until
    where = (
        (held.corp_id == corp_id)
        & (held.open_kfid == open_kfid)
        & (held.next_cursor == expected)
        & (held.epoch == epoch)
    )
    moved = conn.execute(kf_cursor.update().where(where).values(values))
    found = read_cursor(conn, open_kfid, corp_id=corp_id)
    if moved.rowcount != 1 or found is None:
        current, current_epoch = (found.cursor, found.epoch) if found else ("", 0)
        raise CursorConflictError(open_kfid=open_kfid, expected=expected, current=current, epoch=current_epoch)
    return found


def record_pull(conn: Connection, pull: Pull) -> int:
    """Store a pull and return its id, which the entries of the page carry."""
    lock_head(conn)
    id_: int = query(conn, "SELECT COALESCE(MAX(id), 0) + 1 FROM kf_pull")[0][0]
    row = (
        id_,
        pull.corp_id,
        pull.open_kfid,
        pull.cursor_before,
        pull.cursor_after,
        int(pull.has_more),
        pull.elements,
        pull.pulled_at,
        pull.date_at,
        pull.software,
    )
    bulk_insert(conn, kf_pull, [row])
    return id_


def read_pull(conn: Connection, id_: int) -> Pull | None:
    """Return a pull by its id."""
    row = conn.execute(kf_pull.select().where(kf_pull.c.id == id_)).mappings().first()
    if row is None:
        return None
    values = {**row, "has_more": bool(row["has_more"])}
    del values["id"]
    return Pull(**values)
