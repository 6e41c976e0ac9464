"""The contract of append: positions, versions, what is known, what is refused."""

from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine

from kfstate.errors import LockTimeoutError, TransactionError, VersionConflictError
from kfstate.store import dialect, read
from kfstate.store.append import append
from kfstate.store.facts import draft_elements
from kfstate.store.head import read_head
from kfstate.store.rows import Appended, Expected, StreamKey
from kfstate.store.tables import kf_pull
from kfstate.store.verify import verify
from tests.servers import plain
from tests.store.conftest import Build

NOW = 1_760_000_000_000_000
_BLOCKER = {"sqlite": "another connection", "postgresql": "pid ", "mysql": "connection ", "mariadb": "connection "}
A = StreamKey("", "conversation", "wkA", "wmA")


def feed(conn: Connection, *elements: bytes, now: int = NOW, **options: Any) -> Appended:
    """Append elements as a page."""
    return append(conn, draft_elements(elements, account=options.pop("account", "")), now=now, **options)


def test_positions_are_gapless_and_versions_count_per_stream(conn: Connection, element: Build) -> None:
    """Positions run 1..N over all streams; versions run 1..n inside each."""
    done = feed(conn, *(element(msgid=f"m{n}", external_userid=f"wm{n % 2}") for n in range(6)))
    more = feed(conn, element(msgid="m9", external_userid="wm0"))

    assert [1, 2, 3, 4, 5, 6] == [row.position for row in done.rows]
    assert [1, 1, 2, 2, 3, 3] == [row.version for row in done.rows]
    assert (7, 4) == (more.rows[0].position, more.rows[0].version)
    assert read_head(conn) == more.head


def test_what_was_returned_is_what_was_stored(conn: Connection, element: Build) -> None:
    """The rows handed back equal the rows of the table, and the payload is the exact bytes."""
    done = feed(conn, element(), element(msgid="m2", origin=5, servicer_userid="li"), b' {"odd":\t1 } ')

    assert done.rows == read.rows_after(conn)
    assert b' {"odd":\t1 } ' == read.payloads(conn, [3])[3]
    assert done.rows[0][:16] == next(read.fold_entries(conn))[0]


def test_recorded_at_is_one_per_append_and_never_goes_back(conn: Connection, element: Build) -> None:
    """recorded_at is max(now, last + 1): a clock that stands or runs back still gives a prefix of positions."""
    feed(conn, element(), element(msgid="m2"))
    feed(conn, element(msgid="m3"), now=NOW - 5_000_000)

    assert [NOW, NOW, NOW + 1] == [row.recorded_at for row in read.rows_after(conn)]


def test_same_entry_is_stored_once(conn: Connection, element: Build) -> None:
    """The same msgid with the same content is a duplicate, whatever the order of its members."""
    done = feed(conn, element(), element())
    reordered = b'{"text":{"content":"hello"},' + element(text=None)[1:]
    again = feed(conn, reordered)

    assert [(1, False), (1, True)] == [result[:2] for result in done.results]
    assert [(1, True)] == [result[:2] for result in again.results]
    assert not again.rows
    assert 1 == read_head(conn).position


@pytest.mark.parametrize("together", [True, False])
def test_known_msgid_with_other_content(conn: Connection, element: Build, *, together: bool) -> None:
    """Other content is stored: again=1 where the deciding facts are those of an earlier entry, else 2."""
    page = [
        element(),
        element(text={"content": "edited"}),
        element(text={"content": "x", "menu_id": "1"}),
        element(text={"content": "y", "menu_id": "1"}),
    ]
    rows = feed(conn, *page).rows if together else [feed(conn, one).rows[0] for one in page]

    assert [0, 1, 2, 1] == [row.again for row in rows]


def test_a_documentation_page_loses_nothing(conn: Connection, element: Build) -> None:
    """14 entries that share one msgid and differ in content are 14 entries, as in the documentation's samples."""
    kinds = ["text", "image", "voice", "video", "file", "location", "link", "business_card", "miniprogram", "msgmenu"]
    page = [element(**{"msgtype": kind, "text": None, kind: {"any": 1}}) for kind in kinds]
    page += [
        element(msgtype="event", text=None, event={"event_type": kind, "open_kfid": "wkA", "external_userid": "wmA"})
        for kind in ("enter_session", "msg_send_fail", "session_status_change", "something_new")
    ]
    done = feed(conn, *page)

    assert 14 == len(done.rows)
    assert page == list(read.payloads(conn, range(1, 15)).values())
    assert [0] + [1] * 9 + [2] * 4 == [row.again for row in done.rows]
    assert not feed(conn, *page).rows


def test_without_msgid_equal_content_is_one_entry(conn: Connection, element: Build) -> None:
    """Without msgid the content is the identity."""
    done = feed(conn, element(msgid=None), element(msgid=None), element(msgid=None, text={"content": "other"}))

    assert [False, True, False] == [result.duplicate for result in done.results]
    assert [0, 0] == [row.again for row in done.rows]


