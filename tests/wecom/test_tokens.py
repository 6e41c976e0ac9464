"""Access tokens in one process: one call for all who ask, early, again where one is refused, and not too often."""

import threading
from collections.abc import Callable
from typing import cast

import httpx2
import pytest

from kfstate.clock import SECOND
from kfstate.concurrency import Signal, Threads
from kfstate.errors import KfstateError, RateLimitError, ReplyError, UnreachableError, WecomError
from kfstate.testing import FrozenClock
from kfstate.wecom.secret import Secret
from kfstate.wecom.tokens import FetchedToken, Tokens
from tests.wecom.scripted import NOW, SECRET, TOKEN, Patience, Scripted, api, ok, refused

__all__: list[str] = []

DOWN = UnreachableError("gettoken", "no network")


class Source:
    """Gives tokens: ``t1``, ``t2`` … each for two hours."""

    def __init__(self, clock: FrozenClock) -> None:
        self.clock, self.given, self.refused = clock, 0, list[Secret | None]()
        self.fails: BaseException | None = None
        self.meanwhile: Callable[[], object] = int

    def __call__(self, refused: Secret | None) -> FetchedToken:
        """Give the next one."""
        self.given += 1
        self.refused.append(refused)
        self.meanwhile()
        if self.fails is not None:
            raise self.fails
        return FetchedToken(Secret(f"t{self.given}"), self.clock.now(), self.clock.now() + 7200 * SECOND)


@pytest.fixture
def clock() -> FrozenClock:
    """The time."""
    return FrozenClock.at(NOW)


@pytest.fixture
def source(clock: FrozenClock) -> Source:
    """Where tokens come from."""
    return Source(clock)


class Counting(Threads):
    """Waiting that can be waited for."""

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)

    def signal(self) -> Signal:
        """Return a flag that counts who begins to wait for it."""
        event = threading.Event()
        wait = event.wait

        def counted(timeout: float | None = None) -> bool:
            self.waiting.release()
            return wait(timeout)

        event.wait = counted  # type: ignore[method-assign]
        return event


@pytest.fixture
def concurrency() -> Counting:
    """How the threads wait."""
    return Counting()


@pytest.fixture
def tokens(source: Source, clock: FrozenClock, concurrency: Counting) -> Tokens:
    """What is tested."""
    return Tokens(source, clock=clock, concurrency=concurrency)


def at_once(tokens: Tokens, source: Source, count: int, refused: Secret | None = None) -> list[str | Exception]:
    """Ask from many threads while the first one is still fetching, and return what each got."""
    got: list[str | Exception] = []
    waiting = cast("Counting", tokens._concurrency).waiting

    def ask() -> None:
        try:
            got.append(tokens.get(refused).reveal())
        except KfstateError as error:
            got.append(error)

    def meanwhile() -> None:
        for thread in threads[1:]:
            thread.start()
        for _ in threads[1:]:
            assert waiting.acquire(timeout=20)

    threads = [threading.Thread(target=ask) for _ in range(count)]
    source.meanwhile = meanwhile
    threads[0].start()
    for thread in threads:
        while thread.ident is None:
            threads[0].join(0.01)
        thread.join()
    source.meanwhile = int
    return got


def test_one_call_for_all(tokens: Tokens, source: Source) -> None:
    """Many threads that ask at once make one call, and all get its token."""
    assert ["t1"] * 30 == at_once(tokens, source, 30)
    assert "t1" == tokens.get().reveal()
    assert 1 == source.given


def test_one_failure_for_all(tokens: Tokens, source: Source) -> None:
    """Where the call fails, all who waited are told, each with an error of its own; the next one tries again."""
    source.fails = DOWN
    got = at_once(tokens, source, 10)
    assert [UnreachableError] * 10 == [type(error) for error in got]
    assert 10 == len({id(error) for error in got})
    assert 1 == source.given
    source.fails = None
    assert "t2" == tokens.get().reveal()


