"""The encryption of callbacks: against fixed vectors, against wechatpy, and against whoever changes a bit."""

import base64
import hashlib
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.work.crypto import WeChatCrypto  # type: ignore[import-untyped]

from kfstate import ArgumentError, CallbackError
from kfstate.wecom.crypto import AesKey, Sealed, decrypt, encrypt, signature, verify
from kfstate.wecom.secret import Secret
from tests.wecom.calling import CORP, KEY, TOKEN, sealed, told

__all__ = ["seal_padded"]

MESSAGE = "<xml>客户来了</xml>".encode()
FIXED: dict[str, Any] = {"timestamp": "1760000000", "nonce": "20251009", "random": b"0123456789abcdef"}
CIPHERTEXT = "C0Gf5FXaFpGCc1YSLokEWhOsa1o/mNAyV9/NqAfKVBtkGFUBzqoG3IIYBnfMNAnd70KSG8179u9yu48HtfOXXg=="
SIGNATURE = "497e3b4382291b4ae85b4b4d4f1915d4a8955a52"


def seal_padded(key: AesKey, tail: bytes) -> str:
    """Return the ciphertext of a message whose last bytes are ``tail``, padding or not."""
    receiver = b"ww1"
    filling = -(20 + len(receiver) + len(tail)) % 32
    whole = bytes(16) + filling.to_bytes(4) + b"x" * filling + receiver + tail
    encryptor = key.cipher().encryptor()
    return base64.b64encode(encryptor.update(whole) + encryptor.finalize()).decode()


def theirs(body: bytes) -> dict[str, str]:
    """Return the elements of a body of wechatpy."""
    return {child.tag: child.text or "" for child in ET.fromstring(body)}  # noqa: S314 (made here)


def test_a_fixed_message_stays_what_it_is() -> None:
    """Key, message and random bytes give this ciphertext and this signature, on every machine."""
    ours = encrypt(MESSAGE, key=AesKey(KEY), receive_id=CORP, token=TOKEN, **FIXED)
    assert (CIPHERTEXT, SIGNATURE) == (ours.encrypt, ours.msg_signature)
    assert decrypt(CIPHERTEXT, key=AesKey(KEY), receive_id=CORP) == MESSAGE


def test_the_last_bits_of_a_key_say_nothing() -> None:
    """The 43rd character has two bits too many: four keys are one, and all are taken."""
    twins = [AesKey(KEY[:-1] + last) for last in "ABCD"]
    assert MESSAGE == decrypt(sealed(MESSAGE, key=twins[0]).encrypt, key=twins[3], receive_id=CORP)


@given(
    st.text(min_size=1), st.from_regex(r"[A-Za-z0-9+/]{43}", fullmatch=True), st.from_regex(r"\w{1,32}", fullmatch=True)
)
def test_wechatpy_reads_what_we_write(text: str, key: str, token: str) -> None:
    """What we encrypt, wechatpy opens."""
    ours = sealed(text.encode("utf-8", "replace"), key=AesKey(key), token=token)
    oracle = WeChatCrypto(token, key, CORP)
    found = oracle.decrypt_message({"Encrypt": ours.encrypt}, ours.msg_signature, ours.timestamp, ours.nonce)
    assert text.encode("utf-8", "replace").decode() == (found if isinstance(found, str) else found.decode())


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1), st.from_regex(r"\d{1,10}", fullmatch=True)
)
def test_we_read_what_wechatpy_writes(text: str, nonce: str) -> None:
    """What wechatpy encrypts, we open."""
    body = theirs(WeChatCrypto(TOKEN, KEY, CORP).encrypt_message(text, nonce, "1760000000").encode())
    parts = {"timestamp": body["TimeStamp"], "nonce": body["Nonce"], "ciphertext": body["Encrypt"]}
    verify(body["MsgSignature"], token=TOKEN, **parts)
    assert text.encode() == decrypt(body["Encrypt"], key=AesKey(KEY), receive_id=CORP)


@given(st.binary(max_size=300))
def test_every_length_comes_back(plain: bytes) -> None:
    """Whatever its length, a message comes back, in whole blocks of 32 bytes."""
    ours = sealed(plain)
    assert plain == decrypt(ours.encrypt, key=AesKey(KEY), receive_id=CORP)
    assert 0 == len(base64.b64decode(ours.encrypt)) % 32


@pytest.mark.parametrize("length", range(1, 33))
def test_padding_is_pkcs7_of_32(length: int) -> None:
    """1 to 32 bytes of padding are taken; a wrong byte anywhere in them is not."""
    key = AesKey(KEY)
    assert decrypt(seal_padded(key, bytes([length]) * length), key=key, receive_id="ww1") is not None
    for place in range(length - 1):
        tail = bytearray([length]) * length
        tail[place] ^= 1
        with pytest.raises(CallbackError, match="cannot be decrypted"):
            decrypt(seal_padded(key, bytes(tail)), key=key, receive_id="ww1")


