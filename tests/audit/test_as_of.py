"""P8: the state at T as it was known at K is what an engine would have said that had read no more than K by then."""

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given, settings

from kfstate import AsOf, Engine, KfServiceState
from kfstate.errors import ArgumentError, MachineError, UnknownConversationError
from kfstate.machine import compiled, definition, fingerprint
from kfstate.machine.table import SPEC
from kfstate.queries.views import as_json
from kfstate.store.dialect import bulk_insert
from kfstate.store.tables import kf_machine
from kfstate.testing import FrozenClock, page
from tests.engine.conftest import Fresh
from tests.engine.story import DAY2, KF, USER, Teller, change, own, said, wrote
from tests.engine.worlds import ASIDE, NOW, OURS, PEOPLE, REWRITING, STRANGE, Item, histories, play, seeded

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite")

WORDS = ASIDE + OURS + REWRITING + STRANGE
SAME = (
    "open_kfid", "external_userid", "service_state", "state", "servicer_userid", "previous_servicer_userid", "session",
    "session_id", "opened_by", "since", "queued_since", "evidence", "doubt", "position", "last_customer_message_at",
    "expires_at", "machine",
)  # fmt: skip
"""What the answer about then has in common with the answer about now."""


def at(second: float) -> datetime:
    """Return a time after the beginning of all stories."""
    return datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=second)


