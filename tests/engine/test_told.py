"""What errors tell: why a database cannot be opened, what was too large, and who has a lock that is not the head's."""

from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from kfstate.engine import Engine
from kfstate.errors import ConnectError, LockTimeoutError, PayloadTooLargeError
from kfstate.store import dialect
from kfstate.testing import customer_message, page
from tests.engine.tables import rows
from tests.engine.together import outcomes, together
from tests.engine.worlds import NOW
from tests.servers import Databases

__all__: list[str] = []


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """A file that is no database, or a folder that does not exist, is a database that cannot be opened."""
    (tmp_path / "text.db").write_bytes(b"no database " * 1000)
    for name in ("text.db", "nowhere/x.db"):
        with pytest.raises(ConnectError):
            Engine(f"sqlite:///{tmp_path / name}")


@pytest.mark.databases("servers")
def test_a_database_that_is_not_there(database: Databases) -> None:
    """A database that the server does not have cannot be opened."""
    with pytest.raises(ConnectError):
        Engine(make_url(database.new()).set(database="nowhere").render_as_string(hide_password=False))


@pytest.mark.databases("mariadb")
def test_a_payload_above_the_servers_limit(engine: Engine) -> None:
    """A payload that the server takes in no statement is refused by name, and those gathered with it are stored."""
    limit = int(rows(engine, "SELECT @@max_allowed_packet")[0][0])
    pages = [
        page([customer_message("wkA", "wm1", NOW + at, msgid=f"m{at}") | {"more": "x" * size}])
        for at, size in enumerate((1, limit, 1, 1))
    ]
    calls = together(engine, [partial(engine.ingest, each) for each in pages])
    error = calls[1].error
    assert isinstance(error, PayloadTooLargeError)
    assert limit == error.limit < error.size
    told = outcomes(calls)
    assert [1, 1, 1] == [told[at].appended for at in (0, 2, 3)]


@pytest.mark.databases("pg18")
def test_a_lock_that_is_not_the_heads(url: str) -> None:
    """Where another lock than the head's is waited for, nobody is said to have ended."""
    other = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with Engine(url, lock_timeout=0.2) as engine, other.begin() as conn:
        conn.exec_driver_sql("LOCK TABLE kf_cursor IN ACCESS EXCLUSIVE MODE")
        with (
            pytest.raises(LockTimeoutError, match="not one that holds the head of the log"),
            dialect.begin(engine._database.engine, write=True) as blocked,
        ):
            dialect.query(blocked, "SELECT COUNT(*) FROM kf_cursor")
    other.dispose()
