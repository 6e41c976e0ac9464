"""Who may get a session: the servicers of an account, what they carry, and what is meant for them."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Literal

import attrs
from sqlalchemy import Connection

from kfstate.clock import SECOND
from kfstate.errors import ReplyError, UnreachableError, WecomError
from kfstate.queries.conversations import conversation, load
from kfstate.queries.views import at_second
from kfstate.store.dialect import query
from kfstate.wecom.accounts import read_servicers
from kfstate.wecom.intents import Intents
from kfstate.wecom.site import Site

__all__ = ["Candidate", "Candidates", "Capacity", "Choose", "Staff", "candidates", "carried", "least_loaded"]

Capacity = int | Mapping[str, int] | None
"""How many sessions a servicer may have at once: one number for all, or one by ``servicer_userid``; None: any."""


@attrs.frozen(kw_only=True)
class Candidate:
    """A servicer of an account.

    ``open_sessions`` run, ``intended`` ones are being given to the servicer by somebody at this moment.
    ``receiving`` None: never heard of. ``last_assigned_at`` is known for three days. ``previous``: the one who served
    this customer last.
    """

    servicer_userid: str
    receiving: bool | None
    stop_type: int | None
    open_sessions: int
    intended: int
    capacity: int | None
    last_assigned_at: datetime | None
    previous: bool

    @property
    def carries(self) -> int:
        """The sessions that the servicer has, or is about to get."""
        return self.open_sessions + self.intended

    @property
    def free(self) -> int | None:
        """How many more the servicer may get; None: any number."""
        return None if self.capacity is None else max(0, self.capacity - self.carries)

    @property
    def available(self) -> bool:
        """Whether the servicer may get one more, as far as is known."""
        return self.receiving is not False and self.free != 0


@attrs.frozen(kw_only=True)
class Candidates:
    """The servicers of an account, by name.

    WeCom does not tell who is in a department: where ``departments`` serve, others than these may serve, too. They show
    here once they were heard of. ``members`` is ``known``, ``partly``, or ``unknown`` where there are only departments.
    """

    open_kfid: str
    servicers: tuple[Candidate, ...]
    departments: tuple[int, ...] = ()

    @property
    def members(self) -> Literal["known", "partly", "unknown"]:
        """Whether these are all."""
        if not self.departments:
            return "known"
        return "partly" if self.servicers else "unknown"

    def available(self) -> tuple[Candidate, ...]:
        """Return those who may get one more."""
        return tuple(one for one in self.servicers if one.available)

    def named(self, servicer_userid: str) -> Candidate | None:
        """Return a servicer by name, in whatever case."""
        wanted = servicer_userid.casefold()
        return next((one for one in self.servicers if one.servicer_userid.casefold() == wanted), None)

    def without(self, names: Iterable[str]) -> "Candidates":
        """Return the others."""
        left = tuple(one for one in self.servicers if one.servicer_userid.casefold() not in set(names))
        return attrs.evolve(self, servicers=left)


Choose = Callable[[Candidates], str | None]
"""Names the servicer who gets the session; None: nobody, it goes to the pool."""


def least_loaded(among: Candidates) -> str | None:
    """Choose who is receiving and carries least; of several, who has waited longest for a session."""
    able = among.available()

    def rank(one: Candidate) -> tuple[bool, int, float, str]:
        assigned = 0.0 if one.last_assigned_at is None else one.last_assigned_at.timestamp()
        return one.receiving is None, one.carries, assigned, one.servicer_userid.casefold()

    return min(able, key=rank).servicer_userid if able else None


def candidates(
    site: Site,
    intents: Intents,
    open_kfid: str,
    *,
    external_userid: str = "",
    capacity: Capacity = None,
    departments: tuple[int, ...] = (),
) -> Candidates:
    """Return who may get a session of an account; ``external_userid`` asks who served this customer last."""
    now = site.clock.now() // SECOND
    with site.database.reading() as conn:
        known = intents.read(conn)
        carriers = load(conn, account=open_kfid, corp_id=site.corp_id, now=now)
        view = None
        if external_userid:
            view = conversation(partial(query, conn), open_kfid, external_userid, corp_id=site.corp_id, now=now)
    previous = "" if view is None else (view.servicer_userid or view.previous_servicer_userid or "")
    reserved = known.reserved(open_kfid)
    most = _most(capacity)
    found: list[Candidate] = []
    heard = {str(one.servicer_userid).casefold(): one for one in carriers if one.servicer_userid is not None}
    for name in sorted(heard.keys() | reserved.keys()):
        one = heard.get(name)
        userid = name if one is None or one.servicer_userid is None else one.servicer_userid
        found.append(
            Candidate(
                servicer_userid=userid, receiving=None if one is None else one.receiving,
                stop_type=None if one is None else one.stop_type, open_sessions=0 if one is None else one.open_sessions,
                intended=reserved.get(name, 0), capacity=most(name),
                last_assigned_at=at_second(known.assigned.get((open_kfid, name))),
                previous=name == previous.casefold(),
            )
        )  # fmt: skip
    return Candidates(open_kfid=open_kfid, servicers=tuple(found), departments=departments)


@attrs.define
class Staff:
    """Reads the servicers of an account now and then: whoever chooses wants to know who is receiving, and departments.

    ``patience`` is how many seconds a list is good for.
    """

    site: Site
    patience: float = 600.0
    _read: dict[str, tuple[int, tuple[int, ...]]] = attrs.field(factory=dict, init=False)

    def departments(self, open_kfid: str) -> tuple[int, ...]:
        """Return the departments that serve; where the list cannot be read, those of the last time."""
        now = self.site.clock.now()
        at, known = self._read.get(open_kfid, (None, ()))
        if at is None or now - at >= self.patience * SECOND:
            with suppress(WecomError, UnreachableError, ReplyError):
                found = read_servicers(self.site, open_kfid)
                known = tuple(one.department_id for one in found if one.department_id is not None)
                self._read[open_kfid] = (now, known)
        return known


def carried(conn: Connection, site: Site, intents: Intents, open_kfid: str, servicer: str) -> int:
    """Return how many sessions a servicer has or is about to get; asked under the lock, it stays so."""
    wanted = servicer.casefold()
    now = site.clock.now() // SECOND
    intended = intents.read(conn).reserved(open_kfid).get(wanted, 0)
    carriers = load(conn, account=open_kfid, corp_id=site.corp_id, now=now)
    return intended + sum(one.open_sessions for one in carriers if (one.servicer_userid or "").casefold() == wanted)


def _most(capacity: Capacity) -> Callable[[str], int | None]:
    if capacity is None or isinstance(capacity, int):
        return lambda _: capacity
    by_name = {name.casefold(): most for name, most in capacity.items()}
    return by_name.get
