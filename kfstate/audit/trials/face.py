"""The part of ``engine.audit`` that tells history again: the gate, comparisons, and what would have been."""

from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

import attrs
from sqlalchemy import Connection

from kfstate.audit.definition import load
from kfstate.audit.knowing import machine_at, machine_named, moment
from kfstate.audit.trials.accepting import load_accepted
from kfstate.audit.trials.comparing import Drift, Machines, outside
from kfstate.audit.trials.databases import Databases, lacking, named, other_database
from kfstate.audit.trials.gate import Gate, gate
from kfstate.audit.trials.places import Divergence
from kfstate.audit.trials.replaying import definition_of
from kfstate.audit.trials.spreading import Scope, Spreading, every_stream, looked_at, over_log
from kfstate.audit.trials.what_if import Injected, WhatIf, what_if
from kfstate.clock import SECOND
from kfstate.errors import ProjectionError, UnknownConversationError
from kfstate.machine import Machine, compiled
from kfstate.projections import builds
from kfstate.projections.building import Site
from kfstate.store.head import read_head
from kfstate.store.read import find_stream
from kfstate.store.rows import StreamKey

__all__ = ["AnyMachine", "Comparison", "Trials"]

_AT_ONCE = 1_000
AnyMachine = Machine | Path | str
"""A machine, the file of a definition, or the version or fingerprint of one that the log knows."""


@attrs.frozen
class Comparison:
    """Two places held against each other, conversation by conversation."""

    SHOWN: ClassVar = ("equal", "known_at", "conversations", "entries", "cleared", "apart")

    known_at: int
    """The last position that was looked at."""
    conversations: int
    entries: int
    apart: tuple[Divergence, ...]
    """The first entry of each conversation that is not alike, or of each stream."""
    cleared: int = 0
    """Entries whose payload only one of two databases has: it was erased in the other, or has aged out."""

    @property
    def equal(self) -> bool:
        """Whether everything is alike."""
        return not self.apart


