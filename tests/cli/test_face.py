"""The command line as a whole: help, documents, pipes and terminals, exit codes, how fast it answers."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cyclopts import App

import kfstate as package
from kfstate.cli import exits
from kfstate.cli.app import build
from tests.cli.runner import ROOT, kfstate

__all__: list[str] = []

CALL = [sys.executable, "-W", "error", "-m", "kfstate"]
DOCUMENT = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
TOP = [
    "accounts", "anomalies", "archive", "assign", "audit", "callback", "codes", "config", "conversations", "db",
    "dead-letters", "demo", "doctor", "events", "explain", "export", "fates", "history", "ingest", "load", "machine",
    "projections", "queue", "rebuild", "reconcile", "record", "send", "servicers", "sessions", "show", "simulate",
    "state", "subscriptions", "sync", "tick", "verify", "wecom",
]  # fmt: skip


def commands(app: App | None = None, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return every command as its words."""
    found: list[tuple[str, ...]] = []
    app = app or build()
    for name in app:
        if not name.startswith("-"):
            below = commands(app[name], (*above, name))
            found += below
            if not below or app[name].default_command is not None:
                found.append((*above, name))
    return found


COMMANDS = sorted(commands())
NAMES = [" ".join(words) for words in COMMANDS]


def section(name: str) -> str:
    """Return what the document says about a command."""
    return DOCUMENT.partition(f"\n### `kfstate {name}`\n")[2].partition("\n## ")[0].partition("\n### ")[0]


def test_commands() -> None:
    """These are the commands."""
    assert TOP == sorted({words[0] for words in COMMANDS})
    assert {"machine show", "machine check", "machine diagram"} <= set(NAMES)
    assert {"db upgrade", "db current", "db check", "db sql", "config show"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_help(name: str) -> None:
    """Every command has help, and leaves with 0."""
    done = kfstate(*name.split(), "--help")
    assert (0, "") == (done.code, done.err)
    assert f"Usage: kfstate {name}" in done.out
    assert len(done.out.splitlines()) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_commands_are_documented(name: str) -> None:
    """docs/reference/cli.md has a section for every command, with every option that its help shows."""
    told = section(name)
    assert told
    options = set(
        re.findall(r"--[a-z][a-z-]+", kfstate(*name.split(), "--help").out.partition("╭─ Options of every")[0])
    )
    assert set() == {option for option in options if f"`{option}" not in told and f" {option}" not in told}


def test_options_of_every_command_are_documented() -> None:
    """docs/reference/cli.md names the options of every command with their variables."""
    for name in ("db", "corp-id", "json", "lang"):
        assert f"| `--{name}`" in DOCUMENT
        assert name == "corp-id" or f"| `KFSTATE_{name.upper()}`" in DOCUMENT


def test_exit_codes_are_documented() -> None:
    """The exit codes stand in one table in docs/reference/cli.md, and in `--help`."""
    told = kfstate("--help").out
    for code, meaning in exits.MEANINGS.items():
        assert f"| {int(code)} | {meaning} |" in DOCUMENT
        assert re.search(rf"^ *{int(code)}  {re.escape(meaning[:20])}", told, re.MULTILINE)
    assert set(exits.Exit) == set(exits.MEANINGS)


def test_no_command_prints_help() -> None:
    """Without a command the help is printed."""
    assert (0, kfstate("--help").out) == ((done := kfstate()).code, done.out)


def test_version() -> None:
    """`--version` prints the version."""
    assert f"{package.__version__}\n" == kfstate("--version").out


@pytest.mark.parametrize(
    "words", [["nonsense"], ["ingest", "--nonsense"], ["show", "one"], ["--lang", "fr", "queue"], ["db", "x"]]
)
def test_usage_errors(words: list[str]) -> None:
    """A command line that is wrong leaves with 2, prints nothing, and says in one line what is wrong."""
    done = kfstate(*words)
    assert (2, "", 1) == (done.code, done.out, len(done.err.splitlines()))
    assert done.err.startswith("kfstate: ")


def test_help_waits_for_no_database_layer() -> None:
    """`--help` loads neither SQLAlchemy nor transitions nor Alembic."""
    code = "import sys; from kfstate.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
        ).stderr.split()
    )
    assert set() == loaded & {"sqlalchemy", "transitions", "alembic", "sqlite3", "kfstate.engine", "kfstate.testing"}


