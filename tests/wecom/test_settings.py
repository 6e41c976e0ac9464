"""Settings: where each comes from, what it may be, and that no secret is shown."""

import copy
import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from kfstate import SettingsError
from kfstate.wecom import Secret, Settings
from kfstate.wecom.settings import CallbackSettings
from tests.wecom.calling import KEY, told

__all__: list[str] = []

FILE = f"""
corp_id = "ww_file"
secret = "hunter2"
db = "postgresql://kf:hunter2@db/kf?sslpassword=hunter2"
accounts = ["wk1", "wk2"]
timeout = 5

[callback]
token = "hunter2"
aes_key = "{KEY}"
port = 9000

[sync]
interval = 2.5

[reconcile]
readings = 0
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a bit of everything."""
    path = tmp_path / "kfstate.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def test_file(file: Path) -> None:
    """What the file says, and defaults for the rest."""
    found = Settings.load(file, environment={})
    assert ("ww_file", ("wk1", "wk2"), 5.0) == (found.corp_id, found.accounts, found.timeout)
    assert (9000, "/wecom/callback", 2.5, 1000) == (
        found.callback.port, found.callback.path, found.sync.interval, found.sync.limit,
    )  # fmt: skip
    assert ["hunter2", "hunter2", KEY] == [
        one.reveal() for one in (found.secret, found.callback.token, found.callback.aes_key)
    ]
    assert found.db.reveal() == "postgresql://kf:hunter2@db/kf?sslpassword=hunter2"
    assert str(file) == found.source


def test_defaults() -> None:
    """Without file and environment all is as documented, and nothing is required to ask for it."""
    found = Settings.load(environment={})
    assert found == Settings()
    assert ("", "sqlite:///kfstate.db", ()) == (found.corp_id, found.db.reveal(), found.accounts)
    assert not found.secret


def test_precedence(file: Path) -> None:
    """Python, then KFSTATE_*, then WECOM_*, then the file, then the default; empty variables count as none."""
    variables = {"WECOM_CORP_ID": "ww_wecom"}
    assert "ww_wecom" == Settings.load(file, environment=variables).corp_id
    variables["KFSTATE_CORP_ID"] = "ww_kfstate"
    assert "ww_kfstate" == Settings.load(file, environment=variables).corp_id
    assert "ww_python" == Settings.load(file, environment=variables, corp_id="ww_python").corp_id
    assert "ww_file" == Settings.load(file, environment={"WECOM_CORP_ID": "", "KFSTATE_CORP_ID": ""}).corp_id


def test_environment() -> None:
    """Every setting has its variable; lists have commas, numbers are text."""
    variables = {
        "WECOM_CORP_SECRET": "s1",
        "WECOM_CALLBACK_TOKEN": "t1",
        "WECOM_CALLBACK_AES_KEY": KEY,
        "KFSTATE_ACCOUNTS": "wk1, wk2,",
        "KFSTATE_DB": "data/kf.db",
        "KFSTATE_API_URL": "http://127.0.0.1:8000/",
        "KFSTATE_SYNC_LIMIT": "10",
        "KFSTATE_TIMERS_INTERVAL": "0.5",
        "KFSTATE_CALLBACK_PATH": "/x",
    }
    found = Settings.load(environment=variables)
    assert ["s1", "t1", KEY] == [one.reveal() for one in (found.secret, found.callback.token, found.callback.aes_key)]
    assert (("wk1", "wk2"), "sqlite:///data/kf.db") == (found.accounts, found.db.reveal())
    assert ("http://127.0.0.1:8000", 10, 0.5, "/x") == (
        found.api_url, found.sync.limit, found.timers.interval, found.callback.path,
    )  # fmt: skip


