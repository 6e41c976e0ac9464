"""The kinds of entries: stable strings that the log keeps for ever."""

__all__ = ["EVENT_KINDS", "FROM_WECOM", "KINDS", "OWN_KINDS", "OWN_RANK", "RANKS"]

EVENT_KINDS = frozenset(
    {
        "enter_session",
        "msg_send_fail",
        "servicer_status_change",
        "session_status_change",
        "user_recall_msg",
        "servicer_recall_msg",
        "reject_customer_msg_switch_change",
    }
)
"""The seven events of WeCom, under their own names (page 94699)."""

FROM_WECOM = EVENT_KINDS | {
    "customer_message",
    "servicer_message",
    "system_message",
    "unknown_event",
    "unknown_message",
}
"""Every kind that a ``sync_msg`` page can bring."""

OWN_KINDS = frozenset(
    {
        "state_change_intended",
        "state_changed",
        "state_change_refused",
        "state_reading",
        "message_intended",
        "message_sent",
        "message_refused",
        "reply_lost",
        "servicer_reading",
        "account_reading",
        "history_gap",
        "own_action",
        "session_expired",
        "limit_reached",
        "machine_activated",
        "redecoded",
        "correction",
    }
)
"""Every kind that the embedding service, or kfstate itself, records."""

KINDS = FROM_WECOM | OWN_KINDS

OWN_RANK = 2
RANKS = {"servicer_message": 0, "session_status_change": 1, "customer_message": 4} | dict.fromkeys(OWN_KINDS, OWN_RANK)
"""Where the search inside one second looks first; any other kind has rank 3."""
