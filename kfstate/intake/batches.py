"""Documents become batches of drafts: as many as one transaction takes, with where each stood."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs
import msgspec

from kfstate.clock import Clock
from kfstate.errors import WireError
from kfstate.intake.report import Report
from kfstate.intake.sources import WAITING, Document
from kfstate.store.cursor import Pull
from kfstate.store.envelope import draft_own, from_json
from kfstate.store.facts import IDS, draft_elements, is_id
from kfstate.store.rows import Draft
from kfstate.version import __version__
from kfstate.wire import split_page
from kfstate.wire.scan import scan_object

__all__ = ["Batch", "CursorMove", "Drafter", "is_cursor", "joined"]

SOFTWARE = f"kfstate/{__version__}"
_BATCH = 1000
_CURSOR = 256
"""The longest cursor that is kept, in bytes."""
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_value = msgspec.json.Decoder().decode
_ELEMENT = frozenset({"msgtype", "msgid", "send_time", "origin", "event"})
_ENVELOPE = frozenset({"send_time", "origin", "event", "msg_list"})
"""What a page, a message or an event of WeCom has, and no own entry."""


@attrs.frozen(kw_only=True)
class CursorMove:
    """How the cursor of the pulled account moves with a page: from ``expected`` to the page's ``next_cursor``.

    ``epoch`` is that of the caller's claim; ``synced_until`` (microseconds) when a pull that is now complete began;
    ``date_at`` (the same) when WeCom sent the page, by its ``Date`` header.
    A page whose ``next_cursor`` cannot be kept leaves the cursor where it is.
    """

    expected: str
    epoch: int
    synced_until: int | None = None
    date_at: int | None = None


@attrs.define
class Batch:
    """Drafts that go into one transaction, in the order in which they came, with the pulls of their pages."""

    drafts: list[Draft] = attrs.Factory(list)
    places: list[tuple[Document, str]] = attrs.Factory(list)
    """Where each draft stood: the document, and the list in it ('': the document itself)."""
    pulls: list[Pull] = attrs.Factory(list)
    pulled: list[int | None] = attrs.Factory(list)
    """Of each draft, the place of its pull in ``pulls``; None: it came in no page."""

    def add(self, document: Document, drafts: Sequence[Draft], pull: Pull | None = None) -> None:
        """Add the drafts of a document."""
        self.drafts += drafts
        self.places += [(document, "" if pull is None else "$.msg_list")] * len(drafts)
        self.pulled += [None if pull is None else len(self.pulls)] * len(drafts)
        if pull is not None:
            self.pulls.append(pull)

    def place(self, index: int) -> tuple[str, str]:
        """Return source and path of a draft."""
        document, inner = self.places[index]
        if not inner:
            return document.source, document.path
        return document.source, joined(document.path, f"{inner}[{self.drafts[index].ordinal}]")


@attrs.frozen
class Drafter:
    """Makes batches of drafts from documents; what is no page and no entry goes into the report."""

    report: Report
    account: str
    corp_id: str
    clock: Clock
    cursor: CursorMove | None

    def batches(self, read: Iterable[Document]) -> Iterator[Batch]:
        """Yield batches of about a thousand drafts; a page is never divided.

        Raises :class:`~kfstate.errors.WireError` where a cursor is to move with something that is not one page.
        """
        batch = Batch()
        for document in self._parted(read):
            if document is WAITING:
                if batch.drafts:
                    yield batch
                    batch = Batch()
                continue
            try:
                drafts, pull = self._drafts(document)
            except WireError as error:
                path = joined(document.path, error.path)
                self.report.reject(document.source, path, f"{error.reason}: {error.value}")
                continue
            if self.cursor is not None:
                self._check_moving(document, pull, batch)
            elif batch.drafts and len(batch.drafts) + len(drafts) > _BATCH:
                yield batch
                batch = Batch()
            batch.add(document, drafts, pull)
        if batch.drafts or batch.pulls:
            yield batch

    def _check_moving(self, document: Document, pull: Pull | None, batch: Batch) -> None:
        if pull is None or batch.pulls:
            reason = (
                "a cursor moves with one page, and this is none" if pull is None else "a cursor moves with one page"
            )
            raise WireError(document.path, document.data[:200].decode(errors="replace"), reason)

    def _parted(self, read: Iterable[Document]) -> Iterator[Document]:
        """Yield the items of lists one by one; report what could not be read."""
        for document in read:
            if document.problem:
                self.report.reject(document.source, document.path, document.problem)
            elif document is not WAITING and document.data.lstrip()[:1] == b"[":
                try:
                    items = split_page(b'{"msg_list":' + document.data + b"}").elements
                except WireError as error:
                    self.report.reject(document.source, document.path, f"{error.reason}: {error.value}")
                else:
                    for index, item in enumerate(items):
                        yield Document(document.source, joined(document.path, f"$[{index}]"), item, item=True)
            else:
                yield document

    def _drafts(self, document: Document) -> tuple[list[Draft], Pull | None]:
        names = _names(document.data)
        if names is not None and "kind" in names and names.isdisjoint(_ENVELOPE):
            own = from_json(_own(document.data))
            return [draft_own(own, now=self.clock.now(), corp_id=self.corp_id, repeatable=True)], None
        if (names is None and not document.item) or (names and ("msg_list" in names or "errcode" in names)):
            return self._page(document)
        if document.item or (names and names & _ELEMENT):
            return self._elements((document.data.strip(),)), None
        raise WireError("$", document.data[:200].decode(errors="replace"), "neither page, nor entry, nor own entry")

    def _page(self, document: Document) -> tuple[list[Draft], Pull]:
        page = split_page(document.data)
        after = page.next_cursor
        if page.unread_cursor or not is_cursor(after):
            # The entries are worth more than the cursor: they come in, and the next pull begins where this one did.
            path = joined(document.path, "$.next_cursor")
            reason = f"next_cursor is no cursor (at most {_CURSOR} printable ASCII characters), and is not kept"
            self.report.note(document.source, path, f"{reason}: {after[:200]!a}")
            after = ""
        account = self.account
        if account and not is_id(account):
            reason = f"the account is no id ({IDS}), and is not kept: {ascii(account)[:200]}"
            self.report.note(document.source, document.path, reason)
            account = ""
        pull = Pull(
            open_kfid=account,
            pulled_at=self.clock.now(),
            elements=len(page.elements),
            corp_id=self.corp_id,
            cursor_before=self.cursor.expected if self.cursor else "",
            cursor_after=after,
            has_more=page.has_more,
            date_at=self.cursor.date_at if self.cursor else None,
            software=SOFTWARE,
        )
        return self._elements(page.elements), pull

    def _elements(self, elements: Sequence[bytes]) -> list[Draft]:
        return draft_elements(elements, account=self.account, corp_id=self.corp_id)


def is_cursor(text: str) -> bool:
    """Tell whether a cursor can be kept."""
    return len(text) <= _CURSOR and text.isascii() and (text.isprintable() or not text)


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


def joined(path: str, inner: str) -> str:
    """Return the path of something inside a document that has a path itself."""
    if inner in {"", "$"}:
        return path
    return inner if path in {"", "$"} else f"{path}: {inner}"
