"""What the commands print of sessions, wallets, links and the audit log, as lines for people."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from waiaas.cli.messages import translated

if TYPE_CHECKING:
    from waiaas.services import AuditEntry, KillSwitch, LinkedWallet, Page, SessionDetails, WalletDetails


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return rows in columns.

    >>> table([("WALLET", "NAME"), ("a", "trading")])
    ['WALLET  NAME', 'a       trading']
    """
    found = list(rows)
    widths = [max(map(columns_of, column)) for column in zip(*found, strict=True)]
    return ["  ".join(map(_padded, row, widths)).rstrip() for row in found]


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for a Korean letter.

    >>> columns_of("지갑 1")
    6
    """
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _padded(text: str, columns: int) -> str:
    return text + " " * (columns - columns_of(text))


def stacked(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return each row as some short lines, for a terminal that is too narrow for a table.

    >>> stacked(("WALLET", "STATUS", "NAME"), [("a", "ACTIVE", "trading")])
    ['a', '  status: ACTIVE', '  name: trading']
    """
    names = [name.lower() for name in header]
    return [
        line
        for first, *rest in rows
        for line in (first, *(f"  {name}: {cell}" for name, cell in zip(names[1:], rest, strict=True) if cell))
    ]


def width() -> int | None:
    """Return the columns of the terminal; None if standard output is not one."""
    return shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else None


def _facts(rows: Iterable[tuple[str, str]]) -> list[str]:
    return table([(f"{translated(name)}:" if name else "", value) for name, value in rows])


def session_list(page: Page[SessionDetails]) -> list[str]:
    """Return a session per line."""
    rows = [(each.id, each.status, moment(each.expires_at), _names(each.wallets)) for each in page]
    return _list(translated("There are no sessions."), ("SESSION", "STATUS", "EXPIRES", "WALLETS"), rows, page)


def session_lines(session: SessionDetails, limits: Mapping[str, Any] | None) -> list[str]:
    """Return all of a session; its limits are as the response schema shows them."""
    wallets = [f"{wallet.id}  {wallet.status}  {_name(wallet)}" for wallet in session.wallets] or [translated("none")]
    return _facts(
        [
            ("session", session.id),
            ("status", session.status),
            *(("wallets" if not number else "", line) for number, line in enumerate(wallets)),
            ("created", f"{moment(session.created_at)} ({session.source})"),
            ("expires", moment(session.expires_at)),
            ("ends", translated("{time} at the latest", time=moment(session.absolute_expires_at))),
            ("renewals", translated("{count} of {limit}", count=session.renewal_count, limit=session.max_renewals)),
            ("revoked", moment(session.revoked_at) if session.revoked_at else translated("no")),
            ("limits", translated("none") if limits is None else json.dumps(limits, ensure_ascii=False)),
        ]
    )


def wallet_list(page: Page[WalletDetails]) -> list[str]:
    """Return a wallet per line."""
    rows = [(each.id, each.status, each.chain, each.default_network or each.environment, each.name) for each in page]
    return _list(translated("There are no wallets."), ("WALLET", "STATUS", "CHAIN", "NETWORK", "NAME"), rows, page)


def wallet_lines(wallet: WalletDetails) -> list[str]:
    """Return all of a wallet."""
    is_suspended = wallet.status == "SUSPENDED"
    since = _since(wallet.suspended_at) if is_suspended else ""
    reason = f": {wallet.suspension_reason}" if is_suspended and wallet.suspension_reason else ""
    return _facts(
        [
            ("wallet", wallet.id),
            ("name", wallet.name),
            ("status", f"{wallet.status}{since}{reason}"),
            ("chain", wallet.chain),
            ("network", _network(wallet)),
            ("public key", wallet.public_key),
            (
                "owner",
                f"{wallet.owner_address} ({wallet.owner_state})" if wallet.owner_address else translated("none"),
            ),
            ("created", moment(wallet.created_at)),
        ]
    )


def _network(wallet: WalletDetails) -> str:
    if wallet.default_network == wallet.environment:
        return wallet.environment
    return f"{wallet.default_network or translated('no default')} ({wallet.environment})"


def link_list(links: Sequence[LinkedWallet]) -> list[str]:
    """Return a link per line, the default wallet first."""
    if not links:
        return [translated("The session has no wallet.")]
    rows = [(each.id, each.status, translated("default") if each.is_default else "", each.name) for each in links]
    return _rows(("WALLET", "STATUS", "LINK", "NAME"), rows)


def kill_switch_lines(switch: KillSwitch) -> list[str]:
    """Return the state of the kill switch and what it means."""
    if not switch.is_locked:
        return [translated("The kill switch is off (ACTIVE): tokens work.")]
    since = _since(switch.activated_at)
    by = translated(", by {actor}", actor=switch.activated_by) if switch.activated_by else ""
    return [
        translated(
            "The kill switch is on ({state}){since}{by}: no token works.", state=switch.state, since=since, by=by
        )
    ]


def audit_lines(entry: AuditEntry) -> list[str]:
    """Return an entry of the audit log: when, what and who, and below what it is about."""
    about = {"wallet": entry.wallet_id, "session": entry.session_id, "transaction": entry.tx_id}
    lines = [f"  {translated(name)} {id_}" for name, id_ in about.items() if id_ is not None]
    details = [f"  {json.dumps(dict(entry.details), ensure_ascii=False)}"] if entry.details else []
    return [f"{moment(entry.timestamp)}  {entry.event_type}  {entry.actor}", *lines, *details]


def _since(time: datetime | None) -> str:
    return translated(" since {time}", time=moment(time)) if time else ""


def moment(time: datetime) -> str:
    """Return a time (UTC) to the second."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _names(wallets: Sequence[LinkedWallet]) -> str:
    return ", ".join(map(_name, wallets)) or translated("none")


def _name(wallet: LinkedWallet) -> str:
    return f"{wallet.name}{translated(' (default)')}" if wallet.is_default else wallet.name


def _list(nothing: str, header: Sequence[str], rows: Sequence[Sequence[str]], page: Page[Any]) -> list[str]:
    if not rows:
        return [nothing]
    more = [translated("There are more: --after {id}", id=page.next_after)] if page.next_after else []
    return [*_rows(header, rows), *more]


def _rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    header = [*map(translated, header)]
    lines, columns = table([header, *rows]), width()
    return lines if columns is None or max(map(columns_of, lines)) <= columns else stacked(header, rows)
