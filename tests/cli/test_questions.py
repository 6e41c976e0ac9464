"""`conversations`, `show`, `sessions`, `history`, `explain`, `queue`, `load`, `events`: names, filters, pages."""

import json
from pathlib import Path
from typing import Any

import pytest

from kfstate.clock import SECOND, SystemClock
from kfstate.testing import customer_message, page
from tests.cli.runner import kfstate

__all__: list[str] = []

CONVERSATION = [
    "open_kfid", "external_userid", "service_state", "state", "servicer_userid", "previous_servicer_userid", "session",
    "session_id", "opened_by", "since", "queued_since", "evidence", "doubt", "position", "last_customer_message_at",
    "expires_at", "synced_until", "machine", "rejected", "send_window",
]  # fmt: skip
STEP = [
    "position", "kind", "occurred_at", "recorded_at", "outcome", "before", "after", "servicer_before",
    "servicer_after", "session", "reason", "evidence", "doubt",
]  # fmt: skip
STATES = {"untreated", "robot", "queue", "manual", "finished"}
SHOP1, HE = "wkSAMPLE0000000000000000000SHOP1", "wmSAMPLE0000000000000HeXiansheng"
SHOP2, SUN = "wkSAMPLE0000000000000000000SHOP2", "wmSAMPLE0000000000000000SunNvshi"


def test_conversations_have_the_published_names(sampled: Path) -> None:
    """`conversations --json` prints an object per conversation, with the names that others build on."""
    done = kfstate("--db", sampled, "conversations", "--json")
    assert 0 == done.code
    for view in done.lines:
        assert CONVERSATION == list(view)
        assert ["used", "left", "until"] == list(view["send_window"])
        assert view["state"] in STATES


def test_times_are_iso_8601_in_utc(sampled: Path) -> None:
    """Times in JSON are ISO 8601 in UTC."""
    view = kfstate("--db", sampled, "show", SHOP1, HE).one
    assert "2025-03-03T04:32:10Z" == view["since"]


def test_show_is_a_line_of_conversations(sampled: Path) -> None:
    """`show` prints the same object as `conversations`."""
    for option in ((), ("--as-of-log",)):
        for view in kfstate("--db", sampled, "conversations", *option).lines:
            assert view == kfstate("--db", sampled, "show", view["open_kfid"], view["external_userid"], *option).one


def test_now_and_as_of_log(sampled: Path) -> None:
    """An expiry that is due is applied, unless the state as of the last entry is asked for."""
    now = kfstate("--db", sampled, "show", SHOP2, SUN).one
    then = kfstate("--db", sampled, "show", SHOP2, SUN, "--as-of-log").one
    assert ("finished", "expiry_presumed", "manual") == (now["state"], now["doubt"], then["state"])


def test_unknown_conversation(sampled: Path) -> None:
    """A conversation of which nothing is known leaves with 3 and one line on stderr."""
    for command in ("show", "history", "explain"):
        done = kfstate("--db", sampled, command, SHOP1, "wmNOBODY", "--json")
        assert (3, "", 1) == (done.code, done.out, len(done.err.splitlines()))
        assert "wmNOBODY" in done.err


@pytest.mark.parametrize("state", sorted(STATES))
def test_filter_by_state(sampled: Path, state: str) -> None:
    """`--state` gives exactly the conversations in that state."""
    every = kfstate("--db", sampled, "conversations", "--as-of-log").lines
    found = kfstate("--db", sampled, "conversations", "--as-of-log", "--state", state).lines
    assert [view for view in every if view["state"] == state] == found


def test_other_filters(sampled: Path) -> None:
    """`--account`, `--servicer` and `--doubt` give exactly those they name."""
    every = kfstate("--db", sampled, "conversations", "--as-of-log").lines
    for option, wanted in {
        ("--account", SHOP2): [view for view in every if view["open_kfid"] == SHOP2],
        ("--servicer", "TangWei"): [view for view in every if view["servicer_userid"] == "TangWei"],
        ("--doubt", "first_seen"): [view for view in every if view["doubt"] == "first_seen"],
        ("--doubt", "any"): [view for view in every if view["doubt"] != "none"],
    }.items():
        assert wanted
        assert wanted == kfstate("--db", sampled, "conversations", "--as-of-log", *option).lines


