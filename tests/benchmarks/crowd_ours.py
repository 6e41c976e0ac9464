"""kfstate under many writers on PostgreSQL: every entry with its chain and all projections."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from kfstate import AsyncEngine, Engine
from tests.benchmarks.crowd import BATCH, COMMITS, THREADS, crowd, database, names
from tests.benchmarks.subject import Stopwatch, settle

__all__ = ["batches", "one", "page", "tasks"]

SENT = 1_760_000_000
TASKS = 200


def page(writer: int, commit: int, size: int) -> bytes:
    """Return a page of messages."""
    elements = []
    for number in range(commit * size, (commit + 1) * size):
        customer, msgid = names(writer, number)
        elements.append(
            {
                "msgid": msgid,
                "open_kfid": "wkA",
                "external_userid": customer,
                "send_time": SENT + number,
                "origin": 3,
                "msgtype": "text",
                "text": {"content": "hello " * 30},
            }
        )
    return json.dumps({"errcode": 0, "next_cursor": "", "has_more": 0, "msg_list": elements}).encode()


def _crowd(folder: Path, watch: Stopwatch, name: str, *, commits: int, size: int) -> int:
    with Engine(database(folder, name)) as engine:

        def write(writer: int, commit: int) -> None:
            engine.ingest(page(writer, commit, size))

        def read_after(position: int) -> Sequence[int]:
            return [entry.position for entry in engine.read_all(after=position, limit=1000)]

        return crowd(write, read_after, watch, commits=commits, entries=size)


def one(folder: Path, watch: Stopwatch) -> int:
    """Ingest one entry per call."""
    return _crowd(folder, watch, "ours_one", commits=COMMITS, size=1)


def batches(folder: Path, watch: Stopwatch) -> int:
    """Ingest pages of 20."""
    return _crowd(folder, watch, "ours_batches", commits=COMMITS // 5, size=BATCH)


def tasks(folder: Path, watch: Stopwatch) -> int:
    """Ingest one entry per call from 200 tasks of an event loop."""
    each = THREADS * COMMITS // TASKS

    async def run(url: str) -> None:
        async with AsyncEngine(url) as engine:

            async def write(writer: int) -> None:
                for commit in range(each):
                    await engine.ingest(page(writer, commit, 1))

            await engine.ingest(page(TASKS, 0, 1))
            settle()
            with watch.running():
                await asyncio.gather(*(write(number) for number in range(TASKS)))

    asyncio.run(run(database(folder, "ours_tasks")))
    return TASKS * each
