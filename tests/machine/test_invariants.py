"""What holds after every step of every history."""

import itertools
from collections.abc import Sequence

from hypothesis import given

from kfstate.machine import Entry, SessionState, Step, fold, initial
from kfstate.machine.state import STRONG
from tests.machine.random_histories import stories

__all__: list[str] = []

FINISHED, MANUAL, QUEUE = 4, 3, 2


def states(story: Sequence[Entry]) -> list[tuple[SessionState, Step, SessionState]]:
    """Return for each step the state before it and after it."""
    steps = fold(story)
    after = [step.state for step in steps]
    return list(zip([initial(), *after[:-1]], steps, after, strict=True))


@given(stories())
def test_servicer_only_while_served(story: list[Entry]) -> None:
    """`servicer` is null outside 3; the servicer before is kept, and known again when a session is restored."""
    for before, step, after in states(story):
        assert after.servicer is None or after.service_state == MANUAL
        restored = step.row.effect == "restore"
        assert after.previous_servicer is not None or before.previous_servicer is None or restored
        if before.servicer not in {None, after.servicer}:
            assert after.previous_servicer is not None


@given(stories())
def test_queued_since_only_in_queue(story: list[Entry]) -> None:
    """`queued_since` is there exactly while the conversation waits in the pool."""
    for _, step, after in states(story):
        assert (after.queued_since is not None) == (after.service_state == QUEUE)
        assert after.queued_since is None or after.queued_since <= step.entry.sort_second


@given(stories())
def test_only_what_runs_expires(story: list[Entry]) -> None:
    """`expires_at` is null exactly in 4; else it is later than the entry, and not before the doubt by age."""
    for _, step, after in states(story):
        assert (after.expires_at is None) == (after.service_state == FINISHED)
        assert (after.doubtful_from is None) == (after.service_state == FINISHED)
        assert after.expires_at is None or after.expires_at > step.entry.sort_second


@given(stories())
def test_sessions_are_numbered_on(story: list[Entry]) -> None:
    """The number of the session never falls, and grows by one exactly where FINISHED is left for a new session."""
    for before, step, after in states(story):
        restored = step.row.effect == "restore"
        left = step.before == FINISHED != after.service_state and not restored
        unseen = step.row.effect == "open_and_close"
        assert before.session + int(left or unseen) == after.session
        if left or unseen:
            assert step.entry.position == after.session_id
            assert step.entry.sort_second == after.opened
        else:
            assert before.session_id == after.session_id
        assert (after.session == 0) == (after.session_id is None)


@given(stories())
def test_only_a_presumed_end_is_restored(story: list[Entry]) -> None:
    """What a presumed end kept is there only in a 4 of weak evidence, and a restored session is what was kept."""
    for _, step, after in states(story):
        assert after.kept is None or (after.service_state == FINISHED and after.evidence == "timer")
        if step.row.effect == "restore":
            assert step.before == FINISHED
            assert step.entry.sort_second == after.opened


@given(stories())
def test_strong_evidence_clears_doubt(story: list[Entry]) -> None:
    """An event, an accepted call, a reading or a correction clears doubt, also that by age until 48 hours later."""
    for _, step, after in states(story):
        if step.row.evidence in STRONG:
            assert after.doubt == "none"
            assert after.doubtful_from is None or after.doubtful_from > step.entry.sort_second
        elif after.doubtful_from is not None and step.entry.sort_second >= after.doubtful_from:
            assert after.doubt != "none"


@given(stories())
def test_what_decides(story: list[Entry]) -> None:
    """The deciding entry is the one that moved or repaired, or the first strong one for a state concluded weakly."""
    for before, step, after in states(story):
        if step.outcome in {"moved", "repaired"}:
            assert (step.entry.position, step.row.evidence) == (after.position, after.evidence)
        elif step.row.evidence is None and step.expired_at is None:
            assert (before.position, before.evidence, before.decided) == (after.position, after.evidence, after.decided)


@given(stories())
def test_steps_join(story: list[Entry]) -> None:
    """Each step begins where the one before it ended, but for a presumed end between them; seconds never go back."""
    for before, step, after in states(story):
        if step.expired_at is None:
            assert (before.service_state, before.servicer) == (step.before, step.servicer_before)
        else:
            assert (before.expires_at, FINISHED, None) == (step.expired_at, step.before, step.servicer_before)
        assert step.session == after.session
        assert step.queued_since == after.queued_since
    for one, other in itertools.pairwise(fold(story)):
        assert one.entry.sort_second <= other.entry.sort_second


@given(stories())
def test_times_of_the_state(story: list[Entry]) -> None:
    """`since` is the second at which the state began; the last customer message is the latest that counted.

    A restored session goes on in the state that it was in, so that state began when it did.
    """
    for before, step, after in states(story):
        restored = step.row.effect == "restore" and after.service_state == (
            before.kept if step.expired_at is None else before.service_state
        )
        if step.before != after.service_state and not restored:
            assert step.entry.sort_second == after.since
        elif restored and step.expired_at is not None:
            assert before.since == after.since
        written = step.row.trigger == "customer_message"
        assert (step.entry.sort_second if written else before.last_customer_message) == after.last_customer_message
        assert after.sends >= 0
