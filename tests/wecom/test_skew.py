"""How far WeCom's clock is ahead: told by its replies, by nobody else, and not by one that says something absurd."""

import json
from collections.abc import Callable
from email.utils import formatdate

import httpx2
import pytest

from kfstate import Engine
from kfstate.clock import SECOND
from kfstate.errors import UnreachableError, WecomError
from kfstate.testing import FrozenClock
from kfstate.wecom import Client, Live, Settings
from kfstate.wecom.skew import Skew
from tests.wecom.scripted import NOW, Patience, Scripted, api

__all__: list[str] = []

HOUR = 3_600


@pytest.fixture
def clock() -> FrozenClock:
    """A clock."""
    return FrozenClock.at(NOW)


@pytest.fixture
def wecom() -> Scripted:
    """A WeCom."""
    return Scripted()


@pytest.fixture
def client(wecom: Scripted, clock: FrozenClock) -> Client:
    """A client."""
    return api(wecom, clock, Patience(clock))


def dated(
    clock: FrozenClock, off: float = 0, *, slow: float = 0, status: int = 200, content: bytes = b""
) -> Callable[[httpx2.Request], httpx2.Response]:
    """Return an answer with the time at which it begins, on a clock that is off, and that takes a while to end."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        date = formatdate(clock.now() / SECOND + off, usegmt=True)
        clock.advance(slow)
        body = content or json.dumps({"errcode": 0, "service_state": 1, "next_cursor": "c", "has_more": 0}).encode()
        return httpx2.Response(status, content=body, headers={"date": date})

    return answer


def test_slow_answer(client: Client, wecom: Scripted, clock: FrozenClock) -> None:
    """How long an answer takes to end says nothing of WeCom's clock."""
    for off, slow, skew in ((0, 0, 0), (0, 40, 0), (-5, 0, -5), (-5, 40, -5), (100, 40, 60), (0, 40, 0)):
        wecom.on("service_state/get", dated(clock, off, slow=slow))
        client.get_state("wk1", "wm1")
        assert client.skew is not None
        assert skew == client.skew // SECOND


def test_first_answer_is_slow() -> None:
    """Then it began and ended at about the same distance."""
    skew = Skew()
    skew.note(110 * SECOND, 100 * SECOND, 140 * SECOND)
    assert -10 * SECOND == skew.value


def test_answer_of_somebody_else(client: Client, wecom: Scripted, clock: FrozenClock) -> None:
    """A proxy has a clock of its own; a refusal is WeCom's."""
    wecom.on("service_state/get", dated(clock, 600, status=502, content=b"<html>"), dated(clock))
    client.get_state("wk1", "wm1")
    assert abs(client.skew or 0) < SECOND
    wecom.on("service_state/trans", dated(clock, 600, status=404, content=b"<html>"))
    with pytest.raises(Exception, match="no reply"):
        client.trans_state("wk1", "wm1", 2)
    wecom.on("service_state/trans", httpx2.ConnectError("away"))
    with pytest.raises(UnreachableError):
        client.trans_state("wk1", "wm1", 2)
    assert abs(client.skew or 0) < SECOND
    wecom.on("service_state/trans", dated(clock, 600, content=b'{"errcode":95016}'))
    with pytest.raises(WecomError):
        client.trans_state("wk1", "wm1", 2)
    assert abs((client.skew or 0) - 600 * SECOND) < SECOND


def test_absurd_date(client: Client, wecom: Scripted, clock: FrozenClock) -> None:
    """A clock that is hours off is believed after three replies in a row."""
    for off, skew in (
        (20 * HOUR, None), (0, 0), (-2 * HOUR, 0), (-2 * HOUR, 0), (0, 0), (-2 * HOUR, 0), (9 * HOUR, 0),
        (-2 * HOUR, 0), (-2 * HOUR, 0), (-2 * HOUR, -2 * HOUR), (-HOUR, -HOUR),
    ):  # fmt: skip
        wecom.on("service_state/get", dated(clock, off))
        client.get_state("wk1", "wm1")
        assert skew == (None if client.skew is None else client.skew // SECOND)


@pytest.mark.databases("sqlite")
def test_absurd_date_of_a_page(url: str, wecom: Scripted, client: Client, clock: FrozenClock) -> None:
    """It moves no account back by days."""
    wecom.on("sync_msg", dated(clock, -240 * HOUR))
    with Engine(url, clock=clock) as engine:
        live = Live(engine, Settings(accounts=("wk1",)), client=client)
        wecom.on("servicer/list", httpx2.Response(200, json={"errcode": 0, "servicer_list": []}))
        for _ in range(4):
            live.sync()
            clock.advance(60)
        cursor = engine.cursor("wk1")
        assert cursor is not None
        assert cursor.synced_until is not None
        assert NOW - HOUR <= cursor.synced_until / SECOND
        live.close()
