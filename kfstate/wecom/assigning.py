"""Giving a session to a servicer: chosen, reserved by the intent, and the next choice where WeCom refuses the first."""

from typing import Literal

import attrs
from sqlalchemy import Connection

from kfstate.errors import StateChangeRefusedError
from kfstate.service_state import KfServiceState
from kfstate.wecom.candidates import Candidates, Capacity, Choose, candidates, carried, least_loaded
from kfstate.wecom.changing import Changed, Check, change_state, key_of
from kfstate.wecom.errand import Errand, Guard, Seen
from kfstate.wecom.intents import CHANGE

__all__ = ["Assigned", "assign"]

_MANUAL = KfServiceState.MANUAL
_NOT_RECEIVING = frozenset({95014, 95019})
_ROUNDS = 200
"""How often is chosen again because somebody else was quicker; each time somebody was served."""


class _TakenError(Exception):
    """Somebody else has given the chosen servicer a session meanwhile."""


class _ServedError(Exception):
    """The session is with a servicer, and is to stay there."""

    def __init__(self, servicer: str) -> None:
        super().__init__()
        self.servicer = servicer


@attrs.frozen(kw_only=True)
class Assigned:
    """Who has the session now: a servicer, or nobody, so that it waits in the pool.

    ``outcome``: it was ``given`` to the servicer; it is in the ``pool``; or nothing was done, because it was ``served``
    already, by the servicer who is named, chosen or not. ``changed`` is None where it was there already. ``refused``
    are those whom WeCom did not take.
    """

    open_kfid: str
    external_userid: str
    servicer_userid: str | None
    outcome: Literal["given", "pool", "served"]
    changed: Changed | None
    refused: tuple[str, ...] = ()


def assign(
    errand: Errand,
    choose: Choose = least_loaded,
    *,
    transfer: bool = False,
    capacity: Capacity = None,
    key: str | None = None,
    departments: tuple[int, ...] = (),
) -> Assigned:
    """Give a session to whom ``choose`` names; see :meth:`kfstate.wecom.live.Live.assign`."""
    refused: list[str] = []
    try:
        given = _given(errand, choose, refused, transfer=transfer, capacity=capacity, key=key, departments=departments)
        return given or _to_the_pool(errand, refused, key, None if transfer else _unserved)
    except _ServedError as error:
        return _assigned(errand, error.servicer or None, "served", None, refused)


def _given(
    errand: Errand, choose: Choose, refused: list[str], *, transfer: bool, capacity: Capacity, key: str | None,
    departments: tuple[int, ...],
) -> Assigned | None:  # fmt: skip
    """Give the session to a servicer; None: nobody is left. ``refused`` gets those whom WeCom did not take."""
    for _ in range(_ROUNDS):
        attempt = f"{key}/{len(refused) + 1}" if key else None
        named = None if attempt is None else _named_before(errand, attempt)
        guard: Guard | None = None
        if named is None:
            if not transfer:
                _unserved_beyond_doubt(errand)
            among = candidates(
                errand.site, errand.intents, errand.open_kfid, external_userid=errand.external_userid,
                capacity=capacity, departments=departments,
            ).without(refused)  # fmt: skip
            named = choose(among) or ""
            guard = _unchanged(errand, among, named)
            if _serves(errand, among, named):
                return _assigned(errand, named, "served", None, refused)
        if not named or named.casefold() in refused:
            return None
        check = None if transfer else _unserved
        try:
            changed = change_state(errand, _MANUAL, servicer=named, key=attempt, guard=guard, check=check)
        except _TakenError:
            continue
        except StateChangeRefusedError as error:
            if error.errcode not in _NOT_RECEIVING:
                raise
            refused.append(named.casefold())
        else:
            return _assigned(errand, named, "given", changed, refused)
    return None


def _unserved(seen: Seen) -> None:
    """Make sure that the session is with nobody."""
    if seen.service_state == _MANUAL:
        raise _ServedError(seen.servicer)


def _unserved_beyond_doubt(errand: Errand) -> None:
    """Save the choice where it is known that the session is with somebody."""
    seen = errand.look()
    if seen.doubt == "none":
        _unserved(seen)


def _named_before(errand: Errand, attempt: str) -> str | None:
    """Return whom an earlier call under the same key named at this attempt."""
    intent = errand.entry(CHANGE, key=key_of(attempt), service_state=int(_MANUAL))
    earlier = errand.earlier(intent)
    return None if earlier is None else earlier.intent.servicer_userid


def _unchanged(errand: Errand, among: Candidates, servicer: str) -> Guard:
    """Return what makes sure, under the lock, that nobody gave the servicer a session since it was looked."""
    chosen = among.named(servicer)
    seen = 0 if chosen is None else chosen.carries

    def guard(conn: Connection) -> None:
        if carried(conn, errand.site, errand.intents, errand.open_kfid, servicer) > seen:
            raise _TakenError

    return guard


def _serves(errand: Errand, among: Candidates, servicer: str) -> bool:
    """Tell whether the session is the servicer's already, beyond doubt."""
    chosen = among.named(servicer)
    if chosen is None or not chosen.previous:
        return False
    seen = errand.look()
    return seen.doubt == "none" and seen.service_state == _MANUAL and seen.state.servicer == servicer.casefold()


def _to_the_pool(errand: Errand, refused: list[str], key: str | None, check: Check | None) -> Assigned:
    seen = errand.look()
    if seen.doubt != "none":
        errand.read(why=f"nobody takes the session, in doubt: {seen.doubt}")
        seen = errand.look()
    if seen.service_state == KfServiceState.QUEUE:
        return _assigned(errand, None, "pool", None, refused)
    changed = change_state(errand, KfServiceState.QUEUE, key=f"{key}/pool" if key else None, check=check)
    return _assigned(errand, None, "pool", changed, refused)


def _assigned(
    errand: Errand,
    servicer: str | None,
    outcome: Literal["given", "pool", "served"],
    changed: Changed | None,
    refused: list[str],
) -> Assigned:
    return Assigned(
        open_kfid=errand.open_kfid, external_userid=errand.external_userid, servicer_userid=servicer, outcome=outcome,
        changed=changed, refused=tuple(refused),
    )  # fmt: skip