def test_process_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the process, and the file that it names."""
    monkeypatch.setenv("KFSTATE_SETTINGS", str(file))
    monkeypatch.setenv("KFSTATE_CALLBACK_PORT", "9001")
    found = Settings.load()
    assert ("ww_file", 9001) == (found.corp_id, found.callback.port)


BAD = [
    ("corp_id", "a b", "'a b'"),
    ("corp_id", "x" * 300, "…"),
    ("secret", "hun\nter2", "***"),
    ("callback.aes_key", "hunter2", "***"),
    ("callback.token", "hunter2客", "***"),
    ("db", "postgresql://u:hunter2@h:port/x", "***"),
    ("accounts", "wk1,wk1", "'wk1,wk1'"),
    ("accounts", "wk 1", "'wk 1'"),
    ("callback.port", "0", "'0'"),
    ("callback.port", "80.5", "'80.5'"),
    ("callback.path", "callback", "'callback'"),
    ("callback.host", "a/b", "'a/b'"),
    ("sync.interval", "0", "'0'"),
    ("sync.interval", "nan", "'nan'"),
    ("sync.interval", "soon", "'soon'"),
    ("sync.limit", "1001", "'1001'"),
    ("timeout", "inf", "'inf'"),
    ("api_url", "ftp://x", "'ftp://x'"),
    ("api_url", "https://u:p@x", "'https://u:p@x'"),
    ("api_url", "https://x:port", "'https://x:port'"),
]


@pytest.mark.parametrize(("key", "value", "shown"), BAD)
def test_bad_values(key: str, value: str, shown: str, tmp_path: Path) -> None:
    """From the environment, a file, Python: the error names where, which, what (or a mask), and what may be."""
    variable = f"KFSTATE_{key.replace('.', '_').upper()}"
    section, _, name = key.rpartition(".")
    path = tmp_path / "bad.toml"
    path.write_text(f"[{section}]\n" * bool(section) + f"{name} = {json.dumps(value)}\n", encoding="utf-8")
    given: dict[str, Any] = {key.replace(".", "_"): value}
    ways: list[tuple[str, Callable[[], Settings]]] = [
        (variable, lambda: Settings.load(environment={variable: value})),
        (str(path), lambda: Settings.load(path, environment={})),
        ("Settings", lambda: Settings.load(environment={}, **given)),
    ]
    for source, load in ways:
        with pytest.raises(SettingsError) as refused:
            load()
        assert (source, key) == (refused.value.source, refused.value.key)
        assert shown in str(refused.value)
        assert refused.value.allowed in str(refused.value)
        assert ("hunter2" in value) <= ("hunter2" not in str(refused.value))


@pytest.mark.parametrize(
    "text", ["port = true", 'port = "x"', "port = [1]", "port = 1979-05-27", "token = 5", "token = {}"]
)
def test_bad_types(text: str, tmp_path: Path) -> None:
    """Types that TOML has and a setting has not."""
    path = tmp_path / "bad.toml"
    path.write_text(f"[callback]\n{text}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"callback\.(port|token) is "):
        Settings.load(path, environment={})


def test_bad_files(tmp_path: Path) -> None:
    """No file, no TOML, no UTF-8, a section that is none: the error names the file, and shows nothing of it."""
    path = tmp_path / "x.toml"
    for content, message in [
        (b'secret = "hunter2', r"not TOML at end of document"),
        (b"secret = 'hunter2\xff'", "not TOML in UTF-8"),
        (b"a = " + b"[" * 5000, "not TOML"),
        (b"timeout = " + b"9" * 5000, "not TOML"),
        (b'callback = "hunter2"', r"callback is no section.*\[callback\]"),
        (b'secrt = "hunter2"', "secrt is unknown.*secret, perhaps"),
        (b'[zz]\nqq = "hunter2"', r"zz is unknown.*one of corp_id"),
    ]:
        path.write_bytes(content)
        with pytest.raises(SettingsError, match=message) as refused:
            Settings.load(path, environment={})
        assert str(path) in str(refused.value)
        assert "hunter2" not in told(refused.value)
    with pytest.raises(SettingsError, match="No such file"):
        Settings.load(tmp_path / "none.toml", environment={})
    with pytest.raises(SettingsError, match=r"sync_intervall is unknown.*sync_interval, perhaps"):
        Settings.load(environment={}, sync_intervall=5)


def test_what_is_needed(file: Path) -> None:
    """A face asks for what it needs; the error says how to give it."""
    Settings.load(file, environment={}).need("corp_id", "secret", "callback.token")
    with pytest.raises(SettingsError, match=r"the environment: callback\.token is missing.*KFSTATE_CALLBACK_TOKEN"):
        Settings.load(environment={}).need("callback.token")


def test_made_by_hand() -> None:
    """In Python they are checked as well; strings become secrets."""
    word: Any = "hunter2"
    found = Settings(corp_id="ww1", secret=word, callback=CallbackSettings(token=word))
    assert "hunter2" == found.callback.token.reveal()
    with pytest.raises(SettingsError, match="Settings: port is 0"):
        CallbackSettings(port=0)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        found.corp_id = "x"  # type: ignore[misc]


def test_secrets_are_shown_nowhere(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """repr, str, format, JSON, logs, errors, tracebacks: masked; a database shows all but its password."""
    found = Settings.load(file, environment={})
    logging.getLogger("kfstate").warning("settings: %s %s %r", found, found.secret, found.shown())
    outputs = [
        repr(found), str(found), f"{found.secret} {found.secret:>10} {found.db!s}", caplog.text,
        json.dumps(attrs.asdict(found), default=str), json.dumps(found.shown()), repr(vars(Settings)),
        "{}".format([found.secret]), "%s" % found.callback.aes_key,  # noqa: UP031, UP032
    ]  # fmt: skip
    try:
        raise RuntimeError(found.secret, found)  # noqa: TRY301 (to see what it tells)
    except RuntimeError as error:
        outputs.append(told(error) + repr(error))
    assert [] == [text for text in outputs if "hunter2" in text or KEY in text]
    assert "postgresql://kf:***@db/kf" in found.shown()["db"]  # type: ignore[operator]
    assert {"***"} == {found.shown()[name] for name in ("secret", "callback.token", "callback.aes_key")}
    assert "" == Settings().shown()["secret"]
    assert 0 == found.shown()["reconcile.readings"]


def test_secret() -> None:
    """A secret is a value: equal, hashable, copied as itself; it is not pickled, and is false where it is empty."""
    secret = Secret("hunter2")
    assert (Secret("hunter2"), Secret(secret)) == (secret, secret)
    assert secret != Secret("客服")
    assert ["hunter2"] != [secret]
    assert 1 == len({secret, Secret("hunter2")})
    assert copy.deepcopy([secret])[0] is copy.copy(secret) is secret
    assert (True, False) == (bool(secret), bool(Secret("")))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(secret, protocol)
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert "hunter2" not in repr([getattr(secret, name) for name in Secret.__slots__])


def test_secrets_as_text() -> None:
    """A secret is given as it is, or as text, in each place; type checkers agree, and it is masked either way."""
    plain = Settings(secret="hunter2", db="kf.db", callback=CallbackSettings(token="t", aes_key=KEY))
    masked = Settings(
        secret=Secret("hunter2"), db=Secret("kf.db"), callback=CallbackSettings(token=Secret("t"), aes_key=Secret(KEY))
    )
    assert masked == plain
    secrets: list[Secret] = [plain.secret, plain.db, plain.callback.token, plain.callback.aes_key]
    assert ["***", "sqlite:///kf.db", "***", "***"] == [str(one) for one in secrets]
    sections: list[tuple[Callable[..., object], str]] = [
        (Settings, "secret"), (Settings, "db"), (CallbackSettings, "token"), (CallbackSettings, "aes_key"),
    ]  # fmt: skip
    for section, name in sections:
        with pytest.raises(SettingsError) as caught:
            section(**{name: "客服\n"})
        assert (name, "Settings") == (caught.value.key, caught.value.source)
