"""Messages and their bodies."""

import copy
import pickle

import attrs
import msgspec
import pytest

from kfstate import wire
from tests.wire.data import ACCOUNT, BODIES, CUSTOMER, message


def encoded(value: object) -> bytes:
    """Return the JSON of *value*."""
    return msgspec.json.encode(value)


@pytest.mark.parametrize("msgtype", sorted(BODIES))
def test_every_body_has_a_class_and_an_attribute(msgtype: str) -> None:
    """The body stands in ``body`` and under its own name, and no other name gives it."""
    msg = wire.decode_msg(encoded(message(msgtype)))
    assert msg.body is not None
    assert {msgtype} == {name for name in [*BODIES, "event"] if getattr(msg, name) is not None}
    assert getattr(msg, msgtype) is msg.body
    assert {} == msg.extra


@pytest.mark.parametrize("msgtype", sorted(BODIES))
def test_a_message_goes_out_as_it_came(msgtype: str) -> None:
    """Reading and writing give back the same JSON."""
    came = message(msgtype)
    assert came == wire.to_wire(wire.decode_msg(encoded(came)))


def test_the_documented_fields_are_typed() -> None:
    """A text message gives each of its fields."""
    msg = wire.decode_msg(encoded(message("text", servicer_userid="zhaoliu", origin=5)))
    expected = wire.KfMsg(
        msgid="msg-text",
        open_kfid=ACCOUNT,
        external_userid=CUSTOMER,
        send_time=1760000000,
        origin=wire.KfMsgOrigin.SERVICER,
        servicer_userid="zhaoliu",
        msgtype=wire.KfMsgType.TEXT,
        body=wire.Text(content="今天几点发货?", menu_id="m-7"),
    )
    assert expected == msg
    assert hash(expected) == hash(msg)
    assert wire.ConversationKey(ACCOUNT, CUSTOMER) == msg.conversation


def test_bytes_text_and_mapping_are_the_same() -> None:
    """An element may come as bytes, text (with a byte order mark) or read already, enum members included."""
    came = message("text")
    expected = wire.decode_msg(encoded(came))
    assert expected == wire.decode_msg(encoded(came).decode())
    assert expected == wire.decode_msg(b"\xef\xbb\xbf" + encoded(came))
    assert expected == wire.decode_msg("\ufeff" + encoded(came).decode())
    assert expected == wire.decode_msg(came | {"msgtype": wire.KfMsgType.TEXT, "origin": wire.KfMsgOrigin.CUSTOMER})


def test_a_mapping_is_copied() -> None:
    """What the caller does later to his mapping, or to what he got back, does not reach the model."""
    came = message("text", future={"list": [1]})
    msg = wire.decode_msg(came)
    came["future"]["list"].append(2)
    wire.to_wire(msg)["future"]["list"].append(3)  # type: ignore[index]
    assert {"future": {"list": [1]}} == msg.extra


def test_missing_members_are_none() -> None:
    """msgid, origin, send_time, ids and body may all be missing."""
    msg = wire.decode_msg(b"{}")
    assert wire.KfMsg() == msg
    assert wire.ConversationKey("", "") == msg.conversation
    assert not msg.menu_click
    assert {} == wire.to_wire(msg)


@pytest.mark.parametrize("msgtype", ["note", "meeting", "merged_msg", "text"])
def test_a_message_may_have_no_body(msgtype: str) -> None:
    """A note never has a body, and any other may lack it."""
    came = {name: value for name, value in message(msgtype).items() if name != msgtype}
    msg = wire.decode_msg(came)
    assert msgtype == msg.msgtype
    assert msg.body is None
    assert came == wire.to_wire(msg)


def test_unpublished_bodies_are_kept_raw() -> None:
    """The fields of meeting and schedule are not published: all are in ``extra``."""
    meeting = wire.decode_msg(message("meeting")).meeting
    assert meeting is not None
    assert BODIES["meeting"] == meeting.extra


