"""The canonical form: golden values for ever, and no two entries with one encoding."""

import hashlib
import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from kfstate.store import canonical as form
from kfstate.store import read
from kfstate.store.append import append
from kfstate.store.dialect import query
from kfstate.store.envelope import draft_own, from_json
from kfstate.store.facts import draft_elements
from kfstate.store.head import read_head
from kfstate.store.rows import ENTRY_COLUMNS, EntryRow
from tests.store.conftest import entropy

NOW = 1_760_000_000_000_000
GOLDEN = [
    "bb03e2c8825fe6cebdbca4a212b1877bf27a1114751c81d8a4e52a7899948596",
    "920e0e26978a956f6a6c4ca48e8254b4eb89ecc25e8abe701b59774b6cc47020",
    "ff0c321e9605a78dfa7e724d1b7e478040dc91eafe88f7cc9de46a4140489d61",
    "b3494b3d3dc712c11f2c8b2a367a4d7fdb586cb133f7108464cfe2d200feadf2",
]


def golden_log(conn: Any) -> list[EntryRow]:
    """Append the three entries of the golden vector."""
    message = (
        b'{"msgid":"m1","open_kfid":"wkA","external_userid":"wmA","send_time":1760000000,"origin":3,"msgtype":"text",'
        b'"text":{"content":"\xe4\xbd\xa0\xe5\xa5\xbd","menu_id":"7"}}'
    )
    change = (
        b'{"msgid":"m2","send_time":1760000001,"origin":4,"msgtype":"event","event":{"event_type":'
        b'"session_status_change","open_kfid":"wkA","external_userid":"wmA","change_type":2,'
        b'"old_servicer_userid":"li","new_servicer_userid":"Wang","msg_code":"c1"}}'
    )
    rows = append(conn, draft_elements([message, change]), now=NOW, pull=1, entropy=entropy).rows
    own = {
        "kind": "message_refused",
        "actor": "机器人",
        "open_kfid": "wkA",
        "external_userid": "wmA",
        "occurred_at": 1_760_000_002.5,
        "via": "send_msg",
        "errcode": 95018,
        "msgid": "out1",
        "cause": 1,
    }
    return rows + append(conn, [draft_own(from_json(own), now=NOW)], now=NOW + 3, entropy=entropy).rows


def test_golden_vector(conn: Connection) -> None:
    """A form is for ever: the same entries, salts and head give these links in every release."""
    first = form.first_link(entropy(16), NOW)
    assert GOLDEN == [first.hex(), *(row.chain.hex() for row in golden_log(conn))]
    assert GOLDEN[-1] == read_head(conn).chain.hex()


def independent_leaf(row: EntryRow, prefix: list[tuple[int, bytes]], names: dict[int, bytes]) -> bytes:
    """Encode an entry as docs/reference/chain.md says, without the code under test."""
    fields = list(prefix)
    for name, value in row._asdict().items():
        tag = form.TAGS.get(name)
        if tag is None or value is None:
            continue
        if name in {"servicer_from", "servicer_to"}:
            fields.append((tag, names[value]))
        elif isinstance(value, int):
            fields.append((tag, value.to_bytes(8, "big", signed=True)))
        else:
            fields.append((tag, value.encode() if isinstance(value, str) else value))
    body = b"".join(bytes([tag]) + struct.pack(">H", len(value)) + value for tag, value in sorted(fields))
    return hashlib.sha256(b"\x00\x01" + body).digest()


def test_the_documented_form_is_the_form(conn: Connection) -> None:
    """A verifier written from the documentation alone gets the same leaves and links."""
    rows = golden_log(conn)
    names = {
        id_: hashlib.sha256(salt + value.encode()).digest()
        for id_, salt, value in conn.exec_driver_sql("SELECT id, salt, value FROM kf_name").fetchall()
    }
    customer = conn.exec_driver_sql("SELECT customer FROM kf_stream").fetchall()[0][0]
    prefix = [(1, b""), (2, b"conversation"), (3, b"wkA"), (4, names[customer])]
    link = form.first_link(entropy(16), NOW)
    for row in rows:
        assert row.leaf == independent_leaf(row, prefix, names)
        link = hashlib.sha256(b"\x01" + link + row.leaf).digest()
        assert row.chain == link
        body = read.payloads(conn, [row.position])[row.position] or b""
        salt = query(conn, "SELECT salt FROM kf_payload WHERE position = ?", (row.position,))[0][0]
        assert row.commitment == hashlib.sha256(salt + body).digest()


