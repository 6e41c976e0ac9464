# ruff: noqa: S608 (the SQL is put together from constants)
"""Calls that were intended and have no result yet, by reading the log on from where it was read before."""

import json
from collections.abc import Mapping
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.clock import SECOND
from kfstate.queries.conversations import PAGE
from kfstate.store.dialect import as_text, query
from kfstate.store.head import read_head
from kfstate.store.read import payloads
from kfstate.wecom.alive import is_gone
from kfstate.wecom.site import Site

__all__ = ["CHANGE", "MESSAGE", "Intent", "Intents", "Known"]

CHANGE, MESSAGE = "state_change_intended", "message_intended"
_LOST = "reply_lost"
_STATED = ("state_changed", "state_reading", "session_status_change", "correction", "session_expired")
"""What names a state, so that it settles what became of a change whose reply was lost."""
_ASSIGNING = frozenset({"state_changed", "session_status_change"})
_RESULTS = frozenset({"state_changed", "state_change_refused"})
_SHOWN = ", ".join(f"'{kind}'" for kind in sorted({CHANGE, MESSAGE, *_STATED, *_RESULTS}))
_AFTER = (
    "SELECT e.position, e.stream, e.kind, e.cause, e.recorded_at, e.sort_second, e.service_state, e.actor, e.via, "
    "e.ref, s.corp_id, s.open_kfid, c.value, v.value, v.folded FROM kf_entry e JOIN kf_stream s ON s.id = e.stream "
    "LEFT JOIN kf_name c ON c.id = s.customer LEFT JOIN kf_name v ON v.id = e.servicer_to "
    f"WHERE e.position > ? AND e.position <= ? AND (e.kind IN ({_SHOWN}) OR e.cause IS NOT NULL) ORDER BY e.position"
)
_STRIDE = 10 * PAGE
_LOOK_BACK = 3 * 86_400 * SECOND
"""Older intents are of sessions that are over."""
_SESSION = 2 * 86_400 * SECOND
"""What was lost longer ago, and could not be read since, holds no place any more."""
_MANUAL = 3


@attrs.frozen(kw_only=True)
class Intent:
    """A call that is about to be made. ``recorded_at`` is in microseconds."""

    position: int
    stream: int
    kind: str
    open_kfid: str
    external_userid: str
    to: int | None
    servicer_userid: str
    via: str
    msgid: str
    actor: str
    recorded_at: int


@attrs.frozen
class Known:
    """What the log says up to a position.

    ``open`` are intents by their position, ``lost`` changes whose reply was lost and of which nothing was heard since,
    in the last 48 hours;
    ``assigned`` is when each servicer last got a session (seconds), within the three days that are looked at.
    """

    until: int
    open: Mapping[int, Intent] = attrs.field(factory=dict)
    lost: Mapping[int, Intent] = attrs.field(factory=dict)
    assigned: Mapping[tuple[str, str], int] = attrs.field(factory=dict)

    def change(self, open_kfid: str, external_userid: str) -> Intent | None:
        """Return the change of a conversation that is under way, as far as the log says."""
        for intent in self.open.values():
            if intent.kind == CHANGE and (intent.open_kfid, intent.external_userid) == (open_kfid, external_userid):
                return intent
        return None

    def reserved(self, open_kfid: str) -> dict[str, int]:
        """Return how many sessions are meant for each servicer of an account (in lower case), and not theirs yet."""
        found: dict[str, int] = {}
        for intent in (*self.open.values(), *self.lost.values()):
            if intent.open_kfid == open_kfid and intent.to == _MANUAL:
                servicer = intent.servicer_userid.casefold()
                found[servicer] = found.get(servicer, 0) + 1
        return found


class Intents:
    """Reads the log on. Share one between threads, or between the tasks of a loop."""

    def __init__(self, site: Site) -> None:
        """Look at this log."""
        self._site = site
        self._known: Known | None = None

    def read(self, conn: Connection) -> Known:
        """Return what the log says now: in a transaction that holds the head, all there is."""
        site, known = self._site, self._known
        head = read_head(conn).position
        if known is None or known.until > head:  # another log stands behind the URL now
            known = Known(_position_at(conn, site.clock.now() - _LOOK_BACK, head))
        while known.until < head:
            known = _read_on(conn, known, min(head, known.until + _STRIDE), site.corp_id)
        since = site.clock.now() - _SESSION
        if any(one.recorded_at < since for one in known.lost.values()):
            known = attrs.evolve(known, lost={at: one for at, one in known.lost.items() if one.recorded_at >= since})
        self._known = known
        return known

    def is_abandoned(self, conn: Connection, position: int, recorded_at: int) -> bool:
        """Tell whether nobody will record what became of an intent: its process is gone, or it took too long."""
        if self._site.clock.now() - recorded_at >= self._site.patience * SECOND:
            return True
        body = payloads(conn, [position]).get(position)
        process = "" if body is None else (json.loads(body).get("data") or {}).get("process", "")
        return isinstance(process, str) and is_gone(process)


def _position_at(conn: Connection, at: int, head: int) -> int:
    """Return the last position that was recorded before a time; positions are in the order of recording."""
    low, high = 0, head
    while low < high:
        middle = (low + high + 1) // 2
        # Entries may have left for the archive: those are the oldest.
        found = query(conn, "SELECT recorded_at FROM kf_entry WHERE position = ?", (middle,))
        if found and found[0][0] >= at:
            high = middle - 1
        else:
            low = middle
    return low


def _read_on(conn: Connection, known: Known, until: int, corp_id: str) -> Known:
    rows = query(conn, _AFTER, (known.until, until))
    if not rows:
        return attrs.evolve(known, until=until)
    opened, lost, assigned = dict(known.open), dict(known.lost), dict(known.assigned)
    for row in rows:
        position, stream, kind, cause, _, second, *_ = row
        kind = as_text(kind)
        intent = opened.pop(cause, None) if cause is not None else None
        if kind in _RESULTS and cause is None:  # of a service with a client of its own, that names no causes
            opened = {at: one for at, one in opened.items() if one.stream != stream or one.kind != CHANGE}
        if kind == _LOST:
            if cause is not None and intent is not None and intent.kind == CHANGE:
                lost[cause] = intent
        elif kind in _STATED:
            lost = {at: one for at, one in lost.items() if one.stream != stream}
            if row[14] is not None and kind in _ASSIGNING:
                assigned[as_text(row[11]), as_text(row[14])] = second
        if kind in {CHANGE, MESSAGE} and as_text(row[10]) == corp_id and row[12] is not None:
            opened[position] = _intent(row)
    return Known(until, opened, lost, assigned)


def _intent(row: tuple[Any, ...]) -> Intent:
    position, stream, kind, _, recorded_at, _, state, actor, via, ref, _, open_kfid, customer, servicer, _ = row
    return Intent(
        position=position, stream=stream, kind=as_text(kind), open_kfid=as_text(open_kfid),
        external_userid=as_text(customer), to=state, servicer_userid="" if servicer is None else as_text(servicer),
        via="" if via is None else as_text(via), msgid=as_text(ref), actor=as_text(actor), recorded_at=recorded_at,
    )  # fmt: skip