def test_whoever_was_interrupted_leaves_it_to_the_next(tokens: Tokens, source: Source, concurrency: Counting) -> None:
    """Where the one that fetches is cancelled, one of those who wait fetches."""
    got: list[str] = []
    waiting = threading.Thread(target=lambda: got.append(tokens.get().reveal()))

    def meanwhile() -> None:
        source.meanwhile = int
        waiting.start()
        assert concurrency.waiting.acquire(timeout=20)
        raise KeyboardInterrupt

    source.meanwhile = meanwhile
    with pytest.raises(KeyboardInterrupt):
        tokens.get()
    waiting.join()
    assert ["t2"] == got


def test_early_refresh(tokens: Tokens, source: Source, clock: FrozenClock) -> None:
    """Five minutes before a token expires one thread fetches the next; meanwhile the others go on with the old."""
    assert "t1" == tokens.get().reveal()
    clock.advance(7200 - 301)
    assert "t1" == tokens.get().reveal()
    clock.advance(1)
    others: list[str] = []
    source.meanwhile = lambda: others.extend(tokens.get().reveal() for _ in range(3))
    assert "t2" == tokens.get().reveal()
    assert ["t1"] * 3 == others
    assert 2 == source.given


def test_early_refresh_may_fail(tokens: Tokens, source: Source, clock: FrozenClock) -> None:
    """A refresh that fails early fails for nobody; it is tried again after half a minute, until the token expires."""
    tokens.get()
    clock.advance(7200 - 60)
    source.fails = DOWN
    assert ["t1", "t1", "t1"] == [tokens.get().reveal() for _ in range(3)]
    assert 2 == source.given
    clock.advance(30)
    assert "t1" == tokens.get().reveal()
    assert 3 == source.given
    clock.advance(30)
    with pytest.raises(UnreachableError):
        tokens.get()
    source.fails = None
    assert "t5" == tokens.get().reveal()


def test_short_lives(clock: FrozenClock) -> None:
    """WeCom may say that a token has less life left than the margin: it is not fetched on every call then."""
    given: list[int] = []

    def obtain(_: Secret | None) -> FetchedToken:
        given.append(1)
        return FetchedToken(Secret("t"), clock.now(), clock.now() + 100 * SECOND)

    tokens = Tokens(obtain, clock=clock)
    for _ in range(50):
        tokens.get()
        clock.advance(0.9)
    assert [1] == given
    clock.advance(5)
    tokens.get()
    assert 2 == len(given)


def test_refused(tokens: Tokens, source: Source) -> None:
    """A token that was refused is replaced by one call, however many were told; who comes later gets the new one."""
    old = tokens.get()
    assert ["t2"] * 10 == at_once(tokens, source, 10, old)
    assert "t2" == tokens.get(old).reveal()
    assert [None, old] == source.refused


def test_nobody_gets_a_refused_one(tokens: Tokens, source: Source, concurrency: Counting) -> None:
    """While a refused token is replaced, nobody gets it any more."""
    old = tokens.get()
    got: list[str] = []
    other = threading.Thread(target=lambda: got.append(tokens.get().reveal()))

    def meanwhile() -> None:
        other.start()
        assert concurrency.waiting.acquire(timeout=20)

    source.meanwhile = meanwhile
    tokens.get(old)
    other.join()
    assert ["t2"] == got


def test_the_same_again(clock: FrozenClock) -> None:
    """Where WeCom gives the token again that it refused, it is not asked again for some seconds."""
    given: list[int] = []

    def obtain(_: Secret | None) -> FetchedToken:
        given.append(1)
        return FetchedToken(Secret("same"), clock.now(), clock.now() + 7200 * SECOND)

    tokens = Tokens(obtain, clock=clock)
    for _ in range(10):
        assert "same" == tokens.get(tokens.get()).reveal()
    assert 2 == len(given)
    clock.advance(5)
    tokens.get(Secret("same"))
    assert 3 == len(given)


