"""Every entry says why it did what it did (P4): guards, transition, rows; in two languages."""

import random
import string

import pytest

from kfstate import Engine
from kfstate.audit.history.report_words import SAID, WORDS
from kfstate.audit.history.words_zh import GUARDS_ZH, SAYS_ZH
from kfstate.errors import ArgumentError, UnknownConversationError
from kfstate.machine import MACHINE
from kfstate.machine.guards import GUARDS
from kfstate.machine.state import DOUBTS, EVIDENCE, OPENINGS, OUTCOMES
from kfstate.queries.views import StepView
from kfstate.store.dialect import query
from kfstate.testing import page, servicer_status_change
from tests.engine.conftest import Fresh
from tests.engine.story import DAY2, KF, Teller, change, entered, own, said, wrote
from tests.engine.tables import rows
from tests.engine.worlds import ASIDE, NOW, OURS, PEOPLE, REWRITING, STRANGE, play, seeded

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite")


def placeholders(sentence: str) -> set[str]:
    """Return the names of the values that a sentence uses."""
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_everything_is_said_in_chinese() -> None:
    """Every row and guard of the machine, and every word of the fold, is said in Chinese, with no value of its own."""
    assert MACHINE.rows.keys() <= SAYS_ZH.keys()
    for name, row in MACHINE.rows.items():
        assert placeholders(SAYS_ZH[name]) <= {"before", "after", "servicer", "to", "from_", "errcode", "age"}, name
        assert placeholders(row.says) - {"before"} <= placeholders(SAYS_ZH[name]) | {"before", "after"}, name
    assert GUARDS_ZH.keys() == GUARDS.keys()
    assert {*DOUBTS, *EVIDENCE, *OPENINGS, *OUTCOMES} - {"customer"} <= WORDS.keys()
    assert SAID.keys() <= WORDS.keys()


def check_explained(engine: Engine) -> None:
    """Assert that every position is explained, in agreement with the history and with the rows that are kept."""
    told = {
        step.position: step
        for open_kfid, user in PEOPLE
        if rows(engine, f"SELECT 1 FROM kf_name WHERE value = '{user}'")
        for step in _history(engine, open_kfid, user)
    }
    for position in range(1, engine.position() + 1):
        found = engine.audit.explain(position)
        assert position == found.entry.position
        assert found.words
        assert found.words_zh
        if found.transition is None:
            assert (None, (), None, ()) == (found.trigger, found.tried, found.step, found.kept)
            assert position not in told
            continue
        assert told[position] == found.step
        *others, taken = found.tried
        assert (found.transition.name, True) == (taken.name, taken.holds)
        assert [] == [one for one in others if one.holds or one.guard is None or not one.asks_zh]
        assert (found.transition.name, found.transition.outcome, found.transition.after) == (
            found.kept[-1].transition, found.kept[-1].outcome, found.kept[-1].after,
        )  # fmt: skip


def _history(engine: Engine, open_kfid: str, user: str) -> list[StepView]:
    try:
        return list(engine.history(open_kfid, user))
    except UnknownConversationError:
        return []


def test_any_entry_is_explained(fresh: Fresh) -> None:
    """After long random histories every position is explained."""
    for seed in range(4):
        with fresh("explained") as (engine, clock):
            play(engine, clock, seeded(random.Random(seed), 60, ASIDE + OURS + REWRITING + STRANGE))
            check_explained(engine)


def test_repair(tell: Teller) -> None:
    """A repair: which rows were tried, with what their guards ask, which one took it, and what was missed."""
    taken = tell(
        said(0), own(2, "state_changed", service_state=1), change(5, 1, new="li"), change(9, 2, old="x", new="y")
    )
    found = tell.engine.audit.explain(taken[-1])
    assert [("handed_over.again", False), ("handed_over", False), ("handed_over.unexpectedly", True)] == [
        (row.name, row.holds) for row in found.tried
    ]
    assert ("serves", "The servicer that the entry names serves already", "记录中的接待人员已在接待") == (
        found.tried[0].guard, found.tried[0].asks, found.tried[0].asks_zh,
    )  # fmt: skip
    assert "x handed over to y, but the log says manual (servicer li): a change was missed" in found.words
    assert "x 转接给 y，而日志中为“由人工接待”（接待人员：li）：有变更未被看到" in found.words_zh
    repaired = tell.engine.audit.explain(taken[-2])
    assert ("queue",) == repaired.missing
    assert repaired.words.endswith("(not seen: queue)")
    assert repaired.words_zh.endswith("（未见：待接入池排队中）")


def test_what_moved_nothing(tell: Teller) -> None:
    """An entry that moved nothing says why; so does one that belongs to no conversation."""
    (looked_in,) = tell(entered(0))
    found = tell.engine.audit.explain(looked_in)
    assert ("stayed", "the customer looked in without writing", "客户进入会话，没有发言") == (
        found.step and found.step.outcome, found.words, found.words_zh,
    )  # fmt: skip
    came = tell.engine.ingest(page([servicer_status_change(KF, "li", NOW + 3, status=1)]), account=KF).position
    found = tell.engine.audit.explain(came)
    assert found.step is None
    assert "not folded" in found.words
    for bad in (0, came + 1):
        with pytest.raises(ArgumentError, match="position"):
            tell.engine.audit.explain(bad)


def test_presumed_end_before(tell: Teller) -> None:
    """The end that the fold presumed before an entry is part of its explanation, and the state that guards saw."""
    *_, late = tell(said(0), own(5, "state_changed", service_state=2), change(DAY2 + 50, 1, new="li"))
    found = tell.engine.audit.explain(late)
    assert found.expired is not None
    assert found.expired.before == "queue"
    assert ["taken.after_presumed_expiry"] == [row.name for row in found.tried]
    assert "presumed_taken" == found.tried[0].guard


def test_what_a_late_entry_changed(tell: Teller) -> None:
    """What an entry did is told as it was known then, and all that was ever kept of it is listed."""
    first, second = tell(said(0), wrote(30, "li"))
    (late,) = tell(own(20, "state_changed", service_state=3, servicer_userid="li"))
    then, now = tell.engine.audit.explain(second, known_at=second), tell.engine.audit.explain(second)
    assert ("repaired", "stayed") == (then.step and then.step.outcome, now.step and now.step.outcome)
    assert [(second, "repaired"), (late, "stayed")] == [(row.known_from, row.outcome) for row in now.kept]
    with pytest.raises(ArgumentError):
        tell.engine.audit.explain(late, known_at=second)
    with tell.engine._writing() as conn:
        query(conn, "UPDATE kf_step SET after_state = 9 WHERE position = ?", (first,))
    assert "9" == tell.engine.audit.explain(first).kept[0].after
    assert tell.engine.audit.explain(first).transition == tell.engine.audit.explain(first, known_at=first).transition
