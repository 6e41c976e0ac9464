"""What the commands of the archive tell of what they did."""

import attrs

__all__ = ["Erased", "Exported", "Restored"]


@attrs.frozen
class Erased:
    """What was cleared in an archive: names, payloads, and how many files were written anew."""

    names: int
    payloads: int
    files: int


@attrs.frozen
class Exported:
    """What an export did: ``parts`` and ``entries`` are new; the archive now ends at ``position`` with ``chain``."""

    parts: int
    entries: int
    position: int
    chain: str


@attrs.frozen
class Restored:
    """What an import did: ``entries`` are new in the database, whose log now ends at ``position`` with ``chain``.

    ``cleared`` is how many payloads of what was there already went, because the archive has them no more.
    """

    entries: int
    position: int
    chain: str
    cleared: int = 0
