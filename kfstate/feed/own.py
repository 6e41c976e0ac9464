"""Users' own projections: tables of theirs, kept at the head of the log by kfstate.

An inline one is projected in the transaction of every append; the others follow with ``engine.projections.run``.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import attrs
from sqlalchemy import Connection, Table

from kfstate.errors import ConnectionLostError, ProjectionError, StorageFullError, StoreError, UndoneError
from kfstate.feed.events import Event, read_events
from kfstate.projections import builds
from kfstate.projections.building import reached
from kfstate.projections.builds import Build
from kfstate.projections.live import Inline, lag_of
from kfstate.store.connecting import backend_of
from kfstate.store.dialect import failed, gone
from kfstate.store.rows import Head

__all__ = ["Own", "Projection", "distinct", "inline"]

_logger = logging.getLogger("kfstate")
_READ = 500
_NEAR = 2_000
"""How many entries an append projects for others before its own; more are left to ``run``."""
_TRANSACTION_IS_GONE = (ConnectionLostError, UndoneError, StorageFullError)
"""Nobody's fault: the transaction it happened in is to be tried again."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Projection(Protocol):
    """What a projection of one's own has to be: a name, a version, tables, and what an event does to them."""

    @property
    def name(self) -> str:
        """Its name: at most 64 letters, digits, ``_``, ``.`` and ``-``."""
        ...

    @property
    def version(self) -> int | str:
        """The version of its code and tables. What another version made is left alone, and has to be built anew."""
        ...

    @property
    def inline(self) -> bool:
        """Whether it is projected in the transaction of every append."""
        ...

    @property
    def tables(self) -> Sequence[Table]:
        """Its tables, which kfstate creates: with primary keys, and names that do not begin with ``kf_``."""
        ...

    def project(self, conn: Connection, events: Sequence[Event], tables: Mapping[str, Table]) -> None:
        """Write what these events do into the tables of one build, and nothing else.

        ``tables`` are by their plain names; those of build N > 1 are called ``…_vN``. Neither commits nor rolls back.
        An error rolls back what this call did, and marks the projection as failed.
        """
        ...


@attrs.frozen
class Own:
    """A user's projection, as what can be built and kept at the head of the log."""

    projection: Projection

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be told from others."""
        name, tables = self.projection.name, self.projection.tables
        bad = [table.name for table in tables if table.name.startswith("kf_") or not table.primary_key.columns]
        if not _NAME.fullmatch(name) or name == builds.NAME:
            raise ProjectionError(name, 0, "a name is 1 to 64 letters, digits, '_', '.' or '-', and not 'shipped'")
        if bad or not tables:
            raise ProjectionError(name, 0, f"tables need a primary key, and a name without 'kf_' in front: {bad}")

    @property
    def name(self) -> str:
        """The projection's name."""
        return self.projection.name

    @property
    def tables(self) -> Iterable[Table]:
        """The projection's tables."""
        return self.projection.tables

    @property
    def fingerprint(self) -> str:
        """The version of the projection's code."""
        return str(self.projection.version)

    @property
    def inline(self) -> bool:
        """Whether appends project it."""
        return self.projection.inline

    def folding(self) -> "Own":
        """Return itself: nothing is held between transactions."""
        return self

    def advance(self, conn: Connection, build: Build, *, until: int | None = None, limit: int | None = None) -> int:
        """Project what comes after the build's position; return the position reached.

        Raises :class:`~kfstate.errors.ProjectionError` where the first event fails; what an event does is done or not.
        """
        after, most = build.position, _READ if limit is None else min(limit, _READ)
        events = [event for event in read_events(conn, after, most) if until is None or event.position <= until]
        for event in events:
            if event.entry.problem:
                _logger.warning(
                    "%s is not told of position %d: %s", self.name, event.position, event.entry.problem,
                    extra={"action": "event_skipped", "position": event.position},
                )  # fmt: skip
        if not events:
            return after
        try:
            return self._project(conn, build, events)
        except Exception as error:
            if _undone(conn, error) is not None:
                raise
            _logger.debug("%s: one by one, because of %r", self.name, error, extra={"action": "projection"})
        return self._one_by_one(conn, build, events)

    def _one_by_one(self, conn: Connection, build: Build, events: Sequence[Event]) -> int:
        """Project events until one fails, and raise only where the first does."""
        after = build.position
        for event in events:
            try:
                after = self._project(conn, build, [event])
            except Exception as error:
                if _undone(conn, error) is not None:
                    raise
                if after > build.position:
                    return after
                reason = f"position {event.position}: {type(error).__name__}: {error}"
                raise ProjectionError(build.name, build.version, reason) from error
        return after

    def _project(self, conn: Connection, build: Build, events: Sequence[Event]) -> int:
        sound = [event for event in events if not event.entry.problem]
        savepoint, projected = conn.begin_nested(), False
        try:
            self.projection.project(conn, sound, builds.tables_of(self.tables, build.version))
            _ask_standing(conn)
            projected = True
            savepoint.commit()
        except BaseException as error:
            undone = _undone(conn, error)
            try:
                if conn.get_nested_transaction() is savepoint:
                    savepoint.rollback()
            except Exception:  # noqa: BLE001 (whatever it says, what went before it is the reason)
                projected = True
            if undone is None and projected:  # the savepoint is gone, and so is what was before it
                undone = UndoneError(reason=f"{self.name}: {type(error).__name__}: {error}")
            if undone is None or not isinstance(error, Exception):
                raise
            raise undone from error
        return events[-1].position


