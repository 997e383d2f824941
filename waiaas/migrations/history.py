"""Every schema version there has been, and the migrations from one to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from waiaas.migrations.versions import (
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
    from waiaas.ddl.migrator import LosslessMigrator


class Migration(Protocol):
    """A version module: it changes schema and data, and leaves all else to the runner.

    It may also have `obstacles(migrator)`, which yields what would make `up` refuse and changes nothing, and
    `down(migrator)`, which undoes `up`.
    """

    VERSION: int
    DESCRIPTION: str

    def up(self, migrator: LosslessMigrator) -> None:
        """Bring the database from the version before to this one."""


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

#: The schema version that this library creates and works with.
LATEST_SCHEMA_VERSION: int = MIGRATIONS[-1].VERSION

#: The oldest schema version that `upgrade` takes.
MIN_COMPATIBLE_SCHEMA_VERSION: int = MIGRATIONS[0].VERSION - 1

#: What each schema version brought, as `schema_version` records it.
DESCRIPTIONS: dict[int, str] = {1: "First schema"} | {
    migration.VERSION: migration.DESCRIPTION for migration in MIGRATIONS
}
