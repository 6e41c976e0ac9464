"""Entries of our own making, in the documented shapes."""

from typing import Any

ACCOUNT = "wkTestAccountAAAAAAAAAAAAAAAAAAA"
CUSTOMER = "wmTestCustomerAAAAAAAAAAAAAAAAAA"

BODIES: dict[str, dict[str, Any]] = {
    "text": {"content": "今天几点发货?", "menu_id": "m-7"},
    "image": {"media_id": "media-image"},
    "voice": {"media_id": "media-voice"},
    "video": {"media_id": "media-video"},
    "file": {"media_id": "media-file"},
    "location": {"latitude": 31.23, "longitude": 121, "name": "人民广场", "address": "黄浦区"},
    "link": {"title": "t", "desc": "d", "url": "https://example.org/a", "pic_url": "https://example.org/p.png"},
    "business_card": {"userid": "wangwu"},
    "miniprogram": {"title": "t", "appid": "wxapp", "pagepath": "pages/a?b=c", "thumb_media_id": "media-thumb"},
    "msgmenu": {
        "head_content": "请选择",
        "list": [
            {"type": "click", "click": {"id": "1", "content": "好"}},
            {"type": "view", "view": {"url": "https://example.org", "content": "看"}},
            {"type": "miniprogram", "miniprogram": {"appid": "wxapp", "pagepath": "p", "content": "开"}},
            {"type": "text", "text": {"content": "说明", "no_newline": 1}},
        ],
        "tail_content": "谢谢",
    },
    "channels_shop_product": {
        "product_id": "p-1",
        "head_image": "https://example.org/h.png",
        "title": "茶杯",
        "sales_price": 1990,
        "shop_nickname": "店",
        "shop_head_image": "https://example.org/s.png",
    },
    "channels_shop_order": {
        "order_id": "o-1",
        "product_titles": "茶杯",
        "price_wording": "¥19.90",
        "state": "待发货",
        "image_url": "https://example.org/o.png",
        "shop_nickname": "店",
    },
    "channels": {"sub_type": 2, "nickname": "号", "title": "直播"},
    "merged_msg": {
        "title": "记录",
        "item": [
            {
                "send_time": 1760000000,
                "msgtype": "text",
                "sender_name": "甲",
                "msg_content": '{"msgtype":"text","text":{"content":"在吗"}}',
            }
        ],
    },
    "note": {},
    "meeting": {"topic": "周会", "start": 1760000000},
    "schedule": {"title": "拜访"},
    "ca_link": {"link_url": "https://example.org/ca"},
}

EVENTS: dict[str, dict[str, Any]] = {
    "enter_session": {
        "scene": "shop",
        "scene_param": "from%3Dhome",
        "welcome_code": "welcome-1",
        "wechat_channels": {"nickname": "号", "scene": 1},
    },
    "msg_send_fail": {"fail_msgid": "sent-1", "fail_type": 6},
    "servicer_status_change": {"servicer_userid": "zhaoliu", "status": 2, "stop_type": 1},
    "session_status_change": {
        "change_type": 2,
        "old_servicer_userid": "zhaoliu",
        "new_servicer_userid": "sunqi",
        "msg_code": "code-1",
    },
    "user_recall_msg": {"recall_msgid": "msg-1"},
    "servicer_recall_msg": {"recall_msgid": "msg-2", "servicer_userid": "zhaoliu"},
    "reject_customer_msg_switch_change": {"servicer_userid": "zhaoliu", "reject_switch": 1},
}


def message(msgtype: str, body: object = None, **members: object) -> dict[str, Any]:
    """Return a customer's message as a page brings it; without *body*, the one above."""
    return {
        "msgid": f"msg-{msgtype}",
        "open_kfid": ACCOUNT,
        "external_userid": CUSTOMER,
        "send_time": 1760000000,
        "origin": 3,
        "msgtype": msgtype,
        msgtype: BODIES.get(msgtype, {}) if body is None else body,
    } | members


def event(event_type: str, **fields: object) -> dict[str, Any]:
    """Return an event as a page brings it: the ids stand inside ``event``."""
    ids = {"event_type": event_type, "open_kfid": ACCOUNT, "external_userid": CUSTOMER}
    return {
        "msgid": f"event-{event_type}",
        "send_time": 1760000000,
        "origin": 4,
        "msgtype": "event",
        "event": ids | EVENTS.get(event_type, {}) | fields,
    }
