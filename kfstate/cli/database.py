"""Which database, and opening it: commands that only read never create one."""

from pathlib import Path
from typing import TYPE_CHECKING

from kfstate.cli.exits import DatabaseError, UsageError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

__all__ = ["file_of", "masked", "must_exist", "url_of"]

_VERSION_TABLE = "kfstate_alembic_version"


def url_of(given: str) -> str:
    """Return a database URL: the given one, or that of the SQLite file with this path."""
    return given if "://" in given else f"sqlite:///{given}"


def file_of(url: str) -> Path | None:
    """Return the SQLite file behind a URL; None where there is none (in memory, a server)."""
    parsed = _parse(url)
    name = parsed.database or ""
    if parsed.get_backend_name() != "sqlite" or name in {"", ":memory:"} or name.startswith("file:"):
        return None
    return Path(name)


def must_exist(url: str) -> None:
    """Raise an error unless a kfstate database is there; look without changing anything."""
    path = file_of(url)
    if path is None:
        return
    if not path.is_file():
        raise DatabaseError(f"there is no database at {path}: `kfstate ingest` or `kfstate db upgrade` creates one")
    import sqlite3

    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_VERSION_TABLE,)).fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise DatabaseError(f"{path} cannot be read as a database: {error}") from error
    if found is None:
        raise DatabaseError(f"{path} holds no kfstate tables: `kfstate db upgrade` creates them")


def masked(url: str) -> str:
    """Return a URL without its password."""
    return _parse(url).render_as_string(hide_password=True) if "@" in url else url


def _parse(url: str) -> "URL":
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise UsageError(f"--db: {url!r} is no database URL, for example sqlite:///kfstate.db") from error
