"""The part of an AsyncEngine's audits that tells history again."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kfstate.aio.greenlets import inside
from kfstate.audit.trials.face import AnyMachine, Comparison
from kfstate.audit.trials.gate import Gate
from kfstate.audit.trials.spreading import Spreading
from kfstate.audit.trials.what_if import Injected, WhatIf

if TYPE_CHECKING:
    from kfstate.audit.face import Audit

__all__ = ["AsyncTrials"]


class AsyncTrials:
    """As :class:`kfstate.audit.trials.face.Trials`."""

    _audit: "Audit"

    async def gate(
        self,
        machine: AnyMachine,
        *,
        baseline: AnyMachine | None = None,
        sample: float = 1.0,
        accepted: Path | str | None = None,
        how: Spreading | None = None,
    ) -> Gate | None:
        """As :meth:`kfstate.audit.face.Audit.gate`."""
        return await inside(self._audit.gate, machine, baseline=baseline, sample=sample, accepted=accepted, how=how)

    async def compare_machines(
        self,
        machine: AnyMachine,
        *,
        baseline: AnyMachine | None = None,
        sample: float = 1.0,
        how: Spreading | None = None,
    ) -> Comparison | None:
        """As :meth:`kfstate.audit.face.Audit.compare_machines`."""
        return await inside(self._audit.compare_machines, machine, baseline=baseline, sample=sample, how=how)

    async def drift(self, *, sample: float = 1.0, how: Spreading | None = None) -> Comparison | None:
        """As :meth:`kfstate.audit.face.Audit.drift`."""
        return await inside(self._audit.drift, sample=sample, how=how)

    async def compare_databases(
        self, other: str, *, sample: float = 1.0, how: Spreading | None = None
    ) -> Comparison | None:
        """As :meth:`kfstate.audit.face.Audit.compare_databases`."""
        return await inside(self._audit.compare_databases, other, sample=sample, how=how)

    async def what_if(
        self,
        *,
        machine: AnyMachine | None = None,
        since: datetime | None = None,
        inject: Iterable[Injected] = (),
        conversations: Iterable[tuple[str, str]] | None = None,
        baseline: AnyMachine | None = None,
        how: Spreading | None = None,
    ) -> WhatIf | None:
        """As :meth:`kfstate.audit.face.Audit.what_if`."""
        return await inside(
            self._audit.what_if, machine=machine, since=since, inject=inject, conversations=conversations,
            baseline=baseline, how=how,
        )  # fmt: skip
