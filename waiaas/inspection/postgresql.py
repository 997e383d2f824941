"""The check of a PostgreSQL database: its tables against the models, its references, links and values.

The pages of the database are the server's own to check (https://www.postgresql.org/docs/current/app-pgchecksums.html).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from peewee import Database

from waiaas.backends.postgresql import ALL_ROWS, PostgresqlDatabase
from waiaas.errors.translation import translate_errors
from waiaas.inspection.engine_checks import unknown_kill_switch, wrong_links
from waiaas.inspection.report import TABLES_OF_RIGHTS, CheckReport, Finding, note, problem
from waiaas.migrations import LATEST_SCHEMA_VERSION
from waiaas.migrations.version import existing_version
from waiaas.models import MODELS
from waiaas.models.fields import FIRST_SECOND, LAST_SECOND, JSONText, UTCDateTime
from waiaas.models.postgresql import Column, ForeignKey, Index, Table, tables

_ROWS_AT_ONCE = 2000
_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
_LITERALS = re.compile(r"'((?:[^']|'')*)'|(?<![\w.])(-?\d+)\b")

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull, pg_get_expr(adbin, adrelid), attidentity <> '',
       coalesce((SELECT collname FROM pg_collation WHERE oid = attcollation), '')
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_CONSTRAINTS = """
SELECT contype::text, pg_get_constraintdef(oid), convalidated, confdeltype::text, confrelid::regclass::text,
       ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS key (number, place)
             JOIN pg_attribute ON attrelid = conrelid AND attnum = number ORDER BY place),
       ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY AS key (number, place)
             JOIN pg_attribute ON attrelid = confrelid AND attnum = number ORDER BY place),
       NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgconstraint = pg_constraint.oid AND tgenabled = 'D')
