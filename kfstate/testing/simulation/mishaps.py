"""What goes wrong, or happens unseen: silent changes, refusals, expiry, recalls, unknown things."""

from kfstate.clock import SECOND
from kfstate.testing.builders import event, message, system_message
from kfstate.testing.simulation.acts import handed_over
from kfstate.testing.simulation.dice import pick
from kfstate.testing.simulation.talk import Talk
from kfstate.testing.simulation.words import UNKNOWN_BODIES

__all__ = [
    "accepted_against_the_table",
    "begins_unseen",
    "confirmed_by_service",
    "corrected",
    "ended_again",
    "falls_silent",
    "goes_on_for_days",
    "message_refused",
    "message_sent_anyway",
    "queued_unseen",
    "read",
    "recalled_by_customer",
    "recalled_by_servicer",
    "rejects",
    "reply_goes_lost",
    "routed_unseen",
    "servicer_unavailable",
    "transition_refused",
    "unknown_thing",
]

_HOURS = 3_600


def routed_unseen(talk: Talk) -> None:
    """WeCom or a servicer moves the session to a servicer without any event; what follows tells, sooner or later."""
    talk.become(3, talk.colleague())
    number = talk.rand()
    if number < 0.5:
        talk.wait(30)
        talk.servicer_writes()
    elif number < 0.65:
        read(talk)
    elif number < 0.75:
        handed_over(talk)


def queued_unseen(talk: Talk) -> None:
    """WeCom's own reception rules put the session into the pool; sometimes the service finds out by reading."""
    talk.become(2)
    if talk.rand() < 0.3:
        read(talk)


def begins_unseen(talk: Talk) -> None:
    """The history begins in the middle: a session is with a servicer, and nothing said so."""
    talk.become(3, talk.colleague())


def falls_silent(talk: Talk) -> None:
    """Nobody writes for more than 48 hours; mostly WeCom ends the session, without an event."""
    talk.pause((48 + talk.rand() * 40) * _HOURS)
    if talk.rand() < 0.75:
        talk.become(4)


def goes_on_for_days(talk: Talk) -> None:
    """The customer keeps writing until more than 48 hours have passed since the opening."""
    for _ in range(3):
        talk.pause((17 + talk.rand() * 14) * _HOURS)
        talk.customer_writes()


def transition_refused(talk: Talk) -> None:
    """The service asks for a change that WeCom does not allow."""
    talk.wait(2)
    errcode = 95013 if talk.state == 4 else 95016
    talk.refused("state_change_refused", errcode, service_state=1)


def servicer_unavailable(talk: Talk) -> None:
    """The service names a servicer who is not receiving (95019) or is none (95014)."""
    talk.wait(2)
    resting = talk.stage.resting[talk.account]
    if resting:
        fields, errcode = {"servicer_userid": pick(talk.rand, resting)}, 95019
    else:
        fields, errcode = {"servicer_userid": "NobodyAtAll"}, 95014
    talk.refused("state_change_refused", errcode, service_state=3, **fields)


def message_refused(talk: Talk) -> None:
    """The service sends where it must not."""
    talk.wait(2)
    talk.refused("message_refused", 95013 if talk.state == 4 else pick(talk.rand, (95018, 95002)), via="send_msg")


def message_sent_anyway(talk: Talk) -> None:
    """The service sends in a state in which the documents forbid it, and WeCom accepts."""
    talk.wait(2)
    talk.sends_message()


def confirmed_by_service(talk: Talk) -> None:
    """The service asks for the state that is there already."""
    talk.wait(2)
    talk.routed(talk.state, talk.servicer)


def accepted_against_the_table(talk: Talk) -> None:
    """The service takes the session back to the robot, and WeCom accepts."""
    talk.wait(2)
    talk.routed(1)


def read(talk: Talk) -> None:
    """The service reads the state: the truth comes out."""
    talk.wait(3)
    talk.record("state_reading", service_state=talk.state, servicer_userid=talk.servicer or None)


def corrected(talk: Talk) -> None:
    """A person says what the state is."""
    talk.wait(60)
    fields = {"servicer_userid": talk.servicer or None, "reason": "人工核对"}
    talk.record("correction", service_state=talk.state, **fields)


def ended_again(talk: Talk) -> None:
    """Another client ends the session that has ended."""
    talk.wait(5)
    talk.change(3, old=talk.previous or talk.colleague())


def reply_goes_lost(talk: Talk) -> None:
    """The answer to a send never comes; the service reads the state instead of sending again."""
    talk.wait(2)
    request_id, msgid = talk.stage.own_id(), talk.stage.own_id()
    talk.record("message_intended", via="send_msg", msgid=msgid, request_id=request_id)
    talk.wait(5)
    talk.record("reply_lost", via="send_msg", msgid=msgid, request_id=request_id)
    if talk.rand() < 0.7:
        read(talk)


def recalled_by_customer(talk: Talk) -> None:
    """The customer takes the last message back."""
    if talk.heard:
        talk.wait(8)
        talk.happens("user_recall_msg", recall_msgid=talk.heard)
        talk.heard = ""


def recalled_by_servicer(talk: Talk) -> None:
    """A servicer takes the last message back."""
    if talk.said:
        talk.wait(8)
        who = talk.servicer or talk.previous or talk.colleague()
        talk.happens("servicer_recall_msg", recall_msgid=talk.said, servicer_userid=who)
        talk.said = ""


def rejects(talk: Talk) -> None:
    """The servicer rejects the customer's messages, or no longer does."""
    talk.wait(15)
    talk.rejected = not talk.rejected
    who = talk.servicer or talk.previous or talk.colleague()
    talk.happens("reject_customer_msg_switch_change", servicer_userid=who, reject_switch=int(talk.rejected))


def unknown_thing(talk: Talk) -> None:
    """WeCom brings what no document names: a message type, an event, a kind of change, a message of the system."""
    talk.wait(10)
    second, stage = talk.at // SECOND, talk.stage
    ids = {"open_kfid": talk.open_kfid, "external_userid": talk.customer}
    which = int(talk.rand() * 5)
    if which == 0:
        msgtype, body = pick(talk.rand, UNKNOWN_BODIES)
        talk.put(message(3, msgtype, dict(body), second, msgid=stage.message_id(), **ids))
    elif which == 1:
        talk.happens("customer_mood_change", mood="curious")
    elif which == 2:
        talk.change(5, old=talk.servicer or None)
    elif which == 3:
        talk.put(system_message(talk.open_kfid, talk.customer, second, msgid=stage.message_id()))
    else:
        stage.put(talk.at, talk.account, event("weather_report", second, msgid=stage.event_id(), sky="clear"))
