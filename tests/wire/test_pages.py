"""Pages of sync_msg."""

import json
from typing import Any

import msgspec
import pytest

from kfstate import wire
from tests.wire.data import event, message

ENTRIES = [message("text"), event("session_status_change"), message("hologram", {"a": 1})]


def page(**members: object) -> dict[str, Any]:
    """Return a page of three entries, with *members* changed."""
    return {"errcode": 0, "errmsg": "ok", "next_cursor": "c-1", "has_more": 1, "msg_list": ENTRIES} | members


def test_elements_are_the_exact_bytes() -> None:
    """Blanks, order and duplicate keys inside an element survive; what stands between elements does not."""
    elements = (b'{ "msgid" : "a",\n "msgid":"b" }', b'{"z":1,"a":1.50}', b'"text"', b"7", b"[]")
    data = b' {"msg_list" : [ ' + b" ,\n".join(elements) + b' ] , "has_more":0 } '
    assert wire.RawPage(elements=elements) == wire.split_page(data)


def test_the_head_of_a_page() -> None:
    """Cursor, has_more and errmsg come with the elements, from bytes, text or a mapping."""
    expected = wire.RawPage(
        errmsg="ok", next_cursor="c-1", has_more=True, elements=tuple(map(msgspec.json.encode, ENTRIES))
    )
    assert expected == wire.split_page(page())
    assert expected == wire.split_page(msgspec.json.encode(page()))
    assert expected == wire.split_page("\ufeff" + msgspec.json.encode(page()).decode())
    assert expected == wire.split_page(b"\xef\xbb\xbf" + msgspec.json.encode(page()))


@pytest.mark.parametrize(
    ("came", "read"), [(1, True), (0, False), (True, True), (False, False), (2, True), ("1", None), (None, None)]
)
def test_has_more_as_number_or_boolean(came: object, read: bool | None) -> None:  # noqa: FBT001
    """0, 1, true and false are understood, and go out as they came."""
    typed = wire.decode_page(page(has_more=came))
    assert read is typed.has_more
    assert bool(read) is wire.split_page(page(has_more=came)).has_more
    wrote = wire.to_wire(typed)["has_more"]
    assert (type(came), came) == (type(wrote), wrote)


@pytest.mark.parametrize("members", [{"msg_list": None}, {"msg_list": []}])
def test_an_empty_page(members: dict[str, object]) -> None:
    """A page may be empty and still have more."""
    assert () == wire.split_page(page(**members)).elements
    assert () == wire.decode_page(page(**members)).msg_list
    assert page(**members) == wire.to_wire(wire.decode_page(page(**members)))


def test_missing_members() -> None:
    """next_cursor, has_more, errcode and msg_list may be missing."""
    assert wire.RawPage() == wire.split_page(b"{}")


def test_a_typed_page_goes_out_as_it_came() -> None:
    """Entries and unknown members included; an element that is no object is only skipped."""
    came = page(future={"a": [1]})
    assert came == wire.to_wire(wire.decode_page(came))
    odd = page(msg_list=[*ENTRIES, 7])
    typed = wire.decode_page(odd)
    assert tuple(map(wire.decode_msg, ENTRIES)) == typed.msg_list
    assert odd == wire.to_wire(typed)


def test_a_page_built_by_hand() -> None:
    """The documented form has 0 and 1 for has_more."""
    built = wire.SyncMsgPage(errcode=0, has_more=True, msg_list=(wire.KfMsg(msgid="a"),))
    assert {"errcode": 0, "has_more": 1, "msg_list": [{"msgid": "a"}]} == wire.to_wire(built)


