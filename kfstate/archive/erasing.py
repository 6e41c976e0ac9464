"""Forgetting in the archive: the files that hold what is to go are written anew without it, the chain stays (P9)."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import attrs
from sqlalchemy import Connection

from kfstate.archive import layout
from kfstate.archive.arrow import np, pa, pq
from kfstate.archive.exporting import check_log
from kfstate.archive.layout import File, Part
from kfstate.archive.parquet import write_table
from kfstate.archive.results import Erased
from kfstate.errors import ArchiveError
from kfstate.store.dialect import query
from kfstate.store.head import read_head

__all__ = ["follow"]

_CLEARED = {"names": ("id", ("salt", "value", "folded")), "words": ("position", ("salt", "body", "content"))}
"""Table → the column that tells its rows apart, and those that are cleared."""


def follow(reading: Callable[[], AbstractContextManager[Connection]], folder: Path) -> Erased:
    """Clear whatever the database has cleared since: names, payloads, content digests.

    So an archive that was out of reach when a customer was erased, or was being written then, forgets too. What is
    cleared already stays so: it can be run again, and has to be where it was broken off. Raises
    :class:`~kfstate.errors.CheckpointError`, before anything is written, where the archive is of another log, or of a
    copy of this one that went on in another way.
    """
    names = payloads = files = 0
    with layout.writing(folder) as parts:
        with reading() as conn:
            check_log(conn, read_head(conn), parts)
            nameless = [row[0] for row in query(conn, "SELECT id FROM kf_name WHERE value IS NULL")]
        for part in parts:
            path, made = folder / part.folder, dict[str, File]()
            with reading() as conn:
                gone = {"names": nameless, "words": _wordless(conn, part)}
            for file in part.files:
                if gone.get(file.table):
                    new, count = _rewritten(path, file, gone[file.table])
                    if count:
                        made[file.name] = new
                        names += count if file.table == "names" else 0
                        payloads += count if file.table == "words" else 0
            if made:
                changed = attrs.evolve(part, files=tuple(made.get(file.name, file) for file in part.files))
                layout.replace_manifest(path, changed)
                files += len(made)
    return Erased(names, payloads, files)


def _wordless(conn: Connection, part: Part) -> list[int]:
    """Return the positions of a part whose payloads the database has cleared."""
    sql = "SELECT position FROM kf_payload WHERE position >= ? AND position <= ? AND body IS NULL"
    return [row[0] for row in query(conn, sql, (part.first, part.last))]


def _rewritten(path: Path, file: File, gone: Sequence[int]) -> tuple[File, int]:
    """Write a file anew with the rows of these keys cleared; return it, and how many were not clear before."""
    layout.check(path, [file])
    try:
        table = pq.read_table(path / file.name, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(str(path / file.name), "it cannot be read") from error
    key, columns = _CLEARED[file.table]
    said = np.zeros(table.num_rows, np.bool_)
    for name in columns:
        said |= table[name].is_valid().to_numpy()
    cleared = np.isin(table[key].to_numpy(), gone) & said
    if not cleared.any():
        return file, 0
    told = json.loads(table.schema.metadata[b"kfstate"])
    keep = pa.array(np.arange(table.num_rows), mask=cleared)
    for name in columns:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(name), table[name].take(keep))
    new = write_table(path, file.table, table, told, (file.first_slice, file.last_slice))
    return new, int(cleared.sum())
