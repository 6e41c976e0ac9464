"""The way in: sources become documents, documents batches, batches entries; a transaction for each batch."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial

from sqlalchemy import Connection

from kfstate.clock import Clock
from kfstate.errors import EnvelopeError
from kfstate.intake.batches import Batch, CursorMove, Reader, joined
from kfstate.intake.recording import append_and_project
from kfstate.intake.report import Report
from kfstate.intake.sources import Source, documents
from kfstate.machine.kinds import FROM_WECOM
from kfstate.projections.projector import Projected
from kfstate.store import cursor as cursors
from kfstate.store.head import read_head
from kfstate.store.rows import AHEAD, Appended

__all__ = ["Progress", "Writing", "ingest"]

Progress = Callable[[int], None]
"""Told how many further entries were stored."""

Writing = Callable[[], AbstractContextManager[Connection]]
"""Opens a write transaction."""

_UNKNOWN = frozenset({"unknown_event", "unknown_message"})
_CHANGES = frozenset({1, 2, 3, 4})


def ingest(
    writing: Writing,
    source: Source | Iterable[Source],
    *,
    account: str,
    cursor: CursorMove | None,
    progress: Progress | None,
    clock: Clock,
    corp_id: str,
) -> Report:
    """Append every entry of the sources; see :meth:`kfstate.engine.Engine.ingest`."""
    report = Report()
    reader = Reader(report, account, corp_id, clock, cursor)
    batches = reader.batches(documents(source))
    with ThreadPoolExecutor(1, "kfstate-ingest") as ahead:
        # A generator of the caller's may mind another thread; everything else is read on while a commit syncs.
        lazily = isinstance(source, Iterator) and not hasattr(source, "read")
        read_on = partial(_read_on, batches, None if lazily else ahead)
        following = read_on()
        while batch := following():
            read = len(batch.drafts)
            following = _commit(writing, reader, batch, read_on)
            if progress is not None:
                progress(read)
    if not report.position:
        with writing() as conn:
            report.position = read_head(conn).position
    return report


_Following = Callable[[], Batch | None]


def _read_on(batches: Iterator[Batch], ahead: ThreadPoolExecutor | None) -> _Following:
    """Begin to read what comes next, and return the function that waits for it; None at the end."""
    if ahead is None:
        return partial(next, batches, None)
    return ahead.submit(next, batches, None).result


def _commit(writing: Writing, reader: Reader, batch: Batch, read_on: Callable[[], _Following]) -> _Following:
    """Store a batch, without the own entries that cannot be, and begin to read the next one meanwhile."""
    report = reader.report
    while True:
        try:
            with writing() as conn:
                appended, projected = _store(conn, reader, batch)
                following = read_on()
        except EnvelopeError as error:
            if error.index is None:
                raise
            source, path = batch.place(error.index)
            report.reject(source, joined(path, error.path), f"{error.reason}: {error.value}")
            batch.drop(error.index)
        else:
            _count(report, batch, appended, projected)
            return following


def _store(conn: Connection, reader: Reader, batch: Batch) -> tuple[Appended, Projected | None]:
    """Append a batch with the pulls of its pages, and move the cursor where one is to be moved."""
    pulls = [cursors.record_pull(conn, pull) for pull in batch.pulls]
    pulled = [None if at is None else pulls[at] for at in batch.pulled]
    stored = append_and_project(conn, batch.drafts, now=reader.clock.now(), pull=pulled)
    move = reader.cursor
    if move is not None:
        for pull in batch.pulls:
            cursors.advance(
                conn, pull.open_kfid, expected=move.expected, new=pull.cursor_after or move.expected, epoch=move.epoch,
                synced_until=move.synced_until, corp_id=reader.corp_id,
            )  # fmt: skip
    return stored


def _count(report: Report, batch: Batch, appended: Appended, projected: Projected | None) -> None:
    report.entries += len(batch.drafts)
    report.appended += len(appended.rows)
    report.duplicates += len(appended.repeats)
    report.position = appended.head.position
    homeless = {stream.id for stream in appended.streams.values() if stream.kind in {"account", "unplaced"}}
    for row in appended.rows:
        if row.again:
            report.conflicts += 1
        if row.stream in homeless and row.kind in FROM_WECOM:
            report.unplaced += 1
        if row.kind in _UNKNOWN or (row.kind == "session_status_change" and row.change_type not in _CHANGES):
            report.unknown += 1
    if projected is not None:
        report.late += projected.late
    if not report.full:
        _note_problems(report, batch, appended)


def _note_problems(report: Report, batch: Batch, appended: Appended) -> None:
    for (index, position, draft, _), row in zip(appended.stored, appended.rows, strict=True):
        if row.again:
            known = "the same deciding facts: not folded" if row.again == 1 else "other deciding facts: folded"
            report.note(*batch.place(index), f"known msgid with other content and {known}")
        if draft.problem:
            report.note(*batch.place(index), draft.problem)
        if position in appended.late:
            report.note(*batch.place(index), AHEAD)