FROM pg_constraint WHERE conrelid = %s::regclass AND contype IN ('p', 'u', 'f', 'c') ORDER BY conname
"""
_INDEXES = """
SELECT relname, indisunique, pg_get_expr(indpred, indrelid), indisvalid AND indisready,
       ARRAY(SELECT pg_get_indexdef(indexrelid, place::int, true) FROM generate_series(1, indnkeyatts) AS place)
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid = %s::regclass
AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid AND contype <> 'f')
ORDER BY relname
"""
# Rules on a table change what a statement does, as triggers do.
_TRIGGERS = """
SELECT tgname::text FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal
UNION ALL SELECT rulename::text FROM pg_rewrite WHERE ev_class = %s::regclass ORDER BY 1
"""
_OTHERS = """
SELECT relname, relkind FROM pg_class WHERE relkind IN ('r', 'p', 'f', 'v', 'm')
AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'schema_version'::regclass) ORDER BY relname
"""


@dataclass(frozen=True)
class _Found:
    """A table as it is on the server; `invalid` names constraints that are not enforced."""

    table: Table
    checks: dict[str, tuple[str | int, ...] | None]
    invalid: frozenset[str]


def check_postgresql(database: Database) -> CheckReport:
    """Check a PostgreSQL database for drift of its schema, broken links and unreadable values; nothing is changed.

    :returns: findings of the same kinds as for a file, and ``sequence_behind``.
    :raises WAIaaSError: if the database is not one that this library can work with.
    """
    version = existing_version(database)
    assert isinstance(database, PostgresqlDatabase)
    with translate_errors(database), database.borrowed_connection(), database.atomic("REPEATABLE READ"):
        database.execute_sql("SET TRANSACTION READ ONLY")
        database.execute_sql(ALL_ROWS)
        drift = list(_drift(database))
        findings = [*drift]
        if not any(finding.kind in ("missing_table", "missing_column") for finding in drift):
            findings += [*_references(database), *wrong_links(database), *unknown_kill_switch(database)]
            findings += [*_sequences(database), *_times(database), *_json(database)]
    return CheckReport(version, LATEST_SCHEMA_VERSION, findings)


def _differs(kind: str, where: str, wanted: object, actual: object, **details: Any) -> Iterator[Finding]:
    if wanted != actual:
        yield problem(kind, where, actual=str(actual), wanted=str(wanted), **details)


def _drift(database: PostgresqlDatabase) -> Iterator[Finding]:
    for table in tables():
        (exists,) = database.execute_sql("SELECT to_regclass(%s) IS NOT NULL", (table.name,)).fetchone()
        if exists:
            yield from _table_differences(table, _read_table(database, table.name))
            yield from _triggers(database, table.name)
        else:
            yield problem("missing_table", table.name)
    names = {table.name for table in tables()}
    for name, kind in database.execute_sql(_OTHERS).fetchall():
        if name not in names:
            yield note("extra_view" if kind in "vm" else "extra_table", name)


def _read_table(database: PostgresqlDatabase, name: str) -> _Found:
    columns = tuple(
        Column(
            column,
            f"{type_} COLLATE {collation}" if collation not in ("", "C") else type_,
            nullable,
            default,
            None,
            is_identity,
        )
        for column, type_, nullable, default, is_identity, collation in database.execute_sql(_COLUMNS, (name,))
    )
    primary_key: tuple[str, ...] = ()
    unique: list[str] = []
    keys: list[ForeignKey] = []
    checks: dict[str, tuple[str | int, ...] | None] = {}
    invalid: set[str] = set()
    rows = database.execute_sql(_CONSTRAINTS, (name,)).fetchall()
    for kind, definition, is_valid, action, parent, own, parents, is_enabled in rows:
        if kind == "p":
            primary_key = tuple(own)
        elif kind == "u":
            unique += own if len(own) == 1 else []
        elif kind == "f" and len(own) == 1:
            keys.append(ForeignKey(own[0], parent, parents[0], _ACTIONS[action]))
            invalid |= set() if is_valid and is_enabled else {f"{own[0]} -> {parent}"}
        elif kind == "c":
            rule = definition.removeprefix("CHECK (").removesuffix(")")
            checks[rule] = _allowed_values(own, rule) if is_valid else None
    indexes = []
    for index, is_unique, where, is_valid, parts in database.execute_sql(_INDEXES, (name,)).fetchall():
        parts = tuple(part.strip('"') for part in parts)
        indexes.append(Index(index, parts, is_unique, where and where.removeprefix("(").removesuffix(")")))
        invalid |= set() if is_valid else {index}
    found = Table(name, columns, primary_key, tuple(unique), tuple(keys), tuple(indexes))
    return _Found(found, checks, frozenset(invalid))


def _allowed_values(columns: Sequence[str], rule: str) -> tuple[str | int, ...] | None:
    """Return the values of a CHECK that is `column IN (…)`, or None for any other CHECK."""
    if len(columns) != 1 or not re.fullmatch(r"\((\w+) = ANY \(ARRAY\[.*\]\)\)", rule):
        return None
    found = _LITERALS.findall(rule)
    return tuple(int(number) if number else text.replace("''", "'") for text, number in found)


def _table_differences(wanted: Table, found: _Found) -> Iterator[Finding]:
    actual = found.table
    there = {column.name: column for column in actual.columns}
    for column in wanted.all_columns:
        where = f"{wanted.name}.{column.name}"
        if column.name not in there:
            yield problem("missing_column", where)
            continue
        other = there[column.name]
        yield from _differs("column_type", where, column.type, other.type)
        yield from _differs("not_null", where, not column.nullable, not other.nullable)
        default = re.sub(r"::[\w ]+$", "", other.default) if other.default else None
        yield from _differs("column_default", where, column.default or "none", default or "none")
        yield from _differs("autoincrement", where, column.is_identity, other.is_identity)
        if column.values is not None and not _has_check(column, found):
            yield problem("missing_check", wanted.name, check=column.check)
    for name in there.keys() - {column.name for column in wanted.all_columns}:
        yield note("extra_column", f"{wanted.name}.{name}")
    yield from _differs("primary_key", wanted.name, wanted.primary_key, actual.primary_key)
    for name in sorted(set(wanted.unique) - set(actual.unique)):
        yield problem("missing_unique", f"UNIQUE ({name})", table=wanted.name)
    yield from _key_differences(wanted, found)
    yield from _index_differences(wanted, found)
    known = {column.values for column in wanted.columns if column.values}
    for rule, values in found.checks.items():
        if values is None or not any(set(values) == set(each) for each in known):
            yield note("extra_check", wanted.name, check=rule)


def _has_check(column: Column, found: _Found) -> bool:
    """Return whether a CHECK allows exactly the values of a column, in any order."""
    return any(
        values is not None and rule.startswith(f"({column.name} = ") and set(values) == set(column.values or ())
        for rule, values in found.checks.items()
    )


def _key_differences(wanted: Table, found: _Found) -> Iterator[Finding]:
    enforced = {key for key in found.table.foreign_keys if f"{key.column} -> {key.parent}" not in found.invalid}
    for key in wanted.foreign_keys:
        if key not in enforced:
            yield problem("missing_foreign_key", wanted.name, key=str(key))
    for key in found.table.foreign_keys:
        if key not in wanted.foreign_keys:
            yield note("extra_foreign_key", wanted.name, key=str(key))


def _index_differences(wanted: Table, found: _Found) -> Iterator[Finding]:
    there = {index.name: index for index in found.table.indexes}
    for index in wanted.indexes:
        other = there.pop(index.name, None)
        if other is None:
            yield problem("missing_index", index.name, table=wanted.name)
        else:
            actual = "invalid" if index.name in found.invalid else str(other)
            yield from _differs("index_differs", index.name, str(index), actual, table=wanted.name)
    for name in there:
        yield note("extra_index", name, table=wanted.name)


def _triggers(database: PostgresqlDatabase, table: str) -> Iterator[Finding]:
    for (name,) in database.execute_sql(_TRIGGERS, (table, table)).fetchall():
        if table in TABLES_OF_RIGHTS:
            yield problem("unsafe_trigger", name, table=table)
        else:
            yield note("extra_trigger", name)


def _references(database: PostgresqlDatabase) -> Iterator[Finding]:
    """Yield findings for references to missing rows, which a server allows while its triggers are off."""
    for table in tables():
        for key in table.foreign_keys:
            if rows := _rows(database, table, key.violation(table.name)):
                yield problem("foreign_key_violation", table.name, rows, parent=key.parent)


def _sequences(database: PostgresqlDatabase) -> Iterator[Finding]:
    """Yield a finding for each column of numbers whose next number is not a new one.

    Then no service can record a change in the audit log, and new links come before older ones.
    """
    for table in tables():
        for column in [column.name for column in table.all_columns if column.is_identity]:
            get_sequence = f"SELECT pg_get_serial_sequence('{table.name}', '{column}')"
            (sequence,) = database.execute_sql(get_sequence).fetchone()
            if sequence is None:  # reported as drift
                continue
            (highest,) = database.execute_sql(f"SELECT coalesce(max({column}), 0) FROM {table.name}").fetchone()
            last, is_used = database.execute_sql(f"SELECT last_value, is_called FROM {sequence}").fetchone()
            next_number = last + 1 if is_used else last
            if next_number <= highest:
                where = f"{table.name}.{column}"
                yield problem("sequence_behind", where, actual=next_number, wanted=highest + 1)


def _times(database: PostgresqlDatabase) -> Iterator[Finding]:
    for table, names in _columns_of(UTCDateTime):
        for name in names:
            if rows := _rows(database, table, f"{name} NOT BETWEEN {FIRST_SECOND} AND {LAST_SECOND}"):
                yield problem("invalid_time", f"{table.name}.{name}", rows)


def _json(database: PostgresqlDatabase) -> Iterator[Finding]:
    for table, names in _columns_of(JSONText):
        for name in names:
            unreadable, other = [], []
            for row, text in _values(database, table, name):
                kind = _kind_of(text)
                if kind is None:
                    unreadable.append(row)
                elif kind not in (dict, type(None)):
                    other.append(row)
            where = f"{table.name}.{name}"
            if unreadable:
                yield problem("invalid_json", where, unreadable)
            if other and where == "sessions.constraints":
                yield problem("invalid_limits", where, other)


def _kind_of(text: str) -> type | None:
    """Return the type of a JSON value, or None for text that is not JSON."""
    try:
        return type(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _columns_of(kind: type) -> Iterator[tuple[Table, list[str]]]:
    for model, table in zip(MODELS, tables(), strict=True):
        fields: list[Any] = [field for field in model._meta.sorted_fields if type(field) is kind]
        names = [field.column_name for field in fields]
        if names:
            yield table, names


def _rows(database: PostgresqlDatabase, table: Table, condition: str) -> list[Any]:
    """Return the keys of the rows for which a condition is true."""
    found = database.execute_sql(f"SELECT {_key(table)} FROM {table.name} WHERE {condition} ORDER BY 1").fetchall()
    return [row[0] for row in found]


def _values(database: PostgresqlDatabase, table: Table, column: str) -> Iterator[tuple[Any, str]]:
    """Yield the keys and texts of a column, without reading all of them at once."""
    with database.connection().cursor(name="values") as cursor:
        cursor.execute(f"SELECT {_key(table)}, {column} FROM {table.name} WHERE {column} IS NOT NULL ORDER BY 1")
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            yield from rows


def _key(table: Table) -> str:
    """Return what identifies a row in a finding: its key, or the first column of it."""
    return table.primary_key[0]
