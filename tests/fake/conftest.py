"""Shops on fake servers, closed at the end."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from kfstate.testing import FakeWecom, FrozenClock, Misbehaviour, OpenFacts
from tests.fake.api import START, Shop

__all__: list[str] = []


@pytest.fixture
def clock() -> FrozenClock:
    """Give a clock that stands still."""
    return FrozenClock.at(START)


@pytest.fixture
def open_shop(clock: FrozenClock) -> Iterator[Callable[..., Shop]]:
    """Give a function that opens a shop: ``facts`` and ``misbehave`` go to the server, the rest to the account."""
    with ExitStack() as stack:

        def opened(facts: OpenFacts | None = None, misbehave: Misbehaviour | None = None, **account: Any) -> Shop:
            wecom = stack.enter_context(FakeWecom(clock=clock, open_facts=facts, misbehave=misbehave))
            shop = Shop(wecom, clock, **account)
            stack.callback(shop.api.close)
            return shop

        yield opened


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    """Give a shop on a server that behaves."""
    return open_shop()
