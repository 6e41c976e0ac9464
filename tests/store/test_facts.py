"""Element in, facts out: kinds, streams, and what becomes of anything odd."""

import json
from typing import Any

import pytest

from kfstate.store.facts import FACT_BITS, draft_elements, tie_of
from kfstate.store.rows import Draft
from kfstate.wire import decode_msg
from tests.store.conftest import Build


def draft(element: bytes, **options: Any) -> Draft:
    """Draft one element."""
    return draft_elements([element], **options)[0]


def event(event_type: str, **members: Any) -> dict[str, Any]:
    """Build the members of an event as WeCom sends it: the ids are inside."""
    body = {"event_type": event_type, "open_kfid": "wkA", "external_userid": "wmA", **members}
    return {"origin": 4, "msgtype": "event", "text": None, "open_kfid": None, "external_userid": None, "event": body}


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({}, "customer_message"),
        ({"origin": 5, "servicer_userid": "li"}, "servicer_message"),
        ({"origin": None}, "customer_message"),
        ({"origin": None, "servicer_userid": "li"}, "servicer_message"),
        ({"origin": 4}, "system_message"),
        ({"origin": 9}, "unknown_message"),
        ({"msgtype": "hologram"}, "customer_message"),
        ({"msgtype": None}, "customer_message"),
        ({"msgtype": None, "origin": None}, "unknown_message"),
        ({"servicer_userid": "li"}, "customer_message"),
        (event("enter_session"), "enter_session"),
        (event("enter_session") | {"origin": 3}, "enter_session"),
        (event("brand_new"), "unknown_event"),
        ({"msgtype": "event", "event": None}, "unknown_event"),
        ({"msgtype": "event", "event": [1]}, "unknown_event"),
        ({"external_userid": "客户"}, "unknown_message"),
        ({"external_userid": "x" * 129}, "unknown_message"),
        ({"open_kfid": 7}, "unknown_message"),
        ({"msgid": "a\nb"}, "unknown_message"),
        (event("session_status_change", change_type=1, new_servicer_userid="李"), "unknown_event"),
    ],
)
def test_kind(element: Build, members: dict[str, Any], kind: str) -> None:
    """The kind comes from origin, msgtype and event_type; an id that can be none makes it unknown."""
    assert kind == draft(element(**members)).kind


@pytest.mark.parametrize(
    ("members", "account", "stream"),
    [
        ({}, "", ("conversation", "wkA", "wmA", "")),
        ({"open_kfid": None}, "wkP", ("conversation", "wkP", "wmA", "")),
        ({"external_userid": None}, "wkP", ("account", "wkA", "", "")),
        ({"open_kfid": None, "external_userid": None}, "wkP", ("account", "wkP", "", "")),
        ({"open_kfid": None, "external_userid": None}, "", ("unplaced", "", "", "")),
        (event("servicer_status_change", servicer_userid="li"), "", ("servicer", "wkA", "", "li")),
        (event("user_recall_msg", recall_msgid="x") | {"open_kfid": "wkTOP"}, "", ("conversation", "wkA", "wmA", "")),
    ],
)
def test_stream(element: Build, members: dict[str, Any], account: str, stream: tuple[str, ...]) -> None:
    """Ids inside the event win; what names no conversation goes to the account, or is unplaced."""
    found = draft(element(**members), account=account).stream
    assert ("", *stream) == tuple(found)


def test_facts_of_a_status_change(element: Build) -> None:
    """A change names both servicers and brings a code."""
    made = draft(
        element(
            **event(
                "session_status_change",
                change_type=2,
                old_servicer_userid="li",
                new_servicer_userid="wang",
                msg_code="c",
            )
        )
    )
    assert (2, "li", "wang", "c", "msg_code") == (
        made.change_type,
        made.servicer_from,
        made.servicer_to,
        made.code,
        made.code_kind,
    )


@pytest.mark.parametrize(("status", "receiving"), [(1, 1), (2, 0), (3, None), ("1", None)])
def test_receiving(element: Build, status: object, receiving: int | None) -> None:
    """One boolean over the event's 1 and 2."""
    made = draft(element(**event("servicer_status_change", servicer_userid="li", status=status)))
    assert receiving == made.receiving


@pytest.mark.parametrize(
    ("text", "click"), [({"content": "a", "menu_id": "7"}, 1), ({"content": "a", "menu_id": ""}, None), ([], None)]
)
def test_menu_click(element: Build, text: object, click: int | None) -> None:
    """A click is a text with a menu_id."""
    assert click == draft(element(text=text)).menu_click


@pytest.mark.parametrize("send_time", [None, "1760000000", 1.5, -1, True, 1 << 70])
def test_a_send_time_that_is_none(element: Build, send_time: object) -> None:
    """Anything but whole seconds is no time, and is reported."""
    made = draft(element(send_time=send_time))
    assert (None, 0, True) == (made.occurred_at, made.day, "send_time" in made.problem)


