"""Access tokens that all processes on one database share: one fetches, the others take it from the table.

The token is encrypted with a key made from the app's secret, which every process knows and the database does not.
"""

import hashlib
import logging
import os
from typing import Any

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from kfstate.clock import SECOND, Clock
from kfstate.concurrency import THREADS, Concurrency
from kfstate.errors import KfstateError, LockTimeoutError, StoreError
from kfstate.feed.wake import quietly
from kfstate.store import lease as leases
from kfstate.store.database import Database
from kfstate.store.dialect import bulk_upsert
from kfstate.store.lease import Lease, owner_name
from kfstate.store.tables import kf_token
from kfstate.wecom.holding import Holding
from kfstate.wecom.secret import Secret
from kfstate.wecom.tokens import Fetch, FetchedToken

__all__ = ["SharedTokens"]

_logger = logging.getLogger("kfstate")
_LOOK = 0.1
"""Seconds between two looks at the table, while another process fetches."""
_NONCE = 12


@attrs.define(kw_only=True)
class SharedTokens:
    """Obtains the token of an app by way of the database; :class:`~kfstate.wecom.tokens.Tokens` keeps it.

    ``lease`` is how many seconds a process that died while it fetched keeps the others waiting: longer than a fetch
    takes. ``patience`` is how long one waits for another at most.
    """

    database: Database
    corp_id: str
    secret: Secret
    fetch: Fetch
    clock: Clock
    concurrency: Concurrency = THREADS
    early: float = 300.0
    lease: float = 30.0
    patience: float = 90.0
    _app: str = attrs.field(init=False)
    _holding: Holding = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._app = _digest(b"app", self.corp_id, self.secret).hex()[:32]
        self._holding = Holding(
            database=self.database, clock=self.clock, corp_id=self.corp_id, kind="token", owner=owner_name()
        )  # fmt: skip

    def __call__(self, refused: Secret | None) -> FetchedToken:
        """Return a token other than the one that was refused.

        Raises what fetching one does, and :class:`~kfstate.errors.LockTimeoutError` where another process does not get
        on with it.
        """
        looked = 0
        while True:
            found = self._stored(refused)
            if found is not None and self.clock.now() < found.refresh_at(round(self.early * SECOND)):
                return found
            lease = self._holding.claim(self._app, length=round(self.lease * SECOND))
            if lease is not None:
                # Whoever had the lease before may have fetched one since we looked.
                again = self._stored(refused)
                if again is not None and (found is None or again.token != found.token):
                    self._release(lease)
                    return again
                return self._fetched(lease, found)
            if found is not None:
                return found
            looked += 1
            if looked * _LOOK > self.patience:
                raise LockTimeoutError(waited=self.patience, blocker="another process, which fetches the access token")
            self.concurrency.signal().wait(_LOOK)

    def _fetched(self, lease: Lease, found: FetchedToken | None) -> FetchedToken:
        try:
            token = self.fetch()
        except BaseException as error:
            self._release(lease)
            if found is None or not isinstance(error, KfstateError):
                raise
            _logger.warning("the token was not refreshed early: %s", error, extra={"action": "token"})
            return found
        try:
            with quietly(), self.database.writing() as conn:
                leases.check(conn, lease)
                sealed = self._sealed(token.token)
                row = (self.corp_id, self._app, sealed, lease.epoch, token.fetched_at, token.expires_at)
                bulk_upsert(conn, kf_token, [row])
                leases.release(conn, lease)
        except (StoreError, SQLAlchemyError) as error:
            # It is good all the same; if fetching took too long, another process has fetched one, too.
            _logger.warning("the token is not shared: %s", error, extra={"action": "token"})
        return token

    def _stored(self, refused: Secret | None) -> FetchedToken | None:
        """Return the token in the table, if it is good for anything."""
        mine = (kf_token.c.corp_id == self.corp_id) & (kf_token.c.app == self._app)
        with self.database.reading() as conn:
            row: Any = conn.execute(select(kf_token).where(mine)).first()
        if row is None or row.expires_at <= self.clock.now():
            return None
        token = self._opened(bytes(row.sealed))
        if token is None or token == refused:
            return None
        return FetchedToken(token, row.fetched_at, row.expires_at)

    def _release(self, lease: Lease) -> None:
        self._holding.release(lease, of="the token")

    def _sealed(self, token: Secret) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._key()).encrypt(nonce, token.reveal().encode(), self.corp_id.encode())

    def _opened(self, sealed: bytes) -> Secret | None:
        """Return a token out of the table; None where it is none of ours."""
        try:
            key = AESGCM(self._key())
            return Secret(key.decrypt(sealed[:_NONCE], sealed[_NONCE:], self.corp_id.encode()).decode())
        except (InvalidTag, ValueError):
            return None

    def _key(self) -> bytes:
        return _digest(b"key", self.corp_id, self.secret)


def _digest(use: bytes, corp_id: str, secret: Secret) -> bytes:
    """Return a digest of the secret for one use; the secret is random and long, so nobody finds it by trying."""
    key = hashlib.sha256(secret.reveal().encode()).digest()
    return hashlib.blake2b(corp_id.encode(), key=key, person=b"kfstate-" + use, digest_size=32).digest()
