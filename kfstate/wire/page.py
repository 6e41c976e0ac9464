"""Splitting a ``sync_msg`` page into the exact bytes of its entries."""

import attrs
import msgspec

from kfstate.errors import WireError
from kfstate.wire.convert import decode_model
from kfstate.wire.parse import UNREADABLE, Json, excerpt, to_bytes
from kfstate.wire.replies import SyncMsgPage
from kfstate.wire.scan import scan_list, scan_object

__all__ = ["RawPage", "decode_page", "split_page"]

_split_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_split_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_plain = msgspec.json.Decoder(str | int | float | bool | None).decode
_HEAD = ("errmsg", "next_cursor", "has_more")


@attrs.frozen(kw_only=True)
class RawPage:
    """Page of ``sync_msg`` whose entries are not read yet.

    ``elements`` are the exact bytes of each element of ``msg_list``, in its order; ``next_cursor`` is '' where none
    came, or none that can be read (``unread_cursor`` then). ``errcode`` is always 0: a page with another is an error.
    """

    errcode: int = 0
    errmsg: str = ""
    next_cursor: str = ""
    unread_cursor: bool = False
    has_more: bool = False
    elements: tuple[bytes, ...] = ()


def split_page(data: Json) -> RawPage:
    """Return the page *data* with the exact bytes of each element; one that cannot be read stops none of the others.

    A ``msg_list`` that is missing or null is an empty one, and so is a missing ``errcode`` 0.

    Raises:
        WireError: *data* is no JSON (truncated, for instance) or no object, its ``errcode`` is not 0, or its
            ``msg_list`` is no list.
    """
    members = _members(data)
    errcode = _value(members.get("errcode", b"0"))
    head = decode_model({name: _value(members[name]) for name in _HEAD if name in members}, SyncMsgPage)
    if type(errcode) is not int or errcode != 0:
        raise WireError(
            "$.errcode", excerpt(members["errcode"]), f"WeCom refused the call ({head.errmsg or 'no errmsg'})"
        )
    return RawPage(
        errmsg=head.errmsg or "",
        next_cursor=head.next_cursor or "",
        unread_cursor=head.next_cursor is None and members.get("next_cursor", b"null") != b"null",
        has_more=head.has_more or False,
        elements=_elements(members.get("msg_list", b"null")),
    )


def decode_page(data: Json) -> SyncMsgPage:
    """Return the page *data* with its entries read, for those who do not need their bytes.

    An element that is no object is not in ``msg_list``; ``extra`` then keeps the list as it came.

    Raises:
        WireError: as :func:`split_page`; or an element cannot be read.
    """
    split_page(data)
    return decode_model(data, SyncMsgPage)


def _members(data: Json) -> dict[str, bytes]:
    raw = to_bytes(data, "$")
    try:
        return {name: bytes(value) for name, value in _split_object(raw).items()}
    except UNREADABLE as error:
        # one bad value inside one entry is no reason to refuse the page: the slow way finds where entries end
        members = scan_object(raw)
        if members is None:
            no_object = isinstance(error, msgspec.ValidationError)
            reason = "not a JSON object" if no_object else f"not JSON ({error})"
            raise WireError("$", excerpt(raw), reason) from error
    return members


def _elements(raw: bytes) -> tuple[bytes, ...]:
    if raw == b"null":
        return ()
    try:
        return tuple(map(bytes, _split_list(raw)))
    except UNREADABLE as error:
        elements = scan_list(raw)
        if elements is None:
            raise WireError("$.msg_list", excerpt(raw), "not a list") from error
    return elements


def _value(raw: bytes) -> object:
    """Return what a member of the head says; None where it says nothing that can be read."""
    try:
        return _plain(raw)
    except UNREADABLE:
        return None
