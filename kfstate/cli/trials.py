"""``kfstate audit gate``, ``compare`` and ``what-if``: recorded history told again, beside the log."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfstate.cli.accessing import noted
from kfstate.cli.audit import app
from kfstate.cli.context import Context, Given
from kfstate.cli.exits import Exit, UsageError
from kfstate.cli.output import Column, seconds
from kfstate.cli.times import time_of

if TYPE_CHECKING:
    from kfstate.audit.trials.kpis import Kpis
    from kfstate.audit.trials.spreading import Spreading

__all__ = ["app", "compare", "gate", "what_if"]


def _text(heading: str, name: str) -> Column:
    return Column(heading, attrgetter(name), raw=True)


_WHERE = (
    _text("account", "open_kfid"),
    _text("customer", "external_userid"),
    Column("position", attrgetter("position"), right=True),
    Column("occurred", attrgetter("at")),
    _text("kind", "kind"),
)
_CHANGED = (
    Column("change", attrgetter("change")),
    *_WHERE[:2],
    Column("session", attrgetter("session"), right=True),
    *_WHERE[2:],
    _text("reason", "why"),
    _text("accepted because", "accepted"),
)
_APART = (Column("differs", attrgetter("what")), _text("stream", "stream"), *_WHERE, _text("reason", "why"))
_KPIS = (
    Column("name", attrgetter("name")),
    Column("before", attrgetter("before"), right=True, raw=True),
    Column("after", attrgetter("after"), right=True, raw=True),
)
_SECONDS = ("wait_mean", "wait_p50", "wait_p90", "wait_max")


@app.command
def gate(
    *,
    machine: str,
    baseline: str | None = None,
    sample: float = 1.0,
    accepted: Path | None = None,
    processes: int = 1,
    journal: Path | None = None,
    ctx: Given,
) -> int:
    """Tell all recorded history by another machine: which sessions change, when first, why, and the figures.

    Leave with 1 where a session changes and no one has accepted that; with 2 where nothing was told, because a machine,
    a file or an option is wrong, or no conversation was looked at.

    Args:
        machine: The candidate: a TOML or JSON file, or the version or fingerprint of a machine that the log knows.
            A number is a version, whatever files there are.
        baseline: What it is held against, in the same way (default: the machine that is live).
        sample: The part of the conversations that is looked at, from above 0 to 1; always the same ones.
        accepted: A TOML file with the differences that are expected.
        processes: How many processes work at once.
        journal: A file that keeps what is done, so that an interrupted run goes on there.
        ctx: The settings of this run.
    """
    with ctx.reader() as engine, _spreading(ctx, processes, journal) as how:
        found = engine.audit.gate(
            _machine("--machine", machine), baseline=_machine("--baseline", baseline) if baseline else None,
            sample=sample, accepted=_there("--accepted", accepted), how=how,
        )  # fmt: skip
        noted(ctx, engine, "list", detail="gate")
    if found is None:  # pragma: no cover - nobody raises a stop here
        return Exit.INTERRUPTED
    _show(ctx, found)
    return Exit.OK if found.passed else Exit.REJECTED


@app.command
def compare(
    *,
    machine: str | None = None,
    baseline: str | None = None,
    database: str | None = None,
    sample: float = 1.0,
    processes: int = 1,
    journal: Path | None = None,
    ctx: Given,
) -> int:
    """Compare the projections with a fold of the log; or two machines; or this database with another one.

    Of each conversation, or of each stream of two databases, the first entry that is not alike is shown. Leave with 1
    where there is one; with 2 where nothing was compared, because a machine or an option is wrong.

    Args:
        machine: Compare two machines: a TOML or JSON file, or the version or fingerprint of one that the log knows.
            A number is a version, whatever files there are.
        baseline: The other machine (default: the one that is live).
        database: Compare with the database of this URL, or path of a SQLite file.
        sample: The part of the conversations that is looked at, from above 0 to 1; always the same ones.
        processes: How many processes work at once.
        journal: A file that keeps what is done, so that an interrupted run goes on there.
        ctx: The settings of this run.
    """
    from kfstate.cli.database import url_of
    from kfstate.queries.views import as_json

    if machine and database:
        raise UsageError("--machine and --database are two comparisons")
    if baseline and not machine:
        raise UsageError("--baseline goes with --machine")
    with ctx.reader() as engine, _spreading(ctx, processes, journal) as how:
        if machine:
            other = _machine("--baseline", baseline) if baseline else None
            found = engine.audit.compare_machines(
                _machine("--machine", machine), baseline=other, sample=sample, how=how
            )
        elif database:
            found = engine.audit.compare_databases(url_of(database), sample=sample, how=how)
        else:
            found = engine.audit.drift(sample=sample, how=how)
        noted(ctx, engine, "list", detail="compare")
    if found is None:  # pragma: no cover - nobody raises a stop here
        return Exit.INTERRUPTED
    if ctx.out.json:
        ctx.out.line(as_json(found))
    else:
        ctx.out.table(_APART, found.apart, foot=_foot(ctx, found))
    return Exit.OK if found.equal else Exit.REJECTED


@app.command(name="what-if")
def what_if(
    open_kfid: str | None = None,
    external_userid: str | None = None,
    *,
    inject: Path | None = None,
    machine: str | None = None,
    since: str | None = None,
    processes: int = 1,
    ctx: Given,
) -> None:
    """Tell a branch of history beside the log, with more entries or by another machine, and compare the figures.

    Args:
        open_kfid: The account of the conversation that is told; without it all are, or those of the injected entries.
        external_userid: The customer.
        inject: A file with an own entry or an element of a sync_msg page per line; each says when it happens.
        machine: A machine: a TOML or JSON file, or the version or fingerprint of one that the log knows.
            A number is a version, whatever files there are.
        since: From when on it folds, as 2026-11-22T10:00:00+08:00 (default: from the beginning).
        processes: How many processes work at once.
        ctx: The settings of this run.
    """
    if (open_kfid is None) != (external_userid is None):
        raise UsageError("a conversation is OPEN_KFID and EXTERNAL_USERID")
    if inject is None and machine is None:
        raise UsageError("--inject or --machine says what would have been otherwise")
    from kfstate.errors import EnvelopeError

    moment: datetime | None = time_of("--since", since)
    lines = {} if inject is None else dict(_lines(inject))
    chosen = None if open_kfid is None or external_userid is None else [(open_kfid, external_userid)]
    with ctx.reader() as engine, _spreading(ctx, processes, None) as how:
        try:
            found = engine.audit.what_if(
                machine=_machine("--machine", machine) if machine else None, since=moment, inject=lines.values(),
                conversations=chosen, how=how,
            )  # fmt: skip
        except EnvelopeError as error:
            line = list(lines)[error.index or 0]
            raise UsageError(f"--inject: {inject}: line {line}: {error}") from error
        noted(ctx, engine, "list", detail="what-if", open_kfid=open_kfid, external_userid=external_userid)
    if found is not None:
        _show(ctx, found)


def _machine(option: str, name: str) -> Path | str:
    """Return the file, if there is one of this name, and see that it can be read; a number is always a version."""
    path = Path(name)
    if name.isdecimal():
        return name
    if path.suffix.lower() in {".toml", ".json"} or path.is_file():
        return _there(option, path) or path
    return name


def _there(option: str, path: Path | None) -> Path | None:
    if path is not None:
        try:
            path.open("rb").close()
        except OSError as error:
            raise UsageError(f"{option}: {path}: {error.strerror}") from error
    return path


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    _there("--inject", path)
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"--inject: {path}: line {number}: {error}") from error
        if not isinstance(found, dict):
            raise UsageError(f"--inject: {path}: line {number} is no object")
        yield number, found


@contextmanager
def _spreading(ctx: Context, processes: int, journal: Path | None) -> "Iterator[Spreading]":
    from kfstate.audit.trials.spreading import Spreading

    with ctx.out.progress() as progress:
        task = progress.task_ids[0]

        def told(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, done=done)

        yield Spreading(processes=processes, journal=journal, progress=told)


def _show(ctx: Context, found: Any) -> None:
    from kfstate.queries.views import as_json

    if ctx.out.json:
        ctx.out.line(as_json(found))
        return
    ctx.out.table(_CHANGED, found.changed, foot=_foot(ctx, found))
    for reason in getattr(found, "unused", ()):
        ctx.out.note(f"{ctx.out.word('not needed')}: {reason}")
    ctx.out.table(_KPIS, list(_figures(found.before, found.after)))


def _foot(ctx: Context, found: Any) -> str:
    counts = {"conversations": found.conversations, "entries": found.entries, "known up to": found.known_at}
    if getattr(found, "cleared", 0):
        counts["payload in one place only"] = found.cleared
    return "  ".join(f"{ctx.out.word(name)}: {count}" for name, count in counts.items())


class _Figure:
    def __init__(self, name: str, before: object, after: object) -> None:
        self.name, self.before, self.after = name, before, after


def _figures(before: "Kpis", after: "Kpis") -> Iterable[_Figure]:
    from kfstate.audit.trials.kpis import Kpis
    from kfstate.queries.views import shown

    for name in shown(Kpis):
        was, now = getattr(before, name), getattr(after, name)
        if isinstance(was, Mapping):
            for key in sorted({*was, *now}):
                yield _Figure(f"{name}: {key}", was.get(key, 0), now.get(key, 0))
        elif name in _SECONDS:
            yield _Figure(name, seconds(was), seconds(now))
        else:
            yield _Figure(name, was, now)
