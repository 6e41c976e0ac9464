"""The machine as a Mermaid state diagram and as a table, drawn from the definition."""

from kfstate.machine.spec import MachineSpec, Row
from kfstate.service_state import KfServiceState

__all__ = ["mermaid", "table"]


def mermaid(spec: MachineSpec) -> str:
    """Return a Mermaid ``stateDiagram-v2`` of every row that moves or repairs; repairs are marked ``!``."""
    lines = ["stateDiagram-v2", "    direction LR", f"    [*] --> {KfServiceState.FINISHED.word}"]
    lines += [f"    {state.word}: {int(state)} {state.word} {state.label}" for state in KfServiceState]
    arrows: dict[tuple[KfServiceState, KfServiceState], list[str]] = {}
    for row in spec.rows:
        if row.dest is None or row.trigger.startswith("correction/"):
            continue
        for source in row.sources:
            arrows.setdefault((source, row.dest), []).append(_label(row))
    for (source, dest), labels in sorted(arrows.items()):
        lines.append(f"    {source.word} --> {dest.word}: {', '.join(dict.fromkeys(labels))}")
    return "\n".join(lines) + "\n"


def _label(row: Row) -> str:
    guarded = f" [{row.guard}]" if row.guard else ""
    return f"{row.trigger}{guarded}{'!' if row.outcome == 'repaired' else ''}"


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
