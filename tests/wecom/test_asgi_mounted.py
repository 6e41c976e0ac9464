"""The callback's application as a part of others: mounted, as a route, behind a root path."""

import asyncio
import itertools
from typing import Any
from urllib.parse import urlencode

import pytest

from kfstate.wecom import CallbackApp
from tests.wecom.calling import CORP, Mail, callback, event, sealed

__all__: list[str] = []


@pytest.mark.parametrize(
    ("mounted_at", "path", "url", "status"),
    [
        ("", "/wecom/callback", "/wecom/callback", 200),
        ("/wecom", "/wecom/callback", "/wecom/callback", 200),
        ("/wecom", "/callback", "/wecom/callback", 200),
        ("/hooks", "/wecom/callback", "/hooks/wecom/callback", 200),
        ("/wecom/callback", "/wecom/callback", "/wecom/callback/", 200),
        ("/wecom/callback", None, "/wecom/callback/", 200),
        ("/hooks/wecom/callback", "/wecom/callback", "/hooks/wecom/callback/", 200),
        ("/hooks", "/wecom/callback", "/hooks/other", 404),
        ("/hooks", "/wecom/callback", "/hooks/", 404),
        ("/wecom/callback", "/wecom/callback", "/wecom/callback/other", 404),
    ],
)
@pytest.mark.parametrize("root_path", ["", "/api"])
def test_mounted_with_a_path(mounted_at: str, path: str | None, url: str, status: int, root_path: str) -> None:
    """The path may be the whole of the URL's, what is below the mount, or the mount; behind a root path as well."""
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.testclient import TestClient

    echo = sealed(b"42")
    app = Starlette(routes=[Mount(mounted_at, CallbackApp(callback(), Mail(), path=path))])
    with TestClient(app, root_path=root_path) as client:
        done = client.get(root_path + url, params=echo.query | {"echostr": echo.encrypt}, follow_redirects=False)
    assert status == done.status_code
    assert (status == 200) == (done.content == b"42")


def test_behind_a_root_path() -> None:
    """A server that is told its root path puts it before the path; one that leaves it out is understood, too."""
    echo = sealed(b"42")
    app = CallbackApp(callback(), Mail(), path="/wecom/callback")
    query = echo.query | {"echostr": echo.encrypt}
    found = {}
    for root, path in itertools.product(("", "/api", "/api/", "/ap"), ("/wecom/callback", "/api/wecom/callback")):
        sent: list[dict[str, Any]] = []

        async def send(message: Any, sent: list[dict[str, Any]] = sent) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "path": path, "root_path": root, "headers": [],
            "query_string": urlencode(query).encode(),
        }  # fmt: skip
        asyncio.run(app(scope, lambda: asyncio.sleep(0, {}), send))
        found[root, path] = sent[0]["status"]
    refused = {("", "/api/wecom/callback"), ("/ap", "/api/wecom/callback")}
    assert {at: 404 if at in refused else 200 for at in found} == found


def test_as_a_route_of_starlette() -> None:
    """At the URL itself, without a redirect, whatever the method."""
    from starlette.applications import Starlette
    from starlette.routing import Route
    from starlette.testclient import TestClient

    mail = Mail()
    envelope = sealed(event())
    with TestClient(Starlette(routes=[Route("/wecom/callback", CallbackApp(callback(), mail))])) as client:
        done = client.post(
            "/wecom/callback", params=envelope.query, content=envelope.body(to_user_name=CORP), follow_redirects=False
        )
    assert (200, 1) == (done.status_code, len(mail.notices))
