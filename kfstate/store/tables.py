"""The tables of the log, on the one ``metadata`` that projections add theirs to.

Columns of ``kf_entry`` cannot be added to history later. No foreign keys: a cascade would change the log.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    UniqueConstraint,
)

from kfstate.store.columns import BigKey, Body, Digest, Id, Key, Salt, Text

__all__ = [
    "kf_access",
    "kf_archive_mark",
    "kf_cursor",
    "kf_dead_letter",
    "kf_entry",
    "kf_hold",
    "kf_identity",
    "kf_lease",
    "kf_log_head",
    "kf_machine",
    "kf_name",
    "kf_payload",
    "kf_projection",
    "kf_pull",
    "kf_sealed",
    "kf_stream",
    "kf_subscription",
    "kf_token",
    "metadata",
]

metadata = MetaData()

kf_log_head = Table(
    "kf_log_head",
    metadata,
    Column("log_id", Salt, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    comment="One row: locked by whoever appends, never changed.",
)

kf_entry = Table(
    "kf_entry",
    metadata,
    Column("position", BigKey, primary_key=True, autoincrement=False),
    Column("stream", BigInteger, nullable=False),
    Column("kind", Id(40), nullable=False),
    Column("sort_second", BigInteger, nullable=False),
    Column("tie", BigInteger, nullable=False),
    Column("change_type", Integer),
    Column("service_state", Integer),
    Column("servicer_from", BigInteger),
    Column("servicer_to", BigInteger),
    Column("errcode", BigInteger),
    Column("menu_click", SmallInteger),
    Column("via", Id(64)),
    Column("counts", SmallInteger),
    Column("again", SmallInteger, nullable=False),
    Column("target", BigInteger),
    Column("as_kind", Id(40)),
    Column("version", BigInteger, nullable=False),
    Column("form", SmallInteger, nullable=False),
    Column("kind_version", SmallInteger, nullable=False),
    Column("occurred_at", BigInteger),
    Column("recorded_at", BigInteger, nullable=False),
    Column("origin", SmallInteger),
    Column("msgtype", Id(64)),
    Column("ref", Id(128), nullable=False),
    Column("fail_type", Integer),
    Column("reject_switch", SmallInteger),
    Column("receiving", SmallInteger),
    Column("stop_type", Integer),
    Column("code", Id(512), nullable=False),
    Column("code_kind", Id(40)),
    Column("manage_privilege", SmallInteger),
    Column("from_at", BigInteger),
    Column("actor", Id(512), nullable=False),
    Column("cause", BigInteger),
    Column("pull", BigInteger),
    Column("ordinal", Integer),
    Column("commitment", Digest, nullable=False),
    Column("leaf", Digest, nullable=False),
    Column("chain", Digest, nullable=False),
    UniqueConstraint("stream", "version", name="uq_kf_entry_stream_version"),
    Index("ix_kf_entry_stream_second", "stream", "sort_second"),
)

kf_payload = Table(
    "kf_payload",
    metadata,
    Column("position", BigKey, primary_key=True, autoincrement=False),
    Column("salt", Salt),
    Column("body", Body),
    comment="The exact bytes as they came; cleared by erasure.",
)

kf_name = Table(
    "kf_name",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=False),
    Column("corp_id", Id(64), nullable=False),
    Column("kind", Id(16), nullable=False),
    Column("salt", Salt),
    Column("value", Id(128)),
    Column("folded", Id(128)),
    Column("commitment", Digest, nullable=False),
    UniqueConstraint("corp_id", "kind", "folded", name="uq_kf_name_folded"),
    comment="Every customer and servicer id, once; salt, value and folded are cleared by erasure.",
)

kf_stream = Table(
    "kf_stream",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=False),
    Column("corp_id", Id(64), nullable=False),
    Column("kind", Id(16), nullable=False),
    Column("open_kfid", Id(128), nullable=False),
    Column("customer", BigInteger, nullable=False),
    Column("servicer", BigInteger, nullable=False),
    UniqueConstraint("customer", "servicer", "open_kfid", "kind", "corp_id", name="uq_kf_stream_key"),
)

kf_identity = Table(
    "kf_identity",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("entry_key", Key, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("content", Key),
    sqlite_with_rowid=False,
    comment="What tells a repeated entry from a new one; outside the chain, content is cleared by erasure.",
)

kf_cursor = Table(
    "kf_cursor",
    metadata,
    Column("corp_id", Id(64), primary_key=True),
    Column("open_kfid", Id(128), primary_key=True),
    Column("next_cursor", Id(256), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("synced_until", BigInteger),
)

kf_pull = Table(
    "kf_pull",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=False),
    Column("corp_id", Id(64), nullable=False),
    Column("open_kfid", Id(128), nullable=False),
    Column("cursor_before", Id(256), nullable=False),
    Column("cursor_after", Id(256), nullable=False),
    Column("has_more", SmallInteger, nullable=False),
    Column("elements", Integer, nullable=False),
    Column("pulled_at", BigInteger, nullable=False),
    Column("date_at", BigInteger),
    Column("software", Id(64), nullable=False),
    Index("ix_kf_pull_account", "corp_id", "open_kfid", "pulled_at"),
)

kf_machine = Table(
    "kf_machine",
    metadata,
    Column("fingerprint", Id(64), primary_key=True),
    Column("version", Id(64), nullable=False),
    Column("definition", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

kf_projection = Table(
    "kf_projection",
    metadata,
    Column("name", Id(64), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("chain", Digest),
    Column("fingerprint", Id(64), nullable=False),
    Column("status", Id(32), nullable=False),
    Column("error", Text),
    Column("began_at", BigInteger),
    Column("began_from", BigInteger),
    Column("updated_at", BigInteger),
    comment="The builds of each projection, and how far each got; build N has tables of its own, with the suffix _vN.",
)

kf_archive_mark = Table(
    "kf_archive_mark",
    metadata,
    Column("position", BigKey, primary_key=True, autoincrement=False),
    Column("chain", Digest, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("file_digest", Digest, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    comment="Up to here the log may leave the database; it only grows.",
)

kf_subscription = Table(
    "kf_subscription",
    metadata,
    Column("name", Id(64), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("chain", Digest, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Id(128), nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("error", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("moved_at", BigInteger),
    comment="How far each subscription has handled the log, and who runs it until when.",
)

kf_dead_letter = Table(
    "kf_dead_letter",
    metadata,
    Column("name", Id(64), primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("chain", Digest, nullable=False),
    Column("status", Id(16), nullable=False),
    Column("error", Id(255), nullable=False),
    Column("message", Text, nullable=False),
    Column("traceback", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    comment="Entries that the handler of a subscription could not handle; gone when it could.",
)

kf_lease = Table(
    "kf_lease",
    metadata,
    Column("corp_id", Id(64), primary_key=True),
    Column("kind", Id(16), primary_key=True),
    Column("name", Id(128), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Id(128), nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    comment="Which process does what only one may do at a time, until when.",
)

kf_token = Table(
    "kf_token",
    metadata,
    Column("corp_id", Id(64), primary_key=True),
    Column("app", Id(64), primary_key=True),
    Column("sealed", Body, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("fetched_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    comment="Access tokens that processes share, encrypted with a key made from the secret.",
)

kf_hold = Table(
    "kf_hold",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=False),
    Column("corp_id", Id(64), nullable=False),
    Column("customer", BigInteger, nullable=False),
    Column("until_at", BigInteger),
    Column("actor", Id(128), nullable=False),
    Column("basis", Text, nullable=False),
    Column("request_id", Id(256), nullable=False),
    Column("placed_at", BigInteger, nullable=False),
    Column("released_at", BigInteger),
    Column("released_by", Id(128), nullable=False),
    comment="Legal holds: what is taken out of the log meanwhile is sealed, not destroyed.",
)

kf_sealed = Table(
    "kf_sealed",
    metadata,
    Column("kind", Id(16), primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("corp_id", Id(64), nullable=False),
    Column("customer", BigInteger, nullable=False),
    Column("salt", Salt),
    Column("body", Body),
    Column("sealed_at", BigInteger, nullable=False),
    Index("ix_kf_sealed_customer", "corp_id", "customer"),
    comment="Payloads and names that are kept for a legal hold and used for nothing else.",
)

kf_access = Table(
    "kf_access",
    metadata,
    Column("accessed_at", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Salt, primary_key=True),
    Column("corp_id", Id(64), nullable=False),
    Column("actor", Id(128), nullable=False),
    Column("action", Id(40), nullable=False),
    Column("open_kfid", Id(128), nullable=False),
    Column("customer", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("result", Text, nullable=False),
    comment="Who looked at what, when, and what came of it; names the customer by kf_name.id only.",
)
