# ruff: noqa: S608 (the SQL is put together from constants)
"""The triggers of the log on PostgreSQL, each ENABLE ALWAYS, and whether they stand in this wording."""

from sqlalchemy import Connection

from kfstate.store.backend import LOG_TABLES, foreign

__all__ = ["FUNCTIONS", "TRIGGERS", "ddl", "missing"]

_ROW, _BEFORE, _INSERT, _DELETE, _UPDATE, _TRUNCATE = 1, 2, 4, 8, 16, 32
_MARK = "COALESCE((SELECT MAX(position) FROM kf_archive_mark), 0)"
_FIXED = ("kf_entry", "kf_stream", "kf_log_head", "kf_pull", "kf_machine", "kf_archive_mark", "kf_access")
"""Tables whose rows never change."""


def _body(condition: str, rule: str, result: str = "NEW") -> str:
    return f"BEGIN IF {condition} THEN RAISE EXCEPTION '{rule}' USING ERRCODE = '23514'; END IF; RETURN {result}; END"


FUNCTIONS = {
    "kf_refuse": "BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = '23514'; END",
    # After the statement: the new rows stand already, so what went before them ends where they begin.
    "kf_entry_follows": (
        "DECLARE added bigint; lowest bigint; highest bigint; BEGIN "
        "SELECT COUNT(*), MIN(position), MAX(position) INTO added, lowest, highest FROM added_rows; "
        "IF added > 0 AND (highest - lowest + 1 <> added OR lowest <> COALESCE("
        "(SELECT MAX(position) FROM kf_entry WHERE position < lowest), "
        "(SELECT MAX(position) FROM kf_archive_mark), 0) + 1) THEN "
        "RAISE EXCEPTION 'kf_entry: the next position is the last one plus 1' USING ERRCODE = '23514'; END IF; "
        "RETURN NULL; END"
    ),
    "kf_unarchived_stays": _body(f"OLD.position > {_MARK}", "%: DELETE only up to kf_archive_mark", "OLD").replace(
        "kf_archive_mark' USING", "kf_archive_mark', TG_TABLE_NAME USING"
    ),
    "kf_payload_clears": _body(
        "NEW.position IS DISTINCT FROM OLD.position OR NEW.salt IS NOT NULL OR NEW.body IS NOT NULL",
        "kf_payload: only salt and body can be cleared, together",
    ),
    # A payload beyond the last entry would stand in the way of the entry that comes there.
    "kf_payload_follows": (
        "BEGIN IF (SELECT MAX(position) FROM added_rows) > COALESCE((SELECT MAX(position) FROM kf_entry), 0) THEN "
        "RAISE EXCEPTION 'kf_payload: this position has no entry' USING ERRCODE = '23514'; END IF; RETURN NULL; END"
    ),
    "kf_identity_clears": _body(
        " OR ".join(f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in ("day", "entry_key", "position"))
        + " OR NEW.content IS NOT NULL",
        "kf_identity: only content can be cleared",
    ),
    "kf_name_clears": _body(
        " OR ".join(f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in ("id", "corp_id", "kind", "commitment"))
        + " OR NEW.salt IS NOT NULL OR NEW.value IS NOT NULL OR NEW.folded IS NOT NULL",
        "kf_name: only salt, value and folded can be cleared, together",
    ),
    "kf_log_head_is_one": _body("EXISTS (SELECT 1 FROM kf_log_head)", "kf_log_head has one row"),
    "kf_archive_mark_grows": _body(
        f"NEW.position <= {_MARK} OR NOT EXISTS (SELECT 1 FROM kf_entry "
        "WHERE position = NEW.position AND chain = NEW.chain AND recorded_at = NEW.recorded_at)",
        "kf_archive_mark only grows, to an entry and its chain",
    ),
}
"""Name → body of every trigger function."""

Trigger = tuple[str, int, str, str]
"""Table, what PostgreSQL calls tgtype, function, its argument."""


