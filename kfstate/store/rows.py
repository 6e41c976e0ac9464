"""The shapes that the store hands out: plain named tuples, because there are millions of them."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import attrs

from kfstate.errors import EnvelopeError

__all__ = [
    "AHEAD",
    "ENTRY_COLUMNS",
    "Appended",
    "Draft",
    "EntryRow",
    "Expected",
    "Head",
    "Result",
    "Stream",
    "StreamKey",
]

Expected = int | Literal["any", "new", "exists"]
"""What a caller expects of a stream's version: its exact number, or whether it exists at all."""


class EntryRow(NamedTuple):
    """One row of ``kf_entry``, column by column (docs/reference/tables.md).

    Times are microseconds since 1970-01-01 UTC, seconds are whole seconds; servicers are ``kf_name`` ids.
    """

    position: int
    stream: int
    kind: str
    sort_second: int
    tie: int
    change_type: int | None
    service_state: int | None
    servicer_from: int | None
    servicer_to: int | None
    errcode: int | None
    menu_click: int | None
    via: str | None
    counts: int | None
    again: int
    target: int | None
    as_kind: str | None
    version: int
    form: int
    kind_version: int
    occurred_at: int | None
    recorded_at: int
    origin: int | None
    msgtype: str | None
    ref: str
    fail_type: int | None
    reject_switch: int | None
    receiving: int | None
    stop_type: int | None
    code: str
    code_kind: str | None
    manage_privilege: int | None
    from_at: int | None
    actor: str
    cause: int | None
    pull: int | None
    ordinal: int | None
    commitment: bytes
    leaf: bytes
    chain: bytes


ENTRY_COLUMNS = EntryRow._fields
"""The columns of ``kf_entry`` in their order; the first 16 are what the fold reads."""


class StreamKey(NamedTuple):
    """What names a stream: ids as WeCom spells them, '' where the kind of stream has none.

    ``kind`` is ``conversation``, ``servicer`` (a servicer at an account), ``account``, ``unplaced`` or ``log``.
    """

    corp_id: str
    kind: str
    open_kfid: str = ""
    external_userid: str = ""
    servicer_userid: str = ""

    def label(self) -> str:
        """Return the key as one line for people."""
        return "/".join(part for part in self if part)


class Stream(NamedTuple):
    """One row of ``kf_stream``; ``customer`` and ``servicer`` are ``kf_name`` ids, 0 where there is none."""

    id: int
    corp_id: str
    kind: str
    open_kfid: str
    customer: int
    servicer: int


class Head(NamedTuple):
    """Where the log ends: the last row of ``kf_entry``, or what stands before the first one."""

    log_id: bytes
    created_at: int
    position: int
    chain: bytes
    recorded_at: int


class Draft(NamedTuple):
    """Everything known about an entry before the lock: made by ``facts`` (WeCom's) and ``envelope`` (our own).

    ``key`` is b"" where nothing can repeat (an own entry without idempotency key). ``own`` is 0 for WeCom's entries,
    1 for own ones, 2 for own ones whose ``occurred_at`` append raises to what was recorded before them. ``tie`` of an
    own entry is the low 28 bits only; append puts the microsecond above them. ``problem`` is '' or what is wrong.
    """

    stream: StreamKey
    kind: str
    occurred_at: int | None
    tie: int
    change_type: int | None
    service_state: int | None
    servicer_from: str
    servicer_to: str
    errcode: int | None
    menu_click: int | None
    via: str | None
    target: int | None
    as_kind: str | None
    origin: int | None
    msgtype: str | None
    ref: str
    fail_type: int | None
    reject_switch: int | None
    receiving: int | None
    stop_type: int | None
    code: str
    code_kind: str | None
    manage_privilege: int | None
    from_at: int | None
    actor: str
    cause: int | None
    ordinal: int | None
    body: bytes
    day: int
    key: bytes
    content: bytes
    own: int
    problem: str


class Result(NamedTuple):
    """What became of one draft.

    ``position`` is where it stands, or where the entry stands that it repeats (``duplicate``). ``again`` is 0 for a new
    msgid, 1 for a known msgid with other content and the same deciding facts (the fold ignores it), 2 with other facts.
    """

    position: int
    duplicate: bool
    again: int
    problem: str


@attrs.frozen
class Appended:
    """What an append did.

    ``rows`` are the new entries, ``head`` is the log's head after them, ``streams`` has the row of every stream that
    got one, ``created`` the ids of those that are new. ``repeats`` is draft index → position of what it repeats.
    """

    rows: list[EntryRow]
    head: Head
    streams: Mapping[StreamKey, Stream]
    created: frozenset[int]
    repeats: Mapping[int, int]
    late: frozenset[int]
    """Positions whose ``send_time`` lay more than a day ahead: the second of their arrival stands in."""
    stored: Sequence[tuple[int, int, Draft, tuple[int, ...]]]
    refused: Mapping[int, EnvelopeError] = attrs.field(factory=dict)
    """Draft index → why an own entry was left out; only where that was asked for."""

    @property
    def results(self) -> list[Result]:
        """One result per draft, in the order of the drafts. Worked out when asked for: most callers count only."""
        results = {at: Result(position, duplicate=True, again=0, problem="") for at, position in self.repeats.items()}
        for (at, position, draft, _), row in zip(self.stored, self.rows, strict=True):
            problem = draft.problem
            if position in self.late:
                problem = f"{problem}; {AHEAD}" if problem else AHEAD
            results[at] = Result(position, duplicate=False, again=row.again, problem=problem)
        return [results[at] for at in sorted(results)]


AHEAD = "send_time is more than a day ahead"
"""The problem of an entry whose time is not believed."""
