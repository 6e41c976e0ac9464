"""Own entries, in the envelope that ``kfstate ingest`` reads beside pages: what the embedding service did or saw.

Every builder returns a plain ``dict`` ``{kind, open_kfid, external_userid, occurred_at, actor, …}``; one per line of an
NDJSON file. ``at`` is in seconds since 1970-01-01 UTC, as for the elements of pages, and may have a fraction down to
the microsecond; the envelope's ``occurred_at`` is the same number. Further fields (:class:`OwnFields`) go by name.
"""

from typing import TypedDict, Unpack

from kfstate.testing.builders import Element

__all__ = [
    "OwnFields",
    "correction",
    "message_intended",
    "message_refused",
    "message_sent",
    "own_action",
    "own_entry",
    "reply_lost",
    "state_change_intended",
    "state_change_refused",
    "state_changed",
    "state_reading",
]


class OwnFields(TypedDict, total=False):
    """What any own entry may say about itself."""

    actor: str
    reason: str
    request_id: str
    key: str
    code: str
    cause: int
    data: dict[str, object]


def own_entry(kind: str, open_kfid: str, external_userid: str, at: float, **fields: object) -> Element:
    """Return the envelope of any own kind, exactly as given; fields that are None are left out."""
    envelope: Element = {
        "kind": kind,
        "open_kfid": open_kfid,
        "external_userid": external_userid,
        "occurred_at": at,
    }
    for name, value in fields.items():
        if value is not None:
            envelope[name] = value
    return envelope


def state_change_intended(
    open_kfid: str,
    external_userid: str,
    at: float,
    *,
    service_state: int,
    servicer_userid: str | None = None,
    **more: Unpack[OwnFields],
) -> Element:
    """Return the intent to call ``service_state/trans``."""
    fields = {"service_state": service_state, "servicer_userid": servicer_userid, **_own(more)}
    return own_entry("state_change_intended", open_kfid, external_userid, at, **fields)


def state_changed(
    open_kfid: str,
    external_userid: str,
    at: float,
    *,
    service_state: int,
    servicer_userid: str | None = None,
    **more: Unpack[OwnFields],
) -> Element:
    """Return an accepted ``service_state/trans`` to ``service_state`` (for 3: to ``servicer_userid``)."""
    fields = {"service_state": service_state, "servicer_userid": servicer_userid, **_own(more)}
    return own_entry("state_changed", open_kfid, external_userid, at, **fields)


def state_change_refused(
    open_kfid: str,
    external_userid: str,
    at: float,
    *,
    service_state: int,
    errcode: int,
    servicer_userid: str | None = None,
    **more: Unpack[OwnFields],
) -> Element:
    """Return a ``service_state/trans`` that WeCom refused with ``errcode``."""
    fields = {"service_state": service_state, "servicer_userid": servicer_userid, "errcode": errcode, **_own(more)}
    return own_entry("state_change_refused", open_kfid, external_userid, at, **fields)


def state_reading(
    open_kfid: str,
    external_userid: str,
    at: float,
    *,
    service_state: int,
    servicer_userid: str | None = None,
    **more: Unpack[OwnFields],
) -> Element:
    """Return what ``service_state/get`` answered."""
    fields = {"service_state": service_state, "servicer_userid": servicer_userid, **_own(more)}
    return own_entry("state_reading", open_kfid, external_userid, at, **fields)


def message_intended(
    open_kfid: str, external_userid: str, at: float, *, via: str = "send_msg", msgid: str, **more: Unpack[OwnFields]
) -> Element:
    """Return the intent to send ``msgid``."""
    return own_entry("message_intended", open_kfid, external_userid, at, via=via, msgid=msgid, **_own(more))


def message_sent(
    open_kfid: str, external_userid: str, at: float, *, via: str = "send_msg", msgid: str, **more: Unpack[OwnFields]
) -> Element:
    """Return a message that ``send_msg`` or ``send_msg_on_event`` (``via``) accepted."""
    return own_entry("message_sent", open_kfid, external_userid, at, via=via, msgid=msgid, **_own(more))


def message_refused(
    open_kfid: str, external_userid: str, at: float, *, errcode: int, via: str = "send_msg", **more: Unpack[OwnFields]
) -> Element:
    """Return a message that WeCom refused with ``errcode``."""
    fields = {"via": via, "errcode": errcode, **_own(more)}
    return own_entry("message_refused", open_kfid, external_userid, at, **fields)


def reply_lost(
    open_kfid: str, external_userid: str, at: float, *, via: str = "send_msg", **more: Unpack[OwnFields]
) -> Element:
    """Return a call (``via``) whose answer never came."""
    return own_entry("reply_lost", open_kfid, external_userid, at, via=via, **_own(more))


def own_action(open_kfid: str, external_userid: str, at: float, *, via: str, **more: Unpack[OwnFields]) -> Element:
    """Return another call that was made, by its name (``recall_msg``, ``upgrade_service`` …)."""
    return own_entry("own_action", open_kfid, external_userid, at, via=via, **_own(more))


def correction(
    open_kfid: str,
    external_userid: str,
    at: float,
    *,
    service_state: int,
    servicer_userid: str | None = None,
    **more: Unpack[OwnFields],
) -> Element:
    """Return a person's word that the state at ``at`` was ``service_state``."""
    fields = {"service_state": service_state, "servicer_userid": servicer_userid, **_own(more)}
    return own_entry("correction", open_kfid, external_userid, at, **fields)


def _own(fields: OwnFields) -> dict[str, object]:
    return {"actor": "service", **fields}
