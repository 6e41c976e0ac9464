"""The bodies of messages (pages 94670, 94699 and 94677)."""

from types import MappingProxyType

import attrs

from kfstate.wire.enums import KfChannelsSubType, KfMenuItemType, KfMsgType
from kfstate.wire.model import WireModel, spelled

__all__ = [
    "BODIES",
    "BusinessCard",
    "CaLink",
    "Channels",
    "ChannelsShopOrder",
    "ChannelsShopProduct",
    "File",
    "Image",
    "Link",
    "Location",
    "Meeting",
    "MenuClick",
    "MenuMiniProgram",
    "MenuText",
    "MenuView",
    "MergedMsg",
    "MergedMsgItem",
    "MiniProgram",
    "MsgMenu",
    "MsgMenuItem",
    "Note",
    "Schedule",
    "Text",
    "Video",
    "Voice",
]


@attrs.frozen(kw_only=True, slots=False)
class Text(WireModel):
    """Text (文本消息). ``menu_id`` is there when the customer clicked a menu item instead of writing."""

    content: str | None = None
    menu_id: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class Image(WireModel):
    """Picture (图片消息); above 2 MB WeCom sends a text notice instead."""

    media_id: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class Voice(WireModel):
    """Voice (语音消息), AMR or Silk as asked for in ``sync_msg``; above 2 MB a text notice instead."""

    media_id: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class Video(WireModel):
    """Video (视频消息); above 10 MB a text notice instead."""

    media_id: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class File(WireModel):
    """File (文件消息); above 20 MB a text notice instead. WeCom does not give the file's name."""

    media_id: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class Location(WireModel):
    """Place (地理位置消息), in degrees."""

    latitude: float | None = None
    longitude: float | None = None
    name: str | None = None
    address: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class Link(WireModel):
    """Link (链接消息): received with ``pic_url``, sent with ``thumb_media_id``."""

    title: str | None = None
    desc: str | None = None
    url: str | None = None
    pic_url: str | None = None
    thumb_media_id: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class BusinessCard(WireModel):
    """A member's card (名片消息)."""

    userid: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class MiniProgram(WireModel):
    """Mini program (小程序消息). The wire says ``miniprogram``, the seed ``mini_program``: both are read."""

    title: str | None = None
    appid: str | None = None
    pagepath: str | None = None
    thumb_media_id: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class MenuClick(WireModel):
    """Menu item that answers for the customer (回复菜单)."""

    id: str | None = None
    content: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class MenuView(WireModel):
    """Menu item that opens a link (超链接菜单)."""

    url: str | None = None
    content: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class MenuMiniProgram(WireModel):
    """Menu item that opens a mini program (小程序菜单)."""

    appid: str | None = None
    pagepath: str | None = None
    content: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class MenuText(WireModel):
    """Menu item that is only text (文本); ``no_newline`` 1 keeps the next item on the same line."""

    content: str | None = None
    no_newline: int | None = None


@attrs.frozen(kw_only=True, slots=False)
class MsgMenuItem(WireModel):
    """Item of a menu: ``type`` names the one member that is there."""

    type: KfMenuItemType | str | None = None
    click: MenuClick | None = None
    view: MenuView | None = None
    miniprogram: MenuMiniProgram | None = None
    text: MenuText | None = None


@attrs.frozen(kw_only=True, slots=False)
class MsgMenu(WireModel):
    """Menu (菜单消息)."""

    head_content: str | None = None
    list: tuple[MsgMenuItem, ...] = ()
    tail_content: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class ChannelsShopProduct(WireModel):
    """Product of a Channels shop (视频号商品消息).

    Sources spell ``head_image`` and ``shop_head_image`` also ``head_img`` and ``shop_head_img``. ``sales_price`` is in
    fen (1/100 yuan) by the page; some samples bring text, which is kept as it came.
    """

    product_id: str | None = None
    head_image: str | None = spelled("head_img")
    title: str | None = None
    sales_price: int | float | str | None = None
    shop_nickname: str | None = None
    shop_head_image: str | None = spelled("shop_head_img")


@attrs.frozen(kw_only=True, slots=False)
class ChannelsShopOrder(WireModel):
    """Order of a Channels shop (视频号订单消息); ``state`` and ``price_wording`` are words for people."""

    order_id: str | None = None
    product_titles: str | None = None
    price_wording: str | None = None
    state: str | None = None
    image_url: str | None = None
    shop_nickname: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class Channels(WireModel):
    """Something of Channels (视频号消息)."""

    sub_type: KfChannelsSubType | int | None = None
    nickname: str | None = None
    title: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class MergedMsgItem(WireModel):
    """Message inside forwarded chat records.

    ``msg_content`` is a JSON text; :func:`kfstate.wire.decode_merged` reads it. ``msgtype`` is a name in samples and a
    number in one table. ``send_time`` is in seconds.
    """

    send_time: int | None = None
    msgtype: KfMsgType | str | int | None = None
    sender_name: str | None = None
    msg_content: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class MergedMsg(WireModel):
    """Forwarded chat records (聊天记录消息)."""

    title: str | None = None
    item: tuple[MergedMsgItem, ...] = ()


@attrs.frozen(kw_only=True, slots=False)
class Note(WireModel):
    """Note (笔记消息): WeCom gives no content, and usually no body at all."""


@attrs.frozen(kw_only=True, slots=False)
class Meeting(WireModel):
    """Meeting (会议消息): its fields are not published, so they are all in ``extra``."""


@attrs.frozen(kw_only=True, slots=False)
class Schedule(WireModel):
    """Schedule (日程消息): its fields are not published, so they are all in ``extra``."""


@attrs.frozen(kw_only=True, slots=False)
class CaLink(WireModel):
    """Customer acquisition link (获客链接消息): only sent, never read back."""

    link_url: str | None = None


BODIES: MappingProxyType[str, type[WireModel]] = MappingProxyType(
    {
        "text": Text,
        "image": Image,
        "voice": Voice,
        "video": Video,
        "file": File,
        "location": Location,
        "link": Link,
        "business_card": BusinessCard,
        "miniprogram": MiniProgram,
        "msgmenu": MsgMenu,
        "channels_shop_product": ChannelsShopProduct,
        "channels_shop_order": ChannelsShopOrder,
        "channels": Channels,
        "merged_msg": MergedMsg,
        "note": Note,
        "meeting": Meeting,
        "schedule": Schedule,
        "ca_link": CaLink,
    }
)
"""The body of each message type, by its wire name."""
