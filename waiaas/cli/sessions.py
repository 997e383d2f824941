"""The commands `waiaas sessions`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from waiaas.cli.records import session_lines, session_list
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
from waiaas.database import Database
from waiaas.vocabularies import SESSION_STATUSES

if TYPE_CHECKING:
    from waiaas.services import Page, SessionDetails

_AT_ONCE = 200


@click.group("sessions", cls=TargetGroup, short_help="List, show and revoke sessions.")
def sessions() -> None:
    """List, show and revoke the sessions of AI agents."""


@sessions.command(
    "list",
    short_help="List sessions.",
    epilog=target_epilog(
        "waiaas sessions list wallets.db\nwaiaas sessions list wallets.db --status ACTIVE --wallet WALLET",
        "waiaas sessions show wallets.db SESSION",
    ),
)
@target_options
@click.option("--wallet", help="Only sessions that are linked to the wallet with this id.")
@click.option(
    "--status", type=click.Choice(SESSION_STATUSES, case_sensitive=False), help="Only sessions of this status."
)
@page_options
def list_sessions(
    target: str, as_json: bool, wallet: str | None, status: str | None, limit: int, after: str | None
) -> None:
    """List the sessions of the database TARGET, in the order of their creation."""
    from waiaas.schemas import SessionListResponseSchema

    with open_target(target) as database:
        page = database.sessions.list(wallet, status=status, limit=limit, after=after)
    print_answer(SessionListResponseSchema().dump(page), session_list(page), as_json=as_json)


@sessions.command(
    "show",
    short_help="Show a session and its wallets.",
    epilog=target_epilog("waiaas sessions show wallets.db SESSION", "waiaas audit wallets.db --session SESSION"),
)
@target_options
@click.argument("session")
def show_session(target: str, session: str, as_json: bool) -> None:
    """Show the session with the id SESSION: its status, times, wallets and limits. Its token is not stored."""
    with open_target(target) as database:
        _print(database.sessions.get(session), as_json)


def _one_way(ctx: click.Context, parameter: click.Parameter, session: str | None) -> str | None:
    """Require a session, unless an option says which sessions are meant."""
    ways = (session, ctx.params.get("wallet"), ctx.params.get("is_all"))
    if ctx.resilient_parsing or sum(map(bool, ways)) == 1:
        return session
    if any(ways):
        raise click.UsageError("Name a session, or --wallet, or --all: only one of them.", ctx)
    raise click.MissingParameter("Or use --wallet or --all.", ctx, parameter, "'SESSION'")


@sessions.command(
    "revoke",
    short_help="Revoke one session, all of a wallet, or all.",
    epilog=target_epilog(
        "waiaas sessions revoke wallets.db SESSION\nwaiaas sessions revoke wallets.db --wallet WALLET --yes",
        "waiaas sessions list wallets.db --status ACTIVE",
        in_batches=True,
    ),
)
@target_options
@click.option("--wallet", help="Revoke all active sessions that are linked to the wallet with this id.")
@click.option("--all", "is_all", is_flag=True, help="Revoke all active sessions.")
@click.argument("session", required=False, callback=_one_way)
@actor_option
@yes_option
def revoke_sessions(
    target: str,
    session: str | None,
    wallet: str | None,
    is_all: bool,
    actor: str,
    is_confirmed: bool,
    as_json: bool,
) -> None:
    """Revoke the session with the id SESSION, for good: its token does not work any more.

    With --wallet or --all the sessions are revoked in batches, each of which is one transaction. Wallets and links are
    unchanged: a program that may create sessions can create new ones. To stop that too, use `waiaas wallets suspend`
    or `waiaas kill-switch activate`.
    """
    with open_target(target) as database:
        if session is not None:
            found = database.sessions.get(session)
            if found.status != "REVOKED":
                ask(f"Revoke the session {session}? Its token stops working at once.", is_confirmed)
            _print(database.sessions.revoke(session, actor=actor), as_json)
            return
        name = f"the wallet {database.wallets.get(wallet).name}" if wallet else "all wallets"
        if not is_confirmed:
            count = count_active(database, wallet)
            ask(f"Revoke the active sessions of {name}: {count}? Their tokens stop working at once.", is_confirmed)
        revoked = _revoke_active(database, wallet, actor)
    print_answer({"revoked": revoked}, [*revoked, f"Sessions revoked: {len(revoked)}"], as_json=as_json)


def count_active(database: Database, wallet_id: str | None) -> int:
    """Count the active sessions of a wallet, or all of them."""
    count = 0
    page: Page[SessionDetails] | None = database.sessions.list(wallet_id, status="ACTIVE", limit=_AT_ONCE)
    while page is not None:
        count, page = count + len(page), page.next()
    return count


def _revoke_active(database: Database, wallet_id: str | None, actor: str) -> list[str]:
    """Revoke active sessions until there are no more, also those that are created meanwhile; return their ids."""
    revoked: list[str] = []
    while page := database.sessions.list(wallet_id, status="ACTIVE", limit=_AT_ONCE):
        with database.transaction():
            revoked += [database.sessions.revoke(session.id, actor=actor).id for session in page]
    return revoked


def _print(session: SessionDetails, as_json: bool) -> None:
    from waiaas.schemas import SessionResponseSchema

    answer = SessionResponseSchema().dump(session)
    print_answer(answer, session_lines(session, answer["constraints"]), as_json=as_json)
