"""The engine for asyncio: the same code, run inside greenlets. Needs ``pip install kfstate[async]``."""

from kfstate.aio.engine import AsyncEngine
from kfstate.aio.subscription import AsyncEvent, AsyncHandler, AsyncSubscription

__all__ = ["AsyncEngine", "AsyncEvent", "AsyncHandler", "AsyncSubscription"]
