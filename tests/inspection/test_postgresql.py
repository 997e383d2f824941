"""The check of a PostgreSQL database: every kind of drift, broken link and unreadable value has a finding."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.old_files import make_file
from support.postgresql_server import Databases

import waiaas
from waiaas import WAIaaSError
from waiaas.backends.postgresql import PostgresqlDatabase, open_database
from waiaas.inspection.check import check
from waiaas.inspection.report import Finding
from waiaas.models.postgresql import tables
from waiaas.transfer import move

LATEST = waiaas.LATEST_SCHEMA_VERSION

GRANTS = Path(__file__).parents[2] / "docs" / "how-to" / "postgresql" / "grants.sql"
ROWS = (
    "INSERT INTO wallets (id, name, chain, environment, public_key, created_at, updated_at)"
    " VALUES ('w', 'n', 'solana', 'mainnet', 'k', 1, 1), ('x', 'n', 'solana', 'mainnet', 'l', 1, 1)",
    "INSERT INTO sessions (id, token_hash, expires_at, absolute_expires_at, created_at) VALUES ('s', '', 9, 9, 1)",
    "INSERT INTO session_wallets VALUES ('s', 'w', 1, 1), ('s', 'x', 0, 1)",
)


def found(database: PostgresqlDatabase, *statements: str) -> list[Finding]:
    for statement in statements:
        database.execute_sql(statement)
    report = check(database)
    assert report.ok is all(finding.severity == "note" for finding in report.findings)
    assert all(finding.message and finding.to_dict("ko")["message"] for finding in report.findings)
    return report.findings


def test_new_tables_have_no_findings(postgresql: PostgresqlDatabase) -> None:
    assert found(postgresql, *ROWS) == []


def test_a_moved_file_has_no_new_findings(databases: Databases, tmp_path: Path) -> None:
    """A moved file has no findings except sessions that had no default in the file."""
    with databases.new(empty=True) as url:
        file = make_file(tmp_path / "wallets.db", version=LATEST, rows=6)
        import sqlite3

        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE policies SET enabled = 1")
            connection.execute("UPDATE session_wallets SET is_default = 1")
        connection.close()
        move(file, url)
        database = open_database(url)
        assert [finding.kind for finding in found(database) if finding.severity == "problem"] == []
        database.close_all()


@pytest.mark.parametrize(
    ("statement", "kind", "where", "details"),
    [
        ("DROP TABLE wc_store", "missing_table", "wc_store", {}),
        ("ALTER TABLE sessions DROP COLUMN source", "missing_column", "sessions.source", {}),
        (
            "ALTER TABLE sessions ALTER COLUMN renewal_count TYPE integer",
            "column_type",
            "sessions.renewal_count",
            {"actual": "integer", "wanted": "bigint"},
        ),
        (
            'ALTER TABLE wallets ALTER COLUMN name TYPE text COLLATE "default"',
            "column_type",
            "wallets.name",
            {"actual": "text COLLATE default", "wanted": "text"},
        ),
        (
            "ALTER TABLE wallets ALTER COLUMN name DROP NOT NULL",
            "not_null",
            "wallets.name",
            {"actual": "False", "wanted": "True"},
        ),
        (
            "ALTER TABLE sessions ALTER COLUMN source SET DEFAULT 'x'",
            "column_default",
            "sessions.source",
            {"actual": "'x'", "wanted": "'api'"},
        ),
        (
            "ALTER TABLE audit_log DROP CONSTRAINT audit_log_pkey",
            "primary_key",
            "audit_log",
            {"actual": "()", "wanted": "('id',)"},
        ),
        (
            "ALTER TABLE wc_sessions DROP CONSTRAINT wc_sessions_topic_key",
            "missing_unique",
            "UNIQUE (topic)",
            {"table": "wc_sessions"},
        ),
        (
            "ALTER TABLE policies DROP CONSTRAINT policies_wallet_id_fkey",
            "missing_foreign_key",
            "policies",
            {"key": "FOREIGN KEY (wallet_id) REFERENCES wallets (id) ON DELETE CASCADE"},
        ),
        ("ALTER TABLE policies DISABLE TRIGGER ALL", "missing_foreign_key", "policies", None),
        ("DROP INDEX idx_wallets_status", "missing_index", "idx_wallets_status", {"table": "wallets"}),
        (
            "DROP INDEX idx_session_wallets_default; CREATE UNIQUE INDEX idx_session_wallets_default"
            " ON session_wallets (session_id, is_default)",
            "index_differs",
            "idx_session_wallets_default",
            {
                "table": "session_wallets",
                "actual": "UNIQUE (session_id, is_default)",
                "wanted": "UNIQUE (session_id) WHERE is_default = 1",
            },
        ),
        (
            "ALTER TABLE session_wallets DROP CONSTRAINT session_wallets_is_default_check",
            "missing_check",
            "session_wallets",
            {"check": "is_default IN (0, 1)"},
        ),
        ("CREATE TRIGGER t AFTER INSERT ON wallets EXECUTE FUNCTION f()", "unsafe_trigger", "t", {"table": "wallets"}),
        ("CREATE RULE r AS ON DELETE TO sessions DO INSTEAD NOTHING", "unsafe_trigger", "r", {"table": "sessions"}),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_drift_is_a_problem(
    postgresql: PostgresqlDatabase, statement: str, kind: str, where: str, details: dict[str, Any] | None
) -> None:
    postgresql.execute_sql("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    findings = found(postgresql, statement)
    assert [(finding.severity, finding.kind, finding.where) for finding in findings if finding.kind == kind] == [
        ("problem", kind, where)
    ]
    if details is not None:
        assert findings[0].details == details


def test_another_set_of_values_is_a_problem_and_a_note(postgresql: PostgresqlDatabase) -> None:
    """A CHECK with other values differs from the expected one; the order of the values does not matter."""
    drop = "ALTER TABLE audit_log DROP CONSTRAINT audit_log_severity_check"
    add = "ALTER TABLE audit_log ADD CONSTRAINT c CHECK (severity IN ({}))"
    assert found(postgresql, drop, add.format("'critical', 'info', 'warning'")) == []
    findings = found(postgresql, "ALTER TABLE audit_log DROP CONSTRAINT c", add.format("'info', 'warning', 'fatal'"))
    assert [(finding.severity, finding.kind) for finding in findings] == [
        ("problem", "missing_check"),
        ("note", "extra_check"),
    ]


def test_objects_of_others_are_a_note(postgresql: PostgresqlDatabase) -> None:
    findings = found(
        postgresql,
        "CREATE TABLE notes (id int)",
        "CREATE VIEW names AS SELECT name FROM wallets",
        "ALTER TABLE wallets ADD COLUMN nickname text CHECK (length(nickname) < 9)",
        "ALTER TABLE audit_log ADD FOREIGN KEY (wallet_id) REFERENCES wallets (id)",
        "CREATE INDEX mine ON sessions (created_at)",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER t AFTER INSERT ON notification_logs EXECUTE FUNCTION f()",
    )
    assert {(finding.severity, finding.kind, finding.where) for finding in findings} == {
        ("note", "extra_table", "notes"),
        ("note", "extra_view", "names"),
        ("note", "extra_column", "wallets.nickname"),
        ("note", "extra_check", "wallets"),
        ("note", "extra_foreign_key", "audit_log"),
        ("note", "extra_index", "mine"),
        ("note", "extra_trigger", "t"),
    }


@pytest.mark.parametrize(
    ("statements", "kind", "where", "rows"),
    [
        (["DELETE FROM session_wallets"], "session_without_wallet", "session_wallets", ["s"]),
        (["UPDATE session_wallets SET is_default = 0"], "session_without_default", "session_wallets", ["s"]),
        (
            ["DROP INDEX idx_session_wallets_default", "UPDATE session_wallets SET is_default = 1"],
            "session_with_many_defaults",
            "session_wallets",
            ["s"],
        ),
        (
            ["INSERT INTO key_value_store VALUES ('kill_switch_state', 'MAYBE', 1)"],
            "kill_switch_state",
            "key_value_store.kill_switch_state",
            [],
        ),
        (["UPDATE sessions SET expires_at = 1800000000000"], "invalid_time", "sessions.expires_at", ["s"]),
        (["UPDATE sessions SET usage_stats = '{'"], "invalid_json", "sessions.usage_stats", ["s"]),
        (["UPDATE sessions SET constraints = '[]'"], "invalid_limits", "sessions.constraints", ["s"]),
        (
            ["INSERT INTO audit_log (id, timestamp, event_type, actor, details) VALUES (7, 1, 'E', 'a', '{}')"],
            "sequence_behind",
            "audit_log.id",
            [],
        ),
        (
            ["ALTER TABLE session_wallets ALTER link_order RESTART"],
            "sequence_behind",
            "session_wallets.link_order",
            [],
        ),
        (
            ["SET session_replication_role = replica", "DELETE FROM wallets WHERE id = 'x'"],
            "foreign_key_violation",
            "session_wallets",
            ["s"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "." not in value else "",
)
def test_broken_rows_are_a_problem(
    postgresql: PostgresqlDatabase, statements: list[str], kind: str, where: str, rows: list[Any]
) -> None:
    findings = found(postgresql, *ROWS, *statements)
    assert (kind, where, rows) in [(finding.kind, finding.where, finding.rows) for finding in findings]
    assert {finding.severity for finding in findings if finding.kind == kind} == {"problem"}


def test_each_column_of_numbers_has_a_next_one(postgresql: PostgresqlDatabase) -> None:
    """The next number of every identity column is checked; a column that is no longer one is another problem."""
    numbers = [(table.name, column.name) for table in tables() for column in table.all_columns if column.is_identity]
    behind = [f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), 1, false)" for table, column in numbers]
    audit = "INSERT INTO audit_log (timestamp, event_type, actor, details) VALUES (1, 'E', 'a', '{}')"
    findings = found(postgresql, *ROWS, audit, *behind)
    assert len(numbers) >= 2
    assert {finding.where for finding in findings if finding.kind == "sequence_behind"} == {
        f"{table}.{column}" for table, column in numbers
    }
    gone = [f"ALTER TABLE {table} ALTER {column} DROP IDENTITY" for table, column in numbers]
    findings = found(postgresql, *gone)
    assert {finding.where for finding in findings if finding.kind == "autoincrement"} == {
        f"{table}.{column}" for table, column in numbers
    }


def test_numbers_that_begin_again_change_the_order_of_links(postgresql_url: str) -> None:
    """A new link comes before older ones then, and its wallet becomes the default before theirs: a problem."""
    with waiaas.connect(postgresql_url) as database:
        first, older, newer = (
            database.wallets.create(name="n", chain="solana", environment="mainnet", public_key=key, actor="sam").id
            for key in "abc"
        )
        session = database.sessions.create(wallet_ids=[first, older], actor="sam")
        database.peewee.execute_sql("ALTER TABLE session_wallets ALTER link_order RESTART")
        database.links.link(session.id, newer, actor="sam")
        database.wallets.terminate(first, actor="sam")
        assert database.links.resolve(session.id) == newer
        assert [finding.where for finding in check(database.peewee).findings] == ["session_wallets.link_order"]


def test_an_empty_database_is_refused(databases: Databases) -> None:
    with databases.new(empty=True) as url:
        database = open_database(url)
        with pytest.raises(WAIaaSError) as caught:
            check(database)
        assert caught.value.reason == "empty_database"
        database.close_all()


def test_nothing_is_changed(postgresql: PostgresqlDatabase) -> None:
    """The check uses a read-only transaction, so a reader's rights are enough."""
    postgresql.execute_sql("SET default_transaction_read_only = on")
    assert check(postgresql).ok


