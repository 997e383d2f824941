"""An upgrade keeps the results of random user views, indexes, triggers and full-text tables, or is refused."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.old_files import contents, make_file, schema_of

import waiaas
from waiaas import WAIaaSError
from waiaas.migrations.opening import open_to_change

VERSIONS = (2, 5, 9, 17, 18)
TABLES = ("sessions", "transactions", "policies", "notification_logs", "audit_log", "key_value_store")
#: The columns that versions add: names that a view or trigger may have used for something else.
NEW_NAMES = ("network", "source", "message", "amount_usd", "reserved_amount_usd", "wallet_id", "approval_channel")
RENAMED = {"agent_id": "wallet_id"}


@st.composite
def objects(draw: st.DrawFn, version: int) -> list[str]:
    """Generate CREATE statements over the tables of a version; some do not compile."""
    columns = {table: [*schema_of(version)[table]["columns"]] for table in TABLES}

    def term(table: str) -> str:
        name = draw(st.sampled_from([*columns[table], *NEW_NAMES]))
        return draw(st.sampled_from([name, name, f'"{name}"', f"'{name}'", f"{table}.{name}", "1"]))

    def query(table: str) -> str:
        other = draw(st.sampled_from(TABLES))
        inner = f"(SELECT count(*) FROM {other} WHERE {term(other)} = {term(table)})"
        shown = draw(
            st.sampled_from(["*", "count(*) AS n", f"{term(table)} AS x, {term(table)} AS y", f"{inner} AS n"])
        )
        join = draw(st.sampled_from(["", "", f" NATURAL JOIN {other}"]))
        return f"SELECT {shown} FROM {table}{join} WHERE {term(table)} <> {term(table)}"

    statements = []
    for number in range(draw(st.integers(1, 4))):
        table = draw(st.sampled_from(TABLES))
        kind = draw(st.sampled_from(["view", "view", "union", "index", "trigger", "search"]))
        name = f"mine_{number}"
        if kind == "view":
            statements.append(f"CREATE VIEW {name} AS {query(table)}")
        elif kind == "union":
            statements.append(f"CREATE VIEW {name} AS SELECT * FROM {table} UNION ALL SELECT * FROM {table}")
        elif kind == "index":
            statements.append(
                f"CREATE INDEX {name} ON {table} ({columns[table][1]}) WHERE {columns[table][0]} <> {term(table)}"
            )
        elif kind == "trigger":
            event = draw(st.sampled_from(["INSERT", "UPDATE", "DELETE"]))
            statements.append(
                f"CREATE TRIGGER {name} AFTER {event} ON {table} BEGIN"
                f" INSERT INTO mine_log SELECT count(*), {term(table)} FROM {table}; END"
            )
        else:
            column = columns[table][1]
            statements.append(f"CREATE VIRTUAL TABLE {name} USING fts5 ({column}, content='{table}')")
            statements.append(f"INSERT INTO {name} ({name}) VALUES ('rebuild')")
    return statements


def make(path: Path, statements: list[str]) -> None:
    """Create the objects that SQLite accepts and that work."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE mine_log (n, x)")
        for statement in statements:
            try:
                database.execute(statement)
            except sqlite3.Error:
                continue
            name = statement.split()[2]
            if statement.startswith("CREATE VIEW"):
                try:
                    database.execute(f"SELECT * FROM {name}").fetchall()
                except sqlite3.Error:
                    database.execute(f"DROP VIEW {name}")


def answers(path: Path) -> dict[str, Any]:
    """Return the results of views and searches, and the records of triggers, in the latest names."""
    found: dict[str, Any] = {}
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN")
        stored = database.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name LIKE 'mine%'"
        ).fetchall()
        for kind, name, _, sql in stored:
            if kind == "view" or (sql or "").startswith("CREATE VIRTUAL"):
                found[name] = rows_of(database, f"SELECT * FROM {name}")
        for kind, name, table, sql in stored:
            if kind == "trigger":
                (column, *_) = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
                event = sql.split()[4]
                write = {
                    "INSERT": f"REPLACE INTO {table} SELECT * FROM {table} LIMIT 1",
                    "UPDATE": f"UPDATE {table} SET {column} = {column}",
                    "DELETE": f"DELETE FROM {table}",
                }[event]
                database.execute("SAVEPOINT one")
                try:
                    database.execute("DELETE FROM mine_log")
                    database.execute(write)
                    found[name] = rows_of(database, "SELECT * FROM mine_log")
                except sqlite3.Error:
                    found[name] = "fails"
                database.execute("ROLLBACK TO one")
        database.execute("ROLLBACK")
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return found


def rows_of(database: sqlite3.Connection, query: str) -> list[dict[str, Any]]:
    cursor = database.execute(query)
    names = [RENAMED.get(name, name) for name, *_ in cursor.description]
    return [dict(zip(names, map(renamed, row), strict=True)) for row in cursor]


def renamed(value: Any) -> Any:
    """Return a value as renamed by versions 3 and 14."""
    states = {"NORMAL": "ACTIVE", "agent_id": "wallet_id"}
    return states.get(value, value.replace("AGENT_", "WALLET_") if isinstance(value, str) else value)


def same(before: Any, after: Any) -> bool:
    """Return whether a result is the same in its old columns; `SELECT *` may have new ones."""
    if not isinstance(before, list) or not isinstance(after, list) or len(before) != len(after):
        return bool(before == after)
    names = before[0].keys() if before else ()
    kept = [repr([row.get(name) for name in names]) for row in after]
    return sorted(repr(list(row.values())) for row in before) == sorted(kept)


def check(data: st.DataObject) -> None:
    version = data.draw(st.sampled_from(VERSIONS))
    statements = data.draw(objects(version))
    with tempfile.TemporaryDirectory() as folder:
        path = make_file(Path(folder) / "wallets.db", version, rows=4)
        make(path, statements)
        before, bytes_before = answers(path), contents(path.parent)
        try:
            with open_to_change(path) as database:
                waiaas.upgrade(database, backup=False)
        except WAIaaSError as error:
            assert error.reason in ("dependent_object", "name_taken"), error
            assert "mine" in str(error)
            assert contents(path.parent) == bytes_before
            return
        after = answers(path)
        assert after.keys() == before.keys()
        assert [name for name in before if not same(before[name], after[name])] == []


QUIET = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.slow
@settings(max_examples=20, **QUIET)
@given(st.data())
def test_user_objects_work_as_before(data: st.DataObject) -> None:
    """Each view, search and trigger works as before the upgrade, or the file is refused and unchanged."""
    check(data)


@pytest.mark.stress
@settings(max_examples=1_000, **QUIET)
@given(st.data())
def test_many_user_objects_work_as_before(data: st.DataObject) -> None:
    """The same for many more objects."""
    check(data)
