"""Processes of other releases, and runners of one subscription, to have beside each other."""

import os
import signal
import threading
from typing import Any

import attrs
from sqlalchemy import Column, Integer, MetaData, String, Table

from kfstate.engine import Engine
from kfstate.feed.handling import Handling
from kfstate.machine import MACHINE, compiled
from kfstate.store.dialect import query
from tests.adversarial.processes import Say
from tests.adversarial.stories import handling
from tests.adversarial.writers import crowd

__all__ = ["OTHER", "Sizes", "other_crowd", "other_rebuild", "runners", "stopped_runner"]

OTHER = "other_"
"""What the rows of the other release's machine are called, in front."""


def other_crowd(say: Say, url: str, name: str, threads: int, count: int) -> None:
    """Do what :func:`crowd` does, as a release whose machine calls every transition otherwise."""
    _be_another()
    crowd(say, url, name, threads, count)


def other_rebuild(_say: Say, url: str) -> None:
    """Make the build of the other release's machine the live one."""
    _be_another()
    with Engine(url) as engine:
        engine.projections.rebuild()


def _be_another() -> None:
    rows = tuple(attrs.evolve(row, name=f"{OTHER}{row.name}") for row in MACHINE.spec.rows)
    other = compiled(attrs.evolve(MACHINE.spec, version="other", rows=rows))
    for field in attrs.fields(type(MACHINE)):
        object.__setattr__(MACHINE, field.name, getattr(other, field.name))


def runners(say: Say, url: str, name: str, count: int) -> None:
    """Run the subscription "s" in some threads until the process is killed; say which position was handled."""
    with Engine(url, lock_timeout=60) as engine:
        for number in range(count):
            handle = handling(f"{name}{number}", say)
            engine.subscribe("s", handle, batch=3, lease=0.5, poll=0.02).start()
        threading.Event().wait(120)


class Sizes:
    """A projection of ours: how many entries a customer has, counted one by one, so that a second time is seen."""

    name = "sizes"
    version = 1
    inline = True

    def __init__(self) -> None:
        """Describe its table."""
        self.tables = [Table("sizes", MetaData(), Column("who", String(64), primary_key=True), Column("n", Integer))]

    def project(self, conn, events, tables) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Count."""
        name = tables["sizes"].name
        for event in events:
            who = event.entry.external_userid or "-"
            if query(conn, f"SELECT n FROM {name} WHERE who = ?", (who,)):
                query(conn, f"UPDATE {name} SET n = n + 1 WHERE who = ?", (who,))
            else:
                query(conn, f"INSERT INTO {name} VALUES (?, 1)", (who,))


def stopped_runner(say: Say, url: str, lease: float) -> None:
    """Run the subscription "s", but stop (as in a debugger) when the first events are read and not handled yet."""
    original = Handling._transaction

    def transaction(handling: Handling, *args: Any) -> None:
        if not stopped:
            stopped.append(True)
            say("stopped")
            os.kill(os.getpid(), signal.SIGSTOP)
        original(handling, *args)

    stopped: list[bool] = []
    with Engine(url, lock_timeout=60) as engine:
        setattr(Handling, "_transaction", transaction)  # noqa: B010 (a checker would see a method assigned to)
        engine.subscribe("s", handling("stopped"), lease=lease, poll=0.02).run(until_idle=True)
