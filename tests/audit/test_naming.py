"""Whom words name: nobody else is forgotten with him, nothing that is held is destroyed, no receipt keeps his id."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from kfstate import ArgumentError, Engine
from kfstate.audit.people import erasing, holding
from kfstate.audit.people.naming import OwnWords, finder
from kfstate.testing import FrozenClock, customer_message, page
from tests.audit.test_erasing import FORGOTTEN, bytes_in, everything
from tests.audit.test_retaining import DAY, GROUND, HALF_A_YEAR, holds_bytes, said
from tests.engine.worlds import NOW

__all__: list[str] = []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"who": "wm1"}', "wm1"),
        ("wm1", "wm1"),
        ("客户wm1撤诉", "wm1"),
        ("to wm1, wm12.", "wm1 wm12"),
        ("of wm12.", "wm12"),
        (r'{"note": "first\nwm12"}', "wm12"),
        (r'{"note": "\u5ba2wm12"}', "wm12"),
        ("wm123 xwm1 wm1_ wm1-2 wm1é wm", "wm1"),
        ("wm1 and wm12, not wm1.2", "wm1 wm12 wm1.2"),
        ("wm123 xwm12 -wm1 wm1_2", ""),
        ("", ""),
        (r'{"note": "w\u006d1 said y"}', "wm1"),
        (r'{"note": "\u0077m\u0031\u0032"}', "wm12"),
        (r'{"note": "http:\/\/h\/wm12\/ \u0020wm1\u0020"}', "wm1 wm12"),
        (r'{"note": "{\"who\": \"w\\u006d1\"}"}', "wm1"),
        (r'{"note": "a\/b, c\"d, e\\f"}', 'a/b c"d e\\f'),
        (r'{"note": "\u0061wm1 wm1\u0061 wm1\u0032"}', "wm12"),
        (r"C:\new\wm12", "wm12"),
        ("\\" + "u005c" * 100_000, ""),
    ],
)
def test_whole_ids(text: str, named: str) -> None:
    """An id is named where nothing on either side makes it a part of another one, however JSON writes it."""
    assert set(named.split()) == finder(["wm1", "wm12", "wm1.2", "a/b", 'c"d', "e\\f"])(text.encode())
    assert not finder([])(text.encode())


def note(engine: Engine, user: str, data: dict[str, Any], **more: str) -> int:
    """A service notes something in a conversation, or of an account; return where that stands."""
    entry = {"kind": "own_action", "actor": "desk", "via": "note", "open_kfid": "wkA", "data": data, **more}
    return engine.record(entry | ({"external_userid": user} if user else {})).position


def words(engine: Engine, *positions: int) -> list[object]:
    """Return what is left of what was noted at these positions."""
    left = {entry.position: entry.payload for entry in engine.read_all()}
    return [payload and payload["data"] for payload in map(left.__getitem__, positions)]


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_only_what_names_him_goes(engine: Engine, clock: FrozenClock) -> None:
    """Notes elsewhere that name him go, those of whose id his own is a part stay; what names the held is sealed."""
    for day, user in enumerate(("wm1", "wm12", "wm123")):
        said(engine, clock, day=day, user=user, words=f"words of {user}")
    held = engine.audit.hold("wm12", **GROUND)
    account = [note(engine, "", data) for data in ({"who": "wm1"}, {"who": "wm123"}, {"who": ["wm12", "wm1"]})]
    theirs = [note(engine, "wm123", {"tell": "wm1 called"}), note(engine, "wm123", {"tell": "nobody called"})]
    his = note(engine, "wm1", {"as": "wm12"})
    receipt = engine.audit.erase("wm1", **GROUND)
    assert (5, 2) == (receipt.payloads, receipt.sealed)
    assert [None, {"who": "wm123"}, None] == words(engine, *account)
    assert [None, {"tell": "nobody called"}] == words(engine, *theirs)
    assert (2, held.customer) == (engine.audit.holds()[0].sealed, engine.audit.holds()[0].customer)
    sealed = engine.audit.sealed(1, actor="ann", basis="court order 7")
    assert [account[2], his] == [one.id for one in sealed]
    assert all(one.proven for one in sealed)
    assert "words of wm12" in str([entry.payload for entry in engine.read_all()])
    assert {"kf_sealed"} == holds_bytes(engine, '"wm1"')
    engine.audit.release(1, **GROUND)
    assert set() == holds_bytes(engine, '"wm1"')
    assert None is engine.verify().damage


@pytest.mark.databases("sqlite")
def test_two_holds_on_the_same_words(engine: Engine, clock: FrozenClock) -> None:
    """What names two who are held is kept until both holds are over; who writes again is held still."""
    for day, user in enumerate(("wmOne", "wmTwo")):
        said(engine, clock, day=day, user=user, words="of oneself")
        engine.audit.hold(user, **GROUND)
    both = note(engine, "", {"who": ["wmOne", "wmTwo"]})
    engine.audit.erase("wmOne", **GROUND)
    assert both in {one.id for one in engine.audit.sealed(1, actor="ann", basis="court order 7")}
    said(engine, clock, day=2, user="wmOne", words="said again")
    again = engine.audit.erase("wmOne", **GROUND)
    assert (1, 1) == (again.payloads, again.sealed)
    assert ["name"] * 2 + ["payload"] * 3 == [one.kind for one in engine.audit.sealed(1, actor="ann", basis="order")]
    assert 2 == engine.audit.release(1, **GROUND).payloads
    assert [both] == [one.id for one in engine.audit.sealed(2, actor="ann", basis="court order 7")]
    assert 1 == engine.audit.release(2, **GROUND).payloads
    assert set() == holds_bytes(engine, "wmOne")


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_each_hold_keeps_what_names_its_customer(
    engine: Engine, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored for one hold is found for the other, too, in its count as well, and stays until both are over."""
    monkeypatch.setattr(holding, "_AT_ONCE", 1)
    for day, user in enumerate(("wmOne", "wmTwo", "wmNobody")):
        said(engine, clock, day=day, user=user, words="of oneself")
        if user != "wmNobody":
            engine.audit.hold(user, **GROUND)
    said(engine, clock, day=3, user="wmThree", words="wmOne and wmTwo cheated me")
    both = engine.position()
    for user in ("wmThree", "wmNobody"):
        engine.audit.erase(user, **GROUND)

    def held(hold: int, **more: Any) -> list[int]:
        return [one.id for one in engine.audit.sealed(hold, actor="ann", basis="court order 7", **more)]

    assert [both] == held(1) == held(2)
    assert [] == held(2, after=("payload", both)) == held(2, limit=0)
    assert [1, 1] == [hold.sealed for hold in engine.audit.holds()]
    engine.audit.hold(**GROUND)
    engine.audit.erase("wmOne", **GROUND)
    assert [2, 1, 2] == [hold.sealed for hold in engine.audit.holds()]
    assert [both] == held(2)
    assert 3 == len(held(1)) == len(held(3))
    engine.audit.release(1, **GROUND)
    engine.audit.release(3, **GROUND)
    assert [both] == held(2)
    assert 1 == engine.audit.release(2, **GROUND).payloads
    assert set() == holds_bytes(engine, "cheated me")


