"""All schema versions, and the migrations from one to the next.

Nothing else in the package names a version module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from waiaas.migrations.versions import (
    v01_first_schema,
    v02_evm_networks,
    v03_wallets,
    v04_token_registry,
    v05_settings,
    v06_transaction_network,
    v07_wallet_environment,
    v08_policy_network,
    v09_sign_only,
    v10_notification_message,
    v11_api_keys,
    v12_x402,
    v13_amounts_in_usd,
    v14_kill_switch_states,
    v15_telegram_users,
    v16_walletconnect,
    v17_session_source,
    v18_owner_approval_method,
    v19_session_wallets,
)

if TYPE_CHECKING:
    from waiaas.errors import WAIaaSError
    from waiaas.migrations.migrator import VersionMigrator
    from waiaas.migrations.report import Facts, Forecast


class Migration(Protocol):
    """A version module: it changes schema and rows, and leaves everything else to the runner.

    It may also have these functions, each of which takes the migrator:

    - `obstacles` yields what would make `up` refuse the database of the version before, and changes nothing;
    - `forecast` returns a `Forecast` for a database of any older version;
    - `down` undoes `up`, and returns what it did.
    """

    VERSION: int
    DESCRIPTION: str

    def up(self, migrator: VersionMigrator) -> Facts | None:
        """Bring the database from the version before to this one, and return the values for the report."""


#: The migrations, oldest first. A new version is one more module here.
MIGRATIONS: tuple[Migration, ...] = (
    v02_evm_networks,
    v03_wallets,
    v04_token_registry,
    v05_settings,
    v06_transaction_network,
    v07_wallet_environment,
    v08_policy_network,
    v09_sign_only,
    v10_notification_message,
    v11_api_keys,
    v12_x402,
    v13_amounts_in_usd,
    v14_kill_switch_states,
    v15_telegram_users,
    v16_walletconnect,
    v17_session_source,
    v18_owner_approval_method,
    v19_session_wallets,
)

#: The statements that create the tables of version 1.
FIRST_SCHEMA: tuple[str, ...] = v01_first_schema.FIRST_SCHEMA

#: What each schema version brought, as `schema_version` records it.
DESCRIPTIONS: dict[int, str] = {1: "First schema"} | {
    migration.VERSION: migration.DESCRIPTION for migration in MIGRATIONS
}


def pending(version: int) -> list[Migration]:
    """Return the migrations that a database of a version needs, oldest first."""
    return [migration for migration in MIGRATIONS if version < migration.VERSION]


def obstacles(migration: Migration, migrator: VersionMigrator) -> Iterable[WAIaaSError]:
    """Return what would make a version's `up` refuse the database, the most fundamental first."""
    found: Callable[[VersionMigrator], Iterable[WAIaaSError]] | None = getattr(migration, "obstacles", None)
    return found(migrator) if found else ()


def forecast(migration: Migration, migrator: VersionMigrator) -> Forecast | None:
    """Return what a version would do to the database, if its module has a forecast."""
    found: Callable[[VersionMigrator], Forecast] | None = getattr(migration, "forecast", None)
    return found(migrator) if found else None


def undo(migration: Migration) -> Callable[[VersionMigrator], Facts | None] | None:
    """Return the function that undoes a version, if it can be undone."""
    found: Callable[[VersionMigrator], Facts | None] | None = getattr(migration, "down", None)
    return found
