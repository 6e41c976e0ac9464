"""How far each account was pulled, and by whom: cursors, the epoch that fences a stale puller, and the pulls."""

from collections.abc import Callable, Iterable, Sequence

import attrs
from sqlalchemy import Connection

from kfstate.errors import ArgumentError, CursorConflictError
from kfstate.store.dialect import as_text, ask, bulk_insert, bulk_upsert, query
from kfstate.store.facts import IDS, is_id, sought
from kfstate.store.head import lock_head
from kfstate.store.tables import kf_cursor, kf_pull

__all__ = [
    "Cursor",
    "Move",
    "Pull",
    "advance",
    "claim",
    "last_pull",
    "moved_by",
    "read_cursor",
    "read_pull",
    "record_pull",
    "record_pulls",
    "write_cursors",
]


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


@attrs.frozen(kw_only=True)
class Move:
    """How a cursor is to move, by whoever claimed its account with ``epoch``."""

    open_kfid: str
    expected: str
    new: str
    epoch: int
    synced_until: int | None = None
    corp_id: str = ""


def read_cursor(conn: Connection, open_kfid: str, *, corp_id: str = "") -> Cursor | None:
    """Return the cursor of an account, or None where it was never claimed."""
    sql = "SELECT next_cursor, epoch, synced_until FROM kf_cursor WHERE corp_id = ? AND open_kfid = ?"
    found = query(conn, sql, (corp_id, sought(open_kfid)))
    if not found:
        return None
    cursor, epoch, synced_until = found[0]
    return Cursor(corp_id, open_kfid, as_text(cursor), epoch, synced_until)


def claim(conn: Connection, open_kfid: str, *, corp_id: str = "") -> Cursor:
    """Make the caller the puller of an account: whoever claimed it before can no longer advance its cursor.

    Raises :class:`~kfstate.errors.ArgumentError` where ``open_kfid`` can be no id.
    """
    if not is_id(open_kfid):
        raise ArgumentError(name="open_kfid", value=ascii(open_kfid)[:200], allowed=IDS)
    lock_head(conn)
    found = read_cursor(conn, open_kfid, corp_id=corp_id)
    if found is None:
        bulk_insert(conn, kf_cursor, [(corp_id, open_kfid, "", 1, None)])
        return Cursor(corp_id, open_kfid, "", 1, None)
    claimed = attrs.evolve(found, epoch=found.epoch + 1)
    write_cursors(conn, [claimed])
    return claimed


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
    move = Move(
        open_kfid=open_kfid, expected=expected, new=new, epoch=epoch, synced_until=synced_until, corp_id=corp_id
    )
    moved = moved_by(move, read_cursor(conn, open_kfid, corp_id=corp_id))
    write_cursors(conn, [moved])
    return moved


def moved_by(move: Move, found: Cursor | None) -> Cursor:
    """Return a cursor after a move; raises :class:`~kfstate.errors.CursorConflictError`."""
    if found is None or found.cursor != move.expected or found.epoch != move.epoch:
        current, epoch = (found.cursor, found.epoch) if found else ("", 0)
        raise CursorConflictError(open_kfid=move.open_kfid, expected=move.expected, current=current, epoch=epoch)
    synced_until = found.synced_until if move.synced_until is None else move.synced_until
    return attrs.evolve(found, cursor=move.new, synced_until=synced_until)


def write_cursors(conn: Connection, cursors: Iterable[Cursor]) -> None:
    """Store cursors; whoever does holds the lock of the head since it read them."""
    bulk_upsert(conn, kf_cursor, [attrs.astuple(cursor) for cursor in cursors])


def record_pull(conn: Connection, pull: Pull) -> int:
    """Store a pull and return its id, which the entries of the page carry."""
    lock_head(conn)
    id_ = last_pull(conn)() + 1
    record_pulls(conn, [pull], first=id_)
    return id_


def last_pull(conn: Connection) -> Callable[[], int]:
    """Ask for the greatest id of a pull, and return what waits for it; who decides on it holds the head's lock."""
    answer = ask(conn, "SELECT COALESCE(MAX(id), 0) FROM kf_pull")
    return lambda: int(answer()[0][0])


def record_pulls(conn: Connection, pulls: Sequence[Pull], *, first: int) -> None:
    """Store pulls under ids from ``first`` on; whoever does holds the lock of the head."""
    rows = [
        (
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
        for id_, pull in enumerate(pulls, first)
    ]
    bulk_insert(conn, kf_pull, rows)


def read_pull(conn: Connection, id_: int) -> Pull | None:
    """Return a pull by its id."""
    row = conn.execute(kf_pull.select().where(kf_pull.c.id == id_)).mappings().first()
    if row is None:
        return None
    values = {**row, "has_more": bool(row["has_more"])}
    del values["id"]
    return Pull(**values)
