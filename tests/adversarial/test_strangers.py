"""Connections of strangers: at levels and in moments that others allow, and a dump beside a load."""

import subprocess
import threading
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from kfstate.engine import Engine
from kfstate.errors import TransactionError
from kfstate.testing import page
from tests.adversarial.processes import until
from tests.adversarial.writers import KF, in_threads, message
from tests.engine.tables import rows
from tests.servers import EMPTY_ENGINE, Server, plain

__all__: list[str] = []


@pytest.mark.parametrize("options", [{}, {"isolation_level": "AUTOCOMMIT"}], ids=["default", "autocommit"])
def test_no_level_but_ours(url: str, options: dict[str, str]) -> None:
    """A connection at its driver's default or in autocommit is refused, or right; refused, it holds nothing."""
    stranger = create_engine(plain(url), **options)
    with Engine(url, lock_timeout=1) as engine, stranger.connect() as conn:
        assert 1 == conn.exec_driver_sql("SELECT COUNT(*) FROM kf_entry").scalar()
        engine.ingest(page([message("between")]), account=KF)  # what a snapshot from before would not see
        if not options and not url.startswith("mysql"):  # PostgreSQL: ours; SQLite: not begun yet
            engine.ingest(page([message("joined")]), account=KF, connection=conn)
            conn.commit()
            expected = 3
        else:
            with pytest.raises(TransactionError) as refused:
                engine.ingest(page([message("joined")]), account=KF, connection=conn)
            assert refused.value.found == ("AUTOCOMMIT" if options else "REPEATABLE READ")
            expected = 2
        assert expected + 1 == engine.ingest(page([message("after")]), account=KF).position
        conn.rollback()
        assert [(expected + 1, expected)] == rows(
            engine, "SELECT COUNT(*), MAX(version) FROM kf_entry e JOIN kf_stream s ON s.id = e.stream "
            "AND s.kind IN ('conversation', 'log')"
        )  # fmt: skip
        assert (None, 0) == (engine.verify().damage, engine.check().different)
    stranger.dispose()


@pytest.mark.databases("sqlite")
def test_a_read_before_the_append(url: str) -> None:
    """A transaction that began with a read may append as long as nobody has written since; then it is refused."""
    stranger = create_engine(plain(url), connect_args={"isolation_level": None})
    with Engine(url, lock_timeout=1) as engine, stranger.connect() as conn:
        for name, overtaken in (("first", False), ("second", True)):
            conn.exec_driver_sql("BEGIN")
            conn.exec_driver_sql("SELECT COUNT(*) FROM kf_entry").scalar()
            if overtaken:
                engine.ingest(page([message("between")]), account=KF)
                with pytest.raises(TransactionError, match="began with a read"):
                    engine.ingest(page([message(name)]), account=KF, connection=conn)
                conn.rollback()
            else:
                engine.ingest(page([message(name)]), account=KF, connection=conn)
                conn.commit()
        assert ["first", "between"] == [str((entry.payload or {}).get("msgid")) for entry in engine.read_all(after=1)]
        assert (None, 0) == (engine.verify().damage, engine.check().different)
    stranger.dispose()


@pytest.mark.slow
@pytest.mark.databases("pg15", "pg18")
def test_dump_beside_a_load(private_server: Server, tmp_path: Path) -> None:
    """Dumps taken beside writers restore to logs that verify, and who locks the head leaves nothing behind in it."""
    url = private_server.databases().new(EMPTY_ENGINE)
    files = [tmp_path / f"{number}.dump" for number in range(3)]
    ended = threading.Event()

    def write(own: str) -> None:
        number = 0
        while not ended.is_set():
            engine.ingest(page([message(f"{own}-{number}-{place}", place) for place in range(3)]), account=KF)
            number += 1

    def dump() -> None:
        try:
            until(lambda: engine.position() > 30)
            for file in files:
                _run(private_server, "pg_dump", url, "--format=custom", f"--file={file}")
        finally:
            ended.set()

    with Engine(url) as engine:
        in_threads([dump, *(partial(write, f"w{number}") for number in range(3))])
        last = engine.position()
        assert [(8192,)] == rows(engine, "SELECT pg_relation_size('kf_log_head')")
        touched = "SELECT n_tup_upd + n_tup_del + n_dead_tup FROM pg_stat_user_tables WHERE relname = 'kf_log_head'"
        assert [(0,)] == rows(engine, touched)
    positions = [_restored(private_server, file) for file in files]
    assert positions == sorted(positions)
    assert 30 < positions[0] < positions[-1] < last


def _restored(server: Server, file: Path) -> int:
    url = server.databases().new()
    _run(server, "pg_restore", url, "--exit-on-error", str(file))
    with Engine(url) as engine:
        assert (None, 0, 0) == (engine.verify().damage, engine.behind(), engine.check().different)
        before = engine.position()
        assert before + 1 == engine.ingest(page([message("after")]), account=KF).position
        return before


def _run(server: Server, program: str, url: str, *options: str) -> None:
    at = make_url(url)
    where = [f"--host={at.query['host']}", "--username=postgres", f"--dbname={at.database}"]
    command = [str(server.programs.bin / program), *where, *options]
    subprocess.run(command, check=True, env=server.programs.environment, timeout=60)
