"""What `check` finds in valid and in invalid files."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from peewee import PostgresqlDatabase, SqliteDatabase
from support.old_files import contents, create_statements, make_file, query, session_id, wallet_id

import waiaas
from waiaas import CheckReport, Finding, WAIaaSError
from waiaas.models import MODELS
from waiaas.models.fields import JSONText, UTCDateTime
from waiaas.services import KillSwitchService, SessionService, SessionWalletService

LATEST = waiaas.LATEST_SCHEMA_VERSION
#: The words and kinds in the documentation of findings.
DOCUMENTED = set(re.findall("`([a-z_]+)`", str(waiaas.Finding.__doc__)))
TABLES = (
    "wallets",
    "sessions",
    "session_wallets",
    "transactions",
    "policies",
    "pending_approvals",
    "audit_log",
    "key_value_store",
    "notification_logs",
    "token_registry",
    "settings",
    "api_keys",
    "telegram_users",
    "wc_sessions",
    "wc_store",
)


def execute(path: Path, *statements: str) -> None:
    """Run statements on a file with foreign keys off, each committed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in ("PRAGMA foreign_keys = OFF", "PRAGMA synchronous = OFF", *statements):
            database.execute(statement)


def check(path: Path) -> CheckReport:
    """Check a file, and assert that neither it nor its folder changes."""
    before = contents(path.parent)
    database = SqliteDatabase(path)
    try:
        report = waiaas.check(database)
    finally:
        database.close()
        assert contents(path.parent) == before
    return report


def without_messages(report: CheckReport) -> list[tuple[str, str, list[Any]]]:
    """Return kind, place and rows of the findings of a report; those of a user's own objects are notes."""
    assert {each.kind for each in report.findings} <= DOCUMENTED
    assert {each.kind for each in report.findings if each.severity == "note"} == {
        each.kind for each in report.findings if each.kind.startswith("extra_")
    }
    return sorted((each.kind, each.where, each.rows) for each in report.findings)


def found(path: Path) -> list[tuple[str, str, list[Any]]]:
    """Return kind, place and rows of the findings on a file."""
    return without_messages(check(path))


def make_edited(path: Path, edits: Iterable[tuple[str, str]]) -> Path:
    """Make a file of the latest version from the daemon's statements, with texts in them replaced."""
    statements = list(create_statements(LATEST))
    for old, new in edits:
        (number,) = [number for number, statement in enumerate(statements) if old in statement]
        statements[number] = statements[number].replace(old, new)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN")
        for statement in statements:
            database.execute(statement)
        for version in range(1, LATEST + 1):
            database.execute("INSERT INTO schema_version VALUES (?, ?, ?)", (version, version, f"version {version}"))
        database.execute("COMMIT")
    return path


@pytest.fixture
def current(tmp_path: Path) -> Path:
    """A file of the latest version with twelve linked rows in every table."""
    return make_file(tmp_path / "wallets.db", LATEST)


class TestNothingToFind:
    def test_in_a_fresh_file(self, tmp_path: Path) -> None:
        """A file that `connect` created has no findings."""
        path = tmp_path / "wallets.db"
        waiaas.connect(path).close()
        report = check(path)
        assert (report.findings, report.ok, report.version, report.latest_version) == ([], True, LATEST, LATEST)

    @pytest.mark.parametrize("version", [1, 5, 8, 17, 18])
    def test_in_an_upgraded_file(self, tmp_path: Path, version: int) -> None:
        """A file with difficult values of an older version has no findings after its upgrade."""
        path = make_file(tmp_path / "wallets.db", version)
        waiaas.connect(path).close()
        report = check(path)
        assert (report.findings, report.version) == ([], LATEST)

    def test_in_a_file_of_the_daemon(self, current: Path) -> None:
        """A file of the daemon at the latest version, with rows in every table, has no findings."""
        assert check(current).findings == []

    @pytest.mark.parametrize("version", [1, 5, 8, 17, 18])
    def test_in_an_old_file(self, tmp_path: Path, version: int) -> None:
        """A file of an older version is not compared with the models, and has no findings."""
        report = check(make_file(tmp_path / "wallets.db", version))
        assert (report.findings, report.ok, report.version, report.latest_version) == ([], True, version, LATEST)

    def test_in_a_database_in_memory(self) -> None:
        """An in-memory database can be checked."""
        database = waiaas.connect(":memory:").peewee
        assert waiaas.check(database).findings == []
        database.close_all()

    def test_inside_a_transaction(self, current: Path) -> None:
        """Inside a transaction its own rows are checked, and it stays open and can be rolled back."""
        database = SqliteDatabase(current)
        with database.atomic() as transaction:
            database.execute_sql("DELETE FROM session_wallets")
            assert [finding.kind for finding in waiaas.check(database).findings] == ["session_without_wallet"]
            assert database.in_transaction()
            transaction.rollback()
        assert waiaas.check(database).findings == []
        database.close()


#: Definitions that differ in their text, or in ways known of migrated files, but not in their meaning.
SAME: dict[str, list[tuple[str, str]]] = {
    "as-shipped": [],
    "case-of-names": [("CREATE TABLE wallets (\n  id TEXT", "create table Wallets (\n  ID text")],
    "quotes": [("CREATE TABLE wc_store (\n  key TEXT", 'CREATE TABLE "wc_store" (\n  [key] TEXT')],
    "comments": [("provider_name TEXT", "/* who, what */ provider_name TEXT -- CHECK (x)\n")],
    "order-of-values": [("CHECK (source IN ('builtin', 'custom'))", "CHECK (source IN ('custom', 'builtin'))")],
    "null-in-check": [("CHECK (tier IS NULL OR tier IN (", "CHECK (tier IN (")],
    "spaces-and-quotes-in-check": [
        ("CHECK (chain IN ('solana', 'ethereum'))", "CHECK(\"chain\"IN('solana','ethereum'))")
    ],
    "check-as-table-constraint": [
        (
            "role TEXT NOT NULL DEFAULT 'PENDING' CHECK (role IN ('PENDING', 'ADMIN', 'READONLY'))",
            "role TEXT NOT NULL DEFAULT 'PENDING'",
        ),
        ("approved_at INTEGER\n)", "approved_at INTEGER,\n  CHECK (role IN ('PENDING', 'ADMIN', 'READONLY'))\n)"),
    ],
    "key-as-table-constraint": [
        ("tx_id TEXT NOT NULL REFERENCES transactions(id) ON DELETE CASCADE", "tx_id TEXT NOT NULL"),
        (
            "approval_channel TEXT DEFAULT 'rest_api',\n  created_at INTEGER NOT NULL\n)",
            "approval_channel TEXT DEFAULT 'rest_api',\n  created_at INTEGER NOT NULL,\n"
            "  FOREIGN KEY (tx_id) REFERENCES transactions(id) ON DELETE CASCADE\n)",
        ),
    ],
    "unique-in-the-table": [("topic TEXT NOT NULL", "topic TEXT NOT NULL UNIQUE"), (",\n  UNIQUE (topic)", "")],
    "index-in-another-spelling": [
        (
            "CREATE INDEX idx_wallets_status ON wallets(status)",
            'create index IDX_WALLETS_STATUS on "wallets" ( `Status` )',
        )
    ],
    # The three known differences between a file that the daemon migrated to version 18 and a new one.
    "migrated-owner-approval-method": [
        (
            "owner_approval_method TEXT CHECK (owner_approval_method IS NULL OR owner_approval_method IN "
            "('sdk_ntfy', 'sdk_telegram', 'walletconnect', 'telegram_bot', 'rest'))",
            "owner_approval_method TEXT",
        )
    ],
    "migrated-message": [
        ("message TEXT,\n  created_at INTEGER NOT NULL\n)", "created_at INTEGER NOT NULL,\n  message TEXT\n)")
    ],
    "migrated-approval-channel": [
        (
            "approval_channel TEXT DEFAULT 'rest_api',\n  created_at INTEGER NOT NULL\n)",
            "created_at INTEGER NOT NULL, approval_channel TEXT DEFAULT 'rest_api'\n)",
        )
    ],
}


