"""Encrypted callbacks to a URL: ``kf_msg_or_event`` says that an account has something to read, and nothing more."""

import base64
import hmac
import http.client
import secrets
from collections.abc import Iterable
from urllib.parse import SplitResult, urlencode, urlsplit

import attrs

from kfstate.concurrency import THREADS, Running
from kfstate.testing.fake.world import World
from kfstate.wecom.crypto import AesKey, Sealed, encrypt

__all__ = ["ATTEMPTS", "Posted", "Poster", "Target"]

ATTEMPTS = 3
"""How often a callback is tried (page 90930)."""


@attrs.frozen
class Target:
    """Where callbacks go, and the two secrets that the console shows for it. The receive id is the corp id."""

    url: str
    token: str = attrs.field(repr=False)
    key: AesKey = attrs.field(repr=False)
    timeout: float = 5.0
    agent_id: str = ""

    def sealed(self, world: World, message: str) -> Sealed:
        """Return a message encrypted and signed, at the time of the world."""
        return encrypt(
            message.encode(),
            key=self.key,
            receive_id=world.corp_id,
            token=self.token,
            timestamp=str(world.second()),
            nonce=str(secrets.randbelow(10**10)),
        )


@attrs.frozen
class Posted:
    """A callback that was tried: the account (or the event) it was about, and the HTTP status of each attempt.

    0 is an attempt without an answer.
    """

    about: str
    statuses: tuple[int, ...]

    @property
    def received(self) -> bool:
        """Whether it was answered with 200."""
        return self.statuses[-1] == 200


class Poster:
    """A thread that posts callbacks. What waits for the same account is posted once."""

    def __init__(self, world: World, target: Target, *, pause: float) -> None:
        self.posted: list[Posted] = []
        self._world, self._target, self._pause = world, target, pause
        self._waiting: dict[str, str | None] = {}
        self._wake, self._ended, self._idle = THREADS.signal(), THREADS.signal(), THREADS.signal()
        self._idle.set()
        self._running: Running = THREADS.spawn(self._run, name="kfstate-fake-callbacks")

    def tell(self, open_kfid: str) -> None:
        """Have it said that an account has something to read."""
        if not self._world.dice.says("lost_callbacks"):
            self._put(open_kfid, None)

    def announce(self, *, added: Iterable[str], removed: Iterable[str]) -> None:
        """Have it said that the right to accounts was given or taken (``kf_account_auth_change``)."""
        ids = [("AuthAddOpenKfId", one) for one in added] + [("AuthDelOpenKfId", one) for one in removed]
        self._put("kf_account_auth_change", "".join(f"<{name}><![CDATA[{one}]]></{name}>" for name, one in ids))

    def check(self) -> bool:
        """Make the GET check of the console, and tell whether the answer was right."""
        echo = base64.b64encode(secrets.token_bytes(12)).decode()
        sealed = self._target.sealed(self._world, echo)
        status, body = self._send("GET", sealed.query | {"echostr": sealed.encrypt}, b"")
        return status == 200 and hmac.compare_digest(body, echo.encode())

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is left to post; tell whether that is so."""
        return self._idle.wait(timeout)

    def close(self) -> None:
        """Stop after the attempt that is being made."""
        self._ended.set()
        self._wake.set()
        self._running.join(self._target.timeout + 1)

    def _put(self, about: str, fields: str | None) -> None:
        with self._world.lock:
            self._waiting[about] = fields
            self._idle.clear()
            self._wake.set()

    def _take(self) -> dict[str, str | None]:
        with self._world.lock:
            self._wake.clear()
            waiting, self._waiting = self._waiting, {}
            if not waiting:
                self._idle.set()
            return waiting

    def _run(self) -> None:
        """Post what is there; look now and then whether the time has brought more."""
        while not self._ended.is_set():
            for about, fields in self._take().items():
                times = 2 if self._world.dice.says("repeated_callbacks") else 1
                for _ in range(times):
                    self._post(about, fields)
            if not self._waiting:
                self._take()
            self._wake.wait(0.05)
            with self._world.lock:
                self._world.settle()

    def _post(self, about: str, fields: str | None) -> None:
        world = self._world
        with world.lock:
            event = about if fields is not None else "kf_msg_or_event"
            if fields is None:
                token = world.pull_tokens.give(world.now(), about)
                fields = f"<Token><![CDATA[{token}]]></Token><OpenKfId><![CDATA[{about}]]></OpenKfId>"
            message = (
                f"<xml><ToUserName><![CDATA[{world.corp_id}]]></ToUserName><CreateTime>{world.second()}</CreateTime>"
                f"<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{event}]]></Event>{fields}</xml>"
            )
            sealed = self._target.sealed(world, message)
        body = sealed.body(to_user_name=world.corp_id, agent_id=self._target.agent_id)
        statuses: list[int] = []
        while len(statuses) < ATTEMPTS and not self._ended.is_set():
            if statuses:
                self._ended.wait(self._pause)
            statuses.append(self._send("POST", sealed.query, body)[0])
            if statuses[-1] == 200:
                break
        self.posted.append(Posted(about, tuple(statuses)))

    def _send(self, method: str, query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Send one request; status 0: no answer."""
        url = urlsplit(self._target.url)
        connection = _connection(url, self._target.timeout)
        parts = [part for part in (url.query, urlencode(query)) if part]
        try:
            connection.request(method, f"{url.path or '/'}?{'&'.join(parts)}", body, {"Content-Type": "text/xml"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()


def _connection(url: SplitResult, timeout: float) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    return kind(url.hostname or "", url.port, timeout=timeout)
