"""Where simulated conversations play: it takes what they say, disturbs a little of it, and keeps it until its time."""

import hashlib
from collections import defaultdict
from typing import NamedTuple

from kfstate.clock import SECOND
from kfstate.testing.builders import Element, servicer_status_change
from kfstate.testing.simulation.dice import chance, pick
from kfstate.testing.simulation.profile import Profile
from kfstate.testing.simulation.words import SERVICERS

__all__ = ["HOUR", "Delivery", "Stage"]

HOUR = 3_600 * SECOND


class Delivery(NamedTuple):
    """One entry on its way: when (microseconds), on which account, whether it is an own entry, and what."""

    at: int
    account: int
    own: bool
    item: Element


class Stage:
    """The shared world of a simulation: chance, ids, servicers, and the entries that wait for their hour."""

    def __init__(self, seed: int | str, profile: Profile, *, own_entries: bool) -> None:
        """Set the stage for ``seed``; without ``own_entries`` the same things happen, but nobody writes them down."""
        self.rand = chance(seed, "stories")
        self.tag = hashlib.sha256(str(seed).encode()).hexdigest()[:8]
        self.profile = profile
        self.tie_chance = profile.ties
        self.accounts = [f"wkSIMULATED{number:021d}" for number in range(1, profile.accounts + 1)]
        self.staff = [[_servicer(number) for number in range(profile.servicers)] for _ in self.accounts]
        self.resting: list[list[str]] = [[] for _ in self.accounts]
        self.waiting: defaultdict[int, list[Delivery]] = defaultdict(list)
        self.pending = 0
        self._own_entries = own_entries
        self._serial = 0
        self._neighbours = self._tied = self._wire_neighbours = self._wire_tied = 0
        self._disturb = chance(seed, "disturbances")
        self._limits = _limits(profile)

    def message_id(self) -> str:
        """Return a new msgid in the form that messages have."""
        self._serial += 1
        return f"AZ{self.tag}{self._serial:016d}"

    def event_id(self) -> str:
        """Return a new msgid in the form that events have."""
        self._serial += 1
        return f"4X{self.tag}{self._serial:034d}"

    def own_id(self) -> str:
        """Return a new id of the service's own making (a sent msgid, a request, an idempotency key)."""
        self._serial += 1
        return f"own_{self.tag}_{self._serial:012d}"

    def put(self, at: int, account: int, element: Element) -> None:
        """Deliver an element of a page at ``at``; rarely late, twice, changed, or without its msgid."""
        number = self._disturb()
        if number >= self._limits[3]:
            self._keep(Delivery(at, account, False, element))
        else:
            self._put_disturbed(number, at, account, element)

    def put_own(self, at: int, account: int, entry: Element) -> None:
        """Deliver an own entry at ``at``."""
        if self._own_entries:
            self._keep(Delivery(at, account, True, entry))

    def count_neighbours(self, *, tied: bool, wire: bool) -> None:
        """Take note of two neighbours and steer the chance of a tie, so that the share asked for is reached.

        Args:
            tied: Both carry the same second.
            wire: Both are elements of pages; else at least one is an own entry.
        """
        share = self.profile.ties
        if wire:
            self._wire_neighbours += 1
            self._wire_tied += tied
        else:
            self._neighbours += 1
            self._tied += tied
        if share:
            wanted = share + 0.01
            behind = self._tied < wanted * self._neighbours or self._wire_tied < wanted * self._wire_neighbours
            self.tie_chance = min(1.0, share * 2) if behind else share * 0.8

    def change_duties(self, hour: int) -> None:
        """Let a servicer of each account go on or off duty, now and then, in the hour that begins at ``hour``."""
        for account, open_kfid in enumerate(self.accounts):
            if self.rand() > 0.15:
                continue
            staff, resting = self.staff[account], self.resting[account]
            returns = bool(resting) and (len(staff) < 2 or self.rand() < 0.6)
            if not returns and len(staff) < 2:
                continue
            source, target = (resting, staff) if returns else (staff, resting)
            servicer = pick(self.rand, source)
            source.remove(servicer)
            target.append(servicer)
            at = hour + int(self.rand() * HOUR)
            status, stop_type = (1, None) if returns else (2, int(self.rand() * 2))
            element = servicer_status_change(
                open_kfid, servicer, at // SECOND, status=status, stop_type=stop_type, msgid=self.event_id()
            )
            self.put(at, account, element)

    def take(self, hour: int) -> list[Delivery]:
        """Hand out what is due in the hour that begins at ``hour``, in time order, and forget it."""
        due = self.waiting.pop(hour // HOUR, [])
        due.sort(key=_at)
        self.pending -= len(due)
        return due

    def _keep(self, delivery: Delivery) -> None:
        self.pending += 1
        self.waiting[delivery.at // HOUR].append(delivery)

    def _put_disturbed(self, number: float, at: int, account: int, element: Element) -> None:
        late, again, changed, _ = self._limits
        rand = self._disturb
        if number < late:
            self._keep(Delivery(at + int((0.05 + rand() * 6) * HOUR), account, False, element))
            return
        if number >= changed:
            element = {name: value for name, value in element.items() if name != "msgid"}
        self._keep(Delivery(at, account, False, element))
        if number < again:
            self._keep(Delivery(at + _later(rand()), account, False, element))
        elif number < changed:
            self._keep(Delivery(at + _later(rand()), account, False, _changed(element, rand())))


def _at(delivery: Delivery) -> int:
    return delivery.at


def _later(number: float) -> int:
    """Return up to 72 hours, mostly few of them; multiplied, because a power is not the same on every machine."""
    return int(number * number * number * number * 72 * HOUR)


def _limits(profile: Profile) -> tuple[float, float, float, float]:
    late = profile.late
    again = late + profile.duplicates
    changed = again + profile.conflicts
    return late, again, changed, changed + profile.no_msgid


def _servicer(number: int) -> str:
    name = SERVICERS[number % len(SERVICERS)]
    return name if number < len(SERVICERS) else f"{name}{number // len(SERVICERS) + 1}"


def _changed(element: Element, number: float) -> Element:
    """Return other content under the same msgid; one in three times it also says that something else happened."""
    if element["msgtype"] != "event":
        if number < 0.33:
            return element | {"send_time": element["send_time"] + 1}
        return element | {"msgtype": "text", "text": {"content": f"（内容不同）{int(number * 1000)}"}}
    body = element["event"]
    if number < 0.33 and "change_type" in body:
        return element | {"event": body | {"change_type": body["change_type"] % 4 + 1}}
    return element | {"event": body | {"remark": f"内容不同 {int(number * 1000)}"}}
