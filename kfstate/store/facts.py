"""What the log keeps of an element of a ``sync_msg`` page: bytes in, :class:`~kfstate.store.rows.Draft` out.

The facts are read from the JSON itself, with exact types and without the models of ``wire``: models may grow more
lenient, but what is hashed into the chain may not change with them. Anything that is not what page 94670 documents is
left out of the typed columns, named in ``problem``, and kept in the payload.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any
from zlib import crc32

import msgspec

from kfstate.clock import SECOND
from kfstate.machine.kinds import EVENT_KINDS
from kfstate.store.rows import Draft, StreamKey
from kfstate.wire.scan import MAX_DEPTH, nested

__all__ = ["FACT_BITS", "IDS", "KEY_BYTES", "draft_elements", "identity_key", "is_id", "sought", "tie_of"]

_sha256 = hashlib.sha256
_new = tuple.__new__
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="deterministic").encode
KEY_BYTES = 16
"""Of a SHA-256, so much is kept to know an entry again; the chain, which proves, has the whole."""
FACT_BITS = 15
_FACTS = (1 << FACT_BITS) - 1
_MAX_SECOND = 1 << 43
IDS = "1 to 128 printable ASCII characters"
"""What an id is made of, in words."""
_NOBODY = "\x7f"
_DAY = 86_400


def is_id(value: object) -> bool:
    """Tell whether a value can be an id: 1 to 128 printable ASCII characters."""
    return isinstance(value, str) and 0 < len(value) <= 128 and value.isascii() and value.isprintable()


def sought(value: str) -> str:
    """Return an id as statements may look for it: what can be none becomes one that the log never has.

    Drivers would fail on some of the former: a NUL, half a surrogate pair.
    """
    return value if value == "" or is_id(value) else _NOBODY


def tie_of(open_kfid: str, msgid: str) -> int:
    """Return the upper 48 bits of ``tie`` of WeCom's entry with that msgid.

    A recall names a msgid that no column holds: its entry is the one of the same stream whose ``tie >> FACT_BITS`` is
    this. The lower bits come from the deciding facts, for entries that share a msgid and a second: their order, too,
    must not depend on which came first.
    """
    return int.from_bytes(_sha256(f"{open_kfid}\0{msgid}".encode()).digest()[:6], "big")


def identity_key(corp_id: str, origin: str, account: str, msgid: str) -> bytes:
    """Return the hash under which ``kf_identity`` knows an entry. ``origin`` of own entries is ``own``."""
    return _sha256(f"{corp_id}\0{origin}\0{account}\0{msgid}".encode()).digest()[:KEY_BYTES]


def draft_elements(
    elements: Iterable[bytes], *, account: str = "", corp_id: str = "", first_ordinal: int = 0
) -> list[Draft]:
    """Return one draft per element of a page, whatever the element is; none of them stops its neighbours.

    ``account`` is the ``open_kfid`` that was pulled: it stands in where an entry names none.
    """
    streams: dict[tuple[str, str, str], StreamKey] = {}
    fallback = account if is_id(account) else ""
    return [
        _draft(bytes(element), ordinal, fallback, corp_id, streams)
        for ordinal, element in enumerate(elements, first_ordinal)
    ]


def _draft(  # noqa: C901, PLR0912, PLR0915 (one pass over an element; split, it would cost more than it explains)
    element: bytes, ordinal: int, account: str, corp_id: str, streams: dict[tuple[str, str, str], StreamKey]
) -> Draft:
    problems: list[str] = []
    if nested(element):
        # By a fixed depth: what a reader makes of an element must not depend on whose stack it runs on.
        return _undecodable(element, ordinal, account, corp_id, f"nested deeper than {MAX_DEPTH} levels")
    try:
        entry = _decode(element)
        encoded = _encode(entry)
        if element.count(b'":') != encoded.count(b'":') and _has_twins(element):
            encoded = element  # of two members with one name the last is read; the first makes it another entry
            problems.append("a member comes twice: the last one counts")
        content = _sha256(encoded).digest()[:KEY_BYTES]
    except (msgspec.MsgspecError, ValueError) as error:
        try:
            entry = _tolerant(element)
        except ValueError:
            return _undecodable(element, ordinal, account, corp_id, f"not JSON: {error}")
        content = _sha256(element).digest()[:KEY_BYTES]
        problems.append(f"not strict JSON, read leniently: {error}")
    if type(entry) is not dict:
        return _undecodable(element, ordinal, account, corp_id, "not an object")

    get = entry.get
    msgtype = get("msgtype")
    if msgtype is not None and not (type(msgtype) is str and _short(msgtype, 64)):
        problems.append("msgtype is no word")
        msgtype = None
    event = get("event") if msgtype == "event" else None
    if type(event) is not dict:
        if msgtype == "event":
            problems.append("event has no body")
        event = None
    origin = get("origin")
    if origin is not None and not (type(origin) is int and -32768 <= origin < 32768):
        problems.append("origin is no number")
        origin = None
    send_time = get("send_time")
    if not (type(send_time) is int and 0 <= send_time < _MAX_SECOND):
        problems.append("send_time is missing" if send_time is None else "send_time is no time")
        send_time = None

    # What an event names inside stands over what its envelope repeats (field reports; samples copy a skeleton).
    bad: list[str] = []
    inner = event.get if event is not None else get
    open_kfid = _id(inner("open_kfid") or get("open_kfid"), "open_kfid", bad) or account
    external_userid = _id(inner("external_userid") or get("external_userid"), "external_userid", bad)
    msgid = _id(get("msgid"), "msgid", bad)
    kind = _kind(get, msgtype, origin, event)
    if event is None:
        servicer_to = _id(get("servicer_userid"), "servicer_userid", bad) if kind == "servicer_message" else ""
        text = get("text")
        menu_id = text.get("menu_id") if msgtype == "text" and type(text) is dict else None
        facts = (None, "", servicer_to, 1 if menu_id and kind == "customer_message" else None, *_NOTHING)
    else:
        facts = _event_facts(event, kind, bad, problems)
    if bad:
        kind = "unknown_event" if msgtype == "event" else "unknown_message"
        problems += bad
    # fmt: off
    (
        change_type, servicer_from, servicer_to, menu_click, ref, fail_type, reject_switch, receiving, stop_type, code,
        code_kind,
    ) = facts
    # fmt: on
    if kind == "servicer_status_change":
        place = ("servicer", open_kfid, servicer_to)
    else:
        place = ("conversation", open_kfid, external_userid)
    stream = streams.get(place) or streams.setdefault(place, _stream(corp_id, *place))
    if stream.kind in ("account", "unplaced"):
        problems.append("no ids: entry belongs to no conversation")
    said_origin = "" if origin is None else str(origin)
    if msgid:
        key = identity_key(corp_id, said_origin, open_kfid, msgid)
        told_apart = f"{kind}\0{change_type}\0{servicer_from}\0{servicer_to}\0{menu_click}\0{ref}\0{reject_switch}"
        tie = tie_of(open_kfid, msgid) << FACT_BITS | crc32(told_apart.casefold().encode()) & _FACTS
    else:
        key = _sha256(f"{corp_id}\0{said_origin}\0{open_kfid}\0\0".encode() + content).digest()[:KEY_BYTES]
        tie = int.from_bytes(content[:6], "big") << FACT_BITS
    day, occurred_at = (0, None) if send_time is None else (send_time // _DAY, send_time * SECOND)
    # fmt: off
    return _new(Draft, (
        stream, kind, occurred_at, tie, change_type, None, servicer_from, servicer_to, None, menu_click, None, None,
        None, origin, msgtype, ref, fail_type, reject_switch, receiving, stop_type, code, code_kind, None, None, "",
        None, ordinal, element, day, key, content, 0, "; ".join(problems) if problems else "",
    ))
    # fmt: on


def _has_twins(element: bytes) -> bool:
    """Tell whether an object in the element has two members with one name."""
    twins = False

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twins
        together = dict(found)
        twins = twins or len(together) != len(found)
        return together

    json.loads(element, object_pairs_hook=pairs)
    return twins


def _tolerant(element: bytes) -> Any:
    """Read an element in which a text is cut inside a character: half an emoji must not cost a customer's message."""
    return json.loads(element.decode("utf-8", "replace"), parse_int=_whole)


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) < 20 else None


