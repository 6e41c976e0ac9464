"""Legal holds (封存): what is to go meanwhile is sealed, used for nothing, and destroyed when they are over."""

import hmac
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

import attrs
from sqlalchemy import Connection

from kfstate.audit.people import receipts
from kfstate.audit.people.receipts import Ground, Receipt, Record
from kfstate.errors import UnknownHoldError
from kfstate.queries.views import at_time
from kfstate.store.canonical import commit
from kfstate.store.clearing import NAME, PAYLOAD, Keeps
from kfstate.store.dialect import bulk_insert, overwriting, query, query_in
from kfstate.store.head import lock_head
from kfstate.store.read import names_by_id
from kfstate.store.tables import kf_hold

__all__ = ["Hold", "Sealed", "holds", "keeper", "place", "purge", "release", "sealed"]

_COLUMNS = ", ".join(column.name for column in kf_hold.columns if column.name != "corp_id")
_FORCE = "corp_id = ? AND released_at IS NULL AND (until_at IS NULL OR until_at > ?)"
_COUNTS = "SELECT customer, COUNT(*) FROM kf_sealed WHERE corp_id = ? AND kind = 'payload' GROUP BY customer"


@attrs.frozen
class Hold:
    """A legal hold on what the log knows of a customer, or of everybody."""

    id: int
    external_userid: str | None
    """None: everybody's, or somebody's who was erased."""
    customer: int | None
    """Number of the customer's row in ``kf_name``; None: it is on everybody."""
    until: datetime | None
    """None: until it is released."""
    actor: str
    basis: str
    request_id: str
    placed_at: datetime | None
    released_at: datetime | None
    released_by: str
    in_force: bool
    sealed: int
    """How many payloads are sealed that it may keep."""


@attrs.frozen
class Sealed:
    """A payload, or a name, that is kept for a legal hold."""

    SHOWN: ClassVar = ("kind", "id", "customer", "text", "proven", "sealed_at")

    kind: str
    """``payload`` or ``name``."""
    id: int
    """The position of its entry, or the number of its row in ``kf_name``."""
    customer: int | None
    body: bytes
    """The exact bytes."""
    proven: bool
    """Whether it is what the log committed to."""
    sealed_at: datetime | None

    @property
    def text(self) -> str:
        """The bytes as text."""
        return self.body.decode(errors="backslashreplace")


def place(
    conn: Connection,
    record: Record,
    ground: Ground,
    *,
    customer: int,
    until: int | None,
    now: int,
    corp_id: str,
) -> Receipt:
    """Place a hold on a customer (``kf_name`` id, 0: everybody), and return its receipt."""
    lock_head(conn)
    ((number,),) = query(conn, "SELECT COALESCE(MAX(id), 0) + 1 FROM kf_hold")
    row = (number, corp_id, customer, until, ground.actor, ground.basis, ground.request_id, now, None, "")
    bulk_insert(conn, kf_hold, [row])
    return receipts.write(conn, record, "hold_placed", ground, customer=customer or None, hold=number)


def release(conn: Connection, record: Record, ground: Ground, number: int, *, now: int, corp_id: str) -> Receipt:
    """End a hold before its time, destroy what no other hold keeps, and return the receipt.

    Raises :class:`~kfstate.errors.UnknownHoldError`.
    """
    lock_head(conn)
    found = query(conn, f"SELECT customer FROM kf_hold WHERE id = ? AND {_FORCE}", (number, corp_id, now))
    if not found:
        raise UnknownHoldError(number)
    query(conn, "UPDATE kf_hold SET released_at = ?, released_by = ? WHERE id = ?", (now, ground.actor, number))
    with overwriting(conn):
        payloads, _ = purge(conn, now=now, corp_id=corp_id)
    whose = found[0][0] or None
    return receipts.write(conn, record, "hold_released", ground, customer=whose, hold=number, payloads=payloads)


