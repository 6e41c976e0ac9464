"""The timeline and the report: drawn right, whole, in two languages, and safe to open."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from kfstate.audit.history.words import Lang
from kfstate.store.dialect import query
from tests.engine.story import DAY2, KF, USER, Teller, change, own, said, wrote
from tests.engine.worlds import NOW

__all__: list[str] = []

pytestmark = pytest.mark.databases("sqlite")


@pytest.fixture
def story(tell: Teller) -> Teller:
    """A customer who is queued, served, silently handed over, and whose second session is presumed to have ended."""
    tell(
        said(0, content="<script>alert('你好')</script>"), own(10, "state_changed", service_state=2),
        change(130, 1, new="li"), wrote(140, "li"), wrote(400, "wang"), change(500, 3, old="wang"), said(DAY2),
    )  # fmt: skip
    return tell.at(4 * DAY2)


class Reader(HTMLParser):
    """Reads a page, and asserts that what is opened is closed."""

    def __init__(self) -> None:
        """Begin."""
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.names: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Note the end of one."""
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        """Note what is said."""
        self.text += data


def read(page: str) -> Reader:
    """Return a page as a browser sees it."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert [] == reader.open
    return reader


def test_timeline(story: Teller) -> None:
    """The stretches of the states, each with its servicer and length; drawn as text and as Mermaid."""
    timeline = story.engine.audit.timeline(KF, USER)
    assert [
        ("untreated", None, 1, 10), ("queue", None, 1, 120), ("manual", "li", 1, 270), ("manual", "wang", 1, 100),
        ("finished", None, 1, DAY2 - 500), ("untreated", None, 2, DAY2), ("finished", None, 2, 2 * DAY2),
    ] == [(one.state, one.servicer_userid, one.session, one.seconds) for one in timeline.stretches]  # fmt: skip
    assert [None, None] == [timeline.stretches[-1].ended_at, timeline.stretches[-1].position]
    assert ["servicer_message", "expiry"] == [step.kind for step in timeline.anomalies]
    assert timeline.text().splitlines()[:5] == [
        "wkA / wm1  (UTC+08:00)", "session 1", "  2026-01-01 08:00:00  untreated  10s  (#2)",
        "  2026-01-01 08:00:10  queue  2m 0s  (#3)", "  2026-01-01 08:02:10  manual li  4m 30s  (#4)",
    ]  # fmt: skip
    assert "  2026-01-03 08:00:00  未处理  2d 0h  (#8)" in timeline.text("zh")
    assert timeline.text("zh").endswith("已结束/未开始  (推定)\n")
    drawn = timeline.mermaid().splitlines()
    assert ["gantt", "    title wkA wm1", "    dateFormat X"] == drawn[:3]
    assert f"    manual li :{NOW + 130}, {NOW + 400}" in drawn
    assert drawn.count("    section session 2") == 1
    early = story.engine.audit.timeline(KF, USER, known_at=3)
    assert ["untreated", "queue", "finished"] == [one.state for one in early.stretches]
    assert "active" in story.at(4 * DAY2).engine.audit.timeline(KF, USER, _at(20)).mermaid()
    assert () == story.engine.audit.timeline(KF, USER, known_at=1).stretches


def _at(second: int) -> datetime:
    return datetime.fromtimestamp(NOW + second, UTC)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_report_is_whole_and_safe(story: Teller, lang: Lang) -> None:
    """The page tells states, waits, servicers, repairs and the proof; it runs nothing, and asks nobody for anything."""
    told: list[int] = []
    page = story.engine.audit.report(KF, USER, lang=lang, progress=told.append)
    assert sum(told) == story.engine.position()
    reader = read(page)
    assert set() == reader.tags & {"script", "link", "img", "iframe", "object", "form", "a", "base"}
    assert set() == {name for name in reader.names if name.startswith("on") or name in {"src", "href"}}
    assert "default-src 'none'" in page
    assert [] == re.findall(r"(?i)https?:|//[a-z]|url\(|@import", page)
    assert "<script>alert('你好')</script>" in reader.text
    verified = story.engine.verify()
    for words in (
        verified.anchor,
        str(story.engine.audit.head()),
        "2m 0s",
        "li",
        "wang",
        "2026-01-01 08:02:10",
        *_leaves(story),
    ):
        assert words in reader.text
    shown = {"en": ("repaired", "whole, positions", "manual"), "zh": ("修复", "完整，位置", "由人工接待")}
    for word in shown[lang]:
        assert word in reader.text


def _leaves(story: Teller) -> list[str]:
    with story.engine._reading() as conn:
        return [bytes(leaf).hex() for (leaf,) in query(conn, "SELECT leaf FROM kf_entry WHERE position > 1")]


def test_words_of_the_service(tell: Teller) -> None:
    """What the service said stands in the report, too: with the intent, or with the message."""
    message = {"msgtype": "text", "text": {"content": "please wait"}}
    tell(
        said(0), own(1, "message_intended", via="send_msg", msgid="1", data={"message": message}),
        own(2, "message_sent", via="send_msg", msgid="1", reason="a wait"),
        own(3, "message_sent", via="send_msg", msgid="2", data={"content": "your turn"}),
        own(4, "own_action", via="tagged", data={"content": "a tag"}),
    )  # fmt: skip
    text = read(tell.engine.audit.report(KF, USER)).text
    assert [1, 1, 1, 0] == [text.count(words) for words in ("please wait", "a wait", "your turn", "a tag")]


def test_report_without_words(story: Teller) -> None:
    """What people said, and the verification, can be left out; what was not known then is not in it."""
    page = story.engine.audit.report(KF, USER, _at(20), known_at=3, payloads=False, verified=False)
    text = read(page).text
    assert "alert" not in text
    assert "not asked for" in text
    assert "wang" not in text
    assert len(_leaves(story)) > len([leaf for leaf in _leaves(story) if leaf in text]) == 2
    assert "not known then" in read(story.engine.audit.report(KF, USER, known_at=1)).text


def test_report_of_a_broken_log(story: Teller) -> None:
    """A log that somebody changed behind the database's back is reported as broken, with the position."""
    with story.engine._writing() as conn:
        for (name,) in query(conn, "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'kf_entry'"):
            query(conn, f"DROP TRIGGER {name}")
        query(conn, "UPDATE kf_entry SET servicer_to = NULL WHERE position = 4")
    text = read(story.engine.audit.report(KF, USER)).text
    assert "broken at position 4: the entry is not what its leaf was made of" in text


def test_report_of_an_erased_payload(story: Teller) -> None:
    """A payload that was erased is no damage; nothing is shown in its place."""
    with story.engine._writing() as conn:
        query(conn, "UPDATE kf_payload SET salt = NULL, body = NULL WHERE position = 2")
        query(conn, "UPDATE kf_identity SET content = NULL WHERE position = 2")
    text = read(story.engine.audit.report(KF, USER)).text
    assert "whole, positions" in text
    assert "alert" not in text