def now(clock: FrozenClock) -> datetime:
    """Return the time that the clock shows."""
    return datetime.fromtimestamp(clock.now() // 1_000_000, UTC)


def seen(view: Any) -> dict[str, Any]:
    """Return what both answers have, as JSON data."""
    return {name: as_json(getattr(view, name)) for name in SAME}


Answers = dict[str, Any]


def remembered(engine: Engine, clock: FrozenClock, told: list[tuple[datetime, int, Answers]]) -> None:
    """Note all that the engine says now."""
    found: Answers = {"queue": as_json(engine.queue()), "sessions": listed(engine.sessions())}
    for person in PEOPLE:
        try:
            found["/".join(person)] = seen(engine.state(*person)), as_json(engine.history(*person))
        except UnknownConversationError:
            found["/".join(person)] = None, []
    told.append((now(clock), engine.position(), found))


def listed(views: Iterable[Any]) -> list[Any]:
    """Return views in an order that does not depend on what was asked."""
    return sorted(as_json(list(views)), key=json.dumps)


def check_told(engine: Engine, told: list[tuple[datetime, int, Answers]]) -> None:
    """Assert that what was said at any time can be said again."""
    for time, position, answers in told:
        where = {"known_at": position}
        assert listed(engine.audit.queue(time, known_at=position)) == sorted(answers["queue"], key=json.dumps)
        assert listed(engine.audit.sessions(time, known_at=position)) == answers["sessions"], where
        for state in (KfServiceState.MANUAL, None):
            views = engine.audit.conversations(time, known_at=position, state=state)
            stated = {f"{view.open_kfid}/{view.external_userid}": seen(view) for view in views}
            assert {
                name: answer[0] for name, answer in answers.items()
                if "/" in name and answer[0] and (state is None or answer[0]["service_state"] == state)
            } == {name: answer for name, answer in stated.items() if name in answers}  # fmt: skip
        for open_kfid, user in PEOPLE:
            answer, steps = answers[f"{open_kfid}/{user}"]
            try:
                found = engine.audit.as_of(open_kfid, user, time, known_at=position)
            except UnknownConversationError:
                assert answer is None
                continue
            assert answer == (None if found.state is None else seen(found.state)), (user, time, position)
            assert position == found.known_at
            assert steps == as_json(engine.audit.history(open_kfid, user, time, known_at=position))


@settings(max_examples=12)
@given(items=histories(WORDS, max_size=18))
def test_what_was_said_can_be_said_again(fresh: Fresh, items: list[Item]) -> None:
    """Whatever came in, however late: as_of repeats every answer that the engine ever gave, from the log alone (P8)."""
    with fresh("as_of") as (engine, clock):
        told: list[tuple[datetime, int, Answers]] = []
        for part in range(0, len(items), 6):
            play(engine, clock, items[part : part + 6])
            remembered(engine, clock, told)
        check_told(engine, told)


def test_long_histories_can_be_said_again(fresh: Fresh) -> None:
    """The same after long seeded histories, with days between the questions."""
    for seed in range(3):
        with fresh("as_of") as (engine, clock):
            told: list[tuple[datetime, int, Answers]] = []
            for part in range(5):
                play(engine, clock, seeded(random.Random(seed * 10 + part), 25, WORDS))
                clock.advance(seed * 15 * 3600)
                remembered(engine, clock, told)
            check_told(engine, told)


def test_what_came_late(tell: Teller) -> None:
    """An end that came late: then the customer was being served, now the servicer had ended it; the end made that."""
    taken = tell(said(0), own(2, "state_changed", service_state=2), change(5, 1, new="li"))[-1]
    tell.at(1000)
    known = tell.engine.position()
    _, end = tell(wrote(50, "li"), change(100, 3, old="li"))
    tell(said(2000))
    found = tell.engine.audit.as_of(KF, USER, at(500), known_at=at(999))
    assert isinstance(found, AsOf)
    assert found.state is not None
    assert found.now is not None
    assert (known, KfServiceState.MANUAL, "li", taken) == (
        found.known_at, found.state.service_state, found.state.servicer_userid, found.state.position,
    )  # fmt: skip
    assert ("finished", None, "li", end) == (
        found.now.state, found.now.servicer_userid, found.now.previous_servicer_userid, found.now.position,
    )  # fmt: skip
    changed = {change.field: (change.then, change.now) for change in found.changes}
    assert ("manual", "finished") == changed["state"]
    assert "session" not in changed
    assert [end] == [entry.position for entry in found.learned]
    assert tell.engine.audit.as_of(KF, USER, at(3), known_at=at(999)).changes == ()
    assert tell.engine.audit.as_of(KF, USER, at(500), known_at=known).state == found.state
    assert tell.engine.audit.as_of(KF, USER, at(500)).state == found.now


def test_voided_for_every_time(tell: Teller) -> None:
    """A correction of today voids an entry of long ago, also for the question about then; not for who asks before."""
    taken = tell(said(0), change(5, 1, new="li"))[-1]
    (void,) = tell(own(5000, "correction", target=taken))
    found = tell.engine.audit.as_of(KF, USER, at(10), known_at=taken)
    assert found.state is not None
    assert found.now is not None
    assert ("manual", "untreated") == (found.state.state, found.now.state)
    assert [void] == [entry.position for entry in found.learned]


def test_presumed_end(tell: Teller) -> None:
    """When a session was due, and nothing more was known of it, it had ended; what is learned later changes that."""
    known = tell(said(0), own(5, "state_changed", service_state=3, servicer_userid="li"))[-1]
    (wrote_in,) = tell(said(DAY2 - 5))
    found = tell.engine.audit.as_of(KF, USER, at(DAY2 + 10), known_at=known)
    assert found.state is not None
    assert found.now is not None
    assert ("finished", "timer", "manual") == (found.state.state, found.state.evidence, found.now.state)
    assert [wrote_in] == [entry.position for entry in found.learned]


def test_gap_of_the_account(tell: Teller) -> None:
    """A gap in the account's history makes a state doubtful once it is known, until something strong comes."""
    known = tell(said(0), own(5, "state_changed", service_state=2))[-1]
    gap = {**own(100, "history_gap", from_at=NOW + 50), "external_userid": ""}
    (lost,) = tell(gap)
    (read,) = tell(own(200, "state_reading", service_state=2))
    doubts = [
        view.doubt for place in (known, lost, read)
        if (view := tell.engine.audit.as_of(KF, USER, at(300), known_at=place).state) is not None
    ]  # fmt: skip
    assert ["none", "history_gap", "none"] == doubts
    found = tell.engine.audit.as_of(KF, USER, at(300), known_at=lost)
    assert [read] == [entry.position for entry in found.learned]
    found = tell.engine.audit.as_of(KF, USER, at(150), known_at=known)
    assert [("doubt", "none", "history_gap")] == [(one.field, one.then, one.now) for one in found.changes]
    assert [lost] == [entry.position for entry in found.learned]


def test_before_it_was_known(tell: Teller) -> None:
    """Before the first entry of a conversation nothing is known of it; one that the log never had is an error."""
    tell(said(0), wrote(30, "li"))
    found = tell.engine.audit.as_of(KF, USER, at(10), known_at=1)
    assert (None, 1) == (found.state, found.known_at)
    assert found.now is not None
    assert found.now.state == "untreated"
    assert len(found.changes) > 5
    assert tell.engine.audit.as_of(KF, USER, at(10), known_at=at(-10)).known_at == 0
    early = tell.engine.audit.as_of(KF, USER, at(-10))
    assert early.state is not None
    assert ("finished", "initial", 0) == (early.state.state, early.state.evidence, early.state.session)
    with pytest.raises(UnknownConversationError):
        tell.engine.audit.as_of(KF, "nobody")


def test_places_in_the_log(engine: Engine, clock: FrozenClock) -> None:
    """A time is found at the last commit until then, whatever lies between; a commit is known as a whole."""
    times = []
    for number in range(40):
        clock.advance(1 + number % 5)
        report = engine.ingest(page([said(number, msgid=f"a{number}"), said(number, msgid=f"b{number}")]), account=KF)
        times.append((now(clock), report.position))
    for time, position in times:
        assert position == engine.audit.as_of(KF, USER, known_at=time).known_at
        assert position == engine.audit.as_of(KF, USER, known_at=time + timedelta(microseconds=999_999)).known_at
    assert times[-1][1] == engine.audit.as_of(KF, USER, known_at=10**12).known_at


def test_what_cannot_be_asked(engine: Engine, tell: Teller) -> None:
    """A time without a zone, a position below 0, and a machine that the log never had, are refused."""
    tell(said(0))
    for bad in (datetime(2026, 1, 1), datetime(2026, 1, 1).time()):  # noqa: DTZ001 (that is the point)
        with pytest.raises((ArgumentError, AttributeError)):
            engine.audit.as_of(KF, USER, bad)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError):
        engine.audit.as_of(KF, USER, known_at=-1)
    with pytest.raises(MachineError, match="does not know"):
        engine.audit.as_of(KF, USER, machine="no such machine")


