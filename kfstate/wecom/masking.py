"""Taking what is secret out of text that people will see."""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from kfstate.wecom.secret import MASK, Secret

__all__ = ["LONGEST", "excerpt", "masked"]

LONGEST = 200
"""How many characters of somebody else's text an error shows."""
_CREDENTIAL = re.compile(
    r"""((?:access_?token|corp_?secret|secret)["']?\s*(?:=|:|%3D)\s*["']?)[^&\s"'<>,;}\\]+""", re.IGNORECASE
)


def masked(text: str, secrets: Iterable[Secret] = ()) -> str:
    """Return text without these secrets, in whatever way they are written, and without what looks like credentials."""
    for secret in secrets:
        for form in {secret.reveal(), quote(secret.reveal(), safe=""), quote_plus(secret.reveal()), _in_json(secret)}:
            if form:
                text = text.replace(form, MASK)
    return _CREDENTIAL.sub(rf"\g<1>{MASK}", text)


def excerpt(data: bytes | str, secrets: Iterable[Secret] = ()) -> str:
    """Return the beginning of what somebody else sent, on one line, without what is secret."""
    # Masked before it is cut: half a secret is one, too. Decoded in part: bodies may be large.
    text = data[:16_384].decode("utf-8", "replace") if isinstance(data, bytes) else data[:16_384]
    line = " ".join(masked(text, secrets).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def _in_json(secret: Secret) -> str:
    return json.dumps(secret.reveal())[1:-1]
