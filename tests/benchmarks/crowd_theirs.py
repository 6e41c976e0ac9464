"""``eventsourcing`` under many writers on PostgreSQL: in its default mode (a table lock) and in its fast one."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import ApplicationRecorder

from tests.benchmarks.crowd import BATCH, COMMITS, crowd, database, names
from tests.benchmarks.subject import Stopwatch

__all__ = ["batches", "batches_fast", "fast", "one"]


class Conversation(Aggregate):
    """One conversation."""

    @event("Opened")
    def __init__(self, *, customer: str, msgid: str, body: str) -> None:  # noqa: ARG002
        """Begin with a message."""
        self.last = msgid

    @event("Spoke")
    def hear(self, *, msgid: str, body: str) -> None:  # noqa: ARG002
        """Add a message."""
        self.last = msgid


def _open(folder: Path, name: str, *, functions: bool) -> Application[UUID]:
    url = urlsplit(database(folder, name))
    host = parse_qs(url.query)["host"][0]
    return Application(
        {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": url.path.removeprefix("/"),
            "POSTGRES_HOST": host,
            "POSTGRES_PORT": "5432",
            "POSTGRES_USER": url.username or "postgres",
            "POSTGRES_PASSWORD": "",
            "POSTGRES_POOL_SIZE": "20",
            "POSTGRES_MAX_OVERFLOW": "20",
            "POSTGRES_ENABLE_DB_FUNCTIONS": "y" if functions else "n",
        }
    )


def _crowd(folder: Path, watch: Stopwatch, name: str, *, functions: bool, commits: int, size: int) -> int:
    with _open(folder, name, functions=functions) as app:
        held: dict[str, Conversation] = {}

        def write(writer: int, commit: int) -> None:
            changed: dict[str, Conversation] = {}
            for number in range(commit * size, (commit + 1) * size):
                customer, msgid = names(writer, number)
                body = f'{{"msgid": "{msgid}", "text": {{"content": "{"hello " * 30}"}}}}'
                known = held.get(customer)
                if known is None:
                    known = held[customer] = Conversation(customer=customer, msgid=msgid, body=body)
                else:
                    known.hear(msgid=msgid, body=body)
                changed[customer] = known
            app.save(*changed.values())

        recorder: ApplicationRecorder = app.recorder

        def read_after(position: int) -> Sequence[int]:
            return [found.id for found in recorder.select_notifications(position + 1, 1000)]

        return crowd(write, read_after, watch, commits=commits, entries=size)


def one(folder: Path, watch: Stopwatch) -> int:
    """Save one event per commit, in the default mode."""
    return _crowd(folder, watch, "theirs_one", functions=False, commits=COMMITS, size=1)


def fast(folder: Path, watch: Stopwatch) -> int:
    """Save one event per commit, with database functions: no lock, and so events that a reader skips."""
    return _crowd(folder, watch, "theirs_fast", functions=True, commits=COMMITS, size=1)


def batches(folder: Path, watch: Stopwatch) -> int:
    """Save 20 events per commit, in the default mode."""
    return _crowd(folder, watch, "theirs_batches", functions=False, commits=COMMITS // 5, size=BATCH)


def batches_fast(folder: Path, watch: Stopwatch) -> int:
    """Save 20 events per commit, with database functions."""
    return _crowd(folder, watch, "theirs_batches_fast", functions=True, commits=COMMITS // 5, size=BATCH)
