"""User objects and unusual rows never silently change or lose anything in an upgrade."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.old_files import dump, execute, make_file, query, session_id, wallet_id
from support.refusals import refused_upgrade

import waiaas
from waiaas import WAIaaSError
from waiaas.migrations.opening import open_to_change


def upgrade(path: Path, **options: bool) -> waiaas.UpgradeReport:
    with open_to_change(path) as database:
        return waiaas.upgrade(database, backup=False, **options)


def refused(path: Path, reason: str) -> WAIaaSError:
    error = refused_upgrade(path, backup=False)
    assert error.reason == reason, error
    return error


WRITTEN = {
    "the version row": (18, "INSERT", "schema_version", "version"),
    "the kill switch": (13, "UPDATE", "key_value_store", "value"),
    "the network of a transaction": (5, "UPDATE", "transactions", "network"),
    "the events of the audit log": (2, "UPDATE", "audit_log", "event_type"),
}
INTERFERING = {
    "ignores it": "BEFORE {event} ON {table} BEGIN SELECT RAISE(IGNORE); END",
    "forbids it": "BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END",
    "rolls it back": "AFTER {event} ON {table} BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
    "deletes the row": "AFTER {event} ON {table} BEGIN DELETE FROM {table} WHERE rowid = new.rowid; END",
    "changes it again": (
        "AFTER {event} ON {table} WHEN new.{column} <> -1"
        " BEGIN UPDATE {table} SET {column} = -1 WHERE rowid = new.rowid; END"
    ),
    "needs a function of the program": "AFTER {event} ON {table} BEGIN SELECT mine(new.rowid); END",
}


def with_rows_to_change(folder: Path, version: int) -> Path:
    """Make a file of a version with rows that the next migration changes."""
    path = make_file(folder / "wallets.db", version)
    if version == 13:
        execute(path, "INSERT INTO key_value_store VALUES ('kill_switch_state', 'ACTIVATED', 1)")
    if version == 2:
        execute(path, "UPDATE audit_log SET event_type = 'AGENT_CREATED'")
    return path


@pytest.mark.parametrize("head", INTERFERING.values(), ids=INTERFERING)
@pytest.mark.parametrize(("version", "event", "table", "column"), WRITTEN.values(), ids=WRITTEN)
def test_a_trigger_that_changes_what_a_migration_writes_is_refused(
    tmp_path: Path, version: int, event: str, table: str, column: str, head: str
) -> None:
    """A trigger that changes the rows that a migration writes is refused by name, and the file is unchanged."""
    path = with_rows_to_change(tmp_path, version)
    execute(path, f"CREATE TRIGGER mine {head.format(event=event, table=table, column=column)}")
    error = refused(path, "dependent_object")
    assert ((error.details or {})["name"], (error.details or {})["table"]) == ("mine", table)


@pytest.mark.parametrize(("version", "event", "table", "column"), WRITTEN.values(), ids=WRITTEN)
def test_triggers_fire_for_the_rows_that_a_migration_writes(
    tmp_path: Path, version: int, event: str, table: str, column: str
) -> None:
    """A user's trigger fires for each row that an upgrade changes, as it does for other programs."""
    path = with_rows_to_change(tmp_path, version)
    execute(
        path,
        "CREATE TABLE heard (row)",
        f"CREATE TRIGGER mine AFTER {event} ON {table} BEGIN INSERT INTO heard VALUES (new.rowid); END",
    )
    upgrade(path)
    expected = {18: waiaas.LATEST_SCHEMA_VERSION - 18, 13: 1, 5: 12, 2: 12}[version]
    assert query(path, "SELECT count(DISTINCT row) FROM heard") == [(expected,)]


def test_a_full_text_index_of_the_audit_log_is_kept(tmp_path: Path) -> None:
    """A full-text index maintained by triggers matches the rows after version 3 has renamed events."""
    path = make_file(tmp_path / "wallets.db", 2)
    execute(
        path,
        "UPDATE audit_log SET event_type = 'AGENT_CREATED'",
        "CREATE VIRTUAL TABLE found USING fts5 (event_type, content='audit_log', content_rowid='id')",
        "INSERT INTO found (found) VALUES ('rebuild')",
        "CREATE TRIGGER found_update AFTER UPDATE ON audit_log BEGIN"
        " INSERT INTO found (found, rowid, event_type) VALUES ('delete', old.id, old.event_type);"
        " INSERT INTO found (rowid, event_type) VALUES (new.id, new.event_type); END",
    )
    upgrade(path)
    execute(path, "INSERT INTO found (found, rank) VALUES ('integrity-check', 1)")
    assert query(path, "SELECT count(*) FROM found WHERE found MATCH 'WALLET_CREATED'") == [(12,)]
    assert query(path, "SELECT count(*) FROM found WHERE found MATCH 'AGENT_CREATED'") == [(0,)]


