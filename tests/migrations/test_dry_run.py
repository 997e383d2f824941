"""A plan lists everything that would block an upgrade, in any step, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.old_files import SHIPPED, contents, execute, make_file, query

import waiaas
from waiaas import WAIaaSError
from waiaas.errors import UpgradeRefusedError
from waiaas.migrations.dry_run import copy_without_rows
from waiaas.migrations.opening import open_to_change


def planned(path: Path, **options: bool) -> list[tuple[str, str]]:
    """Return what the plan of a file lists: reasons, with the names in each."""
    before = contents(path.parent)
    with open_to_change(path) as database:
        obstacles = waiaas.plan(database, **options).obstacles
    assert contents(path.parent) == before
    assert all(type(each) is UpgradeRefusedError for each in obstacles)
    return [
        (str(each.reason), str((each.details or {}).get("name", (each.details or {}).get("table"))))
        for each in obstacles
    ]


def refused(path: Path) -> tuple[str, str]:
    with open_to_change(path) as database, pytest.raises(UpgradeRefusedError) as caught:
        waiaas.upgrade(database, backup=False)
    assert type(caught.value) is UpgradeRefusedError
    return _named(caught.value)


def _named(error: WAIaaSError) -> tuple[str, str]:
    details = error.details or {}
    return str(error.reason), str(details.get("name", details.get("table", details.get("cause"))))


@pytest.mark.parametrize("version", SHIPPED[:-1])
def test_no_obstacle_is_reported_without_one(tmp_path: Path, version: int) -> None:
    """A file from the daemon has no obstacles."""
    assert planned(make_file(tmp_path / "wallets.db", version)) == []


IN_THE_WAY = (
    "CREATE VIEW mine_1 AS SELECT agent_id, network FROM agents JOIN sessions ON agent_id = agents.id",
    "CREATE TRIGGER mine_2 AFTER INSERT ON policies BEGIN INSERT INTO arch SELECT * FROM policies; END",
    "CREATE VIEW mine_3 AS SELECT agent_id FROM sessions",
)
KINDS = {"mine_1": "VIEW", "mine_2": "TRIGGER", "mine_3": "VIEW"}


def test_obstacles_of_all_steps_are_listed(tmp_path: Path) -> None:
    """Each object that blocks a step is listed, and the list is complete."""
    path = make_file(tmp_path / "wallets.db", 1)
    execute(path, "CREATE TABLE arch AS SELECT * FROM policies WHERE 0", *IN_THE_WAY)
    listed = planned(path)
    assert sorted(name for _, name in listed) == sorted(KINDS)
    for obstacle in listed:
        assert refused(path) == obstacle
        execute(path, f"DROP {KINDS[obstacle[1]]} {obstacle[1]}")
    with open_to_change(path) as database:
        assert waiaas.upgrade(database, backup=False).to_version == waiaas.LATEST_SCHEMA_VERSION


def test_a_text_that_a_later_step_would_read_as_a_column_is_listed(tmp_path: Path) -> None:
    """A text in double quotes is listed unless an earlier rename puts it in single quotes."""
    index = 'CREATE INDEX mine ON transactions (status) WHERE type = "network"'
    path = make_file(tmp_path / "wallets.db", 4)
    execute(path, index)
    assert planned(path) == [refused(path)] == [("name_taken", "mine")]
    path = make_file(tmp_path / "older.db", 2)
    execute(path, index)
    assert planned(path) == []


def test_clauses_and_names_are_listed_too(tmp_path: Path) -> None:
    """A user's own clause in a column, and a table with the name of a future one, are listed."""
    path = make_file(tmp_path / "wallets.db", 3)
    execute(path, "CREATE TABLE settings (mine)", "INSERT INTO settings VALUES (1)")
    assert planned(path) == [refused(path)] == [("leftover_table", "settings")]
    path = make_file(tmp_path / "clause.db", 4)
    sql = str(query(path, "SELECT sql FROM sqlite_master WHERE name = 'policies'")[0][0])
    changed = sql.replace(
        "enabled INTEGER NOT NULL DEFAULT 1", "enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled < 2)"
    )
    assert changed != sql
    text = changed.replace("'", "''")
    execute(path, "PRAGMA writable_schema = ON", f"UPDATE sqlite_master SET sql = '{text}' WHERE name = 'policies'")
    assert planned(path) == [refused(path)] == [("rebuild_refused", "policies")]


