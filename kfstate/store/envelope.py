"""Own entries: what the embedding service did or saw, as an object and as a line of NDJSON.

.. code-block:: json

    {"kind": "state_changed", "open_kfid": "wk…", "external_userid": "wm…", "occurred_at": "2026-01-05T09:30:00Z",
     "actor": "router", "reason": "vip", "request_id": "r-1", "key": "r-1/3", "service_state": 3,
     "servicer_userid": "li"}

``occurred_at`` is ISO 8601 with an offset, or unix seconds, and stands as it is given; absent means now, and never
before what the log has of the conversation already. ``key`` makes recording idempotent.
``data`` is an object of the caller's own; it is kept with the payload, beside ``reason`` and ``request_id``.
"""

import hashlib
import math
from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any

import attrs
import msgspec

from kfstate.clock import SECOND
from kfstate.errors import EnvelopeError
from kfstate.machine.kinds import FROM_WECOM, OWN_KINDS
from kfstate.store.facts import KEY_BYTES, identity_key
from kfstate.store.own_kinds import FACTS, RECEIPTS, RULES
from kfstate.store.rows import Draft, StreamKey
from kfstate.wire.parse import excerpt
from kfstate.wire.scan import MAX_DEPTH, nested

__all__ = ["OwnEntry", "draft_own", "from_json"]

_DAY = 86_400 * SECOND
_TEXTS = {
    "open_kfid": 128,
    "external_userid": 128,
    "servicer_userid": 128,
    "old_servicer_userid": 128,
    "msgid": 128,
    "msgtype": 64,
    "via": 64,
    "code": 512,
    "code_kind": 40,
    "as_kind": 40,
    "fingerprint": 64,
}
_NUMBERS = {
    "service_state": (0, 4),
    "change_type": (-(1 << 31), (1 << 31) - 1),
    "errcode": (-(1 << 62), 1 << 62),
    "menu_click": (0, 1),
    "fail_type": (-(1 << 31), (1 << 31) - 1),
    "reject_switch": (-32768, 32767),
    "receiving": (0, 1),
    "stop_type": (-(1 << 31), (1 << 31) - 1),
    "manage_privilege": (0, 1),
    "from_at": (0, 1 << 62),
    "target": (1, 1 << 62),
    "cause": (1, 1 << 62),
}
_FLAGS = frozenset({"menu_click", "receiving", "manage_privilege"})
_FREE = {"actor": 128, "reason": 4096, "request_id": 256, "key": 256}


@attrs.frozen(kw_only=True)
class OwnEntry:
    """One thing that our side did or saw.

    ``occurred_at`` and ``from_at`` are microseconds since 1970-01-01 UTC; ``occurred_at`` None means now. ``msgid`` is
    the message that the entry is about, ``cause`` the position of the entry that led to it, ``target`` of the one it
    speaks about.
    Raises :class:`~kfstate.errors.EnvelopeError` where the kind lacks a fact, does not know it, or a value is wrong.
    """

    kind: str
    actor: str
    open_kfid: str = ""
    external_userid: str = ""
    occurred_at: int | None = None
    reason: str = ""
    request_id: str = ""
    key: str = ""
    data: Mapping[str, Any] | None = None
    service_state: int | None = None
    servicer_userid: str = ""
    old_servicer_userid: str = ""
    change_type: int | None = None
    errcode: int | None = None
    via: str = ""
    msgid: str = ""
    msgtype: str = ""
    menu_click: int | None = None
    code: str = ""
    code_kind: str = ""
    fail_type: int | None = None
    reject_switch: int | None = None
    receiving: int | None = None
    stop_type: int | None = None
    manage_privilege: int | None = None
    from_at: int | None = None
    target: int | None = None
    cause: int | None = None
    as_kind: str = ""
    fingerprint: str = ""

    def __attrs_post_init__(self) -> None:
        """Check the entry."""
        said = _said(self)
        _check_values(self, said)
        _check_facts(self, said)
        _check_ids(self)


def _refuse(path: str, value: object, reason: str) -> EnvelopeError:
    return EnvelopeError(path=f"$.{path}" if path else "$", value=str(value)[:200], reason=reason)


_NAMES = tuple(attribute.name for attribute in attrs.fields(OwnEntry))
_ABSENT = tuple(attribute.default for attribute in attrs.fields(OwnEntry))
_FIELDS = frozenset(_NAMES)
_FACTS = frozenset(FACTS)
_all = attrgetter(*_NAMES)


