"""What a callback says, and what is no callback."""

from typing import Any

import attrs
import pytest

from kfstate import ArgumentError, CallbackError, SettingsError
from kfstate.clock import SECOND
from kfstate.testing import FrozenClock
from kfstate.wecom import Callback, Settings
from kfstate.wecom.crypto import AesKey
from kfstate.wecom.repeats import Repeats
from tests.wecom.calling import CORP, KEY, NOW, PULL_TOKEN, SECRETS, TOKEN, callback, event, sealed, told

__all__: list[str] = []


def read(message: bytes, **other: Any) -> Any:
    """Return the notice of a message that is sent as WeCom sends it."""
    envelope = sealed(message, **other)
    return callback().notice(envelope.query, envelope.body(to_user_name=CORP, agent_id="1000002"))


def test_a_message_waits() -> None:
    """The event says of which account, and gives a token for the pull."""
    notice = read(event())
    assert ("kf_msg_or_event", "wk_shop", PULL_TOKEN) == (notice.event, notice.open_kfid, notice.token)
    assert (CORP, NOW * SECOND, False, True) == (notice.corp_id, notice.created_at, notice.stale, notice.concerns_kf)
    assert PULL_TOKEN not in repr(notice)


def test_no_account_and_no_token() -> None:
    """As it was in 2021: neither OpenKfId nor Token."""
    notice = read(event(account=""))
    assert ("", "", True) == (notice.open_kfid, notice.token, notice.concerns_kf)


def test_accounts_given_and_taken() -> None:
    """The second event names accounts, several of each."""
    more = "".join(
        f"<{tag}><![CDATA[{account}]]></{tag}>"
        for tag, account in [("AuthAddOpenKfId", "wk1"), ("AuthDelOpenKfId", "wk2"), ("AuthAddOpenKfId", "wk3")]
    )
    notice = read(event("kf_account_auth_change", more, account=""))
    assert (("wk1", "wk3"), ("wk2",), True) == (notice.authorized, notice.revoked, notice.concerns_kf)


@pytest.mark.parametrize("message", [b"<xml/>", b"<other><Event>change_contact</Event></other>", b"<xml>text</xml>"])
def test_other_messages_are_read_and_left_alone(message: bytes) -> None:
    """The URL of an app may be told other things, too."""
    assert not read(message).concerns_kf


@pytest.mark.parametrize("value", ["", "客服", "a b", "x" * 129, "&lt;x&gt; &#9;y"])
def test_odd_values_count_as_left_out(value: str) -> None:
    """An id that no account can have, and a time that is none."""
    text = f"<xml><Event>kf_msg_or_event</Event><OpenKfId>{value}</OpenKfId><CreateTime>{value}1e9</CreateTime></xml>"
    notice = read(text.encode())
    assert ("", None, True) == (notice.open_kfid, notice.created_at, notice.concerns_kf)


@pytest.mark.parametrize(
    ("seconds", "stale"), [(0, False), (300, False), (301, True), (86_400, True), (-300, False), (-301, True)]
)
def test_old_callbacks_are_said_to_be_old(seconds: int, *, stale: bool) -> None:
    """Five minutes to either side are fresh: clocks differ."""
    assert stale is read(event(), at=NOW - seconds).stale


@pytest.mark.parametrize("at", ["soon", "-1", "1e9", "9" * 12, "１７６０００００００"])
def test_a_time_that_is_none_is_stale(at: str) -> None:
    """It is signed, so it is genuine; but nobody knows when."""
    assert read(event(), at=at).stale


def test_check_of_the_url() -> None:
    """The check wants the decrypted number back; a plus that became a blank is none of its faults."""
    for length in range(1, 40):
        envelope = sealed(b"7" * length, nonce=str(length))
        query = envelope.query | {"echostr": envelope.encrypt}
        assert b"7" * length == callback().echo(query)
        assert b"7" * length == callback().echo(query | {"echostr": envelope.encrypt.replace("+", " ")})


