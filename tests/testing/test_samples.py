"""The shipped samples."""

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from kfstate import samples
from kfstate.engine import Engine
from kfstate.machine.kinds import EVENT_KINDS
from kfstate.store.envelope import from_json
from kfstate.testing import FrozenClock

PAGES = [path for path in samples.paths() if path.suffix == ".json"]
LOGS = [path for path in samples.paths() if path.suffix == ".ndjson"]


def elements(path: Path) -> list[dict[str, Any]]:
    """Return the elements of a sample page."""
    listed: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["msg_list"]
    return listed


def named(name: str) -> list[dict[str, Any]]:
    """Return the elements of the one sample whose name contains ``name``."""
    (path,) = (path for path in PAGES if name in path.name)
    return elements(path)


def test_every_sample_is_listed() -> None:
    """There are seven pages and one log of a routing service."""
    assert (7, 1) == (len(PAGES), len(LOGS))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_pages_have_the_documented_shape(path: Path) -> None:
    """A page answers with errcode 0 and elements that carry their body under the name of their type, in time order."""
    page = json.loads(path.read_text(encoding="utf-8"))
    assert ["errcode", "errmsg", "next_cursor", "has_more", "msg_list"] == list(page)
    assert 0 == page["errcode"]
    times = [element["send_time"] for element in page["msg_list"]]
    assert sorted(times) == times
    assert all(element["msgtype"] in element for element in page["msg_list"])


def test_ids_are_invented_and_in_wecoms_form() -> None:
    """Accounts begin with wk, customers with wm, and both say that they are samples."""
    bodies = [element.get("event", element) for path in PAGES for element in elements(path)]
    accounts = {body["open_kfid"] for body in bodies if "open_kfid" in body}
    customers = {body["external_userid"] for body in bodies if "external_userid" in body}
    assert all(name.startswith("wkSAMPLE") and len(name) == 32 for name in accounts)
    assert all(name.startswith("wmSAMPLE") and len(name) == 32 for name in customers)


def test_msgids_are_never_shared() -> None:
    """No two elements of all samples carry the same msgid, and exactly one carries none."""
    msgids = [element.get("msgid") for path in PAGES for element in elements(path)]
    assert len(msgids) == len(set(msgids))
    assert 1 == msgids.count(None)


def test_every_message_type_occurs() -> None:
    """The page of all types holds each documented type."""
    expected = {
        *("text", "image", "voice", "video", "file", "location", "link", "business_card", "miniprogram", "msgmenu"),
        *("channels_shop_product", "channels_shop_order", "channels", "merged_msg", "note", "meeting", "schedule"),
    }
    assert expected == {element["msgtype"] for element in named("all-message-types")}


def test_every_event_occurs() -> None:
    """The page of all events holds the seven types and the four kinds of change."""
    events = [element["event"] for element in named("all-events") if element["msgtype"] == "event"]
    assert set(EVENT_KINDS) == {event["event_type"] for event in events}
    assert {1, 2, 3, 4} == {event["change_type"] for event in events if "change_type" in event}


def test_own_entries_are_accepted() -> None:
    """The log of a routing service holds pages and own entries of one conversation, each with a key of its own."""
    (path,) = LOGS
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    entries = [from_json(line) for line in lines if "kind" in line]
    bodies = [item.get("event", item) for line in lines for item in line.get("msg_list", ())]
    assert 1 == len({(body["open_kfid"], body["external_userid"]) for body in (*bodies, *map(attrs.asdict, entries))})
    assert len(entries) == len({entry.key for entry in entries})
    times = [entry.occurred_at for entry in entries]
    assert sorted(times, key=lambda at: at or 0) == times


def test_samples_reach_every_state() -> None:
    """The engine takes all samples without rejecting a line, and finds open and ended sessions."""
    with Engine("sqlite://", clock=FrozenClock.at(1_741_140_400)) as engine:
        reports = [engine.ingest(path) for path in samples.paths()]
        states = {view.state for view in engine.conversations(as_of_log=True)}
    assert 0 == sum(report.rejected for report in reports)
    assert {"untreated", "manual", "finished"} <= states
