"""The calls of the KF API, each a method."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from kfstate.clock import Clock, SystemClock
from kfstate.concurrency import THREADS, Concurrency
from kfstate.errors import ArgumentError, WecomError
from kfstate.store.database import Database
from kfstate.wecom.calling import Call, Calls
from kfstate.wecom.replying import PulledPage, page
from kfstate.wecom.retrying import Retries
from kfstate.wecom.secret import Secret
from kfstate.wecom.tokens import TokenSource
from kfstate.wecom.transport import Transport
from kfstate.wire import (
    AccountListReply,
    CustomerBatchgetReply,
    KfAccount,
    KfCustomer,
    KfReply,
    KfServicer,
    KfServicerResult,
    SendMsgReply,
    ServicerListReply,
    ServicerResultReply,
    ServiceStateReply,
    TransReply,
)

__all__ = ["Client"]

R = TypeVar("R", bound=KfReply)
Item = TypeVar("Item")

_ACCOUNTS = Call("account/list", AccountListReply, {"account_list": list})
_SERVICERS = Call("servicer/list", ServicerListReply, {"servicer_list": list}, method="GET")
_ADD = Call("servicer/add", ServicerResultReply, {"result_list": list})
_REMOVE = Call("servicer/del", ServicerResultReply, {"result_list": list})
_SYNC = Call("sync_msg", KfReply)
_GET = Call("service_state/get", ServiceStateReply, {"service_state": int})
_TRANS = Call("service_state/trans", TransReply, changes=True)
_SEND = Call("send_msg", SendMsgReply, changes=True)
_SEND_ON_EVENT = Call("send_msg_on_event", SendMsgReply, changes=True)
_CUSTOMERS = Call("customer/batchget", CustomerBatchgetReply, {"customer_list": list})
_AT_ONCE = 100
"""How many accounts, servicers, departments or customers a call takes."""
_USED = 95033


def _new_msgid() -> str:
    return f"kf{os.urandom(15).hex()}"


class Client:
    """The KF API of one app of one enterprise. Share one between threads, and close it at the end.

    A call that only reads is repeated where WeCom is busy or gives no proper answer; one that changes something only
    where it certainly was not carried out, else it raises :class:`~kfstate.errors.ReplyLostError`. A refused access
    token is replaced once. A call that WeCom stopped for its frequency is not made until the limit has passed.
    """

    def __init__(
        self,
        corp_id: str,
        secret: Secret | str = "",
        *,
        base_url: str = "https://qyapi.weixin.qq.com",
        transport: Transport | None = None,
        tokens: TokenSource | None = None,
        database: Database | None = None,
        clock: Clock | None = None,
        concurrency: Concurrency = THREADS,
        retries: Retries | None = None,
        new_msgid: Callable[[], str] = _new_msgid,
    ) -> None:
        """Prepare to call; nothing is sent before the first call.

        ``transport`` carries the requests (default: :class:`~kfstate.wecom.http.HttpTransport` to ``base_url``),
        ``tokens`` gives the access tokens, so that the secret is not needed. With ``database`` all processes on it
        share one token. ``concurrency`` is how the client waits. ``new_msgid`` makes the ``msgid`` of messages that
        are sent without one.
        """
        secret = Secret(secret)
        if not corp_id or not (secret or tokens):
            named = "corp_id" if not corp_id else "secret"
            raise ArgumentError(name=named, value="''", allowed="what the console of WeCom shows")
        self.corp_id = corp_id
        self._calls = Calls(
            corp_id, secret, transport=transport or _over_http(base_url), tokens=tokens, database=database,
            clock=clock or SystemClock(), concurrency=concurrency, retries=retries or Retries(),
        )  # fmt: skip
        self._new_msgid = new_msgid

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.corp_id!r})"

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """End whoever waits before another try, and give back the connections; an injected transport is closed, too."""
        self._calls.close()

    @property
    def skew(self) -> int | None:
        """How far WeCom's clock is ahead of ours at least, in microseconds, by the ``Date`` of its answers.

        That has whole seconds: this is up to a second too little, the less the more answers came. None before the
        first. Where it is more than an hour, three replies in a row have to say so.
        """
        return self._calls.skew

    def stopped(self) -> dict[str, int]:
        """Return the calls that WeCom stopped for their frequency, and until when (microseconds)."""
        return self._calls.rates.stopped()

    # Accounts, servicers, customers

    def accounts(self) -> tuple[KfAccount, ...]:
        """Return every account that the app may see: ``account/list``, page by page."""
        found: dict[str | None, KfAccount] = {}
        while True:
            listed = self._call(_ACCOUNTS, {"offset": len(found), "limit": _AT_ONCE}).account_list
            known = len(found)
            found.update((account.open_kfid, account) for account in listed)
            if len(listed) < _AT_ONCE or len(found) == known:
                return tuple(found.values())

    def servicers(self, open_kfid: str) -> tuple[KfServicer, ...]:
        """Return the servicers and departments of an account: ``servicer/list``."""
        return self._call(_SERVICERS, {"open_kfid": open_kfid}).servicer_list

    def add_servicers(
        self, open_kfid: str, userids: Iterable[str] = (), department_ids: Iterable[int] = ()
    ) -> tuple[KfServicerResult, ...]:
        """Add servicers and departments to an account, and return what became of each: ``servicer/add``."""
        return self._staff(_ADD, open_kfid, tuple(userids), tuple(department_ids))

    def remove_servicers(
        self, open_kfid: str, userids: Iterable[str] = (), department_ids: Iterable[int] = ()
    ) -> tuple[KfServicerResult, ...]:
        """Remove servicers and departments from an account, and return what became of each: ``servicer/del``."""
        return self._staff(_REMOVE, open_kfid, tuple(userids), tuple(department_ids))

    def customers(
        self, external_userids: Iterable[str], *, need_enter_session_context: bool = False
    ) -> CustomerBatchgetReply:
        """Return what WeCom says of customers: ``customer/batchget``, in one reply however many they are."""
        found: list[KfCustomer] = []
        invalid: list[str] = []
        for some in _portions(tuple(external_userids)):
            context = int(need_enter_session_context)
            reply = self._call(_CUSTOMERS, {"external_userid_list": some, "need_enter_session_context": context})
            found += reply.customer_list
            invalid += reply.invalid_external_userid
        return CustomerBatchgetReply(
            errcode=0, errmsg="ok", customer_list=tuple(found), invalid_external_userid=tuple(invalid)
        )

    # Messages and states

    def sync_msg(
        self, open_kfid: str, cursor: str = "", *, token: str = "", limit: int = 1000, voice_format: int = 0
    ) -> PulledPage:
        """Return the next page of an account, with its exact bytes: ``sync_msg``.

        ``token`` is that of the callback; without it WeCom allows few calls.
        """
        body: dict[str, Any] = {"open_kfid": open_kfid, "limit": limit, "voice_format": voice_format}
        body |= {name: value for name, value in (("cursor", cursor), ("token", token)) if value}
        key = "sync_msg" if token else "sync_msg without token"
        return self._calls.make(_SYNC, body, lambda answer, secrets: page(open_kfid, answer, secrets), key=key)

    def get_state(self, open_kfid: str, external_userid: str) -> ServiceStateReply:
        """Return the state of a conversation: ``service_state/get``."""
        return self._call(_GET, {"open_kfid": open_kfid, "external_userid": external_userid})

    def trans_state(
        self, open_kfid: str, external_userid: str, service_state: int, servicer_userid: str = ""
    ) -> TransReply:
        """Change the state of a conversation: ``service_state/trans``. 3 needs a servicer.

        Raises :class:`~kfstate.errors.ReplyLostError` where it may have been changed; then read the state.
        """
        body = {"open_kfid": open_kfid, "external_userid": external_userid, "service_state": int(service_state)}
        return self._call(_TRANS, body | ({"servicer_userid": servicer_userid} if servicer_userid else {}))

    def send_msg(
        self, open_kfid: str, external_userid: str, message: Mapping[str, Any], *, msgid: str = ""
    ) -> SendMsgReply:
        """Send a message (``{"msgtype": "text", "text": {"content": …}}``) to a customer: ``send_msg``.

        ``msgid`` is the caller's, or a fresh one. Raises :class:`~kfstate.errors.ReplyLostError` where the message may
        have been sent; the same ``msgid`` again is then refused with 95033 if it was.
        """
        return self._send(_SEND, {"touser": external_userid, "open_kfid": open_kfid}, message, msgid)

    def send_msg_on_event(self, code: str, message: Mapping[str, Any], *, msgid: str = "") -> SendMsgReply:
        """Send a message with the code that an event or a change gave: ``send_msg_on_event``. See :meth:`send_msg`."""
        return self._send(_SEND_ON_EVENT, {"code": code}, message, msgid)

    # How

    def _call(self, call: Call[R], body: Mapping[str, Any]) -> R:
        return self._calls.make(call, body, call.read)

    def _staff(
        self, call: Call[ServicerResultReply], open_kfid: str, userids: Sequence[str], departments: Sequence[int]
    ) -> tuple[KfServicerResult, ...]:
        results: tuple[KfServicerResult, ...] = ()
        for name, ids in (("userid_list", userids), ("department_id_list", departments)):
            for some in _portions(ids):
                results += self._call(call, {"open_kfid": open_kfid, name: some}).result_list
        return results

    def _send(
        self, call: Call[SendMsgReply], to: Mapping[str, str], message: Mapping[str, Any], msgid: str
    ) -> SendMsgReply:
        msgtype = message.get("msgtype")
        if not isinstance(msgtype, str) or msgtype not in message:
            shown = "nothing" if msgtype is None else repr(msgtype)[:200]
            raise ArgumentError(name="message", value=shown, allowed="a msgtype, and the body under its name")
        msgid = msgid or self._new_msgid()
        tries: list[int] = []
        try:
            return self._calls.make(call, {**message, **to, "msgid": msgid}, call.read, tried=tries.append)
        except WecomError as error:
            # The first try was answered with -1 and was carried out all the same.
            if error.errcode == _USED and len(tries) > 1:
                return SendMsgReply(errcode=0, errmsg=f"{_USED} on a repetition of ours: sent before", msgid=msgid)
            raise


def _over_http(base_url: str) -> Transport:
    # Imported late: httpx2 takes a fifth of a second, and an embedder may have a transport of its own.
    from kfstate.wecom.http import HttpTransport  # noqa: PLC0415

    return HttpTransport(base_url)


def _portions(items: Sequence[Item]) -> Iterable[list[Item]]:
    return (list(items[start : start + _AT_ONCE]) for start in range(0, len(items), _AT_ONCE))
