"""The databases of the tests themselves: empty, apart from each other, on the server that is named; and gone after."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from tests.servers import Databases, Server, Template, plain

__all__: list[str] = []

ROOT = Path(__file__).resolve().parents[2]


def run(url: str, sql: str) -> list[tuple[object, ...]]:
    """Run a statement and return its rows."""
    engine = create_engine(plain(url))
    try:
        with engine.begin() as conn:
            result = conn.exec_driver_sql(sql)
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


def fill(url: str) -> None:
    """Make a table with a row."""
    run(url, "CREATE TABLE thing (id INTEGER PRIMARY KEY, name VARCHAR(20))")
    run(url, "INSERT INTO thing VALUES (1, 'x')")


THING = Template("thing", fill)


def test_copies_are_apart(database: Databases) -> None:
    """Each database is a copy of its template with its rows, and nobody else's."""
    one, other = database.new(THING), database.new(THING)
    run(one, "INSERT INTO thing VALUES (2, 'more')")
    assert [[(1,), (2,)], [(1,)]] == [run(url, "SELECT id FROM thing ORDER BY id") for url in (one, other)]
    fill(database.new())


@pytest.mark.databases("servers")
def test_versions(database: Databases) -> None:
    """Each server is what its name says."""
    found = {"pg15": "PostgreSQL 15.", "pg18": "PostgreSQL 18.", "mariadb": "MariaDB"}[database.name]
    assert found in str(run(database.new(), "SELECT version()")[0][0])


def test_private_server(private_server: Server) -> None:
    """What was committed survives a restart by the book, a crash, and a kill of every process."""
    url = private_server.databases().new(THING)
    run(url, "INSERT INTO thing VALUES (2, 'x')")
    private_server.restart()
    run(url, "INSERT INTO thing VALUES (3, 'x')")
    private_server.restart("immediate")
    run(url, "INSERT INTO thing VALUES (4, 'x')")
    private_server.kill()
    private_server.start()
    assert [(1,), (2,), (3,), (4,)] == run(url, "SELECT id FROM thing ORDER BY id")


_RUN = """
import sys
import threading
import time
from pathlib import Path
from tests.servers.processes import make
from tests.servers.runs import Run

run = Run.begin()
run.keep()
with run.alone("mine") as place:
    make(sys.argv[1], place).start()
print(run.folder, flush=True)
sys.stdin.read()
run.end()
"""


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "ended"])
@pytest.mark.parametrize("name", ["pg18", "mariadb"])
def test_nothing_is_left(name: str, *, killed: bool) -> None:
    """When a run is over, however it ended, its servers and its folder are gone."""
    command = [sys.executable, "-c", _RUN, name]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        folder = Path(child.stdout.readline().strip())
        assert folder.is_dir()
        if killed:
            child.kill()
        child.communicate()
    until = time.monotonic() + 60
    # The keeper ends a moment after the folder.
    while folder.exists() or [line for line in _running() if str(folder).encode() in line]:
        assert time.monotonic() < until
        threading.Event().wait(0.02)


def _running() -> Iterator[bytes]:
    """Yield the command line of every process, where the system shows them."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield file.read_bytes()
