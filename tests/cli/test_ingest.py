"""`kfstate ingest`, `record` and `tick`: what goes into the log, and what is told about it."""

import json
from pathlib import Path
from typing import Any

import pytest

from kfstate import samples
from kfstate.testing import customer_message, page
from tests.cli.runner import kfstate

__all__: list[str] = []

REPORT = [
    "entries", "appended", "duplicates", "late", "unknown", "conflicts", "unplaced", "rejected", "problems", "position",
]  # fmt: skip
ACCOUNT, CUSTOMER = "wkTEST", "wmTEST"


def written(path: str, *pages: dict[str, Any]) -> Path:
    """Return a file with these pages, one on a line."""
    file = Path(path)
    file.write_text("".join(json.dumps(one) + "\n" for one in pages), encoding="utf-8")
    return file


def a_page(*seconds: int) -> dict[str, Any]:
    """Return a page with a message of the customer at each of these seconds."""
    return page([customer_message(ACCOUNT, CUSTOMER, second, msgid=f"m{second}") for second in seconds])


def test_report_has_the_published_names() -> None:
    """`ingest --json` prints one object with the names that others build on, and leaves with 0."""
    done = kfstate("--db", "sqlite:///new.db", "ingest", *samples.paths(), "--json")
    assert (0, REPORT) == (done.code, list(done.one))
    assert done.one["appended"] == done.one["entries"] > 0
    assert done.one["position"] > done.one["appended"]


def test_ingesting_again_appends_nothing() -> None:
    """What is in the log already is counted as duplicate, and the position stays."""
    first = kfstate("ingest", *samples.paths()).one
    again = kfstate("ingest", *samples.paths()).one
    assert (0, first["appended"], first["position"]) == (again["appended"], again["duplicates"], again["position"])


def test_default_database_is_a_file_in_this_folder() -> None:
    """Without --db the database is kfstate.db."""
    kfstate("ingest", written("page.json", a_page(1)))
    assert Path("kfstate.db").is_file()


def test_a_plain_path_is_a_database_too() -> None:
    """`--db` takes the path of a SQLite file."""
    kfstate("ingest", "--db", "plain.db", written("page.json", a_page(1)))
    assert 1 == len(kfstate("--db", "sqlite:///plain.db", "conversations").lines)


def test_standard_input() -> None:
    """A dash reads NDJSON from standard input, and problems name it so."""
    done = kfstate("ingest", "-", stdin=json.dumps(a_page(1, 2)).encode() + b"\nnonsense\n")
    assert (1, 2, ["<stdin>"]) == (done.code, done.one["appended"], [it["source"] for it in done.one["problems"]])


def test_one_bad_line_among_good_ones() -> None:
    """A line that is no JSON is rejected with its place; the lines around it are stored; the exit code is 1."""
    file = written("pages.ndjson", a_page(1), a_page(2))
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text(f"{lines[0]}\n{{oops\n{lines[1]}\n", encoding="utf-8")
    done = kfstate("ingest", file)
    assert (1, 2, 1) == (done.code, done.one["appended"], done.one["rejected"])
    (problem,) = done.one["problems"]
    assert ["source", "path", "reason"] == list(problem)
    assert (str(file), True) == (problem["source"], problem["path"].startswith("line 2"))


def test_a_truncated_file() -> None:
    """A page that was cut off is rejected, and the file after it is stored."""
    whole = written("whole.json", a_page(1))
    cut = Path("cut.json")
    cut.write_bytes(json.dumps(a_page(2)).encode()[:-20])
    done = kfstate("ingest", cut, whole)
    assert (1, 1, 1) == (done.code, done.one["appended"], done.one["rejected"])


def test_a_missing_file() -> None:
    """A file that is not there is rejected by name, and the other one is stored."""
    done = kfstate("ingest", "nowhere.json", written("whole.json", a_page(1)))
    assert (1, 1, 1) == (done.code, done.one["appended"], done.one["rejected"])
    assert {"source": "nowhere.json", "path": "$"} == {
        name: done.one["problems"][0][name] for name in ("source", "path")
    }


