"""How an archive lies on the disk: a folder with a folder for each part, and in that a ``part.json`` that names it all.

A part is written beside its place and moved there as a whole, so that it is there or is not. Whoever writes holds a
lock on the folder, which ends with the process. Beside the parts lies what was compacted: entries in brief of several.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, ClassVar, TypeVar

import attrs
import cattrs

from kfstate.errors import ArchiveError

__all__ = [
    "LAYOUT_VERSION",
    "Compacted",
    "File",
    "Part",
    "Run",
    "check",
    "digest_of",
    "new_run",
    "publish",
    "read_manifest",
    "read_parts",
    "remove",
    "replace_manifest",
    "writing",
]

LAYOUT_VERSION = 1
"""Number of this layout; an archive with another one is not read."""

_MANIFEST = "part.json"
_LOCK = ".lock"
_NEW = ".new-"
_OURS = re.compile(rf"{re.escape(_NEW)}(compacted-[0-9]{{15}}-)?[0-9]{{15}}")
"""What a writer leaves that was killed; a folder may have more than the archive."""


@attrs.frozen
class File:
    """A file of a part: ``rows`` of a table, of the slices ``first_slice``..``last_slice`` where it has slices."""

    name: str
    table: str
    rows: int
    sha256: str
    first_slice: int = 0
    last_slice: int = 1023

    def within(self, first_slice: int, last_slice: int) -> bool:
        """Tell whether it holds rows of these slices alone."""
        return first_slice <= self.first_slice and self.last_slice <= last_slice


@attrs.frozen(kw_only=True)
class Run:
    """A folder with files of the entries ``first``..``last`` of a log.

    ``before`` and ``chain`` are the links before the first and of the last entry.
    """

    KIND: ClassVar[str]
    log_id: str
    created_at: int
    first: int
    last: int
    before: str
    chain: str
    files: tuple[File, ...]
    kfstate_archive: int = LAYOUT_VERSION

    @property
    def folder(self) -> str:
        """The name of its folder: names in order are runs in order."""
        return f"{self.KIND}-{self.first:015}-{self.last:015}"

    def of(self, table: str, first_slice: int = 0, last_slice: int = 1023) -> list[File]:
        """Return its files of a table that hold any of these slices."""
        return [
            file
            for file in self.files
            if file.table == table and file.first_slice <= last_slice and file.last_slice >= first_slice
        ]


@attrs.frozen(kw_only=True)
class Part(Run):
    """Entries, with what they are the first to speak of.

    ``marks`` are the greatest ids of names, streams and pulls so far; ``machines`` rows of ``kf_machine``.
    """

    KIND = "part"
    recorded_at: int
    marks: tuple[int, int, int]
    machines: tuple[tuple[str, str, str, int], ...]


@attrs.frozen(kw_only=True)
class Compacted(Run):
    """The entries of several parts in brief. The parts keep theirs: this can be made again."""

    KIND = "compacted"


_R = TypeVar("_R", Part, Compacted)


def read_parts(folder: Path) -> list[Part]:
    """Return the parts of an archive, in order; none where there is no archive yet.

    Raises :class:`~kfstate.errors.ArchiveError` where one cannot be read, is missing, or is of another log.
    """
    parts: list[Part] = []
    for path in sorted(folder.glob("part-*")):
        part = read_manifest(path, Part)
        if parts:
            known = parts[-1]
            follows = (known.log_id, known.created_at, known.last + 1, known.chain)
            if follows != (part.log_id, part.created_at, part.first, part.before):
                raise ArchiveError(str(path), f"it does not follow {known.folder}")
        elif part.first != 1:
            raise ArchiveError(str(path), f"it begins at {part.first}: what is before it is missing")
        parts.append(part)
    return parts


def read_manifest(path: Path, kind: type[_R]) -> _R:
    """Return what a folder says of itself. Raises :class:`~kfstate.errors.ArchiveError`."""
    try:
        told = json.loads((path / _MANIFEST).read_bytes())
        if told["kfstate_archive"] != LAYOUT_VERSION:
            raise ArchiveError(str(path), f"layout {told['kfstate_archive']} is not known to this release")
        run = cattrs.structure(told, kind)
        json.dumps(told, ensure_ascii=False).encode()  # half a character has no place in a file name or a database
    except (OSError, KeyError, TypeError, ValueError, cattrs.BaseValidationError) as error:
        raise ArchiveError(str(path), "its part.json cannot be read") from error
    if not _sound(run):
        raise ArchiveError(str(path), "its part.json says what cannot be")
    if run.folder != path.name or any(Path(file.name).name != file.name or "\0" in file.name for file in run.files):
        raise ArchiveError(str(path), "its part.json is of another part")
    return run


def _sound(run: Run) -> bool:
    """Tell whether a manifest can be that of a run."""
    try:
        lengths = [len(bytes.fromhex(text)) for text in (run.log_id, run.before, run.chain)]
    except ValueError:
        return False
    numbers = [run.created_at, run.first, run.last]
    if isinstance(run, Part):
        numbers += [run.recorded_at, *run.marks]
    sliced = [file for file in run.files if file.table in {"entries", "words", "briefs"}]
    ranges = sorted({(file.first_slice, file.last_slice) for file in sliced})
    if any(before[1] >= after[0] for before, after in pairwise(ranges)):  # the same ones, whatever the table
        return False
    if not all(0 <= file.first_slice <= file.last_slice <= 1023 for file in run.files):
        return False
    return lengths == [16, 32, 32] and all(0 <= number < 1 << 63 for number in numbers) and run.first <= run.last


@contextmanager
def writing(folder: Path) -> Iterator[list[Part]]:
    """Hold the lock of an archive, remove what a writer left that was killed, and give the parts.

    Raises :class:`~kfstate.errors.ArchiveError` where somebody else holds it, and where the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _LOCK).open("a+b") as file:
            _locked(folder, file)
            for path in folder.glob(f"{_NEW}*"):
                if _OURS.fullmatch(path.name):
                    shutil.rmtree(path)
            parts = read_parts(folder)
            for part in parts:
                _tidy(folder / part.folder, part)
            yield parts
    except OSError as error:
        raise ArchiveError(error.filename or str(folder), f"it cannot be written ({error.strerror})") from error