_NOTHING = ("", None, None, None, None, "", None)
_STREAM_IDS = {"conversation": "external_userid", "servicer": "servicer_userid"}


def _stream(corp_id: str, kind: str, open_kfid: str, person: str) -> StreamKey:
    if not open_kfid:
        return StreamKey(corp_id, "unplaced")
    if not person:
        return StreamKey(corp_id, "account", open_kfid)
    return StreamKey(corp_id, kind, open_kfid, **{_STREAM_IDS[kind]: person})


def _kind(get: Any, msgtype: str | None, origin: int | None, event: dict[str, Any] | None) -> str:
    if msgtype == "event":
        event_type = event.get("event_type") if event is not None else None
        return event_type if type(event_type) is str and event_type in EVENT_KINDS else "unknown_event"
    if origin == 3:
        return "customer_message"
    if origin == 5:
        return "servicer_message"
    if origin is None and msgtype is not None:
        return "servicer_message" if get("servicer_userid") else "customer_message"
    return "system_message" if origin == 4 else "unknown_message"


def _event_facts(event: dict[str, Any], kind: str, bad: list[str], problems: list[str]) -> tuple[Any, ...]:
    """Return the typed facts of an event: only those that its type has, for samples show all fields at once."""
    change_type = servicer_from = servicer_to = ref = code = code_kind = None
    fail_type = reject_switch = receiving = stop_type = None
    get = event.get
    if kind == "session_status_change":
        change_type = _number(get("change_type"), "change_type", problems)
        servicer_from = _id(get("old_servicer_userid"), "old_servicer_userid", bad)
        servicer_to = _id(get("new_servicer_userid"), "new_servicer_userid", bad)
        code, code_kind = _code(get("msg_code"), "msg_code", problems)
    elif kind == "enter_session":
        code, code_kind = _code(get("welcome_code"), "welcome_code", problems)
    elif kind == "msg_send_fail":
        ref = _id(get("fail_msgid"), "fail_msgid", bad)
        fail_type = _number(get("fail_type"), "fail_type", problems)
    elif kind == "servicer_status_change":
        servicer_to = _id(get("servicer_userid"), "servicer_userid", bad)
        status = _number(get("status"), "status", problems)
        receiving = {1: 1, 2: 0}.get(status) if status is not None else None
        if get("stop_type") is not None:
            stop_type = _number(get("stop_type"), "stop_type", problems)
    elif kind in ("user_recall_msg", "servicer_recall_msg"):
        ref = _id(get("recall_msgid"), "recall_msgid", bad)
        servicer_to = _id(get("servicer_userid"), "servicer_userid", bad) if kind == "servicer_recall_msg" else None
    elif kind == "reject_customer_msg_switch_change":
        servicer_to = _id(get("servicer_userid"), "servicer_userid", bad)
        reject_switch = _number(get("reject_switch"), "reject_switch", problems, 1 << 15)
    # fmt: off
    return (
        change_type, servicer_from or "", servicer_to or "", None, ref or "", fail_type, reject_switch, receiving,
        stop_type, code or "", code_kind,
    )
    # fmt: on


