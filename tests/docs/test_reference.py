"""The reference pages name what there is: kinds, facts, tables, columns, views, errors, public names."""

import json
import re
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

import kfstate
from kfstate import errors, testing
from kfstate.cli.exits import exit_of
from kfstate.machine.kinds import FROM_WECOM, KINDS, OWN_KINDS
from kfstate.machine.spec import EFFECTS
from kfstate.machine.state import DOUBTS, EVIDENCE, OPENINGS, OUTCOMES
from kfstate.projections.live import Difference
from kfstate.projections.tables import TABLES
from kfstate.queries import views
from kfstate.queries.views import shown
from kfstate.store.dialect import Id
from kfstate.store.envelope import OwnEntry
from kfstate.store.facts import draft_elements
from kfstate.store.rows import Draft
from kfstate.store.tables import metadata
from kfstate.store.verify import Damage, Verified
from tests.docs.blocks import ROOT

__all__: list[str] = []

VIEWS = [
    *(getattr(views, name) for name in views.__all__ if name[0].isupper()),
    kfstate.EntryView, kfstate.AnomalyView, kfstate.FateView, kfstate.CodeView,
    kfstate.Event, kfstate.SubscriptionView, kfstate.DeadLetterView, kfstate.ProjectionView, kfstate.BuildDifference,
    kfstate.TableDifference, kfstate.Rebuilt, kfstate.Refolded, kfstate.Report, kfstate.Problem,
    kfstate.AsOf, kfstate.StateThen, kfstate.Change, kfstate.Explained, kfstate.Tried, kfstate.KeptStep,
    kfstate.Timeline, kfstate.Stretch,
    kfstate.Receipt, kfstate.Repeated, kfstate.Retained, kfstate.Hold, kfstate.Sealed, kfstate.Access,
    kfstate.Recorded, kfstate.Verdict, Difference, Verified, Damage, kfstate.TreeHead, kfstate.CheckedProof,
    kfstate.Gate, kfstate.SessionChange, kfstate.FoldedAs, kfstate.Kpis, kfstate.WhatIf, kfstate.Comparison,
    kfstate.Divergence,
]  # fmt: skip
IDS = {"open_kfid": "wk1", "external_userid": "wm1"}
FULL: dict[str, Any] = {"servicer_userid": "a", "text": {"content": "", "menu_id": "1"}}
EVENT = IDS | {
    "change_type": 2, "old_servicer_userid": "a", "new_servicer_userid": "b", "servicer_userid": "a",
    "msg_code": "c", "welcome_code": "c", "fail_msgid": "m", "recall_msgid": "m", "fail_type": 1, "reject_switch": 1,
    "status": 1, "stop_type": 1,
}  # fmt: skip
FACTS = (
    "change_type", "servicer_from", "servicer_to", "menu_click", "ref", "fail_type", "reject_switch", "receiving",
    "stop_type", "code", "code_kind",
)  # fmt: skip


