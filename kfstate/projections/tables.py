"""The tables of the shipped projections, for the code that writes them and for people who query by SQL.

Every time in them is whole seconds since 1970-01-01 UTC, WeCom's own unit, and every servicer an id of ``kf_name``.
Nothing in a row depends on how it was computed: a rebuild gives the same rows.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, SmallInteger, Table

from kfstate.store.dialect import BigKey, Id
from kfstate.store.tables import metadata

__all__ = [
    "TABLES",
    "kf_account",
    "kf_anomaly",
    "kf_code",
    "kf_conversation",
    "kf_message_fate",
    "kf_segment",
    "kf_servicer",
    "kf_session",
    "kf_step",
]

kf_step = Table(
    "kf_step",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("known_from", BigInteger, primary_key=True, autoincrement=False),
    Column("place", Integer, nullable=False),
    Column("transition", Id(64), nullable=False),
    Column("outcome", Id(16), nullable=False),
    Column("before_state", SmallInteger, nullable=False),
    Column("after_state", SmallInteger, nullable=False),
    Column("servicer_before", BigInteger),
    Column("servicer_after", BigInteger),
    Column("session", Integer, nullable=False),
    Column("evidence", Id(16), nullable=False),
    Column("doubt", Id(32), nullable=False),
    Column("missing", Id(16), nullable=False),
    Column("expired_at", BigInteger),
    sqlite_with_rowid=False,
    comment="What folding each entry did; insert-only: the greatest known_from of a position is current.",
)

kf_conversation = Table(
    "kf_conversation",
    metadata,
    Column("stream", BigKey, primary_key=True, autoincrement=False),
    Column("open_kfid", Id(128), nullable=False),
    Column("customer", BigInteger, nullable=False),
    Column("service_state", SmallInteger, nullable=False),
    Column("servicer", BigInteger),
    Column("previous_servicer", BigInteger),
    Column("session", Integer, nullable=False),
    Column("session_id", BigInteger),
    Column("opened_by", Id(16)),
    Column("reopens", BigInteger),
    Column("opened", BigInteger),
    Column("since", BigInteger),
    Column("last_customer_message", BigInteger),
    Column("queued_since", BigInteger),
    Column("sends", Integer, nullable=False),
    Column("evidence", Id(16), nullable=False),
    Column("doubt", Id(32), nullable=False),
    Column("position", BigInteger),
    Column("decided", BigInteger),
    Column("doubtful_from", BigInteger),
    Column("expires_at", BigInteger),
    Column("kept", SmallInteger),
    Column("kept_servicer", BigInteger),
    Column("kept_previous_servicer", BigInteger),
    Column("kept_since", BigInteger),
    Column("second", BigInteger, nullable=False),
    Column("rejected", SmallInteger),
    Column("rejected_second", BigInteger),
    Column("rejected_tie", BigInteger),
    Index("ix_kf_conversation_state", "service_state", "open_kfid"),
    Index("ix_kf_conversation_expires", "expires_at"),
    comment="The folded state of each conversation, as of its last entry.",
)

kf_session = Table(
    "kf_session",
    metadata,
    Column("stream", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("session_id", BigInteger, nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("opened_by", Id(16), nullable=False),
    Column("reopens", BigInteger),
    Column("first_reply", BigInteger),
    Column("queued", BigInteger),
    Column("queue_seconds", BigInteger, nullable=False),
    Column("abandoned", SmallInteger, nullable=False),
    Column("taken", BigInteger),
    Column("ended", BigInteger),
    Column("ended_by", Id(16)),
    Column("servicer", BigInteger),
    Column("segments", Integer, nullable=False),
    Column("transfers", Integer, nullable=False),
    Column("messages_in", Integer, nullable=False),
    Column("messages_out", Integer, nullable=False),
    Column("sends", Integer, nullable=False),
    Column("last_message", BigInteger),
    Column("last_message_by", Id(16)),
    Column("repairs", Integer, nullable=False),
    Column("base", LargeBinary),
    sqlite_with_rowid=False,
    comment="One episode of a conversation each; base: the state before it, from which a late entry folds on.",
)

kf_segment = Table(
    "kf_segment",
    metadata,
    Column("stream", BigInteger, primary_key=True, autoincrement=False),
    Column("session", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("servicer", BigInteger),
    Column("taken_by", Id(64), nullable=False),
    Column("began", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("ended_by", Id(64)),
    Column("first_customer_message", BigInteger),
    Column("first_reply", BigInteger),
    Column("messages_in", Integer, nullable=False),
    Column("messages_out", Integer, nullable=False),
    sqlite_with_rowid=False,
    comment="One servicer's span inside a session each; taken_by and ended_by are names of the machine's rows.",
)

kf_servicer = Table(
    "kf_servicer",
    metadata,
    Column("open_kfid", Id(128), primary_key=True),
    Column("servicer", BigInteger, primary_key=True, autoincrement=False),
    Column("receiving", SmallInteger),
    Column("stop_type", Integer),
    Column("status_second", BigInteger),
    Column("status_tie", BigInteger),
    Column("open_sessions", Integer, nullable=False),
    comment="Every servicer of an account: the status last heard of, and the sessions in MANUAL as of the log.",
)

kf_account = Table(
    "kf_account",
    metadata,
    Column("open_kfid", Id(128), primary_key=True),
    Column("manage_privilege", SmallInteger),
    Column("privilege_second", BigInteger),
    Column("sends_recorded", SmallInteger, nullable=False),
    Column("gap_from", BigInteger),
    Column("gap_until", BigInteger),
    comment="What is known of each account; gap_from and gap_until bound its last history gap.",
)

kf_anomaly = Table(
    "kf_anomaly",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Id(32), primary_key=True),
    Column("stream", BigInteger, nullable=False),
    Column("second", BigInteger, nullable=False),
    sqlite_with_rowid=False,
    comment="Everything that did not fit: repaired, refused, unknown, conflicting_msgid, history_gap.",
)

kf_message_fate = Table(
    "kf_message_fate",
    metadata,
    Column("position", BigKey, primary_key=True, autoincrement=False),
    Column("stream", BigInteger, nullable=False),
    Column("ref", Id(128), nullable=False),
    Column("fate", Id(32), nullable=False),
    Column("fail_type", Integer),
    Column("second", BigInteger, nullable=False),
    Column("target", BigInteger),
    Index("ix_kf_message_fate_stream", "stream", "ref"),
    comment="Messages taken back or not delivered; target is the message's own entry where it was known.",
)

kf_code = Table(
    "kf_code",
    metadata,
    Column("position", BigKey, primary_key=True, autoincrement=False),
    Column("stream", BigInteger, nullable=False),
    Column("code", Id(512), nullable=False),
    Column("scene", Id(16), nullable=False),
    Column("given", BigInteger, nullable=False),
    Column("valid_until", BigInteger, nullable=False),
    Column("only_state", SmallInteger),
    Column("used", BigInteger),
    Index("ix_kf_code_stream", "stream"),
    comment="Codes for send_msg_on_event: what for, until when, and the state outside of which they are void.",
)

TABLES = (
    kf_step,
    kf_conversation,
    kf_session,
    kf_segment,
    kf_servicer,
    kf_account,
    kf_anomaly,
    kf_message_fate,
    kf_code,
)
"""Every table of the shipped projections."""
