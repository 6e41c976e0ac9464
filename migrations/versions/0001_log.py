"""The log: its tables, and the triggers that keep it append-only.

Revision: 0001
Follows: nothing
"""

import sqlalchemy as sa
from alembic import op

from kfstate.store.dialect import BigKey, Body, Digest, Id, Key, Salt

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What a trigger of this revision said is history: it is written out, not taken from the code of today.
SQLITE_TRIGGERS = (
    (
        "CREATE TRIGGER kf_entry_insert BEFORE INSERT ON kf_entry WHEN NEW.position <> COALESCE((SELECT "
        "MAX(position) FROM kf_entry), COALESCE((SELECT MAX(position) FROM kf_archive_mark), 0)) + 1 OR "
        "EXISTS (SELECT 1 FROM kf_entry WHERE stream = NEW.stream AND version = NEW.version) BEGIN SELECT "
        "RAISE(ABORT, 'kf_entry: the next position is the last one plus 1, and no version of a stream comes "
        "twice'); END"
    ),
    (
        "CREATE TRIGGER kf_entry_update BEFORE UPDATE ON kf_entry BEGIN SELECT RAISE(ABORT, 'kf_entry is "
        "append-only: no UPDATE'); END"
    ),
    (
        "CREATE TRIGGER kf_entry_delete BEFORE DELETE ON kf_entry WHEN OLD.position > COALESCE((SELECT "
        "MAX(position) FROM kf_archive_mark), 0) BEGIN SELECT RAISE(ABORT, 'kf_entry is append-only: DELETE "
        "only up to kf_archive_mark'); END"
    ),
    (
        "CREATE TRIGGER kf_payload_insert BEFORE INSERT ON kf_payload WHEN EXISTS (SELECT 1 FROM kf_payload "
        "WHERE position = NEW.position) BEGIN SELECT RAISE(ABORT, 'kf_payload: this position has a payload'); "
        "END"
    ),
    (
        "CREATE TRIGGER kf_payload_update BEFORE UPDATE ON kf_payload WHEN NEW.position IS NOT OLD.position "
        "OR NEW.salt IS NOT NULL OR NEW.body IS NOT NULL BEGIN SELECT RAISE(ABORT, 'kf_payload: only salt and "
        "body can be cleared, together'); END"
    ),
    (
        "CREATE TRIGGER kf_payload_delete BEFORE DELETE ON kf_payload WHEN OLD.position > COALESCE((SELECT "
        "MAX(position) FROM kf_archive_mark), 0) BEGIN SELECT RAISE(ABORT, 'kf_payload: DELETE only up to "
        "kf_archive_mark'); END"
    ),
    (
        "CREATE TRIGGER kf_name_insert BEFORE INSERT ON kf_name WHEN EXISTS (SELECT 1 FROM kf_name WHERE id = "
        "NEW.id) OR EXISTS (SELECT 1 FROM kf_name WHERE corp_id = NEW.corp_id AND kind = NEW.kind AND folded "
        "= NEW.folded) BEGIN SELECT RAISE(ABORT, 'kf_name: this name exists'); END"
    ),
    (
        "CREATE TRIGGER kf_name_update BEFORE UPDATE ON kf_name WHEN NEW.id IS NOT OLD.id OR NEW.corp_id IS "
        "NOT OLD.corp_id OR NEW.kind IS NOT OLD.kind OR NEW.commitment IS NOT OLD.commitment OR NEW.salt IS "
        "NOT NULL OR NEW.value IS NOT NULL OR NEW.folded IS NOT NULL BEGIN SELECT RAISE(ABORT, 'kf_name: only "
        "salt, value and folded can be cleared, together'); END"
    ),
    (
        "CREATE TRIGGER kf_name_delete BEFORE DELETE ON kf_name BEGIN SELECT RAISE(ABORT, 'kf_name is "
        "append-only: no DELETE'); END"
    ),
    (
        "CREATE TRIGGER kf_stream_insert BEFORE INSERT ON kf_stream WHEN EXISTS (SELECT 1 FROM kf_stream "
        "WHERE id = NEW.id) OR EXISTS (SELECT 1 FROM kf_stream WHERE corp_id = NEW.corp_id AND kind = "
        "NEW.kind AND open_kfid = NEW.open_kfid AND customer = NEW.customer AND servicer = NEW.servicer) "
        "BEGIN SELECT RAISE(ABORT, 'kf_stream: this stream exists'); END"
    ),
    (
        "CREATE TRIGGER kf_log_head_insert BEFORE INSERT ON kf_log_head WHEN EXISTS (SELECT 1 FROM "
        "kf_log_head) BEGIN SELECT RAISE(ABORT, 'kf_log_head has one row'); END"
    ),
    (
        "CREATE TRIGGER kf_pull_insert BEFORE INSERT ON kf_pull WHEN EXISTS (SELECT 1 FROM kf_pull WHERE id = "
        "NEW.id) BEGIN SELECT RAISE(ABORT, 'kf_pull: this pull exists'); END"
    ),
    (
        "CREATE TRIGGER kf_machine_insert BEFORE INSERT ON kf_machine WHEN EXISTS (SELECT 1 FROM kf_machine "
        "WHERE fingerprint = NEW.fingerprint) BEGIN SELECT RAISE(ABORT, 'kf_machine: this machine exists'); "
        "END"
    ),
    (
        "CREATE TRIGGER kf_archive_mark_insert BEFORE INSERT ON kf_archive_mark WHEN NEW.position <= "
        "COALESCE((SELECT MAX(position) FROM kf_archive_mark), 0) OR NOT EXISTS (SELECT 1 FROM kf_entry WHERE "
        "position = NEW.position AND chain = NEW.chain AND recorded_at = NEW.recorded_at) BEGIN SELECT "
        "RAISE(ABORT, 'kf_archive_mark only grows, to an entry and its chain'); END"
    ),
    (
        "CREATE TRIGGER kf_stream_update BEFORE UPDATE ON kf_stream BEGIN SELECT RAISE(ABORT, 'kf_stream is "
        "append-only: no UPDATE'); END"
    ),
    (
        "CREATE TRIGGER kf_stream_delete BEFORE DELETE ON kf_stream BEGIN SELECT RAISE(ABORT, 'kf_stream is "
        "append-only: no DELETE'); END"
    ),
    (
        "CREATE TRIGGER kf_log_head_update BEFORE UPDATE ON kf_log_head BEGIN SELECT RAISE(ABORT, "
        "'kf_log_head is append-only: no UPDATE'); END"
    ),
    (
        "CREATE TRIGGER kf_log_head_delete BEFORE DELETE ON kf_log_head BEGIN SELECT RAISE(ABORT, "
        "'kf_log_head is append-only: no DELETE'); END"
    ),
    (
        "CREATE TRIGGER kf_pull_update BEFORE UPDATE ON kf_pull BEGIN SELECT RAISE(ABORT, 'kf_pull is "
        "append-only: no UPDATE'); END"
    ),
    (
        "CREATE TRIGGER kf_pull_delete BEFORE DELETE ON kf_pull BEGIN SELECT RAISE(ABORT, 'kf_pull is "
        "append-only: no DELETE'); END"
    ),
    (
        "CREATE TRIGGER kf_machine_update BEFORE UPDATE ON kf_machine BEGIN SELECT RAISE(ABORT, 'kf_machine "
        "is append-only: no UPDATE'); END"
    ),
    (
        "CREATE TRIGGER kf_machine_delete BEFORE DELETE ON kf_machine BEGIN SELECT RAISE(ABORT, 'kf_machine "
        "is append-only: no DELETE'); END"
    ),
    (
        "CREATE TRIGGER kf_archive_mark_update BEFORE UPDATE ON kf_archive_mark BEGIN SELECT RAISE(ABORT, "
        "'kf_archive_mark is append-only: no UPDATE'); END"
    ),
    (
        "CREATE TRIGGER kf_archive_mark_delete BEFORE DELETE ON kf_archive_mark BEGIN SELECT RAISE(ABORT, "
        "'kf_archive_mark is append-only: no DELETE'); END"
    ),
)


