"""Walk along the log, entry by entry, and recompute what was hashed: leaves, links, commitments.

A batch is looked at as a whole first, which is quick and says only whether all of it holds; where it does not, entry by
entry, to name the first one that does not, and why.
"""

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.store import canonical as form
from kfstate.store.commitments import Commitments
from kfstate.store.dialect import query
from kfstate.store.merkle import Tree
from kfstate.store.references import References
from kfstate.store.rows import EntryRow

__all__ = ["ANOTHER", "Damage", "Walk"]

ANOTHER = "the chain is not the one that was anchored"
_PAYLOADS = "SELECT position, salt, body FROM kf_payload WHERE position > ? AND position <= ? ORDER BY position"
_UNREADABLE = (struct.error, AttributeError, KeyError, TypeError, UnicodeError)
_sha256 = hashlib.sha256
_HASHED = bytes((0, form.FORM))


@attrs.frozen
class Damage:
    """The first place where the log does not hold, and what is wrong there."""

    position: int
    reason: str


@attrs.define
class Walk:
    """A walk that has come to the entry ``at``, whose link is ``link``. ``whole``: it began with the first entry."""

    conn: Connection
    at: int
    link: bytes
    references: References
    names: Commitments
    whole: bool
    anchor: tuple[int, bytes] | None = None
    """A position to come, and the link that has to be there."""
    tree: Tree | None = None
    """Takes the leaves up to the anchor."""
    erased: list[int] = attrs.field(factory=list)
    """Positions whose payload is gone with the name of the customer."""
    aged: list[tuple[int, int]] = attrs.field(factory=list)
    """Ranges of positions whose payload is gone, and the name is not."""
    versions: dict[int, int] = attrs.field(factory=dict)
    """Stream → version of its last entry."""
    recorded: int = 0

    def take(self, rows: list[EntryRow]) -> Damage | None:
        """Go on over these entries; return the first that does not hold, and stay before it."""
        self.names.load(rows)
        self.references.load(rows)
        payloads = query(self.conn, _PAYLOADS, (self.at, rows[-1].position))
        if self._all_hold(rows, payloads):
            return None
        kept = {payload[0]: payload for payload in payloads}
        for row in rows:
            reason = self._complaint(row, kept.get(row.position))
            if reason:
                return Damage(min(row.position, self.at + 1), reason)
            self._pass([row], [kept[row.position]])
        return None

    def _all_hold(self, rows: list[EntryRow], payloads: Sequence[tuple[Any, ...]]) -> bool:
        """Go on over all of these entries, where they all hold."""
        positions = [row.position for row in rows]
        if positions != list(range(self.at + 1, self.at + 1 + len(rows))) or self.names.bad:
            return False
        if self.anchor is not None and self.at < self.anchor[0] <= positions[-1]:
            return False
        if positions != [payload[0] for payload in payloads] or {row.form for row in rows} != {form.FORM}:
            return False
        try:
            holds = self._hashes_hold(rows, payloads) and self._order_holds(rows)
        except _UNREADABLE:
            return False
        if holds and self.references.hold(rows):
            self._pass(rows, payloads)
            return True
        return False

    def _hashes_hold(self, rows: list[EntryRow], payloads: Sequence[tuple[Any, ...]]) -> bool:
        canonical, prefixes, commitments = form.canonical, self.names.prefixes, self.names.commitments
        encoded = [
            canonical(prefixes[row.stream], row, commitments[row.servicer_from], commitments[row.servicer_to])
            for row in rows
        ]
        leaves = [_sha256(_HASHED + data).digest() for data in encoded]
        if leaves != [row.leaf for row in rows]:
            return False
        links = [row.chain for row in rows]
        befores = [self.link, *links]
        if links != [_sha256(b"\x01" + before + leaf).digest() for before, leaf in zip(befores, leaves, strict=False)]:
            return False
        return [row.commitment for row in rows] == [
            row.commitment if salt is None and body is None else _sha256(salt + body).digest()
            for row, (_, salt, body) in zip(rows, payloads, strict=True)
        ]

    def _order_holds(self, rows: list[EntryRow]) -> bool:
        recorded = [self.recorded, *(row.recorded_at for row in rows)]
        later: dict[int, int] = {}
        for row in rows:
            stream, version = row.stream, row.version
            if version != (later.get(stream) or self._version_of(stream, version)) + 1:
                return False
            later[stream] = version
        return recorded == sorted(recorded)

    def _version_of(self, stream: int, version: int) -> int:
        """Return the last version of a stream; of one that is new to a walk that began later, anything goes."""
        return self.versions.get(stream, 0 if self.whole else version - 1)

    def _pass(self, rows: list[EntryRow], payloads: Sequence[tuple[Any, ...]]) -> None:
        for row, payload in zip(rows, payloads, strict=True):
            self.versions[row.stream] = row.version
            if payload[1] is None:
                self._gone(row)
        if self.tree is not None and self.anchor is not None and self.at < self.anchor[0]:
            self.tree.extend(bytes(row.leaf) for row in rows)
        last = rows[-1]
        self.at, self.link, self.recorded = last.position, last.chain, last.recorded_at

    def _gone(self, row: EntryRow) -> None:
        if row.stream in self.names.forgotten:
            self.erased.append(row.position)
        elif self.aged and self.aged[-1][1] == row.position - 1:
            self.aged[-1] = self.aged[-1][0], row.position
        else:
            self.aged.append((row.position, row.position))

    def _complaint(self, row: EntryRow, payload: tuple[Any, ...] | None) -> str:
        """Return what is wrong with the next entry, or ''."""
        if row.position != self.at + 1:
            return "the entry is missing" if row.position > self.at else "the position is there twice"
        reason = self.names.complaint(row) or self._leaf_complaint(row) or self._order_complaint(row)
        if not reason and self.anchor is not None and self.anchor[0] == row.position and self.anchor[1] != row.chain:
            return ANOTHER
        return reason or _payload_complaint(row, payload) or self.references.complaint(row)

    def _leaf_complaint(self, row: EntryRow) -> str:
        if row.form != form.FORM:
            return f"form {row.form} is not known to this release"
        names = self.names.commitments
        try:
            from_, to = names[row.servicer_from], names[row.servicer_to]
            leaf = form.leaf(form.canonical(self.names.prefixes[row.stream], row, from_, to))
        except _UNREADABLE as error:
            return f"a column holds what no column can hold ({error})"
        if leaf != row.leaf:
            return "the entry is not what its leaf was made of"
        return "" if form.chain(self.link, leaf) == row.chain else "the chain breaks"

    def _order_complaint(self, row: EntryRow) -> str:
        before = self._version_of(row.stream, row.version)
        if row.version != before + 1:
            return f"version {row.version} of its stream follows version {before}"
        return "it was recorded before the entry before it" if row.recorded_at < self.recorded else ""


def _payload_complaint(row: EntryRow, payload: tuple[Any, ...] | None) -> str:
    if payload is None:
        return "the payload's row is missing"
    _, salt, body = payload
    if salt is None and body is None:
        return ""
    if salt is None or body is None or form.commit(bytes(salt), bytes(body)) != row.commitment:
        return "the payload is not what was committed to"
    return ""
