"""Stage 3: the session state machine. Pure: entries in, steps out.

:data:`MACHINE` is the machine of this release, :func:`fold` the fold over one conversation, :func:`evolve` one step
of it, :class:`SessionMachine` the same through ``transitions``, :func:`may` the question to ask before a call.
"""

from kfstate.machine.compiled import MACHINE, Machine, compiled
from kfstate.machine.entry import Entry
from kfstate.machine.fold import Step, evolve, fold, state_at
from kfstate.machine.reference import SessionMachine
from kfstate.machine.spec import Clockwork, MachineSpec, Row, definition, fingerprint
from kfstate.machine.state import SessionState, initial
from kfstate.machine.verdict import Verdict, may

__all__ = [
    "MACHINE",
    "Clockwork",
    "Entry",
    "Machine",
    "MachineSpec",
    "Row",
    "SessionMachine",
    "SessionState",
    "Step",
    "Verdict",
    "compiled",
    "definition",
    "evolve",
    "fingerprint",
    "fold",
    "initial",
    "may",
    "state_at",
]
