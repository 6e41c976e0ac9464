"""The one way into the log: drafts in, rows with positions, versions and a chain out, in the caller's transaction."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.clock import SECOND
from kfstate.errors import KfstateError
from kfstate.store import canonical as form
from kfstate.store import cursor as cursors
from kfstate.store import identity
from kfstate.store.causes import Causes, look_back
from kfstate.store.dialect import FEW, bulk_insert, in_one_go
from kfstate.store.head import lock_head
from kfstate.store.identity import Fresh
from kfstate.store.plan import Part, Plan, Planned
from kfstate.store.read import rows_at
from kfstate.store.rows import Appended, Draft, EntryRow, Expected, Head, StreamKey
from kfstate.store.streams import Open, Servicers, find_streams
from kfstate.store.tables import kf_entry, kf_payload

__all__ = ["Gathered", "append", "append_parts"]

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
    part = Part(drafts=drafts, pull=pull, expected=expected or {})
    (done,) = append_parts(conn, [part], now=now, entropy=entropy).parts
    if not isinstance(done, Appended):
        raise done
    return done


@attrs.frozen
class Gathered:
    """What an append of several parts did: to the log, and for each part what of it, or why nothing was stored."""

    whole: Appended
    parts: list[Appended | KfstateError]
    pulls: Sequence[int]
    """Ids of the pulls that were stored."""


def append_parts(
    conn: Connection,
    parts: Sequence[Part],
    *,
    now: int,
    head: Head | None = None,
    entropy: Callable[[int], bytes] = os.urandom,
) -> Gathered:
    """Append several callers' parts, in their order, in one go; what cannot be stored is left out before any write.

    ``head`` is what :func:`~kfstate.store.head.lock_head` returned in this transaction, if it was called already.
    Raises :class:`~kfstate.errors.LockTimeoutError`; whatever is wrong with one part is that part's own result.
    """
    head = head or lock_head(conn)
    pulled = cursors.last_pull(conn) if any(part.pulls for part in parts) else None
    plan = _plan(conn, parts, head)
    planned = [plan.take(part) for part in parts]
    earlier_facts = _earlier_facts(conn, plan.fresh, head.position)
    opened, servicers = plan.streams.open((draft for _, _, draft, _ in plan.fresh), entropy)
    kept = [(part, did) for part, did in zip(parts, planned, strict=True) if did.error is None]
    pulls = [pull for part, _ in kept for pull in part.pulls]
    first_pull = 0 if pulled is None else pulled() + 1
    pull_ids = range(first_pull, first_pull + len(pulls))
    salts = entropy(form.SALT_BYTES * len(plan.fresh))
    rows, late = _rows(
        plan.fresh,
        head=head,
        recorded_at=max(now, head.recorded_at + 1),
        salts=salts,
        opened=opened,
        servicers=servicers,
        causes=plan.causes,
        pulls=_pulled(kept, pull_ids),
        earlier_facts=earlier_facts,
    )
    with in_one_go(conn, len(rows)):
        cursors.record_pulls(conn, pulls, first=first_pull)
        cursors.write_cursors(conn, plan.moved.values())
        plan.streams.write(conn)
        # As plain tuples: sqlite3 reads a named one field by field, which costs a quarter of the insert.
        bulk_insert(conn, kf_entry, list(map(tuple, rows)))
        size = form.SALT_BYTES
        bulk_insert(
            conn,
            kf_payload,
            [(item[1], salts[at * size : (at + 1) * size], item[2].body) for at, item in enumerate(plan.fresh)],
        )
        identity.store(conn, plan.fresh)
    whole = Appended(
        rows=rows,
        repeats={},
        late=frozenset(late),
        stored=plan.fresh,
        head=_after(head, rows),
        streams={key: stream.row for key, stream in opened.items()},
        created=frozenset(stream.row.id for stream in opened.values() if stream.created),
    )
    return Gathered(whole, _divided(whole, planned, head.position), pull_ids)


def _plan(conn: Connection, parts: Sequence[Part], head: Head) -> Plan:
    """Read whatever decides what of the parts can be stored."""
    drafts = [draft for part in parts for draft in part.drafts]
    known = identity.look_up(conn, drafts)
    if len(drafts) > FEW:  # of fewer, to look for the streams of known ones, too, costs less than to wait
        drafts = [draft for draft in drafts if not _is_known(draft, known())]
    find = find_streams(conn, drafts, latest=any(draft.own for draft in drafts))
    moves = dict.fromkeys((part.move.corp_id, part.move.open_kfid) for part in parts if part.move is not None)
    found = [cursors.read_cursor(conn, open_kfid, corp_id=corp_id) for corp_id, open_kfid in moves]
    held = {(cursor.corp_id, cursor.open_kfid): cursor for cursor in found if cursor is not None}
    streams = find()
    causes = look_back(conn, drafts, streams, head.position)
    plan = Plan(head.position, known(), streams, causes, held)
    plan.watch(parts)
    return plan


def _is_known(draft: Draft, known: identity.Identities) -> bool:
    seen = known.get((draft.day, draft.key)) if draft.key else None
    return seen is not None and identity.repeated(draft, seen) > 0


def _pulled(kept: Sequence[tuple[Part, Planned]], pulls: Sequence[int]) -> list[int | None]:
    """Return the pull of each entry that is stored."""
    found: list[int | None] = []
    first = 0
    for part, planned in kept:
        if part.pulled:
            of = [None if at is None else pulls[first + at] for at in part.pulled]
            found += [of[item[0]] for item in planned.fresh]
        elif isinstance(part.pull, Sequence):
            found += [part.pull[item[0]] for item in planned.fresh]
        else:
            found += [part.pull] * len(planned.fresh)
        first += len(part.pulls)
    return found


def _divided(whole: Appended, planned: Sequence[Planned], head: int) -> list[Appended | KfstateError]:
    """Return what an append did, part by part."""
    parts: list[Appended | KfstateError] = []
    for did in planned:
        if did.error is not None:
            parts.append(did.error)
            continue
        start = did.fresh[0][1] - head - 1 if did.fresh else 0
        rows = whole.rows[start : start + len(did.fresh)]
        parts.append(attrs.evolve(whole, rows=rows, repeats=did.repeats, refused=did.refused, stored=did.fresh))
    return parts


def _rows(
    fresh: Sequence[Fresh],
    *,
    head: Head,
    recorded_at: int,
    salts: bytes,
    opened: Mapping[StreamKey, Open],
    servicers: Servicers,
    causes: Causes | None,
    pulls: Sequence[int | None],
    earlier_facts: Mapping[int, tuple[Any, ...]],
) -> tuple[list[EntryRow], set[int]]:
    """Return the rows, and the positions whose time was too far ahead to be believed."""
    rows: list[EntryRow] = []
    add, new = rows.append, tuple.__new__
    commit, encode, leaf_of, link = form.commit, form.canonical, form.leaf, form.chain
    chain, first = head.chain, head.position + 1
    recorded_second, latest = recorded_at // SECOND, recorded_at + _AHEAD
    late: set[int] = set()
    salt_at = 0
    # fmt: off
    for (_, position, draft, earlier), pull in zip(fresh, pulls, strict=True):
        (
            key, kind, occurred_at, tie, change_type, service_state, from_, to, errcode, menu_click, via, target,
            as_kind, origin, msgtype, ref, fail_type, reject_switch, receiving, stop_type, code, code_kind,
            manage_privilege, from_at, actor, cause, ordinal, body, _, _, _, own, _,
        ) = draft
        stream = opened[key]
        stream.version = version = stream.version + 1
        counts = None
        if own and causes is not None:
            occurred_at, tie, counts, cause = causes.settle(draft, stream.row.id, position)
        elif occurred_at is not None and occurred_at > latest:
            late.add(position)
            occurred_at = None
        second = recorded_second if occurred_at is None else occurred_at // SECOND
        from_name = servicers[key[0], from_] if from_ else _NOBODY
        to_name = servicers[key[0], to] if to else _NOBODY
        commitment = commit(salts[salt_at : salt_at + 16], body)
        salt_at += 16
        row: tuple[Any, ...] = (
            position, stream.row.id, kind, second, tie, change_type, service_state, from_name[0], to_name[0], errcode,
            menu_click, via, counts, 0, target, as_kind, version, form.FORM, _KIND_VERSION, occurred_at, recorded_at,
            origin, msgtype, ref, fail_type, reject_switch, receiving, stop_type, code, code_kind, manage_privilege,
            from_at, actor, cause, pull, ordinal, commitment,
        )
        if causes is not None and not own:
            causes.note(row, second * SECOND)
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


def _after(head: Head, rows: Sequence[EntryRow]) -> Head:
    if not rows:
        return head
    return head._replace(position=rows[-1].position, chain=rows[-1].chain, recorded_at=rows[-1].recorded_at)
