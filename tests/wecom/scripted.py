"""A WeCom that answers what a test has written down, without a network and without waiting."""

import json
import threading
from collections.abc import Callable
from typing import Any

import httpx2

from kfstate.concurrency import Running, Signal, Threads
from kfstate.testing import FrozenClock
from kfstate.wecom.client import Client
from kfstate.wecom.http import HttpTransport

__all__ = ["CORP", "DATE", "NOW", "SECRET", "TOKEN", "Patience", "Scripted", "api", "ok", "refused"]

NOW = 1_767_225_600
CORP = "ww0123456789abcdef"
SECRET = "s3cr3t-Zq8_wWxYvU7tSrQpOnMlKjIhGfEdCbA9876543"  # noqa: S105 (made up)
TOKEN = "t0k3n-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-xyz"  # noqa: S105 (made up)
DATE = "Thu, 01 Jan 2026 00:00:07 GMT"

Answer = httpx2.Response | Exception | Callable[[httpx2.Request], httpx2.Response]


def ok(**members: Any) -> httpx2.Response:
    """Return a reply."""
    return httpx2.Response(200, json={"errcode": 0, "errmsg": "ok", **members}, headers={"date": DATE})


def refused(errcode: int, errmsg: str = "refused") -> httpx2.Response:
    """Return a refusal."""
    return httpx2.Response(200, json={"errcode": errcode, "errmsg": errmsg})


class Scripted:
    """Answers each call with what was written down for it, the last one again and again; and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self._answers: dict[str, list[Answer]] = {}
        self._lock = threading.Lock()
        self.tokens = 0

    def on(self, call: str, *answers: Answer) -> None:
        """Write down the answers to a call."""
        self._answers[call] = list(answers)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer."""
        call = request.url.path.removeprefix("/cgi-bin/").removeprefix("kf/")
        with self._lock:
            self.requests.append(request)
            answers = self._answers.get(call)
            if answers is None and call == "gettoken":
                self.tokens += 1
                return ok(access_token=TOKEN if self.tokens == 1 else f"{TOKEN}{self.tokens}", expires_in=7200)
            assert answers, f"nothing is written down for {call}"
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    def calls(self) -> list[str]:
        """Return the names of the calls that were made, in order."""
        return [request.url.path.removeprefix("/cgi-bin/").removeprefix("kf/") for request in self.requests]

    def count(self, call: str) -> int:
        """Return how often a call was made."""
        return self.calls().count(call)

    def body(self, place: int = -1) -> Any:
        """Return what a request said."""
        return json.loads(self.requests[place].content)


class _Flag:
    def __init__(self, patience: "Patience") -> None:
        self._event = threading.Event()
        self._patience = patience

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event.clear()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None:
            return self._event.wait(20)
        self._patience.waits.append(timeout)
        self._patience.clock.advance(timeout)
        return self._event.is_set()


class Patience:
    """Waiting that takes no time but the clock's."""

    leads_inline = True

    def __init__(self, clock: FrozenClock) -> None:
        self.clock = clock
        self.waits: list[float] = []

    def signal(self) -> Signal:
        """Return a flag."""
        return _Flag(self)

    def spawn(self, run: Callable[[], None], *, name: str) -> Running:
        """Run beside."""
        return Threads().spawn(run, name=name)


def api(scripted: Scripted, clock: FrozenClock, patience: Patience | None = None, **options: Any) -> Client:
    """Return a client that calls the scripted WeCom."""
    transport = HttpTransport(client=httpx2.Client(transport=httpx2.MockTransport(scripted)))
    return Client(
        CORP, SECRET, transport=transport, clock=clock, concurrency=patience or Patience(clock),
        new_msgid=lambda: "kf1", **options,
    )  # fmt: skip
