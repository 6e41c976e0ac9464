"""Histories for the checker: pages over several conversations, and reads of several conversations' lists."""

import itertools
import random
import time
from collections.abc import Callable, Mapping
from functools import partial

from sqlalchemy import Connection

from kfstate.engine import Engine
from kfstate.store.dialect import as_text, query
from kfstate.testing import page
from tests.adversarial.list_append import Transaction
from tests.adversarial.processes import Say
from tests.adversarial.writers import KF, in_threads, message

__all__ = ["KEYS", "interrupted", "lists", "live"]

KEYS = tuple(f"wm{who}" for who in range(5))
_LIST = (
    "SELECT p.body FROM kf_entry e JOIN kf_payload p ON p.position = e.position JOIN kf_stream s ON s.id = e.stream "
    "JOIN kf_name n ON n.id = s.customer WHERE n.value = ? ORDER BY e.version"
)


def lists(conn: Connection, keys: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the msgids of conversations, in the order of their versions; a question for each conversation."""
    return {key: [_msgid(bytes(body)) for (body,) in query(conn, _LIST, (key,))] for key in keys}


def _msgid(body: bytes) -> str:
    return as_text(body.partition(b'"msgid":"')[2].partition(b'"')[0])


def live(say: Say, url: str, process: int, threads: int, count: int) -> None:
    """Append and read from several threads, and say each transaction when it is done."""
    with Engine(url, lock_timeout=60) as engine:
        works: list[Callable[[], None]] = []
        for thread in range(threads):
            number = itertools.count((process * threads + thread) * 10_000)
            works.append(partial(_work, say, engine, random.Random(f"{process}/{thread}"), number, count))
        in_threads(works)


def _work(say: Say, engine: Engine, chance: random.Random, number: "itertools.count[int]", count: int) -> None:
    for own in itertools.islice(number, count):
        began = time.monotonic()
        if chance.random() < 0.5:
            appended = {KEYS[who]: [f"{own}-{who}-{at}" for at in range(2)] for who in chance.sample(range(5), 3)}
            _append(engine, appended)
            say(Transaction(id=own, began=began, ended=time.monotonic(), appended=appended))
        else:
            with engine._reading() as conn:
                read = lists(conn, tuple(chance.sample(KEYS, 3)))
            say(Transaction(id=own, began=began, ended=time.monotonic(), read=read))


def _append(engine: Engine, appended: Mapping[str, list[str]]) -> None:
    elements = [message(name, KEYS.index(key)) for key, names in appended.items() for name in names]
    engine.ingest(page(elements), account=KF)


def interrupted(engine: Engine, number: int, *, snapshot: bool) -> list[Transaction]:
    """Read two lists, in one transaction or in two, with an append to both of them in between."""
    began, appended = time.monotonic(), {key: [f"between{number}-{key}"] for key in KEYS[:2]}
    with engine._reading() as conn:
        read = lists(conn, KEYS[:1])
        _append(engine, appended)
        between = time.monotonic()
        if snapshot:
            read |= lists(conn, KEYS[1:2])
    if not snapshot:
        with engine._reading() as conn:
            read |= lists(conn, KEYS[1:2])
    return [
        Transaction(id=-2 * number, began=began, ended=between, appended=appended),
        Transaction(id=-2 * number - 1, began=began, ended=time.monotonic(), read=read),
    ]
