# ruff: noqa: S608 (the SQL is put together from constants)
"""Verify the log: recompute every leaf, link and commitment, and name the first position that does not hold (P7)."""

import struct
from typing import Any

import attrs
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from kfstate.store import canonical as form
from kfstate.store.dialect import as_text, query, query_in
from kfstate.store.head import read_head
from kfstate.store.names import fold_name
from kfstate.store.read import rows_after, streams_by_id
from kfstate.store.references import References, beyond, identified
from kfstate.store.rows import EntryRow

__all__ = ["Damage", "Verified", "anchor_of", "verify"]


_LINK = 32
_ANOTHER = "the chain is not the one that was anchored"


@attrs.frozen
class Damage:
    """The first place where the log does not hold, and what is wrong there."""

    position: int
    reason: str


@attrs.frozen
class Verified:
    """What a verification found.

    ``entries`` of ``first``..``last`` hold; ``chain`` is the link of ``last``: kept elsewhere, it anchors a later
    verification. ``erased`` are positions whose payload was erased, ``erased_names`` names: both are no damage.
    """

    first: int
    last: int
    entries: int
    chain: bytes
    erased: tuple[int, ...]
    erased_names: tuple[int, ...]
    damage: Damage | None

    @property
    def anchor(self) -> str:
        """``POSITION:CHAIN`` of the last entry that holds: what to keep elsewhere, and to expect of the log later."""
        return f"{self.last}:{self.chain.hex()}"


@attrs.define
class _Names:
    """Commitments of names and prefixes of streams, as far as the walk has needed them."""

    conn: Connection
    commitments: dict[int, bytes] = attrs.field(factory=dict)
    prefixes: dict[int, bytes] = attrs.field(factory=dict)
    bad: dict[int, str] = attrs.field(factory=dict)
    erased: list[int] = attrs.field(factory=list)

    def load(self, rows: list[EntryRow]) -> None:
        """Read what these rows need and was not read before."""
        streams = streams_by_id(self.conn, {row.stream for row in rows} - self.prefixes.keys())
        ids = {id_ for row in rows for id_ in (row.servicer_from, row.servicer_to) if id_}
        ids |= {id_ for stream in streams.values() for id_ in (stream.customer, stream.servicer) if id_}
        self._load_names(ids - self.commitments.keys())
        for id_, stream in streams.items():
            customer, servicer = self.commitments.get(stream.customer), self.commitments.get(stream.servicer)
            self.prefixes[id_] = form.stream_prefix(stream.corp_id, stream.kind, stream.open_kfid, customer, servicer)
            for name in (stream.customer, stream.servicer):
                if name in self.bad:
                    self.bad[-id_] = self.bad[name]

    def _load_names(self, ids: set[int]) -> None:
        sql = "SELECT id, kind, salt, value, folded, commitment FROM kf_name WHERE id IN (??)"
        for id_, kind, salt, value, folded, commitment in query_in(self.conn, sql, sorted(ids)):
            self.commitments[id_] = bytes(commitment)
            if value is None:
                self.erased.append(id_)
                continue
            text = as_text(value)
            kept = salt is not None and form.commit(bytes(salt), text.encode()) == commitment
            if not kept or folded is None or as_text(folded) != fold_name(as_text(kind), text):
                self.bad[id_] = f"name {id_} is not what was committed to"
        for id_ in ids - self.commitments.keys():
            self.bad[id_] = f"name {id_} is missing"

    def complaint(self, row: EntryRow) -> str:
        """Return what is wrong with the names of an entry, or ''."""
        if row.stream not in self.prefixes:
            return f"stream {row.stream} is missing"
        for key in (-row.stream, row.servicer_from, row.servicer_to):
            if key is not None and key in self.bad:
                return self.bad[key]
        return ""


def anchor_of(text: str) -> tuple[int, bytes]:
    """Return the anchor that :attr:`Verified.anchor` made a text of. Raises ValueError where the text is none."""
    position, _, link = text.strip().partition(":")
    try:
        anchor = int(position), bytes.fromhex(link)
    except ValueError:
        anchor = -1, b""
    if anchor[0] < 0 or len(anchor[1]) != _LINK:
        message = f"no POSITION:CHAIN: {text[:100]!r}"
        raise ValueError(message)
    return anchor


