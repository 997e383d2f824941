"""The commands `waiaas tokens` and `waiaas kill-switch`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from waiaas.cli.records import kill_switch_lines
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
    from waiaas.services import KillSwitch

_STATUS = "waiaas kill-switch status wallets.db"


@click.group("tokens", cls=TargetGroup, short_help="Replace the key that signs session tokens.")
def tokens() -> None:
    """Replace the key that signs session tokens."""


@tokens.command(
    "rotate",
    short_help="Replace the key that signs session tokens.",
    epilog=target_epilog("waiaas tokens rotate wallets.db", "waiaas sessions list wallets.db", asks=True),
)
@target_options
@actor_option
@yes_option
def rotate(target: str, actor: str, is_confirmed: bool, as_json: bool) -> None:
    """Replace the key that signs session tokens: all tokens of today stop working five minutes later.

    A daemon that runs must be restarted afterwards. To end one session, use `waiaas sessions revoke`.
    """
    with open_target(target) as database:
        ask("Replace the key? All tokens of today stop working five minutes from now.", is_confirmed)
        database.tokens.rotate(actor=actor)
    done = "The key was replaced. Tokens of the old key work for five more minutes. Restart a daemon that runs."
    print_answer({"rotated": True}, [done], as_json=as_json)


@click.group("kill-switch", cls=TargetGroup, short_help="Lock everything in an emergency, and recover.")
def kill_switch() -> None:
    """Lock everything in an emergency, and recover."""


@kill_switch.command(
    "status",
    short_help="Show the state of the kill switch.",
    epilog=target_epilog(_STATUS, "waiaas kill-switch activate wallets.db"),
)
@target_options
def show_state(target: str, as_json: bool) -> None:
    """Show the state of the kill switch: ACTIVE (normal), SUSPENDED or LOCKED."""
    with open_target(target) as database:
        _print(database.kill_switch.state(), as_json)


@kill_switch.command(
    "activate",
    short_help="Revoke all sessions and suspend all wallets.",
    epilog=target_epilog("waiaas kill-switch activate wallets.db --yes", _STATUS, asks=True),
)
@target_options
@actor_option
@yes_option
def activate(target: str, actor: str, is_confirmed: bool, as_json: bool) -> None:
    """Stop everything: revoke all sessions, suspend all active wallets, cancel the transactions that are not sent.

    No token works and no right is granted until `waiaas kill-switch recover`. Sessions stay revoked then, and wallets
    suspended.
    """
    with open_target(target) as database:
        ask("Stop everything? All sessions are revoked for good, and all active wallets are suspended.", is_confirmed)
        _print(database.kill_switch.activate(actor=actor), as_json)


@kill_switch.command(
    "escalate",
    short_help="Go from SUSPENDED to LOCKED.",
    epilog=target_epilog("waiaas kill-switch escalate wallets.db", _STATUS),
)
@target_options
@actor_option
def escalate(target: str, actor: str, as_json: bool) -> None:
    """Go from the state SUSPENDED to LOCKED."""
    with open_target(target) as database:
        _print(database.kill_switch.escalate(actor=actor), as_json)


@kill_switch.command(
    "recover",
    short_help="Let tokens work again.",
    epilog=target_epilog(
        "waiaas kill-switch recover wallets.db",
        "waiaas wallets list wallets.db --status SUSPENDED",
    ),
)
@target_options
@actor_option
def recover(target: str, actor: str, as_json: bool) -> None:
    """Return to the state ACTIVE. Sessions stay revoked; resume each wallet that may be used again."""
    with open_target(target) as database:
        _print(database.kill_switch.recover(actor=actor), as_json)


def _print(switch: KillSwitch, as_json: bool) -> None:
    at = switch.activated_at
    answer = {
        "state": switch.state,
        "activatedAt": int(at.timestamp()) if at else None,
        "activatedBy": switch.activated_by,
    }
    print_answer(answer, kill_switch_lines(switch), as_json=as_json)
