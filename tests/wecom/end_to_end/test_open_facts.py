"""Every answer to what the documents leave open, two by two, with everything going wrong at once.

One process, and a clock of the test's: hours and days pass. ``KFSTATE_END_TO_END_ACTS`` says how much happens.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import attrs
import pytest

from kfstate.testing import FakeWecom, FrozenClock, Misbehaviour, OpenFacts
from kfstate.testing.simulation.dice import Weighted, chance
from kfstate.wecom import Live
from tests.wecom.end_to_end.people import People
from tests.wecom.end_to_end.routing import EXPECTED, Router
from tests.wecom.end_to_end.service import Plan, live_side
from tests.wecom.end_to_end.truth import Truth
from tests.wecom.living import START

__all__: list[str] = []

ACTS = int(os.environ.get("KFSTATE_END_TO_END_ACTS", "60"))
SEED = os.environ.get("KFSTATE_END_TO_END_SEED", "1")
CUSTOMERS = 8
HOUR = 3_600
SETS = OpenFacts.pairwise()
PASSING: Weighted[float] = Weighted((30, 0.2), (30, 1.3), (20, 20.0), (12, 400.0), (6, 1_900.0), (2, 7 * HOUR))
"""How many seconds pass between two acts."""
pytestmark = [pytest.mark.databases("sqlite"), pytest.mark.slow]


@attrs.define
class Day:
    """A server with its people, and the service in one process."""

    wecom: FakeWecom
    clock: FrozenClock
    people: People
    live: Live
    router: Router

    def goes_by(self, acts: int, seed: str) -> None:
        """Let so much happen; the service hears of it now and then, and does something about it."""
        rand = chance(seed, "passing")
        for number in range(acts):
            self.people.act()
            self.clock.advance(PASSING.draw(rand))
            if number == acts // 2:
                self.clock.advance(49 * HOUR)
            if rand() < 0.4:
                with suppress(*EXPECTED):
                    self.live.sync()
            if rand() < 0.1:
                with suppress(*EXPECTED):
                    self.live.tick()
                    self.live.reconcile(readings=3)
            for view in self.router.look(1):
                self.router.decide(view)

    def ends(self) -> str:
        """Let everything go well from now on, sweep once, and return what does not hold."""
        self.wecom._world.dice.misbehaviour = Misbehaviour()
        self.clock.advance(70)
        self.live.sync()
        self.live.settle()
        swept = self.live.reconcile(readings=10_000, everything=True)
        truth = Truth.of(self.live.engine, self.wecom, self.people.accounts, self.clock.now())
        problems = truth.problems()
        return f"{swept}\n{truth.told(problems)}" if problems else ""


@pytest.fixture(params=range(len(SETS)))
def day(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Day]:
    """One set of answers."""
    number: int = request.param
    seed = f"{SEED}/{number}"
    misbehave = Misbehaviour.everything(0.04, seed=seed, hang_seconds=0.25, delay_seconds=60)
    misbehave = attrs.evolve(misbehave, hung=0.002)
    clock = FrozenClock.at(START)
    with ExitStack() as stack:
        wecom = stack.enter_context(FakeWecom(clock=clock, misbehave=misbehave, open_facts=SETS[number]))
        people = People.make(wecom, customers=CUSTOMERS, seed=seed)
        plan = Plan(
            url=url, wecom=wecom.url, corp_id=wecom.corp_id, secret=wecom.secret, clock=tmp_path, port=0, silence=0.15
        )  # fmt: skip
        live = stack.enter_context(live_side(plan, clock))
        yield Day(wecom, clock, people, live, Router(live, chance(seed, "router")))


def test_open_facts(day: Day) -> None:
    """Whatever the answer, the log says in the end what the server says."""
    day.goes_by(ACTS, str(day.wecom._world.dice.misbehaviour.seed))
    told = day.ends()
    assert not told, f"{day.wecom._world.facts}\n{told}"
