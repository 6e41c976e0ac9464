"""Empty databases, made fast: copies of a template that the first test of a run sets up.

kfstate is imported inside the functions: this module is loaded before coverage is measured.
"""

import itertools
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import attrs
from sqlalchemy import URL, Connection, create_engine, make_url
from sqlalchemy import Engine as Connections
from sqlalchemy.pool import NullPool

from tests.servers.runs import Run

__all__ = [
    "EMPTY_ENGINE",
    "EMPTY_LOG",
    "NOW",
    "Databases",
    "MariaDB",
    "PostgreSQL",
    "Sqlite",
    "Template",
    "entropy",
    "on",
]

NOW = 1_767_225_600
"""Seconds: when every log of a template begins."""


@attrs.frozen
class Template:
    """What a database is a copy of: its name, and what sets it up behind a URL."""

    name: str
    set_up: Callable[[str], None]


def _engine(url: str) -> None:
    from kfstate.engine import Engine
    from kfstate.testing import FrozenClock

    with Engine(url, clock=FrozenClock.at(NOW)) as engine:
        assert 1 == engine.position()


def entropy(count: int) -> bytes:
    """Give the same bytes every time."""
    return bytes(number % 251 for number in range(count))


def _log(url: str) -> None:
    from kfstate.store import dialect, schema

    made = dialect.open_database(url)
    with dialect.begin(made, write=True) as conn:
        schema.upgrade(conn, now=1_760_000_000_000_000, entropy=entropy)
    made.dispose()


EMPTY_ENGINE = Template("engine", _engine)
"""As an engine leaves it that opened it at :data:`NOW`: the machine of this release is its first entry."""
EMPTY_LOG = Template("log", _log)
"""The schema, a log that began with fixed randomness, and no entry."""


class Databases(Protocol):
    """Makes databases of one kind, and takes them away again."""

    name: str

    def new(self, template: Template | None = None) -> str:
        """Return the URL of a new database: a copy of a template, or with nothing in it."""
        ...

    def drop_all(self) -> None:
        """Take away every database that :meth:`new` made, whoever is still connected."""
        ...


