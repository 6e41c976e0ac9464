"""The small tables beside the fold: servicers, accounts, anomalies, fates, codes, the reject switch."""

from typing import Any

import pytest

from kfstate.engine import Engine
from kfstate.testing import (
    Element,
    msg_send_fail,
    reject_customer_msg_switch_change,
    servicer_recall_msg,
    servicer_status_change,
    session_status_change,
    user_recall_msg,
)
from tests.engine.story import DAY2, KF, USER, Teller, change, entered, own, said, wrote
from tests.engine.tables import rows
from tests.engine.worlds import NOW

__all__: list[str] = []

TO_LI: dict[str, Any] = {"service_state": 3, "servicer_userid": "li"}


def servicers(engine: Engine) -> dict[str, tuple[Any, ...]]:
    """Return receiving, stop type and open sessions by servicer."""
    columns = "n.value, v.receiving, v.stop_type, v.open_sessions"
    found = rows(engine, f"SELECT {columns} FROM kf_servicer v JOIN kf_name n ON n.id = v.servicer")
    return {name: tuple(rest) for name, *rest in found}


def status(at: int, who: str, receiving: int, stop_type: int | None = None, **more: Any) -> Element:
    """A ``servicer_status_change``."""
    return servicer_status_change(KF, who, NOW + at, status=1 if receiving else 2, stop_type=stop_type, **more)


def test_receiving_from_events(tell: Teller) -> None:
    """The latest event says whether a servicer receives, and why not; late ones change nothing."""
    tell(status(10, "li", 1), status(30, "li", 0, 1), status(20, "li", 1), status(5, "wang", 1))
    assert {"li": (0, 1, 0), "wang": (1, None, 0)} == servicers(tell.engine)
    tell(status(40, "LI", 1))
    assert (1, None, 0) == servicers(tell.engine)["li"]


def test_receiving_from_readings(tell: Teller) -> None:
    """A reading of ``servicer/list`` stands over older events, and newer events over it."""
    reading = own(20, "servicer_reading", user="", servicer_userid="li", receiving=0, stop_type=0)
    tell(status(10, "li", 1), reading)
    assert {"li": (0, 0, 0)} == servicers(tell.engine)
    tell(status(30, "li", 1))
    assert {"li": (1, None, 0)} == servicers(tell.engine)


@pytest.mark.parametrize("errcode", [95014, 95019])
def test_receiving_from_refusals(tell: Teller, errcode: int) -> None:
    """WeCom's refusal because of a servicer says that this one does not receive; other refusals say nothing."""
    tell(said(0), status(1, "li", 1), status(1, "wang", 1))
    tell(own(5, "state_change_refused", service_state=3, servicer_userid="li", errcode=errcode))
    tell(own(6, "state_change_refused", service_state=3, servicer_userid="wang", errcode=95016))
    assert {"li": (0, None, 0), "wang": (1, None, 0)} == servicers(tell.engine)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_conflicting_status(tell: Teller, order: tuple[int, int]) -> None:
    """Of two events of one msgid and second, the same one counts whichever comes first."""
    told = [status(10, "li", receiving, msgid="m1") for receiving in (0, 1)]
    tell(*(told[at] for at in order))
    assert {"li": (1, None, 0)} == servicers(tell.engine)


def test_open_sessions(tell: Teller) -> None:
    """Open sessions are those in MANUAL as of the log: they move with the customer, and late entries take them back."""
    for number in range(3):
        tell(said(number, user=f"wm{number}"), own(number + 5, "state_changed", user=f"wm{number}", **TO_LI))
    assert {"li": (None, None, 3)} == servicers(tell.engine)
    tell(change(20, 2, user="wm0", old="li", new="wang"), change(30, 3, user="wm1", old="li"))
    assert {"li": (None, None, 1), "wang": (None, None, 1)} == servicers(tell.engine)
    tell(change(15, 3, user="wm2", old="li"), own(60, "state_reading", user="wm0", service_state=1))
    assert {"li": (None, None, 0), "wang": (None, None, 0)} == servicers(tell.engine)
    assert 0 == tell.engine.check().different


