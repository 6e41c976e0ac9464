"""Giving a session to a servicer: chosen, reserved by the intent, and the next choice where WeCom refuses the first."""

from typing import Literal

import attrs
from sqlalchemy import Connection

from kfstate.errors import ArgumentError, StateChangeRefusedError
from kfstate.service_state import KfServiceState
from kfstate.wecom.candidates import Candidates, Capacity, Choose, candidates, carried, least_loaded
from kfstate.wecom.changing import Changed, Check, change_state, key_of
from kfstate.wecom.errand import Errand, Guard, Seen
from kfstate.wecom.intents import CHANGE

__all__ = ["Assigned", "assign"]

_MANUAL, _QUEUE = KfServiceState.MANUAL, KfServiceState.QUEUE
_NOT_RECEIVING = frozenset({95014, 95019})
_ROUNDS = 200
"""How often is chosen again because somebody else was quicker; each time somebody was served."""


class _TakenError(Exception):
    """Somebody else has given the chosen servicer a session meanwhile."""


class _PooledError(Exception):
    """An earlier call under the same key has put the session into the pool."""


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
    while True:
        refused: list[str] = []
        try:
            if key and _named_before(errand, f"{key}/pool", _QUEUE) is not None:
                return _pooled_before(errand, key)
            given = _given(
                errand, choose, refused, transfer=transfer, capacity=capacity, key=key, departments=departments
            )
            return given or _to_the_pool(errand, refused, key, transfer=transfer)
        except _ServedError as error:
            return _assigned(errand, error.servicer or None, "served", None, refused)
        except (_PooledError, _TakenError):
            continue  # an earlier call stands under the key now: what became of that one is returned


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
            named, guard = _chosen(errand, choose, refused, capacity, departments, transfer=transfer)
        if not named or named.casefold() in refused:
            return None
        check = _first_under(errand, key, attempt, named, transfer=transfer)
        try:
            changed = change_state(errand, _MANUAL, servicer=named, key=attempt, guard=guard, check=check)
        except _TakenError:
            continue
        except ArgumentError as error:
            if error.name != "key" or guard is None:
                raise
            # The same key names somebody else meanwhile: on with whom it names.
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


def _chosen(
    errand: Errand, choose: Choose, refused: list[str], capacity: Capacity, departments: tuple[int, ...], *,
    transfer: bool,
) -> tuple[str, Guard]:  # fmt: skip
    """Return whom ``choose`` names, and what holds his place; raise an error where the session is not to be moved."""
    if not transfer:
        _unserved_beyond_doubt(errand)
    among = candidates(
        errand.site, errand.intents, errand.open_kfid, external_userid=errand.external_userid, capacity=capacity,
        departments=departments,
    ).without(refused)  # fmt: skip
    named = choose(among) or ""
    guard = _unchanged(errand, among, named)
    if _serves(errand, among, named):
        raise _ServedError(named)
    return named, guard


def _first_under(errand: Errand, key: str | None, attempt: str | None, named: str, *, transfer: bool) -> Check:
    """Return what makes sure that nothing else was begun under the same key, and that the session may be moved."""

    def check(seen: Seen) -> None:
        if key and _named_before(errand, f"{key}/pool", _QUEUE) is not None and named:
            raise _PooledError
        before = _named_before(errand, attempt) if attempt else None
        if before is not None and before.casefold() != named.casefold():
            raise _TakenError
        if not transfer:
            _unserved(seen)

    return check


def _named_before(errand: Errand, attempt: str, to: KfServiceState = _MANUAL) -> str | None:
    """Return whom an earlier call under the same key named at this attempt; '' is the pool."""
    intent = errand.entry(CHANGE, key=key_of(attempt), service_state=int(to))
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


def _to_the_pool(errand: Errand, refused: list[str], key: str | None, *, transfer: bool) -> Assigned:
    seen = errand.look()
    if seen.doubt != "none":
        errand.read(why=f"nobody takes the session, in doubt: {seen.doubt}")
        seen = errand.look()
    if seen.service_state == _QUEUE:
        return _assigned(errand, None, "pool", None, refused)
    check = _first_under(errand, key, f"{key}/{len(refused) + 1}" if key else None, "", transfer=transfer)
    changed = change_state(errand, _QUEUE, key=f"{key}/pool" if key else None, check=check)
    return _assigned(errand, None, "pool", changed, refused)


def _pooled_before(errand: Errand, key: str) -> Assigned:
    """Return what became of an earlier call under the same key that chose the pool; nobody is chosen any more."""
    refused: list[str] = []
    while (named := _named_before(errand, f"{key}/{len(refused) + 1}")) is not None:
        refused.append(named.casefold())
    changed = change_state(errand, _QUEUE, key=f"{key}/pool", check=_unserved)
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
