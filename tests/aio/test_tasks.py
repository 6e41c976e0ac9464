"""How code inside of greenlets waits, and runs something beside."""

import asyncio
import contextvars
from collections.abc import Callable

from kfstate.aio.greenlets import AsyncTasks, inside
from kfstate.store.greenlets import awaited

__all__: list[str] = []

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")


def run(story: Callable[[AsyncTasks], object]) -> None:
    """Run a story inside a greenlet."""
    asyncio.run(inside(story, AsyncTasks()))


def test_signal_is_waited_for() -> None:
    """A wait ends when the flag is up, or when its time is over; it tells which."""

    def story(tasks: AsyncTasks) -> None:
        signal = tasks.signal()
        assert not signal.wait(0.0)
        assert not signal.wait(0.01)
        running = tasks.spawn(signal.set, name="setter")
        assert signal.wait(10)
        assert signal.wait()
        assert signal.is_set()
        running.join(10)
        assert not running.is_alive()
        signal.clear()
        assert not signal.wait(0.01)

    run(story)


def test_what_runs_beside_knows_nothing_of_its_caller() -> None:
    """As a new thread, it has a context of its own: what a request carries does not stick to it."""
    seen: list[str] = []

    def story(tasks: AsyncTasks) -> None:
        variable.set("the caller's")
        running = tasks.spawn(lambda: seen.append(variable.get()), name="beside")
        assert running.is_alive()
        running.join()

    run(story)
    assert [""] == seen


def test_context_is_the_callers() -> None:
    """Code inside sees the context of its caller, and what it sets, its caller has."""

    async def told() -> tuple[str, str]:
        variable.set("before")
        seen = await inside(lambda: (variable.get(), variable.set("after"))[0])
        return seen, variable.get()

    assert ("before", "after") == asyncio.run(told())


def test_closing_ends_what_runs() -> None:
    """Whatever still runs is cancelled, and has ended when closing returns."""
    ended: list[bool] = []

    def endless() -> None:
        try:
            awaited(asyncio.sleep(60))
        finally:
            awaited(asyncio.sleep(0.01))
            ended.append(True)

    async def told() -> None:
        tasks = AsyncTasks()
        await inside(lambda: tasks.spawn(endless, name="endless"))
        await asyncio.sleep(0)
        await tasks.close()
        assert [True] == ended

    asyncio.run(told())
