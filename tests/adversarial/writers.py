"""Processes that write to a log: several threads each, which all say what was acknowledged."""

import threading
from collections.abc import Callable, Iterable, Sequence

from kfstate.engine import Engine
from kfstate.testing import Element, customer_message, page
from tests.adversarial.processes import Say
from tests.servers.databases import NOW

__all__ = ["KF", "crowd", "in_threads", "message", "pages"]

KF = "wkA"
SIZES = (1, 2, 5, 20)


def message(name: str, who: int = 0) -> Element:
    """Return a message with this msgid, of one of the customers."""
    return customer_message(KF, f"wm{who}", NOW + sum(name.encode()) % 1000, msgid=name)


def pages(name: str, count: int, customers: int = 30) -> Iterable[tuple[list[str], Element]]:
    """Yield pages of 1, 2, 5 and 20 messages in turn, with the msgids in each."""
    number = 0
    for at in range(count):
        size = SIZES[at % len(SIZES)]
        names = [f"{name}-{number + further}" for further in range(size)]
        number += size
        yield names, page([message(one, (at + place) % customers) for place, one in enumerate(names)])


def in_threads(works: Sequence[Callable[[], None]]) -> None:
    """Run everything at the same time; raise what the first that failed raised."""
    failed: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        try:
            start.wait(30)
            work()
        except BaseException as error:  # noqa: BLE001 (raised below)
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if failed:
        raise failed[0]
    assert not any(thread.is_alive() for thread in threads)


def crowd(say: Say, url: str, name: str, threads: int, count: int) -> None:
    """Append pages from several threads of one engine, and say the msgids of each once it is acknowledged."""

    def work(own: str) -> None:
        for names, one in pages(own, count):
            engine.ingest(one, account=KF)
            say(names)

    with Engine(url, lock_timeout=60) as engine:
        in_threads([lambda own=f"{name}{number}": work(own) for number in range(threads)])  # type: ignore[misc]
