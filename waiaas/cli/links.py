"""The commands `waiaas links`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from waiaas.cli.records import link_list
from waiaas.cli.target import (
    TargetGroup,
    actor_option,
    ask,
    open_target,
    target_epilog,
    target_options,
    yes_option,
)
from waiaas.cli.terminal import print_answer

if TYPE_CHECKING:
    from waiaas.services import LinkedWallet

_LIST = "waiaas links list wallets.db SESSION"


@click.group("links", cls=TargetGroup, short_help="List, add and remove the wallets of a session.")
def links() -> None:
    """List, add and remove the links of a session: which wallets it can use, and which is its default."""


@links.command(
    "list",
    short_help="List the wallets of a session.",
    epilog=target_epilog(_LIST, "waiaas links add wallets.db SESSION WALLET"),
)
@target_options
@click.argument("session")
def list_links(target: str, session: str, as_json: bool) -> None:
    """List the wallets of the session with the id SESSION, the default first."""
    with open_target(target) as database:
        _print(database.links.list(session), as_json)


@links.command(
    "add",
    short_help="Let a session use one more wallet.",
    epilog=target_epilog("waiaas links add wallets.db SESSION WALLET", _LIST),
)
@target_options
@click.argument("session")
@click.argument("wallet")
@actor_option
def add_link(target: str, session: str, wallet: str, actor: str, as_json: bool) -> None:
    """Link the wallet with the id WALLET to the session with the id SESSION.

    It becomes the default wallet only if the session has no other.
    """
    with open_target(target) as database:
        database.links.link(session, wallet, actor=actor)
        _print(database.links.list(session), as_json)


@links.command(
    "remove",
    short_help="Take a wallet from a session.",
    epilog=target_epilog("waiaas links remove wallets.db SESSION WALLET", _LIST, asks=True),
)
@target_options
@click.argument("session")
@click.argument("wallet")
@actor_option
@yes_option
def remove_link(target: str, session: str, wallet: str, actor: str, is_confirmed: bool, as_json: bool) -> None:
    """Remove the link of the session with the id SESSION to the wallet with the id WALLET.

    The last link and that of the default wallet cannot be removed.
    """
    with open_target(target) as database:
        ask(f"Take the wallet {wallet} from the session {session}?", is_confirmed)
        database.links.unlink(session, wallet, actor=actor)
        _print(database.links.list(session), as_json)


@links.command(
    "default",
    short_help="Set the default wallet of a session.",
    epilog=target_epilog("waiaas links default wallets.db SESSION WALLET", _LIST),
)
@target_options
@click.argument("session")
@click.argument("wallet")
@actor_option
def set_default(target: str, session: str, wallet: str, actor: str, as_json: bool) -> None:
    """Make the wallet with the id WALLET the default of the session with the id SESSION.

    It is used for requests that name no wallet. It must be linked to the session already.
    """
    with open_target(target) as database:
        database.links.set_default(session, wallet, actor=actor)
        _print(database.links.list(session), as_json)


def _print(linked: tuple[LinkedWallet, ...], as_json: bool) -> None:
    from waiaas.schemas import SessionWalletListResponseSchema

    print_answer(SessionWalletListResponseSchema().dump(linked), link_list(linked), as_json=as_json)
