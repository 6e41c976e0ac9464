"""Building: a projection is folded again into tables of its own, beside the live one, while writes go on.

In transactions of a few thousand entries, each with the position that it reached: an interrupted build goes on where it
stood. A builder locks the row of its build and never the head of the log, but to choose a number; whoever waits for the
row of a build that goes on has not locked the head.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

import attrs
from sqlalchemy import Connection, Table

from kfstate.clock import Clock
from kfstate.concurrency import Signal
from kfstate.errors import ProjectionError
from kfstate.projections import builds
from kfstate.projections.builds import Build
from kfstate.store.checkpoint import chain_at
from kfstate.store.database import Database
from kfstate.store.dialect import query
from kfstate.store.head import lock_head, read_head

__all__ = ["Family", "Folds", "Site", "build", "cancel", "drop", "reached"]

_BUSY = 1_000
_IDLE = 10_000
"""How many entries a transaction folds: fewer where somebody else writes, who must not wait long."""
_PAUSE = 0.25
"""What part of the time a builder leaves to others where somebody else writes: SQLite has one write lock."""
_TO_GO_ON = frozenset({"building", "cancelled", "failed"})


class Folds(Protocol):
    """Folds the log onto one build."""

    def advance(self, conn: Connection, build: Build, *, until: int = ..., limit: int | None = ...) -> int:
        """Fold what comes after the build's position, about ``limit`` entries; return the position reached."""
        ...


class Family(Protocol):
    """A projection as builds know it: the shipped one, or a user's."""

    @property
    def name(self) -> str:
        """Its name in ``kf_projection``."""
        ...

    @property
    def tables(self) -> Iterable[Table]:
        """Its tables, under their plain names."""
        ...

    @property
    def fingerprint(self) -> str:
        """What tells the code that projects from other code."""
        ...

    @property
    def inline(self) -> bool:
        """Whether appends project it."""
        ...

    def folding(self) -> Folds:
        """Return what folds onto one build."""
        ...


@attrs.frozen
class Site:
    """Where builds are made: the database, the time, and how to wait."""

    database: Database
    clock: Clock
    signal: Callable[[], Signal]


def build(
    site: Site, family: Family, *, stop: Signal | None = None, told: Callable[[Build, int], None] | None = None
) -> Build:
    """Build a projection beside the live one, or go on with a build that was interrupted, and return it.

    Its status is ``ready`` then; ``building`` where ``stop`` was raised, ``cancelled`` where somebody cancelled it.
    ``told`` is called after each transaction, with the build and the head of the log.

    Raises :class:`~kfstate.errors.ProjectionError` where the log is not whole, or where a user's projection fails.
    """
    stop = stop or site.signal()
    found = _begin(site, family)
    folding, size, last_head = family.folding(), _BUSY, -1
    while found.status == "building" and not stop.is_set():
        began = site.clock.now()
        found, head = _transaction(site, family, folding, found.version, size)
        if told is not None:
            told(found, head)
        busy = last_head not in {-1, head}
        size, last_head = (_BUSY if busy else _IDLE), head
        if busy and found.status == "building":
            stop.wait((site.clock.now() - began) / 1e6 * _PAUSE)
    return found


def _begin(site: Site, family: Family) -> Build:
    build = None
    while build is None:
        build = _resumed(site, family) or _numbered(site, family)
    with site.database.writing() as conn:
        builds.create_tables(conn, family.tables, build.version)
    with site.database.writing() as conn:
        locked = builds.lock(conn, family.name, build.version)
        if locked is not None and locked.position == 0:
            builds.empty_tables(conn, family.tables, build.version)
    return build


def _resumed(site: Site, family: Family) -> Build | None:
    """Go on with a build that was begun; None where there is none. Its builder may have it locked for a while."""
    with site.database.writing() as conn:
        head = read_head(conn).position
        _whole(conn, family, head)
        now = builds.live(conn, family.name, tables=family.tables)
        found = _to_go_on(conn, now, family, head)
        locked = None if found is None else builds.lock(conn, family.name, found.version)
        if locked is None or not _goes_on(locked, now, family, read_head(conn).position):
            return None
        return _begun(site, conn, now, locked)


