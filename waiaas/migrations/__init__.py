"""Migrations: from every schema version of a WAIaaS database to the latest, each wholly or not at all."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from waiaas.migrations.history import (
    DESCRIPTIONS,
    LATEST_SCHEMA_VERSION,
    MIGRATIONS,
    MIN_COMPATIBLE_SCHEMA_VERSION,
)
from waiaas.migrations.report import Backup, DowngradeReport, Options, Plan, PlannedStep, Step, UpgradeReport
from waiaas.migrations.version import Compatibility, compatibility
from waiaas.progress import Progress

if TYPE_CHECKING:
    from waiaas.migrations.runner import downgrade, plan, upgrade

# Loaded at their first use (PEP 562): a program that opens a file at the latest version needs none of them.
_LOADED_LATER = {
    **dict.fromkeys(("downgrade", "plan", "upgrade"), "runner"),
}

__all__ = [
    "DESCRIPTIONS",
    "LATEST_SCHEMA_VERSION",
    "MIGRATIONS",
    "MIN_COMPATIBLE_SCHEMA_VERSION",
    "Backup",
    "Compatibility",
    "DowngradeReport",
    "Options",
    "Plan",
    "PlannedStep",
    "Progress",
    "Step",
    "UpgradeReport",
    "compatibility",
    "downgrade",
    "plan",
    "upgrade",
]


def __getattr__(name: str) -> Any:
    if name not in _LOADED_LATER:
        raise AttributeError(f"module 'waiaas.migrations' has no attribute {name!r}")
    globals()[name] = getattr(import_module(f"waiaas.migrations.{_LOADED_LATER[name]}"), name)
    return globals()[name]
