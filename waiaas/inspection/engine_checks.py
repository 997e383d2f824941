"""The checks that are the same on SQLite and PostgreSQL: links and defaults of sessions, and the kill switch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peewee import Database

from waiaas.inspection.report import Finding, problem
from waiaas.vocabularies import KILL_SWITCH_STATES


def wrong_links(database: Database) -> Iterator[Finding]:
    """Yield findings for sessions without a wallet, or without exactly one default; for SQLite and PostgreSQL."""
    defaults = "coalesce(sum(CASE WHEN is_default <> 0 THEN 1 ELSE 0 END), 0)"
    rows = database.execute_sql(
        f"SELECT id, count(session_id), {defaults} FROM sessions LEFT JOIN session_wallets ON session_id = id"
        f" WHERE revoked_at IS NULL GROUP BY id HAVING {defaults} <> 1 ORDER BY id"
    ).fetchall()
    kinds: dict[str, list[Any]] = {"without_wallet": [], "without_default": [], "with_many_defaults": []}
    for session, links, count in rows:
        kinds["with_many_defaults" if count > 1 else "without_default" if links else "without_wallet"].append(session)
    for kind, ids in kinds.items():
        if ids:
            yield problem(f"session_{kind}", "session_wallets", ids)


def unknown_kill_switch(database: Database) -> Iterator[Finding]:
    """Yield a finding for a state that the daemon does not know; the services treat it as locked."""
    states = ", ".join(f"'{state}'" for state in KILL_SWITCH_STATES)
    row = database.execute_sql(
        f"SELECT 1 FROM key_value_store WHERE key = 'kill_switch_state' AND (value IN ({states})) IS NOT TRUE"
    ).fetchone()
    if row is not None:
        yield problem("kill_switch_state", "key_value_store.kill_switch_state")
