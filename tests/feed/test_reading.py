"""``read_all``: the log in order, checkpoints that know their log, events with the steps of their commit."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from kfstate import Checkpoint, CheckpointError, Event, Upcaster, UpcasterError
from kfstate.engine import Engine
from kfstate.feed import read_events
from kfstate.store.checkpoint import checkpoint_at
from kfstate.store.dialect import query
from kfstate.store.upcasting import Upcasters
from kfstate.testing import FrozenClock, page
from tests.engine.story import DAY2, KF, USER, Teller, change, own, said, wrote
from tests.feed.words import append
from tests.servers.databases import NOW

__all__: list[str] = []


def events(engine: Engine, after: int = 0, limit: int = 1000) -> list[Event]:
    """Return the events after a position."""
    with engine._reading() as conn:
        return read_events(conn, after, limit)


def test_read_all_goes_on_from_a_checkpoint(engine: Engine) -> None:
    """A checkpoint goes through a text and back, and reading goes on after it."""
    append(engine, *range(5))
    first, second, *rest = engine.read_all()
    again = Checkpoint.parse(str(second.checkpoint))
    assert again == second.checkpoint == Checkpoint(2, second.chain)
    assert rest == list(engine.read_all(after=again)) == list(engine.read_all(after=2))
    assert [second, rest[0]] == list(engine.read_all(after=first.checkpoint, limit=2))
    assert [] == list(engine.read_all(after=rest[-1].checkpoint))
    assert [] == list(engine.read_all(after=100))


def test_read_all_from_the_beginning_of_this_log(engine: Engine) -> None:
    """The checkpoint of position 0 is that of the log, not of any log."""
    append(engine, 1)
    with engine._reading() as conn:
        beginning = checkpoint_at(conn, 0)
    assert [1, 2] == [entry.position for entry in engine.read_all(after=beginning)]
    with pytest.raises(CheckpointError):
        next(engine.read_all(after=Checkpoint(0, "11" * 32)))


@pytest.mark.parametrize(
    "text", ["", "5", "5:", ":aa", "-1:" + "aa" * 32, "5:" + "aa" * 31, "5:" + "zz" * 32, "五:" + "aa" * 32]
)
def test_texts_that_are_no_checkpoints(text: str) -> None:
    """What is no checkpoint is refused."""
    with pytest.raises(ValueError, match=r".+"):
        Checkpoint.parse(text)


def test_checkpoint_of_another_log_is_refused(engine: Engine) -> None:
    """A position that means another entry, or none, is recognised; the error says what was expected and found."""
    append(engine, *range(3))
    third = list(engine.read_all())[2]
    with pytest.raises(CheckpointError) as caught:
        next(engine.read_all(after=Checkpoint(3, "ab" * 32)))
    assert (3, third.chain, "ab" * 32) == (caught.value.position, caught.value.found, caught.value.expected)
    with pytest.raises(CheckpointError) as caught:
        next(engine.read_all(after=Checkpoint(9, third.chain)))
    assert (9, "") == (caught.value.position, caught.value.found)


@pytest.mark.databases("sqlite")
def test_log_that_lost_its_tail_is_refused(url: str, tmp_path: Path) -> None:
    """After a restore the log goes on otherwise: a reader who had read what is gone is told, and skips nothing."""
    file, backup = Path(url.removeprefix("sqlite:///")), tmp_path / "backup.db"
    clock = FrozenClock.at(NOW)
    with Engine(url, clock=clock) as engine:
        append(engine, 1)
    shutil.copy(file, backup)
    with Engine(url, clock=clock) as engine:
        append(engine, 2, 3)
        *_, last = engine.read_all()
    shutil.copy(backup, file)
    with Engine(url, clock=clock) as engine:
        with pytest.raises(CheckpointError):
            next(engine.read_all(after=last.checkpoint))
        append(engine, 4, 5, 6)
        with pytest.raises(CheckpointError):
            next(engine.read_all(after=last.checkpoint))


def test_no_transaction_stays_open_between_pages(engine: Engine) -> None:
    """Who stops in the middle of reading keeps nobody from anything."""
    append(engine, *range(3))
    reading = engine.read_all()
    next(reading)
    assert 0 == engine._database.engine.pool.checkedout()  # type: ignore[attr-defined]  # of the pools that we use


def test_events_have_the_steps_of_their_commit(tell: Teller) -> None:
    """An event has the step that its commit made of the entry, also when a later one revised it."""
    tell(said(0), change(20, 1, new="li"), said(30))
    before = events(tell.engine)
    tell(change(10, 1, new="wu"))
    after = events(tell.engine)
    assert before == after[:4]
    assert [(), (2,), (3,), (4,), (5,)] == [tuple(step.position for step in event.steps) for event in after]
    (late,) = after[4:]
    assert [3] == [step.position for step in late.revised]
    assert ("untreated", "manual") == (after[2].steps[0].before, late.revised[0].before)
    assert {step.position: step for step in tell.engine.history(KF, USER, as_of_log=True)}[3] == late.revised[0]
    assert [()] * 4 == [event.revised for event in after[:4]]


def test_revised_steps_come_with_the_first_entry_that_went_back(tell: Teller) -> None:
    """Of a commit of several entries, the first that made the fold go back has what was revised, in any batch."""
    tell(said(0), change(20, 1, new="li"), said(30))
    tell.engine.ingest(page([said(40), change(10, 1, new="wu"), change(5, 1, new="x"), said(50)]))
    whole = events(tell.engine)
    assert [6] == [event.position for event in whole if event.revised]
    assert 8 == whole[-1].position
    one_by_one = [event for after in range(len(whole)) for event in events(tell.engine, after, 1)]
    assert whole == one_by_one


def test_voided_entries_are_revised(tell: Teller) -> None:
    """A correction has the step of the entry that it voids."""
    _, taken = tell(said(0), change(5, 1, new="li"))
    tell(own(90, "correction", target=taken))
    *_, voiding = events(tell.engine)
    assert [(taken, "ignored")] == [(step.position, step.outcome) for step in voiding.revised]


def test_expiry_that_an_entry_met_is_told(tell: Teller) -> None:
    """Before the step of the entry stands the presumed end that the fold met with it."""
    tell(said(0), said(DAY2 + 10))
    *_, event = events(tell.engine)
    expiry, step = event.steps
    assert (None, "expiry", "untreated", "finished", 1) == (
        expiry.position, expiry.kind, expiry.before, expiry.after, expiry.session,
    )  # fmt: skip
    assert (event.position, "finished", "untreated", 2) == (step.position, step.before, step.after, step.session)


def test_steps_say_what_the_history_says(tell: Teller) -> None:
    """A straggler's reason has the age that the history says, too."""
    tell(said(0), change(5, 1, new="li"), change(20, 2, old="li", new="wu"), wrote(22, "li"))
    *_, event = events(tell.engine)
    assert tell.engine.history(KF, USER, as_of_log=True)[-1:] == list(event.steps)


