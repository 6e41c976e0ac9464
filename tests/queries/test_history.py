"""Every state explains itself (P4): steps, their reasons and revisions, the deciding entry, the log."""

import random
from typing import Any

import pytest
from hypothesis import given, settings

from kfstate.engine import Engine
from kfstate.machine import MACHINE, Entry, Step, fold
from kfstate.queries.views import as_json
from kfstate.service_state import KfServiceState
from kfstate.store.dialect import query
from kfstate.store.read import names_by_id, stream_entries
from kfstate.testing import FrozenClock, customer_message, message, page
from tests.engine.conftest import Fresh
from tests.engine.story import DAY2, KF, USER, Teller, change, entered, own, said, wrote
from tests.engine.tables import rows
from tests.engine.worlds import ASIDE, NOW, OURS, REWRITING, STRANGE, Item, histories, play, seeded

__all__: list[str] = []

TO_LI: dict[str, Any] = {"service_state": 3, "servicer_userid": "li"}
WORDS = ASIDE + OURS + REWRITING + STRANGE


def named(engine: Engine, stream: int) -> list[Entry]:
    """Return what the fold reads of a stream, with names in place of ids."""
    with engine._reading() as conn:
        entries = stream_entries(conn, stream)
        ids = {id_ for entry in entries for id_ in (entry.servicer_from, entry.servicer_to) if isinstance(id_, int)}
        names = names_by_id(conn, ids)
    return [
        entry._replace(
            servicer_from=names.get(entry.servicer_from),  # type: ignore[arg-type]  # in the log servicers are ids
            servicer_to=names.get(entry.servicer_to),  # type: ignore[arg-type]
        )
        for entry in entries
    ]


def reason(step: Step) -> str | None:
    """Return the reason that a history must give for a step."""
    if not step.missing or not step.reason:
        return step.reason
    return f"{step.reason} (not seen: {', '.join(KfServiceState(state).word for state in step.missing)})"


def check_explained(engine: Engine) -> None:
    """Assert that each step says what the pure fold says, and that each state has a deciding entry that explains it."""
    conversations = rows(
        engine,
        "SELECT s.id, s.open_kfid, n.value FROM kf_stream s JOIN kf_name n ON n.id = s.customer "
        "WHERE s.kind = 'conversation'",
    )
    for stream, open_kfid, user in conversations:
        steps = fold(named(engine, stream))
        found = engine.history(open_kfid, user, as_of_log=True)
        told = [
            (view.position, view.kind, view.outcome, view.before, view.after, view.servicer_before, view.servicer_after,
             view.session, view.reason, view.evidence, view.doubt)
            for view in found if view.position is not None
        ]  # fmt: skip
        assert [
            (step.entry.position, step.entry.kind, step.outcome, KfServiceState(step.before).word,
             step.state_after.word, step.servicer_before, step.state.servicer, step.session, reason(step),
             step.state.evidence, step.state.doubt)
            for step in steps
        ] == told  # fmt: skip
        assert [step.expired_at for step in steps if step.expired_at is not None] == [
            int(view.occurred_at.timestamp()) for view in found if view.position is None and view.occurred_at
        ]
        for as_of_log in (True, False):
            check_state(engine, open_kfid, user, as_of_log=as_of_log)


def check_state(engine: Engine, open_kfid: str, user: str, *, as_of_log: bool) -> None:
    """Assert that history and explanation end where the state is."""
    view = engine.state(open_kfid, user, as_of_log=as_of_log)
    last = engine.history(open_kfid, user, as_of_log=as_of_log)[-1]
    assert (view.state, view.servicer_userid, view.session) == (last.after, last.servicer_after, last.session)
    explanation = engine.explain(open_kfid, user, as_of_log=as_of_log)
    assert view.doubt == explanation.doubt
    assert explanation.reason
    if explanation.entry is None or explanation.transition is None:
        assert (None, "initial") == (view.position, view.evidence)
    else:
        assert (view.position, view.state) == (explanation.entry.position, explanation.transition.after)
        assert explanation.transition.name in MACHINE.rows


@settings(max_examples=40)
@given(items=histories(WORDS))
def test_any_history_is_explained(fresh: Fresh, items: list[Item]) -> None:
    """After any history every step and every state says why, in the words of the machine."""
    with fresh("explained") as (engine, clock):
        play(engine, clock, items)
        check_explained(engine)


def test_long_histories_are_explained(fresh: Fresh) -> None:
    """The same after long seeded histories, and at later times."""
    for seed in range(8):
        with fresh("explained") as (engine, clock):
            play(engine, clock, seeded(random.Random(seed), 90, WORDS))
            clock.advance(seed * 15 * 3600)
            check_explained(engine)


