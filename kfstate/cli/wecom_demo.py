"""``kfstate wecom demo``: a server in place of WeCom, the live side, a small router, and a table of what changes."""

import secrets
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from operator import attrgetter
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING, Any

import attrs

from kfstate.cli.context import Context, Given
from kfstate.cli.ending import rest, told_to_end
from kfstate.cli.exits import DatabaseError, Exit, UsageError
from kfstate.cli.output import Column
from kfstate.concurrency import THREADS
from kfstate.errors import KfstateError, SendRefusedError, StateChangeRefusedError
from kfstate.service_state import KfServiceState

if TYPE_CHECKING:
    from kfstate.engine import Engine
    from kfstate.feed import Event
    from kfstate.queries.views import ConversationView
    from kfstate.testing import FakeWecom
    from kfstate.wecom import Live

__all__ = ["AES_KEY", "TOKEN", "check_numbers", "demo"]

TOKEN = "kfstateMadeUpToken"  # noqa: S105 (of a server that is made up)
AES_KEY = "kfstateMadeUpKey0123456789abcdefghijklmnopq"
_CAPACITY = 2
_NOT_STARTED = KfServiceState.FINISHED
_ENDS = 10.0
"""Seconds in which what is on its way has to arrive at the end."""
_SETTLES = 2.1
"""Seconds after which a reading lies in a later second than all that was told: within one, nobody knows the order."""
_SWEEPS = 10


@attrs.frozen
class _Row:
    """A conversation as the engine has it, and as the server does."""

    view: "ConversationView"
    there: tuple[KfServiceState, str]

    @property
    def agrees(self) -> bool:
        """Whether that is the same."""
        return self.there == (self.view.service_state, self.view.servicer_userid or "")


_COLUMNS = (
    Column("customer", lambda row: f"…{row.view.external_userid[-8:]}", raw=True, whole=True),
    Column("session", attrgetter("view.session"), right=True),
    Column("state", attrgetter("view.service_state"), whole=True),
    Column("servicer", attrgetter("view.servicer_userid"), raw=True),
    Column("evidence", attrgetter("view.evidence")),
    Column("doubt", attrgetter("view.doubt")),
    Column("at the server", lambda row: row.there[0], whole=True),
    Column("equal", attrgetter("agrees")),
)


def demo(
    *,
    customers: int = 8,
    servicers: int = 2,
    pause: float = 0.3,
    deeds: int = 200,
    misbehave: float = 0.0,
    seed: str = "",
    ctx: Given,
) -> int:
    """Watch the whole loop: customers of a made-up WeCom write, callbacks come, states change, a router answers.

    Everything runs in this process, over real HTTP with encrypted callbacks. At the end, or after Ctrl-C, each state is
    held against the server's own; leaves with 1 where one differs. The database is a temporary one; with --db on the
    command line it is that one, which must be new, and stays. Needs the extra `server`.

    Args:
        customers: How many customers there are.
        servicers: How many servicers, from 1 to 10.
        pause: Seconds between two deeds.
        deeds: How many things customers and servicers do.
        misbehave: How much goes wrong by chance: 0.05 is a lot.
        seed: Decides what customers and servicers do; each start has another one.
        ctx: The settings of this run.
    """
    check_numbers(customers, servicers, pause, misbehave)
    try:
        import uvicorn  # noqa: F401 (asked whether it is there)
    except ImportError as error:
        raise UsageError("wecom demo needs an extra: pip install 'kfstate[server]'") from error
    from kfstate.testing import FakeWecom, Life, Misbehaviour

    seed = seed or secrets.token_hex(4)
    wrong = attrs.evolve(Misbehaviour.everything(misbehave), seed=seed, limited=0.0)  # a limit outlasts the demo
    with ExitStack() as stack:
        wecom = stack.enter_context(FakeWecom(misbehave=wrong))
        life = Life(wecom, account=wecom.account("演示"), seed=seed, customers=customers, servicers=servicers)
        engine = stack.enter_context(_database(ctx))
        live = stack.enter_context(_live(engine, wecom))
        url = stack.enter_context(_served(live))
        stack.enter_context(engine.subscribe("demo-router", partial(_route, live), transactional=False))
        wecom.callback(url, token=TOKEN, aes_key=AES_KEY, check=True)
        live.start()
        with told_to_end(signal.SIGINT) as told, _shown(ctx, engine, wecom) as show:
            for done in range(1, deeds + 1):
                while not told and life.next() is None:
                    continue
                if told:
                    break
                rest(pause, told)
                show(done)
        return _end(ctx, live, wecom)


def check_numbers(customers: int, servicers: int, pause: float, misbehave: float) -> None:
    """Refuse numbers that make no sense, and a package without the extra."""
    ranges = {"customers": (customers, 1, 10_000), "servicers": (servicers, 1, 10), "pause": (pause, 0, 3600)}
    for name, (value, least, most) in (ranges | {"misbehave": (misbehave, 0, 1)}).items():
        if not least <= value <= most:
            raise UsageError(f"--{name}: {value} is not from {least} to {most}")
    try:
        import kfstate.wecom.http  # noqa: F401 (asked whether it is there)
    except ImportError as error:
        raise UsageError("this needs an extra: pip install 'kfstate[wecom]'") from error


# Putting it together


