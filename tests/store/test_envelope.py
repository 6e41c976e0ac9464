"""Own entries: what each kind needs, how wrong ones are refused, what append makes of them."""

from typing import Any

import pytest
from sqlalchemy import Connection

from kfstate.errors import EnvelopeError
from kfstate.machine.kinds import OWN_KINDS
from kfstate.store import read
from kfstate.store.append import append
from kfstate.store.envelope import OwnEntry, draft_own, from_json
from kfstate.store.facts import draft_elements
from kfstate.store.own_kinds import RULES
from kfstate.store.rows import Appended
from tests.store.conftest import Build

NOW = 1_760_000_000_000_000
IDS = {"open_kfid": "wkA", "external_userid": "wmA"}
SAMPLE: dict[str, Any] = {
    "service_state": 3,
    "errcode": 95013,
    "via": "send_msg",
    "servicer_userid": "li",
    "receiving": True,
    "manage_privilege": 1,
    "from_at": 1_759_000_000,
    "target": 1,
    "as_kind": "customer_message",
    "fingerprint": "ab" * 32,
}


def envelope(kind: str, **members: Any) -> dict[str, Any]:
    """Build the least envelope that a kind takes."""
    rule = RULES[kind]
    ids = IDS if rule.stream in {"conversation", "any"} else {} if rule.stream == "log" else {"open_kfid": "wkA"}
    facts = {name: SAMPLE[name] for name in rule.needs}
    if kind == "correction":
        facts["service_state"] = 4
    return {"kind": kind, "actor": "bot", **ids, **facts, **members}


def record(conn: Connection, *envelopes: dict[str, Any], now: int = NOW, **options: Any) -> Appended:
    """Record own entries in one append."""
    return append(conn, [draft_own(from_json(one), now=now) for one in envelopes], now=now, **options)


@pytest.mark.databases("sqlite", "pg18", "mariadb")
@pytest.mark.parametrize("kind", sorted(OWN_KINDS))
def test_every_own_kind_can_be_recorded(conn: Connection, element: Build, kind: str) -> None:
    """The least envelope of each kind is stored, in the stream that the kind belongs to."""
    append(conn, draft_elements([element()]), now=NOW)
    row = record(conn, envelope(kind)).rows[0]
    stream = read.streams_by_id(conn, [row.stream])[row.stream]

    assert (kind, "bot") == (row.kind, row.actor)
    assert stream.kind == ("conversation" if RULES[kind].stream == "any" else RULES[kind].stream)


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"kind": "customer_message"}, "$.kind"),
        ({"kind": None}, "$.kind"),
        ({"actor": ""}, "$.actor"),
        ({"actor": None}, "$.actor"),
        ({"actor": 5}, "$.actor"),
        ({"service_state": None}, "$.service_state"),
        ({"service_state": 5}, "$.service_state"),
        ({"service_state": True}, "$.service_state"),
        ({"service_state": "3"}, "$.service_state"),
        ({"errcode": 95013}, "$.errcode"),
        ({"surprise": 1}, "$.surprise"),
        ({"external_userid": None}, "$.external_userid"),
        ({"open_kfid": None}, "$.open_kfid"),
        ({"open_kfid": "客服"}, "$.open_kfid"),
        ({"servicer_userid": "x" * 129}, "$.servicer_userid"),
        ({"occurred_at": "2026-01-05T09:30:00"}, "$.occurred_at"),
        ({"occurred_at": "yesterday"}, "$.occurred_at"),
        ({"occurred_at": True}, "$.occurred_at"),
        ({"occurred_at": -1}, "$.occurred_at"),
        ({"occurred_at": NOW // 1_000_000 + 86_401}, "$.occurred_at"),
        ({"data": [1]}, "$.data"),
        ({"data": {"x": object()}}, "$.data"),
        ({"cause": 0}, "$.cause"),
    ],
)
def test_a_wrong_envelope_names_path_and_value(members: dict[str, Any], path: str) -> None:
    """What cannot be recorded is one error that says where it is wrong."""
    wrong = {**envelope("state_changed"), **members}
    with pytest.raises(EnvelopeError) as caught:
        draft_own(from_json(wrong), now=NOW)
    assert path == caught.value.path


@pytest.mark.parametrize(
    ("given", "at"),
    [
        (1_760_000_000, NOW),
        (1_760_000_000.25, NOW + 250_000),
        ("2025-10-09T08:53:20Z", NOW),
        ("2025-10-09T16:53:20.000001+08:00", NOW + 1),
    ],
)
def test_occurred_at_is_iso_or_seconds(given: object, at: int) -> None:
    """ISO 8601 with an offset, or unix seconds."""
    assert at == from_json(envelope("state_changed", occurred_at=given)).occurred_at


def test_a_correction_sets_or_voids() -> None:
    """A correction names a state or a position, not both and not neither."""
    for members in ({"service_state": None}, {"service_state": 4, "target": 1}):
        with pytest.raises(EnvelopeError):
            from_json(envelope("correction", **members))


def test_the_payload_keeps_reason_request_and_data(conn: Connection) -> None:
    """What is not typed lives in the payload, where it can be erased."""
    row = record(conn, envelope("state_changed", reason="vip", request_id="r1", data={"b": 1, "a": [None]})).rows[0]
    body = read.payloads(conn, [row.position])[row.position] or b""

    assert body.startswith(b'{"actor":"bot","data":{"b":1,"a":[null]}') or b'"data":{"a":[null],"b":1}' in body
    assert b'"reason":"vip"' in body
    assert b'"request_id":"r1"' in body