@pytest.mark.parametrize("edits", SAME.values(), ids=SAME)
def test_equivalent_definitions_are_not_findings(tmp_path: Path, edits: list[tuple[str, str]]) -> None:
    """Spelling, order, and the known differences of files that the daemon migrated are not findings."""
    assert found(make_edited(tmp_path / "wallets.db", edits)) == []


class Drift(NamedTuple):
    """Changed definitions, statements that run afterwards, and the kinds and places of all expected findings."""

    edits: list[tuple[str, str]]
    statements: list[str]
    expected: list[tuple[str, str]]


def edited(old: str, new: str, *expected: str) -> Drift:
    return Drift([(old, new)], [], [_kind_and_place(each) for each in expected])


def after(statement: str, *expected: str) -> Drift:
    return Drift([], [statement], [_kind_and_place(each) for each in expected])


def _kind_and_place(text: str) -> tuple[str, str]:
    kind, _, place = text.partition(" ")
    return kind, place


DRIFTS = {
    # Tables
    "extra-table": after("CREATE TABLE notes (body TEXT)", "extra_table notes"),
    "extra-view": after("CREATE VIEW v AS SELECT id FROM wallets", "extra_view v"),
    "extra-trigger": after(
        "CREATE TRIGGER t AFTER DELETE ON wc_store BEGIN DELETE FROM audit_log; END", "extra_trigger t"
    ),
    "reading-trigger": after(
        "CREATE TRIGGER t AFTER DELETE ON wc_store BEGIN INSERT INTO settings SELECT id, 1, 1, 1, 1 FROM wallets; END",
        "extra_trigger t",
    ),
    **{
        f"unsafe-trigger-{name}": after(f"CREATE TRIGGER t {trigger}", "unsafe_trigger t")
        for name, trigger in {
            "on-wallets": "AFTER DELETE ON wallets BEGIN DELETE FROM wc_store; END",
            "on-links": "BEFORE UPDATE OF is_default ON Session_Wallets BEGIN SELECT 1; END",
            "on-keys": 'AFTER UPDATE ON "key_value_store" BEGIN SELECT 1; END',
            "inserts": "AFTER INSERT ON audit_log BEGIN INSERT INTO session_wallets VALUES ('s', 'w', 0, 1); END",
            "replaces": 'AFTER INSERT ON audit_log BEGIN REPLACE INTO "session_wallets" VALUES (1, 2, 0, 1); END',
            "or-ignore": "AFTER INSERT ON audit_log BEGIN INSERT OR IGNORE INTO [wallets] (id) VALUES (1); END",
            "updates": "AFTER INSERT ON audit_log BEGIN UPDATE SESSIONS SET revoked_at = NULL; END",
            "update-or": "AFTER INSERT ON audit_log BEGIN UPDATE OR IGNORE `sessions` SET revoked_at = NULL; END",
            "deletes": "AFTER INSERT ON audit_log BEGIN DELETE FROM key_value_store; END",
        }.items()
    },
    "no-autoincrement": edited(
        "id INTEGER PRIMARY KEY AUTOINCREMENT", "id INTEGER PRIMARY KEY", "autoincrement audit_log"
    ),
    "autoincrement": edited(
        "chat_id INTEGER PRIMARY KEY", "chat_id INTEGER PRIMARY KEY AUTOINCREMENT", "autoincrement telegram_users"
    ),
    "without-rowid": edited(
        "CREATE TABLE wc_store (\n  key TEXT PRIMARY KEY,\n  value TEXT NOT NULL\n)",
        "CREATE TABLE wc_store (\n  key TEXT PRIMARY KEY,\n  value TEXT NOT NULL\n) WITHOUT ROWID",
        "table_options wc_store",
        "not_null wc_store.key",
    ),
    # Columns
    "missing-column": edited("suspension_reason TEXT,\n  ", "", "missing_column wallets.suspension_reason"),
    "extra-column": after("ALTER TABLE wallets ADD COLUMN nickname TEXT", "extra_column wallets.nickname"),
    "renamed-column": edited(
        "symbol TEXT NOT NULL",
        "ticker TEXT NOT NULL",
        "missing_column token_registry.symbol",
        "extra_column token_registry.ticker",
    ),
    "column-type": edited(
        "amount TEXT,\n  to_address", "amount REAL,\n  to_address", "column_type transactions.amount"
    ),
    "column-without-type": edited("ip_address TEXT", "ip_address", "column_type audit_log.ip_address"),
    "null-allowed": edited("token_hash TEXT NOT NULL", "token_hash TEXT", "not_null sessions.token_hash"),
    "null-refused": edited("usage_stats TEXT", "usage_stats TEXT NOT NULL", "not_null sessions.usage_stats"),
    "default": edited("DEFAULT 'api'", "DEFAULT 'web'", "column_default sessions.source"),
    "no-default": edited(" DEFAULT 30", "", "column_default sessions.max_renewals"),
    "default-where-none-is": edited(
        "actor TEXT NOT NULL", "actor TEXT NOT NULL DEFAULT ''", "column_default audit_log.actor"
    ),
    "generated": edited(
        "suspension_reason TEXT",
        "suspension_reason TEXT GENERATED ALWAYS AS (status) VIRTUAL",
        "generated_column wallets.suspension_reason",
    ),
    # Keys
    "no-primary-key": edited(
        "provider_name TEXT PRIMARY KEY",
        "provider_name TEXT",
        "primary_key api_keys.provider_name",
        "missing_unique UNIQUE (provider_name)",
    ),
    "order-of-primary-key": edited(
        "PRIMARY KEY (session_id, wallet_id)",
        "PRIMARY KEY (wallet_id, session_id)",
        "primary_key session_wallets.session_id",
        "primary_key session_wallets.wallet_id",
        "missing_unique UNIQUE (session_id, wallet_id)",
    ),
    "missing-foreign-key": edited(
        " REFERENCES transactions(id) ON DELETE CASCADE,\n  required_by",
        ",\n  required_by",
        "missing_foreign_key pending_approvals",
    ),
    "extra-foreign-key": edited(
        "actor TEXT NOT NULL,\n  wallet_id TEXT",
        "actor TEXT NOT NULL,\n  wallet_id TEXT REFERENCES wallets(id)",
        "extra_foreign_key audit_log",
    ),
    "extra-foreign-key-of-two-columns": edited(
        "ip_address TEXT\n)",
        "ip_address TEXT,\n"
        "  FOREIGN KEY (session_id, wallet_id) REFERENCES session_wallets (session_id, wallet_id)\n)",
        "extra_foreign_key audit_log",
    ),
    "action-of-foreign-key": edited(
        "REFERENCES wallets(id) ON DELETE RESTRICT",
        "REFERENCES wallets(id) ON DELETE CASCADE",
        "missing_foreign_key transactions",
        "extra_foreign_key transactions",
    ),
    "update-action-of-foreign-key": edited(
        "REFERENCES sessions(id) ON DELETE SET NULL",
        "REFERENCES sessions(id) ON DELETE SET NULL ON UPDATE CASCADE",
        "missing_foreign_key transactions",
        "extra_foreign_key transactions",
    ),
    "deferred-foreign-key": edited(
        "REFERENCES transactions(id) ON DELETE CASCADE,\n  required_by",
        "REFERENCES transactions(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,\n  required_by",
        "missing_foreign_key pending_approvals",
        "extra_foreign_key pending_approvals",
    ),
    "parent-of-foreign-key": edited(
        "session_id TEXT REFERENCES sessions(id) ON DELETE SET NULL",
        "session_id TEXT REFERENCES sessions__tmp__(id) ON DELETE SET NULL",
        "missing_foreign_key transactions",
        "extra_foreign_key transactions",
    ),
    # Indexes
    "missing-unique": edited(",\n  UNIQUE (topic)", "", "missing_unique UNIQUE (topic)"),
    "missing-index": after("DROP INDEX idx_wallets_status", "missing_index idx_wallets_status"),
    "index-on-another-table": edited(
        "CREATE INDEX idx_settings_category ON settings(category)",
        "CREATE INDEX idx_settings_category ON wallets(name)",
        "missing_index idx_settings_category",
        "extra_index idx_settings_category",
    ),
    "index-of-other-columns": edited(
        "idx_policies_wallet_enabled ON policies(wallet_id, enabled)",
        "idx_policies_wallet_enabled ON policies(enabled, wallet_id)",
        "index_differs idx_policies_wallet_enabled",
    ),
    "index-not-unique": edited(
        "CREATE UNIQUE INDEX idx_transactions_tx_hash",
        "CREATE INDEX idx_transactions_tx_hash",
        "index_differs idx_transactions_tx_hash",
    ),
    "index-unique": edited(
        "CREATE INDEX idx_sessions_token_hash",
        "CREATE UNIQUE INDEX idx_sessions_token_hash",
        "index_differs idx_sessions_token_hash",
    ),
    "index-partial": edited(
        "idx_transactions_queued_at ON transactions(queued_at)",
        "idx_transactions_queued_at ON transactions(queued_at) WHERE queued_at > 0",
        "index_differs idx_transactions_queued_at",
    ),
    "index-descending": edited(
        "idx_audit_log_timestamp ON audit_log(timestamp)",
        "idx_audit_log_timestamp ON audit_log(timestamp DESC)",
        "index_differs idx_audit_log_timestamp",
    ),
    "index-of-other-collation": edited(
        "idx_wallets_public_key ON wallets(public_key)",
        "idx_wallets_public_key ON wallets(public_key COLLATE NOCASE)",
        "index_differs idx_wallets_public_key",
    ),
    "extra-index": after("CREATE INDEX mine ON wallets (name)", "extra_index mine"),
    # CHECKs
    "missing-check": edited(" CHECK (role IN ('PENDING', 'ADMIN', 'READONLY'))", "", "missing_check telegram_users"),
    "narrower-check": edited(
        "CHECK (role IN ('PENDING', 'ADMIN', 'READONLY'))",
        "CHECK (role IN ('PENDING', 'ADMIN'))",
        "missing_check telegram_users",
        "extra_check telegram_users",
    ),
    "wider-check": edited(
        "CHECK (source IN ('builtin', 'custom'))",
        "CHECK (source IN ('builtin', 'custom', ''))",
        "missing_check token_registry",
        "extra_check token_registry",
    ),
    "extra-check": edited(
        "decimals INTEGER NOT NULL",
        "decimals INTEGER NOT NULL CHECK (decimals BETWEEN 0 AND 18)",
        "extra_check token_registry",
    ),
    "check-of-a-column-of-ones-own": after(
        "ALTER TABLE wallets ADD COLUMN note TEXT CHECK (length(note) < 10)",
        "extra_column wallets.note",
        "extra_check wallets",
    ),
    "another-check-on-owner-approval-method": edited(
        "(owner_approval_method IS NULL OR owner_approval_method IN "
        "('sdk_ntfy', 'sdk_telegram', 'walletconnect', 'telegram_bot', 'rest'))",
        "(owner_approval_method IN ('rest'))",
        "missing_check wallets",
        "extra_check wallets",
    ),
}


