"""Elements of ``sync_msg`` pages, as WeCom spells them, built in one line each.

Every builder returns a plain ``dict``, ready for :func:`page` or for ``json.dumps``. ``at`` is ``send_time``: whole
seconds since 1970-01-01 UTC. Ids of events stand inside ``event`` and nowhere else, as on the wire (page 94699).

``msgid=None`` derives the id from the other arguments, so that the same call gives the same entry; ``msgid=""``
leaves it out.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

__all__ = [
    "Element",
    "customer_message",
    "enter_session",
    "event",
    "message",
    "msg_send_fail",
    "page",
    "reject_customer_msg_switch_change",
    "servicer_message",
    "servicer_recall_msg",
    "servicer_status_change",
    "session_status_change",
    "system_message",
    "user_recall_msg",
]

Element: TypeAlias = dict[str, Any]
"""One JSON object: an element of ``msg_list``, a page, or an own entry."""

ORIGIN_CUSTOMER = 3
ORIGIN_SYSTEM = 4
ORIGIN_SERVICER = 5


def message(
    origin: int, msgtype: str, body: Mapping[str, object], at: int, *, msgid: str | None = None, **ids: str
) -> Element:
    """Return a message of any origin and type; ``ids`` are ``open_kfid``, ``external_userid``, ``servicer_userid``."""
    element: Element = {**ids, "send_time": at, "origin": origin, "msgtype": msgtype, msgtype: body}
    return _with_msgid(msgid, element)


def customer_message(
    open_kfid: str,
    external_userid: str,
    at: int,
    *,
    content: str = "你好",
    menu_id: str | None = None,
    msgid: str | None = None,
) -> Element:
    """Return a text of the customer (origin 3); with ``menu_id``, the click on a menu item."""
    body = {"content": content} if menu_id is None else {"content": content, "menu_id": menu_id}
    ids = {"open_kfid": open_kfid, "external_userid": external_userid}
    return message(ORIGIN_CUSTOMER, "text", body, at, msgid=msgid, **ids)


def servicer_message(
    open_kfid: str,
    external_userid: str,
    at: int,
    *,
    servicer_userid: str,
    content: str = "您好",
    msgid: str | None = None,
) -> Element:
    """Return a text that a servicer (接待人员) wrote in the WeCom client (origin 5)."""
    ids = {"open_kfid": open_kfid, "external_userid": external_userid, "servicer_userid": servicer_userid}
    return message(ORIGIN_SERVICER, "text", {"content": content}, at, msgid=msgid, **ids)


def system_message(
    open_kfid: str, external_userid: str, at: int, *, content: str = "系统提示", msgid: str | None = None
) -> Element:
    """Return a message of the system that is no event (origin 4)."""
    ids = {"open_kfid": open_kfid, "external_userid": external_userid}
    return message(ORIGIN_SYSTEM, "text", {"content": content}, at, msgid=msgid, **ids)


def event(event_type: str, at: int, *, msgid: str | None = None, **fields: object) -> Element:
    """Return an event of any type; fields that are None are left out."""
    body = {"event_type": event_type, **{name: value for name, value in fields.items() if value is not None}}
    return _with_msgid(msgid, {"send_time": at, "origin": ORIGIN_SYSTEM, "msgtype": "event", "event": body})


def enter_session(
    open_kfid: str,
    external_userid: str,
    at: int,
    *,
    scene: str = "",
    scene_param: str = "",
    welcome_code: str | None = None,
    wechat_channels: Mapping[str, object] | None = None,
    msgid: str | None = None,
) -> Element:
    """Return ``enter_session``: the customer opened the chat (进入会话) and has not written yet."""
    fields: Element = {"open_kfid": open_kfid, "external_userid": external_userid}
    fields |= {"scene": scene, "scene_param": scene_param}
    return event("enter_session", at, msgid=msgid, **fields, welcome_code=welcome_code, wechat_channels=wechat_channels)


def session_status_change(
    change_type: int,
    open_kfid: str,
    external_userid: str,
    at: int,
    *,
    old: str | None = None,
    new: str | None = None,
    msg_code: str | None = None,
    msgid: str | None = None,
) -> Element:
    """Return ``session_status_change``: 1 taken from the pool, 2 handed over, 3 ended, 4 taken back (page 94699).

    Args:
        change_type: The kind of change; numbers that WeCom does not know are built too.
        open_kfid: The account.
        external_userid: The customer.
        at: ``send_time``, in seconds.
        old: ``old_servicer_userid`` (kinds 2, 3 and 4).
        new: ``new_servicer_userid`` (kinds 1, 2 and 4).
        msg_code: The code for one ``send_msg_on_event`` (kinds 1 and 3).
        msgid: The id of the entry; see the module.
    """
    fields: Element = {"open_kfid": open_kfid, "external_userid": external_userid, "change_type": change_type}
    fields |= {"old_servicer_userid": old, "new_servicer_userid": new, "msg_code": msg_code}
    return event("session_status_change", at, msgid=msgid, **fields)


def servicer_status_change(
    open_kfid: str,
    servicer_userid: str,
    at: int,
    *,
    status: int,
    stop_type: int | None = None,
    msgid: str | None = None,
) -> Element:
    """Return ``servicer_status_change``: ``status`` 1 receiving, 2 stopped; ``stop_type`` 0 stopped, 1 suspended."""
    fields: Element = {"servicer_userid": servicer_userid, "status": status, "stop_type": stop_type}
    return event("servicer_status_change", at, msgid=msgid, **fields, open_kfid=open_kfid)


def user_recall_msg(
    open_kfid: str, external_userid: str, at: int, *, recall_msgid: str, msgid: str | None = None
) -> Element:
    """Return ``user_recall_msg``: the customer took a message back."""
    fields = {"open_kfid": open_kfid, "external_userid": external_userid, "recall_msgid": recall_msgid}
    return event("user_recall_msg", at, msgid=msgid, **fields)


def servicer_recall_msg(
    open_kfid: str,
    external_userid: str,
    at: int,
    *,
    recall_msgid: str,
    servicer_userid: str,
    msgid: str | None = None,
) -> Element:
    """Return ``servicer_recall_msg``: a servicer took a message back."""
    fields = {"open_kfid": open_kfid, "external_userid": external_userid, "recall_msgid": recall_msgid}
    return event("servicer_recall_msg", at, msgid=msgid, **fields, servicer_userid=servicer_userid)


def msg_send_fail(
    open_kfid: str, external_userid: str, at: int, *, fail_msgid: str, fail_type: int = 0, msgid: str | None = None
) -> Element:
    """Return ``msg_send_fail``: a message that ``send_msg`` had accepted did not arrive."""
    fields: Element = {"open_kfid": open_kfid, "external_userid": external_userid}
    return event("msg_send_fail", at, msgid=msgid, **fields, fail_msgid=fail_msgid, fail_type=fail_type)


def reject_customer_msg_switch_change(
    open_kfid: str,
    external_userid: str,
    at: int,
    *,
    servicer_userid: str,
    reject_switch: int = 1,
    msgid: str | None = None,
) -> Element:
    """Return ``reject_customer_msg_switch_change``: 1 the customer's messages are rejected, 0 no longer."""
    fields: Element = {"servicer_userid": servicer_userid, "open_kfid": open_kfid, "external_userid": external_userid}
    return event("reject_customer_msg_switch_change", at, msgid=msgid, **fields, reject_switch=reject_switch)


def page(elements: Iterable[Element], *, next_cursor: str = "", has_more: bool = False) -> Element:
    """Return one answer of ``sync_msg`` that holds ``elements``."""
    head: Element = {"errcode": 0, "errmsg": "ok", "next_cursor": next_cursor, "has_more": int(has_more)}
    return head | {"msg_list": list(elements)}


def _with_msgid(msgid: str | None, element: Element) -> Element:
    if msgid is None:
        text = json.dumps(element, ensure_ascii=False, separators=(",", ":"))
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        msgid = f"built_{digest[:20]}"
    return {"msgid": msgid} | element if msgid else element
