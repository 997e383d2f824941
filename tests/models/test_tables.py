"""The models against the frozen schema of the latest version; binding; the PostgreSQL DDL.

Nothing of `waiaas.migrations` is used to read a schema, so that a bug there cannot hide one in the models.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from peewee import SQL, IntegrityError, PeeweeException, PostgresqlDatabase, SchemaManager, SqliteDatabase
from support.old_files import HARD_TEXTS, query, schema_of, value_of

import waiaas
from waiaas.models import MODELS, AuditLog, Policy, SchemaVersion, Session, SessionWallet, Transaction, Wallet

LATEST = waiaas.LATEST_SCHEMA_VERSION
FROZEN = schema_of(LATEST)
TABLES = sorted(FROZEN)
COLUMNS = [(table, column) for table in TABLES for column in FROZEN[table]["columns"]]
CLOSED = [(table, column) for table, column in COLUMNS if "one_of" in FROZEN[table]["columns"][column]]
FLAGS = {
    ("wallets", "owner_verified"),
    ("session_wallets", "is_default"),
    ("policies", "enabled"),
    ("settings", "encrypted"),
}
TIMES = {
    (table, column)
    for table, column in COLUMNS
    if FROZEN[table]["columns"][column]["type"] == "INTEGER"
    and (column.endswith("_at") or column in ("timestamp", "required_by", "expiry"))
}
JSON = {
    ("sessions", "constraints"),
    ("sessions", "usage_stats"),
    ("transactions", "metadata"),
    ("policies", "rules"),
    ("audit_log", "details"),
    ("wc_sessions", "peer_meta"),
    ("wc_sessions", "namespaces"),
}
BY_TABLE = {model._meta.table_name: model for model in MODELS}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that `connect` created, closed again."""
    path = tmp_path_factory.mktemp("fresh") / "wallets.db"
    waiaas.connect(path).close()
    return path


@pytest.fixture
def sqlite(fresh: Path) -> Iterator[sqlite3.Connection]:
    """A plain connection to the fresh file with foreign keys off, in a transaction that is rolled back."""
    with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("BEGIN")
        connection.execute("DELETE FROM schema_version")
        yield connection
        connection.execute("ROLLBACK")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    """A fresh database to which the models are bound in this thread."""
    database = waiaas.connect(tmp_path / "wallets.db").peewee
    with database.bind_ctx(MODELS):
        yield database
    database.close_all()