class TestDrift:
    @pytest.mark.parametrize("drift", DRIFTS.values(), ids=DRIFTS)
    def test_is_found_where_it_is(self, tmp_path: Path, drift: Drift) -> None:
        """Each difference from the models is found with its kind and place, and nothing else is found."""
        path = make_edited(tmp_path / "wallets.db", drift.edits)
        execute(path, *drift.statements)
        report = check(path)
        assert without_messages(report) == sorted((*expected, []) for expected in drift.expected)
        assert report.ok == all(kind.startswith("extra_") for kind, _ in drift.expected)
        for finding in report.findings:
            messages = [finding.message, finding.to_dict("ko")["message"]]
            assert [message for message in messages if finding.where not in message or "?" in message] == []

    @pytest.mark.parametrize(
        ("drift", "message"),
        [
            ("no-autoincrement", "autoincrement of audit_log is False, not True"),
            ("autoincrement", "autoincrement of telegram_users is True, not False"),
            ("without-rowid", "table options of wc_store is ['without rowid'], not []"),
            ("column-type", "column type of transactions.amount is REAL, not TEXT"),
            ("column-without-type", "column type of audit_log.ip_address is none, not TEXT"),
            ("null-allowed", "not null of sessions.token_hash is False, not True"),
            ("default", "column default of sessions.source is 'web', not 'api'"),
            ("no-primary-key", "primary key of api_keys.provider_name is 0, not 1"),
            ("generated", "generated column of wallets.suspension_reason is 2, not 0"),
            ("no-default", "column default of sessions.max_renewals is none, not 30"),
            ("default-where-none-is", "column default of audit_log.actor is '', not none"),
            (
                "deferred-foreign-key",
                "table pending_approvals has the foreign key (tx_id) REFERENCES transactions (id) ON UPDATE NO ACTION"
                " ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, which does not belong to WAIaaS",
            ),
            (
                "extra-foreign-key-of-two-columns",
                "table audit_log has the foreign key (session_id, wallet_id) REFERENCES session_wallets"
                " (session_id, wallet_id) ON UPDATE NO ACTION ON DELETE NO ACTION, which does not belong to WAIaaS",
            ),
            ("missing-unique", "table wc_sessions lacks UNIQUE (topic)"),
            (
                "index-not-unique",
                "index idx_transactions_tx_hash of transactions is"
                " create index idx_transactions_tx_hash on transactions ( tx_hash ), not"
                " create unique index idx_transactions_tx_hash on transactions ( tx_hash )",
            ),
            (
                "index-on-another-table",
                "index idx_settings_category of settings is missing",
            ),
            ("missing-check", "table telegram_users lacks CHECK (role in ( 'ADMIN' , 'PENDING' , 'READONLY' ))"),
            (
                "missing-foreign-key",
                "table pending_approvals lacks the foreign key (tx_id) REFERENCES transactions (id)"
                " ON UPDATE NO ACTION ON DELETE CASCADE",
            ),
        ],
    )
    def test_message_has_the_actual_and_the_expected_definition(
        self, tmp_path: Path, drift: str, message: str
    ) -> None:
        """The message contains the actual and the expected definition."""
        report = check(make_edited(tmp_path / "wallets.db", DRIFTS[drift].edits))
        assert message in [finding.message for finding in report.findings]

    def test_is_reported_in_a_fixed_order(self, tmp_path: Path) -> None:
        """Differences in several keys of one table are reported in alphabetical order."""
        edits = [
            ("wallet_id TEXT NOT NULL REFERENCES wallets(id) ON DELETE RESTRICT", "wallet_id TEXT NOT NULL"),
            ("session_id TEXT REFERENCES sessions(id) ON DELETE SET NULL", "session_id TEXT"),
            ("parent_id TEXT REFERENCES transactions(id) ON DELETE CASCADE", "parent_id TEXT"),
        ]
        report = check(make_edited(tmp_path / "wallets.db", edits))
        assert [(each.kind, each.details["key"].split(" ")[0]) for each in report.findings] == [
            ("missing_foreign_key", "(parent_id)"),
            ("missing_foreign_key", "(session_id)"),
            ("missing_foreign_key", "(wallet_id)"),
        ]

    @pytest.mark.parametrize("table", TABLES)
    def test_a_missing_table_is_found(self, tmp_path: Path, table: str) -> None:
        """Every missing table is found."""
        path = make_edited(tmp_path / "wallets.db", [])
        execute(path, f"DROP TABLE {table}")
        assert found(path) == [("missing_table", table, [])]
        assert [finding.message for finding in check(path).findings] == [f"table {table} is missing"]

    @pytest.mark.parametrize(
        ("table", "column"),
        [
            ("sessions", "id"),
            ("sessions", "revoked_at"),
            ("session_wallets", "is_default"),
            ("session_wallets", "session_id"),
        ],
    )
    def test_a_missing_column_of_the_links_is_found(self, tmp_path: Path, table: str, column: str) -> None:
        """A missing column is found even if the links cannot be checked without it."""
        path = make_edited(tmp_path / "wallets.db", [])
        execute(path, f"ALTER TABLE {table} RENAME COLUMN {column} TO renamed")
        findings = found(path)
        assert ("missing_column", f"{table}.{column}", []) in findings
        assert ("extra_column", f"{table}.renamed", []) in findings

    def test_a_parent_without_its_key_is_found(self, tmp_path: Path) -> None:
        """A parent without its key is found even if the foreign keys cannot be checked."""
        key = ("CREATE TABLE wallets (\n  id TEXT PRIMARY KEY", "CREATE TABLE wallets (\n  id TEXT")
        findings = found(make_edited(tmp_path / "wallets.db", [key]))
        assert ("primary_key", "wallets.id", []) in findings
        assert ("missing_unique", "UNIQUE (id)", []) in findings
        mismatched = [where for kind, where, _ in findings if kind == "foreign_key_mismatch"]
        assert mismatched == ["policies", "session_wallets", "transactions", "wc_sessions"]
        messages = [each.message for each in check(tmp_path / "wallets.db").findings]
        assert any("foreign key mismatch" in message and '"policies"' in message for message in messages)

    def test_a_table_of_a_missing_module_is_a_note(self, current: Path) -> None:
        """A virtual table whose module is missing in this SQLite is a note, and hides no other finding."""
        execute(
            current,
            "CREATE VIEW v AS SELECT id FROM wallets",
            "PRAGMA writable_schema = ON",
            "INSERT INTO sqlite_master VALUES"
            " ('table', 'ghost', 'ghost', 0, 'CREATE VIRTUAL TABLE ghost USING nowhere (a)')",
        )
        assert found(current) == [("extra_table", "ghost", []), ("extra_view", "v", [])]

    def test_is_not_checked_at_an_older_version(self, v18: Path) -> None:
        """Differences of a version-18 file from the models are not findings."""
        execute(v18, "CREATE TABLE notes (body TEXT)", "DROP INDEX idx_wallets_status", "DROP TABLE wc_store")
        assert found(v18) == []