def _numbered(site: Site, family: Family) -> Build | None:
    """Begin a build with a number of its own; None where another one has just begun one."""
    with site.database.writing() as conn:
        head = lock_head(conn).position
        _whole(conn, family, head)
        now = builds.live(conn, family.name, tables=family.tables)
        if _to_go_on(conn, now, family, head) is not None:
            return None
        version = max([now.version, *(one.version for one in builds.builds(conn, family.name))]) + 1
        return _begun(site, conn, now, Build(family.name, version, 0, None, family.fingerprint, "building"))


def _begun(site: Site, conn: Connection, now: Build, build: Build) -> Build:
    if now.status == "unknown":
        builds.store(conn, attrs.evolve(now, status="failed", error="its row in kf_projection was gone"))
    at = site.clock.now()
    begun = attrs.evolve(build, status="building", error=None, began_at=at, began_from=build.position, updated_at=at)
    builds.store(conn, begun)
    return begun


def _to_go_on(conn: Connection, now: Build, family: Family, head: int) -> Build | None:
    found = reversed(builds.builds(conn, family.name))
    return next((one for one in found if _goes_on(one, now, family, head)), None)


def _goes_on(build: Build, now: Build, family: Family, head: int) -> bool:
    same = build.status in _TO_GO_ON and build.fingerprint == family.fingerprint and build.version > now.version
    return same and build.of_this_log and build.position <= head


def _whole(conn: Connection, family: Family, head: int) -> None:
    (first,) = query(conn, "SELECT MIN(position) FROM kf_entry")[0]
    if head and first != 1:
        reason = f"the log begins at position {first} here: what is before it has to be read from the archive"
        raise ProjectionError(family.name, 0, reason)


def _transaction(site: Site, family: Family, folding: Folds, version: int, size: int) -> tuple[Build, int]:
    """Fold one transaction's worth of entries; return the build and the head of the log."""
    try:
        with site.database.writing() as conn:
            found = _locked(conn, family, version)
            head = read_head(conn).position
            if found.status != "building":
                return found, head
            found = reached(conn, found, folding.advance(conn, found, limit=size), at=site.clock.now())
            if found.position >= head:
                found = attrs.evolve(found, status="ready")
            builds.store(conn, found)
            return found, head
    except ProjectionError as error:
        _failed(site, family, version, error)
        raise


def _locked(conn: Connection, family: Family, version: int) -> Build:
    found = builds.lock(conn, family.name, version)
    if found is None or found.status == "dropping":
        raise ProjectionError(family.name, version, "it was dropped while it was built")
    return found


def _failed(site: Site, family: Family, version: int, error: ProjectionError) -> None:
    with site.database.writing() as conn:
        found = builds.lock(conn, family.name, version)
        if found is not None and found.status == "building":
            builds.store(conn, attrs.evolve(found, status="failed", error=error.reason))


def reached(conn: Connection, build: Build, position: int, *, at: int) -> Build:
    """Return a build as it is when this position is reached."""
    chain = chain_at(conn, position)
    return attrs.evolve(build, position=position, chain=chain, log_chain=chain, updated_at=at)


def cancel(site: Site, name: str) -> list[Build]:
    """Cancel what is being built of a projection, from whatever process; return the builds that were."""
    cancelled = []
    with site.database.writing() as conn:
        for found in builds.builds(conn, name):
            locked = builds.lock(conn, name, found.version) if found.status == "building" else None
            if locked is not None and locked.status == "building":
                builds.store(conn, attrs.evolve(locked, status="cancelled"))
                cancelled.append(attrs.evolve(locked, status="cancelled"))
    return cancelled


def drop(site: Site, name: str, version: int, tables: Iterable[Table]) -> None:
    """Drop a build that is not live, with its tables; its row goes last, so that a drop that broke off can be repeated.

    Raises :class:`~kfstate.errors.ProjectionError`.
    """
    with site.database.writing() as conn:
        lock_head(conn)  # an append may be writing to it
        found = builds.lock(conn, name, version)
        if found is None:
            raise ProjectionError(name, version, "there is no such build")
        if found.status == "live":
            raise ProjectionError(name, version, "it is live")
        builds.store(conn, attrs.evolve(found, status="dropping"))
    with site.database.writing() as conn:
        if builds.lock(conn, name, version) is not None:  # somebody else may have dropped it meanwhile
            builds.drop_tables(conn, tables, version)
            builds.delete(conn, found)