def _locked(folder: Path, file: IO[bytes]) -> None:
    try:
        _lock(file)
    except OSError as error:
        raise ArchiveError(str(folder), "somebody else is writing to it") from error


def _tidy(path: Path, part: Part) -> None:
    """Remove files that the manifest does not name: what was erased may stand in them."""
    named = {file.name for file in part.files} | {_MANIFEST}
    for left in path.iterdir():
        if left.name not in named:
            left.unlink()


if os.name == "nt":  # pragma: no cover (tested where it runs)
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def new_run(folder: Path, first: int) -> Iterator[tuple[Path, list[Run]]]:
    """Give a folder to write a run into, and a list for its manifest; after the block it is ready to be published."""
    path = folder / f"{_NEW}{first:015}"
    path.mkdir()
    made: list[Run] = []
    yield path, made
    (run,) = made
    _write(path / _MANIFEST, run)
    for file in run.files:
        _sync(path / file.name)
    _sync(path)


def publish(folder: Path, run: Run) -> None:
    """Move a run that is ready to its place."""
    (folder / f"{_NEW}{run.first:015}").rename(folder / run.folder)
    _sync(folder)


def remove(folder: Path, name: str) -> None:
    """Remove a run as a whole: what is left of it, should this process be killed, the next writer removes."""
    gone = folder / f"{_NEW}{name}"
    (folder / name).rename(gone)
    shutil.rmtree(gone)


def replace_manifest(path: Path, part: Part) -> None:
    """Put another manifest in the place of a part's, and remove the files that it does not name any more."""
    for file in part.files:
        _sync(path / file.name)
    _write(path / f"{_MANIFEST}.new", part)
    (path / f"{_MANIFEST}.new").replace(path / _MANIFEST)
    _sync(path)
    _tidy(path, part)
    _sync(path)


def _write(path: Path, run: Run) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(attrs.asdict(run), file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # pragma: no cover (folders cannot be opened there)
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(path: Path, files: Sequence[File]) -> None:
    """Raise :class:`~kfstate.errors.ArchiveError` where a file is not what the manifest says."""
    for file in files:
        try:
            same = digest_of(path / file.name) == file.sha256
        except OSError as error:
            raise ArchiveError(str(path / file.name), "it cannot be read") from error
        if not same:
            raise ArchiveError(str(path / file.name), "it is not what part.json says: it was changed")
