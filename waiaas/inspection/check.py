"""Checks a WAIaaS database file: its pages, its tables against the models, its links, its references."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from peewee import DatabaseError, Field, ForeignKeyField, OperationalError, PostgresqlDatabase, SqliteDatabase

from waiaas.ddl.schema import StoredObject, Table, describe, foreign_key_check, ordinary_tables, stored_objects
from waiaas.ddl.schema_rows import refuse_strange_rows
from waiaas.ddl.sql import fold, quote, tokens, unquote
from waiaas.ddl.untrusted import inspecting
from waiaas.errors.driver import sqlite3
from waiaas.errors.sqlite import is_mismatch, reason_for
from waiaas.errors.translation import translate_errors
from waiaas.files.page_check import damage, refuse_unreadable
from waiaas.inspection.engine_checks import unknown_kill_switch, wrong_links
from waiaas.inspection.report import TABLES_OF_RIGHTS, CheckReport, Finding, note, problem
from waiaas.migrations import LATEST_SCHEMA_VERSION
from waiaas.migrations.differences import differences, tables_of
from waiaas.migrations.version import existing_version
from waiaas.models import MODELS
from waiaas.models.fields import FIRST_SECOND, LAST_SECOND, Integer, JSONText, Text, UTCDateTime
from waiaas.paths import file_of, path_to_open

if TYPE_CHECKING:
    from peewee import Database


# By the field of a column, the kind of finding and the condition for one. Seconds of the years 1 to 9999 are times.
_UNREADABLE = {
    UTCDateTime: (
        "invalid_time",
        "({0} IS NOT NULL AND (typeof({0}) NOT IN ('integer', 'real')"
        f" OR {{0}} NOT BETWEEN {FIRST_SECOND} AND {LAST_SECOND}))",
    ),
    JSONText: ("invalid_json", "({0} IS NOT NULL AND NOT json_valid({0}))"),
}
# The same for the tables that decide who may use which wallet.
_NOT_TEXT = ("not_text", "typeof({0}) = 'blob'")
_NOT_COUNT = ("invalid_count", "({0} IS NOT NULL AND typeof({0}) <> 'integer')")
_NOT_LIMITS = (
    "invalid_limits",
    "(CASE WHEN json_valid({0}) THEN json_type({0}) NOT IN ('object', 'null') ELSE 0 END)",
)


def check(database: Database) -> CheckReport:
    """Check an open database, as documented in `waiaas.check`.

    Values are checked at every version, because an upgrade keeps values that the services could not read.
    """
    if isinstance(database, PostgresqlDatabase):
        # A program that has only files does not load the driver's module.
        from waiaas.inspection.postgresql import check_postgresql

        return check_postgresql(database)
    version = existing_version(database)
    assert isinstance(database, SqliteDatabase)
    with translate_errors(database), inspecting(database):
        refuse_strange_rows(database)
        findings = list(_damage(database))
        if findings:
            facts = [str(finding.details.get("cause")) for finding in findings]
            refuse_unreadable(path_to_open(database), file_of(database), facts)
        try:
            for finding in _findings_besides_damage(database, version):
                findings.append(finding)
        except (DatabaseError, sqlite3.DatabaseError) as error:
            # After corruption, or text that is not UTF-8, reading cannot continue; the findings then include it.
            if not findings or reason_for(error) not in ("corrupt", "unreadable_value"):
                raise
    return CheckReport(version, LATEST_SCHEMA_VERSION, findings)


def _findings_besides_damage(database: SqliteDatabase, version: int) -> Iterator[Finding]:
    tables = describe(database)
    yield from _foreign_keys(database)
    yield from _texts(database, tables)
    if version == LATEST_SCHEMA_VERSION:
        drift = list(_drift(database, tables))
        yield from drift
        if not any(finding.kind in ("missing_table", "missing_column") for finding in drift):
            yield from wrong_links(database)
            yield from unknown_kill_switch(database)
    yield from _values(database, tables)


def _damage(database: SqliteDatabase) -> Iterator[Finding]:
    for line in damage(database.connection(), checks=True):
        yield problem("damage", "file", cause=line)


def _foreign_keys(database: SqliteDatabase) -> Iterator[Finding]:
    broken: dict[tuple[str, str], list[Any]] = {}
    for name in ordinary_tables(database):
        try:
            rows = foreign_key_check(database, name)
        except OperationalError as error:
            if not is_mismatch(error):
                raise
            yield problem("foreign_key_mismatch", name, cause=str(error))
            continue
        for table, rowid, parent, _ in rows:
            broken.setdefault((table, parent), []).append(rowid)
    for (table, parent), rows in broken.items():
        yield problem("foreign_key_violation", table, rows, parent=parent)


def _texts(database: SqliteDatabase, tables: Mapping[str, Table]) -> Iterator[Finding]:
    """Yield findings for text that is not UTF-8, which Python cannot read."""
    for name in (model._meta.table_name for model in MODELS if model._meta.table_name in tables):
        columns = [column.name for column in tables[name].columns if fold(column.type) == "text"]
        if columns and not _can_be_read(database, name, columns):
            yield from _unreadable_texts(database, tables[name], columns)


def _can_be_read(database: SqliteDatabase, table: str, columns: list[str]) -> bool:
    """Return whether every text of a table can be read; each row as one text, which is three times as fast."""
    row = " || '|' || ".join(f"ifnull({quote(column)}, '')" for column in columns)
    try:
        deque(database.execute_sql(f"SELECT {row} FROM main.{quote(table)}"), maxlen=0)
    except (OperationalError, sqlite3.OperationalError) as error:
        # Peewee's error if the first row is read at once, as in Python 3.10; the driver's for every other row.
        if reason_for(error) != "unreadable_value":
            raise
        return False
    return True


def _unreadable_texts(database: SqliteDatabase, table: Table, columns: list[str]) -> Iterator[Finding]:
    texts = (f"CASE typeof({each}) WHEN 'text' THEN CAST({each} AS BLOB) END" for each in map(quote, columns))
    wrong: dict[str, list[Any]] = {column: [] for column in columns}
    for row, *values in database.execute_sql(
        f"SELECT {table.rowid}, {', '.join(texts)} FROM main.{quote(table.name)} ORDER BY 1"
    ):
        for column, text in zip(columns, values, strict=True):
            if text is not None and not is_utf_8(text):
                wrong[column].append(row)
    for column, rows in wrong.items():
        if rows:
            yield problem("invalid_text", f"{table.name}.{column}", rows)


def is_utf_8(text: bytes) -> bool:
    """Return whether bytes are text in UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _values(database: SqliteDatabase, tables: Mapping[str, Table]) -> Iterator[Finding]:
    """Yield findings for values in time or JSON columns that are neither: SQLite allows any value in any column."""
    for model in MODELS:
        table = model._meta.table_name
        known = tables[table].column_names if table in tables else frozenset()
        columns = [
            (field.column_name, *condition)
            for field in model._meta.sorted_fields
            if field.column_name in known
            for condition in _conditions(table, field)
        ]
        if not columns:
            continue
        wrong = [condition.format(quote(column)) for column, _, condition in columns]
        row, any_wrong = tables[table].rowid, " OR ".join(wrong)
        found = database.execute_sql(
            f"SELECT {row}, {', '.join(wrong)} FROM main.{quote(table)} WHERE {any_wrong} ORDER BY 1"
        ).fetchall()
        for number, (column, kind, _) in enumerate(columns, start=1):
            if rows := [row[0] for row in found if row[number]]:
                yield problem(kind, f"{table}.{column}", rows)


