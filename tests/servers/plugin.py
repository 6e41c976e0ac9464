"""The fixtures, and what a run begins and ends with."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.servers.databases import EMPTY_ENGINE, Databases, MariaDB, PostgreSQL, Sqlite, on
from tests.servers.processes import MissingServerError, Server, make
from tests.servers.runs import Run

__all__: list[str] = []

pytest.register_assert_rewrite("kfstate.testing.contract")

SERVERS = ("pg15", "pg18", "mariadb")
DATABASES = ("sqlite", *SERVERS)
OLDEST = frozenset({"adversarial", "contract", "servers"})
"""The folders of tests that run on PostgreSQL 15, too; elsewhere the newest stands for both."""
ABOVE = frozenset({"engine"})
"""Those whose tests do not run on MariaDB, as long as they do not ask for it: the contract does, through the engine."""
_RUN = pytest.StashKey[Run]()


def _without() -> set[str]:
    names = {name.strip() for name in os.environ.get("KFSTATE_TEST_WITHOUT", "").split(",") if name.strip()}
    if wrong := names - set(SERVERS):
        raise pytest.UsageError(f"KFSTATE_TEST_WITHOUT: {', '.join(sorted(wrong))} is none of {', '.join(SERVERS)}")
    if names and os.environ.get("CI"):
        raise pytest.UsageError("KFSTATE_TEST_WITHOUT: where CI is set, no database is left out")
    return names


def _given(name: str) -> str | None:
    return os.environ.get(f"KFSTATE_TEST_{name.upper()}_URL")


def pytest_configure(config: pytest.Config) -> None:
    """Begin the run, in the process that the others belong to."""
    config.addinivalue_line("markers", "databases(*names): which of sqlite, pg15, pg18, mariadb, servers to run on")
    _without()
    if os.name == "posix":
        if not hasattr(config, "workerinput"):
            config.stash[_RUN] = Run.begin()
        Run.current()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End it."""
    if run := config.stash.get(_RUN, None):
        for name in SERVERS:
            if url := _given(name):
                on(name, url).sweep()
        run.end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which databases were left out."""
    if names := _without():
        terminalreporter.section("databases", red=True)
        terminalreporter.line(f"NOT TESTED on {', '.join(sorted(names))}: KFSTATE_TEST_WITHOUT says so", red=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that needs a database on each of them, or on those that its marker names."""
    fixture = next((name for name in ("database", "private_server") if name in metafunc.fixturenames), None)
    if fixture is None:
        return
    marker = next(metafunc.definition.iter_markers("databases"), None)
    default = _kept(metafunc.definition.path, DATABASES if fixture == "database" else SERVERS)
    wanted = [
        one for name in (marker.args if marker else default) for one in (SERVERS if name == "servers" else [name])
    ]
    if wrong := set(wanted) - set(DATABASES):
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: there is no database {', '.join(sorted(wrong))}")
    without = _without()
    reason = "left out by KFSTATE_TEST_WITHOUT"
    params = [pytest.param(name, marks=pytest.mark.skip(reason=reason) if name in without else ()) for name in wanted]
    metafunc.parametrize(fixture, params, ids=wanted, indirect=True)


def _kept(path: Path, names: Iterable[str]) -> list[str]:
    """Return the databases that the tests of a file run on where they do not say: time is short."""
    folders = {part.name for part in path.parents}
    left = (set() if folders & OLDEST else {"pg15"}) | ({"mariadb"} if folders & ABOVE else set())
    return [name for name in names if name not in left]


class _Shared:
    """The databases that this process knows: the shared servers are started by whoever needs one first."""

    def __init__(self, folder: Path) -> None:
        self._known: dict[str, Databases] = {"sqlite": Sqlite(folder)}
        self._servers: dict[str, PostgreSQL | MariaDB] = {}

    def __getitem__(self, name: str) -> Databases:
        if name not in self._known:
            url = _given(name)
            made = on(name, url) if url else _started(name)
            made.keep()
            self._known[name] = self._servers[name] = made
        return self._known[name]

    def close(self) -> None:
        """Leave the servers."""
        for server in self._servers.values():
            server.close()


def _started(name: str) -> PostgreSQL | MariaDB:
    run = Run.current()
    run.keep()
    with run.alone(name) as place:
        if (place / "failed").exists():
            raise MissingServerError((place / "failed").read_text(encoding="utf-8"))
        try:
            server = make(name, place)
            if not (place / "started").exists():
                server.start()
        except Exception as error:
            (place / "failed").write_text(str(error), encoding="utf-8")
            raise
        (place / "started").touch()
    return server.databases()


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Shared]:
    shared = _Shared(tmp_path_factory.mktemp("sqlite"))
    yield shared
    shared.close()


@pytest.fixture
def database(request: pytest.FixtureRequest, _shared: _Shared) -> Iterator[Databases]:
    """What makes databases of the kind that this test runs on; those it makes go with the test."""
    databases = _shared[request.param]
    yield databases
    databases.drop_all()


@pytest.fixture
def url(database: Databases) -> str:
    """An empty database of one's own, set up by an engine."""
    return database.new(EMPTY_ENGINE)


@pytest.fixture
def private_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that no other test sees: to be restarted, killed, filled."""
    run = Run.current()
    run.keep()
    number = f"{request.param}-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-{len(list(run.folder.iterdir()))}"
    with run.alone(number) as place:
        server = make(request.param, place)
        server.start()
    yield server
    with suppress(Exception):  # the test may have stopped it
        server.kill()
