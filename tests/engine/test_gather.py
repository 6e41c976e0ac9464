"""Group commit: appends that come at the same time share a transaction, and each caller gets its own outcome."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from kfstate.engine import Engine, Recorded
from kfstate.errors import (
    ClosedError,
    ConnectionLostError,
    CursorConflictError,
    EnvelopeError,
    LockTimeoutError,
    OutcomeUnknownError,
    TransactionError,
    VersionConflictError,
)
from kfstate.intake import CursorMove, appends
from kfstate.testing import FrozenClock, customer_message, own_action, page, state_changed
from tests.engine.tables import rows
from tests.engine.together import Call, gathers, held, outcomes, together, wait_for
from tests.engine.worlds import NOW

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite", "pg18", "mariadb")


def act(number: int, customer: str = "wm1", **more: Any) -> dict[str, Any]:
    """Return an own entry that tells itself apart by ``via``."""
    return dict(own_action("wkA", customer, NOW + 9, via=f"act{number}", **more))


def said(engine: Engine) -> list[str]:
    """Return what the own entries in the log say, in its order."""
    return [via for (via,) in rows(engine, "SELECT via FROM kf_entry WHERE kind = 'own_action' ORDER BY position")]


def sound(engine: Engine) -> None:
    """Check that the log has no hole, its chain holds, and the projections are those of a replay."""
    positions = [position for (position,) in rows(engine, "SELECT position FROM kf_entry ORDER BY position")]
    assert list(range(1, len(positions) + 1)) == positions
    assert engine.verify().damage is None
    assert (0, 0) == (engine.behind(), engine.check().different)


def test_one_transaction_in_the_order_of_the_queue(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the log is stored in one commit: positions follow the queue, a page stays together."""
    hello = page([customer_message("wkA", f"wm{number}", NOW + number) for number in range(3)])
    runs: list[Callable[[], Any]] = [partial(engine.record, act(number)) for number in range(4)]
    runs.insert(2, partial(engine.ingest, hello))
    with gathers(monkeypatch) as sizes:
        calls = together(engine, runs)
    assert [5] == sizes
    assert [2, 3, 7, 8] == [call.result.position for call in calls if isinstance(call.result, Recorded)]
    kinds = ["own_action", "own_action", *["customer_message"] * 3, "own_action", "own_action"]
    assert kinds == [kind for (kind,) in rows(engine, "SELECT kind FROM kf_entry WHERE position > 1 ORDER BY position")]
    assert 1 == rows(engine, "SELECT COUNT(DISTINCT recorded_at) FROM kf_entry WHERE position > 1")[0][0]
    report = calls[2].result
    assert (3, 3, 0, 8) == (report.entries, report.appended, report.duplicates, report.position)
    sound(engine)


