"""What WeCom posts to a callback's URL: checked, decrypted, read. Pure, but for the clock; no framework.

A callback carries no message. It says that an account has something to pull, and gives a token for that pull.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self
from xml.etree.ElementTree import ParseError

import attrs
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from kfstate.clock import SECOND, Clock, SystemClock
from kfstate.errors import ArgumentError, CallbackError
from kfstate.wecom.crypto import AesKey, decrypt, verify
from kfstate.wecom.secret import Secret

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from kfstate.wecom.settings import Settings

__all__ = ["AUTH_CHANGE", "MSG_OR_EVENT", "Callback", "Notice"]

MSG_OR_EVENT = "kf_msg_or_event"
"""Messages or events of an account wait to be pulled."""
AUTH_CHANGE = "kf_account_auth_change"
"""Accounts were given to the app, or taken from it."""

_MAX_AGE = 300 * SECOND
_SECONDS = re.compile(r"[0-9]{1,11}")
_ID = re.compile(r"[!-~]{1,128}")


@attrs.frozen(kw_only=True)
class Notice:
    """One callback. ``open_kfid`` and ``token`` are '' where WeCom left them out, as it did in 2021.

    ``stale``: it was signed more than ``max_age`` ago, or in the future; it is genuine, but late, or sent again by
    somebody who saw it. ``authorized`` and ``revoked`` are the accounts of a ``kf_account_auth_change``.
    """

    event: str
    open_kfid: str = ""
    token: str = attrs.field(default="", repr=False)
    corp_id: str = ""
    created_at: int | None = None
    authorized: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    stale: bool = False
    msg_signature: str = attrs.field(default="", repr=False)

    @property
    def concerns_kf(self) -> bool:
        """Whether it is about customer service. The same URL may be told other things, too."""
        return self.event in {MSG_OR_EVENT, AUTH_CHANGE}


def _key(given: AesKey | Secret | str) -> AesKey:
    return given if isinstance(given, AesKey) else AesKey(given)


def _not_empty(_self: object, attribute: "attrs.Attribute[Any]", value: str | Secret) -> None:
    if not value:
        raise ArgumentError(attribute.name, "''", "what the console of WeCom shows")


@attrs.frozen(kw_only=True)
class Callback:
    """The receiving end: token and EncodingAESKey as set in the console, and who it is for.

    ``receive_id`` is the corp id, or the suite id of a third-party app. ``max_age`` is in microseconds.
    """

    token: Secret = attrs.field(converter=Secret, validator=_not_empty)
    aes_key: AesKey = attrs.field(converter=_key)
    receive_id: str = attrs.field(validator=_not_empty)
    clock: Clock = attrs.field(factory=SystemClock, repr=False)
    max_age: int = _MAX_AGE

    @classmethod
    def of(cls, settings: "Settings", *, clock: Clock | None = None) -> Self:
        """Return the callback that the settings describe; raise an error where they do not say enough."""
        settings.need("corp_id", "callback.token", "callback.aes_key")
        return cls(
            token=settings.callback.token,
            aes_key=settings.callback.aes_key,
            receive_id=settings.callback.receive_id or settings.corp_id,
            clock=clock or SystemClock(),
        )

    def echo(self, query: Mapping[str, str]) -> bytes:
        """Return what a GET check wants to have back, byte for byte; raise an error where it was not WeCom that asked.

        ``query`` is decoded. A blank in ``echostr`` was a plus that a proxy has decoded once too often.
        """
        return self._open(query, _of(query, "echostr").replace(" ", "+"))

    def notice(self, query: Mapping[str, str], body: bytes) -> Notice:
        """Return what a POST says; raise an error where it was not WeCom that sent it."""
        _of(query, "msg_signature")
        envelope = _xml(body)
        if envelope is None:
            raise CallbackError("body", "the body is no XML, or has a DTD or entities", 400)
        sealed = _texts(envelope, "Encrypt")
        if len(sealed) != 1:
            raise CallbackError("body", "the body has no Encrypt, or more than one", 400)
        message = _xml(self._open(query, sealed[0]))
        if message is None:
            raise CallbackError("message", "the decrypted message is no XML, or has a DTD or entities", 403)
        return Notice(
            event=_first(message, "Event"),
            open_kfid=_id(_first(message, "OpenKfId")),
            token=_first(message, "Token"),
            corp_id=_id(_first(message, "ToUserName")),
            created_at=_micros(_first(message, "CreateTime")),
            authorized=tuple(filter(None, map(_id, _texts(message, "AuthAddOpenKfId")))),
            revoked=tuple(filter(None, map(_id, _texts(message, "AuthDelOpenKfId")))),
            stale=self._stale(_micros(query["timestamp"])),
            msg_signature=query["msg_signature"],
        )

    def _open(self, query: Mapping[str, str], ciphertext: str) -> bytes:
        given, timestamp, nonce = (_of(query, name) for name in ("msg_signature", "timestamp", "nonce"))
        verify(given, token=self.token, timestamp=timestamp, nonce=nonce, ciphertext=ciphertext)
        return decrypt(ciphertext, key=self.aes_key, receive_id=self.receive_id)

    def _stale(self, signed_at: int | None) -> bool:
        return signed_at is None or abs(self.clock.now() - signed_at) > self.max_age


def _of(query: Mapping[str, str], name: str) -> str:
    if not query.get(name):
        raise CallbackError("query", f"the query has no {name}", 400)
    return query[name]


def _xml(text: bytes) -> "Element | None":
    """Return the root of an XML document; None where it is none, or has what WeCom never sends.

    It is read as UTF-8 whatever encoding it declares: a stranger is not to choose which codec runs.
    """
    parser = DefusedXMLParser(encoding="utf-8", forbid_dtd=True)
    try:
        parser.feed(text)
        root: Element = parser.close()
    except (ParseError, DefusedXmlException):
        return None
    return root


def _texts(root: "Element", name: str) -> list[str]:
    return [(child.text or "").strip() for child in root if child.tag == name]


def _first(root: "Element", name: str) -> str:
    return next(iter(_texts(root, name)), "")


def _id(text: str) -> str:
    return text if _ID.fullmatch(text) else ""


def _micros(seconds: str) -> int | None:
    return int(seconds) * SECOND if _SECONDS.fullmatch(seconds) else None