def test_pages_of_conversations(sampled: Path) -> None:
    """Following the cursors on stderr gives every conversation once, in order; the last page has none."""
    every = kfstate("--db", sampled, "conversations").lines
    pages: list[list[dict[str, Any]]] = []
    cursor: str | None = ""
    while cursor is not None:
        done = kfstate("--db", sampled, "conversations", "--limit", 3, *(("--after", cursor) if cursor else ()))
        pages.append(done.lines)
        cursor = done.err.partition("--after ")[2].strip() or None
    assert every == [view for found in pages for view in found]
    assert {3} == {len(found) for found in pages[:-1]}
    last = pages[0][-1]
    first = kfstate("--db", sampled, "conversations", "--limit", 3)
    assert first.err.endswith(f"--after {last['external_userid']}/{last['open_kfid']}\n")


def test_pages_of_sessions(sampled: Path) -> None:
    """Sessions are paged by cursors of three parts."""
    every = kfstate("--db", sampled, "sessions").lines
    first = kfstate("--db", sampled, "sessions", "--limit", 2)
    rest = kfstate("--db", sampled, "sessions", "--after", first.err.partition("--after ")[2].strip())
    assert every == first.lines + rest.lines


def test_ids_with_any_printable_character() -> None:
    """A cursor can be split again, whatever stands in the ids."""
    ids = ["a/b", "a%2Fb", "c d", "wm"]
    lines = [json.dumps(page([customer_message("wk/1", name, 1_700_000_000, msgid=name)])) for name in ids]
    kfstate("ingest", "-", stdin="\n".join(lines).encode())
    found: list[str] = []
    cursor: tuple[str, ...] = ()
    for _ in ids:
        done = kfstate("conversations", "--limit", 1, *cursor)
        found += [view["external_userid"] for view in done.lines]
        cursor = ("--after", done.err.partition("--after ")[2].strip())
    assert sorted(ids) == found


