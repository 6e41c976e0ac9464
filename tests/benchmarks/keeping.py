"""What audits ask of a log: verify it, export it, tell a state as of a time; beside each the least that it takes."""

import hashlib
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from kfstate import Engine
from kfstate.store import canonical as form
from kfstate.store.commitments import Commitments
from kfstate.store.crew import cores
from kfstate.store.database import Database
from kfstate.store.dialect import query
from kfstate.store.read import plain_rows
from tests.benchmarks.data import LOG, picks
from tests.benchmarks.ours import url
from tests.benchmarks.raw import connect
from tests.benchmarks.subject import Stopwatch, settle

__all__ = ["as_of", "bare_as_of", "export", "export_all", "hashed", "read", "verify", "verify_all"]

ASKED = 1_000
"""How many conversations are asked for; one of a hundred may take longer than the figure."""


def verify(folder: Path, watch: Stopwatch) -> int:
    """Verify the log in one process."""
    return _verify(folder, watch, 1)


def verify_all(folder: Path, watch: Stopwatch) -> int:
    """Verify the log by a process for each core, their start included."""
    return _verify(folder, watch, cores())


def _verify(folder: Path, watch: Stopwatch, processes: int) -> int:
    with Engine(url(folder / LOG)) as engine:
        settle()
        with watch.running():
            found = engine.verify(processes=processes)
    assert found.damage is None
    return found.entries


def hashed(folder: Path, watch: Stopwatch) -> int:
    """Make the same three hashes of the same bytes for each entry, one after the other, and nothing else."""
    sha256, done, link = hashlib.sha256, 0, bytes(32)
    for leaves, said in _bytes(folder):
        with watch.running():
            for leaf, payload in zip(leaves, said, strict=True):
                link = sha256(b"\x01" + link + sha256(leaf).digest()).digest()
                sha256(payload).digest()
        done += len(leaves)
    return done


def _bytes(folder: Path) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Yield what is hashed of entries and of their payloads."""
    sql = "SELECT salt, body FROM kf_payload WHERE position > ? AND position <= ? ORDER BY position"
    with closing(Database(url(folder / LOG))) as database, database.reading() as conn:
        names, at = Commitments(conn), 0
        while rows := plain_rows(conn, at, limit=2_000):
            names.load({row[1] for row in rows}, {id_ for row in rows for id_ in row[7:9] if id_})
            known = names.commitments
            leaves = [form.canonical(names.prefixes[row[1]], row, known[row[7]], known[row[8]]) for row in rows]
            begin, at = at, rows[-1][0]
            yield [b"\x00\x01" + leaf for leaf in leaves], [salt + body for salt, body in query(conn, sql, (begin, at))]


def read(folder: Path, watch: Stopwatch) -> int:
    """Read what has to be read: all columns of entries, payloads and identities."""
    connection, done = connect(folder / LOG), 0
    settle()
    with watch.running():
        entries = connection.execute("SELECT * FROM kf_entry ORDER BY position")
        said = connection.execute("SELECT * FROM kf_payload ORDER BY position")
        while rows := entries.fetchmany(2_000):
            done += len(rows)
            said.fetchmany(2_000)
        identities = connection.execute("SELECT * FROM kf_identity ORDER BY day, entry_key")
        while identities.fetchmany(2_000):
            pass
    connection.close()
    return done


def export(folder: Path, watch: Stopwatch) -> int:
    """Write the log as Parquet in one process."""
    return _export(folder, watch, 1)


def export_all(folder: Path, watch: Stopwatch) -> int:
    """Write the log as Parquet by a process for each core, their start included."""
    return _export(folder, watch, cores())


def _export(folder: Path, watch: Stopwatch, processes: int) -> int:
    with TemporaryDirectory(dir=folder) as scratch, Engine(url(folder / LOG)) as engine:
        engine.archive.export(Path(scratch) / "first", until=1)  # loads what it needs
        settle()
        with watch.running():
            return engine.archive.export(Path(scratch) / "log", processes=processes).entries


def as_of(folder: Path, watch: Stopwatch) -> int:
    """Ask for the state of conversations at random times as known at random places; the 99th percentile counts."""
    chance, took = random.Random(1), list[float]()
    with closing(sqlite3.connect(folder / LOG)) as connection:
        first, last, head = connection.execute(
            "SELECT MIN(sort_second), MAX(sort_second), MAX(position) FROM kf_entry WHERE origin IS NOT NULL"
        ).fetchone()
    chosen = chance.choices(picks(folder), k=ASKED + 20)
    with Engine(url(folder / LOG)) as engine:
        settle()
        for open_kfid, customer, _ in chosen:
            at = datetime.fromtimestamp(chance.randint(first, last), UTC)
            began = time.perf_counter()
            engine.audit.as_of(open_kfid, customer, at, known_at=chance.randint(1, head))
            took.append(time.perf_counter() - began)
    watch.seconds = sorted(took[20:])[ASKED * 99 // 100] * ASKED
    return ASKED


def bare_as_of(folder: Path, watch: Stopwatch) -> int:
    """Read the entries of the same conversations; the 99th percentile counts."""
    chosen, took = random.Random(1).choices(picks(folder), k=ASKED + 20), list[float]()
    connection = connect(folder / LOG)
    settle()
    for _, _, stream in chosen:
        began = time.perf_counter()
        connection.execute("SELECT * FROM kf_entry WHERE stream = ? ORDER BY version", (stream,)).fetchall()
        took.append(time.perf_counter() - began)
    connection.close()
    watch.seconds = sorted(took[20:])[ASKED * 99 // 100] * ASKED
    return ASKED
