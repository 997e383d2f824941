"""The commands `waiaas sessions`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from waiaas.cli.group import CommandGroup
from waiaas.cli.messages import translated
from waiaas.cli.records import session_lines, session_list
from waiaas.cli.target import READS, REMOVES_IN_BATCHES, ask, is_confirmed, page_options, target_command
from waiaas.cli.terminal import print_answer
from waiaas.database import Database
from waiaas.vocabularies import SESSION_STATUSES

if TYPE_CHECKING:
    from waiaas.services import Page, SessionDetails

_AT_ONCE = 200


@target_command(
    "sessions list",
    READS,
    "List sessions.",
    then="waiaas sessions show wallets.db SESSION",
    examples="waiaas sessions list wallets.db\nwaiaas sessions list wallets.db --status ACTIVE --wallet WALLET",
)
@click.option("--wallet", help="Only sessions that are linked to the wallet with this id.")
@click.option(
    "--status", type=click.Choice(SESSION_STATUSES, case_sensitive=False), help="Only sessions of this status."
)
@page_options
def list_sessions(database: Database, wallet: str | None, status: str | None, limit: int, after: str | None) -> None:
    """List the sessions of the database TARGET, in the order of their creation."""
    from waiaas.schemas import SessionListResponseSchema

    if wallet is not None:
        database.wallets.get(wallet)  # a mistyped id is an error, not an empty list
    page = database.sessions.list(wallet, status=status, limit=limit, after=after)
    print_answer(SessionListResponseSchema().dump(page), session_list(page))


@target_command(
    "sessions show",
    READS,
    "Show a session and its wallets.",
    "session",
    then="waiaas audit wallets.db --session SESSION",
)
def show_session(database: Database, session: str) -> None:
    """Show the session with the id SESSION: its status, times, wallets and limits. Its token is not stored."""
    _print(database.sessions.get(session))


def _one_way(ctx: click.Context, parameter: click.Parameter, session: str | None) -> str | None:
    """Require a session, unless an option says which sessions are meant."""
    ways = (session, ctx.params.get("wallet"), ctx.params.get("is_all"))
    if ctx.resilient_parsing or sum(map(bool, ways)) == 1:
        return session
    if any(ways):
        raise click.UsageError(translated("Name a session, or --wallet, or --all: only one of them."), ctx)
    raise click.MissingParameter(translated("Or use --wallet or --all."), ctx, parameter, "'SESSION'")


@target_command(
    "sessions revoke",
    REMOVES_IN_BATCHES,
    "Revoke one session, all of a wallet, or all.",
    then="waiaas sessions list wallets.db --status ACTIVE",
    examples="waiaas sessions revoke wallets.db SESSION\nwaiaas sessions revoke wallets.db --wallet WALLET --yes",
)
@click.option("--wallet", help="Revoke all active sessions that are linked to the wallet with this id.")
@click.option("--all", "is_all", is_flag=True, help="Revoke all active sessions.")
@click.argument("session", required=False, callback=_one_way)
def revoke_sessions(database: Database, session: str | None, wallet: str | None, is_all: bool, actor: str) -> None:
    """Permanently revoke the session with the id SESSION: its token no longer works.

    With --wallet or --all the sessions are revoked in batches, each of which is one transaction. Wallets and links are
    unchanged: a program that may create sessions can create new ones. To stop that too, use `waiaas wallets suspend`
    or `waiaas kill-switch activate`.
    """
    if session is not None:
        found = database.sessions.get(session)
        if found.status != "REVOKED":
            ask(translated("Revoke the session {session}? Its token stops working at once.", session=session))
        _print(database.sessions.revoke(session, actor=actor))
        return
    name = (
        translated("the wallet {name}", name=database.wallets.get(wallet).name)
        if wallet
        else translated("all wallets")
    )
    if not is_confirmed():  # Counting takes long if there are many.
        count = count_active(database, wallet)
        ask(
            translated(
                "Revoke the active sessions of {name}: {count}? Their tokens stop working at once.",
                name=name,
                count=count,
            )
        )
    revoked = _revoke_active(database, wallet, actor)
    print_answer({"revoked": revoked}, [*revoked, translated("Sessions revoked: {count}", count=len(revoked))])


def count_active(database: Database, wallet_id: str | None) -> int:
    """Count the active sessions of a wallet, or all of them."""
    count = 0
    page: Page[SessionDetails] | None = database.sessions.list(wallet_id, status="ACTIVE", limit=_AT_ONCE)
    while page is not None:
        count, page = count + len(page), page.next()
    return count


def _revoke_active(database: Database, wallet_id: str | None, actor: str) -> list[str]:
    """Revoke active sessions until there are no more, including new ones; return their ids."""
    revoked: list[str] = []
    while page := database.sessions.list(wallet_id, status="ACTIVE", limit=_AT_ONCE):
        with database.transaction():
            revoked += [database.sessions.revoke(session.id, actor=actor).id for session in page]
    return revoked


def _print(session: SessionDetails) -> None:
    from waiaas.schemas import SessionResponseSchema

    answer = SessionResponseSchema().dump(session)
    print_answer(answer, session_lines(session, answer["constraints"]))


sessions = CommandGroup(
    "sessions",
    commands=[list_sessions, show_session, revoke_sessions],
    short_help="List, show and revoke sessions.",
    help="List, show and revoke the sessions of AI agents.",
)
