"""Subscriptions to the log, and the entries that their handlers could not handle.

Revision: 0003
Follows: 0002
"""

import sqlalchemy as sa
from alembic import op

from kfstate.store.columns import Digest, Id, Text
from kfstate.store.migration import create_table

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    create_table(
        "kf_subscription",
        sa.Column("name", Id(64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("chain", Digest, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("owner", Id(128), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("error", Text),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("moved_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("name"),
        comment="How far each subscription has handled the log, and who runs it until when.",
    )
    create_table(
        "kf_dead_letter",
        sa.Column("name", Id(64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("chain", Digest, nullable=False),
        sa.Column("status", Id(16), nullable=False),
        sa.Column("error", Id(255), nullable=False),
        sa.Column("message", Text, nullable=False),
        sa.Column("traceback", Text, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "position"),
        comment="Entries that the handler of a subscription could not handle; gone when it could.",
    )


def downgrade() -> None:
    """Drop the tables: subscriptions begin anew, and dead letters are forgotten."""
    op.drop_table("kf_dead_letter")
    op.drop_table("kf_subscription")
