"""Timers in several processes, some of them killed: each limit is told once, and one process sweeps at a time."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import text

from kfstate import Engine
from kfstate.clock import SECOND, SystemClock
from kfstate.testing import FakeWecom, customer_message, page
from kfstate.wecom import reached
from tests.adversarial.processes import beside, until
from tests.wecom import tickers

__all__: list[str] = []

pytestmark = [pytest.mark.databases("sqlite", "pg18", "mariadb"), pytest.mark.slow]
CUSTOMERS = [f"wm{number}" for number in range(40)]


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An engine by the clock of the machine, with a table for what handlers do: without a key."""
    with Engine(url) as made:
        with made._writing() as conn:
            conn.execute(text("CREATE TABLE alarms (customer VARCHAR(64) NOT NULL)"))
        yield made


@pytest.fixture
def wecom() -> Iterator[FakeWecom]:
    """The other side."""
    with FakeWecom() as made:
        yield made


def access(wecom: FakeWecom) -> tuple[str, str, str]:
    """Return what another process needs to make calls."""
    return wecom.url, wecom.corp_id, wecom.secret


def test_each_limit_once(engine: Engine, url: str, wecom: FakeWecom) -> None:
    """Three processes tick, two handle, and the busiest are killed: every customer is told of exactly once."""
    now = SystemClock().now() // SECOND
    engine.ingest(page([customer_message("wk1", customer, now - 10) for customer in CUSTOMERS]))
    with ExitStack() as stack:
        ticking = [stack.enter_context(beside(tickers.tick, url, access(wecom), 1)) for _ in range(3)]
        handling = [stack.enter_context(beside(tickers.handle, url)) for _ in range(2)]
        for one in ticking:
            one.hear()
        for number, customer in enumerate(CUSTOMERS):
            engine.record(
                {"kind": "state_changed", "open_kfid": "wk1", "external_userid": customer, "actor": "a",
                 "service_state": 2}
            )  # fmt: skip
            if number == 10:
                ticking.pop().kill()
            if number == 20:
                handling.pop().kill()
            if number == 30:
                ticking.pop().kill()
            time.sleep(0.05)
        until(lambda: len(alarms(engine)) >= len(CUSTOMERS))
        time.sleep(0.3)
    told = [reached(entry) for entry in engine.read_all() if entry.kind == "limit_reached"]
    assert sorted(CUSTOMERS) == sorted(str(one.external_userid) for one in told if one is not None)
    assert sorted(CUSTOMERS) == alarms(engine)
    assert None is engine.verify().damage


def alarms(engine: Engine) -> list[str]:
    """Return whom the handlers were told of."""
    with engine._reading() as conn:
        return sorted(str(row[0]) for row in conn.execute(text("SELECT customer FROM alarms")))


def test_one_sweep_at_a_time(engine: Engine, url: str, wecom: FakeWecom) -> None:
    """Of two processes one sweeps; when it is killed in the middle, the other one takes over."""
    account = wecom.account("售后")
    for customer in CUSTOMERS[:8]:
        wecom.customer(customer).writes(account)
    engine.ingest(page([dict(entry) for entry in account.entries()]), account=account.open_kfid)
    wecom.fail_next("service_state/get", "hung")
    with beside(tickers.sweep, url, access(wecom)) as first:
        until(lambda: [call for call in wecom.calls if call.name == "service_state/get"] != [])
        with beside(tickers.sweep, url, access(wecom)) as second:
            assert "held" == second.hear()
            first.kill()
            assert "complete" in iter(second.hear, None)
    read = [entry.external_userid for entry in engine.read_all() if entry.kind == "state_reading"]
    assert set(CUSTOMERS[:8]) == {*read}
