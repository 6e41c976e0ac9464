"""`reconcile`: what WeCom says of states that may be behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kfstate import Engine
from kfstate.testing import FakeWecom, page
from tests.cli.runner import kfstate

__all__: list[str] = []


@pytest.fixture
def wecom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWecom]:
    """WeCom, where it has routed a new customer by itself, and a database in step but for that."""
    monkeypatch.chdir(tmp_path)
    with FakeWecom() as made:
        account = made.account("售后", open_kfid="wk1")
        account.servicer("zhang")
        for name in ("wm1", "wm2"):
            made.customer(name).writes(account)
        text = f'corp_id = "{made.corp_id}"\nsecret = "{made.secret}"\napi_url = "{made.url}"\ndb = "sqlite:///kf.db"\n'
        Path("kfstate.toml").write_text(text, encoding="utf-8")
        with Engine("sqlite:///kf.db") as engine:
            engine.ingest(page([dict(entry) for entry in account.entries()]), account="wk1")
        account.routes(made.customer("wm1"), 3, "zhang")
        yield made


def test_repairs(wecom: FakeWecom) -> None:
    """It repairs and reports; another run has nothing to do."""
    done = kfstate("reconcile", "--settings", "kfstate.toml")
    assert (0, "complete", 2, 1, 0, []) == (
        done.code, done.one["outcome"], done.one["read"], done.one["confirmed"], done.one["left"], done.one["failed"],
    )  # fmt: skip
    (drift,) = done.one["repaired"]
    assert ("wk1", "wm1", "doubtful", "untreated", "manual", None, "zhang") == tuple(
        drift[name]
        for name in ("open_kfid", "external_userid", "why", "before", "after", "servicer_before", "servicer_after")
    )
    assert "a change was missed" in drift["reason"]
    assert "manual" == kfstate("--db", "kf.db", "show", "wk1", "wm1").one["state"]
    assert 0 == kfstate("reconcile", "--settings", "kfstate.toml").one["read"]
    assert 2 == kfstate("reconcile", "--settings", "kfstate.toml", "--all").one["confirmed"]
    assert wecom.calls


def test_on_a_terminal(wecom: FakeWecom) -> None:
    """People see tables, in their language."""
    wecom.fail_next("service_state/get", errcode=40096)
    done = kfstate("--lang", "zh", "reconcile", "--settings", "kfstate.toml", terminal=True)
    assert 1 == done.code
    assert {"40096", "wm1", "状态存疑"} <= set(done.out.split())
    done = kfstate("reconcile", "--settings", "kfstate.toml", terminal=True)
    assert 0 == done.code
    assert [] == [word for word in ("repaired", "manual", "zhang", "doubtful") if word not in done.out]


def test_wecom_that_is_away(wecom: FakeWecom) -> None:
    """Where WeCom takes no more readings, the command fails, and says so."""
    wecom.fail_next("service_state/get", errcode=45009)
    done = kfstate("reconcile", "--settings", "kfstate.toml", "--readings", "1")
    assert (1, "limited", 2) == (done.code, done.one["outcome"], done.one["left"])


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--readings", "0", "--settings", "kfstate.toml"], 2, "--readings"),
        (["--settings", "nowhere.toml"], 2, "nowhere.toml"),
        (["--settings", "empty.toml"], 2, "corp_id"),
    ],
)
def test_wrong_use(wecom: FakeWecom, words: list[str], code: int, told: str) -> None:
    """Wrong options, and settings that are not there, are told, without a call."""
    Path("empty.toml").touch()
    done = kfstate("reconcile", *words)
    assert (code, "") == (done.code, done.out)
    assert told in done.err
    assert [] == wecom.calls


def test_no_database(wecom: FakeWecom) -> None:
    """It creates no database."""
    done = kfstate("--db", "other.db", "reconcile", "--settings", "kfstate.toml")
    assert 4 == done.code
    assert [] == wecom.calls