def _conditions(table: str, field: Field) -> Iterator[tuple[str, str]]:
    """Yield the kinds of findings in the column of a field, each with its condition."""
    if type(field) in _UNREADABLE:
        yield _UNREADABLE[type(field)]
    if table not in TABLES_OF_RIGHTS:
        return
    if isinstance(field, (Text, ForeignKeyField)):
        yield _NOT_TEXT
    elif isinstance(field, Integer):
        yield _NOT_COUNT
    elif (table, field.column_name) == ("sessions", "constraints"):
        yield _NOT_LIMITS


def _drift(database: SqliteDatabase, actual: Mapping[str, Table]) -> Iterator[Finding]:
    for difference in differences(tables_of(LATEST_SCHEMA_VERSION), actual):
        severity: Literal["problem", "note"] = "note" if difference.is_extra else "problem"
        yield Finding(severity, difference.kind, difference.where, details=difference.details)
    for stored in stored_objects(database, "trigger", "view"):
        table = _table_of_rights(stored) if stored.kind == "trigger" else None
        if table is None:
            yield note(f"extra_{stored.kind}", stored.name)
        else:
            yield problem("unsafe_trigger", stored.name, table=table)


def _table_of_rights(trigger: StoredObject) -> str | None:
    """Return the table with rights that a trigger is on, or writes to, if there is one.

    `first` is `or` in statements such as UPDATE OR IGNORE (https://www.sqlite.org/lang_conflict.html).
    """
    if fold(trigger.table) in TABLES_OF_RIGHTS:
        return fold(trigger.table)
    # In a trigger of a file SQLite accepts a name in any kind of quotes, and no schema before it
    # (https://www.sqlite.org/lang_createtrigger.html).
    words = [fold(token.text) if token.kind == "word" else fold(unquote(token.text)) for token in tokens(trigger.sql)]
    for first, second, name in zip(words, words[1:], words[2:], strict=False):
        is_written = second in ("into", "update") or (first, second) == ("delete", "from") or first == "or"
        if is_written and name in TABLES_OF_RIGHTS:
            return name
    return None