@contextmanager
def _database(ctx: Context) -> Iterator["Engine"]:
    """Open the database that was given on the command line, or a temporary one."""
    with tempfile.TemporaryDirectory(prefix="kfstate-demo-") as folder:
        given = ctx.sources["db"] == "option"
        world = ctx if given else attrs.evolve(ctx, db=str(Path(folder) / "demo.db"))
        with world.writer() as engine:
            if next(engine.conversations(limit=1), None) is not None:
                raise DatabaseError(f"{ctx.db} holds conversations: a demo wants a new database")
            yield engine


def _live(engine: "Engine", wecom: "FakeWecom") -> "Live":
    from kfstate.wecom import Live, Settings
    from kfstate.wecom.settings import CallbackSettings, SyncSettings

    settings = Settings(
        corp_id=wecom.corp_id, secret=wecom.secret, api_url=wecom.url, timeout=2.0,
        callback=CallbackSettings(token=TOKEN, aes_key=AES_KEY), sync=SyncSettings(interval=2.0),
    )  # fmt: skip
    return Live(engine, settings)


@contextmanager
def _served(live: "Live") -> Iterator[str]:
    """Serve the callback's URL, and give it."""
    import uvicorn

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        asgi: Any = live.app()
        server = uvicorn.Server(uvicorn.Config(asgi, log_config=None, access_log=False, lifespan="on"))
        running = THREADS.spawn(partial(server.run, [listening]), name="kfstate-demo-callback")
        yield f"http://127.0.0.1:{listening.getsockname()[1]}{live.settings.callback.path}"
        server.should_exit = True
        running.join(5)


def _route(live: "Live", event: "Event") -> None:
    """Answer the first message of a session, and give who goes on writing to a servicer, or into the pool."""
    entry = event.entry
    if entry.kind != "customer_message" or entry.external_userid is None:
        return
    ids, key = (entry.open_kfid, entry.external_userid), str(entry.position)
    state = live.engine.state(*ids).service_state
    with suppress(SendRefusedError, StateChangeRefusedError):  # somebody else was quicker
        if state == KfServiceState.UNTREATED:
            live.send(*ids, {"msgtype": "text", "text": {"content": "您好，我是机器人"}}, key=key, actor="demo")
        elif state == KfServiceState.ROBOT:
            live.assign(*ids, capacity=_CAPACITY, key=key, actor="demo")


# Showing it


@contextmanager
def _shown(ctx: Context, engine: "Engine", wecom: "FakeWecom") -> Iterator[Callable[[int], None]]:
    """Give what shows how things stand: a table that changes in its place, or a line for each change."""
    if not ctx.out.json:
        with ctx.out.screen() as screen:
            yield lambda done: screen(_COLUMNS, _rows(engine, wecom), foot=_counted(ctx, engine, wecom, done))
        return
    from kfstate.queries.views import as_json

    seen: dict[tuple[str, str | None], int | None] = {}

    def lines(_done: int) -> None:
        for row in _rows(engine, wecom):
            view = row.view
            if seen.get((view.open_kfid, view.external_userid)) != view.position:
                seen[view.open_kfid, view.external_userid] = view.position
                ctx.out.line(as_json(view))

    yield lines


def _rows(engine: "Engine", wecom: "FakeWecom") -> list[_Row]:
    there = wecom.states()
    views = engine.conversations()
    return [_Row(view, there[view.open_kfid, view.external_userid or ""]) for view in views]


def _counted(ctx: Context, engine: "Engine", wecom: "FakeWecom", done: int) -> str:
    told = {"deeds": done, "callbacks": len(wecom.posted), "calls": len(wecom.calls), "entries": engine.position()}
    return "  ".join(f"{ctx.out.word(name)} {count}" for name, count in told.items())


def _end(ctx: Context, live: "Live", wecom: "FakeWecom") -> int:
    """Let arrive what is on its way, read every state back, and hold all of them against the server's."""
    engine = live.engine
    wecom.wait_for_callbacks(_ENDS)
    for _ in range(round(_ENDS / 0.1)):
        with suppress(KfstateError):
            live.sync()
        if all(view.lag == 0 for view in engine.subscriptions()):
            break
        Flag().wait(0.1)
    live.stop()
    Flag().wait(_SETTLES)
    repaired = 0
    for _ in range(_SWEEPS):
        with _live(engine, wecom) as other:  # one that puts off no reading because an earlier one failed
            sweep = other.reconcile(everything=True, readings=100_000)
        repaired += len(sweep.repaired)
        if sweep.outcome == "complete" and not sweep.failed and not sweep.left:
            break
        Flag().wait(0.3)
    rows = {(row.view.open_kfid, row.view.external_userid): row for row in _rows(engine, wecom)}
    missed = [key for key, there in wecom.states().items() if key not in rows and there.service_state != _NOT_STARTED]
    different = len(missed) + sum(not row.agrees for row in rows.values())
    facts = {
        "conversations": len(rows), "different": different, "repaired": repaired, "entries": engine.position(),
        "callbacks": len(wecom.posted), "calls": len(wecom.calls),
        "anomalies": sum(1 for _ in engine.anomalies()),
    }  # fmt: skip
    if ctx.out.json:
        ctx.out.line(facts)
    else:
        ctx.out.table(_COLUMNS, rows.values())
        ctx.out.facts(facts)
    return Exit.REJECTED if different else Exit.OK