def test_every_named_servicer_has_a_row(tell: Teller) -> None:
    """Who is named once has a row, also who served and left within one page, or never served."""
    tell(said(0), change(5, 2, old="a", new="b"), wrote(6, "b"), wrote(7, "c"), change(9, 3, old="b"))
    assert {"a": (None, None, 0), "b": (None, None, 0), "c": (None, None, 0)} == servicers(tell.engine)


def test_anomalies(tell: Teller) -> None:
    """Everything that did not fit has a row; what fitted has none."""
    positions = tell(
        said(0, msgid="m1"),
        wrote(5, "li"),
        own(9, "state_change_refused", service_state=3, servicer_userid="wang", errcode=95019),
        change(12, 9, old="li"),
        said(0, msgid="m1", content="other"),
        own(20, "history_gap", user="", from_at=NOW - 60),
        wrote(30, "li"),
    )
    assert [
        (positions[1], "repaired", 5), (positions[2], "refused", 9), (positions[3], "unknown", 12),
        (positions[4], "conflicting_msgid", 0), (positions[5], "history_gap", 20),
    ] == rows(tell.engine, f"SELECT position, kind, second - {NOW} FROM kf_anomaly ORDER BY position")  # fmt: skip


def test_anomaly_goes_with_the_repair(tell: Teller) -> None:
    """When the missing entry comes late, the step is revised, and its anomaly is gone."""
    tell(said(0), wrote(30, "li"))
    assert [("repaired",)] == rows(tell.engine, "SELECT kind FROM kf_anomaly")
    tell(change(20, 1, new="li"))
    assert [("repaired", 20)] == rows(tell.engine, f"SELECT kind, second - {NOW} FROM kf_anomaly")
    tell(own(10, "state_changed", service_state=2))
    assert [] == rows(tell.engine, "SELECT kind FROM kf_anomaly")


def test_recalled_messages(tell: Teller) -> None:
    """A recall names its message, by whom, and the message's own entry where the log has it."""
    _, first, second, *_ = tell(said(0, msgid="m0"), said(1, msgid="m1"), wrote(2, "li") | {"msgid": "m2"})
    tell(user_recall_msg(KF, USER, NOW + 5, recall_msgid="m1"))
    tell(servicer_recall_msg(KF, USER, NOW + 6, recall_msgid="m2", servicer_userid="li"))
    tell(user_recall_msg(KF, USER, NOW + 7, recall_msgid="unheard"))
    sql = f"SELECT ref, fate, second - {NOW}, target FROM kf_message_fate ORDER BY position"
    assert [
        ("m1", "recalled_by_customer", 5, first),
        ("m2", "recalled_by_servicer", 6, second),
        ("unheard", "recalled_by_customer", 7, None),
    ] == rows(tell.engine, sql)


def test_failed_messages(tell: Teller) -> None:
    """A failure names our message and why; its entry is the intent, or the send where no intent was recorded."""
    _, intended, _, sent = tell(
        said(0),
        own(1, "message_intended", via="send_msg", msgid="s1"),
        own(2, "message_sent", via="send_msg", msgid="s1"),
        own(3, "message_sent", via="send_msg", msgid="s2"),
    )
    for at, (msgid, kind) in enumerate((("s1", 6), ("s2", 10), ("s3", 99)), start=5):
        tell(msg_send_fail(KF, USER, NOW + at, fail_msgid=msgid, fail_type=kind))
    assert [("s1", "failed", 6, intended), ("s2", "failed", 10, sent), ("s3", "failed", 99, None)] == rows(
        tell.engine, "SELECT ref, fate, fail_type, target FROM kf_message_fate ORDER BY position"
    )


def test_reject_switch(tell: Teller) -> None:
    """The latest switch counts, late ones do not."""

    def switched(at: int, on: int) -> Element:
        return reject_customer_msg_switch_change(KF, USER, NOW + at, servicer_userid="li", reject_switch=on)

    sql = f"SELECT rejected, rejected_second - {NOW} FROM kf_conversation"
    tell(said(0))
    assert [(None, None)] == rows(tell.engine, sql)
    tell(switched(10, 1), switched(5, 0))
    assert [(1, 10)] == rows(tell.engine, sql)
    tell(switched(20, 0), said(30))
    assert [(0, 20)] == rows(tell.engine, sql)


