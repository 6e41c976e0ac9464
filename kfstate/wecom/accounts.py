"""What WeCom says of accounts and servicers, recorded where it is news."""

import hashlib
from collections.abc import Iterable

import attrs
from sqlalchemy import Connection

from kfstate.clock import SECOND
from kfstate.intake import ACTOR
from kfstate.store.dialect import as_text, query
from kfstate.store.envelope import OwnEntry
from kfstate.store.facts import is_id, sought
from kfstate.wecom.site import Site
from kfstate.wire import KfAccount, KfServicer

__all__ = ["known_accounts", "manages", "read_accounts", "read_servicers"]


def read_accounts(site: Site) -> tuple[KfAccount, ...]:
    """Return the accounts that the app may see; record each whose ``manage_privilege`` is not as it was known."""
    asked = site.wecom_now()
    found = tuple(account for account in site.client.accounts() if account.open_kfid and is_id(account.open_kfid))
    with site.database.reading() as conn:
        known = {name: (privilege, at) for name, privilege, at in _accounts(conn)}
    for account in found:
        open_kfid, manages_it = str(account.open_kfid), account.manage_privilege
        privilege, at = known.get(open_kfid, (None, None))
        if manages_it is None or privilege == int(manages_it):
            continue
        read_at = _after(asked, at)
        entry = OwnEntry(
            kind="account_reading", actor=ACTOR, open_kfid=open_kfid, manage_privilege=int(manages_it),
            data={"name": account.name or ""}, occurred_at=read_at,
            key=_key("account_reading", open_kfid, int(manages_it), at, read_at // SECOND),
        )  # fmt: skip
        site.engine.record(entry)
    return found


def read_servicers(site: Site, open_kfid: str) -> tuple[KfServicer, ...]:
    """Return the servicers and departments of an account; record each servicer whose status is not as it was known.

    Where the list names no department, it is complete: whoever else was heard of is no servicer, and receives nothing.
    """
    asked = site.wecom_now()
    found = site.client.servicers(open_kfid)
    with site.database.reading() as conn:
        known = {row[0].casefold(): row for row in _servicers(conn, open_kfid, site.corp_id)}
    listed: set[str] = set()
    for servicer in found:
        userid, receiving = servicer.userid, servicer.receiving
        if not userid:
            continue
        listed.add(userid.casefold())
        if receiving is None or not is_id(userid):
            continue
        stop_type = None if receiving else servicer.stop_type
        _, receives, stopped, since = known.get(userid.casefold(), (None, None, None, None))
        if receives is not None and (bool(receives), stopped) == (receiving, stop_type):
            continue
        site.engine.record(_reading(open_kfid, userid, int(receiving), stop_type, before=since, asked=asked))
    if all(servicer.department_id is None for servicer in found):
        for folded, (name, receives, _, since) in known.items():
            if folded not in listed and receives != 0:
                unlisted = _reading(open_kfid, name, 0, None, before=since, asked=asked)
                site.engine.record(attrs.evolve(unlisted, data={"listed": False}))
    return found


def _reading(
    open_kfid: str, userid: str, receiving: int, stop_type: int | None, *, before: int | None, asked: int
) -> OwnEntry:
    read_at = _after(asked, before)
    facts = open_kfid, userid.casefold(), receiving, stop_type, before, read_at // SECOND
    return OwnEntry(
        kind="servicer_reading", actor=ACTOR, open_kfid=open_kfid, servicer_userid=userid, receiving=receiving,
        stop_type=stop_type, occurred_at=read_at, key=_key("servicer_reading", *facts),
    )  # fmt: skip


def _after(asked: int, before: int | None) -> int:
    """Return when a reading took place: after what it corrects, whatever the clocks say."""
    return asked if before is None else max(asked, (before + 1) * SECOND)


def known_accounts(site: Site) -> tuple[str, ...]:
    """Return the accounts that were pulled into this database before."""
    with site.database.reading() as conn:
        rows = query(conn, "SELECT open_kfid FROM kf_cursor WHERE corp_id = ? ORDER BY open_kfid", (site.corp_id,))
    return tuple(as_text(row[0]) for row in rows)


def manages(conn: Connection, open_kfid: str) -> bool | None:
    """Tell whether the app may change states and send for an account; None: never read."""
    found = query(conn, "SELECT manage_privilege FROM kf_account WHERE open_kfid = ?", (sought(open_kfid),))
    return None if not found or found[0][0] is None else bool(found[0][0])


def _accounts(conn: Connection) -> Iterable[tuple[str, int | None, int | None]]:
    rows = query(conn, "SELECT open_kfid, manage_privilege, privilege_second FROM kf_account", ())
    return ((as_text(open_kfid), privilege, at) for open_kfid, privilege, at in rows)


def _servicers(
    conn: Connection, open_kfid: str, corp_id: str
) -> Iterable[tuple[str, int | None, int | None, int | None]]:
    sql = (
        "SELECT n.value, v.receiving, v.stop_type, v.status_second FROM kf_servicer v "
        "JOIN kf_name n ON n.id = v.servicer WHERE v.open_kfid = ? AND n.corp_id = ? AND n.value IS NOT NULL"
    )
    rows = query(conn, sql, (sought(open_kfid), corp_id))
    return ((as_text(name), receives, stop_type, second) for name, receives, stop_type, second in rows)


def _key(kind: str, *facts: object) -> str:
    """Return the key of a reading: two processes that see the same change record one entry."""
    return f"{kind}/{hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()}"