def test_unknown_msgtype_is_kept_with_its_body() -> None:
    """A type of next year is text in ``msgtype``, and its body waits in ``extra``."""
    came = message("hologram", {"depth": [1, {"x": None}]})
    msg = wire.decode_msg(came)
    assert "hologram" == msg.msgtype
    assert not isinstance(msg.msgtype, wire.KfMsgType)
    assert msg.body is None
    assert {"hologram": {"depth": [1, {"x": None}]}} == msg.extra
    assert came == wire.to_wire(msg)


def test_a_body_of_another_type_is_no_body() -> None:
    """Only the member that ``msgtype`` names is the body; another stays in ``extra``."""
    came = message("text", image={"media_id": "m"})
    msg = wire.decode_msg(came)
    assert msg.image is None
    assert {"image": {"media_id": "m"}} == msg.extra
    assert came == wire.to_wire(msg)


@pytest.mark.parametrize("body", ["text", 5, None, [], True])
def test_a_body_that_is_no_object_is_kept(body: object) -> None:
    """A body of another JSON type is kept, and ``body`` is None."""
    came = message("text") | {"text": body}
    msg = wire.decode_msg(came)
    assert msg.body is None
    assert came == wire.to_wire(msg)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("msgid", 17),
        ("open_kfid", None),
        ("external_userid", ["wm"]),
        ("send_time", "abc"),
        ("send_time", 1760000000.5),
        ("send_time", True),
        ("send_time", 2**63),
        ("send_time", -(2**63) - 1),
        ("send_time", 10**30),
        ("origin", False),
        ("origin", 2**64),
        ("servicer_userid", {}),
        ("msgtype", 3),
        ("msgtype", []),
    ],
)
def test_a_value_of_a_wrong_type_is_kept_beside_none(field: str, value: object) -> None:
    """A wrong type never raises: the attribute is None and the value goes out again."""
    came = {"msgid": "m", "open_kfid": "wk", "external_userid": "wm", "send_time": 1, field: value}
    msg = wire.decode_msg(encoded(came))
    assert getattr(msg, field) is None
    assert {field: value} == msg.extra
    assert came == wire.to_wire(msg)


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1, 0])
def test_numbers_of_64_bits_are_typed(value: int) -> None:
    """The ends of the range belong to it."""
    assert value == wire.decode_msg({"send_time": value}).send_time


def test_empty_text_is_text() -> None:
    """'' is a value and not the same as missing."""
    came = message("text", {"content": ""}, msgid="")
    msg = wire.decode_msg(came)
    assert "" == msg.msgid
    assert wire.Text(content="") == msg.text
    assert came == wire.to_wire(msg)


@pytest.mark.parametrize(
    ("body", "click"),
    [({"content": "a"}, False), ({"menu_id": ""}, False), ({"menu_id": "1"}, True), ({"menu_id": 101}, True)],
)
def test_menu_click(body: dict[str, object], click: bool) -> None:  # noqa: FBT001
    """A text with a menu_id, of whatever type, is a click on a menu item."""
    assert click is wire.decode_msg(message("text", body)).menu_click


@pytest.mark.parametrize("msgtype", ["miniprogram", "mini_program"])
@pytest.mark.parametrize("member", ["miniprogram", "mini_program"])
def test_miniprogram_under_either_name(msgtype: str, member: str) -> None:
    """The wire says ``miniprogram`` and the seed ``mini_program``: both are read, and go out as they came."""
    came = {"msgtype": msgtype, member: BODIES["miniprogram"]}
    msg = wire.decode_msg(came)
    assert msg.miniprogram is not None
    assert "wxapp" == msg.miniprogram.appid
    assert came == wire.to_wire(msg)
    changed = attrs.evolve(msg, body=attrs.evolve(msg.miniprogram, appid="wxother"))
    assert {"msgtype": msgtype, "miniprogram": BODIES["miniprogram"] | {"appid": "wxother"}} == wire.to_wire(changed)


