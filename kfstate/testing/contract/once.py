"""Exactly once: what is known is not stored again, cursors move with their page, versions are kept (P5)."""

from functools import partial

from kfstate.engine import Engine, Recorded
from kfstate.errors import CursorConflictError, VersionConflictError
from kfstate.intake import CursorMove
from kfstate.testing.builders import page
from kfstate.testing.contract.base import KF, NOW, USER, Base, action, refused, said, taken
from kfstate.testing.simulation import pages

__all__ = ["OnceRules"]


class OnceRules(Base):
    """What holds of what comes twice, and of who decided on something old."""

    def test_the_same_page_twice(self) -> None:
        """A page that is known adds nothing to the log and changes no state."""
        known = page([said(0), taken(5, "li"), said(9, user="wm2"), said(9, user="wm2")])
        with self.open() as engine:
            assert (4, 3, 1) == _counts(engine, known)
            before = _all(engine)
            for _ in range(3):
                assert (4, 0, 4) == _counts(engine, known)
            assert before == _all(engine)

    def test_three_days_again(self) -> None:
        """Reading everything again, in other pages, changes nothing."""
        elements = [element for one in pages(7, 25, own_entries=False) for element in one["msg_list"]]
        with self.open() as engine:
            engine.ingest(page(elements), account=KF)
            before = _all(engine)
            for at in range(0, len(elements), 61):
                assert 0 == engine.ingest(page(elements[at : at + 90]), account=KF).appended
            assert before == _all(engine)

    def test_one_msgid_two_contents(self) -> None:
        """A known msgid with other content is stored and reported, never swallowed."""
        with self.open() as engine:
            report = engine.ingest(page([said(0, msgid="m1"), said(0, msgid="m1", content="another")]))
            assert (2, 1) == (report.appended, report.conflicts)
            assert [0, 1] == [entry.again for entry in engine.read_all(after=1)]

    def test_a_known_key_gives_the_first_result(self) -> None:
        """An own entry whose key is known is not stored again; it is answered before any version is looked at."""
        with self.open() as engine:
            assert Recorded(2, duplicate=False) == engine.record(action(0, key="k1"))
            assert Recorded(3, duplicate=False) == engine.record(action(1, key="K1"))
            assert Recorded(2, duplicate=True) == engine.record(action(7, key="k1"))
            assert Recorded(2, duplicate=True) == engine.record(action(0, key="k1"), expected="new")
            assert 3 == engine.position()

    def test_versions_are_kept(self) -> None:
        """An own entry is stored only on the version that it was decided on; the error says which there is."""
        with self.open() as engine:
            for expected in ("exists", 1):
                error = refused(VersionConflictError, partial(engine.record, action(0), expected=expected))
                assert (str(expected), 0) == (error.expected, error.current)
            assert 2 == engine.record(action(0), expected="new").position
            error = refused(VersionConflictError, partial(engine.record, action(1), expected="new"))
            assert ("new", 1, f"conversation/{KF}/{USER}") == (error.expected, error.current, error.stream)
            assert [3, 4, 5] == [engine.record(action(2), expected=e).position for e in (1, "exists", "any")]
            assert 5 == engine.position()

    def test_one_of_many_wins(self) -> None:
        """Of those who decided on one version at once, one is stored; all others are told that they lost."""
        url = self.new_database()
        with self.open(url) as one, self.open(url) as other:
            one.record(action(0))

            def attempt(number: int) -> Recorded | VersionConflictError:
                try:
                    return (one, other)[number % 2].record(action(number), expected=1)
                except VersionConflictError as error:
                    return error

            told = self.together([partial(attempt, number) for number in range(8)])
            assert [3] == [made.position for made in told if isinstance(made, Recorded)]
            assert [("1", 2)] * 7 == [(made.expected, made.current) for made in told if not isinstance(made, Recorded)]
            assert 3 == one.position()

    def test_a_cursor_moves_with_its_page(self) -> None:
        """The page and the cursor after it commit together."""
        with self.open() as engine:
            epoch = engine.claim(KF).epoch
            first = page([said(0)], next_cursor="c1")
            engine.ingest(first, account=KF, cursor=CursorMove(expected="", epoch=epoch))
            engine.ingest(
                page([], next_cursor="c2"), account=KF,
                cursor=CursorMove(expected="c1", epoch=epoch, synced_until=NOW * 1_000_000),
            )  # fmt: skip
            found = engine.cursor(KF)
            assert found is not None
            assert ("c2", epoch, NOW * 1_000_000) == (found.cursor, found.epoch, found.synced_until)
            assert engine.state(KF, USER).synced_until is not None

    def test_a_refused_cursor_stores_nothing(self) -> None:
        """A page whose cursor is elsewhere leaves nothing; the same page goes in with the right one."""
        with self.open() as engine:
            epoch = engine.claim(KF).epoch
            one = page([said(0)], next_cursor="c1")
            call = partial(engine.ingest, one, account=KF, cursor=CursorMove(expected="C0", epoch=epoch))
            error = refused(CursorConflictError, call)
            assert (KF, "C0", "", epoch) == (error.open_kfid, error.expected, error.current, error.epoch)
            assert 1 == engine.position()
            assert 1 == engine.ingest(one, account=KF, cursor=CursorMove(expected="", epoch=epoch)).appended

    def test_a_stale_puller_is_fenced(self) -> None:
        """Whoever claimed an account before another did can no longer store pages of it with a cursor."""
        url = self.new_database()
        with self.open(url) as one, self.open(url) as other:
            stale, epoch = one.claim(KF).epoch, other.claim(KF).epoch
            late = partial(
                one.ingest, page([said(0)], next_cursor="c1"), account=KF, cursor=CursorMove(expected="", epoch=stale)
            )
            assert epoch == refused(CursorConflictError, late).epoch
            assert 1 == one.position()
            moved = other.ingest(
                page([said(0)], next_cursor="c1"), account=KF, cursor=CursorMove(expected="", epoch=epoch)
            )
            assert 1 == moved.appended


def _counts(engine: Engine, one: object) -> tuple[int, int, int]:
    report = engine.ingest(one, account=KF)  # type: ignore[arg-type]
    return report.entries, report.appended, report.duplicates


def _all(engine: Engine) -> tuple[object, ...]:
    """Return what can be seen of log and states."""
    return list(engine.read_all()), list(engine.conversations()), list(engine.sessions()), engine.load()
