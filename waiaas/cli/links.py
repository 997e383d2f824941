"""The commands `waiaas links`."""

from __future__ import annotations

from waiaas.cli.group import CommandGroup
from waiaas.cli.messages import translated
from waiaas.cli.records import link_list
from waiaas.cli.target import CHANGES, READS, REMOVES, ask, target_command
from waiaas.cli.terminal import print_answer
from waiaas.database import Database

_LIST = "waiaas links list wallets.db SESSION"


@target_command(
    "links list",
    READS,
    "List the wallets of a session.",
    "session",
    then="waiaas links add wallets.db SESSION WALLET",
)
def list_links(database: Database, session: str) -> None:
    """List the wallets of the session with the id SESSION, the default first."""
    _print(database, session)


@target_command("links add", CHANGES, "Let a session use one more wallet.", "session", "wallet", then=_LIST)
def add_link(database: Database, session: str, wallet: str, actor: str) -> None:
    """Link the wallet with the id WALLET to the session with the id SESSION.

    It becomes the default wallet only if the session has no other.
    """
    database.links.link(session, wallet, actor=actor)
    _print(database, session)


@target_command("links remove", REMOVES, "Remove a wallet from a session.", "session", "wallet", then=_LIST)
def remove_link(database: Database, session: str, wallet: str, actor: str) -> None:
    """Remove the link of the session with the id SESSION to the wallet with the id WALLET.

    The last link and that of the default wallet cannot be removed.
    """
    ask(translated("Remove the wallet {wallet} from the session {session}?", wallet=wallet, session=session))
    database.links.unlink(session, wallet, actor=actor)
    _print(database, session)


@target_command("links default", CHANGES, "Set the default wallet of a session.", "session", "wallet", then=_LIST)
def set_default(database: Database, session: str, wallet: str, actor: str) -> None:
    """Make the wallet with the id WALLET the default of the session with the id SESSION.

    It is used for requests that do not name a wallet. It must be linked to the session already.
    """
    database.links.set_default(session, wallet, actor=actor)
    _print(database, session)


def _print(database: Database, session: str) -> None:
    from waiaas.schemas import SessionWalletListResponseSchema

    linked = database.links.list(session)
    print_answer(SessionWalletListResponseSchema().dump(linked), link_list(linked))


links = CommandGroup(
    "links",
    commands=[list_links, add_link, remove_link, set_default],
    short_help="List, add and remove the wallets of a session.",
    help="List, add and remove the links of a session: which wallets it can use, and which is its default.",
)
