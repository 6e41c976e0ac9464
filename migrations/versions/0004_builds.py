"""Builds of projections: how far each got, on which log, since when.

Revision: 0004
Follows: 0003
"""

import sqlalchemy as sa
from alembic import op

from kfstate.store.columns import Digest, Id, Text
from kfstate.store.migration import create_table, stands

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEPT = "name, version, position, fingerprint, status, error"


def upgrade() -> None:
    """Make the table anew, with its rows: its columns stand in one order on every database."""
    if stands("kf_projection", without="chain"):
        op.execute("DROP TABLE IF EXISTS kf_projection_was")
        op.execute("CREATE TABLE kf_projection_was AS SELECT * FROM kf_projection")
        op.drop_table("kf_projection")
    create_table(
        "kf_projection",
        sa.Column("name", Id(64), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("chain", Digest),
        sa.Column("fingerprint", Id(64), nullable=False),
        sa.Column("status", Id(32), nullable=False),
        sa.Column("error", Text),
        sa.Column("began_at", sa.BigInteger()),
        sa.Column("began_from", sa.BigInteger()),
        sa.Column("updated_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("name", "version"),
        comment="The builds of each projection, and how far each got; "
        "build N has tables of its own, with the suffix _vN.",
    )
    if stands("kf_projection_was"):
        op.execute(f"INSERT INTO kf_projection ({_KEPT}) SELECT {_KEPT} FROM kf_projection_was")  # noqa: S608 (a constant)
        op.drop_table("kf_projection_was")


def downgrade() -> None:
    """Drop what this revision added."""
    for name in ("updated_at", "began_from", "began_at", "chain"):
        op.drop_column("kf_projection", name)
