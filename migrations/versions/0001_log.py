"""The log: its tables, and the triggers that keep it append-only.

Revision: 0001
Follows: nothing
"""

from pathlib import Path

import sqlalchemy as sa

from kfstate.store.columns import BigKey, Body, Digest, Id, Key, Salt, Text
from kfstate.store.migration import create_index, create_table, create_triggers

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What a trigger of this revision said is history: it is written out there, not taken from the code of today.
TRIGGERS = Path(__file__).parents[1] / "triggers"


def upgrade() -> None:
    """Create the log."""
    create_table(
        "kf_archive_mark",
        sa.Column("position", BigKey, autoincrement=False, nullable=False),
        sa.Column("chain", Digest, nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("file_digest", Digest, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
        comment="Up to here the log may leave the database; it only grows.",
    )
    create_table(
        "kf_cursor",
        sa.Column("corp_id", Id(64), nullable=False),
        sa.Column("open_kfid", Id(128), nullable=False),
        sa.Column("next_cursor", Id(256), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("synced_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("corp_id", "open_kfid"),
    )
    create_table(
        "kf_entry",
        sa.Column("position", BigKey, autoincrement=False, nullable=False),
        sa.Column("stream", sa.BigInteger(), nullable=False),
        sa.Column("kind", Id(40), nullable=False),
        sa.Column("sort_second", sa.BigInteger(), nullable=False),
        sa.Column("tie", sa.BigInteger(), nullable=False),
        sa.Column("change_type", sa.Integer()),
        sa.Column("service_state", sa.Integer()),
        sa.Column("servicer_from", sa.BigInteger()),
        sa.Column("servicer_to", sa.BigInteger()),
        sa.Column("errcode", sa.BigInteger()),
        sa.Column("menu_click", sa.SmallInteger()),
        sa.Column("via", Id(64)),
        sa.Column("counts", sa.SmallInteger()),
        sa.Column("again", sa.SmallInteger(), nullable=False),
        sa.Column("target", sa.BigInteger()),
        sa.Column("as_kind", Id(40)),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("form", sa.SmallInteger(), nullable=False),
        sa.Column("kind_version", sa.SmallInteger(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger()),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.SmallInteger()),
        sa.Column("msgtype", Id(64)),
        sa.Column("ref", Id(128), nullable=False),
        sa.Column("fail_type", sa.Integer()),
        sa.Column("reject_switch", sa.SmallInteger()),
        sa.Column("receiving", sa.SmallInteger()),
        sa.Column("stop_type", sa.Integer()),
        sa.Column("code", Id(512), nullable=False),
        sa.Column("code_kind", Id(40)),
        sa.Column("manage_privilege", sa.SmallInteger()),
        sa.Column("from_at", sa.BigInteger()),
        sa.Column("actor", Id(512), nullable=False),
        sa.Column("cause", sa.BigInteger()),
        sa.Column("pull", sa.BigInteger()),
        sa.Column("ordinal", sa.Integer()),
        sa.Column("commitment", Digest, nullable=False),
        sa.Column("leaf", Digest, nullable=False),
        sa.Column("chain", Digest, nullable=False),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("stream", "version", name="uq_kf_entry_stream_version"),
    )
    create_index("ix_kf_entry_stream_second", "kf_entry", ["stream", "sort_second"])
    create_table(
        "kf_identity",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("entry_key", Key, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content", Key),
        sa.PrimaryKeyConstraint("day", "entry_key", "position"),
        comment="What tells a repeated entry from a new one; outside the chain, content is cleared by erasure.",
        sqlite_with_rowid=False,
    )
    create_table(
        "kf_log_head",
        sa.Column("log_id", Salt, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log_id"),
        comment="One row: locked by whoever appends, never changed.",
    )
    create_table(
        "kf_machine",
        sa.Column("fingerprint", Id(64), nullable=False),
        sa.Column("version", Id(64), nullable=False),
        sa.Column("definition", Text, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    create_table(
        "kf_name",
        sa.Column("id", BigKey, autoincrement=False, nullable=False),
        sa.Column("corp_id", Id(64), nullable=False),
        sa.Column("kind", Id(16), nullable=False),
        sa.Column("salt", Salt),
        sa.Column("value", Id(128)),
        sa.Column("folded", Id(128)),
        sa.Column("commitment", Digest, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("corp_id", "kind", "folded", name="uq_kf_name_folded"),
        comment="Every customer and servicer id, once; salt, value and folded are cleared by erasure.",
    )
    create_table(
        "kf_payload",
        sa.Column("position", BigKey, autoincrement=False, nullable=False),
        sa.Column("salt", Salt),
        sa.Column("body", Body),
        sa.PrimaryKeyConstraint("position"),
        comment="The exact bytes as they came; cleared by erasure.",
    )
    create_table(
        "kf_projection",
        sa.Column("name", Id(64), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", Id(64), nullable=False),
        sa.Column("status", Id(32), nullable=False),
        sa.Column("error", Text),
        sa.PrimaryKeyConstraint("name", "version"),
    )
    create_table(
        "kf_pull",
        sa.Column("id", BigKey, autoincrement=False, nullable=False),
        sa.Column("corp_id", Id(64), nullable=False),
        sa.Column("open_kfid", Id(128), nullable=False),
        sa.Column("cursor_before", Id(256), nullable=False),
        sa.Column("cursor_after", Id(256), nullable=False),
        sa.Column("has_more", sa.SmallInteger(), nullable=False),
        sa.Column("elements", sa.Integer(), nullable=False),
        sa.Column("pulled_at", sa.BigInteger(), nullable=False),
        sa.Column("date_at", sa.BigInteger()),
        sa.Column("software", Id(64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    create_table(
        "kf_stream",
        sa.Column("id", BigKey, autoincrement=False, nullable=False),
        sa.Column("corp_id", Id(64), nullable=False),
        sa.Column("kind", Id(16), nullable=False),
        sa.Column("open_kfid", Id(128), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("servicer", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("customer", "servicer", "open_kfid", "kind", "corp_id", name="uq_kf_stream_key"),
    )
    create_triggers(
        {
            name: (TRIGGERS / f"0001.{name}.sql").read_text("utf-8").strip().split("\n\n")
            for name in ("sqlite", "postgresql", "mysql")
        }
    )


def downgrade() -> None:
    """There is no way back: the log is append-only."""
    raise RuntimeError("0001 has no downgrade: the log is append-only")
