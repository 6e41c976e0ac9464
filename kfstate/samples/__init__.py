"""Sample pages that tell small stories, in the shapes that WeCom documents; every name and id in them is invented.

=========================== ================================================================================
File                        Story
=========================== ================================================================================
01-pool-servicer            the customer waits in the pool, is served; farewell and end within one second
02-transfer                 two hand-overs, a recalled message, transfer and end within one second
03-reaccess                 the servicer writes again in an ended session
04-expiry                   nobody answers for more than 48 hours; the next message opens a new session
05-unknown                  unknown types, an entry without msgid, an event without ids
06-all-message-types        every message type once
07-all-events               every event type, and every kind of change
08-robot-queue-servicer     the whole way, as a routing service records it: pages and own entries, line by line
=========================== ================================================================================

Pages alone do not show what the service itself did: in 01 to 07 the way into the pool is a gap that the engine names.
"""

from importlib import resources
from pathlib import Path

__all__ = ["paths"]


def paths() -> tuple[Path, ...]:
    """Return the sample files, in the order of their names."""
    folder = Path(str(resources.files(__name__)))
    return tuple(sorted(path for path in folder.iterdir() if path.suffix in {".json", ".ndjson"}))
