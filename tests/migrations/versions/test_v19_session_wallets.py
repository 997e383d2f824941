"""Version 19 on real files: rows that are kept, reports, and refusals with the file unchanged."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from peewee import SqliteDatabase
from support.old_files import (
    contents,
    create_statements,
    dump,
    execute,
    make_file,
    query,
    schema_of,
    session_id,
    wallet_id,
)
from support.refusals import refusal_of

import waiaas
from waiaas import WAIaaSError
from waiaas.ddl import LosslessMigrator
from waiaas.ddl.schema import describe, same_index, same_shape
from waiaas.migrations import history
from waiaas.migrations.opening import open_to_change

LATEST = waiaas.LATEST_SCHEMA_VERSION


@contextmanager
def open_database(path: Path) -> Iterator[SqliteDatabase]:
    with open_to_change(path) as database:
        yield database


def upgrade(path: Path, **options: object) -> waiaas.UpgradeReport:
    with open_database(path) as database:
        return waiaas.upgrade(database, **{"backup": False, **options})


def refused(path: Path, reason: str, **options: object) -> WAIaaSError:
    """Upgrade a file that is refused, and assert that no byte of it or of its folder changes."""
    error = refusal_of(lambda: upgrade(path, **{"backup": True, **options}), lambda: contents(path.parent))
    assert error.reason == reason
    return error


def replace_table(path: Path, table: str, old: str, new: str) -> None:
    """Replace text in the definition of a table, keeping its rows and indexes."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        (sql,) = database.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        assert old in sql
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql.replace(old, new), table))
        database.execute("PRAGMA writable_schema = RESET")


TABLE_LEVEL_KEY = (
    "wallet_id TEXT NOT NULL REFERENCES wallets(id) ON DELETE CASCADE",
    "wallet_id TEXT NOT NULL",
    "source TEXT NOT NULL DEFAULT 'api'",
    "source TEXT NOT NULL DEFAULT 'api', FOREIGN KEY (wallet_id) REFERENCES wallets(id) ON DELETE CASCADE",
)


