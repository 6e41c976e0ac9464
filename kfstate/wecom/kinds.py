"""What a setting may be, and how it is read: from TOML with its type, from the environment as text.

A reader returns the value, or raises ``ValueError``; what may stand there is said by ``allowed``.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import attrs
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError as UrlError

from kfstate.wecom.secret import MASK, Secret, revealed

__all__ = ["AES_KEY", "DATABASE", "HOST", "ID", "IDS", "PATH", "SECRET", "URL", "Kind", "count", "seconds"]

_ID = re.compile(r"[!-~]{1,128}")
_AES_KEY = re.compile(r"[A-Za-z0-9+/]{43}")
_PASSWORD = re.compile(r"pass|pwd|secret|token", re.IGNORECASE)


@attrs.frozen
class Kind:
    """How a setting is read, what it may be, and whether it is a secret."""

    read: Callable[[Any], Any]
    allowed: str
    secret: bool = False

    def shown(self, value: object) -> str:
        """Return a value as an error may show it."""
        if self.secret:
            return str(value) if isinstance(value, Secret) else MASK
        text = repr(value)
        return text if len(text) <= 200 else f"{text[:200]}…"


def _id(value: Any) -> str:
    return _matching(_ID, _text(value).strip(), empty=True)


def _ids(value: Any) -> tuple[str, ...]:
    parts = [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ValueError  # noqa: TRY004 (one error for whatever is wrong)
    found = tuple(_id(part) for part in parts)
    if "" in found or len(set(found)) < len(found):
        raise ValueError
    return found


def _secret(value: Any) -> Secret:
    secret = Secret(value) if isinstance(value, str | Secret) else None
    if secret is None or not (secret.reveal().isprintable() and secret.reveal().isascii()):
        raise ValueError
    return secret


def _aes_key(value: Any) -> Secret:
    secret = _secret(value)
    _matching(_AES_KEY, secret.reveal(), empty=True)
    return secret


def _database(value: Any) -> Secret:
    text = revealed(value) if isinstance(value, str | Secret) else ""
    if "://" not in text:
        if not text.strip() or not text.isprintable():
            raise ValueError
        return Secret(f"sqlite:///{text}", shown=f"sqlite:///{text}")
    try:
        url = make_url(text)
        if [name for name in url.query if _PASSWORD.search(name)]:
            url = url.set(query={name: MASK if _PASSWORD.search(name) else url.query[name] for name in url.query})
        return Secret(text, shown=url.render_as_string(hide_password=True))
    except (UrlError, ValueError, TypeError):
        raise ValueError from None


def _url(value: Any) -> str:
    text = _text(value).strip().rstrip("/")
    parts = urlsplit(text)
    plain = parts.scheme in {"http", "https"} and parts.hostname and not (parts.query or parts.fragment)
    if not plain or parts.username is not None or not text.isprintable() or " " in text:
        raise ValueError
    _ = parts.port  # ValueError where it is none
    return text


def _host(value: Any) -> str:
    return _matching(re.compile(r"[A-Za-z0-9.:_-]{1,253}"), _text(value).strip())


def _path(value: Any) -> str:
    return _matching(re.compile(r"/[A-Za-z0-9._~/-]{0,200}"), _text(value).strip())


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 (one error for whatever is wrong)
    return value


def _matching(pattern: re.Pattern[str], text: str, *, empty: bool = False) -> str:
    if pattern.fullmatch(text) is None and not (empty and not text):
        raise ValueError
    return text


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError  # noqa: TRY004 (one error for whatever is wrong)
    try:
        return float(value)  # not a number, and infinite ones, are in no range
    except OverflowError:
        raise ValueError from None


def seconds(low: float, high: float) -> Kind:
    """Return the kind of a span of time in seconds."""

    def read(value: Any) -> float:
        number = _number(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return Kind(read, f"a number of seconds from {low:g} to {high:g}")


def count(low: int, high: int) -> Kind:
    """Return the kind of a whole number."""

    def read(value: Any) -> int:
        number = _number(value)
        if not low <= number <= high or not number.is_integer():
            raise ValueError
        return int(number)

    return Kind(read, f"a whole number from {low} to {high}")


ID = Kind(_id, "1 to 128 printable ASCII characters without blanks")
IDS = Kind(_ids, "a list of different open_kfid (in the environment: with commas between)")
SECRET = Kind(_secret, "printable ASCII text", secret=True)
AES_KEY = Kind(_aes_key, "43 characters of A-Z a-z 0-9 + /, as the console shows it", secret=True)
DATABASE = Kind(
    _database, "a database URL such as postgresql://user@host/name, or the path of a SQLite file", secret=True
)
URL = Kind(_url, "an http(s) URL without user, query and fragment")
HOST = Kind(_host, "a host name or an IP address")
PATH = Kind(_path, "a path such as /wecom/callback")