def link(session: str, wallet: str, default: int = 0) -> str:
    return f"INSERT INTO session_wallets VALUES ('{session}', '{wallet}', {default}, 1)"


def new_session(id_: str, revoked_at: str = "NULL") -> str:
    return (
        "INSERT INTO sessions (id, token_hash, expires_at, absolute_expires_at, created_at, revoked_at)"
        f" VALUES ({id_}, 'hash', 1, 2, 3, {revoked_at})"
    )


class TestLinks:
    """The seeded sessions have one link each; those numbered 2, 5, 8 and 11 are not revoked."""

    ACTIVE, REVOKED = (2, 5, 8, 11), (0, 1, 3, 4)

    @pytest.mark.parametrize(
        ("kind", "statement"),
        [
            ("session_without_wallet", "DELETE FROM session_wallets WHERE session_id = '{session}'"),
            ("session_without_default", "UPDATE session_wallets SET is_default = 0 WHERE session_id = '{session}'"),
            (
                "session_with_many_defaults",
                "INSERT INTO session_wallets SELECT '{session}', id, 1, 1 FROM wallets WHERE id NOT IN"
                " (SELECT wallet_id FROM session_wallets WHERE session_id = '{session}') LIMIT 1",
            ),
        ],
    )
    @pytest.mark.parametrize("count", [1, 3])
    def test_a_session_has_a_wallet_and_one_default(
        self, current: Path, kind: str, statement: str, count: int
    ) -> None:
        """Each session that breaks the invariant is found by its id, except revoked sessions."""
        ids = [session_id(number) for number in self.ACTIVE[:count]]
        revoked = [session_id(number) for number in self.REVOKED]
        execute(current, *(statement.format(session=each) for each in ids + revoked))
        report = check(current)
        assert without_messages(report) == [(kind, "session_wallets", sorted(ids))]
        (finding,) = report.findings
        assert all(each in finding.message for each in ids)
        assert not any(each in finding.message for each in revoked)
        assert not report.ok

    def test_several_wallets_with_one_default_are_valid(self, current: Path) -> None:
        """A session may have many links as long as one of them is its default."""
        execute(current, *(link(session_id(2), wallet_id(number)) for number in range(5, 12)))
        assert found(current) == []

    def test_any_number_but_0_is_a_default(self, current: Path) -> None:
        """A stored flag other than 0 counts as a default, as in the models."""
        execute(current, f"UPDATE session_wallets SET is_default = 2 WHERE session_id = '{session_id(2)}'")
        assert found(current) == []
        execute(current, f"UPDATE session_wallets SET is_default = 0 WHERE session_id = '{session_id(2)}'")
        execute(current, link(session_id(2), wallet_id(9), default=-1))
        assert found(current) == []

    def test_only_the_revocation_time_decides(self, current: Path) -> None:
        """Only `revoked_at`, even if it is 0, decides whether the session is a finding."""
        execute(current, new_session("'s'", revoked_at="0"))
        assert found(current) == []
        execute(current, "UPDATE sessions SET revoked_at = NULL WHERE id = 's'")
        assert found(current) == [("session_without_wallet", "session_wallets", ["s"])]

    def test_all_three_kinds_at_once(self, current: Path) -> None:
        """The three kinds are reported separately in one file."""
        execute(
            current,
            new_session("'a'"),
            new_session("'b'"),
            new_session("'c'"),
            link("b", wallet_id(0)),
            link("b", wallet_id(1)),
            link("c", wallet_id(0), default=1),
            link("c", wallet_id(1), default=1),
            link("c", wallet_id(2)),
        )
        assert found(current) == [
            ("session_with_many_defaults", "session_wallets", ["c"]),
            ("session_without_default", "session_wallets", ["b"]),
            ("session_without_wallet", "session_wallets", ["a"]),
        ]

    def test_many_ids_are_all_in_the_rows_and_few_in_the_message(self, current: Path) -> None:
        """All ids are in the finding's rows, in order; the message is short and has the number of the others."""
        ids = [f"s-{number:03}" for number in range(40)]
        execute(current, *(new_session(f"'{each}'") for each in reversed(ids)))
        (finding,) = check(current).findings
        assert finding.rows == ids
        assert "s-000" in finding.message
        assert "s-039" not in finding.message
        assert "+35" in finding.message

    @pytest.mark.parametrize("id_", ["NULL", "x'ff00'"], ids=["null", "blob"])
    def test_a_session_whose_id_is_not_text_is_found_too(self, current: Path, id_: str) -> None:
        """SQLite allows NULL and BLOBs as keys; such a session is found, and the report can be serialized as JSON."""
        execute(current, new_session(id_))
        report = check(current)
        not_text = [("not_text", 1)] if id_ != "NULL" else []
        found = sorted((each.kind, len(each.rows)) for each in report.findings)
        assert found == [*not_text, ("session_without_wallet", 1)]
        assert json.loads(json.dumps(report.to_dict()))["ok"] is False

    def test_an_upgraded_session_without_a_wallet_is_reported(self, v18: Path) -> None:
        """`check` reports a session that had no wallet before the upgrade and still has no wallet."""
        orphan = session_id(2)
        execute(v18, f"UPDATE sessions SET wallet_id = 'nobody' WHERE id = '{orphan}'")
        waiaas.connect(v18, skip_orphans=True).close()
        assert found(v18) == [("session_without_wallet", "session_wallets", [orphan])]


