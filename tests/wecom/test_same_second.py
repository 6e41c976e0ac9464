"""What happens within a second of a call of ours: WeCom's times have whole seconds, and so has what we know of them."""

from collections.abc import Iterator

import pytest

from kfstate.testing import FrozenClock
from tests.wecom.living import START, World

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite")


@pytest.fixture
def world(url: str) -> Iterator[World]:
    """A WeCom that behaves."""
    made = World.make(url, FrozenClock.at(START))
    yield made
    made.close()


@pytest.mark.parametrize("begun", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("ended", [0.5, 0.8])
def test_customer_writes_after_the_end(world: World, begun: float, ended: float) -> None:
    """Who writes in the second in which we end the session is heard, wherever in a second the calls before were made.

    Else the log would say that the session is over, without a doubt, and nobody would answer.
    """
    customer = world.wecom.customer()
    customer.writes(world.account)
    world.clock.advance(2 + begun)
    world.live.sync()
    ids = (world.account.open_kfid, customer.external_userid)
    world.live.change_state(*ids, 1)
    world.clock.advance(ended - begun)
    world.live.change_state(*ids, 4)
    world.clock.advance(0.1)
    customer.writes(world.account, "还有一个问题")
    world.clock.advance(5)
    world.live.sync()
    assert 0 == world.account.state(customer).service_state
    assert 0 == world.engine.state(*ids).service_state
