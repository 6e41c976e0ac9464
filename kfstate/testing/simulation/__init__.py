"""A seeded, streaming generator of realistic KF conversations.

``profile`` says what the world is like, ``world`` is the stream, ``paging`` cuts it into pages; ``plan`` holds the
tables of what may happen in each state, ``acts`` and ``mishaps`` what that is, ``talk`` one conversation, ``stage``
what they share.
"""

from kfstate.testing.simulation.paging import pages, write_ndjson
from kfstate.testing.simulation.profile import START, Profile
from kfstate.testing.simulation.world import World, simulate

__all__ = ["START", "Profile", "World", "pages", "simulate", "write_ndjson"]
