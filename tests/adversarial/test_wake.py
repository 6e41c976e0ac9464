"""Wake-ups that never come: they are hints, and who waits polls as well."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kfstate.engine import Engine
from kfstate.store.notify import Notices
from kfstate.testing import page
from tests.adversarial.processes import until
from tests.adversarial.writers import KF, message
from tests.engine.tables import rows

__all__: list[str] = []

POLL, MARGIN = 0.3, 3.0
LISTENERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%' ORDER BY pid"


def test_without_any_notice(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every notice is lost, a subscription in another process is late by the time between two polls, no more."""

    @contextmanager
    def sending(_self: Notices) -> Iterator[Callable[[], None]]:
        yield lambda: None

    monkeypatch.setattr(Notices, "sending", sending)
    handled: list[int] = []
    with Engine(url) as reader, Engine(url) as writer:
        with reader.subscribe("s", lambda event: handled.append(event.position), transactional=False, poll=POLL):
            until(lambda: handled == [1])
            for number in range(3):
                position = writer.ingest(page([message(f"m{number}")]), account=KF).position
                assert until(lambda position=position: position in handled) < POLL + MARGIN  # type: ignore[misc]
        assert list(range(1, 5)) == handled


@pytest.mark.databases("pg15", "pg18")
def test_listener_is_cut_off(url: str) -> None:
    """A connection that listens and is terminated costs one poll at most, and there is a new one that listens."""
    handled: list[int] = []
    with Engine(url) as reader, Engine(url) as writer:
        with reader.subscribe("s", lambda event: handled.append(event.position), transactional=False, poll=POLL):
            until(lambda: bool(rows(writer, LISTENERS)))
            ((pid,),) = rows(writer, LISTENERS)
            assert [(True,)] == rows(writer, "SELECT pg_terminate_backend(?)", pid)
            position = writer.ingest(page([message("cut off")]), account=KF).position
            assert until(lambda: position in handled) < POLL + MARGIN
            until(lambda: rows(writer, LISTENERS) not in ([], [(pid,)]))
        # It is told again: sooner than it would look by itself.
        with reader.subscribe("s", lambda event: handled.append(event.position), transactional=False, poll=60.0):
            until(lambda: bool(rows(writer, LISTENERS)))
            position = writer.ingest(page([message("told")]), account=KF).position
            assert until(lambda: position in handled) < 10
        assert [1, 2, 3] == handled
