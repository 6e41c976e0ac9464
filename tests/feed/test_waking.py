"""Wake-ups: at once in the process, by NOTIFY across processes; and polling where they are lost."""

import threading
from statistics import median
from time import perf_counter

import pytest
from sqlalchemy import text

from kfstate import Event
from kfstate.engine import Engine
from kfstate.store.notify import Notices
from tests.feed.words import PATIENCE, append, view_of, when
from tests.servers import Server

__all__: list[str] = []

NEVER = 3_600.0
LISTENERS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %' AND state = 'idle'"
)


class Waiting:
    """A handler that says when it was called."""

    def __init__(self) -> None:
        """Wait for nothing yet."""
        self.called = threading.Semaphore(0)

    def __call__(self, _event: Event) -> None:
        """Say that it was called."""
        self.called.release()

    def next(self, patience: float = PATIENCE) -> float:
        """Wait until it is called once more, and return how many seconds that took."""
        began = perf_counter()
        assert self.called.acquire(timeout=patience)
        return perf_counter() - began


def test_commits_of_the_same_engine_wake_at_once(engine: Engine) -> None:
    """A subscription that would look once an hour handles what its own engine commits, at once."""
    wait = Waiting()
    with engine.subscribe("a", wait, poll=NEVER, lease=NEVER, transactional=False):
        wait.next()
        for number in range(5):
            append(engine, number)
            wait.next()


def test_requeue_wakes(engine: Engine) -> None:
    """So does a dead letter that is to be handled again."""
    failing = threading.Event()
    failing.set()
    handled = threading.Event()

    def handle(_event: Event) -> None:
        if failing.is_set():
            raise ValueError
        handled.set()

    with engine.subscribe("a", handle, poll=NEVER, lease=NEVER, attempts=1):
        assert when(lambda: view_of(engine, "a").dead_letters == 1)
        failing.clear()
        engine.requeue("a:1")
        assert handled.wait(PATIENCE)


def test_polling_finds_what_others_commit(url: str) -> None:
    """With every wake-up dropped, entries of another engine are handled within the time of a poll."""
    wait = Waiting()
    with Engine(url) as writer, Engine(url) as reader:
        writer._database.committed.clear()
        with reader.subscribe("a", wait, poll=0.2, transactional=False):
            wait.next()
            for number in range(3):
                append(writer, number)
                assert wait.next() < 5.0


@pytest.mark.databases("pg15", "pg18")
def test_notices_wake_other_engines(url: str) -> None:
    """On PostgreSQL a subscription in another engine is called within a few milliseconds of the commit."""
    wait, took = Waiting(), []
    with Engine(url) as writer, Engine(url) as reader:
        with reader.subscribe("a", wait, poll=NEVER, lease=NEVER, transactional=False):
            wait.next()
            assert when(lambda: listeners(writer) != [])
            for number in range(60):
                append(writer, number)
                took.append(wait.next())
        assert view_of(writer, "a").lag == 0
    assert median(took[10:]) < 0.05  # tests/benchmarks has the figure; this machine may be busy


def listeners(engine: Engine) -> list[int]:
    """Return the server's processes that listen."""
    with engine._reading() as conn:
        return [pid for (pid,) in conn.execute(text(LISTENERS))]


@pytest.mark.databases("pg15", "pg18")
def test_listener_that_is_killed_comes_back(url: str) -> None:
    """A terminated LISTEN costs at most a poll; then notices arrive again."""
    wait = Waiting()
    with Engine(url) as writer, Engine(url) as reader, reader.subscribe("a", wait, poll=0.5, transactional=False):
        wait.next()
        assert when(lambda: listeners(writer) != [])
        (killed,) = listeners(writer)
        with writer._writing() as conn:
            conn.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": killed})
        append(writer, 1)
        assert wait.next() < 5.0
        assert when(lambda: listeners(writer) not in ([], [killed]))
        append(writer, 2)
        wait.next()


@pytest.mark.databases("pg15", "pg18")
def test_dropped_notices_cost_a_poll(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no notice can be sent, appends go on, and subscriptions poll."""

    def refused(_self: Notices) -> None:
        raise OSError("no connection")

    monkeypatch.setattr(Notices, "sending", refused)
    wait = Waiting()
    with Engine(url) as writer, Engine(url) as reader, reader.subscribe("a", wait, poll=0.2, transactional=False):
        wait.next()
        for number in range(3):
            append(writer, number)
            assert wait.next() < 5.0


@pytest.mark.slow
@pytest.mark.databases("servers")
def test_server_that_restarts(private_server: Server) -> None:
    """After a restart of the server a subscription goes on by itself."""
    wait = Waiting()
    url = private_server.databases().new()
    with Engine(url) as engine, engine.subscribe("a", wait, poll=0.2, transactional=False):
        wait.next()
        private_server.kill()
        private_server.start()
        assert when(lambda: bool(appended(engine)))
        wait.next()


def appended(engine: Engine) -> list[int]:
    """Append, where the server lets us."""
    try:
        return append(engine, 1)
    except Exception:  # noqa: BLE001 (it may still be starting)
        return []
