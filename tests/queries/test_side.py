"""What did not fit, what became of messages, which codes may be used: as asked of an engine."""

from typing import Any

import pytest

from kfstate.engine import Engine
from kfstate.errors import ArgumentError
from kfstate.queries.views import as_json
from kfstate.store.dialect import query
from kfstate.testing import (
    msg_send_fail,
    reject_customer_msg_switch_change,
    servicer_recall_msg,
    user_recall_msg,
)
from tests.engine.story import DAY2, KF, USER, Teller, change, entered, own, said, wrote
from tests.engine.worlds import NOW

__all__: list[str] = []


def times(views: list[Any], *names: str) -> list[tuple[Any, ...]]:
    """Return these fields of views; times as seconds after the beginning."""
    found = [[getattr(view, name) for name in names] for view in views]
    return [
        tuple(value.timestamp() - NOW if hasattr(value, "timestamp") else value for value in values) for values in found
    ]


def test_anomalies(tell: Teller) -> None:
    """Every entry that did not fit is listed with what it was and whose, by position; by kind, account or customer."""
    positions = tell(
        said(0, msgid="m1"),
        wrote(5, "li"),
        own(9, "state_change_refused", service_state=3, servicer_userid="wang", errcode=95019),
        change(12, 9, old="li"),
        said(0, msgid="m1", content="other"),
        own(20, "history_gap", user="", from_at=NOW - 60),
        said(30, user="wm2"),
        wrote(35, "li", user="wm2"),
    )
    engine = tell.engine
    assert [
        (KF, USER, positions[1], "repaired", "servicer_message", 5),
        (KF, USER, positions[2], "refused", "state_change_refused", 9),
        (KF, USER, positions[3], "unknown", "session_status_change", 12),
        (KF, USER, positions[4], "conflicting_msgid", "customer_message", 0),
        (KF, None, positions[5], "history_gap", "history_gap", 20),
        (KF, "wm2", positions[7], "repaired", "servicer_message", 35),
    ] == times(list(engine.anomalies()), "open_kfid", "external_userid", "position", "kind", "entry", "at")
    for wanted, number in (
        ({"kind": "repaired"}, 2), ({"external_userid": "wm2"}, 1), ({"open_kfid": KF}, 6), ({"open_kfid": "wkB"}, 0),
        ({"kind": "repaired", "external_userid": USER}, 1),
    ):  # fmt: skip
        assert number == len(list(engine.anomalies(**wanted)))  # type: ignore[arg-type]


def test_two_anomalies_of_one_entry(tell: Teller) -> None:
    """An entry that did not fit in two ways is listed twice, also where a page ends between the two."""
    tell(said(0, msgid="m1"), wrote(5, "li") | {"msgid": "m2"})
    tell(wrote(60, "wang") | {"msgid": "m2"}, wrote(90, "a"))
    every = [(view.position, view.kind) for view in tell.engine.anomalies()]
    assert len(every) > len({position for position, _ in every})
    paged: list[tuple[int, str]] = []
    while found := list(tell.engine.anomalies(after=paged[-1] if paged else None, limit=1)):
        paged += [(view.position, view.kind) for view in found]
    assert every == paged


def test_fates(tell: Teller) -> None:
    """What was taken back or failed is listed with the message, by whom, and why; pages go on after a position."""
    _, first, second, sent = tell(
        said(0, msgid="m0"), said(1, msgid="m1"), wrote(2, "li") | {"msgid": "m2"},
        own(3, "message_sent", via="send_msg", msgid="s1"),
    )  # fmt: skip
    told = tell(
        user_recall_msg(KF, USER, NOW + 5, recall_msgid="m1"),
        servicer_recall_msg(KF, USER, NOW + 6, recall_msgid="m2", servicer_userid="li"),
        msg_send_fail(KF, USER, NOW + 7, fail_msgid="s1", fail_type=6),
        user_recall_msg(KF, "wm2", NOW + 8, recall_msgid="unheard"),
    )
    engine = tell.engine
    every = list(engine.fates())
    assert [
        (USER, told[0], "m1", "recalled_by_customer", None, 5, first),
        (USER, told[1], "m2", "recalled_by_servicer", None, 6, second),
        (USER, told[2], "s1", "failed", 6, 7, sent),
        ("wm2", told[3], "unheard", "recalled_by_customer", None, 8, None),
    ] == times(every, "external_userid", "position", "msgid", "fate", "fail_type", "at", "message")
    assert every[2:] == list(engine.fates(after=told[1]))
    assert every[1:3] == list(engine.fates(after=told[0], limit=2))
    assert [every[2]] == list(engine.fates(fate="failed"))
    assert [every[3]] == list(engine.fates(external_userid="wm2"))


@pytest.mark.parametrize(
    ("entry", "scene", "until", "only_state"),
    [
        (entered(5, "c"), "welcome", 25, None),
        (own(5, "state_changed", service_state=2, code="c"), "queued", 5 + DAY2, "queue"),
        (change(5, 1, new="li", msg_code="c"), "taken", 5 + DAY2, "manual"),
        (change(5, 3, old="li", msg_code="c"), "ended", 25, "finished"),
    ],
)
def test_a_code_is_usable_until_it_is_not(
    tell: Teller, entry: dict[str, Any], scene: str, until: int, only_state: str | None
) -> None:
    """A code may be used until its time is up, and only in its state; the list of usable ones says the same."""
    _, given = tell(said(0), entry)
    engine = tell.engine
    (code,) = engine.codes()
    assert (KF, USER, given, "c", scene, only_state, None, True) == (
        code.open_kfid, code.external_userid, code.position, code.code, code.scene, code.only_state, code.used,
        code.usable,
    )  # fmt: skip
    assert [(5, until)] == times([code], "given_at", "valid_until")
    expiry = min(until, DAY2) if only_state in {"manual", "queue"} else until
    tell.at(expiry - 1)
    assert [code] == list(engine.codes())
    tell.at(expiry)
    assert [] == list(engine.codes())
    assert [False] == [view.usable for view in engine.codes(usable=False)]


