"""Prove one conversation: its entries, and the way from them to the root of the tree over the whole log."""

from sqlalchemy import Connection

from kfstate.audit.proofs.bundle import Evidence, Name, Proof
from kfstate.audit.proofs.heads import TreeHead, chain_and_position, subtree
from kfstate.errors import ArgumentError, CorruptLogError
from kfstate.projections.folding import Progress
from kfstate.store.canonical import DIGEST_BYTES
from kfstate.store.columns import bytes_at
from kfstate.store.dialect import as_text, query, query_in
from kfstate.store.merkle import parts, root_of
from kfstate.store.rows import ENTRY_COLUMNS, EntryRow, Stream

__all__ = ["prove"]

_ROWS = f"SELECT {', '.join(ENTRY_COLUMNS)} FROM kf_entry WHERE stream = ? AND position <= ? ORDER BY position"
_PAYLOADS = "SELECT position, salt, body FROM kf_payload WHERE position IN (??)"
_NAMES = "SELECT id, commitment, salt, value FROM kf_name WHERE id IN (??)"


def prove(
    conn: Connection,
    stream: Stream,
    *,
    position: int | None = None,
    payloads: bool = True,
    progress: Progress | None = None,
) -> Proof:
    """Return a proof of all entries of a stream up to a position, by default up to the log's last one.

    Reads every leaf of the log. ``payloads``: with what was said, else with commitments to it only. Raises
    :class:`~kfstate.errors.ArgumentError` where the log has no such position, or the stream no entry up to there, and
    :class:`~kfstate.errors.CorruptLogError` where an entry is missing.
    """
    at, chain = chain_and_position(conn, position)
    rows = [EntryRow(*row) for row in query(conn, _ROWS, (stream.id, at))]
    if not rows:
        raise ArgumentError(name="position", value=str(at), allowed="one at which the conversation has begun")
    for version, row in enumerate(rows, 1):
        if row.version != version:
            raise CorruptLogError(row.position, f"version {version} of its conversation is missing, or in the archive")
    leaves = {row.position - 1: bytes_at(row.position, "leaf", row.leaf, DIGEST_BYTES) for row in rows}
    nodes = []
    for first, end in parts(at, sorted(leaves)):
        if first not in leaves:
            nodes.append(subtree(conn, first, end, progress))
        elif progress is not None:
            progress(1)
    root = root_of(at, leaves, nodes)
    return Proof(
        head=TreeHead(at, chain.hex(), root.hex()),
        stream=stream,
        names=_names(conn, stream, rows),
        entries=_with_payloads(conn, rows, told=payloads),
        nodes=tuple(nodes),
    )


def _names(conn: Connection, stream: Stream, rows: list[EntryRow]) -> tuple[Name, ...]:
    ids = {stream.customer, stream.servicer} | {id_ for row in rows for id_ in (row.servicer_from, row.servicer_to)}
    found = query_in(conn, _NAMES, sorted(id_ for id_ in ids if id_))
    return tuple(
        Name(
            id_,
            bytes_at(0, f"the commitment of name {id_}", commitment, DIGEST_BYTES),
            None if salt is None or value is None else bytes_at(0, f"the salt of name {id_}", salt),
            None if salt is None or value is None else as_text(value),
        )
        for id_, commitment, salt, value in found
    )


def _with_payloads(conn: Connection, rows: list[EntryRow], *, told: bool) -> tuple[Evidence, ...]:
    kept: dict[int, tuple[bytes, bytes]] = {}
    for position, salt, body in query_in(conn, _PAYLOADS, [row.position for row in rows] if told else []):
        if salt is not None and body is not None:
            kept[position] = bytes_at(position, "the salt", salt), bytes_at(position, "the payload", body)
    return tuple(Evidence(row._replace(chain=b""), kept.get(row.position)) for row in rows)
