"""Streams: found or created under the lock, with their versions."""

from collections.abc import Callable, Iterable

import attrs
from sqlalchemy import Connection

from kfstate.store.canonical import stream_prefix
from kfstate.store.dialect import bulk_insert, query, query_in
from kfstate.store.names import CUSTOMER, SERVICER, Name, resolve
from kfstate.store.rows import Draft, Stream, StreamKey
from kfstate.store.tables import kf_stream

__all__ = ["Open", "open_streams", "versions"]


@attrs.define
class Open:
    """A stream while a batch is being appended: its row, its last version, and the start of its canonical form."""

    row: Stream
    version: int
    prefix: bytes
    created: bool


Servicers = dict[tuple[str, str], Name]


def open_streams(
    conn: Connection, drafts: Iterable[Draft], *, entropy: Callable[[int], bytes]
) -> tuple[dict[StreamKey, Open], Servicers]:
    """Return the streams of the drafts, and (corp_id, servicer_userid) → name of every servicer in them.

    Keys that differ only in the case of a servicer share one :class:`Open`.
    """
    customers: dict[str, set[str]] = {}
    servicers: dict[str, set[str]] = {}
    keys: dict[StreamKey, None] = {}
    serving_at: dict[tuple[str, str, str], None] = {}
    for draft in drafts:
        keys[draft[0]] = None
        serving_at[draft[0][0], draft[6], draft[7]] = None
    for corp_id, from_, to in serving_at:
        servicers.setdefault(corp_id, set()).update((from_, to))
    for key in keys:
        customers.setdefault(key.corp_id, set()).add(key.external_userid)
        servicers.setdefault(key.corp_id, set()).add(key.servicer_userid)
    # Sorted: the same batch makes the same ids, whatever the order of a set.
    named: dict[tuple[str, str], Name] = {}
    serving: Servicers = {}
    for corp_id, values in customers.items():
        for value, name in resolve(conn, corp_id, CUSTOMER, sorted(values), entropy=entropy).items():
            named[corp_id, value] = name
    for corp_id, values in servicers.items():
        for value, name in resolve(conn, corp_id, SERVICER, sorted(values), entropy=entropy).items():
            serving[corp_id, value] = name
    return _open(conn, list(keys), named, serving), serving


def _open(conn: Connection, keys: list[StreamKey], named: Servicers, serving: Servicers) -> dict[StreamKey, Open]:
    wanted = {key: _tuple(key, named, serving) for key in keys}
    groups: dict[tuple[str, str, str, int], set[int]] = {}
    for corp_id, kind, open_kfid, customer, servicer in wanted.values():
        groups.setdefault((corp_id, kind, open_kfid, servicer), set()).add(customer)
    found: dict[tuple[str, str, str, int, int], Stream] = {}
    sql = (
        "SELECT id, customer FROM kf_stream"
        " WHERE corp_id = ? AND kind = ? AND open_kfid = ? AND servicer = ? AND customer IN (??)"
    )
    for (corp_id, kind, open_kfid, servicer), customers in groups.items():
        for id_, customer in query_in(conn, sql, sorted(customers), corp_id, kind, open_kfid, servicer):
            plain = (corp_id, kind, open_kfid, customer, servicer)
            found[plain] = Stream(id_, *plain)
    missing = [plain for plain in dict.fromkeys(wanted.values()) if plain not in found]
    if missing:
        last = query(conn, "SELECT COALESCE(MAX(id), 0) FROM kf_stream")[0][0]
        rows = [Stream(last + number, *plain) for number, plain in enumerate(missing, 1)]
        bulk_insert(conn, kf_stream, rows)
        found.update(zip(missing, rows, strict=True))
    new = set(missing)
    current = versions(conn, [row.id for plain, row in found.items() if plain not in new])
    opened: dict[tuple[str, str, str, int, int], Open] = {}
    for key, plain in wanted.items():
        if plain not in opened:
            row = found[plain]
            opened[plain] = Open(row, current.get(row.id, 0), _prefix(key, named, serving), plain in new)
    return {key: opened[plain] for key, plain in wanted.items()}


def _tuple(key: StreamKey, named: Servicers, serving: Servicers) -> tuple[str, str, str, int, int]:
    customer = named[key.corp_id, key.external_userid].id if key.external_userid else 0
    servicer = serving[key.corp_id, key.servicer_userid].id if key.servicer_userid else 0
    return key.corp_id, key.kind, key.open_kfid, customer, servicer


def _prefix(key: StreamKey, named: Servicers, serving: Servicers) -> bytes:
    customer = named[key.corp_id, key.external_userid].commitment if key.external_userid else None
    servicer = serving[key.corp_id, key.servicer_userid].commitment if key.servicer_userid else None
    return stream_prefix(key.corp_id, key.kind, key.open_kfid, customer, servicer)


def versions(conn: Connection, ids: Iterable[int]) -> dict[int, int]:
    """Return stream id → last version, by one index seek per stream."""
    sql = (
        "SELECT id, (SELECT MAX(version) FROM kf_entry WHERE kf_entry.stream = kf_stream.id)"
        " FROM kf_stream WHERE id IN (??)"
    )
    return {id_: version or 0 for id_, version in query_in(conn, sql, sorted(ids))}
