"""`sync`, `accounts`, `servicers` and what `doctor` says of WeCom, against a fake one."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import attrs
import pytest

from kfstate.cli.ending import told_to_end
from kfstate.testing import FakeWecom, FrozenClock
from kfstate.testing.fake import Account
from tests.adversarial.processes import Say, beside
from tests.cli.runner import ROOT, Result, kfstate
from tests.wecom.living import AES_KEY, START, TOKEN

__all__: list[str] = []


@attrs.frozen
class Shop:
    """A fake WeCom with one account, and the settings for it."""

    wecom: FakeWecom
    account: Account
    settings: Path
    db: Path

    def run(self, *arguments: object, terminal: bool = False) -> Result:
        """Run one command on it."""
        return kfstate("--db", self.db, *arguments, "--settings", self.settings, terminal=terminal)

    def write(self, **more: str) -> None:
        """Write the settings down."""
        lines = {"corp_id": self.wecom.corp_id, "secret": self.wecom.secret, "api_url": self.wecom.url} | more
        self.settings.write_text("".join(f'{name} = "{value}"\n' for name, value in lines.items()), encoding="utf-8")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine decides."""
    for name in list(os.environ):
        if name.startswith(("KFSTATE_CORP", "KFSTATE_SECRET", "KFSTATE_SETTINGS", "WECOM_")):
            monkeypatch.delenv(name)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """One that behaves."""
    with FakeWecom() as wecom:
        made = Shop(wecom, wecom.account("售后"), tmp_path / "kfstate.toml", tmp_path / "kf.db")
        made.write()
        yield made


def test_once(shop: Shop) -> None:
    """Every account is pulled to its end, into a database that need not be there; again changes nothing."""
    customer = shop.wecom.customer()
    customer.writes(shop.account, "a")
    customer.writes(shop.account, "b")
    first = shop.run("sync", "--once").one
    assert ("complete", 2, 0, None) == (first["outcome"], first["appended"], first["duplicates"], first["gap_from"])
    assert first["synced_until"].endswith("Z")
    assert 0 == shop.run("sync").one["entries"]
    again = shop.run("sync", "--again").one
    assert (2, 0, 2, True) == (again["entries"], again["appended"], again["duplicates"], again["restarted"])
    table = shop.run("--lang", "zh", "sync", terminal=True)
    assert "客服账号" in table.out
    assert "完成" in table.out
    assert 2 == kfstate("--db", shop.db, "sync", "--once", "--follow").code
    assert 2 == kfstate("--db", shop.db, "sync", "--again", "--follow").code


def test_an_account_that_fails_hides_no_other(shop: Shop) -> None:
    """What was pulled is shown, then what went wrong, of every account; it ends with 1."""
    accounts = [shop.account, *(shop.wecom.account(name) for name in ("售前", "团购"))]
    shop.wecom.customer().writes(shop.account, "a")
    shop.wecom.fail_next("sync_msg", errcode=48002, times=2)
    done = shop.run("sync", "--once")
    assert 1 == done.code
    (well,) = done.lines
    assert "complete" == well["outcome"]
    assert 2 == done.err.count("48002")
    assert {well["open_kfid"]} == {str(account.open_kfid) for account in accounts if account.open_kfid not in done.err}


def test_database_of_the_settings(shop: Shop, tmp_path: Path) -> None:
    """Without --db it is that of the settings."""
    shop.write(db=f"sqlite:///{tmp_path}/other.db")
    assert "complete" == kfstate("sync", "--settings", shop.settings).one["outcome"]
    assert (tmp_path / "other.db").exists()


def test_refused(shop: Shop) -> None:
    """Without settings, with a wrong secret, with a wrong file: one line, and what to do; never the secret."""
    nothing = kfstate("--db", shop.db, "sync")
    assert 2 == nothing.code
    assert "corp_id is missing" in nothing.err
    shop.write(secret="wrong-secret-of-forty-three-characters-000")
    wrong = shop.run("sync")
    assert 1 == wrong.code
    assert "gettoken was refused" in wrong.err
    assert "wrong-secret" not in wrong.err + wrong.out