CODES: dict[str, tuple[Element, tuple[Any, ...]]] = {
    "welcome": (entered(5, "c"), ("c", "welcome", 5, 25, None)),
    "taken": (change(5, 1, new="li", msg_code="c"), ("c", "taken", 5, 5 + DAY2, 3)),
    "taken by the API": (own(5, "state_changed", code="c", **TO_LI), ("c", "taken", 5, 5 + DAY2, 3)),
    "queued": (own(5, "state_changed", service_state=2, code="c"), ("c", "queued", 5, 5 + DAY2, 2)),
    "ended": (change(5, 3, old="li", msg_code="c"), ("c", "ended", 5, 25, 4)),
    "ended by the API": (own(5, "state_changed", service_state=4, code="c"), ("c", "ended", 5, 25, 4)),
}


@pytest.mark.parametrize(("entry", "expected"), CODES.values(), ids=CODES.keys())
def test_codes(tell: Teller, entry: Element, expected: tuple[Any, ...]) -> None:
    """A code says what it is for, until when, and in which state only; a send that names it uses it, once."""
    _, given = tell(said(0), entry)
    sql = f"SELECT code, scene, given - {NOW}, valid_until - {NOW}, only_state FROM kf_code"
    assert [expected] == rows(tell.engine, sql)
    assert [(given, None)] == rows(tell.engine, "SELECT position, used FROM kf_code")
    used, _ = tell(*(own(at, "message_sent", via="send_msg_on_event", msgid=f"s{at}", code="c") for at in (8, 9)))
    assert [(used,)] == rows(tell.engine, "SELECT used FROM kf_code")


def test_code_that_is_told_after_its_use(tell: Teller) -> None:
    """A code that comes in after the send that used it is used all the same; another customer's is not."""
    tell(said(0), own(6, "message_intended", via="send_msg_on_event", msgid="s1", code="c"))
    tell(change(5, 1, new="li", msg_code="c"))
    tell(session_status_change(1, KF, "wm2", NOW + 5, new="li", msg_code="c"))
    assert [(3,), (None,)] == rows(tell.engine, "SELECT used FROM kf_code ORDER BY position")
    assert 0 == tell.engine.check().different


def test_code_that_comes_again(tell: Teller) -> None:
    """A code given long after a send that named the same one is another code: nobody has used it."""
    tell(said(0), own(6, "message_sent", via="send_msg_on_event", msgid="s1", code="c"))
    tell(change(8_000, 1, new="li", msg_code="c"))
    assert [(None,)] == rows(tell.engine, "SELECT used FROM kf_code")
    assert 0 == tell.engine.check().different


def test_no_code(tell: Teller) -> None:
    """What brings no code, or a code for which nothing is documented, has no row."""
    tell(said(0), entered(1), change(5, 1, new="li"), change(9, 2, old="li", new="wang", msg_code="c"))
    assert [] == rows(tell.engine, "SELECT * FROM kf_code")


def test_accounts(tell: Teller) -> None:
    """An account knows its latest privilege, whether its sends are recorded, and its last gap."""
    times = f"privilege_second - {NOW}, sends_recorded, gap_from - {NOW}, gap_until - {NOW}"
    sql = f"SELECT manage_privilege, {times} FROM kf_account"
    tell(own(5, "account_reading", user="", manage_privilege=1))
    assert [(1, 5, 0, None, None)] == rows(tell.engine, sql)
    tell(own(9, "account_reading", user="", manage_privilege=0), own(3, "account_reading", user="", manage_privilege=1))
    tell(own(20, "history_gap", user="", from_at=NOW + 10))
    assert [(0, 9, 0, 10, 20)] == rows(tell.engine, sql)
    tell(said(21), own(22, "message_sent", via="send_msg", msgid="s1"))
    assert [(0, 9, 1, 10, 20)] == rows(tell.engine, sql)


def test_gap_of_one_conversation(tell: Teller) -> None:
    """A gap that is known of one conversation is no gap of its account."""
    tell(said(0), said(0, user="wm2"), own(20, "history_gap", from_at=NOW + 10))
    assert [] == rows(tell.engine, "SELECT * FROM kf_account WHERE gap_until IS NOT NULL")
    assert ["history_gap", "first_seen"] == [view.doubt for view in tell.engine.conversations()]
