"""The slow way to cut a page: it agrees with JSON where JSON can be read, and goes on where nothing else can."""

import json
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfstate import wire
from kfstate.wire.scan import MAX_DEPTH, nested, scan_list, scan_object
from kfstate.wire.write import write
from tests.wire.data import message

texts = st.text(max_size=6) | st.sampled_from(['"', "\\", '\\"', "[", "{", "]}", '","', "\ud83d", "好"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
layouts = st.fixed_dictionaries(
    {"ensure_ascii": st.booleans(), "indent": st.none() | st.sampled_from([1, "\t"]), "separators": st.none()}
)
GOOD = json.dumps(message("text")).encode()


def deep(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """Return an element whose brackets nest *depth* deep."""
    return b'{"msgid":"deep","a":' + opening * (depth - 1) + closing * (depth - 1) + b"}"


def written(value: object, layout: dict[str, Any]) -> bytes:
    """Return *value* as JSON in some layout."""
    return json.dumps(value, **layout).encode("utf-8", "surrogatepass")


def depth_of(value: object) -> int:
    """Return how deep the containers of *value* nest."""
    if not isinstance(value, list | dict):
        return 0
    return 1 + max(map(depth_of, value.values() if isinstance(value, dict) else value), default=0)


@given(st.lists(values, max_size=5), layouts)
def test_a_list_is_cut_where_json_cuts_it(items: list[object], layout: dict[str, Any]) -> None:
    """Each part, read alone, is the item that JSON reads there."""
    raw = written(items, layout)
    cut = scan_list(raw)
    assert cut is not None
    assert repr(json.loads(raw.decode("utf-8", "surrogatepass"))) == repr(
        [json.loads(part.decode("utf-8", "surrogatepass")) for part in cut]
    )


@given(st.dictionaries(texts, values, max_size=5), layouts)
def test_an_object_is_cut_where_json_cuts_it(members: dict[str, object], layout: dict[str, Any]) -> None:
    """Each key and each part, read alone, are those that JSON reads; a name that is no Unicode is spelled somehow."""
    raw = written(members, layout | {"ensure_ascii": True})
    cut = scan_object(raw)
    assert cut is not None
    assert repr(json.loads(raw)) == repr({name: json.loads(part) for name, part in cut.items()})


@given(values, layouts, st.data())
def test_what_is_cut_off_is_no_whole(value: object, layout: dict[str, Any], data: st.DataObject) -> None:
    """The beginning of a list is no list, wherever it was cut off, and neither is one with something after it."""
    raw = written([value], layout)
    at = data.draw(st.integers(0, len(raw) - 1))
    assert None is scan_list(raw[:at])
    assert None is scan_list(raw + b"]")
    assert None is scan_list(raw + b",[]")


@given(values)
def test_written_slowly_is_written(value: object) -> None:
    """The slow writer says what the fast one says."""
    assert repr(json.loads(json.dumps({"a": value}))) == repr(json.loads(write({"a": value})))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[",
        b"]",
        b"{}",
        b"[,]",
        b"[1,]",
        b"[1 2]",
        b"[01]",
        b"[1.]",
        b"[+1]",
        b"[nul]",
        b"['a']",
        b"[[}]",
        b"[{]}]",
        b'["a]',
        b'["a\\"]',
        b'["a\\',
        b'[{"a":"]}]',
        b"[[[]]",
    ],
)
def test_what_is_no_list(raw: bytes) -> None:
    """Commas, closing brackets and the items that are no containers stand as JSON wants them."""
    assert None is scan_list(raw)


@pytest.mark.parametrize(
    "raw", [b"{", b"[]", b"{1:2}", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a":1"b":2}', b'{"\\q":1}', b'{"a":{"b":[}}}']
)
def test_what_is_no_object(raw: bytes) -> None:
    """The same for objects, whose keys are strings."""
    assert None is scan_object(raw)


def test_inside_an_item_nothing_is_looked_at_but_brackets_and_strings() -> None:
    """An item that nobody can read is cut out all the same, for its neighbours' sake."""
    assert (b'{"a" 1 ]'[:-2] + b"}", b'{"]":\x00\xff}', b"[,\\]", b"-Infinity") == scan_list(
        b'[{"a" 1}, {"]":\x00\xff} ,[,\\],-Infinity]'
    )


@given(values, st.integers(0, 2 * MAX_DEPTH))
def test_depth(value: object, further: int) -> None:
    """A value nests as deep as its containers; brackets in its texts do not count."""
    raw = b"[" * further + json.dumps(value).encode() + b"]" * further
    assert (depth_of(value) + further > MAX_DEPTH) is nested(raw)


def test_the_limit_of_depth() -> None:
    """So deep is read, and goes out again; one deeper is an error, and a page goes on past it."""
    most = deep(MAX_DEPTH)
    assert json.loads(most) == wire.to_wire(wire.decode_msg(most))
    assert json.loads(most) == wire.to_wire(wire.decode_msg(most.decode()))
    for data in (deep(MAX_DEPTH + 1), deep(MAX_DEPTH + 1).decode()):
        with pytest.raises(wire.WireError, match="nested deeper than 256 levels"):
            wire.decode_msg(data)
    wide = b'{"msgid":"deep","a":[' + b"[]," * 5000 + b'"[[["]}'
    assert json.loads(wide) == wire.to_wire(wire.decode_msg(wide))


@pytest.mark.parametrize("depth", [1_500, 100_000, 1_000_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"]":', b"}]")])
def test_one_monstrous_element_keeps_its_neighbours(depth: int, opening: bytes, closing: bytes) -> None:
    """However deep one element nests, the page is cut in one pass: its cursor and all the others are there."""
    monster = deep(depth // len(closing), opening, closing)
    raw = b'{"errcode":0,"msg_list":[' + b" , ".join((GOOD, monster, GOOD)) + b'],"next_cursor":"c","has_more":1}'
    began = process_time()
    page = wire.split_page(raw)
    spent = process_time() - began
    assert (GOOD, monster, GOOD) == page.elements
    assert ("c", True) == (page.next_cursor, page.has_more)
    assert 0.5 + depth * 4e-6 > spent


@pytest.mark.parametrize("depth", [1_500, 100_000, 1_000_000])
@pytest.mark.parametrize("monster", [b"[%s", b'{"a":%s', b'["%s', b'["\\"%s"', b"[[[}%s"])
def test_unbalanced_brackets_are_no_page(depth: int, monster: bytes) -> None:
    """Where an element never ends, nobody knows where the next one begins; that, too, is found out in one pass."""
    raw = b'{"msg_list":[' + monster.replace(b"%s", b'["' * (depth // 2) + b"[" * (depth // 2)) + b"]}"
    began = process_time()
    with pytest.raises(wire.WireError):
        wire.split_page(raw)
    assert 0.5 + depth * 4e-6 > process_time() - began


def test_a_monster_in_the_head_of_a_page() -> None:
    """A member that nests without end counts as missing, and an errcode is one that is not 0."""
    monster = b"[" * 2000 + b"]" * 2000
    raw = b'{"errmsg":' + monster + b',"future":' + monster + b',"next_cursor":"c","msg_list":[' + GOOD + b"]}"
    assert wire.RawPage(next_cursor="c", elements=(GOOD,)) == wire.split_page(raw)
    with pytest.raises(wire.WireError) as caught:
        wire.split_page(b'{"errcode":' + monster + b"}")
    assert "$.errcode" == caught.value.path


def test_a_monster_in_a_mapping() -> None:
    """A page that was read already by somebody with more stack is split as well."""
    monster: list[object] = []
    for _ in range(100_000):
        monster = [monster]
    page = wire.split_page({"msg_list": [{"msgid": "a"}, {"a": monster}, ("b", {5: "x"})], "next_cursor": "c"})
    assert (b'{"msgid": "a"}', b'["b",{"5": "x"}]') == (page.elements[0], page.elements[2])
    assert b'{"a": ' + b"[" * 100_001 + b"]" * 100_001 + b"}" == page.elements[1]
    assert "c" == page.next_cursor


def test_a_mapping_without_end() -> None:
    """A container that stands in itself, or that holds what JSON cannot say, is one clear error, however deep."""
    endless: dict[str, object] = {}
    endless["a"] = [endless]
    with pytest.raises(wire.WireError, match="a container stands in itself"):
        wire.split_page(endless)
    monster: list[object] = [object()]
    for _ in range(5000):
        monster = [monster]
    with pytest.raises(wire.WireError, match="not JSON") as caught:
        wire.split_page({"msg_list": monster})
    assert "<dict>" == caught.value.value
