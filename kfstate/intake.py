"""The way in: documents become batches of drafts, batches become entries; one transaction per thousand entries."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import attrs
import msgspec
from sqlalchemy import Connection

from kfstate.clock import Clock
from kfstate.errors import EnvelopeError, WireError
from kfstate.machine.kinds import FROM_WECOM
from kfstate.projections.projector import Projected
from kfstate.recording import append_and_project
from kfstate.sources import Document, Source, documents
from kfstate.store import cursor as cursors
from kfstate.store.envelope import draft_own, from_json
from kfstate.store.facts import draft_elements
from kfstate.store.head import read_head
from kfstate.store.rows import AHEAD, Appended, Draft
from kfstate.wire import split_page
from kfstate.wire.scan import scan_object

__all__ = ["CursorMove", "Problem", "Progress", "Report", "ingest"]

Progress = Callable[[int], None]
"""Told how many further entries were stored."""

Writing = Callable[[], AbstractContextManager[Connection]]
"""Opens a write transaction."""

SOFTWARE = "kfstate"
_BATCH = 1000
_PROBLEMS = 100
_UNKNOWN = frozenset({"unknown_event", "unknown_message"})
_CHANGES = frozenset({1, 2, 3, 4})
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_value = msgspec.json.Decoder().decode
_ELEMENT = frozenset({"msgtype", "msgid", "send_time", "origin", "event"})
_ENVELOPE = frozenset({"send_time", "origin", "event"})
"""What a message or an event of WeCom has, and no own entry."""


@attrs.frozen
class Problem:
    """Something that was wrong with what came in: where, and why."""

    source: str
    path: str
    reason: str


@attrs.frozen(kw_only=True)
class CursorMove:
    """How the cursor of the pulled account moves with a page: from ``expected`` to the page's ``next_cursor``.

    ``epoch`` is that of the caller's claim; ``synced_until`` (microseconds) when a pull that is now complete began.
    """

    expected: str
    epoch: int
    synced_until: int | None = None


@attrs.define
class Report:
    """What became of an ingest.

    ``entries`` were read; ``appended`` are new, ``duplicates`` known; ``late`` sort before what was folded already;
    ``unknown`` are of a kind or change_type that no rule knows; ``conflicts`` have a known msgid and other content;
    ``unplaced`` belong to no conversation for want of ids; ``rejected`` documents are no page and no entry.
    ``problems`` holds the first 100. ``position`` is the head of the log afterwards.
    """

    entries: int = 0
    appended: int = 0
    duplicates: int = 0
    late: int = 0
    unknown: int = 0
    conflicts: int = 0
    unplaced: int = 0
    rejected: int = 0
    problems: list[Problem] = attrs.Factory(list)
    position: int = 0

    def note(self, source: str, path: str, reason: str) -> None:
        """Keep a problem, if there are not too many yet."""
        if len(self.problems) < _PROBLEMS:
            self.problems.append(Problem(source, path, reason))

    def reject(self, source: str, path: str, reason: str) -> None:
        """Count a document that is no page and no entry."""
        self.rejected += 1
        self.note(source, path, reason)


@attrs.define
class _Batch:
    """Drafts that are appended together: those of one page, or own entries and single elements in a row."""

    drafts: list[Draft] = attrs.Factory(list)
    places: list[Document] = attrs.Factory(list)
    """Where each draft stood; a page stands for all of its own."""
    page: cursors.Pull | None = None

    def place(self, index: int) -> tuple[str, str]:
        """Return source and path of a draft."""
        if self.page is None:
            return self.places[index].source, self.places[index].path
        return self.places[0].source, _joined(self.places[0].path, f"$.msg_list[{index}]")


@attrs.frozen
class _Intake:
    """What stays the same through one ingest."""

    report: Report
    account: str
    corp_id: str
    clock: Clock
    cursor: CursorMove | None

    def batches(self, read: Iterable[Document]) -> Iterator[_Batch]:
        """Yield a batch per page, and one for as many own entries and elements as come in a row."""
        loose = _Batch()
        for document in self._parted(read):
            try:
                batch = self._batch(document)
            except WireError as error:
                path = _joined(document.path, error.path)
                self.report.reject(document.source, path, f"{error.reason}: {error.value}")
                continue
            if batch.page is None:
                loose.drafts += batch.drafts
                loose.places += batch.places
                if len(loose.drafts) < _BATCH:
                    continue
            if loose.drafts:
                yield loose
                loose = _Batch()
            if batch.page is not None:
                yield batch
        if loose.drafts:
            yield loose

    def _parted(self, read: Iterable[Document]) -> Iterator[Document]:
        """Yield the items of lists one by one; report what could not be read."""
        for document in read:
            if document.problem:
                self.report.reject(document.source, document.path, document.problem)
            elif document.data.lstrip()[:1] == b"[":
                try:
                    items = split_page(b'{"msg_list":' + document.data + b"}").elements
                except WireError as error:
                    self.report.reject(document.source, document.path, f"{error.reason}: {error.value}")
                else:
                    for index, item in enumerate(items):
                        yield Document(document.source, _joined(document.path, f"$[{index}]"), item, item=True)
            else:
                yield document

    def _batch(self, document: Document) -> _Batch:
        names = _names(document.data)
        if names is not None and "kind" in names and names.isdisjoint(_ENVELOPE):
            own = from_json(_own(document.data))
            draft = draft_own(own, now=self.clock.now(), corp_id=self.corp_id, repeatable=True)
            return _Batch([draft], [document])
        if (names is None and not document.item) or (names and ("msg_list" in names or "errcode" in names)):
            return self._page(document)
        if document.item or (names and names & _ELEMENT):
            return self._element(document)
        raise WireError("$", document.data[:200].decode(errors="replace"), "neither page, nor entry, nor own entry")

    def _page(self, document: Document) -> _Batch:
        page = split_page(document.data)
        moved = self.cursor
        pull = cursors.Pull(
            open_kfid=self.account,
            pulled_at=self.clock.now(),
            elements=len(page.elements),
            corp_id=self.corp_id,
            cursor_before=moved.expected if moved else "",
            cursor_after=page.next_cursor,
            has_more=page.has_more,
            software=SOFTWARE,
        )
        return _Batch(self._drafts(page.elements), [document], pull)

    def _element(self, document: Document) -> _Batch:
        return _Batch(self._drafts((document.data.strip(),)), [document])

    def _drafts(self, elements: Sequence[bytes]) -> list[Draft]:
        return draft_elements(elements, account=self.account, corp_id=self.corp_id)

    def store(self, conn: Connection, batch: _Batch) -> tuple[Appended, Projected | None]:
        """Append a batch with its pull, and move the cursor where one is to be moved."""
        pull = cursors.record_pull(conn, batch.page) if batch.page is not None else None
        stored = append_and_project(conn, batch.drafts, now=self.clock.now(), pull=pull)
        if self.cursor is not None and batch.page is not None:
            cursors.advance(
                conn, self.account, expected=self.cursor.expected, new=batch.page.cursor_after,
                epoch=self.cursor.epoch, synced_until=self.cursor.synced_until, corp_id=self.corp_id,
            )  # fmt: skip
        return stored


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
    intake = _Intake(report, account, corp_id, clock, cursor)
    gathered = _gathered(intake.batches(documents(source)))
    with ThreadPoolExecutor(1, "kfstate-ingest") as ahead:
        # A generator of the caller's may mind another thread; everything else is read on while a commit syncs.
        lazily = isinstance(source, Iterator) and not hasattr(source, "read")
        read_on = partial(_read_on, gathered, None if lazily else ahead)
        following = read_on()
        while batches := following():
            try:
                with writing() as conn:
                    stored = [intake.store(conn, batch) for batch in batches]
                    following = read_on()
            except EnvelopeError:
                for batch in batches:
                    _store_apart(writing, intake, batch)
                following = read_on()
            else:
                for batch, outcome in zip(batches, stored, strict=True):
                    _count(report, batch, *outcome)
            if progress is not None:
                progress(sum(len(batch.drafts) for batch in batches))
    if not report.position:
        with writing() as conn:
            report.position = read_head(conn).position
    return report


def _read_on(gathered: Iterator[list[_Batch]], ahead: ThreadPoolExecutor | None) -> Callable[[], list[_Batch] | None]:
    """Begin to read what comes next, and return the function that waits for it; None at the end."""
    if ahead is None:
        return partial(next, gathered, None)
    return ahead.submit(next, gathered, None).result


def _gathered(batches: Iterable[_Batch]) -> Iterator[list[_Batch]]:
    """Put batches together until a transaction holds about a thousand entries."""
    gathered: list[_Batch] = []
    size = 0
    for batch in batches:
        if gathered and size + len(batch.drafts) > _BATCH:
            yield gathered
            gathered, size = [], 0
        gathered.append(batch)
        size += len(batch.drafts)
    if gathered:
        yield gathered


def _store_apart(writing: Writing, intake: _Intake, batch: _Batch) -> None:
    """Store the drafts of a batch in halves, and those in halves, until a bad own entry stands alone."""
    try:
        with writing() as conn:
            outcome = intake.store(conn, batch)
    except EnvelopeError as error:
        if len(batch.drafts) == 1:
            source, path = batch.place(0)
            intake.report.reject(source, _joined(path, error.path), f"{error.reason}: {error.value}")
            return
        half = len(batch.drafts) // 2
        _store_apart(writing, intake, _Batch(batch.drafts[:half], batch.places[:half]))
        _store_apart(writing, intake, _Batch(batch.drafts[half:], batch.places[half:]))
    else:
        _count(intake.report, batch, *outcome)


def _count(report: Report, batch: _Batch, appended: Appended, projected: Projected | None) -> None:
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
    if len(report.problems) < _PROBLEMS:
        _note_problems(report, batch, appended)


def _note_problems(report: Report, batch: _Batch, appended: Appended) -> None:
    for (index, position, draft, _), row in zip(appended.stored, appended.rows, strict=True):
        if row.again:
            known = "the same deciding facts: not folded" if row.again == 1 else "other deciding facts: folded"
            report.note(*batch.place(index), f"known msgid with other content and {known}")
        if draft.problem:
            report.note(*batch.place(index), draft.problem)
        if position in appended.late:
            report.note(*batch.place(index), AHEAD)


def _names(data: bytes) -> set[str] | None:
    """Return the members of an object; None where the data is none."""
    try:
        return set(_members(data))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        members = scan_object(data)
        return None if members is None else set(members)


def _own(data: bytes) -> Any:
    try:
        return _value(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise WireError("$", data[:200].decode(errors="replace"), f"not JSON ({error})") from error


def _joined(path: str, inner: str) -> str:
    if inner in {"", "$"}:
        return path
    return inner if path in {"", "$"} else f"{path}: {inner}"
