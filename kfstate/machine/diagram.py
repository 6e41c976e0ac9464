"""The machine as Mermaid state diagrams and as a table, drawn from the definition."""

from kfstate.machine.spec import ANY, MachineSpec, Row
from kfstate.service_state import KfServiceState

__all__ = ["mermaid", "table"]

_SHORT = {
    "session_status_change": "change_type",
    "state_changed": "trans to",
    "state_reading": "reading",
    "refusal": "errcode",
    "expiry": "48 h pass",
}
_BY_KIND = frozenset({"message_sent"})
"""Kinds of which the part after the stroke says all."""


def mermaid(spec: MachineSpec, *, repairs: bool = False) -> str:
    """Return a Mermaid ``stateDiagram-v2``: how WeCom moves a session, or how the fold mends what it missed.

    The first leaves out corrections, which lead anywhere. The second has an arrow into each state from ``any`` (what
    the log said was behind: the entry, and in which states it repairs) and from ``presumed`` (an end that was only
    presumed, and is undone).
    """
    lines = ["stateDiagram-v2", "    direction LR"]
    lines += [f"    {state.word}: {int(state)} {state.word} {state.label}" for state in ANY]
    lines += _mending(spec) if repairs else _moving(spec)
    return "\n".join(lines) + "\n"


def _moving(spec: MachineSpec) -> list[str]:
    arrows: dict[tuple[KfServiceState, KfServiceState], list[str]] = {}
    for row in spec.rows:
        if row.outcome != "moved" or row.effect == "restore" or row.evidence == "correction" or row.dest is None:
            continue
        for source in row.sources:
            arrows.setdefault((source, row.dest), []).append(_label(row))
    start = f"    [*] --> {ANY[-1].word}"
    return [start, *(_arrow(source.word, dest, labels) for (source, dest), labels in sorted(arrows.items()))]


def _mending(spec: MachineSpec) -> list[str]:
    arrows: dict[tuple[str, KfServiceState], list[str]] = {}
    behind: dict[tuple[str, KfServiceState], set[int]] = {}
    for row in spec.rows:
        if row.dest is not None and row.outcome == "repaired":
            behind.setdefault((_label(row), row.dest), set()).update(row.sources)
        elif row.dest is not None and row.effect == "restore":
            arrows.setdefault(("presumed", row.dest), []).append(_label(row))
    for (label, dest), sources in behind.items():
        arrows.setdefault(("any", dest), []).append(f"{label} in {', '.join(map(str, map(int, sorted(sources))))}")
    nodes = ["    any: what the log says", f"    presumed: {ANY[-1].word}, presumed after 48 h"]
    return [*nodes, *(_arrow(source, dest, labels) for (source, dest), labels in sorted(arrows.items()))]


def _arrow(source: str, dest: KfServiceState, labels: list[str]) -> str:
    return f"    {source} --> {dest.word}: {'<br/>'.join(dict.fromkeys(labels))}"


def _label(row: Row) -> str:
    kind, _, part = row.trigger.partition("/")
    if kind in _BY_KIND:
        return part
    return f"{_SHORT.get(kind, kind.replace('_', ' '))} {part}".strip()


def table(spec: MachineSpec) -> list[dict[str, str]]:
    """Return the rows as plain words, in the order in which they are tried."""
    return [
        {
            "name": row.name,
            "trigger": row.trigger,
            "from": ", ".join(state.word for state in row.sources),
            "guard": row.guard or "",
            "to": row.dest.word if row.dest is not None else "stays",
            "outcome": row.outcome,
            "evidence": row.evidence or "",
            "doubt": row.doubt or "",
        }
        for row in spec.rows
    ]
