"""Migrations: from every schema version of a WAIaaS database to the latest, each wholly or not at all."""

from waiaas.migrations.history import (
    DESCRIPTIONS,
    LATEST_SCHEMA_VERSION,
    MIGRATIONS,
    MIN_COMPATIBLE_SCHEMA_VERSION,
)
from waiaas.migrations.operations import WaiaasMigrator
from waiaas.migrations.report import DowngradeReport, Options, Plan, PlannedStep, Progress, Step, UpgradeReport
from waiaas.migrations.runner import Backup, downgrade, plan, upgrade
from waiaas.migrations.version import Compatibility, compatibility

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
    "WaiaasMigrator",
    "compatibility",
    "downgrade",
    "plan",
    "upgrade",
]
