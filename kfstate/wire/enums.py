"""The numbers and names that WeCom uses, with their Chinese labels.

All of them are open: WeCom adds members without notice, so a model keeps an unknown number as ``int`` and an unknown
name as ``str``. Every member compares equal to the plain number or name.
"""

import enum
from typing import Self

__all__ = [
    "KfChangeType",
    "KfChannelsScene",
    "KfChannelsSubType",
    "KfEventServicerStatus",
    "KfEventType",
    "KfFailType",
    "KfMenuItemType",
    "KfMsgOrigin",
    "KfMsgType",
    "KfRejectSwitch",
    "KfSendVia",
    "KfServicerStatus",
    "KfStopType",
]


class _Number(enum.IntEnum):
    """An open set of numbers."""

    _value_: int
    label: str
    """The official Chinese term (``label``)."""

    def __new__(cls, value: int, label: str = "") -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member


class _Name(enum.StrEnum):
    """An open set of names."""

    _value_: str
    label: str
    """The official Chinese term (``label``)."""

    def __new__(cls, value: str, label: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member


class KfMsgType(_Name):
    """Type of a message (消息类型); the body stands under the same name (page 94699, send_msg page 94677)."""

    TEXT = "text", "文本"
    IMAGE = "image", "图片"
    VOICE = "voice", "语音"
    VIDEO = "video", "视频"
    FILE = "file", "文件"
    LOCATION = "location", "位置"
    LINK = "link", "链接"
    BUSINESS_CARD = "business_card", "名片"
    MINIPROGRAM = "miniprogram", "小程序"
    MSGMENU = "msgmenu", "菜单消息"
    CHANNELS_SHOP_PRODUCT = "channels_shop_product", "视频号商品"
    CHANNELS_SHOP_ORDER = "channels_shop_order", "视频号订单"
    CHANNELS = "channels", "视频号"
    MERGED_MSG = "merged_msg", "聊天记录"
    NOTE = "note", "笔记"
    MEETING = "meeting", "会议"
    SCHEDULE = "schedule", "日程"
    CA_LINK = "ca_link", "获客链接"
    """Only sent, never read back."""
    EVENT = "event", "事件"


class KfEventType(_Name):
    """Type of an event (事件类型): the seven of page 94699 (2024/12/23)."""

    ENTER_SESSION = "enter_session", "用户进入会话事件"
    """The customer opened the chat; this opens no session. ``KfEventTypeEnterSession``."""
    MSG_SEND_FAIL = "msg_send_fail", "消息发送失败事件"
    """An accepted send did not arrive. ``KfEventTypeMsgSendFail``."""
    SERVICER_STATUS_CHANGE = "servicer_status_change", "接待人员接待状态变更事件"
    """A servicer began or stopped receiving: of an account, without customer. ``KfEventTypeServicerStatusChange``."""
    SESSION_STATUS_CHANGE = "session_status_change", "会话状态变更事件"
    """A servicer changed the session in the WeCom client. ``KfEventTypeSessionStatusChange``."""
    USER_RECALL_MSG = "user_recall_msg", "用户撤回消息事件"
    """The customer recalled a message. ``KfEventTypeUserRecallMsg``."""
    SERVICER_RECALL_MSG = "servicer_recall_msg", "接待人员撤回消息事件"
    """A servicer recalled a message. ``KfEventTypeServicerRecallMsg``."""
    REJECT_CUSTOMER_MSG_SWITCH_CHANGE = "reject_customer_msg_switch_change", "拒收客户消息变更事件"
    """A servicer refused a customer's messages, or took it back. ``KfEventTypeRejectCustomerMsgSwitchChange``."""


class KfMsgOrigin(_Number):
    """Who sent it (消息来源); page 94670."""

    CUSTOMER = 3, "微信客户发送的消息"
    SYSTEM = 4, "系统推送的事件消息"
    SERVICER = 5, "接待人员在企业微信客户端发送的消息"


class KfChangeType(_Number):
    """What a servicer did to a session (变更类型); page 94670.

    A kind of change and not a state: the seed types the field as ``KfServiceState``, which is a defect of the seed.
    """

    TAKEN = 1, "从接待池接入会话"
    """Taken from the pool: 2 → 3."""
    TRANSFERRED = 2, "转接会话"
    """Handed to another servicer: 3 → 3."""
    ENDED = 3, "结束会话"
    """Ended: 3 → 4."""
    REACCESSED = 4, "重新接入已结束/已转接会话"
    """Taken back, ended or handed over: 4 → 3 or 3 → 3."""


class KfFailType(_Number):
    """Why a message was not delivered (失败类型); page 94670.

    3 is undefined; 7 and 9 stand in older lists only, 13 in newer ones only.
    """

    UNKNOWN = 0, "未知原因"
    ACCOUNT_DELETED = 1, "客服账号已删除"
    APP_CLOSED = 2, "应用已关闭"
    SESSION_EXPIRED = 4, "会话已过期，超过48小时"
    SESSION_CLOSED = 5, "会话已关闭"
    OVER_LIMIT = 6, "超过5条限制"
    NO_CHANNELS = 7, "未绑定视频号"
    NOT_VERIFIED = 8, "主体未验证"
    NO_CHANNELS_AND_NOT_VERIFIED = 9, "未绑定视频号且主体未验证"
    REJECTED = 10, "用户拒收"
    NO_MEMBER_LOGGED_IN = 11, "企业未有成员登录企业微信App"
    TYPE_FORBIDDEN = 12, "发送的消息为客服组件禁发的消息类型"
    SECURITY = 13, "安全限制"


class KfServicerStatus(_Number):
    """Status of a servicer in ``servicer/list`` (接待状态): counts from 0, unlike the event."""

    RECEIVING = 0, "接待中"
    STOPPED = 1, "停止接待"


class KfEventServicerStatus(_Number):
    """Status of a servicer in the event ``servicer_status_change`` (状态类型): counts from 1, unlike the list."""

    RECEIVING = 1, "接待中"
    STOPPED = 2, "停止接待"


class KfStopType(_Number):
    """How a servicer stopped (停止接待的子类型); list and event agree."""

    STOPPED = 0, "停止接待"
    SUSPENDED = 1, "暂时挂起"


class KfRejectSwitch(_Number):
    """Whether a servicer refuses a customer's messages (拒收客户消息); page 94670."""

    CANCELLED = 0, "取消拒收客户消息"
    REJECTED = 1, "拒收客户消息"


class KfChannelsScene(_Number):
    """Where in Channels the customer came from (视频号场景值); page 94670."""

    HOME = 1, "视频号主页"
    LIVE_PRODUCTS = 2, "视频号直播间商品列表页"
    SHOWCASE = 3, "视频号商品橱窗页"
    SHOP_PRODUCT = 4, "视频号小店商品详情页"
    SHOP_ORDER = 5, "视频号小店订单页"


class KfChannelsSubType(_Number):
    """What of Channels was shared (视频号消息类型); page 94699."""

    FEED = 1, "视频号动态"
    LIVE = 2, "视频号直播"
    CARD = 3, "视频号名片"


class KfMenuItemType(_Name):
    """Type of a menu item (菜单类型); page 94677."""

    CLICK = "click", "回复菜单"
    VIEW = "view", "超链接菜单"
    MINIPROGRAM = "miniprogram", "小程序菜单"
    TEXT = "text", "文本"


class KfSendVia(_Name):
    """Which call sent a message: only ``send_msg`` uses up the five messages of the window (page 94677)."""

    SEND_MSG = "send_msg", "发送消息"
    SEND_MSG_ON_EVENT = "send_msg_on_event", "发送欢迎语等事件响应消息"
