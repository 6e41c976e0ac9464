"""The shape of a machine's definition: rows of data, and the numbers that go with them."""

import hashlib
import json
from typing import Any

import attrs

from kfstate.service_state import KfServiceState

__all__ = ["ANY", "EFFECTS", "OPEN", "Clockwork", "MachineSpec", "Row", "definition", "fingerprint", "fingerprint_of"]

OPEN = (KfServiceState.UNTREATED, KfServiceState.ROBOT, KfServiceState.QUEUE, KfServiceState.MANUAL)
ANY = (*OPEN, KfServiceState.FINISHED)
EFFECTS = ("restore", "reopen", "open_and_close", "end", "excuse")
"""What a row can do beside moving: see :attr:`Row.effect`."""


@attrs.frozen
class Row:
    """One row of the table: what an entry does to a conversation that is in one of ``sources``.

    Rows of the same trigger and source are tried in the order of the table; the first whose guard holds is taken.
    """

    name: str
    """Stable name; steps keep it."""
    trigger: str
    sources: tuple[KfServiceState, ...]
    outcome: str
    says: str
    """One sentence: why. May use ``{before} {after} {servicer} {to} {from_} {errcode} {age}``."""
    dest: KfServiceState | None = None
    """None: the state stays."""
    guard: str | None = None
    evidence: str | None = None
    """What this row's entry proves about the resulting state; None: nothing."""
    doubt: str | None = None
    opened_by: str = "unseen"
    """How a session opens when this row leaves FINISHED."""
    effect: str | None = None
    """``restore`` the session that a presumed expiry ended, ``reopen`` the last, ``open_and_close`` an unseen one;
    ``end``: says when a session ended of which that was only presumed; ``excuse``: the step is not plain, and says why.
    """


@attrs.frozen
class Clockwork:
    """The times of a machine, in seconds, and what they count from."""

    expires_after: int = 48 * 3600
    expiry_anchor: str = "last_customer_message"
    """``last_customer_message`` (or the opening, if later), or ``opening``."""
    doubtful_after: int = 48 * 3600
    """Counted from the opening."""
    straggler: int = 10
    """A servicer's message this soon after the servicer changed may be a late one of the servicer before."""
    send_limit: int = 5


@attrs.frozen
class MachineSpec:
    """A machine as data."""

    version: str
    semantics: int
    """Grows whenever a guard or an effect changes its meaning, so that the fingerprint tells."""
    rows: tuple[Row, ...]
    api: dict[tuple[KfServiceState, KfServiceState], str]
    """``service_state/trans`` from, to → ``allowed``, ``undocumented``, or the errcode that forbids it."""
    clockwork: Clockwork = Clockwork()


def definition(spec: MachineSpec) -> dict[str, Any]:
    """Return the whole definition as plain JSON data."""
    rows = [
        {
            "name": row.name,
            "trigger": row.trigger,
            "sources": [int(state) for state in row.sources],
            "dest": None if row.dest is None else int(row.dest),
            "outcome": row.outcome,
            "guard": row.guard,
            "evidence": row.evidence,
            "doubt": row.doubt,
            "opened_by": row.opened_by,
            "effect": row.effect,
        }
        for row in spec.rows
    ]
    api = [[int(before), int(after), verdict] for (before, after), verdict in sorted(spec.api.items())]
    return {
        "version": spec.version,
        "semantics": spec.semantics,
        "clockwork": attrs.asdict(spec.clockwork),
        "rows": rows,
        "api": api,
    }


def fingerprint(spec: MachineSpec) -> str:
    """Return the SHA-256 (64 hex digits) of the definition: two machines with one fingerprint fold alike."""
    return fingerprint_of(definition(spec))


def fingerprint_of(data: object) -> str:
    """Return the fingerprint of a definition as plain JSON data, of whatever release it is."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