def test_accounts_and_origins_do_not_share_msgids(conn: Connection, element: Build) -> None:
    """The identity is (origin, account, msgid), per corp."""
    done = feed(conn, element(), element(open_kfid="wkB"), element(origin=5))
    other = append(conn, draft_elements([element()], corp_id="ww2"), now=NOW)

    assert [0, 0, 0] == [row.again for row in done.rows]
    assert 1 == len(other.rows)


def test_after_erasure_the_msgid_alone_is_the_same(conn: Connection, element: Build) -> None:
    """With the content digest gone nothing is stored again, whatever it says."""
    feed(conn, element())
    conn.exec_driver_sql("UPDATE kf_identity SET content = NULL")
    done = feed(conn, element(text={"content": "other"}))

    assert [(1, True)] == [result[:2] for result in done.results]


def test_a_forgotten_customer_who_writes_again_opens_a_new_stream(conn: Connection, element: Build) -> None:
    """Erasing a name cuts the tie to its streams; the log still verifies."""
    first = feed(conn, element())
    conn.exec_driver_sql("UPDATE kf_name SET salt = NULL, value = NULL, folded = NULL")
    conn.exec_driver_sql("UPDATE kf_payload SET salt = NULL, body = NULL")
    conn.exec_driver_sql("UPDATE kf_identity SET content = NULL")
    second = feed(conn, element(msgid="m2"))
    found = verify(conn)

    assert first.rows[0].stream != second.rows[0].stream
    assert 1 == second.rows[0].version
    assert (None, 2, (1,), (1,)) == (found.damage, found.entries, found.erased, found.erased_names)


@pytest.mark.parametrize(
    ("expected", "current", "holds"),
    [
        ("any", 0, True),
        ("any", 2, True),
        ("new", 0, True),
        ("new", 2, False),
        ("exists", 0, False),
        ("exists", 2, True),
        (0, 0, True),
        (2, 2, True),
        (1, 2, False),
        (3, 2, False),
    ],
)
def test_expected_version(conn: Connection, element: Build, expected: Expected, current: int, *, holds: bool) -> None:
    """A stream that is not at the version that the caller decided on takes nothing."""
    feed(conn, *(element(msgid=f"m{n}") for n in range(current)))
    if holds:
        assert current + 1 == feed(conn, element(msgid="new"), expected={A: expected}).rows[0].version
        return
    with pytest.raises(VersionConflictError) as caught:
        feed(conn, element(msgid="new"), expected={A: expected})

    assert (str(expected), current) == (caught.value.expected, caught.value.current)
    assert current == read_head(conn).position


def test_a_known_entry_is_returned_before_any_version_check(conn: Connection, element: Build) -> None:
    """A retry of what was already stored succeeds, though the version has moved on."""
    feed(conn, element())

    assert [(1, True)] == [r[:2] for r in feed(conn, element(), expected={A: "new"}).results]