@pytest.mark.parametrize(
    "element_",
    [b"", b"{", b"null", b"5", b'"text"', b"[]", b"\xff\xfe", b"[" * 20_000, b'{"msgid": "\\ud800"}', b'{"a":NaN}'],
)
def test_an_element_that_is_no_entry_is_stored_all_the_same(element_: bytes) -> None:
    """Whatever stands in a page becomes a draft with its exact bytes and the reason."""
    made = draft(element_, account="wkA")
    assert ("unknown_message", element_, True) == (made.kind, made.body, bool(made.problem))
    assert "account" == made.stream.kind


def test_odd_values_stay_out_of_the_columns(element: Build) -> None:
    """A number that is none, or does not fit, is left to the payload and reported."""
    made = draft(element(**event("session_status_change", change_type="3", msg_code=["c"]), msgid="m"))
    assert (None, "", None) == (made.change_type, made.code, made.code_kind)
    assert ["change_type is no number", "msg_code is no code"] == made.problem.split("; ")


def test_tie_is_that_of_the_msgid(element: Build) -> None:
    """The tie of an entry can be worked out from the msgid that a recall names."""
    assert tie_of("wkA", "m1") == draft(element()).tie >> FACT_BITS


def test_content_does_not_depend_on_spelling(element: Build) -> None:
    """Order of members, blanks and escapes do not make another entry; a value does."""
    plain = json.loads(element())
    spelled = json.dumps(dict(reversed(plain.items())), indent=3).encode()
    assert draft(element()).content == draft(spelled).content
    assert draft(element()).content != draft(element(extra=0)).content
    assert draft(element(extra=0)).content != draft(element(extra=False)).content
    assert draft(element(extra="")).content != draft(json.dumps({**plain, "extra": None}).encode()).content


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"text": {"content": "a", "menu_id": "7"}},
        {"text": {"content": "a", "menu_id": 7}},
        {"origin": 5, "servicer_userid": "li"},
        {"msgtype": "image", "text": None, "image": {"media_id": "x"}},
        event("enter_session", welcome_code="w"),
        event("msg_send_fail", fail_msgid="f", fail_type=4),
        event("servicer_status_change", servicer_userid="li", status=2, stop_type=1, external_userid=None),
        event("session_status_change", change_type=4, old_servicer_userid="li", new_servicer_userid="wang"),
        event("servicer_recall_msg", recall_msgid="r", servicer_userid="li"),
        event("reject_customer_msg_switch_change", servicer_userid="li", reject_switch=1),
        event("session_status_change") | {"open_kfid": "wkTOP", "external_userid": "wmTOP"},
    ],
)
def test_facts_are_what_the_wire_models_say(element: Build, members: dict[str, Any]) -> None:
    """The log reads JSON by itself, so that it cannot drift with the models; today the two agree."""
    data = element(**members)
    made, msg = draft(data), decode_msg(data)
    assert tuple(msg.conversation) == (made.stream.open_kfid, made.stream.external_userid)
    assert (msg.send_time or 0) * 1_000_000 == made.occurred_at
    assert (msg.origin, msg.msgtype, msg.menu_click) == (made.origin, made.msgtype, bool(made.menu_click))
    if (body := msg.event) is None:
        assert (msg.servicer_userid or "") == made.servicer_to
        return
    assert (body.change_type, body.fail_type, body.stop_type, body.reject_switch) == (
        made.change_type,
        made.fail_type,
        made.stop_type,
        made.reject_switch,
    )
    assert (body.fail_msgid or body.recall_msgid or "") == made.ref
    assert (body.new_servicer_userid or body.servicer_userid or "") == made.servicer_to
    assert (body.old_servicer_userid or "", body.msg_code or body.welcome_code or "") == (made.servicer_from, made.code)
    assert body.receiving == (None if made.receiving is None else bool(made.receiving))


@pytest.mark.parametrize("text", [b'"cut \\ud83d"', b'"cut \xf0\x9f"'])
def test_a_text_cut_inside_a_character_still_is_a_message(text: bytes) -> None:
    """Half an emoji is reported and kept as it came, and the customer's message counts all the same."""
    element = (
        b'{"msgid":"m1","open_kfid":"wkA","external_userid":"wmA","send_time":1,"origin":3,"msgtype":"text","text":'
        b'{"content":' + text + b"}}"
    )
    (made,) = draft_elements([element])
    assert ("customer_message", element, "not strict JSON,") == (made.kind, made.body, made.problem[:16])


def test_entries_of_one_msgid_are_told_apart_by_their_facts(element: Build) -> None:
    """The lower bits of the tie order entries that share msgid and second, whichever came first."""
    same = draft(element()), draft(element(text={"content": "other words"}))
    other = draft(element(origin=5, servicer_userid="li"))
    assert same[0].tie == same[1].tie != other.tie
    assert same[0].tie >> FACT_BITS == other.tie >> FACT_BITS