def test_a_wrong_secret_is_not_tried_all_the_time() -> None:
    """Too many wrong secrets block the IP for an hour: after a refusal, nobody asks for half a minute."""
    wecom, clock = Scripted(), FrozenClock.at(NOW)
    wecom.on("gettoken", refused(40001, f"invalid credential {SECRET}"))
    client = api(wecom, clock)
    for _ in range(5):
        with pytest.raises(WecomError) as caught:
            client.get_state("wk1", "wm1")
        assert ("gettoken", 40001) == (caught.value.call, caught.value.errcode)
        assert "invalid credential ***" == caught.value.errmsg
        clock.advance(5)
    assert ["gettoken"] == wecom.calls()
    clock.advance(5)
    wecom.on("gettoken", ok(access_token=TOKEN, expires_in=7200))
    wecom.on("service_state/get", ok(service_state=0))
    assert client.get_state("wk1", "wm1")


def test_gettoken_has_limits() -> None:
    """A limit of gettoken stops gettoken; it is told as such."""
    wecom, clock = Scripted(), FrozenClock.at(NOW)
    wecom.on("gettoken", refused(45009))
    client = api(wecom, clock)
    for _ in range(3):
        with pytest.raises(RateLimitError) as caught:
            client.get_state("wk1", "wm1")
        assert ("gettoken", clock.now() + 60 * SECOND) == (caught.value.call, caught.value.retry_at)
    assert ["gettoken"] == wecom.calls()


@pytest.mark.parametrize("failure", [httpx2.ConnectError("down"), httpx2.ReadTimeout(""), httpx2.Response(502)])
def test_without_a_token_nothing_was_sent(failure: httpx2.Response | Exception) -> None:
    """Where no token can be had, a change was not carried out, whatever became of the question for the token."""
    wecom, clock = Scripted(), FrozenClock.at(NOW)
    wecom.on("gettoken", failure, ok(access_token=TOKEN, expires_in=7200))
    wecom.on("service_state/trans", ok())
    client = api(wecom, clock)
    assert client.trans_state("wk1", "wm1", 2).ok
    wecom.on("gettoken", failure)
    with pytest.raises((UnreachableError, ReplyError)) as caught:
        api(wecom, clock).trans_state("wk1", "wm1", 2)
    assert "gettoken" == vars(caught.value)["call"]
    assert 1 == wecom.count("service_state/trans")


@pytest.mark.parametrize(
    "content",
    [
        f'{{"errcode":0,"access_token":"{TOKEN}","expires_in":7'.encode(),
        f'{{"errcode":0,"access_token":"{TOKEN}","expires_in":"{TOKEN}"}}'.encode(),
        f'{{"errcode":0,"access_token":["{TOKEN}"],"expires_in":7200}}'.encode(),
        f'{{"errcode":0,"access_token":"{TOKEN}","expires_in":0}}'.encode(),
        f'{{"access_token":"{TOKEN}","expires_in":7200}}'.encode(),
        b'{"errcode":0,"access_token":"","expires_in":7200}',
        b"<html>",
        b"",
    ],
)
def test_no_proper_token(content: bytes) -> None:
    """What is no reply to gettoken is an error that says so, and never shows what came."""
    wecom, clock = Scripted(), FrozenClock.at(NOW)
    wecom.on("gettoken", httpx2.Response(200, content=content))
    with pytest.raises(ReplyError) as caught:
        api(wecom, clock, Patience(clock)).get_state("wk1", "wm1")
    assert "gettoken" == caught.value.call
    assert TOKEN[:8] not in f"{caught.value!r} {caught.value}"


def test_a_source_of_ones_own() -> None:
    """A token service of the host is asked, and told which token was refused; the secret is not needed."""
    asked: list[Secret | None] = []

    class Host:
        def get(self, refused: Secret | None = None) -> Secret:
            asked.append(refused)
            return Secret(f"theirs{len(asked)}")

    wecom, clock = Scripted(), FrozenClock.at(NOW)
    wecom.on("service_state/get", refused(42001), ok(service_state=0))
    api(wecom, clock, tokens=Host()).get_state("wk1", "wm1")
    assert [None, Secret("theirs1")] == asked
    assert "theirs2" == wecom.requests[-1].url.params["access_token"]
    assert 0 == wecom.count("gettoken")
