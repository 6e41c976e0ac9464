"""Sessions and segments: how they open, what they count, and how they end."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kfstate.testing import Element
from tests.engine.story import DAY2, KF, USER, Teller, change, clicked, entered, own, said, wrote
from tests.engine.worlds import NOW

__all__: list[str] = []

TO_ROBOT: dict[str, Any] = {"service_state": 1}
TO_QUEUE: dict[str, Any] = {"service_state": 2}
TO_LI: dict[str, Any] = {"service_state": 3, "servicer_userid": "li"}
TO_WANG: dict[str, Any] = {"service_state": 3, "servicer_userid": "wang"}
TO_END: dict[str, Any] = {"service_state": 4}


def at(second: int) -> datetime:
    """Return the time of a second after the beginning."""
    return datetime.fromtimestamp(NOW + second, UTC)


def since(moment: datetime | None) -> int | None:
    """Return how many seconds after the beginning a time is."""
    return None if moment is None else int(moment.timestamp()) - NOW


def segments(tell: Teller) -> list[tuple[Any, ...]]:
    """Return who, by what, from, to, by what, first message in and out, messages in and out."""
    return [
        (
            part.servicer_userid, part.taken_by, since(part.began_at), since(part.ended_at), part.ended_by,
            since(part.first_customer_message_at), since(part.first_reply_at), part.messages_in, part.messages_out,
        )
        for part in tell.session.servicers
    ]  # fmt: skip


OPENED: dict[str, tuple[list[Element], str, int]] = {
    "customer": ([said(0)], "customer", 1),
    "menu_click": ([clicked(0)], "menu_click", 1),
    "reaccess": ([said(0), own(5, "state_changed", **TO_LI), change(9, 3, old="li"), change(60, 4, new="li")],
                 "reaccess", 2),
    "api": ([own(0, "state_changed", **TO_LI)], "api", 1),
    "reading": ([own(0, "state_reading", service_state=2)], "reading", 1),
    "event unseen": ([change(0, 1, new="li")], "unseen", 1),
    "message unseen": ([wrote(0, "li")], "unseen", 1),
    "end unseen": ([change(0, 3, old="li")], "unseen", 1),
    "correction": ([own(0, "correction", service_state=1)], "unseen", 1),
}  # fmt: skip


@pytest.mark.parametrize(("entries", "opened_by", "number"), OPENED.values(), ids=OPENED.keys())
def test_opened_by(tell: Teller, entries: list[Element], opened_by: str, number: int) -> None:
    """Each way of leaving FINISHED opens a session, whose id is the entry that opened it."""
    positions = tell(*entries)
    session = tell.session
    assert (opened_by, number, positions[-1]) == (session.opened_by, session.session, session.session_id)
    assert session.opened_at == at(60 if number == 2 else 0)


def test_reopens(tell: Teller) -> None:
    """A session that a servicer took back names the session that it reopens; one that a customer opens names none."""
    first, *_ = tell(said(0), own(2, "state_changed", **TO_LI), change(9, 3, old="li"), change(60, 4, new="li"))
    assert first == tell.session.reopens
    tell(change(70, 3, old="li"), said(80))
    assert 3 == (session := tell.session).session
    assert None is session.reopens


ENDED: dict[str, tuple[list[Element], str, int]] = {
    "servicer": ([change(9, 3, old="li")], "servicer", 9),
    "api": ([own(9, "state_changed", **TO_END)], "api", 9),
    "reading": ([own(9, "state_reading", service_state=4)], "reading", 9),
    "refused call": ([own(9, "state_change_refused", service_state=3, errcode=95013)], "refusal", 9),
    "refused message": ([own(9, "message_refused", via="send_msg", errcode=95013)], "refusal", 9),
    "correction": ([own(9, "correction", service_state=4)], "correction", 9),
    "expiry": ([said(DAY2 + 60)], "expiry", DAY2),
    "expiry, told by the servicer": ([entered(DAY2 + 60), change(DAY2 + 90, 3, old="li")], "servicer", DAY2 + 90),
    "expiry, read": ([entered(DAY2 + 60), own(DAY2 + 90, "state_reading", service_state=4)], "expiry", DAY2),
    "expiry, refused": (
        [entered(DAY2 + 60), own(DAY2 + 90, "message_refused", via="send_msg", errcode=95013)], "expiry", DAY2,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("entries", "ended_by", "second"), ENDED.values(), ids=ENDED.keys())
def test_ended_by(tell: Teller, entries: list[Element], ended_by: str, second: int) -> None:
    """Each way of ending says how and when, of the session and of the servicer's span in it."""
    tell(said(0), own(5, "state_changed", **TO_LI), *entries)
    first = next(tell.engine.sessions(open_kfid=KF, external_userid=USER, as_of_log=True))
    assert (ended_by, at(second)) == (first.ended_by, first.ended_at)
    assert [(ended_by, at(second))] == [(part.ended_by, part.ended_at) for part in first.servicers]


