"""The contract of an engine on its database, as a class of tests to inherit: for a port, or for a server of one's own.

Subclass :class:`Contract`, say where an empty database is, and let pytest or unittest run it; set ``asynchronous`` to
run the same rules through :class:`kfstate.AsyncEngine`. The rules speak to the public API only. They ask for nothing
but plain asserts: with pytest, ``pytest.register_assert_rewrite("kfstate.testing.contract")`` makes failures say more.
"""

from kfstate.testing.contract.appending import AppendRules
from kfstate.testing.contract.base import NOW, Base, Blocking
from kfstate.testing.contract.feeding import FeedRules
from kfstate.testing.contract.folding import FoldRules
from kfstate.testing.contract.guarding import GuardRules
from kfstate.testing.contract.once import OnceRules
from kfstate.testing.contract.values import ValueRules

__all__ = [
    "NOW",
    "AppendRules",
    "Base",
    "Blocking",
    "Contract",
    "FeedRules",
    "FoldRules",
    "GuardRules",
    "OnceRules",
    "ValueRules",
]


class Contract(AppendRules, OnceRules, FoldRules, FeedRules, GuardRules, ValueRules):
    """Every rule. Subclasses give :meth:`~kfstate.testing.contract.base.Base.new_database`."""
