"""What other processes do in the tests of timers: tick, and handle what is told."""

from sqlalchemy import text

from kfstate import Engine, Event
from kfstate.wecom import Client, WaitingLimit, reached
from kfstate.wecom.site import Site
from kfstate.wecom.timers import Timers
from tests.adversarial.processes import Say

__all__ = ["handle", "sweep", "tick"]


def _site(engine: Engine, wecom: tuple[str, str, str]) -> Site:
    url, corp_id, secret = wecom
    return Site.of(engine, Client(corp_id, secret, base_url=url, database=engine._database))


def tick(say: Say, url: str, wecom: tuple[str, str, str], seconds: int) -> None:
    """Tell limits until killed, as fast as can be; say when it has begun, and no more: nobody listens for long."""
    with Engine(url) as engine:
        timers = Timers(_site(engine, wecom), limits=[WaitingLimit.queued(seconds)])
        say(timers.tick().limits)
        while True:
            timers.tick()


def handle(say: Say, url: str) -> None:
    """Write down each limit that is told, in the transaction that moves the checkpoint."""

    def note(event: Event) -> None:
        limit = reached(event)
        if limit is not None and event.connection is not None:
            statement = text("INSERT INTO alarms (customer) VALUES (:customer)")
            event.connection.execute(statement, {"customer": limit.external_userid})
            say(limit.external_userid)

    with Engine(url) as engine:
        engine.subscribe("alarms", note, lease=0.3, poll=0.02, batch=2).run()


def sweep(say: Say, url: str, wecom: tuple[str, str, str]) -> None:
    """Sweep in turn until killed; say what came of each sweep."""
    with Engine(url) as engine:
        sweeper = Timers(_site(engine, wecom)).sweeper
        sweeper.length = 1.0
        while True:
            say(sweeper.sweep(everything=True).outcome)