@pytest.mark.parametrize("kind", ["expiry", "servicer"])
def test_end_is_the_state_since(tell: Teller, kind: str) -> None:
    """When the last session ended is since when the conversation is finished."""
    tell(said(0), own(5, "state_changed", **TO_LI), *([change(9, 3, old="li")] if kind == "servicer" else []))
    tell(entered(DAY2 + 60), own(DAY2 + 90, "state_reading", service_state=4))
    assert tell.session.ended_at == tell.state.since


def test_from_robot_to_servicer(tell: Teller) -> None:
    """First reply of the robot, the wait in the queue, who took the customer, and the messages each way."""
    tell(
        said(0),
        own(4, "message_sent", via="send_msg", msgid="s1"),
        said(10),
        own(20, "message_sent", via="send_msg", msgid="s2"),
        own(30, "state_changed", **TO_QUEUE),
        change(75, 1, new="li"),
        wrote(80, "li"),
        said(90),
        wrote(95, "li"),
        change(100, 3, old="li"),
    )
    session = tell.session
    assert (at(0), at(4), at(30), 45, False, at(75), at(100)) == (
        session.opened_at, session.first_reply_at, session.queued_at, session.queue_seconds, session.abandoned,
        session.taken_at, session.ended_at,
    )  # fmt: skip
    assert (3, 2, 2, "servicer", at(95)) == (
        session.messages_in, session.messages_out, session.sends, session.last_message_by, session.last_message_at,
    )  # fmt: skip
    assert ("li", 0, 0) == (session.servicer_userid, session.transfers, session.repairs)
    assert [("li", "taken.from_queue", 75, 100, "servicer", 90, 80, 1, 2)] == segments(tell)


def test_handed_over(tell: Teller) -> None:
    """Each hand-over is a transfer and begins a span; the session is that of the last servicer."""
    tell(
        said(0),
        own(5, "state_changed", **TO_LI),
        wrote(9, "li"),
        change(20, 2, old="li", new="wang"),
        said(25),
        wrote(29, "wang"),
        change(40, 4, old="wang", new="li"),
        own(50, "state_changed", **TO_WANG),
    )
    session = tell.session
    assert (3, "wang", at(5)) == (session.transfers, session.servicer_userid, session.taken_at)
    assert [
        ("li", "changed.to_manual", 5, 20, "handed_over", None, 9, 0, 1),
        ("wang", "handed_over", 20, 40, "reaccessed.from_servicer", 25, 29, 1, 1),
        ("li", "reaccessed.from_servicer", 40, 50, "changed.to_manual", None, None, 0, 0),
        ("wang", "changed.to_manual", 50, None, None, None, None, 0, 0),
    ] == segments(tell)


def test_confirmed_is_no_transfer(tell: Teller) -> None:
    """Evidence for the same servicer again neither transfers nor begins a span."""
    tell(said(0), own(5, "state_changed", **TO_LI), change(9, 1, new="LI"), own(12, "state_reading", **TO_LI))
    assert (0, 1, 0) == (tell.session.transfers, len(tell.session.servicers), tell.session.repairs)


def test_abandoned_in_the_queue(tell: Teller) -> None:
    """A session that ends while it waits is abandoned, after the time that it waited."""
    tell(said(0), own(10, "state_changed", **TO_QUEUE), own(70, "state_changed", **TO_END))
    assert (True, 60, None) == (tell.session.abandoned, tell.session.queue_seconds, tell.session.taken_at)
    tell(said(80), own(90, "state_changed", **TO_QUEUE), change(95, 1, new="li"), change(99, 3, old="li"))
    assert (False, 5) == (tell.session.abandoned, tell.session.queue_seconds)


def test_queued_twice(tell: Teller) -> None:
    """Waits add up; the first one says since when the customer was queued."""
    tell(
        said(0),
        own(10, "state_changed", **TO_QUEUE),
        change(20, 1, new="li"),
        own(30, "state_reading", service_state=2),
        own(37, "state_changed", **TO_LI),
    )
    assert (at(10), 17, at(20), 1) == (
        tell.session.queued_at, tell.session.queue_seconds, tell.session.taken_at, tell.session.repairs,
    )  # fmt: skip
    assert ["read.queue.instead", None] == [part.ended_by for part in tell.session.servicers]


