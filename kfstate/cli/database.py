"""Which database, and opening it: commands that only read never create one."""

from pathlib import Path
from typing import TYPE_CHECKING

from kfstate.cli.exits import DatabaseError, UsageError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

__all__ = ["file_of", "masked", "must_exist", "must_know", "url_of"]

_VERSION_TABLE = "kfstate_alembic_version"
_CORPORATIONS = (
    "SELECT corp_id FROM kf_stream WHERE customer = 0 AND servicer = 0 AND open_kfid = '' AND kind = 'log' "
    "ORDER BY corp_id LIMIT 5"
)


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


def must_know(url: str, corp_id: str) -> None:
    """Raise an error where the log has entries, and none of this corporation: nothing is asked of it, or written."""
    from contextlib import closing

    from sqlalchemy import inspect

    from kfstate.store.database import Database
    from kfstate.store.dialect import as_text, query
    from kfstate.store.read import find_stream
    from kfstate.store.rows import StreamKey

    with closing(Database(url)) as database, database.reading() as conn:
        if not inspect(conn).has_table("kf_stream") or find_stream(conn, StreamKey(corp_id, "log")) is not None:
            return
        known = [as_text(one) for (one,) in query(conn, _CORPORATIONS)]
    if known:
        raise UsageError(f"--corp-id: the log has nothing of {corp_id!r}, but of {', '.join(map(repr, known))}")


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
