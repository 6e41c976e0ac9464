"""What would have been is told beside the log, which has nothing of it."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from kfstate import Engine
from kfstate.audit.trials.what_if import WhatIf
from kfstate.errors import EnvelopeError, UnknownConversationError
from kfstate.store.dialect import query
from kfstate.testing import page
from tests.audit.candidates import patient, planted
from tests.engine.conftest import Fresh
from tests.engine.story import DAY2, KF, USER, change, own, said, wrote
from tests.engine.worlds import NOW, TALK, play, seeded

__all__: list[str] = []


@pytest.fixture
def queued(fresh: Fresh) -> Iterator[Engine]:
    """An engine with a customer in the pool, whom nobody took, and one who was served."""
    with fresh("whatif") as (engine, clock):
        clock.set((NOW + 4_000) * 1_000_000)
        engine.ingest(page([said(0), said(1, user="wm2")]))
        engine.record(own(10, "state_changed", service_state=2))
        engine.ingest(page([change(20, 1, user="wm2", new="b"), said(3_600)]))
        yield engine


def branch(engine: Engine, **more: Any) -> WhatIf:
    """Tell a branch to its end, and see that the database is as it was."""
    before = content(engine)
    found = engine.audit.what_if(**more)
    assert found is not None
    assert before == content(engine)
    return found


def content(engine: Engine) -> dict[str, Any]:
    """Return every row of every table."""
    with engine._reading() as conn:
        tables = [name for (name,) in query(conn, "SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: sorted(map(repr, query(conn, f"SELECT * FROM {table}"))) for table in tables}


def test_entries_that_never_were(queued: Engine) -> None:
    """Had somebody taken the customer, the wait would have ended there."""
    found = branch(queued, inject=[change(70, 1, new="newcomer"), wrote(75, "newcomer")])
    (one,) = found.changed
    assert ("changed", KF, USER, "session_status_change") == (one.change, one.open_kfid, one.external_userid, one.kind)
    assert (None, "newcomer") == (one.before, one.after and one.after.servicer_userid)
    assert (None, "newcomer") == one.fields["servicer"]
    assert (1, 2) == (found.conversations, found.injected)
    assert ((0, 0), (60, 1)) == ((found.before.wait_max, found.before.taken), (found.after.wait_max, found.after.taken))
    assert one.position == found.known_at + 1


def test_conversations_that_never_were(queued: Engine) -> None:
    """A customer whom the log does not know may write, and be served by somebody whom it knows."""
    found = branch(queued, inject=[said(50, user="wmNEW"), change(60, 4, user="wmNEW", old="B", new="B")])
    (one,) = found.changed
    assert ("new", "wmNEW") == (one.change, one.external_userid)
    assert ({}, {"running": 1}, 1) == (found.before.ends, found.after.ends, found.after.taken)


def test_another_machine_from_a_time_on(queued: Engine) -> None:
    """Before that time all is as it was."""
    queued.record(own(3_700, "state_changed", service_state=4))
    for user, at in (("wm3", 100), ("wm4", 3_710)):
        queued.ingest(page([said(at, user=user)]))
        queued.record(own(at + 5, "message_sent", user=user, via="send_msg"))
    whole = branch(queued, machine=planted())
    assert ["wm3", "wm4"] == [change.external_userid for change in whole.changed]
    later = branch(queued, machine=planted(), since=datetime.fromtimestamp(NOW + 3_000, UTC))
    assert ["wm4"] == [change.external_userid for change in later.changed]
    assert 4 == later.conversations
    chosen = branch(queued, machine=planted(), conversations=[(KF, "wm3")])
    assert (["wm3"], 1) == ([change.external_userid for change in chosen.changed], chosen.conversations)


def test_what_was_injected_is_what_would_have_been_stored(fresh: Fresh) -> None:
    """A branch tells the same as a log in which the entries are: also late ones, and those of the same second."""
    for seed in range(6):
        chance = random.Random(seed)
        items = [item for item in seeded(chance, 30, TALK) if not item.repeat]
        with fresh("half") as (half, clock):
            play(half, clock, items, ticks=False)
            clock.set(clock.now() + 10_000_000)
            more = [said(at, user=user) for at in (5, 60, 100_000) for user in ("wm1", "wm2")]
            more.append(said(9 * DAY2, user="wm1"))  # not believed
            more += [change(60, 1, user="wm1", new="a"), wrote(61, "b", user="wm2")]
            own_more = [
                own(62, "state_changed", user="wm1", service_state=2),
                own(63, "message_sent", user="wm2", via="send_msg"),
            ]
            told = branch(half, inject=[*more, *own_more], conversations=pairs(half))
            half.ingest(page(more))
            for entry in own_more:
                half.record(entry)
            stored = half.audit.gate("1")
            assert stored is not None
            assert told.after == stored.before
            assert told.before != told.after


def pairs(engine: Engine) -> list[tuple[str, str]]:
    """Return every conversation."""
    return [(view.open_kfid, view.external_userid or "") for view in engine.conversations()]


@pytest.mark.parametrize(
    "entry",
    [{"kind": "machine_activated", "actor": "x", "fingerprint": "0" * 64, "occurred_at": NOW},
     {"kind": "state_changed", "open_kfid": KF, "external_userid": USER, "service_state": 2, "actor": "x"},
     {"kind": "nothing"}, {"msgtype": "text", "open_kfid": KF, "external_userid": USER, "origin": 3, "text": {}},
     {"kind": "own_action", "open_kfid": KF, "occurred_at": NOW, "actor": "x", "via": "recall_msg"}],
    ids=["log", "no time", "no kind", "no send_time", "account"],
)  # fmt: skip
def test_injected_entries_refused(queued: Engine, entry: dict[str, Any]) -> None:
    """An entry has to be of a conversation, and to say when it happens; the error says which entry does not."""
    with pytest.raises(EnvelopeError) as caught:
        queued.audit.what_if(inject=[said(50), entry])
    assert 1 == caught.value.index


def test_an_injected_entry_that_nests_too_deep(queued: Engine) -> None:
    """It is refused as others are."""
    deep: dict[str, Any] = {}
    for _ in range(20_000):
        deep = {"a": deep}
    with pytest.raises(EnvelopeError, match="nested too deep"):
        queued.audit.what_if(inject=[deep])


def test_conversations_have_to_be_known(queued: Engine) -> None:
    """Who is not there cannot be chosen."""
    with pytest.raises(UnknownConversationError):
        queued.audit.what_if(machine=patient(), conversations=[(KF, "nobody")])
