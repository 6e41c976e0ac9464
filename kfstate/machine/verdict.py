"""May we call ``service_state/trans``? Asked before the call, answered from the table (pages 94669, 94698)."""

import attrs

from kfstate.machine.compiled import MACHINE, Machine
from kfstate.machine.fold import state_at
from kfstate.machine.state import SessionState
from kfstate.service_state import KfServiceState

__all__ = ["Verdict", "may"]


@attrs.frozen
class Verdict:
    """The answer: ``allowed``, ``forbidden`` (with the errcode that WeCom would give), or ``undocumented``."""

    word: str
    errcode: int | None
    reason: str

    @property
    def forbidden(self) -> bool:
        """Whether WeCom would refuse the call."""
        return self.word == "forbidden"


def may(
    state: SessionState,
    to: KfServiceState,
    *,
    servicer: str | int | None = None,
    now: int | None = None,
    machine: Machine = MACHINE,
) -> Verdict:
    """Tell whether the session may be changed to ``to`` by the API.

    Never forbids on doubt: where the derived state may be behind WeCom's, a forbidden change is ``undocumented``.
    """
    seen = state if now is None else state_at(state, now, machine=machine)
    before = KfServiceState(seen.service_state)
    said = machine.spec.api[before, to]
    if to == before == KfServiceState.MANUAL and servicer is not None and servicer == seen.servicer:
        said = "undocumented"
    change = f"{before.word} → {to.word}"
    if not said.isdecimal():
        return Verdict(said, None, f"{change} is {said}")
    if seen.doubt != "none":
        return Verdict("undocumented", None, f"{change} is refused ({said}), but the state is in doubt: {seen.doubt}")
    return Verdict("forbidden", int(said), f"{change} is refused ({said})")
