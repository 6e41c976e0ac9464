"""The models that stand by themselves: account, servicer, message."""

from types import MappingProxyType
from typing import Generic, NamedTuple, Self, TypeVar, overload

import attrs

from kfstate.wire import bodies
from kfstate.wire.enums import KfMsgOrigin, KfMsgType, KfServicerStatus, KfStopType
from kfstate.wire.events import KfEvent
from kfstate.wire.model import WireModel

__all__ = ["BODY_TYPES", "ConversationKey", "KfAccount", "KfMsg", "KfServicer", "KfServicerResult"]

B = TypeVar("B", bound=WireModel)

BODY_TYPES: MappingProxyType[str, type[WireModel]] = MappingProxyType({**bodies.BODIES, "event": KfEvent})
"""The class of :attr:`KfMsg.body` for each ``msgtype``."""


class ConversationKey(NamedTuple):
    """The pair that names a conversation; '' where the wire names none."""

    open_kfid: str
    external_userid: str


@attrs.frozen(kw_only=True, slots=False)
class KfAccount(WireModel):
    """KF account (客服账号), ``account/list``. ``manage_privilege``: may this app route and write for it."""

    open_kfid: str | None = None
    name: str | None = None
    avatar: str | None = None
    manage_privilege: bool | None = None


@attrs.frozen(kw_only=True, slots=False)
class KfServicer(WireModel):
    """Servicer (接待人员) or a whole department, ``servicer/list``."""

    userid: str | None = None
    status: KfServicerStatus | int | None = None
    stop_type: KfStopType | int | None = None
    department_id: int | None = None

    @property
    def receiving(self) -> bool | None:
        """Whether the servicer receives customers now; None where ``status`` does not say (a department)."""
        return _RECEIVING.get(self.status)


@attrs.frozen(kw_only=True, slots=False)
class KfServicerResult(WireModel):
    """What ``servicer/add`` or ``servicer/del`` did for one servicer or department (接待人员数据)."""

    userid: str | None = None
    department_id: int | None = None
    errcode: int | None = None
    errmsg: str | None = None

    @property
    def ignored(self) -> bool:
        """Whether nothing changed: WeCom says so in ``errmsg`` ("ignored") while ``errcode`` is 0."""
        return self.errcode == 0 and self.errmsg == "ignored"


class _BodyAs(Generic[B]):
    """Attribute that gives the body where it is of one kind, else None."""

    def __init__(self, kind: type[B]) -> None:
        self._kind = kind
        self.__doc__ = f"The body where it is a ``{kind.__name__}``, else None."

    @overload
    def __get__(self, msg: None, owner: type["KfMsg"]) -> Self: ...
    @overload
    def __get__(self, msg: "KfMsg", owner: type["KfMsg"]) -> B | None: ...
    def __get__(self, msg: "KfMsg | None", owner: type["KfMsg"]) -> Self | B | None:
        if msg is None:
            return self
        return msg.body if isinstance(msg.body, self._kind) else None


@attrs.frozen(kw_only=True, slots=False)
class KfMsg(WireModel):
    """Entry of a ``sync_msg`` page: a message or an event (客服消息数据).

    ``open_kfid``, ``external_userid`` and ``servicer_userid`` are those of the top level, where events have none:
    read :attr:`conversation`, which looks inside ``event`` first. ``send_time`` is in seconds. ``body`` is the member
    that ``msgtype`` names; ``text``, ``image`` … ``event`` read it, and are None for another type.
    """

    msgid: str | None = None
    open_kfid: str | None = None
    external_userid: str | None = None
    send_time: int | None = None
    origin: KfMsgOrigin | int | None = None
    servicer_userid: str | None = None
    msgtype: KfMsgType | str | None = None
    body: WireModel | None = None

    text = _BodyAs(bodies.Text)
    image = _BodyAs(bodies.Image)
    voice = _BodyAs(bodies.Voice)
    video = _BodyAs(bodies.Video)
    file = _BodyAs(bodies.File)
    location = _BodyAs(bodies.Location)
    link = _BodyAs(bodies.Link)
    business_card = _BodyAs(bodies.BusinessCard)
    miniprogram = _BodyAs(bodies.MiniProgram)
    msgmenu = _BodyAs(bodies.MsgMenu)
    channels_shop_product = _BodyAs(bodies.ChannelsShopProduct)
    channels_shop_order = _BodyAs(bodies.ChannelsShopOrder)
    channels = _BodyAs(bodies.Channels)
    merged_msg = _BodyAs(bodies.MergedMsg)
    note = _BodyAs(bodies.Note)
    meeting = _BodyAs(bodies.Meeting)
    schedule = _BodyAs(bodies.Schedule)
    ca_link = _BodyAs(bodies.CaLink)
    event = _BodyAs(KfEvent)

    @property
    def conversation(self) -> ConversationKey:
        """Account and customer, those inside ``event`` first, else those of the top level, else ''."""
        body = self.body
        if isinstance(body, KfEvent):
            return ConversationKey(
                body.open_kfid or self.open_kfid or "", body.external_userid or self.external_userid or ""
            )
        return ConversationKey(self.open_kfid or "", self.external_userid or "")

    @property
    def menu_click(self) -> bool:
        """Whether the customer clicked a menu item instead of writing (``text.menu_id``, of whatever type)."""
        text = self.text
        return text is not None and bool(text.menu_id or text.extra.get("menu_id"))


_RECEIVING: dict[int | None, bool] = {KfServicerStatus.RECEIVING: True, KfServicerStatus.STOPPED: False}
