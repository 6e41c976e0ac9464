"""Which conversations are worth a look at WeCom's own state, the most pressing first."""

from typing import Literal

import attrs
from sqlalchemy import Connection

from kfstate.queries.conversations import doubt_of
from kfstate.store.dialect import query

__all__ = ["Ages", "Suspect", "Why", "suspects"]

Why = Literal["doubtful", "manual", "queue", "untreated", "asked"]
"""``doubtful``: the state may be behind; ``manual``, ``queue``, ``untreated``: nothing has proved that state for long;
``asked``: none of these, but all of them were asked for."""
_WHYS: tuple[Why, ...] = ("doubtful", "manual", "queue", "untreated", "asked")


@attrs.frozen(kw_only=True)
class Ages:
    """After how many seconds without a sign of life a session is looked at: by its state."""

    manual: int = 600
    queue: int = 1800
    untreated: int = 1800


@attrs.frozen
class Suspect:
    """A conversation that should be read, and why."""

    stream: int
    open_kfid: str
    external_userid: str
    why: Why


_RECENT = 48 * 3600
# What proves a state, or shows that a servicer is at work. The range of seconds comes first: it is all that is read.
_SIGN = (
    "EXISTS (SELECT 1 FROM kf_entry e WHERE e.stream = c.stream AND e.sort_second > ? AND e.kind IN "
    "('servicer_message', 'session_status_change', 'state_changed', 'state_reading', 'correction'))"
)
_QUIET = f"c.since <= ? AND NOT {_SIGN}"


def suspects(
    conn: Connection, *, now: int, corp_id: str, limit: int, ages: Ages | None = None, everything: bool = False
) -> list[Suspect]:
    """Return whom to read as of ``now`` (seconds), at most ``limit``; no erased ones.

    Doubtful ones come first, with new customers (``first_seen``) behind the others. Then come MANUAL without a
    servicer's message, the pool, the rest; in each the longest wait first. Sessions that are over, and doubtful, come
    at the end: they may be many, and nobody waits in them.
    ``everything``: every session that runs, and then every conversation of the last 48 hours.
    """
    ages = ages or Ages()
    doubt, times = doubt_of(now)
    cases: list[str] = []
    values: list[int] = []
    # Most conversations are over, and nothing is doubtful about them: they are left out before anything is looked up.
    among, recent = "c.service_state IN (0, 1, 2, 3) OR c.doubt <> 'none' OR a.gap_until IS NOT NULL", list[int]()
    for rank, (states, age) in enumerate((("3", ages.manual), ("2", ages.queue), ("0, 1", ages.untreated)), 1):
        cases.append(f"WHEN c.service_state IN ({states}) AND {_QUIET} THEN {rank}")
        values += [now - age, now - age]
    if everything:
        cases.append(f"WHEN c.service_state <> 4 OR c.second > ? THEN {len(_WHYS) - 1}")
        values.append(now - _RECENT)
        among, recent = f"{among} OR c.second > ?", [now - _RECENT]
    ranked = (
        "SELECT c.stream AS stream, c.open_kfid AS open_kfid, n.value AS customer, "
        "CASE WHEN c.expires_at <= ? THEN 4 ELSE c.service_state END AS state, "
        f"c.since AS since, c.doubt AS doubt, CASE WHEN {doubt} <> 'none' THEN 0 WHEN c.expires_at <= ? THEN NULL "
        f"{' '.join(cases)} ELSE NULL END AS pressing FROM kf_conversation c "
        "JOIN kf_name n ON n.id = c.customer LEFT JOIN kf_account a ON a.open_kfid = c.open_kfid "
        f"WHERE n.corp_id = ? AND n.value IS NOT NULL AND ({among})"
    )
    rows = query(
        conn,
        f"SELECT r.stream, r.open_kfid, r.customer, r.pressing FROM ({ranked}) r WHERE r.pressing IS NOT NULL "
        "ORDER BY CASE WHEN r.state = 4 THEN 1 ELSE 0 END, r.pressing, "
        "CASE WHEN r.doubt = 'first_seen' THEN 1 ELSE 0 END, "
        "COALESCE(r.since, 0), r.stream LIMIT ?",
        (now, *times, now, *values, corp_id, *recent, limit),
    )
    return [Suspect(stream, open_kfid, customer, _WHYS[why]) for stream, open_kfid, customer, why in rows]