@pytest.mark.parametrize("hours", [-23, 0, 23])
def test_times_that_some_zone_lacks(tell: Teller, hours: int) -> None:
    """At both ends of what a time can be, and where there is none: an answer, or a clear error."""
    (position,) = tell(said(0))
    audit, zone = tell.engine.audit, timezone(timedelta(hours=hours))
    for time in (datetime.min.replace(tzinfo=zone), datetime.max.replace(tzinfo=zone)):
        for ask in (audit.as_of, audit.report, audit.timeline, audit.history):
            with pytest.raises(ArgumentError, match="a time from"):
                ask(KF, USER, time)
    for time in (datetime(1, 1, 5, tzinfo=zone), datetime(9999, 12, 27, tzinfo=zone)):
        for ask in (audit.as_of, audit.report, audit.timeline, audit.history):
            ask(KF, USER, time)
    for other in (0, -1, position + 1, 1 << 70):
        with pytest.raises(ArgumentError, match="1 to"):
            audit.explain(other)


def test_machine_that_was_live(tell: Teller, clock: FrozenClock) -> None:
    """By default the machine folds that was live at K, from its definition in the log; any known one may be named."""
    (first,) = tell(said(0))
    spec = attrs.evolve(SPEC, version="hasty", clockwork=attrs.evolve(SPEC.clockwork, expires_after=60))
    text = json.dumps(definition(spec), sort_keys=True)
    with tell.engine._writing() as conn:
        bulk_insert(conn, kf_machine, [(fingerprint(spec), "hasty", text, clock.now())])
    switched = tell.engine.record(
        {"kind": "machine_activated", "actor": "test", "fingerprint": fingerprint(spec)}
    ).position
    tell.at(100)
    back = tell.engine.record({"kind": "machine_activated", "actor": "test", "fingerprint": fingerprint(SPEC)}).position
    audit = tell.engine.audit
    found = [audit.as_of(KF, USER, at(90), known_at=place).state for place in (first, switched, back)]
    assert [("untreated", "1"), ("finished", "hasty"), ("untreated", "1")] == [
        (view.state, view.machine) for view in found if view is not None
    ]
    for name in ("hasty", fingerprint(spec), compiled(spec)):
        named = audit.as_of(KF, USER, at(90), machine=name)
        assert named.state == named.now
        assert named.state is not None
        assert named.state.expires_at is None
    between = audit.as_of(KF, USER, at(90), known_at=switched)
    assert () == between.learned
    assert ("machine", "hasty", "1") in [(one.field, one.then, one.now) for one in between.changes]
    assert [] == audit.queue(at(90), machine="hasty")