def test_a_folder_is_no_file() -> None:
    """A folder is rejected like a file that cannot be read."""
    Path("folder").mkdir()
    done = kfstate("ingest", "folder")
    assert (1, 1) == (done.code, done.one["rejected"])


def test_at_most_100_problems() -> None:
    """Every rejected line is counted, and the first hundred are told."""
    done = kfstate("ingest", "-", stdin=b"{}\n" * 150)
    assert (150, 100) == (done.one["rejected"], len(done.one["problems"]))


def test_nothing_to_ingest_is_a_usage_error() -> None:
    """`ingest` without a file leaves with 2."""
    done = kfstate("ingest")
    assert (2, "") == (done.code, done.out)


def test_account_places_entries_without_ids() -> None:
    """`--account` says where entries go that name no account."""
    element = customer_message(ACCOUNT, CUSTOMER, 1)
    del element["open_kfid"]
    kfstate("ingest", written("page.json", page([element])), "--account", "wkPULLED")
    assert ["wkPULLED"] == [view["open_kfid"] for view in kfstate("conversations").lines]


def test_table_on_a_terminal() -> None:
    """On a terminal the report is a table, with the problems below."""
    done = kfstate("ingest", written("page.json", a_page(1)), "nowhere.json", terminal=True)
    assert "appended" in done.out
    assert "nowhere.json" in done.out
    assert "{" not in done.out


OWN = {
    "kind": "state_changed",
    "open_kfid": ACCOUNT,
    "external_userid": CUSTOMER,
    "actor": "router",
    "service_state": 2,
    "key": "k1",
}


@pytest.mark.parametrize("way", ["argument", "file", "stdin"])
def test_record(way: str) -> None:
    """An own entry comes as an argument, in a file or through a pipe, and its position is told."""
    text = json.dumps(OWN)
    Path("own.json").write_text(text, encoding="utf-8")
    given = {"argument": [text], "file": ["own.json"], "stdin": ["-"]}[way]
    done = kfstate("record", *given, stdin=text.encode() if way == "stdin" else b"")
    assert (0, {"position": 2, "duplicate": False}) == (done.code, done.one)
    assert {"position": 2, "duplicate": True} == kfstate("record", text).one
    assert 2 == kfstate("show", ACCOUNT, CUSTOMER).one["service_state"]


@pytest.mark.parametrize("text", ["{}", '{"kind": "nonsense", "actor": "a"}', "{oops", '{"kind": 1}'])
def test_record_refuses(text: str) -> None:
    """An own entry that is none leaves with 1 and one line that says where."""
    done = kfstate("record", text)
    assert (1, "", 1) == (done.code, done.out, len(done.err.splitlines()))


def test_record_with_an_expected_version() -> None:
    """`--expected` leaves with 5 where the stream is not there, and with 2 where it is no version."""
    assert 0 == kfstate("record", json.dumps(OWN), "--expected", "new").code
    assert 5 == kfstate("record", json.dumps(OWN | {"key": "k2"}), "--expected", "7").code
    assert 2 == kfstate("record", json.dumps(OWN), "--expected", "last").code


def test_record_of_a_file_that_is_not_there() -> None:
    """A file that cannot be read leaves with 1, and no database is made."""
    done = kfstate("record", "nowhere.json")
    assert (1, False) == (done.code, Path("kfstate.db").exists())


def test_tick_makes_expiries_visible() -> None:
    """`tick` records each due expiry once."""
    kfstate("ingest", written("page.json", a_page(1_700_000_000)))
    assert [{"expired": 1}, {"expired": 0}] == [kfstate("tick").one, kfstate("tick").one]
    assert "session_expired" == kfstate("events").lines[-1]["kind"]