@pytest.mark.parametrize(
    "words",
    [
        "export ndjson log --until 0", "export ndjson --until -1", "archive export log --until 0",
        "audit access --limit 0", "audit access --limit -1", "events --limit 0", "events --after -1",
        "anomalies --limit 0", "fates --limit 0", "fates --after -1", "codes --limit 0", "codes --after -1",
        "conversations --older-than -1", "sessions --limit -1", "reconcile --readings 0", "verify --first 0",
        "verify --last 0", "assign wk wm --capacity -1",
    ],
)  # fmt: skip
def test_numbers_too_small(sampled: Path, tmp_path: Path, words: str) -> None:
    """They leave with 2 and one line on stderr that names them, print nothing, and make no file."""
    done = kfstate("--db", sampled, *words.split())
    assert (2, "", 1) == (done.code, done.out, len(done.err.splitlines())), done
    name, number = words.split()[-2:]
    assert name.removeprefix("--") in done.err
    assert number in done.err
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [
        ("--after", "one"), ("--after", "a/b/c"), ("--after", "/b"), ("--limit", "0"), ("--limit", "many"),
        ("--state", "asleep"), ("--doubt", "grave"), ("--nonsense",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_options(sampled: Path, options: tuple[str, ...]) -> None:
    """Options that make no sense leave with 2, one line on stderr, and print nothing."""
    done = kfstate("--db", sampled, "conversations", *options)
    assert (2, "", 1) == (done.code, done.out, len(done.err.splitlines()))


def test_sessions(sampled: Path) -> None:
    """Sessions tell their times, waits, servicers and ends; filters pick them."""
    mine = kfstate("--db", sampled, "sessions", "--account", SHOP1, "--customer", HE).lines
    assert [(1, "customer"), (2, "reaccess")] == [(view["session"], view["opened_by"]) for view in mine]
    assert {"opened_at", "queue_seconds", "taken_at", "ended_at", "ended_by", "servicers"} <= set(mine[0])
    assert [["GaoMing"], ["GaoMing"]] == [[span["servicer_userid"] for span in view["servicers"]] for view in mine]
    every = kfstate("--db", sampled, "sessions", "--as-of-log").lines
    running = kfstate("--db", sampled, "sessions", "--as-of-log", "--running").lines
    ended = kfstate("--db", sampled, "sessions", "--as-of-log", "--ended").lines
    assert all(view["ended_at"] is None for view in running)
    assert (len(every), True) == (len(running) + len(ended), bool(running))


def test_history_as_of_the_log(sampled: Path) -> None:
    """With `--as-of-log` the history ends with the last entry; without, an expiry that is due now may follow."""
    who, *_ = kfstate("--db", sampled, "conversations", "--evidence", "timer").lines
    ids = who["open_kfid"], who["external_userid"]
    now = kfstate("--db", sampled, "history", *ids).lines
    log = kfstate("--db", sampled, "history", *ids, "--as-of-log").lines
    assert (None, now[:-1]) == (now[-1]["position"], log)


def test_conversations_by_evidence_and_age(sampled: Path) -> None:
    """`--evidence` and `--older-than` find what the listing shows; what is no evidence or age leaves with 2."""
    every = kfstate("--db", sampled, "conversations").lines
    words = {view["evidence"] for view in every}
    assert len(every) == sum(len(kfstate("--db", sampled, "conversations", "--evidence", word).lines) for word in words)
    assert every == kfstate("--db", sampled, "conversations", "--older-than", 0).lines
    assert [] == kfstate("--db", sampled, "conversations", "--older-than", 10**9).lines
    for wrong in (["--evidence", "rumour"], ["--older-than=-1"]):
        assert 2 == kfstate("--db", sampled, "conversations", *wrong).code


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("anomalies", ["open_kfid", "external_userid", "position", "kind", "entry", "at"]),
        ("fates", ["open_kfid", "external_userid", "position", "msgid", "fate", "fail_type", "at", "message"]),
        (
            "codes --all",
            [
                "open_kfid", "external_userid", "position", "code", "scene", "given_at", "valid_until", "only_state",
                "used", "usable",
            ],
        ),
    ],
)  # fmt: skip
def test_beside_the_states(sampled: Path, command: str, names: list[str]) -> None:
    """`anomalies`, `fates` and `codes` print all, page by page the same; on a terminal a table says how to go on."""
    words = command.split()
    every = kfstate("--db", sampled, *words).lines
    assert names == list(every[0])
    paged, after = [], list[str]()
    while (done := kfstate("--db", sampled, *words, "--limit", 1, *after)).lines:
        paged += done.lines
        if not done.err:
            break
        after = done.err.split()[-2:]
    assert every == paged
    table = kfstate("--db", sampled, *words, "--limit", 1, terminal=True).out
    assert ("--after" in table) is (len(every) > 1)


def test_a_cursor_that_is_none(sampled: Path) -> None:
    """A cursor is one that a page printed."""
    assert 2 == kfstate("--db", sampled, "anomalies", "--after", "nonsense").code
    assert 2 == kfstate("--db", sampled, "fates", "--after", "nonsense").code


def test_history(sampled: Path) -> None:
    """`history --json` prints the steps with the names that others build on, in the order of the fold."""
    steps = kfstate("--db", sampled, "history", SHOP1, HE, "--json").lines
    assert [STEP] * len(steps) == [list(step) for step in steps]
    assert ["moved", "repaired"] == [step["outcome"] for step in steps[:2]]
    assert ("untreated", "manual", "GaoMing") == tuple(steps[1][name] for name in ("before", "after", "servicer_after"))
    assert "queue" in steps[1]["reason"]


