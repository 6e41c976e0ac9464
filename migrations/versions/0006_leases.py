"""Leases of what only one process may do at a time, tokens that processes share, when accounts were pulled.

Revision: 0006
Follows: 0005
"""

import sqlalchemy as sa
from alembic import op

from kfstate.store.columns import Body, Id
from kfstate.store.migration import create_table

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    create_table(
        "kf_lease",
        sa.Column("corp_id", Id(64), nullable=False),
        sa.Column("kind", Id(16), nullable=False),
        sa.Column("name", Id(128), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("owner", Id(128), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("corp_id", "kind", "name"),
        comment="Which process does what only one may do at a time, until when.",
    )
    create_table(
        "kf_token",
        sa.Column("corp_id", Id(64), nullable=False),
        sa.Column("app", Id(64), nullable=False),
        sa.Column("sealed", Body, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("corp_id", "app"),
        comment="Access tokens that processes share, encrypted with a key made from the secret.",
    )
    op.create_index("ix_kf_pull_account", "kf_pull", ["corp_id", "open_kfid", "pulled_at"])


def downgrade() -> None:
    """Drop the tables: whoever holds a lease loses it, and tokens are fetched anew."""
    op.drop_index("ix_kf_pull_account", "kf_pull")
    op.drop_table("kf_token")
    op.drop_table("kf_lease")
