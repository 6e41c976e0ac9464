"""What one of two databases has of some streams: what its entries say, what was made of them, and what people wrote.

Positions and ids may differ between the two: what is compared has names and other entries in their place. Where both
hold the very same entry, in copies of one log, everything of its row is compared.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import attrs
import msgspec
from sqlalchemy import Connection

from kfstate.audit.trials.changes import FoldedAs, Names
from kfstate.audit.trials.comparing import row_as, stored_steps
from kfstate.audit.trials.retelling import ask_whole
from kfstate.machine.kinds import OWN_KINDS
from kfstate.projections import builds
from kfstate.projections.steps import StepRow
from kfstate.store.dialect import as_text, query_in
from kfstate.store.names import SERVICER, fold_name
from kfstate.store.read import names_by_id, payloads, rows_at, streams_by_id
from kfstate.store.rows import ENTRY_COLUMNS, EntryRow

__all__ = ["Bodies", "Home", "Line", "Side", "bodies_apart", "homes", "rows_apart", "said_apart"]

_ROWS = f"SELECT {', '.join(ENTRY_COLUMNS)} FROM kf_entry WHERE position <= ? AND stream IN (??)"
_SAID = (
    "kind", "sort_second", "change_type", "service_state", "errcode", "menu_click", "via", "counts", "as_kind",
    "kind_version", "occurred_at", "origin", "msgtype", "ref", "fail_type", "reject_switch", "receiving", "stop_type",
    "code", "code_kind", "manage_privilege", "from_at", "actor",
)  # fmt: skip
_LINE = (*_SAID, "tie", "ignored", "servicer_from", "servicer_to", "target", "cause")
_KEPT = ("position", "version", "form", "again", "tie", "recorded_at", "pull", "ordinal", "commitment", "leaf", "chain")
"""What two copies of the same entry have in common beside what it says."""
_said, _kept = attrgetter(*_SAID), attrgetter(*_KEPT)
_IGNORED = 1
_PLACES = frozenset({"target", "cause", "key"})
"""What own entries say in words of their own log: positions, and keys that the engine makes of positions."""
_HASHED = 28
"""Bits of the tie of an own entry that are a hash of it."""
_AT_ONCE = 500
Fields = dict[str, tuple[Any, Any]]
Line = tuple[Any, ...]
"""What an entry says, with the names of people, without its position."""


class Home(NamedTuple):
    """Whose stream it is; a name that was erased is None, '' where there is nobody."""

    kind: str
    open_kfid: str
    customer: str | None
    servicer: str | None


def homes(conn: Connection, streams: Iterable[int]) -> dict[int, Home]:
    """Return stream → whose it is."""
    found = streams_by_id(conn, streams)
    names: dict[int, str | None] = {0: ""}
    names |= names_by_id(conn, {id_ for row in found.values() for id_ in (row.customer, row.servicer)} - {0})
    return {
        id_: Home(row.kind, row.open_kfid, names.get(row.customer), names.get(row.servicer))
        for id_, row in sorted(found.items())
    }


@attrs.frozen
class Side:
    """Some streams of one database, up to a position."""

    rows: dict[int, list[EntryRow]]
    """Stream → its entries, earliest first."""
    steps: dict[int, dict[int, StepRow]]
    names: Names
    spoken_of: Mapping[int, EntryRow]
    """Position → entry of other streams that some of these name."""

    @classmethod
    def read(cls, conn: Connection, streams: Sequence[int], until: int) -> "Side":
        """Read them. Raises :class:`~kfstate.errors.CorruptLogError` where an entry is missing."""
        rows: dict[int, list[EntryRow]] = {stream: [] for stream in streams}
        for values in query_in(conn, _ROWS, rows, until):
            row = tuple.__new__(EntryRow, values)
            rows[row.stream].append(row)
        for of in rows.values():
            ask_whole([(row.position, row.version) for row in of])
            of.sort(key=lambda row: (row.sort_second, row.position))
        with builds.of_build(conn, builds.live(conn).version):
            steps = stored_steps(conn, streams, until)
        every = [row for of in rows.values() for row in of]
        ids: set[Any] = {id_ for row in every for id_ in (row.servicer_from, row.servicer_to)}
        ids |= {id_ for of in steps.values() for step in of.values() for id_ in step[7:9]}
        places = {place for row in every for place in (row.target, row.cause) if place is not None}
        return cls(rows, steps, names_by_id(conn, ids - {None}), rows_at(conn, places))

    def lines(self, stream: int) -> Iterator[tuple[Line, EntryRow]]:
        """Yield what each entry of a stream says, earliest first."""
        for row in self.rows[stream]:
            people = self._name(row.servicer_from), self._name(row.servicer_to)
            said = tuple(as_text(value) if isinstance(value, bytes) else value for value in _said(row))
            named = self._spoken_of(row.target), self._spoken_of(row.cause)
            yield (*said, _tie(row), row.again == _IGNORED, *people, *named), row

    def made(self, row: EntryRow) -> Line | None:
        """Return what was made of an entry, without ids."""
        step = self._step(row)
        return None if step is None else (*step[3:7], self._name(step[7]), self._name(step[8]), *step[9:])

    def shown(self, row: EntryRow) -> FoldedAs | None:
        """Return the same as people see it."""
        step = self._step(row)
        return None if step is None else row_as(step, self.names)

    def _step(self, row: EntryRow) -> StepRow | None:
        return self.steps.get(row.stream, {}).get(row.position)

    def _name(self, id_: Any) -> str | None:
        """Return who it is; '' of a number without a name."""
        return None if id_ is None else fold_name(SERVICER, self.names.get(id_) or "")

    def _spoken_of(self, position: int | None) -> Line | None:
        row = None if position is None else self.spoken_of.get(position)
        if row is None:
            return None if position is None else ("no entry",)
        return (as_text(row.kind), row.sort_second, _tie(row))


def _tie(row: EntryRow) -> int:
    """Return what the order inside a second goes by, but for the hash of words that may name positions."""
    return row.tie >> _HASHED if as_text(row.kind) in OWN_KINDS else row.tie


def said_apart(line: Line, other: Line) -> Fields:
    """Return what two entries say otherwise."""
    return {name: (mine, theirs) for name, mine, theirs in zip(_LINE, line, other, strict=True) if mine != theirs}


def rows_apart(row: EntryRow, other: EntryRow) -> Fields:
    """Return what copies of one entry have otherwise: the salt of its payload, and so its leaf, is no other entry's."""
    if bytes(row.leaf) != bytes(other.leaf) and bytes(row.commitment) != bytes(other.commitment):
        return {}
    pairs = zip(_KEPT, _kept(row), _kept(other), strict=True)
    return {name: (_plain(mine), _plain(theirs)) for name, mine, theirs in pairs if _plain(mine) != _plain(theirs)}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else bytes(value).hex()