def test_moved(tell: Teller) -> None:
    """A plain move names the entry with its payload, and the transition; no reason is needed in the history."""
    _, position = tell(said(0, msgid="m1"), change(5, 1, new="li", msgid="m2") | {"note": "as it came"})
    tell(said(9))
    explanation = tell.engine.explain(KF, USER)
    assert explanation.entry is not None
    assert (position, "session_status_change", "as it came", "li") == (
        explanation.entry.position, explanation.entry.kind, explanation.entry.payload["note"],
        explanation.entry.servicer_userid,
    )  # fmt: skip
    tell(own(20, "state_changed", service_state=4), said(30), own(35, "state_changed", service_state=2))
    found = as_json(tell.engine.explain(KF, USER))
    assert {
        "name": "changed.to_queue", "trigger": "state_changed/2", "before": "untreated", "after": "queue",
        "guard": None, "outcome": "moved",
    } == found["transition"]  # fmt: skip
    assert ([], "our call set queue", "none") == (found["missing"], found["reason"], found["doubt"])
    assert [None, None] == [step.reason for step in tell.engine.history(KF, USER)[-2:]]


def test_repaired(tell: Teller) -> None:
    """A repair says what the log had, what came, and which hops nobody saw."""
    tell(said(0), own(2, "state_changed", service_state=1), change(5, 1, new="li"))
    explanation = tell.engine.explain(KF, USER)
    why = "li took the customer from the pool, but the log says robot (servicer nobody): a change was missed"
    assert (("queue",), why, "none") == (explanation.missing, explanation.reason, explanation.doubt)
    assert explanation.transition is not None
    assert ("taken.unexpectedly", "robot", "manual", "repaired") == (
        explanation.transition.name, explanation.transition.before, explanation.transition.after,
        explanation.transition.outcome,
    )  # fmt: skip
    assert f"{why} (not seen: queue)" == tell.engine.history(KF, USER)[-1].reason


@pytest.mark.parametrize("met", [False, True], ids=["as of now", "met by an entry"])
def test_presumed_expiry(tell: Teller, *, met: bool) -> None:
    """A presumed expiry is explained by the clock and by what decided before; the history shows it where it was due."""
    position = tell(said(0), own(5, "state_changed", **TO_LI))[-1]
    if met:
        tell(entered(DAY2 + 9))
    tell.at(DAY2 + 20)
    explanation = tell.engine.explain(KF, USER)
    assert explanation.entry is not None
    assert explanation.transition is not None
    assert (position, "expired", "manual", "finished", "expiry_presumed", ()) == (
        explanation.entry.position, explanation.transition.name, explanation.transition.before,
        explanation.transition.after, explanation.doubt, explanation.missing,
    )  # fmt: skip
    assert "48 hours passed without a message of the customer; before that: our call set manual" == explanation.reason
    steps = tell.engine.history(KF, USER)
    expiry = next(step for step in steps if step.kind == "expiry")
    assert (None, "moved", "manual", "finished", "li", None, 1, "timer", "expiry_presumed", None) == (
        expiry.position, expiry.outcome, expiry.before, expiry.after, expiry.servicer_before, expiry.servicer_after,
        expiry.session, expiry.evidence, expiry.doubt, expiry.recorded_at,
    )  # fmt: skip
    assert expiry.occurred_at is not None
    assert NOW + DAY2 == expiry.occurred_at.timestamp()
    kinds = ["customer_message", "state_changed", "expiry"] + ["enter_session"] * met
    assert kinds == [step.kind for step in steps]
    assert kinds[: None if met else 2] == [step.kind for step in tell.engine.history(KF, USER, as_of_log=True)]


def test_unknown(tell: Teller) -> None:
    """An entry that no rule knows stays, says so, and does not decide."""
    first, unknown = tell(said(0), message(7, "hologram", {}, NOW + 5, open_kfid=KF, external_userid=USER))
    assert ("unknown", "untreated", "untreated", "no rule knows this message") == (
        (step := tell.engine.history(KF, USER)[-1]).outcome, step.before, step.after, step.reason,
    )  # fmt: skip
    explanation = tell.engine.explain(KF, USER)
    assert explanation.entry is not None
    assert (first, unknown) == (explanation.entry.position, step.position)


def test_nothing_has_decided(tell: Teller) -> None:
    """A conversation of which nothing is decided yet says that."""
    tell(entered(0))
    explanation = tell.engine.explain(KF, USER)
    assert (None, None, "no entry has decided the state yet", "first_seen") == (
        explanation.entry, explanation.transition, explanation.reason, explanation.doubt,
    )  # fmt: skip


