"""Database files as the daemon of each schema version made them, with linked rows of difficult values.

They are made with plain `sqlite3` from the frozen schemas in `frozen/`, independently of the library's models and
migrations, and in rollback-journal mode by default, so that a test can compare bytes.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

#: The daemon's settings of each connection.
DAEMONS_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 1,
    "foreign_keys": 1,
    "busy_timeout": 5000,
    "cache_size": -64000,
    "mmap_size": 268435456,
    "temp_store": 2,
}
_FROZEN = Path(__file__).parent / "frozen"
#: The versions that the daemon or this library has released; no file is at version 6 or 7.
SHIPPED = tuple(sorted(int(path.stem[1:]) for path in _FROZEN.glob("v*.json")))
HARD_TEXTS = (
    "plain",
    "",
    'it\'s "quoted" `here` [and] there',
    "한국어 지갑",
    "🔑🪙 emoji",
    "line\nbreak\r\n\ttab",
    "wallet_id",
    "  blanks  ",
    "'; DROP TABLE sessions; --",
    "100%_\\",
)
_START = 1_700_000_000
_ORDER = (
    "agents",
    "wallets",
    "sessions",
    "transactions",
    "session_wallets",
)


@cache
def schema_of(version: int) -> dict[str, dict[str, Any]]:
    """Return the tables of a new installation of a version, parents first."""
    text = (_FROZEN / f"v{version:02}.json").read_text("utf-8")
    tables = json.loads(text)
    return dict(sorted(tables.items(), key=lambda item: _rank(item[0])))


def _rank(table: str) -> int:
    return _ORDER.index(table) if table in _ORDER else len(_ORDER)


def create_statements(version: int) -> Iterator[str]:
    """Return the CREATE statements of a version in the daemon's style: unquoted, constraints next to their columns."""
    for table, shape in schema_of(version).items():
        keys = sorted((column["key"], name) for name, column in shape["columns"].items() if "key" in column)
        lines = [_column(name, column, shape, len(keys) == 1) for name, column in shape["columns"].items()]
        if len(keys) > 1:
            lines.append(f"PRIMARY KEY ({', '.join(name for _, name in keys)})")
        lines += [f"UNIQUE ({', '.join(columns)})" for columns in shape.get("unique", ())]
        yield f"CREATE TABLE {table} (\n  " + ",\n  ".join(lines) + "\n)"
        for name, index in shape["indexes"].items():
            unique = "UNIQUE " if index.get("unique") else ""
            yield f"CREATE {unique}INDEX {name} ON {table}({', '.join(index['columns'])})"


def _column(name: str, column: dict[str, Any], shape: dict[str, Any], alone: bool) -> str:
    words = [name, column["type"]]
    if "key" in column and alone:
        words.append("PRIMARY KEY AUTOINCREMENT" if shape.get("autoincrement") else "PRIMARY KEY")
    if column.get("not_null"):
        words.append("NOT NULL")
    if "default" in column:
        words.append(f"DEFAULT {column['default']}")
    if "references" in column:
        table, parent, action = column["references"]
        words.append(f"REFERENCES {table}({parent}) ON DELETE {action}")
    if "one_of" in column:
        values = ", ".join(f"'{v}'" if isinstance(v, str) else str(v) for v in column["one_of"] if v is not None)
        null = f"{name} IS NULL OR " if None in column["one_of"] else ""
        words.append(f"CHECK ({null}{name} IN ({values}))")
    return " ".join(words)


def make_file(path: Path, version: int = 18, rows: int = 12, *, wal: bool = False) -> Path:
    """Make a file of a version with `rows` linked rows in every table."""
    path.write_bytes(_content(version, rows, wal))
    return path


@cache
def _content(version: int, rows: int, wal: bool) -> bytes:
    """Return the bytes of a file, which is made once and copied to keep the tests fast."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wallets.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            if wal:
                database.execute("PRAGMA journal_mode = WAL")
            database.execute("BEGIN")
            for statement in create_statements(version):
                database.execute(statement)
            seed(database, version, rows)
            database.execute("COMMIT")
        return path.read_bytes()


def seed(database: sqlite3.Connection, version: int, rows: int) -> None:
    """Fill every table of a version: all allowed values, difficult texts, NULL in every nullable column."""
    for table, shape in schema_of(version).items():
        if table == "schema_version":
            applied = [(number, _START + number, f"version {number}") for number in range(1, version + 1)]
            database.executemany("INSERT INTO schema_version VALUES (?, ?, ?)", applied)
            continue
        marks = ", ".join("?" for _ in shape["columns"])
        for number in range(rows):
            values = [value_of(table, name, column, number) for name, column in shape["columns"].items()]
            database.execute(f"INSERT INTO {table} VALUES ({marks})", values)


_JSON_COLUMNS = {"constraints", "usage_stats", "metadata", "rules", "details", "peer_meta", "namespaces"}


def value_of(table: str, name: str, column: dict[str, Any], number: int) -> Any:
    """Return the value of a column in the row of that number."""
    nullable = "key" not in column and not column.get("not_null")
    if nullable and number % 3 == 2:
        return None
    if "references" in column:
        return _id(column["references"][0], _parent(table, name, number))
    if "one_of" in column:
        allowed = [value for value in column["one_of"] if value is not None]
        return allowed[number % len(allowed)]
    if name == "is_default":
        return 1
    if column["type"] == "INTEGER":
        return number + 1 if "key" in column else _START + 86_400 * number
    if column["type"] == "REAL":
        return number / 8
    if "key" in column:
        return _id(table, number)
    if name in ("token_hash", "tx_hash", "public_key", "topic", "address"):
        return f"{name}-{number:04}"
    if table == "key_value_store" and name == "value" and number == 0:
        return "NORMAL"
    text = HARD_TEXTS[number % len(HARD_TEXTS)]
    return json.dumps({"text": text}, ensure_ascii=False) if name in _JSON_COLUMNS else text


def _parent(table: str, column: str, number: int) -> int:
    # One-to-one keys stay so; otherwise several children share a parent.
    one_to_one = table == "wc_sessions" or (table, column) == ("session_wallets", "session_id")
    return number if one_to_one else number // 2


def _id(table: str, number: int) -> str:
    kind = {"agents": "wallets"}.get(table, table)
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}/{number}"))


def session_id(number: int) -> str:
    """Return the id of a seeded session."""
    return _id("sessions", number)


def wallet_id(number: int) -> str:
    """Return the id of a seeded wallet."""
    return _id("wallets", number)


def dump(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables, with the columns by name, in a fixed order, for comparisons."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: sorted(
                (tuple(sorted(dict(row).items())) for row in database.execute(f'SELECT * FROM "{name}"')), key=repr
            )
            for name in names
            if not name.startswith("sqlite_")
        }


def contents(folder: Path) -> dict[str, str]:
    """Return the files of a folder, each with the SHA-256 of its bytes."""
    return {file.name: sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def execute(path: Path, *statements: str) -> None:
    """Run statements on a file with foreign keys off, each committed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def query(path: Path, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a query on a file."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(statement, parameters).fetchall()
