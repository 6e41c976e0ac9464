"""Forgetting a customer (P9): nothing of him is left, everything else is as it was, and the log still proves it."""

import json
import sqlite3
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import attrs
import pytest
from sqlalchemy import LargeBinary
from sqlalchemy.engine import make_url

from kfstate import (
    ArgumentError,
    Engine,
    EnvelopeError,
    OwnEntry,
    Receipt,
    UnknownConversationError,
    UnknownCustomerError,
)
from kfstate.audit.people.receipts import parse
from kfstate.queries.views import as_json
from kfstate.store import clearing
from kfstate.store.clearing import _identity
from kfstate.store.dialect import query
from kfstate.store.own_kinds import RECEIPTS
from kfstate.store.tables import metadata
from kfstate.testing import (
    FrozenClock,
    customer_message,
    enter_session,
    page,
    servicer_message,
    session_status_change,
    user_recall_msg,
)
from tests.engine.conftest import Fresh
from tests.engine.worlds import NOW

__all__: list[str] = []

FORGOTTEN, WORDS = "wmForgetMe", "sealed-lips"
GROUND = {"actor": "dpo", "basis": "PIPL art. 47", "request_id": "T-1"}
PAGE = [
    enter_session("wkA", FORGOTTEN, NOW, welcome_code="code1"),
    customer_message("wkA", FORGOTTEN, NOW + 1, content=f"{WORDS} one", msgid="m1"),
    session_status_change(1, "wkA", FORGOTTEN, NOW + 2, new="li"),
    servicer_message("wkA", FORGOTTEN, NOW + 3, servicer_userid="li", content=f"{WORDS} two"),
    user_recall_msg("wkA", FORGOTTEN, NOW + 4, recall_msgid="m1"),
    {key: value for key, value in customer_message("wkA", FORGOTTEN, NOW + 5, content=WORDS).items() if key != "msgid"},
    customer_message("wkB", FORGOTTEN, NOW + 6, content=f"{WORDS} elsewhere"),
    customer_message("wkA", "wmStays", NOW + 7, content="good day"),
    session_status_change(1, "wkA", "wmStays", NOW + 8, new="li"),
]
OWN = [
    {"kind": "own_action", "via": "note", "actor": "bot", "open_kfid": "wkA", "external_userid": FORGOTTEN,
     "key": "note/1", "data": {"said": WORDS}},
    {"kind": "own_action", "via": "note", "actor": "bot", "open_kfid": "wkA", "data": {"users": [FORGOTTEN]}},
]  # fmt: skip
CUT = f'{{"external_userid": "{FORGOTTEN}", "text": "{WORDS}'


def told(engine: Engine) -> None:
    """Tell an engine everything, so that the same is told again next time."""
    engine.ingest(page(PAGE))
    for entry in OWN:
        engine.record(entry)
    engine.ingest(b'{"errcode":0,"msg_list":[' + json.dumps(CUT).encode() + b"]}", account="wkA")


