"""Three processes on one database, one of them killed every second, against a server that does everything wrong.

``KFSTATE_END_TO_END`` is how many conversations take part (default 1,000), ``KFSTATE_END_TO_END_SEED`` the seed.
"""

import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest

from kfstate.testing import FakeWecom, Misbehaviour
from tests.adversarial.processes import Child, until
from tests.wecom.end_to_end.clock import SharedClock
from tests.wecom.end_to_end.people import People
from tests.wecom.end_to_end.service import PATH, Plan, live_side, serve
from tests.wecom.end_to_end.truth import Truth
from tests.wecom.living import AES_KEY, TOKEN

__all__: list[str] = []

CONVERSATIONS = int(os.environ.get("KFSTATE_END_TO_END", "1000"))
SEED = os.environ.get("KFSTATE_END_TO_END_SEED", "1")
PROCESSES = 3
LATE = 2.0
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
def wecom(tmp_path: Path) -> Iterator[FakeWecom]:
    """A server that does everything wrong."""
    misbehave = Misbehaviour.everything(0.03, seed=SEED, hang_seconds=0.6, delay_seconds=LATE)
    # Each of these stops a process for a while: more of them, and little else would happen.
    misbehave = attrs.evolve(misbehave, hung=0.005, limited=0.005, expired_tokens=0.005)
    with FakeWecom(clock=SharedClock(tmp_path / "clock"), misbehave=misbehave) as server:
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
        made = Fleet(
            Plan(
                url=url, wecom=wecom.url, corp_id=wecom.corp_id, secret=wecom.secret, clock=tmp_path / "clock", port=port
            )
        )  # fmt: skip
        yield made
        for child in made.running:
            child.close()


def go_on(fleet: Fleet, people: People, done: Any, *, patience: float) -> None:
    """Let people act, and kill a process every second, until it is done."""
    began = last = time.monotonic()
    while not done():
        people.act(min(6, 1 + len(people.touring) // 10))
        now = time.monotonic()
        if now - last >= 1:
            fleet.kill()
            last = now
        assert now - began < patience, f"{len(people.touring)} have not been everywhere: {list(people.touring)[:3]}"
        time.sleep(0.05)


def whole(truth: Truth, swept: Any) -> None:
    """Say what does not hold, if anything."""
    problems = truth.problems()
    assert not problems, f"{swept}\n{truth.told(problems)}"


def test_everything_at_once(fleet: Fleet, wecom: FakeWecom, tmp_path: Path) -> None:
    """After one sweep the log says what the server says, of every conversation, and nothing was done that it forbade."""
    clock = SharedClock(tmp_path / "clock")
    people = People.make(wecom, customers=CONVERSATIONS, seed=SEED)
    t0 = time.monotonic()
    fleet.begin(PROCESSES)
    go_on(fleet, people, lambda: people.look() == 0, patience=60 + CONVERSATIONS)
    fleet.end()
    print("toured", time.monotonic() - t0, fleet.killed, fleet.came.most_common(60))
    wecom._world.dice.misbehaviour = Misbehaviour(seed=SEED)
    with live_side(fleet.plan, clock) as live:
        until(lambda: all(one._desk.mailbox.held == 0 for one in people.accounts) or wecom.settle())
        live.sync()
        settled = live.settle()
        swept = live.reconcile(readings=2 * CONVERSATIONS, everything=True)
        print(
            time.monotonic() - t0,
            len(settled),
            swept.outcome,
            swept.read,
            swept.confirmed,
            len(swept.repaired),
            swept.failed,
        )
        truth = Truth.of(live.engine, wecom, people.accounts, clock.now())
        print("entries", sum(map(len, truth.talks.values())), "calls", len(wecom.calls))
        whole(truth, swept)
        print(time.monotonic() - t0)
