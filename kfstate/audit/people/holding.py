"""Legal holds (封存): what is to go meanwhile is sealed, used for nothing, and destroyed when they are over."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, ClassVar

import attrs
from sqlalchemy import Connection

from kfstate.audit.people import receipts
from kfstate.audit.people.naming import finder
from kfstate.audit.people.receipts import Ground, Receipt, Record
from kfstate.clock import SECOND
from kfstate.errors import UnknownHoldError
from kfstate.queries.views import at_time
from kfstate.store.canonical import proves
from kfstate.store.clearing import NAME, PAYLOAD, Keeps
from kfstate.store.dialect import as_text, bulk_insert, query, query_in
from kfstate.store.head import lock_head
from kfstate.store.read import names_by_id
from kfstate.store.tables import kf_hold

__all__ = ["HOLDS", "Hold", "Sealed", "holds", "keeper", "place", "place_again", "purge", "release", "sealed"]

HOLDS = ("hold_placed", "hold_released")
"""Actions of receipts that tell of holds."""
_COLUMNS = ", ".join(column.name for column in kf_hold.columns if column.name != "corp_id")
_FORCE = "corp_id = ? AND released_at IS NULL AND (until_at IS NULL OR until_at > ?)"
_NEXT = (
    "SELECT kind, id, body FROM kf_sealed WHERE corp_id = ? AND customer = ? AND (kind > ? OR (kind = ? AND id > ?)) "
    "ORDER BY kind, id LIMIT ?"
)
_AT_ONCE = 2_000
_SEALED = (
    "SELECT kind, id, customer, salt, body, sealed_at FROM kf_sealed WHERE corp_id = ? AND kind = ? AND id > ? "
    "ORDER BY id LIMIT ?"
)


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
    return receipts.write(conn, record, "hold_placed", ground, customer=customer or None, hold=number, until_at=until)


def place_again(conn: Connection, positions: Iterable[int]) -> None:
    """Place and end holds as these receipts tell, in a log that was imported."""
    for position in positions:
        receipt = receipts.receipt_at(conn, position)
        if receipt is None or receipt.hold is None or receipt.recorded_at is None:
            continue
        at = round(receipt.recorded_at.timestamp() * SECOND)
        if receipt.action == "hold_released":
            sql = "UPDATE kf_hold SET released_at = ?, released_by = ? WHERE id = ? AND released_at IS NULL"
            query(conn, sql, (at, receipt.actor, receipt.hold))
        else:
            corp_id = "SELECT corp_id FROM kf_stream WHERE id = (SELECT stream FROM kf_entry WHERE position = ?)"
            whose = (as_text(query(conn, corp_id, (position,))[0][0]), receipt.customer or 0, receipt.until_at)
            ground = (receipt.actor, receipt.basis, receipt.request_id)
            bulk_insert(conn, kf_hold, [(receipt.hold, *whose, *ground, at, None, "")])


def release(conn: Connection, record: Record, ground: Ground, number: int, *, now: int, corp_id: str) -> Receipt:
    """End a hold before its time, destroy what no other hold keeps, and return the receipt.

    Raises :class:`~kfstate.errors.UnknownHoldError`.
    """
    lock_head(conn)
    found = query(conn, f"SELECT customer FROM kf_hold WHERE id = ? AND {_FORCE}", (number, corp_id, now))
    if not found:
        raise UnknownHoldError(number)
    query(conn, "UPDATE kf_hold SET released_at = ?, released_by = ? WHERE id = ?", (now, ground.actor, number))
    payloads, _ = purge(conn, now=now, corp_id=corp_id)
    whose = found[0][0] or None
    return receipts.write(conn, record, "hold_released", ground, customer=whose, hold=number, payloads=payloads)


def keeper(conn: Connection, *, now: int, corp_id: str) -> Keeps:
    """Return what tells for whom the holds that are in force keep a payload: his own, or one that names him."""
    held = {row[0] for row in query(conn, f"SELECT customer FROM kf_hold WHERE {_FORCE}", (corp_id, now))}
    named = _named(conn, held)

    def keeps(customer: int, body: bytes) -> int | None:
        # It is stored for one of them; the others find it by what it says.
        return customer if customer in held or 0 in held else min(named(body), default=None)

    return keeps


def _named(conn: Connection, customers: Iterable[int]) -> Callable[[bytes], set[int]]:
    """Return what tells which of these customers (``kf_name`` ids) a payload, or a name, names."""
    wanted = sorted(customers)
    names = list(query_in(conn, "SELECT id, value FROM kf_name WHERE value IS NOT NULL AND id IN (??)", wanted))
    names += query_in(conn, "SELECT id, body FROM kf_sealed WHERE kind = 'name' AND id IN (??)", wanted)
    numbers: dict[str, set[int]] = {}
    for number, name in names:
        numbers.setdefault(as_text(name), set()).add(number)
    find = finder(numbers)
    return lambda body: {number for name in find(body) for number in numbers[name]}


def purge(conn: Connection, *, now: int, corp_id: str) -> tuple[int, int]:
    """Destroy what is sealed and kept by no hold any more; return how many payloads, and how many names."""
    keeps, payloads, names = keeper(conn, now=now, corp_id=corp_id), 0, 0
    people = query(conn, "SELECT DISTINCT customer FROM kf_sealed WHERE corp_id = ? ORDER BY customer", (corp_id,))
    for (customer,) in people:
        if keeps(customer, b"") is not None:
            continue
        at: tuple[str, int] = ("", 0)
        while rows := query(conn, _NEXT, (corp_id, customer, at[0], *at, _AT_ONCE)):
            at = rows[-1][0], rows[-1][1]
            for kind, id_, body in rows:
                if (other := keeps(customer, bytes(body))) is not None:
                    query(conn, "UPDATE kf_sealed SET customer = ? WHERE kind = ? AND id = ?", (other, kind, id_))
                else:
                    payloads, names = payloads + (kind == PAYLOAD), names + (kind == NAME)
        query(conn, "DELETE FROM kf_sealed WHERE corp_id = ? AND customer = ?", (corp_id, customer))
    return payloads, names


def holds(conn: Connection, *, now: int, corp_id: str) -> tuple[Hold, ...]:
    """Return all holds there were, in order."""
    rows = query(conn, f"SELECT {_COLUMNS} FROM kf_hold WHERE corp_id = ? ORDER BY id", (corp_id,))
    names = names_by_id(conn, (row[1] for row in rows if row[1]))
    counts = _counts(conn, {row[1] for row in rows if row[1]}, corp_id)
    made = []
    for id_, customer, until, actor, basis, request_id, placed_at, released_at, released_by in rows:
        made.append(
            Hold(
                id=id_, external_userid=names.get(customer), customer=customer or None, until=at_time(until),
                actor=actor, basis=basis, request_id=request_id, placed_at=at_time(placed_at),
                released_at=at_time(released_at), released_by=released_by,
                in_force=released_at is None and (until is None or until > now),
                sealed=counts[customer],
            )
        )  # fmt: skip
    return tuple(made)


def _counts(conn: Connection, customers: set[int], corp_id: str) -> Counter[int]:
    """Count the sealed payloads that are of each of these customers, or name him; at 0: all of them."""
    if not customers:
        sql = "SELECT COUNT(*) FROM kf_sealed WHERE corp_id = ? AND kind = ?"
        return Counter({0: query(conn, sql, (corp_id, PAYLOAD))[0][0]})
    counts, named = Counter[int](), _named(conn, customers)
    for _, _, customer, _, body, _ in _sealed(conn, (PAYLOAD, 0), corp_id):
        counts.update({0, customer, *named(bytes(body))})
    return counts


def _sealed(conn: Connection, after: tuple[str, int], corp_id: str) -> Iterator[tuple[Any, ...]]:
    """Return all that is sealed, names first, from after (kind, id) on."""
    for kind in (NAME, PAYLOAD):
        at = after[1] if kind == after[0] else 0
        while kind >= after[0] and (rows := query(conn, _SEALED, (corp_id, kind, at, _AT_ONCE))):
            yield from rows
            at = rows[-1][1]


def sealed(
    conn: Connection, number: int, *, now: int, corp_id: str, after: tuple[str, int] = ("", 0), limit: int = 1000
) -> tuple[Sealed, ...]:
    """Return what is sealed for a hold in force, names first, from after (kind, id) on, held against the log.

    That is what is stored for its customer, and whatever names him, for whomever that is stored. Raises
    :class:`~kfstate.errors.UnknownHoldError`.
    """
    found = query(conn, f"SELECT customer FROM kf_hold WHERE id = ? AND {_FORCE}", (number, corp_id, now))
    if not found:
        raise UnknownHoldError(number)
    customer, named = found[0][0], _named(conn, [found[0][0]])
    all_of_them = _sealed(conn, after, corp_id)
    its_own = (row for row in all_of_them if not customer or row[2] == customer or named(bytes(row[4])))
    rows = list(islice(its_own, limit))
    known = {(kind, id_): said for kind in (NAME, PAYLOAD) for id_, said in _committed(conn, kind, rows)}
    return tuple(
        Sealed(
            kind=kind, id=id_, customer=whose or None, body=bytes(body),
            proven=proves(salt, body, known.get((kind, id_), b"")),
            sealed_at=at_time(at),
        )
        for kind, id_, whose, salt, body, at in rows
    )  # fmt: skip


def _committed(conn: Connection, kind: str, rows: Iterable[tuple[Any, ...]]) -> list[tuple[int, bytes]]:
    table, key = ("kf_name", "id") if kind == NAME else ("kf_entry", "position")
    sql = f"SELECT {key}, commitment FROM {table} WHERE {key} IN (??)"
    return [(row[0], bytes(row[1])) for row in query_in(conn, sql, [row[1] for row in rows if row[0] == kind])]
