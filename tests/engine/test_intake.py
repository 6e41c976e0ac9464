"""Nothing is lost (P1): every entry is stored once with its bytes; what cannot be is reported, and the rest goes on."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfstate.engine import Engine
from kfstate.errors import EnvelopeError
from kfstate.intake import Problem, Report
from kfstate.store.dialect import query
from kfstate.testing import (
    Element,
    FrozenClock,
    customer_message,
    event,
    message,
    own_action,
    page,
    servicer_status_change,
    session_status_change,
    state_changed,
)
from tests.engine.conftest import Fresh
from tests.engine.tables import rows
from tests.engine.worlds import NOW
from tests.store.behind import unguarded

__all__: list[str] = []

HELLO = customer_message("wkA", "wm1", NOW, msgid="m1")
TAKEN = session_status_change(1, "wkA", "wm1", NOW + 5, new="li", msgid="m2")
SENT = own_action("wkA", "wm1", NOW + 9, via="recall_msg")


def numbers(report: Report) -> dict[str, int]:
    """Return the counts of a report that are not 0, the position apart."""
    names = "entries appended duplicates late unknown conflicts unplaced rejected"
    return {name: getattr(report, name) for name in names.split() if getattr(report, name)}


def bodies(engine: Engine) -> list[bytes]:
    """Return the payloads of what was ingested, in the order of the log."""
    return [bytes(body) for (body,) in rows(engine, "SELECT body FROM kf_payload WHERE position > 1 ORDER BY position")]


def test_one_msgid_other_content(engine: Engine) -> None:
    """A page of samples whose entries share one msgid but differ in content loses nothing."""
    elements = [
        HELLO,
        {**HELLO, "text": {"content": "other"}},
        {**TAKEN, "msgid": "m1"},
        {**HELLO, "msgtype": "image", "image": {"media_id": "x"}, "text": None},
        HELLO,
        {**TAKEN, "msgid": "m1", "note": 1},
    ]
    report = engine.ingest(page(elements))
    assert {"entries": 6, "appended": 5, "duplicates": 1, "conflicts": 3} == numbers(report)
    assert [0, 1, 0, 1, 1] == [again for (again,) in rows(engine, "SELECT again FROM kf_entry WHERE position > 1")]
    assert [element for at, element in enumerate(elements) if at != 4] == [json.loads(body) for body in bodies(engine)]
    folded = "known msgid with other content and the same deciding facts: not folded"
    assert [("$.msg_list[1]", folded), ("$.msg_list[3]", folded), ("$.msg_list[5]", folded)] == [
        (problem.path, problem.reason) for problem in report.problems
    ]
    assert ("manual", 1) == ((view := engine.state("wkA", "wm1")).state, view.session)


def test_one_msgid_other_facts(engine: Engine) -> None:
    """A known msgid of the same origin with other deciding facts is stored, folded and reported."""
    ended = session_status_change(3, "wkA", "wm1", NOW + 9, old="li", msgid="m2")
    report = engine.ingest(page([HELLO, TAKEN, ended]))
    assert {"entries": 3, "appended": 3, "conflicts": 1} == numbers(report)
    reason = "known msgid with other content and other deciding facts: folded"
    assert [Problem("<mapping>", "$.msg_list[2]", reason)] == report.problems
    assert "finished" == engine.state("wkA", "wm1").state


BAD_ELEMENTS: dict[str, Any] = {
    "number": 5, "null": None, "true": True, "text": "text", "list": [], "nested list": [1], "empty": {},
    "event without body": {"msgtype": "event"}, "event is 5": {"msgtype": "event", "event": 5},
    "only msgid": {"msgid": 7},
    "Chinese id": {**HELLO, "external_userid": "客户"}, "long id": {**HELLO, "external_userid": "x" * 129},
    "account is 3": {**HELLO, "open_kfid": 3}, "msgid is a list": {**HELLO, "msgid": ["m"]},
    "no time": {**HELLO, "send_time": "soon"}, "no origin": {**HELLO, "origin": {}}, "no type": {**HELLO, "msgtype": 9},
}  # fmt: skip


@pytest.mark.databases("sqlite", "pg18", "mariadb")
@pytest.mark.parametrize("bad", BAD_ELEMENTS.values(), ids=BAD_ELEMENTS.keys())
def test_bad_element(engine: Engine, bad: Any) -> None:
    """An element that is nothing is stored as it came, named in the report, and stops none of its neighbours."""
    first, last = customer_message("wkA", "wm7", NOW), customer_message("wkA", "wm8", NOW)
    report = engine.ingest(page([first, bad, last]), account="wkA")
    assert {"entries": 3, "appended": 3} == {name: numbers(report)[name] for name in ("entries", "appended")}
    assert 0 == report.rejected
    assert bad == json.loads(bodies(engine)[1])
    assert "$.msg_list[1]" == report.problems[0].path
    assert {"wm7", "wm8"} <= {view.external_userid for view in engine.conversations()}


def test_bytes_stay_as_they_came(engine: Engine) -> None:
    """Spaces, order, escapes, duplicate keys and big numbers are kept byte for byte."""
    odd = b'{ "msgid" : "m1","open_kfid":"wkA", "a":1,"a" : 2, "n":123456789012345678901234567890,\n "external_userid"'
    odd += b':"wm1","send_time":1767225600,"origin":3,"msgtype":"text",'
    odd += b'"text":{"content":"\\u4f60\\ud83d \xe5\xa5\xbd"}}'
    plain = json.dumps({**HELLO, "msgid": "m2"}).encode()
    engine.ingest(b'{"errcode":0,"msg_list":[' + odd + b" ,\n" + plain + b"]}")
    assert [odd, plain] == bodies(engine)
    assert 1 == len(list(engine.conversations()))
    assert json.loads(plain) == list(engine.read_all())[2].payload


@pytest.mark.parametrize("loose", [True, False], ids=["line", "page"])
def test_half_an_emoji(engine: Engine, *, loose: bool) -> None:
    """A message that is cut inside a character is stored and folded, in a page and on a line of its own."""
    element = json.dumps({**HELLO, "text": {"content": "\ud83d"}}).encode()
    source = element if loose else b'{"errcode":0,"msg_list":[' + element + b"]}"
    report = engine.ingest(source + b"\n" + json.dumps(TAKEN).encode())
    assert {"entries": 2, "appended": 2} == numbers(report)
    assert element == bodies(engine)[0]
    assert "manual" == engine.state("wkA", "wm1").state


def test_unknown_and_unplaced(engine: Engine) -> None:
    """Types of tomorrow are counted as unknown, entries without ids as unplaced; both are stored."""
    elements = [
        HELLO,
        event("of_tomorrow", NOW, open_kfid="wkA", external_userid="wm1"),
        message(7, "hologram", {}, NOW, open_kfid="wkA", external_userid="wm1"),
        session_status_change(9, "wkA", "wm1", NOW),
        message(3, "text", {}, NOW),
        event("of_tomorrow", NOW, msgid="e1"),
        servicer_status_change("wkA", "li", NOW, status=1),
    ]
    report = engine.ingest(page(elements))
    assert {"entries": 7, "appended": 7, "unknown": 4, "unplaced": 2} == numbers(report)
    kinds = (
        "SELECT e.kind, s.kind FROM kf_entry e JOIN kf_stream s ON s.id = e.stream WHERE position > 5 ORDER BY position"
    )
    assert [
        ("customer_message", "unplaced"), ("unknown_event", "unplaced"), ("servicer_status_change", "servicer"),
    ] == rows(engine, kinds)  # fmt: skip


def test_account_stands_in(engine: Engine) -> None:
    """Entries without an account belong to the one that was pulled."""
    report = engine.ingest({"msg_list": [message(3, "text", {}, NOW, external_userid="wm1"), 5]}, account="wkB")
    assert {"entries": 2, "appended": 2, "unknown": 1, "unplaced": 1} == numbers(report)
    assert "untreated" == engine.state("wkB", "wm1").state
    assert ["account"] == [entry.stream for entry in engine.read_all(after=2)]


@pytest.mark.databases("sqlite", "pg18")
@pytest.mark.parametrize(
    ("line", "path", "reason"),
    [
        (b'{"errcode":0,"msg_list":[{"msgid":"m9"', "line 2", "not JSON"),
        (b"hello", "line 2", "not JSON"),
        (b'{"errcode":95007,"errmsg":"bad"}', "line 2: $.errcode", "WeCom refused the call (bad)"),
        (b'{"msg_list":5}', "line 2: $.msg_list", "not a list"),
        (b'{"foo":1}', "line 2", "neither page, nor entry, nor own entry"),
        (b"7", "line 2", "not a JSON object"),
        (b'{"kind":"state_changed"}', "line 2: $.actor", "missing"),
        (b'{"kind":"nonsense","actor":"a"}', "line 2: $.kind", "unknown kind of own entry"),
        (b'{"kind":"own_action","actor":"a","via":"x","open_kfid":"wkA","cause":99}', "line 2: $.cause", "no entry"),
        (
            b'{"kind":"correction","actor":"a","open_kfid":"wkA","external_userid":"wm1","target":99}',
            "line 2: $.target", "no entry",
        ),
        (b'{"kind":"own_action","actor":"\\ud83d","via":"x","open_kfid":"wkA"}', "line 2", "not JSON"),
    ],
)  # fmt: skip
def test_bad_line(engine: Engine, line: bytes, path: str, reason: str) -> None:
    """A line that is no page and no entry is rejected with source, path and reason; its neighbours are stored."""
    lines: list[Element | None] = [page([HELLO]), None, page([TAKEN]), SENT]
    data = b"\n".join(line if one is None else json.dumps(one).encode() for one in lines)
    report = engine.ingest(data)
    assert {"entries": 3, "appended": 3, "rejected": 1} == numbers(report)
    (problem,) = report.problems
    assert ("<bytes>", path) == (problem.source, problem.path)
    assert problem.reason.startswith(reason)
    assert [4, "manual"] == [report.position, engine.state("wkA", "wm1").state]


@pytest.mark.databases("sqlite", "pg18")
def test_many_bad_own_entries(engine: Engine) -> None:
    """Own entries with a cause that does not exist are rejected one by one, wherever they stand among good ones."""
    lines: list[Element] = [state_changed("wkA", "wm1", NOW + n, service_state=1, cause=1) for n in range(60)]
    for at in (0, 17, 18, 59):
        lines[at]["cause"] = 10_000
    report = engine.ingest(lines)
    assert {"entries": 56, "appended": 56, "rejected": 4} == numbers(report)
    assert ["<mapping>"] * 4 == [problem.source for problem in report.problems]
    seconds = [NOW + n for n in range(60) if n not in {0, 17, 18, 59}]
    assert seconds == [second for (second,) in rows(engine, "SELECT sort_second FROM kf_entry WHERE position > 1")]
    assert 0 == engine.check().different


@pytest.mark.databases("sqlite", "pg18")
def test_at_most_100_problems(engine: Engine) -> None:
    """Everything that is wrong is counted, and the first 100 are told."""
    report = engine.ingest(b"\n".join([json.dumps(HELLO).encode(), *[b'{"foo":1}'] * 250]))
    assert (250, 100) == (report.rejected, len(report.problems))
    assert "line 2" == report.problems[0].path


def test_time_far_ahead(engine: Engine, clock: FrozenClock) -> None:
    """An entry from the day after tomorrow takes the second of its arrival, and is reported."""
    report = engine.ingest(page([customer_message("wkA", "wm1", NOW + 200_000)]))
    assert ["send_time is more than a day ahead"] == [problem.reason for problem in report.problems]
    assert clock.now() // 1_000_000 == rows(engine, "SELECT sort_second FROM kf_entry WHERE position = 2")[0][0]


def test_late_entries_are_counted(engine: Engine) -> None:
    """An entry that sorts before what was folded is late, and folded in its place."""
    engine.ingest(page([HELLO, customer_message("wkA", "wm1", NOW + 60)]))
    report = engine.ingest(page([TAKEN, customer_message("wkA", "wm1", NOW + 70)]))
    assert {"entries": 2, "appended": 2, "late": 1} == numbers(report)
    assert ["customer_message", "session_status_change", "customer_message", "customer_message"] == [
        step.kind for step in engine.history("wkA", "wm1")
    ]


@pytest.mark.databases("sqlite", "pg18")
def test_progress_is_told(engine: Engine) -> None:
    """Progress counts what was read, in parts, and comes to all of it."""
    told: list[int] = []
    engine.ingest([page([customer_message("wkA", f"wm{n}", NOW + n)]) for n in range(2_500)], progress=told.append)
    assert 2_500 == sum(told)
    assert len(told) >= 3


def test_own_entries_in_a_file_are_repeatable(engine: Engine) -> None:
    """Reading a file with pages and own entries twice stores nothing twice."""
    lines = [page([HELLO]), state_changed("wkA", "wm1", NOW + 3, service_state=2), SENT]
    assert {"entries": 3, "appended": 3} == numbers(engine.ingest(lines))
    assert {"entries": 3, "duplicates": 3} == numbers(engine.ingest(lines))


def test_record_refuses_what_ingest_reports(engine: Engine) -> None:
    """One own entry by itself is refused with an error that names what is wrong; nothing is stored."""
    with pytest.raises(EnvelopeError) as caught:
        engine.record({**SENT, "cause": 99})
    assert ("$.cause", "99", "no entry stands there") == (caught.value.path, caught.value.value, caught.value.reason)
    assert 1 == engine.position()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    [
        "msgid",
        "open_kfid",
        "external_userid",
        "send_time",
        "origin",
        "msgtype",
        "event",
        "text",
        "event_type",
        "change_type",
    ]
)


@settings(max_examples=40)
@given(elements=st.lists(JSON | st.dictionaries(MEMBERS, JSON, max_size=6), max_size=8))
def test_any_json_is_kept(fresh: Fresh, elements: list[Any]) -> None:
    """Whatever JSON a page brings, every element is stored once, and the log reads, folds and verifies."""
    with fresh("json") as (engine, _):
        data = json.dumps(page(elements)).encode()
        report = engine.ingest(data)
        assert (len(elements), 0) == (report.entries, report.rejected)
        assert report.appended + report.duplicates == report.entries
        kept = [json.loads(body) for body in bodies(engine)]
        assert all(element in kept for element in elements)
        assert report.appended + 1 == len(list(engine.read_all()))
        assert 0 == engine.check().different
        assert None is engine.verify().damage


@settings(max_examples=40)
@given(data=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes(fresh: Fresh, data: bytes) -> None:
    """Whatever a file holds, an ingest ends with a report, and its neighbours are stored."""
    with fresh("bytes") as (engine, _):
        report = engine.ingest([page([HELLO]), data, io.BytesIO(data), page([TAKEN])])
        assert report.appended >= 2
        assert "manual" == engine.state("wkA", "wm1").state


def test_deeply_nested(engine: Engine) -> None:
    """An element nested deeper than any reader goes is stored, and can be looked at."""
    deep = b"[" * 50_000 + b"]" * 50_000
    report = engine.ingest(b'{"errcode":0,"msg_list":[' + json.dumps(HELLO).encode() + b',{"msgid":"d","x":5}]}')
    assert 2 == report.appended
    with engine._writing() as conn, unguarded(conn):
        query(conn, "UPDATE kf_payload SET body = ? WHERE position = 3", (deep,))
    assert deep.decode() == list(engine.read_all())[2].payload


@pytest.mark.databases("sqlite", "pg18")
def test_report_of_a_file(engine: Engine, tmp_path: Path) -> None:
    """Source and path say where: the file, the line, the element."""
    file = tmp_path / "many.ndjson"
    file.write_bytes(
        b"\n".join([json.dumps(page([HELLO, {**HELLO, "msgid": "m3", "send_time": None}])).encode(), b"{"])
    )
    report = engine.ingest(file)
    assert [(str(file), "line 1: $.msg_list[1]"), (str(file), "line 2")] == [
        (problem.source, problem.path) for problem in sorted(report.problems, key=lambda problem: problem.path)
    ]
