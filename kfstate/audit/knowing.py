"""What the log said at some point of it: up to which position, and by which machine it was read."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeAlias

import attrs
from sqlalchemy import Connection

from kfstate.audit.definition import parse
from kfstate.clock import SECOND
from kfstate.errors import ArgumentError, MachineError
from kfstate.machine import MACHINE, Machine, compiled
from kfstate.store.dialect import as_text, query
from kfstate.store.head import read_head
from kfstate.store.read import find_stream
from kfstate.store.rows import StreamKey

__all__ = ["Known", "KnownAt", "machine_at", "machine_named", "moment", "position_at"]

KnownAt: TypeAlias = datetime | int | None
"""A place in the log: what was stored by a time, or up to a position; None: all of it."""

_EARLIEST, _LATEST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)
"""Between these every zone has every time."""
_ACTIVE = (
    "SELECT ref FROM kf_entry WHERE stream = ? AND kind = 'machine_activated' AND position <= ? "
    "ORDER BY position DESC LIMIT 1"
)
_STORED = "SELECT fingerprint, definition FROM kf_machine WHERE fingerprint = ?"
_NAMED = "SELECT fingerprint, definition FROM kf_machine WHERE version = ? ORDER BY created_at DESC LIMIT 1"


@attrs.frozen
class Known:
    """Where the log was when something was known: its last position, and when that was stored (microseconds)."""

    position: int
    recorded: int


def moment(name: str, value: datetime) -> int:
    """Return a time as microseconds since 1970.

    Raises :class:`~kfstate.errors.ArgumentError` where it has no zone: nobody knows which time is meant; and where
    some zone has no such time.
    """
    if value.tzinfo is None:
        raise ArgumentError(name=name, value=repr(value), allowed="a datetime with a zone")
    if not _EARLIEST <= value <= _LATEST:
        raise ArgumentError(name=name, value=str(value), allowed=f"a time from {_EARLIEST} to {_LATEST}")
    since = value - datetime(1970, 1, 1, tzinfo=UTC)
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
    return _machine(query(conn, _STORED, (name,)) or query(conn, _NAMED, (name,)), name)


def _machine(found: Iterable[tuple[Any, ...]], name: str) -> Machine:
    for fingerprint, text in found:
        machine = _kept(as_text(text))
        if machine.fingerprint != fingerprint or name not in {fingerprint, machine.spec.version}:
            raise MachineError((f"what is kept as machine {name} was changed: it is {machine.fingerprint}",))
        return machine
    raise MachineError((f"the log does not know a machine {name}",))


@lru_cache(maxsize=16)
def _kept(text: str) -> Machine:
    return compiled(parse(text, form="json"))
