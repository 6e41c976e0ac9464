"""``kfstate audit erase``, ``retain``, ``hold`` …: what is done about what the log knows of people."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from kfstate.cli.accessing import noted, who
from kfstate.cli.context import Context, Given
from kfstate.cli.exits import UsageError
from kfstate.cli.listing import at_least, show_all
from kfstate.cli.tables import ACCESSES, HOLDS, RECEIPTS
from kfstate.cli.times import time_of

__all__ = ["COMMANDS", "access", "erase", "hold", "holds", "receipts", "release", "repeat", "retain", "sealed"]

Actor = Annotated[str | None, Parameter(name="--actor")]


def erase(
    external_userid: str, *, basis: str, actor: Actor = None, request_id: str = "", ctx: Given
) -> None:  # fmt: skip
    """Forget a customer in all accounts: payloads, id, content digests. There is no way back.

    What a legal hold keeps is sealed instead. Leaves with 3 where nobody of this id is known.

    Args:
        external_userid: The customer.
        basis: The legal ground, for the receipt.
        actor: Who does it (default: KFSTATE_ACTOR, or the user of this machine).
        request_id: Number of the request, for the receipt.
        ctx: The settings of this run.
    """
    with ctx.reader() as engine:
        receipt = engine.audit.erase(external_userid, actor=actor or who(), basis=basis, request_id=request_id)
    _show(ctx, receipt)


def repeat(
    file: Path, *, basis: str, actor: Actor = None, request_id: str = "", ctx: Given
) -> None:  # fmt: skip
    """Forget again whom receipts are about, after an older copy of the database was restored.

    Args:
        file: Receipts as NDJSON, which `receipts` printed before, kept elsewhere.
        basis: The legal ground, for the new receipts.
        actor: Who does it (default: KFSTATE_ACTOR, or the user of this machine).
        request_id: Number of the request, for the new receipts.
        ctx: The settings of this run.
    """
    from kfstate.audit.people.receipts import parse

    try:
        found = [parse(json.loads(line)) for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} is no file of receipts: {error}") from None
    with ctx.reader() as engine:
        done = engine.audit.repeat(
            [receipt for receipt in found if receipt.action == "erased"], actor=actor or who(), basis=basis,
            request_id=request_id,
        )  # fmt: skip
    _show(ctx, done)


def retain(
    *, payloads: str, basis: str, actor: Actor = None, request_id: str = "", ctx: Given
) -> None:  # fmt: skip
    """Clear the payloads that were stored longer ago, and what legal holds keep sealed no more. Run it daily.

    Args:
        payloads: How long payloads stay, in days: 180d.
        basis: The legal ground, for the receipts.
        actor: Who does it (default: KFSTATE_ACTOR, or the user of this machine).
        request_id: Number of the request, for the receipts.
        ctx: The settings of this run.
    """
    days = re.fullmatch(r"([0-9]{1,6})d", payloads)
    if days is None:
        raise UsageError(f'--payloads: "{payloads}" is no number of days, as 180d')
    with ctx.reader() as engine:
        done = engine.audit.retain(
            timedelta(days=int(days[1])), actor=actor or who(), basis=basis, request_id=request_id
        )  # fmt: skip
    _show(ctx, done)


def hold(
    external_userid: str | None = None,
    *,
    everybody: Annotated[bool, Parameter(negative="")] = False,
    until: str | None = None,
    basis: str,
    actor: Actor = None,
    request_id: str = "",
    ctx: Given,
) -> None:
    """Place a legal hold (封存): what erasing and retention take out meanwhile is sealed, not destroyed.

    Args:
        external_userid: The customer.
        everybody: On everybody, instead of one customer.
        until: When it ends, as 2029-01-01T00:00:00+08:00 (default: when it is released).
        basis: The legal ground, for the receipt.
        actor: Who does it (default: KFSTATE_ACTOR, or the user of this machine).
        request_id: Number of the request, for the receipt.
        ctx: The settings of this run.
    """
    if everybody == (external_userid is not None):
        raise UsageError("whom? name one customer, or give --everybody")
    with ctx.reader() as engine:
        receipt = engine.audit.hold(
            external_userid, until=time_of("--until", until), actor=actor or who(), basis=basis, request_id=request_id
        )  # fmt: skip
    _show(ctx, receipt)


def release(
    number: int, *, basis: str, actor: Actor = None, request_id: str = "", ctx: Given
) -> None:  # fmt: skip
    """End a legal hold before its time, and destroy what no other one keeps sealed.

    Args:
        number: The hold, as `holds` lists it.
        basis: The legal ground, for the receipt.
        actor: Who does it (default: KFSTATE_ACTOR, or the user of this machine).
        request_id: Number of the request, for the receipt.
        ctx: The settings of this run.
    """
    with ctx.reader() as engine:
        receipt = engine.audit.release(number, actor=actor or who(), basis=basis, request_id=request_id)
    _show(ctx, receipt)


def holds(*, ctx: Given) -> None:
    """List all legal holds there were: on whom, until when, and what is sealed.

    Args:
        ctx: The settings of this run.
    """
    with ctx.reader() as engine:
        noted(ctx, engine, "list", detail="holds")
        show_all(ctx, HOLDS, engine.audit.holds())


def sealed(number: int, *, basis: str, actor: Actor = None, ctx: Given) -> None:
    """Hand out what is sealed for a legal hold, as NDJSON, for an authority that may ask for it. It is noted who asked.

    Args:
        number: The hold, as `holds` lists it.
        basis: Why, for the access log.
        actor: Who does it (default: KFSTATE_ACTOR, or the user of this machine).
        ctx: The settings of this run.
    """
    from kfstate.queries.views import as_json

    after = ("", 0)
    with ctx.reader() as engine:
        while page := engine.audit.sealed(number, actor=actor or who(), basis=basis, after=after):
            for one in page:
                ctx.out.line(as_json(one))
            after = page[-1].kind, page[-1].id


def receipts(*, ctx: Given) -> None:
    """List the receipts: who had what erased, aged out, held or released, on which ground.

    Args:
        ctx: The settings of this run.
    """
    with ctx.reader() as engine:
        found: list[Any] = []
        while page := engine.audit.receipts(after=found[-1].position if found else 0):
            found += page
    show_all(ctx, RECEIPTS, found)


def access(
    *,
    action: str | None = None,
    by: str | None = None,
    customer: int | None = None,
    since: str | None = None,
    limit: int = 1000,
    ctx: Given,
) -> None:
    """List who looked at what, and when.

    Args:
        action: Only these: show, history, explain, export, verify, erase, …
        by: Only what this person did.
        customer: Only what was about this customer: the number that receipts and this list give.
        since: From this time on, as 2026-11-22T10:00:00+08:00.
        limit: At most so many.
        ctx: The settings of this run.
    """
    at_least(1, "--limit", limit)
    with ctx.reader() as engine:
        found = engine.audit.accesses(
            action=action, actor=by, customer=customer, since=time_of("--since", since), limit=limit
        )  # fmt: skip
        noted(ctx, engine, "list", detail="access")
    show_all(ctx, ACCESSES, found)


def _show(ctx: Context, done: object) -> None:
    from kfstate.queries.views import as_json

    facts = as_json(done)
    if ctx.out.json:
        ctx.out.line(facts)
        return
    ctx.out.facts({name.replace("_", " "): _cell(value) for name, value in facts.items() if value not in (None, [])})


def _cell(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


COMMANDS = (erase, repeat, retain, hold, release, holds, sealed, receipts, access)
"""What ``kfstate audit`` has of it."""
