"""Values that a SQLite file can hold and PostgreSQL cannot, reported before anything is written.

SQLite allows any value in any column: text instead of a number, bytes instead of text, a NUL within text, bytes that
are not UTF-8, a reference to a row that does not exist.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from waiaas.ddl.schema import describe_table
from waiaas.ddl.sql import quote
from waiaas.errors import refusal
from waiaas.errors.driver import sqlite3
from waiaas.inspection.check import is_utf_8
from waiaas.models.postgresql import Column, Table, tables
from waiaas.transfer.rows import SPECIAL, blocks

# A PostgreSQL index entry is limited to a third of a page (https://www.postgresql.org/docs/current/btree.html), which
# two columns of a key share.
_LONGEST_KEY: Final = 1300
_BYTES_OF_CHARACTER: Final = 4
# Prevents the bytes of two texts from forming one character.
_BETWEEN_TEXTS: Final = "|"
_SHOWN_ROWS: Final = 20
# The columns of each unique index of a table; not of those on a part of the rows, or on an expression.
_UNIQUE_INDEXES: Final = """\
SELECT group_concat(lower(info.name)) FROM pragma_index_list(?) AS list JOIN pragma_index_info(list.name) AS info
WHERE list."unique" AND NOT list.partial GROUP BY list.name HAVING count(info.name) = count(*)"""
_TYPES: Final = {
    "text": ("text",),
    "bigint": ("integer",),
    "integer": ("integer",),
    "double precision": ("real", "integer"),
}


@dataclass(frozen=True)
class Obstacle:
    """Values of one column that PostgreSQL cannot store.

    `problem` is one word of: `blob`, `text`, `fraction` (where a whole number belongs), `null`, `nul` (a character
    within text), `utf-8`, `value` (not one of the allowed), `reference` (to no row), `duplicate`, `length` (of an
    indexed text). `rows` are the first rowids, `count` is how many there are.
    """

    table: str
    column: str
    problem: str
    rows: list[int]
    count: int

    def __str__(self) -> str:
        """Return where the values are, what is wrong with them, and in how many rows."""
        return f"{self.table}.{self.column}: {self.problem} ({self.count})"


def refuse_obstacles(found: Sequence[Obstacle], path: str) -> None:
    """Refuse a file with values that PostgreSQL cannot hold.

    :raises WAIaaSError: ``move_refused``; its details have all obstacles.
    """
    if found:
        raise refusal(
            "move_refused",
            path=path,
            count=sum(each.count for each in found),
            values=[str(each) for each in found],
            obstacles=[asdict(each) for each in found],
        )


@dataclass(frozen=True)
class Scan:
    """The result of reading all values of some tables.

    `unclear` has the names of tables with values that may not fit into their columns, and `special` the tables and
    columns with text that COPY escapes.
    """

    unclear: set[str] = field(default_factory=set)
    special: set[tuple[str, str]] = field(default_factory=set)

    def read(self, connection: sqlite3.Connection, table: Table) -> None:
        """Read every value of a table once, each column of a block as one text, which is several times faster.

        :param connection: a connection that returns text as bytes.
        """
        names = [column.name for column in table.columns if _is_free_text(column)]
        wrong = " OR ".join(f"({condition})" for column in table.columns for condition in _suspicions(table, column))
        # CASE stops at the first condition that is true, and takes two thirds of the time of adding the conditions up.
        counted = f"count(CASE WHEN {wrong} THEN 1 END)"
        texts = [f"group_concat({quote(name)}, '{_BETWEEN_TEXTS}')" for name in names]
        query = f"SELECT {', '.join([counted, *texts])} FROM main.{quote(table.name)} WHERE rowid BETWEEN ? AND ?"
        for block in blocks(connection, table):
            is_wrong, *joined = connection.execute(query, block).fetchone()
            present = {name: text for name, text in zip(names, joined, strict=True) if text is not None}
            if is_wrong or any(b"\0" in text or not is_utf_8(text) for text in present.values()):
                self.unclear.add(table.name)
            self.special.update(
                (table.name, name) for name, text in present.items() if any(each in text for each in SPECIAL)
            )


def wrong_values(connection: sqlite3.Connection, names: Container[str]) -> Iterator[Obstacle]:
    """Yield the values of these tables that do not fit into their columns."""
    for table in tables():
        if table.name in names:
            yield from _wrong_values(connection, table)


def wrong_links(connection: sqlite3.Connection) -> Iterator[Obstacle]:
    """Yield references to rows that do not exist, and keys that several rows have."""
    for table in tables():
        yield from _wrong_references(connection, table)
        yield from _duplicates(connection, table)


def left_behind(connection: Any) -> list[str]:
    """Return the tables, columns, views and triggers of a file that are not the library's, and so do not move.

    :raises WAIaaSError: ``unexpected_schema`` if a table or column of the library's is missing, or if the rowids
        of its rows cannot be read.
    """
    known = {table.name: table for table in tables()}
    found = connection.execute_sql(
        "SELECT type, name FROM main.sqlite_master WHERE type IN ('table', 'view', 'trigger')"
        " AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY type, name"
    ).fetchall()
    extra = [f"{kind} {name}" for kind, name in found if kind != "table" or name.lower() not in known]
    for table in known.values():
        described = describe_table(connection, table.name)
        columns = {column.name for column in table.columns}
        missing = sorted(columns - (described.column_names if described else set()))
        if described is None or missing:
            problem = f"it has no column {', '.join(missing)}" if described else "it is missing"
            raise refusal("unexpected_schema", table=table.name, problem=problem)
        if described.rowid_name != "rowid":
            # Rows are read by their rowids.
            problem = "it has no rowid" if described.rowid_name is None else "its column rowid hides that of SQLite"
            raise refusal("unexpected_schema", table=table.name, problem=problem)
        extra += [f"column {table.name}.{name}" for name in sorted(described.column_names - columns)]
    return extra


def _is_free_text(column: Column) -> bool:
    """Return whether any text may be in a column; a text that is one of the allowed values needs no other check."""
    return column.type == "text" and column.values is None


def _suspicions(table: Table, column: Column) -> Iterator[str]:
    """Yield conditions that are true for each wrong value of a column, and quick to evaluate.

    In SQLite's order every number comes before every text, and every text before every BLOB
    (https://www.sqlite.org/datatype3.html#sort_order). Comparing takes half the time of `typeof`.
    """
    name = quote(column.name)
    if _is_free_text(column):
        yield f"{name} < '' OR {name} >= x''"
    elif column.type != "text":
        yield f"{name} >= ''"
    if "real" not in _TYPES[column.type] and column.type != "text":
        yield f"typeof({name}) = 'real'"
    if not column.nullable:
        yield f"{name} IS NULL"
    if column.values is not None:
        yield f"NOT ({column.check})"
    if _is_free_text(column) and column.name in _indexed(table):
        yield f"length({name}) > {_LONGEST_KEY // _BYTES_OF_CHARACTER}"


def _wrong_values(connection: sqlite3.Connection, table: Table) -> Iterator[Obstacle]:
    for column in table.columns:
        name = quote(column.name)
        for problem, condition in _conditions(table, column):
            yield from _obstacle(connection, table, column.name, problem, condition)
        if column.type == "text":
            yield from _obstacle(
                connection, table, column.name, "nul", f"typeof({name}) = 'text' AND instr({name}, char(0)) > 0"
            )
            rows = connection.execute(
                f"SELECT rowid, CAST({name} AS BLOB) FROM main.{quote(table.name)} WHERE typeof({name}) = 'text'"
            )
            undecodable = [row for row, text in rows if not is_utf_8(text)]
            if undecodable:
                yield Obstacle(table.name, column.name, "utf-8", undecodable[:_SHOWN_ROWS], len(undecodable))


def _conditions(table: Table, column: Column) -> Iterator[tuple[str, str]]:
    """Yield the problems that the values of a column can have, each with its condition."""
    name = quote(column.name)
    allowed = _TYPES[column.type]
    for type_, problem in (("blob", "blob"), ("text", "text"), ("real", "fraction"), ("integer", "number")):
        if type_ not in allowed:
            yield problem, f"typeof({name}) = '{type_}'"
    if not column.nullable:
        yield "null", f"{name} IS NULL"
    if column.values is not None:
        yield "value", f"typeof({name}) IN {_tuple(allowed)} AND NOT ({column.check})"
    if column.type == "text" and column.name in _indexed(table):
        yield "length", f"length(CAST({name} AS BLOB)) > {_LONGEST_KEY}"


def _tuple(names: Sequence[str]) -> str:
    return "(" + ", ".join(f"'{name}'" for name in names) + ")"


def _indexed(table: Table) -> set[str]:
    return {*table.primary_key, *table.unique, *(column for index in table.indexes for column in index.columns)}


def _wrong_references(connection: sqlite3.Connection, table: Table) -> Iterator[Obstacle]:
    for key in table.foreign_keys:
        yield from _obstacle(connection, table, key.column, "reference", key.violation(table.name))


def _duplicates(connection: sqlite3.Connection, table: Table) -> Iterator[Obstacle]:
    """Yield keys that several rows have; a key with a unique index in the file needs no check."""
    unique = [set(names.split(",")) for (names,) in connection.execute(_UNIQUE_INDEXES, (table.name,))]
    keys: list[tuple[tuple[str, ...], str | None]] = [(table.primary_key, None)]
    keys += [((column,), None) for column in table.unique]
    keys += [(index.columns, index.where) for index in table.indexes if index.unique]
    for columns, where in keys:
        if any(each <= set(columns) for each in unique):
            continue
        names = ", ".join(map(quote, columns))
        counted = " AND ".join([*(f"{quote(column)} IS NOT NULL" for column in columns), *([where] if where else [])])
        source = f"FROM main.{quote(table.name)} WHERE {counted}"
        repeated = f"SELECT {names} {source} GROUP BY {names} HAVING count(*) > 1"
        if connection.execute(f"{repeated} LIMIT 1").fetchone():
            yield from _obstacle(
                connection, table, ", ".join(columns), "duplicate", f"{counted} AND ({names}) IN ({repeated})"
            )


def _obstacle(
    connection: sqlite3.Connection, table: Table, column: str, problem: str, condition: str
) -> Iterator[Obstacle]:
    source = f"FROM main.{quote(table.name)} WHERE {condition}"
    # Without an order, SQLite can look for a first row in an index alone.
    if connection.execute(f"SELECT 1 {source} LIMIT 1").fetchone() is None:
        return
    rows = [row for (row,) in connection.execute(f"SELECT rowid {source} ORDER BY rowid LIMIT {_SHOWN_ROWS}")]
    (count,) = connection.execute(f"SELECT count(*) {source}").fetchone()
    yield Obstacle(table.name, column, problem, rows, count)
