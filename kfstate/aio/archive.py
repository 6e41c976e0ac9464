"""The archive of an AsyncEngine: what ``engine.archive`` has, to be awaited."""

from collections.abc import Callable
from pathlib import Path
from typing import IO

from kfstate.aio.greenlets import inside
from kfstate.archive.face import Archive
from kfstate.archive.results import Erased, Exported
from kfstate.store.checkpoint import Checkpoint

__all__ = ["AsyncArchive"]


class AsyncArchive:
    """As :class:`kfstate.archive.face.Archive`. Files are written on the event loop: for a large log take a process."""

    def __init__(self, archive: Archive) -> None:
        """Await this."""
        self._archive = archive

    async def export(
        self,
        folder: Path,
        *,
        until: int | None = None,
        progress: Callable[[int], None] | None = None,
        processes: int = 1,
    ) -> Exported:
        """As :meth:`kfstate.archive.face.Archive.export`."""
        return await inside(self._archive.export, folder, until=until, progress=progress, processes=processes)

    async def follow(self, folder: Path) -> Erased:
        """As :meth:`kfstate.archive.face.Archive.follow`."""
        return await inside(self._archive.follow, folder)

    async def write(
        self, target: IO[bytes], *, until: int | None = None, progress: Callable[[int], None] | None = None
    ) -> Checkpoint:
        """As :meth:`kfstate.archive.face.Archive.write`."""
        return await inside(self._archive.write, target, until=until, progress=progress)
