"""Triggers that guard the identities, and refuse payloads without an entry.

Revision: 0005
Follows: 0004
"""

from pathlib import Path

from kfstate.store.migration import create_triggers

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TRIGGERS = Path(__file__).parents[1] / "triggers"


def upgrade() -> None:
    """Make the triggers."""
    create_triggers(
        {
            name: (TRIGGERS / f"0005.{name}.sql").read_text("utf-8").strip().split("\n\n")
            for name in ("sqlite", "postgresql", "mysql")
        }
    )


def downgrade() -> None:
    """There is no way back: what guards the log stays."""
    raise RuntimeError("0005 has no downgrade: what guards the log stays")
