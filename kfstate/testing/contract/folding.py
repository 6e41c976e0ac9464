"""State is a fold: the same whatever the order of arrival, and equal to a rebuild; every state explains itself."""

import random
from typing import Any

from kfstate.engine import Engine
from kfstate.errors import UnknownConversationError
from kfstate.queries.views import as_json
from kfstate.testing.builders import Element, page
from kfstate.testing.clock import FrozenClock
from kfstate.testing.contract.base import KF, NOW, USER, Base, refused, said, taken
from kfstate.testing.own import state_changed
from kfstate.testing.simulation import START, pages

__all__ = ["FoldRules"]

_YEAR = 365 * 86_400
_PLACES = ("position", "session_id", "reopens", "recorded_at", "version", "synced_until")
"""What depends on when an entry was stored, and on nothing else."""


class FoldRules(Base):
    """What holds of states."""

    def test_arrival_does_not_matter(self) -> None:
        """The same entries in shuffled, overlapping pages give the same conversations, sessions and histories (P3)."""
        elements = [element for one in pages(3, 25, own_entries=False) for element in one["msg_list"]]
        chance = random.Random(5)
        found = []
        for arrival in ("in order", "shuffled", "backwards"):
            left = list(elements)
            if arrival == "shuffled":
                chance.shuffle(left)
            if arrival == "backwards":
                left.reverse()
            with self.open(clock=FrozenClock.at(START + _YEAR)) as engine:
                at = 0
                while at < len(left):
                    size = chance.choice((3, 20, 120))
                    engine.ingest(page(left[max(0, at - chance.randrange(4)) : at + size]), account=KF)
                    at += size
                found.append(_seen(engine))
        assert found[0]["conversations"]
        assert found[0] == found[1]
        assert found[0] == found[2]

    def test_projections_equal_a_rebuild(self) -> None:
        """After any history a fresh fold of the log finds no row that differs, and rebuilding changes none (P2)."""
        with self.open(clock=FrozenClock.at(START + _YEAR)) as engine:
            documents = list(pages(9, 20, shuffled=True, page_size=40, window=150))
            for at in range(0, len(documents), 8):
                engine.ingest(documents[at : at + 8], account=KF)
            assert ({}, 0) == ((found := engine.check()).tables, found.different)
            before = _seen(engine)
            assert engine.position() == engine.rebuild()
            assert before == _seen(engine)
            assert 0 == engine.behind()

    def test_a_late_entry_is_folded_in_its_place(self) -> None:
        """What sorts before what was folded changes the state as if it had come in time."""
        own = state_changed(KF, USER, NOW + 3, service_state=2)
        with self.open() as late, self.open() as early:
            for engine, entries in ((late, (said(0), taken(9, "li"), own)), (early, (said(0), own, taken(9, "li")))):
                for entry in entries:
                    engine.ingest([entry] if "kind" in entry else page([entry]))
            assert _seen(early) == _seen(late)
            assert ["customer_message", "state_changed", "session_status_change"] == [
                step.kind for step in late.history(KF, USER)
            ]

    def test_every_state_explains_itself(self) -> None:
        """Each conversation names the entry that decided it, and that entry is in the log (P4)."""
        with self.open(clock=FrozenClock.at(START + _YEAR)) as engine:
            engine.ingest(pages(11, 15))
            entries = {entry.position for entry in engine.read_all()}
            views = list(engine.conversations(as_of_log=True))
            assert len(views) >= 15
            for view in views:
                pair = view.open_kfid, view.external_userid or ""
                assert engine.explain(*pair, as_of_log=True) is not None
                steps = engine.history(*pair, as_of_log=True)
                assert {step.position for step in steps} - {None} <= entries  # an expiry that is due has no entry yet
                assert view == engine.state(*pair, as_of_log=True)

    def test_listings_are_found_and_paged(self) -> None:
        """Filters, counts and pages of conversations agree, in the order of ids byte by byte."""
        users = ["wm1", "wm10", "wm2", "wM1", "Wm1", "wm-", "wm_", "wmA", "wma"]
        with self.open() as engine:
            engine.ingest(page([said(number, user=user) for number, user in enumerate(users)]))
            engine.ingest(page([taken(60, "Li", user=user) for user in users[:4]]))
            listed = [view.external_userid for view in engine.conversations()]
            assert sorted(users) == listed
            pages_of_two, after = [], None
            while part := list(engine.conversations(after=after, limit=2)):
                pages_of_two += [view.external_userid for view in part]
                after = (part[-1].external_userid or "", part[-1].open_kfid)
            assert listed == pages_of_two
            assert sorted(users[:4]) == [view.external_userid for view in engine.conversations(servicer="LI")]
            assert {"manual": 4, "untreated": 5} == {
                state.name.lower(): count for state, count in engine.counts().items() if count
            }
            assert 4 == sum(view.open_sessions for view in engine.load(KF))

    def test_unknown_conversations_are_errors(self) -> None:
        """A conversation that the log has not, also one whose id differs by case, is an error that names it."""
        with self.open() as engine:
            engine.ingest(page([said(0)]))
            for pair in ((KF, USER.upper()), (KF, f"{USER} "), (KF.lower(), USER)):
                error = refused(UnknownConversationError, lambda pair=pair: engine.state(*pair))  # type: ignore[misc]
                assert pair == (error.open_kfid, error.external_userid)


def _seen(engine: Engine) -> dict[str, Any]:
    """Return all that people see of the conversations, but for where their entries stand."""
    found: dict[str, Any] = {
        "conversations": [_told(view) for view in engine.conversations(as_of_log=True)],
        "sessions": [_told(view) for view in engine.sessions(as_of_log=True)],
        "load": [_told(view) for view in engine.load()],
    }
    for view in engine.conversations(as_of_log=True):
        pair = view.open_kfid, view.external_userid or ""
        found["/".join(pair)] = [_told(step) for step in engine.history(*pair, as_of_log=True)]
    return found


def _told(view: Any) -> Element:
    return {name: value for name, value in as_json(view).items() if name not in _PLACES}
