"""The same machine built with ``transitions``: it defines the semantics, and serves one conversation at a time.

One flat machine per definition, without registered models, automatic transitions or callbacks; a model is any object
with a ``state``. The only module that imports ``transitions``.
"""

from functools import partial
from typing import Any

import attrs
from transitions import EventData, MachineError, Transition
from transitions import Machine as TransitionsMachine

from kfstate.machine.compiled import MACHINE, Machine
from kfstate.machine.effects import apply
from kfstate.machine.entry import Entry, trigger_of
from kfstate.machine.fold import Step, expire
from kfstate.machine.guards import GUARDS, Guard
from kfstate.machine.spec import ANY, Clockwork, Row
from kfstate.machine.state import SessionState, initial, pack
from kfstate.machine.verdict import Verdict, may
from kfstate.service_state import KfServiceState

__all__ = ["SessionMachine", "build"]


class _RowTransition(Transition):
    """A transition that leaves on the model which row of the table it is."""

    row: Row

    def execute(self, event_data: EventData) -> bool:
        """Run as ``transitions`` does, then note the row."""
        done: bool = super().execute(event_data)
        if done:
            model: Any = event_data.model
            model.row = self.row
        return done


class _FlatMachine(TransitionsMachine):
    transition_cls = _RowTransition


@attrs.define
class _Model:
    """What ``transitions`` reads and writes: the state's word, what the guards look at, and the row that was taken."""

    state: str
    folded: SessionState
    row: Row | None = None


def build(machine: Machine = MACHINE) -> TransitionsMachine:
    """Build the ``transitions`` machine of a definition: triggers are its triggers, states its words."""
    built = _FlatMachine(
        model=None,
        states=[state.word for state in ANY],
        initial=KfServiceState.FINISHED.word,
        auto_transitions=False,
        send_event=True,
        queued=False,
    )
    for row in machine.spec.rows:
        guards: Any = [partial(_holds, GUARDS[row.guard], machine.clockwork)] if row.guard else None
        for source in row.sources:
            dest = None if row.dest is None else row.dest.word
            built.add_transition(row.trigger, source.word, dest, conditions=guards)
            added: Any = built.events[row.trigger].transitions[source.word][-1]
            added.row = row
    return built


def _holds(guard: Guard, clockwork: Clockwork, event_data: EventData) -> bool:
    (entry,) = event_data.args
    model: Any = event_data.model
    return guard(model.folded, entry, clockwork)


class SessionMachine:
    """One conversation, driven entry by entry through the ``transitions`` machine.

    For embedders who keep a conversation in their own hands; entries must come in the order of the fold. The engine
    itself uses the compiled table, which is held equal by test.
    """

    _built: TransitionsMachine | None = None

    def __init__(self, state: SessionState | None = None) -> None:
        """Start from a folded state, or from a conversation of which nothing is known."""
        self._state = initial() if state is None else state.copy()

    @property
    def state(self) -> SessionState:
        """The folded state: a copy."""
        return self._state.copy()

    @property
    def service_state(self) -> KfServiceState:
        """The service state, as of the last entry."""
        return KfServiceState(self._state.service_state)

    def feed(self, entry: Entry) -> Step:
        """Fold one entry and return the step. A due expiry is presumed first."""
        expired_at = expire(MACHINE, self._state, entry.sort_second)
        before, servicer_before = self._state.service_state, self._state.servicer
        trigger = trigger_of(entry)
        row = self._take(trigger, entry)
        apply(MACHINE.clockwork, self._state, entry, row)
        missing = MACHINE.missing[trigger, before] if row.outcome == "repaired" else ()
        return Step(entry, row, before, servicer_before, pack(self._state), missing, expired_at)

    def may(self, to: KfServiceState, *, servicer: str | int | None = None, now: int | None = None) -> Verdict:
        """Tell whether ``service_state/trans`` to this state may be called; ``now`` (seconds) applies a due expiry."""
        return may(self._state, to, servicer=servicer, now=now)

    def _take(self, trigger: str, entry: Entry) -> Row:
        model = _Model(self.service_state.word, self._state)
        self._shared().events[trigger].trigger(model, entry)
        if model.row is None:  # pragma: no cover - compiled() refuses a table in which an entry finds no row
            raise MachineError(trigger)
        return model.row

    @classmethod
    def _shared(cls) -> Any:
        if cls._built is None:
            SessionMachine._built = build()
        return SessionMachine._built
