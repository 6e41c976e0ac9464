"""The projections of an AsyncEngine: what ``engine.projections`` has, to be awaited."""

from collections.abc import Iterable, Sequence

from kfstate.aio.greenlets import inside
from kfstate.concurrency import Signal
from kfstate.feed.projections import Projections
from kfstate.projections.builds import NAME
from kfstate.projections.comparing import BuildDifference
from kfstate.projections.live import Difference
from kfstate.projections.refolding import Refolded
from kfstate.projections.views import ProjectionView, Rebuilt, Told

__all__ = ["AsyncProjections"]


class AsyncProjections:
    """As :class:`kfstate.feed.projections.Projections`. What is cancelled goes on where it stood, as after ``stop``."""

    def __init__(self, projections: Projections) -> None:
        """Await these."""
        self._projections = projections

    async def list(self, name: str | None = None) -> tuple[ProjectionView, ...]:
        """As :meth:`kfstate.feed.projections.Projections.list`."""
        return await inside(self._projections.list, name)

    async def build(
        self, name: str = NAME, *, progress: Told | None = None, stop: Signal | None = None
    ) -> ProjectionView:
        """As :meth:`kfstate.feed.projections.Projections.build`."""
        return await inside(self._projections.build, name, progress=progress, stop=stop)

    async def cancel(self, name: str = NAME) -> int:
        """As :meth:`kfstate.feed.projections.Projections.cancel`."""
        return await inside(self._projections.cancel, name)

    async def diff(self, name: str = NAME, version: int | None = None) -> BuildDifference:
        """As :meth:`kfstate.feed.projections.Projections.diff`."""
        return await inside(self._projections.diff, name, version)

    async def switch(self, names: Sequence[str] = (NAME,)) -> tuple[ProjectionView, ...]:
        """As :meth:`kfstate.feed.projections.Projections.switch`."""
        return await inside(self._projections.switch, names)

    async def back(self, names: Sequence[str] = (NAME,)) -> tuple[ProjectionView, ...]:
        """As :meth:`kfstate.feed.projections.Projections.back`."""
        return await inside(self._projections.back, names)

    async def drop(self, name: str, version: int) -> None:
        """As :meth:`kfstate.feed.projections.Projections.drop`."""
        await inside(self._projections.drop, name, version)

    async def rebuild(self, name: str = NAME, *, progress: Told | None = None, stop: Signal | None = None) -> Rebuilt:
        """As :meth:`kfstate.feed.projections.Projections.rebuild`."""
        return await inside(self._projections.rebuild, name, progress=progress, stop=stop)

    async def check(self, name: str = NAME, *, progress: Told | None = None) -> BuildDifference:
        """As :meth:`kfstate.feed.projections.Projections.check`."""
        return await inside(self._projections.check, name, progress=progress)

    async def checked(self, *, progress: Told | None = None) -> Difference:
        """As :meth:`kfstate.feed.projections.Projections.checked`."""
        return await inside(self._projections.checked, progress=progress)

    async def refold(self, conversations: Iterable[tuple[str, str]]) -> tuple[Refolded, ...]:
        """As :meth:`kfstate.feed.projections.Projections.refold`."""
        return await inside(self._projections.refold, conversations)

    async def run(
        self, name: str, *, follow: bool = False, stop: Signal | None = None, poll: float = 1.0
    ) -> ProjectionView:
        """As :meth:`kfstate.feed.projections.Projections.run`; cancel it instead of ``stop``."""
        return await inside(self._projections.run, name, follow=follow, stop=stop, poll=poll)
