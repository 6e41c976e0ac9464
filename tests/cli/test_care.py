"""`rebuild`, `verify`, `db`, `doctor`, `config`, `machine`: whether things are as they should be."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from kfstate.machine import MACHINE
from kfstate.machine.diagram import mermaid, table
from kfstate.store import schema
from tests.cli.runner import kfstate

__all__: list[str] = []

READERS = [
    "anomalies", "fates", "codes",
    "conversations", "sessions", "show a b", "history a b", "explain a b", "queue", "load", "events", "rebuild",
    "rebuild --check", "verify", "tick", "db current", "db check", "doctor",
]  # fmt: skip
CHECKS = [
    "configuration", "database", "schema", "triggers", "projections", "machine", "head", "subscriptions", "chain",
    "clock", "cursors", "wecom settings",
]  # fmt: skip


def copied(sampled: Path) -> Path:
    """Return a copy of the database of samples that may be spoiled."""
    with sqlite3.connect(sampled) as source, sqlite3.connect("copy.db") as copy:
        source.backup(copy)
    return Path("copy.db")


def spoiled(sampled: Path, *statements: str) -> Path:
    """Return a copy of the database of samples after these statements."""
    path = copied(sampled)
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


@pytest.mark.parametrize("command", READERS)
def test_reading_creates_no_database(command: str) -> None:
    """A command that only reads leaves with 4 where there is no database, says so, and makes none."""
    done = kfstate("--db", "nowhere.db", *command.split())
    assert (4, []) == (done.code, list(Path().iterdir()))
    assert "nowhere.db" in done.err + done.out


@pytest.mark.parametrize("command", READERS)
def test_other_files_are_left_alone(command: str) -> None:
    """A database of somebody else, and a file that is none, leave with 4 and stay as they are."""
    sqlite3.connect("other.db").execute("CREATE TABLE mine (x)").connection.close()
    Path("text.db").write_text("no database at all, and much longer than the header of one" * 20, encoding="utf-8")
    for name in ("other.db", "text.db"):
        before = Path(name).read_bytes()
        done = kfstate("--db", name, *command.split())
        assert (4, before) == (done.code, Path(name).read_bytes())


def test_a_folder_that_is_not_there() -> None:
    """A database that cannot be made leaves with 4 and one line."""
    done = kfstate("--db", "no/such/folder.db", "ingest", "-")
    assert (4, 1) == (done.code, len(done.err.splitlines()))


def test_a_url_that_is_none() -> None:
    """A malformed URL leaves with 2."""
    assert 2 == kfstate("--db", "://", "conversations").code


def test_rebuild_check(sampled: Path) -> None:
    """`rebuild --check --json` prints entries, conversations and different."""
    done = kfstate("--db", sampled, "rebuild", "--check", "--json")
    assert ["entries", "conversations", "different"] == list(done.one)
    assert (0, 0) == (done.code, done.one["different"])


def test_rebuild_check_finds_what_differs(sampled: Path) -> None:
    """A row that is not what the fold gives is counted, with its table, and leaves with 1; rebuilding mends it."""
    path = spoiled(
        sampled, "UPDATE kf_conversation SET service_state = 1 WHERE stream = (SELECT MIN(stream) FROM kf_conversation)"
    )
    done = kfstate("--db", path, "rebuild", "--check")
    assert (1, 1, {"kf_conversation": 1}) == (done.code, done.one["different"], done.one["tables"])
    assert ["entries", "conversations"] == list(kfstate("--db", path, "rebuild").one)
    assert 0 == kfstate("--db", path, "rebuild", "--check").one["different"]


def test_verify(sampled: Path) -> None:
    """`verify` says that the whole log holds."""
    found = kfstate("--db", sampled, "verify").one
    assert (True, None, found["entries"]) == (found["ok"], found["damage"], found["last"])


def test_verify_finds_the_position(sampled: Path) -> None:
    """A byte that was changed behind the triggers' back is found at its position; the exit code is 1."""
    path = spoiled(sampled, "DROP TRIGGER kf_entry_update", "UPDATE kf_entry SET actor = 'x' WHERE position = 7")
    connection = sqlite3.connect(path)
    connection.execute(schema_of("kf_entry_update"))
    connection.commit()
    connection.close()
    done = kfstate("--db", path, "verify")
    assert (1, False, 7) == (done.code, done.one["ok"], done.one["damage"]["position"])


def tampered(sampled: Path, statement: str) -> Path:
    """Return a copy of the database of samples after a change that no trigger saw."""
    path = spoiled(sampled, "DROP TRIGGER kf_entry_update", "DROP TRIGGER kf_payload_update", statement)
    connection = sqlite3.connect(path)
    for trigger in ("kf_entry_update", "kf_payload_update"):
        connection.execute(schema_of(trigger))
    connection.commit()
    connection.close()
    return path


