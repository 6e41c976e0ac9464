"""Encrypted callbacks: what they say, how often they are tried, what they lead to."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from defusedxml.ElementTree import fromstring

from kfstate.testing import Misbehaviour
from kfstate.wecom.crypto import AesKey, decrypt, verify
from tests.fake.api import START, Shop

__all__: list[str] = []

TOKEN = "QDG6eK"  # noqa: S105 (as the documents show it)
KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"


class Receiver:
    """A URL of ours: it verifies and decrypts what comes, and answers with the statuses it was given."""

    def __init__(self) -> None:
        self.corp_id = ""
        self.statuses: list[int] = []
        self.messages: list[dict[str, str]] = []
        self.queries: list[dict[str, str]] = []
        self.echo = True
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = receiver.query(self.path)
                plain = receiver.plain(query, query["echostr"])
                self.reply(200, plain if receiver.echo else b"something else")

            def do_POST(self) -> None:
                envelope = fromstring(self.rfile.read(int(self.headers["Content-Length"])))
                query = receiver.query(self.path)
                message = fromstring(receiver.plain(query, envelope.findtext("Encrypt", "")))
                receiver.queries.append(query)
                receiver.messages.append({child.tag: child.text or "" for child in message})
                assert envelope.findtext("ToUserName") == receiver.corp_id
                self.reply(receiver.statuses.pop(0) if receiver.statuses else 200, b"")

            def reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/callback?from=wecom"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self.thread.start()

    def query(self, path: str) -> dict[str, str]:
        """Return the query of a request."""
        return {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}

    def plain(self, query: dict[str, str], ciphertext: str) -> bytes:
        """Verify and decrypt."""
        names = ("timestamp", "nonce")
        signed = {name: query[name] for name in names}
        verify(query["msg_signature"], token=TOKEN, ciphertext=ciphertext, **signed)
        return decrypt(ciphertext, key=AesKey(KEY), receive_id=self.corp_id)

    def close(self) -> None:
        """End it."""
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give a URL that takes callbacks."""
    made = Receiver()
    yield made
    made.close()


def listen(shop: Shop, receiver: Receiver, **options: object) -> None:
    """Have the callbacks of a shop go to the receiver."""
    receiver.corp_id = shop.wecom.corp_id
    shop.wecom.callback(receiver.url, token=TOKEN, aes_key=KEY, pause=0.01, **options)  # type: ignore[arg-type]


def test_callback_leads_to_a_pull(shop: Shop, receiver: Receiver) -> None:
    """A message brings a callback with a token for a pull of that account, good for ten minutes."""
    listen(shop, receiver, check=True, agent_id="7")
    shop.writes()
    assert shop.wecom.wait_for_callbacks()
    (message,) = receiver.messages
    assert message["ToUserName"] == shop.wecom.corp_id
    assert (message["MsgType"], message["Event"]) == ("event", "kf_msg_or_event")
    assert (message["OpenKfId"], message["CreateTime"]) == (shop.account.open_kfid, str(START))
    assert receiver.queries[0]["timestamp"] == str(START)
    assert receiver.queries[0]["from"] == "wecom"
    ids = {"open_kfid": shop.account.open_kfid, "token": message["Token"]}
    assert len(shop.api("sync_msg", **ids)["msg_list"]) == 1
    other = shop.wecom.account()
    assert shop.api("sync_msg", open_kfid=other.open_kfid, token=message["Token"])["errcode"] == 95007
    shop.clock.advance(600)
    assert shop.api("sync_msg", **ids)["errcode"] == 95007
    assert [(posted.about, posted.statuses) for posted in shop.wecom.posted] == [(shop.account.open_kfid, (200,))]


def test_three_attempts(shop: Shop, receiver: Receiver) -> None:
    """What is not answered with 200 is tried three times in all, the same to the byte."""
    listen(shop, receiver)
    receiver.statuses = [500, 302]
    shop.writes()
    assert shop.wecom.wait_for_callbacks()
    receiver.statuses = [503] * 3
    shop.writes()
    assert shop.wecom.wait_for_callbacks()
    assert [posted.statuses for posted in shop.wecom.posted] == [(500, 302, 200), (503, 503, 503)]
    assert [posted.received for posted in shop.wecom.posted] == [True, False]
    assert receiver.messages[0] == receiver.messages[1] == receiver.messages[2]
    assert receiver.queries[0] == receiver.queries[2]


def test_nobody_listens(shop: Shop, receiver: Receiver) -> None:
    """A URL where nobody is gets three attempts without an answer; the server goes on."""
    listen(shop, receiver)
    shop.wecom.callback("http://127.0.0.1:9/", token=TOKEN, aes_key=KEY, pause=0.01, timeout=0.5)
    shop.writes()
    assert shop.wecom.wait_for_callbacks()
    assert [posted.statuses for posted in shop.wecom.posted] == [(0, 0, 0)]
    assert receiver.messages == []


def test_check(shop: Shop, receiver: Receiver) -> None:
    """A URL that does not answer the check with the decrypted echo is refused."""
    receiver.echo = False
    with pytest.raises(ValueError, match="was not answered with the decrypted echostr"):
        listen(shop, receiver, check=True)


def test_late_entries_call_when_they_come(open_shop: Callable[..., Shop], receiver: Receiver) -> None:
    """An entry that is delayed brings its callback when it can be read."""
    shop = open_shop(misbehave=Misbehaviour(delayed=1, delay_seconds=60))
    listen(shop, receiver)
    shop.writes()
    assert shop.wecom.wait_for_callbacks()
    assert receiver.messages == []
    shop.clock.advance(60)
    shop.wecom.settle()
    assert shop.wecom.wait_for_callbacks()
    assert len(receiver.messages) == 1


def test_lost_and_repeated_callbacks(open_shop: Callable[..., Shop], receiver: Receiver) -> None:
    """Callbacks are lost, or posted twice."""
    silent = open_shop(misbehave=Misbehaviour(lost_callbacks=1))
    listen(silent, receiver)
    silent.writes()
    assert silent.wecom.wait_for_callbacks()
    assert receiver.messages == []
    double = open_shop(misbehave=Misbehaviour(repeated_callbacks=1))
    listen(double, receiver)
    double.writes()
    assert double.wecom.wait_for_callbacks()
    assert len(receiver.messages) == 2


def test_accounts_given_and_taken(shop: Shop, receiver: Receiver) -> None:
    """The second kind of callback names accounts."""
    with pytest.raises(RuntimeError):
        shop.wecom.announce_accounts(added=(shop.account,))
    listen(shop, receiver)
    other = shop.wecom.account()
    shop.wecom.announce_accounts(added=(shop.account,), removed=(other,))
    assert shop.wecom.wait_for_callbacks()
    (message,) = receiver.messages
    assert message["Event"] == "kf_account_auth_change"
    assert (message["AuthAddOpenKfId"], message["AuthDelOpenKfId"]) == (shop.account.open_kfid, other.open_kfid)


def test_a_key_is_checked(shop: Shop) -> None:
    """An EncodingAESKey has 43 characters."""
    with pytest.raises(Exception, match="43"):
        shop.wecom.callback("http://127.0.0.1:9/", token=TOKEN, aes_key="short")
