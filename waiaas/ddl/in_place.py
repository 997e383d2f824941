"""Changes that edit only the SQL in sqlite_master, and touch no row or index page: CHECKs, and names of indexes.

SQLite documents that the SQL of a table may be edited if the change does not affect how rows are stored
(https://www.sqlite.org/lang_altertable.html#otheralter). This takes a fraction of the time of a table rebuild or a new
index. Each function returns False, and changes nothing, if the change cannot be made in this way.
"""

from __future__ import annotations

from collections.abc import Sequence

from peewee import DatabaseError, SqliteDatabase

from waiaas.ddl.column_text import column_text
from waiaas.ddl.connection import read
from waiaas.ddl.schema import Index, Table, canonical, check_clauses, described, same_index, statistics_tables
from waiaas.ddl.sql import CreateTable, parse_create_table, quote
from waiaas.errors.sqlite import reason_for


def replace_checks(database: SqliteDatabase, table: Table, new: CreateTable) -> bool:
    """Give a table a definition that differs only in its CHECKs, unless a row violates a new one."""
    if canonical(without_checks(new).sql) != canonical(without_checks(table.definition).sql):
        return False
    try:
        described(new.sql)
        if _has_refused_rows(database, table, new):
            return False
    except DatabaseError as error:
        if reason_for(error):
            raise
        return False  # a CHECK may need a function of the user's program; the rebuild reports which
    return _edit(database, "sql = ? WHERE type = 'table' AND name = ?", (new.sql, table.name))


def rename_index(database: SqliteDatabase, old: Index, new: Index) -> bool:
    """Rename an index if it equals the new one except for the name."""
    if not same_index(old, new) or old.sql is None:
        return False
    is_renamed = _edit(database, "name = ?, sql = ? WHERE type = 'index' AND name = ?", (new.name, new.sql, old.name))
    for statistics in statistics_tables(database) if is_renamed else ():
        database.execute_sql(f"UPDATE main.{quote(statistics)} SET idx = ? WHERE idx = ?", (new.name, old.name))
    return is_renamed


def without_checks(definition: CreateTable) -> CreateTable:
    """Return a definition without its column CHECKs, and with CHECK (1) in place of each table CHECK."""
    for item in definition.items:
        if item.name is not None and any(token.is_word("check") for token in item.tokens):
            definition = column_text(definition, item.name).without(lambda clause: clause.kind == "check")
    sql = definition.sql
    for clause in reversed(check_clauses(definition)):
        sql = f"{sql[: clause.start]}1{sql[clause.start + len(clause.expression) :]}"
    return parse_create_table(sql)


def _has_refused_rows(database: SqliteDatabase, table: Table, new: CreateTable) -> bool:
    """Return whether a row violates a CHECK that the table does not have yet."""
    before = set(table.checks())
    refused = [f"NOT ({c.expression})" for c in check_clauses(new) if canonical(c.expression) not in before]
    query = f"SELECT 1 FROM main.{quote(table.name)} NOT INDEXED WHERE {' OR '.join(refused)} LIMIT 1"
    return bool(refused) and bool(read(database, query))


def _edit(database: SqliteDatabase, change: str, parameters: Sequence[object]) -> bool:
    """Edit a row of sqlite_master, unless the connection forbids it (SQLITE_DBCONFIG_DEFENSIVE)."""
    ((cookie,),) = read(database, "PRAGMA main.schema_version")
    database.execute_sql("PRAGMA writable_schema = ON")
    try:
        database.execute_sql(f"UPDATE main.sqlite_master SET {change}", parameters)
        # Makes other connections read the schema again.
        database.execute_sql(f"PRAGMA main.schema_version = {cookie + 1}")
    except DatabaseError as error:
        if reason_for(error):
            raise
        return False
    finally:
        # Makes this connection read it again.
        database.execute_sql("PRAGMA writable_schema = RESET")
    return True
