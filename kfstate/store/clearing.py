# ruff: noqa: S608 (the SQL is put together from constants)
"""Taking out of the database what people said and who they are; the log itself stays as it is (P9).

A payload goes with its salt, so that the commitment in the log says nothing any more, and with the content digest of
its identity: from then on its msgid alone tells that it is known. What a legal hold keeps is sealed first.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence

import attrs
from sqlalchemy import Connection

from kfstate.machine.kinds import FROM_WECOM
from kfstate.store.dialect import as_text, bulk_insert, query, query_in
from kfstate.store.facts import KEY_BYTES, draft_elements, identity_key
from kfstate.store.tables import kf_sealed

__all__ = ["NAME", "PAYLOAD", "Clearable", "Cleared", "Keeps", "clear_name", "clear_payloads", "clear_traces"]

PAYLOAD, NAME = "payload", "name"
"""What can be sealed."""
Keeps = Callable[[int, bytes], int | None]
"""Tells for whom (``kf_name`` id, 0: everybody) a legal hold keeps what is of a customer and says this; None: none."""
_ERASED = "(erased)"


@attrs.frozen
class Clearable:
    """A payload to be taken out: of which entry, and whose it is (``kf_name`` id, 0: nobody's)."""

    position: int
    kind: str
    open_kfid: str
    customer: int = 0


@attrs.define
class Cleared:
    """How much was taken out, and how much of that is sealed."""

    payloads: int = 0
    sealed: int = 0
    identities: int = 0

    def __add__(self, other: "Cleared") -> "Cleared":
        """Return the sum."""
        return Cleared(self.payloads + other.payloads, self.sealed + other.sealed, self.identities + other.identities)


def clear_payloads(conn: Connection, entries: Iterable[Clearable], *, corp_id: str, keeps: Keeps, now: int) -> Cleared:
    """Clear the payloads of these entries and their content digests; seal those that a hold ``keeps``.

    The caller holds the head of the log.
    """
    wanted = {entry.position: entry for entry in entries}
    sealed: list[tuple[object, ...]] = []
    found: dict[int, bytes] = {}
    sql = "SELECT position, salt, body FROM kf_payload WHERE position IN (??)"
    for position, salt, body in query_in(conn, sql, sorted(wanted)):
        if body is None:
            continue
        found[position] = bytes(body)
        customer = keeps(wanted[position].customer, bytes(body))
        if customer is not None:
            sealed.append((PAYLOAD, position, corp_id, customer, bytes(salt), bytes(body), now))
    if not found:
        return Cleared()
    identities = _clear_digests(conn, {at: (wanted[at], body) for at, body in found.items()}, corp_id)
    bulk_insert(conn, kf_sealed, sealed)
    list(query_in(conn, "UPDATE kf_payload SET salt = NULL, body = NULL WHERE position IN (??)", sorted(found)))
    return Cleared(len(found), len(sealed), identities)


def clear_name(conn: Connection, name: int, *, corp_id: str, keeps: Keeps, now: int) -> None:
    """Clear a customer's id; seal it where a hold ``keeps`` it. The row stays, for the streams and leaves of it."""
    ((salt, value),) = query(conn, "SELECT salt, value FROM kf_name WHERE id = ?", (name,))
    body = as_text(value).encode()
    if (customer := keeps(name, body)) is not None:
        bulk_insert(conn, kf_sealed, [(NAME, name, corp_id, customer, bytes(salt), body, now)])
    query(conn, "UPDATE kf_name SET salt = NULL, value = NULL, folded = NULL WHERE id = ?", (name,))


def clear_traces(conn: Connection, positions: Sequence[int], named: Callable[[bytes], object] | None = None) -> int:
    """Clear what errors say of these entries, or name whom they must not; return how many dead letters were cleared.

    The letters stay: who looks for what was not handled still finds that something was not. So do subscriptions and
    builds stay failed; the entry that stopped one is the next after its position.
    """
    letters = {row[:2] for row in query_in(conn, _LETTERS.format("position IN (??)"), positions)}
    if named is not None:
        found = query(conn, _LETTERS.format("1 = 1"))
        letters.update(row[:2] for row in found if any(named(as_text(text).encode()) for text in row[2:]))
    for name, position in letters:
        sql = "UPDATE kf_dead_letter SET message = ?, traceback = '' WHERE name = ? AND position = ?"
        query(conn, sql, (_ERASED, name, position))
    at = frozenset(positions)
    for table, key in (("kf_subscription", "name"), ("kf_projection", "name, version")):
        where = " AND ".join(f"{column} = ?" for column in key.split(", "))
        for error, position, *values in query(
            conn, f"SELECT error, position, {key} FROM {table} WHERE error IS NOT NULL"
        ):
            if position + 1 in at or (named is not None and named(as_text(error).encode())):
                query(conn, f"UPDATE {table} SET error = ? WHERE {where}", (_ERASED, *values))
    return len(letters)


_LETTERS = "SELECT name, position, message, traceback FROM kf_dead_letter WHERE message <> '(erased)' AND {}"


def _clear_digests(conn: Connection, entries: dict[int, tuple[Clearable, bytes]], corp_id: str) -> int:
    """Clear the content digests of entries, and return how many.

    Their identities are found by the keys, which the payloads still tell: by position there is no index.
    """
    keys: dict[int, dict[bytes, int]] = {}
    days: dict[int, int] = {}
    for position, (entry, body) in entries.items():
        day, key = _identity(entry, body, corp_id)
        keys.setdefault(day, {})[key] = position
        days[position] = day
    cleared: set[int] = set()
    for day, of_day in keys.items():
        sql = "SELECT position FROM kf_identity WHERE day = ? AND entry_key IN (??)"
        cleared.update(row[0] for row in query_in(conn, sql, sorted(of_day), day))
        sql = "UPDATE kf_identity SET content = NULL WHERE day = ? AND entry_key IN (??)"
        list(query_in(conn, sql, sorted(of_day), day))
    # What an earlier release keyed in another way is looked for among all of its day.
    missed: dict[int, list[int]] = {}
    for position, day in days.items():
        if position not in cleared and entries[position][0].kind in FROM_WECOM:
            missed.setdefault(day, []).append(position)
    for day, positions in missed.items():
        sql = "UPDATE kf_identity SET content = NULL WHERE day = ? AND position IN (??)"
        list(query_in(conn, sql, positions, day))
        cleared.update(positions)
    return len(cleared & entries.keys())


def _identity(entry: Clearable, body: bytes, corp_id: str) -> tuple[int, bytes]:
    if entry.kind in FROM_WECOM:
        (draft,) = draft_elements([body], account=entry.open_kfid, corp_id=corp_id)
        return draft.day, draft.key
    key = json.loads(body).get("key") or hashlib.sha256(body).digest()[:KEY_BYTES].hex()
    return 0, identity_key(corp_id, "own", entry.open_kfid, key)
