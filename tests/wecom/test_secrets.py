"""No secret in what people see: messages, what is behind them, variables of a traceback, logs; whatever comes back."""

import logging
import traceback
from collections.abc import Callable
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfstate.errors import KfstateError
from kfstate.testing import FrozenClock
from kfstate.wecom.client import Client
from kfstate.wecom.masking import LONGEST, excerpt, masked
from kfstate.wecom.secret import Secret
from tests.wecom.scripted import CORP, NOW, SECRET, TOKEN, Patience, Scripted, api, refused

__all__: list[str] = []

PARTS = (SECRET[:12], TOKEN[:12])
"""What no output has: the beginnings, because half a secret is one, too."""


def echo(request: httpx2.Request) -> str:
    """Return the URL as a server may quote it."""
    return f"{request.url.scheme}://{request.url.host}{request.url.raw_path.decode()}"


def bare(request: httpx2.Request) -> str:
    """Return what is secret in a request, without the names that tell it."""
    return request.url.params.get("access_token") or str(request.url.params["corpsecret"])


ECHOES: dict[str, Callable[[httpx2.Request], httpx2.Response]] = {
    "a page": lambda request: httpx2.Response(200, text=f"<html><a href='{echo(request)}'>again</a>"),
    "an HTTP error": lambda request: httpx2.Response(502, text=f"GET {echo(request)} failed"),
    "a redirect": lambda request: httpx2.Response(302, headers={"location": echo(request)}, text=echo(request)),
    "quoted": lambda request: httpx2.Response(500, text=f"next={quote(echo(request), safe='')}"),
    "at the cut": lambda request: httpx2.Response(500, text="x" * 190 + echo(request)),
    "bare": lambda request: httpx2.Response(500, text=f"nobody knows {bare(request)} here"),
    "bare at the cut": lambda request: httpx2.Response(500, text=f"{'x' * 180}{bare(request)}"),
    "bare errmsg": lambda request: httpx2.Response(200, json={"errcode": 40058, "errmsg": f"{bare(request)}?"}),
    "broken JSON": lambda request: httpx2.Response(200, text=f'{{"url": "{echo(request)}"'),
    "no JSON at the end": lambda request: httpx2.Response(200, text=f'"{echo(request)}" {{'),
    "errmsg": lambda request: httpx2.Response(200, json={"errcode": 40058, "errmsg": f"bad: {echo(request)}"}),
    "errcode": lambda request: httpx2.Response(200, json={"errcode": echo(request)}),
    "members": lambda request: httpx2.Response(
        200, json={"errcode": 0, **dict.fromkeys(("service_state", "msg_list", "expires_in"), echo(request))}
    ),
    "a refused token": lambda request: httpx2.Response(200, json={"errcode": 42001, "errmsg": echo(request)}),
    "a limit": lambda request: httpx2.Response(200, json={"errcode": 45009, "errmsg": echo(request)}),
}
FAILURES: dict[str, type[httpx2.HTTPError]] = {
    kind.__name__: kind
    for kind in (httpx2.ConnectError, httpx2.ReadError, httpx2.RemoteProtocolError, httpx2.ProxyError)
}


def failing(kind: type[httpx2.HTTPError]) -> Callable[[httpx2.Request], httpx2.Response]:
    """Return what fails with the URL in its message, as a library may write it."""

    def fail(request: httpx2.Request) -> httpx2.Response:
        raise kind(f"while asking for {echo(request)}")

    return fail


ANSWERS = ECHOES | {name: failing(kind) for name, kind in FAILURES.items()}
CALLS: dict[str, Callable[[Client], object]] = {
    "service_state/get": lambda client: client.get_state("wk1", "wm1"),
    "service_state/trans": lambda client: client.trans_state("wk1", "wm1", 2),
    "sync_msg": lambda client: client.sync_msg("wk1"),
}


def shown(error: BaseException) -> str:
    """Return everything that a tool may show of an error: what it says, what is behind it, and the variables."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    parts = ["".join(told.format()), repr(error), str(error), repr(vars(error)), repr(error.args)]
    parts += [shown(behind) for behind in (error.__cause__, error.__context__) if behind is not None]
    return "\n".join(parts)


@pytest.mark.parametrize("asked", ["gettoken", *CALLS])
@pytest.mark.parametrize("answer", ANSWERS)
def test_no_secret_anywhere(asked: str, answer: str, caplog: pytest.LogCaptureFixture) -> None:
    """A server, a proxy or a library that quotes the URL makes no error, traceback or log show what is secret in it."""
    caplog.set_level(logging.DEBUG)
    wecom, clock = Scripted(), FrozenClock.at(NOW)
    client = api(wecom, clock, Patience(clock))
    wecom.on(asked, ANSWERS[answer])
    call = CALLS.get(asked, CALLS["service_state/get"])
    if (asked, answer) == ("service_state/trans", "members"):
        call(client)
        return
    with pytest.raises(KfstateError) as caught:
        call(client)
    output = f"{shown(caught.value)}\n{client!r} {client._calls!r} {vars(client)!r} {vars(client._calls)!r}\n"
    output += "\n".join(f"{record.getMessage()} {vars(record)!r}" for record in caplog.records)
    # The test's own frames, and those of the library that was given the URL, are not ours.
    for part in PARTS:
        assert part not in output


def test_no_secret_while_it_works(caplog: pytest.LogCaptureFixture) -> None:
    """Nor is there one where all goes well."""
    caplog.set_level(logging.DEBUG)
    wecom, clock = Scripted(), FrozenClock.at(NOW)
    wecom.on(
        "service_state/get", refused(-1), refused(42001), httpx2.Response(200, json={"errcode": 0, "service_state": 1})
    )
    client = api(wecom, clock)
    client.get_state("wk1", "wm1")
    tokens = vars(vars(client._calls)["_tokens"])
    output = f"{client!r} {vars(client._calls)!r} {tokens!r} " + "\n".join(repr(vars(one)) for one in caplog.records)
    assert caplog.records
    for part in PARTS:
        assert part not in output


def test_a_client_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where the client cannot even be made."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr("kfstate.wecom.client.Calls", fail)
    given = Secret(SECRET)
    with pytest.raises(RuntimeError) as caught:
        Client(CORP, given)
    ours = caught.tb.tb_next  # without this frame
    assert ours is not None
    assert PARTS[0] not in shown(caught.value.with_traceback(ours))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("access_token=abc&x=1", "access_token=***&x=1"),
        ("?corpid=ww1&corpsecret=abc", "?corpid=ww1&corpsecret=***"),
        ('{"access_token": "abc", "expires_in": 1}', '{"access_token": "***", "expires_in": 1}'),
        ("{'access_token': 'abc", "{'access_token': '***"),
        ("access_token%3Dabc", "access_token%3D***"),
        ("nothing secret", "nothing secret"),
    ],
)
def test_what_looks_like_credentials(text: str, expected: str) -> None:
    """Credentials that are not ours, or not known yet, are masked by where they stand."""
    assert expected == masked(text)


@given(
    st.text(min_size=8, max_size=60).filter(lambda secret: secret == " ".join(secret.split())),
    st.text(max_size=400),
    st.integers(0, 400),
)
def test_excerpts_never_hold_a_secret(secret: str, text: str, place: int) -> None:
    """Wherever a secret stands in what came, no excerpt has it, nor more of it than that."""
    text = text.replace(secret, "")
    shown_part = excerpt(text[:place] + secret + text[place:], [Secret(secret)])
    assert secret not in shown_part
    assert len(shown_part) <= LONGEST + 1
