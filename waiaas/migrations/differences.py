"""The differences between the tables of a file and those of a schema version.

`waiaas check` reports the differences, and `upgrade` refuses to commit tables that differ from those of the version
that it has reached. Additions of a user (tables, columns, indexes, triggers, views) are allowed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from peewee import Model, SchemaManager, SqliteDatabase

from waiaas.ddl.schema import Column, ForeignKey, Table, canonical, describe, index_shape, same_index
from waiaas.ddl.sql import fold
from waiaas.errors import refusal
from waiaas.errors.texts import fill, texts_in
from waiaas.migrations import LATEST_SCHEMA_VERSION
from waiaas.migrations.history import FIRST_SCHEMA, MIGRATIONS
from waiaas.migrations.migrator import VersionMigrator
from waiaas.models import MODELS

# The CHECKs that files migrated by the daemon lack compared with new ones: (table, CHECK expression).
_KNOWN_MISSING_CHECKS = frozenset({("wallets", "owner_approval_method")})
# What `digest` returns for the tables of a version. A table with one of them has no differences, so the models' tables
# need not be created to compare it, which would take longer than the rest of the upgrade of a small file.
_DIGESTS = {
    19: (
        "35748eb961aca480 394048f2fc73b83b 557be1d89805ba0f 643ac49cca2e6446 87d5c024b92b7786 "
        "8e2a159be3e45e2f 9275e87214340da2 a316a3859b96b990 af0d731cd8e38381 af24a8c5afd48cf9 "
        "b507b5ef693d3a94 c4f18374b7ba9f80 cbca3bb853087813 db39cef378b0d1c6 db69372ba5602839 "
        "e2c580fdd041f23b"
    )
}
# A session without a link has no wallet after a downgrade, so the column then allows NULL.
_MAY_DIFFER = frozenset({("not_null", "sessions.wallet_id")})


@dataclass(frozen=True)
class Difference:
    """One difference; `kind`, `where` and `details` are those of a `waiaas.Finding`.

    `is_extra` is True for something that the version does not have, an addition.
    """

    kind: str
    where: str
    is_extra: bool
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """The difference in English."""
        template, _ = texts_in("en").findings[self.kind]
        return fill(template, {"where": self.where, **self.details})


@cache
def tables_of(version: int) -> Mapping[str, Table]:
    """Return the tables of a schema version; the keys are the names in lower case.

    Those of the latest version are the models'. Those of an older one are the tables of version 1, changed by each
    migration up to it, which takes about twenty times as long. Both are created in an in-memory database.
    """
    if version == LATEST_SCHEMA_VERSION:
        return _tables_of(MODELS)
    with closing(SqliteDatabase(":memory:")) as database:
        for statement in FIRST_SCHEMA:
            database.execute_sql(statement)
        migrator = VersionMigrator(database)
        with migrator.migration_context():
            for migration in MIGRATIONS:
                if version >= migration.VERSION:
                    migration.up(migrator)
        return describe(database)


def _tables_of(models: Iterable[type[Model]]) -> Mapping[str, Table]:
    with closing(SqliteDatabase(":memory:")) as database:
        for model in models:
            SchemaManager(model, database).create_all(safe=False)
        return describe(database)


def refuse_other_tables(database: SqliteDatabase, version: int) -> None:
    """Refuse (`unexpected_schema`) a database whose tables are not those of a schema version.

    `details` has the first table that differs and, in `differences`, one sentence for each difference.
    """
    actual = describe(database)
    if version == LATEST_SCHEMA_VERSION:
        wanted = _tables_of(model for model in MODELS if not _is_known(actual.get(model._meta.table_name)))
    else:
        wanted = tables_of(version)
    wrong = [
        difference
        for difference in differences(wanted, actual)
        if not difference.is_extra and (difference.kind, difference.where) not in _MAY_DIFFER
    ]
    if wrong:
        messages = [difference.message for difference in wrong]
        table = str(wrong[0].details.get("table", wrong[0].where)).partition(".")[0]
        raise refusal(
            "unexpected_schema", table=table, version=version, problem="; ".join(messages[:5]), differences=messages
        )


def _is_known(table: Table | None) -> bool:
    return table is not None and digest(table) in _DIGESTS.get(LATEST_SCHEMA_VERSION, "")


def digest(table: Table) -> str:
    """Return a hash of everything in a table that `differences` compares."""
    compared = (
        fold(table.name),
        sorted((fold(c.name), fold(c.type), c.not_null, canonical(c.default or ""), *c[4:]) for c in table.columns),
        sorted(_key_text(key) for key in table.foreign_keys),
        sorted((fold(index.name) if index.sql else "", index_shape(index)) for index in table.indexes),
        sorted(map(_check_rule, table.checks())),
        table.autoincrement,
        sorted(table.options),
    )
    return hashlib.sha256(repr(compared).encode()).hexdigest()[:16]


def differences(wanted: Mapping[str, Table], actual: Mapping[str, Table]) -> Iterator[Difference]:
    """Yield the differences between the actual tables and the wanted ones; the keys are the names in lower case."""
    for name, table in wanted.items():
        if name in actual and not actual[name].is_virtual:
            yield from _table_differences(table, actual[name])
        else:
            yield _wrong("missing_table", table.name)
    for name in sorted(actual.keys() - wanted.keys()):
        yield _extra("extra_table", actual[name].name)


def _wrong(kind: str, where: str, **details: Any) -> Difference:
    return Difference(kind, where, False, details)


def _extra(kind: str, where: str, **details: Any) -> Difference:
    return Difference(kind, where, True, details)


def _table_differences(wanted: Table, actual: Table) -> Iterator[Difference]:
    for column in wanted.columns:
        found = actual.column(column.name)
        where = f"{wanted.name}.{column.name}"
        if found is None:
            yield _wrong("missing_column", where)
        elif found != column:
            yield from _column_differences(where, column, found)
    for column in actual.columns:
        if wanted.column(column.name) is None:
            yield _extra("extra_column", f"{wanted.name}.{column.name}")
    yield from _key_differences(wanted, actual)
    yield from _index_differences(wanted, actual)
    yield from _check_differences(wanted, actual)
    if wanted.autoincrement != actual.autoincrement:
        yield _differs("autoincrement", wanted.name, wanted.autoincrement, actual.autoincrement)
    if wanted.options != actual.options:
        yield _differs("table_options", wanted.name, sorted(wanted.options), sorted(actual.options))


def _differs(kind: str, where: str, wanted: object, actual: object) -> Difference:
    return _wrong(kind, where, actual=str(actual), wanted=str(wanted))


def _column_differences(where: str, wanted: Column, actual: Column) -> Iterator[Difference]:
    if fold(wanted.type) != fold(actual.type):
        yield _differs("column_type", where, wanted.type, actual.type or "none")
    if wanted.not_null != actual.not_null:
        yield _differs("not_null", where, wanted.not_null, actual.not_null)
    if canonical(wanted.default or "") != canonical(actual.default or ""):
        yield _differs("column_default", where, wanted.default or "none", actual.default or "none")
    if wanted.primary_key != actual.primary_key:
        yield _differs("primary_key", where, wanted.primary_key, actual.primary_key)
    if wanted.hidden != actual.hidden:
        yield _differs("generated_column", where, wanted.hidden, actual.hidden)


def _key_differences(wanted: Table, actual: Table) -> Iterator[Difference]:
    ours, theirs = ({_key_text(key) for key in table.foreign_keys} for table in (wanted, actual))
    for text in sorted(ours - theirs):
        yield _wrong("missing_foreign_key", wanted.name, key=text)
    for text in sorted(theirs - ours):
        yield _extra("extra_foreign_key", wanted.name, key=text)


def _key_text(key: ForeignKey) -> str:
    columns = ", ".join(map(fold, key.columns))
    parents = ", ".join(fold(column or "") for column in key.parent_columns)
    deferred = " DEFERRABLE INITIALLY DEFERRED" if key.deferred else ""
    actions = f"ON UPDATE {key.on_update} ON DELETE {key.on_delete}"
    return f"({columns}) REFERENCES {fold(key.parent)} ({parents}) {actions}{deferred}"


def _index_differences(wanted: Table, actual: Table) -> Iterator[Difference]:
    for index in wanted.indexes:
        if index.sql is None:
            if not any(other.sql is None and same_index(index, other) for other in actual.indexes):
                columns = ", ".join(str(column) for column in index.columns)
                yield _wrong("missing_unique", f"UNIQUE ({columns})", table=wanted.name)
            continue
        found = actual.index(index.name)
        if found is None:
            yield _wrong("missing_index", index.name, table=wanted.name)
        elif not same_index(index, found):
            ours, theirs = canonical(index.sql), canonical(found.sql or "")
            yield _wrong("index_differs", index.name, table=wanted.name, actual=theirs, wanted=ours)
    for index in actual.indexes:
        if index.sql is not None and wanted.index(index.name) is None:
            yield _extra("extra_index", index.name, table=wanted.name)


def _check_differences(wanted: Table, actual: Table) -> Iterator[Difference]:
    ours, theirs = ({_check_rule(check) for check in table.checks()} for table in (wanted, actual))
    checked = {rule.split(" ")[0] for rule in theirs}
    for rule in sorted(ours - theirs):
        column = rule.split(" ")[0]
        if (wanted.name, column) not in _KNOWN_MISSING_CHECKS or column in checked:
            yield _wrong("missing_check", wanted.name, check=rule)
    for rule in sorted(theirs - ours):
        yield _extra("extra_check", wanted.name, check=rule)


def _check_rule(check: str) -> str:
    """Convert a CHECK on a set of values to a canonical form: the order of values and `IS NULL OR` do not matter.

    NULL passes `IN` anyway (https://www.sqlite.org/lang_createtable.html#check_constraints).
    """
    match = re.fullmatch(r"(?:(\S+) is null or )?(\S+) in \( (.*) \)", check)
    if match is None or match[1] not in (None, match[2]):
        return check
    values = re.findall(r"'(?:[^']|'')*'|[^\s,]+", match[3])
    return f"{match[2]} in ( {' , '.join(sorted(values))} )"
