"""The machine as a picture: drawn from the table, and the one in the documents is this one."""

import re
from pathlib import Path

import pytest

from kfstate.machine.diagram import mermaid, table
from kfstate.machine.spec import ANY
from kfstate.machine.table import SPEC

__all__: list[str] = []

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize(("name", "repairs"), [("machine.mmd", False), ("machine-repairs.mmd", True)])
def test_documents_show_this_machine(name: str, repairs: bool) -> None:  # noqa: FBT001
    """The diagrams in the documents are those of the machine that ships."""
    assert (REFERENCE / name).read_text(encoding="utf-8") == mermaid(SPEC, repairs=repairs)


@pytest.mark.parametrize("repairs", [False, True])
def test_mermaid_is_well_formed(repairs: bool) -> None:  # noqa: FBT001
    """Every line is a node or an arrow between nodes, every pair of states has one arrow, no label is a paragraph."""
    head, direction, *lines = mermaid(SPEC, repairs=repairs).splitlines()
    assert ("stateDiagram-v2", "    direction LR") == (head, direction)
    nodes = {line.split(":")[0].strip() for line in lines if "-->" not in line} | {"[*]"}
    arrows = [re.fullmatch(r"    (\S+) --> (\w+)(?:: (.+))?", line) for line in lines if "-->" in line]
    found = [arrow.groups() for arrow in arrows if arrow]
    assert len(arrows) == len(found) == len({pair[:2] for pair in found})
    assert {source for source, _, _ in found} | {dest for _, dest, _ in found} <= nodes
    assert {state.word for state in ANY} <= nodes
    assert [] == [line for _, _, label in found for line in (label or "").split("<br/>") if len(line) > 40]


def test_moves_are_what_wecom_does() -> None:
    """The first diagram has the usual ways, and neither repairs nor corrections."""
    drawn = mermaid(SPEC)
    for line in (
        "    [*] --> finished",
        "    finished --> untreated: customer message",
        "    untreated --> robot: trans to 1<br/>send_msg",
        "    queue --> manual: change_type 1<br/>change_type 4<br/>trans to 3",
        "    manual --> finished: change_type 3<br/>trans to 4<br/>48 h pass",
    ):
        assert line in drawn.splitlines()
    assert "reading" not in drawn


def test_table_is_every_row() -> None:
    """The table in words has every row, in the order in which they are tried."""
    rows = table(SPEC)
    assert [row.name for row in SPEC.rows] == [row["name"] for row in rows]
    assert {"to": "stays", "from": "untreated, robot, queue, manual", "guard": ""}.items() <= rows[2].items()
    assert {"to": "untreated", "guard": "menu_click", "doubt": "menu_click"}.items() <= rows[0].items()