@pytest.fixture(params=["in place", "table-level key", "old SQLite"])
def any_v18(request: pytest.FixtureRequest, v18: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A version-18 file for each way of dropping the column."""
    if request.param == "table-level key":
        replace_table(v18, "sessions", *TABLE_LEVEL_KEY[:2])
        replace_table(v18, "sessions", *TABLE_LEVEL_KEY[2:])
    if request.param == "old SQLite":
        monkeypatch.setattr(SqliteDatabase, "server_version", (3, 34, 1))
    return v18


def at_version_19(rows: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Return rows without what later versions have added."""
    tables = schema_of(19)
    kept = {
        table: [tuple(pair for pair in row if pair[0] in tables[table]["columns"]) for row in rows[table]]
        for table in tables
    }
    return kept | {"schema_version": [row for row in kept["schema_version"] if dict(row)["version"] <= 19]}


def test_every_row_of_every_table_is_kept(any_v18: Path) -> None:
    """All rows of all tables are equal before and after, except the moved column."""
    before = dump(any_v18)
    upgrade(any_v18, clock=lambda: 1_800_000_000)
    after = at_version_19(dump(any_v18))
    links = after.pop("session_wallets")
    assert links == sorted(
        (
            (
                ("created_at", row["created_at"]),
                ("is_default", 1),
                ("session_id", row["id"]),
                ("wallet_id", row["wallet_id"]),
            )
            for row in map(dict, before["sessions"])
        ),
        key=repr,
    )
    before["sessions"] = sorted(
        (tuple(pair for pair in row if pair[0] != "wallet_id") for row in before["sessions"]), key=repr
    )
    new_version = (("applied_at", 1_800_000_000), ("description", history.DESCRIPTIONS[19]), ("version", 19))
    before["schema_version"].append(new_version)
    assert after == {table: sorted(rows, key=repr) for table, rows in before.items()}


def test_the_schema_is_that_of_a_fresh_file(any_v18: Path, tmp_path: Path) -> None:
    """Every way of dropping the column ends with the tables, keys and indexes of a new version-19 file."""
    upgrade(any_v18)
    fresh = waiaas.connect(tmp_path / "fresh.db").peewee
    with open_database(any_v18) as upgraded:
        wanted, actual = describe(fresh), describe(upgraded)
        assert waiaas.check(upgraded).findings == []
    fresh.close_all()
    assert wanted.keys() == actual.keys()
    for name, table in wanted.items():
        assert [c.name for c in table.columns] == [c.name for c in actual[name].columns]
        assert {i.name for i in table.indexes if i.sql} == {i.name for i in actual[name].indexes if i.sql}
        assert all(same_index(i, actual[name].index(i.name)) for i in table.indexes if i.sql)


def test_the_ways_of_dropping_the_column_give_the_same_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own DROP COLUMN and the table rebuild leave the same definitions and rows."""
    one, other = make_file(tmp_path / "one.db"), make_file(tmp_path / "other.db")
    upgrade(one, clock=lambda: 1.0)
    monkeypatch.setattr(SqliteDatabase, "server_version", (3, 34, 1))
    phases: list[str] = []
    upgrade(other, clock=lambda: 1.0, progress=lambda progress: phases.append(progress.phase))
    assert "copying sessions" in phases
    assert dump(one) == dump(other)
    with open_database(one) as first, open_database(other) as second:
        for name, table in describe(first).items():
            assert same_shape(table, describe(second)[name])


def test_transactions_still_reference_sessions(any_v18: Path) -> None:
    """After the upgrade, deleting a session still sets its transactions' session to NULL and deletes its links."""
    upgrade(any_v18)
    keys = {row[3]: (row[2], row[6]) for row in query(any_v18, "PRAGMA foreign_key_list(transactions)")}
    assert keys["session_id"] == ("sessions", "SET NULL")
    execute(any_v18, "PRAGMA foreign_keys = ON", f"DELETE FROM sessions WHERE id = '{session_id(0)}'")
    assert query(any_v18, "SELECT count(*) FROM session_wallets WHERE session_id = ?", session_id(0)) == [(0,)]
    assert query(any_v18, "SELECT count(*) FROM transactions WHERE session_id = ?", session_id(0)) == [(0,)]
    assert query(any_v18, "PRAGMA foreign_key_check") == []


def test_the_report_describes_the_upgrade(v18: Path) -> None:
    """The report contains versions, step, rows, links and backup."""
    report = upgrade(v18, backup=True)
    assert (report.from_version, report.to_version, report.applied) == (18, LATEST, list(range(19, LATEST + 1)))
    assert (report.links_created, report.sessions_without_wallet, report.orphans_skipped) == (12, [], [])
    step = report.steps[0]
    assert (step.version, step.rows) == (19, 12)
    assert 0 < step.seconds <= report.seconds
    assert report.backup is not None
    assert Path(report.backup).parent == v18.parent


def test_a_file_at_19_is_unchanged(v18: Path) -> None:
    """A second upgrade changes no byte, and creates no backup."""
    upgrade(v18)
    before = contents(v18.parent)
    report = upgrade(v18, backup=True)
    assert (report.applied, report.backup, report.links_created) == ([], None, 0)
    assert contents(v18.parent) == before


def test_null_wallets_are_skipped_and_reported(v18: Path) -> None:
    """A session whose wallet is NULL gets no link and is named in the report."""
    replace_table(v18, "sessions", "wallet_id TEXT NOT NULL", "wallet_id TEXT")
    execute(v18, f"UPDATE sessions SET wallet_id = NULL WHERE id IN ('{session_id(3)}', '{session_id(7)}')")
    report = upgrade(v18)
    assert report.sessions_without_wallet == sorted([session_id(3), session_id(7)])
    assert report.links_created == 10
    assert query(v18, "SELECT count(*) FROM sessions") == [(12,)]


def orphan(path: Path, number: int, wallet: str) -> None:
    execute(path, f"UPDATE sessions SET wallet_id = '{wallet}' WHERE id = '{session_id(number)}'")


def test_sessions_of_missing_wallets_block_the_upgrade(v18: Path) -> None:
    """Sessions of missing wallets are refused with all their ids, in the details and in the message."""
    orphan(v18, 4, "gone")
    orphan(v18, 5, "gone too")
    error = refused(v18, "orphan_sessions")
    assert error.details is not None
    assert error.details["sessions"] == sorted([session_id(4), session_id(5)])
    assert session_id(4) in str(error)


def test_sessions_of_missing_wallets_are_skipped_on_demand(v18: Path) -> None:
    """With skip_orphans they get no link, and the report contains the wallet that each of them named."""
    orphan(v18, 4, "gone")
    report = upgrade(v18, skip_orphans=True)
    assert report.sessions_without_wallet == [session_id(4)]
    assert report.orphans_skipped == [{"session_id": session_id(4), "wallet_id": "gone"}]
    assert report.links_created == 11
    assert query(v18, "PRAGMA foreign_key_check") == []


def test_dropped_foreign_key_violations_are_not_counted(any_v18: Path) -> None:
    """A session's reference to a missing wallet is dropped with the column, and the plan counts only the others."""
    orphan(any_v18, 4, "gone")
    execute(any_v18, "UPDATE policies SET wallet_id = 'nobody' WHERE wallet_id IS NOT NULL")
    with open_database(any_v18) as database:
        planned = waiaas.plan(database, skip_orphans=True)
    upgrade(any_v18, skip_orphans=True)
    assert planned.orphan_sessions == [{"session_id": session_id(4), "wallet_id": "gone"}]
    assert planned.foreign_key_violations == {"policies": 8}
    assert {table for table, *_ in query(any_v18, "PRAGMA foreign_key_check")} == {"policies"}


def test_old_foreign_key_violations_do_not_block(any_v18: Path) -> None:
    """Existing foreign-key violations are kept; plan and check count them."""
    execute(any_v18, "UPDATE transactions SET session_id = 'nobody' WHERE session_id IS NOT NULL")
    execute(any_v18, "UPDATE policies SET wallet_id = 'nobody' WHERE wallet_id IS NOT NULL")
    broken = query(any_v18, "PRAGMA foreign_key_check")
    with open_database(any_v18) as database:
        planned = waiaas.plan(database)
        assert planned.foreign_key_violations == {"transactions": 8, "policies": 8}
        assert planned.obstacles == []
        kinds = [finding.kind for finding in waiaas.check(database).findings]
        assert kinds == ["foreign_key_violation", "foreign_key_violation"]
    upgrade(any_v18)
    assert sorted(query(any_v18, "PRAGMA foreign_key_check")) == sorted(broken)


JUNCTION = [statement for statement in create_statements(19) if "session_wallets" in statement]


def test_an_empty_junction_table_with_the_right_definition_is_used(any_v18: Path) -> None:
    """The empty table that a failed version 19 of the daemon left is used."""
    execute(any_v18, *JUNCTION)
    report = upgrade(any_v18)
    assert report.leftovers_used == ["session_wallets"]
    assert report.links_created == 12
    with open_database(any_v18) as database:
        assert waiaas.check(database).findings == []


@pytest.mark.parametrize(
    "statements",
    [
        [*JUNCTION, f"INSERT INTO session_wallets VALUES ('{session_id(0)}', '{wallet_id(0)}', 1, 5)"],
        ["CREATE TABLE session_wallets (session_id TEXT, wallet_id TEXT)"],
        [JUNCTION[0].replace("CASCADE", "RESTRICT")],
        [JUNCTION[0].replace("DEFAULT 0", "DEFAULT 1")],
        [JUNCTION[0].replace("PRIMARY KEY (session_id, wallet_id)", "PRIMARY KEY (wallet_id, session_id)")],
        [JUNCTION[0], "CREATE INDEX mine ON session_wallets (created_at)"],
        [JUNCTION[0], "CREATE INDEX idx_session_wallets_wallet ON session_wallets (created_at)"],
        [JUNCTION[0], "CREATE TRIGGER mine AFTER INSERT ON session_wallets BEGIN SELECT 1; END"],
        ["CREATE TABLE Session_Wallets (x)"],
    ],
    ids=["rows", "shape", "action", "default", "key", "index", "same index name", "trigger", "letter case"],
)
def test_any_other_junction_table_is_refused(v18: Path, statements: list[str]) -> None:
    """A table session_wallets with rows, or with another definition, is refused by name."""
    execute(v18, *statements)
    error = refused(v18, "leftover_table")
    assert "session_wallets" in str(error).lower()


@pytest.mark.slow
@pytest.mark.parametrize("rows", [0, 12])
@pytest.mark.parametrize(
    "name",
    [
        *("sessions__tmp__", "_alembic_tmp_sessions", "new__sessions", "__new_sessions", "new_sessions"),
        *("Sessions_New", "sessions_tmp", "tmp_sessions", "sessions_old", "session_wallets_new"),
    ],
)
def test_a_table_of_the_users_is_kept_under_any_name(v18: Path, name: str, rows: int) -> None:
    """A table is kept with its rows, even if other tools use such names for temporary tables."""
    execute(v18, f"CREATE TABLE {name} AS SELECT * FROM sessions LIMIT {rows}")
    before = query(v18, f"SELECT * FROM {name}")
    with open_database(v18) as database:
        assert waiaas.plan(database).obstacles == []
    assert upgrade(v18).leftovers_used == []
    assert query(v18, f"SELECT * FROM {name}") == before


def test_a_leftover_of_this_library_is_removed_only_if_it_is_empty(v18: Path) -> None:
    """A table with the rebuild's temporary name is removed if it is an empty copy, and refused if it has rows."""
    name = "waiaas_rebuild_sessions"
    execute(v18, f"CREATE TABLE {name} AS SELECT * FROM sessions")
    error = refused(v18, "leftover_table")
    assert error.details is not None
    assert (error.details["table"], error.details["rows"]) == (name, 12)
    execute(v18, f"DELETE FROM {name}")
    assert upgrade(v18).leftovers_used == [name]
    assert query(v18, f"SELECT 1 FROM sqlite_master WHERE name = '{name}'") == []


def test_a_lost_sessions_table_is_refused(v18: Path) -> None:
    """If a tool died between dropping sessions and renaming its copy, the file is refused and unchanged."""
    execute(v18, "PRAGMA legacy_alter_table = ON", "ALTER TABLE sessions RENAME TO sessions__tmp__")
    assert "sessions" in str(refused(v18, "unexpected_schema"))


NEEDS_THE_COLUMN = {
    "index": "CREATE INDEX mine ON sessions (wallet_id, expires_at)",
    "quoted index": 'CREATE INDEX mine ON sessions ("Wallet_ID")',
    "partial index": "CREATE INDEX mine ON sessions (expires_at) WHERE wallet_id <> ''",
    "expression index": "CREATE INDEX mine ON sessions (lower(wallet_id))",
    "view": "CREATE VIEW mine AS SELECT s.wallet_id FROM sessions s",
    "view of all columns": "CREATE VIEW mine AS SELECT * FROM sessions",
    "view in a view": "CREATE VIEW mine AS SELECT count(*) AS n FROM (SELECT wallet_id FROM sessions GROUP BY 1)",
    "trigger reading OLD": "CREATE TRIGGER mine AFTER DELETE ON sessions BEGIN SELECT old.wallet_id; END",
    "trigger on the column": "CREATE TRIGGER mine AFTER UPDATE OF wallet_id ON sessions BEGIN SELECT 1; END",
    "trigger WHEN": "CREATE TRIGGER mine AFTER INSERT ON sessions WHEN new.wallet_id = '' BEGIN SELECT 1; END",
    "trigger on another table": "CREATE TRIGGER mine AFTER INSERT ON transactions BEGIN"
    " UPDATE wallets SET updated_at = 1 WHERE id = (SELECT wallet_id FROM sessions WHERE id = new.session_id); END",
    "trigger inserting": "CREATE TRIGGER mine AFTER INSERT ON api_keys BEGIN INSERT INTO sessions"
    " (id, wallet_id, token_hash, expires_at, absolute_expires_at, created_at) VALUES ('', '', '', 1, 1, 1); END",
    "trigger inserting all": "CREATE TRIGGER mine AFTER INSERT ON api_keys BEGIN"
    " INSERT INTO sessions SELECT * FROM sessions; END",
    "trigger updating": "CREATE TRIGGER mine AFTER INSERT ON api_keys BEGIN UPDATE sessions SET wallet_id = ''; END",
}


@pytest.mark.parametrize("statement", NEEDS_THE_COLUMN.values(), ids=NEEDS_THE_COLUMN)
def test_objects_that_need_the_column_are_refused_by_name(any_v18: Path, statement: str) -> None:
    """A user's own index, trigger (on any table) or view that needs sessions.wallet_id is refused by its name."""
    execute(any_v18, statement)
    error = refused(any_v18, "dependent_object")
    assert error.details is not None
    assert error.details["name"] == "mine"
    assert error.details["kind"] == statement.split()[1].lower()


def test_every_obstacle_is_in_the_plan(v18: Path) -> None:
    """The plan names everything that would be refused, not only the first, and changes no byte."""
    for number, statement in enumerate(NEEDS_THE_COLUMN.values()):
        execute(v18, statement.replace("mine", f"mine{number}"))
    orphan(v18, 0, "gone")
    before = contents(v18.parent)
    with open_database(v18) as database:
        orphans, *dependents = waiaas.plan(database).obstacles
    assert orphans.reason == "orphan_sessions"
    assert {error.reason for error in dependents} == {"dependent_object"}
    named = sorted(str((error.details or {})["name"]) for error in dependents)
    assert named == sorted(f"mine{number}" for number in range(len(NEEDS_THE_COLUMN)))
    assert contents(v18.parent) == before


COLUMNS_THAT_NEED_IT = {
    "generated": "wallet_short TEXT GENERATED ALWAYS AS (substr(wallet_id, 1, 8)) VIRTUAL",
    "CHECK": "note TEXT CHECK (note <> wallet_id)",
    "table CHECK": "CHECK (length(wallet_id) > 1)",
    "UNIQUE": "UNIQUE (wallet_id, token_hash)",
    "composite key": "FOREIGN KEY (wallet_id, id) REFERENCES elsewhere (a, b)",
}


@pytest.mark.parametrize("clause", COLUMNS_THAT_NEED_IT.values(), ids=COLUMNS_THAT_NEED_IT)
def test_columns_and_constraints_that_need_the_column_are_refused(tmp_path: Path, clause: str) -> None:
    """A column or constraint of sessions that mentions wallet_id is refused and quoted in the error."""
    path = tmp_path / "wallets.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in create_statements(18):
            if statement.startswith("CREATE TABLE sessions ("):
                statement = f"{statement[:-2]},\n  {clause}\n)"
            database.execute(statement)
        database.execute("INSERT INTO schema_version VALUES (18, 1, '')")
    error = refused(path, "dependent_object")
    assert clause in str((error.details or {})["name"])


DOES_NOT_NEED_IT = (
    "CREATE INDEX mine_index ON sessions (source) WHERE source <> 'wallet_id'",
    "CREATE VIEW mine_view AS SELECT id, token_hash AS wallet_id FROM sessions",
    "CREATE VIEW mine_other_view AS SELECT t.wallet_id FROM transactions t JOIN sessions s ON s.id = t.session_id",
    "CREATE TRIGGER mine_trigger AFTER UPDATE OF revoked_at ON sessions BEGIN"
    " INSERT INTO mine_table VALUES (old.id, 'wallet_id'); END",
    "CREATE TRIGGER mine_other_trigger AFTER INSERT ON transactions BEGIN INSERT INTO mine_table"
    " SELECT new.wallet_id, token_hash FROM sessions WHERE id = new.session_id; END",
    "CREATE TABLE mine_table (session TEXT REFERENCES sessions (id) ON DELETE CASCADE, wallet_id TEXT)",
    "ALTER TABLE sessions ADD COLUMN mine_column TEXT DEFAULT 'it''s wallet_id'",
)


def test_objects_that_do_not_need_the_column_are_kept(any_v18: Path) -> None:
    """A user's own table, column, index, triggers and views that do not need the column are kept and still work."""
    execute(any_v18, *DOES_NOT_NEED_IT, f"INSERT INTO mine_table VALUES ('{session_id(1)}', 'x')")
    mine = "SELECT name, sql FROM sqlite_master WHERE name LIKE 'mine%' ORDER BY name"
    before = query(any_v18, mine)
    upgrade(any_v18)
    assert query(any_v18, mine) == before
    assert query(any_v18, "SELECT DISTINCT mine_column FROM sessions") == [("it's wallet_id",)]
    execute(any_v18, f"UPDATE sessions SET revoked_at = 1 WHERE id = '{session_id(2)}'")
    assert query(any_v18, "SELECT * FROM mine_table ORDER BY 2") == [
        (session_id(2), "wallet_id"),
        (session_id(1), "x"),
    ]
    with open_database(any_v18) as database:
        problems = [each for each in waiaas.check(database).findings if each.severity == "problem"]
    # A trigger that writes when a session changes is the user's own risk, and the only thing to report.
    assert {(each.kind, each.where) for each in problems} == {("unsafe_trigger", "mine_trigger")}


def test_names_in_another_letter_case_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables, columns, keys and indexes spelled in another case are upgraded and keep their spelling."""
    for legacy in (False, True):
        path = tmp_path / f"{legacy}.db"
        make_odd_case(path)
        if legacy:
            monkeypatch.setattr(SqliteDatabase, "server_version", (3, 34, 1))
        report = upgrade(path)
        assert report.links_created == 12
        (sql,) = query(path, "SELECT sql FROM sqlite_master WHERE name = 'Sessions'")[0]
        assert "wallet_id" not in sql.lower()
        assert query(path, "PRAGMA foreign_key_check") == []
        with open_database(path) as database:
            assert waiaas.check(database).findings == []


def make_odd_case(path: Path) -> None:
    make_file(path)
    execute(path, "DROP INDEX idx_sessions_wallet_id", "CREATE INDEX IDX_Sessions_Wallet_ID ON sessions (WALLET_ID)")
    for old, new in (("sessions", "Sessions"), ("wallets", "WALLETS")):
        execute(path, f"ALTER TABLE {old} RENAME TO meanwhile", f"ALTER TABLE meanwhile RENAME TO {new}")
    execute(path, "ALTER TABLE Sessions RENAME COLUMN wallet_id TO Wallet_Id")
    replace_table(path, "transactions", '"Sessions"(id)', "SESSIONS(ID)")


def test_a_dangling_foreign_key_is_reconnected(v18: Path) -> None:
    """transactions.session_id, left on a temporary name by an interrupted tool, references sessions again."""
    for former in ("sessions__tmp__", "sessions_old", "what_a_name"):
        path = make_file(v18.parent / f"{former}.db")
        replace_table(path, "transactions", "REFERENCES sessions(id)", f'REFERENCES "{former}"(id)')
        before = dump(path)["transactions"]
        report = upgrade(path)
        assert report.foreign_keys_reconnected == ["transactions.session_id"]
        assert dump(path)["transactions"] == before
        with open_database(path) as database:
            assert waiaas.check(database).findings == []


def test_a_foreign_key_on_another_existing_table_is_refused(v18: Path) -> None:
    """transactions.session_id is refused if it references another existing table: we cannot know which is right."""
    execute(v18, "CREATE TABLE archive (id TEXT PRIMARY KEY)")
    replace_table(v18, "transactions", "REFERENCES sessions(id)", "REFERENCES archive(id)")
    with open_database(v18) as database:
        (obstacle,) = waiaas.plan(database).obstacles
    error = refused(v18, "foreign_key_elsewhere")
    assert "archive" in str(error)
    assert obstacle.details == error.details


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("ALTER TABLE sessions RENAME COLUMN created_at TO made_at", "created_at"),
        ("DROP TABLE wallets", "wallets"),
        ("INSERT INTO sessions (wallet_id, token_hash, expires_at, absolute_expires_at, created_at)"
         f" VALUES ('{wallet_id(0)}', 'h', 1, 1, 1)", "NULL"),
    ],
    ids=["column", "table", "session without id"],
)  # fmt: skip
def test_a_file_that_does_not_match_its_version_is_refused(v18: Path, statement: str, named: str) -> None:
    """A missing table or column, or a session without an id, is refused and named."""
    execute(v18, "DROP INDEX idx_sessions_wallet_id", statement)
    assert named in str(refused(v18, "unexpected_schema"))


def test_downgrade_restores_the_version_18_file(any_v18: Path) -> None:
    """A downgraded file equals the original row by row and has the version-18 schema."""
    before = dump(any_v18)
    upgrade(any_v18)
    with open_database(any_v18) as database:
        report = waiaas.downgrade(database, 18, backup=False)
    assert (report.from_version, report.to_version, report.undone) == (LATEST, 18, list(range(LATEST, 18, -1)))
    assert dump(any_v18) == before
    columns = [row[1:4] for row in query(any_v18, "PRAGMA table_info(sessions)")]
    shape = schema_of(18)["sessions"]["columns"]
    assert columns == [(name, c["type"], int(c.get("not_null", False))) for name, c in shape.items()]
    (index,) = [row for row in query(any_v18, "PRAGMA index_list(sessions)") if row[1] == "idx_sessions_wallet_id"]
    assert not index[2]
    assert query(any_v18, "PRAGMA foreign_key_check") == []
    assert {r[3]: (r[2], r[6]) for r in query(any_v18, "PRAGMA foreign_key_list(sessions)")} == {
        "wallet_id": ("wallets", "CASCADE")
    }
    assert upgrade(any_v18).links_created == 12


def test_downgrade_refuses_to_lose_links(v18: Path) -> None:
    """A session with a second wallet is named, and nothing changes, unless the caller drops the link."""
    upgrade(v18)
    execute(v18, f"INSERT INTO session_wallets VALUES ('{session_id(0)}', '{wallet_id(9)}', 0, 1)")
    before = contents(v18.parent)
    with open_database(v18) as database:
        with pytest.raises(WAIaaSError) as caught:
            waiaas.downgrade(database, 18)
        assert caught.value.reason == "links_lost"
        assert caught.value.details is not None
        assert caught.value.details["sessions"] == [session_id(0)]
    assert contents(v18.parent) == before
    with open_database(v18) as database:
        report = waiaas.downgrade(database, 18, drop_links=True)
    assert report.links_dropped == [{"session_id": session_id(0), "wallet_id": wallet_id(9)}]
    assert query(v18, "SELECT wallet_id FROM sessions WHERE id = ?", session_id(0)) == [(wallet_id(0),)]


def test_downgrade_keeps_sessions_without_a_wallet(v18: Path) -> None:
    """A session without a link gets wallet_id NULL and is reported; no session is lost."""
    upgrade(v18)
    execute(v18, f"DELETE FROM session_wallets WHERE session_id = '{session_id(6)}'")
    with open_database(v18) as database:
        report = waiaas.downgrade(database, 18, backup=False)
    assert report.sessions_without_wallet == [session_id(6)]
    assert query(v18, "SELECT id FROM sessions WHERE wallet_id IS NULL") == [(session_id(6),)]
    assert upgrade(v18).sessions_without_wallet == [session_id(6)]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW mine AS SELECT wallet_id FROM session_wallets",
        "CREATE INDEX mine ON session_wallets (created_at)",
        "CREATE TRIGGER mine AFTER DELETE ON session_wallets BEGIN SELECT 1; END",
        "CREATE TRIGGER mine AFTER DELETE ON wallets BEGIN DELETE FROM session_wallets; END",
        "CREATE TABLE mine (s, w, FOREIGN KEY (s, w) REFERENCES session_wallets (session_id, wallet_id))",
        "ALTER TABLE session_wallets ADD COLUMN mine TEXT",
    ],
)
def test_downgrade_refuses_to_lose_what_depends_on_the_links(v18: Path, statement: str) -> None:
    """A user's own object on session_wallets is refused by name."""
    upgrade(v18)
    execute(v18, statement)
    before = contents(v18.parent)
    with open_database(v18) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.downgrade(database, 18)
    assert caught.value.reason == "dependent_on_table"
    assert "mine" in str(caught.value)
    assert contents(v18.parent) == before


@pytest.mark.parametrize("target", [17, waiaas.LATEST_SCHEMA_VERSION + 1, 0])
def test_downgrade_goes_to_18_only(v18: Path, target: int) -> None:
    """Any other version is refused."""
    upgrade(v18)
    with open_database(v18) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.downgrade(database, target)
    assert caught.value.reason == "cannot_downgrade"


def test_the_plan_reports_how_the_column_would_be_dropped(any_v18: Path, request: pytest.FixtureRequest) -> None:
    """The plan reports how the column would be dropped, the links to create, and the skipped sessions."""
    with open_database(any_v18) as database:
        planned = waiaas.plan(database)
        in_place = LosslessMigrator(database).drops_in_place(describe(database)["sessions"], "wallet_id")
    assert planned.drop_column_by == ("DROP COLUMN" if in_place else "table rebuild")
    assert in_place == ("in place" in request.node.name)
    assert (planned.sessions, planned.links_to_create) == (12, 12)


def test_an_index_of_that_name_over_more_columns_is_refused(v18: Path) -> None:
    """An index with the old index's name that has more columns is a user's own, and is refused."""
    name = "idx_sessions_wallet_id"
    execute(v18, f"DROP INDEX {name}", f"CREATE INDEX {name} ON sessions (wallet_id, expires_at)")
    error = refused(v18, "dependent_object")
    assert (error.details or {})["name"] == name


def test_a_file_without_the_old_index_is_upgraded(v18: Path) -> None:
    """The index that is dropped with the column may be missing."""
    execute(v18, "DROP INDEX idx_sessions_wallet_id")
    assert upgrade(v18).links_created == 12


def test_an_empty_temporary_table_is_removed_next_to_unrelated_objects(v18: Path) -> None:
    """An empty leftover is removed even if there is an unrelated view and trigger."""
    execute(
        v18,
        "CREATE TABLE waiaas_rebuild_sessions AS SELECT * FROM sessions WHERE 0",
        "CREATE VIEW mine AS SELECT id FROM wallets",
        "CREATE TRIGGER mine_too AFTER INSERT ON wallets BEGIN SELECT 1; END",
    )
    assert upgrade(v18).leftovers_used == ["waiaas_rebuild_sessions"]


def test_a_broken_view_that_names_the_column_is_refused(v18: Path) -> None:
    """A view that does not compile is checked by its text: one that names table and column is refused."""
    execute(v18, "CREATE VIEW mine AS SELECT sessions.wallet_id FROM gone, sessions")
    assert (refused(v18, "dependent_object").details or {})["name"] == "mine"


@pytest.mark.parametrize("table", ["sessions", "wallets"])
def test_the_plan_reports_a_missing_table(v18: Path, table: str) -> None:
    """If a table is missing, the plan has only that obstacle and no forecast."""
    execute(v18, f"DROP TABLE {table}")
    with open_database(v18) as database:
        planned = waiaas.plan(database)
    assert [(each.reason, (each.details or {})["table"]) for each in planned.obstacles] == [
        ("unexpected_schema", table)
    ]
    assert (planned.sessions, planned.links_to_create, planned.drop_column_by) == (0, 0, None)


def test_a_session_without_a_date_is_refused(v18: Path) -> None:
    """A session whose created_at is NULL, which its link could not store, is refused before anything changes."""
    (sql,) = query(v18, "SELECT sql FROM sqlite_master WHERE name = 'sessions'")[0]
    changed = sql.replace("created_at INTEGER NOT NULL", "created_at INTEGER").replace("'", "''")
    execute(v18, "PRAGMA writable_schema = ON", f"UPDATE sqlite_master SET sql = '{changed}' WHERE name = 'sessions'")
    execute(v18, f"UPDATE sessions SET created_at = NULL WHERE id = '{session_id(3)}'")
    assert "created_at" in str(refused(v18, "unexpected_schema"))


def test_a_link_without_a_session_blocks_a_downgrade(v18: Path) -> None:
    """A link without a session cannot be stored at version 18: the downgrade is refused, and nothing changes."""
    upgrade(v18)
    execute(v18, f"INSERT INTO session_wallets VALUES ('nothing', '{wallet_id(0)}', 1, 1)")
    before = contents(v18.parent)
    with open_database(v18) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.downgrade(database, 18)
    assert caught.value.reason == "rows_lost"
    assert caught.value.details is not None
    assert (caught.value.details["before"], caught.value.details["after"]) == (13, 12)
    assert contents(v18.parent) == before


@pytest.mark.parametrize("version", [18, 19])
def test_a_downgrade_to_the_current_version_does_nothing(tmp_path: Path, version: int) -> None:
    """A file that is already at the requested version is unchanged byte for byte, without a backup."""
    path = make_file(tmp_path / "wallets.db", version)
    before = contents(tmp_path)
    with open_database(path) as database:
        report = waiaas.downgrade(database, version)
    assert (report.from_version, report.to_version, report.undone, report.steps) == (version, version, [], [])
    assert report.backup is None
    assert contents(tmp_path) == before