def test_expired_in_the_queue(tell: Teller) -> None:
    """A presumed expiry in the queue abandons the session; a customer who then writes opens the next one."""
    tell(said(0), own(10, "state_changed", **TO_QUEUE), said(DAY2 + 5))
    first, second = tell.engine.sessions(as_of_log=True)
    assert (True, DAY2 - 10, "expiry") == (first.abandoned, first.queue_seconds, first.ended_by)
    assert (2, "customer", None) == (second.session, second.opened_by, second.ended_at)


@pytest.mark.parametrize(
    ("entry", "wait", "taken"),
    [
        (change(DAY2 + 60, 1, new="li"), DAY2 + 50, DAY2 + 60),
        (own(DAY2 + 60, "state_reading", service_state=2), 0, None),
    ],
    ids=["taken", "read"],
)
def test_restored_in_the_queue(tell: Teller, entry: Element, wait: int, taken: int | None) -> None:
    """What shows that the session had not expired takes back its end, and the wait goes on."""
    tell(said(0), own(10, "state_changed", **TO_QUEUE), entered(DAY2 + 30), entry)
    session = tell.session
    assert (1, None, None, False, wait) == (
        session.session, session.ended_at, session.ended_by, session.abandoned, session.queue_seconds,
    )  # fmt: skip
    assert taken == since(session.taken_at)
    tell(change(DAY2 + 90, 1, new="li"))
    assert (DAY2 + 50 if taken else DAY2 + 80) == tell.session.queue_seconds


@pytest.mark.parametrize("late", [True, False])
def test_restored_with_its_servicer(tell: Teller, *, late: bool) -> None:
    """A servicer who still writes keeps session and span; a hand-over then is a transfer like any other."""
    tell(said(0), own(5, "state_changed", **TO_LI), entered(DAY2 + 30))
    assert ["expiry"] == [part.ended_by for part in tell.session.servicers]
    tell(*([wrote(DAY2 + 40, "li")] if late else []), change(DAY2 + 60, 2, old="li", new="wang"))
    assert (1, None, 1) == (tell.session.session, tell.session.ended_by, tell.session.transfers)
    assert [("li", DAY2 + 60), ("wang", None)] == [
        (part.servicer_userid, since(part.ended_at)) for part in tell.session.servicers
    ]


def test_repairs_are_counted(tell: Teller) -> None:
    """Each repaired step of a session counts."""
    tell(said(0), wrote(5, "li"), wrote(60, "wang"))
    assert (2, 1, "wang") == (tell.session.repairs, tell.session.transfers, tell.session.servicer_userid)


def test_ignored_messages_do_not_count(tell: Teller) -> None:
    """Repeated and voided messages are in the log, and count in no session."""
    _, _, voided = tell(said(0, msgid="m1"), said(0, msgid="m1", content="again"), said(5))
    assert 2 == tell.session.messages_in
    tell(own(9, "correction", target=voided))
    assert (1, at(0)) == (tell.session.messages_in, tell.session.last_message_at)


def test_late_entry_revises(tell: Teller) -> None:
    """An entry that comes late is folded in its place: sessions are numbered, counted and ended anew."""
    tell(said(0), said(60), change(90, 3, old="li"))
    assert (1, 2, 1) == (tell.session.session, tell.session.messages_in, tell.session.repairs)
    tell(change(30, 3, old="li"), change(10, 1, new="li"))
    first, second = tell.engine.sessions(as_of_log=True)
    assert (1, at(30), "li", 1) == (first.messages_in, first.ended_at, first.servicer_userid, first.session)
    assert (1, at(60), at(90), None, 2) == (
        second.messages_in, second.opened_at, second.ended_at, second.servicer_userid, second.session,
    )  # fmt: skip


def test_message_after_the_end(tell: Teller) -> None:
    """A servicer's message after the end counts in the session that ended, and opens none."""
    tell(said(0), own(5, "state_changed", **TO_LI), change(9, 3, old="li"), wrote(12, "li"))
    assert (1, 1, at(9), "servicer") == (
        tell.session.session, tell.session.messages_out, tell.session.ended_at, tell.session.last_message_by,
    )  # fmt: skip


def test_only_the_last_session_runs(tell: Teller) -> None:
    """Every session but the last has an end, and the last runs where the conversation is not finished."""
    for number in range(5):
        start = number * 1_000
        tell(said(start), own(start + 5, "state_changed", **(TO_ROBOT, TO_QUEUE, TO_LI)[number % 3]))
        if number % 2:
            tell(own(start + 9, "state_changed", **TO_END))
    found = list(tell.engine.sessions(as_of_log=True))
    assert [1, 2, 3] == [session.session for session in found]
    assert [False, False, True] == [session.ended_at is None for session in found]
    assert [3] == [session.session for session in tell.engine.sessions(running=True)]
    assert [1, 2] == [session.session for session in tell.engine.sessions(running=False)]
