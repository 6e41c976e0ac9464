"""What an errcode means, and whether the call may be made again."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, cast

import attrs

from kfstate.wecom.errcode_table import ROWS

__all__ = ["ERRCODES", "RETRIES", "Errcode", "Retry", "errcode"]

Retry = Literal["busy", "token", "limit", "later", "customer", "state", "servicer", "without_token", "never"]
"""What has to happen before the call can succeed; see :data:`RETRIES`."""


@attrs.frozen
class Errcode:
    """One errcode of WeCom; ``known`` is false where nobody has told us what it means."""

    code: int
    name: str
    retry: Retry
    meaning: str
    remedy: str
    meaning_zh: str
    remedy_zh: str
    known: bool = True


RETRIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "busy": "nothing was done: the client repeats the call, at most 3 times",
        "token": "the client repeats the call with a fresh access token, once",
        "limit": "the client makes this call no more until the limit has passed",
        "later": "after a while",
        "customer": "after the customer's next message",
        "state": "after the session's state was read, or has changed",
        "servicer": "with another servicer",
        "without_token": "without the token of the callback",
        "never": "not before the request or the configuration has changed",
    }
)
"""Each :data:`Retry`, in words."""

ERRCODES: Final[Mapping[int, Errcode]] = MappingProxyType(
    {
        code: Errcode(code, name, cast("Retry", retry), meaning, remedy, meaning_zh, remedy_zh)
        for code, name, retry, meaning, remedy, meaning_zh, remedy_zh in ROWS
    }
)
"""Every errcode that is known."""


def errcode(code: int) -> Errcode:
    """Return what a code means; an unknown one is not to be tried again."""
    return ERRCODES.get(code) or Errcode(
        code,
        "unknown",
        "never",
        "kfstate does not know this errcode",
        "see page 90313 of WeCom's documentation, and the errmsg",
        "kfstate 未收录该错误码",
        "参考企业微信文档 90313 页的全局错误码与 errmsg",
        known=False,
    )
