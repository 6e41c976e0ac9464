"""Erasing, retention, holds and the access log, awaited."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from kfstate import AsyncEngine, UnknownCustomerError
from kfstate.testing import FrozenClock, customer_message, page
from tests.engine.worlds import NOW

__all__: list[str] = []

GROUND: dict[str, Any] = {"actor": "dpo", "basis": "PIPL art. 47"}


def test_forgetting(url: str, clock: FrozenClock) -> None:
    """What an Engine does, an AsyncEngine does, on every database."""

    async def told() -> None:
        async with AsyncEngine(url, clock=clock) as engine:
            await engine.ingest(page([customer_message("wkA", user, NOW) for user in ("wmOne", "wmTwo", "wmThree")]))
            anchor = (await engine.verify()).anchor
            hold = (await engine.audit.hold("wmTwo", **GROUND)).hold
            assert hold is not None
            first = await engine.audit.erase("wmOne", **GROUND)
            second = await engine.audit.erase("wmTwo", **GROUND)
            assert [(1, 0), (1, 1)] == [(one.payloads, one.sealed) for one in (first, second)]
            assert 2 == len(await engine.audit.sealed(hold, actor="ann", basis="court order"))
            assert (await engine.audit.holds())[0].in_force
            assert "hold_released" == (await engine.audit.release(hold, **GROUND)).action
            again = await engine.audit.repeat([first, second], **GROUND)
            assert ((), (first.position, second.position), ()) == (again.receipts, again.gone, again.unknown)
            await engine.audit.accessed("show", actor="ann", external_userid="wmThree")
            clock.advance(200 * 86_400)
            assert 1 == (await engine.audit.retain(timedelta(days=180), **GROUND)).payloads
            assert 5 == len(await engine.audit.receipts())
            assert 2 == len(await engine.audit.accesses(actor="ann"))
            with pytest.raises(UnknownCustomerError):
                await engine.audit.erase("wmOne", **GROUND)
            verified = await engine.verify(anchor)
            assert (None, 2) == (verified.damage, len(verified.erased_names))

    asyncio.run(told())
