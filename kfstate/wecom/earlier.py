"""Calls of ours that stand in the log: an intent, and what became of it."""

from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.errors import ConcurrentChangeError
from kfstate.store.dialect import as_text, query
from kfstate.wecom.intents import Intent

__all__ = ["Earlier", "Result", "concurrent", "read_earlier"]

_FACTS = (
    "SELECT e.position, e.kind, e.service_state, v.value, e.errcode, e.code, e.actor, e.via, e.ref, c.value, "
    "e.recorded_at, e.occurred_at, e.stream, e.sort_second FROM kf_entry e JOIN kf_stream s ON s.id = e.stream "
    "LEFT JOIN kf_name c ON c.id = s.customer LEFT JOIN kf_name v ON v.id = e.servicer_to WHERE "
)


@attrs.frozen
class Result:
    """An entry of ours, as far as calls look at it."""

    position: int
    kind: str
    to: int | None
    servicer_userid: str
    errcode: int | None
    code: str
    actor: str
    via: str
    msgid: str
    external_userid: str
    recorded_at: int
    occurred_at: int


@attrs.frozen
class Earlier:
    """An intent that stands in the log, and what became of it; no results: nobody knows yet."""

    intent: Result
    results: tuple[Result, ...]

    def result(self, *kinds: str) -> Result | None:
        """Return the last result of these kinds."""
        return next((one for one in reversed(self.results) if one.kind in kinds), None)


def read_earlier(conn: Connection, position: int) -> Earlier:
    """Return the intent at a position, and what became of it."""
    (row,) = query(conn, f"{_FACTS}e.position = ?", (position,))
    stream, second = row[12:]
    after = f"{_FACTS}e.stream = ? AND e.sort_second >= ? AND e.cause = ? ORDER BY e.position"
    return Earlier(_result(row), tuple(map(_result, query(conn, after, (stream, second, position)))))


def concurrent(open_kfid: str, external_userid: str, other: Result | Intent) -> ConcurrentChangeError:
    """Return what to raise where another intent for a conversation stands in the way."""
    return ConcurrentChangeError(
        open_kfid=open_kfid, external_userid=external_userid, intent=other.position, kind=other.kind,
        actor=other.actor, to=other.to, servicer_userid=other.servicer_userid, since=other.recorded_at,
    )  # fmt: skip


def _result(row: tuple[Any, ...]) -> Result:
    position, kind, state, servicer, errcode, code, actor, via, ref, customer, recorded_at, occurred_at, *_ = row
    texts = (as_text(value) if value is not None else "" for value in (servicer, code, actor, via, ref, customer))
    servicer, code, actor, via, ref, customer = texts
    return Result(
        position, as_text(kind), state, servicer, errcode, code, actor, via, ref, customer, recorded_at, occurred_at
    )
