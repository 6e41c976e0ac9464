"""Legal holds, what is sealed for them, and the access log, which only grows.

Revision: 0007
Follows: 0006
"""

from pathlib import Path

import sqlalchemy as sa

from kfstate.store.columns import BigKey, Body, Id, Salt, Text
from kfstate.store.migration import create_index, create_table, create_triggers

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TRIGGERS = Path(__file__).parents[1] / "triggers"


def upgrade() -> None:
    """Make the tables and their triggers."""
    create_table(
        "kf_hold",
        sa.Column("id", BigKey, primary_key=True, autoincrement=False),
        sa.Column("corp_id", Id(64), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("until_at", sa.BigInteger()),
        sa.Column("actor", Id(128), nullable=False),
        sa.Column("basis", Text, nullable=False),
        sa.Column("request_id", Id(256), nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("released_at", sa.BigInteger()),
        sa.Column("released_by", Id(128), nullable=False),
        comment="Legal holds: what is taken out of the log meanwhile is sealed, not destroyed.",
    )
    create_table(
        "kf_sealed",
        sa.Column("kind", Id(16), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("corp_id", Id(64), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("salt", Salt),
        sa.Column("body", Body),
        sa.Column("sealed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id"),
        comment="Payloads and names that are kept for a legal hold and used for nothing else.",
    )
    create_index("ix_kf_sealed_customer", "kf_sealed", ["corp_id", "customer"])
    create_table(
        "kf_access",
        sa.Column("accessed_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", Salt, nullable=False),
        sa.Column("corp_id", Id(64), nullable=False),
        sa.Column("actor", Id(128), nullable=False),
        sa.Column("action", Id(40), nullable=False),
        sa.Column("open_kfid", Id(128), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("detail", Text, nullable=False),
        sa.Column("result", Text, nullable=False),
        sa.PrimaryKeyConstraint("accessed_at", "id"),
        comment="Who looked at what, when, and what came of it; names the customer by kf_name.id only.",
    )
    create_triggers(
        {
            name: (TRIGGERS / f"0007.{name}.sql").read_text("utf-8").strip().split("\n\n")
            for name in ("sqlite", "postgresql", "mysql")
        }
    )


def downgrade() -> None:
    """There is no way back: who looked at what stays known, and what is sealed is not lost."""
    raise RuntimeError("0007 has no downgrade: the access log and what is sealed stay")