TEXT = [
    ("UPDATE kf_payload SET body = '{}' WHERE position = 5", 5),
    ("UPDATE kf_entry SET chain = 'x' WHERE position = (SELECT MAX(position) FROM kf_entry)", None),
    ("UPDATE kf_entry SET position = 9000000000000 WHERE position = 5", 5),
]


@pytest.mark.parametrize(("statement", "position"), TEXT)
def test_verify_what_sqlite_keeps(sampled: Path, statement: str, position: int | None) -> None:
    """The most natural tampering, with text where bytes belong, is damage at its position, and no bug."""
    last = kfstate("--db", sampled, "verify").one["last"]
    done = kfstate("--db", tampered(sampled, statement), "verify")
    assert (1, position or last) == (done.code, done.one["damage"]["position"])


def test_audits_name_what_sqlite_keeps(sampled: Path) -> None:
    """`prove` and `head` leave with 4, and name the position; a report is made, and says where the log is broken."""
    somebody = kfstate("--db", sampled, "conversations", "--limit", "1").one
    who = somebody["open_kfid"], somebody["external_userid"]
    at = kfstate("--db", sampled, "history", *who).lines[0]["position"]
    path = tampered(sampled, f"UPDATE kf_payload SET body = '{{}}' WHERE position = {at}")
    done = kfstate("--db", path, "audit", "prove", *who)
    assert (4, True) == (done.code, f"position={at}, reason='the payload holds" in done.err)
    assert 0 == kfstate("--db", path, "audit", "report", *who, "page.html").code
    assert f"{at}: the payload is not what was committed to" in Path("page.html").read_text(encoding="utf-8")
    path.unlink()
    done = kfstate("--db", tampered(sampled, f"UPDATE kf_entry SET leaf = 'x' WHERE position = {at}"), "audit", "head")
    assert (4, True) == (done.code, f"position={at}, reason='leaf holds" in done.err)


def test_verify_against_an_anchor(sampled: Path) -> None:
    """The anchor that `verify` prints is what `--expect` takes: a log that goes on holds, one without its end fails."""
    before = kfstate("--db", sampled, "verify").one
    longer = copied(sampled)
    own = '{"kind":"own_action","actor":"t","open_kfid":"wk","via":"recall_msg"}'
    assert 0 == kfstate("--db", longer, "record", own).code
    assert 0 == kfstate("--db", longer, "verify", "--expect", before["anchor"]).code
    after = kfstate("--db", longer, "verify").one
    done = kfstate("--db", sampled, "verify", "--expect", after["anchor"])
    assert (1, before["last"] + 1) == (done.code, done.one["damage"]["position"])
    other = kfstate("--db", sampled, "verify", "--expect", f"5:{before['chain']}")
    assert (1, 5) == (other.code, other.one["damage"]["position"])
    assert 2 == kfstate("--db", sampled, "verify", "--expect", "5").code


def test_verify_a_range(sampled: Path) -> None:
    """`--first` and `--last` verify a part of the log."""
    found = kfstate("--db", sampled, "verify", "--first", "5", "--last", "9").one
    assert (True, 5, 9, 5, 0) == (found["ok"], found["first"], found["last"], found["entries"], found["aged_out"])
    assert "9:" in kfstate("--db", sampled, "verify", "--last", "9", terminal=True).out


def schema_of(name: str) -> str:
    """Return the DDL of a trigger."""
    from kfstate.store.sqlite_triggers import SQLITE

    return SQLITE[name]


def test_db() -> None:
    """`db upgrade` creates the database; `current` and `check` agree that it is this release's."""
    head = schema.head()
    assert {"before": None, "current": head} == kfstate("db", "upgrade").one
    assert {"before": head, "current": head} == kfstate("db", "upgrade").one
    assert {"current": head, "head": head} == kfstate("db", "current").one
    assert (0, True) == ((done := kfstate("db", "check")).code, done.one["ok"])


def test_db_check_misses_a_trigger(sampled: Path) -> None:
    """`db check` leaves with 4 where a trigger is gone, and names it."""
    done = kfstate("--db", spoiled(sampled, "DROP TRIGGER kf_entry_delete"), "db", "check")
    assert (4, True) == (done.code, "kf_entry_delete" in done.err)


def test_db_sql_runs() -> None:
    """`db sql` prints SQL that makes the tables; no database is made."""
    done = kfstate("db", "sql")
    assert (0, []) == (done.code, list(Path().iterdir()))
    connection = sqlite3.connect(":memory:")
    connection.executescript(done.out)
    assert (0,) == connection.execute("SELECT COUNT(*) FROM kf_entry").fetchone()
    connection.close()