def test_the_grants_of_the_guide_are_enough(databases: Databases) -> None:
    """A role that may not change tables runs the service and the check; another one only reads."""
    roles = ("app", "auditor")
    with databases.new() as url:
        name = url.rsplit("/", 1)[1]
        unique = {role: f"{role}_{name}" for role in roles}
        grants = GRANTS.read_text("utf-8")
        for role, role_name in unique.items():
            databases.execute(f"CREATE ROLE {role_name} LOGIN PASSWORD 'pass'", name)
            grants = re.sub(rf"\bTO (.*)\b{role}\b", rf"TO \1{role_name}", grants)
        databases.execute(grants, name)
        app, auditor = (
            urlsplit(url)._replace(netloc=f"{role}:pass@{urlsplit(url).netloc.rpartition('@')[2]}").geturl()
            for role in unique.values()
        )
        try:
            with waiaas.connect(app) as database:
                wallet = database.wallets.create(
                    name="n", chain="solana", environment="mainnet", public_key="k", actor="sam"
                )
                session = database.sessions.create(wallet_ids=[wallet.id], actor="sam")
                assert database.sessions.authorize(session.token, must_be_active=False).session_id == session.id
                database.wallets.terminate(wallet.id, actor="sam")
                with database.transaction():
                    database.kill_switch.activate(actor="sam")
                    database.kill_switch.recover(actor="sam")
            for each in (app, auditor):
                assert waiaas.check(each).findings == []
            with pytest.raises(WAIaaSError) as caught, waiaas.connect(auditor) as database:
                database.kill_switch.activate(actor="sam")
            assert caught.value.reason == "insufficient_privilege"
        finally:
            for role_name in unique.values():
                databases.execute(f"DROP OWNED BY {role_name}; DROP ROLE {role_name}", name)
