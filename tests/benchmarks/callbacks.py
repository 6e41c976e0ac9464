"""How long a callback waits for its answer while the same service pulls 1,000 entries a second.

The fake WeCom and the service (uvicorn, the callback, the sync loop, PostgreSQL) are processes of their own; this one
only calls, so that nothing but the service decides how long it takes. The bare application answers without reading.
"""

import asyncio
import http.client
import multiprocessing
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from kfstate import Engine
from kfstate.testing import FakeWecom
from tests.benchmarks.crowd import database
from tests.benchmarks.subject import Stopwatch, settle

__all__ = ["answered", "bare"]

CALLBACKS = 1_000
PER_SECOND = 100
RATE = 1_000
"""Entries a second."""
TOKEN, AES_KEY, URL_PATH = "callback-token", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "/wecom/callback"
_SPAWN = multiprocessing.get_context("spawn")


def answered(folder: Path, watch: Stopwatch) -> int:
    """Call the service."""
    return _called(database(folder, "callbacks"), _service, watch)


def bare(folder: Path, watch: Stopwatch) -> int:
    """Call an application that answers at once, in a process that pulls as much."""
    return _called(database(folder, "callbacks_bare"), _bare_service, watch)


def _called(target: str, service: Callable[..., None], watch: Stopwatch) -> int:
    with ExitStack() as stack:
        wecom_says, (url, corp_id, secret, open_kfid) = stack.enter_context(_beside(_wecom))
        _, port = stack.enter_context(_beside(service, target, url, corp_id, secret))
        wecom_says.send("write")
        time.sleep(2)
        with Engine(target) as engine:
            settle()
            began, position = time.perf_counter(), engine.position()
            took = sorted(_answers(port, corp_id, open_kfid))
            pulled = (engine.position() - position) / (time.perf_counter() - began)
        wecom_says.send("stop")
        written, seconds = wecom_says.recv()
    print(f"{pulled:,.0f} entries/s in the log, {written / seconds:,.0f} written", file=sys.stderr)
    watch.seconds = took[len(took) * 99 // 100] * CALLBACKS
    return CALLBACKS


def _answers(port: int, corp_id: str, open_kfid: str) -> Iterator[float]:
    """Make the callbacks one after the other, at a steady pace, and yield how long each took."""
    from kfstate.wecom.crypto import AesKey, encrypt

    key = AesKey(AES_KEY)
    begin = time.perf_counter()
    for number in range(CALLBACKS):
        message = (
            f"<xml><ToUserName>{corp_id}</ToUserName><CreateTime>{int(time.time())}</CreateTime><MsgType>event</MsgType>"
            f"<Event>kf_msg_or_event</Event><OpenKfId>{open_kfid}</OpenKfId></xml>"
        )
        sealed = encrypt(
            message.encode(), key=key, receive_id=corp_id, token=TOKEN, timestamp=str(int(time.time())),
            nonce=str(secrets.randbelow(10**10)),
        )  # fmt: skip
        query = "&".join(f"{name}={value}" for name, value in sealed.query.items())
        time.sleep(max(0.0, begin + number / PER_SECOND - time.perf_counter()))
        before = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(
            "POST", f"{URL_PATH}?{query}", sealed.body(to_user_name=corp_id), {"Content-Type": "text/xml"}
        )
        status = connection.getresponse().status
        connection.close()
        if status != 200:
            raise RuntimeError(f"a callback was answered with {status}")
        yield time.perf_counter() - before


# The other processes


@contextmanager
def _beside(target: Callable[..., None], *args: Any) -> Iterator[tuple[Connection, Any]]:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=target, args=(theirs, *args), daemon=True)
    process.start()
    try:
        yield ours, ours.recv()
    finally:
        process.kill()
        process.join()


def _wecom(says: Connection) -> None:
    """Be WeCom: customers write at a steady pace, from ``write`` to ``stop``."""
    with FakeWecom() as wecom:
        account = wecom.account("售后")
        customers = [wecom.customer() for _ in range(200)]
        says.send((wecom.url, wecom.corp_id, wecom.secret, account.open_kfid))
        says.recv()
        began, written = time.perf_counter(), 0
        while not says.poll():
            while written < (time.perf_counter() - began) * RATE:
                customers[written % len(customers)].writes(account, "你好，我的订单到哪里了？")
                written += 1
            time.sleep(0.005)
        says.send((written, time.perf_counter() - began))
        says.recv()


def _service(says: Connection, target: str, url: str, corp_id: str, secret: str) -> None:
    """Be the service: the callback's application and the sync loop in one process."""
    _serve(says, target, url, corp_id, secret, plain=False)


def _bare_service(says: Connection, target: str, url: str, corp_id: str, secret: str) -> None:
    _serve(says, target, url, corp_id, secret, plain=True)


def _serve(says: Connection, target: str, url: str, corp_id: str, secret: str, *, plain: bool) -> None:
    import uvicorn

    from kfstate.wecom import Live, Pace, Settings
    from kfstate.wecom.settings import CallbackSettings

    settings = Settings(
        corp_id=corp_id, secret=secret, api_url=url,
        callback=CallbackSettings(token=TOKEN, aes_key=AES_KEY, path=URL_PATH),
    )  # fmt: skip
    with Engine(target) as engine, Live(engine, settings, pace=Pace(interval=1)) as live, socket.socket() as heard:
        live.start()
        heard.bind(("127.0.0.1", 0))
        app: Any = _plain if plain else live.app()
        config = uvicorn.Config(app, log_config=None, access_log=False, ws="none", lifespan="off" if plain else "on")
        server = uvicorn.Server(config)
        threading.Thread(target=_tell, args=(says, server, heard.getsockname()[1]), daemon=True).start()
        asyncio.run(server.serve(sockets=[heard]))


def _tell(says: Connection, server: Any, port: int) -> None:
    while not server.started:
        time.sleep(0.01)
    says.send(port)


async def _plain(_scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        continue
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
