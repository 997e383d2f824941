"""The state that results from replaying the audit log, to be compared with the tables."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple


class State(NamedTuple):
    """Sessions (revoked, renewals), links (whether it is the default), and wallets' statuses."""

    sessions: dict[str, tuple[bool, int]]
    links: dict[tuple[str, str], bool]
    wallets: dict[str, str]
    cancelled: set[str]
    rotated: bool


_STATUS = {
    "WALLET_CREATED": "ACTIVE",
    "WALLET_ACTIVATED": "ACTIVE",
    "WALLET_SUSPENDED": "SUSPENDED",
    "WALLET_TERMINATED": "TERMINATED",
}


def stored(path: Path) -> State:
    """Return the state in the tables."""
    with closing(sqlite3.connect(path)) as database:
        return State(
            {
                id_: (revoked is not None, renewals)
                for id_, revoked, renewals in database.execute("SELECT id, revoked_at, renewal_count FROM sessions")
            },
            {
                (session, wallet): bool(is_default)
                for session, wallet, is_default in database.execute(
                    "SELECT session_id, wallet_id, is_default FROM session_wallets"
                )
            },
            dict(database.execute("SELECT id, status FROM wallets").fetchall()),
            {id_ for (id_,) in database.execute("SELECT id FROM transactions WHERE status = 'CANCELLED'")},
            database.execute("SELECT 1 FROM key_value_store WHERE key = 'jwt_secret_previous'").fetchone() is not None,
        )


def replayed(path: Path) -> State:
    """Return the state according to the audit log; no row may be missing, duplicate or of another change."""
    state = State({}, {}, {}, set(), False)
    with closing(sqlite3.connect(path)) as database:
        for event, wallet, session, tx, details in database.execute(
            "SELECT event_type, wallet_id, session_id, tx_id, details FROM audit_log ORDER BY id"
        ):
            state = _replay(state, event, wallet, session, tx, json.loads(details))
    return state


def _replay(state: State, event: str, wallet: str, session: str, tx: str, details: dict[str, Any]) -> State:
    sessions, links, wallets, cancelled, _ = state
    if event in _STATUS:
        assert (wallet not in wallets) == (event == "WALLET_CREATED"), event
        assert wallets.get(wallet) != _STATUS[event]
        wallets[wallet] = _STATUS[event]
        if event == "WALLET_TERMINATED":
            for link in [link for link in links if link[1] == wallet]:
                del links[link]
    elif event == "SESSION_ISSUED":
        assert session not in sessions
        sessions[session] = (False, 0)
        links |= {(session, linked): linked == wallet for linked in details["walletIds"]}
    elif event == "SESSION_REVOKED":
        revoked, renewals = sessions[session]
        assert not revoked
        sessions[session] = (True, renewals)
    elif event == "SESSION_RENEWED":
        revoked, renewals = sessions[session]
        assert (revoked, renewals + 1) == (False, details["renewalCount"])
        sessions[session] = (False, renewals + 1)
    elif event == "SESSION_WALLET_LINKED":
        assert (session, wallet) not in links
        links[session, wallet] = details["isDefault"]
    elif event == "SESSION_WALLET_UNLINKED":
        # If the wallet was terminated, its last row, WALLET_TERMINATED, removes the link.
        links.pop((session, wallet), None) if not details else None
    elif event == "SESSION_DEFAULT_WALLET_SET":
        assert (session, wallet) in links
        for link in links:
            if link[0] == session:
                links[link] = link[1] == wallet
    elif event == "TX_CANCELLED":
        assert tx not in cancelled
        cancelled.add(tx)
    elif event == "KEY_ROTATED":
        return state._replace(rotated=True)
    else:
        # Each affected session, wallet and transaction has a row of its own.
        assert event.startswith("KILL_SWITCH_")
    return state
