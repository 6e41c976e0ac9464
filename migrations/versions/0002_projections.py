"""The tables of the shipped projections.

Revision: 0002
Follows: 0001
"""

import sqlalchemy as sa
from alembic import op

from kfstate.store.columns import BigKey, Id
from kfstate.store.migration import create_index, create_table

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; they are filled from the log."""
    create_table(
        "kf_step",
        sa.Column("position", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("known_from", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("transition", Id(64), nullable=False),
        sa.Column("outcome", Id(16), nullable=False),
        sa.Column("before_state", sa.SmallInteger(), nullable=False),
        sa.Column("after_state", sa.SmallInteger(), nullable=False),
        sa.Column("servicer_before", sa.BigInteger()),
        sa.Column("servicer_after", sa.BigInteger()),
        sa.Column("session", sa.Integer(), nullable=False),
        sa.Column("evidence", Id(16), nullable=False),
        sa.Column("doubt", Id(32), nullable=False),
        sa.Column("missing", Id(16), nullable=False),
        sa.Column("expired_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("position", "known_from"),
        sqlite_with_rowid=False,
        comment="What folding each entry did; insert-only: the greatest known_from of a position is current.",
    )
    create_table(
        "kf_conversation",
        sa.Column("stream", BigKey, nullable=False, autoincrement=False),
        sa.Column("open_kfid", Id(128), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("service_state", sa.SmallInteger(), nullable=False),
        sa.Column("servicer", sa.BigInteger()),
        sa.Column("previous_servicer", sa.BigInteger()),
        sa.Column("session", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.BigInteger()),
        sa.Column("opened_by", Id(16)),
        sa.Column("reopens", sa.BigInteger()),
        sa.Column("opened", sa.BigInteger()),
        sa.Column("since", sa.BigInteger()),
        sa.Column("last_customer_message", sa.BigInteger()),
        sa.Column("queued_since", sa.BigInteger()),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("evidence", Id(16), nullable=False),
        sa.Column("doubt", Id(32), nullable=False),
        sa.Column("position", sa.BigInteger()),
        sa.Column("decided", sa.BigInteger()),
        sa.Column("doubtful_from", sa.BigInteger()),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("kept", sa.SmallInteger()),
        sa.Column("kept_servicer", sa.BigInteger()),
        sa.Column("kept_previous_servicer", sa.BigInteger()),
        sa.Column("kept_since", sa.BigInteger()),
        sa.Column("second", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.SmallInteger()),
        sa.Column("rejected_second", sa.BigInteger()),
        sa.Column("rejected_tie", sa.BigInteger()),
        sa.PrimaryKeyConstraint("stream"),
        comment="The folded state of each conversation, as of its last entry.",
    )
    create_index("ix_kf_conversation_expires", "kf_conversation", ["expires_at"])
    create_index("ix_kf_conversation_state", "kf_conversation", ["service_state", "open_kfid"])
    create_table(
        "kf_session",
        sa.Column("stream", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("session_id", sa.BigInteger(), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("opened_by", Id(16), nullable=False),
        sa.Column("reopens", sa.BigInteger()),
        sa.Column("first_reply", sa.BigInteger()),
        sa.Column("queued", sa.BigInteger()),
        sa.Column("queue_seconds", sa.BigInteger(), nullable=False),
        sa.Column("abandoned", sa.SmallInteger(), nullable=False),
        sa.Column("taken", sa.BigInteger()),
        sa.Column("ended", sa.BigInteger()),
        sa.Column("ended_by", Id(16)),
        sa.Column("servicer", sa.BigInteger()),
        sa.Column("segments", sa.Integer(), nullable=False),
        sa.Column("transfers", sa.Integer(), nullable=False),
        sa.Column("messages_in", sa.Integer(), nullable=False),
        sa.Column("messages_out", sa.Integer(), nullable=False),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("last_message", sa.BigInteger()),
        sa.Column("last_message_by", Id(16)),
        sa.Column("repairs", sa.Integer(), nullable=False),
        sa.Column("base", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("stream", "number"),
        sqlite_with_rowid=False,
        comment="One episode of a conversation each; base: the state before it, from which a late entry folds on.",
    )
    create_table(
        "kf_segment",
        sa.Column("stream", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("session", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("servicer", sa.BigInteger()),
        sa.Column("taken_by", Id(64), nullable=False),
        sa.Column("began", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger()),
        sa.Column("ended_by", Id(64)),
        sa.Column("first_customer_message", sa.BigInteger()),
        sa.Column("first_reply", sa.BigInteger()),
        sa.Column("messages_in", sa.Integer(), nullable=False),
        sa.Column("messages_out", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "session", "number"),
        sqlite_with_rowid=False,
        comment="One servicer's span inside a session each; taken_by and ended_by are names of the machine's rows.",
    )
    create_table(
        "kf_servicer",
        sa.Column("open_kfid", Id(128), nullable=False),
        sa.Column("servicer", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("receiving", sa.SmallInteger()),
        sa.Column("stop_type", sa.Integer()),
        sa.Column("status_second", sa.BigInteger()),
        sa.Column("status_tie", sa.BigInteger()),
        sa.Column("open_sessions", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("open_kfid", "servicer"),
        comment="Every servicer of an account: the status last heard of, and the sessions in MANUAL as of the log.",
    )
    create_table(
        "kf_account",
        sa.Column("open_kfid", Id(128), nullable=False),
        sa.Column("manage_privilege", sa.SmallInteger()),
        sa.Column("privilege_second", sa.BigInteger()),
        sa.Column("sends_recorded", sa.SmallInteger(), nullable=False),
        sa.Column("gap_from", sa.BigInteger()),
        sa.Column("gap_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("open_kfid"),
        comment="What is known of each account; gap_from and gap_until bound its last history gap.",
    )
    create_table(
        "kf_anomaly",
        sa.Column("position", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("kind", Id(32), nullable=False),
        sa.Column("stream", sa.BigInteger(), nullable=False),
        sa.Column("second", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position", "kind"),
        sqlite_with_rowid=False,
        comment="Everything that did not fit: repaired, refused, unknown, conflicting_msgid, history_gap.",
    )
    create_table(
        "kf_message_fate",
        sa.Column("position", BigKey, nullable=False, autoincrement=False),
        sa.Column("stream", sa.BigInteger(), nullable=False),
        sa.Column("ref", Id(128), nullable=False),
        sa.Column("fate", Id(32), nullable=False),
        sa.Column("fail_type", sa.Integer()),
        sa.Column("second", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.BigInteger()),
        sa.PrimaryKeyConstraint("position"),
        comment="Messages taken back or not delivered; target is the message's own entry where it was known.",
    )
    create_index("ix_kf_message_fate_stream", "kf_message_fate", ["stream", "ref"])
    create_table(
        "kf_code",
        sa.Column("position", BigKey, nullable=False, autoincrement=False),
        sa.Column("stream", sa.BigInteger(), nullable=False),
        sa.Column("code", Id(512), nullable=False),
        sa.Column("scene", Id(16), nullable=False),
        sa.Column("given", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("only_state", sa.SmallInteger()),
        sa.Column("used", sa.BigInteger()),
        sa.PrimaryKeyConstraint("position"),
        comment="Codes for send_msg_on_event: what for, until when, and the state outside of which they are void.",
    )
    create_index("ix_kf_code_stream", "kf_code", ["stream"])


def downgrade() -> None:
    """Drop the tables: nothing is lost, a rebuild makes their rows again."""
    op.drop_table("kf_code")
    op.drop_table("kf_message_fate")
    op.drop_table("kf_anomaly")
    op.drop_table("kf_account")
    op.drop_table("kf_servicer")
    op.drop_table("kf_segment")
    op.drop_table("kf_session")
    op.drop_table("kf_conversation")
    op.drop_table("kf_step")