def everything(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    with engine._database.reading() as conn:
        for table in metadata.sorted_tables:
            found[table.name] = query(conn, f"SELECT * FROM {table.name}")
    return found


def bytes_in(rows: dict[str, list[tuple[Any, ...]]]) -> bytes:
    """Return all texts and bytes of rows, one after the other."""
    values = (value for table in rows.values() for row in table for value in row)
    return b"\n".join(
        value.encode("utf-8", "backslashreplace") if isinstance(value, str) else bytes(value)
        for value in values
        if isinstance(value, (str, bytes, bytearray, memoryview))
    )


@pytest.fixture
def erased(engine: Engine) -> tuple[Receipt, dict[str, list[tuple[Any, ...]]], str]:
    """A log in which somebody was forgotten: the receipt, all rows of before, and the anchor of before."""
    told(engine)
    before, anchor = everything(engine), engine.verify().anchor
    return engine.audit.erase(FORGOTTEN, **GROUND), before, anchor


Erased = tuple[Receipt, dict[str, list[tuple[Any, ...]]], str]


def test_nothing_of_him_is_left_and_the_rest_is_as_it_was(engine: Engine, erased: Erased, clock: FrozenClock) -> None:
    """No table holds his id or his words; the log, every other customer and the projections are the same (P9)."""
    receipt, before, anchor = erased
    after = everything(engine)
    assert FORGOTTEN.encode() in bytes_in(before)
    assert WORDS.encode() in bytes_in(before)
    assert FORGOTTEN.encode() not in bytes_in(after)
    assert WORDS.encode() not in bytes_in(after)

    assert before["kf_entry"] == after["kf_entry"][:-1]
    last = receipt.position - 1
    gone = {row[0] for row in after["kf_payload"] if row[2] is None}
    assert receipt.payloads == len(gone) == 10
    assert [row for row in before["kf_payload"] if row[0] not in gone] == [
        row for row in after["kf_payload"] if row[0] not in gone and row[0] <= last
    ]
    digests = {row[2]: row[3] for row in after["kf_identity"]}
    assert {position for position, content in digests.items() if content is None} == gone & digests.keys()
    assert set(before["kf_stream"]) <= set(after["kf_stream"])
    for table in ("kf_step", "kf_conversation", "kf_session", "kf_segment", "kf_servicer", "kf_anomaly"):
        assert sorted(map(repr, before[table])) == sorted(map(repr, after[table])), table

    verified = engine.verify(anchor)
    assert verified.damage is None
    aged = {position for first, last in verified.aged_out for position in range(first, last + 1)}
    assert gone == aged | set(verified.erased)
    assert 2 == len(aged)
    assert (receipt.customer,) == verified.erased_names
    assert 0 == engine.check().different
    assert 0 == (engine.rebuild() and engine.check().different)
    assert "wmStays" == engine.state("wkA", "wmStays").external_userid
    with pytest.raises(UnknownConversationError):
        engine.state("wkA", FORGOTTEN)
    with pytest.raises(UnknownCustomerError):
        engine.audit.erase(FORGOTTEN, **GROUND)
    clock.advance(60)
    assert {None, "wmStays"} == {view.external_userid for view in engine.conversations()}
    assert 3 == sum(1 for _ in engine.sessions())
    assert [] == engine.queue()


def test_reading_again_brings_nothing_back(engine: Engine, erased: Erased) -> None:
    """The same three days, read again, store nothing; who writes again opens a new stream."""
    position = engine.position()
    told_again = engine.ingest(page(PAGE))
    assert (0, len(PAGE)) == (told_again.appended, told_again.duplicates)
    assert engine.record(OWN[0]).duplicate
    assert position == engine.position()
    assert FORGOTTEN.encode() not in bytes_in(everything(engine))

    engine.ingest(page([customer_message("wkA", FORGOTTEN, NOW + 100)]))
    view = engine.state("wkA", FORGOTTEN)
    assert (1, position + 1) == (view.session, view.session_id)
    assert None is engine.verify(erased[2]).damage


def test_the_receipt_stands_in_the_log(engine: Engine, erased: Erased) -> None:
    """It names operator and ground, says what was taken out, and names nobody; subscribers read it like any entry."""
    receipt, _, _ = erased
    assert ("dpo", "PIPL art. 47", "T-1", "erased") == (
        receipt.actor, receipt.basis, receipt.request_id, receipt.action,
    )  # fmt: skip
    assert (("wkA", "wkB"), 8, 2) == (receipt.accounts, receipt.entries, receipt.refolded)
    assert receipt.identities >= 8
    assert (receipt,) == engine.audit.receipts()
    (entry,) = engine.read_all(after=receipt.position - 1)
    assert ("own_action", "dpo", receipt.chain) == (entry.kind, entry.actor, entry.chain)
    (access,) = engine.audit.accesses()
    assert ("dpo", "erase", receipt.customer, None) == (
        access.actor, access.action, access.customer, access.external_userid,
    )  # fmt: skip


@pytest.mark.databases("sqlite")
def test_nobody_forges_a_receipt(engine: Engine) -> None:
    """What looks like a receipt is refused on every way in: it would stop the retention, or escape an erasure."""
    position = engine.position()
    for via, ids in product(sorted(RECEIPTS), ({}, {"open_kfid": "wkA", "external_userid": FORGOTTEN})):
        forged: dict[str, Any] = {"kind": "own_action", "actor": "svc", "via": via, "data": {"until": 10**9}, **ids}
        with pytest.raises(EnvelopeError) as caught:
            engine.record(forged)
        assert ("$.via", via) == (caught.value.path, caught.value.value)
        with engine._database.writing() as conn, pytest.raises(EnvelopeError):
            engine.record(OwnEntry(**forged), connection=conn)
        assert 1 == engine.ingest(json.dumps(forged).encode()).rejected
        with pytest.raises(EnvelopeError):
            engine.audit.what_if(inject=[forged])
    assert (position, ()) == (engine.position(), engine.audit.receipts())


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_what_the_receipt_needs(engine: Engine) -> None:
    """No receipt without operator and ground, and none that names whom it forgets; then nothing is done."""
    told(engine)
    before = everything(engine)
    for wrong in ({"actor": " "}, {"basis": ""}, {"basis": f"asked by {FORGOTTEN}"}, {"request_id": FORGOTTEN},
                  {"actor": "x" * 129}, {"basis": "\ud800"}):  # fmt: skip
        with pytest.raises(ArgumentError):
            engine.audit.erase(FORGOTTEN, **(GROUND | wrong))
    with pytest.raises(UnknownCustomerError):
        engine.audit.erase("wmNobody", **GROUND)
    assert before == everything(engine)


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_dead_letters_and_errors_forget(engine: Engine) -> None:
    """What a handler's error said of him goes; the dead letter stays, for something was not handled."""
    told(engine)

    def fails(event: Any) -> None:
        if event.entry is not None and event.entry.external_userid in {FORGOTTEN, "wmStays"}:
            raise ValueError(f"cannot answer {event.entry.external_userid}: {event.entry.payload}")

    engine.subscribe("bot", fails, start="beginning", attempts=1).run(until_idle=True)
    before = list(engine.dead_letters())
    receipt = engine.audit.erase(FORGOTTEN, **GROUND)
    after = list(engine.dead_letters())
    assert [letter.id for letter in before] == [letter.id for letter in after]
    assert receipt.dead_letters == sum("(erased)" == letter.message for letter in after) > 0
    assert any("wmStays" in letter.message for letter in after)
    assert FORGOTTEN.encode() not in bytes_in(everything(engine))


@pytest.mark.databases("sqlite")
def test_the_file_forgets(engine: Engine, url: str) -> None:
    """SQLite writes zeros over what was said, and empties its journal: not even the bytes of the file have it."""
    told(engine)
    engine.audit.erase(FORGOTTEN, **GROUND)
    path = make_url(url).database
    assert path is not None
    for suffix in ("", "-wal"):
        with open(path + suffix, "rb") as file:  # noqa: PTH123 (a name with a suffix)
            content = file.read()
        assert WORDS.encode() not in content
        assert FORGOTTEN.encode() not in content


def test_columns_that_can_hold_words_are_known() -> None:
    """A column of text or bytes that comes to a table has to be thought of here: can it hold an id, or words?"""
    free = {
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, LargeBinary) or "TEXT" in str(column.type).upper()
    }
    clean = {
        "kf_archive_mark.chain", "kf_archive_mark.file_digest", "kf_entry.chain", "kf_entry.commitment",
        "kf_entry.leaf", "kf_dead_letter.chain", "kf_log_head.log_id", "kf_name.commitment", "kf_projection.chain",
        "kf_subscription.chain", "kf_identity.entry_key", "kf_machine.definition", "kf_token.sealed",
        "kf_session.base", "kf_access.id",
    }  # fmt: skip
    cleared = {
        "kf_payload.salt", "kf_payload.body", "kf_name.salt", "kf_identity.content", "kf_dead_letter.message",
        "kf_dead_letter.traceback", "kf_projection.error", "kf_subscription.error",
    }  # fmt: skip
    ours = {"kf_hold.basis", "kf_access.detail", "kf_access.result", "kf_sealed.salt", "kf_sealed.body"}
    assert clean | cleared | ours == free


