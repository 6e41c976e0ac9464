"""``kfstate sync``, ``accounts`` and ``servicers``: pulling from WeCom, and whom it pulls for."""

import signal
import sys
import threading
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from kfstate.cli.context import Context, Given
from kfstate.cli.ending import told_to_end
from kfstate.cli.exits import UsageError
from kfstate.cli.listing import show_all
from kfstate.cli.live import opened
from kfstate.cli.output import Column, seconds

if TYPE_CHECKING:
    from kfstate.wecom import AccountStatus, Pulled
    from kfstate.wire import KfAccount

__all__ = ["accounts", "servicers", "sync"]

_PULLED = (
    Column("account", attrgetter("open_kfid"), raw=True),
    Column("outcome", attrgetter("outcome")),
    Column("pages", attrgetter("pages"), right=True),
    Column("entries", attrgetter("entries"), right=True),
    Column("appended", attrgetter("appended"), right=True),
    Column("duplicates", attrgetter("duplicates"), right=True),
    Column("lost", lambda pulled: pulled.gap and seconds((pulled.gap.until - pulled.gap.from_at) // 1_000_000)),
)
_ACCOUNTS = (
    Column("account", lambda row: row["open_kfid"], raw=True),
    Column("name", lambda row: row["name"], raw=True),
    Column("managed by API", lambda row: row["manage_privilege"]),
    Column("synced until", lambda row: row["synced_until"]),
    Column("lag", lambda row: None if row["lag"] is None else seconds(int(row["lag"])), right=True),
    Column("pulled by", lambda row: row["pulled_by"], raw=True),
    Column("lost since", lambda row: row["gap_from"]),
    Column("lost until", lambda row: row["gap_until"]),
)
_SERVICERS = (
    Column("servicer", attrgetter("userid"), raw=True),
    Column("department", attrgetter("department_id"), right=True),
    Column("receiving", attrgetter("receiving")),
    Column("stop type", attrgetter("stop_type"), right=True),
)


def sync(
    *,
    once: Annotated[bool, Parameter(negative="")] = False,
    follow: Annotated[bool, Parameter(negative="")] = False,
    again: Annotated[bool, Parameter(negative="")] = False,
    settings: Path | None = None,
    ctx: Given,
) -> None:
    """Pull every account from WeCom into the log: once, or on and on.

    Without a callback: by interval. Several processes may follow the same accounts: each account is pulled by one of
    them at a time. With --follow, timers and sweeps run, too; end it with Ctrl-C or SIGTERM.

    Args:
        once: Pull each account to its end and leave; this is the default.
        follow: Go on until Ctrl-C, and print every pull that brought something.
        again: Read all that WeCom keeps, 3 days, whatever was read before; it changes nothing.
        settings: A TOML file with settings; the environment goes before it.
        ctx: The settings of this run.
    """
    if once and follow:
        raise UsageError("--once and --follow exclude each other")
    if again and follow:
        raise UsageError("--again goes with --once")
    if follow:
        _follow(ctx, settings)
        return
    pulled: list[Pulled] = []
    try:
        with opened(ctx, settings, creates=True, on_pulled=pulled.append) as made:
            made.sync(again=again)
    except Exception:
        if pulled:  # one account that fails hides no other
            _show(ctx, pulled)
        raise
    _show(ctx, pulled)


def accounts(*, settings: Path | None = None, ctx: Given) -> None:
    """List the accounts that the app may see, and how far each is in step.

    What WeCom says of them is recorded where it is news.

    Args:
        settings: A TOML file with settings; the environment goes before it.
        ctx: The settings of this run.
    """
    with opened(ctx, settings, creates=True) as made:
        found = made.accounts()
        known = {status.open_kfid: status for status in made.status()}
    rows = [_account(account, known.get(str(account.open_kfid))) for account in found]
    if not ctx.out.json:
        ctx.out.table(_ACCOUNTS, rows)
        return
    from kfstate.queries.views import as_json

    for row in rows:
        ctx.out.line({name: as_json(value) for name, value in row.items()})


def servicers(open_kfid: str, *, settings: Path | None = None, ctx: Given) -> None:
    """List the servicers and departments of an account, as WeCom has them now.

    Of a department nobody but WeCom knows the members. What WeCom says is recorded where it is news.

    Args:
        open_kfid: The account.
        settings: A TOML file with settings; the environment goes before it.
        ctx: The settings of this run.
    """
    with opened(ctx, settings, creates=True) as made:
        found = made.servicers(open_kfid)
    if not ctx.out.json:
        show_all(ctx, _SERVICERS, found)
        return
    for one in found:
        facts = {"userid": one.userid, "department_id": one.department_id, "receiving": one.receiving}
        ctx.out.line({**facts, "stop_type": one.stop_type})


def _show(ctx: Context, pulled: "Sequence[Pulled]") -> None:
    pulled = sorted(pulled, key=attrgetter("open_kfid"))
    if not ctx.out.json:
        ctx.out.table(_PULLED, pulled)
        return
    for one in pulled:
        ctx.out.line(_facts(one))


def _follow(ctx: Context, settings: Path | None) -> None:
    printer = _Printer(ctx)
    with opened(ctx, settings, creates=True, on_pulled=printer) as made, told_to_end(signal.SIGTERM) as told:
        made.start()
        ctx.out.note("pulling; stop with Ctrl-C")
        while not told and not printer.gone:
            threading.Event().wait(0.2)


class _Printer:
    """Prints pulls that brought something, one at a time."""

    def __init__(self, ctx: Context) -> None:
        self.gone = False
        """Whether the reader of the output has gone away."""
        self._out = ctx.out
        self._lock = threading.Lock()

    def __call__(self, pulled: "Pulled") -> None:
        if not pulled.appended and pulled.gap is None:
            return
        with self._lock:
            try:
                if self._out.json:
                    self._out.line(_facts(pulled))
                else:
                    self._out.row(_PULLED, pulled)
                sys.stdout.flush()
            except BrokenPipeError:
                self.gone = True


def _facts(pulled: "Pulled") -> dict[str, object]:
    from kfstate.queries.views import as_json, at_time

    gap = pulled.gap
    return {
        "open_kfid": pulled.open_kfid,
        "outcome": pulled.outcome,
        "pages": pulled.pages,
        "entries": pulled.entries,
        "appended": pulled.appended,
        "duplicates": pulled.duplicates,
        "synced_until": as_json(at_time(pulled.synced_until)),
        "restarted": pulled.restarted,
        "gap_from": None if gap is None else as_json(at_time(gap.from_at)),
        "gap_until": None if gap is None else as_json(at_time(gap.until)),
    }


def _account(account: "KfAccount", status: "AccountStatus | None") -> dict[str, Any]:
    return {
        "open_kfid": account.open_kfid,
        "name": account.name,
        "manage_privilege": account.manage_privilege,
        "synced_until": status and status.synced_until,
        "lag": status and status.lag,
        "cursor_age": status and status.cursor_age,
        "pulled_by": status.pulled_by if status else "",
        "gap_from": status and status.gap_from,
        "gap_until": status and status.gap_until,
    }
