"""The session machine: the one source of what each entry does in each state."""

from kfstate.machine.spec import ANY, OPEN, MachineSpec, Row
from kfstate.service_state import KfServiceState

__all__ = ["SPEC"]

UNTREATED, ROBOT, QUEUE, MANUAL, FINISHED = ANY
ENDED = (FINISHED,)
BEFORE_MANUAL = (UNTREATED, ROBOT, QUEUE)

_CUSTOMER = (
    Row(
        "customer.clicked_after_end", "customer_message", ENDED, "moved",
        "a menu click opens a session as a message does, as far as is known",
        dest=UNTREATED, guard="menu_click", evidence="message", doubt="menu_click", opened_by="menu_click",
    ),
    Row(
        "customer.opened", "customer_message", ENDED, "moved", "the customer's message opens a session",
        dest=UNTREATED, evidence="message", opened_by="customer",
    ),
    Row("customer.wrote", "customer_message", OPEN, "stayed", "the customer writes in the running session"),
)  # fmt: skip

_TAKEN = (
    Row(
        "taken.from_queue", "session_status_change/1", (QUEUE,), "moved", "{to} took the customer from the pool",
        dest=MANUAL, evidence="event",
    ),
    Row(
        "taken.again", "session_status_change/1", (MANUAL,), "confirmed", "{to} serves already",
        guard="serves", evidence="event",
    ),
    Row(
        "taken.after_presumed_expiry", "session_status_change/1", ENDED, "moved",
        "{to} took the customer from the pool, so the session had not expired",
        dest=MANUAL, guard="presumed_taken", evidence="event", effect="restore",
    ),
    Row(
        "taken.unexpectedly", "session_status_change/1", (UNTREATED, ROBOT, MANUAL, FINISHED), "repaired",
        "{to} took the customer from the pool, but the log says {before} (servicer {servicer}): a change was missed",
        dest=MANUAL, evidence="event",
    ),
)  # fmt: skip

_HANDED_OVER = (
    Row(
        "handed_over.again", "session_status_change/2", (MANUAL,), "confirmed", "{to} serves already",
        guard="serves", evidence="event",
    ),
    Row(
        "handed_over", "session_status_change/2", (MANUAL,), "moved", "{from_} handed the customer over to {to}",
        dest=MANUAL, guard="served", evidence="event",
    ),
    Row(
        "handed_over.after_presumed_expiry", "session_status_change/2", ENDED, "moved",
        "{from_} handed the customer over to {to}, so the session had not expired",
        dest=MANUAL, guard="presumed_handed_over", evidence="event", effect="restore",
    ),
    Row(
        "handed_over.unexpectedly", "session_status_change/2", ANY, "repaired",
        "{from_} handed over to {to}, but the log says {before} (servicer {servicer}): a change was missed",
        dest=MANUAL, evidence="event",
    ),
)  # fmt: skip

_ENDED = (
    Row(
        "ended", "session_status_change/3", (MANUAL,), "moved", "{from_} ended the session",
        dest=FINISHED, guard="served", evidence="event",
    ),
    Row(
        "ended.unseen", "session_status_change/3", ENDED, "confirmed",
        "{from_} ended a session of which nothing else was seen",
        guard="unseen", evidence="event", effect="open_and_close",
    ),
    Row(
        "ended.again", "session_status_change/3", ENDED, "confirmed", "the session had ended",
        evidence="event", effect="end",
    ),
    Row(
        "ended.unexpectedly", "session_status_change/3", OPEN, "repaired",
        "{from_} ended the session, but the log says {before} (servicer {servicer}): a change was missed",
        dest=FINISHED, evidence="event",
    ),
)  # fmt: skip

_REACCESSED = (
    Row(
        "reaccessed", "session_status_change/4", ENDED, "moved", "{to} took the ended session back",
        dest=MANUAL, evidence="event", opened_by="reaccess", effect="reopen",
    ),
    Row(
        "reaccessed.again", "session_status_change/4", (MANUAL,), "confirmed", "{to} serves already",
        guard="serves", evidence="event",
    ),
    Row(
        "reaccessed.from_servicer", "session_status_change/4", (MANUAL,), "moved",
        "{to} took the customer back from {from_}",
        dest=MANUAL, guard="served", evidence="event",
    ),
    Row(
        "reaccessed.after_message", "session_status_change/4", BEFORE_MANUAL, "moved",
        "{to} took the session back after the customer had written",
        dest=MANUAL, evidence="event",
    ),
    Row(
        "reaccessed.unexpectedly", "session_status_change/4", (MANUAL,), "repaired",
        "{to} took the customer back from {from_}, but the log says that {servicer} serves: a change was missed",
        dest=MANUAL, evidence="event",
    ),
)  # fmt: skip