class Sqlite:
    """SQLite: files."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        """Make them in this folder."""
        self._folder = folder
        self._count = itertools.count()
        self._made: list[Path] = []

    def new(self, template: Template | None = None) -> str:
        """Return the URL of a file that is not there yet, or a copy of a template."""
        path = self._folder / f"{next(self._count)}.db"
        self._made.append(path)
        if template is not None:
            original = self._folder / f"{template.name}.template"
            if not original.exists():
                template.set_up(f"sqlite:///{original}")
            shutil.copy(original, path)
        return f"sqlite:///{path}"

    def drop_all(self) -> None:
        """Remove the files."""
        while self._made:
            path = self._made.pop()
            for suffix in ("", "-wal", "-shm", "-journal"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)


class _OnServer:
    """What both servers do alike."""

    ALL: str
    """The statement that lists the databases."""

    def __init__(self, name: str, admin: URL) -> None:
        """Make databases as ``admin``, on the server that this URL leads to."""
        self.name = name
        self.admin = admin
        self._run = f"kf_{Run.current().folder.name.removeprefix('kfstate-')}_"
        self._prefix = f"{self._run}{os.getpid()}_{id(self) % 99_991}_"
        self._count = itertools.count()
        self._made: list[str] = []
        self._engine: Connections | None = None
        self._lock = threading.Lock()

    def new(self, template: Template | None = None) -> str:
        """Return the URL of a new database."""
        original = None if template is None else self._template(template)
        with self._lock:
            name = f"{self._prefix}{next(self._count)}"
            self._made.append(name)
        with self._admin() as conn:
            self._create(conn, name, original)
        return self._url(name)

    def drop_all(self) -> None:
        """Drop every database that was made."""
        with self._admin() as conn:
            while self._made:
                self._drop(conn, self._made.pop())

    def sweep(self) -> None:
        """Drop whatever this run has left on a server that stays."""
        with self._admin() as conn:
            for name in conn.exec_driver_sql(self.ALL).scalars().all():
                if name.startswith(self._run):
                    self._drop(conn, name)

    def _template(self, template: Template) -> str:
        name = f"{self._run}{template.name}"
        with Run.current().alone(f"{self.name}-template-{template.name}") as place:
            done = place / _safe(self._url(name))  # private servers have templates of their own
            if not done.exists():
                with self._admin() as conn:
                    self._drop(conn, name)
                    self._create(conn, name, None)
                template.set_up(self._url(name))
                done.touch()
        return name

    def _url(self, database: str) -> str:
        return self.admin.set(database=database).render_as_string(hide_password=False)

    @contextmanager
    def _admin(self) -> Iterator[Connection]:
        if self._engine is None:
            self._engine = create_engine(plain(self.admin), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with self._engine.connect() as conn:
            yield conn

    def _create(self, conn: Connection, name: str, template: str | None) -> None:
        raise NotImplementedError

    def _drop(self, conn: Connection, name: str) -> None:
        raise NotImplementedError


class PostgreSQL(_OnServer):
    """PostgreSQL: it copies databases by itself."""

    ALL = "SELECT datname FROM pg_database"

    def _create(self, conn: Connection, name: str, template: str | None) -> None:
        copied = f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
        conn.exec_driver_sql(f"CREATE DATABASE {name}{copied}")

    def _drop(self, conn: Connection, name: str) -> None:
        conn.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class MariaDB(_OnServer):
    """MariaDB: tables, rows and triggers are copied one by one."""

    ALL = "SHOW DATABASES"

    def __init__(self, name: str, admin: URL) -> None:
        """Make databases as ``admin``."""
        super().__init__(name, admin)
        self._recipes: dict[str, list[str]] = {}

    def _create(self, conn: Connection, name: str, template: str | None) -> None:
        conn.exec_driver_sql(f"CREATE DATABASE {name}")
        if template is None:
            return
        if template not in self._recipes:
            self._recipes[template] = _recipe(conn, template)
        with closing(conn.connection.cursor()) as cursor:  # the statements hold % that are no parameters
            cursor.execute(f"USE {name}")
            for statement in self._recipes[template]:
                cursor.execute(statement)

    def _drop(self, conn: Connection, name: str) -> None:
        busy = conn.exec_driver_sql("SELECT id FROM information_schema.processlist WHERE db = %s", (name,)).scalars()
        for connection in busy.all():
            conn.exec_driver_sql(f"KILL HARD {connection}")
        conn.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")


def _recipe(conn: Connection, database: str) -> list[str]:
    """Return what makes a copy of a database, in the order that its triggers allow."""

    def ask(sql: str) -> list[tuple[str, ...]]:
        return [tuple(row) for row in conn.exec_driver_sql(sql)]

    made = ["SET foreign_key_checks = 0"]
    tables = [table for (table, *_) in ask(f"SHOW FULL TABLES FROM {database} WHERE table_type = 'BASE TABLE'")]
    made += [ask(f"SHOW CREATE TABLE {database}.{table}")[0][1] for table in tables]
    for table in tables:
        if ask(f"SELECT 1 FROM {database}.{table} LIMIT 1"):
            made.append(f"INSERT INTO {table} SELECT * FROM {database}.{table}")
    made += [
        ask(f"SHOW CREATE TRIGGER {database}.{trigger}")[0][2]
        for (trigger, *_) in ask(f"SHOW TRIGGERS FROM {database}")
    ]
    return made


def plain(url: str | URL) -> URL:
    """Return a URL with the driver named, for an SQLAlchemy engine that knows nothing of kfstate."""
    url = make_url(url)
    driver = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}
    return url.set(drivername=driver.get(url.drivername, url.drivername))


def _safe(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in text)


def on(name: str, url: str) -> MariaDB | PostgreSQL:
    """Return what makes databases on a server that runs already."""
    admin = make_url(url)
    return MariaDB(name, admin) if name == "mariadb" else PostgreSQL(name, admin)
