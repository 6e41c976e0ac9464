"""Customers and servicers: each id once, apart from the log, so that it can be forgotten."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import attrs
from sqlalchemy import Connection

from kfstate.store.canonical import SALT_BYTES, commit
from kfstate.store.dialect import bulk_insert
from kfstate.store.tables import kf_name

__all__ = ["CUSTOMER", "SERVICER", "Name", "Names", "fold_name"]

CUSTOMER = "customer"
SERVICER = "servicer"


class Name(NamedTuple):
    """A row of ``kf_name`` as the append needs it."""

    id: int
    commitment: bytes


def fold_name(kind: str, value: str) -> str:
    """Return what tells names apart: WeCom ignores the case of servicer ids, and only of those."""
    return value.casefold() if kind == SERVICER else value


@attrs.define
class Names:
    """The names that a batch uses: those that the log knows, and those that it makes."""

    last: int = 0
    """The greatest id that is taken."""
    known: dict[tuple[str, str, str], Name] = attrs.Factory(dict)
    """(corp_id, kind, folded) → name."""
    _made: list[tuple[int, str, str, bytes, str, str, bytes]] = attrs.Factory(list)

    def make(self, corp_id: str, kind: str, values: Iterable[str], entropy: Callable[[int], bytes]) -> None:
        """Make the names of those ids that are not known; of several spellings the first is kept."""
        missing: dict[str, str] = {}
        for value in values:
            folded = fold_name(kind, value)
            if value and (corp_id, kind, folded) not in self.known:
                missing.setdefault(folded, value)
        salts = entropy(SALT_BYTES * len(missing)) if missing else b""
        # Sorted: the same batch makes the same ids, whatever order it is in.
        for at, (value, folded) in enumerate(sorted((value, folded) for folded, value in missing.items())):
            self.last += 1
            salt = salts[at * SALT_BYTES : (at + 1) * SALT_BYTES]
            name = self.known[corp_id, kind, folded] = Name(self.last, commit(salt, value.encode()))
            self._made.append((name.id, corp_id, kind, salt, value, folded, name.commitment))

    def name(self, corp_id: str, kind: str, value: str) -> Name | None:
        """Return the name of an id; None of ''."""
        return self.known[corp_id, kind, fold_name(kind, value)] if value else None

    def write(self, conn: Connection) -> None:
        """Insert the names that were made."""
        bulk_insert(conn, kf_name, self._made)
