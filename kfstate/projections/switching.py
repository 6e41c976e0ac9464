"""Which build is live: brought to the head, switched in one transaction, compared before, taken back after."""

from collections.abc import Sequence

import attrs
from sqlalchemy import Connection

from kfstate.errors import ProjectionError
from kfstate.projections import builds, comparing
from kfstate.projections.building import Family, Site, reached
from kfstate.projections.builds import Build
from kfstate.projections.comparing import BuildDifference
from kfstate.projections.live import lag_of
from kfstate.store.head import lock_head, read_head

__all__ = ["BACK", "FORTH", "difference", "newest", "switch"]

FORTH, BACK = ("ready", "kept"), ("kept", "ready")
"""The status of the build that becomes live, and what the live one becomes."""
_NEAR = 2_000
_TRIES = 50


def newest(conn: Connection, name: str, *statuses: str) -> Build | None:
    """Return the newest build of a projection that has one of these statuses."""
    return next((build for build in reversed(builds.builds(conn, name)) if build.status in statuses), None)


def switch(site: Site, families: Sequence[Family], way: tuple[str, str] = FORTH) -> list[Build]:
    """Make the ready build of each of these projections the live one, all in one transaction.

    With :data:`BACK`: the kept build, which was live before. Each is brought to the head of the log first, the last bit
    of it under the lock. Returns the builds that are live then. Raises :class:`~kfstate.errors.ProjectionError` and
    changes nothing where one of them has no such build, or where other code made it.
    """
    for family in families:
        _near(site, family, way[0])
    with site.database.writing() as conn:
        head = lock_head(conn)
        return [_flip(site, conn, family, way, head.position) for family in sorted(families, key=lambda one: one.name)]


def _near(site: Site, family: Family, status: str) -> None:
    """Bring a build near the head, some entries at a time, so that the switch itself is short."""
    folding = family.folding()
    while True:
        with site.database.writing() as conn:
            head = lock_head(conn).position
            build = _usable(conn, family, status, head)
            if head - build.position <= _NEAR:
                return
            position = folding.advance(conn, build, limit=_NEAR)
            builds.store(conn, reached(conn, build, position, at=site.clock.now()))


def _usable(conn: Connection, family: Family, status: str, head: int) -> Build:
    build = newest(conn, family.name, status)
    if build is None:
        raise ProjectionError(family.name, 0, f"it has no build that is {status}")
    build = builds.lock(conn, family.name, build.version) or build
    if build.fingerprint != family.fingerprint:
        raise ProjectionError(family.name, build.version, "other code made this build, and has to go on with it")
    if lag_of(build, head) < 0:
        raise ProjectionError(family.name, build.version, "the log lost its tail since: build it anew")
    return build


def _at_head(site: Site, conn: Connection, family: Family, build: Build, head: int) -> Build:
    folding = family.folding()
    while build.position < head:
        position = folding.advance(conn, build, until=head)
        if position == build.position:
            raise ProjectionError(family.name, build.version, f"it cannot be folded beyond position {position} now")
        build = reached(conn, build, position, at=site.clock.now())
    return build


def _flip(site: Site, conn: Connection, family: Family, way: tuple[str, str], head: int) -> Build:
    new = _at_head(site, conn, family, _usable(conn, family, way[0], head), head)
    old = newest(conn, family.name, "live")
    if old is not None:
        builds.store(conn, attrs.evolve(old, status=way[1]))
    made = attrs.evolve(new, status="live", error=None)
    builds.store(conn, made)
    return made


def difference(site: Site, family: Family, version: int | None = None) -> BuildDifference:
    """Compare the live build with another one (default: the newest that is ready, else kept), row by row.

    Both are brought to the head of the log first, under a short lock, and are compared in one snapshot: writes go on.
    Raises :class:`~kfstate.errors.ProjectionError` where there is no other build.
    """
    for last in (*[False] * _TRIES, True):
        with site.database.writing() as conn:
            old, new = _pair(site, conn, family, version)
        with site.database.reading() as conn:
            together = read_head(conn).position == new.position
            if together or last or old.position != new.position:
                tables = comparing.compare(conn, family.tables, old.version, new.version)
                return BuildDifference(
                    family.name, old.version, new.version, old.position, new.position, tables
                )  # fmt: skip
    raise AssertionError


def _pair(site: Site, conn: Connection, family: Family, version: int | None) -> tuple[Build, Build]:
    head = lock_head(conn).position
    old = builds.live(conn, family.name, tables=family.tables)
    found = builds.builds(conn, family.name)
    if version is None:
        new = newest(conn, family.name, "ready") or newest(conn, family.name, "kept")
    else:
        new = next((build for build in found if build.version == version), None)
    if new is None or new.version == old.version or new.status == "dropping":
        raise ProjectionError(family.name, version or 0, "there is no other build to compare the live one with")
    pair = []
    for build in (old, new):
        ours = build.fingerprint == family.fingerprint and build.status in {"live", "ready", "kept"}
        if ours and not build.error and lag_of(build, head) > 0:
            build = _at_head(site, conn, family, build, head)  # noqa: PLW2901 (the same build, further on)
            builds.store(conn, build)
        pair.append(build)
    return pair[0], pair[1]
