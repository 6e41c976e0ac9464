"""The feed: a scan of the whole log through it, and how long a commit takes to reach who waits for it."""

import sqlite3
import threading
from pathlib import Path
from statistics import median
from time import perf_counter

import psycopg

from kfstate import Engine
from kfstate.feed import Event
from tests.benchmarks.crowd import database
from tests.benchmarks.crowd_ours import page
from tests.benchmarks.data import LOG
from tests.benchmarks.ours import url
from tests.benchmarks.raw import connect
from tests.benchmarks.subject import Stopwatch, settle

__all__ = ["bare_scan", "bare_wake", "scan", "wake"]

WAKES = 200
COLUMNS = (
    "e.position, e.kind, e.stream, e.version, e.occurred_at, e.recorded_at, e.actor, e.again, e.cause, e.target, "
    "e.servicer_to, e.chain, p.body"
)


def scan(folder: Path, watch: Stopwatch) -> int:
    """Read every entry with its payload through the feed."""
    done = 0
    with Engine(url(folder / LOG)) as engine:
        settle()
        with watch.running():
            for _ in engine.read_all():
                done += 1
    return done


def bare_scan(folder: Path, watch: Stopwatch) -> int:
    """Read the same columns and payloads with the bare driver."""
    connection: sqlite3.Connection = connect(folder / LOG)
    settle()
    done = 0
    with watch.running():
        cursor = connection.execute(
            f"SELECT {COLUMNS} FROM kf_entry e JOIN kf_payload p ON p.position = e.position ORDER BY e.position"
        )
        while rows := cursor.fetchmany(1_000):
            done += len(rows)
    connection.close()
    return done


def wake(folder: Path, watch: Stopwatch) -> int:
    """Append one entry at a time, and take the time from its commit to the handler of another engine's subscription."""
    target = database(folder, "ours_wake")
    handled = threading.Semaphore(0)
    took: list[float] = []
    committed = 0.0

    def note() -> None:
        nonlocal committed
        committed = perf_counter()

    def handle(event: Event) -> None:
        if event.entry.kind == "customer_message":
            took.append(perf_counter() - committed)
            handled.release()

    with Engine(target) as writer, Engine(target) as reader, reader.subscribe("wake", handle, transactional=False):
        writer._database.committed.insert(0, note)
        for number in range(WAKES + 20):
            writer.ingest(page(0, number, 1))
            if not handled.acquire(timeout=30):
                raise TimeoutError("the handler never got the entry")
    watch.seconds = median(took[20:]) * WAKES
    return WAKES


def bare_wake(folder: Path, watch: Stopwatch) -> int:
    """Commit one row at a time with the bare driver, and take the time from there to a listener that is notified."""
    target = database(folder, "bare_wake")
    took: list[float] = []
    with psycopg.connect(target, autocommit=True) as writer, psycopg.connect(target, autocommit=True) as listener:
        writer.execute("CREATE TABLE entry (body bytea)")
        listener.execute("LISTEN entry")
        for number in range(WAKES + 20):
            writer.execute("INSERT INTO entry VALUES (%s)", (page(0, number, 1),))
            began = perf_counter()
            writer.execute("NOTIFY entry")
            next(listener.notifies(timeout=30, stop_after=1))
            took.append(perf_counter() - began)
    watch.seconds = median(took[20:]) * WAKES
    return WAKES
