"""Text that is shown nowhere: corporation secrets, callback tokens, keys."""

import hmac
from collections.abc import Callable
from typing import NoReturn, Self, final

__all__ = ["MASK", "Secret", "revealed"]

MASK = "***"
"""What is shown in place of a secret."""


@final
class Secret:
    """Text that only :meth:`reveal` gives.

    Whatever prints it (``repr``, ``str``, ``format``, a log record, a traceback that shows variables,
    ``json.dumps(…, default=str)``) prints ``***``, or what is given as ``shown``: a URL without its password. It cannot
    be pickled.
    """

    __slots__ = ("_reveal", "_shown")

    def __init__(self, text: "str | Secret", *, shown: str = MASK) -> None:
        plain = revealed(text)
        self._reveal: Callable[[], str] = lambda: plain  # in a closure: printers that go through slots meet a function
        self._shown: str = str(text) if isinstance(text, Secret) else shown

    def reveal(self) -> str:
        """Return the text itself. Do not keep it in a variable: a traceback may show it."""
        return self._reveal()

    def __repr__(self) -> str:
        return f"Secret({self._shown})"

    def __str__(self) -> str:
        return self._shown

    def __format__(self, format_spec: str) -> str:
        return format(self._shown, format_spec)

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self.reveal()), _bytes(other.reveal()))

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled: what holds it would no longer be masked")


def revealed(text: "str | Secret") -> str:
    """Return the text, be it a secret or none."""
    return text.reveal() if isinstance(text, Secret) else text


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
