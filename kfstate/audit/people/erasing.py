"""Forgetting one customer, in every account, in one transaction (P9).

The log stays as it is, and so does its chain: what goes is what it only commits to. Payloads, the customer's id, the
content digests, and what error texts say go; the entries with their typed facts stay, of somebody without a name.
"""

from collections.abc import Iterable
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.audit.people import receipts
from kfstate.audit.people.holding import keeper, purge
from kfstate.audit.people.naming import finder
from kfstate.audit.people.receipts import Ground, Receipt, Record
from kfstate.errors import ArgumentError, ProjectionError, UnknownCustomerError
from kfstate.machine.kinds import OWN_KINDS
from kfstate.projections.refolding import refold
from kfstate.store.clearing import Clearable, clear_name, clear_payloads, clear_traces
from kfstate.store.dialect import as_text, query
from kfstate.store.head import lock_head, read_head
from kfstate.store.names import CUSTOMER
from kfstate.store.own_kinds import RECEIPTS
from kfstate.store.read import find_name, streams_by_id
from kfstate.store.rows import Stream

__all__ = ["Repeated", "back", "check_ours", "erase", "mentions"]

_STREAMS = "SELECT id FROM kf_stream WHERE corp_id = ? AND customer = ? ORDER BY id"
_ENTRIES = "SELECT position, kind FROM kf_entry WHERE stream = ? ORDER BY position"
_ELSEWHERE = (
    "SELECT e.position, e.kind, s.open_kfid, p.body FROM kf_entry e JOIN kf_stream s ON s.id = e.stream "
    "JOIN kf_payload p ON p.position = e.position WHERE e.position > ? AND s.corp_id = ? AND s.customer <> ? "
    "AND (s.customer = 0 OR e.kind IN ({})) AND p.body IS NOT NULL "
    "AND NOT (e.kind = 'own_action' AND e.via IN ({})) ORDER BY e.position LIMIT ?"
).format(*(", ".join(f"'{word}'" for word in sorted(words)) for words in (OWN_KINDS, RECEIPTS)))
_AT_ONCE = 5_000


@attrs.frozen
class Repeated:
    """What became of erasures that were repeated in a restored copy."""

    receipts: tuple[int, ...]
    """Where the new receipts stand in the log."""
    gone: tuple[int, ...]
    """Positions of the old receipts whose customers are forgotten here already."""
    unknown: tuple[int, ...]
    """Positions of the old receipts whose customers this copy did not know: who has written since is somebody new."""


def mentions(
    conn: Connection, external_userid: str, customer: int, *, corp_id: str, after: int = 0
) -> tuple[list[Clearable], int]:
    """Return the entries outside his conversations that name a customer, from a position on, and the last one seen.

    What could not be decoded, and what services said of a whole account, stands in no conversation; what they said of
    him in somebody else's is about him, too.
    """
    named, found = finder([external_userid]), list[Clearable]()
    while rows := query(conn, _ELSEWHERE, (after, corp_id, customer, _AT_ONCE)):
        found += [Clearable(row[0], row[1], as_text(row[2]), customer) for row in rows if named(bytes(row[3]))]
        after = rows[-1][0]
    return found, after


def erase(
    conn: Connection,
    record: Record,
    ground: Ground,
    external_userid: str,
    *,
    elsewhere: Iterable[Clearable],
    looked_at: int,
    now: int,
    corp_id: str,
) -> Receipt:
    """Forget a customer in this transaction, and return the receipt.

    ``elsewhere`` is what :func:`mentions` found before the transaction, up to ``looked_at``. Raises
    :class:`~kfstate.errors.UnknownCustomerError`, :class:`~kfstate.errors.ArgumentError`.
    """
    lock_head(conn)
    customer = find_name(conn, corp_id, CUSTOMER, external_userid)
    if customer is None:
        raise UnknownCustomerError(external_userid)
    keeps = keeper(conn, now=now, corp_id=corp_id)
    streams = [row[0] for row in query(conn, _STREAMS, (corp_id, customer))]
    of = streams_by_id(conn, streams)
    said = [
        Clearable(position, kind, of[stream].open_kfid, customer)
        for stream in streams
        for position, kind in query(conn, _ENTRIES, (stream,))
    ]
    further, _ = mentions(conn, external_userid, customer, corp_id=corp_id, after=looked_at)
    gone = [*said, *elsewhere, *further]
    cleared = clear_payloads(conn, gone, corp_id=corp_id, keeps=keeps, now=now)
    letters = clear_traces(conn, [entry.position for entry in gone], finder([external_userid]))
    clear_name(conn, customer, corp_id=corp_id, keeps=keeps, now=now)
    purged, _ = purge(conn, now=now, corp_id=corp_id)
    refolded = sum(_refolded(conn, of[stream]) for stream in streams)
    ((commitment,),) = query(conn, "SELECT commitment FROM kf_name WHERE id = ?", (customer,))
    return receipts.write(
        conn, record, "erased", ground, cleared, customer=customer, commitment=bytes(commitment).hex(),
        entries=len(said), dead_letters=letters, refolded=refolded, purged=purged,
        accounts=tuple(of[stream].open_kfid for stream in streams),
    )  # fmt: skip


def check_ours(conn: Connection, receipts: Iterable[Receipt], *, corp_id: str) -> None:
    """Raise :class:`~kfstate.errors.ArgumentError` unless these are receipts of erasures of this log."""
    log_id = read_head(conn).log_id.hex()
    for receipt in receipts:
        found = _named(conn, receipt)
        if receipt.action != "erased" or receipt.log_id != log_id or (found and as_text(found[1]) != corp_id):
            allowed = "receipts of erasures of this log and corporation"
            raise ArgumentError(name="receipts", value=str(receipt.position), allowed=allowed)


def back(conn: Connection, receipt: Receipt) -> tuple[bool, str | None]:
    """Return whether this copy knew who was erased by a receipt, and his id, where it knows him again."""
    found = _named(conn, receipt)
    return found is not None, None if found is None or found[0] is None else as_text(found[0])


def _named(conn: Connection, receipt: Receipt) -> tuple[Any, Any] | None:
    """Return id and corporation of the customer of a receipt; None where another one has his number, or nobody."""
    sql = "SELECT value, corp_id FROM kf_name WHERE id = ? AND commitment = ?"
    found = query(conn, sql, (receipt.customer or 0, bytes.fromhex(receipt.commitment)))
    return (found[0][0], found[0][1]) if found else None


def _refolded(conn: Connection, stream: Stream) -> bool:
    """Fold a conversation again, without its payloads. What cannot be folded in place has the same rows anyway (P2)."""
    try:
        refold(conn, stream, "")
    except ProjectionError:
        return False
    return True
