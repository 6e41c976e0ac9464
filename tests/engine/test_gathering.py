"""The queue of a gathering by itself: bounds, fairness, leaders of their own; the store is played by the tests."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest

from kfstate.concurrency import THREADS, Running, Signal
from kfstate.errors import ClosedError
from kfstate.intake.gather import Gathering, Request, Take
from tests.engine.together import Call, wait_for

__all__: list[str] = []


@attrs.define
class Store:
    """Stores when it is let, and answers each request with what was wanted."""

    stored: list[list[str]] = attrs.Factory(list)
    leaders: list[int] = attrs.Factory(list)
    open: threading.Event = attrs.Factory(threading.Event)

    def __call__(self, take: Take[str]) -> None:
        """Wait until the test opens the store, then take and answer."""
        assert self.open.wait(20)
        self.leaders.append(threading.get_ident())
        taken = take()
        self.stored.append([request.wanted for request in taken])
        for request in taken:
            request.answer(request.wanted.upper())


def queue(gathering: Gathering[str], names: str) -> list[Call]:
    """Submit in threads, one after the other."""
    calls = []
    for waiting, name in enumerate(names, 1):
        call = Call(partial(gathering.submit, name, 1))
        calls.append(call)
        call.thread.start()
        wait_for(lambda waiting=waiting: len(gathering._queue) == waiting)  # type: ignore[misc]
    return calls


def results(calls: list[Call]) -> list[Any]:
    """Wait for the calls, and return what they returned."""
    for call in calls:
        call.thread.join(20)
        assert not call.thread.is_alive()
    return [call.outcome for call in calls]


def test_a_gather_is_bounded_by_its_entries() -> None:
    """A large request goes alone; small ones go together as far as the bound goes."""
    store = Store()
    gathering = Gathering(store, THREADS, patience=20, entries=10)
    calls = []
    for waiting, (name, size) in enumerate([("a", 50), ("b", 4), ("c", 6), ("d", 1), ("e", 11), ("f", 1)], 1):
        calls.append(Call(partial(gathering.submit, name, size)))
        calls[-1].thread.start()
        wait_for(lambda waiting=waiting: len(gathering._queue) == waiting)  # type: ignore[misc]
    store.open.set()
    assert list("ABCDEF") == results(calls)
    assert [["a"], ["b", "c"], ["d"], ["e"], ["f"]] == store.stored


def test_leaders_take_turns() -> None:
    """Whoever has led goes with its result; the first of those who wait leads next, and its own request is first."""
    store = Store()
    gathering = Gathering(store, THREADS, patience=20, at_once=2)
    calls = queue(gathering, "abcdef")
    store.open.set()
    assert list("ABCDEF") == results(calls)
    assert [["a", "b"], ["c", "d"], ["e", "f"]] == store.stored
    assert [calls[at].thread.ident for at in (0, 2, 4)] == store.leaders


class Beside:
    """Threads, but the leader runs beside its caller, as on an event loop."""

    leads_inline = False

    def __init__(self) -> None:
        """Count the leaders."""
        self.leaders = 0

    def signal(self) -> Signal:
        """Return a new flag."""
        return THREADS.signal()

    def spawn(self, run: Callable[[], None], *, name: str) -> Running:
        """Run a leader."""
        self.leaders += 1
        return THREADS.spawn(run, name=name)


def test_a_leader_beside() -> None:
    """Where callers can be cancelled one leader of its own stores all that waits, and ends when nobody waits."""
    store, beside = Store(), Beside()
    gathering = Gathering(store, beside, patience=20, at_once=2)
    calls = queue(gathering, "abcde")
    store.open.set()
    assert list("ABCDE") == results(calls)
    assert 1 == beside.leaders
    assert 1 == len(set(store.leaders))
    assert {call.thread.ident for call in calls}.isdisjoint(store.leaders)
    gathering.close()
    with pytest.raises(ClosedError):
        gathering.submit("f", 1)


class CancelledError(BaseException):
    """What an event loop throws into whoever waits."""


@pytest.mark.parametrize("beside", [False, True], ids=["inline", "beside"])
def test_a_cancelled_caller(monkeypatch: pytest.MonkeyPatch, *, beside: bool) -> None:
    """A caller who is cancelled while it waits is withdrawn; nobody else is, and a lead it was given goes on."""
    store = Store()
    gathering = Gathering(store, Beside() if beside else THREADS, patience=20, at_once=1)
    calls = queue(gathering, "abcd")
    victim = gathering._queue[2]
    waits = threading.Event()

    def cancelled(_timeout: float | None = None) -> bool:
        waits.set()
        raise CancelledError

    monkeypatch.setattr(victim.done, "wait", cancelled)
    victim.done.set()  # it wakes, finds nothing, and waits again
    assert waits.wait(20)
    calls[2].thread.join(20)
    store.open.set()
    outcomes = results(calls)
    assert ["A", "B", "D"] == [outcomes[at] for at in (0, 1, 3)]
    assert CancelledError is type(outcomes[2])
    assert [["a"], ["b"], ["d"]] == store.stored


def test_a_heir_who_is_cancelled_passes_the_lead_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lead is handed over to somebody who leaves at that moment: the next one gets it."""
    store = Store()
    gathering = Gathering(store, THREADS, patience=20, at_once=1)
    calls = queue(gathering, "abc")
    heir = gathering._queue[1]
    whole, inside = heir.done.wait, threading.Event()

    def cancelled(timeout: float | None = None) -> bool:
        heir.done.clear()
        inside.set()
        whole(timeout)
        raise CancelledError

    monkeypatch.setattr(heir.done, "wait", cancelled)
    heir.done.set()  # it wakes, finds nothing, and waits again
    assert inside.wait(20)
    store.open.set()
    outcomes = results(calls)
    assert ("A", CancelledError, "C") == (outcomes[0], type(outcomes[1]), outcomes[2])
    assert [["a"], ["c"]] == store.stored


def test_who_is_interrupted_before_it_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C right after a caller was made the leader: the next caller leads."""
    store = Store()
    store.open.set()
    gathering = Gathering(store, THREADS, patience=0.2)
    whole = gathering._enter

    def interrupted(request: Request[str]) -> None:
        whole(request)
        raise CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(gathering, "_enter", interrupted)
        with pytest.raises(CancelledError):
            gathering.submit("a", 1)
    assert "B" == gathering.submit("b", 1)
    gathering.close()
    assert [["b"]] == store.stored


def test_a_store_that_forgets() -> None:
    """An error that nobody foresaw reaches those whose requests were taken, and the next ones are stored."""
    store = Store()
    store.open.set()
    failing = [True]

    def broken(take: Take[str]) -> None:
        if failing.pop() if failing else False:
            raise ZeroDivisionError
        store(take)

    gathering = Gathering(broken, THREADS, patience=20)
    with pytest.raises(ZeroDivisionError):
        gathering.submit("a", 1)
    assert "B" == gathering.submit("b", 1)
