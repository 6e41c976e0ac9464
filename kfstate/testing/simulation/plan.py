"""What may happen in each state, and how often; a session is a walk through these tables."""

from collections.abc import Callable
from typing import TypeAlias

from kfstate.testing.simulation import acts, mishaps
from kfstate.testing.simulation.dice import Weighted
from kfstate.testing.simulation.talk import Talk

__all__ = ["PLAN", "play_session"]

Act: TypeAlias = Callable[[Talk], None]

LONGEST = 40
"""A session comes to rest after this many acts at the latest."""

ANYWHERE: tuple[tuple[float, Act], ...] = (
    (0.6, mishaps.recalled_by_customer),
    (0.5, mishaps.unknown_thing),
    (0.4, mishaps.read),
    (0.2, mishaps.rejects),
    (0.2, mishaps.corrected),
)
"""Weights of what may happen in any state; a table's own weights are percents or nearly so."""

UNTREATED: Weighted[Act] = Weighted(
    (30, acts.robot_takes),
    (15, acts.robot_answers_at_once),
    (14, acts.queued),
    (6, acts.assigned),
    (12, acts.writes_again),
    (4, mishaps.routed_unseen),
    (3, mishaps.queued_unseen),
    (2, acts.ended_by_service),
    (1, mishaps.servicer_unavailable),
    (1, mishaps.message_refused),
    (1, mishaps.transition_refused),
    (1, mishaps.reply_goes_lost),
    (1, acts.reaccessed),
    (1, mishaps.falls_silent),
    (0.5, mishaps.goes_on_for_days),
    (3, acts.rests),
    *ANYWHERE,
)
ROBOT: Weighted[Act] = Weighted(
    (55, acts.robot_exchange),
    (4, acts.menu_click),
    (1.5, acts.burst),
    (14, acts.queued),
    (5, acts.assigned),
    (5, acts.ended_by_service),
    (2, mishaps.routed_unseen),
    (2, mishaps.queued_unseen),
    (1, mishaps.servicer_unavailable),
    (1, mishaps.message_refused),
    (1, mishaps.confirmed_by_service),
    (1, mishaps.reply_goes_lost),
    (0.5, acts.reaccessed),
    (1, mishaps.falls_silent),
    (0.5, mishaps.goes_on_for_days),
    (4, acts.rests),
    *ANYWHERE,
)
QUEUE: Weighted[Act] = Weighted(
    (20, acts.customer_waits),
    (50, acts.picked),
    (6, acts.picked_and_ended),
    (10, acts.assigned),
    (4, acts.ended_by_service),
    (2, mishaps.routed_unseen),
    (2, mishaps.message_refused),
    (1, mishaps.message_sent_anyway),
    (1, mishaps.transition_refused),
    (1, mishaps.accepted_against_the_table),
    (0.5, mishaps.confirmed_by_service),
    (0.5, mishaps.servicer_unavailable),
    (0.5, acts.reaccessed),
    (1, mishaps.falls_silent),
    (0.5, mishaps.goes_on_for_days),
    (3, acts.rests),
    *ANYWHERE,
)
MANUAL: Weighted[Act] = Weighted(
    (45, acts.servicer_exchange),
    (12, acts.writes_again),
    (4, acts.handed_over),
    (1.5, acts.handed_over_by_service),
    (1.5, acts.taken_back),
    (4, acts.ends),
    (7, acts.ends_after_message),
    (7, acts.ends_after_farewell),
    (2.5, acts.ends_after_transfer),
    (4, acts.ends_after_customer),
    (2, acts.ended_by_service),
    (1, mishaps.routed_unseen),
    (0.7, mishaps.recalled_by_servicer),
    (0.5, mishaps.message_refused),
    (0.5, mishaps.message_sent_anyway),
    (0.3, mishaps.accepted_against_the_table),
    (0.3, mishaps.transition_refused),
    (0.3, mishaps.confirmed_by_service),
    (0.3, mishaps.servicer_unavailable),
    (0.7, mishaps.falls_silent),
    (0.3, mishaps.goes_on_for_days),
    (1.5, acts.rests),
    *ANYWHERE,
)
FINISHED: Weighted[Act] = Weighted(
    (70, acts.rests),
    (7, acts.farewell_after_end),
    (6, acts.reaccessed),
    (6, acts.thanks),
    (4, acts.surveyed),
    (1, acts.menu_click),
    (1, mishaps.ended_again),
    (1, mishaps.transition_refused),
    (1, mishaps.message_refused),
    (0.5, mishaps.message_sent_anyway),
    *ANYWHERE,
)
PLAN = (UNTREATED, ROBOT, QUEUE, MANUAL, FINISHED)
"""What may happen, by ``service_state``."""

OPENINGS: Weighted[tuple[Act, ...]] = Weighted(
    (45, (acts.enters, acts.writes_again)),
    (40, (acts.writes_again,)),
    (6, (acts.enters,)),
    (4, (acts.enters, acts.menu_click)),
    (2, (acts.writes_again, acts.writes_again)),
    (2, (mishaps.begins_unseen,)),
    (1, (acts.farewell_after_end,)),
)


def play_session(talk: Talk) -> None:
    """Tell one session from its opening until it comes to rest, in whatever state."""
    rand = talk.rand
    talk.over = False
    for act in OPENINGS.draw(rand):
        act(talk)
    for _ in range(LONGEST):
        PLAN[talk.state].draw(rand)(talk)
        if talk.over:
            break