def test_doctor(sampled: Path) -> None:
    """`doctor` has a line for each check, OK or FAIL."""
    done = kfstate("--db", sampled, "doctor")
    assert [(name, "OK") for name in CHECKS] == [(line["check"], line["status"]) for line in done.lines]
    told = kfstate("--db", sampled, "doctor", terminal=True)
    assert [f"OK   {name}" for name in CHECKS] == [line.partition(":")[0] for line in told.out.splitlines()]
    assert (0, 0) == (done.code, told.code)


@pytest.mark.parametrize(
    ("failing", "code", "statement"),
    [
        ("triggers", 1, "DROP TRIGGER kf_entry_delete"),
        ("triggers", 1, "CREATE TRIGGER mine AFTER INSERT ON kf_entry BEGIN SELECT 1; END"),
        ("projections", 1, "UPDATE kf_projection SET position = position - 5"),
        ("projections", 1, "UPDATE kf_projection SET fingerprint = 'another'"),
        ("schema", 4, "UPDATE kfstate_alembic_version SET version_num = '9999'"),
        ("cursor wk", 1, "INSERT INTO kf_cursor VALUES ('', 'wk', 'c', 1, 1700000000000000)"),
    ],
    ids=["triggers", "foreign trigger", "behind", "another machine's", "newer", "old cursor"],
)
def test_doctor_finds(sampled: Path, failing: str, code: int, statement: str) -> None:
    """`doctor` fails exactly where something is wrong, and its exit code says so."""
    done = kfstate("--db", spoiled(sampled, statement), "doctor")
    assert (code, [failing]) == (done.code, [line["check"] for line in done.lines if line["status"] == "FAIL"])


def test_newer_schema_leaves_with_4(sampled: Path) -> None:
    """A database of a newer release is refused in one line that says what to do."""
    path = spoiled(sampled, "UPDATE kfstate_alembic_version SET version_num = '9999'")
    done = kfstate("--db", path, "conversations")
    assert (4, 1, True) == (done.code, len(done.err.splitlines()), "newer kfstate" in done.err)


def test_config_says_where_settings_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """`config show` names the value and the source of each setting: option before environment before default."""
    monkeypatch.setenv("KFSTATE_CORP_ID", "ww1")
    monkeypatch.setenv("KFSTATE_DB", "from-environment.db")
    monkeypatch.setenv("KFSTATE_JSON", "true")
    found = {line["name"]: line for line in kfstate("config", "show", "--db", "given.db").lines}
    assert ["name", "value", "source", "variable"] == list(found["db"])
    assert ("sqlite:///given.db", "option") == (found["db"]["value"], found["db"]["source"])
    assert ("environment", "KFSTATE_JSON") == (found["json"]["source"], found["json"]["variable"])
    assert ("", "default", "") == tuple(list(found["corp-id"].values())[1:])  # the variable is the live side's
    assert ("en", "locale") == (found["lang"]["value"], found["lang"]["source"])
    given = kfstate("config", "show", "--corp-id", "ww2").lines
    assert ("ww2", "option") == next((one["value"], one["source"]) for one in given if one["name"] == "corp-id")


def test_config_hides_passwords() -> None:
    """`config show` does not show a password."""
    assert "secret" not in kfstate("--db", "postgresql://me:secret@host/db", "config", "show").out


def test_empty_variables_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set to nothing counts as not set."""
    for name in ("KFSTATE_DB", "KFSTATE_LANG", "KFSTATE_JSON"):
        monkeypatch.setenv(name, "")
    assert {"default", "locale", "pipe"} == {line["source"] for line in kfstate("config", "show").lines}


def test_options_of_commands_as_variables(sampled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option of a command is also the variable KFSTATE_COMMAND_OPTION; the command line goes before it."""
    monkeypatch.setenv("KFSTATE_DB", str(sampled))
    monkeypatch.setenv("KFSTATE_CONVERSATIONS_LIMIT", "2")
    assert (2, 3) == (len(kfstate("conversations").lines), len(kfstate("conversations", "--limit", "3").lines))


def test_machine() -> None:
    """`machine show`, `check` and `diagram` print the table, that it is sound, and its Mermaid diagram."""
    assert table(MACHINE.spec) == kfstate("machine", "show").lines
    assert (MACHINE.fingerprint, []) == tuple(
        kfstate("machine", "check").one[name] for name in ("fingerprint", "problems")
    )
    assert mermaid(MACHINE.spec) == kfstate("machine", "diagram").out
    for command in ("show", "check"):
        assert MACHINE.fingerprint in kfstate("machine", command, terminal=True).out


def test_corporations_are_apart(sampled: Path) -> None:
    """`--corp-id` asks for the conversations of one corporation only."""
    assert [] == kfstate("--db", shutil.copy(sampled, "own.db"), "--corp-id", "other", "conversations").lines
