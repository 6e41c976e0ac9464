"""What an engine offers about projections: ``engine.projections``."""

import contextlib
import logging
from collections.abc import Iterable, Sequence

import attrs
from sqlalchemy import Connection

from kfstate.concurrency import Signal
from kfstate.errors import ProjectionError, UnknownConversationError
from kfstate.feed.own import Own, Projection, distinct, inline
from kfstate.projections import building, builds, running, switching
from kfstate.projections.building import Family, Site
from kfstate.projections.builds import NAME, Build
from kfstate.projections.comparing import BuildDifference
from kfstate.projections.folding import Shipped
from kfstate.projections.live import INLINE, Difference
from kfstate.projections.refolding import Refolded, refold
from kfstate.projections.switching import BACK, FORTH
from kfstate.projections.views import ProjectionView, Rebuilt, Told, view
from kfstate.store.dialect import NAMES, query
from kfstate.store.head import lock_head, read_head
from kfstate.store.read import find_stream
from kfstate.store.rows import StreamKey

__all__ = ["Projections"]

_logger = logging.getLogger("kfstate")
_ASIDE = frozenset({"kept", "failed", "cancelled", "dropping"})
_APART = {"action": "projections_apart"}


class Projections:
    """The projections of an engine, the shipped one and the users' own: built, compared, switched, run."""

    def __init__(self, site: Site, own: Iterable[Projection] = (), *, corp_id: str = "") -> None:
        """Look after the shipped projections and these.

        Raises :class:`~kfstate.errors.ProjectionError` where a name or a table of theirs cannot be.
        """
        self._site = site
        self._own = [Own(projection) for projection in own]
        distinct(self._own)
        families: list[Family] = [Shipped(), *self._own]
        self._families = {family.name: family for family in families}
        self._corp_id = corp_id
        site.database.options[NAMES] = builds.live_names

    def open(self) -> None:
        """Make the tables of own projections that are new, and bring the inline ones to the head of the log.

        One that fails is left behind with its error, and stops nothing.
        """
        ready = [own for own in self._own if self._prepared(own) and own.inline]
        self._site.database.options[INLINE] = inline(self._own)
        for own in ready:
            with contextlib.suppress(ProjectionError):
                self.run(own.name)

    def _prepared(self, own: Own) -> bool:
        """Make the tables and the row of an own projection that is new; tell whether it can go on."""
        with self._site.database.writing() as conn:
            builds.create_tables(conn, own.tables, builds.live(conn, own.name, tables=()).version)
        with self._site.database.writing() as conn:
            lock_head(conn)
            build = builds.live(conn, own.name, tables=own.tables)
            if build.status == "live" and not build.fingerprint:
                build = attrs.evolve(build, fingerprint=own.fingerprint)
                builds.store(conn, build)
        ours = build.status == "live" and build.fingerprint == own.fingerprint
        if not ours:
            reason = "other code made it" if build.status == "live" else "its row is gone"
            _logger.warning("%s: %s, so it has to be built anew", own.name, reason, extra=_APART)
        return ours and not build.error

    def list(self, name: str | None = None) -> tuple[ProjectionView, ...]:
        """Return every build of every projection (or of one), by name and version."""
        with self._site.database.reading() as conn:
            head = read_head(conn).position
            stored = {found for (found,) in query(conn, "SELECT DISTINCT name FROM kf_projection")}
            stored = {found if isinstance(found, str) else bytes(found).decode() for found in stored}
            return tuple(
                self._view(conn, build, head)
                for known in sorted(stored | self._families.keys())
                if name in {None, known}
                for build in self._of(conn, known)
            )

    def _of(self, conn: Connection, name: str) -> Sequence[Build]:
        found, family = builds.builds(conn, name), self._families.get(name)
        if family is not None and not any(build.status == "live" for build in found):
            unseen = builds.live(conn, name, tables=family.tables)
            found += [unseen] if unseen.version not in {build.version for build in found} else []
        return sorted(found, key=lambda build: build.version)

    def _view(self, conn: Connection, build: Build, head: int) -> ProjectionView:
        family = self._families.get(build.name)
        code = None if family is None else family.fingerprint
        return view(conn, build, head, fingerprint=code, now=self._site.clock.now())

    def build(self, name: str = NAME, *, progress: Told | None = None, stop: Signal | None = None) -> ProjectionView:
        """Build a projection anew beside the live one while writes go on, and return what came of it.

        A build that was interrupted (``stop`` raised, process gone) or cancelled goes on where it stood. See
        :meth:`switch` for what comes then. Raises :class:`~kfstate.errors.ProjectionError` where entries are in the
        archive, or where a user's projection fails.
        """
        family = self._family(name)

        def told(build: Build, head: int) -> None:
            if progress is not None:
                with self._site.database.reading() as conn:
                    progress(self._view(conn, build, head))

        found = building.build(self._site, family, stop=stop, told=told)
        return next(one for one in self.list(name) if one.version == found.version)

    def cancel(self, name: str = NAME) -> int:
        """Cancel what is being built of a projection, in whatever process; return how many builds that were."""
        return len(building.cancel(self._site, name))

    def diff(self, name: str = NAME, version: int | None = None) -> BuildDifference:
        """Compare the live build row by row with another (default: the newest ready one, else the kept one).

        Both are brought to the head of the log, and compared in one snapshot; writes go on. Raises
        :class:`~kfstate.errors.ProjectionError` where there is no other build.
        """
        return switching.difference(self._site, self._family(name), version)

    def switch(self, names: Sequence[str] = (NAME,)) -> tuple[ProjectionView, ...]:
        """Make the ready builds of these projections live, all in one transaction; what was live is kept.

        Raises :class:`~kfstate.errors.ProjectionError`, and then nothing is switched.
        """
        return self._switch(names, FORTH)

    def back(self, names: Sequence[str] = (NAME,)) -> tuple[ProjectionView, ...]:
        """Make the kept builds of these projections live again, all in one transaction; what was live is ready then.

        Raises :class:`~kfstate.errors.ProjectionError`, and then nothing is switched.
        """
        return self._switch(names, BACK)

    def _switch(self, names: Sequence[str], way: tuple[str, str]) -> tuple[ProjectionView, ...]:
        made = switching.switch(self._site, [self._family(name) for name in dict.fromkeys(names)], way)
        with self._site.database.reading() as conn:
            head = read_head(conn).position
            return tuple(self._view(conn, build, head) for build in made)

    def drop(self, name: str, version: int) -> None:
        """Drop a build that is not live, with its tables.

        Raises :class:`~kfstate.errors.ProjectionError`.
        """
        building.drop(self._site, name, version, self._family(name).tables)

    def rebuild(self, name: str = NAME, *, progress: Told | None = None, stop: Signal | None = None) -> Rebuilt:
        """Build a projection anew, compare, and switch where anything differs; what was live is kept then.

        Builds that were kept before are dropped. Where nothing differs the new build is dropped and the live one stays.
        ``switched`` is False also where the build was stopped or cancelled. Raises as :meth:`build`.
        """
        made = self.build(name, progress=progress, stop=stop)
        if made.status != "ready":
            return Rebuilt(name, made.version, made.position, switched=False, difference=None)
        family, difference = self._family(name), None
        with self._site.database.reading() as conn:
            live = builds.live(conn, name, tables=family.tables)
            comparable = live.status == "live" and _whole(conn, family, live.version)
        if comparable:
            difference = self.diff(name, made.version)
        ours = not live.error and live.fingerprint == family.fingerprint and live.of_this_log
        if difference and ours and live.position <= difference.new_position and not difference.different:
            self.drop(name, made.version)
            return Rebuilt(name, live.version, difference.new_position, switched=False, difference=difference)
        with self._site.database.reading() as conn:
            aside = [one.version for one in builds.builds(conn, name) if one.status in _ASIDE]
        (now,) = self.switch([name])
        for version in aside:
            self.drop(name, version)
        return Rebuilt(name, now.version, now.position, switched=True, difference=difference)

    def check(self, name: str = NAME, *, progress: Told | None = None) -> BuildDifference:
        """Build a projection anew, compare it with the live one, and drop it again."""
        made = self.build(name, progress=progress)
        try:
            return self.diff(name, made.version)
        finally:
            self.drop(name, made.version)

    def checked(self, *, progress: Told | None = None) -> Difference:
        """Return in short what :meth:`check` finds of the shipped projections."""
        found = self.check(progress=progress)
        with self._site.database.reading() as conn:
            conversations = int(query(conn, "SELECT COUNT(*) FROM kf_stream WHERE kind = 'conversation'")[0][0])
        tables = {name: table.rows for name, table in found.tables.items()}
        return Difference(found.new_position, conversations, found.different, tables)

    def refold(self, conversations: Iterable[tuple[str, str]]) -> tuple[Refolded, ...]:
        """Fold chosen conversations (``open_kfid``, ``external_userid``) again in place, and say what differed.

        Each in a short transaction of its own. Raises :class:`~kfstate.errors.UnknownConversationError` and
        :class:`~kfstate.errors.ProjectionError`.
        """
        made: tuple[Refolded, ...] = ()
        for open_kfid, external_userid in conversations:
            with self._site.database.writing() as conn:
                stream = find_stream(conn, StreamKey(self._corp_id, "conversation", open_kfid, external_userid))
                if stream is None:
                    raise UnknownConversationError(open_kfid, external_userid)
                made = (*made, refold(conn, stream, external_userid))
        return made

    def run(self, name: str, *, follow: bool = False, stop: Signal | None = None, poll: float = 1.0) -> ProjectionView:
        """Bring the live build of a projection to the head of the log; with ``follow``, keep it there until ``stop``.

        A projection that failed goes on where it failed. It looks for new entries every ``poll`` seconds, and at once
        after a commit of this engine. Raises :class:`~kfstate.errors.ProjectionError` where it fails (again), or where
        other code made the live build.
        """
        running.run(self._site, self._family(name), follow=follow, stop=stop or self._site.signal(), poll=poll)
        return next(one for one in self.list(name) if one.status in {"live", "failed", "unknown"})

    def _family(self, name: str) -> Family:
        family = self._families.get(name)
        if family is None:
            raise ProjectionError(name, 0, "this engine was not opened with a projection of this name")
        return family


def _whole(conn: Connection, family: Family, version: int) -> bool:
    return all(builds.has_table(conn, table) for table in builds.tables_of(family.tables, version).values())
