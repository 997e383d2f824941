"""The commands `waiaas tokens` and `waiaas kill-switch`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waiaas.cli.group import CommandGroup
from waiaas.cli.messages import translated
from waiaas.cli.records import kill_switch_lines
from waiaas.cli.target import CHANGES, READS, REMOVES, ask, target_command
from waiaas.cli.terminal import print_answer
from waiaas.database import Database

if TYPE_CHECKING:
    from waiaas.services import KillSwitch

_STATUS = "waiaas kill-switch status wallets.db"


@target_command(
    "tokens rotate",
    REMOVES,
    "Replace the key that signs session tokens.",
    then="waiaas sessions list wallets.db",
)
def rotate(database: Database, actor: str) -> None:
    """Replace the key that signs session tokens: all current tokens stop working five minutes later.

    Restart the daemon afterwards if one is running. To end one session, use `waiaas sessions revoke`.
    """
    ask(translated("Replace the key? All current tokens stop working five minutes from now."))
    database.tokens.rotate(actor=actor)
    done = translated(
        "The key was replaced. Tokens of the old key work for five more minutes. Restart the daemon if one is running."
    )
    print_answer({"rotated": True}, [done])


@target_command(
    "kill-switch status",
    READS,
    "Show the state of the kill switch.",
    then="waiaas kill-switch activate wallets.db",
)
def show_state(database: Database) -> None:
    """Show the state of the kill switch: ACTIVE (normal), SUSPENDED or LOCKED."""
    _print(database.kill_switch.state())


@target_command(
    "kill-switch activate",
    REMOVES,
    "Revoke all sessions and suspend all wallets.",
    then=_STATUS,
    examples="waiaas kill-switch activate wallets.db --yes",
)
def activate(database: Database, actor: str) -> None:
    """Stop everything: revoke all sessions, suspend all active wallets, cancel the transactions that are not sent.

    No token works and no right is granted until `waiaas kill-switch recover`. Sessions stay revoked then, and wallets
    suspended.
    """
    ask(translated("Stop everything? All sessions are revoked permanently, and all active wallets are suspended."))
    _print(database.kill_switch.activate(actor=actor))


@target_command("kill-switch escalate", CHANGES, "Go from SUSPENDED to LOCKED.", then=_STATUS)
def escalate(database: Database, actor: str) -> None:
    """Go from the state SUSPENDED to LOCKED.

    In both states no token works, and `waiaas kill-switch recover` ends both. LOCKED shows other programs and people
    that the emergency is more serious.
    """
    _print(database.kill_switch.escalate(actor=actor))


@target_command(
    "kill-switch recover",
    CHANGES,
    "Let tokens work again.",
    then="waiaas wallets list wallets.db --status SUSPENDED",
)
def recover(database: Database, actor: str) -> None:
    """Return to the state ACTIVE. Sessions stay revoked; resume each wallet that may be used again."""
    _print(database.kill_switch.recover(actor=actor))


def _print(switch: KillSwitch) -> None:
    at = switch.activated_at
    answer = {
        "state": switch.state,
        "activatedAt": int(at.timestamp()) if at else None,
        "activatedBy": switch.activated_by,
    }
    print_answer(answer, kill_switch_lines(switch))


tokens = CommandGroup(
    "tokens",
    commands=[rotate],
    help="Replace the key that signs session tokens.",
)
kill_switch = CommandGroup(
    "kill-switch",
    commands=[show_state, activate, escalate, recover],
    help="Lock everything in an emergency, and recover.",
)