@pytest.mark.parametrize("first", [{"title": "documented"}, "no object"])
def test_miniprogram_under_both_names(first: object) -> None:
    """The documented name wins where it can be read; both go out again."""
    came = {"msgtype": "miniprogram", "mini_program": {"title": "seed"}, "miniprogram": first}
    msg = wire.decode_msg(came)
    assert msg.miniprogram is not None
    assert ("documented" if isinstance(first, dict) else "seed") == msg.miniprogram.title
    assert came == wire.to_wire(msg)
    assert {"msgtype": "miniprogram"} == wire.to_wire(attrs.evolve(msg, body=None))


def test_miniprogram_unreadable_under_both_names() -> None:
    """Where neither can be read there is no body."""
    came = {"msgtype": "miniprogram", "mini_program": 1, "miniprogram": 2}
    assert wire.decode_msg(came).body is None
    assert came == wire.to_wire(wire.decode_msg(came))


@pytest.mark.parametrize("image", ["head_image", "head_img"])
@pytest.mark.parametrize("shop_image", ["shop_head_image", "shop_head_img"])
@pytest.mark.parametrize("price", [1990, "19.90", 19.9])
def test_shop_product_spellings(image: str, shop_image: str, price: float | str) -> None:
    """head_image or head_img, a price in figures or words: one attribute each, and out as it came."""
    came = message("channels_shop_product", {image: "a", shop_image: "b", "sales_price": price})
    msg = wire.decode_msg(came)
    product = msg.channels_shop_product
    assert product is not None
    assert ("a", "b", price) == (product.head_image, product.shop_head_image, product.sales_price)
    assert came == wire.to_wire(msg)


@pytest.mark.parametrize("documented", ["a", 7])
def test_both_spellings_at_once(documented: object) -> None:
    """The documented spelling wins where it can be read, whatever came first; both go out again."""
    came = {"head_img": "b", "head_image": documented}
    product = wire.decode_model(came, wire.ChannelsShopProduct)
    assert ("a" if documented == "a" else "b") == product.head_image
    assert came == wire.to_wire(product)
    assert {"head_image": "c"} == wire.to_wire(attrs.evolve(product, head_image="c"))
    assert {} == wire.to_wire(attrs.evolve(product, head_image=None))


def test_menu_items() -> None:
    """Each kind of item has its class, text (the newest) included."""
    menu = wire.decode_msg(message("msgmenu")).msgmenu
    assert menu is not None
    assert ["click", "view", "miniprogram", "text"] == [item.type for item in menu.list]
    assert wire.MenuClick(id="1", content="好") == menu.list[0].click
    assert wire.MenuText(content="说明", no_newline=1) == menu.list[3].text


@pytest.mark.parametrize(("items", "read"), [([], 0), ([1, None], 0), ([{"type": "view"}, "x"], 1), ("list", 0)])
def test_lists_with_unreadable_items(items: object, read: int) -> None:
    """The items that can be read are in the tuple; the list goes out as it came."""
    came = message("msgmenu", {"list": items})
    msg = wire.decode_msg(came)
    assert msg.msgmenu is not None
    assert read == len(msg.msgmenu.list)
    assert came == wire.to_wire(msg)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"msg_content": '{"msgtype":"text","text":{"content":"a"}}'}, wire.Text(content="a")),
        ({"msgtype": "text", "msg_content": '{"text":{"content":"a"}}'}, wire.Text(content="a")),
        ({"msgtype": 1, "msg_content": '{"text":{"content":"a"}}'}, None),
        ({"msgtype": "image", "msg_content": '{"msgtype":"text","text":{}}'}, wire.Text()),
    ],
)
def test_merged_items_hold_json_text(item: dict[str, object], expected: object) -> None:
    """``msg_content`` is JSON text of a message; the item's msgtype fills in for a missing one."""
    msg = wire.decode_merged(wire.decode_model(item, wire.MergedMsgItem))
    assert msg is not None
    assert expected == msg.body


@pytest.mark.parametrize("item", [{}, {"msg_content": "not JSON"}, {"msg_content": "[]"}, {"msg_content": {}}])
def test_unreadable_merged_items(item: dict[str, object]) -> None:
    """An item without readable text gives None and goes out as it came."""
    model = wire.decode_model(item, wire.MergedMsgItem)
    assert wire.decode_merged(model) is None
    assert item == wire.to_wire(model)


