"""Files of every version, with linked rows in every table, are upgraded to the same schema as a new file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.old_files import SHIPPED, dump, execute, make_file, query, schema_of

import waiaas
from waiaas import WAIaaSError
from waiaas.ddl.schema import describe, same_index, same_shape
from waiaas.migrations import MIN_COMPATIBLE_SCHEMA_VERSION, history
from waiaas.migrations.opening import open_to_change

LATEST = waiaas.LATEST_SCHEMA_VERSION
OLD = [version for version in SHIPPED if version < LATEST]
MAINNETS = {f"{chain}mainnet" for chain in ("", "ethereum-", "polygon-", "arbitrum-", "optimism-", "base-")}
KILL_SWITCH = {"NORMAL": "ACTIVE", "RECOVERING": "ACTIVE", "ACTIVATED": "SUSPENDED"}


def upgrade(path: Path) -> waiaas.UpgradeReport:
    with open_to_change(path) as database:
        return waiaas.upgrade(database, backup=False, clock=lambda: 1_800_000_000)


def expected(version: int, rows: dict[str, list[Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the expected rows at the latest version, derived by hand from the history of the versions."""
    tables = {name: [dict(row) for row in table] for name, table in rows.items()}
    if version < 3:
        tables["wallets"] = tables.pop("agents")
        for name in ("sessions", "transactions", "policies", "audit_log", "notification_logs"):
            for row in tables[name]:
                row["wallet_id"] = row.pop("agent_id")
        for row in tables["audit_log"]:
            row["event_type"] = re.sub("^AGENT_", "WALLET_", row["event_type"])
    if version < 8:
        network_of = {row["id"]: row["network"] for row in tables["wallets"]}
        for row in tables["transactions"]:
            row["network"] = network_of[row["wallet_id"]]
        for row in tables["wallets"]:
            row["default_network"] = row.pop("network")
            row["environment"] = "mainnet" if row["default_network"] in MAINNETS else "testnet"
        for row in tables["policies"]:
            row["network"] = None
    added = {
        10: {"notification_logs": {"message": None}},
        13: {"transactions": {"amount_usd": None, "reserved_amount_usd": None}},
        16: {"pending_approvals": {"approval_channel": "rest_api"}},
        17: {"sessions": {"source": "api"}},
        18: {"wallets": {"owner_approval_method": None}},
    }
    for since, columns in added.items():
        for name, values in columns.items() if version < since else ():
            for row in tables[name]:
                row.update(values)
    if version < 14:
        for row in tables["key_value_store"]:
            if row["key"] == "kill_switch_state":
                row["value"] = KILL_SWITCH[row["value"]]
    for row in tables["sessions"] if version < 19 else ():
        link = {"session_id": row["id"], "wallet_id": row.pop("wallet_id"), "is_default": 1}
        tables.setdefault("session_wallets", []).append({**link, "created_at": row["created_at"]})
    descriptions = history.DESCRIPTIONS
    tables["schema_version"] += [
        {"version": number, "applied_at": 1_800_000_000, "description": descriptions[number]}
        for number in range(version + 1, LATEST + 1)
    ]
    return {name: tables.get(name, []) for name in schema_of(LATEST)}


def in_order(rows: list[dict[str, Any]]) -> list[Any]:
    return sorted((sorted(row.items()) for row in rows), key=repr)


@pytest.mark.parametrize("version", OLD)
def test_every_row_is_kept(tmp_path: Path, version: int) -> None:
    """From each version, every value of every row is upgraded as the history requires."""
    path = make_file(tmp_path / "wallets.db", version, rows=14)
    events = ["AGENT_CREATED", "AGENT_ACTIVATED", "AGENT_SUSPENDED", "AGENT_TERMINATED", "TX_AGENT_CREATED"]
    if version < 3:
        for number, event in enumerate(events, start=1):
            execute(path, f"UPDATE audit_log SET event_type = '{event}' WHERE id = {number}")
    if version < 14:
        execute(path, "UPDATE key_value_store SET key = 'kill_switch_state' WHERE value = 'NORMAL'")
    before = dump(path)
    report = upgrade(path)
    assert report.applied == list(range(version + 1, LATEST + 1))
    after = {name: [dict(row) for row in rows] for name, rows in dump(path).items()}
    wanted = expected(version, before)
    assert after.keys() == wanted.keys()
    for name in wanted:
        assert in_order(after[name]) == in_order(wanted[name]), name


def test_notifications_of_agents_are_of_wallets(tmp_path: Path) -> None:
    """In notifications, AGENT_SUSPENDED is renamed, and a word that the daemon never wrote is unchanged."""
    path = make_file(tmp_path / "wallets.db", 2, rows=3)
    for number, event in enumerate(("AGENT_SUSPENDED", "AGENT_CREATED", "TX_FAILED"), start=1):
        execute(path, f"UPDATE notification_logs SET event_type = '{event}' WHERE rowid = {number}")
    upgrade(path)
    events = query(path, "SELECT event_type FROM notification_logs ORDER BY rowid")
    assert events == [("WALLET_SUSPENDED",), ("AGENT_CREATED",), ("TX_FAILED",)]


@pytest.mark.parametrize("version", OLD)
def test_migrated_equals_fresh(tmp_path: Path, version: int) -> None:
    """From each version, the tables equal those of a new file, columns in order, and check finds nothing."""
    path = make_file(tmp_path / "wallets.db", version)
    upgrade(path)
    fresh = waiaas.connect(tmp_path / "fresh.db").peewee
    with open_to_change(path) as upgraded:
        assert waiaas.check(upgraded).findings == []
        wanted, actual = describe(fresh), describe(upgraded)
    fresh.close_all()
    assert wanted.keys() == actual.keys()
    for name, table in wanted.items():
        assert same_shape(table, actual[name]), name
        assert {index.name for index in table.indexes if index.sql} == {i.name for i in actual[name].indexes if i.sql}
        assert all(same_index(index, actual[name].index(index.name)) for index in table.indexes if index.sql)


