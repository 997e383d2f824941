"""A database moves to PostgreSQL and back with every row, all or nothing, or is refused before any write."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.old_files import SHIPPED, make_file
from support.postgresql_server import PASSWORD, Databases
from support.proxy import Proxy

import waiaas
from waiaas import Progress, WAIaaSError
from waiaas.backends.postgresql import open_database
from waiaas.models.postgresql import tables
from waiaas.transfer import move, moving

LATEST = waiaas.LATEST_SCHEMA_VERSION

WALLET = "INSERT INTO wallets (id, name, chain, environment, public_key, created_at, updated_at)"
SESSION = "INSERT INTO sessions (id, token_hash, expires_at, absolute_expires_at, created_at)"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of the latest version with linked rows of difficult values in every table."""
    return file_of_version(tmp_path, LATEST)


def file_of_version(folder: Path, version: int) -> Path:
    """Make a file with linked rows of difficult values, whose flags are 0 and 1 as the daemon writes them."""
    file = make_file(folder / "wallets.db", version=version)
    change(file, "UPDATE policies SET enabled = enabled % 2")
    return file


@pytest.fixture
def url(databases: Databases) -> Any:
    """The URL of an empty PostgreSQL database."""
    with databases.new(empty=True) as url:
        yield url


def rows_of_file(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as connection:
        return {
            table.name: connection.execute(
                f"SELECT {', '.join(column.name for column in table.columns)} FROM {table.name} ORDER BY rowid"
            ).fetchall()
            for table in tables()
        }


def rows_of_server(url: str) -> dict[str, list[Any]]:
    with psycopg.connect(url) as connection:
        return {
            table.name: connection.execute(
                f"SELECT {', '.join(column.name for column in table.columns)} FROM {table.name}"  # type: ignore[call-overload]
            ).fetchall()
            for table in tables()
        }


def is_empty(url: str) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        return row == (0,)


def refused(call: Callable[[], Any]) -> WAIaaSError:
    with pytest.raises(WAIaaSError) as caught:
        call()
    assert PASSWORD not in f"{caught.value} {caught.value.details}"
    return caught.value


def change(path: Path, *statements: str | tuple[str, tuple[Any, ...]]) -> None:
    """Change a file with plain SQL."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            connection.execute(*((statement,) if isinstance(statement, str) else statement))


def many_keys(count: int) -> str:
    """Return a statement that adds so many rows to a table."""
    return (
        f"INSERT INTO key_value_store (key, value, updated_at) WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL"
        f" SELECT n + 1 FROM numbers WHERE n < {count}) SELECT 'key ' || n, 'v', 1 FROM numbers"
    )


def test_every_row_is_moved_and_moved_back(file: Path, url: str, tmp_path: Path) -> None:
    """Values, types and the order of the links are the same after a move in both directions."""
    before, bytes_before = rows_of_file(file), file.read_bytes()
    there = move(file, url)
    assert rows_of_server(url) == before
    assert (there.source, there.from_version, there.is_rehearsal) == (str(file), LATEST, False)
    assert {table.table: table.rows for table in there.tables} == {name: len(rows) for name, rows in before.items()}
    assert there.rows == sum(len(rows) for rows in before.values())
    assert file.read_bytes() == bytes_before
    back = move(url, tmp_path / "back.db")
    assert {name: sorted(rows, key=repr) for name, rows in rows_of_file(tmp_path / "back.db").items()} == {
        name: sorted(rows, key=repr) for name, rows in before.items()
    }
    assert PASSWORD not in f"{there.to_dict()} {back.to_dict()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA other")
    again = move(tmp_path / "back.db", f"{url}?options=-c%20search_path%3Dother")
    assert [(each.table, each.rows) for each in again.tables] == [(each.table, each.rows) for each in there.tables]
    database = waiaas.connect(tmp_path / "back.db").peewee
    assert waiaas.check(database).findings == []
    database.close_all()


def test_links_keep_their_order_in_both_directions(tmp_path: Path, url: str) -> None:
    """A session lists its wallets in the order in which they were linked, although all links are of one second."""
    file, back = tmp_path / "wallets.db", tmp_path / "back.db"
    with waiaas.connect(file, clock=lambda: 1_800_000_000) as database:
        wallets = [
            database.wallets.create(name=key, chain="solana", environment="testnet", public_key=key, actor="admin").id
            for key in "abcd"
        ]
        session = database.sessions.create(wallet_ids=[wallets[3]], actor="admin")
        for number in (1, 2, 0):
            database.links.link(session.id, wallets[number], actor="admin")
    move(file, url)
    with waiaas.connect(url, clock=lambda: 1_800_000_000) as database:
        database.links.unlink(session.id, wallets[1], actor="admin")
        database.links.link(session.id, wallets[1], actor="admin")
    move(url, back)
    for target in (url, back):
        with waiaas.connect(target) as database:
            order = [wallets[number] for number in (3, 2, 0, 1)]
            assert [link.id for link in database.links.list(session.id)] == order
            database.wallets.terminate(wallets[3], actor="admin")
            assert database.sessions.get(session.id).default_wallet_id == wallets[2]


@pytest.mark.parametrize("version", [version for version in SHIPPED if version < 19])
def test_an_older_file_is_upgraded_in_a_copy(tmp_path: Path, url: str, version: int) -> None:
    """The original keeps its version and every byte, and nothing is left next to it."""
    file = file_of_version(tmp_path, version)
    before = file.read_bytes()
    assert move(file, url).from_version == version
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
    upgraded = waiaas.connect(file, backup=False).peewee
    upgraded.close_all()
    moved, expected = rows_of_server(url), rows_of_file(file)
    for each in (moved, expected):
        each["schema_version"] = [(row[0], row[2]) for row in each["schema_version"]]
    assert moved == expected


def test_ids_of_the_audit_log_continue(file: Path, url: str, tmp_path: Path) -> None:
    """The number of a deleted row is not reused on either side."""
    insert = "INSERT INTO audit_log (timestamp, event_type, actor, details) VALUES (1, 'E', 'a', '{}')"
    change(file, "UPDATE sqlite_sequence SET seq = 5000 WHERE name = 'audit_log'")
    move(file, url)
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute(f"{insert} RETURNING id").fetchone() == (5001,)
        connection.execute("DELETE FROM audit_log WHERE id > 5000")
    move(url, tmp_path / "back.db")
    with closing(sqlite3.connect(tmp_path / "back.db", isolation_level=None)) as back:
        assert back.execute(insert).lastrowid == 5002


def test_an_empty_file_moves_too(tmp_path: Path, url: str) -> None:
    waiaas.connect(tmp_path / "new.db").close()
    assert move(tmp_path / "new.db", url).rows == LATEST
    assert move(url, tmp_path / "back.db").rows == LATEST
    with psycopg.connect(url, autocommit=True) as connection:
        insert = (
            "INSERT INTO audit_log (timestamp, event_type, actor, details) VALUES (1, 'E', 'a', '{}') RETURNING id"
        )
        assert connection.execute(insert).fetchone() == (1,)


#: Problem -> table and column of the obstacle, and the statements that create it.
OBSTACLES: dict[str, tuple[str, str, tuple[Any, ...]]] = {
    "nul": ("wallets", "name", (("UPDATE wallets SET name = ? WHERE rowid = 1", ("a\0b",)),)),
    "utf-8": ("sessions", "constraints", ("UPDATE sessions SET constraints = CAST(x'ff41' AS TEXT) WHERE rowid = 1",)),
    "blob": ("sessions", "token_hash", ("UPDATE sessions SET token_hash = x'00' WHERE rowid = 1",)),
    "text": ("sessions", "renewal_count", ("UPDATE sessions SET renewal_count = 'many' WHERE rowid = 1",)),
    "fraction": ("sessions", "expires_at", ("UPDATE sessions SET expires_at = 1.5 WHERE rowid = 1",)),
    "null": ("wallets", "id", (f"{WALLET} VALUES (NULL, 'n', 'solana', 'mainnet', 'a new key', 1, 1)",)),
    "value": ("wallets", "status", ("UPDATE wallets SET status = 'LOST' WHERE rowid = 1",)),
    "reference": ("session_wallets", "wallet_id", ("UPDATE session_wallets SET wallet_id = '' WHERE rowid = 1",)),
    "duplicate": (
        "wallets",
        "public_key",
        ("DROP INDEX idx_wallets_public_key", "UPDATE wallets SET public_key = 'k' WHERE rowid <= 2"),
    ),
    "length": ("sessions", "token_hash", (f"{SESSION} VALUES ('new', '{'x' * 3000}', 1, 1, 1)",)),
}


@pytest.mark.parametrize("problem", OBSTACLES)
def test_values_that_postgresql_cannot_store_are_named(file: Path, url: str, problem: str) -> None:
    """Table, column and rows are named before anything is written, and the file is unchanged."""
    table, column, statements = OBSTACLES[problem]
    change(file, *statements)
    before = file.read_bytes()
    error = refused(lambda: move(file, url))
    assert error.reason == "move_refused"
    assert error.details is not None
    found = [(each["table"], each["column"], each["problem"]) for each in error.details["obstacles"]]  # type: ignore[index]
    assert found == [(table, column, problem)]
    assert f"{table}.{column}: {problem} ({error.details['count']})" in str(error)
    (obstacle,) = error.details["obstacles"]  # type: ignore[misc]
    assert len(obstacle["rows"]) == error.details["count"] >= 1
    assert is_empty(url)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "index",
    [
        "UNIQUE INDEX idx_wallets_public_key ON wallets (public_key, lower(id))",
        "UNIQUE INDEX idx_wallets_public_key ON wallets (public_key) WHERE rowid > 2",
        "UNIQUE INDEX idx_wallets_public_key ON wallets (public_key, name)",
        "INDEX idx_wallets_public_key ON wallets (public_key)",
    ],
)
def test_an_index_that_allows_duplicates_does_not_hide_them(file: Path, url: str, index: str) -> None:
    """Only a unique index on columns of the key, and on all rows, shows that the key has no duplicates."""
    _, _, (drop, duplicate) = OBSTACLES["duplicate"]
    change(file, drop, duplicate, f"CREATE {index}")
    error = refused(lambda: move(file, url))
    assert "wallets.public_key: duplicate (2)" in str(error)


def test_a_unique_index_that_is_broken_does_not_hide_duplicates(file: Path, url: str) -> None:
    """The server refuses what a corrupt index of the file hides, and stays empty."""
    _, _, (drop, duplicate) = OBSTACLES["duplicate"]
    change(
        file,
        drop,
        duplicate,
        "CREATE INDEX idx_wallets_public_key ON wallets (public_key)",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(sql, 'INDEX', 'UNIQUE INDEX') WHERE name = 'idx_wallets_public_key'",
    )
    assert refused(lambda: move(file, url)).reason == "server_error"
    assert is_empty(url)


@pytest.mark.parametrize("row", [1, 700, 1200, 1700])
def test_a_wrong_value_is_found_in_every_block_of_rows(file: Path, url: str, row: int) -> None:
    """The values of a table are read in blocks, and no block is left out."""
    change(file, many_keys(2000), f"UPDATE key_value_store SET value = x'00' WHERE key = 'key {row}'")
    assert "key_value_store.value: blob (1)" in str(refused(lambda: move(file, url)))


@pytest.mark.parametrize("row", [1, 700, 1200, 1700])
def test_a_special_character_is_escaped_in_every_block_of_rows(file: Path, url: str, tmp_path: Path, row: int) -> None:
    """A text with backslashes, which COPY would read as something else, is the same on both sides and moved back."""
    change(file, many_keys(2000), f"UPDATE key_value_store SET value = 'a\\b\\N' WHERE key = 'key {row}'")
    move(file, url)
    move(url, tmp_path / "back.db")
    for rows in (rows_of_server(url), rows_of_file(tmp_path / "back.db")):
        assert sorted(rows["key_value_store"]) == sorted(rows_of_file(file)["key_value_store"])


def test_a_long_key_does_not_hide_a_special_character(file: Path, url: str) -> None:
    """A table that needs a closer look, and has no obstacle, is moved unchanged."""
    change(file, f"UPDATE sessions SET token_hash = '{'h' * 400}' || rowid, constraints = '\\t' || rowid")
    move(file, url)
    assert rows_of_server(url) == rows_of_file(file)


def test_a_session_with_two_defaults_is_named(file: Path, url: str) -> None:
    """The index of PostgreSQL allows one default wallet per session."""
    link = "INSERT INTO session_wallets SELECT session_id, (SELECT max(id) FROM wallets), 1, 1 FROM session_wallets"
    change(file, f"{link} LIMIT 1", "UPDATE session_wallets SET is_default = 1")
    error = refused(lambda: move(file, url))
    assert error.reason == "move_refused"
    assert "session_wallets.session_id: duplicate" in str(error)


def test_all_obstacles_are_named_at_once(file: Path, url: str) -> None:
    change(file, "UPDATE wallets SET status = 'LOST', name = x'00'", "UPDATE sessions SET source = x'00'")
    error = refused(lambda: move(file, url))
    assert [str(each) for each in error.details["values"]] == [  # type: ignore[index, union-attr]
        f"wallets.name: blob ({len(rows_of_file(file)['wallets'])})",
        f"wallets.status: value ({len(rows_of_file(file)['wallets'])})",
        f"sessions.source: blob ({len(rows_of_file(file)['sessions'])})",
    ]


def test_objects_of_others_stay_in_the_file(file: Path, url: str) -> None:
    change(
        file,
        "CREATE TABLE notes (note TEXT)",
        "ALTER TABLE wallets ADD COLUMN nickname TEXT",
        "CREATE VIEW names AS SELECT name FROM wallets",
        "CREATE TRIGGER t AFTER INSERT ON notes BEGIN SELECT 1; END",
    )
    assert move(file, url).left_behind == ["table notes", "trigger t", "view names", "column wallets.nickname"]


def test_a_missing_column_is_refused(file: Path, url: str) -> None:
    change(file, "ALTER TABLE sessions DROP COLUMN source")
    error = refused(lambda: move(file, url))
    assert (error.reason, error.details["table"]) == ("unexpected_schema", "sessions")  # type: ignore[index]
    assert is_empty(url)


@pytest.mark.parametrize("table", [table.name for table in tables()])
def test_a_column_that_hides_the_numbers_of_rows_is_refused(file: Path, url: str, table: str) -> None:
    """Rows are read by their numbers: a column `rowid` of another program would hide rows from the move."""
    change(file, f"ALTER TABLE {table} ADD COLUMN RowId INTEGER")
    error = refused(lambda: move(file, url))
    assert (error.reason, error.details["table"]) == ("unexpected_schema", table)  # type: ignore[index]
    assert is_empty(url)


def test_the_target_must_be_empty(file: Path, url: str, postgresql_url: str, tmp_path: Path) -> None:
    assert refused(lambda: move(file, postgresql_url)).reason == "target_not_empty"
    move(file, url)
    assert refused(lambda: move(file, url)).reason == "target_not_empty"
    assert refused(lambda: move(url, file)).reason == "file_exists"
    assert rows_of_file(file) == rows_of_server(url)


def test_an_empty_source_is_refused(url: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    change(empty, "CREATE TABLE t (a)", "DROP TABLE t")
    assert refused(lambda: move(empty, url)).reason == "empty_database"
    assert refused(lambda: move(tmp_path / "nowhere.db", url)).reason == "file_not_found"
    assert refused(lambda: move(url, tmp_path / "new.db")).reason == "empty_database"
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("pair", [("a.db", "b.db"), ("postgresql://h/a", "postgresql://h/b")])
def test_one_of_both_is_a_url(pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="in either order"):
        move(*pair)


def test_a_rehearsal_leaves_nothing(file: Path, url: str, postgresql_url: str, tmp_path: Path) -> None:
    """It does everything except the commit, and reports what the move would report."""
    rehearsed = move(file, url, rehearse=True)
    assert rehearsed.is_rehearsal
    assert is_empty(url)
    assert move(file, url).tables == rehearsed.tables
    files = sorted(tmp_path.iterdir())
    back = move(url, tmp_path / "back.db", rehearse=True)
    assert back.is_rehearsal
    assert sorted(tmp_path.iterdir()) == files
    assert move(url, tmp_path / "back.db").tables == back.tables


def test_a_write_during_the_move_is_refused(file: Path, url: str) -> None:
    """A concurrent commit of another program to the file would be lost, so the target stays empty."""
    change(file, "PRAGMA journal_mode = WAL")
    was_written = []

    def write(progress: Progress) -> None:
        if progress.phase == "copying sessions" and not was_written:
            was_written.append(1)
            change(file, "UPDATE wallets SET name = 'late'")

    assert refused(lambda: move(file, url, progress=write)).reason == "source_changed"
    assert was_written
    assert is_empty(url)


@pytest.mark.parametrize("direction", ["there", "back"])
def test_rows_that_differ_afterwards_are_refused(
    file: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direction: str
) -> None:
    """A copy in which one character differs is not committed."""
    if direction == "back":
        move(file, url)
        execute = moving._keep_next_number
        monkeypatch.setattr(
            moving,
            "_keep_next_number",
            lambda server, connection: connection.execute("UPDATE wallets SET name = name || '!' WHERE rowid = 1"),
        )
        error = refused(lambda: move(url, tmp_path / "back.db"))
        assert not (tmp_path / "back.db").exists()
        monkeypatch.setattr(moving, "_keep_next_number", execute)
    else:
        monkeypatch.setattr(
            moving,
            "_set_next_number",
            lambda server, connection: server.execute_sql(
                "UPDATE wallets SET name = name || '!' WHERE id = (SELECT min(id) FROM wallets)"
            ),
        )
        error = refused(lambda: move(file, url))
        assert is_empty(url)
    assert error.reason == "copy_differs", error
    assert (error.reason, error.details["table"]) == ("copy_differs", "wallets")  # type: ignore[index]


def test_links_in_another_order_afterwards_are_refused(
    file: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in which the links are numbered in another order than on the server is not committed."""
    move(file, url)
    monkeypatch.setattr(
        moving,
        "_keep_next_number",
        lambda server, connection: connection.execute("UPDATE session_wallets SET rowid = -rowid"),
    )
    error = refused(lambda: move(url, tmp_path / "back.db"))
    assert (error.reason, error.details["table"]) == ("copy_differs", "session_wallets")  # type: ignore[index]
    assert not (tmp_path / "back.db").exists()


def test_progress_names_each_table_and_can_stop_the_move(file: Path, url: str) -> None:
    phases: list[str] = []
    move(file, url, rehearse=True, progress=lambda progress: phases.append(progress.phase))
    for phase in ("checking the values of", "copying", "creating the indexes of", "comparing"):
        assert [each for each in phases if each == f"{phase} wallets"]

    def stop(progress: Progress) -> None:
        if progress.phase == "comparing sessions":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(file, url, progress=stop)
    assert is_empty(url)


def test_a_lost_connection_leaves_the_target_empty(file: Path, url: str) -> None:
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    with Proxy.before(port) as proxy:

        def cut(progress: Progress) -> None:
            if progress.phase == "comparing wallets":
                proxy.cut()

        through = url.replace(f":{port}", f":{proxy.port}")
        assert refused(lambda: move(file, through, progress=cut)).reason == "connection_lost"
    assert is_empty(url)
    move(file, url)


def test_a_commit_without_a_response_is_looked_up(file: Path, url: str) -> None:
    """The move is complete or absent, so one look at the version is enough."""
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    with Proxy.before(port) as proxy:
        proxy.cut_after = b"Q\x00\x00\x00\x0bCOMMIT\x00"
        report = move(file, url.replace(f":{port}", f":{proxy.port}"))
    assert report.rows == sum(map(len, rows_of_file(file).values()))
    assert rows_of_server(url) == rows_of_file(file)


def test_services_wait_until_a_database_has_moved_back(file: Path, url: str, tmp_path: Path) -> None:
    """A change that would be lost in the source is refused while it is copied."""
    move(file, url)
    service = open_database(url, busy_timeout=0.05)
    reasons = []

    def write(progress: Progress) -> None:
        if progress.phase == "copying sessions":
            reasons.append(refused(lambda: service.write(lambda: service.execute_sql("DELETE FROM wc_store"))).reason)

    move(url, tmp_path / "back.db", progress=write)
    assert set(reasons) == {"database_busy"}
    service.write(lambda: service.execute_sql("DELETE FROM wc_store"))
    service.close_all()


def test_rows_that_a_policy_hides_are_not_left_out(file: Path, url: str, tmp_path: Path) -> None:
    """A role to which row-level security shows only some rows can neither move nor check the database."""
    move(file, url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE half")
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO half")
        connection.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO half")
        connection.execute("ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY")
        connection.execute("CREATE POLICY half ON audit_log USING (id % 2 = 0)")
        try:
            for call in (lambda half: move(half, tmp_path / "moved.db"), waiaas.check):
                with pytest.raises(WAIaaSError) as caught:
                    call(f"{url}?options=-c%20role%3Dhalf")
                assert caught.value.reason == "insufficient_privilege"
                assert "row-level security" in caught.value.message
        finally:
            connection.execute("DROP OWNED BY half")
            connection.execute("DROP ROLE half")
    assert not (tmp_path / "moved.db").exists()