def test_a_code_of_another_state(tell: Teller) -> None:
    """A code that came with a state is void once the conversation is in another one."""
    tell(said(0), own(5, "state_changed", service_state=2, code="c"))
    assert 1 == len(list(tell.engine.codes()))
    tell(change(9, 1, new="li"))
    assert [] == list(tell.engine.codes())


def test_a_code_that_was_used(tell: Teller) -> None:
    """A recorded send that names the code uses it up."""
    tell(said(0), entered(5, "c"), entered(6, "d"))
    (used,) = tell(own(8, "message_sent", via="send_msg_on_event", msgid="s1", code="c"))
    assert ["d"] == [view.code for view in tell.engine.codes()]
    assert [("c", used, False), ("d", None, True)] == [
        (view.code, view.used, view.usable) for view in tell.engine.codes(usable=False)
    ]


def test_many_are_read_by_pages(engine: Engine) -> None:
    """More than a page of each come once, in order; a limit ends them."""
    entries = [own(number, "history_gap", user="", from_at=NOW - 60) for number in range(1_100)]
    entries += [user_recall_msg(KF, USER, NOW + number, recall_msgid=f"m{number}") for number in range(1_100)]
    entries += [entered(number, f"c{number}") for number in range(1_100)]
    engine.ingest(entries)
    for listing in (engine.anomalies, engine.fates, lambda **more: engine.codes(usable=False, **more)):
        positions = [view.position for view in listing()]
        assert (1_100, sorted(positions)) == (len(positions), positions)
        assert positions[:1_050] == [view.position for view in listing(limit=1_050)]


def test_other_corporations_are_not_listed(tell: Teller, url: str) -> None:
    """Each corporation asks for its own."""
    tell(said(0), wrote(5, "li"), entered(6, "c"), user_recall_msg(KF, USER, NOW + 7, recall_msgid="m"))
    with Engine(url, corp_id="other", clock=tell.engine._clock) as other:
        assert [[], [], []] == [list(listing()) for listing in (other.anomalies, other.fates, other.codes)]


def test_erased_customers_have_no_name(tell: Teller) -> None:
    """What is listed of somebody who was forgotten goes without a name."""
    tell(said(0), wrote(5, "li"), entered(6, "c"), user_recall_msg(KF, USER, NOW + 7, recall_msgid="m"))
    with tell.engine._writing() as conn:
        query(conn, "UPDATE kf_name SET salt = NULL, value = NULL, folded = NULL WHERE value = ?", (USER,))
    for listing in (tell.engine.anomalies, tell.engine.fates, tell.engine.codes):
        assert [None] == [view.external_userid for view in listing()]


@pytest.mark.parametrize(
    ("method", "argument"),
    [("anomalies", "kind"), ("fates", "fate"), ("conversations", "evidence"), ("counts", "doubt"), ("counts", "state")],
)
def test_a_word_that_is_none_is_refused(engine: Engine, method: str, argument: str) -> None:
    """A filter that could never find anything is a mistake, and says what there is."""
    with pytest.raises(ArgumentError) as caught:
        list(getattr(engine, method)(**{argument: "nonsense"}))
    assert (argument, True) == (caught.value.name, len(caught.value.allowed) > 20)


@pytest.mark.parametrize("seconds", [-1, 1 << 62])
def test_an_age_that_is_none_is_refused(engine: Engine, seconds: int) -> None:
    """An age is between nothing and all the time since 1970."""
    with pytest.raises(ArgumentError):
        engine.counts(older_than=seconds)


def test_whether_messages_are_refused(tell: Teller) -> None:
    """The switch last heard of is part of the conversation's view."""

    def switched(at: int, on: int) -> dict[str, Any]:
        return reject_customer_msg_switch_change(KF, USER, NOW + at, servicer_userid="li", reject_switch=on)

    tell(said(0))
    assert None is tell.engine.state(KF, USER).rejected
    for on in (1, 0):
        tell(switched(10 - on, on))
        assert bool(on) is tell.engine.state(KF, USER).rejected
        assert bool(on) is as_json(tell.engine.state(KF, USER))["rejected"]


def test_the_machine_of_a_view_is_the_one_that_folded_it(tell: Teller) -> None:
    """Not the one that runs: its version where the log knows it, else its fingerprint."""
    tell(said(0))
    engine = tell.engine
    ours = engine.state(KF, USER).machine
    with engine._writing() as conn:
        query(conn, "UPDATE kf_projection SET fingerprint = 'f00d' WHERE name = 'shipped'")
    assert "f00d" == engine.state(KF, USER).machine
    with engine._writing() as conn:
        query(conn, "INSERT INTO kf_machine VALUES ('f00d', 'older', '{}', 1)")
    assert ["older"] == [view.machine for view in engine.conversations()]
    assert "older" != ours
