"""The server goes away under a load, or the disk is full: nothing is lost, nothing is there twice, and it goes on."""

import gc
import itertools
import threading
import time
from collections.abc import Callable
from functools import partial
from operator import attrgetter

import pytest
from sqlalchemy import Connection, event

from kfstate.engine import Engine
from kfstate.errors import StorageFullError, StoreError
from kfstate.testing import Element, page
from tests.adversarial.processes import PATIENCE, until
from tests.adversarial.racing import entry
from tests.adversarial.writers import KF, in_threads, message
from tests.engine.tables import rows
from tests.servers import EMPTY_ENGINE, Server

__all__: list[str] = []

THREADS, ROUNDS = 4, 3


class Load:
    """Threads that write until they are told to stop; each thing again and again until it is acknowledged."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.stopping = threading.Event()
        self.done: list[str] = []
        self.failures: list[StoreError] = []

    def write(self, own: str) -> None:
        """Append pages and own entries in turn."""
        number = 0
        while not self.stopping.is_set():
            key = f"{own}-{number}"
            source = partial(self.engine.record, entry(key)) if number % 2 else partial(self.page, key)
            self.again(source)
            self.done.append(key)
            number += 1

    def page(self, key: str) -> object:
        """Append a page of two messages."""
        return self.engine.ingest(page([message(f"{key}/{place}", place) for place in range(2)]), account=KF)

    def again(self, source: Callable[[], object]) -> None:
        """Try until it is acknowledged, or time is over."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                source()
            except StoreError as error:
                self.failures.append(error)
                assert time.monotonic() < deadline
                time.sleep(0.02)
            else:
                return

    def whole(self, key: str) -> None:
        """Check that what was acknowledged is there, once: it comes again as a duplicate."""
        if int(key.rpartition("-")[2]) % 2:
            assert self.engine.record(entry(key)).duplicate
        else:
            report = self.engine.ingest(page([message(f"{key}/{place}", place) for place in range(2)]), account=KF)
            assert (0, 2) == (report.appended, report.duplicates)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # PyMySQL, where a server refuses a connection
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.databases("servers")
def test_server_restarts_under_load(private_server: Server) -> None:
    """Restarted or killed under writers who try again by their keys: errors are ours, and all is there once."""
    with Engine(private_server.databases().new(EMPTY_ENGINE), lock_timeout=5) as engine:
        load = Load(engine)
        handled: list[int] = []
        with engine.subscribe("s", lambda one: handled.append(one.position), transactional=False, poll=0.1):
            controller = threading.Thread(target=_trouble, args=(private_server, load), daemon=True)
            controller.start()
            in_threads([partial(load.write, f"t{number}") for number in range(THREADS)])
            controller.join()
            last = engine.position()
            until(lambda: bool(handled) and handled[-1] == last)
        assert load.failures, "nobody noticed anything"
        load.failures.clear()
        gc.collect()  # the sockets that PyMySQL left open are gone with the tracebacks
        assert len(load.done) > 10 * ROUNDS
        for key in load.done:
            load.whole(key)
        assert last == engine.position()
        pages = sum(int(key.rpartition("-")[2]) % 2 == 0 for key in load.done)
        assert [(1 + pages * 2 + len(load.done) - pages,)] == rows(engine, "SELECT COUNT(*) FROM kf_entry")
        assert list(range(1, last + 1)) == sorted(set(handled)) == [one.position for one in engine.read_all()]
        assert (None, 0, 0) == (engine.verify().damage, engine.behind(), engine.check().different)


def _trouble(server: Server, load: Load) -> None:
    try:
        for number in range(ROUNDS):
            before = len(load.done)
            until(lambda before=before: len(load.done) > before + 10)  # type: ignore[misc]
            if number % 2:
                server.kill()
                server.start()
            else:
                server.restart("immediate")
        before = len(load.done)
        until(lambda: len(load.done) > before + 10)
    finally:
        load.stopping.set()


@pytest.mark.databases("sqlite")
def test_disk_full(url: str) -> None:
    """Without room an append fails with an error of ours and leaves nothing; when there is room again it goes on."""
    with Engine(url) as engine:
        quota = [rows(engine, "PRAGMA page_count")[0][0] + 20]

        def limited(conn: Connection) -> None:
            conn.exec_driver_sql(f"PRAGMA max_page_count = {quota[0]}").close()

        event.listen(engine._database.engine, "begin", limited)
        sizes: list[int] = []
        with pytest.raises(StorageFullError, match="full"):
            sizes.extend(engine.ingest(twenty(number), account=KF).position for number in itertools.count())
        number, size = len(sizes), engine.position()
        assert [1 + 20 * further for further in range(1, number + 1)] == sizes
        assert 1 + 20 * number == size
        assert (None, 0) == (engine.verify().damage, engine.behind())
        assert [("ok",)] == rows(engine, "PRAGMA integrity_check")
        quota[0] *= 100
        assert (20, size + 20) == (attrgetter("appended", "position")(engine.ingest(twenty(number), account=KF)))
        assert (None, 0, 0) == (engine.verify().damage, engine.behind(), engine.check().different)


def twenty(number: int) -> Element:
    """Return a page of twenty messages."""
    return page([message(f"m{number}-{place}", place) for place in range(20)])