def test_accounts_and_servicers(shop: Shop) -> None:
    """What WeCom says, and how far each account is in step."""
    shop.account.servicer("zhang")
    shop.account.servicer("li", receiving=False)
    shop.account.department(7, "wang")
    shop.wecom.account("售前", manage_privilege=False)
    shop.run("sync")
    first, second = shop.run("accounts").lines
    assert {True, False} == {first["manage_privilege"], second["manage_privilege"]}
    assert all(line["synced_until"] and line["lag"] >= 0 for line in (first, second))
    found = shop.run("servicers", shop.account.open_kfid).lines
    assert [("zhang", True), ("li", False)] == [(one["userid"], one["receiving"]) for one in found[:2]]
    assert (None, 7, None) == (found[2]["userid"], found[2]["department_id"], found[2]["receiving"])
    assert "通过API管理" in shop.run("--lang", "zh", "accounts", terminal=True).out
    assert "部门" in shop.run("--lang", "zh", "servicers", shop.account.open_kfid, terminal=True).out
    assert {"zhang", "li"} == {line["servicer_userid"] for line in kfstate("--db", shop.db, "load").lines}


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_follow(shop: Shop, told: signal.Signals) -> None:
    """It prints what comes in, and ends in good order when it is told to."""
    with shop.settings.open("a", encoding="utf-8") as more:
        more.write("[sync]\ninterval = 1\n")
    command = [
        sys.executable, "-W", "error", "-m", "kfstate", "--db", str(shop.db), "sync", "--follow",
        "--settings", str(shop.settings),
    ]  # fmt: skip
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **streams) as child:  # type: ignore[call-overload]
        try:
            assert "pulling" in child.stderr.readline()
            shop.wecom.customer().writes(shop.account, "a")
            assert 1 == json.loads(child.stdout.readline())["appended"]
            child.send_signal(told)
            err = child.communicate(timeout=10)[1]
        finally:
            child.kill()
    assert ({signal.SIGTERM: 0, signal.SIGINT: 130}[told], "Traceback" in err) == (child.returncode, False)


def test_follow_is_told_in_the_midst_of_waiting() -> None:
    """SIGTERM may come while the thread that it interrupts holds a lock, and has to end it even so."""
    with beside(told_while_it_holds_a_lock) as child:
        assert ("ended", 0) == (child.hear(10), child.end(10))


def told_while_it_holds_a_lock(say: Say) -> None:
    """Wait as a follower does, and send oneself SIGTERM where an Event has just taken its lock."""

    def send(frame: FrameType, _event: str, _argument: object) -> None:
        if frame.f_code is threading.Condition.wait.__code__:
            sys.settrace(None)
            signal.raise_signal(signal.SIGTERM)

    with told_to_end(signal.SIGTERM) as told:
        sys.settrace(send)
        while not told:
            threading.Event().wait(0.01)
    say("ended")


def checks(result: Result) -> dict[str, tuple[str, str]]:
    """Return what doctor found, by name."""
    return {line["check"]: (line["status"], line["detail"]) for line in result.lines}


def test_doctor(shop: Shop) -> None:
    """Everything is right, and is said to be."""
    shop.run("sync")
    with shop.settings.open("a", encoding="utf-8") as more:
        more.write(f'[callback]\ntoken = "{TOKEN}"\naes_key = "{AES_KEY}"\n')
    done = shop.run("doctor")
    assert 0 == done.code, done.out
    found = checks(done)
    names = {"wecom settings", "callback key", "wecom token", "wecom IP", "wecom clock", "wecom accounts"}
    assert names <= set(found)
    assert "1 of 1" in found["wecom accounts"][1]
    assert shop.wecom.secret not in done.out
    assert AES_KEY not in done.out
    position = kfstate("--db", shop.db, "events").lines[-1]["position"]
    shop.run("doctor")
    assert position == kfstate("--db", shop.db, "events").lines[-1]["position"], "it records nothing"


def test_doctor_finds(shop: Shop) -> None:
    """What is wrong fails, and says what to do."""
    shop.run("sync")
    shop.wecom.trust_ip(trusted=False)
    found = checks(shop.run("doctor"))
    assert ("OK", "FAIL") == (found["wecom token"][0], found["wecom IP"][0])
    assert "60020" in found["wecom IP"][1]
    shop.wecom.trust_ip(trusted=True)
    shop.write(secret="wrong-secret-of-forty-three-characters-000")
    done = shop.run("doctor")
    assert (1, "FAIL") == (done.code, checks(done)["wecom token"][0])
    shop.write(api_url="http://127.0.0.1:9")
    assert "cannot be reached" in checks(shop.run("doctor"))["wecom"][1]
    shop.write()
    with shop.settings.open("a", encoding="utf-8") as more:
        more.write('accounts = ["wkgone"]\n[callback]\ntoken = "t"\n')
    found = checks(shop.run("doctor"))
    assert ("FAIL", "FAIL") == (found["wecom account wkgone"][0], found["callback key"][0])
    shop.settings.write_text("nonsense", encoding="utf-8")
    assert "FAIL" == checks(shop.run("doctor"))["wecom settings"][0]
    assert "not asked" in checks(kfstate("--db", shop.db, "doctor"))["wecom settings"][1]


def test_doctor_and_the_clock(tmp_path: Path) -> None:
    """A clock that is far off, and an account that is not managed by API."""
    with FakeWecom(clock=FrozenClock.at(START)) as wecom:
        account = wecom.account("售前", manage_privilege=False)
        shop = Shop(wecom, account, tmp_path / "kfstate.toml", tmp_path / "kf.db")
        shop.write()
        shop.run("sync")
        found = checks(shop.run("doctor"))
    assert "FAIL" == found["wecom clock"][0]
    assert "ahead of" in found["wecom clock"][1]
    assert "FAIL" == found["wecom accounts"][0]
    assert "通过API管理" in found["wecom accounts"][1]
