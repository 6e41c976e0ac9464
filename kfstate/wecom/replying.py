"""From an answer to a reply: what is none is an error that names the call, the place and the value."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import attrs

from kfstate.errors import RateLimitError, ReplyError, WecomError, WireError
from kfstate.wecom.errcodes import errcode
from kfstate.wecom.masking import excerpt
from kfstate.wecom.secret import Secret
from kfstate.wecom.transport import Answer
from kfstate.wire import KfReply, decode_model, split_page
from kfstate.wire.parse import parse_object

__all__ = ["PulledPage", "limited", "members_of", "page", "refusal", "reply"]

R = TypeVar("R", bound=KfReply)
_NOTHING: Mapping[str, type] = MappingProxyType({})
_NAMES: dict[type, str] = {int: "a number", str: "a text", list: "a list"}


@attrs.frozen(kw_only=True)
class PulledPage:
    """Page of ``sync_msg`` as it came: ``body`` is its exact bytes, for :meth:`kfstate.Engine.ingest`.

    ``date_at`` is WeCom's ``Date`` header in microseconds, ``next_cursor`` '' where none can be read
    (``unread_cursor``: one came), ``elements`` the number of its entries.
    """

    open_kfid: str
    body: bytes = attrs.field(repr=lambda body: f"<{len(body)} bytes>")
    date_at: int | None
    has_more: bool
    next_cursor: str
    unread_cursor: bool
    elements: int


def reply(
    call: str, answer: Answer, kind: type[R], secrets: Sequence[Secret], *, needs: Mapping[str, type] = _NOTHING
) -> R:
    """Return the reply that an answer is; ``needs`` are the members it cannot do without, and their types.

    Raises :class:`~kfstate.errors.WecomError` where WeCom refused, and :class:`~kfstate.errors.ReplyError` where it is
    none.
    """
    got = _reply(call, answer, kind, secrets, needs)
    if isinstance(got, Exception):
        raise got
    return got


def page(open_kfid: str, answer: Answer, secrets: Sequence[Secret]) -> PulledPage:
    """Return a page of ``sync_msg``; one entry that cannot be read stops none of the others.

    Raises as :func:`reply`.
    """
    got = _page(open_kfid, answer, secrets)
    if isinstance(got, Exception):
        raise got
    return got


# What follows returns its errors: raised from there, a traceback would show what came in.


def members_of(call: str, answer: Answer, secrets: Sequence[Secret]) -> dict[str, Any] | WecomError | ReplyError:
    """Return the members of a reply, or what to raise."""
    if reason := _no_json(answer):
        return ReplyError(call, answer.status, "", excerpt(answer.body, secrets) or "nothing", reason)
    try:
        members = parse_object(answer.body.removeprefix(b"\xef\xbb\xbf"), "$")
    except WireError as error:
        return ReplyError(call, answer.status, "$", excerpt(answer.body, secrets), error.reason)
    code, errmsg = members.get("errcode"), members.get("errmsg")
    if not isinstance(code, int) or isinstance(code, bool):
        return _wrong(call, answer.status, "$.errcode", code, int, secrets)
    if code != 0:
        return refusal(call, code, excerpt(errmsg, secrets) if isinstance(errmsg, str) else "")
    return members


def _reply(
    call: str, answer: Answer, kind: type[R], secrets: Sequence[Secret], needs: Mapping[str, type]
) -> R | WecomError | ReplyError:
    members = members_of(call, answer, secrets)
    if not isinstance(members, dict):
        return members
    for name, wanted in needs.items():
        found = members.get(name)
        # A list that has nothing in it may be left out.
        if not _is(found, wanted) and not (wanted is list and found is None):
            return _wrong(call, answer.status, f"$.{name}", found, wanted, secrets)
    return decode_model(members, kind)


def _page(open_kfid: str, answer: Answer, secrets: Sequence[Secret]) -> PulledPage | WecomError | ReplyError:
    call = "sync_msg"
    if reason := _no_json(answer):
        return ReplyError(call, answer.status, "", excerpt(answer.body, secrets) or "nothing", reason)
    try:
        raw = split_page(answer.body)
    except WireError:
        # The slow way finds what is wrong; the page itself is for those that are whole.
        members = members_of(call, answer, secrets)
        if not isinstance(members, dict):
            return members
        return _wrong(call, answer.status, "$.msg_list", members.get("msg_list"), list, secrets)
    # Without an errcode it is no page of WeCom, but the answer of something in between.
    if b'"errcode"' not in answer.body:
        return _wrong(call, answer.status, "$.errcode", None, int, secrets)
    return PulledPage(
        open_kfid=open_kfid, body=answer.body, date_at=answer.date_at, has_more=raw.has_more,
        next_cursor=raw.next_cursor, unread_cursor=raw.unread_cursor, elements=len(raw.elements),
    )  # fmt: skip


def refusal(call: str, code: int, errmsg: str) -> WecomError:
    """Return the error for an errcode."""
    row = errcode(code)
    return WecomError(
        call, code, errmsg, row.name, row.retry, row.meaning, row.remedy, row.meaning_zh, row.remedy_zh
    )  # fmt: skip


def limited(error: WecomError, retry_at: int, *, local: bool = False) -> RateLimitError:
    """Return the error for an errcode that speaks of a limit."""
    return RateLimitError(**{**vars(error), "retry_at": retry_at, "local": local})


def _no_json(answer: Answer) -> str:
    """Return why an answer is not even JSON, or ''."""
    if not 200 <= answer.status < 300:
        return "an HTTP error"
    if not answer.body.strip():
        return "an empty body"
    if answer.body.lstrip()[:1] == b"<":
        return "a page for people, as a proxy or a login portal sends it"
    return ""


def _is(value: object, wanted: type) -> bool:
    return isinstance(value, wanted) and not isinstance(value, bool)


def _wrong(call: str, status: int, path: str, value: object, wanted: type, secrets: Sequence[Secret]) -> ReplyError:  # noqa: PLR0917
    shown = "nothing" if value is None else excerpt(str(value), secrets)
    return ReplyError(call, status, path, shown, f"{_NAMES[wanted]} is needed")
