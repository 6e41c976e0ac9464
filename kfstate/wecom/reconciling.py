"""Sweeps: states that may be behind are read back from WeCom, and what was missed is repaired and reported.

Most changes come without an event, so that some can only be found by asking. A sweep reads so many conversations at
most, the most pressing first. A reading that fails stops no other, and is not tried again at once.
"""

import logging
from collections import Counter
from typing import Literal

import attrs

from kfstate.clock import SECOND
from kfstate.concurrency import Signal
from kfstate.errors import (
    ClosedError,
    ConcurrentChangeError,
    EnvelopeError,
    KfstateError,
    LeaseLostError,
    RateLimitError,
    ReplyError,
    UnreachableError,
    VersionConflictError,
    WecomError,
)
from kfstate.intake import ACTOR
from kfstate.queries.rereading import Ages, Suspect, suspects
from kfstate.store.lease import Lease
from kfstate.wecom.holding import Holding
from kfstate.wecom.reading import Reading, read_state
from kfstate.wecom.site import Site

__all__ = ["Drift", "Failure", "Sweep", "Sweeper"]

_logger = logging.getLogger("kfstate")
_LEASE = "reconcile"
_IN_A_ROW = 3
_AGAIN, _LONGEST = 300 * SECOND, 6 * 3600 * SECOND
_KEPT = 10_000

Outcome = Literal["complete", "held", "stopped", "limited", "unreachable", "fenced"]
"""``held``: another process sweeps; ``limited``: WeCom takes no more readings for now; ``unreachable``: three in a row
got no answer; ``fenced``: it took so long that another process has begun."""


@attrs.frozen(kw_only=True)
class Drift:
    """A change that was missed, and is repaired: what the log said, what WeCom says, and why they differ."""

    open_kfid: str
    external_userid: str
    why: str
    """Why it was read: see :data:`kfstate.queries.rereading.Why`."""
    before: str
    after: str
    servicer_before: str | None
    servicer_after: str | None
    reason: str
    position: int


@attrs.frozen(kw_only=True)
class Failure:
    """A reading that came to nothing. ``errcode`` is WeCom's, None where it did not answer."""

    open_kfid: str
    external_userid: str
    why: str
    errcode: int | None
    error: str


@attrs.frozen(kw_only=True)
class Sweep:
    """What a sweep did. ``left``: how many it found but did not read; there may be more."""

    outcome: Outcome
    read: int = 0
    confirmed: int = 0
    repaired: tuple[Drift, ...] = ()
    failed: tuple[Failure, ...] = ()
    left: int = 0


@attrs.define(kw_only=True)
class _Course:
    """A sweep that is going on."""

    lease: Lease
    stopping: Signal | None = None
    confirmed: int = 0
    repaired: list[Drift] = attrs.field(factory=list)
    failed: list[Failure] = attrs.field(factory=list)
    unanswered: int = 0
    refused: Counter[tuple[str, int]] = attrs.field(factory=Counter)
    """How often in a row an account's readings were refused with the same code."""

    @property
    def read(self) -> int:
        return self.confirmed + len(self.repaired)

    def done(self, outcome: Outcome, found: int) -> Sweep:
        left = found - self.read - len(self.failed)
        return Sweep(
            outcome=outcome, read=self.read, confirmed=self.confirmed, repaired=tuple(self.repaired),
            failed=tuple(self.failed), left=max(0, left),
        )  # fmt: skip