def read_table(connection: sqlite3.Connection, table: str) -> dict[str, Any]:
    """Return a table in the form of the frozen schemas, without CHECKs, read with SQLite's PRAGMAs only."""
    shape: dict[str, Any] = {"columns": {}, "indexes": {}}
    for _, name, type_, not_null, default, key in connection.execute(f"PRAGMA table_info({table})"):
        column = {"type": type_, "not_null": bool(not_null), "default": default, "key": key}
        shape["columns"][name] = {word: value for word, value in column.items() if value}
    for _, _, parent, child_column, parent_column, on_update, on_delete, match in connection.execute(
        f"PRAGMA foreign_key_list({table})"
    ):
        assert (on_update, match) == ("NO ACTION", "NONE")
        assert "references" not in shape["columns"][child_column]
        shape["columns"][child_column]["references"] = [parent, parent_column, on_delete]
    for _, index, unique, origin, partial in connection.execute(f"PRAGMA index_list({table})").fetchall():
        keys = [row for row in connection.execute(f"PRAGMA index_xinfo({index})") if row[5]]
        assert not partial
        assert [(descending, collation) for _, _, _, descending, collation, _ in keys] == [(0, "BINARY")] * len(keys)
        columns = [name for _, _, name, *_ in keys]
        if origin == "c":
            shape["indexes"][index] = {"columns": columns, "unique": True} if unique else {"columns": columns}
        elif origin == "u":
            shape.setdefault("unique", []).append(columns)
    (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
    if re.search(r"\bAUTOINCREMENT\b", sql):
        shape["autoincrement"] = True
    return shape


def frozen_table(table: str) -> dict[str, Any]:
    """Return a table of the frozen schema without its CHECKs."""
    columns = {
        name: {word: value for word, value in column.items() if word != "one_of"}
        for name, column in FROZEN[table]["columns"].items()
    }
    return {**FROZEN[table], "columns": columns}


def insert(connection: sqlite3.Connection, table: str, number: int = 0, **changed: Any) -> None:
    """Insert one row that the frozen schema allows, with some values changed."""
    row = {name: value_of(table, name, column, number) for name, column in FROZEN[table]["columns"].items()}
    row.update(changed)
    marks = ", ".join("?" for _ in row)
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def count(connection: sqlite3.Connection, table: str) -> int:
    (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(rows)


def test_a_fresh_file_has_these_objects_and_no_other(sqlite: sqlite3.Connection) -> None:
    """A fresh file contains the 16 tables and their indexes, SQLite's own objects, and nothing else."""
    stored = sqlite.execute("SELECT type, name FROM sqlite_master").fetchall()
    own = {(type_, name) for type_, name in stored if not name.startswith("sqlite_")}
    indexes = {("index", index) for table in TABLES for index in FROZEN[table]["indexes"]}
    assert len(TABLES) == 16
    assert own == {("table", table) for table in TABLES} | indexes
    assert {name for _, name in stored if name.startswith("sqlite_") and "autoindex" not in name} == {
        "sqlite_sequence"
    }


@pytest.mark.parametrize("table", TABLES)
def test_a_table_equals_the_frozen_one(sqlite: sqlite3.Connection, table: str) -> None:
    """Each table has the frozen columns in order (type, NOT NULL, default, key, foreign key), indexes and UNIQUEs."""
    read, frozen = read_table(sqlite, table), frozen_table(table)
    assert read == frozen
    assert list(read["columns"]) == list(frozen["columns"])


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_no_options(sqlite: sqlite3.Connection, table: str) -> None:
    """No table is STRICT, WITHOUT ROWID or temporary."""
    (sql,) = sqlite.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
    assert sql.startswith("CREATE TABLE ")
    assert sql.endswith(")")
    assert sqlite.execute(f"SELECT rowid FROM {table}").fetchall() == []


@pytest.mark.parametrize(("table", "column"), CLOSED)
def test_a_value_set_accepts_only_its_values(sqlite: sqlite3.Connection, table: str, column: str) -> None:
    """Each value of a frozen CHECK set can be inserted, and no similar value."""
    allowed = [value for value in FROZEN[table]["columns"][column]["one_of"] if value is not None]
    for number, value in enumerate(allowed):
        insert(sqlite, table, number, **{column: value})
    assert [value for (value,) in sqlite.execute(f"SELECT {column} FROM {table} ORDER BY rowid")] == allowed
    near = [2, -1, "x"] if allowed == [0, 1] else ["", "x", 1, allowed[0].swapcase(), f"{allowed[0]} ", "NULL"]
    for value in near:
        with pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed"):
            insert(sqlite, table, len(allowed), **{column: value})
    assert count(sqlite, table) == len(allowed)


@pytest.mark.parametrize(("table", "column"), [each for each in COLUMNS if each not in CLOSED])
def test_a_column_without_a_value_set_accepts_any_value(sqlite: sqlite3.Connection, table: str, column: str) -> None:
    """A column without a frozen CHECK set has no CHECK and accepts any value."""
    values = (-1, 2**62) if FROZEN[table]["columns"][column]["type"] == "INTEGER" else HARD_TEXTS
    for number, value in enumerate(values):
        insert(sqlite, table, number, **{column: value})
    assert [value for (value,) in sqlite.execute(f"SELECT {column} FROM {table} ORDER BY {column}")] == sorted(values)


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_null_is_accepted_only_if_the_frozen_schema_allows_it(
    sqlite: sqlite3.Connection, table: str, column: str
) -> None:
    """NULL can be inserted only if the frozen column is neither NOT NULL nor an INTEGER key."""
    frozen = FROZEN[table]["columns"][column]
    if frozen.get("not_null"):
        with pytest.raises(sqlite3.IntegrityError, match=f"NOT NULL constraint failed: {table}.{column}"):
            insert(sqlite, table, **{column: None})
        assert count(sqlite, table) == 0
        return
    insert(sqlite, table, **{column: None})
    numbered = "key" in frozen and frozen["type"] == "INTEGER"
    assert sqlite.execute(f"SELECT {column} FROM {table}").fetchall() == [(1,) if numbered else (None,)]


@pytest.mark.parametrize("table", TABLES)
def test_keys_and_unique_columns_accept_a_value_once(sqlite: sqlite3.Connection, table: str) -> None:
    """A primary key, a UNIQUE constraint and a unique index each refuse a second row with the same values."""
    shape = FROZEN[table]
    keys = [[name for name, column in shape["columns"].items() if "key" in column]]
    keys += shape.get("unique", [])
    keys += [index["columns"] for index in shape["indexes"].values() if index.get("unique")]
    first = {name: value_of(table, name, column, 0) for name, column in shape["columns"].items()}
    insert(sqlite, table)
    for columns in keys:
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE constraint failed"):
            insert(sqlite, table, 6, **{column: first[column] for column in columns})
    assert count(sqlite, table) == 1
    insert(sqlite, table, 6)


def test_only_the_audit_log_never_reuses_an_id(sqlite: sqlite3.Connection) -> None:
    """Only the audit log is AUTOINCREMENT: it never reuses an id, not even that of a deleted row."""
    for table, key, reused in (("audit_log", "id", False), ("telegram_users", "chat_id", True)):
        insert(sqlite, table, **{key: 41})
        sqlite.execute(f"DELETE FROM {table}")
        insert(sqlite, table, **{key: None})
        assert sqlite.execute(f"SELECT {key} FROM {table}").fetchall() == [(1 if reused else 42,)]
    assert sqlite.execute("SELECT name FROM sqlite_sequence").fetchall() == [("audit_log",)]


def test_a_fresh_file_records_every_version(tmp_path: Path) -> None:
    """A fresh file's schema_version has one row per version, dated now, each with its description."""
    started = int(time.time())
    waiaas.connect(tmp_path / "wallets.db").close()
    rows = query(tmp_path / "wallets.db", "SELECT version, applied_at, description FROM schema_version ORDER BY rowid")
    assert [version for version, _, _ in rows] == list(range(1, LATEST + 1))
    assert all(isinstance(applied, int) and started <= applied <= time.time() for _, applied, _ in rows)
    assert len({description for _, _, description in rows if description.strip()}) == LATEST


def test_every_table_has_one_model() -> None:
    """`MODELS` contains one model per table, and the package exports each by name."""
    assert sorted(BY_TABLE) == TABLES
    assert len(MODELS) == len(TABLES)
    assert all(getattr(waiaas.models, model.__name__) is model for model in MODELS)


def test_models_come_in_foreign_key_order() -> None:
    """Each model comes after those that it refers to, so that tables and rows can be created in order."""
    order = [model._meta.table_name for model in MODELS]
    for table, column in COLUMNS:
        parent, *_ = FROZEN[table]["columns"][column].get("references", [table])
        assert order.index(parent) <= order.index(table), (table, column)


class TestRows:
    """Rows with difficult values through the models, compared with the rows that plain `sqlite3` reads."""

    @staticmethod
    def seed(path: Path, table: str) -> list[tuple[Any, ...]]:
        """Insert twelve rows as the daemon would, and return them."""
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute(f"DELETE FROM {table}")
            for number in range(12):
                valid = {
                    column: f'{{"n":{number},"text":"it\'s 한국 🔑"}}'
                    for column in FROZEN[table]["columns"]
                    if (table, column) in JSON and (number % 3 < 2 or FROZEN[table]["columns"][column].get("not_null"))
                }
                flags = {column: number % 2 for flagged, column in FLAGS if flagged == table}
                insert(connection, table, number, **valid, **flags)
            return connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()

    @pytest.mark.parametrize("table", TABLES)
    def test_a_model_reads_what_the_daemon_wrote(self, database: SqliteDatabase, tmp_path: Path, table: str) -> None:
        """Texts and numbers are read unchanged, times as UTC datetimes, flags as bools, JSON as values."""
        columns = list(FROZEN[table]["columns"])
        expected = [
            [python_value(table, column, value) for column, value in zip(columns, row, strict=True)]
            for row in self.seed(tmp_path / "wallets.db", table)
        ]
        rows = BY_TABLE[table].select().order_by(SQL("rowid"))
        read = [[row.__data__[name] for name in row._meta.sorted_field_names] for row in rows]
        assert read == expected
        assert [[type(value) for value in row] for row in read] == [[type(value) for value in row] for row in expected]

    @pytest.mark.parametrize("table", TABLES)
    def test_a_row_that_is_read_and_written_is_the_same_row(
        self, database: SqliteDatabase, tmp_path: Path, table: str
    ) -> None:
        """A model writes back what it read byte for byte."""
        model = BY_TABLE[table]
        stored = self.seed(tmp_path / "wallets.db", table)
        rows = [row.__data__ for row in model.select().order_by(SQL("rowid"))]
        database.pragma("foreign_keys", 0)
        model.delete().execute()
        model.insert_many(rows).execute()
        assert query(tmp_path / "wallets.db", f"SELECT * FROM {table} ORDER BY rowid") == stored

    @pytest.mark.parametrize(
        "table", [table for table in TABLES if any("default" in c for c in FROZEN[table]["columns"].values())]
    )
    def test_defaults_are_the_same_from_python_and_from_sql(
        self, database: SqliteDatabase, tmp_path: Path, table: str
    ) -> None:
        """A row created from the required values alone is the same from the model and from plain SQL."""
        columns = FROZEN[table]["columns"]
        required = {
            name: '{"a":1}' if (table, name) in JSON else value_of(table, name, column, 0)
            for name, column in columns.items()
            if (column.get("not_null") or "key" in column) and "default" not in column
        }
        database.pragma("foreign_keys", 0)
        marks = ", ".join("?" for _ in required)
        sql = f"INSERT INTO {table} ({', '.join(required)}) VALUES ({marks})"
        database.execute_sql(sql, tuple(required.values()))
        by_sql = query(tmp_path / "wallets.db", f"SELECT * FROM {table}")
        database.execute_sql(f"DELETE FROM {table}")
        model = BY_TABLE[table]
        names = {name: model._meta.columns[name].name for name in required}
        model.create(**{names[name]: python_value(table, name, value) for name, value in required.items()})
        assert query(tmp_path / "wallets.db", f"SELECT * FROM {table}") == by_sql


def python_value(table: str, column: str, stored: Any) -> Any:
    """Return the Python form of a stored value, by the lists at the top of this file."""
    if stored is None:
        return None
    if (table, column) in TIMES:
        return datetime.fromtimestamp(stored, timezone.utc)
    if (table, column) in FLAGS:
        return bool(stored)
    if (table, column) in JSON:
        return json.loads(stored)
    return stored


def wallet(id_: str, name: str = "w", **values: Any) -> Wallet:
    """Create a wallet in the bound database."""
    defaults = {"chain": "solana", "environment": "testnet", "public_key": id_, "created_at": 1, "updated_at": 1}
    return Wallet.create(id=id_, name=name, **{**defaults, **values})


def session(id_: str, *wallets: Wallet) -> Session:
    """Create a session in the bound database, linked to wallets of which the first is its default."""
    made = Session.create(id=id_, token_hash=id_, expires_at=1, absolute_expires_at=2, created_at=3)
    for linked in wallets:
        SessionWallet.create(session=made, wallet=linked, is_default=linked is wallets[0], created_at=4)
    return made


def transaction(id_: str, owner: Wallet, **values: Any) -> Transaction:
    """Create a transaction in the bound database."""
    return Transaction.create(id=id_, wallet=owner, chain="solana", type="TRANSFER", created_at=1, **values)


class TestDeleting:
    """The ON DELETE actions on a connection of `connect`."""

    def test_deleting_a_wallet_deletes_its_links_and_policies(self, database: SqliteDatabase) -> None:
        """Deleting a wallet deletes its links and policies, and keeps sessions and the policies of others."""
        first, second = wallet("w-1"), wallet("w-2")
        session("s-1", first, second)
        for id_, owner in (("p-1", first), ("p-2", second), ("p-all", None)):
            Policy.create(id=id_, wallet=owner, type="WHITELIST", rules={}, created_at=1, updated_at=1)
        first.delete_instance()
        assert [link.wallet_id for link in SessionWallet.select()] == ["w-2"]
        assert sorted(policy.id for policy in Policy.select()) == ["p-2", "p-all"]
        assert Session.select().count() == 1

    def test_a_wallet_with_transactions_cannot_be_deleted(self, database: SqliteDatabase) -> None:
        """A wallet that has a transaction cannot be deleted, and its other rows stay."""
        owner = wallet("w-1")
        session("s-1", owner)
        transaction("t-1", owner)
        with pytest.raises(IntegrityError, match="FOREIGN KEY"):
            owner.delete_instance()
        assert (Wallet.select().count(), SessionWallet.select().count(), Transaction.select().count()) == (1, 1, 1)

    def test_deleting_a_session_deletes_its_links_and_keeps_its_transactions(self, database: SqliteDatabase) -> None:
        """Deleting a session deletes its links; its transactions stay without a session."""
        owner = wallet("w-1")
        made = session("s-1", owner)
        transaction("t-1", owner, session=made)
        made.delete_instance()
        assert SessionWallet.select().count() == 0
        assert [(each.id, each.session_id) for each in Transaction.select()] == [("t-1", None)]

    def test_deleting_a_batch_deletes_its_entries(self, database: SqliteDatabase) -> None:
        """Deleting a batch deletes its entries and no other transaction."""
        owner = wallet("w-1")
        batch = transaction("batch", owner)
        transaction("entry", owner, parent=batch, batch_index=0)
        transaction("other", owner)
        assert [entry.id for entry in batch.entries] == ["entry"]
        batch.delete_instance()
        assert [each.id for each in Transaction.select()] == ["other"]

    def test_a_link_to_a_missing_row_is_refused(self, database: SqliteDatabase) -> None:
        """A link must name an existing session and wallet."""
        made = session("s-1", wallet("w-1"))
        with pytest.raises(IntegrityError, match="FOREIGN KEY"):
            SessionWallet.create(session=made, wallet="nobody", created_at=1)
        assert SessionWallet.select().count() == 1


OPERATIONS: dict[str, Callable[[], Any]] = {
    "select": lambda: list(Wallet.select()),
    "count": lambda: Wallet.select().count(),
    "join": lambda: list(SessionWallet.select().join(Wallet)),
    "create": lambda: wallet("intruder"),
    "update": lambda: Wallet.update(name="intruder").execute(),
    "delete": lambda: Wallet.delete().execute(),
    "table_exists": lambda: Wallet.table_exists(),
    "create_table": lambda: Wallet.create_table(),
    "drop_table": lambda: AuditLog.drop_table(),
    "truncate": lambda: Wallet.truncate_table(),
}


class TestBinding:
    @pytest.fixture(autouse=True)
    def unbound(self) -> Iterator[None]:
        """Unbind the models after each test."""
        yield
        for model in MODELS:
            model.bind(None)

    @pytest.mark.slow
    def test_each_thread_has_its_own_database(self, tmp_path: Path) -> None:
        """Threads that write to their own files at the same time do not affect each other."""
        threads, rounds = 6, 8
        barrier = threading.Barrier(threads, timeout=20)

        def work(number: int) -> None:
            path = tmp_path / f"{number}.db"
            database = waiaas.connect(path).peewee
            with database.bind_ctx(MODELS):
                for step in range(rounds):
                    barrier.wait()
                    owner = wallet(f"w-{step}", name=f"of {number}")
                    made = session(f"s-{step}", owner)
                    transaction(f"t-{step}", owner, session=made, to_address=f"of {number}")
                    barrier.wait()
                    assert {each.name for each in Wallet.select()} == {f"of {number}"}
                    assert [link.wallet.name for link in made.links] == [f"of {number}"]
                    joined = Transaction.select().join(Wallet).where(Wallet.name == f"of {number}")
                    assert [each.to_address for each in joined] == [f"of {number}"] * (step + 1)
                    assert Wallet.alias("other").select().count() == step + 1
                    assert Wallet.table_exists()
            database.close_all()

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(threads)))
        for number in range(threads):
            path = tmp_path / f"{number}.db"
            assert query(path, "SELECT DISTINCT name FROM wallets") == [(f"of {number}",)]
            assert query(path, "SELECT DISTINCT to_address FROM transactions") == [(f"of {number}",)]
            for table in ("wallets", "sessions", "session_wallets", "transactions"):
                assert query(path, f"SELECT count(*) FROM {table}") == [(rounds,)]

    @pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
    @pytest.mark.parametrize("bind", ["bind_ctx", "bind"])
    def test_an_unbound_thread_gets_an_error(self, tmp_path: Path, operation: Callable[[], Any], bind: str) -> None:
        """Every operation fails in a thread that bound no database, even if another thread has bound one."""
        database = waiaas.connect(tmp_path / "wallets.db").peewee
        block = getattr(database, bind)(MODELS) or nullcontext()
        with block:
            session("s-1", wallet("w-1"))
            with ThreadPoolExecutor(1) as pool:
                error = pool.submit(operation).exception()
            kept = [(each.id, each.name) for each in Wallet.select()]
            assert AuditLog.table_exists()
        database.close_all()
        assert isinstance(error, PeeweeException)
        assert kept == [("w-1", "w")]

    @pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
    def test_nothing_is_bound_after_the_block(self, tmp_path: Path, operation: Callable[[], Any]) -> None:
        """After the block the models are unbound again, even if the block raised."""
        database = waiaas.connect(tmp_path / "wallets.db").peewee
        with pytest.raises(IntegrityError), database.bind_ctx(MODELS):
            session("s-1", wallet("w-1"), Wallet(id="nobody"))
        with pytest.raises(PeeweeException):
            operation()
        database.close_all()
        assert query(tmp_path / "wallets.db", "SELECT id, name FROM wallets") == [("w-1", "w")]

    def test_blocks_may_be_nested(self, tmp_path: Path) -> None:
        """An inner block binds its own database, and the outer binding is restored after it, even after an error."""
        outer, inner = (waiaas.connect(tmp_path / name).peewee for name in ("outer.db", "inner.db"))
        with outer.bind_ctx(MODELS):
            wallet("w-outer")
            with inner.bind_ctx(MODELS):
                wallet("w-inner")
                assert [each.id for each in Wallet.select()] == ["w-inner"]
                with outer.bind_ctx(MODELS):
                    assert [each.id for each in Wallet.select()] == ["w-outer"]
                assert [each.id for each in Wallet.select()] == ["w-inner"]
            assert [each.id for each in Wallet.select()] == ["w-outer"]
            with pytest.raises(KeyError), inner.bind_ctx(MODELS):
                raise KeyError
            session("s-outer", wallet("w-again"))
        outer.close_all()
        inner.close_all()
        assert query(tmp_path / "outer.db", "SELECT id FROM wallets ORDER BY id") == [("w-again",), ("w-outer",)]
        assert query(tmp_path / "inner.db", "SELECT id FROM wallets") == [("w-inner",)]
        assert query(tmp_path / "inner.db", "SELECT count(*) FROM sessions") == [(0,)]

    def test_a_query_keeps_the_database_of_its_block(self, tmp_path: Path) -> None:
        """A query that is created in one block and run in another reads the database of the first block."""
        first, second = (waiaas.connect(tmp_path / name).peewee for name in ("first.db", "second.db"))
        with first.bind_ctx(MODELS):
            wallet("w-first")
            made = Wallet.select()
        with second.bind_ctx(MODELS):
            assert [each.id for each in made] == ["w-first"]
            assert Wallet.select().count() == 0
        first.close_all()
        second.close_all()

    def test_the_table_of_a_model_is_bound_like_the_model(self, tmp_path: Path) -> None:
        """Peewee's table object of a model reads the database of the block in which it is used."""
        first, second = (waiaas.connect(tmp_path / name).peewee for name in ("first.db", "second.db"))
        for database, expected in ((first, 1), (second, 0), (first, 1)):
            with database.bind_ctx(MODELS):
                if expected:
                    Wallet.delete().execute()
                    wallet("w-1")
                assert Wallet._meta.table.select().count() == expected
        first.close_all()
        second.close_all()

    def test_importing_binds_nothing(self) -> None:
        """After an import the models are not bound to a database, not even in the importing thread."""
        assert [model for model in MODELS if model._meta.database is not None] == []