def test_a_time_too_far_ahead_does_not_freeze_a_conversation(conn: Connection, element: Build) -> None:
    """More than a day ahead: the second of arrival stands in, occurred_at stays empty, and the result says so."""
    far, near = NOW // 1_000_000 + 86_401, NOW // 1_000_000 + 86_399
    done = feed(conn, element(send_time=far), element(msgid="m2", send_time=near))

    assert (None, NOW // 1_000_000) == (done.rows[0].occurred_at, done.rows[0].sort_second)
    assert near == done.rows[1].sort_second
    assert ["send_time is more than a day ahead", ""] == [result.problem for result in done.results]


def test_servicers_are_known_without_regard_to_case(conn: Connection, element: Build) -> None:
    """WeCom ignores the case of servicer ids; the first spelling is kept. Customers differ by case."""
    done = feed(
        conn,
        element(origin=5, servicer_userid="LiSi"),
        element(msgid="m2", origin=5, servicer_userid="lisi"),
        element(msgid="m3", external_userid="WMA"),
    )

    assert done.rows[0].servicer_to == done.rows[1].servicer_to
    assert "LiSi" == read.names_by_id(conn, [done.rows[0].servicer_to or 0]).popitem()[1]
    assert done.rows[2].stream != done.rows[0].stream


def test_servicer_streams_that_differ_in_case_are_one(conn: Connection, element: Build) -> None:
    """One stream per (account, servicer), however the id is spelled, with one count of versions."""

    def status(msgid: str, userid: str) -> bytes:
        body = {"event_type": "servicer_status_change", "servicer_userid": userid, "status": 1, "open_kfid": "wkA"}
        return element(msgid=msgid, msgtype="event", origin=4, text=None, external_userid=None, event=body)

    done = feed(conn, status("m1", "Li"), status("m2", "LI"))

    assert [1, 2] == [row.version for row in done.rows]
    assert [1, 1] == [row.receiving for row in done.rows]


def test_append_refuses_autocommit(engine: Engine, url: str, element: Build) -> None:
    """Without a transaction a page could be stored in part."""
    auto = create_engine(plain(url), isolation_level="AUTOCOMMIT")
    with auto.connect() as conn, pytest.raises(TransactionError):
        feed(conn, element())
    auto.dispose()
    with dialect.begin(engine, write=False) as conn:
        assert 0 == read_head(conn).position


def test_append_joins_the_callers_own_transaction(engine: Engine, url: str, element: Build) -> None:
    """A host's plain engine works too: the entry is there after its commit, and not after its rollback."""
    hosts = create_engine(plain(url), **({} if url.startswith("sqlite") else {"isolation_level": "READ COMMITTED"}))
    with hosts.connect() as conn:
        feed(conn, element())
        conn.rollback()
        feed(conn, element(msgid="m2"))
        conn.commit()
    hosts.dispose()
    with dialect.begin(engine, write=False) as conn:
        assert [1] == [row.position for row in read.rows_after(conn)]


def test_another_writer_is_named_when_the_lock_times_out(engine: Engine, element: Build) -> None:
    """lock_timeout is always set; the error says who blocks."""
    with dialect.begin(engine, write=True) as first:
        feed(first, element())
        with pytest.raises(LockTimeoutError) as caught, dialect.begin(engine, write=True) as second:
            feed(second, element(msgid="m2"))

    assert _BLOCKER[engine.dialect.name] in caught.value.blocker
    assert 0.2 <= caught.value.waited < 5


@pytest.mark.databases("sqlite")
def test_a_transaction_that_read_before_others_wrote_cannot_append(engine: Engine, element: Build) -> None:
    """What was read before the lock decides nothing: a reader that was overtaken is refused at once."""
    with engine.connect() as stale, stale.begin():
        read_head(stale)
        with dialect.begin(engine, write=True) as other:
            feed(other, element())
        with pytest.raises(TransactionError, match="began with a read"):
            feed(stale, element(msgid="m2"))


@pytest.mark.databases("servers")
def test_a_transaction_that_read_before_others_wrote_reads_again(engine: Engine, element: Build) -> None:
    """What was read before the lock decides nothing: under it the head is read anew."""
    with engine.connect() as early, early.begin():
        assert 0 == read_head(early).position
        with dialect.begin(engine, write=True) as other:
            feed(other, element())
        row = feed(early, element(msgid="m2")).rows[0]
        assert (2, 2) == (row.position, row.version)
    with dialect.begin(engine, write=False) as conn:
        assert None is verify(conn).damage


@pytest.mark.databases("servers")
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_append_refuses_other_isolation_levels(url: str, element: Build, level: str) -> None:
    """A snapshot from before the lock would hide what others have appended since."""
    hosts = create_engine(plain(url), isolation_level=level)
    with hosts.connect() as conn, pytest.raises(TransactionError) as caught:
        feed(conn, element())
    hosts.dispose()
    assert (level, "READ COMMITTED") == (caught.value.found, caught.value.needed)


def test_a_rolled_back_append_leaves_no_hole(engine: Engine, element: Build) -> None:
    """Positions are taken under the lock, so a rollback gives them back."""
    with engine.connect() as conn:
        transaction = conn.begin()
        feed(conn, element())
        transaction.rollback()
    with dialect.begin(engine, write=True) as conn:
        assert 1 == feed(conn, element(msgid="m2")).rows[0].position
        assert verify(conn).damage is None


def test_statements_in_one_go_fail_at_the_end_of_the_block(engine: Engine) -> None:
    """Without waiting for each statement, what is wrong with one is told where the block ends; the rest is undone."""
    pull = ("", "wkA", "", "", 0, 0, NOW, None, "")
    with dialect.begin(engine, write=True) as conn:
        with dialect.in_one_go(conn, 2):
            dialect.bulk_insert(conn, kf_pull, [(1, *pull)])
            dialect.bulk_insert(conn, kf_pull, [(number, *pull) for number in range(2, 12)])
        assert [(11,)] == dialect.query(conn, "SELECT COUNT(*) FROM kf_pull")

    def write(*ids: int) -> None:
        with dialect.begin(engine, write=True) as conn, dialect.in_one_go(conn, len(ids)):
            for number in ids:
                dialect.bulk_insert(conn, kf_pull, [(number, *pull)])

    with pytest.raises(Exception, match=r"(?i)unique|duplicate|this pull exists"):
        write(12, 1, 13)
    with dialect.begin(engine, write=True) as conn:
        assert [(11,)] == dialect.query(conn, "SELECT COUNT(*) FROM kf_pull")
