"""What the databases of the tests are copies of.

kfstate is imported inside the functions: this module is loaded before coverage is measured.
"""

from collections.abc import Callable

import attrs

__all__ = ["EMPTY_ENGINE", "EMPTY_LOG", "NOW", "Template", "entropy"]

NOW = 1_767_225_600
"""Seconds: when every log of a template begins."""


@attrs.frozen
class Template:
    """What a database is a copy of: its name, and what sets it up behind a URL."""

    name: str
    set_up: Callable[[str], None]


def _engine(url: str) -> None:
    from kfstate.engine import Engine
    from kfstate.testing import FrozenClock

    with Engine(url, clock=FrozenClock.at(NOW)) as engine:
        assert 1 == engine.position()


def entropy(count: int) -> bytes:
    """Give the same bytes every time."""
    return bytes(number % 251 for number in range(count))


def _log(url: str) -> None:
    from kfstate.store import dialect, schema

    made = dialect.open_database(url)
    with dialect.begin(made, write=True) as conn:
        schema.upgrade(conn, now=1_760_000_000_000_000, entropy=entropy)
    made.dispose()


EMPTY_ENGINE = Template("engine", _engine)
"""As an engine leaves it that opened it at :data:`NOW`: the machine of this release is its first entry."""
EMPTY_LOG = Template("log", _log)
"""The schema, a log that began with fixed randomness, and no entry."""
