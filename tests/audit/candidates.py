"""Machines that a gate may be asked about: the shipped one with something changed on purpose."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from kfstate.audit.definition import to_toml
from kfstate.machine import MACHINE, Clockwork, Machine, compiled
from kfstate.machine.table import SPEC

__all__ = ["DAY", "another", "patient", "planted", "renamed", "short", "written"]

DAY = 86_400


def short() -> Machine:
    """Return a machine whose sessions expire after one day."""
    return compiled(attrs.evolve(SPEC, version="short", clockwork=Clockwork(expires_after=DAY)))


def planted() -> Machine:
    """Return a machine that does not take a sent message for the assistant's: the customer stays untreated."""
    changes: Mapping[str, Any] = {"outcome": "stayed", "dest": None, "evidence": None}
    return another("sent.assigned_robot", **changes)


def patient() -> Machine:
    """Return a machine that takes a servicer's message for a late one for half an hour."""
    return compiled(attrs.evolve(SPEC, version="patient", clockwork=Clockwork(straggler=1_800)))


def renamed() -> Machine:
    """Return a machine that does the same under another name."""
    return another("customer.wrote", name="customer.went_on")


def another(wanted: str, /, **changes: Any) -> Machine:
    """Return a machine with another row in the place of one."""
    rows = tuple(attrs.evolve(row, **changes) if row.name == wanted else row for row in SPEC.rows)
    return compiled(attrs.evolve(MACHINE.spec, version=f"with another {wanted}", rows=rows))


def written(machine: Machine, path: Path) -> Path:
    """Write a machine to a file."""
    spec = attrs.evolve(machine.spec, version=machine.spec.version.replace(" ", "-"))
    path.write_text(to_toml(spec), encoding="utf-8")
    return path
