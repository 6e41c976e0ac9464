"""A file that keeps what was done already, part by part, so that long work goes on where it was interrupted."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import msgspec

from kfstate.errors import ArgumentError

__all__ = ["Journal"]

_FORM = 2


class Journal:
    """One line of JSON that says what work this is, then one for each part that is done. Only lengthened.

    Use it as a context manager.
    """

    def __init__(self, path: Path | str, work: Mapping[str, Any]) -> None:
        """Open the file, or make it. ``work`` is what the work is, but how much of the log: see :meth:`begin`.

        Raises :class:`~kfstate.errors.ArgumentError` where the file is of other work, or is no journal.
        """
        self._path = Path(path)
        self._work = msgspec.json.encode(work, order="deterministic").decode()
        self.scope: tuple[str, int, str] | None = None
        """How much of the log, and of another one, the work is about, where it began before."""
        self.parts: dict[int, bytes] = {}
        """The parts that are done."""
        if self._path.exists() and not self._path.is_file():  # a pipe would be waited for
            raise self._unfit("it is no file")
        try:
            self._file: IO[bytes] = self._path.open("ab+")
        except OSError as error:
            raise self._unfit(error.strerror) from error
        try:
            self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        """Return the journal."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()

    def begin(self, scope: tuple[str, int, str]) -> None:
        """Note how much of the log the work is about, where it has not begun before."""
        if self.scope is None:
            self.scope = scope
            self._write({"form": _FORM, "work": self._work, "scope": scope})

    def add(self, number: int, part: bytes) -> None:
        """Note what came of a part."""
        self._write({"part": number, "is": msgspec.Raw(part)})

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            self._file.write(msgspec.json.encode(line) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unfit(error.strerror) from error

    def _read(self) -> None:
        self._file.seek(0)
        whole = 0
        for number, line in enumerate(self._lines()):
            try:
                if number == 0:
                    self._head(line)
                else:
                    part = msgspec.json.decode(line, type=_Part)
                    self.parts[part.part] = bytes(part.is_)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise self.wrong() from error
            whole += len(line)
        self._file.truncate(whole)

    def _lines(self) -> Iterator[bytes]:
        """Yield the lines that are whole: the last one may have been cut off when it was written."""
        for line in self._file:
            if line.endswith(b"\n"):
                yield line
            elif self.scope is None and not self._begins(line):
                raise self.wrong()

    def _begins(self, line: bytes) -> bool:
        """Tell whether this may be the first line of such a journal, cut off: nothing else is overwritten."""
        ours = msgspec.json.encode({"form": _FORM, "work": self._work})[:-1]
        return line.startswith(ours) or ours.startswith(line)

    def _head(self, line: bytes) -> None:
        head = msgspec.json.decode(line, type=_Head)
        if head.form != _FORM or head.work != self._work:
            raise self.wrong()
        self.scope = head.scope

    def _unfit(self, why: str | None) -> ArgumentError:
        return ArgumentError("journal", str(self._path), f"a file that can be written ({why})")

    def wrong(self) -> ArgumentError:
        """Return the error of a file that is no journal of this work."""
        return ArgumentError(
            "journal", str(self._path), "a file that the same work wrote, or one that is not there yet"
        )


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    form: int
    work: str
    scope: tuple[str, int, str]


class _Part(msgspec.Struct, forbid_unknown_fields=True, rename={"is_": "is"}):
    part: int
    is_: msgspec.Raw
