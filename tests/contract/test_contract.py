"""The contract on every database, in both colours."""

import pytest

from kfstate.testing.contract import Contract
from tests.servers import EMPTY_ENGINE, Databases

__all__: list[str] = []


class Shared(Contract):
    """Rules on whichever database the test runs on."""

    database: Databases

    @pytest.fixture(autouse=True)
    def _database(self, database: Databases) -> None:
        self.database = database

    def new_database(self) -> str:
        """Return the URL of a database that was opened once, which is faster than a new one."""
        return self.database.new(EMPTY_ENGINE)


class TestSync(Shared):
    """Through Engine."""


class TestAsync(Shared):
    """Through AsyncEngine."""

    asynchronous = True
