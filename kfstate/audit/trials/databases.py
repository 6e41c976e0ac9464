"""Two databases held against each other, stream by stream: the entries, what people wrote, what was made of them."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import attrs
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from kfstate.audit.trials.places import Divergence
from kfstate.audit.trials.sides import Bodies, Home, Line, Side, bodies_apart, homes, rows_apart, said_apart
from kfstate.audit.trials.spreading import Part
from kfstate.errors import ArgumentError
from kfstate.queries.views import at_second
from kfstate.store.database import Database
from kfstate.store.dialect import as_text, query_in
from kfstate.store.head import read_head
from kfstate.store.names import CUSTOMER
from kfstate.store.read import find_stream
from kfstate.store.rows import EntryRow, StreamKey

__all__ = ["Databases", "lacking", "named", "other_database"]

_BY_NAME = (
    "SELECT s.id, s.open_kfid, n.folded FROM kf_name n JOIN kf_stream s ON s.customer = n.id "
    "WHERE n.corp_id = ? AND n.kind = ? AND s.corp_id = n.corp_id AND s.kind = 'conversation' AND n.folded IN (??)"
)
_BY_ID = "SELECT id FROM kf_stream WHERE corp_id = ? AND kind = ? AND id IN (??)"
_CONVERSATION = "conversation"
_LOG = "log"
Pairs = list[tuple[EntryRow, EntryRow]]
Said = tuple[Line, EntryRow]


def other_database(url: str, *, asynchronous: bool = False) -> Database:
    """Connect to another database, which has to be there. Raises :class:`~kfstate.errors.ArgumentError`."""
    parsed = make_url(url)
    gone = parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file()
    if gone:
        raise ArgumentError("other", repr(parsed), "the URL of a database that is there")
    return Database(url, asynchronous=asynchronous)


def named(url: str) -> str:
    """Return a URL without its password, which is hidden."""
    return make_url(url).difference_update_query(["password"]).render_as_string()


@attrs.frozen
class Databases:
    """A :class:`~kfstate.audit.trials.spreading.Job`: compare streams with those of another database."""

    url: str
    corp_id: str
    until: int
    beyond: int
    """The last position of the other database that is looked at."""
    asynchronous: bool = False

    def run(self, conn: Connection, streams: Sequence[int]) -> Part:
        """Compare these streams."""
        part = Part()
        with closing(other_database(self.url, asynchronous=self.asynchronous)) as other, other.reading() as there:
            owners = _comparable(conn, there, streams)
            matches = _matched(conn, there, self.corp_id, owners)
            here = Side.read(conn, list(owners), self.until)
            beyond = Side.read(there, [match for match in matches.values() if match is not None], self.beyond)
            same, apart = dict[int, Pairs](), dict[int, Divergence | None]()
            for stream, match in matches.items():
                part.entries += len(here.rows[stream])
                part.conversations += owners[stream].kind == _CONVERSATION and bool(here.rows[stream])
                found = _entries_apart(owners[stream], here, stream, beyond, match)
                if isinstance(found, Divergence):
                    apart[stream] = found
                else:
                    same[stream] = found
            bodies = bodies_apart(conn, there, [pair for pairs in same.values() for pair in pairs])
        for stream, pairs in same.items():
            apart[stream] = _first_apart(owners[stream], here, beyond, pairs, bodies)
        part.apart = [one for stream in owners if (one := apart[stream]) is not None]
        part.cleared = bodies.cleared
        return part


def lacking(
    conn: Connection, here: Connection, corp_id: str, streams: Sequence[int], until: int
) -> tuple[int, list[Divergence]]:
    """Return the first entry of those streams of the other database (``conn``) that this one does not have.

    And how many of them are conversations.
    """
    owners = _comparable(conn, here, streams)
    absent = [stream for stream, match in _matched(conn, here, corp_id, owners).items() if match is None]
    found = [(owners[stream], rows[0]) for stream, rows in Side.read(conn, absent, until).rows.items() if rows]
    talks = sum(owner.kind == _CONVERSATION for owner, _ in found)
    return talks, [_of(owner, "extra", row) for owner, row in found]


def _comparable(conn: Connection, there: Connection, streams: Sequence[int]) -> dict[int, Home]:
    """Return whose streams these are, without those in which each log says what itself did."""
    own = read_head(conn).log_id == read_head(there).log_id
    return {stream: home for stream, home in homes(conn, streams).items() if own or home.kind != _LOG}


def _matched(conn: Connection, there: Connection, corp_id: str, owners: dict[int, Home]) -> dict[int, int | None]:
    """Return stream → the same one there; None where there is none.

    Where a name was erased, it is known by its number in another copy of the same log.
    """
    found: dict[int, int | None] = dict.fromkeys(owners)
    talks = {(home.open_kfid, home.customer): id_ for id_, home in owners.items() if home.kind == _CONVERSATION}
    people = sorted({person for _, person in talks if person is not None})
    for stream, open_kfid, folded in query_in(there, _BY_NAME, people, corp_id, CUSTOMER):
        if (mine := talks.get((as_text(open_kfid), as_text(folded)))) is not None:
            found[mine] = stream
    for stream, home in owners.items():
        if home.kind != _CONVERSATION and home.servicer is not None:
            key = StreamKey(corp_id, home.kind, home.open_kfid, servicer_userid=home.servicer)
            found[stream] = None if (other := find_stream(there, key)) is None else other.id
    left = [id_ for id_, match in found.items() if match is None and owners[id_].kind == _CONVERSATION]
    if left and read_head(conn).log_id == read_head(there).log_id:
        taken = set(found.values())
        theirs = homes(there, left)
        same = (id_ for (id_,) in query_in(there, _BY_ID, left, corp_id, _CONVERSATION) if id_ not in taken)
        found |= {id_: id_ for id_ in same if owners[id_].customer is None or theirs[id_].customer is None}
    return found


def _entries_apart(owner: Home, here: Side, stream: int, there: Side, match: int | None) -> Divergence | Pairs:
    """Return the first entry that only one of the two has, or that says something else; or which are the same ones."""
    mine, theirs = list(here.lines(stream)), [] if match is None else list(there.lines(match))
    by_line: dict[Line, list[EntryRow]] = {}
    for line, row in theirs:
        by_line.setdefault(line, []).append(row)
    pairs, only_here = Pairs(), list[Said]()
    for line, row in mine:
        if others := by_line.get(line):
            pairs.append((row, others.pop(0)))
        else:
            only_here.append((line, row))
    only_there = [(line, row) for line, rows in by_line.items() for row in rows]
    return _earliest(owner, only_here, only_there) if only_here or only_there else pairs


def _earliest(owner: Home, only_here: Sequence[Said], only_there: Sequence[Said]) -> Divergence:
    """Return the earliest of the entries that are not the same on both sides, and how it differs."""
    sides = [("missing", one) for one in only_here], [("extra", one) for one in only_there]
    what, (line, row) = min((one for side in sides for one in side), key=lambda one: _place(one[1][1]))
    others = only_there if what == "missing" else only_here
    for against, other in others:
        if _same_entry(row, other):
            mine, theirs = (line, against) if what == "missing" else (against, line)
            found = _of(owner, "entry", row if what == "missing" else other)
            return attrs.evolve(found, fields=said_apart(mine, theirs))
    return _of(owner, what, row)


def _place(row: EntryRow) -> tuple[int, int]:
    return row.sort_second, row.position


def _same_entry(row: EntryRow, other: EntryRow) -> bool:
    """Tell whether these are one entry, of which the two say something else: a copy, or what has the same msgid."""
    return bytes(row.leaf) == bytes(other.leaf) or (row.tie == other.tie and row.origin is not None)


def _first_apart(owner: Home, here: Side, there: Side, pairs: Pairs, bodies: Bodies) -> Divergence | None:
    """Return the first of these entries, which say the same, that is not the same beside that; or None."""
    for row, other in pairs:
        if fields := rows_apart(row, other):
            return attrs.evolve(_of(owner, "entry", row), fields=fields)
        if fields := bodies.apart.get(row.position, {}):
            return attrs.evolve(_of(owner, "payload", row), fields=fields)
        if here.made(row) != there.made(other):
            return attrs.evolve(_of(owner, "step", row), before=here.shown(row), after=there.shown(other))
    return None


def _of(owner: Home, what: str, row: EntryRow) -> Divergence:
    kind = as_text(row.as_kind or row.kind)
    person = owner.customer or None
    at = at_second(row.sort_second)
    return Divergence(owner.open_kfid, person, what, row.position, at, kind, None, None, stream=owner.kind)
