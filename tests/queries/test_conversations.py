"""Conversations: as of now and as of the log, found by what they are, counted, paged, and what may be sent."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfstate.engine import Engine
from kfstate.errors import UnknownConversationError
from kfstate.intake import CursorMove
from kfstate.machine.state import EVIDENCE
from kfstate.queries.views import ConversationView, SendWindow, as_json
from kfstate.service_state import KfServiceState
from kfstate.store import cursor as cursors
from kfstate.store.dialect import query
from kfstate.testing import FrozenClock, customer_message, page
from tests.engine.conftest import Fresh
from tests.engine.story import DAY2, KF, USER, Teller, change, own, said, wrote
from tests.engine.worlds import ASIDE, NOW, OURS, Item, histories, play, seeded

__all__: list[str] = []

TO_LI: dict[str, Any] = {"service_state": 3, "servicer_userid": "Li"}
DOUBTS = ("none", "first_seen", "expiry_presumed", "over_48h", "refused", "menu_click", "history_gap", "reply_lost")


def at(second: int) -> datetime:
    """Return the time of a second after the beginning."""
    return datetime.fromtimestamp(NOW + second, UTC)


def pair(view: ConversationView) -> tuple[str, str]:
    """Return what names a conversation, in the order of listings."""
    return view.external_userid or "", view.open_kfid


def test_state(tell: Teller) -> None:
    """A conversation's view has everything that is known of it, by its names in WeCom."""
    position = tell(said(0), own(5, "state_changed", service_state=2), said(8), change(9, 1, new="Li"))[-1]
    view = tell.engine.state(KF, USER)
    assert {
        "open_kfid": KF, "external_userid": USER, "service_state": 3, "state": "manual", "servicer_userid": "Li",
        "previous_servicer_userid": None, "session": 1, "session_id": 2, "opened_by": "customer",
        "since": "2026-01-01T00:00:09Z", "queued_since": None, "evidence": "event", "doubt": "none",
        "position": position, "last_customer_message_at": "2026-01-01T00:00:08Z",
        "expires_at": "2026-01-03T00:00:08Z", "synced_until": None, "machine": "1", "rejected": None,
        "send_window": {"used": 0, "left": None, "until": "2026-01-03T00:00:08Z"},
    } == as_json(view)  # fmt: skip
    tell(change(20, 3, old="li"))
    assert ("finished", None, "Li", None, None) == (
        (ended := tell.engine.state(KF, USER)).state, ended.servicer_userid, ended.previous_servicer_userid,
        ended.expires_at, ended.queued_since,
    )  # fmt: skip


def test_unknown_conversation(tell: Teller) -> None:
    """A conversation that the log does not have is an error that names it; so is one of another account or company."""
    tell(said(0))
    for open_kfid, user in ((KF, "wm9"), ("wkB", USER), (KF, USER.upper())):
        with pytest.raises(UnknownConversationError) as caught:
            tell.engine.state(open_kfid, user)
        assert (open_kfid, user) == (caught.value.open_kfid, caught.value.external_userid)
        with pytest.raises(UnknownConversationError):
            tell.engine.history(open_kfid, user)
        with pytest.raises(UnknownConversationError):
            tell.engine.explain(open_kfid, user)


def test_companies_are_apart(url: str, clock: FrozenClock) -> None:
    """Two companies in one database see each only their own."""
    with Engine(url, clock=clock, corp_id="one") as one, Engine(url, clock=clock, corp_id="two") as two:
        for engine, user in ((one, "wm1"), (two, "wm2")):
            engine.ingest(page([customer_message(KF, user, NOW)]))
        assert [["wm1"], ["wm2"]] == [
            [view.external_userid for view in engine.conversations()] for engine in (one, two)
        ]
        assert [1, 1] == [sum(engine.counts().values()) for engine in (one, two)]
        assert [1, 1] == [len(list(engine.sessions())) for engine in (one, two)]
        with pytest.raises(UnknownConversationError):
            one.state(KF, "wm2")


