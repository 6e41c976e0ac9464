"""The questions of ``engine.audit`` about what was known when."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

import attrs
from sqlalchemy import Connection

from kfstate.audit.history import as_of as answers
from kfstate.audit.history import explaining, telling
from kfstate.audit.history import report as reporting
from kfstate.audit.history.as_of import AsOf, StateThen
from kfstate.audit.history.explaining import Explained
from kfstate.audit.history.report import Sealed
from kfstate.audit.history.stories import Names, Story, names_of, stories, streams, streams_with
from kfstate.audit.history.timeline import Timeline, stretches_of
from kfstate.audit.history.words import Lang, sentence_of
from kfstate.audit.knowing import Known, KnownAt, machine_at, machine_named, moment, position_at
from kfstate.audit.proofs import heads
from kfstate.clock import SECOND
from kfstate.errors import ArgumentError, UnknownConversationError
from kfstate.machine import Machine, Step
from kfstate.projections.building import Site
from kfstate.queries.conversations import state_of
from kfstate.queries.entries import entry_views
from kfstate.queries.views import QueueView, SessionView, StepView, at_time
from kfstate.service_state import KfServiceState
from kfstate.store.crew import Crew
from kfstate.store.head import read_head
from kfstate.store.read import find_stream, rows_at, streams_by_id
from kfstate.store.rows import EntryRow, StreamKey
from kfstate.store.verify import Verified, verify

__all__ = ["Asked", "Asking"]


ALWAYS = (1 << 63) - 1
"""A second after all others."""


@attrs.frozen
class Asked:
    """What a question is about: a time T, what was known at K, the machine that folds; and where to read."""

    conn: Connection
    at: int
    """T, in microseconds."""
    known: Known
    machine: Machine

    @property
    def second(self) -> int:
        """The second of T: entries of WeCom have no more."""
        return self.at // SECOND


class Asking:
    """The part of :class:`~kfstate.audit.face.Audit` that asks what was known when."""

    _site: Site
    _corp_id: str

    def as_of(
        self,
        open_kfid: str,
        external_userid: str,
        at: datetime | None = None,
        *,
        known_at: KnownAt = None,
        machine: Machine | str | None = None,
    ) -> AsOf:
        """Return the state of a conversation at a time, as it was known at a time or position (P8).

        ``at`` defaults to now, ``known_at`` to all that the log has. ``machine`` is one that folds, or the version or
        fingerprint of one that the log knows; by default that which was live at ``known_at``. Raises
        :class:`~kfstate.errors.UnknownConversationError`, :class:`~kfstate.errors.MachineError`.
        """
        with self._asked(at, known_at, machine) as asked:
            head = position_at(asked.conn, None)
            return answers.as_of(
                asked.conn, self._story(asked, open_kfid, external_userid), at=asked.at, known=asked.known, head=head,
                machine=asked.machine, machine_now=self._machine(asked.conn, machine, head.position),
            )  # fmt: skip

    def history(
        self,
        open_kfid: str,
        external_userid: str,
        at: datetime | None = None,
        *,
        known_at: KnownAt = None,
        machine: Machine | str | None = None,
    ) -> list[StepView]:
        """Return the steps of a conversation until a time, as they were known then. Arguments as for :meth:`as_of`."""
        with self._asked(at, known_at, machine) as asked:
            story = self._story(asked, open_kfid, external_userid)
            steps = story.steps(asked.known.position, asked.second, asked.machine)
            names = names_of(asked.conn, story.entries)
            return telling.step_views(story, steps, asked.second, asked.machine, names)

    def conversations(
        self,
        at: datetime | None = None,
        *,
        known_at: KnownAt = None,
        state: KfServiceState | int | str | None = None,
        account: str | None = None,
        machine: Machine | str | None = None,
    ) -> list[StateThen]:
        """Return every conversation at a time, as it was known then: all, or those in a state or of an account.

        In the order in which they came first. Reads whole conversations: for a state but FINISHED only those that had
        an entry in the 48 hours before.
        """
        wanted = state_of(state)
        with self._asked(at, known_at, machine) as asked:
            running = wanted not in {None, KfServiceState.FINISHED}
            told = stories(asked.conn, self._streams(asked, account, running=running))
            return list(
                answers.states(
                    asked.conn, told, second=asked.second, position=asked.known.position, machine=asked.machine,
                    state=wanted,
                )
            )  # fmt: skip

    def queue(
        self,
        at: datetime | None = None,
        *,
        known_at: KnownAt = None,
        account: str | None = None,
        machine: Machine | str | None = None,
    ) -> list[QueueView]:
        """Return who waited in the pool at a time, as it was known then, longest first."""
        at = at_time(self._moment(at))
        queued = self.conversations(at, known_at=known_at, state=KfServiceState.QUEUE, account=account, machine=machine)
        found = [answers.queue_view(view, self._moment(at) // SECOND) for view in queued]
        return sorted(found, key=lambda view: -view.waiting_seconds)

    def sessions(
        self,
        at: datetime | None = None,
        *,
        known_at: KnownAt = None,
        open_kfid: str | None = None,
        external_userid: str | None = None,
        running: bool | None = None,
        machine: Machine | str | None = None,
    ) -> list[SessionView]:
        """Return the sessions that had opened by a time, as they were known then, and as far as they had come."""
        found: list[SessionView] = []
        with self._asked(at, known_at, machine) as asked:
            ids = self._streams(asked, open_kfid, external_userid, running=bool(running))
            for story in stories(asked.conn, ids):
                steps = story.steps(asked.known.position, asked.second, asked.machine)
                told = telling.sessions_of(story, steps, asked.second, asked.machine)
                views = telling.session_views(story, told, names_of(asked.conn, story.entries))
                found += [view for view in views if running in {None, view.ended_at is None}]
        return found

    def explain(self, position: int, *, known_at: KnownAt = None, machine: Machine | str | None = None) -> Explained:
        """Return why the entry at a position did what it did, or why it did not move anything.

        ``known_at`` and ``machine`` as for :meth:`as_of`: a late entry can change what an earlier one did. Raises
        :class:`~kfstate.errors.ArgumentError` where no such entry was known.
        """
        with self._asked(None, known_at, machine) as asked:
            known = 0 < position <= asked.known.position
            entry = rows_at(asked.conn, [position]).get(position) if known else None
            if entry is None:
                raise ArgumentError(name="position", value=repr(position), allowed=f"1 to {asked.known.position}")
            stream = streams_by_id(asked.conn, [entry.stream])[entry.stream]
            if stream.corp_id != self._corp_id:
                raise ArgumentError(name="position", value=repr(position), allowed="a position of this corporation")
            if stream.kind != "conversation":
                return explaining.unfolded(asked.conn, position)
            (story,) = stories(asked.conn, [stream.id])
            steps = story.steps(asked.known.position, ALWAYS, asked.machine)
            at = next(at for at, step in enumerate(steps) if step.entry.position == position)
            names = names_of(asked.conn, story.entries)
            return explaining.explained(asked.conn, story, steps, at, machine=asked.machine, names=names)

    def timeline(
        self,
        open_kfid: str,
        external_userid: str,
        at: datetime | None = None,
        *,
        known_at: KnownAt = None,
        machine: Machine | str | None = None,
    ) -> Timeline:
        """Return one conversation over time: states, sessions, steps, what did not fit. Arguments as for :meth:`as_of`.

        Its ``text()`` and ``mermaid()`` draw it.
        """
        with self._asked(at, known_at, machine) as asked:
            story = self._story(asked, open_kfid, external_userid)
            steps = story.steps(asked.known.position, asked.second, asked.machine)
            return _timeline(asked, story, steps, names_of(asked.conn, story.entries))

    def report(
        self,
        open_kfid: str,
        external_userid: str,
        at: datetime | None = None,
        *,
        known_at: KnownAt = None,
        machine: Machine | str | None = None,
        lang: Lang = "en",
        payloads: bool = True,
        verified: bool = True,
        progress: Callable[[int], None] | None = None,
        processes: int = 1,
    ) -> str:
        """Return a report of one conversation as a page of HTML that needs nothing but itself.

        Arguments as for :meth:`as_of`. ``payloads``: with what people said. ``verified``: with a verification of the
        whole log, which takes its time in a large one: ``progress`` is told how many further entries it has done,
        and as many ``processes`` work at it at once.
        """
        crew = Crew(self._site.database, processes, self._site.signal)
        with crew, self._asked(at, known_at, machine) as asked:
            story = self._story(asked, open_kfid, external_userid)
            steps = story.steps(asked.known.position, asked.second, asked.machine)
            names = names_of(asked.conn, story.entries)
            said = [telling.named(step, names) for step in steps]
            rows = rows_at(asked.conn, (step.entry.position for step in steps))
            return reporting.report(
                _timeline(asked, story, steps, names),
                {entry.position: entry for entry in entry_views(asked.conn, map(rows.__getitem__, sorted(rows)))},
                _sealed(asked.conn, rows, verify(asked.conn, progress=progress, crew=crew) if verified else None),
                words={one.entry.position: (sentence_of(one, "en"), sentence_of(one, "zh")) for one in said},
                payloads=payloads, made_at=at_time(self._site.clock.now()), lang=lang,
            )  # fmt: skip

    @contextmanager
    def _asked(self, at: datetime | None, known_at: KnownAt, machine: Machine | str | None) -> Iterator[Asked]:
        time = self._moment(at)
        with self._site.database.reading() as conn:
            known = position_at(conn, known_at)
            yield Asked(conn, time, known, self._machine(conn, machine, known.position))

    def _moment(self, at: datetime | None) -> int:
        return self._site.clock.now() if at is None else moment("at", at)

    def _machine(self, conn: Connection, machine: Machine | str | None, position: int) -> Machine:
        if isinstance(machine, Machine):
            return machine
        if machine is not None:
            return machine_named(conn, machine)
        return machine_at(conn, position, corp_id=self._corp_id)

    def _story(self, asked: Asked, open_kfid: str, external_userid: str) -> Story:
        stream = find_stream(asked.conn, StreamKey(self._corp_id, "conversation", open_kfid, external_userid))
        if stream is None:
            raise UnknownConversationError(open_kfid, external_userid)
        (story,) = stories(asked.conn, [stream.id])
        return story

    def _streams(
        self, asked: Asked, account: str | None = None, external_userid: str | None = None, *, running: bool
    ) -> Collection[int]:
        """Return the conversations to look at; those ``running`` had an entry that an expiry counts from."""
        known = streams(asked.conn, corp_id=self._corp_id, account=account, external_userid=external_userid)
        if not running:
            return known
        after = asked.second - asked.machine.clockwork.expires_after
        around = streams_with(asked.conn, after, asked.second, asked.known.position)
        return [stream for stream in known if stream in around]


def _timeline(asked: Asked, story: Story, steps: Sequence[Step], names: Names) -> Timeline:
    known = bool(story.known(asked.known.position))
    found = story.after(steps, asked.known.position, asked.second, asked.machine) if known else None
    told = telling.sessions_of(story, steps, asked.second, asked.machine)
    return Timeline(
        open_kfid=story.stream.open_kfid,
        external_userid=story.external_userid,
        at=at_time(asked.at),
        known_at=asked.known.position,
        known_until=at_time(asked.known.recorded) if asked.known.position else None,
        machine=asked.machine.spec.version,
        state=answers.then(asked.conn, story, found, asked.machine),
        stretches=stretches_of(steps, asked.second, asked.machine, names),
        sessions=tuple(telling.session_views(story, told, names)),
        steps=tuple(telling.step_views(story, steps, asked.second, asked.machine, names)),
    )


def _sealed(conn: Connection, rows: Mapping[int, EntryRow], found: Verified | None) -> Sealed:
    whole = found is not None and found.damage is None
    leaves = {position: row.leaf.hex() for position, row in rows.items()}
    return Sealed(read_head(conn).log_id.hex(), found, str(heads.head(conn)) if whole else None, leaves)
