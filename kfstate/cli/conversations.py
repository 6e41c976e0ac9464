"""``kfstate conversations``, ``show`` and ``sessions``: what state things are in."""

from typing import TYPE_CHECKING, Annotated, TypedDict

from cyclopts import Parameter

from kfstate.cli.accessing import accessing, noted
from kfstate.cli.context import Context, Given
from kfstate.cli.cursors import join, split
from kfstate.cli.exits import UsageError
from kfstate.cli.listing import at_least, most_of, one_more, show_page
from kfstate.cli.tables import CONVERSATIONS, SESSIONS, conversation_facts, then_facts
from kfstate.cli.times import number_of, place_of
from kfstate.service_state import KfServiceState

if TYPE_CHECKING:
    from kfstate.queries.views import ConversationView, SessionView

__all__ = ["conversations", "sessions", "show"]


class _Wanted(TypedDict):
    """Which conversations: what the engine's questions about many of them take."""

    state: KfServiceState | None
    account: str | None
    servicer: str | None
    doubt: str | None
    evidence: str | None
    older_than: int | None
    as_of_log: bool


def conversations(
    *,
    state: KfServiceState | None = None,
    account: str | None = None,
    servicer: str | None = None,
    doubt: str | None = None,
    evidence: str | None = None,
    older_than: int | None = None,
    limit: int | None = None,
    after: str | None = None,
    as_of_log: Annotated[bool, Parameter(negative="")] = False,
    ctx: Given,
) -> None:
    """List conversations with their states, by external_userid and open_kfid.

    Args:
        state: Only those in this state.
        account: Only those of this open_kfid.
        servicer: Only those that this servicer serves now.
        doubt: Only those with this doubt; "any" for any.
        evidence: Only those whose state was decided by this evidence.
        older_than: Only those that have been in their state for so many seconds at least.
        limit: At most so many (default: all in a pipe, 50 on a terminal).
        after: Go on after this cursor, as the previous page printed it: EXTERNAL_USERID/OPEN_KFID.
        as_of_log: The state as of each last entry, instead of now (when a session may have expired).
        ctx: The settings of this run.
    """
    wanted: _Wanted = {
        "state": state, "account": account, "servicer": servicer, "doubt": _doubt(doubt),
        "evidence": _evidence(evidence), "older_than": older_than, "as_of_log": as_of_log,
    }  # fmt: skip
    at_least(0, "--older-than", older_than)
    start = split(after, "EXTERNAL_USERID", "OPEN_KFID") if after else None
    most = most_of(ctx, limit)
    with ctx.reader() as engine:
        noted(ctx, engine, "list", detail="conversations", open_kfid=account)
        found = engine.conversations(
            **wanted,
            after=(start[0], start[1]) if start else None,
            limit=one_more(most),
        )
        show_page(
            ctx, CONVERSATIONS, found, most, _cursor,
            foot=lambda shown: _counted(ctx, engine.counts(**wanted), shown),
        )  # fmt: skip


def show(
    open_kfid: str,
    external_userid: str,
    *,
    as_of_log: Annotated[bool, Parameter(negative="")] = False,
    at: str | None = None,
    known_at: str | None = None,
    ctx: Given,
) -> None:
    """Show one conversation: its state, since when, by what it was decided, and what is doubtful.

    Leaves with 3 when no entry of it is in the log.

    Args:
        open_kfid: The account.
        external_userid: The customer.
        as_of_log: The state as of the last entry, instead of now (when the session may have expired).
        at: The state at this time, as 2026-11-22T10:00:00+08:00; without a zone it is the machine's.
        known_at: As it was known then: what was stored by this time, or up to this position.
        ctx: The settings of this run.
    """
    from kfstate.errors import UnknownConversationError
    from kfstate.queries.views import as_json

    place = place_of(at, known_at, as_of_log=as_of_log)
    with ctx.reader() as engine, accessing(engine, "show", open_kfid, external_userid):
        if place is not None:
            found = engine.audit.as_of(open_kfid, external_userid, **place)
            if found.state is None:
                raise UnknownConversationError(open_kfid, external_userid)
            if ctx.out.json:
                ctx.out.line(as_json(found.state))
            else:
                ctx.out.facts(then_facts(found))
            return
        view = engine.state(open_kfid, external_userid, as_of_log=as_of_log)
    if ctx.out.json:
        ctx.out.line(as_json(view))
    else:
        ctx.out.facts(conversation_facts(view))


