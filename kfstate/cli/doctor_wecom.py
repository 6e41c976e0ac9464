"""``kfstate doctor``: what has to be right between this machine and WeCom. It records nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kfstate.cli.context import Context
from kfstate.cli.exits import UsageError
from kfstate.cli.live import settings_of
from kfstate.cli.output import seconds

if TYPE_CHECKING:
    from kfstate.errors import KfstateError
    from kfstate.wecom import Client, Settings

__all__ = ["wecom"]

_MOST = 60
"""How many seconds our clock may be wrong: callbacks that are 5 minutes old count as stale."""
_UNTRUSTED_IP = 60020

Found = tuple[str, bool, str]
"""A check, whether it is all right, and what it found."""


def wecom(ctx: Context, path: Path | None) -> Iterator[Found]:
    """Check settings, callback key, reachability, token, IP, clock and accounts; each with what to do about it."""
    from kfstate.errors import KfstateError

    try:
        settings = settings_of(ctx, path)
    except (KfstateError, UsageError) as error:
        yield "wecom settings", False, str(error)
        return
    if not settings.corp_id or not settings.secret:
        yield "wecom settings", True, "no corp_id and secret: WeCom was not asked"
        return
    yield "wecom settings", True, f"{settings.corp_id} ({settings.source})"
    yield _callback(settings)
    from kfstate.wecom import Client, HttpTransport, Timeouts
    from kfstate.wecom.retrying import Retries

    transport = HttpTransport(settings.api_url, timeouts=Timeouts.of(settings.timeout))
    with Client(settings.corp_id, settings.secret, transport=transport, retries=Retries(repeats=1)) as client:
        yield from _answers(settings, client)


def _callback(settings: "Settings") -> Found:
    from kfstate.errors import KfstateError
    from kfstate.wecom import Callback

    callback = settings.callback
    if not callback.token and not callback.aes_key:
        return "callback key", True, f"none: accounts are pulled every {settings.sync.interval:g} s"
    try:
        Callback.of(settings)
    except KfstateError as error:
        return "callback key", False, str(error)
    return "callback key", True, f"token and EncodingAESKey are there, for {callback.path}"


def _answers(settings: "Settings", client: "Client") -> Iterator[Found]:
    from kfstate.errors import KfstateError, UnreachableError

    try:
        found = client.accounts()
        for _ in range(2):
            if client.skew is None:  # WeCom's clock seems to be hours off: that is believed of three replies
                found = client.accounts()
    except UnreachableError as error:
        yield "wecom", False, f"{settings.api_url} cannot be reached: {error.reason}"
        return
    except KfstateError as error:
        yield from _refused(error)
        yield from _clock(client)
        return
    yield "wecom token", True, "WeCom takes corp_id and secret"
    yield "wecom IP", True, "WeCom trusts the address of this machine"
    yield from _clock(client)
    managed = [account for account in found if account.manage_privilege]
    others = ", ".join(str(account.open_kfid) for account in found if not account.manage_privilege)
    told = f"{len(managed)} of {len(found)} are managed by API"
    if others:
        told += f"; states cannot be changed, nor messages sent, for {others}: set 通过API管理 in the console"
    yield "wecom accounts", bool(managed), told
    seen = {account.open_kfid for account in found}
    for open_kfid in settings.accounts:
        if open_kfid not in seen:
            yield f"wecom account {open_kfid}", False, "the settings name it, and the app may not see it"


def _refused(error: "KfstateError") -> Iterator[Found]:
    from kfstate.errors import WecomError

    if isinstance(error, WecomError) and error.errcode == _UNTRUSTED_IP:
        yield "wecom token", True, "WeCom takes corp_id and secret"
        yield "wecom IP", False, str(error)
    elif isinstance(error, WecomError) and error.call != "gettoken":
        yield "wecom token", error.retry != "token", str(error)
    else:
        yield "wecom token", False, str(error)


def _clock(client: "Client") -> Iterator[Found]:
    if client.skew is None:
        return
    off = round(client.skew / 1_000_000)
    if abs(off) <= _MOST:
        yield "wecom clock", True, "this machine and WeCom agree on the time"
    else:
        way = "behind" if off > 0 else "ahead of"
        yield "wecom clock", False, f"this machine is {seconds(abs(off))} {way} WeCom: set its clock"
