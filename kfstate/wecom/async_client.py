"""The calls of the KF API for asyncio: every method of Client, to be awaited. No logic of its own."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from kfstate.aio.greenlets import AsyncTasks, inside
from kfstate.aio.inner import ask_for_greenlets
from kfstate.clock import Clock
from kfstate.store.database import Database
from kfstate.store.greenlets import awaited
from kfstate.wecom.client import Client
from kfstate.wecom.replying import PulledPage
from kfstate.wecom.retrying import Retries
from kfstate.wecom.secret import Secret
from kfstate.wecom.transport import AsyncTransport, AwaitedTransport, Transport
from kfstate.wire import (
    CustomerBatchgetReply,
    KfAccount,
    KfServicer,
    KfServicerResult,
    SendMsgReply,
    ServiceStateReply,
    TransReply,
)

__all__ = ["AsyncClient", "AsyncTokenSource"]


class AsyncTokenSource(Protocol):
    """A :class:`~kfstate.wecom.tokens.TokenSource` for asyncio."""

    def get(self, refused: Secret | None = None) -> Awaitable[Secret]:
        """Return an access token; another one than ``refused``, if it can be had."""
        ...


class _AwaitedTokens:
    def __init__(self, tokens: AsyncTokenSource) -> None:
        self._tokens = tokens

    def get(self, refused: Secret | None = None) -> Secret:
        return awaited(self._tokens.get(refused))


class AsyncClient:
    """:class:`~kfstate.wecom.client.Client` for asyncio, on one event loop.

    A call that is cancelled may have been sent: one that changes something is then as one whose reply is lost.
    """

    def __init__(
        self,
        corp_id: str,
        secret: Secret | str = "",
        *,
        base_url: str = "https://qyapi.weixin.qq.com",
        transport: AsyncTransport | None = None,
        tokens: AsyncTokenSource | None = None,
        database: Database | None = None,
        clock: Clock | None = None,
        retries: Retries | None = None,
        new_msgid: Callable[[], str] | None = None,
    ) -> None:
        """Take what :class:`~kfstate.wecom.client.Client` takes; ``database`` is one with asyncio's drivers."""
        ask_for_greenlets()
        secret = Secret(secret)
        options: dict[str, Any] = {} if new_msgid is None else {"new_msgid": new_msgid}
        self._tasks = AsyncTasks()
        self._client = Client(
            corp_id, secret, transport=_over_http(base_url) if transport is None else AwaitedTransport(transport),
            tokens=None if tokens is None else _AwaitedTokens(tokens), database=database, clock=clock,
            concurrency=self._tasks, retries=retries, **options,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._client.corp_id!r})"

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the client."""
        await self.close()

    async def close(self) -> None:
        """As :meth:`~kfstate.wecom.client.Client.close`."""
        await inside(self._client.close)

    @property
    def corp_id(self) -> str:
        """The enterprise."""
        return self._client.corp_id

    @property
    def skew(self) -> int | None:
        """As :attr:`~kfstate.wecom.client.Client.skew`."""
        return self._client.skew

    def stopped(self) -> dict[str, int]:
        """As :meth:`~kfstate.wecom.client.Client.stopped`."""
        return self._client.stopped()

    async def accounts(self) -> tuple[KfAccount, ...]:
        """As :meth:`~kfstate.wecom.client.Client.accounts`."""
        return await inside(self._client.accounts)

    async def servicers(self, open_kfid: str) -> tuple[KfServicer, ...]:
        """As :meth:`~kfstate.wecom.client.Client.servicers`."""
        return await inside(self._client.servicers, open_kfid)

    async def add_servicers(
        self, open_kfid: str, userids: Iterable[str] = (), department_ids: Iterable[int] = ()
    ) -> tuple[KfServicerResult, ...]:
        """As :meth:`~kfstate.wecom.client.Client.add_servicers`."""
        return await inside(self._client.add_servicers, open_kfid, userids, department_ids)

    async def remove_servicers(
        self, open_kfid: str, userids: Iterable[str] = (), department_ids: Iterable[int] = ()
    ) -> tuple[KfServicerResult, ...]:
        """As :meth:`~kfstate.wecom.client.Client.remove_servicers`."""
        return await inside(self._client.remove_servicers, open_kfid, userids, department_ids)

    async def customers(
        self, external_userids: Iterable[str], *, need_enter_session_context: bool = False
    ) -> CustomerBatchgetReply:
        """As :meth:`~kfstate.wecom.client.Client.customers`."""
        return await inside(
            self._client.customers, external_userids, need_enter_session_context=need_enter_session_context
        )

    async def sync_msg(
        self, open_kfid: str, cursor: str = "", *, token: str = "", limit: int = 1000, voice_format: int = 0
    ) -> PulledPage:
        """As :meth:`~kfstate.wecom.client.Client.sync_msg`."""
        return await inside(
            self._client.sync_msg, open_kfid, cursor, token=token, limit=limit, voice_format=voice_format
        )

    async def get_state(self, open_kfid: str, external_userid: str) -> ServiceStateReply:
        """As :meth:`~kfstate.wecom.client.Client.get_state`."""
        return await inside(self._client.get_state, open_kfid, external_userid)

    async def trans_state(
        self, open_kfid: str, external_userid: str, service_state: int, servicer_userid: str = ""
    ) -> TransReply:
        """As :meth:`~kfstate.wecom.client.Client.trans_state`."""
        return await inside(self._client.trans_state, open_kfid, external_userid, service_state, servicer_userid)

    async def send_msg(
        self, open_kfid: str, external_userid: str, message: Mapping[str, Any], *, msgid: str = ""
    ) -> SendMsgReply:
        """As :meth:`~kfstate.wecom.client.Client.send_msg`."""
        return await inside(self._client.send_msg, open_kfid, external_userid, message, msgid=msgid)

    async def send_msg_on_event(self, code: str, message: Mapping[str, Any], *, msgid: str = "") -> SendMsgReply:
        """As :meth:`~kfstate.wecom.client.Client.send_msg_on_event`."""
        return await inside(self._client.send_msg_on_event, code, message, msgid=msgid)


def _over_http(base_url: str) -> Transport:
    from kfstate.wecom.http import AsyncHttpTransport  # noqa: PLC0415 (as in the client)

    return AsyncHttpTransport(base_url)
