"""``kfstate wecom``: a server in place of WeCom, and the whole loop on one laptop."""

import secrets
import signal
from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import attrs
from cyclopts import App

from kfstate.cli.context import Context, Given
from kfstate.cli.ending import rest, told_to_end
from kfstate.cli.exits import UsageError
from kfstate.cli.files import beside
from kfstate.cli.output import Column
from kfstate.cli.wecom_demo import AES_KEY, TOKEN, check_numbers, demo
from kfstate.clock import SystemClock

if TYPE_CHECKING:
    from kfstate.testing import FakeWecom, Life, Misbehaviour

__all__ = ["app", "fake"]

app = App(name="wecom", help="A server in place of WeCom, for a laptop.")
app.command(demo)

_HEAD = "# Written by `kfstate wecom fake`, which writes it anew at each start.\n"


@app.command
def fake(
    *,
    port: int = 8090,
    callback: str = "http://127.0.0.1:8080/wecom/callback",
    settings: Path | None = None,
    customers: int = 12,
    servicers: int = 3,
    routing: Literal["none", "robot", "queue", "servicer"] = "queue",
    pause: float = 1.0,
    misbehave: float = 0.0,
    seed: str = "",
    deeds: int | None = None,
    ctx: Given,
) -> None:
    """Start a server in place of WeCom, with an account where customers and servicers act by chance, until Ctrl-C.

    It prints the settings for whoever connects, then what people do, and what is called. Encrypted callbacks are posted
    to your URL; where nobody answers there, nothing else is lost. Needs the extra `wecom`.

    Args:
        port: Where it listens on this machine; 0: any port that is free.
        callback: The URL that gets the callbacks.
        settings: Write the settings to this TOML file, too.
        customers: How many customers there are.
        servicers: How many servicers, from 1 to 10.
        routing: Where WeCom puts new sessions by itself: `queue` keeps things going without a routing service.
        pause: Seconds between two deeds.
        misbehave: How much goes wrong by chance: 0.05 is a lot.
        seed: Decides what is left to chance; each start has another one.
        deeds: End after so many.
        ctx: The settings of this run.
    """
    check_numbers(customers, servicers, pause, misbehave)
    from kfstate.testing import FakeWecom, Life

    seed = seed or secrets.token_hex(4)
    try:
        wecom = FakeWecom(port=port, misbehave=_misbehaviour(misbehave, seed)).start()
    except OSError as error:
        raise UsageError(f"--port {port}: {error.strerror}") from error
    try:
        life = Life(
            wecom, account=wecom.account("演示", routing=routing), seed=seed, customers=customers, servicers=servicers
        )
        _say_settings(ctx, wecom, callback, settings)
        wecom.callback(callback, token=TOKEN, aes_key=AES_KEY)
        with told_to_end(signal.SIGINT, signal.SIGTERM) as told:
            for seen in _deeds(wecom, life, pause=pause, most=deeds, told=told):
                _show(ctx, seen)
    finally:
        wecom.close()
    if signal.SIGINT in told:
        raise KeyboardInterrupt


def _misbehaviour(share: float, seed: str) -> "Misbehaviour":
    from kfstate.testing import Misbehaviour

    return attrs.evolve(Misbehaviour.everything(share), seed=seed)


def _say_settings(ctx: Context, wecom: "FakeWecom", callback: str, path: Path | None) -> None:
    found = {"corp_id": wecom.corp_id, "secret": wecom.secret, "api_url": wecom.url}
    hears = {"token": TOKEN, "aes_key": AES_KEY}
    toml = "".join(f'{name} = "{value}"\n' for name, value in found.items())
    toml += "\n[callback]\n" + "".join(f'{name} = "{value}"\n' for name, value in hears.items())
    if path is not None:
        with beside(path, secret=True) as target:
            if path.is_file() and not path.read_bytes().startswith(_HEAD.encode()):
                raise UsageError(f"--settings: {path} is there, and was not written by this command")
            target.write((_HEAD + toml).encode())
    if ctx.out.json:
        ctx.out.line({"settings": found | {"callback": hears}, "callback_url": callback})
    else:
        ctx.out.text(toml)
        ctx.out.note(f"callbacks go to {callback}; stop with Ctrl-C")


@attrs.frozen
class _Seen:
    """Something that happened at the server: somebody's deed, a call of the API, a callback."""

    SHOWN: ClassVar = ("at", "who", "what", "customer", "servicer", "result")

    at: datetime | None
    who: str
    what: str
    customer: str = ""
    servicer: str = ""
    result: int | None = None


_COLUMNS = (
    Column("occurred", attrgetter("at")),
    Column("by", attrgetter("who")),
    *(Column(name, attrgetter(at), raw=True) for name, at in (("kind", "what"), ("customer", "customer"))),
    *(Column(name, attrgetter(name), raw=True) for name in ("servicer", "result")),
)


def _deeds(
    wecom: "FakeWecom", life: "Life", *, pause: float, most: int | None, told: Sequence[int]
) -> Iterator[list[_Seen]]:
    """Let people act, and yield what happens, until there were enough deeds, or one is told to end."""
    news, done = _news(wecom), 0
    while not told and (most is None or done < most):
        deed = life.next()
        if deed is None:
            continue
        done += 1
        who, customer = ("servicer" if deed.servicer_userid else "customer"), deed.external_userid
        if deed.act in {"stops", "receives"}:
            customer = ""
        seen = _Seen(_now(), who, deed.act, customer, deed.servicer_userid)
        rest(pause, told)
        yield [seen, *next(news)]


def _show(ctx: Context, seen: Sequence[_Seen]) -> None:
    from kfstate.queries.views import as_json

    for one in seen:
        if ctx.out.json:
            ctx.out.line(as_json(one))
        else:
            ctx.out.row(_COLUMNS, one)


def _news(wecom: "FakeWecom") -> Iterator[list[_Seen]]:
    """Yield the calls and callbacks since the time before."""
    calls = posted = 0
    while True:
        found = [
            _Seen(
                _at(call.at), "service", call.name, str(call.request.get("external_userid", "")),
                str(call.request.get("servicer_userid", "")), call.errcode,
            )
            for call in wecom.calls[calls:]
        ]  # fmt: skip
        told = wecom.posted[posted:]
        calls, posted = calls + len(found), posted + len(told)
        yield found + [_Seen(_now(), "WeCom", "callback", result=one.statuses[-1]) for one in told]


def _at(microseconds: int) -> datetime | None:
    from kfstate.queries.views import at_time

    return at_time(microseconds)


def _now() -> datetime | None:
    return _at(SystemClock().now())
