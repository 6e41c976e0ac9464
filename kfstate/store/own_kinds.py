"""Which facts each kind of own entry needs and allows: one table for the envelope."""

import attrs

from kfstate.errors import MachineError
from kfstate.machine.kinds import OWN_KINDS

__all__ = ["FACTS", "RECEIPTS", "RULES", "KindRule"]

FACTS = (
    "service_state",
    "servicer_userid",
    "old_servicer_userid",
    "change_type",
    "errcode",
    "via",
    "msgid",
    "msgtype",
    "menu_click",
    "code",
    "code_kind",
    "fail_type",
    "reject_switch",
    "receiving",
    "stop_type",
    "manage_privilege",
    "from_at",
    "target",
    "cause",
    "as_kind",
    "fingerprint",
)
"""Every typed fact that an own entry can have."""

RECEIPTS = frozenset({"erased", "retained", "hold_placed", "hold_released", "purged"})
"""``via`` of an ``own_action`` that is a receipt: only the engine writes those, when it has done what they say."""


@attrs.frozen
class KindRule:
    """What one kind of own entry looks like.

    ``stream`` is where it goes: ``conversation``, ``servicer``, ``account``, ``log``, or ``any`` (the ids decide).
    """

    needs: frozenset[str]
    allows: frozenset[str]
    stream: str = "conversation"


def _rule(needs: str, allows: str, stream: str = "conversation") -> KindRule:
    needed = frozenset(needs.split())
    return KindRule(needs=needed, allows=needed | frozenset(allows.split()), stream=stream)


_SEND = "msgid msgtype code code_kind cause"

RULES = {
    "state_change_intended": _rule("service_state", "servicer_userid cause"),
    "state_changed": _rule("service_state", "servicer_userid code code_kind cause"),
    "state_change_refused": _rule("service_state errcode", "servicer_userid cause"),
    "state_reading": _rule("service_state", "servicer_userid cause"),
    "message_intended": _rule("via", _SEND),
    "message_sent": _rule("via", _SEND),
    "message_refused": _rule("via errcode", _SEND),
    "reply_lost": _rule("via", "service_state servicer_userid msgid cause"),
    "servicer_reading": _rule("servicer_userid receiving", "stop_type cause", stream="servicer"),
    "account_reading": _rule("manage_privilege", "cause", stream="account"),
    "history_gap": _rule("from_at", "cause", stream="any"),
    "own_action": _rule("via", "msgid errcode servicer_userid code code_kind cause", stream="any"),
    "session_expired": _rule("target", "from_at"),
    "limit_reached": _rule("via from_at", "target servicer_userid cause"),
    "machine_activated": _rule("fingerprint", "", stream="log"),
    "redecoded": _rule(
        "target as_kind",
        "service_state servicer_userid old_servicer_userid change_type errcode msgid msgtype menu_click code code_kind "
        "fail_type reject_switch receiving stop_type",
        stream="any",
    ),
    "correction": _rule("", "service_state servicer_userid target cause"),
}

if set(RULES) != OWN_KINDS:  # a kind without a rule would be refused, or taken as it comes
    raise MachineError(problems=("every own kind needs a rule",))
