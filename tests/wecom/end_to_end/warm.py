"""Imported by the server that processes are forked from: what they need is used once, so that they begin at once."""

import httpx2
import uvicorn.lifespan.on
import uvicorn.loops.auto
import uvicorn.protocols.http.auto

from kfstate import Engine
from tests.wecom.end_to_end import service

__all__ = ["PROTOCOL", "serve"]

PROTOCOL = uvicorn.protocols.http.auto.AutoHTTPProtocol
serve = service.serve
with Engine("sqlite://"):
    httpx2.Client(verify=False).close()