class TestValues:
    @pytest.mark.parametrize(
        ("value", "is_time"),
        [
            ("-62135596800", True),
            ("-62135596801", False),
            ("253402300799", True),
            ("253402300800", False),
            ("1700000000000", False),
            ("1700000000.5", True),
            ("9e999", False),
            ("'2023-11-14T22:13:20Z'", False),
            ("x'00'", False),
        ],
    )
    @pytest.mark.parametrize("column", ["sessions.expires_at", "sessions.revoked_at", "audit_log.timestamp"])
    def test_values_that_are_not_times_are_found(self, current: Path, column: str, value: str, is_time: bool) -> None:
        """A time is Unix seconds of the years 1 to 9999, in every time column; invalid rows are reported."""
        table, name = column.split(".")
        execute(current, f"UPDATE {table} SET {name} = {value} WHERE rowid IN (7, 4)")
        assert found(current) == ([] if is_time else [("invalid_time", column, [4, 7])])

    @pytest.mark.parametrize(
        ("value", "is_json"),
        [
            ("'{}'", True),
            ("'null'", True),
            ("' [1] '", True),
            ("''", False),
            ("'{'", False),
            ("'[object Object]'", False),
        ],
    )
    @pytest.mark.parametrize("column", ["sessions.constraints", "policies.rules", "wc_sessions.namespaces"])
    def test_values_that_are_not_json_are_found(self, current: Path, column: str, value: str, is_json: bool) -> None:
        """A JSON column contains JSON text, or NULL if allowed."""
        table, name = column.split(".")
        execute(current, f"UPDATE {table} SET {name} = {value} WHERE rowid = 3")
        kind = "invalid_limits" if column == "sessions.constraints" and "[1]" in value else "invalid_json"
        assert found(current) == ([] if is_json and kind == "invalid_json" else [(kind, column, [3])])

    @pytest.mark.parametrize(
        ("column", "value", "kind"),
        [
            ("sessions.token_hash", "x'41'", "not_text"),
            ("wallets.name", "x'41'", "not_text"),
            ("wallets.public_key", "x'ff'", "not_text"),
            ("key_value_store.value", "x'41'", "not_text"),
            ("sessions.renewal_count", "'many'", "invalid_count"),
            ("sessions.renewal_count", "1.5", "invalid_count"),
            ("sessions.max_renewals", "x'01'", "invalid_count"),
            ("sessions.constraints", "'\"none\"'", "invalid_limits"),
            ("sessions.constraints", "'5'", "invalid_limits"),
            ("audit_log.actor", "x'41'", None),
        ],
    )
    def test_values_of_rights_have_their_type(self, current: Path, column: str, value: str, kind: str | None) -> None:
        """In tables that grant rights, text is text, a count an integer, and constraints an object."""
        table, name = column.split(".")
        execute(current, f"UPDATE {table} SET {name} = {value} WHERE rowid = 3")
        assert found(current) == ([] if kind is None else [(kind, column, [3])])

    @pytest.mark.parametrize(
        ("value", "is_text"),
        [
            ("CAST(x'ff41' AS TEXT)", False),
            ("CAST(x'41c3' AS TEXT)", False),
            ("CAST(x'80' AS TEXT)", False),
            ("CAST(x'eda080' AS TEXT)", False),
            ("'지갑 🔑'", True),
            ("''", True),
            ("char(0) || 'x'", True),
        ],
    )
    @pytest.mark.parametrize("column", ["wallets.name", "audit_log.actor", "key_value_store.value"])
    def test_text_that_is_not_utf_8_is_found(self, current: Path, column: str, value: str, is_text: bool) -> None:
        """Text must be UTF-8, because Python's driver requires it."""
        table, name = column.split(".")
        execute(current, f"UPDATE {table} SET {name} = {value} WHERE rowid IN (9, 3)")
        assert found(current) == ([] if is_text else [("invalid_text", column, [3, 9])])

    def test_a_table_without_rowids_is_reported_by_its_key(self, tmp_path: Path) -> None:
        """If a table has no rowids, the finding contains primary keys."""
        path = make_edited(tmp_path / "wallets.db", DRIFTS["without-rowid"].edits)
        execute(
            path, "INSERT INTO wc_store (key, value) VALUES ('b', CAST(x'ff' AS TEXT)), ('a', CAST(x'ff' AS TEXT))"
        )
        assert ("invalid_text", "wc_store.value", ["a", "b"]) in found(path)

    def test_an_id_that_is_not_utf_8_is_found(self, current: Path) -> None:
        """If links cannot be read because of invalid text, that text is among the findings."""
        execute(current, "UPDATE sessions SET id = CAST(x'ff' AS TEXT), revoked_at = NULL WHERE rowid = 2")
        assert ("invalid_text", "sessions.id", [2]) in found(current)

    @pytest.mark.parametrize("version", [1, 18])
    def test_text_of_an_old_file_is_checked_too(self, tmp_path: Path, version: int) -> None:
        """Text that an upgrade keeps and no service could read is found before the upgrade."""
        path = make_file(tmp_path / "wallets.db", version)
        execute(path, "UPDATE sessions SET token_hash = CAST(x'ff' AS TEXT) WHERE rowid = 5")
        assert found(path) == [("invalid_text", "sessions.token_hash", [5])]

    def test_several_columns_of_one_row_are_separate_findings(self, current: Path) -> None:
        """Each column is a separate finding with its own rows."""
        execute(
            current,
            "UPDATE sessions SET constraints = 'x', created_at = 'then' WHERE rowid = 2",
            "UPDATE sessions SET created_at = 1e15 WHERE rowid = 5",
        )
        assert found(current) == [
            ("invalid_json", "sessions.constraints", [2]),
            ("invalid_time", "sessions.created_at", [2, 5]),
        ]

    def test_every_time_and_json_column_is_checked(self, current: Path) -> None:
        """Every time and JSON column of the 16 tables is checked."""
        columns = {
            f"{model._meta.table_name}.{field.column_name}"
            for model in MODELS
            for field in model._meta.sorted_fields
            if isinstance(field, (UTCDateTime, JSONText))
        }
        execute(
            current, *(f"UPDATE {table} SET {name} = '{{'" for table, name in (each.split(".") for each in columns))
        )
        assert {where for kind, where, _ in found(current) if kind.startswith("invalid")} == columns
        assert len(columns) > 30

    def test_the_other_columns_of_an_incomplete_table_are_checked(self, current: Path) -> None:
        """A missing column is one finding, and the values of the other columns are still checked."""
        execute(current, "UPDATE wc_sessions SET expiry = 'x'", "ALTER TABLE wc_sessions DROP COLUMN namespaces")
        assert [(kind, where) for kind, where, _ in found(current)] == [
            ("invalid_time", "wc_sessions.expiry"),
            ("missing_column", "wc_sessions.namespaces"),
        ]

    @pytest.mark.parametrize("version", [1, 3, 18])
    def test_an_old_file_is_checked_too(self, tmp_path: Path, version: int) -> None:
        """A value that an upgrade keeps and no service could read is found before the upgrade."""
        path = make_file(tmp_path / "wallets.db", version)
        execute(
            path,
            "UPDATE sessions SET expires_at = expires_at * 1000, constraints = '' WHERE rowid = 2",
            "DROP TABLE notification_logs" if version > 1 else "DROP TABLE audit_log",
        )
        assert found(path) == [
            ("invalid_json", "sessions.constraints", [2]),
            ("invalid_time", "sessions.expires_at", [2]),
        ]


