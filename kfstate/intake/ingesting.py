"""The way in: sources become documents, documents batches, batches entries; a transaction for each batch."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from sqlalchemy import Connection

from kfstate.intake.appends import Appends, Stored
from kfstate.intake.batches import Batch, CursorMove, Drafter, joined
from kfstate.intake.report import Report
from kfstate.intake.sources import Source, documents
from kfstate.machine.kinds import FROM_WECOM
from kfstate.store.cursor import Move
from kfstate.store.plan import Part
from kfstate.store.rows import AHEAD, Appended

__all__ = ["Progress", "ingest"]

Progress = Callable[[int], None]
"""Told how many further entries were stored."""

_UNKNOWN = frozenset({"unknown_event", "unknown_message"})
_CHANGES = frozenset({1, 2, 3, 4})
_HOMELESS = frozenset({"account", "unplaced"})
_LARGE = 100
"""Entries of a batch from which on it pays to read the next one in a thread."""


def ingest(
    appends: Appends,
    source: Source | Iterable[Source],
    *,
    account: str,
    cursor: CursorMove | None,
    progress: Progress | None,
    corp_id: str,
    connection: Connection | None,
) -> Report:
    """Append every entry of the sources; see :meth:`kfstate.engine.Engine.ingest`."""
    report = Report()
    drafter = Drafter(report, account, corp_id, appends.clock, cursor)
    batches = drafter.batches(documents(source))
    # A generator of the caller's may mind another thread, and so may whoever has a transaction of his own.
    lazily = isinstance(source, Iterator) and not hasattr(source, "read")
    ahead = appends.reads_ahead and connection is None and not lazily
    with closing(_ReadOn(batches, ahead=ahead)) as read_on:
        following = read_on()
        while batch := following():
            part = _part(drafter, batch)
            if connection is None:
                begun: list[_Following] = []
                stored = appends.store(part, meanwhile=lambda begun=begun: begun or begun.append(read_on()))  # type: ignore[misc]
                following = begun[0]
            else:
                stored = appends.store_in(connection, part)
                following = read_on()
            _count(report, batch, stored)
            if progress is not None:
                progress(len(batch.drafts))
    if not report.position:
        report.position = appends.position(connection)
    return report


_Following = Callable[[], Batch | None]


class _ReadOn:
    """Reads the next batch while the one before it is committed: by a thread of its own where batches are large."""

    def __init__(self, batches: Iterator[Batch], *, ahead: bool) -> None:
        self._batches = batches
        self._ahead = ahead
        self._thread: ThreadPoolExecutor | None = None
        self._size = 0

    def __call__(self) -> _Following:
        """Begin to read what comes next, and return the function that waits for it; None at the end."""
        if not self._ahead or self._size < _LARGE:
            return self._next
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "kfstate-ingest")
        return self._thread.submit(self._next).result

    def _next(self) -> Batch | None:
        batch = next(self._batches, None)
        self._size = len(batch.drafts) if batch is not None else 0
        return batch

    def close(self) -> None:
        """Wait until nothing is read any more."""
        if self._thread is not None:
            self._thread.shutdown()


def _part(drafter: Drafter, batch: Batch) -> Part:
    move = None
    if drafter.cursor is not None:
        (pull,) = batch.pulls  # the drafter saw to that
        move = Move(
            open_kfid=pull.open_kfid,
            expected=drafter.cursor.expected,
            new=pull.cursor_after or drafter.cursor.expected,
            epoch=drafter.cursor.epoch,
            synced_until=drafter.cursor.synced_until,
            corp_id=drafter.corp_id,
        )
    pulled = batch.pulled if batch.pulls else ()
    return Part(drafts=batch.drafts, pulls=batch.pulls, pulled=pulled, move=move, lenient=True)


def _count(report: Report, batch: Batch, stored: Stored) -> None:
    appended = stored.appended
    for index, error in appended.refused.items():
        source, path = batch.place(index)
        report.reject(source, joined(path, error.path), f"{error.reason}: {error.value}")
    report.entries += len(batch.drafts) - len(appended.refused)
    report.appended += len(appended.rows)
    report.duplicates += len(appended.repeats)
    report.position = appended.head.position
    for (_, _, draft, _), row in zip(appended.stored, appended.rows, strict=True):
        if row.again:
            report.conflicts += 1
        if draft.stream.kind in _HOMELESS and row.kind in FROM_WECOM:
            report.unplaced += 1
        if row.kind in _UNKNOWN or (row.kind == "session_status_change" and row.change_type not in _CHANGES):
            report.unknown += 1
    if stored.projected is not None and stored.projected.late:
        late = stored.projected.late
        report.late += sum(row.position in late for row in appended.rows)
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