def test_as_of_now_and_as_of_the_log(tell: Teller) -> None:
    """A due expiry ends the session as of now, with the servicer as the previous one; the log's own view waits."""
    position = tell(said(0), own(5, "state_changed", **TO_LI))[-1]
    tell.at(DAY2 - 1)
    assert ("manual", "none") == ((view := tell.engine.state(KF, USER)).state, view.doubt)
    tell.at(DAY2)
    view = tell.engine.state(KF, USER)
    assert ("finished", None, "Li", "timer", "expiry_presumed", at(DAY2), position, None) == (
        view.state, view.servicer_userid, view.previous_servicer_userid, view.evidence, view.doubt, view.since,
        view.position, view.expires_at,
    )  # fmt: skip
    held = tell.engine.state(KF, USER, as_of_log=True)
    assert ("manual", "Li", "api", "none") == (held.state, held.servicer_userid, held.evidence, held.doubt)


def test_over_48_hours(tell: Teller) -> None:
    """A session older than 48 hours whose customer still writes is doubtful, until strong evidence."""
    tell(said(0), own(5, "state_changed", **TO_LI), said(DAY2 - 100))
    tell.at(DAY2 - 1)
    assert "none" == tell.engine.state(KF, USER).doubt
    tell.at(DAY2)
    assert ["over_48h", "none"] == [tell.engine.state(KF, USER, as_of_log=log).doubt for log in (False, True)]
    assert [USER] == [view.external_userid for view in tell.engine.conversations(doubt="over_48h")]
    tell(own(DAY2 + 5, "state_reading", **TO_LI))
    assert "none" == tell.engine.state(KF, USER).doubt


def test_history_gap(tell: Teller) -> None:
    """A gap of the account makes its conversations doubtful, until strong evidence of each came after it."""
    for user in ("wm1", "wm2", "wm3"):
        tell(said(0, user=user), own(5, "state_changed", user=user, **TO_LI))
    tell(own(60, "history_gap", user="", from_at=NOW + 30))
    tell(
        own(70, "state_reading", user="wm1", **TO_LI), change(70, 3, user="wm2", old="li"), wrote(70, "li", user="wm3")
    )
    for as_of_log in (False, True):
        found = list(tell.engine.conversations(as_of_log=as_of_log))
        assert ["none", "none", "history_gap"] == [view.doubt for view in found]
        assert "history_gap" == tell.engine.state(KF, "wm3", as_of_log=as_of_log).doubt
        counts = [tell.engine.counts(doubt=doubt, as_of_log=as_of_log) for doubt in ("history_gap", "none")]
        assert [1, 2] == [sum(found.values()) for found in counts]


def sent(at: int, *, via: str = "send_msg") -> dict[str, Any]:
    """Return an accepted send."""
    return own(at, "message_sent", via=via, msgid=f"s{at // 10}")


INTENDED = own(10, "message_intended", via="send_msg", msgid="s1")
WINDOWS: dict[str, tuple[list[Any], SendWindow]] = {
    "not recorded": ([said(0)], SendWindow(0, None, at(DAY2))),
    "never written": ([own(0, "state_changed", **TO_LI)], SendWindow(0, None, None)),
    "sent": ([said(0), sent(10)], SendWindow(1, 4, at(DAY2))),
    "intended": ([said(0), INTENDED], SendWindow(1, 4, at(DAY2))),
    "intended and sent": ([said(0), INTENDED, sent(11)], SendWindow(1, 4, at(DAY2))),
    "intended and refused": (
        [said(0), INTENDED, own(11, "message_refused", via="send_msg", msgid="s1", errcode=45009)],
        SendWindow(0, 5, at(DAY2)),
    ),
    "answer to an event": ([said(0), sent(10, via="send_msg_on_event")], SendWindow(0, 5, at(DAY2))),
    "six": ([said(0), *(sent(number * 10) for number in range(1, 7))], SendWindow(6, 0, at(DAY2))),
    "95001": (
        [said(0), sent(10), own(20, "message_refused", via="send_msg", errcode=95001)],
        SendWindow(5, 0, at(DAY2)),
    ),
    "renewed": ([said(0), sent(10), said(60)], SendWindow(0, 5, at(DAY2 + 60))),
}


@pytest.mark.parametrize(("entries", "window"), WINDOWS.values(), ids=WINDOWS.keys())
def test_send_window(tell: Teller, entries: list[Any], window: SendWindow) -> None:
    """The window counts accepted and intended sends since the customer's last message; nobody guesses what is left."""
    tell(*entries)
    assert window == tell.engine.state(KF, USER).send_window


def test_send_window_closes(tell: Teller) -> None:
    """48 hours after the customer's last message nothing is left, as of now."""
    tell(said(0), own(1, "message_sent", via="send_msg", msgid="a"))
    tell.at(DAY2)
    assert [0, 4] == [tell.engine.state(KF, USER, as_of_log=log).send_window.left for log in (False, True)]


