"""What an engine offers for files: ``engine.archive``."""

from collections.abc import Callable
from pathlib import Path
from typing import IO

from kfstate.archive import ndjson
from kfstate.archive.restoring import restore
from kfstate.archive.results import Erased, Exported, Restored
from kfstate.errors import ArchiveError, ArgumentError
from kfstate.projections.building import Site
from kfstate.store.checkpoint import Checkpoint
from kfstate.store.crew import Crew

__all__ = ["Archive", "import_log"]


class Archive:
    """The log of an engine in files. Parquet needs the extra ``archive``."""

    def __init__(self, site: Site) -> None:
        """Read the log of this database."""
        self._database = site.database
        self._signal = site.signal

    def export(
        self,
        folder: Path,
        *,
        until: int | None = None,
        progress: Callable[[int], None] | None = None,
        processes: int = 1,
    ) -> Exported:
        """Bring an archive of Parquet files up to the log, or up to position ``until``; begin it where there is none.

        What was erased in the database since is cleared in it first. ``progress`` is called with the number of entries
        of each part. As many ``processes`` write a part each at once, and hold it in memory. Raises
        :class:`~kfstate.errors.ExtraError`, :class:`~kfstate.errors.ArchiveError`,
        :class:`~kfstate.errors.CheckpointError` where the archive is of another log.
        """
        _check(until)
        from kfstate.archive import erasing, exporting  # noqa: PLC0415 (the extra may be missing)

        erasing.follow(self._database.reading, folder)
        with Crew(self._database, processes, self._signal) as crew:
            return exporting.export(self._database, folder, until=until, progress=progress, crew=crew)

    def follow(self, folder: Path) -> Erased:
        """Clear in an archive what was erased in the database since it was written.

        Raises :class:`~kfstate.errors.ExtraError`, :class:`~kfstate.errors.ArchiveError` where there is none,
        :class:`~kfstate.errors.CheckpointError` where it is of another log.
        """
        from kfstate.archive import erasing, layout  # noqa: PLC0415 (the extra may be missing)

        if not layout.read_parts(folder):
            raise ArchiveError(str(folder), "there is no archive")
        return erasing.follow(self._database.reading, folder)

    def write(
        self, target: IO[bytes], *, until: int | None = None, progress: Callable[[int], None] | None = None
    ) -> Checkpoint:
        """Write the log, or what is up to position ``until``, as NDJSON, and return where it ends."""
        _check(until)
        position, chain = ndjson.write_log(self._database.reading, target, until=until, progress=progress)
        return Checkpoint(position, chain.hex())


def _check(until: int | None) -> None:
    if until is not None and until < 1:
        raise ArgumentError("until", str(until), "a position from 1 on")


def import_log(
    url: str, source: Path, *, progress: Callable[[int], None] | None = None, lock_timeout: float = 10.0
) -> Restored:
    """Put an archive (a folder of Parquet files, or a file of NDJSON) into a database that holds no other log.

    Every entry is verified on the way; an import that was broken off goes on where it ended. The next engine that
    opens the database folds the projections. Raises :class:`~kfstate.errors.ArchiveError`,
    :class:`~kfstate.errors.CorruptLogError`, :class:`~kfstate.errors.ExtraError`.
    """
    if source.is_dir():
        from kfstate.archive import reading  # noqa: PLC0415 (the extra may be missing)

        log = reading.log_of(source)
        return restore(url, log, reading.pieces(source), progress=progress, lock_timeout=lock_timeout)
    try:
        file = source.open("rb")
    except OSError as error:
        raise ArchiveError(str(source), f"it cannot be read ({error.strerror})") from error
    with file:
        log = ndjson.read_header(file, str(source))
        pieces = ndjson.read_pieces(file, str(source), log)
        return restore(url, log, pieces, progress=progress, lock_timeout=lock_timeout)
