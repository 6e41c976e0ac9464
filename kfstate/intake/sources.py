"""What people hand to ``ingest``, as documents: one JSON value each, with where it stood."""

import io
import os
import queue
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import attrs
import msgspec

from kfstate.errors import WireError
from kfstate.wire.parse import to_bytes
from kfstate.wire.scan import scan_list, scan_object

__all__ = ["WAITING", "Document", "Source", "documents"]

Source = bytes | str | Mapping[str, Any] | Path | IO[bytes]
"""A page, an entry or an own entry as bytes, JSON text or mapping; a file, or an open binary stream, of such."""

_MARK = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n" + _MARK
_AHEAD = 1 << 23
"""How many bytes are read from a pipe before they are asked for: a page may have hundreds of thousands."""
_PAUSE = 0.1
"""Seconds after which a writer at the other end of a pipe is taken to pause."""
_LOOK = 1 << 26
"""How many bytes are read to find out whether a file that begins with no JSON value is one value over many lines."""
_decode = msgspec.json.Decoder(msgspec.Raw).decode


@attrs.frozen
class Document:
    """One JSON value: ``source`` and ``path`` say where it stood."""

    source: str
    path: str
    data: bytes
    problem: str = ""
    """Why there is no data."""
    item: bool = False
    """Whether it stood in a list: then it is an entry, whatever it is."""


WAITING = Document("", "", b"")
"""Stands for no document: what was read so far can be stored, for the next one may take its time."""


def documents(source: Source | Iterable[Source]) -> Iterator[Document]:
    """Yield the documents of one source, or of several in turn; files and streams are read line by line.

    What cannot be read is a document with a problem, and stops none of the others.
    """
    if isinstance(source, Mapping):
        yield _mapping(source)
    elif isinstance(source, str):
        yield from _lines("<text>", io.BytesIO(source.encode("utf-8", "surrogatepass")))
    elif isinstance(source, bytes | bytearray | memoryview):
        yield from _lines("<bytes>", io.BytesIO(source))
    elif isinstance(source, Path):
        try:
            with source.open("rb") as file:
                yield from _lines(str(source), file)
        except OSError as error:
            yield Document(str(source), "$", b"", f"cannot be read ({error.strerror})")
    elif isinstance(source, Iterable) and not hasattr(source, "read"):
        for one in source:
            yield from documents(one)
    else:
        yield from _lines(str(getattr(source, "name", "") or "<stream>"), source)  # type: ignore[arg-type]


def _mapping(source: Mapping[Any, Any]) -> Document:
    try:
        return Document("<mapping>", "$", to_bytes(source, "$"))
    except WireError as error:
        return Document("<mapping>", "$", b"", error.reason)


def _lines(name: str, file: Iterable[bytes | str]) -> Iterator[Document]:
    """Yield each line that is not empty; or the whole file, where it holds one JSON value over many lines."""
    lines = _documents(name, file)
    first = next(lines, None)
    if first is None:
        return
    first = attrs.evolve(first, data=first.data.removeprefix(_MARK))
    if _is_json(first.data):
        yield first
    else:
        yield from _unclear(first, lines)
    yield from _live(lines) if _is_live(file) else lines


def _is_live(file: Any) -> bool:
    """Tell whether a file is a pipe, a socket or a terminal, whose writer may take its time."""
    try:
        mode = os.fstat(file.fileno()).st_mode
    except (AttributeError, OSError, ValueError, TypeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)


_Item = Document | BaseException | None


class _Read(queue.Queue[_Item]):
    """What was read and is not asked for yet; its size is in bytes."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._held = 0

    def _qsize(self) -> int:
        return self._held

    def _put(self, item: _Item) -> None:
        super()._put(item)
        self._held += _bytes(item)

    def _get(self) -> _Item:
        item = super()._get()
        self._held -= _bytes(item)
        return item


def _bytes(item: _Item) -> int:
    return 1 + len(item.data) if isinstance(item, Document) else 1


def _live(lines: Iterator[Document]) -> Iterator[Document]:
    """Yield documents as they come, and :data:`WAITING` where the writer pauses."""
    read = _Read(_AHEAD)
    left = threading.Event()
    threading.Thread(target=_read_on, args=(lines, read, left), name="kfstate-read", daemon=True).start()
    try:
        while True:
            try:
                item = read.get(timeout=_PAUSE)
            except queue.Empty:
                yield WAITING
                item = read.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                return
            yield item
    finally:
        left.set()


def _read_on(lines: Iterator[Document], read: _Read, left: threading.Event) -> None:
    try:
        for document in lines:
            _hand_over(document, read, left)
    except BaseException as error:  # noqa: BLE001 (raised where the documents are taken)
        _hand_over(error, read, left)
    else:
        _hand_over(None, read, left)


def _hand_over(item: _Item, read: _Read, left: threading.Event) -> None:
    while not left.is_set():
        try:
            read.put(item, timeout=_PAUSE)
        except queue.Full:
            continue
        return


def _documents(name: str, file: Iterable[bytes | str]) -> Iterator[Document]:
    for number, line in enumerate(file, 1):
        data = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
        if data.strip(_BLANK):
            yield Document(name, f"line {number}", data)


def _unclear(first: Document, lines: Iterator[Document]) -> Iterator[Document]:
    """Yield what a file has whose first line is no JSON value: one value over many lines, or lines, the first bad."""
    read, size = [first], len(first.data)
    for line in lines:
        read.append(line)
        size += len(line.data)
        if size > _LOOK:
            break
    else:
        whole = b"".join(line.data for line in read)
        if _is_json(whole) or not any(_is_object(line.data) for line in read):
            yield Document(first.source, "$", whole)
            return
    yield from read


def _is_object(line: bytes) -> bool:
    return line.lstrip().startswith(b"{") and _is_json(line)


def _is_json(data: bytes) -> bool:
    try:
        _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return scan_object(data) is not None or scan_list(data) is not None
    return True
