"""``kfstate callback``: the URL that WeCom calls."""

import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from kfstate.cli.context import Context, Given
from kfstate.cli.exits import UsageError
from kfstate.clock import SECOND

if TYPE_CHECKING:
    from kfstate.wecom import Notice, Settings

__all__ = ["app", "serve"]

app = App(name="callback", help="The URL that WeCom calls when there is something to pull.")


@app.command
def serve(
    *,
    settings: Path | None = None,
    host: str | None = None,
    port: int | None = None,
    path: str | None = None,
    ctx: Given,
) -> None:
    """Serve the callback's URL, and print every notice of WeCom as it comes, until Ctrl-C.

    Whoever reads the output pulls. Retries of WeCom are answered and not printed again. Needs the extra `server`, and
    the token and EncodingAESKey that the console of WeCom shows, from the settings or the environment.

    Args:
        settings: A TOML file with settings; the environment goes before it.
        host: The address to listen at (default: callback.host of the settings, else 127.0.0.1).
        port: The port (default: callback.port of the settings, else 8080).
        path: The path of the URL (default: callback.path of the settings, else /wecom/callback).
        ctx: The settings of this run.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise UsageError("callback serve needs an extra: pip install 'kfstate[server]'") from error
    from kfstate.wecom import Callback, CallbackApp, Settings

    given: dict[str, Any] = {"callback_host": host, "callback_port": port, "callback_path": path}
    if ctx.sources["corp-id"] == "option":
        given["corp_id"] = ctx.corp_id
    found = Settings.load(settings, **given)
    printer = _Printer(ctx)
    asgi: Any = CallbackApp(Callback.of(found), printer, path=found.callback.path)
    config = uvicorn.Config(asgi, host=found.callback.host, port=found.callback.port, log_config=None, access_log=False)
    printer.server = uvicorn.Server(config)
    ctx.out.note(f"listening at {_url(found)}; stop with Ctrl-C")
    printer.server.run()


class _Printer:
    """Prints notices, one at a time; where the reader of the output has gone away, stops the server."""

    def __init__(self, ctx: Context) -> None:
        self.server: Any = None
        self._out = ctx.out
        self._lock = threading.Lock()

    def __call__(self, notice: "Notice") -> None:
        with self._lock:
            try:
                if self._out.json:
                    self._out.line(_facts(notice))
                else:
                    self._out.text(" ".join(str(value) for value in _facts(notice).values() if value))
                sys.stdout.flush()
            except BrokenPipeError:
                self.server.should_exit = True


def _facts(notice: "Notice") -> dict[str, object]:
    """Return what is printed of a notice: not its token, which lets pull."""
    from kfstate.queries.views import as_json

    created = None if notice.created_at is None else datetime.fromtimestamp(notice.created_at // SECOND, UTC)
    return {
        "created_at": as_json(created),
        "event": notice.event,
        "open_kfid": notice.open_kfid,
        "authorized": list(notice.authorized),
        "revoked": list(notice.revoked),
        "stale": notice.stale,
    }


def _url(settings: "Settings") -> str:
    host = settings.callback.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.callback.port}{settings.callback.path}"
