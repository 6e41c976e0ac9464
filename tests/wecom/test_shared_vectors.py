"""The published vectors of the callback's encryption, where they lie beside the checkout: third-party data.

They are never a part of the project: :mod:`tests.wecom.test_crypto` has vectors of its own.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from kfstate import ArgumentError, CallbackError
from kfstate.testing import FrozenClock
from kfstate.wecom import Callback
from kfstate.wecom.crypto import AesKey, decrypt, encrypt, signature, verify
from tests.wecom.test_crypto import seal_padded

__all__: list[str] = []

FILE = Path(__file__).parents[3] / "shared" / "samples" / "callback-crypto-vectors.json"
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_bytes())["vectors"] if FILE.is_file() else []
REASONS = {"padding": "decryption"}


def of_kind(kind: str) -> list[dict[str, Any]]:
    """Return the vectors of a kind."""
    if not VECTORS:
        pytest.skip(f"the published vectors are not in {FILE}; they are not shipped with the project")
    found = [vector for vector in VECTORS if vector["kind"] == kind]
    assert found
    return found


def test_every_kind_is_tested() -> None:
    """No vector is left out."""
    kinds = ("url_verify", "message", "signature", "key", "encrypt", "sha1_sorted", "padding")
    assert len(VECTORS) == sum(len(of_kind(kind)) for kind in kinds)


@pytest.mark.parametrize("kind", ["url_verify", "message"])
def test_messages_open(kind: str) -> None:
    """A GET check and a POST open, or are refused for the right reason."""
    for vector in of_kind(kind):
        keys = {"token": vector["token"], "aes_key": vector["encoding_aes_key"], "receive_id": vector["receive_id"]}
        clock = FrozenClock.at(int(vector["timestamp"]))
        receiver = Callback(**keys, clock=clock)
        query = {name: vector[name] for name in ("msg_signature", "timestamp", "nonce")}
        ciphertext = vector.get("echostr") or vector["encrypt"]
        if not vector["expect_ok"]:
            with pytest.raises(CallbackError) as refused:
                receiver.echo(query | {"echostr": ciphertext})
            assert refused.value.reason == vector["expected_error"], vector["name"]
            continue
        assert vector["expected_plaintext"].encode() == receiver.echo(query | {"echostr": ciphertext}), vector["name"]
        if "body" in vector:
            notice = receiver.notice(query, vector["body"].encode())
            assert vector["receive_id"] == notice.corp_id, vector["name"]
            assert not notice.stale


def test_the_event_reads() -> None:
    """The one vector of a kf_msg_or_event is read to the last field."""
    (vector,) = (one for one in of_kind("message") if "kf" in one["name"])
    receiver = Callback(token=vector["token"], aes_key=vector["encoding_aes_key"], receive_id=vector["receive_id"])
    query = {name: vector[name] for name in ("msg_signature", "timestamp", "nonce")}
    notice = receiver.notice(query, vector["body"].encode())
    assert notice.concerns_kf
    assert notice.stale
    assert 1_348_831_860_000_000 == notice.created_at
    for value in (notice.open_kfid, notice.token, notice.corp_id):
        assert f"<![CDATA[{value}]]>" in vector["expected_plaintext"]


def test_signatures() -> None:
    """Signatures of ciphertexts, and of whatever else is sorted and hashed."""
    for vector in of_kind("signature"):
        parts = {"token": vector["token"], "timestamp": vector["timestamp"], "nonce": vector["nonce"]}
        if vector["expect_ok"]:
            verify(vector["msg_signature"], **parts, ciphertext=vector["encrypt"])
            key = AesKey(vector["encoding_aes_key"])
            plain = decrypt(vector["encrypt"], key=key, receive_id=vector["receive_id"])
            assert vector["expected_plaintext"].encode() == plain
        else:
            with pytest.raises(CallbackError, match="signature"):
                verify(vector["msg_signature"], **parts, ciphertext=vector["encrypt"])
    for vector in of_kind("sha1_sorted"):
        assert vector["expected"] == signature("", *vector["values"])


def test_keys() -> None:
    """Keys that are none are refused, and not shown."""
    for vector in of_kind("key"):
        with pytest.raises(ArgumentError) as refused:
            AesKey(vector["encoding_aes_key"])
        assert ("base64" in str(refused.value.value)) is (vector["expected_error"] == "base64"), vector["name"]


def test_what_we_write() -> None:
    """The same random bytes give the same ciphertext."""
    for vector in of_kind("encrypt"):
        ours = encrypt(
            vector["plaintext"].encode(),
            key=AesKey(vector["encoding_aes_key"]),
            receive_id=vector["receive_id"],
            token=vector["token"],
            timestamp=vector["timestamp"],
            nonce=vector["nonce"],
            random=vector["random"].encode(),
        )
        assert (vector["expected_encrypt"], vector["expected_msg_signature"]) == (ours.encrypt, ours.msg_signature)


def test_padding() -> None:
    """Padding that is none is refused, in the same words as everything else that cannot be decrypted."""
    for vector in of_kind("padding"):
        key = AesKey("q7Zr1XyB0mJt4KcUe8VhLw2SgAoPd5NfIi9TbYkRx3D")
        ciphertext = seal_padded(key, bytes(vector["trailing_bytes"]))
        with pytest.raises(CallbackError) as refused:
            decrypt(ciphertext, key=key, receive_id="ww1")
        assert REASONS[vector["expected_error"]] == refused.value.reason, vector["name"]
