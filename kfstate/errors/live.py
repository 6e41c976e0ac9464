"""Errors of the live side."""

import attrs

from kfstate.errors.general import KfstateError

__all__ = [
    "CallbackError",
    "SettingsError",
]


@attrs.define(slots=False, str=False, eq=False)
class CallbackError(KfstateError):
    """What came in is no callback of WeCom for us.

    ``reason`` is one word for programs and logs (``signature``, ``decryption``, ``size`` …), ``detail`` a sentence for
    people, ``status`` the HTTP status to answer with. The answer says no more than that status: what exactly was wrong
    with a signature or a ciphertext is not told outside.
    """

    reason: str
    detail: str
    status: int

    def __str__(self) -> str:
        """Return the detail and the reason."""
        return f"{self.detail} ({self.reason})"


@attrs.define(slots=False, str=False, eq=False)
class SettingsError(KfstateError):
    """A setting is missing, unknown or wrong.

    ``source`` is the file, or the environment variable, that it came from; ``key`` its dotted name; ``value`` what
    stood there (masked where it is a secret, '' where nothing did); ``allowed`` what may stand there.
    """

    source: str
    key: str
    value: str
    allowed: str

    def __str__(self) -> str:
        """Return source, key, value and what is allowed as one sentence."""
        found = f" is {self.value}" if self.value else ""
        return f"{self.source}: {self.key}{found}; it has to be {self.allowed}"
