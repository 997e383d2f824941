"""The commands `waiaas wallets`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from waiaas.cli.records import wallet_lines, wallet_list
from waiaas.cli.sessions import count_active
from waiaas.cli.target import (
    TargetGroup,
    actor_option,
    ask,
    open_target,
    page_options,
    target_epilog,
    target_options,
    yes_option,
)
from waiaas.cli.terminal import print_answer
from waiaas.vocabularies import WALLET_STATUSES

if TYPE_CHECKING:
    from waiaas.services import WalletDetails


@click.group("wallets", cls=TargetGroup, short_help="List, show, suspend, resume and terminate wallets.")
def wallets() -> None:
    """List, show, suspend, resume and terminate wallets."""


@wallets.command(
    "list",
    short_help="List wallets.",
    epilog=target_epilog("waiaas wallets list wallets.db --status ACTIVE", "waiaas wallets show wallets.db WALLET"),
)
@target_options
@click.option(
    "--status", type=click.Choice(WALLET_STATUSES, case_sensitive=False), help="Only wallets of this status."
)
@page_options
def list_wallets(target: str, as_json: bool, status: str | None, limit: int, after: str | None) -> None:
    """List the wallets of the database TARGET, in the order of their creation."""
    from waiaas.schemas import WalletListResponseSchema

    with open_target(target) as database:
        page = database.wallets.list(status=status, limit=limit, after=after)
    print_answer(WalletListResponseSchema().dump(page), wallet_list(page), as_json=as_json)


@wallets.command(
    "show",
    short_help="Show a wallet.",
    epilog=target_epilog("waiaas wallets show wallets.db WALLET", "waiaas sessions list wallets.db --wallet WALLET"),
)
@target_options
@click.argument("wallet")
def show_wallet(target: str, wallet: str, as_json: bool) -> None:
    """Show the wallet with the id WALLET."""
    with open_target(target) as database:
        _print(database.wallets.get(wallet), as_json)


@wallets.command(
    "suspend",
    short_help="Refuse all requests for a wallet until it is resumed.",
    epilog=target_epilog(
        'waiaas wallets suspend wallets.db WALLET --reason "key may be stolen"',
        "waiaas wallets resume wallets.db WALLET",
    ),
)
@target_options
@click.argument("wallet")
@click.option("--reason", help="Why, for the people who see the wallet.")
@actor_option
def suspend_wallet(target: str, wallet: str, reason: str | None, actor: str, as_json: bool) -> None:
    """Suspend the wallet with the id WALLET: every request that needs it is refused until it is resumed.

    Its sessions and their links stay.
    """
    with open_target(target) as database:
        _print(database.wallets.suspend(wallet, reason, actor=actor), as_json)


@wallets.command(
    "resume",
    short_help="Make a suspended wallet active again.",
    epilog=target_epilog("waiaas wallets resume wallets.db WALLET", "waiaas wallets show wallets.db WALLET"),
)
@target_options
@click.argument("wallet")
@actor_option
def resume_wallet(target: str, wallet: str, actor: str, as_json: bool) -> None:
    """Make the suspended wallet with the id WALLET active again."""
    with open_target(target) as database:
        _print(database.wallets.resume(wallet, actor=actor), as_json)


@wallets.command(
    "terminate",
    short_help="End a wallet for good.",
    epilog=target_epilog(
        "waiaas wallets terminate wallets.db WALLET", "waiaas audit wallets.db --wallet WALLET", asks=True
    ),
)
@target_options
@click.argument("wallet")
@actor_option
@yes_option
def terminate_wallet(target: str, wallet: str, actor: str, is_confirmed: bool, as_json: bool) -> None:
    """End the wallet with the id WALLET, for good.

    All sessions lose it, and its pending transactions are cancelled. A session that has no other wallet is revoked.
    """
    with open_target(target) as database:
        found = database.wallets.get(wallet)
        if not is_confirmed:
            question = f"Terminate the wallet {found.name}, for good? Active sessions that lose it:"
            ask(f"{question} {count_active(database, wallet)}.", is_confirmed)
        _print(database.wallets.terminate(wallet, actor=actor), as_json)


def _print(wallet: WalletDetails, as_json: bool) -> None:
    from waiaas.schemas import WalletResponseSchema

    print_answer(WalletResponseSchema().dump(wallet), wallet_lines(wallet), as_json=as_json)