def test_straggler_says_its_age(tell: Teller) -> None:
    """A late message of the servicer before says how many seconds after the change it came."""
    tell(said(0), own(5, "state_changed", **TO_LI), change(100, 2, old="li", new="wang"), wrote(107, "li"))
    assert (
        "li wrote 7 s after wang began to serve: a late message of the servicer before"
        == tell.engine.history(KF, USER)[-1].reason
    )


def test_revised_steps_stay(tell: Teller) -> None:
    """A late entry revises steps: the old revisions stay in ``kf_step``, the greatest known_from is current."""
    first, second = tell(said(0), wrote(30, "li"))
    before = rows(tell.engine, "SELECT * FROM kf_step")
    (late,) = tell(change(20, 1, new="li"))
    assert set(before) < set(rows(tell.engine, "SELECT * FROM kf_step"))
    steps = "SELECT position, known_from, transition FROM kf_step WHERE position > 1 ORDER BY position, known_from"
    assert [
        (first, first, "customer.opened"),
        (second, second, "servicer.routed_silently"),
        (second, late, "servicer.wrote"),
        (late, late, "taken.unexpectedly"),
    ] == rows(tell.engine, steps)
    assert [(first, "moved"), (late, "repaired"), (second, "stayed")] == [
        (step.position, step.outcome) for step in tell.engine.history(KF, USER)
    ]


def test_what_stays_is_not_revised(tell: Teller) -> None:
    """A late entry that changes nothing of what came after it revises nothing."""
    tell(said(0), own(5, "state_changed", **TO_LI), wrote(30, "li"), wrote(50, "li"))
    tell(said(20))
    assert [] == rows(tell.engine, "SELECT position FROM kf_step GROUP BY position HAVING COUNT(*) > 1")


def test_voided_and_decoded_again(tell: Teller) -> None:
    """A voided entry is ignored and says why; voiding that correction brings it back; so it is with decodings."""
    _, taken, _ = tell(said(0), change(5, 1, new="li"), said(DAY2 - 60))
    (void,) = tell(own(DAY2, "correction", target=taken))
    assert "untreated" == tell.state.state
    assert ("ignored", "a correction voids this entry") == (
        (step := tell.engine.history(KF, USER)[1]).outcome, step.reason,
    )  # fmt: skip
    tell(own(DAY2 + 5, "correction", target=void))
    assert ("manual", "li") == (tell.state.state, tell.state.servicer_userid)
    again = own(0, "redecoded", target=taken, as_kind="session_status_change", change_type=3)
    (decoded,) = tell({**again, "occurred_at": None})
    kinds = [(step.position, step.outcome) for step in tell.engine.history(KF, USER)]
    assert (taken, "ignored") in kinds
    assert kinds.index((decoded, "repaired")) < 4
    assert ("untreated", 2) == (tell.state.state, tell.state.session)


def test_events(tell: Teller) -> None:
    """The log is listed by position with payloads and names, from any position on, any number."""
    tell(said(0, msgid="m1"), wrote(5, "Li"), own(9, "state_changed", reason="vip", **TO_LI))
    first, second, third, fourth = tell.engine.read_all()
    assert ["log", "conversation"] == [first.stream, second.stream]
    assert ("machine_activated", "kfstate", 1) == (first.kind, first.actor, first.position)
    assert ("m1", KF, USER, None, 1) == (
        second.payload["msgid"], second.open_kfid, second.external_userid, second.servicer_userid, second.version,
    )  # fmt: skip
    assert ("Li", "Li", "vip", "test") == (
        third.servicer_userid, fourth.servicer_userid, fourth.payload["reason"], fourth.actor,
    )  # fmt: skip
    assert [3, 4] == [entry.position for entry in tell.engine.read_all(after=2)]
    assert [2, 3] == [entry.position for entry in tell.engine.read_all(after=1, limit=2)]
    assert [] == list(tell.engine.read_all(limit=0))
    links = [bytes(chain).hex() for (chain,) in rows(tell.engine, "SELECT chain FROM kf_entry ORDER BY position")]
    assert links == [entry.chain for entry in tell.engine.read_all()]


def test_events_of_many(engine: Engine, clock: FrozenClock) -> None:
    """More than a page of entries are listed once each; erased payloads are None."""
    engine.ingest(page([customer_message(KF, f"wm{number % 9}", NOW + number) for number in range(2_500)]))
    clock.advance(1)
    with engine._writing() as conn:
        query(conn, "UPDATE kf_payload SET salt = NULL, body = NULL WHERE position = 7")
    found = list(engine.read_all(limit=10_000))
    assert list(range(1, 2_502)) == [entry.position for entry in found]
    assert [7] == [entry.position for entry in found if entry.payload is None]
    assert 1_700 == len(list(engine.read_all(limit=1_700)))
