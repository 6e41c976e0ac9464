"""Several processes on one database: nothing is lost, nothing comes twice, and a killed one is missed by nobody."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import attrs
import pytest

from kfstate import Engine
from kfstate.machine.kinds import FROM_WECOM
from kfstate.testing import FakeWecom, Misbehaviour
from kfstate.testing.fake import Account
from tests.wecom.living import eventually
from tests.wecom.syncer import LEASE

__all__: list[str] = []

PROCESSES = 3

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.databases("sqlite", "pg18"), pytest.mark.slow]


@attrs.define
class Fleet:
    """A fake WeCom with some accounts, and processes that pull them into one database."""

    wecom: FakeWecom
    url: str
    accounts: list[Account]
    running: "list[subprocess.Popen[str]]" = attrs.Factory(list)

    def begin(self) -> None:
        """Start a process, and wait until it pulls."""
        command = [
            sys.executable, "-m", "tests.wecom.syncer", self.url, self.wecom.url, self.wecom.corp_id, self.wecom.secret,
        ]  # fmt: skip
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.running.append(process)
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()

    def kill(self) -> None:
        """Kill the oldest process: it is told nothing, and gives nothing back."""
        process = self.running.pop(0)
        process.kill()
        process.communicate()

    def end(self) -> list[tuple[str, float]]:
        """Ask each process to stop; return what it said, and how long that took."""
        told = []
        while self.running:
            process, began = self.running.pop(), time.monotonic()
            said = process.communicate("", timeout=30)[0]
            told.append((said, time.monotonic() - began))
            assert 0 == process.returncode
        return told

    def talk(self, customers: int) -> None:
        """Let customers of every account write."""
        for number in range(customers):
            customer = self.wecom.customer()
            for word in ("a", "b", "c"):
                customer.writes(self.accounts[number % len(self.accounts)], word)

    def is_whole(self, engine: Engine) -> bool:
        """Tell whether the log has all that happened."""
        written = sorted(str(element) for account in self.accounts for element in account.entries())
        return written == sorted(str(entry.payload) for entry in engine.read_all() if entry.kind in FROM_WECOM)


@pytest.fixture
def fleet(url: str) -> Iterator[Fleet]:
    """Everything but the processes."""
    misbehave = Misbehaviour(
        seed=7, duplicates=0.2, shuffled=0.3, delayed=0.1, delay_seconds=0.5, short_pages=0.2, empty_pages=0.1,
        busy=0.02, dropped=0.02, expired_tokens=0.01, broken_json=0.02,
    )  # fmt: skip
    with ExitStack() as stack:
        wecom = stack.enter_context(FakeWecom(misbehave=misbehave))
        made = Fleet(wecom, url, [wecom.account(name) for name in ("售后", "售前", "投诉")])
        yield made
        for process in made.running:
            process.kill()
            process.communicate()


def test_one_is_killed_again_and_again(fleet: Fleet) -> None:
    """Whoever pulls, and whoever dies at it: the log has each entry once, and the projections are the log's."""
    with Engine(fleet.url) as engine:
        for _ in range(PROCESSES):
            fleet.begin()
        for _ in range(3):
            fleet.talk(20)
            fleet.kill()
            fleet.talk(20)
            fleet.begin()
        fleet.talk(20)
        assert eventually(lambda: fleet.is_whole(engine), 30)
        told = fleet.end()
        assert [("stopped\n", True)] * PROCESSES == [(said, took < 5) for said, took in told]
        assert fleet.is_whole(engine)
        assert None is engine.verify().damage
        assert 0 == engine.check().different
        states = fleet.wecom.states()
        assert {key: state.service_state for key, state in states.items()} == {
            (view.open_kfid, view.external_userid): view.service_state for view in engine.conversations()
        }
        for account in fleet.accounts:
            cursor = engine.cursor(account.open_kfid)
            assert cursor is not None
            assert cursor.synced_until is not None


def test_the_others_take_over(fleet: Fleet) -> None:
    """An account whose puller is dead goes on with another process once the lease has run out."""
    with Engine(fleet.url) as engine:
        fleet.begin()
        fleet.begin()
        for _ in range(5):
            fleet.talk(6)
            assert eventually(lambda: fleet.is_whole(engine), 20)
        fleet.kill()
        fleet.talk(6)
        began = time.monotonic()
        assert eventually(lambda: fleet.is_whole(engine), 20)
        assert time.monotonic() - began < LEASE + 10
        fleet.end()
