"""History cannot be changed unseen: the database refuses, and the hash chain shows (P7)."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from kfstate.errors import StoreError
from kfstate.store import dialect
from kfstate.store.connecting import open_database
from kfstate.testing.builders import page
from kfstate.testing.contract.base import Base, action, said, taken

__all__ = ["GuardRules"]

GUARDED = ("kf_entry", "kf_payload", "kf_name", "kf_stream", "kf_pull", "kf_machine", "kf_log_head")
"""The tables of the log that hold rows after an ingest."""
CHANGED = (
    "UPDATE kf_entry SET position = position + 100",
    "UPDATE kf_entry SET kind = 'customer_message'",
    "UPDATE kf_payload SET body = NULL",
    "UPDATE kf_name SET value = 'other'",
    "UPDATE kf_stream SET open_kfid = 'wkZ'",
    "UPDATE kf_pull SET elements = 0",
    "UPDATE kf_machine SET version = 'x'",
    "UPDATE kf_log_head SET created_at = 0",
)


class GuardRules(Base):
    """What holds against whoever has the database's password."""

    @contextmanager
    def connected(self, url: str) -> Iterator[Connection]:
        """Open a connection for plain SQL; it is rolled back."""
        made = open_database(url)
        try:
            with made.connect() as conn:
                conn.execution_options(**{dialect.WRITE: True})
                yield conn
        finally:
            made.dispose()

    def test_plain_sql_is_refused(self) -> None:
        """UPDATE and DELETE fail on every table of the log, and change nothing."""
        url = self.new_database()
        with self.open(url) as engine:
            engine.ingest(page([said(0), taken(5, "li")]))
            before, statements = list(engine.read_all()), [*CHANGED, *(f"DELETE FROM {table}" for table in GUARDED)]
            assert [] == [statement for statement in statements if self._succeeds(url, statement)]
            assert before == list(engine.read_all())
            assert None is engine.verify().damage

    def _succeeds(self, url: str, statement: str) -> bool:
        try:
            with self.connected(url) as conn:
                conn.exec_driver_sql(statement)
                conn.commit()
        except (SQLAlchemyError, StoreError):
            return False
        return True

    def test_the_chain_holds(self) -> None:
        """Every entry verifies, before and after more is appended, against the anchor that was kept."""
        with self.open() as engine, self.open() as other:
            engine.ingest(page([said(0), taken(5, "li")]))
            first = engine.verify()
            assert (3, None, ()) == (first.entries, first.damage, first.erased)
            engine.record(action(9))
            assert (4, None) == ((found := engine.verify(first.anchor)).entries, found.damage)
            other.ingest(page([said(0), taken(5, "li")]))
            assert None is other.verify().damage
            assert other.verify(first.anchor).damage is not None

    def test_chains_go_on_from_link_to_link(self) -> None:
        """Each entry has a link of its own, and the last is what a verification gives."""
        with self.open() as engine:
            engine.ingest(page([said(number) for number in range(9)]))
            chains = [entry.chain for entry in engine.read_all()]
            assert len(set(chains)) == len(chains)
            assert engine.verify().chain.hex() == chains[-1]
