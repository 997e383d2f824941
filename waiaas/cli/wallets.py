"""The commands `waiaas wallets`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from waiaas.cli.group import CommandGroup
from waiaas.cli.messages import translated
from waiaas.cli.records import wallet_lines, wallet_list
from waiaas.cli.sessions import count_active
from waiaas.cli.target import CHANGES, READS, REMOVES, ask, is_confirmed, page_options, target_command
from waiaas.cli.terminal import print_answer
from waiaas.database import Database
from waiaas.vocabularies import WALLET_STATUSES

if TYPE_CHECKING:
    from waiaas.services import WalletDetails


@target_command(
    "wallets list",
    READS,
    "List wallets.",
    then="waiaas wallets show wallets.db WALLET",
    examples="waiaas wallets list wallets.db --status ACTIVE",
)
@click.option(
    "--status", type=click.Choice(WALLET_STATUSES, case_sensitive=False), help="Only wallets of this status."
)
@page_options
def list_wallets(database: Database, status: str | None, limit: int, after: str | None) -> None:
    """List the wallets of the database TARGET, in the order of their creation."""
    from waiaas.schemas import WalletListResponseSchema

    page = database.wallets.list(status=status, limit=limit, after=after)
    print_answer(WalletListResponseSchema().dump(page), wallet_list(page))


@target_command(
    "wallets show",
    READS,
    "Show a wallet.",
    "wallet",
    then="waiaas sessions list wallets.db --wallet WALLET",
)
def show_wallet(database: Database, wallet: str) -> None:
    """Show the wallet with the id WALLET."""
    _print(database.wallets.get(wallet))


@target_command(
    "wallets suspend",
    CHANGES,
    "Refuse all requests for a wallet until it is resumed.",
    "wallet",
    then="waiaas wallets resume wallets.db WALLET",
    examples='waiaas wallets suspend wallets.db WALLET --reason "key may be stolen"',
)
@click.option("--reason", help="Why, for the people who see the wallet.")
def suspend_wallet(database: Database, wallet: str, reason: str | None, actor: str) -> None:
    """Suspend the wallet with the id WALLET: every request that needs it is refused until it is resumed.

    Its sessions and their links stay.
    """
    _print(database.wallets.suspend(wallet, reason, actor=actor))


@target_command(
    "wallets resume",
    CHANGES,
    "Make a suspended wallet active again.",
    "wallet",
    then="waiaas wallets show wallets.db WALLET",
)
def resume_wallet(database: Database, wallet: str, actor: str) -> None:
    """Make the suspended wallet with the id WALLET active again."""
    _print(database.wallets.resume(wallet, actor=actor))


@target_command(
    "wallets terminate",
    REMOVES,
    "End a wallet permanently.",
    "wallet",
    then="waiaas audit wallets.db --wallet WALLET",
)
def terminate_wallet(database: Database, wallet: str, actor: str) -> None:
    """Permanently end the wallet with the id WALLET.

    All sessions lose it, and its pending transactions are cancelled. A session that has no other wallet is revoked.
    """
    found = database.wallets.get(wallet)
    if not is_confirmed():  # Counting takes long if there are many.
        question = "Permanently terminate the wallet {name}? Active sessions that lose it: {count}."
        ask(translated(question, name=found.name, count=count_active(database, wallet)))
    _print(database.wallets.terminate(wallet, actor=actor))


def _print(wallet: WalletDetails) -> None:
    from waiaas.schemas import WalletResponseSchema

    print_answer(WalletResponseSchema().dump(wallet), wallet_lines(wallet))


wallets = CommandGroup(
    "wallets",
    commands=[list_wallets, show_wallet, suspend_wallet, resume_wallet, terminate_wallet],
    help="List, show, suspend, resume and terminate wallets.",
)
