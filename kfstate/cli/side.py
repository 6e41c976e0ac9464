"""``kfstate anomalies``, ``fates`` and ``codes``: what did not fit, what became of messages, what may still be sent."""

from typing import Annotated, Literal

from cyclopts import Parameter

from kfstate.cli.accessing import noted
from kfstate.cli.context import Given
from kfstate.cli.exits import UsageError
from kfstate.cli.listing import at_least, most_of, one_more, show_page
from kfstate.cli.tables import ANOMALIES, CODES, FATES
from kfstate.cli.times import number_of

__all__ = ["anomalies", "codes", "fates"]


def anomalies(
    *,
    kind: Literal["repaired", "refused", "unknown", "conflicting_msgid", "history_gap"] | None = None,
    account: str | None = None,
    customer: str | None = None,
    limit: int | None = None,
    after: str | None = None,
    ctx: Given,
) -> None:
    """List the entries that did not fit, by position: repaired, refused, unknown, conflicting, gaps.

    Args:
        kind: Only those of this kind.
        account: Only those of this open_kfid.
        customer: Only those of this external_userid.
        limit: At most so many (default: all in a pipe, 50 on a terminal).
        after: Go on after this cursor, as the previous page printed it: POSITION/KIND.
        ctx: The settings of this run.
    """
    position, _, last = (after or "").partition("/")
    number = number_of(position)
    if after and (number is None or not last):
        raise UsageError(f'--after "{after}": no POSITION/KIND')
    most = most_of(ctx, limit)
    with ctx.reader() as engine:
        noted(ctx, engine, "list", detail="anomalies", open_kfid=account, external_userid=customer)
        found = engine.anomalies(
            kind=kind, open_kfid=account, external_userid=customer, after=None if number is None else (number, last),
            limit=one_more(most),
        )  # fmt: skip
        show_page(ctx, ANOMALIES, found, most, lambda view: f"{view.position}/{view.kind}")


def fates(
    *,
    fate: Literal["recalled_by_customer", "recalled_by_servicer", "failed"] | None = None,
    account: str | None = None,
    customer: str | None = None,
    limit: int | None = None,
    after: int | None = None,
    ctx: Given,
) -> None:
    """List the messages that were taken back or not delivered, by the position of the entry that says so.

    Args:
        fate: Only those with this fate.
        account: Only those of this open_kfid.
        customer: Only those of this external_userid.
        limit: At most so many (default: all in a pipe, 50 on a terminal).
        after: Go on after this position.
        ctx: The settings of this run.
    """
    at_least(0, "--after", after)
    most = most_of(ctx, limit)
    with ctx.reader() as engine:
        noted(ctx, engine, "list", detail="fates", open_kfid=account, external_userid=customer)
        found = engine.fates(
            fate=fate, open_kfid=account, external_userid=customer, after=after,
            limit=one_more(most),
        )  # fmt: skip
        show_page(ctx, FATES, found, most, lambda view: str(view.position))


def codes(
    *,
    every: Annotated[bool, Parameter(name="--all", negative="")] = False,
    account: str | None = None,
    customer: str | None = None,
    limit: int | None = None,
    after: int | None = None,
    ctx: Given,
) -> None:
    """List the codes for send_msg_on_event that may be used now, by the position they came at.

    Args:
        every: Those that are used up, expired or void in the present state, too.
        account: Only those of this open_kfid.
        customer: Only those of this external_userid.
        limit: At most so many (default: all in a pipe, 50 on a terminal).
        after: Go on after this position.
        ctx: The settings of this run.
    """
    at_least(0, "--after", after)
    most = most_of(ctx, limit)
    with ctx.reader() as engine:
        noted(ctx, engine, "list", detail="codes", open_kfid=account, external_userid=customer)
        found = engine.codes(
            usable=not every, open_kfid=account, external_userid=customer, after=after,
            limit=one_more(most),
        )  # fmt: skip
        show_page(ctx, CODES, found, most, lambda view: str(view.position))