class TestForeignKeys:
    @pytest.mark.parametrize("version", [18, LATEST])
    @pytest.mark.parametrize(
        ("table", "column", "parent"),
        [
            ("transactions", "wallet_id", "wallets"),
            ("transactions", "session_id", "sessions"),
            ("transactions", "parent_id", "transactions"),
            ("policies", "wallet_id", "wallets"),
            ("pending_approvals", "tx_id", "transactions"),
            ("wc_sessions", "wallet_id", "wallets"),
        ],
    )
    def test_rows_that_reference_missing_rows_are_found(
        self, tmp_path: Path, version: int, table: str, column: str, parent: str
    ) -> None:
        """At any version, the rowids of rows that reference a missing row are found, by table and parent."""
        path = make_file(tmp_path / "wallets.db", version)
        execute(path, f"UPDATE {table} SET {column} = 'nobody-' || rowid WHERE rowid IN (4, 7)")
        report = check(path)
        assert without_messages(report) == [("foreign_key_violation", table, [4, 7])]
        (finding,) = report.findings
        assert finding.message == (
            f"foreign-key violations in {table}, rows that refer to a missing row of {parent}: 2"
        )
        assert finding.details == {"parent": parent}

    def test_links_that_reference_missing_rows_are_found(self, current: Path) -> None:
        """A link to a missing wallet and a link of a missing session are separate findings."""
        execute(current, link(session_id(2), "nobody"), link("nothing", wallet_id(0)))
        report = check(current)
        assert without_messages(report) == [
            ("foreign_key_violation", "session_wallets", [13]),
            ("foreign_key_violation", "session_wallets", [14]),
        ]
        messages = " ".join(finding.message for finding in report.findings)
        assert "missing row of wallets: 1" in messages
        assert "missing row of sessions: 1" in messages

    def test_a_session_of_a_missing_wallet_is_found_at_version_18(self, v18: Path) -> None:
        """A session that would block the upgrade is found before it."""
        execute(v18, f"UPDATE sessions SET wallet_id = 'nobody' WHERE id = '{session_id(3)}'")
        assert found(v18) == [("foreign_key_violation", "sessions", [4])]

    def test_rows_of_a_dropped_parent_are_found(self, current: Path) -> None:
        """If the parent table is missing, each row that references it is found in addition to the missing table."""
        execute(current, "DROP TABLE transactions")
        assert found(current) == [
            ("foreign_key_violation", "pending_approvals", list(range(1, 13))),
            ("missing_table", "transactions", []),
        ]

    def test_a_null_reference_is_valid(self, current: Path) -> None:
        """A NULL reference is not a finding."""
        execute(
            current,
            "UPDATE transactions SET session_id = NULL, parent_id = NULL",
            "UPDATE policies SET wallet_id = NULL",
        )
        assert found(current) == []