def test_synced_until(engine: Engine) -> None:
    """Every conversation of an account says how far the account's history is known."""
    with engine._writing() as conn:
        epoch = cursors.claim(conn, KF).epoch
    engine.ingest(page([customer_message("wkB", USER, NOW)]))
    move = CursorMove(expected="", epoch=epoch, synced_until=(NOW + 60) * 1_000_000)
    engine.ingest(page([customer_message(KF, USER, NOW)], next_cursor="c"), account=KF, cursor=move)
    assert [at(60), None] == [engine.state(kfid, USER).synced_until for kfid in (KF, "wkB")]
    assert [at(60), None] == [view.synced_until for view in engine.conversations()]


def test_may(tell: Teller) -> None:
    """What may be called is answered for now, with names in any case; of an unknown conversation, by the table."""
    tell(said(0), own(5, "state_changed", **TO_LI))
    states = KfServiceState

    def may(to: KfServiceState, servicer: str | None = None) -> tuple[str, int | None]:
        verdict = tell.engine.may(KF, USER, to, servicer=servicer)
        return verdict.word, verdict.errcode

    assert ("allowed", None) == may(states.MANUAL, "wang")
    assert ("undocumented", None) == may(states.MANUAL, "LI")
    assert ("forbidden", 95016) == may(states.QUEUE)
    tell.at(DAY2)
    assert "undocumented" == may(states.QUEUE)[0]
    assert "presumed" in tell.engine.may(KF, USER, states.QUEUE).reason
    assert tell.engine.may(KF, "nobody", states.QUEUE) == tell.engine.may("wkZ", USER, states.QUEUE)


HOLDS: dict[str, Callable[[ConversationView, str], bool]] = {
    "state": lambda view, word: view.state == word,
    "account": lambda view, open_kfid: view.open_kfid == open_kfid,
    "servicer": lambda view, name: view.servicer_userid == name.lower(),
    "doubt": lambda view, doubt: view.doubt != "none" if doubt == "any" else view.doubt == doubt,
    "evidence": lambda view, evidence: view.evidence == evidence,
}
FILTERS: list[dict[str, Any]] = [
    {},
    *({"state": state.word} for state in KfServiceState),
    *({"account": open_kfid} for open_kfid in ("wkA", "wkB", "wkC")),
    *({"servicer": name} for name in ("a", "B")),
    *({"doubt": doubt} for doubt in (*DOUBTS, "any")),
    *({"evidence": evidence} for evidence in EVIDENCE),
    *({"older_than": seconds} for seconds in (0, 60, DAY2, 10**9)),
    {"account": "wkA", "servicer": "a", "doubt": "none"},
    {"state": "finished", "evidence": "timer", "older_than": 3_600},
    {"state": "finished", "account": "wkA", "doubt": "expiry_presumed"},
]


def _check_filters(engine: Engine) -> None:
    """Assert that every filter finds what filtering the whole listing finds, and that counts agree."""
    now = engine._now()
    holds = HOLDS | {"older_than": lambda view, age: view.since is not None and view.since.timestamp() <= now - age}
    for as_of_log in (False, True):
        every = list(engine.conversations(as_of_log=as_of_log))
        assert sorted(every, key=pair) == every
        for view in every:
            assert view == engine.state(*reversed(pair(view)), as_of_log=as_of_log)
        for wanted in FILTERS:
            found = list(engine.conversations(as_of_log=as_of_log, **wanted))
            assert [view for view in every if all(holds[name](view, value) for name, value in wanted.items())] == found
            counts = {state: sum(view.service_state == state for view in found) for state in KfServiceState}
            assert counts == engine.counts(as_of_log=as_of_log, **wanted)


@settings(max_examples=40)
@given(items=histories(ASIDE + OURS), later=st.sampled_from((0, 600, 90_000, 48 * 3600, 400_000)))
def test_filters_equal_the_listing(fresh: Fresh, items: list[Item], later: int) -> None:
    """At any time after any history, filters and counts agree with the listing, as of now and as of the log."""
    with fresh("filters") as (engine, clock):
        play(engine, clock, items)
        clock.advance(later)
        _check_filters(engine)