def read(name: str) -> str:
    """Return a page of the documentation."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading."""
    body = re.split(r"^#+ ", text.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def words(cell: str) -> list[str]:
    """Return the words in code marks."""
    return re.findall(r"`([^`]+)`", cell)


def first(table: list[list[str]]) -> list[str]:
    """Return the word that each row of a table is about."""
    return [words(cells[0])[0] for cells in table]


def kinds(heading: str) -> dict[str, list[str]]:
    """Return kind → cells of the last table below a heading of the page of kinds."""
    body = read("reference/entry-kinds.md").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = body.rpartition("\n\n|")[2] if heading == "From our side" else body.partition("\n\n|")[2]
    return {words(line)[0]: line.split("|") for line in table.splitlines() if line.startswith("| `")}


def test_kinds_are_described() -> None:
    """Every kind is described once, under whom it comes from."""
    assert set(kinds("From WeCom")) == FROM_WECOM
    assert set(kinds("From our side")) == OWN_KINDS
    assert FROM_WECOM | OWN_KINDS == KINDS


def drafted(kind: str) -> Draft:
    """Return what the log keeps of an element of this kind that says all at once."""
    origins = {"customer_message": 3, "servicer_message": 5, "system_message": 4}
    if kind in origins:
        element = IDS | FULL | {"msgid": "m", "send_time": 1, "msgtype": "text", "origin": origins[kind]}
    else:
        event = EVENT | {"event_type": kind}
        element = {"msgid": "m", "send_time": 1, "msgtype": "event", "origin": 4, "event": event}
    (draft,) = draft_elements([json.dumps(element).encode()])
    assert kind == draft.kind
    return draft


@pytest.mark.parametrize("kind", sorted(FROM_WECOM - {"unknown_event", "unknown_message"}))
def test_facts_of_kinds_are_described(kind: str) -> None:
    """The page names exactly the facts that the log keeps of an element of WeCom."""
    draft = drafted(kind)
    kept = {name for name in FACTS if getattr(draft, name) not in (None, "")}
    assert kept == set(words(kinds("From WeCom")[kind][3]))


def test_envelope_is_described() -> None:
    """Every field of an own entry is described."""
    named = [name for cells in rows(read("reference/entry-kinds.md"), "The envelope") for name in words(cells[0])]
    assert sorted(named) == sorted(field.name for field in attrs.fields(OwnEntry))


def kind_of(column: sa.Column[Any]) -> str:
    """Return the type of a column as the page calls it."""
    if isinstance(column.type, sa.LargeBinary):
        return "bytes"
    return "text" if isinstance(column.type, Id | sa.String) else "integer"


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: str(table.name))
def test_columns_are_described(table: sa.Table) -> None:
    """Every column of every table is described, in order, with its type, whether it may be NULL, and a meaning."""
    found = rows(read("reference/tables.md"), table.name)
    expected = [(column.name, kind_of(column), "yes" if column.nullable else "") for column in table.columns]
    assert expected == [(words(cells[0])[0], cells[1], cells[2]) for cells in found]
    assert [] == [cells[0] for cells in found if not cells[4]]


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: str(table.name))
def test_units_are_described(table: sa.Table) -> None:
    """Times of the log are microseconds, those of the projections and the second of the fold are seconds."""
    units = {words(cells[0])[0]: cells[3] for cells in rows(read("reference/tables.md"), table.name)}
    for name, unit in units.items():
        if table not in TABLES and (name.endswith("_at") or name in {"synced_until", "lease_until"}):
            assert unit == "µs", name
        elif unit:
            assert unit == "s", name
            assert table in TABLES or name == "sort_second", name


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: str(view.__name__))
def test_fields_are_described(view: type[Any]) -> None:
    """Every field of every view is described, in order."""
    found = rows(read("reference/views.md"), view.__name__)
    assert list(shown(view)) == [words(cells[0])[0] for cells in found]
    assert [] == [cells[0] for cells in found if not cells[1]]


def test_errors_are_described() -> None:
    """Every error is described, with its attributes and the exit code that it leads to."""
    found = {words(cells[0])[0]: cells for cells in rows(read("reference/errors.md"), "Errors")}
    assert set(found) == set(errors.__all__) - {"KfstateError", "StoreError"}
    for name, (_, _, attributes, code) in found.items():
        fields = attrs.fields(getattr(errors, name))
        assert [field.name for field in fields] == words(attributes), name
        left = exit_of(getattr(errors, name)(*(() for _ in fields)))
        assert left is not None
        assert str(int(left[0])) == code, name


def test_tree_of_errors() -> None:
    """The drawn tree has every error below its base."""
    drawn = re.findall(r"^([│ ├└─]*)(\w+Error)\b", read("reference/errors.md"), re.MULTILINE)
    depths = {name: len(marks) // 4 for marks, name in drawn}
    assert set(depths) == set(errors.__all__)
    for name, depth in depths.items():
        assert depth == len(getattr(errors, name).__mro__) - len(errors.KfstateError.__mro__), name


def test_public_names_are_described() -> None:
    """Every public name of the package is in the page about Python, and no other."""
    named = [name for cells in rows(read("reference/python.md"), "All names") for name in words(cells[0])]
    assert sorted(named) == sorted(kfstate.__all__)


def test_words_of_the_fold_are_described() -> None:
    """Evidence, doubts, outcomes, openings and effects are described, each word of them."""
    evidence = read("explanation/evidence.md")
    assert sorted(EVIDENCE) == sorted(first(rows(evidence, "Evidence")))
    assert list(DOUBTS) == first(rows(evidence, "Doubt"))
    assert list(OUTCOMES) == first(rows(evidence, "Outcomes"))
    assert list(EFFECTS) == first(rows(read("reference/machine.md"), "Effects"))
    view = dict(zip(*zip(*rows(read("reference/views.md"), "ConversationView"), strict=True), strict=True))
    assert list(OPENINGS) == words(view["`opened_by`"])


def test_builders_are_there() -> None:
    """What the pages say of `kfstate.testing` is true."""
    assert {"FrozenClock", "simulate", "page", "customer_message"} <= set(testing.__all__)
