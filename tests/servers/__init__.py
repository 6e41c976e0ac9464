"""Databases for the tests: SQLite files, and private servers that a run of the tests starts and stops by itself.

A test that asks for one of these fixtures runs once on each of ``sqlite``, ``pg15``, ``pg18`` and ``mariadb``
(``-k pg18`` chooses), or on those that ``@pytest.mark.databases("pg15", "mariadb")`` names (``"servers"``: all but
SQLite; ``pytestmark`` for a whole module):

.. code-block:: python

    def test_two_writers(url: str) -> None:                     # an empty database of one's own, set up by an Engine
        with Engine(url) as one, Engine(url) as other: ...

    def test_migrations(database: Databases) -> None:           # what makes databases
        url = database.new()                                    # with nothing in it
        again = database.new(EMPTY_ENGINE)                      # as the fixture ``url``; any number of them
        assert database.name in {"sqlite", "pg15", "pg18", "mariadb"}

    @pytest.mark.databases("servers")
    def test_restart(private_server: Server) -> None:           # a server that no other test sees
        with Engine(private_server.databases().new()) as engine:
            private_server.kill()                               # SIGKILL to all of it
            private_server.start()
            private_server.restart("immediate")

A database that a test is done with may be given to another one, made again what a new copy is; it is dropped where
anything but rows has changed, or somebody is still connected to it (:mod:`tests.servers.resetting`).

The servers listen on sockets in a folder of the run, below the system's folder for temporary files. The first test
that needs one starts it, also for the other workers of xdist; a keeper process stops it when the run is over, however
that ends. ``KFSTATE_TEST_PG15_URL``, ``KFSTATE_TEST_PG18_URL`` and ``KFSTATE_TEST_MARIADB_URL`` name servers that run
already (the user must be allowed to create databases). ``KFSTATE_TEST_WITHOUT=pg15,mariadb`` leaves databases out, and
says so at the end of the run; where ``CI`` is set that is an error.
"""

from tests.servers.databases import EMPTY_ENGINE, EMPTY_LOG, Databases, Template, plain
from tests.servers.processes import Server

__all__ = ["EMPTY_ENGINE", "EMPTY_LOG", "Databases", "Server", "Template", "plain"]