def test_a_known_key_returns_the_first_result(conn: Connection) -> None:
    """An idempotency key that is known stores nothing, before any version check; keys belong to an account."""
    first = record(conn, envelope("state_changed", key="k1"))
    again = record(conn, envelope("state_changed", key="k1", service_state=4), now=NOW + 9)
    fresh = record(conn, envelope("state_changed"), envelope("state_changed"), envelope("state_changed", key="k2"))

    assert [(1, True)] == [result[:2] for result in again.results]
    assert (1, 3) == (len(first.rows), len(fresh.rows))


def test_own_time_is_raised_above_what_was_recorded_before(conn: Connection, element: Build) -> None:
    """A clock that runs behind WeCom's does not put an answer before the question."""
    append(conn, draft_elements([element(send_time=NOW // 1_000_000 + 7)]), now=NOW)
    done = record(conn, envelope("message_sent", via="send_msg"), envelope("state_changed"))

    assert [NOW + 7_000_001, NOW + 7_000_002] == [row.occurred_at for row in done.rows]
    assert done.rows[0].tie < done.rows[1].tie


def test_own_calls_in_one_second_keep_their_order(conn: Connection) -> None:
    """The tie of own entries counts microseconds first, whatever their content hashes to."""
    done = record(conn, *(envelope("state_changed", occurred_at=1_760_000_000, reason=str(n)) for n in range(20)))

    assert sorted(row.tie for row in done.rows) == [row.tie for row in done.rows]
    assert {NOW // 1_000_000} == {row.sort_second for row in done.rows}
    assert all(row.tie < 1 << 48 for row in done.rows)


def test_a_result_is_raised_to_its_intent_only(conn: Connection, element: Build) -> None:
    """An accepted call sorts where it was made, though a later event came in before its reply was recorded."""
    record(conn, envelope("state_change_intended"))
    append(conn, draft_elements([element(send_time=NOW // 1_000_000 + 60)]), now=NOW)
    done = record(conn, envelope("state_changed", cause=1, occurred_at=NOW // 1_000_000 + 1))

    assert NOW + 1_000_000 == done.rows[0].occurred_at


def test_a_correction_of_the_past_stays_in_the_past(conn: Connection, element: Build) -> None:
    """Set the state at T means T."""
    append(conn, draft_elements([element()]), now=NOW)
    done = record(conn, envelope("correction", occurred_at=1_700_000_000), envelope("correction"))

    assert [1_700_000_000_000_000, NOW + 1] == [row.occurred_at for row in done.rows]


@pytest.mark.parametrize("missing", ["cause", "target"])
def test_a_position_that_does_not_exist_is_refused(conn: Connection, missing: str) -> None:
    """An entry speaks only about entries before it."""
    members = {"target": 1, "service_state": None} if missing == "target" else {"cause": 1}
    with pytest.raises(EnvelopeError) as caught:
        record(conn, envelope("correction", **members))
    assert f"$.{missing}" == caught.value.path


def test_counts(conn: Connection) -> None:
    """An intent via send_msg counts, its outcome confirms or undoes it, an outcome without intent counts itself."""
    done = record(
        conn,
        envelope("message_intended", msgid="a"),
        envelope("message_sent", msgid="a"),
        envelope("message_intended", msgid="b"),
        envelope("message_refused", msgid="b"),
        envelope("message_sent", msgid="c"),
        envelope("message_refused", msgid="d"),
        envelope("message_intended", msgid="e", via="send_msg_on_event"),
        envelope("message_refused", msgid="e", via="send_msg_on_event"),
        envelope("message_sent", msgid="f", via="send_msg_on_event"),
        envelope("state_changed"),
    )
    late = record(conn, envelope("message_intended", msgid="g"))
    later = record(conn, envelope("message_refused", msgid="g"), now=NOW + 60_000_000)

    assert [1, 0, 1, -1, 1, 0, 0, 0, 0, None] == [row.counts for row in done.rows]
    assert [None, 1, None, 3, None, None, None, 7, None, None] == [row.cause for row in done.rows]
    assert (late.rows[0].position, -1) == (later.rows[0].cause, later.rows[0].counts)


def test_intents_of_another_conversation_do_not_count(conn: Connection) -> None:
    """A msgid of ours ties an outcome to an intent of the same stream only."""
    record(conn, envelope("message_intended", msgid="a"))
    other = record(conn, envelope("message_sent", msgid="a", external_userid="wmB"))

    assert (None, 1) == (other.rows[0].cause, other.rows[0].counts)


def test_an_own_entry_object_is_checked_like_an_envelope() -> None:
    """Code and NDJSON follow one rule."""
    with pytest.raises(EnvelopeError):
        OwnEntry(kind="state_changed", actor="bot", open_kfid="wkA", external_userid="wmA")
    given: dict[str, Any] = {"kind": "own_action", "actor": "bot", "open_kfid": "wkA", "via": "x"}
    assert "x" == OwnEntry(**given).via
    for wrong in ({"reason": None}, {"via": None}, {"actor": "\0"}, {"servicer_userid": "x" * 129}, {"errcode": ""}):
        with pytest.raises(EnvelopeError):
            OwnEntry(**{**given, **wrong})
