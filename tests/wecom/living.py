"""A fake WeCom and the live side on it, over real HTTP."""

import time
from collections.abc import Callable
from typing import Any

import attrs

from kfstate import Engine
from kfstate.machine.kinds import FROM_WECOM
from kfstate.testing import FakeWecom, FrozenClock, Misbehaviour, OpenFacts
from kfstate.testing.fake import Account, Customer
from kfstate.wecom import Client, HttpTransport, Live, Pace, Retries, Settings, Timeouts
from kfstate.wecom.settings import CallbackSettings

__all__ = ["AES_KEY", "START", "TOKEN", "World", "eventually", "live_on", "quick_client"]

START = 1_767_225_600
TOKEN = "callback-token"  # noqa: S105 (made up)
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
QUICK = Retries(first=0.01, longest=0.05, jitter=0.0)


def quick_client(wecom: FakeWecom, engine: Engine, **options: Any) -> Client:
    """Return a client of the fake server that loses no time between two tries."""
    transport = HttpTransport(wecom.url, timeouts=Timeouts(connect=2, silence=1, body=5))
    return Client(
        wecom.corp_id, wecom.secret, transport=transport, database=engine._database, clock=engine._clock,
        concurrency=engine._concurrency, retries=QUICK, **options,
    )  # fmt: skip


def live_on(wecom: FakeWecom, engine: Engine, *, pace: Pace | None = None, **options: Any) -> Live:
    """Return the live side of an engine on the fake server; the settings have what the callback needs."""
    settings = Settings(
        corp_id=wecom.corp_id, secret=wecom.secret, api_url=wecom.url,
        callback=CallbackSettings(token=TOKEN, aes_key=AES_KEY), **options,
    )  # fmt: skip
    return Live(engine, settings, client=quick_client(wecom, engine), pace=pace or Pace(interval=600))


def eventually(done: Callable[[], object], timeout: float = 20.0) -> bool:
    """Wait until something is so; tell whether it is."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if done():
            return True
        time.sleep(0.02)
    return bool(done())


@attrs.define
class World:
    """A fake WeCom with one account, and an engine that is kept in step with it."""

    wecom: FakeWecom
    engine: Engine
    clock: FrozenClock
    live: Live
    account: Account
    made: list[Customer] = attrs.Factory(list)

    @classmethod
    def make(
        cls, url: str, clock: FrozenClock, *, misbehave: Misbehaviour | None = None, facts: OpenFacts | None = None
    ) -> "World":
        """Start the server and open the engine."""
        wecom = FakeWecom(clock=clock, misbehave=misbehave, open_facts=facts).start()
        engine = Engine(url, clock=clock)
        world = cls(wecom, engine, clock, live_on(wecom, engine), wecom.account("售后"))
        world.account.servicer("zhang")
        return world

    def close(self) -> None:
        """Close everything."""
        self.live.close()
        self.live.client.close()
        self.engine.close()
        self.wecom.close()

    def customer(self, *words: str) -> Customer:
        """Let a new customer write some words, each a second after the other."""
        customer = self.wecom.customer()
        self.made.append(customer)
        for word in words:
            self.clock.advance(1)
            customer.writes(self.account, word)
        return customer

    def log(self) -> list[str]:
        """Return the bodies of what WeCom brought into the log, in order."""
        return [str(entry.payload) for entry in self.engine.read_all() if entry.kind in FROM_WECOM]

    def written(self) -> list[str]:
        """Return the same of what happened at the server."""
        return [str(element) for element in self.account.entries()]

    def is_whole(self) -> bool:
        """Tell whether the log has all that happened, each once."""
        return sorted(self.log()) == sorted(self.written())
