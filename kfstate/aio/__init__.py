"""The engine for asyncio: the same code, run inside greenlets. Needs ``pip install kfstate[async]``."""

from kfstate.aio.engine import AsyncEngine

__all__ = ["AsyncEngine"]
