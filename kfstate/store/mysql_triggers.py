# ruff: noqa: S608 (the SQL is put together from constants)
"""The triggers of the log on MySQL and MariaDB, and whether they stand in this wording.

What these databases fire no trigger for (TRUNCATE, DROP, ALTER) only privileges can refuse: docs/how-to/grants.md.
"""

from sqlalchemy import Connection

from kfstate.store.backend import foreign

__all__ = ["TRIGGERS", "ddl", "missing"]

_MARK = "COALESCE((SELECT MAX(position) FROM kf_archive_mark), 0)"
_END = f"COALESCE((SELECT MAX(position) FROM kf_entry), {_MARK})"

Trigger = tuple[str, str, str]
"""Table, event, body."""


def _refuse(rule: str) -> str:
    return f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{rule}'"


def _unless(condition: str, rule: str) -> str:
    return f"IF {condition} THEN {_refuse(rule)}; END IF"


def _cleared(fixed: str, erased: str) -> str:
    changed = " OR ".join(f"NOT NEW.{name} <=> OLD.{name}" for name in fixed.split())
    return f"{changed} OR {' OR '.join(f'NEW.{name} IS NOT NULL' for name in erased.split())}"


def _triggers() -> dict[str, Trigger]:
    made: dict[str, Trigger] = {}

    def add(table: str, event: str, body: str) -> None:
        made[f"{table}_{event}"] = (table, event.upper(), body)

    rule = "kf_entry: the next position is the last one plus 1"
    add("kf_entry", "insert", _unless(f"NEW.position <> {_END} + 1", rule))
    for table in ("kf_entry", "kf_payload"):
        body = _unless(f"OLD.position > {_MARK}", f"{table}: DELETE only up to kf_archive_mark")
        add(table, "delete", body)
    # A payload beyond the last entry would stand in the way of the entry that comes there.
    beyond = "NEW.position > COALESCE((SELECT MAX(position) FROM kf_entry), 0)"
    add("kf_payload", "insert", _unless(beyond, "kf_payload: this position has no entry"))
    rule = "kf_payload: only salt and body can be cleared, together"
    add("kf_payload", "update", _unless(_cleared("position", "salt body"), rule))
    rule = "kf_name: only salt, value and folded can be cleared, together"
    add("kf_name", "update", _unless(_cleared("id corp_id kind commitment", "salt value folded"), rule))
    rule = "kf_identity: only content can be cleared"
    add("kf_identity", "update", _unless(_cleared("day entry_key position", "content"), rule))
    one = _unless("EXISTS (SELECT 1 FROM kf_log_head)", "kf_log_head has one row")
    add("kf_log_head", "insert", one)
    ends = (
        f"NEW.position <= {_MARK} OR NOT EXISTS (SELECT 1 FROM kf_entry"
        " WHERE position = NEW.position AND chain = NEW.chain AND recorded_at = NEW.recorded_at)"
    )
    add("kf_archive_mark", "insert", _unless(ends, "kf_archive_mark only grows, to an entry and its chain"))
    fixed = ("kf_stream", "kf_log_head", "kf_pull", "kf_machine", "kf_archive_mark", "kf_access")
    for table in ("kf_entry", *fixed):
        add(table, "update", _refuse(f"{table} is append-only: no UPDATE"))
    for table in ("kf_identity", "kf_name", *fixed):
        add(table, "delete", _refuse(f"{table} is append-only: no DELETE"))
    return made


TRIGGERS = _triggers()
"""Name → every trigger."""


def ddl() -> list[str]:
    """Return the statements that make the triggers; they can be repeated."""
    made: list[str] = []
    for name, (table, event, body) in TRIGGERS.items():
        made += [
            f"DROP TRIGGER IF EXISTS {name}",
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW {body}",
        ]
    return made


_FOUND = (
    "SELECT trigger_name, event_object_table, event_manipulation, action_timing, action_statement "
    "FROM information_schema.triggers WHERE trigger_schema = DATABASE()"
)


def missing(conn: Connection) -> list[str]:
    """Return the names of triggers that do not stand, or have another wording, and of those that are not ours.

    A user without the TRIGGER privilege sees no trigger, and cannot drop one either: for it there is nothing to say.
    """
    found = {row[0]: tuple(row[1:]) for row in conn.exec_driver_sql(_FOUND)}
    names = sorted(
        name for name, (table, event, body) in TRIGGERS.items() if found.get(name) != (table, event, "BEFORE", body)
    )
    if len(names) == len(TRIGGERS) and not _may_see(conn):
        return []
    return names + foreign((name, facts[0]) for name, facts in found.items() if name not in TRIGGERS)


def _may_see(conn: Connection) -> bool:
    grants = [str(row[0]).partition(" ON ")[0] for row in conn.exec_driver_sql("SHOW GRANTS")]
    return any("ALL PRIVILEGES" in grant or "TRIGGER" in grant for grant in grants)
