"""A machine as data: the same after the round, refused where anything in it is not known, and never executed."""

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from kfstate.audit.definition import load, parse, read, schema, to_json, to_toml
from kfstate.errors import MachineError
from kfstate.machine import MACHINE, compiled, definition, fingerprint
from kfstate.machine.check import TRIGGERS
from kfstate.machine.table import SPEC

__all__: list[str] = []


@pytest.mark.parametrize("form", ["toml", "json"])
def test_round(form: str, tmp_path: Path) -> None:
    """What is written is read back as the same machine, sentences included."""
    path = tmp_path / f"machine.{form}"
    path.write_text(to_json(SPEC) if form == "json" else to_toml(SPEC), encoding="utf-8")
    assert SPEC == load(path)


def test_sentences_with_every_character() -> None:
    """A sentence keeps what TOML would not take as it is."""
    odd = 'a "word" \\ \t \x7f 会话 🙂'
    spec = attrs.evolve(SPEC, rows=(attrs.evolve(SPEC.rows[0], says=odd), *SPEC.rows[1:]))
    assert odd == parse(to_toml(spec), form="toml").rows[0].says


def test_form_of_the_log() -> None:
    """What `kf_machine.definition` keeps is the same form; sentences, which it lacks, are those of this release."""
    kept = json.dumps(definition(SPEC), sort_keys=True)
    assert SPEC == parse(kept, form="json")
    assert MACHINE.fingerprint == fingerprint(parse(kept, form="json"))


def changed(**changes: Any) -> dict[str, Any]:
    """Return the shipped definition with the first row changed (a key without value: left out)."""
    data = definition(SPEC)
    data["rows"][0].update(changes)
    return data


TWICE = {**definition(SPEC), "api": [*definition(SPEC)["api"], [0, 0, "allowed"]]}
CLOCK = {**definition(SPEC), "clockwork": {**definition(SPEC)["clockwork"], "expires_after": 0}}
REFUSED: list[tuple[object, str]] = [
    (None, "Expected 'object'"),
    ([], "Expected 'object'"),
    ({}, "missing required field"),
    ({**definition(SPEC), "hook": "os.system"}, "unknown field 'hook'"),
    ({**definition(SPEC), "semantics": 2}, "semantics"),
    ({**definition(SPEC), "semantics": True}, "got 'bool'"),
    ({**definition(SPEC), "version": "1\n"}, "regex"),
    ({**definition(SPEC), "rows": []}, "rows"),
    (changed(gaurd="serves"), "row customer.clicked_after_end: A table contains unknown field 'gaurd'"),
    (changed(dest="0"), "row customer.clicked_after_end: Expected 'int | null', got 'str'"),
    (changed(dest=5), "<= 4"),
    (changed(dest=True), "got 'bool'"),
    (changed(sources=[4, 4]), "a source stands there twice"),
    (changed(name="x" * 65), "regex"),
    (changed(name="x\n"), "regex"),
    (changed(says=""), "length >= 1"),
    (TWICE, "api: 0 → 0 stands there twice"),
    (CLOCK, ">= 1"),
]


@pytest.mark.parametrize(
    ("data", "told"), REFUSED, ids=[f"{number} {told}" for number, (_, told) in enumerate(REFUSED)]
)
def test_refused(data: object, told: str) -> None:
    """What has another shape is refused, and it is said where."""
    with pytest.raises(MachineError) as caught:
        read(data)
    assert any(told in problem for problem in caught.value.problems), caught.value.problems


def test_every_row_is_complained_about() -> None:
    """One bad row does not hide another."""
    data = changed(dest="0")
    data["rows"][5]["sources"] = "all"
    with pytest.raises(MachineError) as caught:
        read(data)
    assert ["row customer.clicked_after_end", "row taken.after_presumed_expiry"] == [
        problem.partition(":")[0] for problem in caught.value.problems
    ]


@pytest.mark.parametrize(
    "says", ["{before.__class__}", "{before[0]}", "{age:>99999999999}", "{before!r}", "{}", "{0}", "{"]
)
def test_sentences_do_nothing(says: str) -> None:
    """A sentence names values as they are: nothing is looked up in them, and nothing is blown up."""
    with pytest.raises(MachineError, match="cannot be filled in"):
        compiled(read(changed(says=says)))


@pytest.mark.parametrize(
    ("text", "form"),
    [("version = 1\nversion = 2\n", "toml"), ('{"version": "1", "version": "2"}', "json"), ("[" * 9_999, "json"),
     (b"\xff", "toml"), ("{", "json"), (" " * (1 << 20) + " ", "toml")],
    ids=["toml twice", "json twice", "deep", "no text", "cut", "large"],
)  # fmt: skip
def test_texts_refused(text: bytes | str, form: str) -> None:
    """What is no TOML or JSON, says a thing twice, or is too large, is refused as a machine is."""
    with pytest.raises(MachineError):
        parse(text, form=form)


def test_unsound_tables_are_refused_with_every_problem() -> None:
    """The shape may be right and the table wrong: then it is not compiled."""
    with pytest.raises(MachineError, match=r"there is no guard 'moody'"):
        compiled(read(changed(guard="moody")))


def test_schema_names_what_there_is() -> None:
    """The schema refers to its own parts only, and names every trigger and field."""
    made = schema()
    text = json.dumps(made)
    assert {"Definition", "Row", "Clockwork"} == set(made["$defs"])
    assert set(TRIGGERS) == set(made["$defs"]["Row"]["properties"]["trigger"]["enum"])
    assert {*definition(SPEC)["rows"][0], "says"} == set(made["$defs"]["Row"]["properties"])
    assert "_Row" not in text.replace('"title": "_Row"', "")
