"""The stream of everything that happens, hour by hour."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kfstate.clock import SECOND
from kfstate.testing.builders import Element
from kfstate.testing.simulation.plan import play_session
from kfstate.testing.simulation.profile import Profile
from kfstate.testing.simulation.stage import HOUR, Delivery, Stage
from kfstate.testing.simulation.talk import Talk

if TYPE_CHECKING:
    from kfstate.testing.simulation.dice import Chance

__all__ = ["World", "simulate"]

BUSY = (2, 1, 1, 1, 1, 1, 2, 4, 8, 14, 16, 15, 12, 13, 15, 15, 14, 13, 12, 13, 14, 12, 8, 4)
"""Sessions that begin in each hour of the Chinese day, in proportion."""

CHINA = 8
"""Hours from UTC to the Chinese day."""


def simulate(
    seed: int | str,
    conversations: int,
    *,
    profile: Profile | None = None,
    own_entries: bool = True,
    entries: int | None = None,
) -> Iterator[Element]:
    """Yield what happens in ``conversations`` simulated conversations, as a service would learn of it.

    The same arguments give the same entries, in every process and on every Python. Nothing is held but the
    conversations going on and the customers that may return (``Profile.remembered``), however many entries are taken.

    Args:
        seed: Decides everything that is left to chance.
        conversations: How many customers write, each on one account.
        profile: How the world is; the default has ties, late, repeated, conflicting and unknown entries.
        own_entries: Whether the routing service's own entries are among them. They change nothing else: without them
            the elements are the same.
        entries: Stop after this many, if the conversations have not come to an end before.

    Returns:
        Elements of ``sync_msg`` pages (they have ``msgtype``) and own entries (they have ``kind``).
    """
    for delivery in World(seed, conversations, profile=profile, own_entries=own_entries, entries=entries):
        yield delivery.item


class World:
    """What :func:`simulate` iterates over; also tells how much it holds.

    Attributes:
        opened: Conversations that have begun.
        alive: Conversations whose present session is not yet delivered to its end.
        stage: Where they play; ``stage.pending`` entries wait there.
    """

    def __init__(
        self,
        seed: int | str,
        conversations: int,
        *,
        profile: Profile | None = None,
        own_entries: bool = True,
        entries: int | None = None,
    ) -> None:
        """Take what :func:`simulate` takes."""
        self.profile = profile or Profile()
        self.stage = Stage(seed, self.profile, own_entries=own_entries)
        self.opened = 0
        self.alive = 0
        self._conversations = conversations
        self._entries = entries
        self._resting: list[Talk] = []
        self._ends: dict[int, int] = {}
        self._rand: Chance = self.stage.rand

    def __iter__(self) -> Iterator[Delivery]:
        """Yield every delivery, in time order."""
        left = self._entries if self._entries is not None else -1
        for due in self._hours():
            if 0 <= left <= len(due):
                yield from due[:left]
                return
            left -= len(due) if left > 0 else 0
            yield from due

    def _hours(self) -> Iterator[list[Delivery]]:
        stage = self.stage
        hour = self.profile.start * SECOND // HOUR * HOUR
        while self.opened < self._conversations or stage.pending:
            if self.opened < self._conversations:
                stage.change_duties(hour)
                self._begin_sessions(hour)
            yield stage.take(hour)
            self.alive -= self._ends.pop(hour // HOUR, 0)
            hour += HOUR

    def _begin_sessions(self, hour: int) -> None:
        rate = self.profile.sessions_per_hour(self._conversations)
        rate *= BUSY[(hour // HOUR + CHINA) % 24] * len(BUSY) / sum(BUSY)
        for _ in range(int(rate + self._rand())):
            if self.opened >= self._conversations:
                break
            start = hour + int(self._rand() * HOUR)
            talk = self._someone(hour, start)
            play_session(talk)
            self._resting.append(talk)
            end = talk.at // HOUR
            self._ends[end] = self._ends.get(end, 0) + 1
            self.alive += 1
        if len(self._resting) > self.profile.remembered:
            del self._resting[: -self.profile.remembered]

    def _someone(self, hour: int, start: int) -> Talk:
        """Return a customer who was here before, more likely one of the last, or a new one."""
        rand, resting = self._rand, self._resting
        if resting and rand() < self.profile.returning:
            for _ in range(4):
                number = rand()
                index = len(resting) - 1 - int(number * number * number * len(resting))
                if resting[index].at < hour + HOUR:
                    talk = resting.pop(index)
                    talk.at = max(start, talk.at)
                    talk.pause(rand() * 600)
                    return talk
        self.opened += 1
        account = int(rand() * len(self.stage.accounts))
        talk = Talk(self.stage, account, f"wmSIM{self.stage.tag}{self.opened:019d}")
        talk.at = start
        return talk