def keeper(conn: Connection, *, now: int, corp_id: str) -> Keeps:
    """Return what tells whether a hold that is in force keeps what is of a customer."""
    held = {row[0] for row in query(conn, f"SELECT customer FROM kf_hold WHERE {_FORCE}", (corp_id, now))}
    return lambda customer: 0 in held or (customer != 0 and customer in held)


def purge(conn: Connection, *, now: int, corp_id: str) -> tuple[int, int]:
    """Destroy what is sealed and kept by no hold any more; return of how many payloads and how many people."""
    keeps, payloads, people = keeper(conn, now=now, corp_id=corp_id), 0, 0
    for customer, count in _counts(conn, corp_id):
        if not keeps(customer):
            query(conn, "DELETE FROM kf_sealed WHERE corp_id = ? AND customer = ?", (corp_id, customer))
            payloads, people = payloads + count, people + 1
    return payloads, people


def _counts(conn: Connection, corp_id: str) -> list[tuple[int, int]]:
    """Return (customer, payloads) of all who have something sealed."""
    people = query(conn, "SELECT DISTINCT customer FROM kf_sealed WHERE corp_id = ?", (corp_id,))
    counts = {row[0]: row[1] for row in query(conn, _COUNTS, (corp_id,))}
    return [(row[0], counts.get(row[0], 0)) for row in people]


def holds(conn: Connection, *, now: int, corp_id: str) -> tuple[Hold, ...]:
    """Return all holds there were, in order."""
    rows = query(conn, f"SELECT {_COLUMNS} FROM kf_hold WHERE corp_id = ? ORDER BY id", (corp_id,))
    names = names_by_id(conn, (row[1] for row in rows if row[1]))
    counts = dict(_counts(conn, corp_id))
    made = []
    for id_, customer, until, actor, basis, request_id, placed_at, released_at, released_by in rows:
        made.append(
            Hold(
                id=id_, external_userid=names.get(customer), customer=customer or None, until=at_time(until),
                actor=actor, basis=basis, request_id=request_id, placed_at=at_time(placed_at),
                released_at=at_time(released_at), released_by=released_by,
                in_force=released_at is None and (until is None or until > now),
                sealed=counts.get(customer, 0) if customer else sum(counts.values()),
            )
        )  # fmt: skip
    return tuple(made)


def sealed(
    conn: Connection, number: int, *, now: int, corp_id: str, after: tuple[str, int] = ("", 0), limit: int = 1000
) -> tuple[Sealed, ...]:
    """Return what is sealed for a hold in force, names first, from after (kind, id) on, held against the log.

    Raises :class:`~kfstate.errors.UnknownHoldError`.
    """
    found = query(conn, f"SELECT customer FROM kf_hold WHERE id = ? AND {_FORCE}", (number, corp_id, now))
    if not found:
        raise UnknownHoldError(number)
    customer = found[0][0]
    sql = "SELECT kind, id, customer, salt, body, sealed_at FROM kf_sealed WHERE corp_id = ?"
    of, values = (" AND customer = ?", (customer,)) if customer else ("", ())
    further = " AND (kind > ? OR (kind = ? AND id > ?)) ORDER BY kind, id LIMIT ?"
    rows = query(conn, sql + of + further, (corp_id, *values, after[0], *after, limit))
    known = {(kind, id_): said for kind in (NAME, PAYLOAD) for id_, said in _committed(conn, kind, rows)}
    return tuple(
        Sealed(
            kind=kind, id=id_, customer=whose or None, body=bytes(body),
            proven=hmac.compare_digest(commit(bytes(salt), bytes(body)), known.get((kind, id_), b"")),
            sealed_at=at_time(at),
        )
        for kind, id_, whose, salt, body, at in rows
    )  # fmt: skip


def _committed(conn: Connection, kind: str, rows: Iterable[tuple[Any, ...]]) -> list[tuple[int, bytes]]:
    table, key = ("kf_name", "id") if kind == NAME else ("kf_entry", "position")
    sql = f"SELECT {key}, commitment FROM {table} WHERE {key} IN (??)"
    return [(row[0], bytes(row[1])) for row in query_in(conn, sql, [row[1] for row in rows if row[0] == kind])]
