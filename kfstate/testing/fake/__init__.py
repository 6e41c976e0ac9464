"""A server of one's own in place of WeCom: real HTTP, sessions by the documented rules, driven by scripts.

``facts`` holds what the documents leave open, ``rules`` what they say of sessions (both pure), ``mailbox`` entries and
cursors, ``codes`` what is valid for a time, ``world`` all of it together. ``acts`` is what people do, ``faces`` how
scripts say it, ``life`` a script by chance. ``calls`` and ``syncing`` are the API, ``handling`` turns requests into
calls, ``server`` is the port, ``callbacks`` the way back, ``misbehaviour`` what goes wrong.
"""

from kfstate.testing.fake.acts import ImpossibleActError
from kfstate.testing.fake.faces import Account, Customer, ServerState
from kfstate.testing.fake.facts import OpenFacts
from kfstate.testing.fake.life import Deed, Life
from kfstate.testing.fake.misbehaviour import Fault, Misbehaviour
from kfstate.testing.fake.wecom import FakeWecom
from kfstate.testing.fake.world import Call, Change

__all__ = [
    "Account",
    "Call",
    "Change",
    "Customer",
    "Deed",
    "FakeWecom",
    "Fault",
    "ImpossibleActError",
    "Life",
    "Misbehaviour",
    "OpenFacts",
    "ServerState",
]
