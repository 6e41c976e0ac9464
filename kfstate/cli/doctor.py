"""``kfstate doctor``: one line per thing that has to be right."""

from collections.abc import Iterator
from itertools import chain, starmap
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import attrs

from kfstate.cli.context import Context, Given
from kfstate.cli.database import masked
from kfstate.cli.db import connected
from kfstate.cli.exits import Exit, exit_of
from kfstate.cli.output import seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Finding", "doctor"]

_LAST = 1_000
_KEPT = 3 * 86_400
_WATCHED = 1.0
"""For how many seconds a subscription that lags is watched, to predict when it has caught up."""
"""How long WeCom keeps entries, in seconds: a cursor that is older has lost some."""


@attrs.frozen
class Finding:
    """What one check found."""

    check: str
    ok: bool
    detail: str


def doctor(*, settings: Path | None = None, ctx: Given) -> int:
    """Check configuration, database, schema, triggers, projections, machine, chain, clock and cursors; and WeCom.

    WeCom is asked where settings or environment have corp_id and secret: token, IP, clock, accounts managed by API.
    Prints a line for each, OK or FAIL; leaves with 1 when something fails, with 4 when the database cannot be used.

    Args:
        settings: A TOML file with settings of the live side; the environment goes before it.
        ctx: The settings of this run.
    """
    from kfstate.cli.doctor_wecom import wecom

    code = Exit.OK
    for finding in chain(_findings(ctx), starmap(Finding, wecom(ctx, settings))):
        status = "OK" if finding.ok else "FAIL"
        if ctx.out.json:
            ctx.out.line({"check": finding.check, "status": status, "detail": finding.detail})
        else:
            ctx.out.text(f"{status:4} {finding.check}: {finding.detail}")
        if not finding.ok:
            unusable = finding.check in {"configuration", "database", "schema"}
            code = Exit.DATABASE if unusable else code or Exit.REJECTED
    return code


def _findings(ctx: Context) -> Iterator[Finding]:
    try:
        yield Finding("configuration", True, f"{masked(ctx.url)} ({ctx.sources['db']})")
    except Exception as error:  # noqa: BLE001 (a doctor reports, whatever it is)
        yield Finding("configuration", False, _told(error))
        return
    try:
        with connected(ctx) as connection:
            yield Finding("database", True, f"reachable ({connection.dialect.name}, {connection.dialect.driver})")
            yield from _inside(ctx, connection)
    except Exception as error:  # noqa: BLE001 (the same)
        yield Finding("database", False, _told(error))


def _told(error: Exception) -> str:
    found = exit_of(error)
    return found[1] if found else repr(error)


def _inside(ctx: Context, connection: "Connection") -> Iterator[Finding]:
    from kfstate.store import schema
    from kfstate.store.dialect import missing_triggers

    found, needed = schema.current(connection), schema.head()
    yield Finding("schema", found == needed, f"{found or 'nothing'}, this release needs {needed}")
    if found != needed:
        return
    gone = missing_triggers(connection)
    yield Finding(
        "triggers", not gone, f"missing, changed or not ours: {', '.join(gone)}" if gone else "they guard the log"
    )
    yield _projections(connection)
    yield _machine(ctx, connection)
    yield _lock(connection)
    yield from _subscriptions(ctx, connection)
    yield from _log(connection)
    yield from _cursors(ctx, connection)


def _projections(connection: "Connection") -> Finding:
    from kfstate.projections import live

    lag = live.behind(connection)
    if lag is None:
        return Finding("projections", False, "folded by another machine: run `kfstate rebuild`")
    return Finding("projections", lag == 0, f"{lag} entries behind the log")


def _lock(connection: "Connection") -> Finding:
    from kfstate.store.connecting import backend_of

    holder = backend_of(connection).holder(connection)
    return Finding("head", True, "nobody keeps writers waiting" if holder is None else f"held by {holder}")


def _subscriptions(ctx: Context, connection: "Connection") -> Iterator[Finding]:
    from kfstate.clock import SystemClock
    from kfstate.feed.status import subscriptions

    before = subscriptions(connection, now=SystemClock().now())
    lagging = {one.name: one for one in before if one.lag > 0}
    if not before:
        yield Finding("subscriptions", True, "nobody follows the log")
    after = before
    if lagging:
        Event().wait(_WATCHED)
        with connected(ctx) as later:
            after = subscriptions(later, now=SystemClock().now())
    for one in after:
        detail = f"{one.status}, {one.lag} entries behind"
        if one.name in lagging and one.lag > 0:
            rate = (one.position - lagging[one.name].position) / _WATCHED
            left = f"done in {seconds(round(one.lag / rate))} at {rate:,.0f} entries/s" if rate > 0 else "not moving"
            detail += f" for {seconds(int(one.lag_seconds))}, {left}"
        if one.dead_letters:
            detail += f", {one.dead_letters} dead letters"
        moving = one.lag == 0 or one.status == "running"
        ok = one.error is None and moving and not one.dead_letters
        yield Finding(f"subscription {one.name}", ok, detail if one.error is None else f"{detail}: {one.error}")


def _machine(ctx: Context, connection: "Connection") -> Finding:
    from kfstate.intake import active_machine
    from kfstate.machine import MACHINE

    live = active_machine(connection, ctx.corp_id)
    if live is None:
        return Finding("machine", True, f"none yet; this release is {MACHINE.spec.version}")
    ours = live == MACHINE.fingerprint
    told = "is live" if ours else f"is not live, but {live[:12]}: run `kfstate rebuild`"
    return Finding("machine", ours, f"{MACHINE.spec.version} ({MACHINE.fingerprint[:12]}) of this release {told}")


def _log(connection: "Connection") -> Iterator[Finding]:
    from kfstate.clock import SECOND, SystemClock
    from kfstate.store.head import read_head
    from kfstate.store.verify import verify

    head = read_head(connection)
    found = verify(connection, first=max(1, head.position - _LAST + 1))
    damage = found.damage
    detail = f"{found.entries} entries up to position {head.position} hold"
    yield Finding("chain", damage is None, detail if damage is None else f"{damage.position}: {damage.reason}")
    ahead = (head.recorded_at - SystemClock().now()) // SECOND
    told = f"{seconds(ahead)} behind the last entry" if ahead > 0 else f"the last entry is {seconds(-ahead)} old"
    yield Finding("clock", ahead <= 0, told if head.position else "no entry yet")


def _cursors(ctx: Context, connection: "Connection") -> Iterator[Finding]:
    from kfstate.clock import SECOND, SystemClock
    from kfstate.store.dialect import as_text, query

    sql = "SELECT open_kfid, synced_until FROM kf_cursor WHERE corp_id = ? ORDER BY open_kfid"
    found = query(connection, sql, (ctx.corp_id,))
    if not found:
        yield Finding("cursors", True, "no account is pulled into this database")
    for open_kfid, synced_until in found:
        name = f"cursor {as_text(open_kfid)}"
        if synced_until is None:
            yield Finding(name, True, "no complete pull yet")
            continue
        age = max(0, (SystemClock().now() - synced_until) // SECOND)
        lost = "; WeCom keeps 3 days: some history is lost" if age > _KEPT else ""
        yield Finding(name, not lost, f"synced {seconds(age)} ago{lost}")