@pytest.mark.databases("sqlite")
def test_escapes_hide_nobody(engine: Engine) -> None:
    """An element that could not be decoded names whom it names when its escapes are read, as people read it."""
    element = r'{"note": "w\u006dForgetMe said y"}'
    engine.ingest(page([customer_message("wkA", FORGOTTEN, NOW)]))
    engine.ingest(f'{{"errcode":0,"msg_list":["raw",{element}]}}'.encode(), account="wkA")
    assert FORGOTTEN in str([entry.payload for entry in engine.read_all()][-1])
    assert 2 == engine.audit.erase(FORGOTTEN, **GROUND).payloads
    assert ["raw", None] == [entry.payload for entry in engine.read_all() if entry.kind.startswith("unknown")]


@pytest.mark.databases("sqlite")
def test_what_ages_out_and_names_the_held(engine: Engine, clock: FrozenClock) -> None:
    """The retention seals nobody's words that name somebody on hold."""
    said(engine, clock, day=0, user="wmOne", words="of one")
    position = note(engine, "", {"who": "wmOne"})
    engine.audit.hold("wmOne", **GROUND)
    clock.set((NOW + 300 * DAY) * 1_000_000)
    done = engine.audit.retain(HALF_A_YEAR, **GROUND)
    assert (2, 2) == (done.payloads, done.sealed)
    assert position in {one.id for one in engine.audit.sealed(1, actor="ann", basis="court order 7")}


