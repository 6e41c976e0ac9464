"""What people say in simulated conversations, and the bodies of the other message types."""

from kfstate.testing.simulation.dice import Weighted

__all__ = ["BODIES", "CUSTOMER", "FAREWELL", "ROBOT", "SERVICER", "SERVICERS", "UNKNOWN_BODIES"]

CUSTOMER = (
    "你好",
    "在吗？",
    "请问我的订单什么时候发货？",
    "快递三天没有更新了",
    "我想退货，怎么操作？",
    "这件衣服有 L 码吗？",
    "发票可以重新开吗？",
    "优惠券用不了",
    "转人工",
    "有人吗？等很久了",
    "好的",
    "明白了，谢谢",
    "那我再想想",
    "地址填错了，能改吗？",
    "👍",
)
ROBOT = (
    "您好，我是智能助手，请问有什么可以帮您？",
    "您的订单正在出库，预计明天送达。",
    "请提供订单号，我帮您查询。",
    "退货请在「我的订单」里点击「申请售后」。",
    "没有听懂您的问题，回复「人工」为您转接。",
    "正在为您转接人工客服，请稍候。",
)
SERVICER = (
    "您好，请问有什么可以帮您？",
    "稍等，我看一下您的订单。",
    "已经帮您催促仓库了。",
    "这边为您申请了退款，预计三个工作日到账。",
    "请发一下商品照片。",
    "地址已经帮您修改好了。",
    "我请售后同事来跟进。",
)
FAREWELL = ("感谢您的咨询，再见！", "祝您生活愉快！", "如有问题随时联系我们。")

SERVICERS = ("ZhangWei", "LiNa", "WangFang", "LiuYang", "ChenJing", "ZhaoLei", "SunYue", "ZhouMin", "WuHao", "XuDan")

BODIES: Weighted[tuple[str, dict[str, object]]] = Weighted(
    (40, ("image", {"media_id": "SIM_MEDIA_IMAGE"})),
    (15, ("voice", {"media_id": "SIM_MEDIA_VOICE"})),
    (5, ("video", {"media_id": "SIM_MEDIA_VIDEO"})),
    (5, ("file", {"media_id": "SIM_MEDIA_FILE"})),
    (
        6,
        (
            "location",
            {"latitude": 31.2304, "longitude": 121.4737, "name": "人民广场", "address": "上海市黄浦区"},
        ),
    ),
    (6, ("link", {"title": "商品详情", "desc": "秋季外套", "url": "https://shop.example/42", "pic_url": ""})),
    (3, ("business_card", {"userid": "ZhangWei"})),
    (
        8,
        (
            "miniprogram",
            {"title": "我的订单", "appid": "wx0000simulated", "pagepath": "pages/order", "thumb_media_id": "SIM_THUMB"},
        ),
    ),
    (
        3,
        (
            "channels_shop_product",
            {
                "product_id": "900001",
                "head_image": "https://shop.example/p.png",
                "title": "秋季外套",
                "sales_price": "19900",
                "shop_nickname": "示例小店",
                "shop_head_image": "https://shop.example/s.png",
            },
        ),
    ),
    (
        3,
        (
            "channels_shop_order",
            {
                "order_id": "800001",
                "product_titles": "秋季外套",
                "price_wording": "¥199.00",
                "state": "待发货",
                "image_url": "https://shop.example/p.png",
                "shop_nickname": "示例小店",
            },
        ),
    ),
    (3, ("channels", {"sub_type": 1, "nickname": "示例视频号", "title": "新品介绍"})),
    (
        2,
        (
            "merged_msg",
            {
                "title": "聊天记录",
                "item": [
                    {
                        "send_time": 1704067200,
                        "msgtype": "text",
                        "sender_name": "小王",
                        "msg_content": '{"text":{"content":"这家店不错"}}',
                    }
                ],
            },
        ),
    ),
    (1, ("note", {})),
)
"""Bodies of what customers send besides texts (page 94699)."""

UNKNOWN_BODIES: tuple[tuple[str, dict[str, object]], ...] = (
    ("meeting", {"topic": "售后沟通"}),
    ("schedule", {"title": "上门安装"}),
    ("hologram", {"media_id": "SIM_MEDIA_HOLOGRAM", "layers": [1, 2, 3]}),
)
"""Types whose body nobody published, and one that does not exist."""
