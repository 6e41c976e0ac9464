"""A service and `kfstate` with the same variables keep one log between them."""

from pathlib import Path

import pytest

from kfstate import ArgumentError, Engine
from kfstate.store import schema
from kfstate.store.database import Database
from kfstate.testing import FakeWecom
from kfstate.wecom import Client, Live, Settings
from tests.cli.runner import kfstate

__all__: list[str] = []


def corporations(path: Path) -> set[str]:
    """Return under which corporations there is anything in a database."""
    with Engine(f"sqlite:///{path}") as engine, engine._reading() as conn:
        return {
            row[0] for row in conn.exec_driver_sql("SELECT corp_id FROM kf_stream UNION SELECT corp_id FROM kf_cursor")
        }


def test_one_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variables of "Go live": what the service pulls the commands find, and what they do, it does."""
    path = tmp_path / "kf.db"
    with FakeWecom() as wecom:
        account, customer = wecom.account("售后"), wecom.customer()
        ids = account.open_kfid, customer.external_userid
        customer.writes(account)
        for name, value in {
            "CORP_ID": wecom.corp_id, "SECRET": wecom.secret, "API_URL": wecom.url, "DB": f"sqlite:///{path}",
        }.items():  # fmt: skip
            monkeypatch.setenv(f"KFSTATE_{name}", value)
        with Live.of() as live:
            assert 1 == live.sync()[0].appended
            assert 0 == kfstate("sync", "--once").one["appended"]
            assert "customer_message" == kfstate("history", *ids).lines[0]["kind"]
            assert 0 == kfstate("state", "change", *ids, "queue").code
            assert 2 == live.engine.state(*ids).service_state
        with Engine(f"sqlite:///{path}") as engine, Live(engine, Settings.load()) as own:
            assert 0 == own.sync()[0].appended
    assert {""} == corporations(path)


def test_several_in_one_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said to the engine and to `--corp-id` alike, the corporation has a log of its own, and the commands find it."""
    path = tmp_path / "kf.db"
    with FakeWecom() as wecom:
        account = wecom.account("售后")
        wecom.customer().writes(account)
        for name, value in {"SECRET": wecom.secret, "API_URL": wecom.url, "DB": f"sqlite:///{path}"}.items():
            monkeypatch.setenv(f"KFSTATE_{name}", value)
        settings = Settings.load(corp_id=wecom.corp_id)
        with Engine(f"sqlite:///{path}", corp_id=wecom.corp_id) as engine, Live(engine, settings) as live:
            assert 1 == live.sync()[0].appended
        assert 0 == kfstate("--corp-id", wecom.corp_id, "sync", "--once").one["appended"]
        assert wecom.corp_id in corporations(path)
        assert 1 == len(kfstate("--corp-id", wecom.corp_id, "conversations").lines)


@pytest.mark.parametrize(
    "question",
    [("conversations",), ("audit", "compare"), ("audit", "head"), ("verify",), ("tick",), ("show", "wk", "wm")],
)
def test_no_such_corporation(sampled: Path, question: tuple[str, ...]) -> None:
    """A question about one that the log does not know is refused, and leaves nothing of it in the log."""
    done = kfstate("--db", sampled, "--corp-id", "typo", *question)
    assert 2 == done.code
    assert "typo" in done.err
    assert 1 == len(done.err.splitlines())
    assert {""} == corporations(sampled)


def test_no_corporation_yet(tmp_path: Path) -> None:
    """A database without entries has none that it would not know."""
    path = tmp_path / "kf.db"
    database = Database(f"sqlite:///{path}")
    with database.writing() as conn:
        schema.upgrade(conn, now=1)
    database.close()
    assert (0, []) == ((done := kfstate("--db", path, "--corp-id", "ww1", "conversations")).code, done.lines)


def test_an_engine_of_another_corporation(tmp_path: Path) -> None:
    """It is refused: what WeCom says of one corporation does not belong into the log of another."""
    with Engine(f"sqlite:///{tmp_path}/kf.db", corp_id="ww2") as engine:
        with pytest.raises(ArgumentError, match="ww2"):
            Live(engine, Settings(), client=Client("ww1", "secret"))
        with pytest.raises(ArgumentError, match="ww1"):
            Live(engine, Settings.load(environment={}, corp_id="ww1", secret="s"))
        with Live(engine, Settings(), client=Client("ww2", "secret")) as live:
            assert "ww2" == live.site.corp_id
