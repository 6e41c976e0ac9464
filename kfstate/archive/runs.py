"""Where entries in brief are read from: what was compacted, and the parts that were not."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from kfstate.archive import layout
from kfstate.archive.layout import Compacted, Part, Run
from kfstate.errors import ArchiveError

__all__ = ["read_runs", "remove_superseded"]


def read_runs(folder: Path, parts: Sequence[Part]) -> list[Run]:
    """Return all entries in brief of an archive with these parts, in order of position.

    Raises :class:`~kfstate.errors.ArchiveError` where it is damaged.
    """
    compacted = {run.first: run for run in _standing(folder, parts)}
    runs: list[Run] = []
    for part in parts:
        if not runs or runs[-1].last < part.first:
            runs.append(compacted.get(part.first, part))
    for run in runs:
        if len(run.of("shapes")) != 1 or sum(file.rows for file in run.of("briefs")) != run.last - run.first + 1:
            raise ArchiveError(str(folder / run.folder), "it does not have each of its entries in brief")
    return runs


def remove_superseded(folder: Path, runs: Sequence[Run]) -> None:
    """Remove what was compacted and is none of the runs, in an archive held for writing."""
    standing = {run.folder for run in runs}
    for path in folder.glob(f"{Compacted.KIND}-*"):
        if path.name not in standing and path.is_dir():
            layout.remove(folder, path.name)


def _standing(folder: Path, parts: Sequence[Part]) -> list[Compacted]:
    """Return what was compacted of these very parts, and not once more since."""
    ends = {(part.log_id, part.last, part.chain) for part in parts}  # a link holds all that is before it
    found: list[Compacted] = []
    for run in sorted(_compacted(folder), key=lambda run: (run.first, -run.last)):
        if (run.log_id, run.last, run.chain) in ends and (not found or found[-1].last < run.first):
            found.append(run)
    return found


def _compacted(folder: Path) -> Iterator[Compacted]:
    for path in folder.glob(f"{Compacted.KIND}-*"):
        try:
            yield layout.read_manifest(path, Compacted)
        except ArchiveError:
            if path.is_dir():  # if not, a writer has just removed it
                raise
