"""Version 14: the kill switch has the states ACTIVE, SUSPENDED and LOCKED."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 14
DESCRIPTION = "Kill switch with the states ACTIVE, SUSPENDED and LOCKED"

_STATES = {"NORMAL": "ACTIVE", "RECOVERING": "ACTIVE", "ACTIVATED": "SUSPENDED"}


def up(migrator: LosslessMigrator) -> None:
    """Convert the stored state of the kill switch."""
    for old, new in _STATES.items():
        migrator.migrate(
            migrator.update("key_value_store", f"value = '{new}'", f"key = 'kill_switch_state' AND value = '{old}'")
        )