def verify(
    conn: Connection,
    *,
    first: int | None = None,
    last: int | None = None,
    anchor: tuple[int, bytes] | None = None,
    batch: int = 2000,
) -> Verified:
    """Verify the entries ``first``..``last``, by default the whole log that is in the database.

    ``anchor`` is a (position, chain) that was kept elsewhere: only with one can a log that was rewritten from
    some place to its end be told from the true one. A range that begins later is verified against the link before it.
    What the entries name beside the log is looked up; of the whole log their identities are, too, and whether anything
    has come further than the log.
    """
    start, link = _before(conn, first)
    stop = read_head(conn).position if last is None else last
    names, erased = _Names(conn), list[int]()
    at, damage = start, _unanchored(conn, anchor, start, link) if first is None else None
    references = References(conn, start)
    try:
        if first is None and last is None:
            references.identified = identified(conn, start, stop)
        while damage is None and at < stop:
            rows = rows_after(conn, at, limit=min(batch, stop - at), holes=True)
            if not rows:
                damage = Damage(at + 1, "the entry is missing")
                break
            names.load(rows)
            references.load(rows)
            at, link, damage = _walk(
                conn, rows, at, link, names=names, references=references, erased=erased, anchor=anchor
            )
        if damage is None and last is None and (pointer := beyond(conn, stop)):
            damage = Damage(stop + 1, f"the entry is missing: {pointer}")
    except (SQLAlchemyError, UnicodeError) as error:
        damage = Damage(at + 1, f"the database cannot be read: {error}")
    return Verified(
        first=start + 1,
        last=at,
        entries=at - start,
        chain=link,
        erased=tuple(position for position in erased if position <= at),
        erased_names=tuple(sorted(names.erased)),
        damage=damage or _unreached(anchor, start, at),
    )


def _before(conn: Connection, first: int | None) -> tuple[int, bytes]:
    """Return the position before the range and its link: the archive's mark, an entry, or the log's beginning."""
    marks = query(conn, "SELECT position, chain FROM kf_archive_mark ORDER BY position DESC LIMIT 1")
    oldest = query(conn, "SELECT MIN(position) FROM kf_entry")[0][0]
    if first is None or first <= 1:
        archived = bool(marks) and oldest is not None and oldest == marks[0][0] + 1
        if marks and (archived or oldest is None):
            return marks[0][0], bytes(marks[0][1])
        log = read_head(conn)
        return 0, form.first_link(log.log_id, log.created_at)
    for table in ("kf_entry", "kf_archive_mark"):
        found = query(conn, f"SELECT position, chain FROM {table} WHERE position = ?", (first - 1,))
        if found:
            return found[0][0], bytes(found[0][1])
    log = read_head(conn)
    return 0, form.first_link(log.log_id, log.created_at)


def _walk(
    conn: Connection,
    rows: list[EntryRow],
    at: int,
    link: bytes,
    *,
    names: _Names,
    references: References,
    erased: list[int],
    anchor: tuple[int, bytes] | None,
) -> tuple[int, bytes, Damage | None]:
    sql = "SELECT position, salt, body FROM kf_payload WHERE position IN (??)"
    kept = {row[0]: row[1:] for row in query_in(conn, sql, [row.position for row in rows])}
    for row in rows:
        if row.position != at + 1:
            return at, link, Damage(at + 1, "the entry is missing")
        reason = names.complaint(row) or _row_complaint(row, link, names)
        if not reason and anchor is not None and row.position == anchor[0] and row.chain != anchor[1]:
            reason = _ANOTHER
        reason = reason or _payload_complaint(row, kept.get(row.position), erased) or references.complaint(row)
        if reason:
            return at, link, Damage(row.position, reason)
        at, link = row.position, row.chain
    return at, link, None


def _row_complaint(row: EntryRow, link: bytes, names: _Names) -> str:
    if row.form != form.FORM:
        return f"form {row.form} is not known to this release"
    from_ = names.commitments.get(row.servicer_from) if row.servicer_from is not None else None
    to = names.commitments.get(row.servicer_to) if row.servicer_to is not None else None
    try:
        leaf = form.leaf(form.canonical(names.prefixes[row.stream], row, from_, to))
    except (struct.error, AttributeError, TypeError, UnicodeError) as error:
        return f"a column holds what no column can hold ({error})"
    if leaf != row.leaf:
        return "the entry is not what its leaf was made of"
    return "" if form.chain(link, leaf) == row.chain else "the chain breaks"


def _payload_complaint(row: EntryRow, payload: tuple[Any, Any] | None, erased: list[int]) -> str:
    if payload is None:
        return "the payload's row is missing"
    salt, body = payload
    if salt is None and body is None:
        erased.append(row.position)
        return ""
    if salt is None or body is None or form.commit(bytes(salt), bytes(body)) != row.commitment:
        return "the payload is not what was committed to"
    return ""


def _unanchored(conn: Connection, anchor: tuple[int, bytes] | None, start: int, link: bytes) -> Damage | None:
    """Return damage where an anchor lies before the range, and is not known to hold."""
    if anchor is None or anchor[0] > start:
        return None
    known = {position: bytes(chain) for position, chain in query(conn, "SELECT position, chain FROM kf_archive_mark")}
    held = link if anchor[0] == start else known.get(anchor[0])
    if held is None:
        return Damage(anchor[0], "the anchor lies in the archive: only there can it be verified")
    return None if held == anchor[1] else Damage(anchor[0], _ANOTHER)


def _unreached(anchor: tuple[int, bytes] | None, start: int, at: int) -> Damage | None:
    if anchor is not None and start < anchor[0] and at < anchor[0]:
        return Damage(at + 1, "the log ends before the anchor")
    return None