@attrs.define(kw_only=True)
class Sweeper:
    """Sweeps, one process at a time.

    ``readings`` is how many a sweep takes at most, ``ages`` when a quiet session is looked at, ``length`` how many
    seconds a process that died keeps the others from sweeping.
    """

    site: Site
    readings: int = 100
    ages: Ages = attrs.field(factory=Ages)
    length: float = 30.0
    _put_off: dict[tuple[str, str], tuple[int, int]] = attrs.field(factory=dict, init=False)
    """Conversation → until when it is not read again, because that failed, and for how long that was."""

    def sweep(
        self,
        *,
        readings: int | None = None,
        everything: bool = False,
        afresh: bool = False,
        actor: str = ACTOR,
        stopping: Signal | None = None,
    ) -> Sweep:
        """Read what is most pressing, and return what came of it.

        ``readings``: at most so many this time; ``everything``: every session that runs, and every conversation of the
        last 48 hours, however sure its state is; ``afresh``: also what is put off. ``stopping`` ends it after the
        reading that is on its way.
        Raises what the store does; what was recorded before stays.
        """
        most = self.readings if readings is None else readings
        lease = self._holding.claim("sweep", length=self._length) if most else None
        if lease is None:
            return Sweep(outcome="held" if most else "complete")
        course = _Course(lease=lease, stopping=stopping)
        try:
            return self._read(course, self._found(most, everything=everything, afresh=afresh), most, actor)
        finally:
            self._holding.release(course.lease, of="the sweep")

    def due(self, interval: float) -> bool:
        """Tell whether a sweep is due, and count it as begun: one per interval, however many processes ask."""
        return self._holding.claim("pace", length=round(interval * SECOND)) is not None

    def _found(self, most: int, *, everything: bool, afresh: bool) -> list[Suspect]:
        now = self.site.clock.now()
        self._put_off = {key: put for key, put in self._put_off.items() if put[0] + put[1] > now}
        put_off = {key for key, (until, _) in self._put_off.items() if until > now and not afresh}
        with self.site.database.reading() as conn:
            found = suspects(
                conn, now=now // SECOND, corp_id=self.site.corp_id, limit=most + len(put_off) + 1, ages=self.ages,
                everything=everything,
            )  # fmt: skip
        return [one for one in found if (one.open_kfid, one.external_userid) not in put_off]

    def _read(self, course: _Course, found: list[Suspect], most: int, actor: str) -> Sweep:
        for one in found[:most]:
            if course.stopping is not None and course.stopping.is_set():
                return course.done("stopped", len(found))
            if any(course.refused[key] >= _IN_A_ROW for key in course.refused if key[0] == one.open_kfid):
                continue  # it is the account that WeCom refuses
            try:
                course.lease = self._holding.keep(course.lease, length=self._length)
            except LeaseLostError:
                return course.done("fenced", len(found))
            ended = self._ask(course, one, actor)
            if ended is not None:
                return course.done(ended, len(found))
        return course.done("complete", len(found))

    def _ask(self, course: _Course, one: Suspect, actor: str) -> Outcome | None:
        """Read one conversation; return why the sweep has to end, if so."""
        try:
            reading = read_state(
                self.site, one.open_kfid, one.external_userid, actor=actor, reason=f"sweep: {one.why}", aside=True
            )
        except ClosedError:
            if course.stopping is None:
                raise
            return "stopped"
        except RateLimitError as error:
            _logger.warning("the sweep ends early: %s", error, extra=_action())
            return "limited"
        except (ConcurrentChangeError, VersionConflictError):
            return None  # much is going on there: that tells more than a reading
        except (WecomError, ReplyError, UnreachableError, EnvelopeError) as error:
            self._failed(course, one, error)
            return "unreachable" if course.unanswered >= _IN_A_ROW else None
        self._noted(course, one, reading)
        return None

    def _noted(self, course: _Course, one: Suspect, reading: Reading) -> None:
        course.unanswered = 0
        course.refused = Counter({key: n for key, n in course.refused.items() if key[0] != one.open_kfid})
        self._put_off.pop((one.open_kfid, one.external_userid), None)
        step = reading.step
        if step is None or reading.outcome != "repaired":
            course.confirmed += 1
            return
        drift = Drift(
            open_kfid=one.open_kfid, external_userid=one.external_userid, why=one.why, before=step.before,
            after=step.after, servicer_before=step.servicer_before, servicer_after=step.servicer_after,
            reason=step.reason or "", position=reading.position,
        )  # fmt: skip
        course.repaired.append(drift)
        _logger.warning(
            "%s %s was %s, not %s: %s", drift.open_kfid, drift.external_userid, drift.after, drift.before, drift.reason,
            extra=_action(),
        )  # fmt: skip

    def _failed(self, course: _Course, one: Suspect, error: KfstateError) -> None:
        code = error.errcode if isinstance(error, WecomError) else None
        course.unanswered = 0 if code is not None else course.unanswered + 1
        if code is not None:
            course.refused[one.open_kfid, code] += 1
        course.failed.append(
            Failure(
                open_kfid=one.open_kfid,
                external_userid=one.external_userid,
                why=one.why,
                errcode=code,
                error=str(error),
            )
        )
        key = one.open_kfid, one.external_userid
        length = min(2 * self._put_off[key][1], _LONGEST) if key in self._put_off else _AGAIN
        if len(self._put_off) < _KEPT and not isinstance(error, UnreachableError):
            self._put_off[key] = self.site.clock.now() + length, length
        _logger.warning("%s %s was not read: %s", one.open_kfid, one.external_userid, error, extra=_action())

    # One process at a time

    @property
    def _length(self) -> int:
        return round(self.length * SECOND)

    @property
    def _holding(self) -> Holding:
        return self.site.holding(_LEASE)


def _action() -> dict[str, str]:
    return {"action": "reconcile"}