@attrs.define
class Bodies:
    """How the payloads of entries compare that say the same."""

    apart: dict[int, Fields] = attrs.Factory(dict)
    """Position of an entry → how its payload differs."""
    cleared: int = 0
    """How many only one of the two places has: they were erased in the other, or have aged out."""


def bodies_apart(conn: Connection, there: Connection, pairs: Sequence[tuple[EntryRow, EntryRow]]) -> Bodies:
    """Compare what was stored of entries, word for word."""
    found = Bodies()
    for start in range(0, len(pairs), _AT_ONCE):
        some = pairs[start : start + _AT_ONCE]
        mine, theirs = (
            payloads(conn, (row.position for row, _ in some)),
            payloads(there, (row.position for _, row in some)),
        )
        for row, other in some:
            body, against = mine.get(row.position, b""), theirs.get(other.position, b"")
            if body is None or against is None:
                found.cleared += body is not against
            elif body != against and not _same_own(row, other, body, against):
                found.apart[row.position] = {"payload": _sizes(body, against)}
    return found


def _same_own(row: EntryRow, other: EntryRow, body: bytes, against: bytes) -> bool:
    """Tell whether two own entries, each in the words of its own log, say the same."""
    if as_text(row.kind) not in OWN_KINDS or bytes(row.commitment) == bytes(other.commitment):
        return False
    try:
        mine, theirs = (msgspec.json.decode(each, type=dict[str, Any]) for each in (body, against))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    return all(mine.get(name) == theirs.get(name) for name in (mine.keys() | theirs.keys()) - _PLACES)


def _sizes(body: bytes, against: bytes) -> tuple[str, str]:
    at = next((at for at, (one, other) in enumerate(zip(body, against, strict=False)) if one != other), None)
    first = min(len(body), len(against)) if at is None else at
    return f"{len(body)} bytes", f"{len(against)} bytes, another one from byte {first + 1} on"