_SERVICER = (
    Row("servicer.wrote", "servicer_message", (MANUAL,), "stayed", "the servicer writes", guard="no_other"),
    Row(
        "servicer.straggled", "servicer_message", (MANUAL,), "stayed",
        "{to} wrote {age} s after {servicer} began to serve: a late message of the servicer before",
        guard="just_decided", effect="excuse",
    ),
    Row(
        "servicer.took_over_silently", "servicer_message", (MANUAL,), "repaired",
        "{to} writes, but the log says that {servicer} serves: a change was missed",
        dest=MANUAL, evidence="message",
    ),
    Row(
        "servicer.routed_silently", "servicer_message", BEFORE_MANUAL, "repaired",
        "{to} writes, but the log says {before}: WeCom routed the customer without an event",
        dest=MANUAL, evidence="message",
    ),
    Row(
        "servicer.after_presumed_expiry", "servicer_message", ENDED, "moved",
        "{to} still writes, so the session had not expired",
        dest=MANUAL, guard="presumed_with", evidence="message", effect="restore",
    ),
    Row(
        "servicer.in_unseen_session", "servicer_message", ENDED, "repaired",
        "{to} writes, but the log says {before}: the opening was missed",
        dest=MANUAL, guard="weak_end", evidence="message",
    ),
    Row(
        "servicer.wrote_after_end", "servicer_message", ENDED, "stayed",
        "{to} wrote after the end: WeCom will say that the session was taken back (change_type 4)",
        doubt="servicer_wrote_in_4",
    ),
)  # fmt: skip


def _changed(target: KfServiceState, moves_from: tuple[KfServiceState, ...], presumed: str) -> tuple[Row, ...]:
    trigger, name = f"state_changed/{int(target)}", f"changed.to_{target.word}"
    repaired = tuple(state for state in ANY if state not in moves_from)
    return (
        Row(
            f"{name}.again", trigger, (target,), "confirmed", "the state was {before} already",
            guard="no_other" if target == MANUAL else None, evidence="api",
            effect="end" if target == FINISHED else None,
        ),
        *(
            [Row(name, trigger, moves_from, "moved", "our call set {after}", dest=target, evidence="api")]
            if moves_from else []
        ),
        *(
            [Row(
                f"{name}.after_presumed_expiry", trigger, ENDED, "moved",
                "WeCom accepted our call, so the session had not expired",
                dest=target, guard=presumed, evidence="api", effect="restore",
            )]
            if target != FINISHED else []
        ),
        *(
            [Row(
                f"{name}.unexpectedly", trigger, missed, "repaired",
                "WeCom accepted {after}, which it refuses from {before}: a change was missed",
                dest=target, evidence="api", opened_by="api",
            )]
            if (missed := tuple(state for state in repaired if state != target)) else []
        ),
    )  # fmt: skip


_CHANGED = (
    *_changed(UNTREATED, (), "presumed_0"),
    *_changed(ROBOT, (UNTREATED,), "presumed_01"),
    *_changed(QUEUE, (UNTREATED, ROBOT), "presumed_012"),
    *_changed(MANUAL, OPEN, "presumed_0123"),
    *_changed(FINISHED, OPEN, ""),
    Row("changed.to_unknown", "state_changed/?", ANY, "unknown", "no such service_state"),
)

_REFUSED = (
    Row(
        "refused.session_over", "refusal/95013", OPEN, "repaired",
        "WeCom says that the session is over (95013), but the log says {before}: a change was missed",
        dest=FINISHED, evidence="api",
    ),
    Row("refused.session_over.again", "refusal/95013", ENDED, "refused", "the session is over (95013)", evidence="api"),
    Row("refused.no_servicer", "refusal/95014", ANY, "refused", "{to} is no servicer, or not activated (95014)"),
    Row("refused.servicer_rests", "refusal/95019", ANY, "refused", "{to} is not receiving (95019)"),
    Row("refused.window_used_up", "refusal/95001", ANY, "refused", "all messages of the window are used (95001)"),
    Row("refused.window_closed", "refusal/95002", ANY, "refused", "the window of 48 hours is closed (95002)"),
    Row(
        "refused.transition", "refusal/95016", ANY, "refused",
        "WeCom refuses the change from the state it holds (95016), the log says {before}", doubt="refused",
    ),
    Row(
        "refused.sending", "refusal/95018", ANY, "refused",
        "WeCom refuses sending in the state it holds (95018), the log says {before}", doubt="refused",
    ),
    Row("refused.otherwise", "refusal/other", ANY, "refused", "WeCom refused (errcode {errcode})"),
)  # fmt: skip

_SENT = (
    Row(
        "sent.assigned_robot", "message_sent/send_msg", (UNTREATED,), "moved",
        "a message sent by the API assigns the customer to the assistant", dest=ROBOT, evidence="api",
    ),
    Row("sent", "message_sent/send_msg", (ROBOT,), "stayed", "the assistant answers", evidence="api"),
    Row(
        "sent.unexpectedly", "message_sent/send_msg", (QUEUE, MANUAL, FINISHED), "stayed",
        "WeCom accepted a message that it refuses in {before}", doubt="sent_in_2_3_4",
    ),
    Row("sent.on_event", "message_sent/send_msg_on_event", ANY, "stayed", "an event was answered"),
)  # fmt: skip