def test_explain(sampled: Path) -> None:
    """`explain --json` prints one object: the deciding entry with its payload, the transition, and what is missing."""
    found = kfstate("--db", sampled, "explain", SHOP1, HE, "--json").one
    assert ["entry", "transition", "missing", "reason", "doubt"] == list(found)
    assert (3, "SampleReaccess000000000009") == (
        found["entry"]["payload"]["event"]["change_type"], found["entry"]["payload"]["msgid"]
    )  # fmt: skip
    assert ("manual", "finished") == (found["transition"]["before"], found["transition"]["after"])


def test_queue_and_load() -> None:
    """`queue` lists who waits now, and `load` whom a servicer serves."""
    now = SystemClock().now() // SECOND
    own = {"open_kfid": "wk", "actor": "router", "kind": "state_changed"}
    lines = [
        json.dumps(page([customer_message("wk", name, now - 60) for name in ("wmA", "wmB")])),
        json.dumps(own | {"external_userid": "wmA", "service_state": 2}),
        json.dumps(own | {"external_userid": "wmB", "service_state": 3, "servicer_userid": "li"}),
    ]
    assert 0 == kfstate("ingest", "-", stdin="\n".join(lines).encode()).code
    assert ["wmA"] == [view["external_userid"] for view in kfstate("queue", "--account", "wk").lines]
    assert [] == kfstate("queue", "--account", "other").lines
    assert [("li", 1)] == [(view["servicer_userid"], view["open_sessions"]) for view in kfstate("load").lines]


def test_events(sampled: Path) -> None:
    """`events` prints the log in order of position, from any position on."""
    every = kfstate("--db", sampled, "events").lines
    assert list(range(1, len(every) + 1)) == [entry["position"] for entry in every]
    assert every[5:8] == kfstate("--db", sampled, "events", "--after", 5, "--limit", 3).lines


@pytest.mark.parametrize(
    "command",
    ["conversations", "sessions", "queue", "load", "events", f"show {SHOP1} {HE}", f"history {SHOP1} {HE}",
     f"explain {SHOP1} {HE}", "rebuild --check", "verify", "doctor", "db current", "db check"],
)  # fmt: skip
def test_tables_on_a_terminal(sampled: Path, command: str) -> None:
    """On a terminal people get tables, with `--json` the same objects as in a pipe."""
    table = kfstate("--db", sampled, *command.split(), terminal=True)
    assert (0, "") == (table.code, table.err)
    assert not table.out.startswith("{")
    piped = kfstate("--db", sampled, *command.split())
    if command not in ("queue", "doctor"):
        assert piped.out
        assert piped.out == kfstate("--db", sampled, "--json", *command.split(), terminal=True).out


def test_counts_on_a_terminal(sampled: Path) -> None:
    """Below the table of conversations stands how many there are in each state, and how to go on."""
    table = kfstate("--db", sampled, "conversations", "--as-of-log", "--limit", 2, terminal=True)
    every = kfstate("--db", sampled, "conversations", "--as-of-log").lines
    assert f"shown 2, total {len(every)}" in table.out
    assert f"manual {sum(view['state'] == 'manual' for view in every)}" in table.out
    assert f"--after {every[1]['external_userid']}/{every[1]['open_kfid']}" in table.out


def test_chinese_tables(sampled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--lang zh`, KFSTATE_LANG and the locale give Chinese tables; JSON stays as it is."""
    command = ("--db", sampled, "conversations", "--as-of-log")
    assert "由人工接待" in kfstate(*command, "--lang", "zh", terminal=True).out
    assert "manual" in kfstate(*command, terminal=True).out
    piped = kfstate(*command).out
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert "由人工接待" in kfstate(*command, terminal=True).out
    assert piped == kfstate(*command).out
    monkeypatch.setenv("KFSTATE_LANG", "en")
    assert "manual" in kfstate(*command, terminal=True).out


def test_zone_is_named(sampled: Path) -> None:
    """Below a table with times stands the zone they are in."""
    assert "UTC+" in kfstate("--db", sampled, "show", SHOP1, HE, terminal=True).out.replace("UTC-", "UTC+")
