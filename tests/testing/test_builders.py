"""The builders give what WeCom's documents show."""

import json

from kfstate import testing as t

KF, CUSTOMER = "wkSHOP", "wmZHOU"


def test_customer_message_is_spelled_as_on_the_wire() -> None:
    """A customer's text has origin 3, its ids at the top, and its body under the name of its type."""
    expected = {
        "msgid": "m1",
        "open_kfid": KF,
        "external_userid": CUSTOMER,
        "send_time": 100,
        "origin": 3,
        "msgtype": "text",
        "text": {"content": "转人工", "menu_id": "101"},
    }
    assert expected == t.customer_message(KF, CUSTOMER, 100, content="转人工", menu_id="101", msgid="m1")


def test_servicer_message_names_its_author() -> None:
    """A servicer's text has origin 5 and the servicer's id."""
    element = t.servicer_message(KF, CUSTOMER, 100, servicer_userid="LinXiaoyu")
    assert (5, "LinXiaoyu") == (element["origin"], element["servicer_userid"])


def test_events_carry_their_ids_inside() -> None:
    """Ids of an event stand inside ``event`` and nowhere else; fields that were not given are absent."""
    element = t.session_status_change(2, KF, CUSTOMER, 100, old="LinXiaoyu", new="GaoMing", msgid="e1")
    expected = {
        "msgid": "e1",
        "send_time": 100,
        "origin": 4,
        "msgtype": "event",
        "event": {
            "event_type": "session_status_change",
            "open_kfid": KF,
            "external_userid": CUSTOMER,
            "change_type": 2,
            "old_servicer_userid": "LinXiaoyu",
            "new_servicer_userid": "GaoMing",
        },
    }
    assert expected == element


def test_every_event_has_a_builder_of_its_name() -> None:
    """Each of the seven events is built under its own name, with the fields of its table."""
    ids = {"event_type", "open_kfid", "external_userid"}
    built = [
        (ids | {"scene", "scene_param", "welcome_code"}, t.enter_session(KF, CUSTOMER, 1, welcome_code="C")),
        (ids | {"change_type", "new_servicer_userid"}, t.session_status_change(1, KF, CUSTOMER, 1, new="LinXiaoyu")),
        (ids | {"recall_msgid"}, t.user_recall_msg(KF, CUSTOMER, 1, recall_msgid="m1")),
        (
            ids | {"recall_msgid", "servicer_userid"},
            t.servicer_recall_msg(KF, CUSTOMER, 1, recall_msgid="m1", servicer_userid="LinXiaoyu"),
        ),
        (ids | {"fail_msgid", "fail_type"}, t.msg_send_fail(KF, CUSTOMER, 1, fail_msgid="m1", fail_type=4)),
        (
            ids | {"servicer_userid", "reject_switch"},
            t.reject_customer_msg_switch_change(KF, CUSTOMER, 1, servicer_userid="LinXiaoyu"),
        ),
        (
            ids - {"external_userid"} | {"servicer_userid", "status", "stop_type"},
            t.servicer_status_change(KF, "LinXiaoyu", 1, status=2, stop_type=1),
        ),
    ]
    assert [set(element["event"]) for _, element in built] == [fields for fields, _ in built]
    assert len({element["event"]["event_type"] for _, element in built}) == 7


def test_msgid_is_derived_given_or_absent() -> None:
    """Without msgid the same call gives the same entry; an empty msgid leaves the field out."""
    first, same = t.customer_message(KF, CUSTOMER, 1), t.customer_message(KF, CUSTOMER, 1)
    assert first == same
    assert first["msgid"] != t.customer_message(KF, CUSTOMER, 2)["msgid"]
    assert "msgid" not in t.customer_message(KF, CUSTOMER, 1, msgid="")


def test_page_is_an_answer_of_sync_msg() -> None:
    """A page has the fields of the answer; ``has_more`` is 0 or 1."""
    element = t.customer_message(KF, CUSTOMER, 1)
    expected = {"errcode": 0, "errmsg": "ok", "next_cursor": "c2", "has_more": 1, "msg_list": [element]}
    assert expected == t.page([element], next_cursor="c2", has_more=True)


def test_own_entries_are_envelopes() -> None:
    """An own entry names its kind, its conversation, its actor and its time in seconds."""
    expected = {
        "kind": "state_changed",
        "open_kfid": KF,
        "external_userid": CUSTOMER,
        "occurred_at": 1.5,
        "service_state": 3,
        "servicer_userid": "LinXiaoyu",
        "actor": "router",
        "key": "k1",
    }
    entry = t.state_changed(KF, CUSTOMER, 1.5, service_state=3, servicer_userid="LinXiaoyu", actor="router", key="k1")
    assert expected == entry


def test_own_builders_are_named_after_their_kinds() -> None:
    """Each builder of an own entry gives the kind of its name."""
    state = {"service_state": 1}
    built = [
        t.state_change_intended(KF, CUSTOMER, 1, service_state=1),
        t.state_change_refused(KF, CUSTOMER, 1, service_state=1, errcode=95016),
        t.state_reading(KF, CUSTOMER, 1, service_state=1),
        t.message_intended(KF, CUSTOMER, 1, msgid="m1"),
        t.message_sent(KF, CUSTOMER, 1, msgid="m1", via="send_msg_on_event"),
        t.message_refused(KF, CUSTOMER, 1, errcode=95018),
        t.reply_lost(KF, CUSTOMER, 1),
        t.own_action(KF, CUSTOMER, 1, via="recall_msg"),
        t.correction(KF, CUSTOMER, 1, service_state=1, reason="人工核对"),
        t.own_entry("history_gap", KF, CUSTOMER, 1, **state),
    ]
    expected = [
        "state_change_intended",
        "state_change_refused",
        "state_reading",
        "message_intended",
        "message_sent",
        "message_refused",
        "reply_lost",
        "own_action",
        "correction",
        "history_gap",
    ]
    assert expected == [entry["kind"] for entry in built]
    assert built == [json.loads(json.dumps(entry)) for entry in built]