def test_a_broken_trigger_on_written_rows_does_not_block(tmp_path: Path) -> None:
    """A broken trigger that nothing fires is kept, and does not block the upgrade."""
    path = make_file(tmp_path / "wallets.db", 2)
    execute(path, "UPDATE audit_log SET event_type = 'AGENT_CREATED'")
    stale = "CREATE TRIGGER stale AFTER UPDATE ON audit_log BEGIN INSERT INTO gone VALUES (1); END"
    execute(path, stale)
    upgrade(path)
    assert query(path, "SELECT sql FROM sqlite_master WHERE name = 'stale'") == [(stale,)]


@pytest.mark.parametrize(
    ("event", "deleted"), [("BEFORE DELETE", "SELECT RAISE(IGNORE)"), ("AFTER DELETE", "SELECT RAISE(ABORT, 'no')")]
)
def test_a_trigger_that_protects_the_version_row_is_refused(tmp_path: Path, event: str, deleted: str) -> None:
    """A downgrade whose version row a trigger protects is refused with the trigger's name, and changes nothing."""
    path = make_file(tmp_path / "wallets.db", 19)
    execute(path, f"CREATE TRIGGER mine {event} ON schema_version BEGIN {deleted}; END")
    before = path.read_bytes()
    with open_to_change(path) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.downgrade(database, 18, backup=False)
    assert (caught.value.reason, (caught.value.details or {})["name"]) == ("dependent_object", "mine")
    assert path.read_bytes() == before


def test_a_temporary_table_of_the_same_name_is_refused(v18: Path) -> None:
    """A connection with a temporary table that hides one of the file is refused."""
    before = dump(v18)
    with open_to_change(v18) as database:
        database.execute_sql("CREATE TEMP TABLE sessions (id, wallet_id, note)")
        with pytest.raises(WAIaaSError) as caught:
            waiaas.upgrade(database, backup=False)
        assert (caught.value.reason, (caught.value.details or {})["table"]) == ("rebuild_refused", "sessions")
        assert "temporary" in str(caught.value)
    assert dump(v18) == before


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX mine ON waiaas_rebuild_sessions (id)",
        "CREATE TRIGGER mine AFTER INSERT ON waiaas_rebuild_sessions BEGIN SELECT 1; END",
        "CREATE TABLE mine (x REFERENCES waiaas_rebuild_sessions (id))",
        "CREATE VIEW mine AS SELECT id FROM waiaas_rebuild_sessions",
    ],
)
def test_an_empty_leftover_that_something_depends_on_is_refused(v18: Path, statement: str) -> None:
    """An empty table with the name of a rebuild is removed only if no user object depends on it."""
    execute(v18, "CREATE TABLE waiaas_rebuild_sessions AS SELECT * FROM sessions WHERE 0", statement)
    refused(v18, "leftover_table")


NEEDED = {
    "NATURAL JOIN": [
        "CREATE TABLE notes (wallet_id, txt)",
        "CREATE VIEW mine AS SELECT txt, sessions.id FROM notes NATURAL JOIN sessions",
    ],
    "JOIN USING": [
        "CREATE TABLE notes (wallet_id, txt)",
        "CREATE VIEW mine AS SELECT txt FROM notes JOIN sessions USING (wallet_id)",
    ],
    "full text of another table": ["CREATE VIRTUAL TABLE mine USING fts5 (wallet_id, token_hash, content='sessions')"],
    "a function of the program's own": [
        "CREATE TABLE arch AS SELECT * FROM sessions WHERE 0",
        "CREATE TRIGGER mine AFTER INSERT ON wallets WHEN myfn() = 1 BEGIN"
        " INSERT INTO arch SELECT * FROM sessions; END",
    ],
    "a positional insert": [
        "CREATE TRIGGER mine AFTER INSERT ON wallets BEGIN"
        " INSERT INTO sessions VALUES (myfn(), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12); END",
    ],
    "a view of all and a function": ["CREATE VIEW mine AS SELECT *, myfn() AS f FROM sessions"],
    "a string for a name": ["CREATE INDEX mine ON sessions ('wallet_id')"],
}  # fmt: skip


@pytest.mark.parametrize("statements", NEEDED.values(), ids=NEEDED)
def test_hidden_dependencies_on_the_column_are_refused(v18: Path, statements: list[str]) -> None:
    """Dependencies that SQLite itself does not report are found."""
    execute(v18, *statements)
    assert "mine" in str(refused(v18, "dependent_object"))