def _said(own: OwnEntry) -> dict[str, Any]:
    """Return what an entry says: of the thirty fields most stand at their defaults."""
    return {name: value for name, value, absent in zip(_NAMES, _all(own), _ABSENT, strict=True) if value is not absent}


def _check_values(own: OwnEntry, said: Mapping[str, Any]) -> None:
    if own.kind not in OWN_KINDS:
        raise _refuse("kind", own.kind, "unknown kind of own entry")
    for name, value in said.items():
        if name in _TEXTS:
            _check_text(name, value)
        elif name in _NUMBERS:
            _check_number(name, value)
        elif name in _FREE and not (isinstance(value, str) and len(value) <= _FREE[name] and "\0" not in value):
            raise _refuse(name, value, f"no text of at most {_FREE[name]} characters")
    if not own.actor:
        raise _refuse("actor", own.actor, "an own entry says who made it")
    if own.occurred_at is not None and not 0 <= own.occurred_at < 1 << 62:
        raise _refuse("occurred_at", own.occurred_at, "no time")


def _check_text(name: str, text: object) -> None:
    limit = _TEXTS[name]
    if text != "" and not (isinstance(text, str) and len(text) <= limit and text.isascii() and text.isprintable()):
        raise _refuse(name, text, f"no printable ASCII of at most {limit} characters")


def _check_number(name: str, number: object) -> None:
    low, high = _NUMBERS[name]
    flag = isinstance(number, bool) and name in _FLAGS
    if not (isinstance(number, int) and (flag or not isinstance(number, bool))):
        raise _refuse(name, number, "no whole number")
    if not low <= number <= high:
        raise _refuse(name, number, f"not between {low} and {high}")


def _check_facts(own: OwnEntry, said: Mapping[str, Any]) -> None:
    rule, given = RULES[own.kind], _FACTS.intersection(name for name, value in said.items() if value != "")
    for name in sorted(rule.needs - given):
        raise _refuse(name, "", f"{own.kind} needs it")
    for name in sorted(given - rule.allows):
        raise _refuse(name, getattr(own, name), f"{own.kind} does not have it")
    if own.kind == "correction" and (own.service_state is None) == (own.target is None):
        raise _refuse("", own.kind, "a correction sets service_state, or voids target, and not both")
    if own.as_kind and own.as_kind not in FROM_WECOM | OWN_KINDS:
        raise _refuse("as_kind", own.as_kind, "unknown kind of entry")
    if own.kind.startswith("message_") and own.via not in ("send_msg", "send_msg_on_event"):
        raise _refuse("via", own.via, "a message goes via send_msg or send_msg_on_event")
    if own.code_kind not in ("", "welcome_code", "msg_code"):
        raise _refuse("code_kind", own.code_kind, "neither welcome_code nor msg_code")


def _check_ids(own: OwnEntry) -> None:
    where = RULES[own.kind].stream
    if where == "conversation" and not own.external_userid:
        raise _refuse("external_userid", own.external_userid, f"{own.kind} belongs to a conversation")
    if where not in {"conversation", "any"} and own.external_userid:
        raise _refuse("external_userid", own.external_userid, f"{own.kind} belongs to no conversation")
    if where != "log" and not own.open_kfid and not (where == "any" and not own.external_userid):
        raise _refuse("open_kfid", own.open_kfid, f"{own.kind} belongs to an account")


def from_json(mapping: Mapping[str, Any]) -> OwnEntry:
    """Return the own entry that an envelope describes; unknown fields are refused.

    Raises :class:`~kfstate.errors.EnvelopeError` with the path and the value that is wrong.
    """
    for name in mapping:
        if name not in _FIELDS:
            raise _refuse(str(name), mapping[name], "unknown field")
    for name in ("kind", "actor"):
        if not isinstance(mapping.get(name), str):
            raise _refuse(name, mapping.get(name, ""), "no text" if name in mapping else "missing")
    values = {name: value for name, value in mapping.items() if value is not None}
    for name in ("occurred_at", "from_at"):
        if name in values:
            values[name] = _time(name, values[name])
    if not isinstance(values.get("data", {}), Mapping):
        raise _refuse("data", values["data"], "no object")
    return OwnEntry(**values)