def _id(value: object, name: str, bad: list[str]) -> str:
    """Return an id, or '' where there is none; a value that can be no id is named in ``bad``."""
    if type(value) is str:
        if 0 < len(value) <= 128 and value.isascii() and value.isprintable():
            return value
        if not value:
            return ""
    elif value is None:
        return ""
    bad.append(f"{name} is no id")
    return ""


def _short(value: str, limit: int) -> bool:
    return 0 < len(value) <= limit and value.isascii() and value.isprintable()


def _number(value: object, name: str, problems: list[str], limit: int = 1 << 31) -> int | None:
    if type(value) is int and -limit <= value < limit:
        return value
    problems.append(f"{name} is missing" if value is None else f"{name} is no number")
    return None


def _code(value: object, name: str, problems: list[str]) -> tuple[str, str | None]:
    if value is None or value == "":
        return "", None
    if type(value) is str and _short(value, 512):
        return value, name
    problems.append(f"{name} is no code")
    return "", None


def _undecodable(element: bytes, ordinal: int, account: str, corp_id: str, problem: str) -> Draft:
    content = _sha256(element).digest()[:KEY_BYTES]
    key = _sha256(f"{corp_id}\0\0{account}\0\0".encode() + content).digest()[:KEY_BYTES]
    tie = int.from_bytes(content[:6], "big") << FACT_BITS
    # fmt: off
    return Draft(
        _stream(corp_id, "account", account, ""), "unknown_message", None, tie, None, None, "", "", None, None, None,
        None, None, None, None, "", None, None, None, None, "", None, None, None, "", None, ordinal, element, 0, key,
        content, 0, problem,
    )
    # fmt: on
