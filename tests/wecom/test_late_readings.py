"""Readings of servicers and accounts by a clock that is behind: they follow what they correct all the same."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from kfstate import Engine
from kfstate.testing import FrozenClock
from kfstate.wecom import Live, Settings
from kfstate.wecom.accounts import manages
from tests.wecom.scripted import NOW, Scripted, api, ok

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite")
KF = "wk_a"


@pytest.fixture
def opened(url: str) -> Iterator[Callable[[Scripted, FrozenClock], Live]]:
    """Give a function that opens a live side."""
    with ExitStack() as stack:

        def made(wecom: Scripted, clock: FrozenClock) -> Live:
            engine = stack.enter_context(Engine(url, clock=clock))
            return stack.enter_context(Live(engine, Settings(accounts=(KF,)), client=api(wecom, clock)))

        yield made


@pytest.mark.parametrize("behind", [0, 30, 3600])
def test_servicer(opened: Callable[[Scripted, FrozenClock], Live], behind: int) -> None:
    """An event says that a servicer receives, the list says a little later that he does not: he does not."""
    clock, wecom = FrozenClock.at(NOW), Scripted()
    event = {"event_type": "servicer_status_change", "servicer_userid": "zhang", "status": 1, "open_kfid": KF}
    entry = {"msgid": "e1", "send_time": NOW + behind, "origin": 4, "msgtype": "event", "event": event}
    wecom.on("sync_msg", ok(next_cursor="c1", has_more=0, msg_list=[entry]))
    wecom.on("servicer/list", ok(servicer_list=[{"userid": "zhang", "status": 1, "stop_type": 0}]))
    live = opened(wecom, clock)
    live.sync()
    assert [("zhang", True)] == [(one.servicer_userid, one.receiving) for one in live.engine.load()]
    for _ in range(3):
        clock.advance(10)
        live.servicers(KF)
    assert [("zhang", False)] == [(one.servicer_userid, one.receiving) for one in live.engine.load()]
    assert 1 == [entry.kind for entry in live.engine.read_all()].count("servicer_reading")


def test_account(opened: Callable[[Scripted, FrozenClock], Live]) -> None:
    """A clock that was set back keeps no change of an account from being known."""
    clock, wecom = FrozenClock.at(NOW), Scripted()
    live = opened(wecom, clock)
    for privilege in (False, True, False, True):
        wecom.on("account/list", ok(account_list=[{"open_kfid": KF, "name": "a", "manage_privilege": privilege}]))
        for _ in range(2):
            live.accounts()
            clock.advance(-600)
        with live.site.database.reading() as conn:
            assert manages(conn, KF) is privilege
    assert 4 == [entry.kind for entry in live.engine.read_all()].count("account_reading")
