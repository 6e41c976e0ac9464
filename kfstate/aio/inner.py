"""The engine that an AsyncEngine owns: it connects through asyncio's drivers, and waits by awaiting."""

import sqlite3
from contextlib import ExitStack, closing
from importlib.util import find_spec
from typing import Any
from uuid import uuid4

from sqlalchemy.engine import make_url

from kfstate.aio.greenlets import AsyncTasks
from kfstate.engine import Engine
from kfstate.errors import DriverError
from kfstate.store.database import Database

__all__ = ["InnerEngine", "ask_for_greenlets"]


class InnerEngine(Engine):
    """An engine whose methods run inside greenlets."""

    def __init__(self, tasks: AsyncTasks, url: str, **kwargs: Any) -> None:
        """Open the database as :class:`kfstate.Engine` does, inside a greenlet."""
        self._concurrency = tasks
        self._memory, url = _kept(url)
        try:
            super().__init__(url, **kwargs)
        except BaseException:
            self._memory.close()
            raise

    def _connected(self, url: str, lock_timeout: float) -> Database:
        return Database(url, lock_timeout=lock_timeout, asynchronous=True)

    def close(self) -> None:
        """As :meth:`kfstate.Engine.close`."""
        super().close()
        self._memory.close()


def _kept(url: str) -> tuple[ExitStack, str]:
    """Return what keeps a database in memory, which would be gone with a connection that is cancelled, and its URL."""
    kept, found = ExitStack(), make_url(url)
    if found.get_backend_name() == "sqlite" and found.database in {None, "", ":memory:"}:
        name = f"file:kfstate-{uuid4().hex}"
        kept.enter_context(closing(sqlite3.connect(f"{name}?mode=memory&cache=shared", uri=True)))
        found = found.set(database=name, query={"mode": "memory", "cache": "shared", "uri": "true"})
        return kept, found.render_as_string()
    return kept, url


def ask_for_greenlets() -> None:
    """Raise :class:`~kfstate.errors.DriverError` where greenlet is not installed."""
    if find_spec("greenlet") is None:
        raise DriverError(found="no greenlet", needed="greenlet", remedy="pip install 'kfstate[async]'")