def _ask_standing(conn: Connection) -> None:
    """Raise an error where the database takes no more statements, because one of them failed."""
    if not backend_of(conn).standing(conn):
        message = "project() went on after an error of the database"
        raise RuntimeError(message)


def _undone(conn: Connection, error: BaseException) -> StoreError | None:
    """Return why nothing of the transaction is left, or None where an error did not take it away."""
    meant = failed(conn, error) if isinstance(error, Exception) else None
    return gone(conn) or (meant if isinstance(meant, _TRANSACTION_IS_GONE) else None)


def distinct(owns: Iterable[Own]) -> None:
    """Refuse two projections with one name, and a table that is in two, or twice in one.

    Raises :class:`~kfstate.errors.ProjectionError`.
    """
    names: set[str] = set()
    tables: set[str] = set()
    for own in owns:
        if own.name in names:
            raise ProjectionError(own.name, 0, "two projections have this name")
        names.add(own.name)
        # By plain name, whatever its schema: so does a projection get its tables. Databases may ignore the case.
        for name in (table.name.casefold() for table in own.tables):
            if name in tables:
                raise ProjectionError(own.name, 0, f"a table belongs to one projection, once: {name}")
            tables.add(name)


def inline(owns: Iterable[Own]) -> Inline | None:
    """Return what projects an append onto the inline ones of these; None where there are none.

    An error marks the projection as failed, and the append goes on. One that lags far behind is left to ``run``.
    """
    wanted = [own for own in owns if own.inline]
    if not wanted:
        return None

    def project(conn: Connection, head: Head, head_before: int) -> None:
        for own in wanted:
            _inline(conn, own, head, head_before)

    return project


def _inline(conn: Connection, own: Own, head: Head, head_before: int) -> None:
    build = builds.mine(conn, own.fingerprint, own.name, tables=own.tables)
    if build is None or build.error or not 0 <= lag_of(build, head_before) <= _NEAR:
        return
    while build.position < head.position:
        try:
            position = own.advance(conn, build, until=head.position)
        except ProjectionError as error:
            build = attrs.evolve(build, error=error.reason)
            break
        if position == build.position:
            break
        build = reached(conn, build, position, at=head.recorded_at)
    builds.store(conn, build)