NEEDED_EARLIER = {
    "a quoted name in a view": (5, 'CREATE VIEW mine AS SELECT id, "network" AS n FROM wallets'),
    "a quoted name in an index": (5, "CREATE UNIQUE INDEX mine ON wallets (name) WHERE \"network\" = 'mainnet'"),
    "a trigger on the column": (5, "CREATE TRIGGER mine AFTER UPDATE OF network ON wallets BEGIN SELECT 1; END"),
}


@pytest.mark.parametrize(("version", "statement"), NEEDED_EARLIER.values(), ids=NEEDED_EARLIER)
def test_columns_that_earlier_versions_drop_are_checked_too(tmp_path: Path, version: int, statement: str) -> None:
    """An object that needs wallets.network, which version 7 replaces, is refused by its name."""
    path = make_file(tmp_path / "wallets.db", version)
    execute(path, statement)
    assert "mine" in str(refused(path, "dependent_object"))


def test_an_added_column_that_breaks_an_insert_is_refused(tmp_path: Path) -> None:
    """A trigger that copies whole rows, and would fail after a column is added, is named."""
    path = make_file(tmp_path / "wallets.db", 17)
    execute(
        path,
        "CREATE TABLE arch AS SELECT * FROM wallets WHERE 0",
        "CREATE TRIGGER mine BEFORE DELETE ON wallets BEGIN INSERT INTO arch SELECT * FROM wallets; END",
    )
    assert "mine" in str(refused(path, "dependent_object"))


@pytest.mark.parametrize(
    ("version", "table", "old", "new", "named"),
    [
        (9, "notification_logs", "error TEXT", "error TEXT COLLATE NOCASE DEFAULT 'none'", "COLLATE NOCASE"),
        (9, "notification_logs", "error TEXT", "error TEXT CONSTRAINT short CHECK (length(error) < 500)", "short"),
        (9, "notification_logs", "error TEXT", "error /* no secrets */ TEXT", "/* no secrets */"),
        (5, "policies", "enabled INTEGER NOT NULL DEFAULT 1",
         "enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1))", "CHECK"),
        (18, "sessions", "ON DELETE CASCADE", "ON DELETE CASCADE CHECK (length(token_hash) > 1)", "token_hash"),
    ],
)  # fmt: skip
def test_a_clause_inside_a_column_that_changes_is_not_lost(
    tmp_path: Path, version: int, table: str, old: str, new: str, named: str
) -> None:
    """A user's own clause or comment in a column that a version redefines is refused and quoted."""
    path = make_file(tmp_path / "wallets.db", version)
    (sql,) = query(path, "SELECT sql FROM sqlite_master WHERE name = ?", table)[0]
    assert old in sql
    changed = sql.replace(old, new, 1).replace("'", "''")
    execute(
        path,
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_master SET sql = '{changed}' WHERE name = '{table}'",
    )
    with pytest.raises(WAIaaSError) as caught:
        upgrade(path)
    assert named in str(caught.value)
    assert query(path, "SELECT max(version) FROM schema_version") == [(version,)]


def test_comments_of_other_columns_are_kept(tmp_path: Path) -> None:
    """A comment before the column after sessions.wallet_id is kept by the upgrade."""
    path = make_file(tmp_path / "wallets.db")
    (sql,) = query(path, "SELECT sql FROM sqlite_master WHERE name = 'sessions'")[0]
    changed = sql.replace("  token_hash", "  -- the hash of the token\n  token_hash").replace("'", "''")
    execute(path, "PRAGMA writable_schema = ON", f"UPDATE sqlite_master SET sql = '{changed}' WHERE name = 'sessions'")
    upgrade(path)
    (after,) = query(path, "SELECT sql FROM sqlite_master WHERE name = 'sessions'")[0]
    assert "-- the hash of the token\n  token_hash" in after


@pytest.mark.parametrize("version", [1, 18])
def test_a_broken_view_does_not_block(tmp_path: Path, version: int) -> None:
    """A broken view or trigger does not block an upgrade, and is unchanged."""
    path = make_file(tmp_path / "wallets.db", version)
    stale = (
        "CREATE VIEW stale AS SELECT * FROM gone",
        "CREATE TRIGGER on_stale INSTEAD OF INSERT ON stale BEGIN SELECT 1; END",
        "CREATE TRIGGER stale_too AFTER INSERT ON policies BEGIN INSERT INTO gone VALUES (1); END",
    )
    execute(path, *stale)
    upgrade(path)
    assert sorted(sql for (sql,) in query(path, "SELECT sql FROM sqlite_master WHERE name LIKE '%stale%'")) == sorted(
        stale
    )
    with open_to_change(path) as database:
        assert waiaas.check(database).ok


