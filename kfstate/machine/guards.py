"""The guards of the table: pure questions about a state and the entry that meets it."""

from collections.abc import Callable

from kfstate.machine.entry import Entry
from kfstate.machine.spec import Clockwork
from kfstate.machine.state import SessionState

__all__ = ["GUARDS", "Guard"]

Guard = Callable[[SessionState, Entry, Clockwork], bool]


def menu_click(_state: SessionState, entry: Entry, _clockwork: Clockwork) -> bool:
    """The customer clicked a menu item."""
    return bool(entry.menu_click)


def serves(state: SessionState, entry: Entry, _clockwork: Clockwork) -> bool:
    """The servicer that the entry names serves already."""
    return state.servicer == entry.servicer_to


def served(state: SessionState, entry: Entry, _clockwork: Clockwork) -> bool:
    """The servicer that the entry takes the customer from is the one who serves."""
    return state.servicer == entry.servicer_from


def no_other(state: SessionState, entry: Entry, _clockwork: Clockwork) -> bool:
    """The entry names nobody, or the servicer who serves."""
    return entry.servicer_to is None or state.servicer == entry.servicer_to


def just_decided(state: SessionState, entry: Entry, clockwork: Clockwork) -> bool:
    """The state was decided so lately that a message of the servicer before may still come."""
    return state.decided is not None and entry.sort_second - state.decided < clockwork.straggler


def unseen(state: SessionState, _entry: Entry, _clockwork: Clockwork) -> bool:
    """Nothing decided the state yet."""
    return state.evidence == "initial"


def weak_end(state: SessionState, _entry: Entry, _clockwork: Clockwork) -> bool:
    """The end was never seen: it is the state at first sight, or a presumed expiry."""
    return state.evidence in {"initial", "timer"}


def _presumed(*kept: int) -> Guard:
    def guard(state: SessionState, _entry: Entry, _clockwork: Clockwork) -> bool:
        return state.kept in kept

    guard.__doc__ = f"A presumed expiry ended a session that was in one of {kept}."
    return guard


def presumed_with(state: SessionState, entry: Entry, _clockwork: Clockwork) -> bool:
    """A presumed expiry ended a session of the servicer that the entry names (or the entry names nobody)."""
    return state.kept == 3 and entry.servicer_to in {None, state.kept_servicer}


def presumed_taken(state: SessionState, entry: Entry, _clockwork: Clockwork) -> bool:
    """A presumed expiry ended a session that waited in the pool, or that the servicer named by the entry had."""
    return state.kept == 2 or (state.kept == 3 and entry.servicer_to == state.kept_servicer)


def presumed_handed_over(state: SessionState, entry: Entry, _clockwork: Clockwork) -> bool:
    """A presumed expiry ended a session of the servicer who now hands over, or who has just been given it."""
    return state.kept == 3 and state.kept_servicer in {entry.servicer_from, entry.servicer_to}


GUARDS: dict[str, Guard] = {
    "menu_click": menu_click,
    "serves": serves,
    "served": served,
    "no_other": no_other,
    "just_decided": just_decided,
    "unseen": unseen,
    "weak_end": weak_end,
    "presumed_with": presumed_with,
    "presumed_taken": presumed_taken,
    "presumed_handed_over": presumed_handed_over,
    "presumed_0": _presumed(0),
    "presumed_1": _presumed(1),
    "presumed_2": _presumed(2),
    "presumed_01": _presumed(0, 1),
    "presumed_012": _presumed(0, 1, 2),
    "presumed_0123": _presumed(0, 1, 2, 3),
}
"""The guards by the names that rows use."""
