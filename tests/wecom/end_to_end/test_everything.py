"""Three processes on one database, one of them killed every second, against a server that does everything wrong.

``KFSTATE_END_TO_END`` is how many conversations take part (1,000 for the whole proof: some minutes on two cores),
``KFSTATE_END_TO_END_SEED`` the seed.
"""

import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import attrs
import pytest

from kfstate.testing import FakeWecom, Misbehaviour
from kfstate.wecom import Live
from kfstate.wecom.reconciling import Sweep
from tests.adversarial.processes import Child, until
from tests.wecom.end_to_end.clock import SharedClock
from tests.wecom.end_to_end.people import People
from tests.wecom.end_to_end.service import PATH, Plan, live_side, serve
from tests.wecom.end_to_end.truth import Truth
from tests.wecom.living import AES_KEY, TOKEN

__all__: list[str] = []

CONVERSATIONS = int(os.environ.get("KFSTATE_END_TO_END", "60"))
SEED = os.environ.get("KFSTATE_END_TO_END_SEED", "1")
PROCESSES = 3
LATE = 2.0
MOST = 200
"""How much people do in a second, at most."""
HOUR = 3_600
pytestmark = [pytest.mark.databases("pg18"), pytest.mark.slow]


@attrs.define
class Fleet:
    """The processes of the service."""

    plan: Plan
    running: list[Child] = attrs.Factory(list)
    killed: int = 0
    came: Counter[str] = attrs.Factory(Counter)
    _begun: int = 0

    def begin(self, count: int = 1) -> None:
        """Start processes, and wait for none."""
        for _ in range(count):
            self._begun += 1
            self.running.append(Child(serve, self.plan, f"{SEED}/{self._begun}"))

    def is_up(self) -> bool:
        """Tell whether the newest process is at work: on a slow machine nothing else would ever be."""
        newest = self.running[-1]
        if not newest.said and newest._hears.poll():
            newest.hear()
        return bool(newest.said)

    def kill(self) -> None:
        """Kill the oldest one with -9, and start another in its place."""
        child = self.running.pop(0)
        child.kill()
        child.end()
        self.killed += 1
        self._heard(child)
        child.close()
        self.begin()

    def end(self) -> None:
        """Ask all to end, as a deployment does, and hear what they say."""
        for child in self.running:
            assert ("ready", None) == (child.said or [child.hear()])[0], child.said
            os.kill(child._process.pid or 0, signal.SIGTERM)
        while self.running:
            child = self.running.pop()
            assert 0 == child.end(), child.said
            self._heard(child)
            child.close()

    def _heard(self, child: Child) -> None:
        for what, told in child.said:
            assert "failed" != what, told
            if what == "ended":
                self.came += told


@pytest.fixture
def clock(tmp_path: Path) -> SharedClock:
    """The time of every process."""
    return SharedClock(tmp_path / "clock")


@pytest.fixture
def wecom(clock: SharedClock) -> Iterator[FakeWecom]:
    """A server that does everything wrong."""
    misbehave = Misbehaviour.everything(0.03, seed=SEED, hang_seconds=0.6, delay_seconds=LATE)
    # Each of these stops a process for a while: more of them, and little else would happen.
    misbehave = attrs.evolve(misbehave, hung=0.005, limited=0.005, expired_tokens=0.005)
    with FakeWecom(clock=clock, misbehave=misbehave) as server:
        yield server


@pytest.fixture
def fleet(url: str, wecom: FakeWecom, tmp_path: Path) -> Iterator[Fleet]:
    """The service; its callback's port is taken here, so that it stays the same."""
    with ExitStack() as stack:
        taken = stack.enter_context(socket.socket())
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        wecom.callback(f"http://127.0.0.1:{port}{PATH}", token=TOKEN, aes_key=AES_KEY, timeout=1.0)
        file = tmp_path / "clock"
        made = Fleet(Plan(url=url, wecom=wecom.url, corp_id=wecom.corp_id, secret=wecom.secret, clock=file, port=port))
        yield made
        for child in made.running:
            child.close()


def go_on(fleet: Fleet, people: People, done: Callable[[float], bool], *, patience: float) -> None:
    """Let people act, and kill a process every second, until it is done; ``done`` is told the seconds since then."""
    began = killed = looked = acted = time.monotonic()
    while True:
        now = time.monotonic()
        people.act(people.busy(now - acted, most=round(MOST * (now - acted))))
        acted = now
        if now - killed >= 1 and fleet.is_up():
            fleet.kill()
            killed = now
        if now - looked >= 0.5:
            if done(now - began):
                return
            looked = now
        assert now - began < patience, f"{len(people.touring)} have not been everywhere: {people.touring[:3]}"
        time.sleep(0.05)


def test_everything_at_once(fleet: Fleet, wecom: FakeWecom, clock: SharedClock) -> None:
    """After one sweep the log says what the server says, of all, and nothing was done that it forbade."""
    people = People.make(wecom, customers=CONVERSATIONS, seed=SEED)
    fleet.begin(PROCESSES)
    go_on(fleet, people, lambda _: people.look() == 0, patience=120 + 3 * CONVERSATIONS)
    fleet.end()
    # Two days later: sessions have expired, and some of the people come again.
    clock.advance(49 * HOUR)
    people.touring = list(people.everybody)
    fleet.begin(PROCESSES)
    go_on(fleet, people, lambda seconds: seconds > 5, patience=60)
    fleet.end()
    wecom._world.dice.misbehaviour = Misbehaviour()
    with live_side(fleet.plan, clock) as live:
        until(lambda: nothing_is_late(wecom, people))
        until(lambda: all(pulled.outcome == "complete" for pulled in live.sync()))  # the dead have leases
        live.settle()
        swept = swept_once(live)
        truth = Truth.of(live.engine, wecom, people.accounts, clock.now())
        problems = truth.problems()
        assert not problems, f"{swept}\n{truth.told(problems)}"
        assert "complete" == swept.outcome
        assert fleet.killed >= 5
        missing = truth.rare()
        assert not missing or CONVERSATIONS < 500, f"it did not happen: {missing}"


def swept_once(live: Live) -> Sweep:
    """Sweep, once nobody who is dead has the lease any more."""
    swept = live.reconcile(readings=2 * CONVERSATIONS, everything=True)
    while swept.outcome == "held":
        time.sleep(0.1)
        swept = live.reconcile(readings=2 * CONVERSATIONS, everything=True)
    return swept


def nothing_is_late(wecom: FakeWecom, people: People) -> bool:
    """Tell whether every entry can be read by now."""
    wecom.settle()
    return all(account._desk.mailbox.held == 0 for account in people.accounts)
