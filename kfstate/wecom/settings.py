"""The settings of the live side: a TOML file, and the environment over it.

Each setting is taken from the first of these that has it:

1. what is handed to :meth:`Settings.load` in Python;
2. the environment, ``KFSTATE_`` and its name (``callback.aes_key`` is ``KFSTATE_CALLBACK_AES_KEY``);
3. the environment under the name that other WeCom tools use (``WECOM_CORP_ID``, ``WECOM_CORP_SECRET`` …);
4. the TOML file; 5. the default.

An empty variable counts as none.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import attrs

from kfstate.errors import SettingsError
from kfstate.wecom import kinds
from kfstate.wecom.kinds import Kind
from kfstate.wecom.secret import Secret

__all__ = ["CallbackSettings", "ReconcileSettings", "Settings", "SyncSettings", "TimerSettings"]

_HERE = "Settings"
_ENVIRONMENT = "the environment"
_NONE, _DATABASE = Secret(""), Secret("sqlite:///kfstate.db", shown="sqlite:///kfstate.db")


def _converted(value: Any, _instance: Any, field: "attrs.Attribute[Any]") -> Any:
    return _read(field.metadata["kind"], value, _HERE, field.name)


def _setting(kind: Kind, default: Any, *also: str) -> Any:
    """Return a field: its kind, its default, and the further variables that it is taken from."""
    converter = attrs.Converter(_converted, takes_self=True, takes_field=True)
    return attrs.field(default=default, converter=converter, metadata=_about(kind, *also))


def _about(kind: Kind, *also: str) -> dict[str, Any]:
    return {"kind": kind, "also": also}


# Functions with names, one for each secret: type checkers take the types that a setting may be given as from them.


def _secret(value: str | Secret) -> Secret:
    return _secret_of(kinds.SECRET, value, "secret")


def _token(value: str | Secret) -> Secret:
    return _secret_of(kinds.SECRET, value, "token")


def _aes_key(value: str | Secret) -> Secret:
    return _secret_of(kinds.AES_KEY, value, "aes_key")


def _db(value: str | Secret) -> Secret:
    return _secret_of(kinds.DATABASE, value, "db")


def _secret_of(kind: Kind, value: str | Secret, name: str) -> Secret:
    read: Secret = _read(kind, value, _HERE, name)
    return read


@attrs.frozen(kw_only=True)
class CallbackSettings:
    """The callback: what the console shows of it, and where ``kfstate callback serve`` listens.

    ``receive_id`` is the suite id of a third-party app; '' stands for the corp id.
    """

    token: Secret = attrs.field(default=_NONE, converter=_token, metadata=_about(kinds.SECRET, "WECOM_CALLBACK_TOKEN"))
    aes_key: Secret = attrs.field(
        default=_NONE, converter=_aes_key, metadata=_about(kinds.AES_KEY, "WECOM_CALLBACK_AES_KEY")
    )
    receive_id: str = _setting(kinds.ID, "")
    host: str = _setting(kinds.HOST, "127.0.0.1")
    port: int = _setting(kinds.count(1, 65_535), 8080)
    path: str = _setting(kinds.PATH, "/wecom/callback")


@attrs.frozen(kw_only=True)
class SyncSettings:
    """Pulling: how often without a callback (seconds), and how many entries a page may have."""

    interval: float = _setting(kinds.seconds(1, 86_400), 60.0)
    limit: int = _setting(kinds.count(1, 1000), 1000)


@attrs.frozen(kw_only=True)
class ReconcileSettings:
    """Reading states back: how often a sweep runs (seconds), and how many readings it may take."""

    interval: float = _setting(kinds.seconds(1, 86_400), 60.0)
    readings: int = _setting(kinds.count(0, 100_000), 100)


@attrs.frozen(kw_only=True)
class TimerSettings:
    """Timers: how often is looked at what is due (seconds)."""

    interval: float = _setting(kinds.seconds(0.1, 3600), 1.0)


@attrs.frozen(kw_only=True)
class Settings:
    """All of them. ``accounts``: the ``open_kfid`` to follow; none given: all that the app may manage.

    ``timeout`` is that of a call to WeCom, in seconds. ``source`` says where the settings come from.
    """

    corp_id: str = _setting(kinds.ID, "", "WECOM_CORP_ID")
    secret: Secret = attrs.field(default=_NONE, converter=_secret, metadata=_about(kinds.SECRET, "WECOM_CORP_SECRET"))
    db: Secret = attrs.field(default=_DATABASE, converter=_db, metadata=_about(kinds.DATABASE))
    accounts: tuple[str, ...] = _setting(kinds.IDS, ())
    api_url: str = _setting(kinds.URL, "https://qyapi.weixin.qq.com")
    timeout: float = _setting(kinds.seconds(0.1, 600), 10.0)
    callback: CallbackSettings = attrs.field(factory=CallbackSettings)
    sync: SyncSettings = attrs.field(factory=SyncSettings)
    reconcile: ReconcileSettings = attrs.field(factory=ReconcileSettings)
    timers: TimerSettings = attrs.field(factory=TimerSettings)
    source: str = attrs.field(default=_HERE, eq=False)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str] | None = None, *, environment: Mapping[str, str] | None = None, **given: Any
    ) -> Self:
        """Return the settings of a file and the environment.

        Without a path, ``KFSTATE_SETTINGS`` names the file; without that, there is none. ``given`` goes before both;
        its names have ``_`` where the file has a dot: ``callback_port=9000``.

        Raises:
            SettingsError: the file cannot be read, or a setting is unknown or wrong. It says which, and where.
        """
        file = path or _variable("KFSTATE_SETTINGS", environment)
        found = _file(Path(file)) if file else {}
        values: dict[str, Any] = {}
        for key, field in _fields(cls):
            name = key.replace(".", "_")
            source, value = _HERE, given.pop(name, None)
            if value is None:
                source, value = _from_environment(name, field, environment)
            if value is None:
                source, value = str(file), found.get(key)
            if value is not None:
                values[key] = _read(field.metadata["kind"], value, source, key)
        if given:
            raise _unknown(_HERE, min(given), [key.replace(".", "_") for key, _ in _fields(cls)])
        return cls(**_nested(cls, values), source=str(file) if file else _ENVIRONMENT)

    def need(self, *keys: str) -> None:
        """Raise an error where one of these settings is not given."""
        for key in keys:
            if not self._value(key):
                variable = f"KFSTATE_{key.replace('.', '_').upper()}"
                raise SettingsError(self.source, key, "", f"given there, or as {variable}")

    def shown(self) -> dict[str, object]:
        """Return every setting by its dotted name, secrets masked."""
        values = {key: self._value(key) for key, _ in _fields(type(self))}
        return {key: str(value or "") if isinstance(value, Secret) else value for key, value in values.items()}

    def _value(self, key: str) -> Any:
        value: Any = self
        for name in key.split("."):
            value = getattr(value, name)
        return value


def _fields(owner: "type[attrs.AttrsInstance]", prefix: str = "") -> "Iterator[tuple[str, attrs.Attribute[Any]]]":
    """Go through the settings of a class, those of its sections after its own."""
    for field in attrs.fields(owner):
        if "kind" in field.metadata:
            yield prefix + field.name, field
    for name, section in _sections(owner).items():
        yield from _fields(section, f"{name}.")


def _sections(owner: "type[attrs.AttrsInstance]") -> "dict[str, type[attrs.AttrsInstance]]":
    return {field.name: field.type for field in attrs.fields(owner) if field.type and attrs.has(field.type)}


def _nested(owner: "type[attrs.AttrsInstance]", values: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {key: value for key, value in values.items() if "." not in key}
    for name, section in _sections(owner).items():
        inside = {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{name}.")}
        made[name] = section(**inside)
    return made


def _read(kind: Kind, value: Any, source: str, key: str) -> Any:
    found = value if kind.secret else _bare(value)
    try:
        return kind.read(found)
    except ValueError:
        raise SettingsError(source, key, kind.shown(found), kind.allowed) from None


def _variable(name: str, environment: Mapping[str, str] | None) -> str:
    return (os.environ if environment is None else environment).get(name, "")


def _from_environment(
    name: str, field: "attrs.Attribute[Any]", environment: Mapping[str, str] | None
) -> tuple[str, str | Secret | None]:
    for variable in (f"KFSTATE_{name.upper()}", *field.metadata["also"]):
        if _variable(variable, environment):
            text = _variable(variable, environment)
            return variable, Secret(text) if field.metadata["kind"].secret else text
    return "", None


def _file(path: Path) -> dict[str, Any]:
    """Return what a file says, by dotted names; refuse names that no setting has."""
    flat: dict[str, Any] = {}
    keys = dict(_fields(Settings))
    sections = _sections(Settings)
    for name, value in _tables(path).items():
        if name in sections and not isinstance(value, dict):
            raise SettingsError(str(path), name, "no section", f"one: [{name}]")
        inside = {f"{name}.{part}": one for part, one in value.items()} if name in sections else {name: value}
        for key, one in inside.items():
            if key not in keys:
                raise _unknown(str(path), key, list(keys))
            flat[key] = one
    return flat


def _tables(path: Path) -> dict[str, Any]:
    """Return the tables of a file, the secrets in them masked."""
    try:
        tables: dict[str, Any] = _masked(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SettingsError(str(path), "the file", error.strerror or "unreadable", "a file that can be read") from None
    except tomllib.TOMLDecodeError as error:
        where = str(error).partition("(")[2].rstrip(")") or "somewhere"
        raise SettingsError(str(path), "the file", f"not TOML {where}", "TOML") from None
    except (ValueError, RecursionError):  # no UTF-8, numbers without end, brackets without end
        raise SettingsError(str(path), "the file", "not TOML in UTF-8", "TOML") from None
    return tables


def _masked(value: Any) -> Any:
    """Return what a file says with every text masked, be it meant as a secret or not: tracebacks show variables."""
    if isinstance(value, dict):
        return {name: _masked(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_masked(one) for one in value]
    return Secret(value) if isinstance(value, str) else value


def _bare(value: Any) -> Any:
    return [_bare(one) for one in value] if isinstance(value, list) else getattr(value, "reveal", lambda: value)()


def _unknown(source: str, key: str, known: list[str]) -> SettingsError:
    near = difflib.get_close_matches(key, known, 1)
    return SettingsError(source, key, "unknown", f"{near[0]}, perhaps" if near else f"one of {', '.join(known)}")
