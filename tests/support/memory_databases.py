"""In-memory databases for tests of single operations, closed when the test ends."""

from __future__ import annotations

from typing import Any

from peewee import SqliteDatabase

OPEN: list[SqliteDatabase] = []


def made(*statements: str) -> SqliteDatabase:
    """Create an in-memory database with these statements."""
    database = SqliteDatabase(":memory:")
    OPEN.append(database)
    for statement in statements:
        database.execute_sql(statement)
    return database


def rows(database: SqliteDatabase, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    return database.execute_sql(query).fetchall()
