"""Whatever JSON comes, it is read without error and goes out equal."""

import contextlib
from typing import Any

import attrs
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kfstate import wire
from kfstate.wire.models import BODY_TYPES
from tests.wire.data import BODIES, EVENTS, event, message

MODELS: list[type[wire.WireModel]] = [wire.KfMsg, *BODY_TYPES.values()]
FIELDS = sorted({name for kind in MODELS for name in attrs.fields_dict(kind)})
"""Names that some model knows: where mistakes would be."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.integers() | st.integers(0, 6) | st.floats(allow_nan=False, allow_infinity=False)
names = st.sampled_from([*FIELDS, *BODY_TYPES, "mini_program", "head_img", "shop_head_img", "has_more"]) | texts
values = st.recursive(
    st.none() | st.booleans() | numbers | texts | st.sampled_from([*BODY_TYPES, *EVENTS, "mini_program"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names, values, max_size=8)
elements = st.sampled_from([message(name) for name in BODIES] + [event(name) for name in EVENTS])
kinds = st.sampled_from([*BODY_TYPES.values(), wire.KfAccount, wire.KfServicer, *wire.REPLIES.values()])


def same(came: object, went: object) -> bool:
    """Return whether two JSON values are equal, 1, 1.0 and true kept apart."""
    return msgspec.json.encode(came, order="deterministic") == msgspec.json.encode(went, order="deterministic")


@given(objects)
def test_any_object_is_a_message_that_goes_out_equal(came: dict[str, Any]) -> None:
    """decode_msg takes any JSON object, and to_wire gives it back."""
    msg = wire.decode_msg(msgspec.json.encode(came))
    assert same(came, wire.to_wire(msg))
    assert msg == wire.decode_msg(wire.to_wire(msg))
    assert isinstance(msg.conversation.open_kfid, str)
    assert isinstance(msg.menu_click, bool)


@given(objects, kinds)
def test_any_object_is_any_model_that_goes_out_equal(came: dict[str, Any], kind: type[wire.WireModel]) -> None:
    """The same for each model alone."""
    assert same(came, wire.to_wire(wire.decode_model(came, kind)))


@given(elements, st.data())
def test_mutated_elements_go_out_equal(element: dict[str, Any], data: st.DataObject) -> None:
    """Documented entries with members changed, added and removed, on the top level and inside the body."""
    came: dict[str, Any] = {name: dict(value) if isinstance(value, dict) else value for name, value in element.items()}
    inner = came[str(came["msgtype"])]
    for level in (came, inner):
        level.update(data.draw(st.dictionaries(st.sampled_from([*level, *FIELDS]), values, max_size=2)))
        for name in data.draw(st.lists(st.sampled_from(sorted(level)), max_size=2, unique=True)) if level else ():
            del level[name]
    assert same(came, wire.to_wire(wire.decode_msg(msgspec.json.encode(came))))


@given(st.lists(objects, max_size=4), st.booleans() | st.integers(0, 1))
def test_pages_are_their_elements(entries: list[dict[str, Any]], has_more: int) -> None:
    """Splitting a page and reading its elements is reading the page."""
    raw = msgspec.json.encode({"errcode": 0, "msg_list": entries, "has_more": has_more})
    split = wire.split_page(raw)
    assert tuple(map(msgspec.json.encode, entries)) == split.elements
    assert wire.decode_page(raw).msg_list == tuple(map(wire.decode_msg, split.elements))


@given(elements, st.data())
def test_a_changed_attribute_is_what_is_read_again(element: dict[str, Any], data: st.DataObject) -> None:
    """Writing a model changed by hand and reading it again gives the changed attribute."""
    odd = element | data.draw(st.dictionaries(st.sampled_from(["msgid", "send_time", "open_kfid"]), values))
    msg = attrs.evolve(wire.decode_msg(odd), msgid="new", send_time=5, open_kfid=None)
    again = wire.decode_msg(wire.to_wire(msg))
    assert ("new", 5, None) == (again.msgid, again.send_time, again.open_kfid)
    assert msg.body == again.body


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """No other error than WireError leaves the wire."""
    for read in (wire.decode_msg, wire.split_page, wire.decode_page):
        for data in (raw, b'{"msg_list":[' + raw + b"]}"):
            with contextlib.suppress(wire.WireError):
                read(data)


def test_an_unchanged_model_does_not_depend_on_its_bytes() -> None:
    """Two spellings of the same JSON are the same model."""
    spaced = b'{ "msgid" : "\\u0061", "send_time":1 }'
    assert wire.decode_msg(b'{"send_time":1,"msgid":"a"}') == wire.decode_msg(spaced)


def test_purity() -> None:
    """The wire imports nothing that stores, waits, connects or tells the time."""
    import subprocess
    import sys

    code = "import sys, kfstate.wire; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set() == {"sqlalchemy", "asyncio", "http", "socket", "transitions"} & set(loaded)
