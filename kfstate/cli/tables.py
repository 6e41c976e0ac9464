"""How the engine's views look as tables."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from kfstate.cli.output import Column, seconds
from kfstate.service_state import KfServiceState

__all__ = [
    "ACCESSES",
    "ANOMALIES",
    "BUILDS",
    "CHANGES",
    "CODES",
    "CONVERSATIONS",
    "DRIFTS",
    "ENTRIES",
    "FAILURES",
    "FATES",
    "HOLDS",
    "KEPT",
    "LETTERS",
    "LOAD",
    "PROBLEMS",
    "QUEUE",
    "RECEIPTS",
    "SESSIONS",
    "STEPS",
    "SUBSCRIPTIONS",
    "TRIED",
    "conversation_facts",
    "then_facts",
]


def _state(name: str) -> Callable[[Any], KfServiceState]:
    """Return what makes a state of the word that a view holds."""
    return lambda view: KfServiceState[getattr(view, name).upper()]


def _text(heading: str, name: str) -> Column:
    return Column(heading, attrgetter(name), raw=True)


def _word(heading: str, name: str) -> Column:
    return Column(heading, attrgetter(name))


def _number(heading: str, name: str) -> Column:
    return Column(heading, attrgetter(name), right=True)


CONVERSATIONS = (
    _text("account", "open_kfid"),
    _text("customer", "external_userid"),
    _word("state", "service_state"),
    _text("servicer", "servicer_userid"),
    _number("session", "session"),
    _word("since", "since"),
    _word("evidence", "evidence"),
    _word("doubt", "doubt"),
    _number("position", "position"),
)

SESSIONS = (
    _text("account", "open_kfid"),
    _text("customer", "external_userid"),
    _number("session", "session"),
    _word("opened", "opened_at"),
    _word("opened by", "opened_by"),
    Column("waited", lambda view: seconds(view.queue_seconds) if view.queued_at else None, right=True),
    _word("taken", "taken_at"),
    Column("servicer", lambda view: " → ".join(span.servicer_userid or "?" for span in view.servicers), raw=True),
    _word("ended", "ended_at"),
    _word("ended by", "ended_by"),
    Column("in / out", lambda view: f"{view.messages_in} / {view.messages_out}", right=True, raw=True),
)

STEPS = (
    _number("position", "position"),
    _word("occurred", "occurred_at"),
    Column("kind", attrgetter("kind"), raw=True, whole=True),
    _word("outcome", "outcome"),
    Column("before", _state("before")),
    Column("after", _state("after")),
    _text("servicer", "servicer_after"),
    _number("session", "session"),
    _text("reason", "reason"),
    _word("doubt", "doubt"),
)

DRIFTS = (
    _text("account", "open_kfid"),
    _text("customer", "external_userid"),
    _word("read because", "why"),
    Column("before", _state("before")),
    Column("after", _state("after")),
    _text("servicer", "servicer_after"),
    _text("reason", "reason"),
    _number("position", "position"),
)

FAILURES = (
    _text("account", "open_kfid"),
    _text("customer", "external_userid"),
    _word("read because", "why"),
    _number("errcode", "errcode"),
    _text("error", "error"),
)

QUEUE = (
    _text("account", "open_kfid"),
    _text("customer", "external_userid"),
    Column("waited", lambda view: seconds(view.waiting_seconds), right=True),
    _word("queued since", "queued_since"),
    _word("customer wrote", "last_customer_message_at"),
    _number("session", "session"),
    _word("doubt", "doubt"),
)

LOAD = (
    _text("account", "open_kfid"),
    _text("servicer", "servicer_userid"),
    _word("receiving", "receiving"),
    _number("open sessions", "open_sessions"),
    _number("stop type", "stop_type"),
)

ENTRIES = (
    _number("position", "position"),
    _word("occurred", "occurred_at"),
    Column("kind", attrgetter("kind"), raw=True, whole=True),
    _text("account", "open_kfid"),
    _text("customer", "external_userid"),
    _text("servicer", "servicer_userid"),
    _text("actor", "actor"),
)

BUILDS = (
    _text("name", "name"),
    _number("version", "version"),
    _word("status", "status"),
    _number("position", "position"),
    _number("lag", "lag"),
    Column("behind", lambda view: seconds(int(view.lag_seconds)) if view.lag > 0 else None, right=True),
    _word("outdated", "outdated"),
    Column("left", lambda view: None if view.seconds_left is None else seconds(int(view.seconds_left)), right=True),
    _text("error", "error"),
)

SUBSCRIPTIONS = (
    _text("name", "name"),
    _word("status", "status"),
    _number("position", "position"),
    _number("lag", "lag"),
    Column("behind", lambda view: seconds(int(view.lag_seconds)) if view.lag > 0 else None, right=True),
    _text("owner", "owner"),
    _number("dead letters", "dead_letters"),
    _text("error", "error"),
)

LETTERS = (
    _text("id", "id"),
    _word("status", "status"),
    _text("error", "error"),
    _text("message", "message"),
    _number("attempts", "attempts"),
    _word("first", "first_at"),
    _word("last", "last_at"),
)

RECEIPTS = (
    _number("position", "position"),
    _word("action", "action"),
    _text("actor", "actor"),
    _text("basis", "basis"),
    _text("request id", "request_id"),
    _number("customer", "customer"),
    _number("payloads", "payloads"),
    _number("sealed", "sealed"),
    _number("hold", "hold"),
    _word("recorded", "recorded_at"),
)

HOLDS = (
    _number("hold", "id"),
    _text("customer", "external_userid"),
    _number("number", "customer"),
    _word("in force", "in_force"),
    _word("until", "until"),
    _number("sealed", "sealed"),
    _text("actor", "actor"),
    _text("basis", "basis"),
)

ACCESSES = (
    _word("time", "accessed_at"),
    _text("actor", "actor"),
    _word("action", "action"),
    _text("account", "open_kfid"),
    _text("customer", "external_userid"),
    _number("number", "customer"),
    _text("detail", "detail"),
    _text("result", "result"),
)

_WHOSE = (_number("position", "position"), _text("account", "open_kfid"), _text("customer", "external_userid"))

ANOMALIES = (*_WHOSE, _word("anomaly", "kind"), Column("kind", attrgetter("entry"), raw=True), _word("occurred", "at"))

FATES = (
    *_WHOSE,
    _text("message", "msgid"),
    _word("fate", "fate"),
    _number("fail type", "fail_type"),
    _word("occurred", "at"),
    _number("of entry", "message"),
)

CODES = (
    *_WHOSE,
    _text("code", "code"),
    _word("scene", "scene"),
    _word("given", "given_at"),
    _word("valid until", "valid_until"),
    Column("only in", lambda view: view.only_state and KfServiceState[view.only_state.upper()]),
    _number("used by", "used"),
    _word("usable", "usable"),
)

CHANGES = (
    _text("field", "field"),
    Column("known then", attrgetter("then")),
    Column("known now", attrgetter("now")),
)

TRIED = {
    lang: (
        _text("tried", "name"),
        _text("guard", "guard"),
        _text("asks", asks),
        Column("holds", attrgetter("holds")),
    )
    for lang, asks in (("en", "asks"), ("zh", "asks_zh"))
}
"""By language: what a guard asks is a sentence."""

KEPT = (
    _number("known from", "known_from"),
    _text("transition", "transition"),
    _word("outcome", "outcome"),
    Column("before", _state("before")),
    Column("after", _state("after")),
    _number("session", "session"),
)

PROBLEMS = (_text("source", "source"), _text("path", "path"), _text("reason", "reason"))


def conversation_facts(view: Any) -> dict[str, object]:
    """Return what is known of one conversation, word by word."""
    window = view.send_window
    return _facts(view) | {
        "sends used": window.used,
        "sends left": window.left,
        "sends until": window.until,
        "customer refused": view.rejected,
        "synced until": view.synced_until,
        "machine": view.machine,
    }


def then_facts(found: Any) -> dict[str, object]:
    """Return what was known of one conversation, word by word."""
    facts: dict[str, object] = {"at": found.at, "known up to": found.known_at, "stored": found.known_until}
    view = found.state
    if view is None:
        return facts | {"state": "not known"}
    return facts | _facts(view) | {"sends used": view.sends, "machine": view.machine}


def _facts(view: Any) -> dict[str, object]:
    """Return what is said of a conversation, now as of any time."""
    return {
        "account": view.open_kfid,
        "customer": view.external_userid,
        "state": view.service_state,
        "servicer": view.servicer_userid,
        "previous servicer": view.previous_servicer_userid,
        "since": view.since,
        "queued since": view.queued_since,
        "session": view.session,
        "opened by": view.opened_by,
        "evidence": view.evidence,
        "doubt": view.doubt,
        "deciding entry": view.position,
        "customer wrote": view.last_customer_message_at,
        "expires": view.expires_at,
    }