def test_an_existing_table_is_listed_if_it_has_rows(tmp_path: Path) -> None:
    """An empty table that a step would use is not an obstacle, but one with rows is."""
    path = make_file(tmp_path / "wallets.db", 4)
    later = make_file(tmp_path / "later.db", 5)
    execute(path, str(query(later, "SELECT sql FROM sqlite_master WHERE name = 'settings'")[0][0]))
    assert planned(path) == []
    execute(path, "INSERT INTO settings VALUES ('k', 'v', 0, 'c', 1)")
    assert planned(path) == [refused(path)] == [("leftover_table", "settings")]


def test_orphan_sessions_are_listed_for_every_version(tmp_path: Path) -> None:
    """Sessions of a missing wallet are listed from any version, unless they are to be skipped."""
    path = make_file(tmp_path / "wallets.db", 2)
    execute(path, "DELETE FROM agents")
    assert [reason for reason, _ in planned(path)] == ["orphan_sessions"]
    assert planned(path, skip_orphans=True) == []
    assert refused(path)[0] == "orphan_sessions"


def test_a_file_with_other_tables_than_its_version_is_listed(tmp_path: Path) -> None:
    """A file that would not end with the tables of version 19 is listed."""
    path = make_file(tmp_path / "wallets.db", 5)
    execute(path, "DELETE FROM schema_version", "INSERT INTO schema_version VALUES (18, 1, '')")
    assert ("unexpected_schema", refused(path)[1]) in planned(path)


def test_a_registered_collation_is_not_an_obstacle(tmp_path: Path) -> None:
    """An index with a collation registered on the connection does not block a rebuild."""
    path = make_file(tmp_path / "wallets.db", 9)
    with open_to_change(path) as database:
        database.register_collation(lambda one, other: (one > other) - (one < other), "mine")
        database.register_function(lambda value: value, "my_own", 1, deterministic=True)
        database.execute_sql("CREATE INDEX mine_1 ON notification_logs (channel COLLATE mine)")
        database.execute_sql("CREATE INDEX mine_2 ON notification_logs (my_own(channel))")
        assert waiaas.plan(database).obstacles == []
        assert waiaas.upgrade(database, backup=False).to_version == waiaas.LATEST_SCHEMA_VERSION
    execute(path, "DROP INDEX mine_1")
    path = make_file(tmp_path / "other.db", 9)
    with open_to_change(path) as database:
        database.register_collation(lambda one, other: (one > other) - (one < other), "mine")
        database.execute_sql("CREATE INDEX mine_1 ON notification_logs (channel COLLATE mine)")
    assert planned(path) == [refused(path)] == [("dependent_object", "mine_1")]


def test_the_copy_has_every_object(tmp_path: Path) -> None:
    """The copy has the tables, indexes, views and triggers of the file, including those of virtual tables."""
    path = make_file(tmp_path / "wallets.db", 18)
    execute(
        path,
        "CREATE VIRTUAL TABLE words USING fts5 (body)",
        "CREATE TABLE word_count (n, m UNIQUE, PRIMARY KEY (n)) WITHOUT ROWID",
        "CREATE INDEX by_m ON word_count (m)",
        "CREATE VIEW mine AS SELECT body, m FROM words JOIN word_count ON body = n",
        "CREATE TRIGGER mine_too AFTER INSERT ON word_count BEGIN INSERT INTO words VALUES (new.n); END",
        "INSERT INTO word_count VALUES (1, 2)",
    )
    everything = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
    with open_to_change(path) as database, copy_without_rows(database) as copy:
        assert copy.execute_sql(everything).fetchall() == query(path, everything)
        assert copy.execute_sql("SELECT * FROM mine").fetchall() == []
        copy.execute_sql("INSERT INTO word_count VALUES (3, 4)")
        assert copy.execute_sql("SELECT * FROM mine").fetchall() == [(3, 4)]
        assert copy.execute_sql("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert planned(path) == []
