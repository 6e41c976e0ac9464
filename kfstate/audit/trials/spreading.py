"""Work on all conversations of a log: in parts, by several processes, and gone on with where it was interrupted."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import attrs
import msgspec
from sqlalchemy import Connection

from kfstate.audit.trials.changes import SessionChange
from kfstate.audit.trials.journal import Journal
from kfstate.audit.trials.kpis import Tally
from kfstate.audit.trials.places import Divergence
from kfstate.clock import SECOND
from kfstate.concurrency import Signal
from kfstate.errors import ArgumentError
from kfstate.projections.building import Site
from kfstate.store.checkpoint import Checkpoint, checkpoint_at, hold
from kfstate.store.crew import Crew
from kfstate.store.database import Database
from kfstate.store.dialect import query
from kfstate.store.head import read_head

__all__ = [
    "Job",
    "Part",
    "Progress",
    "Scope",
    "Spreading",
    "conversations",
    "every_stream",
    "looked_at",
    "over_log",
    "scope",
    "spread",
]

_AT_ONCE = 200
"""How many conversations a part has."""
_UNITS = 1 << 64

Progress = Callable[[int, int], None]
"""Told how many conversations are done, and of how many."""


@attrs.define
class Part:
    """What came of some conversations; those of several parts add up."""

    conversations: int = 0
    entries: int = 0
    before: Tally = attrs.Factory(Tally)
    after: Tally = attrs.Factory(Tally)
    changed: list[SessionChange] = attrs.Factory(list)
    apart: list[Divergence] = attrs.Factory(list)
    cleared: int = 0
    """Entries whose payload only one of two places has."""

    def merge(self, other: "Part") -> None:
        """Add what came of others."""
        self.conversations += other.conversations
        self.entries += other.entries
        self.before.merge(other.before)
        self.after.merge(other.after)
        self.changed += other.changed
        self.apart += other.apart
        self.cleared += other.cleared


class Job(Protocol):
    """What is done with conversations. Plain data: it goes to other processes."""

    def run(self, conn: Connection, streams: Sequence[int]) -> Part:
        """Do it with these."""
        ...


@attrs.frozen
class Scope:
    """How much of a log is worked on: up to a place of it, and the second at which that was stored.

    ``beside`` is the same of another log, where the work is about two.
    """

    checkpoint: Checkpoint
    second: int
    beside: Checkpoint | None = None


@attrs.frozen
class Spreading:
    """How work on a whole log is done.

    ``processes``: how many at once. ``journal``: a file in which what is done is kept, so that it goes on there.
    ``progress`` is told how many conversations are done, and of how many. ``stop`` ends it.
    """

    processes: int = 1
    journal: Path | str | None = None
    progress: Progress | None = None
    stop: Signal | None = None


def scope(conn: Connection, journal: Journal | None = None, there: Connection | None = None) -> Scope:
    """Return the scope that a journal began with, else the whole log, and the whole of that of ``there``.

    Raises :class:`~kfstate.errors.CheckpointError` where the journal is of another log.
    """
    if journal is not None and journal.scope is not None:
        try:
            beside = None if there is None else Checkpoint.parse(journal.scope[2])
            known = Scope(Checkpoint.parse(journal.scope[0]), journal.scope[1], beside)
        except ValueError:
            raise journal.wrong() from None
        hold(conn, known.checkpoint)
        if there is not None and beside is not None:
            hold(there, beside)
        return known
    head = read_head(conn)
    beside = None if there is None else checkpoint_at(there, read_head(there).position)
    return Scope(checkpoint_at(conn, head.position), head.recorded_at // SECOND, beside)


def conversations(conn: Connection, corp_id: str, sample: float = 1.0) -> list[int]:
    """Return the streams of the conversations, or of this part of them: always the same ones."""
    if not 0 < sample <= 1:
        raise ArgumentError("sample", repr(sample), "a number above 0, at most 1")
    sql = "SELECT id FROM kf_stream WHERE corp_id = ? AND kind = 'conversation' ORDER BY id"
    found = [id_ for (id_,) in query(conn, sql, (corp_id,))]
    chosen = found if sample == 1 else [id_ for id_ in found if _share(id_) < sample * _UNITS]
    if found and not chosen:
        raise ArgumentError("sample", repr(sample), f"a part that any of {len(found)} conversations is in")
    return chosen


def every_stream(conn: Connection, corp_id: str, sample: float = 1.0) -> list[int]:
    """Return the streams of the conversations, as :func:`conversations` does, and this part of all others."""
    chosen = conversations(conn, corp_id, sample)
    sql = "SELECT id FROM kf_stream WHERE corp_id = ? AND kind <> 'conversation'"
    chosen += [id_ for (id_,) in query(conn, sql, (corp_id,)) if sample == 1 or _share(id_) < sample * _UNITS]
    return sorted(chosen)  # new streams come last: the parts of a journal stay what they were


def _share(stream: int) -> int:
    return int.from_bytes(sha256(b"kfstate %d" % stream).digest()[:8], "big")


def spread(
    site: Site,
    job: Job,
    streams: Sequence[int],
    *,
    processes: int = 1,
    journal: Journal | None = None,
    progress: Progress | None = None,
    stop: Signal | None = None,
) -> Part | None:
    """Do a job with all these conversations and return what came of it; None where ``stop`` was raised before the end.

    What a journal has is not done again. With several processes each opens the database for itself.
    """
    crew = Crew(site.database, processes, site.signal)
    chunks = [streams[start : start + _AT_ONCE] for start in range(0, len(streams), _AT_ONCE)]
    found: dict[int, Part] = {}
    if journal is not None:
        found = _kept(journal, len(chunks))
    left = [number for number in range(len(chunks)) if number not in found]
    done = sum(len(chunks[number]) for number in found)
    with crew:
        for at, part in crew.each(partial(_run, job), [chunks[number] for number in left], stop=stop):
            number = left[at]
            found[number] = part
            if journal is not None:
                journal.add(number, msgspec.json.encode(part))
            done += len(chunks[number])
            if progress is not None:
                progress(done, len(streams))
    if len(found) < len(chunks):
        return None
    whole = Part()
    for number in sorted(found):
        whole.merge(found[number])
    return whole


def _kept(journal: Journal, parts: int) -> dict[int, Part]:
    """Return what a journal has of this many parts; any other number would stand for one that is not done."""
    if not journal.parts.keys() <= set(range(parts)):
        raise journal.wrong()
    try:
        return {number: msgspec.json.decode(content, type=Part) for number, content in journal.parts.items()}
    except (msgspec.MsgspecError, RecursionError) as error:
        raise journal.wrong() from error


def over_log(
    site: Site,
    work: Mapping[str, Any],
    job: Callable[[Scope], Job],
    *,
    corp_id: str,
    sample: float = 1.0,
    how: Spreading | None = None,
    beside: Database | None = None,
) -> tuple[Scope, Part | None]:
    """Do a job with all conversations of the log, or this part of them; see :func:`spread` for what comes of it.

    With every stream, where the work is about another database ``beside``, too. ``work`` is what a journal knows the
    work by.
    """
    how = how or Spreading()
    known = {**work, "corp_id": corp_id, "sample": sample}
    with Journal(how.journal, known) if how.journal is not None else nullcontext() as journal:
        with site.database.reading() as conn, nullcontext() if beside is None else beside.reading() as there:
            found = scope(conn, journal, there)
            streams = (conversations if beside is None else every_stream)(conn, corp_id, sample)
        if journal is not None:
            journal.begin((str(found.checkpoint), found.second, str(found.beside or "")))
        whole = spread(
            site, job(found), streams, processes=how.processes, journal=journal, progress=how.progress, stop=how.stop
        )
    return found, whole


def looked_at(conversations: int, corp_id: str) -> None:
    """Raise :class:`~kfstate.errors.ArgumentError` where there is none: what looked at nothing has found nothing."""
    if not conversations:
        raise ArgumentError("corp_id", repr(corp_id), "a corporation of which the log has a conversation")


def _run(job: Job, database: Database, streams: Sequence[int]) -> Part:
    with database.reading() as conn:
        return job.run(conn, streams)
