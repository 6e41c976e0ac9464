"""A machine as data: TOML or JSON in the form that ``kf_machine.definition`` keeps, checked strictly, never executed.

A definition names triggers, guards and effects; what these do is this release's own code, numbered by ``semantics``.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from kfstate.errors import MachineError
from kfstate.machine.check import TRIGGERS
from kfstate.machine.guards import GUARDS
from kfstate.machine.spec import ANY, EFFECTS, Clockwork, MachineSpec, Row, definition
from kfstate.machine.state import DOUBTS, EVIDENCE, OPENINGS, OUTCOMES
from kfstate.machine.table import SPEC
from kfstate.service_state import KfServiceState
from kfstate.store.json_rows import once

__all__ = ["load", "parse", "read", "schema", "to_json", "to_toml"]

_LARGEST = 1 << 20
_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.?/-]{1,64}$(?!\n)")]
_Version = Annotated[str, Meta(pattern=r"^[ -~]{1,64}$(?!\n)")]
_Sentence = Annotated[str, Meta(min_length=1, max_length=500)]
_State = Annotated[int, Meta(ge=0, le=4)]
_Number = Annotated[int, Meta(gt=0, lt=1 << 31)]
_EXPIRY = ("last_customer_message", "opening")
_SAYS = {row.name: row.says for row in SPEC.rows}
_OPTIONAL = ("dest", "guard", "evidence", "doubt", "effect")


def _word(*words: str) -> Meta:
    return Meta(extra_json_schema={"enum": list(words)})


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    name: _Name
    trigger: Annotated[_Name, _word(*TRIGGERS)]
    sources: Annotated[list[_State], Meta(min_length=1, max_length=5)]
    outcome: Annotated[str, _word(*OUTCOMES)]
    dest: _State | None = None
    guard: Annotated[str, _word(*GUARDS)] | None = None
    evidence: Annotated[str, _word(*EVIDENCE)] | None = None
    doubt: Annotated[str, _word(*DOUBTS)] | None = None
    opened_by: Annotated[str, _word(*OPENINGS)] = "unseen"
    effect: Annotated[str, _word(*EFFECTS)] | None = None
    says: _Sentence | None = None


class _Clockwork(msgspec.Struct, forbid_unknown_fields=True):
    expires_after: _Number
    expiry_anchor: Annotated[str, _word(*_EXPIRY)]
    doubtful_after: _Number
    straggler: _Number
    send_limit: _Number


class _Definition(msgspec.Struct, forbid_unknown_fields=True):
    version: _Version
    semantics: int
    clockwork: _Clockwork
    rows: Annotated[list[_Row], Meta(min_length=1, max_length=1000)]
    api: Annotated[list[tuple[_State, _State, str]], Meta(max_length=100)]


def load(path: Path | str) -> MachineSpec:
    """Return the machine of a file: JSON where it is named ``*.json``, else TOML.

    Raises :class:`~kfstate.errors.MachineError`, naming every problem, and OSError.
    """
    path = Path(path)
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    return parse(content, form="json" if path.suffix.lower() == ".json" else "toml")


def parse(content: bytes | str, *, form: str) -> MachineSpec:
    """Return the machine of a text; ``form`` is ``toml`` or ``json``. Raises :class:`~kfstate.errors.MachineError`."""
    if len(content) > _LARGEST:
        raise MachineError((f"it is larger than {_LARGEST} bytes",))
    try:
        text = content if isinstance(content, str) else content.decode()
        data = json.loads(text, object_pairs_hook=once) if form == "json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise MachineError((f"it is no {form.upper()}: {error}",)) from None
    return read(data)


def read(data: object) -> MachineSpec:
    """Return the machine of a definition as plain data. Raises :class:`~kfstate.errors.MachineError`.

    Whether the table is sound is for :func:`~kfstate.machine.compiled` to say.
    """
    problems = list(_rows_problems(data))
    if problems:
        raise MachineError(tuple(problems))
    try:
        found = msgspec.convert(data, _Definition)
    except msgspec.ValidationError as error:
        raise MachineError((_plain(error),)) from None
    if found.semantics != SPEC.semantics:
        problems.append(f"semantics: this release has {SPEC.semantics}; the guards and effects of another differ")
    pairs = [(before, after) for before, after, _ in found.api]
    problems += [
        f"api: {before} → {after} stands there twice" for before, after in pairs if pairs.count((before, after)) > 1
    ]
    problems += [
        f"row {row.name}: a source stands there twice" for row in found.rows if len(set(row.sources)) < len(row.sources)
    ]
    if problems:
        raise MachineError(tuple(dict.fromkeys(problems)))
    return MachineSpec(
        version=found.version,
        semantics=found.semantics,
        rows=tuple(_row(row) for row in found.rows),
        api={(KfServiceState(before), KfServiceState(after)): verdict for before, after, verdict in found.api},
        clockwork=Clockwork(**msgspec.structs.asdict(found.clockwork)),
    )


def _rows_problems(data: object) -> Iterator[str]:
    """Say of each row what is wrong with its shape, so that one does not hide the others."""
    rows = data.get("rows") if isinstance(data, Mapping) else None
    for number, row in enumerate(rows if isinstance(rows, list) else ()):
        try:
            msgspec.convert(row, _Row)
        except msgspec.ValidationError as error:
            name = row.get("name") if isinstance(row, Mapping) else None
            told = f"row {name}" if isinstance(name, str) and name else f"rows[{number}]"
            yield f"{told[:80]}: {_plain(error)}"


def _plain(error: Exception) -> str:
    return str(error).replace("Object", "A table").replace("`", "'")


def _row(row: _Row) -> Row:
    fields = msgspec.structs.asdict(row)
    fields["sources"] = tuple(KfServiceState(state) for state in row.sources)
    fields["dest"] = None if row.dest is None else KfServiceState(row.dest)
    fields["says"] = row.says or _SAYS.get(row.name) or f"row {row.name} of the machine"
    return Row(**fields)


def to_json(spec: MachineSpec) -> str:
    """Return a machine as JSON that :func:`parse` reads back."""
    return json.dumps(_plain_data(spec), ensure_ascii=False, indent=1) + "\n"


def to_toml(spec: MachineSpec) -> str:
    """Return a machine as TOML that :func:`parse` reads back."""
    data = _plain_data(spec)
    lines = [f"version = {_toml(data['version'])}", f"semantics = {data['semantics']}", "api = ["]
    lines += [f"    {_toml(triple)}," for triple in data["api"]]
    lines += ["]", "", "[clockwork]", *(f"{name} = {_toml(value)}" for name, value in data["clockwork"].items())]
    for row in data["rows"]:
        lines += ["", "[[rows]]", *(f"{name} = {_toml(value)}" for name, value in row.items())]
    return "\n".join(lines) + "\n"


def _plain_data(spec: MachineSpec) -> dict[str, Any]:
    data = definition(spec)
    for row, shown in zip(spec.rows, data["rows"], strict=True):
        shown["says"] = row.says
        for name in _OPTIONAL:
            if shown[name] is None:
                del shown[name]
    return data


def _toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else str(value)


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a definition."""
    (made,), parts = msgspec.json.schema_components([_Definition], ref_template="#/$defs/{name}")
    named = json.loads(json.dumps({"made": made, "parts": parts}).replace("#/$defs/_", "#/$defs/"))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kfstate machine",
        "description": f"States are numbers: {', '.join(f'{int(state)} {state.word}' for state in ANY)}.",
        **named["made"],
        "$defs": {name.removeprefix("_"): part for name, part in named["parts"].items()},
    }