class TestDamage:
    @pytest.mark.parametrize("version", [18, LATEST])
    def test_a_row_that_breaks_its_check_is_found(self, tmp_path: Path, version: int) -> None:
        """A value that violates the table's own CHECK is found at any version."""
        path = make_file(tmp_path / "wallets.db", version)
        execute(path, "PRAGMA ignore_check_constraints = ON", "UPDATE wallets SET chain = 'bitcoin' WHERE rowid = 1")
        report = check(path)
        assert without_messages(report) == [("damage", "file", [])]
        assert "wallets" in report.findings[0].message

    def test_a_wrong_header_is_found(self, current: Path) -> None:
        """A wrong count of free pages in the header is found."""
        good = current.read_bytes()
        current.write_bytes(good[:36] + (7).to_bytes(4, "big") + good[40:])
        assert found(current) == [("damage", "file", [])]

    def test_no_page_of_garbage_passes(self, current: Path) -> None:
        """A file with one page of garbage, at any place, is never reported as valid, and is not written to."""
        good = current.read_bytes()
        size = int.from_bytes(good[16:18], "big")
        reports = 0
        for start in range(size, len(good), 4 * size):
            current.write_bytes(good[:start] + b"\xa5" * size + good[start + size :])
            try:
                report = check(current)
            except WAIaaSError as error:
                assert error.reason == "corrupt"
                # SQLite itself gives up.
                with pytest.raises(sqlite3.DatabaseError, match="malformed"):
                    query(current, "PRAGMA quick_check")
            else:
                assert "damage" in {finding.kind for finding in report.findings}, start // size + 1
                reports += 1
        assert reports > 10


class TestHints:
    """Following a hint leaves nothing to find."""

    @pytest.mark.parametrize(
        ("drift", "drop"),
        [
            ("missing-index", None),
            ("index-not-unique", "DROP INDEX idx_transactions_tx_hash"),
            ("index-descending", "DROP INDEX idx_audit_log_timestamp"),
        ],
    )
    def test_an_index(self, tmp_path: Path, drift: str, drop: str | None) -> None:
        """A missing or different index is repaired with the definition from a new database."""
        path, new = make_edited(tmp_path / "wallets.db", DRIFTS[drift].edits), tmp_path / "new.db"
        execute(path, *DRIFTS[drift].statements)
        ((_, index),) = DRIFTS[drift].expected
        (finding,) = check(path).findings
        waiaas.connect(new).close()
        (definition,) = query(new, "SELECT sql FROM sqlite_master WHERE name = ?", index)[0]
        execute(path, *([drop] if drop else []), definition)
        assert ("Drop it" in finding.hint) is bool(drop)
        assert found(path) == []

    def test_a_table(self, tmp_path: Path) -> None:
        """A missing table that never had a row is repaired with the definitions from a new database."""
        path, new = make_edited(tmp_path / "wallets.db", []), tmp_path / "new.db"
        execute(path, "DROP TABLE token_registry")
        waiaas.connect(new).close()
        definitions = query(new, "SELECT sql FROM sqlite_master WHERE tbl_name = 'token_registry' AND sql IS NOT NULL")
        execute(path, *(definition for (definition,) in definitions))
        assert found(path) == []

    def test_milliseconds(self, current: Path) -> None:
        """Times that are 1,000 times too large are repaired by the rowids in the report."""
        execute(current, "UPDATE wallets SET created_at = created_at * 1000 WHERE rowid > 9")
        (finding,) = check(current).to_dict()["findings"]
        assert "1,000 times" in finding["hint"]
        execute(
            current,
            *(f"UPDATE wallets SET created_at = created_at / 1000 WHERE rowid = {row}" for row in finding["rows"]),
        )
        assert found(current) == []

    @pytest.mark.parametrize("revoke", [True, False])
    @pytest.mark.parametrize(
        ("kind", "statement"),
        [
            ("session_without_wallet", "DELETE FROM session_wallets WHERE session_id = '{session}'"),
            ("session_without_default", "UPDATE session_wallets SET is_default = 0 WHERE session_id = '{session}'"),
            ("session_with_many_defaults", "INSERT INTO session_wallets VALUES ('{session}', '{wallet}', 1, 1)"),
        ],
    )
    def test_a_session(self, current: Path, kind: str, statement: str, revoke: bool) -> None:
        """A session without a wallet, or without exactly one default, is repaired as the hint describes."""
        session, wallet = session_id(2), wallet_id(5)
        execute(current, "UPDATE wallets SET status = 'ACTIVE'", statement.format(session=session, wallet=wallet))
        assert [finding.kind for finding in check(current).findings] == [kind]
        database = waiaas.connect(current).peewee
        links = SessionWalletService(database)
        if revoke:
            SessionService(database).revoke(session, actor="admin")
        elif kind == "session_without_wallet":
            links.link(session, wallet, actor="admin")
        else:
            links.set_default(session, links.list(session)[0].id, actor="admin")
        database.close_all()
        assert found(current) == []

    @pytest.mark.parametrize("value", ["''", "'active'", "'NORMAL'", "X'414354495645'", "7"])
    @pytest.mark.parametrize("method", ["recover", "activate"])
    def test_an_unknown_state_of_the_kill_switch(self, current: Path, value: str, method: str) -> None:
        """A stored state that is not in the vocabulary is a problem, which the service repairs."""
        execute(current, f"INSERT OR REPLACE INTO key_value_store VALUES ('kill_switch_state', {value}, 0)")
        kinds = ["kill_switch_state", *(["not_text"] if value.startswith("X") else [])]
        assert [(each.severity, each.kind) for each in check(current).findings] == [
            ("problem", kind) for kind in kinds
        ]
        database = waiaas.connect(current).peewee
        getattr(KillSwitchService(database), method)(actor="sam")
        database.close_all()
        assert found(current) == []

    @pytest.mark.parametrize("state", ["ACTIVE", "SUSPENDED", "LOCKED"])
    def test_a_known_state_of_the_kill_switch(self, current: Path, state: str) -> None:
        """A state that the daemon sets is not a finding."""
        execute(current, f"INSERT OR REPLACE INTO key_value_store VALUES ('kill_switch_state', '{state}', 0)")
        assert found(current) == []


