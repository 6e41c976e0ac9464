# ruff: noqa: S608 (the SQL is put together from constants)
"""What makes the log append-only on SQLite: the triggers, and whether they stand (P7).

A trigger's message names the rule. REPLACE deletes without firing DELETE triggers, so the INSERT triggers refuse a key
that exists; the one on ``kf_entry`` makes gaplessness a rule of the database as well.
"""

from sqlalchemy import Connection

from kfstate.store.backend import foreign

__all__ = ["SQLITE", "ddl", "missing"]


def _trigger(name: str, when: str, table: str, rule: str, condition: str = "") -> str:
    head = f"CREATE TRIGGER {name} BEFORE {when} ON {table}"
    if condition:
        head += f" WHEN {condition}"
    return f"{head} BEGIN SELECT RAISE(ABORT, '{rule}'); END"


def _sqlite() -> dict[str, str]:
    made: dict[str, str] = {}

    def add(table: str, action: str, rule: str, condition: str = "") -> None:
        name = f"{table}_{action}"
        made[name] = _trigger(name, action.upper(), table, rule, condition)

    mark = "COALESCE((SELECT MAX(position) FROM kf_archive_mark), 0)"
    end = f"COALESCE((SELECT MAX(position) FROM kf_entry), {mark})"
    same = "EXISTS (SELECT 1 FROM kf_entry WHERE stream = NEW.stream AND version = NEW.version)"
    # One trigger for both rules: each costs about 2 µs for every entry.
    rule = "kf_entry: the next position is the last one plus 1, and no version of a stream comes twice"
    add("kf_entry", "insert", rule, f"NEW.position <> {end} + 1 OR {same}")
    add("kf_entry", "update", "kf_entry is append-only: no UPDATE")
    unmarked = f"OLD.position > {mark}"
    add("kf_entry", "delete", "kf_entry is append-only: DELETE only up to kf_archive_mark", unmarked)

    # A payload beyond the last entry would stand in the way of the entry that comes there.
    beyond = "NEW.position > COALESCE((SELECT MAX(position) FROM kf_entry), 0)"
    rule = "kf_payload: this position has a payload, or no entry"
    add("kf_payload", "insert", rule, f"{beyond} OR {_exists('kf_payload', 'position')}")
    add(
        "kf_payload",
        "update",
        "kf_payload: only salt and body can be cleared, together",
        _cleared("position", "salt body"),
    )
    add("kf_payload", "delete", "kf_payload: DELETE only up to kf_archive_mark", unmarked)

    same = "day = NEW.day AND entry_key = NEW.entry_key AND position = NEW.position"
    add("kf_identity", "insert", "kf_identity: this identity exists", _exists("kf_identity", "", same))
    rule = "kf_identity: only content can be cleared"
    add("kf_identity", "update", rule, _cleared("day entry_key position", "content"))
    add("kf_identity", "delete", "kf_identity is append-only: no DELETE")

    same = "corp_id = NEW.corp_id AND kind = NEW.kind AND folded = NEW.folded"
    add(
        "kf_name",
        "insert",
        "kf_name: this name exists",
        f"{_exists('kf_name', 'id')} OR {_exists('kf_name', '', same)}",
    )
    fixed, erased = "id corp_id kind commitment", "salt value folded"
    add("kf_name", "update", "kf_name: only salt, value and folded can be cleared, together", _cleared(fixed, erased))
    add("kf_name", "delete", "kf_name is append-only: no DELETE")

    same = " AND ".join(f"{name} = NEW.{name}" for name in ("corp_id", "kind", "open_kfid", "customer", "servicer"))
    exists = f"{_exists('kf_stream', 'id')} OR {_exists('kf_stream', '', same)}"
    add("kf_stream", "insert", "kf_stream: this stream exists", exists)
    add("kf_log_head", "insert", "kf_log_head has one row", "EXISTS (SELECT 1 FROM kf_log_head)")
    add("kf_pull", "insert", "kf_pull: this pull exists", _exists("kf_pull", "id"))
    add("kf_machine", "insert", "kf_machine: this machine exists", _exists("kf_machine", "fingerprint"))
    ends = (
        f"NEW.position <= {mark} OR NOT EXISTS (SELECT 1 FROM kf_entry"
        " WHERE position = NEW.position AND chain = NEW.chain AND recorded_at = NEW.recorded_at)"
    )
    add("kf_archive_mark", "insert", "kf_archive_mark only grows, to an entry and its chain", ends)
    same = "accessed_at = NEW.accessed_at AND id = NEW.id"
    add("kf_access", "insert", "kf_access: this access exists", _exists("kf_access", "", same))
    for table in ("kf_stream", "kf_log_head", "kf_pull", "kf_machine", "kf_archive_mark", "kf_access"):
        add(table, "update", f"{table} is append-only: no UPDATE")
        add(table, "delete", f"{table} is append-only: no DELETE")
    return made


def _exists(table: str, key: str, same: str = "") -> str:
    return f"EXISTS (SELECT 1 FROM {table} WHERE {same or f'{key} = NEW.{key}'})"


def _cleared(fixed: str, erased: str) -> str:
    """Return what refuses an update that does anything but clear the erasable columns, all of them."""
    changed = " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in fixed.split())
    kept = " OR ".join(f"NEW.{name} IS NOT NULL" for name in erased.split())
    return f"{changed} OR {kept}"


SQLITE = _sqlite()
"""Name → DDL of every trigger on SQLite."""


def ddl() -> list[str]:
    """Return the statements that make the triggers."""
    return list(SQLITE.values())


def missing(conn: Connection) -> list[str]:
    """Return the names of triggers that do not stand, or stand in another wording, or that are not ours."""
    rows = conn.exec_driver_sql("SELECT name, sql, tbl_name FROM sqlite_master WHERE type = 'trigger'").all()
    found: dict[str, str] = {row[0]: row[1] for row in rows}
    changed = [name for name, ddl in SQLITE.items() if found.get(name) != ddl]
    return sorted(changed) + foreign((name, table) for name, _, table in rows if name not in SQLITE)