class Trials:
    """What may be tried on recorded history. Nothing here writes to the log, or to what is made of it."""

    _site: Site
    _corp_id: str

    def gate(
        self,
        machine: AnyMachine,
        *,
        baseline: AnyMachine | None = None,
        sample: float = 1.0,
        accepted: Path | str | None = None,
        how: Spreading | None = None,
    ) -> Gate | None:
        """Tell all recorded history by another machine, and return which sessions change, when first, and why.

        ``baseline`` is what it is held against, by default the machine that is live. ``sample`` is the part of the
        conversations that is looked at. ``accepted`` is a file with the differences that are expected. None where
        ``how.stop`` was raised before the end. Raises :class:`~kfstate.errors.MachineError`,
        :class:`~kfstate.errors.ArgumentError`.
        """
        candidate, before = self._machines(machine, baseline)
        rules = () if accepted is None else load_accepted(accepted, candidate, before)
        return gate(self._site, candidate, before, corp_id=self._corp_id, sample=sample, accepted=rules, how=how)

    def compare_machines(
        self,
        machine: AnyMachine,
        *,
        baseline: AnyMachine | None = None,
        sample: float = 1.0,
        how: Spreading | None = None,
    ) -> Comparison | None:
        """Return the first entry of each conversation that two machines fold otherwise; as :meth:`gate`."""
        candidate, before = self._machines(machine, baseline)
        work = {"machines": [before.fingerprint, candidate.fingerprint]}
        texts = definition_of(before), definition_of(candidate)
        found, whole = over_log(
            self._site, work, lambda scope: Machines(*texts, until=scope.checkpoint.position),
            corp_id=self._corp_id, sample=sample, how=how,
        )  # fmt: skip
        if whole is None:
            return None
        looked_at(whole.conversations, self._corp_id)
        return Comparison(found.checkpoint.position, whole.conversations, whole.entries, tuple(whole.apart))

    def drift(self, *, sample: float = 1.0, how: Spreading | None = None) -> Comparison | None:
        """Fold conversations again and return the first row of each that the live projections have otherwise.

        And how many of their rows belong to no conversation. In the same place of the log, while writes go on.
        ``engine.projections.check`` compares every table, and takes a build for it. Raises
        :class:`~kfstate.errors.ProjectionError` where nobody knows who made the live build.
        """
        with self._site.database.reading() as conn:
            build = builds.live(conn)
            if build.status != "live" or not build.of_this_log:
                raise ProjectionError(build.name, build.version, "it has to be rebuilt: nobody knows what it is of")
            text = definition_of(machine_named(conn, build.fingerprint) if build.fingerprint else self._live(conn))
        found, whole = over_log(
            self._site, {"drift": [build.version, build.fingerprint]}, lambda _: Drift(text, build.version),
            corp_id=self._corp_id, sample=sample, how=how,
        )  # fmt: skip
        if whole is None:
            return None
        looked_at(whole.conversations, self._corp_id)
        with self._site.database.reading() as conn:
            apart = (*whole.apart, *outside(conn, build.version))
        return Comparison(found.checkpoint.position, whole.conversations, whole.entries, apart)

    def compare_databases(self, other: str, *, sample: float = 1.0, how: Spreading | None = None) -> Comparison | None:
        """Compare this log with that of another database, by its URL: entries, then the steps that are stored of them.

        Of each stream the first entry is returned that is not alike. Positions and ids may differ. Raises
        :class:`~kfstate.errors.ArgumentError` where there is no such database, or no conversation.
        """
        awaited, corp_id = self._site.database.engine.dialect.is_async, self._corp_id
        with closing(other_database(other, asynchronous=awaited)) as there:
            found, whole = over_log(
                self._site, {"database": named(other)}, partial(_databases, other, corp_id, awaited),
                corp_id=corp_id, sample=sample, how=how, beside=there,
            )  # fmt: skip
            if whole is None:
                return None
            with there.reading() as conn:
                streams = every_stream(conn, corp_id, sample)
            apart, compared = list(whole.apart), whole.conversations
            for start in range(0, len(streams), _AT_ONCE):
                with there.reading() as conn, self._site.database.reading() as here:
                    more, only_there = lacking(conn, here, corp_id, streams[start : start + _AT_ONCE], _last(found))
                apart += only_there
                compared += more
        looked_at(compared, corp_id)
        return Comparison(
            found.checkpoint.position, whole.conversations, whole.entries, tuple(apart), cleared=whole.cleared
        )

    def what_if(
        self,
        *,
        machine: AnyMachine | None = None,
        since: datetime | None = None,
        inject: Iterable[Injected] = (),
        conversations: Iterable[tuple[str, str]] | None = None,
        baseline: AnyMachine | None = None,
        how: Spreading | None = None,
    ) -> WhatIf | None:
        """Tell a branch of history beside the log: with more entries, or by another machine from a time on.

        ``inject`` takes envelopes of own entries and elements of ``sync_msg`` pages; each says when it happens.
        ``conversations`` (``open_kfid``, ``external_userid``) are those that are told beside those of the injected
        entries; by default all where there is another machine, and else none. Raises
        :class:`~kfstate.errors.EnvelopeError`, :class:`~kfstate.errors.UnknownConversationError`.
        """
        candidate, before = self._machines(machine, baseline)
        with self._site.database.reading() as conn:
            chosen = None if conversations is None else [self._stream_id(conn, *pair) for pair in conversations]
        return what_if(
            self._site, baseline=before, machine=None if machine is None else candidate,
            since=None if since is None else moment("since", since) // SECOND, inject=inject, chosen=chosen,
            corp_id=self._corp_id, how=how,
        )  # fmt: skip

    def _machines(self, machine: AnyMachine | None, baseline: AnyMachine | None) -> tuple[Machine, Machine]:
        with self._site.database.reading() as conn:
            before = self._live(conn) if baseline is None else _machine(conn, baseline)
            return before if machine is None else _machine(conn, machine), before

    def _live(self, conn: Connection) -> Machine:
        return machine_at(conn, read_head(conn).position, corp_id=self._corp_id)

    def _stream_id(self, conn: Connection, open_kfid: str, external_userid: str) -> int:
        stream = find_stream(conn, StreamKey(self._corp_id, "conversation", open_kfid, external_userid))
        if stream is None:
            raise UnknownConversationError(open_kfid, external_userid)
        return stream.id


def _last(scope: Scope) -> int:
    return 0 if scope.beside is None else scope.beside.position


def _databases(other: str, corp_id: str, asynchronous: bool, scope: Scope) -> Databases:  # noqa: FBT001 (of a partial)
    return Databases(other, corp_id, scope.checkpoint.position, _last(scope), asynchronous)


def _machine(conn: Connection, machine: AnyMachine) -> Machine:
    if isinstance(machine, Machine):
        return machine
    return compiled(load(machine)) if isinstance(machine, Path) else machine_named(conn, machine)
