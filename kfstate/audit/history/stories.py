"""Conversations with all their entries, to be folded as far as they were known."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import attrs
from sqlalchemy import Connection

from kfstate.errors import CorruptLogError
from kfstate.machine import Entry, Machine, SessionState, fold, state_at
from kfstate.machine.fold import Step
from kfstate.machine.state import STRONG, initial
from kfstate.store.dialect import query, query_in
from kfstate.store.facts import sought
from kfstate.store.read import find_stream, names_by_id, streams_by_id
from kfstate.store.rows import ENTRY_COLUMNS, Stream, StreamKey

__all__ = ["Names", "Noted", "Story", "names_of", "stories", "streams", "streams_with"]

_FOLDED = len(Entry._fields)
_STORIES = (
    f"SELECT {', '.join(ENTRY_COLUMNS[:_FOLDED])}, version, occurred_at, recorded_at, actor FROM kf_entry "
    "WHERE stream IN (??) ORDER BY stream, version"
)
_GAPS = "SELECT position, sort_second FROM kf_entry WHERE stream = ? AND kind = 'history_gap'"
_STREAMS = "SELECT id FROM kf_stream WHERE corp_id = ? AND kind = 'conversation'{} ORDER BY id"
_AROUND = "SELECT DISTINCT stream FROM kf_entry WHERE sort_second > ? AND sort_second <= ? AND position <= ?"
_AT_ONCE = 500
"""How many conversations are read together."""

Names = dict[Any, str | None]
"""Number of a name → the id as WeCom spells it."""


class Noted(NamedTuple):
    """What is told of an entry and not folded; times in microseconds."""

    occurred: int | None
    recorded: int
    actor: str


@attrs.define
class Story:
    """One conversation: its entries in the order in which they came."""

    stream: Stream
    external_userid: str | None
    entries: list[Entry]
    noted: dict[int, Noted]
    gaps: Sequence[tuple[int, int]]
    """Position and second of each gap in the history of the account."""

    def known(self, position: int) -> list[Entry]:
        """Return the entries up to a position."""
        return [entry for entry in self.entries if entry.position <= position]

    def steps(self, position: int, second: int, machine: Machine) -> list[Step]:
        """Return what the entries up to a position did until a second, in the order of the fold.

        Every one of them counts, also for what it says of an earlier one: a correction voids an entry for every time.
        """
        return [step for step in fold(self.known(position), machine=machine) if step.entry.sort_second <= second]

    def state(self, position: int, second: int, machine: Machine) -> tuple[SessionState, bool] | None:
        """Return the state at a second from the entries up to a position, and whether a gap makes it doubtful."""
        if not self.entries or self.entries[0].position > position:
            return None
        return self.after(self.steps(position, second, machine), position, second, machine)

    def after(self, steps: Sequence[Step], position: int, second: int, machine: Machine) -> tuple[SessionState, bool]:
        """Return the state at a second after these steps, and whether a gap makes it doubtful."""
        state = steps[-1].state if steps else initial()
        return state_at(state, second, machine=machine), self._gap(position, second, state, steps)

    def _gap(self, position: int, second: int, state: SessionState, steps: Sequence[Step]) -> bool:
        """Tell whether entries of the account were lost after which nothing strong came."""
        until = max((at for place, at in self.gaps if place <= position and at <= second), default=0)
        if until <= (state.decided or 0):
            return False
        return not any(step.row.evidence in STRONG and step.entry.sort_second >= until for step in steps)


def streams(
    conn: Connection, *, corp_id: str, account: str | None = None, external_userid: str | None = None
) -> list[int]:
    """Return the conversations that the log has, or those of an account or customer, by their numbers."""
    where, values = "", [corp_id]
    if account is not None:
        where, values = " AND open_kfid = ?", [corp_id, sought(account)]
    if external_userid is not None:
        where += " AND customer IN (SELECT id FROM kf_name WHERE corp_id = ? AND kind = 'customer' AND folded = ?)"
        values += [corp_id, sought(external_userid)]
    return [row[0] for row in query(conn, _STREAMS.format(where), values)]


def streams_with(conn: Connection, after: int, until: int, position: int) -> set[int]:
    """Return the streams with an entry after a second, until another, up to a position."""
    return {row[0] for row in query(conn, _AROUND, (after, until, position))}


def stories(conn: Connection, ids: Collection[int]) -> Iterator[Story]:
    """Yield conversations with all their entries; not many are held at a time.

    Raises :class:`~kfstate.errors.CorruptLogError` where an entry is missing.
    """
    wanted = sorted(ids)
    gaps: dict[tuple[str, str], Sequence[tuple[int, int]]] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        found = streams_by_id(conn, part)
        people = names_by_id(conn, {stream.customer for stream in found.values()})
        rows: dict[int, list[tuple[Any, ...]]] = {}
        for row in query_in(conn, _STORIES, part):
            rows.setdefault(row[1], []).append(row)
        for number, stream in found.items():
            account = (stream.corp_id, stream.open_kfid)
            if account not in gaps:
                gaps[account] = _gaps(conn, *account)
            yield _story(stream, people.get(stream.customer), rows.get(number, []), gaps[account])


def _story(stream: Stream, user: str | None, rows: list[tuple[Any, ...]], gaps: Sequence[tuple[int, int]]) -> Story:
    for at, row in enumerate(rows, 1):
        if row[_FOLDED] != at:
            raise CorruptLogError(row[0], f"version {at} of its conversation is missing, or in the archive")
    entries = [tuple.__new__(Entry, row[:_FOLDED]) for row in rows]
    return Story(stream, user, entries, {row[0]: Noted(*row[_FOLDED + 1 :]) for row in rows}, gaps)


def _gaps(conn: Connection, corp_id: str, open_kfid: str) -> Sequence[tuple[int, int]]:
    account = find_stream(conn, StreamKey(corp_id, "account", open_kfid))
    return [] if account is None else [(row[0], row[1]) for row in query(conn, _GAPS, (account.id,))]


def names_of(conn: Connection, entries: Iterable[Entry]) -> Names:
    """Return the names of the servicers that entries name."""
    ids = {id_ for entry in entries for id_ in (entry.servicer_from, entry.servicer_to) if isinstance(id_, int)}
    return dict(names_by_id(conn, ids))
