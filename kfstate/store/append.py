"""The one way into the log: drafts in, rows with positions, versions and a chain out, in the caller's transaction."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from kfstate.clock import SECOND
from kfstate.errors import EnvelopeError, VersionConflictError
from kfstate.store import canonical as form
from kfstate.store import identity
from kfstate.store.causes import Causes, gather
from kfstate.store.dialect import bulk_insert
from kfstate.store.head import lock_head
from kfstate.store.identity import Fresh
from kfstate.store.read import find_stream, rows_at
from kfstate.store.rows import Appended, Draft, EntryRow, Expected, Head, StreamKey
from kfstate.store.streams import Open, Servicers, open_streams, versions
from kfstate.store.tables import kf_entry, kf_payload

__all__ = ["append"]

_AHEAD = 86_400 * SECOND
_KIND_VERSION = 1
# What the fold and the shipped projections read of an entry. occurred_at, not sort_second: where WeCom gave no time the
# second is that of the arrival, which must not decide whether two entries are the same.
_DECIDING = (
    "stream kind occurred_at change_type service_state servicer_from servicer_to errcode menu_click via as_kind target "
    "ref fail_type reject_switch receiving stop_type code code_kind manage_privilege from_at"
)
_DECIDING_AT = tuple(EntryRow._fields.index(name) for name in _DECIDING.split())


def append(
    conn: Connection,
    drafts: Sequence[Draft],
    *,
    now: int,
    pull: int | Sequence[int | None] | None = None,
    expected: Mapping[StreamKey, Expected] | None = None,
    entropy: Callable[[int], bytes] = os.urandom,
) -> Appended:
    """Append what is new of the drafts, in their order, and say what became of each.

    ``now`` is the clock's time in microseconds; ``pull`` the ``kf_pull`` id of the page, or one for each draft;
    ``expected`` the versions that the caller decided on: ``any``, ``new``, ``exists`` or a number, checked only for
    streams that get a new entry. ``entropy`` gives the salts. A known entry, or a known idempotency key, is not stored
    again.

    Raises :class:`~kfstate.errors.VersionConflictError` and :class:`~kfstate.errors.EnvelopeError` (a ``cause`` or
    ``target`` that does not exist) before any entry is written; :class:`~kfstate.errors.LockTimeoutError`.
    """
    head = lock_head(conn)
    known = identity.look_up(conn, drafts)
    fresh, repeats = identity.settle(drafts, known, head.position)
    if expected:
        _expect(conn, fresh, expected)
    opened, servicers = open_streams(conn, [draft for _, _, draft, _ in fresh], entropy=entropy)
    causes = gather(conn, fresh, opened)
    recorded_at = max(now, head.recorded_at + 1)
    salts = entropy(form.SALT_BYTES * len(fresh))
    rows, late = _rows(
        conn,
        fresh,
        head=head,
        recorded_at=recorded_at,
        salts=salts,
        opened=opened,
        servicers=servicers,
        causes=causes,
        pull=pull,
    )
    # As plain tuples: sqlite3 reads a named one field by field, which costs a quarter of the insert.
    bulk_insert(conn, kf_entry, list(map(tuple, rows)))
    size = form.SALT_BYTES
    bulk_insert(
        conn,
        kf_payload,
        [(item[1], salts[at * size : (at + 1) * size], item[2].body) for at, item in enumerate(fresh)],
    )
    identity.store(conn, fresh)
    return Appended(
        rows=rows,
        repeats=repeats,
        late=frozenset(late),
        stored=fresh,
        head=_after(head, rows),
        streams={key: stream.row for key, stream in opened.items()},
        created=frozenset(stream.row.id for stream in opened.values() if stream.created),
    )


def _rows(
    conn: Connection,
    fresh: Sequence[Fresh],
    *,
    head: Head,
    recorded_at: int,
    salts: bytes,
    opened: Mapping[StreamKey, Open],
    servicers: Servicers,
    causes: Causes | None,
    pull: int | Sequence[int | None] | None,
) -> tuple[list[EntryRow], set[int]]:
    """Return the rows, and the positions whose time was too far ahead to be believed."""
    rows: list[EntryRow] = []
    add, new = rows.append, tuple.__new__
    commit, encode, leaf_of, link = form.commit, form.canonical, form.leaf, form.chain
    chain, first = head.chain, head.position + 1
    recorded_second, latest = recorded_at // SECOND, recorded_at + _AHEAD
    earlier_facts = _earlier_facts(conn, fresh, head.position)
    late: set[int] = set()
    salt_at = 0
    # fmt: off
    pulls = pull if isinstance(pull, Sequence) else None
    for index, position, draft, earlier in fresh:
        (
            key, kind, occurred_at, tie, change_type, service_state, from_, to, errcode, menu_click, via, target,
            as_kind, origin, msgtype, ref, fail_type, reject_switch, receiving, stop_type, code, code_kind,
            manage_privilege, from_at, actor, cause, ordinal, body, _, _, _, own, _,
        ) = draft
        stream = opened[key]
        stream.version = version = stream.version + 1
        counts = None
        if own and causes is not None:
            try:
                occurred_at, tie, counts, cause = causes.settle(draft, stream.row.id, position)
            except EnvelopeError as error:
                error.index = index
                raise
        elif occurred_at is not None and occurred_at > latest:
            late.add(position)
            occurred_at = None
        second = recorded_second if occurred_at is None else occurred_at // SECOND
        if causes is not None and not own:
            causes.note(stream.row.id, second * SECOND)
        from_name = servicers[key[0], from_] if from_ else _NOBODY
        to_name = servicers[key[0], to] if to else _NOBODY
        commitment = commit(salts[salt_at : salt_at + 16], body)
        salt_at += 16
        row: tuple[Any, ...] = (
            position, stream.row.id, kind, second, tie, change_type, service_state, from_name[0], to_name[0], errcode,
            menu_click, via, counts, 0, target, as_kind, version, form.FORM, _KIND_VERSION, occurred_at, recorded_at,
            origin, msgtype, ref, fail_type, reject_switch, receiving, stop_type, code, code_kind, manage_privilege,
            from_at, actor, cause, pulls[index] if pulls is not None else pull, ordinal, commitment,
        )
        if earlier:
            mine = tuple(row[at] for at in _DECIDING_AT)
            same = any(
                mine == (_deciding(rows[place - first]) if place >= first else earlier_facts.get(place))
                for place in earlier
            )
            row = (*row[:13], 1 if same else 2, *row[14:])
        leaf = leaf_of(encode(stream.prefix, row, from_name[1], to_name[1]))
        chain = link(chain, leaf)
        add(new(EntryRow, (*row, leaf, chain)))
    # fmt: on
    return rows, late


_NOBODY: tuple[int | None, bytes | None] = (None, None)


def _deciding(row: EntryRow) -> tuple[Any, ...]:
    return tuple(row[at] for at in _DECIDING_AT)


def _earlier_facts(conn: Connection, fresh: Sequence[Fresh], head: int) -> dict[int, tuple[Any, ...]]:
    """Return the deciding facts of the stored entries whose msgid comes again with other content."""
    places = {place for *_, earlier in fresh for place in earlier if place <= head}
    return {position: _deciding(row) for position, row in rows_at(conn, places).items()}


def _expect(conn: Connection, fresh: Sequence[Fresh], expected: Mapping[StreamKey, Expected]) -> None:
    for key in dict.fromkeys(draft.stream for _, _, draft, _ in fresh):
        wanted = expected.get(key, "any")
        if wanted == "any":
            continue
        current = _version(conn, key)
        holds = (current > 0) == (wanted == "exists") if isinstance(wanted, str) else current == wanted
        if not holds:
            raise VersionConflictError(stream=key.label(), expected=str(wanted), current=current)


def _version(conn: Connection, key: StreamKey) -> int:
    stream = find_stream(conn, key)
    return versions(conn, [stream.id])[stream.id] if stream is not None else 0


def _after(head: Head, rows: Sequence[EntryRow]) -> Head:
    if not rows:
        return head
    return head._replace(position=rows[-1].position, chain=rows[-1].chain, recorded_at=rows[-1].recorded_at)