def _reading(target: KfServiceState) -> tuple[Row, ...]:
    trigger, name = f"state_reading/{int(target)}", f"read.{target.word}"
    by = " (servicer {to})" if target == MANUAL else ""
    others = tuple(state for state in ANY if state != target or target == MANUAL)
    return (
        Row(
            name, trigger, (target,), "confirmed", "WeCom reads {before} too",
            guard="no_other" if target == MANUAL else None, evidence="reading",
        ),
        *(
            [Row(
                f"{name}.after_presumed_expiry", trigger, ENDED, "moved",
                "WeCom reads {after}, so the session had not expired", dest=target,
                guard="presumed_with" if target == MANUAL else f"presumed_{int(target)}",
                evidence="reading", effect="restore",
            )]
            if target != FINISHED else []
        ),
        Row(
            f"{name}.instead", trigger, others, "repaired",
            f"WeCom reads {{after}}{by}, but the log says {{before}} (servicer {{servicer}}): a change was missed",
            dest=target, evidence="reading", opened_by="reading",
        ),
    )  # fmt: skip


_READ = (
    *(row for state in ANY for row in _reading(state)),
    Row("read.unknown", "state_reading/?", ANY, "unknown", "no such service_state"),
)

_CORRECTED = (
    *(
        Row(
            f"corrected.to_{state.word}", f"correction/{int(state)}", ANY, "moved", "a person set {after}",
            dest=state, evidence="correction",
        )
        for state in ANY
    ),
    Row("corrected.void", "correction/void", ANY, "stayed", "a person voided another entry"),
)  # fmt: skip

_STAYING = tuple(
    Row(kind, kind, ANY, "stayed", says)
    for kind, says in (
        ("enter_session", "the customer looked in without writing"),
        ("user_recall_msg", "the customer took a message back"),
        ("servicer_recall_msg", "the servicer took a message back"),
        ("msg_send_fail", "a message did not arrive"),
        ("reject_customer_msg_switch_change", "the servicer switched rejection"),
        ("servicer_status_change", "the servicer came or went"),
        ("system_message", "WeCom says something without an event"),
        ("state_change_intended", "a change is intended"),
        ("message_intended", "a message is intended"),
        ("own_action", "our side did something else"),
        ("servicer_reading", "the servicer's status was read"),
        ("account_reading", "the account was read"),
        ("session_expired", "the expiry was made visible"),
        ("limit_reached", "somebody has waited too long"),
        ("machine_activated", "another machine went live"),
        ("redecoded", "an entry was decoded again, to nothing that moves"),
    )
)

_DOUBTING = (
    Row("history_gap", "history_gap", ANY, "stayed", "entries may be lost for ever", doubt="history_gap"),
    Row("reply_lost", "reply_lost", ANY, "stayed", "the reply to our call never came", doubt="reply_lost"),
)

_OUTSIDE = (
    Row(
        "expired", "expiry", OPEN, "moved", "48 hours passed without a message of the customer",
        dest=FINISHED, evidence="timer", doubt="expiry_presumed",
    ),
    Row("expired.again", "expiry", ENDED, "stayed", "the session had ended"),
    Row("repeated", "repeated", ANY, "ignored", "the same msgid with the same facts was folded already"),
    Row("voided", "voided", ANY, "ignored", "a correction voids this entry"),
    Row("replaced", "replaced", ANY, "ignored", "a later decoding stands in for this entry"),
    Row("unknown", "unknown", ANY, "unknown", "no rule knows this kind of entry"),
    Row("unknown.event", "unknown_event", ANY, "unknown", "no rule knows this event"),
    Row("unknown.message", "unknown_message", ANY, "unknown", "no rule knows this message"),
    Row("unknown.change", "session_status_change/?", ANY, "unknown", "no rule knows this change_type"),
)  # fmt: skip

_API = {
    **{(before, after): "95016" for before in OPEN for after in ANY},
    **{(FINISHED, after): "95013" for after in ANY},
    **{(before, FINISHED): "undocumented" for before in BEFORE_MANUAL},
    **dict.fromkeys([(ROBOT, ROBOT), (QUEUE, QUEUE)], "undocumented"),
    **dict.fromkeys(
        [(UNTREATED, ROBOT), (UNTREATED, QUEUE), (UNTREATED, MANUAL), (ROBOT, QUEUE), (ROBOT, MANUAL), (QUEUE, MANUAL),
         (MANUAL, MANUAL), (MANUAL, FINISHED)],
        "allowed",
    ),
}  # fmt: skip

SPEC = MachineSpec(
    version="1",
    semantics=1,
    rows=(
        *_CUSTOMER, *_TAKEN, *_HANDED_OVER, *_ENDED, *_REACCESSED, *_SERVICER, *_CHANGED, *_REFUSED, *_SENT, *_READ,
        *_CORRECTED, *_STAYING, *_DOUBTING, *_OUTSIDE,
    ),
    api=_API,
)  # fmt: skip
"""The machine that this release runs."""
