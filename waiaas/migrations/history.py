"""Every schema version there has been, and the migrations from one to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from waiaas.migrations import v19_session_wallets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from waiaas.errors import WAIaaSError
    from waiaas.migrations.operations import WaiaasMigrator


class Migration(Protocol):
    """A version module: it changes schema and data, and leaves all else to the runner."""

    VERSION: int
    DESCRIPTION: str

    def up(self, migrator: WaiaasMigrator) -> None:
        """Bring the database from the version before to this one."""

    def obstacles(self, migrator: WaiaasMigrator) -> Iterator[WAIaaSError]:
        """Yield what would make `up` refuse; nothing is changed."""


#: What each schema version brought, as a fresh file records it in `schema_version`.
DESCRIPTIONS: dict[int, str] = {
    1: "First schema",
    2: "Ethereum, Polygon, Arbitrum, Optimism and Base networks for agents",
    3: "Agents become wallets",
    4: "Token registry",
    5: "Settings in the database",
    6: "A transaction names its network",
    7: "A wallet belongs to an environment and has a default network",
    8: "A policy may hold for one network",
    9: "Signing without sending; policy on allowed networks",
    10: "Notification logs keep the message",
    11: "API keys of action providers",
    12: "x402 payments and their policy on allowed domains",
    13: "Transaction amounts in US dollars",
    14: "Kill switch with the states ACTIVE, SUSPENDED and LOCKED",
    15: "Telegram users",
    16: "WalletConnect sessions; the channel of an approval",
    17: "A session says where it came from",
    18: "How a wallet's owner approves",
    19: v19_session_wallets.DESCRIPTION,
}

#: The migrations, oldest first. A new version is one more module here.
MIGRATIONS: tuple[Migration, ...] = (v19_session_wallets,)

#: The schema version that this library creates and works with.
LATEST_SCHEMA_VERSION: int = MIGRATIONS[-1].VERSION

#: The oldest schema version that `upgrade` takes.
MIN_COMPATIBLE_SCHEMA_VERSION: int = MIGRATIONS[0].VERSION - 1
