"""Questions about then on every database: the SQL is the same, and so are the answers."""

import pytest

from kfstate.testing import page
from tests.audit.test_as_of import at
from tests.engine.story import DAY2, KF, USER, Teller, change, own, said, wrote

__all__: list[str] = []


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_questions_about_then(tell: Teller) -> None:
    """One conversation of three, asked about in every way."""
    tell.engine.ingest(page([said(3, user="wm2"), said(4, user="wm3")]), account=KF)
    queued = tell(said(0), own(5, "state_changed", service_state=2))[-1]
    tell.at(900)
    lost, taken = tell({**own(950, "history_gap", from_at=0), "external_userid": ""}, change(60, 1, new="Li"))
    replied = tell(wrote(70, "li"), said(DAY2 * 2))[0]
    audit = tell.engine.audit
    found = audit.as_of(KF, USER, at(100), known_at=at(900))
    assert (queued, "queue", "manual", [taken]) == (
        found.known_at, found.state and found.state.state, found.now and found.now.state,
        [entry.position for entry in found.learned],
    )  # fmt: skip
    assert found.now is not None
    assert "Li" == found.now.servicer_userid
    (waits,) = audit.queue(at(65), known_at=queued, account=KF)
    assert (USER, 60) == (waits.external_userid, waits.waiting_seconds)
    assert [] == audit.queue(at(65))
    assert ["wm2", "wm3", USER] == [view.external_userid for view in audit.conversations(at(100))]
    (first,) = audit.sessions(at(100), external_userid=USER, running=True)
    assert (["Li"], 55, 1) == (
        [one.servicer_userid for one in first.servicers],
        first.queue_seconds,
        first.messages_out,
    )
    assert ["customer_message", "state_changed", "session_status_change"] == [
        step.kind for step in audit.history(KF, USER, at(65))
    ]
    doubts = [view.doubt for known in (queued, lost) if (view := audit.as_of(KF, USER, at(960), known_at=known).state)]
    assert ["none", "history_gap"] == doubts
    explained = audit.explain(replied)
    assert explained.transition is not None
    assert ("servicer.wrote", "stayed") == (explained.transition.name, explained.kept[-1].outcome)
    assert "Li" in audit.report(KF, USER)
    assert 6 == len(audit.timeline(KF, USER, at(DAY2 * 3)).stretches)