def sessions(
    *,
    account: str | None = None,
    customer: str | None = None,
    running: Annotated[bool | None, Parameter(negative="--ended")] = None,
    limit: int | None = None,
    after: str | None = None,
    as_of_log: Annotated[bool, Parameter(negative="")] = False,
    at: str | None = None,
    known_at: str | None = None,
    ctx: Given,
) -> None:
    """List sessions with their times, waits, servicers, and how they ended.

    Args:
        account: Only those of this open_kfid.
        customer: Only those of this external_userid.
        running: Only those that run, or only those that have ended.
        limit: At most so many (default: all in a pipe, 50 on a terminal).
        after: Go on after this cursor, as the previous page printed it: EXTERNAL_USERID/OPEN_KFID/SESSION.
        as_of_log: As of each last entry, instead of now (when a session may have expired).
        at: Those that had opened by this time, as 2026-11-22T10:00:00+08:00; without a zone it is the machine's.
        known_at: As it was known then: what was stored by this time, or up to this position.
        ctx: The settings of this run.
    """
    most = most_of(ctx, limit)
    place = place_of(at, known_at, as_of_log=as_of_log)
    if place is not None and after is not None:
        raise UsageError("--after: not together with --at or --known-at, which list all at once")
    with ctx.reader() as engine:
        noted(ctx, engine, "list", detail="sessions", open_kfid=account, external_userid=customer)
        if place is not None:
            then = engine.audit.sessions(**place, open_kfid=account, external_userid=customer, running=running)
            show_page(ctx, SESSIONS, iter(then), most, lambda _: "")
            return
        found = engine.sessions(
            open_kfid=account, external_userid=customer, running=running, after=_session_cursor(after),
            limit=one_more(most), as_of_log=as_of_log,
        )  # fmt: skip
        show_page(ctx, SESSIONS, found, most, lambda view: _cursor(view, view.session))


def _cursor(last: "ConversationView | SessionView", *further: int) -> str:
    """Return how to go on after a view; '' after an erased customer, who has no name to go on from."""
    return "" if last.external_userid is None else join(last.external_userid, last.open_kfid, *further)


def _session_cursor(after: str | None) -> tuple[str, str, int] | None:
    if not after:
        return None
    customer, account, number = split(after, "EXTERNAL_USERID", "OPEN_KFID", "SESSION")
    session = number_of(number)
    if session is None:
        raise UsageError(f'--after "{after}": "{number}" is no number of a session')
    return customer, account, session


def _doubt(doubt: str | None) -> str | None:
    from kfstate.machine.state import DOUBTS

    if doubt is not None and doubt != "any" and doubt not in DOUBTS:
        raise UsageError(f'--doubt: "{doubt}" is none of any, {", ".join(DOUBTS)}')
    return doubt


def _evidence(evidence: str | None) -> str | None:
    from kfstate.machine.state import EVIDENCE

    if evidence is not None and evidence not in EVIDENCE:
        raise UsageError(f'--evidence: "{evidence}" is none of {", ".join(EVIDENCE)}')
    return evidence


def _counted(ctx: Context, counts: dict[KfServiceState, int], shown: int) -> str:
    from kfstate.cli.words import state_label

    states = " · ".join(f"{state_label(state, ctx.out.lang)} {number:,}" for state, number in counts.items() if number)
    total = f"{ctx.out.word('shown')} {shown:,}, {ctx.out.word('total')} {sum(counts.values()):,}"
    return f"{total}: {states}" if states else total