def test_each_gets_its_own_outcome(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Conflicts and refusals are told to whom they concern, worked out one by one; the neighbours are stored."""
    epoch = engine.claim("wkA").epoch
    pulled = page([customer_message("wkA", "wm9", NOW)], next_cursor="c1")
    pull = partial(engine.ingest, pulled, account="wkA", cursor=CursorMove(expected="", epoch=epoch))
    other = page([customer_message("wkA", "wm8", NOW)], next_cursor="c2")
    late = partial(engine.ingest, other, account="wkA", cursor=CursorMove(expected="", epoch=epoch))
    runs: list[Callable[[], Any]] = [
        partial(engine.record, act(0), expected="new"),
        partial(engine.record, act(1), expected="new"),
        partial(engine.record, act(2), expected=1),
        partial(engine.record, act(3, cause=99)),
        partial(engine.record, act(4, key="k")),
        partial(engine.record, act(5, key="k"), expected="new"),
        pull,
        late,
        partial(engine.record, act(6), expected=1),
        partial(engine.record, act(7), expected=3),
    ]
    with gathers(monkeypatch) as sizes:
        calls = together(engine, runs)
    assert [10] == sizes
    assert [
        Recorded(2, duplicate=False), VersionConflictError, Recorded(3, duplicate=False), EnvelopeError,
        Recorded(4, duplicate=False), Recorded(4, duplicate=True), calls[6].result, CursorConflictError,
        VersionConflictError, Recorded(6, duplicate=False),
    ] == outcomes(calls)  # fmt: skip
    conflicts = [call.error for call in calls if isinstance(call.error, VersionConflictError)]
    assert [("new", 1), ("1", 3)] == [(conflict.expected, conflict.current) for conflict in conflicts]
    assert ["act0", "act2", "act4", "act7"] == said(engine)
    assert [("wm9",)] == rows(engine, "SELECT value FROM kf_name WHERE value IN ('wm8', 'wm9')")
    assert [("c1",)] == rows(engine, "SELECT cursor_after FROM kf_pull")
    assert "c1" == getattr(engine.cursor("wkA"), "cursor", None)
    sound(engine)


def test_what_a_loser_would_have_changed_counts_for_nobody(engine: Engine) -> None:
    """A loser's idempotency key, version and position are free for those behind it."""
    calls = together(
        engine,
        [
            partial(engine.record, act(0, key="k"), expected=5),
            partial(engine.record, act(1, key="k"), expected="new"),
            partial(engine.record, act(2, cause=2)),
            partial(engine.record, act(3, cause=4)),
        ],
    )
    recorded = [Recorded(2, duplicate=False), Recorded(3, duplicate=False)]
    assert [VersionConflictError, *recorded, EnvelopeError] == outcomes(calls)
    assert ["act1", "act2"] == said(engine)


def test_nothing_is_lost_between_threads(engine: Engine) -> None:
    """Many threads, each with its own entries: every call that returned is in the log once, in the order of each."""
    done: list[list[int]] = [[] for _ in range(12)]

    def write(writer: int) -> None:
        for number in range(15):
            if number % 3:
                done[writer].append(engine.record(act(writer * 100 + number, f"wm{writer % 5}")).position)
            else:
                elements = [customer_message("wkA", f"wm{writer}", NOW + number, msgid=f"{writer}/{number}")] * 2
                report = engine.ingest(page(elements))
                assert (1, 1) == (report.appended, report.duplicates)

    calls = [Call(partial(write, number)) for number in range(len(done))]
    for call in calls:
        call.thread.start()
    for call in calls:
        call.thread.join(120)
        assert (False, None) == (call.thread.is_alive(), call.error)
    assert 1 + len(done) * 15 == engine.position()
    assert all(sorted(positions) == positions for positions in done)
    stood = dict(rows(engine, "SELECT position, via FROM kf_entry WHERE kind = 'own_action'"))
    for writer, positions in enumerate(done):
        numbers = [number for number in range(15) if number % 3]
        assert [f"act{writer * 100 + number}" for number in numbers] == [stood[position] for position in positions]
    sound(engine)


def test_race_on_one_version(engine: Engine) -> None:
    """Of several who decided on one version one wins; the others hear expected and current, and are not stored."""
    winners: list[Recorded] = []
    for version in range(6):
        start = threading.Barrier(8)

        def race(number: int, version: int = version, start: threading.Barrier = start) -> Recorded:
            start.wait(20)
            return engine.record(act(version * 10 + number), expected=version or "new")

        calls = [Call(partial(race, number)) for number in range(8)]
        for call in calls:
            call.thread.start()
        for call in calls:
            call.thread.join(60)
        won = [call.result for call in calls if call.error is None]
        assert 1 == len(won)
        winners += won
        lost = [call.error for call in calls if call.error is not None]
        assert {VersionConflictError} == {type(error) for error in lost}
        assert {(str(version or "new"), version + 1)} == {(error.expected, error.current) for error in lost}  # type: ignore[attr-defined]
    assert [one.position for one in winners] == list(range(2, 8))
    assert 6 == len(said(engine))


class BrokenError(Exception):
    """Something that nobody expects."""


def test_a_failing_transaction_is_divided(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the database refuses a gather, each part runs alone: one that always fails takes no neighbour with it."""
    whole, sizes = appends.append_and_project, []

    def refusing(conn: Connection, parts: Any, **options: Any) -> Any:
        sizes.append(len(parts))
        done = whole(conn, parts, **options)
        if any(draft.via == "act1" for part in parts for draft in part.drafts):
            raise BrokenError
        return done

    with monkeypatch.context() as patch:
        patch.setattr(appends, "append_and_project", refusing)
        calls = together(engine, [partial(engine.record, act(number)) for number in range(3)])
    assert [3, 1, 1, 1] == sizes
    assert [Recorded(2, duplicate=False), BrokenError, Recorded(3, duplicate=False)] == outcomes(calls)
    assert ["act0", "act2"] == said(engine)
    sound(engine)


def test_who_waits_too_long_is_withdrawn(url: str, clock: FrozenClock) -> None:
    """A call whose turn does not come in time is told so, and nothing of it is ever stored."""
    with Engine(url, clock=clock) as other, Engine(url, clock=clock, lock_timeout=0.4) as engine:
        calls = [Call(partial(engine.record, act(number))) for number in range(3)]
        with held(other):
            for call in calls:
                call.thread.start()
            for call in calls:
                call.thread.join(20)
        assert [LockTimeoutError] * 3 == outcomes(calls)
        assert Recorded(2, duplicate=False) == engine.record(act(9))
        assert ["act9"] == said(engine)


def test_who_was_taken_waits_for_the_outcome(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a transaction takes: who is in it hears what became of it; who is not in time is withdrawn."""
    whole, inside, on = appends.append_and_project, threading.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> Any:
        inside.set()
        on.wait(20)
        return whole(*args, **options)

    gathering = engine._appends._gathering
    gathering._patience = 0.5
    monkeypatch.setattr(appends, "append_and_project", slow)
    taken = [Call(partial(engine.record, act(number))) for number in range(2)]
    with held(engine):
        for waiting, call in enumerate(taken, 1):
            call.thread.start()
            wait_for(lambda waiting=waiting: len(gathering._queue) == waiting)  # type: ignore[misc]
    assert inside.wait(20)
    behind = Call(partial(engine.record, act(2)))
    behind.thread.start()
    behind.thread.join(20)
    assert all(call.thread.is_alive() for call in taken)
    on.set()
    for call in taken:
        call.thread.join(20)
    assert LockTimeoutError is type(behind.outcome)
    assert [Recorded(2, duplicate=False), Recorded(3, duplicate=False)] == outcomes(taken)
    assert ["act0", "act1"] == said(engine)


def test_a_lone_caller_waits_for_nobody(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that come one by one are stored one by one, by the caller's own thread."""
    whole, leaders = engine._appends._gathering._store, set()

    def led(take: Any) -> None:
        leaders.add(threading.get_ident())
        whole(take)

    monkeypatch.setattr(engine._appends._gathering, "_store", led)
    with gathers(monkeypatch) as sizes:
        for number in range(3):
            engine.record(act(number))
            engine.ingest(page([customer_message("wkA", "wm1", NOW + number)]))
    assert [1] * 6 == sizes
    assert {threading.get_ident()} == leaders


def test_close_waits_and_refuses(url: str, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was submitted before is stored; what comes after is refused by a clear error."""
    engine = Engine(url, clock=clock)
    whole, inside, on = appends.append_and_project, threading.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> Any:
        inside.set()
        on.wait(20)
        return whole(*args, **options)

    monkeypatch.setattr(appends, "append_and_project", slow)
    calls = [Call(partial(engine.record, act(number))) for number in range(3)]
    calls[0].thread.start()
    assert inside.wait(20)
    for waiting, call in enumerate(calls[1:], 1):
        call.thread.start()
        wait_for(lambda waiting=waiting: len(engine._appends._gathering._queue) == waiting)  # type: ignore[misc]
    closing = Call(engine.close)
    closing.thread.start()
    wait_for(lambda: engine._appends._gathering._closed)
    with pytest.raises(ClosedError):
        engine.record(act(9))
    assert closing.thread.is_alive()
    on.set()
    for call in (*calls, closing):
        call.thread.join(20)
    assert [Recorded(number, duplicate=False) for number in (2, 3, 4)] == outcomes(calls)
    with Engine(url, clock=clock) as again:
        assert ["act0", "act1", "act2"] == said(again)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("size", [1, 3])
def test_connection_lost_while_committing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, when: str, size: int
) -> None:
    """The chain says whether the commit took place: the entries are there once, and everybody hears so."""
    whole = engine._database.writing
    broken: list[str] = []

    @contextmanager
    def lossy() -> Iterator[Connection]:
        with whole() as conn:
            yield conn
            first = not broken
            broken.append(when)
            if first and when == "before":
                raise ConnectionLostError("gone")
        if first:
            raise ConnectionLostError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(engine._database, "writing", lossy)
        calls = together(engine, [partial(engine.record, act(number)) for number in range(size)])
    assert [Recorded(2 + number, duplicate=False) for number in range(size)] == outcomes(calls)
    assert [f"act{number}" for number in range(size)] == said(engine)


def test_a_commit_of_which_nobody_knows(url: str, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the database cannot be asked any more, the error says so; a retry with the same key is safe."""
    with Engine(url, clock=clock, lock_timeout=0.3) as engine:
        whole = engine._database.writing
        down: list[bool] = []

        @contextmanager
        def lossy() -> Iterator[Connection]:
            if down:
                raise ConnectionLostError("gone")
            with whole() as conn:
                yield conn
            down.append(True)
            raise ConnectionLostError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(engine._database, "writing", lossy)
            with pytest.raises(OutcomeUnknownError) as caught:
                engine.record(act(0, key="k"))
        assert caught.value.waited > 0.3
        assert Recorded(2, duplicate=True) == engine.record(act(0, key="k"))


def test_who_is_in_a_transaction_cannot_wait_for_itself(engine: Engine) -> None:
    """A second append in the same thread is refused at once; other threads, and the time after, are not concerned."""
    with engine._writing() as conn:
        for second in (partial(engine.record, act(0)), partial(engine.ingest, page([])), engine.tick, engine.close):
            with pytest.raises(TransactionError, match="in the same thread"):
                second()
        assert Recorded(2, duplicate=False) == engine.record(act(1), connection=conn)
        elsewhere = Call(partial(engine.record, act(2)))
        elsewhere.thread.start()
        wait_for(lambda: bool(engine._appends._gathering._queue))
    elsewhere.thread.join(20)
    assert Recorded(3, duplicate=False) == elsewhere.outcome
    assert Recorded(4, duplicate=False) == engine.record(act(3))


@pytest.mark.parametrize("late", [False, True], ids=["before the commit", "while committing"])
def test_an_interrupted_leader(engine: Engine, monkeypatch: pytest.MonkeyPatch, *, late: bool) -> None:
    """Ctrl-C in the thread that leads is that caller's own: what others asked for is stored all the same, once."""
    whole = engine._database.writing
    struck: list[bool] = []

    @contextmanager
    def interrupted() -> Iterator[Connection]:
        strikes = not struck
        with whole() as conn:
            yield conn
            struck.append(late)
            if strikes and not late:
                raise KeyboardInterrupt
        if strikes:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine._database, "writing", interrupted)
        calls = together(engine, [partial(engine.record, act(number)) for number in range(3)])
    assert KeyboardInterrupt is type(calls[0].error)
    assert [3, 4] if late else [2, 3] == [call.result.position for call in calls[1:]]
    assert (["act0"] if late else []) + ["act1", "act2"] == said(engine)
    sound(engine)


def test_a_leader_who_is_interrupted_twice(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second Ctrl-C, while it is asked what became of the commit: nothing is stored a second time."""

    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    def told() -> None:
        # Whoever held the log may be told of its own commit after that of the three.
        if threading.current_thread() is not threading.main_thread() and len(said(engine)) == 3:
            raise KeyboardInterrupt

    engine._database.committed.append(told)
    monkeypatch.setattr(type(engine._appends), "_is_committed", interrupted)
    calls = together(engine, [partial(engine.record, act(number)) for number in range(3)])
    assert [KeyboardInterrupt, OutcomeUnknownError, OutcomeUnknownError] == [type(call.error) for call in calls]
    assert calls[1].error is not calls[2].error
    assert ["act0", "act1", "act2"] == said(engine)
    engine.record(act(3))
    sound(engine)


def test_a_large_ingest_and_its_bad_entries(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """All own entries of a batch that cannot be stored are left out in one pass."""
    lines = [state_changed("wkA", "wm1", NOW + n, service_state=1, cause=1 if n % 2 else 10_000) for n in range(600)]
    with gathers(monkeypatch) as sizes:
        report = engine.ingest(lines)
    assert [1] == sizes
    assert (300, 300, 300) == (report.entries, report.appended, report.rejected)
