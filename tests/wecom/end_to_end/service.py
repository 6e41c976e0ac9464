"""One process of the routing service: it pulls, hears callbacks, sweeps, and makes calls, until it is told to end."""

import logging
import signal
import socket
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import httpx2
import uvicorn

from kfstate import Engine
from kfstate.clock import SECOND, Clock
from kfstate.errors import ClosedError
from kfstate.testing.simulation.dice import chance
from kfstate.wecom import Client, HttpTransport, Live, Pace, Secret, Settings, Timeouts
from kfstate.wecom.settings import CallbackSettings, ReconcileSettings, TimerSettings
from tests.adversarial.processes import Say
from tests.wecom.end_to_end.clock import SharedClock
from tests.wecom.end_to_end.routing import Router
from tests.wecom.living import AES_KEY, QUICK, TOKEN

__all__ = ["PATH", "Plan", "live_side", "serve"]

PATH = "/wecom/callback"
SILENCE = 0.4
"""Seconds after which a call that gets no answer is given up."""


@attrs.frozen(kw_only=True)
class Plan:
    """What a process has to know. ``port`` is where callbacks come, to whichever process."""

    url: str
    wecom: str
    corp_id: str
    secret: str
    clock: Path
    port: int
    routers: int = 2
    silence: float = SILENCE


@contextmanager
def live_side(plan: Plan, clock: Clock, *, pace: Pace | None = None) -> Iterator[Live]:
    """Open the engine and the live side of it."""
    settings = Settings(
        corp_id=plan.corp_id, secret=Secret(plan.secret),
        callback=CallbackSettings(token=Secret(TOKEN), aes_key=Secret(AES_KEY), path=PATH),
        reconcile=ReconcileSettings(interval=3, readings=10), timers=TimerSettings(interval=0.5),
    )  # fmt: skip
    with Engine(plan.url, clock=clock) as engine:
        plain = httpx2.Client(verify=False)  # plain HTTP; reading certificates takes a tenth of a second
        transport = HttpTransport(plan.wecom, client=plain, timeouts=Timeouts(connect=2, silence=plan.silence, body=5))
        client = Client(
            plan.corp_id, plan.secret, transport=transport, database=engine._database, clock=clock, retries=QUICK,
        )  # fmt: skip
        client._calls.rates.first = SECOND  # a limit of a minute would be all there is
        live = Live(engine, settings, client=client, pace=pace)
        live.timers.sweeper.length = 3.0  # one of those who sweep is killed soon
        try:
            yield live
        finally:
            live.close()
            client.close()
            plain.close()


def serve(say: Say, plan: Plan, seed: str) -> None:
    """Be a process of the service until SIGTERM; then say what came of the calls, or what went wrong."""
    logging.disable()  # what goes wrong is counted
    ending, told = threading.Event(), list[int]()
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))  # a handler that takes a lock may meet its own
    came: Counter[str] = Counter()
    pace = Pace(interval=1, limit=50, refresh=5, lease=2)
    with live_side(plan, SharedClock(plan.clock), pace=pace) as live, listening(live, plan.port):
        live.start()
        routers = [
            threading.Thread(target=route, args=(live, f"{seed}/{number}", ending, say, came))
            for number in range(plan.routers)
        ]
        for one in routers:
            one.start()
        say(("ready", None))
        while not told:
            time.sleep(0.05)
        ending.set()
        for one in routers:
            one.join()
    say(("ended", came))


def route(live: Live, seed: str, ending: threading.Event, say: Say, came: Counter[str]) -> None:
    """Decide about one conversation after the other."""
    router = Router(live, chance(seed, "router"), came)
    try:
        while not ending.is_set():
            views = router.look()
            for view in views:
                if not ending.is_set():
                    router.decide(view)
            if not views:
                ending.wait(0.05)
    except ClosedError:
        return
    except Exception:  # noqa: BLE001 (whatever it was, the test has to hear of it)
        say(("failed", traceback.format_exc()))


@contextmanager
def listening(live: Live, port: int) -> Iterator[None]:
    """Hear callbacks on a port that other processes have, too."""
    heard = socket.socket()
    heard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    heard.bind(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(live.app(), log_config=None, access_log=False, lifespan="on", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [heard]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)
        heard.close()