@pytest.mark.parametrize("tail", [b"\x00" * 32, b"\x21" * 33, b"\xff" * 7 + b"\x08", b"\x40" * 64])
def test_other_padding_is_refused(tail: bytes) -> None:
    """0, more than a block, and a last byte that the others deny."""
    with pytest.raises(CallbackError, match="cannot be decrypted"):
        decrypt(seal_padded(AesKey(KEY), tail), key=AesKey(KEY), receive_id="ww1")


def test_a_length_beyond_the_end_is_refused() -> None:
    """The length inside cannot reach past what was encrypted."""
    for whole in (bytes(16) + b"\xff\xff\xff\xff" + b"x" * 11, bytes(19), b""):
        pad = 32 - len(whole) % 32
        encryptor = AesKey(KEY).cipher().encryptor()
        ciphertext = encryptor.update(whole + bytes([pad]) * pad) + encryptor.finalize()
        with pytest.raises(CallbackError, match="cannot be decrypted"):
            decrypt(base64.b64encode(ciphertext).decode(), key=AesKey(KEY), receive_id=CORP)


@pytest.mark.parametrize(
    "text", ["", "AAAA", "=", "客户", "A" * 43, "A" * 45, " " * 64, "-_" * 32, "A" * 63 + "\n", "\ud800"]
)
def test_what_is_no_ciphertext_is_refused(text: str) -> None:
    """Not base64, other alphabets, no whole block: one error for all."""
    with pytest.raises(CallbackError, match="cannot be decrypted") as refused:
        decrypt(text, key=AesKey(KEY), receive_id=CORP)
    assert 403 == refused.value.status


@pytest.mark.parametrize("more", ["\n", " ", "!", "-", "=", "====", "\x00"])
def test_base64_is_taken_by_its_letter(more: str) -> None:
    """A ciphertext with anything between or behind is another one, though lenient decoders would skip it."""
    good = sealed(MESSAGE).encrypt
    for changed in (good + more, good[:8] + more + good[8:], more + good):
        with pytest.raises(CallbackError, match="cannot be decrypted"):
            decrypt(changed, key=AesKey(KEY), receive_id=CORP)


def test_other_keys_and_receivers_are_refused() -> None:
    """A message with another key cannot be opened, one for another corporation is not ours."""
    with pytest.raises(CallbackError, match="cannot be decrypted"):
        decrypt(sealed(MESSAGE).encrypt, key=AesKey(KEY[::-1]), receive_id=CORP)
    for other in (CORP + "x", CORP[:-1], "", CORP.upper(), "客"):
        with pytest.raises(CallbackError, match="another receiver"):
            decrypt(sealed(MESSAGE).encrypt, key=AesKey(KEY), receive_id=other)


@given(st.sampled_from(["msg_signature", "timestamp", "nonce", "encrypt"]), st.text(max_size=50))
def test_a_changed_part_is_not_signed(part: str, text: str) -> None:
    """Change the signature, or anything it signs, and it does not verify; odd characters included."""
    ours = sealed(MESSAGE)
    parts = {"msg_signature": ours.msg_signature, "timestamp": ours.timestamp, "nonce": ours.nonce}
    parts |= {"ciphertext": ours.encrypt} | {"ciphertext" if part == "encrypt" else part: text}
    signed = "".join(sorted((TOKEN, parts["timestamp"], parts["nonce"], parts["ciphertext"])))
    expected = hashlib.sha1(signed.encode("utf-8", "surrogatepass")).hexdigest()  # noqa: S324 (WeCom's)
    if parts["msg_signature"] == expected:
        verify(token=TOKEN, **parts)
    else:
        with pytest.raises(CallbackError, match="signature"):
            verify(token=TOKEN, **parts)


@pytest.mark.parametrize("key", ["", KEY[:-1], KEY + "A", KEY[:-1] + "=", KEY[:-1] + "$", KEY[:-1] + "\n", "４" * 43])
def test_what_is_no_key_is_refused_unseen(key: str) -> None:
    """42 or 44 characters, or others than base64 has; the error does not show it, nor does its traceback."""
    secret = Secret(key)
    with pytest.raises(ArgumentError, match="43 characters") as refused:
        AesKey(secret)
    assert not key or key not in told(refused.value)


def test_keys_are_shown_by_nothing() -> None:
    """Neither the key nor its bytes are in its repr."""
    key = AesKey(KEY)
    assert "AesKey(encoded=Secret(***))" == repr(key)
    assert AesKey(Secret(KEY)) == key


def test_sixteen_random_bytes() -> None:
    """They are fresh each time; given ones are sixteen."""
    assert sealed(MESSAGE).encrypt != sealed(MESSAGE).encrypt
    with pytest.raises(ArgumentError, match="16 bytes"):
        sealed(MESSAGE, random=b"short")


def test_body_is_well_formed_whatever_is_in_it() -> None:
    """An id cannot end the CDATA that it is in."""
    body = Sealed("abc", "", "", "").body(to_user_name="a]]>b", agent_id="]]>")
    assert {"ToUserName": "a]]>b", "Encrypt": "abc", "AgentID": "]]>"} == theirs(body)


def test_signature_takes_secrets() -> None:
    """A token may be handed in masked."""
    assert signature(TOKEN, "1", "2", "3") == signature(Secret(TOKEN), "1", "2", "3")
