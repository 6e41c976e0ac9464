"""Empty databases, made fast: copies of a template that the first test of a run sets up.

A database that a test is done with is used again where nothing but rows has changed in it: tests.servers.resetting.
"""

import itertools
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import URL, Connection, create_engine, make_url
from sqlalchemy import Engine as Connections
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from tests.servers.resetting import MariaCopy, PostgresCopy
from tests.servers.runs import Run
from tests.servers.templates import EMPTY_ENGINE, EMPTY_LOG, NOW, Template, entropy

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


class Databases(Protocol):
    """Makes databases of one kind, and takes them away again."""

    name: str

    def new(self, template: Template | None = None) -> str:
        """Return the URL of a database of one's own: as a new copy of a template, or with nothing in it."""
        ...

    def drop_all(self) -> None:
        """Take back every database that :meth:`new` gave, whoever is still connected."""
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


Copy = TypeVar("Copy", PostgresCopy, MariaCopy)

_COUNT = itertools.count()
_LEAVING = 0.1
"""Seconds until who has closed a connection has left."""


class _OnServer(Generic[Copy]):
    """What both servers do alike."""

    ALL: str
    """The statement that lists the databases."""
    BUSY: str
    """The statement that lists the connections to a database."""

    def __init__(self, name: str, admin: URL) -> None:
        """Make databases as ``admin``, on the server that this URL leads to."""
        self.name = name
        self.admin = admin
        self._run = f"kf_{Run.current().folder.name.removeprefix('kfstate-')}_"
        self._prefix = f"{self._run}{os.getpid()}_{next(_COUNT)}_"
        self._count = itertools.count()
        self._made: list[tuple[str, str | None]] = []
        self._used: list[tuple[str, str]] = []
        self._templates: dict[str, str] = {}
        self._copies: dict[str, Copy | None] = {}
        self._kept = False
        self._engine: Connections | None = None
        self._lock = threading.Lock()

    def keep(self) -> None:
        """Stay connected, and use databases again, until :meth:`close`."""
        self._kept = True

    def close(self) -> None:
        """Close the connections."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def new(self, template: Template | None = None) -> str:
        """Return the URL of a new database, or of one that nothing tells from a new one."""
        original = None if template is None else self._template(template)
        with self._lock:
            name = f"{self._prefix}{next(self._count)}"
            used = next((one for one in self._used if one[1] == original), None)
            if used:
                self._used.remove(used)
        with self._admin() as conn:
            if used and (again := self._again(conn, *used, name)):
                name = again
            else:
                self._create(conn, name, original)
                if self._kept and original and original not in self._copies:
                    self._copies[original] = self._look(conn, name, original)
        with self._lock:
            self._made.append((name, original))
        return self._url(name)

    def _again(self, conn: Connection, used: str, template: str, name: str) -> str | None:
        """Make a database that was used as new, and return what it is called now; else drop it."""
        copy = self._copies[template]
        with suppress(Exception):  # whatever a test has done to it
            if copy and (again := self._reset(conn, copy, used, name)) and self._left(conn, again):
                return again
        self._drop(conn, used)
        self._drop(conn, name)
        return None

    def drop_all(self) -> None:
        """Take back every database that was made; what somebody is still connected to is dropped."""
        with self._admin() as conn:
            while self._made:
                name, template = self._made.pop()
                if template is not None and self._copies.get(template) and self._left(conn, name):
                    self._used.append((name, template))
                else:
                    self._drop(conn, name)

    def _left(self, conn: Connection, name: str) -> bool:
        """Tell whether everybody has left the database; who closes a connection does not wait for the server."""
        until = time.monotonic() + _LEAVING
        while conn.exec_driver_sql(self.BUSY, (name,)).first():
            if time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True

    def sweep(self) -> None:
        """Drop whatever this run has left on a server that stays."""
        with self._admin() as conn:
            for name in conn.exec_driver_sql(self.ALL).scalars().all():
                if name.startswith(self._run):
                    self._drop(conn, name)

    def _template(self, template: Template) -> str:
        if template.name in self._templates:
            return self._templates[template.name]
        name = f"{self._run}{template.name}"
        with Run.current().alone(f"{self.name}-template-{template.name}") as place:
            done = place / _safe(self._url(name))  # private servers have templates of their own
            if not done.exists():
                with self._admin() as conn:
                    self._drop(conn, name)
                    self._create(conn, name, None)
                template.set_up(self._url(name))
                done.touch()
        self._templates[template.name] = name
        return name

    def _url(self, database: str) -> str:
        return self.admin.set(database=database).render_as_string(hide_password=False)

    @contextmanager
    def _admin(self) -> Iterator[Connection]:
        if self._engine is None:
            self._engine = create_engine(plain(self.admin), isolation_level="AUTOCOMMIT", **_pool(self._kept))
        with self._engine.connect() as conn:
            yield conn

    def _create(self, conn: Connection, name: str, template: str | None) -> None:
        raise NotImplementedError

    def _drop(self, conn: Connection, name: str) -> None:
        raise NotImplementedError

    def _look(self, conn: Connection, name: str, template: str) -> Copy | None:
        """Look at a new copy of a template; None where none is to be used again."""
        raise NotImplementedError

    def _reset(self, conn: Connection, copy: Copy, used: str, name: str) -> str | None:
        """Make a database as new, rename it where that can be done, and return its name; None where it cannot be."""
        raise NotImplementedError


class PostgreSQL(_OnServer[PostgresCopy]):
    """PostgreSQL: it copies databases by itself."""

    ALL = "SELECT datname FROM pg_database"
    BUSY = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"

    def _create(self, conn: Connection, name: str, template: str | None) -> None:
        copied = f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
        conn.exec_driver_sql(f"CREATE DATABASE {name}{copied}")

    def _drop(self, conn: Connection, name: str) -> None:
        conn.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _look(self, conn: Connection, name: str, template: str) -> PostgresCopy | None:
        del conn, template
        return PostgresCopy.of(self._plain(name))

    def _reset(self, conn: Connection, copy: PostgresCopy, used: str, name: str) -> str | None:
        conn.exec_driver_sql(f"ALTER DATABASE {used} RENAME TO {name}")  # who comes late finds nothing there
        return name if copy.reset(self._plain(name)) else None

    def _plain(self, name: str) -> str:
        return self.admin.set(drivername="postgresql", database=name).render_as_string(hide_password=False)


class MariaDB(_OnServer[MariaCopy]):
    """MariaDB: tables, rows and triggers are copied one by one."""

    ALL = "SHOW DATABASES"
    BUSY = "SELECT id FROM information_schema.processlist WHERE db = %s"

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
            cursor.execute("SET foreign_key_checks = 1")
            cursor.execute("USE information_schema")

    def _drop(self, conn: Connection, name: str) -> None:
        for connection in conn.exec_driver_sql(self.BUSY, (name,)).scalars().all():
            with suppress(DBAPIError):  # it has gone by itself
                conn.exec_driver_sql(f"KILL HARD {connection}")
        try:
            conn.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
        except DBAPIError:  # a table was still being made by somebody who is gone now
            conn.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")

    def _look(self, conn: Connection, name: str, template: str) -> MariaCopy | None:
        return MariaCopy.of(conn, name, template)

    def _reset(self, conn: Connection, copy: MariaCopy, used: str, _name: str) -> str | None:
        return used if copy.reset(conn, used) else None


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


def _pool(kept: bool) -> dict[str, Any]:  # noqa: FBT001
    return {"pool_pre_ping": True} if kept else {"poolclass": NullPool}


def _safe(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in text)


def on(name: str, url: str) -> MariaDB | PostgreSQL:
    """Return what makes databases on a server that runs already."""
    admin = make_url(url)
    return MariaDB(name, admin) if name == "mariadb" else PostgreSQL(name, admin)
