"""Bringing a live build to the head of the log beside the appends, once or until it is stopped."""

import logging

import attrs
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from kfstate.concurrency import Signal
from kfstate.errors import ClosedError, CorruptLogError, ProjectionError, StoreError
from kfstate.projections import builds
from kfstate.projections.building import Family, Site, reached
from kfstate.projections.builds import Build
from kfstate.projections.live import lag_of
from kfstate.store.head import lock_head, read_head

__all__ = ["run"]

_logger = logging.getLogger("kfstate")
_AT_ONCE = 1_000
_STEP = 0.1
"""How many seconds go by at most until a stop is seen."""
_FOR_GOOD = (ClosedError, CorruptLogError, ProjectionError)
"""What no waiting mends."""


def run(site: Site, family: Family, *, follow: bool, stop: Signal, poll: float) -> None:
    """Bring the live build to the head; with ``follow`` go on until ``stop``, and look every ``poll`` seconds.

    Raises :class:`~kfstate.errors.ProjectionError`, and keeps the error with the build, where it fails. With ``follow``
    it goes on after whatever else the database fails with, when that is over.
    """
    committed = site.signal()
    site.database.committed.append(committed.set)
    try:
        while not stop.is_set():
            committed.clear()
            try:
                while _lags(site, family) and _further(site, family) and not stop.is_set():
                    pass
            except (SQLAlchemyError, StoreError) as error:
                if not follow or isinstance(error, _FOR_GOOD):
                    raise
                _logger.warning("%s: %s", family.name, error, extra={"action": "projection"})
            if not follow:
                break
            _wait(committed, stop, poll)
    finally:
        site.database.committed.remove(committed.set)


def _wait(committed: Signal, stop: Signal, poll: float) -> None:
    """Wait for a commit of this engine or a stop, ``poll`` seconds at most."""
    left = poll
    while left > 0 and not stop.is_set() and not committed.wait(min(left, _STEP)):
        left -= _STEP


def _lags(site: Site, family: Family) -> bool:
    with site.database.reading() as conn:
        build = builds.live(conn, family.name, tables=family.tables)
        return build.position != read_head(conn).position or not build.of_this_log


def _further(site: Site, family: Family) -> bool:
    """Fold one transaction's worth of entries; tell whether there is more."""
    try:
        with site.database.writing() as conn:
            # Appends write to inline ones, so that their lock is the head's.
            head = (lock_head if family.inline else read_head)(conn).position
            build = _usable(conn, family, head)
            position = family.folding().advance(conn, build, limit=_AT_ONCE)
            if position != build.position:
                further = reached(conn, build, position, at=site.clock.now())
                builds.store(conn, attrs.evolve(further, fingerprint=family.fingerprint, error=None))
            return build.position < position < head
    except ProjectionError as error:
        _note(site, family, error)
        raise


def _usable(conn: Connection, family: Family, head: int) -> Build:
    build = builds.live(conn, family.name, tables=family.tables)
    build = builds.lock(conn, family.name, build.version) or build
    if build.status != "live" or build.fingerprint not in {family.fingerprint, ""}:
        raise ProjectionError(family.name, build.version, "other code made the live build: build it anew")
    if lag_of(build, head) < 0:
        raise ProjectionError(family.name, build.version, "the log lost its tail since: build it anew")
    return build


def _note(site: Site, family: Family, error: ProjectionError) -> None:
    """Keep the error with the live build, where that is of this code."""
    with site.database.writing() as conn:
        build = builds.lock(conn, family.name, error.version)
        if build is not None and build.status == "live" and build.fingerprint == family.fingerprint:
            builds.store(conn, attrs.evolve(build, error=error.reason))
