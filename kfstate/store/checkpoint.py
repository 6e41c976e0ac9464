"""How far somebody has read the log, and in which log: a position with its chain.

A position alone may come to mean another entry: after a restore from a backup, or a fail-over that lost a tail, the log
goes on from an earlier place. The chain at that place tells the two apart.
"""

from typing import Self

import attrs
from sqlalchemy import Connection

from kfstate.errors import CheckpointError
from kfstate.store.canonical import DIGEST_BYTES, first_link
from kfstate.store.columns import bytes_at
from kfstate.store.dialect import query

__all__ = ["Checkpoint", "chain_at", "checkpoint_at", "hold"]

_MOST = 1 << 63


@attrs.frozen
class Checkpoint:
    """Everything up to ``position`` was read, in the log whose chain (in hex) there is ``chain``."""

    position: int
    chain: str

    def __str__(self) -> str:
        """Return ``POSITION:CHAIN``, for whoever keeps it outside of the database."""
        return f"{self.position}:{self.chain}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the checkpoint that ``str`` made a text of. Raises ValueError where the text is none."""
        position, colon, chain = text.strip().partition(":")
        if not (colon and position.isascii() and position.isdigit() and len(bytes.fromhex(chain)) == DIGEST_BYTES):
            message = f"no checkpoint: {text[:100]!r}"
            raise ValueError(message)
        return cls(int(position), chain.lower())


def chain_at(conn: Connection, position: int) -> bytes | None:
    """Return the chain of the log at a position; None where the log has no such position.

    Raises :class:`~kfstate.errors.CorruptLogError` where what stands there can be no chain.
    """
    if not 0 <= position < _MOST:
        return None
    found = query(conn, "SELECT chain FROM kf_entry WHERE position = ?", (position,)) or query(
        conn, "SELECT chain FROM kf_archive_mark WHERE position = ?", (position,)
    )
    if not found and position == 0:
        heads = query(conn, "SELECT log_id, created_at FROM kf_log_head")
        found = [(first_link(bytes(log_id), created_at),) for log_id, created_at in heads]
    return bytes_at(position, "chain", found[0][0], DIGEST_BYTES) if found else None


def checkpoint_at(conn: Connection, position: int) -> Checkpoint:
    """Return the checkpoint of a position.

    Raises :class:`~kfstate.errors.CheckpointError` where the log has no such position.
    """
    chain = chain_at(conn, position)
    if chain is None:
        raise CheckpointError(position=position, found="", expected="")
    return Checkpoint(position, chain.hex())


def hold(conn: Connection, checkpoint: Checkpoint) -> None:
    """Raise :class:`~kfstate.errors.CheckpointError` unless the log at this position is the one that was read."""
    found = (chain_at(conn, checkpoint.position) or b"").hex()
    if found != checkpoint.chain:
        raise CheckpointError(position=checkpoint.position, found=found, expected=checkpoint.chain)