@pytest.mark.parametrize(
    ("data", "path", "value", "reason"),
    [
        (b'{"msg_list":[{"msgid":"a"},{"msg', "$", '{"msg_list":[{"msgid":"a"},{"msg', "not JSON"),
        (b"", "$", "", "not JSON"),
        (b"[]", "$", "[]", "not a JSON object"),
        ("null", "$", "null", "not a JSON object"),
        (b'{"a":1} x', "$", '{"a":1} x', "not JSON"),
        ({"msg_list": [object()]}, "$", "{'msg_list': [<object", "not JSON"),
        (b'{"msg_list":{"a":1}}', "$.msg_list", '{"a":1}', "not a list"),
        (b'{"errcode":95007,"errmsg":"bad token"}', "$.errcode", "95007", "WeCom refused the call (bad token)"),
        (b'{"errcode":-1}', "$.errcode", "-1", "WeCom refused the call (no errmsg)"),
        (b'{"errcode":"0"}', "$.errcode", '"0"', "WeCom refused the call"),
        (b'{"errcode":null}', "$.errcode", "null", "WeCom refused the call"),
    ],
)
def test_what_is_no_page(data: wire.Json, path: str, value: str, reason: str) -> None:
    """One error says where, what and why."""
    for read in (wire.split_page, wire.decode_page):
        with pytest.raises(wire.WireError) as caught:
            read(data)
        assert path == caught.value.path
        assert caught.value.value.startswith(value)
        assert caught.value.reason.startswith(reason)


BAD = [
    pytest.param(b'{"text":{"content":"half an emoji \\ud83d"}}', id="lone surrogate"),
    pytest.param(b'{"a":"\xff\xfe"}', id="no UTF-8"),
    pytest.param(b'{"a":"\x01"}', id="control character"),
    pytest.param(b'{"a":NaN}', id="NaN"),
    pytest.param(b'{"a":1e999}', id="beyond any float"),
    pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="beyond any integer"),
]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_element_stops_none_of_its_neighbours(bad: bytes) -> None:
    """What no strict reader takes is an error of that element alone; its bytes are kept exactly."""
    good = '{"msgid":"好"}'.encode()
    raw = b'{"errcode":0,"next_cursor":"c","has_more":1 ,"msg_list": [ ' + b" , ".join([good, bad, good]) + b" ] }"
    split = wire.split_page(raw)
    assert (good, bad, good) == split.elements
    assert ("c", True) == (split.next_cursor, split.has_more)
    assert "好" == wire.decode_msg(split.elements[2]).msgid
    with pytest.raises(wire.WireError):
        wire.decode_msg(split.elements[1])


def test_a_lone_surrogate_in_text_or_mapping() -> None:
    """What other JSON readers let through becomes an element of its own that cannot be read."""
    half = {"msg_list": [{"msgid": "a"}, {"content": "\ud83d"}]}
    for data in (half, json.dumps(half), json.dumps(half, ensure_ascii=False)):
        split = wire.split_page(data)
        assert "a" == wire.decode_msg(split.elements[0]).msgid
        with pytest.raises(wire.WireError):
            wire.decode_msg(split.elements[1])


@pytest.mark.parametrize(
    "raw",
    [
        b'{"msg_list":["\\ud83d"',
        b'{"msg_list":["\\ud83d"]} x',
        b'{"a":"\\ud83d" "msg_list":[]}',
        b'{"a" "\\ud83d"}',
        b'{7:"\\ud83d"}',
        b'{"a":"\\ud83d",}',
        b'"\\ud83d"',
    ],
)
def test_the_slow_way_is_no_more_lenient_about_structure(raw: bytes) -> None:
    """Bad characters are let through to their element; a bad page is still no page."""
    with pytest.raises(wire.WireError):
        wire.split_page(raw)


@pytest.mark.parametrize("empty", [b'{"\\ud83d":1,"msg_list":[]}', b'{"errmsg":"\\ud83d","msg_list": [ ] }'])
def test_bad_characters_in_the_head(empty: bytes) -> None:
    """A member of the head that cannot be read counts as missing."""
    assert wire.RawPage() == wire.split_page(empty)


def test_a_page_of_a_thousand_is_split_in_order() -> None:
    """The documented limit of a page."""
    entries = [{"msgid": str(number)} for number in range(1000)]
    elements = wire.split_page(page(msg_list=entries)).elements
    assert entries == [wire.to_wire(wire.decode_msg(element)) for element in elements]
