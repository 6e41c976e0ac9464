"""The HTTP server: HTTP/1.1 with connections that are kept, a thread for each, and an end that leaves nothing open."""

import socket
import sys
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

from kfstate.clock import SECOND
from kfstate.concurrency import THREADS, Running
from kfstate.testing.fake.handling import answer
from kfstate.testing.fake.world import World

__all__ = ["Server"]

PATIENCE = 5.0
"""How long the end waits for connections, in seconds."""


class Server:
    """A world behind a port."""

    def __init__(self, world: World, host: str, port: int) -> None:
        self._http = _Http((host, port), world)
        self._running: Running | None = None

    @property
    def url(self) -> str:
        """Where it listens; without a slash at the end."""
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> None:
        """Begin to answer."""
        self._running = THREADS.spawn(lambda: self._http.serve_forever(0.02), name="kfstate-fake-wecom")

    def close(self) -> None:
        """Hang up on everybody and free the port; an error that no client was told is raised here."""
        if self._running is not None:
            self._http.shutdown()
            self._running.join(PATIENCE)
        self._http.hang_up()
        self._http.server_close()
        if self._http.failures:
            raise self._http.failures[0]


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], world: World) -> None:
        self.world = world
        self.closing = THREADS.signal()
        self.failures: list[Exception] = []
        self._open: set[socket.socket] = set()
        self._gone = threading.Condition()
        super().__init__(address, _Handler)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Note the connection before its thread begins."""
        if isinstance(request, socket.socket):
            with self._gone:
                self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close a connection and forget it."""
        super().shutdown_request(request)
        with self._gone:
            self._open.discard(request)
            self._gone.notify_all()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 (socketserver's signature)
        """Forget clients that went away; keep every other error for the end."""
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self.failures.append(error)

    def hang_up(self) -> None:
        """End every connection, wake who waits on one, and wait until every thread has closed its own."""
        self.closing.set()
        with self._gone:
            for connection in self._open:
                _half_close(connection)
            self._gone.wait_for(lambda: not self._open, PATIENCE)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "FakeWecom"
    sys_version = ""
    wbufsize = -1  # head and body leave in one piece
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer a GET."""
        self._answer(b"")

    def do_POST(self) -> None:
        """Answer a POST."""
        length = self.headers.get("Content-Length", "0")
        self._answer(self.rfile.read(int(length)) if length.isdecimal() else b"")

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the time of the world, as the ``Date`` header says it."""
        return formatdate(self._http.world.now() / SECOND if timestamp is None else timestamp, usegmt=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (http.server's signature)
        """Leave it to the journal: ``FakeWecom.calls``."""

    @property
    def _http(self) -> _Http:
        return cast("_Http", self.server)

    def _answer(self, body: bytes) -> None:
        found = answer(self._http.world, self.command, self.path, body)
        if found.ending != "reply":
            if found.ending == "hang":
                self._http.closing.wait(self._http.world.dice.misbehaviour.hang_seconds)
            self.close_connection = True
            return
        self.send_response(found.status)
        self.send_header("Content-Type", found.media_type)
        self.send_header("Content-Length", str(len(found.body)))
        self.end_headers()
        self.wfile.write(found.body)
        self.wfile.flush()


def _half_close(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already
