"""What the log said at some point of it: up to which position, and by which machine it was read."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import attrs
from sqlalchemy import Connection

from kfstate.clock import SECOND
from kfstate.errors import ArgumentError, MachineError
from kfstate.machine import MACHINE, Clockwork, Machine, MachineSpec, Row, compiled
from kfstate.service_state import KfServiceState
from kfstate.store.dialect import query
from kfstate.store.head import read_head
from kfstate.store.read import find_stream
from kfstate.store.rows import StreamKey

__all__ = ["Known", "KnownAt", "machine_at", "machine_named", "moment", "position_at"]

KnownAt: TypeAlias = datetime | int | None
"""A place in the log: what was stored by a time, or up to a position; None: all of it."""

_ACTIVE = (
    "SELECT ref FROM kf_entry WHERE stream = ? AND kind = 'machine_activated' AND position <= ? "
    "ORDER BY position DESC LIMIT 1"
)
_STORED = "SELECT definition FROM kf_machine WHERE fingerprint = ?"
_NAMED = "SELECT definition FROM kf_machine WHERE version = ? OR fingerprint = ? ORDER BY created_at DESC LIMIT 1"


@attrs.frozen
class Known:
    """Where the log was when something was known: its last position, and when that was stored (microseconds)."""

    position: int
    recorded: int


def moment(name: str, value: datetime) -> int:
    """Return a time as microseconds since 1970.

    Raises :class:`~kfstate.errors.ArgumentError` where it has no zone: nobody knows which time is meant.
    """
    if value.tzinfo is None:
        raise ArgumentError(name=name, value=repr(value), allowed="a datetime with a zone")
    since = value.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def position_at(conn: Connection, known_at: KnownAt) -> Known:
    """Return the last position that was known: a commit is known as a whole, from its ``recorded_at`` on."""
    head = read_head(conn)
    last = Known(head.position, head.recorded_at)
    if known_at is None:
        return last
    if isinstance(known_at, int):
        if known_at < 0:
            raise ArgumentError(name="known_at", value=repr(known_at), allowed="a position, from 0 on")
        return last if known_at >= head.position else _at_most(conn, known_at)
    until = moment("known_at", known_at)
    return last if until >= head.recorded_at else _stored_by(conn, until, head.position)


def _stored_by(conn: Connection, until: int, above: int) -> Known:
    """Search by halves: times of storing grow with the positions."""
    below, found = 0, Known(0, 0)
    while above - below > 1:
        middle = _at_most(conn, (below + above) // 2)
        if middle.position <= below:  # nothing in the lower half: it is in the archive
            below = (below + above) // 2
        elif middle.recorded <= until:
            below, found = (below + above) // 2, middle
        else:
            above = middle.position
    return found


def _at_most(conn: Connection, position: int) -> Known:
    sql = "SELECT position, recorded_at FROM kf_entry WHERE position <= ? ORDER BY position DESC LIMIT 1"
    found = query(conn, sql, (position,))
    return Known(*found[0]) if found else Known(0, 0)


def machine_at(conn: Connection, position: int, *, corp_id: str) -> Machine:
    """Return the machine that was live at a position: the last that was activated until then.

    Raises :class:`~kfstate.errors.MachineError` where this release cannot run it.
    """
    log = find_stream(conn, StreamKey(corp_id, "log"))
    active = query(conn, _ACTIVE, (log.id, position)) if log is not None else []
    if not active or active[0][0] == MACHINE.fingerprint:
        return MACHINE
    fingerprint = active[0][0]
    return _machine(query(conn, _STORED, (fingerprint,)), fingerprint)


def machine_named(conn: Connection, name: str) -> Machine:
    """Return a machine that the log knows, by its version or fingerprint.

    Raises :class:`~kfstate.errors.MachineError` where there is none, or where this release cannot run it.
    """
    if name in {MACHINE.spec.version, MACHINE.fingerprint}:
        return MACHINE
    return _machine(query(conn, _NAMED, (name, name)), name)


def _machine(found: Iterable[tuple[Any, ...]], name: str) -> Machine:
    for (text,) in found:
        definition = json.loads(text)
        if definition["semantics"] != MACHINE.spec.semantics:
            problem = f"machine {name} has semantics {definition['semantics']}; this release: {MACHINE.spec.semantics}"
            raise MachineError((problem,))
        return compiled(_spec(definition))
    raise MachineError((f"the log does not know a machine {name}",))


def _spec(definition: dict[str, Any]) -> MachineSpec:
    """Return the machine of a stored definition, with the sentences of this release: definitions keep none."""
    rows = []
    for row in definition["rows"]:
        ours = MACHINE.rows.get(row["name"])
        sources = tuple(KfServiceState(state) for state in row["sources"])
        dest = None if row["dest"] is None else KfServiceState(row["dest"])
        says = ours.says if ours is not None else f"{row['trigger']}: {row['outcome']}"
        rows.append(Row(**{**row, "sources": sources, "dest": dest, "says": says}))
    return MachineSpec(
        version=definition["version"],
        semantics=definition["semantics"],
        rows=tuple(rows),
        api={(KfServiceState(before), KfServiceState(to)): verdict for before, to, verdict in definition["api"]},
        clockwork=Clockwork(**definition["clockwork"]),
    )
