"""The encryption of callbacks (WXBizMsgCrypt): signature, padding and ciphertext. Pure.

The signature is the SHA-1 of token, timestamp, nonce and ciphertext, sorted and put together. The ciphertext is the
base64 of AES-256-CBC over 16 random bytes, the length of the message (4 bytes, big-endian), the message and the receive
id, padded to blocks of 32. The receive id is the corp id, or the suite id of a third-party app.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re

import attrs
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

from kfstate.errors import ArgumentError, CallbackError
from kfstate.wecom.secret import MASK, Secret, revealed

__all__ = ["AesKey", "Sealed", "decrypt", "encrypt", "signature", "verify"]

_BLOCK = 32
_HEAD = 16
_KEY = re.compile(r"[A-Za-z0-9+/]{43}")


def _key_is_sound(_key: object, _attribute: object, encoded: Secret) -> None:
    if _KEY.fullmatch(encoded.reveal()) is None:
        length = len(encoded.reveal())
        found = f"{length} characters" if length != 43 else "characters that base64 does not have"
        raise ArgumentError("EncodingAESKey", f"{MASK} ({found})", "43 characters of A-Z a-z 0-9 + /")


@attrs.frozen
class AesKey:
    """An ``EncodingAESKey`` as the console shows it: 43 characters of base64, shown by nothing.

    Its last character has two bits that say nothing; published keys have them set.
    """

    encoded: Secret = attrs.field(converter=Secret, validator=_key_is_sound)

    def cipher(self) -> Cipher[CBC]:
        """Return the cipher of one message; the first half of the key is the initialisation vector, always."""
        return Cipher(AES256(self._bytes()), CBC(self._bytes()[:16]))

    def _bytes(self) -> bytes:
        return base64.b64decode(self.encoded.reveal() + "=")


@attrs.frozen
class Sealed:
    """An encrypted message with its signature: what goes into the query of the URL, and into the body."""

    encrypt: str
    msg_signature: str
    timestamp: str
    nonce: str

    @property
    def query(self) -> dict[str, str]:
        """The query of a POST. A GET check carries ``encrypt`` as ``echostr`` beside it."""
        return {"msg_signature": self.msg_signature, "timestamp": self.timestamp, "nonce": self.nonce}

    def body(self, *, to_user_name: str, agent_id: str = "") -> bytes:
        """Return the body of a POST, as WeCom writes it."""
        return (
            f"<xml><ToUserName><![CDATA[{_cdata(to_user_name)}]]></ToUserName>"
            f"<Encrypt><![CDATA[{self.encrypt}]]></Encrypt>"
            f"<AgentID><![CDATA[{_cdata(agent_id)}]]></AgentID></xml>"
        ).encode()


def signature(token: str | Secret, timestamp: str, nonce: str, ciphertext: str) -> str:
    """Return the signature of a ciphertext in hex."""
    parts = (part.encode("utf-8", "surrogatepass") for part in (revealed(token), timestamp, nonce, ciphertext))
    return hashlib.sha1(b"".join(sorted(parts))).hexdigest()  # noqa: S324 (WeCom's algorithm)


def verify(msg_signature: str, *, token: str | Secret, timestamp: str, nonce: str, ciphertext: str) -> None:
    """Raise an error unless the ciphertext was signed by somebody who has the token. Takes the same time either way."""
    expected = signature(token, timestamp, nonce, ciphertext)
    if not hmac.compare_digest(expected.encode(), msg_signature.encode("utf-8", "surrogatepass")):
        raise CallbackError("signature", "the signature is not that of this token", 403)


def encrypt(
    plain: bytes,
    *,
    key: AesKey,
    receive_id: str,
    token: str | Secret,
    timestamp: str,
    nonce: str,
    random: bytes | None = None,
) -> Sealed:
    """Encrypt and sign a message as WeCom does. ``random``: the 16 bytes before it; fresh ones where none are given."""
    head = os.urandom(_HEAD) if random is None else random
    if len(head) != _HEAD:
        raise ArgumentError("random", f"{len(head)} bytes", f"{_HEAD} bytes")
    whole = head + len(plain).to_bytes(4) + plain + receive_id.encode()
    pad = _BLOCK - len(whole) % _BLOCK
    encryptor = key.cipher().encryptor()
    ciphertext = base64.b64encode(encryptor.update(whole + bytes([pad]) * pad) + encryptor.finalize()).decode()
    return Sealed(ciphertext, signature(token, timestamp, nonce, ciphertext), timestamp, nonce)


def decrypt(ciphertext: str, *, key: AesKey, receive_id: str) -> bytes:
    """Return the message; raise an error where the ciphertext was not made with this key for this receiver.

    Verify the signature first. All failures but another receiver are one: which of them it was helps only an attacker.
    """
    try:
        sealed = base64.b64decode(ciphertext.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        sealed = b""
    message, receiver = _opened(key, sealed)
    if receiver is None:
        raise CallbackError("decryption", "the message cannot be decrypted with this EncodingAESKey", 403)
    if not hmac.compare_digest(receiver, receive_id.encode("utf-8", "surrogatepass")):
        del message
        raise CallbackError("receive_id", "the message is for another receiver than this corporation or suite", 403)
    return message


def _opened(key: AesKey, sealed: bytes) -> tuple[bytes, bytes | None]:
    """Return the message and the receive id; no receive id where it cannot be opened."""
    if not sealed or len(sealed) % _BLOCK:
        return b"", None
    decryptor = key.cipher().decryptor()
    padded = decryptor.update(sealed) + decryptor.finalize()
    pad = padded[-1]
    if not 1 <= pad <= _BLOCK or not hmac.compare_digest(padded[-pad:], bytes([pad]) * pad):
        return b"", None
    whole = padded[:-pad]
    end = _HEAD + 4 + int.from_bytes(whole[_HEAD : _HEAD + 4])
    if len(whole) < _HEAD + 4 or end > len(whole):
        return b"", None
    return whole[_HEAD + 4 : end], whole[end:]


def _cdata(text: str) -> str:
    return text.replace("]]>", "]]]]><![CDATA[>")