class TestPostgreSQL:
    """The PostgreSQL DDL of the models; its text needs no server and no driver."""

    DATABASE = PostgresqlDatabase("wallets")

    def ddl(self, table: str) -> str:
        sql, parameters = SchemaManager(BY_TABLE[table], self.DATABASE)._create_table(safe=False).query()
        assert parameters == []
        return str(sql)

    @pytest.mark.parametrize("table", TABLES)
    def test_columns_have_types_that_hold_the_same_values(self, table: str) -> None:
        """Columns keep their order: times and other integers are BIGINT, flags INTEGER, dollars DOUBLE PRECISION."""
        expected = []
        for column, frozen in FROZEN[table]["columns"].items():
            if FROZEN[table].get("autoincrement") and "key" in frozen:
                type_ = "(?:BIG)?SERIAL"
            elif (table, column) in FLAGS:
                type_ = "INTEGER"
            else:
                type_ = {"INTEGER": "BIGINT", "TEXT": "TEXT", "REAL": "DOUBLE PRECISION"}[frozen["type"]]
            expected.append(f'[(, ]"{column}" {type_}\\b')
        ddl = self.ddl(table)
        found = [re.search(pattern, ddl) for pattern in expected]
        assert [pattern for pattern, match in zip(expected, found, strict=True) if match is None] == []
        starts = [match.start() for match in found if match is not None]
        assert starts == sorted(starts)

    @pytest.mark.parametrize(("table", "column"), sorted(TIMES))
    def test_times_after_2038(self, table: str, column: str) -> None:
        """A time column is BIGINT, because PostgreSQL's INTEGER ends in the year 2038."""
        assert f'"{column}" BIGINT' in self.ddl(table)

    @pytest.mark.parametrize("table", TABLES)
    def test_no_keyword_is_specific_to_sqlite(self, table: str) -> None:
        """The DDL has no AUTOINCREMENT and nothing else that PostgreSQL does not know."""
        ddl = self.ddl(table)
        assert ddl.startswith(f'CREATE TABLE "{table}" (')
        for word in ("AUTOINCREMENT", "COLLATE", "ROWID", "`", "?", "%"):
            assert word not in ddl.upper()

    @pytest.mark.parametrize("table", TABLES)
    def test_defaults_keys_and_sets_are_the_same(self, table: str) -> None:
        """The DDL has the same defaults, NOT NULL, value sets, keys, UNIQUE and foreign keys as in SQLite."""
        ddl = self.ddl(table)
        columns = FROZEN[table]["columns"]
        for name, frozen in columns.items():
            definition = re.search(rf'[(, ]"{name}" [A-Z].*?(?=, "|, PRIMARY|, FOREIGN|\)$)', ddl)
            assert definition is not None
            text = definition.group()
            assert ("NOT NULL" in text) == bool(frozen.get("not_null"))
            assert (f"DEFAULT {frozen.get('default')}" in text) == ("default" in frozen)
            allowed = [repr(value) for value in frozen.get("one_of", ()) if value is not None]
            assert (f'"{name}" IN ({", ".join(allowed)})' in ddl) == bool(allowed)
            assert ("UNIQUE" in text) == ([name] in FROZEN[table].get("unique", []))
            parent = frozen.get("references")
            clause = f'FOREIGN KEY ("{name}") REFERENCES '
            assert (clause in ddl) == bool(parent)
            assert parent is None or f'{clause}"{parent[0]}" ("{parent[1]}") ON DELETE {parent[2]}' in ddl
        keys = [name for name, frozen in columns.items() if "key" in frozen]
        composite = ", ".join(f'"{key}"' for key in keys)
        assert (f"PRIMARY KEY ({composite})" in ddl) == (len(keys) > 1)
        assert ddl.count("PRIMARY KEY") == 1

    @pytest.mark.parametrize("table", TABLES)
    def test_indexes_are_the_same(self, table: str) -> None:
        """The indexes have the same names, columns and uniqueness."""
        model = BY_TABLE[table]
        manager = SchemaManager(model, self.DATABASE)
        made = {manager._create_index(index, safe=False).query()[0] for index in model._meta.fields_to_index()}
        expected = set()
        for name, index in FROZEN[table]["indexes"].items():
            columns = ", ".join(f'"{column}"' for column in index["columns"])
            unique = "UNIQUE " if index.get("unique") else ""
            expected.add(f'CREATE {unique}INDEX "{name}" ON "{table}" ({columns})')
        assert made == expected

    def test_queries_send_seconds_and_flags(self) -> None:
        """A query for PostgreSQL sends a time as Unix seconds and a flag as 0 or 1, as parameters."""
        moment = datetime(2038, 1, 19, 3, 14, 8, tzinfo=timezone.utc)
        with self.DATABASE.bind_ctx(MODELS):
            sql, parameters = (
                SessionWallet.select(SessionWallet.wallet)
                .where(
                    (SessionWallet.created_at > moment) & (SessionWallet.is_default == True)  # noqa: E712
                )
                .sql()
            )
        assert parameters == [2_147_483_648, 1]
        assert sql.count("%s") == 2


def test_schema_versions_are_read_by_the_model(database: SqliteDatabase) -> None:
    """`SchemaVersion` returns the versions of a file with the time at which each was applied."""
    applied = [row.applied_at for row in SchemaVersion.select().order_by(SchemaVersion.version)]
    assert len(applied) == LATEST
    assert all(moment.tzinfo is timezone.utc for moment in applied)