def test_bugs_are_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw leaves with 70, and with its traceback."""
    monkeypatch.setattr("kfstate.cli.context.must_exist", lambda _url: 1 / 0)
    done = kfstate("conversations")
    assert (70, True, True) == (done.code, "Traceback" in done.err, "a bug in kfstate" in done.err)


def run(*words: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own."""
    return subprocess.run([*CALL, *words], check=False, capture_output=True, cwd=ROOT, **options)  # type: ignore[call-overload,no-any-return]


def test_a_process_of_its_own(sampled: Path) -> None:
    """The command leaves with its code, and warns of nothing."""
    found = run("--db", str(sampled), "conversations")
    assert (0, b"") == (found.returncode, found.stderr)
    assert 3 == run("--db", str(sampled), "show", "a", "b").returncode


def test_a_pipe_that_closes(sampled: Path) -> None:
    """When the reader goes away the command ends quietly with 141."""
    with subprocess.Popen(
        [*CALL, "--db", str(sampled), "events"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"" == process.stderr.read()
    assert 141 == process.wait()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_disk_that_is_full() -> None:
    """Output that cannot be written is no bug of ours: it is said in one line."""
    environment = os.environ | {"PYTHONUNBUFFERED": ""}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*CALL, "machine", "check"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
            check=False,
        )
    assert (2, "kfstate: the output cannot be written (No space left on device)\n") == (done.returncode, done.stderr)


def test_interrupted() -> None:
    """Ctrl-C ends a command with 130 and one line."""
    with subprocess.Popen(
        [*CALL, "simulate", "--conversations", "1000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert b"kfstate: interrupted\n" == process.stderr.read()
    assert 130 == process.wait()


def on_a_terminal(*words: str, **environment: str) -> tuple[int, str]:
    """Run the command on a pseudo-terminal; return its exit code and all that it wrote there."""
    import pty

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*CALL, *words], stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, env={**os.environ, **environment}
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                some = os.read(ours, 65536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not some:
                break
            written += some
    os.close(ours)
    return process.wait(), written.decode()


def test_colours_on_a_terminal_only(sampled: Path) -> None:
    """A terminal gets colours, unless NO_COLOR is set; a pipe gets none."""
    words = ("--db", str(sampled), "conversations", "--as-of-log")
    code, coloured = on_a_terminal(*words, TERM="xterm-256color")
    assert (0, True) == (code, "\x1b[" in coloured)
    assert "\x1b[" not in on_a_terminal(*words, TERM="xterm-256color", NO_COLOR="1")[1]
    assert b"\x1b[" not in run(*words).stdout


def test_progress_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal `ingest` shows how far it is; in a pipe it says nothing on stderr."""
    pages = tmp_path / "pages.ndjson"
    pages.write_bytes(run("simulate", "--conversations", "5").stdout)
    code, told = on_a_terminal("--db", str(tmp_path / "a.db"), "ingest", str(pages), TERM="xterm-256color")
    assert (0, True) == (code, "pages.ndjson" in told)
    assert b"" == run("--db", str(tmp_path / "a.db"), "ingest", str(pages)).stderr


def test_chinese_columns_line_up(sampled: Path) -> None:
    """In a Chinese table every row is as wide as the rule below its heading, counted in columns of the terminal."""
    from rich.cells import cell_len

    lines = kfstate("--db", sampled, "load", "--lang", "zh", terminal=True).out.splitlines()
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines if line.strip()]
    assert {cell_len(plain[0])} == {cell_len(line) for line in plain}
