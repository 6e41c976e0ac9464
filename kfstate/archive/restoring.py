"""A log out of the archive into a database: the same entries, names, salts and links, verified on the way."""

from collections.abc import Callable, Iterable

import attrs
from sqlalchemy import Connection

from kfstate.archive.clearing import clear
from kfstate.archive.pieces import AT, Piece, load
from kfstate.archive.results import Restored
from kfstate.audit.people.holding import HOLDS, place_again
from kfstate.errors import ArchiveError
from kfstate.store import schema
from kfstate.store.backend import DEFAULT_LOCK_TIMEOUT
from kfstate.store.database import Database
from kfstate.store.dialect import query
from kfstate.store.head import read_head
from kfstate.store.rows import Head

__all__ = ["restore"]


def restore(
    url: str,
    log: Head,
    pieces: Iterable[Piece],
    *,
    progress: Callable[[int], None] | None = None,
    lock_timeout: float = DEFAULT_LOCK_TIMEOUT,
) -> Restored:
    """Put a log into a database that holds none, or go on where an earlier import of it ended.

    ``log`` names it (``log_id``, ``created_at``). Each piece is a transaction, and verified in it: one that does not
    hold is not stored. Of what is there already, that is cleared which the pieces have no more. ``progress`` is called
    with the number of entries of each. Projections are not touched: the next engine that opens the database folds them.

    Raises :class:`~kfstate.errors.ArchiveError` where the database holds another log,
    :class:`~kfstate.errors.CorruptLogError` at the first entry that does not verify.
    """
    database, entries = Database(url, lock_timeout=lock_timeout), 0
    try:
        with database.writing() as conn:
            schema.upgrade(conn, now=log.created_at, entropy=lambda _: log.log_id)
        with database.reading() as conn:
            head = read_head(conn)
        if (head.log_id, head.created_at) != (log.log_id, log.created_at):
            raise ArchiveError(database.engine.url.render_as_string(), f"it holds another log ({head.log_id.hex()})")
        ahead: Piece | None = None
        cleared, again = 0, False
        for piece in pieces:
            with database.writing() as conn:
                fresh = _fresh(conn, piece if ahead is None else _joined(ahead, piece))
                if fresh is not piece:
                    again = True
                    cleared += clear(conn, piece, now=head.recorded_at).payloads
                if fresh.entries:
                    head = load(conn, fresh, log=log)
                    place_again(conn, _receipts(fresh))
                    entries += len(fresh.entries)
            ahead = None if fresh.entries else fresh
            if progress is not None:
                progress(len(piece.entries))
        if again:
            database.forget_journal()
    finally:
        database.close()
    return Restored(entries, head.position, head.chain.hex(), cleared)


def _receipts(piece: Piece) -> list[int]:
    """Return the positions of the entries that tell of holds."""
    kind, via = AT["kind"], AT["via"]
    return [row[0] for row in piece.entries if row[kind] == "own_action" and row[via] in HOLDS]


def _joined(ahead: Piece, piece: Piece) -> Piece:
    """Return a piece with what an earlier one, whose entries were all known, had of names and the like."""
    return attrs.evolve(
        piece,
        machines=[*ahead.machines, *piece.machines],
        names=[*ahead.names, *piece.names],
        streams=[*ahead.streams, *piece.streams],
        pulls=[*ahead.pulls, *piece.pulls],
    )


def _fresh(conn: Connection, piece: Piece) -> Piece:
    """Return what of a piece the log does not have yet. Raises :class:`~kfstate.errors.ArchiveError`."""
    head = read_head(conn)
    if piece.first > head.position:
        return piece
    shared = min(piece.last, head.position)
    ((held,),) = query(conn, "SELECT chain FROM kf_entry WHERE position = ?", (shared,)) or [(b"",)]
    if bytes(held) != bytes(piece.entries[shared - piece.first][AT["chain"]]):
        raise ArchiveError(conn.engine.url.render_as_string(), f"another entry than the archive's is at {shared}")
    greatest = "SELECT (SELECT MAX(id) FROM kf_name), (SELECT MAX(id) FROM kf_stream), (SELECT MAX(id) FROM kf_pull)"
    name, stream, pull = (found or 0 for found in query(conn, greatest)[0])
    return attrs.evolve(
        piece,
        entries=[row for row in piece.entries if row[0] > shared],
        payloads=[row for row in piece.payloads if row[0] > shared],
        identities=[row for row in piece.identities if row[2] > shared],
        names=[row for row in piece.names if row[0] > name],
        streams=[row for row in piece.streams if row[0] > stream],
        pulls=[row for row in piece.pulls if row[0] > pull],
    )
