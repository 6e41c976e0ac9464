"""The canonical form of an entry, its leaf and the chain, form 1.

``docs/reference/chain.md`` says the same to the byte for people who write a verifier of their own.

.. code-block:: text

    canonical  = field*                        in ascending order of tag, each tag at most once; NULL: no field
    field      = tag (1 byte) ‖ length of value (2 bytes, big-endian) ‖ value
    integer    = 8 bytes, big-endian, two's complement
    text       = UTF-8
    leaf       = SHA-256(0x00 ‖ form (1 byte) ‖ canonical)
    chain[0]   = SHA-256(0x02 ‖ log_id (16 bytes) ‖ created_at (8 bytes, big-endian))
    chain[n]   = SHA-256(0x01 ‖ chain[n-1] ‖ leaf[n])
    commitment = SHA-256(salt (16 bytes) ‖ payload as it came, or UTF-8 of an id)

A form is never changed: what is to be hashed otherwise gets a new number, and old rows keep theirs.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

__all__ = [
    "DIGEST_BYTES",
    "FORM",
    "INTEGERS",
    "LOG_ID_BYTES",
    "SALT_BYTES",
    "TAGS",
    "canonical",
    "chain",
    "commit",
    "first_link",
    "leaf",
    "proves",
    "stream_prefix",
]

FORM = 1
"""The form that new entries get."""

SALT_BYTES = 16
LOG_ID_BYTES = 16
DIGEST_BYTES = 32
"""Of a leaf, a link, a commitment."""

TAGS = {
    "corp_id": 1,
    "stream_kind": 2,
    "open_kfid": 3,
    "customer": 4,
    "servicer": 5,
    "position": 6,
    "version": 7,
    "recorded_at": 8,
    "sort_second": 9,
    "tie": 10,
    "again": 11,
    "kind_version": 12,
    "commitment": 13,
    "kind": 14,
    "ref": 15,
    "code": 16,
    "actor": 17,
    "occurred_at": 18,
    "origin": 19,
    "pull": 20,
    "ordinal": 21,
    "msgtype": 22,
    "change_type": 23,
    "service_state": 24,
    "servicer_from": 25,
    "servicer_to": 26,
    "errcode": 27,
    "menu_click": 28,
    "via": 29,
    "counts": 30,
    "target": 31,
    "as_kind": 32,
    "fail_type": 33,
    "reject_switch": 34,
    "receiving": 35,
    "stop_type": 36,
    "code_kind": 37,
    "manage_privilege": 38,
    "from_at": 39,
    "cause": 40,
}
"""Number of every field. The first five name the stream; ``customer`` and ``servicer*`` are commitments of 32 bytes."""

INTEGERS = frozenset(
    TAGS.keys()
    - {"corp_id", "stream_kind", "open_kfid", "customer", "servicer", "servicer_from", "servicer_to", "commitment"}
    - {"kind", "ref", "code", "actor", "msgtype", "via", "as_kind", "code_kind"}
)
"""The fields that hold an integer; commitments are bytes, the rest is text."""

_sha256 = hashlib.sha256
_integer = Struct(">BHq").pack
_header = Struct(">BH").pack
_CUSTOMER, _SERVICER, _FROM, _TO = (_header(tag, DIGEST_BYTES) for tag in (4, 5, 25, 26))
# Tags 6 to 13, which every entry has: seven integers and the commitment of the payload.
_always = Struct(">" + "BHq" * 7 + "BH32s").pack
_HASHED = b"\x00" + bytes((FORM,))


def commit(salt: bytes, value: bytes) -> bytes:
    """Return the commitment to a payload or an id: it proves the value, and nothing about it once the salt is gone."""
    return _sha256(salt + value).digest()


def proves(salt: Any, value: Any, commitment: bytes) -> bool:
    """Tell whether these are what was committed to; whatever a column held, or a file.

    Nothing in the hash says where the salt ends: one that is longer has taken the beginning of the value.
    """
    try:
        return len(salt) == SALT_BYTES and _sha256(salt + value).digest() == commitment
    except TypeError:
        return False


def first_link(log_id: bytes, created_at: int) -> bytes:
    """Return ``chain[0]``, what stands before the first entry."""
    return _sha256(b"\x02" + log_id + created_at.to_bytes(8, "big")).digest()


def leaf(encoded: bytes) -> bytes:
    """Return the leaf of an entry from its :func:`canonical` form."""
    return _sha256(_HASHED + encoded).digest()


def chain(before: bytes, leaf_: bytes) -> bytes:
    """Return the link after ``before``."""
    return _sha256(b"\x01" + before + leaf_).digest()


def stream_prefix(corp_id: str, kind: str, open_kfid: str, customer: bytes | None, servicer: bytes | None) -> bytes:
    """Return fields 1 to 5, which all entries of a stream share. ``customer`` and ``servicer`` are commitments.

    Raises ValueError where one of them has not 32 bytes.
    """
    prefix = _place(corp_id, kind, open_kfid)
    if customer is not None:
        prefix += _CUSTOMER + _whole(customer)
    if servicer is not None:
        prefix += _SERVICER + _whole(servicer)
    return prefix


def _whole(commitment: bytes) -> bytes:
    """Return a commitment; one that is longer could hold the fields after it, too, under the header of 32 bytes."""
    if len(commitment) != DIGEST_BYTES:
        raise ValueError(f"a commitment has {DIGEST_BYTES} bytes, not {len(commitment)}")
    return commitment


@lru_cache(maxsize=1024)
def _place(corp_id: str, kind: str, open_kfid: str) -> bytes:
    return _text(1, corp_id) + _text(2, kind) + _text(3, open_kfid)


@lru_cache(maxsize=1024)
def _text(tag: int, value: str) -> bytes:
    data = value.encode()
    return _header(tag, len(data)) + data


@lru_cache(maxsize=256)
def _plain_words(kind: str) -> bytes:
    """Fields 14 to 17 of an entry without ref, code and actor: nearly every message."""
    return _text(14, kind) + _header(15, 0) + _header(16, 0) + _header(17, 0)


def canonical(  # noqa: C901, PLR0912, PLR0915 (one straight line of fields: this runs for every entry of every replay)
    prefix: bytes, row: Sequence[Any], servicer_from: bytes | None, servicer_to: bytes | None
) -> bytes:
    """Return the canonical form of an entry.

    ``prefix`` comes from :func:`stream_prefix`; ``row`` holds the columns of ``kf_entry`` in their order up to
    ``commitment`` at least; ``servicer_from`` and ``servicer_to`` are the commitments of those names.

    Raises ValueError where a commitment has not 32 bytes.
    """
    # fmt: off
    (
        position, _, kind, sort_second, tie, change_type, service_state, _, _, errcode, menu_click, via, counts, again,
        target, as_kind, version, _, kind_version, occurred_at, recorded_at, origin, msgtype, ref, fail_type,
        reject_switch, receiving, stop_type, code, code_kind, manage_privilege, from_at, actor, cause, pull, ordinal,
        commitment,
    ) = row[:37]
    # fmt: on
    if len(commitment) != DIGEST_BYTES:
        _whole(commitment)
    words = _words(kind, ref, code, actor) if ref or code or actor else _plain_words(kind)
    # fmt: off
    always = _always(
        6, 8, position, 7, 8, version, 8, 8, recorded_at, 9, 8, sort_second, 10, 8, tie, 11, 8, again,
        12, 8, kind_version, 13, 32, commitment,
    )
    # fmt: on
    encoded = prefix + always + words
    if occurred_at is not None:
        encoded += _integer(18, 8, occurred_at)
    if origin is not None:
        encoded += _integer(19, 8, origin)
    if pull is not None:
        encoded += _integer(20, 8, pull)
    if ordinal is not None:
        encoded += _integer(21, 8, ordinal)
    if msgtype is not None:
        encoded += _text(22, msgtype)
    if change_type is not None:
        encoded += _integer(23, 8, change_type)
    if service_state is not None:
        encoded += _integer(24, 8, service_state)
    if servicer_from is not None:
        encoded += _FROM + _whole(servicer_from)
    if servicer_to is not None:
        encoded += _TO + _whole(servicer_to)
    if errcode is not None:
        encoded += _integer(27, 8, errcode)
    if menu_click is not None:
        encoded += _integer(28, 8, menu_click)
    if via is not None:
        encoded += _text(29, via)
    if counts is not None:
        encoded += _integer(30, 8, counts)
    if target is not None:
        encoded += _integer(31, 8, target)
    if as_kind is not None:
        encoded += _text(32, as_kind)
    if fail_type is not None:
        encoded += _integer(33, 8, fail_type)
    if reject_switch is not None:
        encoded += _integer(34, 8, reject_switch)
    if receiving is not None:
        encoded += _integer(35, 8, receiving)
    if stop_type is not None:
        encoded += _integer(36, 8, stop_type)
    if code_kind is not None:
        encoded += _text(37, code_kind)
    if manage_privilege is not None:
        encoded += _integer(38, 8, manage_privilege)
    if from_at is not None:
        encoded += _integer(39, 8, from_at)
    if cause is not None:
        encoded += _integer(40, 8, cause)
    return encoded


def _words(kind: str, ref: str, code: str, actor: str) -> bytes:
    words = _text(14, kind)
    for tag, value in ((15, ref), (16, code), (17, actor)):
        data = value.encode()
        words += _header(tag, len(data)) + data
    return words
