"""Subscriptions: every entry once and in order, whoever ran them before, and whatever fails."""

import threading
from collections.abc import Awaitable, Callable
from typing import Any

from kfstate.engine import Engine
from kfstate.errors import CheckpointError
from kfstate.store.checkpoint import Checkpoint
from kfstate.testing.builders import page
from kfstate.testing.contract.base import Base, action, refused, said, taken

__all__ = ["FeedRules"]


class FeedRules(Base):
    """What holds of those who follow the log."""

    def subscribed(self, engine: Engine, name: str, handle: Callable[[Any], None], **options: Any) -> Any:
        """Subscribe a plain function, in the engine's own colour."""

        async def awaited(event: Any) -> None:
            handle(event)

        handler: Callable[[Any], None] | Callable[[Any], Awaitable[None]] = awaited if self.asynchronous else handle
        return engine.subscribe(name, handler, **options)

    def test_a_subscription_goes_on_where_it_was(self) -> None:
        """Each entry is handled once, in order, over runs and engines; another name begins anew."""
        url = self.new_database()
        seen: list[int] = []
        for number in range(3):
            with self.open(url) as engine:
                engine.ingest(page([said(number, user=f"wm{k}", msgid=f"m{number}-{k}") for k in range(7)]))
                subscription = self.subscribed(engine, "billing", lambda event: seen.append(event.entry.position))
                subscription.run(until_idle=True)
                assert list(range(1, engine.position() + 1)) == seen
        other: list[int] = []
        with self.open(url) as engine:
            self.subscribed(engine, "audit", lambda event: other.append(event.entry.position)).run(until_idle=True)
            assert seen == other
            assert [("audit", 22, 0), ("billing", 22, 0)] == [
                (view.name, view.position, view.lag) for view in engine.subscriptions()
            ]

    def test_a_subscription_from_now(self) -> None:
        """Who starts now is told of what comes after."""
        seen: list[int] = []
        with self.open() as engine:
            engine.ingest(page([said(0), said(1)]))
            subscription = self.subscribed(engine, "live", lambda event: seen.append(event.position), start="now")
            subscription.run(until_idle=True)
            engine.ingest(page([said(2)]))
            subscription.run(until_idle=True)
            assert [4] == seen

    def test_steps_come_with_their_entry(self) -> None:
        """A handler gets the steps that an entry caused, and those of earlier entries that a late one revised."""
        told: list[tuple[str, list[str], list[str]]] = []
        with self.open() as engine:
            for element in (said(0), said(20), taken(10, "li")):
                engine.ingest(page([element]))
            self.subscribed(
                engine, "steps", lambda event: told.append(
                    (event.entry.kind, [step.kind for step in event.steps], [step.kind for step in event.revised])
                )
            ).run(until_idle=True)  # fmt: skip
        assert ("session_status_change", ["session_status_change"], ["customer_message"]) == told[-1]

    def test_what_fails_is_set_aside(self) -> None:
        """An entry that its handler cannot handle becomes a dead letter; the rest goes on; it can be handled again."""
        seen: list[int] = []
        broken = True

        def handle(event: Any) -> None:
            if event.entry.position == 3 and broken:
                raise ValueError("not this one")
            seen.append(event.entry.position)

        with self.open() as engine:
            engine.ingest(page([said(0), said(1), said(2)]))
            options = {"attempts": 2, "backoff": 0.0, "batch": 1}
            self.subscribed(engine, "picky", handle, **options).run(until_idle=True)
            assert [1, 2, 4] == seen
            (letter,) = engine.dead_letters("picky")
            assert 3 == letter.position
            broken = False
            engine.requeue(letter.id)
            self.subscribed(engine, "picky", handle, **options).run(until_idle=True)
            assert [1, 2, 4, 3] == seen
            assert [] == list(engine.dead_letters())

    def test_following_live(self) -> None:
        """A subscription that runs beside is told of what is appended meanwhile, also by another engine."""
        url = self.new_database()
        seen: list[int] = []
        enough = threading.Event()

        def handle(event: Any) -> None:
            seen.append(event.entry.position)
            if event.entry.position == 31:
                enough.set()

        with self.open(url) as engine, self.open(url) as other:
            subscription = self.subscribed(engine, "live", handle, poll=0.2)
            subscription.start()
            for number in range(30):
                (engine, other)[number % 2].record(action(number))
            assert enough.wait(60)
            subscription.stop()
        assert list(range(1, 32)) == seen

    def test_checkpoints_know_their_log(self) -> None:
        """Reading goes on from a checkpoint of this log, and is refused with one of another."""
        with self.open() as engine, self.open() as other:
            for one in (engine, other):
                one.ingest(page([said(0), said(1)]))
            checkpoint = list(engine.read_all(limit=2))[-1].checkpoint
            assert [3] == [entry.position for entry in engine.read_all(after=checkpoint)]
            refused(CheckpointError, lambda: list(other.read_all(after=checkpoint)))
            refused(CheckpointError, lambda: list(engine.read_all(after=Checkpoint(99, checkpoint.chain))))