@pytest.mark.databases("sqlite")
def test_a_hold_that_ended_keeps_nothing(engine: Engine, clock: FrozenClock) -> None:
    """What was sealed under it is destroyed when the customer is erased, and the receipt counts it."""
    said(engine, clock, day=0, user="wmOne", words="old words")
    until = datetime.fromtimestamp(NOW, UTC) + timedelta(days=20)
    engine.audit.hold("wmOne", until=until, **GROUND)
    clock.set((NOW + 10 * DAY) * 1_000_000)
    assert 1 == engine.audit.retain(timedelta(days=5), **GROUND).sealed
    assert {"kf_sealed"} == holds_bytes(engine, "old words")
    clock.set((NOW + 25 * DAY) * 1_000_000)
    receipt = engine.audit.erase("wmOne", **GROUND)
    assert (0, 1) == (receipt.payloads, receipt.purged)
    assert set() == holds_bytes(engine, "old words") | holds_bytes(engine, "wmOne")
    for wrong in (until, datetime.fromtimestamp(clock.now() / 1_000_000, UTC)):
        with pytest.raises(ArgumentError) as caught:
            engine.audit.hold(None, until=wrong, **GROUND)
        assert "until" == caught.value.name


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_words_that_stay_name_nobody(engine: Engine, clock: FrozenClock) -> None:
    """No receipt, hold or access keeps the id of any customer who is known: such words are refused, nothing is done."""
    for day, user in enumerate(("wmA_1234", "wmB-1234")):
        said(engine, clock, day=day, user=user, words="good day")
    audit = engine.audit
    audit.hold("wmA_1234", **GROUND)
    before = everything(engine)
    for text in ("wmA_1234 withdrew", "客户wmA_1234撤诉", "(wmB-1234)", "wmA_1234-wmB", "id:wmA_1234."):
        ground: dict[str, Any] = {"actor": "dpo", "basis": text}
        calls: list[Callable[[], object]] = [
            partial(audit.release, 1, **ground),
            partial(audit.retain, HALF_A_YEAR, **ground),
            partial(audit.erase, "wmB-1234", **ground),
            partial(audit.hold, **ground),
            partial(audit.sealed, 1, **ground),
            partial(audit.hold, actor="dpo", basis="order 7", request_id=text),
            partial(audit.accessed, "show", actor="ann", detail=text),
            partial(audit.accessed, "show", actor=text),
        ]
        for call in calls:
            with pytest.raises(ArgumentError) as caught:
                call()
            assert "wm" not in str(caught.value)
    with pytest.raises(ArgumentError):
        audit.accessed("show", actor="ann", open_kfid="wmA_1234", external_userid="wkA")
    assert before == everything(engine)
    audit.accessed("show", actor=OwnWords("wmA_1234"), detail=OwnWords("of wmB-1234"), result="wmA_1234")
    said(engine, clock, day=3, user="wkA", words="I am called as the account")
    audit.accessed("wkA", actor="ann", open_kfid="wkA", external_userid="wkA")
    assert "hold_released" == audit.release(1, actor="dpo", basis="wmA-1234 is nobody, wm neither").action


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_what_comes_meanwhile_is_forgotten(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What names him and is stored between the look at the log and the lock goes with the rest."""
    engine.ingest(page([customer_message("wkA", FORGOTTEN, NOW)]))
    look, looks = erasing.mentions, list[int]()

    def looked(*given: Any, **more: Any) -> Any:
        found = look(*given, **more)
        looks.append(found[1])
        if len(looks) == 1:
            note(engine, "", {"who": FORGOTTEN})
        return found

    monkeypatch.setattr(erasing, "mentions", looked)
    assert 2 == engine.audit.erase(FORGOTTEN, **GROUND).payloads
    assert looks[0] < looks[1]
    assert FORGOTTEN.encode() not in bytes_in(everything(engine))