@pytest.mark.databases("sqlite")
def test_a_restored_backup_forgets_again(engine: Engine, url: str, tmp_path: Path, fresh: Fresh) -> None:
    """Who was erased after the backup is erased in it by the receipts; those of another log are refused."""
    told(engine)
    backup = tmp_path / "backup.db"
    with closing(sqlite3.connect(str(make_url(url).database))) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    engine.ingest(page([customer_message("wkA", "wmAfterwards", NOW + 20)]))
    late, first, stays = (engine.audit.erase(who, **GROUND) for who in ("wmAfterwards", FORGOTTEN, "wmStays"))
    receipts = [parse(as_json(receipt)) for receipt in (late, first, stays)]
    assert receipts == list(engine.audit.receipts())
    with Engine(f"sqlite:///{backup}", clock=FrozenClock.at(NOW + 100)) as restored:
        assert FORGOTTEN == restored.state("wkA", FORGOTTEN).external_userid
        # Another one has the number of whom this copy did not know.
        restored.ingest(page([customer_message("wkA", "wmSomebodyElse", NOW + 30)]))
        for foreign in (attrs.evolve(stays, log_id="00" * 16), attrs.evolve(stays, action="retained")):
            with pytest.raises(ArgumentError):
                restored.audit.repeat([first, foreign], **GROUND)
        assert () == restored.audit.receipts()

        done = restored.audit.repeat(receipts, **GROUND)
        assert ((), (late.position,)) == (done.gone, done.unknown)
        again = restored.audit.receipts()
        assert done.receipts == tuple(receipt.position for receipt in again)
        assert [(first.customer, first.payloads), (stays.customer, stays.payloads)] == [
            (receipt.customer, receipt.payloads) for receipt in again
        ]
        assert FORGOTTEN.encode() not in bytes_in(everything(restored))
        assert "wmSomebodyElse" == restored.state("wkA", "wmSomebodyElse").external_userid
        gone = restored.audit.repeat(receipts, **GROUND).gone
        assert (first.position, stays.position) == gone
    with fresh() as (other, _), pytest.raises(ArgumentError):
        other.audit.repeat(receipts, **GROUND)
    with Engine(f"sqlite:///{backup}", corp_id="ww2") as other, pytest.raises(ArgumentError):
        other.audit.repeat(receipts, **GROUND)
    for wrong in ({"position": 1}, as_json(first) | {"commitment": "zz"}, as_json(first) | {"customer": "7"}):
        with pytest.raises(ArgumentError):
            parse(wrong)


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_digests_under_keys_of_another_release(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a payload does not lead to its identity any more, that is found by its day."""
    told(engine)
    monkeypatch.setattr(clearing, "_identity", lambda entry, body, corp: (_identity(entry, body, corp)[0], bytes(16)))
    receipt = engine.audit.erase(FORGOTTEN, **GROUND)
    with engine._database.reading() as conn:
        sql = (
            "SELECT COUNT(*) FROM kf_identity i JOIN kf_payload p ON p.position = i.position "
            "WHERE p.body IS NULL AND i.content IS NOT NULL AND i.day > 0"
        )
        assert [(0,)] == query(conn, sql)
    assert receipt.identities >= 7


@pytest.mark.databases("sqlite", "pg18", "mariadb")
def test_errors_of_subscriptions_and_builds_forget(engine: Engine) -> None:
    """A text of an error that names him goes; one that names somebody else stays."""
    told(engine)
    engine.subscribe("bot", print, start="now")
    with engine._database.writing() as conn:
        query(conn, "UPDATE kf_subscription SET error = ?", (f"no answer for {FORGOTTEN}",))
        query(conn, "UPDATE kf_projection SET error = ?", ("no answer for wmStays",))
    engine.audit.erase(FORGOTTEN, **GROUND)
    with engine._database.reading() as conn:
        assert [("(erased)",)] == query(conn, "SELECT error FROM kf_subscription")
        assert [("no answer for wmStays",)] == query(conn, "SELECT error FROM kf_projection")


@pytest.mark.databases("sqlite")
def test_another_corporation_is_left_alone(engine: Engine, url: str) -> None:
    """The same id at another corporation of the same log is another customer."""
    told(engine)
    with Engine(url, corp_id="ww2", clock=FrozenClock.at(NOW + 50)) as other:
        other.ingest(page([customer_message("wkA", FORGOTTEN, NOW, content="of another corporation")]))
        engine.audit.erase(FORGOTTEN, **GROUND)
        assert "of another corporation" in str([entry.payload for entry in other.read_all()])
        assert FORGOTTEN == other.state("wkA", FORGOTTEN).external_userid
        assert [] == [*other.audit.receipts(), *other.audit.accesses(), *other.audit.holds()]
        assert None is other.verify().damage
