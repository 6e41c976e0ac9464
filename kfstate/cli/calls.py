"""``kfstate state change``, ``send`` and ``assign``: what our side does with a conversation, by hand."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from kfstate.cli.context import Context, Given
from kfstate.cli.exits import UsageError
from kfstate.cli.listing import at_least
from kfstate.cli.live import opened
from kfstate.service_state import KfServiceState

if TYPE_CHECKING:
    from kfstate.wecom import Candidate, Candidates, Sent

__all__ = ["app", "assign", "change", "send"]

app = App(name="state", help="The state of a conversation at WeCom.")
_STDIN = ("-", "./-")


@app.command
def change(
    open_kfid: str,
    external_userid: str,
    to: str,
    *,
    servicer: str | None = None,
    key: str | None = None,
    actor: str = "cli",
    reason: str = "",
    settings: Path | None = None,
    ctx: Given,
) -> None:
    """Change the state of a conversation at WeCom, and record what became of it.

    What the log forbids is not tried; where the log is in doubt, WeCom is asked for the state first. Leaves with 1 when
    it is refused, with 5 when somebody else is changing the conversation.

    Args:
        open_kfid: The account.
        external_userid: The customer.
        to: The state: robot, queue, manual or finished, or its number.
        servicer: Who gets the session, for manual.
        key: Names this change: again with the same key, nothing is done a second time.
        actor: Who does it, for the log.
        reason: Why, for the log.
        settings: A TOML file with settings; the environment goes before it.
        ctx: The settings of this run.
    """
    state = _state(to)
    with opened(ctx, settings) as live:
        done = live.change_state(
            open_kfid, external_userid, state, servicer=servicer, key=key, actor=actor, reason=reason
        )
    _show(
        ctx,
        {"service_state": done.service_state, "servicer_userid": done.servicer_userid, "code": done.code or None,
         "evidence": done.evidence, "repeated": done.repeated, "intent": done.intent, "position": done.position},
    )  # fmt: skip


def send(
    open_kfid: str,
    external_userid: str,
    text: str = "-",
    *,
    message: str | None = None,
    code: str | None = None,
    key: str | None = None,
    actor: str = "cli",
    reason: str = "",
    settings: Path | None = None,
    ctx: Given,
) -> None:
    """Send a message to a customer, and record it: WeCom never gives it back.

    State, window and code are looked at first. Leaves with 1 when it is refused. Where the reply is lost, run it again
    with the same --key: the customer gets the message once.

    Args:
        open_kfid: The account.
        external_userid: The customer.
        text: The text; or - for standard input.
        message: A message of another type, as JSON: {"msgtype": ..., ...}; instead of a text.
        code: A welcome_code or msg_code to send it with; else it goes within the window of 48 hours.
        key: Names this message: again with the same key, it is not sent a second time.
        actor: Who sends it, for the log.
        reason: Why, for the log.
        settings: A TOML file with settings; the environment goes before it.
        ctx: The settings of this run.
    """
    wanted = _message(text, message)
    facts: dict[str, Any] = {"key": key, "actor": actor, "reason": reason}
    done: Sent
    with opened(ctx, settings) as live:
        if code is None:
            done = live.send(open_kfid, external_userid, wanted, **facts)
        else:
            done = live.send_on_event(open_kfid, external_userid, code, wanted, **facts)
    _show(
        ctx,
        {"via": done.via, "msgid": done.msgid, "repeated": done.repeated, "intent": done.intent,
         "position": done.position},
    )  # fmt: skip


def assign(
    open_kfid: str,
    external_userid: str,
    *,
    capacity: int | None = None,
    previous: Annotated[bool, Parameter(negative="")] = False,
    transfer: Annotated[bool, Parameter(negative="")] = False,
    key: str | None = None,
    actor: str = "cli",
    reason: str = "",
    settings: Path | None = None,
    ctx: Given,
) -> None:
    """Give a conversation to the servicer who carries least, or put it into the pool where nobody can take it.

    Args:
        open_kfid: The account.
        external_userid: The customer.
        capacity: How many sessions a servicer may have at once (default: any number).
        previous: Whoever served this customer last goes first.
        transfer: Also where a servicer has it already; without, it stays there.
        key: Names this assignment: again with the same key, nothing is done a second time.
        actor: Who does it, for the log.
        reason: Why, for the log.
        settings: A TOML file with settings; the environment goes before it.
        ctx: The settings of this run.
    """
    at_least(0, "--capacity", capacity)
    from kfstate.wecom import least_loaded

    def choose(among: "Candidates") -> str | None:
        before: list[Candidate] = [one for one in among.available() if one.previous and previous]
        return before[0].servicer_userid if before else least_loaded(among)

    with opened(ctx, settings) as live:
        done = live.assign(
            open_kfid, external_userid, choose, transfer=transfer, capacity=capacity, key=key, actor=actor,
            reason=reason,
        )  # fmt: skip
    position = None if done.changed is None else done.changed.position
    state = KfServiceState.QUEUE if done.outcome == "pool" else KfServiceState.MANUAL
    _show(
        ctx,
        {"outcome": done.outcome, "service_state": state, "servicer_userid": done.servicer_userid,
         "refused": list(done.refused), "position": position},
    )  # fmt: skip


_WORDS = {"service_state": "state", "servicer_userid": "servicer", "refused": "refused by WeCom"}
"""What tables call the members that JSON has."""


def _show(ctx: Context, facts: dict[str, object]) -> None:
    if ctx.out.json:
        ctx.out.line(
            {name: int(value) if isinstance(value, KfServiceState) else value for name, value in facts.items()}
        )
        return
    told = {_WORDS.get(name, name): value for name, value in facts.items()}
    ctx.out.facts({name: ", ".join(value) if isinstance(value, list) else value for name, value in told.items()})


def _state(text: str) -> KfServiceState:
    for state in KfServiceState:
        if text in (str(int(state)), state.word, state.name):
            return state
    known = ", ".join(f"{int(state)} {state.word}" for state in KfServiceState)
    raise UsageError(f'to: "{text}" is none of {known}')


def _message(text: str, message: str | None) -> dict[str, Any]:
    if message is None:
        if text in _STDIN:
            if sys.stdin.isatty():
                raise UsageError("send: give the text, or pipe it in")
            text = sys.stdin.read().rstrip("\n")
        return {"msgtype": "text", "text": {"content": text}}
    if text not in _STDIN:
        raise UsageError("send: a text and --message are two messages; give one of them")
    try:
        found = json.loads(message)
    except ValueError as error:
        raise UsageError(f"--message: no JSON ({error})") from None
    if not isinstance(found, dict):
        raise UsageError("--message: no JSON object")
    return found