def test_events_wait_for_the_projections(engine: Engine) -> None:
    """Events with steps end where the projections do; without steps they do not."""
    append(engine, 1, 2, 3)
    with engine._writing() as conn:
        query(conn, "UPDATE kf_projection SET position = 3 WHERE name = 'shipped'")
    with engine._reading() as conn:
        assert [1, 2, 3] == [event.position for event in read_events(conn, 0, 10)]
        assert [1, 2, 3, 4] == [event.position for event in read_events(conn, 0, 10, steps=False)]


def upper(payload: dict[str, Any]) -> dict[str, Any]:
    """Make the newest form of a payload."""
    if payload["data"]["n"] == 2:
        raise KeyError("two")
    return payload | {"data": {"N": payload["data"]["n"]}}


def actions(engine: Engine) -> None:
    """Record three actions."""
    for number in (1, 2, 3):
        entry = {"kind": "own_action", "open_kfid": KF, "actor": "test", "via": "x", "data": {"n": number}}
        engine.record(entry)


def test_upcasters_bring_payloads_up_to_date(url: str, clock: FrozenClock) -> None:
    """Readers see the newest form; where an upcaster throws, that entry has a problem, and the rest goes on."""
    with Engine(url, clock=clock, upcasters=[Upcaster("own_action", 1, 2, upper)]) as engine:
        actions(engine)
        first, second, third = list(engine.read_all(after=1))
        assert [{"N": 1}, {"n": 2}, {"N": 3}] == [entry.payload["data"] for entry in (first, second, third)]
        assert ["", "upcaster of own_action 1: KeyError: 'two'", ""] == [first.problem, second.problem, third.problem]
        assert None is engine.verify().damage


def test_upcasters_are_a_sound_set() -> None:
    """Gaps, two for one version, ways back and unknown kinds are refused when they are handed in."""

    def same(payload: dict[str, Any]) -> dict[str, Any]:
        return payload

    for wrong in (
        [Upcaster("own_action", 2, 3, same)],
        [Upcaster("own_action", 1, 2, same), Upcaster("own_action", 1, 3, same), Upcaster("own_action", 2, 3, same)],
        [Upcaster("own_action", 1, 2, same), Upcaster("own_action", 2, 1, same)],
        [Upcaster("own_action", 1, 1, same)],
        [Upcaster("customer_message", 1, 2, same)],
    ):
        with pytest.raises(UpcasterError):
            Upcasters(wrong)
    chained = Upcasters(
        [Upcaster("own_action", 1, 2, lambda p: p | {"a": 1}), Upcaster("own_action", 2, 3, lambda p: p | {"b": 2})]
    )
    assert {"a": 1, "b": 2} == chained.apply("own_action", 1, {})
    assert {"b": 2} == chained.apply("own_action", 2, {})
    assert [1] == chained.apply("own_action", 2, [1])