REFUSED = {
    "no signature": ({"msg_signature": ""}, None, 400, "query"),
    "no timestamp": ({"timestamp": ""}, None, 400, "query"),
    "no nonce": ({"nonce": ""}, None, 400, "query"),
    "other signature": ({"msg_signature": "0" * 40}, None, 403, "signature"),
    "odd signature": ({"msg_signature": "é\udcff"}, None, 403, "signature"),
    "other nonce": ({"nonce": "1"}, None, 403, "signature"),
    "no body": ({}, b"", 400, "body"),
    "no XML": ({}, b"{}", 400, "body"),
    "not whole": ({}, b"<xml><Encrypt>", 400, "body"),
    "no Encrypt": ({}, b"<xml><encrypt>x</encrypt></xml>", 400, "body"),
    "two of them": ({}, b"<xml><Encrypt>x</Encrypt><Encrypt>y</Encrypt></xml>", 400, "body"),
    "deeper down": ({}, b"<xml><a><Encrypt>x</Encrypt></a></xml>", 400, "body"),
    "empty": ({}, b"<xml><Encrypt/></xml>", 403, "signature"),
    "a DTD": ({}, b"<!DOCTYPE xml><xml><Encrypt>x</Encrypt></xml>", 400, "body"),
    "an entity": ({}, b'<!DOCTYPE x [<!ENTITY e "x">]><xml><Encrypt>&e;</Encrypt></xml>', 400, "body"),
    "a file": ({}, b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><xml>&e;</xml>', 400, "body"),
    "a codec": ({}, b'<?xml version="1.0" encoding="unicode_escape"?><xml>\\q\xff</xml>', 400, "body"),
    "a codec of many bytes": ({}, b'<?xml version="1.0" encoding="gb18030"?><xml>\x81\x30\x81\x30</xml>', 400, "body"),
    "NUL": ({}, b"<xml>\x00</xml>", 400, "body"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    """What is not whole, not signed, or more than WeCom sends."""
    change, body, status, reason = REFUSED[case]
    envelope = sealed(event())
    with pytest.raises(CallbackError) as refused:
        callback().notice(envelope.query | change, envelope.body(to_user_name=CORP) if body is None else body)
    assert (status, reason) == (refused.value.status, refused.value.reason)


BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9))
    + b"]><xml><Encrypt>&j;</Encrypt></xml>"
)


@pytest.mark.parametrize("message", [BOMB, b"", b"<xml>", b"\xff\xfe", event()[:-4]])
def test_what_was_signed_but_is_no_xml(message: bytes) -> None:
    """Inside and outside: a bomb is not lit, and the answer is that to a wrong signature."""
    with pytest.raises(CallbackError) as refused:
        read(message)
    assert (403, "message") == (refused.value.status, refused.value.reason)
    with pytest.raises(CallbackError):
        callback().notice(sealed(b"").query, message)


def test_whoever_fails_is_told_the_same() -> None:
    """Wrong token, key or receiver: one status; the log has the difference, and nothing has the secrets."""
    receiver = callback()
    for other in ({"token": "x"}, {"receive_id": "ww"}, {"key": AesKey("A" * 43)}, {"token": "客"}):
        envelope = sealed(event(), **other)
        with pytest.raises(CallbackError) as refused:
            receiver.notice(envelope.query, envelope.body(to_user_name=CORP))
        assert 403 == refused.value.status
        assert [] == [secret for secret in SECRETS if secret in told(refused.value)]


def test_what_a_callback_needs() -> None:
    """No callback without token, key and receiver; it can be made of settings."""
    for missing in ("token", "receive_id"):
        given: dict[str, Any] = {"token": TOKEN, "aes_key": KEY, "receive_id": CORP} | {missing: ""}
        with pytest.raises(ArgumentError, match=missing):
            Callback(**given)
    settings = Settings.load(environment={}, corp_id=CORP, callback_token=TOKEN)
    with pytest.raises(SettingsError, match=r"callback\.aes_key is missing.*KFSTATE_CALLBACK_AES_KEY"):
        Callback.of(settings)
    settings = Settings.load(environment={}, corp_id=CORP, callback_token=TOKEN, callback_aes_key=KEY)
    made = Callback.of(settings)
    assert (CORP, TOKEN, KEY) == (made.receive_id, made.token.reveal(), made.aes_key.encoded.reveal())
    settings = Settings.load(
        environment={}, corp_id=CORP, callback_token=TOKEN, callback_aes_key=KEY, callback_receive_id="suite"
    )
    assert "suite" == Callback.of(settings).receive_id
    assert [] == [secret for secret in SECRETS if secret in repr(Callback.of(settings))]


def test_repeated_callbacks_are_one() -> None:
    """The same signature again is no news, until it is forgotten; another message of the same second is."""
    clock = FrozenClock.at(NOW)
    repeats = Repeats(clock)
    first, second = (read(event(), nonce=nonce) for nonce in ("1", "2"))
    assert [True, False, True, False] == [repeats.is_new(one) for one in (first, first, second, first)]
    clock.advance(599)
    assert not repeats.is_new(first)
    clock.advance(1)
    assert repeats.is_new(first)


def test_stale_callbacks_are_one_per_account_and_span() -> None:
    """Many old callbacks sent again are one pull of each account every ten seconds."""
    clock = FrozenClock.at(NOW)
    repeats = Repeats(clock)
    old = [read(event(account=f"wk{i % 2}"), at=NOW - 1000 - i) for i in range(20)]
    assert 2 == sum(repeats.is_new(one) for one in old)
    clock.advance(10)
    assert repeats.is_new(read(event(account="wk0"), at=NOW - 2000))


def test_repeats_are_bounded() -> None:
    """What is remembered does not grow without end."""
    repeats = Repeats(FrozenClock.at(NOW))
    notice = read(event())
    for number in range(10_050):
        assert repeats.is_new(attrs.evolve(notice, msg_signature=str(number)))
    assert 10_000 == len(repeats._heard)
