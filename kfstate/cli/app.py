"""The commands put together, the options that all of them have, and how a run ends."""

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Annotated, Any

from cyclopts import App, ArgumentCollection, CycloptsError, Group, Parameter
from cyclopts.config import Env

from kfstate import __version__
from kfstate.cli import (
    archive,
    callback,
    calls,
    care,
    config,
    conversations,
    db,
    demo,
    doctor,
    export,
    following,
    history,
    ingest,
    letters,
    machine,
    own,
    projections,
    reconcile,
    side,
    staffing,
    syncing,
    trials,
    wecom,
)
from kfstate.cli.context import Context, language
from kfstate.cli.exits import LARGEST, MEANINGS, Exit, UsageError, exit_of
from kfstate.cli.output import Output
from kfstate.cli.words import Lang

__all__ = ["build", "run"]

DATABASE = "sqlite:///kfstate.db"
_HELP = "What state is each WeCom KF session in, since when, and why: an event-sourced engine (微信客服会话状态)."
_SIMULATE = """Print simulated conversations as NDJSON: sync_msg pages, and own entries between them.

The same options give the same lines, on every machine. Nothing is held but the conversations going on: ten million
entries stream. Pipe it into `kfstate ingest -`."""
"""The one command that is not imported before it is run: its options are those of the simulated world."""

_sources: ContextVar[dict[str, str]] = ContextVar("sources")
"""Where the options of the present run come from."""


def build() -> App:
    """Return the application with all its commands."""
    app = App(
        name="kfstate",
        help=_HELP,
        help_epilogue="Exit codes:\n" + "\n".join(f"{code:>3}  {meaning}" for code, meaning in MEANINGS.items()),
        help_format="plaintext",
        version=__version__,
        config=(Env("KFSTATE_"), _note_sources),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    log, ask, keep, explore = (
        Group.create_ordered(name) for name in ("Into the log", "Questions", "Care", "Trying things out")
    )
    _add(app, log, syncing.sync, ingest.ingest, own.record, own.tick, reconcile.reconcile)
    _add(app, log, calls.send, calls.assign)
    _add(app, ask, conversations.conversations, conversations.show, conversations.sessions, history.history)
    _add(app, ask, history.explain, staffing.queue, staffing.load, side.anomalies, side.fates, side.codes)
    _add(app, ask, syncing.accounts, syncing.servicers)
    _add(app, keep, doctor.doctor, care.verify, care.rebuild, letters.subscriptions)
    parts = {
        log: (callback.app, calls.app),
        ask: (following.app, trials.app, export.app),
        keep: (archive.app, projections.app, letters.app, db.app, config.app, machine.app),
        explore: (wecom.app,),
    }
    for group, apps in parts.items():
        for part in apps:
            part.group = (group,)
            app.command(part)
    _add(app, explore, demo.demo)
    app.command(
        "kfstate.cli.simulate:simulate", name="simulate", help=_flowing(_SIMULATE), help_epilogue="", group=explore,
        group_parameters=Group.create_default_parameters(),
    )  # fmt: skip
    flags = Group("Help", sort_key=9_000)
    for flag in ("--help", "--version"):
        app[flag].group = (flags,)
    app.meta.group_parameters = Group("Options of every command", sort_key=10_000)
    app.meta.suppress_keyboard_interrupt = False
    app.meta.default(_launcher(app))
    return app


def _add(app: App, group: Group, *commands: Any) -> None:
    for command in commands:
        app.command(command, group=group, help=_flowing(command.__doc__), help_epilogue="")


def _flowing(docstring: str) -> str:
    """Return what a docstring says before its sections, a paragraph per line: the terminal breaks them."""
    paragraphs = docstring.partition("\n\n    Args:")[0].split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _launcher(app: App) -> Any:
    """Return what takes the options that every command has, wherever they stand, and runs the command."""

    def launch(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        db: Annotated[str, Parameter(show_env_var=False)] = DATABASE,
        corp_id: Annotated[str, Parameter(show_env_var=False)] = "",
        json: Annotated[bool, Parameter(negative="", show_env_var=False)] = False,
        lang: Annotated[Lang | None, Parameter(show_env_var=False)] = None,
    ) -> int:
        """Answer.

        Args:
            tokens: The command and its arguments.
            db: URL of the database, or path of a SQLite file (KFSTATE_DB).
            corp_id: The corporation, where one database serves several; KFSTATE_CORP_ID only says who asks WeCom.
            json: JSON on a terminal too, one object per line; a pipe gets it anyway (KFSTATE_JSON).
            lang: Language of tables and states; default: that of the locale (KFSTATE_LANG).
        """
        as_json = json or not sys.stdout.isatty()
        sources = {
            "db": "default", "corp-id": "default", "json": "pipe" if as_json else "terminal", "lang": "locale",
            **_sources.get({}),
        }  # fmt: skip
        context = Context(db, corp_id, Output(as_json, lang or language()), sources)
        try:
            command, bound, given = app.parse_args(tokens, exit_on_error=False, print_error=False)
        except ValueError as error:  # the simulated world's own checks
            raise UsageError(str(error)) from error
        for name, value in bound.arguments.items():
            if isinstance(value, int) and not -LARGEST <= value < LARGEST:
                raise UsageError(f"{name}: no database has a number such as {str(value)[:100]}")
        extra = dict.fromkeys(given, context)
        return int(command(*bound.args, **bound.kwargs, **extra) or 0)

    return launch


def _note_sources(_app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Leave out variables that are empty, and note where the options of every command come from."""
    for argument in arguments:
        # KFSTATE_CORP_ID is a setting of the live side: whoever has it keeps the same log as a service on Engine(url).
        if argument.name == "TOKENS" or (argument.name == "--corp-id" and not commands):
            argument.tokens[:] = [token for token in argument.tokens if token.source != "env"]
        if all(token.source == "env" and not token.value for token in argument.tokens):
            argument.tokens.clear()
        elif not commands and argument.name != "TOKENS":
            source = "environment" if argument.tokens[0].source == "env" else "option"
            _sources.get()[argument.name.removeprefix("--")] = source


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; errors become a line on stderr."""
    tokens = ["./-" if word == "-" else word for word in (sys.argv[1:] if arguments is None else arguments)]
    try:
        code = _run(tokens)
    except BrokenPipeError:
        _drop_output()
        return Exit.CLOSED_PIPE
    except KeyboardInterrupt:
        with suppress(BrokenPipeError):
            print("kfstate: interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    return code


def _run(tokens: list[str]) -> int:
    _sources.set({})
    try:
        code = int(build().meta(tokens, exit_on_error=False, print_error=False) or 0)
        sys.stdout.flush()
    except CycloptsError as error:
        return _leave(Exit.USAGE, " ".join(f"{error}; see `kfstate --help`".split()))
    except (BrokenPipeError, SystemExit):
        raise
    except Exception as error:  # noqa: BLE001 (the last place that can tell the user)
        found = exit_of(error)
        if found is None:
            traceback.print_exc()
            return _leave(Exit.BUG, f"a bug in kfstate: {type(error).__name__}: {error}")
        return _leave(*found)
    return code


def _leave(code: Exit, line: str) -> int:
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    print(f"kfstate: {line}", file=sys.stderr)
    return code


def _drop_output() -> None:
    """Point stdout nowhere, so that the interpreter does not complain when it flushes it at the end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