def _triggers() -> dict[str, Trigger]:
    made: dict[str, Trigger] = {
        "kf_entry_insert": ("kf_entry", _INSERT, "kf_entry_follows", ""),
        "kf_payload_insert": ("kf_payload", _INSERT, "kf_payload_follows", ""),
        "kf_identity_update": ("kf_identity", _ROW | _BEFORE | _UPDATE, "kf_identity_clears", ""),
        "kf_log_head_insert": ("kf_log_head", _ROW | _BEFORE | _INSERT, "kf_log_head_is_one", ""),
        "kf_archive_mark_insert": ("kf_archive_mark", _ROW | _BEFORE | _INSERT, "kf_archive_mark_grows", ""),
        "kf_payload_update": ("kf_payload", _ROW | _BEFORE | _UPDATE, "kf_payload_clears", ""),
        "kf_name_update": ("kf_name", _ROW | _BEFORE | _UPDATE, "kf_name_clears", ""),
    }
    for table in LOG_TABLES:
        refused = f"{table} is append-only: no "
        made[f"{table}_truncate"] = (table, _BEFORE | _TRUNCATE, "kf_refuse", f"{refused}TRUNCATE")
        if table in _FIXED:
            made[f"{table}_update"] = (table, _ROW | _BEFORE | _UPDATE, "kf_refuse", f"{refused}UPDATE")
        if table in {"kf_entry", "kf_payload"}:
            made[f"{table}_delete"] = (table, _ROW | _BEFORE | _DELETE, "kf_unarchived_stays", "")
        else:
            made[f"{table}_delete"] = (table, _ROW | _BEFORE | _DELETE, "kf_refuse", f"{refused}DELETE")
    return made


TRIGGERS = _triggers()
"""Name → every trigger."""

_EVENTS = {_INSERT: "INSERT", _DELETE: "DELETE", _UPDATE: "UPDATE", _TRUNCATE: "TRUNCATE"}


def ddl() -> list[str]:
    """Return the statements that make functions and triggers."""
    made = [
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT "
        f"AS $${body}$$"
        for name, body in FUNCTIONS.items()
    ]
    for name, (table, kind, function, argument) in TRIGGERS.items():
        event = _EVENTS[kind & ~(_ROW | _BEFORE)]
        when = "BEFORE" if kind & _BEFORE else "AFTER"
        rows = "ROW" if kind & _ROW else "STATEMENT"
        referencing = "" if not function.endswith("_follows") else " REFERENCING NEW TABLE AS added_rows"
        given = f"'{argument}'" if argument else ""
        run = f"FOR EACH {rows} EXECUTE FUNCTION {function}({given})"
        made.append(f"CREATE TRIGGER {name} {when} {event} ON {table}{referencing} {run}")
        made.append(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
    return made


_FOUND = (
    "SELECT t.tgname, c.relname, t.tgtype, p.proname, encode(t.tgargs, 'escape'), p.prosrc, t.tgenabled = 'A' "
    "AND t.tgqual IS NULL AND t.tgattr = '' FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
    "JOIN pg_proc p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal AND pg_table_is_visible(c.oid)"
)


_RULES = "SELECT rulename, tablename FROM pg_rules WHERE schemaname = ANY (current_schemas(false))"


def missing(conn: Connection) -> list[str]:
    """Return the names of triggers that do not stand, are not enabled always, or have another wording.

    After them those of triggers and rules on the log that are not ours.
    """
    found = {(row[0], row[1]): tuple(row[2:]) for row in conn.exec_driver_sql(_FOUND)}
    names: list[str] = []
    for name, (table, kind, function, argument) in TRIGGERS.items():
        given = f"{argument}\\000" if argument else ""
        if found.pop((name, table), None) != (kind, function, given, FUNCTIONS[function], True):
            names.append(name)
    rules = [(name, table) for name, table in conn.exec_driver_sql(_RULES)]
    return sorted(names) + foreign([*found, *rules])
