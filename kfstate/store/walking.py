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

from kfstate.machine.kinds import FROM_WECOM
from kfstate.store import canonical as form
from kfstate.store.backend import Rows
from kfstate.store.commitments import Commitments
from kfstate.store.dialect import query
from kfstate.store.merkle import Tree
from kfstate.store.references import CLEARED, References
from kfstate.store.rows import EntryRow

__all__ = ["ANOTHER", "Damage", "Stretch", "Walk"]

ANOTHER = "the chain is not the one that was anchored"
_PAYLOADS = "SELECT position, salt, body FROM kf_payload WHERE position > ? AND position <= ? ORDER BY position"
_UNREADABLE = (struct.error, AttributeError, KeyError, TypeError, ValueError)
_sha256 = hashlib.sha256
_SALT = form.SALT_BYTES
_HASHED = bytes((0, form.FORM))


@attrs.frozen
class Damage:
    """The first place where the log does not hold, and what is wrong there."""

    position: int
    reason: str


@attrs.frozen
class Stretch:
    """Entries that hold by themselves: what has to be known of them to go on after them."""

    after: int
    before: bytes
    """The link before the first one, as the log has it."""
    last: int
    link: bytes
    began: int
    """When the first one was recorded, and with ``recorded`` the last one."""
    recorded: int
    firsts: dict[int, int]
    """Stream → version of its first entry here, and with ``versions`` of its last one."""
    versions: dict[int, int]
    erased: list[int]
    aged: list[tuple[int, int]]
    erased_names: set[int]
    needed: bytes
    """A byte for each entry: what it needs of its identity. What is known of that was not looked at."""
    tree: Tree | None


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
    firsts: dict[int, int] = attrs.field(factory=dict)
    """Stream → version of the first of its entries."""
    versions: dict[int, int] = attrs.field(factory=dict)
    """Stream → version of its last entry."""
    recorded: int = 0
    began: int | None = None
    needed: bytearray | None = None
    """Takes what entries need of their identities, where that is to be asked later."""

    def take(self, rows: Rows) -> Damage | None:
        """Go on over these entries; return the first that does not hold, and stay before it."""
        columns: Any = EntryRow._make(zip(*rows, strict=True))
        pulls, machines = _ids(columns.pull), _machines(columns)
        self.names.load(_ids(columns.stream), _ids(columns.servicer_from) | _ids(columns.servicer_to))
        self.references.load(pulls, machines)
        payloads = query(self.conn, _PAYLOADS, (self.at, columns.position[-1]))
        gone = [at for at, (_, salt, _) in enumerate(payloads) if salt is None]
        if self._all_hold(rows, columns, payloads, gone) and self.references.hold(pulls, machines):
            self._pass(columns, gone)
            return None
        kept = {payload[0]: payload for payload in payloads}
        for plain in rows:
            row = EntryRow._make(plain)
            reason = self._complaint(row, kept.get(row.position))
            if reason:
                return Damage(min(row.position, self.at + 1), reason)
            self._pass(EntryRow._make((value,) for value in row), [0] if kept[row.position][1] is None else [])
        return None

    def join(self, stretch: Stretch | None) -> bool:
        """Go on over entries that somebody else has walked along; False where they have to be walked along here."""
        if stretch is None or (stretch.after, stretch.before) != (self.at, self.link) or stretch.began < self.recorded:
            return False
        if any(first != self._version_of(stream, first) + 1 for stream, first in stretch.firsts.items()):
            return False
        if not self.references.know(self.at, stretch.needed):
            return False
        self.versions |= stretch.versions
        self.erased += stretch.erased
        for begin, end in stretch.aged:
            self._age(begin, end)
        self.names.erased |= stretch.erased_names
        if self.tree is not None and stretch.tree is not None:
            self.tree.join(stretch.tree)
        self.at, self.link, self.recorded = stretch.last, stretch.link, stretch.recorded
        return True

    def _all_hold(self, rows: Rows, columns: Any, payloads: Rows, gone: Sequence[int]) -> bool:
        """Tell whether all of these entries hold, but for what they name beside the log; some have no payload left."""
        positions = columns.position
        if positions != tuple(range(self.at + 1, self.at + 1 + len(rows))) or self.names.wrong:
            return False
        if self.anchor is not None and self.at < self.anchor[0] <= positions[-1]:
            return False
        if len(payloads) != len(rows) or columns.form.count(form.FORM) != len(rows):
            return False
        try:
            return self._hashes_hold(rows, columns, payloads) and self._order_holds(columns, gone)
        except _UNREADABLE:
            return False

    def _hashes_hold(self, rows: Rows, columns: Any, payloads: Rows) -> bool:
        canonical, prefixes, commitments = form.canonical, self.names.prefixes, self.names.commitments
        link = self.link
        for row, stream, from_, to, commitment, leaf, chain, (position, salt, body) in zip(
            rows, columns.stream, columns.servicer_from, columns.servicer_to, columns.commitment, columns.leaf,
            columns.chain, payloads, strict=True,
        ):  # fmt: skip
            encoded = canonical(prefixes[stream], row, commitments[from_], commitments[to])
            if _sha256(_HASHED + encoded).digest() != leaf or _sha256(b"\x01" + link + leaf).digest() != chain:
                return False
            if position != row[0]:
                return False
            if salt is None:
                if body is not None:
                    return False
            elif len(salt) != _SALT or _sha256(salt + body).digest() != commitment:
                return False
            link = chain
        return True

    def _order_holds(self, columns: Any, gone: Sequence[int]) -> bool:
        recorded = columns.recorded_at
        if recorded[0] < self.recorded or list(recorded) != sorted(recorded):
            return False
        later: dict[int, int] = {}
        for stream, version in zip(columns.stream, columns.version, strict=True):
            before = later.get(stream)
            if version != (self._version_of(stream, version) if before is None else before) + 1:
                return False
            later[stream] = version
        return self.references.know(self.at, _needing(columns.kind, gone))

    def _version_of(self, stream: int, version: int) -> int:
        """Return the last version of a stream; of one that is new to a walk that began later, anything goes."""
        return self.versions.get(stream, 0 if self.whole else version - 1)

    def _pass(self, columns: Any, gone: Sequence[int]) -> None:
        if self.began is None:
            self.began = columns.recorded_at[0]
        for stream, version in zip(columns.stream, columns.version, strict=True):
            if stream not in self.versions:
                self.firsts[stream] = version
            self.versions[stream] = version
        for at in gone:
            self._gone(columns.stream[at], columns.position[at])
        if self.tree is not None and self.anchor is not None and self.at < self.anchor[0]:
            self.tree.extend(map(bytes, columns.leaf))
        if self.needed is not None:
            self.needed += _needing(columns.kind, gone)
        self.at, self.link, self.recorded = columns.position[-1], columns.chain[-1], columns.recorded_at[-1]

    def _gone(self, stream: int, position: int) -> None:
        if stream in self.names.forgotten:
            self.erased.append(position)
        else:
            self._age(position, position)

    def _age(self, begin: int, end: int) -> None:
        if self.aged and self.aged[-1][1] == begin - 1:
            begin = self.aged.pop()[0]
        self.aged.append((begin, end))

    def _complaint(self, row: EntryRow, payload: tuple[Any, ...] | None) -> str:
        """Return what is wrong with the next entry, or ''."""
        if row.position != self.at + 1:
            return "the entry is missing" if row.position > self.at else "the position is there twice"
        reason = self.names.complaint(row) or self._leaf_complaint(row) or self._order_complaint(row)
        if not reason and self.anchor is not None and self.anchor[0] == row.position and self.anchor[1] != row.chain:
            return ANOTHER
        reason = reason or _payload_complaint(row, payload)
        return reason or self.references.complaint(row, gone=payload is not None and payload[1] is None)

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
    return "" if form.proves(salt, body, row.commitment) else "the payload is not what was committed to"


def _ids(column: Sequence[Any]) -> set[int]:
    """Return the ids in a column; what is none is found where the entry is looked at."""
    return {id_ for id_ in set(column) if type(id_) is int}


def _machines(columns: Any) -> set[str]:
    if "machine_activated" not in columns.kind:
        return set()
    named = {ref for kind, ref in zip(columns.kind, columns.ref, strict=True) if kind == "machine_activated"}
    return {ref for ref in named if type(ref) is str}


def _needing(kinds: Sequence[str], gone: Sequence[int]) -> bytearray:
    needed = bytearray(map(FROM_WECOM.__contains__, kinds))
    for at in gone:
        needed[at] |= CLEARED
    return needed