@pytest.mark.parametrize("version", ["hasty", "another", "fingerprint"])
def test_machine_that_was_changed(tell: Teller, clock: FrozenClock, version: str) -> None:
    """A definition is believed only where it is what its fingerprint was made of, by whatever name it is asked for."""
    tell(said(0))
    spec = attrs.evolve(SPEC, version="hasty", clockwork=attrs.evolve(SPEC.clockwork, expires_after=60))
    known = fingerprint(spec)
    changed = definition(attrs.evolve(SPEC, version=known if version == "fingerprint" else version))
    with tell.engine._writing() as conn:
        bulk_insert(conn, kf_machine, [(known, "hasty", json.dumps(changed), clock.now())])
    tell.engine.record({"kind": "machine_activated", "actor": "test", "fingerprint": known})
    for machine in (None, known, "hasty"):
        with pytest.raises(MachineError, match="was changed"):
            tell.engine.audit.as_of(KF, USER, machine=machine)
    damage = tell.engine.verify().damage
    assert damage is not None
    assert "not what its fingerprint was made of" in damage.reason


def test_a_machine_named_as_another(tell: Teller, clock: FrozenClock) -> None:
    """A fingerprint names the machine that has it, whatever version another one gives itself."""
    tell(said(0))
    spec = attrs.evolve(SPEC, version="hasty", clockwork=attrs.evolve(SPEC.clockwork, expires_after=60))
    other = attrs.evolve(spec, version=fingerprint(spec), clockwork=SPEC.clockwork)
    with tell.engine._writing() as conn:
        for number, one in enumerate((spec, other)):
            row = fingerprint(one), one.version, json.dumps(definition(one)), clock.now() + number
            bulk_insert(conn, kf_machine, [row])
    found = tell.engine.audit.as_of(KF, USER, at(90), machine=fingerprint(spec)).state
    assert found is not None
    assert "hasty" == found.machine


def test_machine_of_another_release(tell: Teller, clock: FrozenClock) -> None:
    """A machine whose guards this release does not have is refused, not guessed at."""
    tell(said(0))
    spec = attrs.evolve(SPEC, version="later", semantics=SPEC.semantics + 1)
    with tell.engine._writing() as conn:
        bulk_insert(conn, kf_machine, [(fingerprint(spec), "later", json.dumps(definition(spec)), clock.now())])
    with pytest.raises(MachineError, match="semantics"):
        tell.engine.audit.as_of(KF, USER, machine="later")


def test_who_waits_for_long(tell: Teller) -> None:
    """Who has waited without a word for almost two days is in the queue of then, until the end is presumed."""
    tell(said(0), own(5, "state_changed", service_state=2))
    for second, waiting in ((DAY2 - 1, [DAY2 - 6]), (DAY2, [])):
        assert waiting == [view.waiting_seconds for view in tell.engine.audit.queue(at(second))]
        assert len(waiting) == len(tell.engine.audit.sessions(at(second), running=True))
    assert 1 == len(tell.engine.audit.sessions(at(DAY2), running=False))


def test_what_was_learned_is_exact(fresh: Fresh) -> None:
    """The entries that made a difference are those with which, position by position, the answer changed."""
    for seed in range(3):
        with fresh("as_of") as (engine, clock):
            for part in range(3):
                play(engine, clock, seeded(random.Random(seed * 10 + part), 15, WORDS))
            time = at(random.Random(seed).randrange(clock.now() // 1_000_000 - NOW))
            for open_kfid, user in PEOPLE[:2]:
                answers = [
                    engine.audit.as_of(open_kfid, user, time, known_at=position).state
                    for position in range(engine.position() + 1)
                ]
                changed = [place for place in range(1, len(answers)) if answers[place] != answers[place - 1]]
                middle = len(answers) // 2
                for known in (0, middle):
                    found = engine.audit.as_of(open_kfid, user, time, known_at=known)
                    places = [place for place in changed if place > known] if found.changes else []
                    assert places == [entry.position for entry in found.learned], (seed, user, known)