def test_every_column_has_a_tag() -> None:
    """No fact of an entry is outside the canonical form, but for what is hashed from it, and tags are never shared."""
    replaced = {"stream", "form", "leaf", "chain"}
    assert set(ENTRY_COLUMNS) - replaced == set(form.TAGS) - {
        "corp_id", "stream_kind", "open_kfid", "customer", "servicer",
    }  # fmt: skip
    assert list(range(1, 41)) == list(form.TAGS.values())


BIG = st.integers(-(1 << 63), (1 << 63) - 1)
WORD = st.text(max_size=5)
DIGEST = st.binary(min_size=32, max_size=32)
REQUIRED = {"position", "sort_second", "tie", "again", "version", "kind_version", "recorded_at"}


@st.composite
def entries(draw: Any) -> tuple[Any, ...]:
    """Draw the prefix's parts, the row and the two commitments; neighbours differ in one place often."""
    values: list[Any] = []
    for name in ENTRY_COLUMNS[:37]:
        if name in {"stream", "servicer_from", "servicer_to", "form"}:
            values.append(0)
        elif name == "commitment":
            values.append(draw(st.sampled_from([b"\0" * 32, b"\1" * 32])))
        elif name in form.INTEGERS:
            number = st.sampled_from([0, 1, -1]) | BIG
            values.append(draw(number if name in REQUIRED else st.none() | number))
        else:
            values.append(draw(WORD if name in {"kind", "ref", "code", "actor"} else st.none() | WORD))
    optional = st.none() | st.sampled_from([b"\2" * 32, b"\3" * 32])
    prefix = (draw(WORD), draw(WORD), draw(WORD), draw(optional), draw(optional))
    return prefix, tuple(values), draw(optional), draw(optional)


def encode(entry: tuple[Any, ...]) -> bytes:
    """Return the canonical form of a drawn entry."""
    prefix, row, from_, to = entry
    return form.canonical(form.stream_prefix(*prefix), row, from_, to)


@given(entries(), entries())
def test_two_entries_never_share_a_form(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    """Different facts encode differently: NULL is not '', '' is not 0."""
    assert (one == other) == (encode(one) == encode(other))


@given(entries(), st.data())
def test_changing_one_field_changes_the_form(entry: tuple[Any, ...], data: st.DataObject) -> None:
    """Any single change of a column that is encoded shows."""
    prefix, row, from_, to = entry
    names = [name for name in ENTRY_COLUMNS[:37] if name in form.TAGS and not name.startswith("servicer_")]
    at = ENTRY_COLUMNS.index(data.draw(st.sampled_from(names)))
    old = row[at]
    if isinstance(old, bytes):
        new: Any = bytes(31) + b"\7"
    elif isinstance(old, int):
        new = old - 1 if old > 0 else old + 1
    elif isinstance(old, str):
        new = old + "\0"
    else:
        new = 0 if ENTRY_COLUMNS[at] in form.INTEGERS else ""
    assert encode(entry) != encode((prefix, (*row[:at], new, *row[at + 1 :]), from_, to))


@given(entries())
def test_a_form_can_be_read_back(entry: tuple[Any, ...]) -> None:
    """Tags ascend and lengths add up: the encoding is unambiguous because it can be parsed."""
    data, at, tags = encode(entry), 0, []
    while at < len(data):
        tags.append(data[at])
        at += 3 + int.from_bytes(data[at + 1 : at + 3], "big")
    assert at == len(data)
    assert tags == sorted(set(tags))
