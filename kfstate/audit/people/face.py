"""What is done about what the log knows of people: forgetting, keeping, sealing, and who looked at it."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import attrs

from kfstate.audit.knowing import moment
from kfstate.audit.people import access, erasing, holding, retaining
from kfstate.audit.people import receipts as kept
from kfstate.audit.people.access import Access
from kfstate.audit.people.erasing import Repeated
from kfstate.audit.people.holding import Hold, Sealed
from kfstate.audit.people.naming import refuse_naming
from kfstate.audit.people.receipts import Ground, Receipt, Record
from kfstate.audit.people.retaining import Retained
from kfstate.errors import ArgumentError, UnknownCustomerError
from kfstate.projections.building import Site

__all__ = ["Keeping"]


class Keeping:
    """Erasing, retention, legal holds, receipts and the access log of an engine: a part of ``engine.audit``."""

    _site: Site
    _corp_id: str
    _record: Record

    @property
    def journal_owed(self) -> bool:
        """Whether what this engine took out may stand in the journal of SQLite still, because somebody reads from it.

        Later transactions of the engine try again to empty it, once a second at most, and so does its end, and the
        next :meth:`retain` of any process.
        """
        return self._site.database.journal_owed

    def erase(self, external_userid: str, *, actor: str, basis: str, request_id: str = "") -> Receipt:
        """Forget a customer in every account: payloads, id, content digests; return the receipt (P9).

        ``actor`` is who does it, ``basis`` the legal ground. What a legal hold keeps is sealed instead of destroyed.
        Raises :class:`~kfstate.errors.UnknownCustomerError`, :class:`~kfstate.errors.ArgumentError`.
        """
        ground, now = self._ground(actor, basis, request_id, external_userid), self._site.clock.now()
        with self._site.database.reading() as conn:
            customer = access.customer_of(conn, external_userid, corp_id=self._corp_id)
            if not customer:
                raise UnknownCustomerError(external_userid)
            elsewhere, looked_at = erasing.mentions(conn, external_userid, customer, corp_id=self._corp_id)
        with self._site.database.writing() as conn:
            receipt = erasing.erase(
                conn, self._record, ground, external_userid, elsewhere=elsewhere, looked_at=looked_at, now=now,
                corp_id=self._corp_id,
            )  # fmt: skip
            access.note(
                conn, "erase", actor=actor, now=now, corp_id=self._corp_id, customer=receipt.customer or 0,
                detail=basis, result=f"receipt {receipt.position}",
            )  # fmt: skip
        self._site.database.forget_journal()
        return receipt

    def repeat(self, receipts: Iterable[Receipt], *, actor: str, basis: str, request_id: str = "") -> Repeated:
        """Forget again whom these receipts of erasures are about: after an older copy of the database was restored.

        Who is forgotten there already, or was not known to the copy, is left alone, and said. Raises
        :class:`~kfstate.errors.ArgumentError`, before anything is done, where a receipt is of another log.
        """
        given, made, gone, unknown = tuple(receipts), list[int](), list[int](), list[int]()
        with self._site.database.reading() as conn:
            erasing.check_ours(conn, given, corp_id=self._corp_id)
        for receipt in given:
            with self._site.database.reading() as conn:
                known, external_userid = erasing.back(conn, receipt)
            if external_userid is None:
                (gone if known else unknown).append(receipt.position)
                continue
            try:
                made.append(self.erase(external_userid, actor=actor, basis=basis, request_id=request_id).position)
            except UnknownCustomerError:  # somebody else was quicker
                gone.append(receipt.position)
        return Repeated(tuple(made), tuple(gone), tuple(unknown))

    def retain(self, payloads: timedelta, *, actor: str, basis: str, request_id: str = "") -> Retained:
        """Clear payloads that were stored longer ago, and destroy what no legal hold keeps sealed any more.

        In transactions of 2,000 entries with a receipt each; run it daily. What holds keep is sealed instead. Raises
        :class:`~kfstate.errors.ArgumentError`.
        """
        ground, now = self._ground(actor, basis, request_id), self._site.clock.now()
        before, made = retaining.oldest(payloads, now=now), list[Receipt]()
        while True:
            with self._site.database.writing() as conn:
                receipt = retaining.age_out(
                    conn, self._record, ground, before=before, now=now, corp_id=self._corp_id
                )  # fmt: skip
            if receipt is None:
                break
            made.append(receipt)
        with self._site.database.writing() as conn:
            purged = retaining.destroy(conn, self._record, ground, now=now, corp_id=self._corp_id)
            done = kept.last(conn, "retained", corp_id=self._corp_id)
            retained = Retained(
                payloads=sum(receipt.payloads for receipt in made),
                sealed=sum(receipt.sealed for receipt in made),
                purged=purged.payloads if purged is not None else 0,
                until=(done.until or 0) if done is not None else 0,
                receipts=tuple(receipt.position for receipt in (*made, *([purged] if purged else []))),
            )
            detail, result = f"payloads of {payloads}", f"{retained.payloads} payloads"
            access.note(
                conn, "retain", actor=actor, now=now, corp_id=self._corp_id, detail=detail, result=result
            )  # fmt: skip
        self._site.database.forget_journal()
        return retained

    def hold(
        self,
        external_userid: str | None = None,
        *,
        until: datetime | None = None,
        actor: str,
        basis: str,
        request_id: str = "",
    ) -> Receipt:
        """Place a legal hold on a customer, or on everybody, until a time or until it is released (封存).

        While it is in force, what erasing and retention take out is sealed: stored, and used for nothing. Raises
        :class:`~kfstate.errors.UnknownCustomerError`, :class:`~kfstate.errors.ArgumentError`.
        """
        now, ends = self._site.clock.now(), None if until is None else moment("until", until)
        if ends is not None and ends <= now:
            raise ArgumentError(name="until", value=str(until), allowed="a time that is to come")
        ground = self._ground(actor, basis, request_id, external_userid or "")
        with self._site.database.writing() as conn:
            customer = access.customer_of(conn, external_userid or "", corp_id=self._corp_id)
            if external_userid is not None and not customer:
                raise UnknownCustomerError(external_userid)
            receipt = holding.place(
                conn, self._record, ground, customer=customer, until=ends, now=now, corp_id=self._corp_id,
            )  # fmt: skip
            access.note(
                conn, "hold", actor=actor, now=now, corp_id=self._corp_id, customer=customer, detail=basis,
                result=f"hold {receipt.hold}",
            )  # fmt: skip
        return receipt

    def release(self, hold: int, *, actor: str, basis: str, request_id: str = "") -> Receipt:
        """End a legal hold before its time, and destroy what no other one keeps sealed.

        Raises :class:`~kfstate.errors.UnknownHoldError`, :class:`~kfstate.errors.ArgumentError`.
        """
        ground, now = self._ground(actor, basis, request_id), self._site.clock.now()
        with self._site.database.writing() as conn:
            receipt = holding.release(conn, self._record, ground, hold, now=now, corp_id=self._corp_id)
            access.note(
                conn, "release", actor=actor, now=now, corp_id=self._corp_id, customer=receipt.customer or 0,
                detail=basis, result=f"hold {hold}",
            )  # fmt: skip
        self._site.database.forget_journal()
        return receipt

    def holds(self) -> tuple[Hold, ...]:
        """Return all legal holds there were, in order."""
        with self._site.database.reading() as conn:
            return holding.holds(conn, now=self._site.clock.now(), corp_id=self._corp_id)

    def sealed(
        self, hold: int, *, actor: str, basis: str, after: tuple[str, int] = ("", 0), limit: int = 1000
    ) -> tuple[Sealed, ...]:
        """Return what is sealed for a legal hold, for an authority that may ask for it; it is noted who asked.

        ``after`` is the (kind, id) of the last one of the page before. Raises
        :class:`~kfstate.errors.UnknownHoldError`, :class:`~kfstate.errors.ArgumentError`.
        """
        self._ground(actor, basis)
        now = self._site.clock.now()
        with self._site.database.writing() as conn:
            found = holding.sealed(conn, hold, now=now, corp_id=self._corp_id, after=after, limit=limit)
            access.note(
                conn, "sealed", actor=actor, now=now, corp_id=self._corp_id, detail=f"hold {hold}: {basis}",
                result=f"{len(found)} handed out",
            )  # fmt: skip
        return found

    def receipts(self, *, after: int = 0, limit: int = 1000) -> tuple[Receipt, ...]:
        """Return the receipts above a position of the log, in order."""
        with self._site.database.reading() as conn:
            return kept.receipts(conn, corp_id=self._corp_id, after=after, limit=limit)

    def accessed(
        self,
        action: str,
        *,
        actor: str,
        open_kfid: str = "",
        external_userid: str = "",
        detail: str = "",
        result: str = "ok",
    ) -> None:
        """Write into the access log that somebody looked at what the log knows: the customer by his number only.

        The commands do it by themselves; a service that shows people what was said calls this. ``action`` and
        ``result`` are words of its own: in ``actor``, ``open_kfid`` and ``detail`` the id of a customer is refused.
        Raises :class:`~kfstate.errors.ArgumentError`.
        """
        with self._site.database.writing() as conn:
            refuse_naming(
                conn, corp_id=self._corp_id, external_userid=external_userid, actor=actor, open_kfid=open_kfid,
                detail=detail,
            )  # fmt: skip
            access.note(
                conn, action, actor=actor, now=self._site.clock.now(), corp_id=self._corp_id, open_kfid=open_kfid,
                customer=access.customer_of(conn, external_userid, corp_id=self._corp_id), detail=detail, result=result,
            )  # fmt: skip

    def accesses(
        self,
        *,
        action: str | None = None,
        actor: str | None = None,
        customer: int | None = None,
        since: datetime | None = None,
        limit: int = 1000,
    ) -> tuple[Access, ...]:
        """Return who looked at what, in order; ``customer`` is the number of a row in ``kf_name``."""
        with self._site.database.reading() as conn:
            return access.accesses(
                conn, corp_id=self._corp_id, action=action, actor=actor, customer=customer, limit=max(0, limit),
                since=0 if since is None else moment("since", since),
            )  # fmt: skip

    def _ground(self, actor: str, basis: str, request_id: str = "", external_userid: str = "") -> Ground:
        ground = Ground(actor, basis, request_id)
        with self._site.database.reading() as conn:
            refuse_naming(conn, corp_id=self._corp_id, external_userid=external_userid, **attrs.asdict(ground))
        return attrs.evolve(ground, actor=str(actor))
