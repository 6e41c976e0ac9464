"""Forgetting in the archive: the files that hold what is to go are written anew without it, the chain stays (P9)."""

import json
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy import Connection

from kfstate.archive import layout
from kfstate.archive.arrow import np, pa, pq
from kfstate.archive.exporting import write_table
from kfstate.archive.layout import File, Part
from kfstate.archive.results import Erased
from kfstate.archive.schema import slice_of
from kfstate.errors import ArchiveError
from kfstate.store.dialect import query

__all__ = ["age", "erase", "follow"]

_WORDS = ("salt", "body", "content")
_NAMES = ("salt", "value", "folded")
Chosen = Callable[[Any], Any]
"""Tells of the rows of a table which are to be cleared."""


def erase(folder: Path, *, names: Collection[int] = (), streams: Collection[int] = ()) -> Erased:
    """Clear names (ids of ``kf_name``) and all that was said in streams (ids of ``kf_stream``).

    What is cleared already stays so: it can be run again, and has to be where it was broken off. Raises
    :class:`~kfstate.errors.ArchiveError`.
    """
    slices = {slice_of(stream) for stream in streams}
    gone, quiet = np.array(sorted(names), np.int64), np.array(sorted(streams), np.int64)

    def wanted(file: File) -> Chosen | None:
        if file.table == "names" and names:
            return lambda table: np.isin(table["id"].to_numpy(), gone)
        if file.table == "words" and any(file.first_slice <= at <= file.last_slice for at in slices):
            return lambda table: np.isin(table["stream"].to_numpy(), quiet)
        return None

    return _cleared(folder, lambda _: wanted)


def age(folder: Path, *, until: int, held: Collection[int] = ()) -> Erased:
    """Clear all payloads up to a position, but those of the streams that are ``held`` (封存)."""
    kept = np.array(sorted(held), np.int64)

    def wanted(file: File) -> Chosen | None:
        if file.table != "words":
            return None
        return lambda table: (table["position"].to_numpy() <= until) & ~np.isin(table["stream"].to_numpy(), kept)

    return _cleared(folder, lambda part: wanted if part.first <= until else None)


def follow(reading: Callable[[], AbstractContextManager[Connection]], folder: Path) -> Erased:
    """Clear whatever the database has cleared since: names, payloads, content digests.

    So an archive that was out of reach when a customer was erased, or was being written then, forgets too.
    """

    def choose(part: Part) -> Callable[[File], Chosen | None]:
        sql = "SELECT position FROM kf_payload WHERE position >= ? AND position <= ? AND body IS NULL"
        with reading() as conn:
            names = [row[0] for row in query(conn, "SELECT id FROM kf_name WHERE value IS NULL")]
            silent = [row[0] for row in query(conn, sql, (part.first, part.last))]
        by_table = {"names": ("id", names), "words": ("position", silent)}

        def wanted(file: File) -> Chosen | None:
            key, gone = by_table.get(file.table, ("", []))
            return (lambda table: np.isin(table[key].to_numpy(), gone)) if gone else None

        return wanted

    return _cleared(folder, choose)


def _cleared(folder: Path, choose: Callable[[Part], Callable[[File], Chosen | None] | None]) -> Erased:
    names = payloads = files = 0
    with layout.writing(folder):
        for part in layout.read_parts(folder):
            path, wanted = folder / part.folder, choose(part)
            made: dict[str, File] = {}
            for file in part.files:
                chosen = wanted(file) if wanted is not None else None
                if chosen is None:
                    continue
                new, count = _rewritten(path, file, chosen)
                if count:
                    made[file.name] = new
                    names += count if file.table == "names" else 0
                    payloads += count if file.table == "words" else 0
            if made:
                changed = attrs.evolve(part, files=tuple(made.get(file.name, file) for file in part.files))
                layout.replace_manifest(path, changed)
                files += len(made)
    return Erased(names, payloads, files)


def _rewritten(path: Path, file: File, chosen: Chosen) -> tuple[File, int]:
    """Write a file anew with the chosen rows cleared; return it, and how many rows were not clear before."""
    layout.check(path, [file])
    try:
        table = pq.read_table(path / file.name, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(str(path / file.name), "it cannot be read") from error
    columns = _NAMES if file.table == "names" else _WORDS
    said = np.zeros(table.num_rows, np.bool_)
    for name in columns:
        said |= table[name].is_valid().to_numpy()
    cleared = chosen(table) & said
    if not cleared.any():
        return file, 0
    told = json.loads(table.schema.metadata[b"kfstate"])
    keep = pa.array(np.arange(table.num_rows), mask=cleared)
    for name in columns:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(name), table[name].take(keep))
    new = write_table(path, file.table, table, told, (file.first_slice, file.last_slice))
    return new, int(cleared.sum())
