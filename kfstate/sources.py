"""What people hand to ``ingest``, as documents: one JSON value each, with where it stood."""

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import attrs
import msgspec

from kfstate.errors import WireError

__all__ = ["Document", "Source", "documents"]

Source = bytes | str | Mapping[str, Any] | Path | IO[bytes]
"""A page, an entry or an own entry as bytes, JSON text or mapping; a file, or an open binary stream, of such."""

_BLANK = b" \t\r\n\xef\xbb\xbf"
_decode = msgspec.json.Decoder(msgspec.Raw).decode


@attrs.frozen
class Document:
    """One JSON value: ``source`` and ``path`` say where it stood."""

    source: str
    path: str
    data: bytes


def documents(source: Source | Iterable[Source]) -> Iterator[Document]:
    """Yield the documents of one source, or of several in turn; files and streams are read line by line.

    Raises:
        WireError: a file cannot be opened.
    """
    if isinstance(source, Mapping):
        yield Document("<mapping>", "$", msgspec.json.encode(source))
    elif isinstance(source, str):
        yield from _lines("<text>", io.BytesIO(source.encode("utf-8", "surrogatepass")))
    elif isinstance(source, bytes):
        yield from _lines("<bytes>", io.BytesIO(source))
    elif isinstance(source, Path):
        try:
            with source.open("rb") as file:
                yield from _lines(str(source), file)
        except OSError as error:
            raise WireError(str(source), str(source), f"cannot be read ({error.strerror})") from error
    elif isinstance(source, Iterable) and not hasattr(source, "read"):
        for one in source:
            yield from documents(one)
    else:
        yield from _lines(getattr(source, "name", None) or "<stream>", source)  # type: ignore[arg-type]


def _lines(name: str, file: IO[bytes]) -> Iterator[Document]:
    """Yield each line that is not empty; or the whole file, where it holds one JSON value over many lines."""
    lines = ((f"line {number}", line) for number, line in enumerate(file, 1) if line.strip(_BLANK))
    path, first = next(lines, ("", b""))
    first = first.removeprefix(b"\xef\xbb\xbf")
    if not first:
        return
    if _is_json(first):
        yield Document(name, path, first)
    else:
        second_path, second = next(lines, ("", b""))
        if first.strip() in {b"{", b"["} or not _is_json(second):
            yield Document(name, "$", first + second + b"".join(line for _, line in lines))
            return
        yield Document(name, path, first)
        yield Document(name, second_path, second)
    for path, line in lines:
        yield Document(name, path, line)


def _is_json(data: bytes) -> bool:
    try:
        _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True
