"""Access tokens that processes share through the database: one call for all; a dead process blocks nobody for long."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfstate.clock import SECOND
from kfstate.errors import LockTimeoutError, UnreachableError
from kfstate.store import lease as leases
from kfstate.store.database import Database
from kfstate.store.dialect import query
from kfstate.store.lease import LeaseKey
from kfstate.testing import FrozenClock
from kfstate.wecom.secret import Secret
from kfstate.wecom.shared import SharedTokens
from kfstate.wecom.tokens import FetchedToken, Tokens
from tests.wecom.asking import digest
from tests.wecom.scripted import CORP, NOW, SECRET, Patience
from tests.wecom.serving import serve

__all__: list[str] = []

ROOT = Path(__file__).parents[2]


class Fetched:
    """Stands for ``gettoken``."""

    def __init__(self, clock: FrozenClock) -> None:
        self.clock, self.count = clock, 0
        self.fails: Exception | None = None

    def __call__(self) -> FetchedToken:
        """Give the next token."""
        self.count += 1
        if self.fails is not None:
            raise self.fails
        now = self.clock.now()
        return FetchedToken(Secret(f"token-number-{self.count}"), now, now + 7200 * SECOND)


@pytest.fixture
def clock() -> FrozenClock:
    """The time of all processes."""
    return FrozenClock.at(NOW)


@pytest.fixture
def fetch(clock: FrozenClock) -> Fetched:
    """What asks WeCom."""
    return Fetched(clock)


@pytest.fixture
def base(url: str) -> Iterator[Database]:
    """The database that they share."""
    database = Database(url)
    yield database
    database.close()


def shared(base: Database, fetch: Fetched, secret: str = SECRET) -> SharedTokens:
    """Return what one process has."""
    return SharedTokens(
        database=base, corp_id=CORP, secret=Secret(secret), fetch=fetch, clock=fetch.clock,
        concurrency=Patience(fetch.clock),
    )  # fmt: skip


def test_one_for_all(base: Database, fetch: Fetched, clock: FrozenClock) -> None:
    """The second process takes what the first one has fetched, until it is about to expire."""
    one, two = shared(base, fetch), shared(base, fetch)
    assert one(None) == two(None)
    clock.advance(7200 - 301)
    assert one(None) == two(None)
    assert 1 == fetch.count
    clock.advance(1)
    assert "token-number-2" == two(None).token.reveal()
    assert one(None) == two(None)
    assert 2 == fetch.count


def test_refused(base: Database, fetch: Fetched) -> None:
    """A token that was refused is replaced for all, by whoever is told first."""
    one, two = shared(base, fetch), shared(base, fetch)
    old = one(None).token
    new = two(old).token
    assert old != new
    assert new == one(old).token == one(None).token
    assert 2 == fetch.count


def test_the_table_gives_no_token_away(base: Database, fetch: Fetched) -> None:
    """Who reads the database finds neither token nor secret; another secret does not open it, and has its own row."""
    shared(base, fetch)(None)
    with base.reading() as conn:
        rows = repr(query(conn, "SELECT * FROM kf_token") + query(conn, "SELECT * FROM kf_lease"))
    assert "token-number" not in rows
    assert SECRET[:6] not in rows
    other = shared(base, fetch, secret="another")
    assert "token-number-2" == other(None).token.reveal()
    with base.reading() as conn:
        ((found,),) = query(conn, "SELECT COUNT(*) FROM kf_token")
    assert 2 == found
    assert "token-number-1" == shared(base, fetch)(None).token.reveal()


def test_what_cannot_be_opened_is_replaced(base: Database, fetch: Fetched) -> None:
    """A row that somebody spoiled is no error."""
    shared(base, fetch)(None)
    with base.writing() as conn:
        query(conn, "UPDATE kf_token SET sealed = ?", (b"short",))
    assert "token-number-2" == shared(base, fetch)(None).token.reveal()
    assert "token-number-2" == shared(base, fetch)(None).token.reveal()


def test_a_failure_gives_the_lease_back(base: Database, fetch: Fetched, clock: FrozenClock) -> None:
    """The next one tries at once; a refresh that fails early leaves the old token in use."""
    one, two = shared(base, fetch), shared(base, fetch)
    fetch.fails = UnreachableError("gettoken", "down")
    with pytest.raises(UnreachableError):
        one(None)
    fetch.fails = None
    assert "token-number-2" == two(None).token.reveal()
    clock.advance(7000)
    fetch.fails = UnreachableError("gettoken", "down")
    assert "token-number-2" == one(None).token.reveal()
    assert 3 == fetch.count


def take_lease(base: Database, tokens: SharedTokens, clock: FrozenClock) -> None:
    """Hold the lease as a process does that died, or hangs."""
    with base.writing() as conn:
        key = LeaseKey(CORP, "token", tokens._app)
        assert leases.claim(conn, key, "a dead process", clock=clock, length=30 * SECOND)


def test_a_dead_process(base: Database, fetch: Fetched, clock: FrozenClock) -> None:
    """Where the process that fetches has died, the next one waits until its lease has run out, and no longer."""
    tokens = shared(base, fetch)
    take_lease(base, tokens, clock)
    began = clock.now()
    assert tokens(None)
    assert 30 <= (clock.now() - began) / SECOND < 31


def test_a_dead_process_stops_nobody_who_has_a_token(base: Database, fetch: Fetched, clock: FrozenClock) -> None:
    """While a token is good, nobody waits for the one who refreshes it early."""
    tokens = shared(base, fetch)
    tokens(None)
    clock.advance(7000)
    take_lease(base, tokens, clock)
    assert "token-number-1" == tokens(None).token.reveal()
    assert 1 == fetch.count


def test_patience_ends(base: Database, fetch: Fetched, clock: FrozenClock) -> None:
    """Where others keep the lease and no token comes, it is told who is to blame."""
    tokens = shared(base, fetch)
    take_lease(base, tokens, clock)
    tokens.patience = 5.0
    with pytest.raises(LockTimeoutError, match="fetches the access token"):
        tokens(None)


def test_too_slow(base: Database, clock: FrozenClock) -> None:
    """Whoever fetched for longer than its lease does not write over what another one has fetched since."""
    fast = Fetched(clock)
    fast.count = 10

    class Slow(Fetched):
        def __call__(self) -> FetchedToken:
            clock.advance(31)
            assert "token-number-11" == shared(base, fast)(None).token.reveal()
            return super().__call__()

    assert "token-number-1" == shared(base, Slow(clock))(None).token.reveal()
    assert "token-number-11" == shared(base, fast)(None).token.reveal()


class Gettoken:
    """A server that gives a new token each time, after a while; or never, to the first."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.count = 0
        self.asked, self.go = threading.Event(), threading.Event()
        self._hangs = hangs
        self._lock = threading.Lock()

    def __call__(self, path: str, query: dict[str, str], _: bytes) -> tuple[int, bytes]:
        """Answer."""
        assert ("/cgi-bin/gettoken", SECRET) == (path, query["corpsecret"])
        with self._lock:
            self.count += 1
            count = self.count
        self.asked.set()
        self.go.wait(60 if self._hangs and count == 1 else 0.3)
        return 200, json.dumps({"errcode": 0, "access_token": f"token-{count}", "expires_in": 7200}).encode()


