"""Receipts: what was taken out of the database, by whom, on which legal ground. They are entries of the log itself.

A receipt names nobody who was erased: a customer is the number of his row in ``kf_name``, which says nothing any more.
"""

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.errors import ArgumentError
from kfstate.queries.views import at_time
from kfstate.store.clearing import Cleared
from kfstate.store.dialect import query
from kfstate.store.envelope import OwnEntry
from kfstate.store.head import read_head
from kfstate.store.own_kinds import RECEIPTS
from kfstate.store.read import find_stream
from kfstate.store.rows import Result, StreamKey

__all__ = [
    "Ground",
    "Receipt",
    "Record",
    "last",
    "parse",
    "receipt_at",
    "receipts",
    "write",
]

_LISTED = ", ".join(f"'{action}'" for action in sorted(RECEIPTS))
_FOUND = (
    "SELECT e.position, e.chain, e.via, e.actor, e.recorded_at, p.body FROM kf_entry e "
    "JOIN kf_payload p ON p.position = e.position "
    f"WHERE e.stream = ? AND e.kind = 'own_action' AND e.via IN ({_LISTED}) AND "
)

_LONGEST = {"actor": 128, "basis": 4096, "request_id": 256}

Record = Callable[[Connection, OwnEntry], Result]
"""Appends a receipt in a transaction."""


@attrs.frozen
class Ground:
    """Who does something, on which legal basis, for which request."""

    actor: str
    basis: str
    request_id: str = ""

    def __attrs_post_init__(self) -> None:
        """Ask for what a receipt cannot do without."""
        for name, longest in _LONGEST.items():
            value = getattr(self, name)
            if not value.strip() and name != "request_id":
                raise ArgumentError(name=name, value=repr(value), allowed="a receipt names operator and legal basis")
            if len(value) > longest or "\0" in value or not _whole(value):
                raise ArgumentError(name=name, value=repr(value)[:200], allowed=f"text of at most {longest} characters")


@attrs.frozen(kw_only=True)
class Receipt:
    """What was done to the words and names beside the log. It stands in the log at ``position``."""

    position: int
    chain: str
    log_id: str
    """Id of the log, in hex: every copy of it has the same."""
    action: str
    """``erased``, ``retained`` (aged out), ``hold_placed``, ``hold_released``, ``purged`` (sealed for nothing)."""
    actor: str
    basis: str
    request_id: str
    recorded_at: datetime | None
    customer: int | None = None
    """Number of the customer's row in ``kf_name``."""
    commitment: str = ""
    """What the log commits to in place of the customer's id: tells his row from another of that number."""
    accounts: tuple[str, ...] = ()
    """``open_kfid`` of the conversations that were touched."""
    entries: int = 0
    """How many entries those have: they stay."""
    payloads: int = 0
    """How many payloads were taken out."""
    sealed: int = 0
    """How many of them a legal hold keeps, sealed."""
    identities: int = 0
    """How many content digests were cleared."""
    purged: int = 0
    """Of ``erased``: how many payloads were destroyed that were sealed, and that no hold keeps any more."""
    dead_letters: int = 0
    refolded: int = 0
    """How many conversations were folded again."""
    hold: int | None = None
    until: int | None = None
    """Of ``retained``: the last position that was looked at."""
    until_at: int | None = None
    """Of ``hold_placed``: when the hold ends, in microseconds; None: when it is released."""


def _whole(text: str) -> bool:
    """Tell whether a text has no half characters, which no database takes."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


_FACTS = tuple(field.name for field in attrs.fields(Receipt))[8:]


def write(
    conn: Connection, record: Record, action: str, ground: Ground, cleared: Cleared | None = None, **facts: Any
) -> Receipt:
    """Append a receipt to the log in this transaction, and return it."""
    data = (attrs.asdict(cleared) if cleared is not None else {}) | facts
    entry = OwnEntry(
        kind="own_action", via=action, actor=ground.actor, reason=ground.basis, request_id=ground.request_id,
        data={name: value for name, value in data.items() if value not in (None, 0, ())},
    )  # fmt: skip
    found = receipt_at(conn, record(conn, entry).position)
    assert found is not None  # noqa: S101 (it was written just now)
    return found


def receipt_at(conn: Connection, position: int) -> Receipt | None:
    """Return the receipt at a position; None where there is none."""
    streams = query(conn, "SELECT stream FROM kf_entry WHERE position = ?", (position,))
    found = query(conn, _FOUND + "e.position = ?", (*streams[0], position)) if streams else []
    return _receipts(conn, found)[0] if found else None


def receipts(conn: Connection, *, corp_id: str, after: int = 0, limit: int = 1000) -> tuple[Receipt, ...]:
    """Return the receipts above a position, in order."""
    stream = find_stream(conn, StreamKey(corp_id, "unplaced"))
    if stream is None:
        return ()
    sql = _FOUND + "e.position > ? ORDER BY e.position LIMIT ?"
    return _receipts(conn, query(conn, sql, (stream.id, after, limit)))


def last(conn: Connection, action: str, *, corp_id: str) -> Receipt | None:
    """Return the last receipt of an action."""
    stream = find_stream(conn, StreamKey(corp_id, "unplaced"))
    if stream is None:
        return None
    found = query(conn, _FOUND + "e.via = ? ORDER BY e.version DESC LIMIT 1", (stream.id, action))
    return _receipts(conn, found)[0] if found else None


def parse(data: Mapping[str, Any]) -> Receipt:
    """Return the receipt that JSON data describes, as :func:`~kfstate.queries.views.as_json` writes them.

    Raises :class:`~kfstate.errors.ArgumentError`.
    """
    try:
        known = {name: data[name] for name in (field.name for field in attrs.fields(Receipt)) if name in data}
        when = known.get("recorded_at")
        known["recorded_at"] = None if when is None else datetime.fromisoformat(when)
        known["accounts"] = tuple(known.get("accounts", ()))
        known["customer"] = None if (customer := known.get("customer")) is None else operator.index(customer)
        known["commitment"] = bytes.fromhex(known.get("commitment", "")).hex()
        return Receipt(**known)
    except (TypeError, ValueError, AttributeError) as error:
        raise ArgumentError(name="receipt", value=str(data)[:200], allowed=f"a receipt as JSON ({error})") from error


def _receipts(conn: Connection, rows: Sequence[tuple[Any, ...]]) -> tuple[Receipt, ...]:
    log_id = read_head(conn).log_id.hex()
    return tuple(_receipt(log_id, row) for row in rows)


def _receipt(log_id: str, row: tuple[Any, ...]) -> Receipt:
    position, chain, action, actor, recorded_at, body = row
    said = {} if body is None else json.loads(bytes(body))
    data = said.get("data", {})
    facts = {name: data[name] for name in _FACTS if name in data}
    if "accounts" in facts:
        facts["accounts"] = tuple(facts["accounts"])
    return Receipt(
        position=position, chain=bytes(chain).hex(), log_id=log_id, action=action, actor=actor,
        basis=said.get("reason", ""), request_id=said.get("request_id", ""), recorded_at=at_time(recorded_at), **facts,
    )  # fmt: skip