class TestRefused:
    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda path: path.touch(), "empty_database"),
            (
                lambda path: execute(
                    make_file(path, LATEST), f"INSERT INTO schema_version VALUES ({LATEST + 1}, 1, '')"
                ),
                "code_too_old",
            ),
            (lambda path: execute(path, "CREATE TABLE notes (body TEXT)"), "other_program"),
            (lambda path: path.write_text("id,name\n" * 99), "not_a_database"),
        ],
        ids=["empty", "newer", "other-program", "text"],
    )
    def test_a_file_that_is_not_ours(self, tmp_path: Path, make: Callable[[Path], Any], reason: str) -> None:
        """A file that this library cannot use is refused with its reason, and not changed."""
        path = tmp_path / "wallets.db"
        make(path)
        with pytest.raises(WAIaaSError) as caught:
            check(path)
        assert caught.value.reason == reason

    @pytest.mark.parametrize("pragma", ["integrity_check", "foreign_key_check", "table_xinfo"])
    def test_a_locked_file(self, current: Path, pragma: str) -> None:
        """A lock that another connection holds is a retryable refusal and not a finding."""
        with (
            closing(SqliteDatabase(current, timeout=0.05)) as database,
            closing(sqlite3.connect(current, isolation_level=None)) as other,
        ):

            def lock(statement: str) -> None:
                if (pragma in statement) != other.in_transaction:
                    other.execute("BEGIN EXCLUSIVE" if pragma in statement else "ROLLBACK")

            database.connection().set_trace_callback(lock)
            with pytest.raises(WAIaaSError) as caught:
                waiaas.check(database)
        assert (caught.value.reason, caught.value.retryable) == ("database_busy", True)
        assert found(current) == []

    def test_another_backend(self) -> None:
        """A database that is not SQLite is refused."""
        with pytest.raises(WAIaaSError) as caught:
            waiaas.check(PostgresqlDatabase("wallets"))
        assert caught.value.reason == "not_sqlite"


class TestReport:
    NOTED = Finding("note", "extra_table", "notes")
    BROKEN = Finding("problem", "foreign_key_violation", "policies", [3], {"parent": "wallets"})

    @pytest.mark.parametrize(
        ("findings", "ok"), [([], True), ([NOTED], True), ([BROKEN], False), ([NOTED, BROKEN], False)]
    )
    def test_ok_is_the_absence_of_problems(self, findings: list[Finding], ok: bool) -> None:
        """A report is ok unless a finding is a problem."""
        assert CheckReport(LATEST, LATEST, findings).ok is ok

    def test_to_dict_is_json(self, current: Path) -> None:
        """The report as a dictionary contains everything in plain JSON values."""
        execute(
            current, "CREATE TABLE notes (body)", "DELETE FROM session_wallets", "DELETE FROM wallets WHERE rowid = 12"
        )
        report = check(current)
        without_messages = json.loads(json.dumps(report.to_dict()))
        assert sorted(without_messages) == ["findings", "latest_version", "ok", "version"]
        versions = (without_messages["version"], without_messages["latest_version"])
        assert (without_messages["ok"], *versions) == (False, LATEST, LATEST)
        assert [(each["severity"], each["kind"], each["where"]) for each in without_messages["findings"]] == [
            ("problem", "foreign_key_violation", "wc_sessions"),
            ("note", "extra_table", "notes"),
            ("problem", "session_without_wallet", "session_wallets"),
        ]
        keys = ["severity", "kind", "where", "message", "hint", "rows", "details"]
        assert [list(each) for each in without_messages["findings"]] == [keys] * 3
        assert [each["message"] for each in without_messages["findings"]] == [each.message for each in report.findings]
        assert [each["hint"] for each in without_messages["findings"]] == [each.hint for each in report.findings]
        assert without_messages["findings"][2]["rows"] == sorted(session_id(number) for number in (2, 5, 8, 11))

    def test_to_dict_returns_copies(self) -> None:
        """Changing the dictionary does not change the report."""
        report = CheckReport(LATEST, LATEST, [self.BROKEN])
        without_messages = report.to_dict()
        without_messages["findings"][0]["rows"].append(4)
        without_messages["findings"][0]["details"].clear()
        without_messages["findings"].clear()
        assert report.findings == [self.BROKEN]
        assert (self.BROKEN.rows, self.BROKEN.details) == ([3], {"parent": "wallets"})

    def test_to_dict_in_korean(self) -> None:
        """Message and hint are in the requested language; the values for programs are the same in each."""
        english, korean = (
            CheckReport(LATEST, LATEST, [self.BROKEN, self.NOTED]).to_dict(lang) for lang in ("en", "ko")
        )
        broken, noted = korean["findings"]
        assert broken["message"] == (
            "policies 테이블에 외래 키 위반이 있습니다. wallets 테이블에 없는 행을 참조하는 행 수: 1."
        )
        assert broken["hint"].startswith("없어진 행을 백업에서 되살리거나,")
        assert noted["message"] == "notes 테이블은 WAIaaS의 테이블이 아닙니다."
        for report in (english, korean):
            for finding in report["findings"]:
                del finding["message"], finding["hint"]
        assert english == korean

    def test_to_dict_refuses_an_unknown_language(self) -> None:
        """An unknown language is refused with the list of known ones."""
        with pytest.raises(ValueError, match=r"'fr'.*en, ko"):
            self.NOTED.to_dict("fr")

    def test_an_id_that_is_not_text_is_written_as_in_sql(self) -> None:
        """An id stored as bytes is written the same in the message and in the rows."""
        finding = Finding("problem", "session_without_wallet", "session_wallets", [b"\xff\0", "s"])
        assert finding.message.endswith(": x'ff00', s")
        assert finding.to_dict()["rows"] == ["x'ff00'", "s"]
