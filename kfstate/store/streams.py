"""Streams: found under the lock, with their versions and names, in one statement; made where they are new."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.store.canonical import DIGEST_BYTES, stream_prefix
from kfstate.store.columns import bytes_at
from kfstate.store.dialect import Answer, as_text, ask, bulk_insert, listed, query
from kfstate.store.names import CUSTOMER, SERVICER, Name, Names, fold_name
from kfstate.store.rows import Draft, Stream, StreamKey
from kfstate.store.tables import kf_stream

__all__ = ["Open", "Servicers", "Streams", "find_streams", "last_of"]

_MANY = 400
_new = tuple.__new__
_VERSION = "(SELECT MAX(e.version) FROM kf_entry e WHERE e.stream = s.id)"
_LATEST = (
    "(SELECT MAX(COALESCE(l.occurred_at, l.sort_second * 1000000)) FROM kf_entry l WHERE l.stream = s.id"
    " AND l.sort_second = (SELECT MAX(n.sort_second) FROM kf_entry n WHERE n.stream = s.id))"
)
_LAST_OF = f"SELECT {_VERSION}, {_LATEST} FROM kf_stream s WHERE s.id = ?"  # noqa: S608 (constants)
_NAMED = "SELECT n.kind, n.folded, n.id, n.commitment, s.kind, s.open_kfid, s.id, {version}, {latest} FROM kf_name n "
_OF_CUSTOMERS = (
    _NAMED + "LEFT JOIN kf_stream s ON s.corp_id = n.corp_id AND s.kind = 'conversation' AND s.open_kfid = ?"
    " AND s.customer = n.id AND s.servicer = 0 WHERE n.corp_id = ? AND n.kind = 'customer' AND n.folded IN (??)"
)
_OF_SERVICERS = (
    _NAMED + "LEFT JOIN kf_stream s ON s.corp_id = n.corp_id AND s.kind = 'servicer' AND s.open_kfid = ?"
    " AND s.customer = 0 AND s.servicer = n.id WHERE n.corp_id = ? AND n.kind = 'servicer' AND n.folded IN (??)"
)
# The join gives the column of commitments its type where no other part of the union does.
_PLAIN = (
    "SELECT '', '', 0, n.commitment, s.kind, s.open_kfid, s.id, {version}, {latest} FROM kf_stream s"
    " LEFT JOIN kf_name n ON n.id = 0 WHERE s.corp_id = ? AND s.kind = ? AND s.open_kfid = ?"
    " AND s.customer = 0 AND s.servicer = 0"
)

_LAST = "SELECT (SELECT COALESCE(MAX(id), 0) FROM kf_name), (SELECT COALESCE(MAX(id), 0) FROM kf_stream)"


@attrs.define
class Open:
    """A stream while a batch is being appended: its row, its last version, and the start of its canonical form."""

    row: Stream
    version: int
    prefix: bytes
    created: bool
    latest: int = -1
    """Latest time in it, microseconds; only looked up for batches with own entries."""


Servicers = dict[tuple[str, str], Name]


def same(key: StreamKey) -> StreamKey:
    """Return what keys that differ only in the case of a servicer have in common."""
    return key._replace(servicer_userid=fold_name(SERVICER, key.servicer_userid)) if key.servicer_userid else key


@attrs.define
class Streams:
    """The streams that a batch may touch: those that the log has, and those that the batch makes."""

    names: Names = attrs.Factory(Names)
    last: int = 0
    """The greatest id that is taken."""
    found: dict[StreamKey, Open] = attrs.Factory(dict)
    _made: list[Stream] = attrs.Factory(list)

    def at(self, key: StreamKey) -> Open | None:
        """Return a stream, or None where the log does not have it yet."""
        return self.found.get(same(key))

    def open(self, drafts: Iterable[Draft], entropy: Callable[[int], bytes]) -> tuple[dict[StreamKey, Open], Servicers]:
        """Return the streams of drafts, and (corp_id, servicer_userid) → name of every servicer in them.

        Keys that differ only in the case of a servicer share one :class:`Open`.
        """
        together = list(dict.fromkeys((draft[0], draft[6], draft[7]) for draft in drafts))
        for corp_id in dict.fromkeys(key.corp_id for key, _, _ in together):
            ours = [one for one in together if one[0].corp_id == corp_id]
            self.names.make(corp_id, CUSTOMER, (key.external_userid for key, _, _ in ours), entropy)
            named = (userid for key, from_, to in ours for userid in (key.servicer_userid, from_, to))
            self.names.make(corp_id, SERVICER, named, entropy)
        opened: dict[StreamKey, Open] = {}
        servicers: Servicers = {}
        for key, from_, to in together:
            if key not in opened:
                opened[key] = self._open(key)
            for userid in (from_, to):
                if userid and (name := self.names.name(key.corp_id, SERVICER, userid)) is not None:
                    servicers[key.corp_id, userid] = name
        return opened, servicers

    def _open(self, key: StreamKey) -> Open:
        plain = same(key)
        stream = self.found.get(plain)
        if stream is None:
            customer = self.names.name(key.corp_id, CUSTOMER, key.external_userid)
            servicer = self.names.name(key.corp_id, SERVICER, key.servicer_userid)
            self.last += 1
            row = _row(self.last, key, customer, servicer)
            stream = self.found[plain] = Open(row, 0, _prefix(key, customer, servicer), created=True)
            self._made.append(row)
        return stream

    def write(self, conn: Connection) -> None:
        """Insert the streams and names that were made."""
        self.names.write(conn)
        bulk_insert(conn, kf_stream, self._made)


def _row(id_: int, key: StreamKey, customer: Name | None, servicer: Name | None) -> Stream:
    return Stream(
        id_, key.corp_id, key.kind, key.open_kfid, customer.id if customer else 0, servicer.id if servicer else 0
    )


def _prefix(key: StreamKey, customer: Name | None, servicer: Name | None) -> bytes:
    return stream_prefix(
        key.corp_id,
        key.kind,
        key.open_kfid,
        customer.commitment if customer else None,
        servicer.commitment if servicer else None,
    )


def last_of(conn: Connection, stream: int) -> tuple[int, int]:
    """Return the version of a stream, 0 before its first entry, and the latest time in it (microseconds), else -1."""
    ((version, latest),) = query(conn, _LAST_OF, (stream,))
    return version or 0, -1 if latest is None else latest


_Person = tuple[str, str, str]
"""Corp, kind and folded id of a customer or servicer."""


def find_streams(conn: Connection, drafts: Iterable[Draft], *, latest: bool) -> Callable[[], Streams]:
    """Ask what the log has of the streams and names of these drafts, and return what waits for it.

    ``latest``: with the times in them.
    """
    together = dict.fromkeys((draft[0], draft[6], draft[7]) for draft in drafts)
    keys = {same(key): None for key, _, _ in together}
    people, wanted = _wanted(keys)
    for key, from_, to in together:
        for userid in (from_, to):
            if userid and (one := (key.corp_id, SERVICER, fold_name(SERVICER, userid))) not in people:
                people[one] = None
                wanted.setdefault((*one[:2], ""), []).append(one[2])
    corps = dict.fromkeys(corp for corp, _, _ in wanted)
    answers = [(corp_id, answer) for corp_id in corps for answer in _look_up(conn, corp_id, wanted, latest=latest)]

    def found() -> Streams:
        streams = Streams()
        for corp_id, answer in answers:
            for row in answer():
                _take(streams, corp_id, row)
        if not (people.keys() <= streams.names.known.keys() and keys.keys() <= streams.found.keys()):
            streams.names.last, streams.last = query(conn, _LAST)[0]
        return streams

    return found


def _wanted(keys: Iterable[StreamKey]) -> tuple[dict[_Person, None], dict[tuple[str, str, str], list[str]]]:
    """Return the people of streams, and (corp, kind, account) → their ids."""
    people: dict[_Person, None] = {}
    wanted: dict[tuple[str, str, str], list[str]] = {}
    for key in keys:
        kind = CUSTOMER if key.external_userid else SERVICER if key.servicer_userid else key.kind
        person = key.external_userid or key.servicer_userid
        wanted.setdefault((key.corp_id, kind, key.open_kfid), []).append(person)
        if person:
            people[key.corp_id, kind, person] = None
    return people, wanted


def _look_up(
    conn: Connection, corp_id: str, wanted: dict[tuple[str, str, str], list[str]], *, latest: bool
) -> Iterator[Answer]:
    parts: list[str] = []
    values: list[Any] = []
    for (corp, kind, open_kfid), people in wanted.items():
        if corp != corp_id:
            continue
        for start in range(0, len(people), _MANY):
            chunk = people[start : start + _MANY]
            if kind in (CUSTOMER, SERVICER):
                sql, given = listed(conn, _OF_CUSTOMERS if kind == CUSTOMER else _OF_SERVICERS, chunk)
                parts.append(sql)
                values += (open_kfid, corp_id, *given)
            else:
                parts.append(_PLAIN)
                values += (corp_id, kind, open_kfid)
            if len(values) >= _MANY or len(parts) >= _MANY // 8:
                yield _union(conn, parts, values, latest=latest)
                parts, values = [], []
    if parts:
        yield _union(conn, parts, values, latest=latest)


def _union(conn: Connection, parts: list[str], values: list[Any], *, latest: bool) -> Answer:
    sql = " UNION ALL ".join(parts)
    sql = sql.replace("{version}", _VERSION).replace("{latest}", _LATEST if latest else "s.id * 0")
    return ask(conn, sql, tuple(values))


def _take(streams: Streams, corp_id: str, row: tuple[Any, ...]) -> None:
    kind, folded, name_id, commitment, stream_kind, open_kfid, stream_id, version, latest = row
    if type(kind) is not str:  # a database that has no text gives all of it as bytes
        kind, folded = as_text(kind), as_text(folded)
        stream_kind, open_kfid = as_text(stream_kind or b""), as_text(open_kfid or b"")
    name = None
    if kind:
        commitment = bytes_at(0, f"the commitment of name {name_id}", commitment, DIGEST_BYTES)
        name = streams.names.known[corp_id, kind, folded] = _new(Name, (name_id, commitment))
    if stream_id is None:
        return
    if kind == CUSTOMER:
        key = _new(StreamKey, (corp_id, stream_kind, open_kfid, folded, ""))
        plain = _new(Stream, (stream_id, corp_id, stream_kind, open_kfid, name_id, 0))
        prefix = stream_prefix(corp_id, stream_kind, open_kfid, commitment, None)
    else:
        key = StreamKey(corp_id, stream_kind, open_kfid, "", folded)
        plain = _row(stream_id, key, None, name)
        prefix = _prefix(key, None, name)
    streams.found[key] = Open(plain, version or 0, prefix, False, -1 if latest is None else latest)