def upgrade() -> None:
    """Create the log."""
    op.create_table(
        "kf_archive_mark",
        sa.Column("position", BigKey, autoincrement=False, nullable=False),
        sa.Column("chain", Digest, nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("file_digest", Digest, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
        comment="Up to here the log may leave the database; it only grows.",
    )
    op.create_table(
        "kf_cursor",
        sa.Column("corp_id", Id(64), nullable=False),
        sa.Column("open_kfid", Id(128), nullable=False),
        sa.Column("next_cursor", Id(256), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("synced_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("corp_id", "open_kfid"),
    )
    op.create_table(
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
    op.create_index("ix_kf_entry_stream_second", "kf_entry", ["stream", "sort_second"], unique=False)
    op.create_table(
        "kf_identity",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("entry_key", Key, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content", Key),
        sa.PrimaryKeyConstraint("day", "entry_key", "position"),
        comment="What tells a repeated entry from a new one; outside the chain, content is cleared by erasure.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "kf_log_head",
        sa.Column("log_id", Salt, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log_id"),
        comment="One row: locked by whoever appends, never changed.",
    )
    op.create_table(
        "kf_machine",
        sa.Column("fingerprint", Id(64), nullable=False),
        sa.Column("version", Id(64), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    op.create_table(
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
    op.create_table(
        "kf_payload",
        sa.Column("position", BigKey, autoincrement=False, nullable=False),
        sa.Column("salt", Salt),
        sa.Column("body", Body),
        sa.PrimaryKeyConstraint("position"),
        comment="The exact bytes as they came; cleared by erasure.",
    )
    op.create_table(
        "kf_projection",
        sa.Column("name", Id(64), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", Id(64), nullable=False),
        sa.Column("status", Id(32), nullable=False),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("name", "version"),
    )
    op.create_table(
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
    op.create_table(
        "kf_stream",
        sa.Column("id", BigKey, autoincrement=False, nullable=False),
        sa.Column("corp_id", Id(64), nullable=False),
        sa.Column("kind", Id(16), nullable=False),
        sa.Column("open_kfid", Id(128), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("servicer", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("corp_id", "kind", "open_kfid", "customer", "servicer", name="uq_kf_stream_key"),
    )
    if op.get_context().dialect.name == "sqlite":
        for trigger in SQLITE_TRIGGERS:
            op.execute(trigger)


def downgrade() -> None:
    """There is no way back: the log is append-only."""
    raise RuntimeError("0001 has no downgrade: the log is append-only")
