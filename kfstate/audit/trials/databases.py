"""Two databases held against each other, conversation by conversation: the entries, then what was made of them.

Positions and ids may differ: what is compared is what entries say, with the names of people.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from kfstate.audit.trials.changes import FoldedAs, Names
from kfstate.audit.trials.comparing import row_as, stored_steps
from kfstate.audit.trials.places import Divergence, Whose, whose
from kfstate.audit.trials.retelling import entries_of
from kfstate.audit.trials.spreading import Part
from kfstate.errors import ArgumentError
from kfstate.machine.entry import Entry
from kfstate.projections import builds
from kfstate.projections.steps import StepRow
from kfstate.queries.views import at_second
from kfstate.store.database import Database
from kfstate.store.dialect import as_text, query_in
from kfstate.store.head import read_head
from kfstate.store.names import CUSTOMER
from kfstate.store.read import names_by_id

__all__ = ["Databases", "lacking", "other_database"]

_BY_NAME = (
    "SELECT s.id, s.open_kfid, n.folded FROM kf_name n JOIN kf_stream s ON s.customer = n.id "
    "WHERE n.corp_id = ? AND n.kind = ? AND s.corp_id = n.corp_id AND s.kind = 'conversation' AND n.folded IN (??)"
)
_BY_ID = "SELECT id FROM kf_stream WHERE corp_id = ? AND kind = 'conversation' AND id IN (??)"
_ALL = (1 << 63) - 1
Line = tuple[Any, ...]
"""What an entry says, with the names of people, without its position."""


def other_database(url: str, *, asynchronous: bool = False) -> Database:
    """Connect to another database, which has to be there. Raises :class:`~kfstate.errors.ArgumentError`."""
    parsed = make_url(url)
    gone = parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file()
    if gone:
        raise ArgumentError("other", repr(parsed), "the URL of a database that is there")
    return Database(url, asynchronous=asynchronous)


@attrs.frozen
class Databases:
    """A :class:`~kfstate.audit.trials.spreading.Job`: compare conversations with those of another database."""

    url: str
    corp_id: str
    until: int
    asynchronous: bool = False

    def run(self, conn: Connection, streams: Sequence[int]) -> Part:
        """Compare these conversations."""
        part = Part()
        with closing(other_database(self.url, asynchronous=self.asynchronous)) as other, other.reading() as there:
            pairs = _matched(conn, there, self.corp_id, streams)
            here = _Side.read(conn, [stream for stream, _ in pairs.items()], self.until)
            beyond = _Side.read(there, [match for match in pairs.values() if match is not None], _ALL)
        for stream, match in pairs.items():
            if not here.entries[stream]:
                continue
            part.conversations += 1
            part.entries += len(here.entries[stream])
            found = _compare(here, stream, beyond, match)
            part.apart += [found] if found else []
        return part


def lacking(conn: Connection, here: Connection, corp_id: str, streams: Sequence[int]) -> list[Divergence]:
    """Return the first entry of those conversations of the other database (``conn``) that this one does not have."""
    absent = [stream for stream, match in _matched(conn, here, corp_id, streams).items() if match is None]
    found = entries_of(conn, absent, _ALL)
    return [
        _of(owner, "extra", min(found[stream], key=lambda entry: entry.position))
        for stream, owner in whose(conn, absent).items()
        if found[stream]
    ]


@attrs.frozen
class _Side:
    entries: dict[int, list[Entry]]
    steps: dict[int, dict[int, StepRow]]
    names: Names
    owners: dict[int, Whose]

    @classmethod
    def read(cls, conn: Connection, streams: Sequence[int], until: int) -> "_Side":
        entries = entries_of(conn, streams, until)
        with builds.of_build(conn, builds.live(conn).version):
            steps = stored_steps(conn, streams, until)
        ids: set[Any] = {
            id_ for of in entries.values() for entry in of for id_ in (entry.servicer_from, entry.servicer_to)
        }
        ids |= {id_ for of in steps.values() for row in of.values() for id_ in row[7:9]}
        names: dict[Any, str | None] = dict(names_by_id(conn, ids - {None}))
        return cls(entries, steps, names, whose(conn, streams))

    def lines(self, stream: int) -> Iterator[tuple[Line, Entry]]:
        """Yield what each entry says, earliest first."""
        by_position = {entry.position: entry for entry in self.entries[stream]}
        for entry in sorted(self.entries[stream], key=lambda entry: (entry.sort_second, entry.position)):
            target = None if entry.target is None else by_position.get(entry.target)
            yield (*self._said(entry), None if target is None else self._said(target)), entry

    def _said(self, entry: Entry) -> Line:
        people = (self._name(entry.servicer_from), self._name(entry.servicer_to))
        return (
            entry.sort_second, entry.kind, entry.tie, entry.change_type, entry.service_state, *people, entry.errcode,
            entry.menu_click, entry.via, entry.counts, entry.again == 1, entry.as_kind,
        )  # fmt: skip

    def made(self, entry: Entry) -> Line | None:
        """Return what was made of an entry, without ids."""
        row = self._row(entry)
        return None if row is None else (*row[3:7], self._name(row[7]), self._name(row[8]), *row[9:])

    def shown(self, entry: Entry) -> FoldedAs | None:
        """Return the same as people see it."""
        row = self._row(entry)
        return None if row is None else row_as(row, self.names)

    def _row(self, entry: Entry) -> StepRow | None:
        return self.steps.get(entry.stream, {}).get(entry.position)

    def _name(self, id_: Any) -> str | None:
        name = self.names.get(id_)
        return None if name is None else name.casefold()


def _matched(conn: Connection, there: Connection, corp_id: str, streams: Sequence[int]) -> dict[int, int | None]:
    """Return stream → that of the same conversation there; None where there is none.

    Where the name was erased, it is known by its number in another copy of the same log.
    """
    owners = whose(conn, streams)
    named = {(open_kfid, person): stream for stream, (open_kfid, person) in owners.items() if person is not None}
    found: dict[int, int | None] = dict.fromkeys(owners)
    people = sorted({person for _, person in named if person is not None})
    for stream, open_kfid, folded in query_in(there, _BY_NAME, people, corp_id, CUSTOMER):
        if (mine := named.get((as_text(open_kfid), as_text(folded)))) is not None:
            found[mine] = stream
    left = [stream for stream, match in found.items() if match is None]
    if left and read_head(conn).log_id == read_head(there).log_id:
        taken = set(found.values())
        unnamed = {id_: person for id_, (_, person) in whose(there, left).items()}
        same = (stream for (stream,) in query_in(there, _BY_ID, left, corp_id) if stream not in taken)
        found |= {stream: stream for stream in same if owners[stream][1] is None or unnamed.get(stream) is None}
    return found


def _compare(here: _Side, stream: int, there: _Side, match: int | None) -> Divergence | None:
    owner = here.owners[stream]
    mine = list(here.lines(stream))
    if match is None:
        return _of(owner, "missing", mine[0][1])
    theirs = list(there.lines(match))
    only_here = Counter(line for line, _ in mine) - Counter(line for line, _ in theirs)
    only_there = Counter(line for line, _ in theirs) - Counter(line for line, _ in mine)
    if only_here or only_there:
        apart = [("missing", entry) for line, entry in mine if line in only_here]
        apart += [("extra", entry) for line, entry in theirs if line in only_there]
        what, entry = min(apart, key=lambda one: one[1].sort_second)
        return _of(owner, what, entry)
    pairs = _pairs(mine, theirs)
    return next((found for pair in pairs if (found := _made_apart(here, pair[0], there, pair[1])) is not None), None)


def _pairs(mine: Sequence[tuple[Line, Entry]], theirs: Sequence[tuple[Line, Entry]]) -> Iterator[tuple[Entry, Entry]]:
    """Yield the entries that say the same, earliest first."""
    by_line: dict[Line, list[Entry]] = {}
    for line, entry in theirs:
        by_line.setdefault(line, []).append(entry)
    for line, entry in mine:
        yield entry, by_line[line].pop(0)


def _made_apart(here: _Side, entry: Entry, there: _Side, other: Entry) -> Divergence | None:
    """Return what was made of the same entry otherwise, or None."""
    if here.made(entry) == there.made(other):
        return None
    return attrs.evolve(
        _of(here.owners[entry.stream], "step", entry), before=here.shown(entry), after=there.shown(other)
    )


def _of(owner: Whose, what: str, entry: Entry) -> Divergence:
    at = at_second(entry.sort_second)
    return Divergence(*owner, what, entry.position, at, entry.as_kind or entry.kind, None, None)