def _time(name: str, value: object) -> int:
    if isinstance(value, bool):
        raise _refuse(name, value, "no time")
    if isinstance(value, int) and 0 <= value < 1 << 42:
        return value * SECOND
    if isinstance(value, float) and 0 <= value < 1 << 42:
        return round(value * SECOND)
    if isinstance(value, str):
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            raise _refuse(name, value, "neither ISO 8601 nor unix seconds") from None
        if when.tzinfo is None:
            raise _refuse(name, value, "ISO 8601 without an offset from UTC")
        whole = int(when.replace(microsecond=0).timestamp())
        if whole >= 0:
            return whole * SECOND + when.microsecond
    raise _refuse(name, value, "neither ISO 8601 nor unix seconds")


def draft_own(own: OwnEntry, *, now: int, corp_id: str = "", repeatable: bool = False, receipt: bool = False) -> Draft:
    """Return the draft of an own entry. Its payload is its canonical JSON.

    ``repeatable``: without a key of its own, a timed entry is known by its content, so that a file can be read again.
    ``receipt``: it is the engine's own receipt of an erasure or a hold; nobody else may write what looks like one.

    Raises :class:`~kfstate.errors.EnvelopeError` where it lies more than a day ahead of ``now`` (microseconds).
    """
    if own.kind == "own_action" and own.via in RECEIPTS and not receipt:
        raise _refuse("via", own.via, "only the engine writes receipts")
    occurred_at = now if own.occurred_at is None else own.occurred_at
    if occurred_at > now + _DAY:
        raise _refuse("occurred_at", own.occurred_at, "more than a day ahead")
    if own.data is not None and not _finite(own.data):
        raise _refuse("data", excerpt(own.data), "a number that JSON does not have")
    given = {name: value for name, value in _said(own).items() if value != ""}
    try:
        body = msgspec.json.encode({**given, "occurred_at": occurred_at}, order="deterministic")
    except (TypeError, ValueError, RecursionError) as error:
        raise _refuse("data", excerpt(own.data), f"no JSON ({error})") from None
    if nested(body):
        raise _refuse("data", excerpt(own.data), f"nested deeper than {MAX_DEPTH} levels")
    content = hashlib.sha256(body).digest()[:KEY_BYTES]
    known_by = own.key or (content.hex() if repeatable and own.occurred_at is not None else "")
    key = identity_key(corp_id, "own", own.open_kfid, known_by) if known_by else b""
    code_kind = (
        (own.code_kind or ("welcome_code" if own.as_kind == "enter_session" else "msg_code")) if own.code else None
    )
    # 2: our clock says when, so append lifts it above what was recorded before. 1: a time that was given stands.
    mark = 2 if own.occurred_at is None else 1
    # fmt: off
    return Draft(
        _stream(own, corp_id), own.kind, occurred_at, int.from_bytes(content[:4], "big") >> 4, own.change_type,
        own.service_state, own.old_servicer_userid, own.servicer_userid, own.errcode, _flag(own.menu_click),
        own.via or None, own.target, own.as_kind or None, None, own.msgtype or None, own.msgid or own.fingerprint,
        own.fail_type, own.reject_switch, _flag(own.receiving), own.stop_type, own.code, code_kind,
        _flag(own.manage_privilege), own.from_at, own.actor, own.cause, None, body, 0, key, content, mark, "",
    )
    # fmt: on


def _finite(value: object) -> bool:
    """Tell whether no number in it is infinite or none at all: JSON writers make null of those."""
    pending: list[object] = [value]
    seen: set[int] = set()
    while pending:
        one = pending.pop()
        if isinstance(one, float):
            if not math.isfinite(one):
                return False
        elif isinstance(one, Mapping | list | tuple | set | frozenset) and id(one) not in seen:
            seen.add(id(one))
            pending.extend(one.values() if isinstance(one, Mapping) else one)
    return True


def _flag(value: int | None) -> int | None:
    return None if value is None else int(value)


def _stream(own: OwnEntry, corp_id: str) -> StreamKey:
    where = RULES[own.kind].stream
    if where == "log":
        return StreamKey(corp_id, "log")
    if not own.open_kfid:
        return StreamKey(corp_id, "unplaced")
    if own.external_userid:
        return StreamKey(corp_id, "conversation", own.open_kfid, own.external_userid)
    if own.servicer_userid and (where == "servicer" or own.as_kind == "servicer_status_change"):
        return StreamKey(corp_id, "servicer", own.open_kfid, "", own.servicer_userid)
    return StreamKey(corp_id, "account", own.open_kfid)
