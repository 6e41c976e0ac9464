"""From a request to an answer, without a socket: tokens, methods, what goes wrong on purpose, the call, the journal."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs

from kfstate.testing.fake.calls import CALLS
from kfstate.testing.fake.misbehaviour import Fault
from kfstate.testing.fake.refusals import RefusedError
from kfstate.testing.fake.world import Call, World

__all__ = ["Answer", "answer"]

_TOKEN = "gettoken"  # noqa: S105 (the name of a call)
_FOLDER = "/cgi-bin/kf/"
_SECRETS = frozenset({"access_token", "corpsecret"})


@attrs.frozen
class Answer:
    """What goes back: ``ending`` is ``reply``, or ``drop`` or ``hang`` where nothing does."""

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json; charset=UTF-8"
    ending: str = "reply"


@attrs.frozen
class _Incoming:
    """A request on its way: the call it names, and what comes with it."""

    name: str
    method: str
    query: Mapping[str, str]
    body: bytes

    def read(self) -> Mapping[str, Any]:
        """Return the fields of the request."""
        if self.method == "GET":
            return {field: int(value) if value.isdecimal() else value for field, value in self.query.items()}
        try:
            request = json.loads(self.body or b"{}")
        except (ValueError, RecursionError):
            raise RefusedError(47001) from None
        if not isinstance(request, dict):
            raise RefusedError(47001)
        return request


def answer(world: World, method: str, target: str, body: bytes) -> Answer:
    """Carry out a request, or let it go wrong."""
    url = urlsplit(target)
    query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
    name = _TOKEN if url.path == "/cgi-bin/gettoken" else url.path.removeprefix(_FOLDER)
    if name != _TOKEN and (name == url.path or name not in CALLS):
        return Answer(404, b"<html><body>404 Not Found</body></html>", "text/html")
    with world.lock:
        world.settle()
        fault = world.dice.fault(name)
        return _spoiled(fault, _replied(world, _Incoming(name, method, query, body), fault))


def _replied(world: World, incoming: _Incoming, fault: Fault | None) -> dict[str, Any] | None:
    """Return the reply and write the call down; None: it was not carried out."""
    request: Mapping[str, Any] = {}
    reply: dict[str, Any] | None = None
    try:
        request = incoming.read()
        if fault is not None and fault.kind == "errcode":
            raise RefusedError(fault.errcode)  # noqa: TRY301 (one place makes replies of refusals)
        if fault is None or fault.carried_out:
            reply = {"errcode": 0, "errmsg": "ok"} | _carried_out(world, incoming, request, fault)
    except RefusedError as refused:
        reply = refused.reply()
    kept = {field: value for field, value in request.items() if field not in _SECRETS}
    kind = "" if fault is None else f"{fault.kind}, carried out" if fault.carried_out else fault.kind
    world.calls.append(Call(world.now(), incoming.name, kept, None if reply is None else reply["errcode"], kind))
    return reply


def _carried_out(world: World, incoming: _Incoming, request: Mapping[str, Any], fault: Fault | None) -> dict[str, Any]:
    if not world.ip_trusted:
        raise RefusedError(60020)
    if incoming.name == _TOKEN:
        return _token(world, incoming.query)
    if fault is not None and fault.kind == "expired_token":
        world.access.expire(world.now())
    _check_token(world, incoming.query.get("access_token", ""))
    endpoint = CALLS[incoming.name]
    if incoming.method not in endpoint.methods:
        raise RefusedError(43001 if "GET" in endpoint.methods else 43002)
    return endpoint.call(world, request)


def _token(world: World, query: Mapping[str, str]) -> dict[str, Any]:
    if query.get("corpid") != world.corp_id:
        raise RefusedError(40013)
    if query.get("corpsecret") != world.secret:
        raise RefusedError(40001)
    token, seconds = world.access.current(world.now())
    return {"access_token": token, "expires_in": seconds}


def _check_token(world: World, token: str) -> None:
    if not token:
        raise RefusedError(41001)
    found = world.access.valid(token, world.now())
    if found != "good":
        raise RefusedError(42001 if found == "expired" else 40014)


def _spoiled(fault: Fault | None, reply: dict[str, Any] | None) -> Answer:
    """Return the answer as it leaves the server."""
    if fault is not None and fault.kind == "dropped":
        return Answer(ending="drop")
    if fault is not None and fault.kind == "hung":
        return Answer(ending="hang")
    if fault is not None and fault.kind == "server_error":
        return Answer(502, b"<html><body>502 Bad Gateway</body></html>", "text/html")
    body = json.dumps(reply, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    if fault is not None and fault.kind == "broken_json":
        body = body[: len(body) // 2]
    return Answer(body=body)