@pytest.mark.parametrize("state", [*KILL_SWITCH, "ACTIVE", "LOCKED"])
def test_the_kill_switch_keeps_its_meaning(tmp_path: Path, state: str) -> None:
    """Each old state of the kill switch becomes the new one of the same meaning; others are unchanged."""
    path = make_file(tmp_path / "wallets.db", 13)
    execute(path, f"INSERT INTO key_value_store VALUES ('kill_switch_state', '{state}', 1), ('other', 'NORMAL', 1)")
    upgrade(path)
    values = dict(query(path, "SELECT key, value FROM key_value_store WHERE key IN ('kill_switch_state', 'other')"))
    assert values == {"kill_switch_state": KILL_SWITCH.get(state, state), "other": "NORMAL"}


def test_every_version_is_in_the_history() -> None:
    """The migrations go from 2 to the latest without a gap, and each has a description."""
    versions = [migration.VERSION for migration in history.MIGRATIONS]
    assert versions == list(range(2, waiaas.LATEST_SCHEMA_VERSION + 1))
    assert list(history.DESCRIPTIONS) == [1, *versions]
    assert len(set(history.DESCRIPTIONS.values())) == len(versions) + 1
    assert MIN_COMPATIBLE_SCHEMA_VERSION == 1


@pytest.mark.parametrize(
    ("version", "statement", "table", "column"),
    [
        (1, "UPDATE agents SET network = 'moonnet' WHERE id = (SELECT max(id) FROM agents)", "wallets", "network"),
        (1, "UPDATE policies SET type = 'MAYBE' WHERE id = (SELECT max(id) FROM policies)", "policies", "type"),
        (8, "UPDATE transactions SET tier = 'X' WHERE id = (SELECT max(id) FROM transactions)", "transactions",
         "tier"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_allowed_is_named(
    tmp_path: Path, version: int, statement: str, table: str, column: str
) -> None:
    """A value that a newer CHECK does not allow blocks the upgrade: table, column, value and row are named."""
    path = make_file(tmp_path / "wallets.db", version)
    execute(path, "PRAGMA ignore_check_constraints = ON", statement)
    before = path.read_bytes()
    with open_to_change(path) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.upgrade(database)
    details = caught.value.details or {}
    assert caught.value.reason == "value_not_allowed"
    assert (details["table"], details["column"], details["count"]) in ((table, column, 1), ("agents", column, 1))
    old = {"wallets": "agents"}.get(table, table) if version < 3 else table
    assert details["rows"] == [query(path, f"SELECT max(id) FROM {old}")[0][0]]
    assert str(details["values"][0]).strip("'") in statement
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["wallets.db"]


def test_additions_of_users_are_kept_from_version_1(tmp_path: Path) -> None:
    """A user's own columns, index, trigger, view and comment survive every upgrade and still work."""
    path = make_file(tmp_path / "wallets.db", 1)
    execute(
        path,
        "ALTER TABLE transactions ADD COLUMN mine TEXT DEFAULT 'it''s mine' /* my own */",
        "CREATE INDEX mine_index ON transactions (agent_id, lower(mine)) WHERE mine IS NOT NULL",
        "CREATE VIEW mine_view AS SELECT agents.name, count(*) AS n FROM agents"
        " JOIN transactions ON agent_id = agents.id GROUP BY agents.id",
        "CREATE TABLE mine_table (agent TEXT REFERENCES agents (id) ON DELETE CASCADE)",
        "CREATE TRIGGER mine_trigger AFTER INSERT ON transactions BEGIN"
        " INSERT INTO mine_table VALUES (new.agent_id); END",
        "INSERT INTO mine_table SELECT id FROM agents",
    )  # fmt: skip
    rows = query(path, "SELECT * FROM mine_view ORDER BY 1, 2")
    upgrade(path)
    assert query(path, "SELECT * FROM mine_view ORDER BY 1, 2") == rows
    assert query(path, "SELECT DISTINCT mine FROM transactions") == [("it's mine",)]
    assert query(path, "PRAGMA foreign_key_check") == []
    (key,) = query(path, "PRAGMA foreign_key_list(mine_table)")
    assert key[2].lower() == "wallets"
    assert "/* my own */" in query(path, "SELECT sql FROM sqlite_master WHERE name = 'transactions'")[0][0]
    (count,) = query(path, "SELECT count(*) FROM mine_table")[0]
    execute(
        path,
        "INSERT INTO transactions (id, wallet_id, chain, type, created_at) SELECT 'new', id, 'solana', 'SIGN', 1"
        " FROM wallets LIMIT 1",
    )
    assert query(path, "SELECT count(*) FROM mine_table") == [(count + 1,)]
    with open_to_change(path) as database:
        assert waiaas.check(database).ok


@pytest.mark.parametrize("version", OLD)
def test_the_plan_of_an_old_file_matches_the_upgrade(tmp_path: Path, version: int) -> None:
    """The plan for each version names every step and the number of links, and the upgrade matches it."""
    path = make_file(tmp_path / "wallets.db", version)
    before = path.read_bytes()
    with open_to_change(path) as database:
        planned = waiaas.plan(database)
    assert path.read_bytes() == before
    report = upgrade(path)
    assert [step.version for step in planned.steps] == report.applied
    assert planned.links_to_create == report.links_created == (12 if version < 19 else 0)
    assert planned.obstacles == []