def test_a_foreign_key_mismatch_of_a_users_table_does_not_block(v18: Path) -> None:
    """A user's foreign key to columns that are not a key is reported by check, but does not block plan or upgrade."""
    execute(v18, "CREATE TABLE k (a REFERENCES sessions (token_hash))", "INSERT INTO k VALUES (1)")
    with open_to_change(v18) as database:
        assert waiaas.plan(database).obstacles == []
        assert [finding.kind for finding in waiaas.check(database).findings] == ["foreign_key_mismatch"]
    assert upgrade(v18).links_created == 12


def test_collations_of_the_program_do_not_block(v18: Path) -> None:
    """A user's table with a collation of the user's program is copied into the backup and kept."""
    execute(v18, "CREATE TABLE mine (a TEXT)")
    execute(
        v18,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = 'CREATE TABLE mine (a TEXT COLLATE mine_only)' WHERE name = 'mine'",
    )
    with open_to_change(v18) as database:
        report = waiaas.upgrade(database)
    assert report.backup is not None
    assert dump(Path(report.backup)).keys() == dump(v18).keys() - {"session_wallets"}


def test_a_wallet_is_found_with_the_collation_of_its_key(v18: Path) -> None:
    """If wallet ids compare case-insensitively, a session with another case has its wallet."""
    (sql,) = query(v18, "SELECT sql FROM sqlite_master WHERE name = 'wallets'")[0]
    changed = sql.replace("id TEXT PRIMARY KEY", "id TEXT COLLATE NOCASE PRIMARY KEY").replace("'", "''")
    execute(
        v18,
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_master SET sql = '{changed}' WHERE name = 'wallets'",
    )
    execute(v18, "REINDEX", f"UPDATE sessions SET wallet_id = upper(wallet_id) WHERE id = '{session_id(0)}'")
    assert query(v18, "PRAGMA foreign_key_check") == []
    assert upgrade(v18).links_created == 12
    assert query(v18, "SELECT wallet_id FROM session_wallets WHERE session_id = ?", session_id(0)) == [
        (wallet_id(0).upper(),)
    ]


@pytest.mark.slow
def test_ids_that_are_not_text_are_reported_as_text(v18: Path) -> None:
    """A session whose id is a blob is reported in JSON like any other, and the exit code is that of the result."""
    execute(v18, f"UPDATE sessions SET id = x'0102', wallet_id = 'gone' WHERE id = '{session_id(2)}'")
    for options, code in ((["plan"], 1), (["upgrade"], 1), (["upgrade", "--skip-orphans"], 0), (["check"], 5)):
        command = [sys.executable, "-m", "waiaas", options[0], str(v18), "--json", *options[1:]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stderr
        assert "x'0102'" in json.dumps(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE INDEX idx_session_wallets_wallet ON policies (priority)", "idx_session_wallets_wallet"),
        ("CREATE VIEW session_wallets AS SELECT 1 AS x", "session_wallets"),
    ],
)
def test_a_name_that_is_taken_is_refused(v18: Path, statement: str, named: str) -> None:
    """A user's own object with a name that version 19 needs is refused and named."""
    execute(v18, statement)
    assert named in str(refused(v18, "unexpected_schema"))


def test_a_virtual_table_instead_of_one_of_ours_is_refused(v18: Path) -> None:
    """A virtual table named sessions is refused as such."""
    execute(v18, "DROP TABLE sessions", "CREATE VIRTUAL TABLE sessions USING fts5 (id, wallet_id, created_at)")
    assert "virtual" in str(refused(v18, "unexpected_schema"))


def test_white_space_is_that_of_sqlite(tmp_path: Path) -> None:
    """A no-break space is a letter in SQLite: a column whose name starts with one is another column."""
    path = make_file(tmp_path / "wallets.db", 9)
    execute(path, "ALTER TABLE notification_logs ADD COLUMN \u00a0error TEXT COLLATE NOCASE DEFAULT 'mine'")
    upgrade(path)
    (sql,) = query(path, "SELECT sql FROM sqlite_master WHERE name = 'notification_logs'")[0]
    assert "\u00a0error TEXT COLLATE NOCASE DEFAULT 'mine'" in sql
    columns = [row[1] for row in query(path, "PRAGMA table_info(notification_logs)")]
    assert columns[columns.index("error") + 1] == "message"
