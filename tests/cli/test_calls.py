"""`state change`, `send`, `assign`: what our side does with a conversation, by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kfstate import Engine
from kfstate.testing import FakeWecom, page
from tests.cli.runner import kfstate

__all__: list[str] = []

SETTINGS = ("--settings", "kfstate.toml")


@pytest.fixture
def wecom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWecom]:
    """WeCom with one customer who wrote, and a database that knows it."""
    monkeypatch.chdir(tmp_path)
    with FakeWecom() as made:
        account = made.account("售后", open_kfid="wk1")
        account.servicer("zhang")
        made.customer("wm1").writes(account)
        text = f'corp_id = "{made.corp_id}"\nsecret = "{made.secret}"\napi_url = "{made.url}"\ndb = "sqlite:///kf.db"\n'
        Path("kfstate.toml").write_text(text, encoding="utf-8")
        with Engine("sqlite:///kf.db") as engine:
            engine.ingest(page([dict(entry) for entry in account.entries()]), account="wk1")
        yield made


def calls(wecom: FakeWecom, name: str) -> int:
    """Return how many calls of a kind there were."""
    return sum(call.name == name for call in wecom.calls)


def test_change(wecom: FakeWecom) -> None:
    """A state by its word; the same key changes once; who and why stand in the log."""
    words = ("state", "change", "wk1", "wm1", "queue", "--key", "k", "--actor", "zhao", "--reason", "asked", *SETTINGS)
    done = kfstate(*words)
    assert (0, 2, None, "api", False) == (
        done.code, *(done.one[name] for name in ("service_state", "servicer_userid", "evidence", "repeated")),
    )  # fmt: skip
    assert done.one["code"]
    assert kfstate(*words).one == {**done.one, "repeated": True}
    assert 1 == calls(wecom, "service_state/trans")
    with Engine("sqlite:///kf.db") as engine:
        entry = list(engine.read_all())[-1]
    assert ("zhao", "asked") == (entry.actor, entry.payload["reason"])
    done = kfstate("state", "change", "wk1", "wm1", "3", "--servicer", "zhang", *SETTINGS, terminal=True)
    assert 0 == done.code
    assert "zhang" in done.out


def test_refused(wecom: FakeWecom) -> None:
    """A refusal is one line on stderr, and leaves with 1."""
    done = kfstate("state", "change", "wk1", "wm1", "manual", "--servicer", "li", *SETTINGS)
    assert 1 == done.code
    assert "95014" in done.err
    assert "Traceback" not in done.err
    assert 1 == calls(wecom, "service_state/trans")


def test_send(wecom: FakeWecom) -> None:
    """A text, a message of another type, and one with a code."""
    done = kfstate("send", "wk1", "wm1", "您好", "--key", "k", *SETTINGS)
    assert (0, "send_msg", False) == (done.code, done.one["via"], done.one["repeated"])
    assert kfstate("send", "wk1", "wm1", "您好", "--key", "k", *SETTINGS).one["repeated"] is True
    image = '{"msgtype": "image", "image": {"media_id": "m"}}'
    assert 0 == kfstate("send", "wk1", "wm1", "--message", image, *SETTINGS).code
    code = kfstate("state", "change", "wk1", "wm1", "queue", *SETTINGS).one["code"]
    done = kfstate("send", "wk1", "wm1", "请稍候", "--code", code, *SETTINGS)
    assert "send_msg_on_event" == done.one["via"]
    assert 1 == kfstate("send", "wk1", "wm1", "请稍候", "--code", code, *SETTINGS).code
    assert (2, 1) == (calls(wecom, "send_msg"), calls(wecom, "send_msg_on_event"))
    assert 2 == kfstate("send", "wk1", "wm1", "--message", "{", *SETTINGS).code
    assert 2 == kfstate("send", "wk1", "wm1", "--message", "[]", *SETTINGS).code


def test_assign(wecom: FakeWecom) -> None:
    """To whom carries least; to the pool where there is no place."""
    wecom.customer("wm2").writes(account := wecom.account("售前", open_kfid="wk2"))
    account.servicer("li")
    done = kfstate("assign", "wk1", "wm1", "--capacity", "1", "--previous", *SETTINGS)
    assert (0, 3, "zhang", []) == (
        done.code, *(done.one[name] for name in ("service_state", "servicer_userid", "refused")),
    )  # fmt: skip
    done = kfstate("assign", "wk1", "wm1", *SETTINGS)
    assert ("served", 3, "zhang") == tuple(done.one[name] for name in ("outcome", "service_state", "servicer_userid"))
    done = kfstate("assign", "wk2", "wm2", "--capacity", "0", *SETTINGS, terminal=True)
    assert 0 == done.code


@pytest.mark.usefixtures("wecom")
def test_state_that_is_none() -> None:
    """An unknown state is an error of the command line."""
    done = kfstate("state", "change", "wk1", "wm1", "busy", *SETTINGS)
    assert 2 == done.code
    assert "3 manual" in done.err


def test_contradictions(wecom: FakeWecom) -> None:
    """Two messages at once, and fewer than no sessions, are mistakes: nothing is done."""
    message = '{"msgtype": "text", "text": {"content": "b"}}'
    for words, told in (
        (("send", "wk1", "wm1", "a", "--message", message), "--message"),
        (("assign", "wk1", "wm1", "--capacity", "-1"), "--capacity"),
    ):
        done = kfstate(*words, *SETTINGS)
        assert (2, True) == (done.code, told in done.err)
    assert not wecom.calls
