"""Schema operations for SQLite that keep every row, or refuse; independent of WAIaaS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

__all__ = ["LosslessMigrator"]


def __getattr__(name: str) -> Any:
    # Imported at its first use: most modules of this package are needed without it.
    if name != "LosslessMigrator":
        raise AttributeError(f"module 'waiaas.ddl' has no attribute {name!r}")
    from waiaas.ddl.migrator import LosslessMigrator

    globals()[name] = LosslessMigrator
    return LosslessMigrator