def test_a_message_built_by_hand_goes_out_in_its_documented_form() -> None:
    """What was never on the wire is written as the pages document it."""
    msg = wire.KfMsg(msgtype="channels_shop_product", body=wire.ChannelsShopProduct(head_image="a", sales_price=5))
    expected = {"msgtype": "channels_shop_product", "channels_shop_product": {"head_image": "a", "sales_price": 5}}
    assert expected == wire.to_wire(msg)


def test_a_changed_message_goes_out_changed() -> None:
    """An attribute changed by hand takes the place of what came in, wrong types and the body included."""
    msg = wire.decode_msg(message("text", send_time="abc", future=1))
    changed = attrs.evolve(msg, send_time=5, msgid=None, msgtype="image", body=wire.Image(media_id="m"))
    expected = {"open_kfid": ACCOUNT, "external_userid": CUSTOMER, "origin": 3, "send_time": 5, "future": 1}
    assert expected | {"msgtype": "image", "image": {"media_id": "m"}} == wire.to_wire(changed)


def test_a_body_class_of_ones_own() -> None:
    """A body that kfstate does not know stands under the msgtype."""

    @attrs.frozen(kw_only=True, slots=False)
    class Hologram(wire.WireModel):
        depth: int | None = None

    msg = wire.KfMsg(msgtype="hologram", body=Hologram(depth=2))
    assert {"msgtype": "hologram", "hologram": {"depth": 2}} == wire.to_wire(msg)


def test_written_values_are_plain() -> None:
    """Enum members go out as plain numbers and text."""
    wrote = wire.to_wire(wire.decode_msg(message("channels")))
    assert {str, int, dict} == {type(value) for value in wrote.values()}


def test_models_are_frozen_and_travel() -> None:
    """Attributes cannot be set, and a model can be copied and pickled."""
    msg = wire.decode_msg(message("text", future=[1]))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        msg.msgid = "other"  # type: ignore[misc]
    assert msg == copy.deepcopy(msg)
    assert msg == pickle.loads(pickle.dumps(msg))  # noqa: S301
    assert "Text" in repr(wire.KfMsg.text.__doc__)


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        (b"", "not JSON"),
        (b'{"msgid":', "not JSON"),
        (b'{"a":NaN}', "not JSON"),
        (b'{"a":"\\ud83d"}', "not JSON"),
        (b'{"a":"\xff"}', "not JSON"),
        ('{"a":"\ud800"}', "not JSON"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "not JSON"),
        ({"a": object()}, "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"null", "not a JSON object"),
        ("7", "not a JSON object"),
    ],
)
def test_what_is_no_object_is_an_error(element: wire.Json, reason: str) -> None:
    """One error, which says where and what; at most 200 characters of it."""
    with pytest.raises(wire.WireError) as caught:
        wire.decode_msg(element, path="$.msg_list[3]")
    assert "$.msg_list[3]" == caught.value.path
    assert caught.value.reason.startswith(reason)
    assert len(caught.value.value) <= 200


@pytest.mark.parametrize("value", [[], "[]", 5, None])
def test_the_converter_takes_objects_only(value: object) -> None:
    """Used directly, the converter refuses with the same error."""
    with pytest.raises(wire.WireError):
        wire.wire_converter.structure(value, wire.KfMsg)
    with pytest.raises(wire.WireError):
        wire.wire_converter.structure(value, wire.KfAccount)


def test_duplicate_keys() -> None:
    """Of two equal keys the last counts, as msgspec has it; the exact bytes are the store's."""
    assert "b" == wire.decode_msg(b'{"msgid":"a","msgid":"b"}').msgid


def test_a_member_called_extra_is_no_special_case() -> None:
    """A wire member may be called like an attribute that is none of the wire's."""
    came = {"extra": {"a": 1}, "body": 2, "msgtype": "text"}
    msg = wire.decode_msg(came)
    assert {"extra": {"a": 1}, "body": 2} == msg.extra
    assert came == wire.to_wire(msg)
