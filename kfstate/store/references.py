# ruff: noqa: S608 (the SQL is put together from constants)
"""What the log points to and what points to it: rows that no hash covers, so that one by one they have to be there."""

import json
from collections.abc import Set as AbstractSet
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.machine.kinds import FROM_WECOM
from kfstate.machine.spec import fingerprint_of
from kfstate.store.dialect import as_text, query, query_in
from kfstate.store.rows import EntryRow
from kfstate.store.tables import metadata

__all__ = ["CLEARED", "References", "beyond", "identified"]

_POINTERS = ("kf_payload", "kf_archive_mark", "kf_identity", "kf_projection", "kf_subscription")
_PAGE = 20_000
_KNOWN = 1
CLEARED = 2
"""Of what is known of an identity: that it has no digest of the content."""


@attrs.define
class References:
    """The pulls and machines that entries name, as far as they were looked up.

    ``identified`` has a byte for each position from ``start`` on: what :func:`identified` found; None: nobody looked.
    """

    conn: Connection
    start: int = 0
    identified: bytearray | None = None
    pulls: set[int] = attrs.field(factory=set)
    machines: set[str] = attrs.field(factory=set)
    """Those whose definition is what their fingerprint says."""

    def load(self, pulls: AbstractSet[int], machines: AbstractSet[str]) -> None:
        """Look these up, where that was not done before."""
        self.pulls.update(id_ for (id_,) in query_in(self.conn, _PULLS, sorted(pulls - self.pulls)))
        found = query_in(self.conn, _MACHINES, sorted(machines - self.machines))
        self.machines.update(as_text(row[0]) for row in found if not _spoiled(*row))

    def complaint(self, row: EntryRow, *, gone: bool) -> str:
        """Return what an entry names that is not there, or what is left of one whose payload is gone; or ''."""
        if row.pull is not None and row.pull not in self.pulls:
            return f"pull {row.pull} is missing"
        if row.kind == "machine_activated" and row.ref not in self.machines:
            there = query(self.conn, "SELECT 1 FROM kf_machine WHERE fingerprint = ?", (row.ref,))
            return f"machine {row.ref[:12]} {'is not what its fingerprint was made of' if there else 'is missing'}"
        found = _KNOWN | CLEARED if self.identified is None else self.identified[row.position - self.start]
        if row.kind in FROM_WECOM and not found & _KNOWN:
            return "the identity is missing: the entry would be stored once more if it came again"
        return "" if not gone or found & CLEARED else "the payload is gone, and the digest of its content is not"

    def hold(self, pulls: AbstractSet[int], machines: AbstractSet[str]) -> bool:
        """Tell whether all of these are there."""
        return pulls <= self.pulls and machines <= self.machines

    def know(self, after: int, needed: bytes | bytearray) -> bool:
        """Tell whether the identities are as the entries after a position need them: a byte for each."""
        if self.identified is None:
            return True
        known = self.identified[after + 1 - self.start : after + 1 - self.start + len(needed)]
        return not int.from_bytes(needed) & ~int.from_bytes(known)


_PULLS = "SELECT id FROM kf_pull WHERE id IN (??)"
_MACHINES = "SELECT fingerprint, version, definition FROM kf_machine WHERE fingerprint IN (??)"


def _spoiled(fingerprint: Any, version: Any, definition: Any) -> bool:
    """Tell whether a machine was changed: by its data, for this release may not be able to run it."""
    try:
        data = json.loads(definition)
        return (fingerprint_of(data), data["version"]) != (as_text(fingerprint), as_text(version))
    except (ValueError, TypeError, KeyError, RecursionError):
        return True


def identified(conn: Connection, start: int, stop: int) -> bytearray:
    """Return a byte for each position from ``start`` to ``stop``: whether ``kf_identity`` knows it, or has its digest.

    Read once by its key, because it has no index by position. There are no more bytes than entries, whatever position
    the last one claims: where the walk comes to, positions have no gap.
    """
    (entries,) = query(conn, "SELECT COUNT(*) FROM kf_entry WHERE position > ?", (start,))[0]
    stop = min(stop, start + entries)
    known = bytearray(bytes([CLEARED])) * (stop - start + 1)
    sql = (
        f"SELECT entry_key, position, CASE WHEN content IS NULL THEN {CLEARED} ELSE 0 END FROM kf_identity"
        " WHERE day = ? AND entry_key >= ? ORDER BY entry_key LIMIT ?"
    )
    for (day,) in query(conn, "SELECT DISTINCT day FROM kf_identity"):
        key, size = b"", _PAGE
        while True:
            rows = query(conn, sql, (day, key, size))
            for _, position, cleared in rows:
                if type(position) is int and start < position <= stop:
                    known[position - start] &= cleared
                    known[position - start] |= _KNOWN
            if len(rows) < size:
                break
            # The next page begins with the last key of this one, which may go on; it is read twice.
            size = size * 2 if bytes(rows[-1][0]) == key else _PAGE
            key = bytes(rows[-1][0])
    return known


def beyond(conn: Connection, stop: int) -> str:
    """Return what still speaks of entries after the last one, or '': they were cut off."""
    for table in _POINTERS:
        if table in metadata.tables:
            (last,) = query(conn, f"SELECT MAX(position) FROM {table}")[0]
            if last is not None and (type(last) is not int or last > stop):
                return f"{table} has come to position {last}"
    return ""
