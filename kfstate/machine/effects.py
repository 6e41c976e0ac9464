"""What taking a row does to the folded state: the only place where a state changes."""

from kfstate.machine.entry import Entry
from kfstate.machine.spec import Clockwork, Row
from kfstate.machine.state import STRONG, WEAK, SessionState

__all__ = ["apply", "expiry"]

_FINISHED, _MANUAL, _QUEUE = 4, 3, 2
_WINDOW_ERRORS = frozenset({95001, 95002})


def apply(clockwork: Clockwork, state: SessionState, entry: Entry, row: Row) -> None:
    """Change ``state``, in place, as this row of the table says for this entry."""
    state.second = second = entry.sort_second
    before = state.service_state
    if row.dest is not None:
        _move(clockwork, state, entry, row)
    elif row.effect == "open_and_close":
        _open(clockwork, state, entry, row)
        _hand_on(state, entry, None)
        state.since = second
        state.doubtful_from = state.expires_at = None
    elif row.effect == "end" and state.evidence in WEAK:
        state.since = second
    kind = entry.kind if entry.as_kind is None else entry.as_kind
    if kind == "customer_message" and row.outcome != "ignored":
        state.last_customer_message = second
        state.sends = 0
        state.expires_at = expiry(clockwork, state)
    elif entry.counts and row.outcome != "ignored":
        state.sends = max(0, state.sends + entry.counts)
    if entry.errcode in _WINDOW_ERRORS and row.outcome == "refused":
        state.sends = max(state.sends, clockwork.send_limit)
    if row.evidence is not None:
        _decide(clockwork, state, entry, row, before)
    if row.doubt is not None:
        state.doubt = row.doubt
    elif state.doubt == "none" and state.doubtful_from is not None and second >= state.doubtful_from:
        state.doubt = "over_48h"


def expiry(clockwork: Clockwork, state: SessionState) -> int | None:
    """Return the second at which the session of this state ends by itself; None where none runs."""
    if state.service_state == _FINISHED or state.opened is None:
        return None
    anchor = state.opened
    if clockwork.expiry_anchor == "last_customer_message" and state.last_customer_message is not None:
        anchor = max(anchor, state.last_customer_message)
    return anchor + clockwork.expires_after


def _move(clockwork: Clockwork, state: SessionState, entry: Entry, row: Row) -> None:
    if row.evidence == "timer":
        _keep(state)
    elif row.effect == "restore":
        _restore(clockwork, state, entry.sort_second)
    before, after = state.service_state, int(row.dest)  # type: ignore[arg-type]  # the caller saw that it is there
    servicer = entry.servicer_to if after == _MANUAL else None
    if row.effect == "restore" and after == _MANUAL and servicer is None:
        servicer = state.servicer
    if after != before:
        state.since = entry.sort_second
        state.queued_since = entry.sort_second if after == _QUEUE else None
    _hand_on(state, entry, servicer)
    state.service_state = after
    if before == _FINISHED and after != _FINISHED:
        _open(clockwork, state, entry, row)
        _forget(state)
    elif after == _FINISHED:
        state.doubtful_from = state.expires_at = None


def _keep(state: SessionState) -> None:
    state.kept, state.kept_servicer = state.service_state, state.servicer
    state.kept_previous_servicer, state.kept_since = state.previous_servicer, state.since


def _restore(clockwork: Clockwork, state: SessionState, second: int) -> None:
    """Take up the session that a presumed expiry ended where it was; the entry is then folded onto it."""
    state.service_state, state.servicer = _FINISHED if state.kept is None else state.kept, state.kept_servicer
    state.previous_servicer, state.since = state.kept_previous_servicer, state.kept_since
    state.queued_since = state.since if state.kept == _QUEUE else None
    _forget(state)
    _anchor(clockwork, state, second)


def _forget(state: SessionState) -> None:
    state.kept = state.kept_servicer = state.kept_previous_servicer = state.kept_since = None


def _hand_on(state: SessionState, entry: Entry, servicer: int | str | None) -> None:
    """Set who serves, and who did before: whom the entry names as such, else whom the log says."""
    left = entry.servicer_from
    if left is None or left == servicer:
        left = state.servicer
    if left is not None and left != servicer:
        state.previous_servicer = left
    state.servicer = servicer


def _open(clockwork: Clockwork, state: SessionState, entry: Entry, row: Row) -> None:
    state.reopens = state.session_id if row.effect == "reopen" else None
    state.session += 1
    state.session_id = entry.position
    state.opened_by = row.opened_by
    _anchor(clockwork, state, entry.sort_second)


def _anchor(clockwork: Clockwork, state: SessionState, second: int) -> None:
    state.opened = second
    state.doubtful_from = second + clockwork.doubtful_after
    state.expires_at = expiry(clockwork, state)


def _decide(clockwork: Clockwork, state: SessionState, entry: Entry, row: Row, before: int) -> None:
    if row.outcome in {"moved", "repaired"} or state.evidence in WEAK:
        state.evidence = row.evidence or state.evidence
        state.decided = entry.sort_second
        if row.evidence != "timer":
            state.position = entry.position
        if before == _FINISHED == state.service_state:
            _forget(state)
    if row.evidence in STRONG:
        state.doubt = "none"
        if state.doubtful_from is not None and entry.sort_second >= state.doubtful_from:
            state.doubtful_from = entry.sort_second + clockwork.doubtful_after
