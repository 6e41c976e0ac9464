"""``kfstate demo``: sample pages and a simulated day, then a tour of what the engine knows about them."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from kfstate.cli.context import Context, Given
from kfstate.cli.exits import DatabaseError
from kfstate.cli.ingest import show_report
from kfstate.cli.tables import CONVERSATIONS, LOAD, QUEUE, SESSIONS, STEPS

if TYPE_CHECKING:
    from kfstate.engine import Engine

__all__ = ["demo"]

NOW = 1_741_140_600
"""When the demo plays: just after the samples end, 2025-03-05 10:10 in China; in seconds."""

_SEED, _CUSTOMERS, _START = 10, 60, NOW - 26 * 3600

_CLOCK = "The demo's clock stands at"
_REAL_CLOCK = (
    "The commands below go by the real clock: by that, all these sessions have expired; --as-of-log looks past it."
)
_KEEP = "To keep the database:"
_CHINESE = {
    "Sample pages, in the shapes that WeCom documents, go into the log": "示例页面（微信文档中的格式）写入日志",
    "A simulated day of customers follows, through the same door": "随后是模拟的一天，走同一个入口",
    "Every conversation has a state, and the evidence for it": "每个会话都有状态，以及得出该状态的证据",
    "Most changes come without an event: what contradicts the log repairs it, and says why": (
        "多数状态变化没有事件通知：与日志矛盾的证据会修复状态，并说明原因"
    ),
    "Why is it in this state? The deciding entry, and the rule that took it": "为什么是这个状态？决定性记录与所用规则",
    "Who waits in the pool": "谁在接待池中排队",
    "Who serves, and whom WeCom would send customers to": "谁在接待，以及谁可以接待新客户",
    "Sessions: the episodes, with waits, servicers and ends": "会话：每一段的等待、接待人员与结束方式",
    "WeCom delivers at least once: the same pages again change nothing": "微信至少投递一次：重复写入不会改变任何东西",
    "The tables are a fold over the log: folded again, no row differs": "表是日志的折叠：重新折叠，没有一行不同",
    "The log is a hash chain: it verifies": "日志是一条哈希链：校验通过",
    _CLOCK: "演示的时钟停在",
    _REAL_CLOCK: "下面的命令使用真实时钟：对它们来说这些会话都已过期；加 --as-of-log 可查看最后一条记录时的状态。",
    _KEEP: "要保留数据库：",
}


@attrs.frozen
class _Stop:
    """A stop of the tour: what it shows, which command shows it, the answer, and how it is drawn."""

    title: str
    command: str
    answer: Any
    draw: Callable[[], None]


def demo(*, ctx: Given) -> None:
    """Take a tour: sample pages and a simulated day go into a database, then every question is asked once.

    The database is a temporary one; with --db on the command line it is that one, which must be new, and stays.

    Args:
        ctx: The settings of this run.
    """
    from kfstate.queries.views import as_json

    as_json_lines = ctx.out.json and ctx.sources["json"] in {"option", "environment"}
    with _world(ctx) as (engine, name):
        if not as_json_lines:
            ctx.out.text(f"{_say(ctx, _CLOCK)} {ctx.out.time(datetime.fromtimestamp(NOW, UTC))}.")
            ctx.out.text(_say(ctx, _REAL_CLOCK))
        for number, stop in enumerate(_tour(ctx, engine), 1):
            if as_json_lines:
                ctx.out.line({"stop": number, "command": stop.command, "answer": as_json(stop.answer)})
                continue
            ctx.out.text(f"\n{number}. {_say(ctx, stop.title)}\n   $ kfstate --db {name} {stop.command}")
            stop.draw()
    if not as_json_lines and ctx.sources["db"] != "option":
        ctx.out.text(f"\n{_say(ctx, _KEEP)} kfstate --db demo.db demo")


def _say(ctx: Context, sentence: str) -> str:
    return _CHINESE[sentence] if ctx.out.lang == "zh" else sentence


@contextmanager
def _world(ctx: Context) -> Iterator[tuple["Engine", str]]:
    """Open the database that was given on the command line, or a temporary one; and how the commands name it."""
    from kfstate.testing import FrozenClock

    with tempfile.TemporaryDirectory(prefix="kfstate-demo-") as folder:
        given = ctx.sources["db"] == "option"
        world = ctx if given else attrs.evolve(ctx, db=str(Path(folder) / "demo.db"))
        with world.writer(clock=FrozenClock.at(NOW)) as engine:
            if next(engine.conversations(limit=1), None) is not None:
                raise DatabaseError(f"{ctx.db} holds conversations: a demo wants a new database")
            yield engine, ctx.db if given else "demo.db"


def _tour(ctx: Context, engine: "Engine") -> Iterator[_Stop]:
    yield from _filling(ctx, engine)
    yield from _asking(ctx, engine)
    yield from _checking(ctx, engine)


def _filling(ctx: Context, engine: "Engine") -> Iterator[_Stop]:
    from kfstate.samples import paths

    report = engine.ingest(paths())
    title = "Sample pages, in the shapes that WeCom documents, go into the log"
    yield _Stop(title, f"ingest {paths()[0].parent}/*json", report, lambda: show_report(ctx, report))
    simulated = engine.ingest(_simulated())
    title = "A simulated day of customers follows, through the same door"
    command = f"ingest <(kfstate simulate --seed {_SEED} --conversations {_CUSTOMERS} --start {_START})"
    yield _Stop(title, command, simulated, lambda: show_report(ctx, simulated))


def _asking(ctx: Context, engine: "Engine") -> Iterator[_Stop]:
    out = ctx.out
    found = list(engine.conversations(as_of_log=True, limit=12))
    title = "Every conversation has a state, and the evidence for it"
    yield _Stop(title, "conversations --as-of-log --limit 12", found, lambda: out.table(CONVERSATIONS, found))
    pair = _repaired(engine)
    steps = engine.history(*pair)
    title = "Most changes come without an event: what contradicts the log repairs it, and says why"
    yield _Stop(title, f"history {' '.join(pair)}", steps, lambda: out.table(STEPS, steps))
    yield _why(ctx, engine)
    waiting = engine.queue()
    yield _Stop("Who waits in the pool", "queue", waiting, lambda: out.table(QUEUE, waiting))
    serving = engine.load()
    title = "Who serves, and whom WeCom would send customers to"
    yield _Stop(title, "load", serving, lambda: out.table(LOAD, serving))
    episodes = list(engine.sessions(limit=8, as_of_log=True))
    title = "Sessions: the episodes, with waits, servicers and ends"
    yield _Stop(title, "sessions --as-of-log --limit 8", episodes, lambda: out.table(SESSIONS, episodes))


def _why(ctx: Context, engine: "Engine") -> _Stop:
    from kfstate.cli.history import show_explanation
    from kfstate.queries.views import as_json

    pairs = [(view.open_kfid, view.external_userid or "") for view in engine.conversations(as_of_log=True, limit=20)]
    explained = [(pair, engine.explain(*pair, as_of_log=True)) for pair in pairs]
    repaired = [one for one in explained if one[1].transition and one[1].transition.outcome == "repaired"]
    pair, explanation = (repaired or explained)[0]
    found = as_json(explanation)
    title = "Why is it in this state? The deciding entry, and the rule that took it"
    return _Stop(title, f"explain {' '.join(pair)} --as-of-log", found, lambda: show_explanation(ctx, found))


def _checking(ctx: Context, engine: "Engine") -> Iterator[_Stop]:
    from kfstate.samples import paths

    again = engine.ingest(paths())
    title = "WeCom delivers at least once: the same pages again change nothing"
    yield _Stop(title, f"ingest {paths()[0].parent}/*json", again, lambda: show_report(ctx, again))
    checked = engine.check()
    facts = {"entries": checked.entries, "conversations": checked.conversations, "different": checked.different}
    title = "The tables are a fold over the log: folded again, no row differs"
    yield _Stop(title, "rebuild --check", facts, lambda: ctx.out.facts(facts))
    verified = engine.verify()
    damage = verified.damage
    found = {
        "status": "OK" if damage is None else f"FAIL {damage.position}: {damage.reason}",
        "entries": verified.entries,
        "chain": verified.chain.hex(),
    }
    yield _Stop("The log is a hash chain: it verifies", "verify", found, lambda: ctx.out.facts(found))


def _simulated() -> Iterator[Mapping[str, Any]]:
    """Yield what happens in the simulated world until the demo's hour."""
    from kfstate.testing import Profile, simulate

    for item in simulate(_SEED, _CUSTOMERS, profile=Profile(start=_START)):
        at = _second(item)
        if at > NOW + 3600:
            return
        if at <= NOW:
            yield item


def _second(item: Mapping[str, Any]) -> int:
    at = item.get("send_time", item.get("occurred_at", 0))
    return int(datetime.fromisoformat(at).timestamp()) if isinstance(at, str) else int(at)


def _repaired(engine: "Engine") -> tuple[str, str]:
    """Return a conversation in which something was repaired, the shortest of them; else the first one."""
    found = [view for view in engine.sessions(as_of_log=True) if view.repairs and view.external_userid]
    pairs = [(view.open_kfid, view.external_userid or "") for view in found if view.session == 1]
    return min(pairs or [_first(engine)], key=lambda pair: (len(engine.history(*pair)) < 4, len(engine.history(*pair))))


def _first(engine: "Engine") -> tuple[str, str]:
    view = next(engine.conversations())
    return view.open_kfid, view.external_userid or ""
