"""What a simulated world is like: how busy, how disturbed, how often two things share a second."""

import dataclasses

__all__ = ["START", "Profile"]

START = 1_704_067_200
"""Where simulated time begins unless told otherwise: 2024-01-01 00:00:00 UTC, in seconds."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The knobs of :func:`kfstate.testing.simulate`; every share is between 0 and 1.

    Attributes:
        start: Simulated time of the first hour, in seconds since 1970-01-01 UTC.
        ties: Share of neighbours (entries of one conversation, in time order) that carry the same second. Reached up to
            about 0.7; beyond, the pauses between sessions stand in the way.
        accounts: How many accounts (``open_kfid``) there are.
        servicers: How many servicers (接待人员) an account has.
        per_hour: Sessions that begin in an average hour; None: a number that makes small worlds about a week long and
            is never above 60.
        returning: Share of sessions that a known customer begins; recent customers return more often than others.
        remembered: How many customers may return. Memory is bounded by this and by the conversations going on.
        late: Share of elements that a pull brings minutes or hours after their ``send_time``.
        duplicates: Share of elements that come again.
        conflicts: Share of elements that come again under the same msgid with other content.
        no_msgid: Share of elements without msgid.
    """

    start: int = START
    ties: float = 0.2
    accounts: int = 3
    servicers: int = 6
    per_hour: float | None = None
    returning: float = 0.6
    remembered: int = 4096
    late: float = 0.01
    duplicates: float = 0.01
    conflicts: float = 0.003
    no_msgid: float = 0.002

    def __post_init__(self) -> None:
        for name in ("ties", "returning", "late", "duplicates", "conflicts", "no_msgid"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"Profile.{name} must be between 0 and 1, not {value!r}")
        if self.returning == 1:
            raise ValueError("Profile.returning must be below 1: somebody has to come for the first time")
        for name in ("accounts", "servicers", "remembered"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"Profile.{name} must be at least 1, not {value!r}")

        if self.per_hour is not None and self.per_hour <= 0:
            raise ValueError(f"Profile.per_hour must be above 0, not {self.per_hour!r}")

    def sessions_per_hour(self, conversations: int) -> float:
        """Return how many sessions begin in an average hour of a world of ``conversations``."""
        if self.per_hour is not None:
            return self.per_hour
        return min(60.0, max(2.0, conversations / (1 - self.returning) / (24 * 7)))
