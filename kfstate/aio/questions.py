"""The questions of AsyncEngine about many conversations, and how a method of Engine is awaited."""

from collections.abc import AsyncGenerator, Callable, Iterator
from itertools import islice
from typing import Concatenate, ParamSpec, TypeVar

from kfstate.aio.greenlets import inside
from kfstate.engine import Engine
from kfstate.queries.conversations import PAGE
from kfstate.queries.side import AnomalyView, CodeView, FateView
from kfstate.queries.views import ConversationView, LoadView, QueueView, SessionView
from kfstate.service_state import KfServiceState

__all__ = ["AsyncQuestions"]

P = ParamSpec("P")
T = TypeVar("T")


class AsyncQuestions:
    """The part of :class:`kfstate.AsyncEngine` that lists and counts: as :class:`kfstate.queries.face.Questions`."""

    _opened: Callable[[], Engine]

    def conversations(
        self,
        *,
        state: KfServiceState | int | str | None = None,
        account: str | None = None,
        servicer: str | None = None,
        doubt: str | None = None,
        evidence: str | None = None,
        older_than: int | None = None,
        after: tuple[str, str] | None = None,
        limit: int | None = None,
        as_of_log: bool = False,
    ) -> AsyncGenerator[ConversationView, None]:
        """As :meth:`kfstate.Engine.conversations`."""
        return self._each(
            Engine.conversations, state=state, account=account, servicer=servicer, doubt=doubt, evidence=evidence,
            older_than=older_than, after=after, limit=limit, as_of_log=as_of_log,
        )  # fmt: skip

    async def counts(
        self,
        *,
        state: KfServiceState | int | str | None = None,
        account: str | None = None,
        servicer: str | None = None,
        doubt: str | None = None,
        evidence: str | None = None,
        older_than: int | None = None,
        as_of_log: bool = False,
    ) -> dict[KfServiceState, int]:
        """As :meth:`kfstate.Engine.counts`."""
        return await self._run(
            Engine.counts, state=state, account=account, servicer=servicer, doubt=doubt, evidence=evidence,
            older_than=older_than, as_of_log=as_of_log,
        )  # fmt: skip

    def sessions(
        self,
        *,
        open_kfid: str | None = None,
        external_userid: str | None = None,
        running: bool | None = None,
        after: tuple[str, str, int] | None = None,
        limit: int | None = None,
        as_of_log: bool = False,
    ) -> AsyncGenerator[SessionView, None]:
        """As :meth:`kfstate.Engine.sessions`."""
        return self._each(
            Engine.sessions, open_kfid=open_kfid, external_userid=external_userid, running=running, after=after,
            limit=limit, as_of_log=as_of_log,
        )  # fmt: skip

    async def queue(self, account: str | None = None) -> list[QueueView]:
        """As :meth:`kfstate.Engine.queue`."""
        return await self._run(Engine.queue, account)

    async def load(self, account: str | None = None) -> list[LoadView]:
        """As :meth:`kfstate.Engine.load`."""
        return await self._run(Engine.load, account)

    def anomalies(
        self,
        *,
        kind: str | None = None,
        open_kfid: str | None = None,
        external_userid: str | None = None,
        after: tuple[int, str] | None = None,
        limit: int | None = None,
    ) -> AsyncGenerator[AnomalyView, None]:
        """As :meth:`kfstate.Engine.anomalies`."""
        return self._each(
            Engine.anomalies, kind=kind, open_kfid=open_kfid, external_userid=external_userid, after=after, limit=limit
        )

    def fates(
        self,
        *,
        fate: str | None = None,
        open_kfid: str | None = None,
        external_userid: str | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> AsyncGenerator[FateView, None]:
        """As :meth:`kfstate.Engine.fates`."""
        return self._each(
            Engine.fates, fate=fate, open_kfid=open_kfid, external_userid=external_userid, after=after, limit=limit
        )

    def codes(
        self,
        *,
        usable: bool = True,
        open_kfid: str | None = None,
        external_userid: str | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> AsyncGenerator[CodeView, None]:
        """As :meth:`kfstate.Engine.codes`."""
        return self._each(
            Engine.codes, usable=usable, open_kfid=open_kfid, external_userid=external_userid, after=after, limit=limit
        )

    async def _run(self, method: Callable[Concatenate[Engine, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a method of the engine."""
        return await inside(method, self._opened(), *args, **kwargs)

    async def _each(
        self, method: Callable[Concatenate[Engine, P], Iterator[T]], *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[T, None]:
        """Yield what a method of the engine yields, a page at a time."""
        items = method(self._opened(), *args, **kwargs)
        try:
            while page := await inside(_page, items):
                for item in page:
                    yield item
        finally:
            await inside(_closed, items)


def _page(items: Iterator[T]) -> list[T]:
    return list(islice(items, PAGE))


def _closed(items: Iterator[T]) -> None:
    close = getattr(items, "close", None)
    if close is not None:
        close()