def test_filters_at_volume(fresh: Fresh) -> None:
    """The same for a long history, at several times."""
    with fresh("filters") as (engine, clock):
        play(engine, clock, seeded(random.Random(2), 250, ASIDE + OURS))
        for later in (0, 47 * 3600, 2 * 3600, 400_000):
            clock.advance(later)
            _check_filters(engine)


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_paging_covers_everything_once(fresh: Fresh, size: int) -> None:
    """Pages that go on after the last pair give every conversation and session once, in order; so does one listing."""
    with fresh("paging") as (engine, _):
        people = [(kfid, f"wm{number:04}") for kfid in ("wkA", "wkB") for number in range(size if size > 7 else 12)]
        engine.ingest(page([customer_message(*person, NOW + place) for place, person in enumerate(people)]))
        every = [(user, kfid) for kfid, user in people]
        assert sorted(every) == [pair(view) for view in engine.conversations()]
        assert sorted(every) == [(view.external_userid, view.open_kfid) for view in engine.sessions()]
        paged: list[tuple[str, str]] = []
        after: tuple[str, str] | None = None
        while found := list(engine.conversations(after=after, limit=size)):
            paged += map(pair, found)
            after = pair(found[-1])
        assert sorted(every) == paged
        assert [] == list(engine.conversations(limit=0))


def test_sessions_are_paged(fresh: Fresh) -> None:
    """Sessions go on after ``external_userid``, ``open_kfid`` and number; more than a page of one conversation too."""
    with fresh("paging") as (engine, clock):
        clock.set((NOW + 10**9) * 1_000_000)
        for user in ("wm1", "wm2"):
            engine.ingest(page([customer_message(KF, user, NOW + number * DAY2) for number in range(1_100)]))
        every = [(view.external_userid, view.open_kfid, view.session) for view in engine.sessions()]
        assert [(user, KF, number) for user in ("wm1", "wm2") for number in range(1, 1_101)] == every
        after = every[1_050]
        assert every[1_051:1_061] == [
            (view.external_userid, view.open_kfid, view.session)
            for view in engine.sessions(after=(after[0] or "", after[1], after[2]), limit=10)
        ]
        assert [1_100] == [len(list(engine.sessions(open_kfid=KF, external_userid="wm2")))]
        assert [] == list(engine.sessions(open_kfid="wkB"))


def test_other_work_between_views(tell: Teller) -> None:
    """While a listing is gone through, the same engine answers, records and closes no doors."""
    tell(*(said(number, user=f"wm{number}") for number in range(5)))
    for view in tell.engine.conversations():
        tell(own(60, "state_changed", user=view.external_userid or "", service_state=1))
        assert 2 == len(tell.engine.history(view.open_kfid, view.external_userid or ""))
    with Engine("sqlite://", clock=FrozenClock.at(NOW)) as engine:
        engine.ingest(page([customer_message(KF, f"wm{number}", NOW) for number in range(3)]))
        for view in engine.conversations():
            assert list(engine.sessions(external_userid=view.external_userid))
            assert engine.ingest(page([customer_message(KF, "wm9", NOW)])).entries


def test_erased_customers_come_last(tell: Teller) -> None:
    """Conversations whose customer was forgotten are listed once, after the others, without a name."""
    tell(*(said(number, user=f"wm{number}") for number in range(6)))
    with tell.engine._writing() as conn:
        query(conn, "UPDATE kf_name SET salt = NULL, value = NULL, folded = NULL WHERE value IN ('wm1', 'wm2', 'wm3')")
    assert ["wm0", "wm4", "wm5", None, None, None] == [view.external_userid for view in tell.engine.conversations()]
    assert ["wm0", "wm4", "wm5", None, None] == [view.external_userid for view in tell.engine.conversations(limit=5)]
    assert ["wm0", "wm4", "wm5", None, None, None] == [view.external_userid for view in tell.engine.sessions()]
    assert 6 == sum(tell.engine.counts().values())
    assert 0 == tell.engine.check().different
    assert None is tell.engine.verify().damage


@pytest.mark.parametrize("word", ["queue", "QUEUE", 2, KfServiceState.QUEUE], ids=["word", "name", "number", "state"])
def test_words_for_states(tell: Teller, word: Any) -> None:
    """A state can be asked for by its word, its number, or itself."""
    tell(said(0), own(5, "state_changed", service_state=2), said(0, user="wm2"))
    assert [USER] == [view.external_userid for view in tell.engine.conversations(state=word)]