def asking(url: str, port: int, count: int) -> "subprocess.Popen[str]":
    """Start a process that asks, and wait until it is ready to."""
    command = [sys.executable, "-m", "tests.wecom.asking", url, CORP, str(port), str(count)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "ready\n" == process.stdout.readline()
    return process


def go(process: "subprocess.Popen[str]") -> None:
    """Have it ask."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_two_processes_with_many_threads(url: str) -> None:
    """Two processes of eight threads that ask at once make one call."""
    server = Gettoken()
    with serve(server) as port:
        processes = [asking(url, port, 8) for _ in range(2)]
        for process in processes:
            go(process)
        told = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [[digest("token-1")] * 8] * 2 == told
    assert 1 == server.count


@pytest.mark.databases("sqlite", "pg18")
def test_a_killed_process(url: str) -> None:
    """A process that is killed while it fetches keeps the next one waiting until its lease has run out."""
    server = Gettoken(hangs=True)
    with serve(server) as port:
        dying, next_one = asking(url, port, 1), asking(url, port, 4)
        go(dying)
        assert server.asked.wait(20)
        go(next_one)
        dying.kill()
        dying.communicate()
        told = next_one.communicate(timeout=60)[0].split()
        server.go.set()
    assert [digest("token-2")] * 4 == told
    assert 2 == server.count


@pytest.mark.databases("sqlite")
def test_a_refused_token_is_not_taken_from_the_table_again(base: Database, fetch: Fetched, clock: FrozenClock) -> None:
    """WeCom refused a token, and then did not give another one: who asks next must not get the old one out of it."""
    tokens = Tokens(shared(base, fetch), clock=clock)
    bad = tokens.get()
    fetch.fails = UnreachableError("gettoken", "busy")
    with pytest.raises(UnreachableError):
        tokens.get(bad)
    with pytest.raises(UnreachableError):
        tokens.get()
    fetch.fails = None
    assert bad != tokens.get()
