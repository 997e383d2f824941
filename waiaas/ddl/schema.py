"""The schema of a database file as data, read through SQLite's own PRAGMAs.

Names are compared as SQLite does, ignoring ASCII case; `Table.name` is spelled as in the file.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

from peewee import OperationalError, SqliteDatabase

from waiaas.ddl.connection import read
from waiaas.ddl.sql import CreateTable, Token, fold, may_contain, parse_create_table, quote, tokens, unquote
from waiaas.ddl.stubs import with_stubs
from waiaas.errors.sqlite import is_mismatch

#: The names of the rowid, unless they are names of columns.
ROWID_NAMES = ("rowid", "_rowid_", "oid")


class Column(NamedTuple):
    """One column: `default` is SQL, `primary_key` its position in the key or 0, `hidden` as in table_xinfo."""

    name: str
    type: str
    not_null: bool
    default: str | None
    primary_key: int
    hidden: int


class ForeignKey(NamedTuple):
    """One foreign key, of one or several columns. Actions are keywords of SQLite (`SET NULL`)."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str | None, ...]
    on_update: str
    on_delete: str
    deferred: bool


class Index(NamedTuple):
    """One index. `origin` is `c` (CREATE INDEX), `u` (UNIQUE constraint) or `pk`; `sql` is None for the last two."""

    name: str
    unique: bool
    origin: str
    columns: tuple[str | None, ...]
    sql: str | None

    @property
    def is_partial(self) -> bool:
        """Whether the index has a WHERE condition (https://www.sqlite.org/partialindex.html)."""
        sql = self.sql or ""
        return may_contain(sql, "where") and any(token.is_word("where") for token in tokens(sql))

    def is_over(self, *columns: str) -> bool:
        """Return whether the index is over exactly these columns, in this order."""
        return [fold(indexed or "") for indexed in self.columns] == [fold(column) for column in columns]


@dataclass(frozen=True)
class Table:
    """One table of a database file, spelled as in the file."""

    name: str
    sql: str
    columns: tuple[Column, ...]
    foreign_keys: tuple[ForeignKey, ...]
    indexes: tuple[Index, ...]

    @property
    def definition(self) -> CreateTable:
        """The CREATE TABLE statement in its parts."""
        return parse_create_table(self.sql)

    @property
    def options(self) -> frozenset[str]:
        """The options after the closing parenthesis, in lower case (`strict`, `without rowid`)."""
        # Most tables have none, and then their text need not be tokenized.
        has_none = self.sql.endswith(")") and "--" not in self.sql and "/*" not in self.sql
        return frozenset() if has_none else self.definition.options

    @property
    def autoincrement(self) -> bool:
        """Whether the primary key is AUTOINCREMENT."""
        return may_contain(self.sql, "autoincrement") and any(t.is_word("autoincrement") for t in tokens(self.sql))

    @property
    def is_virtual(self) -> bool:
        """Whether the table is virtual, stored by a module (https://www.sqlite.org/vtab.html)."""
        return is_virtual(self.sql)

    @property
    def column_names(self) -> frozenset[str]:
        """The names of the columns in lower case."""
        return frozenset(self._columns_by_name)

    @property
    def primary_key(self) -> list[str]:
        """The columns of the primary key, in its order."""
        return [c.name for c in sorted(self.columns, key=lambda column: column.primary_key) if c.primary_key]

    @property
    def rowid_alias(self) -> str | None:
        """The column that is the rowid (https://www.sqlite.org/lang_createtable.html#rowid), if there is one."""
        if "without rowid" in self.options or any(index.origin == "pk" for index in self.indexes):
            return None
        return next(iter(self.primary_key), None)

    @property
    def rowid_name(self) -> str | None:
        """A name of the rowid that is not the name of a column, if there is one."""
        if "without rowid" in self.options:
            return None
        return next((name for name in ROWID_NAMES if self.column(name) is None), None)

    @property
    def hidden_rowid(self) -> str | None:
        """The name of the rowid if no column is the rowid."""
        return self.rowid_name if self.rowid_alias is None else None

    @property
    def rowid(self) -> str:
        """The SQL that identifies a row: the rowid, or the first key column of a WITHOUT ROWID table."""
        return self.hidden_rowid or next((quote(c.name) for c in self.columns if c.primary_key), "rowid")

    @property
    def row_name(self) -> str:
        """The SQL that identifies a row in messages: the primary key if it is one column, otherwise the rowid."""
        return quote(self.primary_key[0]) if len(self.primary_key) == 1 else self.rowid

    def key_columns(self, foreign_key: ForeignKey) -> list[str] | None:
        """Return the columns to which a foreign key refers, or None if they are not a key of this table."""
        named = [name for name in foreign_key.parent_columns if name is not None] or self.primary_key
        keys = [
            sorted(fold(column or "") for column in index.columns)
            for index in self.indexes
            if index.unique and not index.is_partial
        ]
        is_key = sorted(map(fold, named)) in [sorted(map(fold, self.primary_key)), *keys]
        return named if is_key and len(named) == len(foreign_key.columns) else None

    @cached_property
    def _columns_by_name(self) -> dict[str, Column]:
        return {fold(column.name): column for column in self.columns}

    def column(self, name: str) -> Column | None:
        """Return a column by name, or None."""
        return self._columns_by_name.get(fold(name))

    def index(self, name: str) -> Index | None:
        """Return an index by name, or None."""
        return next((index for index in self.indexes if fold(index.name) == fold(name)), None)

    def checks(self) -> tuple[str, ...]:
        """Return the CHECK expressions in order, in canonical form."""
        if not may_contain(self.sql, "check"):
            return ()
        return tuple(canonical(clause.expression) for clause in check_clauses(self.definition))


class StoredObject(NamedTuple):
    """A row of sqlite_schema that has SQL text."""

    kind: Literal["table", "index", "trigger", "view"]
    name: str
    table: str
    sql: str


def statistics_tables(database: SqliteDatabase) -> list[str]:
    """Return the names of the tables that hold the planner's statistics (https://www.sqlite.org/fileformat2.html)."""
    rows = read(database, "SELECT name FROM main.sqlite_master WHERE name IN ('sqlite_stat1', 'sqlite_stat4')")
    return [name for (name,) in rows]


def table_names(database: SqliteDatabase) -> list[str]:
    """Return the names of the tables in alphabetical order, without SQLite's internal tables."""
    query = (
        "SELECT name FROM main.sqlite_master"
        " WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    )
    return [name for (name,) in read(database, query)]


def ordinary_tables(database: SqliteDatabase) -> list[str]:
    """Return the names of the tables that are not virtual: a virtual one may need a module that is missing."""
    return [table.name for table in stored_objects(database, "table") if _is_ordinary(table)]


def virtual_tables(database: SqliteDatabase) -> list[StoredObject]:
    """Return the virtual tables of a file."""
    return [table for table in stored_objects(database, "table") if is_virtual(table.sql)]


def _is_ordinary(table: StoredObject) -> bool:
    return not _is_internal(table) and not is_virtual(table.sql)


def _is_internal(table: StoredObject) -> bool:
    return fold(table.name).startswith("sqlite_")


# One migration asks for the same texts again and again.
@lru_cache(maxsize=256)
def is_virtual(sql: str) -> bool:
    """Return whether this is the CREATE statement of a virtual table."""
    return next(itertools.islice(tokens(sql), 1, None)).is_word("virtual")


def find_table(database: SqliteDatabase, name: str) -> str | None:
    """Return a table's name as spelled in the file, or None if there is no such table."""
    query = (
        "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE"
        " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    return next((str(found) for (found,) in read(database, query, (name,))), None)


def temporary_triggers(database: SqliteDatabase, table: str) -> list[str]:
    """Return the names of the temporary triggers on a table."""
    rows = read(database, "SELECT name, tbl_name FROM temp.sqlite_master WHERE type = 'trigger'")
    return [name for name, on in rows if fold(on) == fold(table)]


def stored_objects(database: SqliteDatabase, *kinds: str) -> list[StoredObject]:
    """Return the objects of some kinds that have SQL, in the order in which they were created."""
    marks = ", ".join("?" for _ in kinds)
    rows = read(
        database,
        "SELECT type, name, tbl_name, sql FROM main.sqlite_master"
        f" WHERE type IN ({marks}) AND sql IS NOT NULL ORDER BY rowid",
        kinds,
    )
    return [StoredObject(*row) for row in rows]


def describe_table(database: SqliteDatabase, name: str) -> Table | None:
    """Describe one table, or return None if there is no such table; a virtual one has only name and SQL."""
    found = find_table(database, name)
    if found is None:
        return None
    ((sql,),) = read(database, "SELECT sql FROM main.sqlite_master WHERE type = 'table' AND name = ?", (found,))
    query = "SELECT name, sql FROM main.sqlite_master WHERE type = 'index' AND tbl_name = ? COLLATE NOCASE"
    return _describe(database, found, sql, dict(read(database, query, (found,))))


def describe(database: SqliteDatabase) -> dict[str, Table]:
    """Describe every table, by its name in lower case, in alphabetical order."""
    index_texts: dict[str, dict[str, str]] = {}
    for index in stored_objects(database, "index"):
        index_texts.setdefault(fold(index.table), {})[index.name] = index.sql
    tables = sorted((each.name, each.sql) for each in stored_objects(database, "table") if not _is_internal(each))
    return {fold(name): _describe(database, name, sql, index_texts.get(fold(name), {})) for name, sql in tables}


def _describe(database: SqliteDatabase, name: str, sql: str, index_texts: Mapping[str, str]) -> Table:
    if is_virtual(sql):
        return Table(name, sql, (), (), ())
    indexes = _indexes(database, name, index_texts)
    return Table(name, sql, _columns(database, name), _foreign_keys(database, name, sql), indexes)


def children(database: SqliteDatabase, parent: str) -> dict[str, list[ForeignKey]]:
    """Return the foreign keys that refer to a table, by child table, which may be the table itself."""
    found: dict[str, list[ForeignKey]] = {}
    for child in stored_objects(database, "table"):
        if _is_ordinary(child) and may_name(fold(child.sql), {fold(parent)}):
            keys = [key for key in _foreign_keys(database, child.name, child.sql) if fold(key.parent) == fold(parent)]
            if keys:
                found[child.name] = keys
    return found


def has_dangling_key(database: SqliteDatabase) -> bool:
    """Return whether a foreign key names a table that does not exist; it takes a tenth of describing all tables."""
    tables = [each for each in stored_objects(database, "table") if not _is_internal(each)]
    existing = {fold(each.name) for each in tables}
    return any(
        fold(key.parent) not in existing
        for each in tables
        if may_contain(each.sql, "references") and _is_ordinary(each)
        for key in _foreign_keys(database, each.name, each.sql)
    )


def may_name(sql: str, names: Collection[str]) -> bool:
    """Return whether SQL contains the letters of one of some names; all are in lower case."""
    # A name with quotes may be spelled in several ways.
    return any(name in sql or any(mark in name for mark in "\"'`") for name in names)


def foreign_key_check(database: SqliteDatabase, table: str) -> list[tuple[str, int | None, str, int]]:
    """Return the foreign-key violations of a table: table, rowid, parent, number of the key.

    Foreign keys compare with the parent's collations, so stubs are only used to read the rows of the table itself.
    """
    query = f"PRAGMA main.foreign_key_check({quote(table)})"
    return with_stubs(database.connection(), lambda: database.execute_sql(query).fetchall())


def foreign_key_violations(database: SqliteDatabase, apart_from: Collection[tuple[str, str]] = ()) -> dict[str, int]:
    """Count the rows that refer to a missing row, by table.

    `apart_from` lists columns, as table and column in lower case, whose references are not counted.
    """
    counts: dict[str, int] = {}
    for table in ordinary_tables(database):
        keys = read(database, f"PRAGMA main.foreign_key_list({quote(table)})")
        left_out = {key for key, _, _, column, *_ in keys if (fold(table), fold(column)) in apart_from}
        try:
            count = sum(key not in left_out for _, _, _, key in foreign_key_check(database, table))
        except OperationalError as error:
            if not is_mismatch(error):
                raise
        else:
            counts |= {table: count} if count else {}
    return counts


def described(*statements: str) -> Table:
    """Describe the table that some CREATE statements make, by running them in an in-memory database."""
    with closing(SqliteDatabase(":memory:")) as database:
        for statement in statements:
            database.execute_sql(statement)
        (table,) = describe(database).values()
    return table


def same_shape(one: Table, other: Table) -> bool:
    """Return whether two tables have the same columns, keys, CHECKs and options, regardless of their names."""
    return _shape(one) == _shape(other)


def same_index(one: Index, other: Index | None) -> bool:
    """Return whether two indexes have the same columns or expressions; their tables may differ in name."""
    return other is not None and index_shape(one) == index_shape(other)


def _shape(table: Table) -> object:
    return (
        [
            (fold(c.name), fold(c.type), c.not_null, canonical(c.default or ""), c.primary_key, c.hidden)
            for c in table.columns
        ],
        sorted(_key_shape(key) for key in table.foreign_keys),
        sorted(table.checks()),
        sorted(index_shape(index) for index in table.indexes if index.sql is None),
        table.options,
        table.autoincrement,
        [fold(token.text) for token in tokens(table.sql) if token.is_word("collate", "conflict")],
    )


def _key_shape(key: ForeignKey) -> tuple[object, ...]:
    parent_columns = tuple(fold(column or "") for column in key.parent_columns)
    return (*map(fold, key.columns), fold(key.parent), *parent_columns, key.on_update, key.on_delete, key.deferred)


def index_shape(index: Index) -> tuple[bool, tuple[str, ...], str]:
    """Return the parts by which indexes are compared: uniqueness, columns, and the SQL after the table name."""
    columns = tuple(fold(column or "") for column in index.columns)
    body = canonical(index.sql[index.sql.index("(") :]) if index.sql else ""
    return (index.unique, columns, body)


def renamed_parents(definition: CreateTable, parents: set[str], new: str) -> str:
    """Return a definition in which the foreign keys to some tables (in lower case) refer to another one."""
    sql = definition.sql
    for clause in reversed(foreign_key_clauses(definition)):
        if fold(unquote(clause.parent.text)) in parents:
            sql = f"{sql[: clause.parent.start]}{quote(new)}{sql[clause.parent.end :]}"
    return sql


# A migration needs the same CHECKs and defaults repeatedly.
@lru_cache(maxsize=256)
def canonical(sql: str) -> str:
    """Return the canonical form of an SQL expression, which ignores white space, comments, quotes and case of names.

    >>> canonical('"Status"  IN ("x", /* two */ 1)') == canonical("status IN (x,1)")
    True
    """
    return " ".join(token.text if (name := token.name) is None else name for token in tokens(sql))


def _columns(database: SqliteDatabase, table: str) -> tuple[Column, ...]:
    rows = read(database, f"PRAGMA main.table_xinfo({quote(table)})")
    return tuple(
        Column(name, type_, bool(not_null), default, key, hidden)
        for _, name, type_, not_null, default, key, hidden in rows
    )


def _foreign_keys(database: SqliteDatabase, table: str, sql: str) -> tuple[ForeignKey, ...]:
    rows = read(database, f"PRAGMA main.foreign_key_list({quote(table)})")
    # No PRAGMA reports which keys are DEFERRABLE INITIALLY DEFERRED.
    clauses = foreign_key_clauses(parse_create_table(sql)) if rows and may_contain(sql, "deferred") else []
    deferred = {clause.columns for clause in clauses if clause.deferred}
    keys = []
    for number in sorted({row[0] for row in rows}):
        parts = sorted((row for row in rows if row[0] == number), key=lambda row: row[1])
        _, _, parent, _, _, on_update, on_delete, _ = parts[0]
        columns, parent_columns = tuple(part[3] for part in parts), tuple(part[4] for part in parts)
        is_deferred = tuple(map(fold, columns)) in deferred
        keys.append(ForeignKey(columns, parent, parent_columns, on_update, on_delete, is_deferred))
    return tuple(sorted(keys, key=lambda key: (key.columns, key.parent)))


class ForeignKeyClause(NamedTuple):
    """A REFERENCES clause in a CREATE TABLE statement: the columns in lower case, the parent's token."""

    columns: tuple[str, ...]
    parent: Token
    deferred: bool


def foreign_key_clauses(definition: CreateTable) -> list[ForeignKeyClause]:
    """Return the REFERENCES clauses of a CREATE TABLE statement, of columns and of table constraints."""
    clauses = []
    for item in definition.items:
        starts = [i for i, token in enumerate(item.tokens) if token.is_word("references")]
        for start, end in zip(starts, [*starts[1:], len(item.tokens)], strict=False):
            clause = item.tokens[start:end]
            columns = (item.name,) if item.name is not None else _key_columns(item.tokens[:start])
            words = [fold(token.text) for token in clause]
            deferred = "deferred" in words and "deferrable" in words and not _not_deferrable(words)
            clauses.append(ForeignKeyClause(columns, clause[1], deferred))
    return clauses


def _key_columns(before: tuple[Token, ...]) -> tuple[str, ...]:
    """Return the columns in the list directly before REFERENCES in a FOREIGN KEY constraint."""
    opening = max(i for i, token in enumerate(before) if token.text == "(")
    return tuple(fold(unquote(token.text)) for token in before[opening + 1 : -1] if token.text != ",")


def _not_deferrable(words: list[str]) -> bool:
    at = words.index("deferrable")
    return at > 0 and words[at - 1] == "not"


def _indexes(database: SqliteDatabase, table: str, texts: Mapping[str, str]) -> tuple[Index, ...]:
    indexes = []
    for _, name, unique, origin, _ in read(database, f"PRAGMA main.index_list({quote(table)})"):
        info = read(database, f"PRAGMA main.index_info({quote(name)})")
        columns = tuple(column for _, _, column in info)
        indexes.append(Index(name, bool(unique), origin, columns, texts.get(name)))
    return tuple(sorted(indexes, key=lambda index: (index.origin, index.name)))


class CheckClause(NamedTuple):
    """A CHECK: its column (None for a table constraint), its expression, and the position of the expression."""

    column: str | None
    expression: str
    start: int


def check_clauses(definition: CreateTable) -> list[CheckClause]:
    """Return the CHECKs of a CREATE TABLE statement in order."""
    return _clauses(definition, "check")


def expressions(definition: CreateTable) -> list[CheckClause]:
    """Return the CHECKs and the expressions of the generated columns of a CREATE TABLE statement."""
    return _clauses(definition, "check", "as")


def _clauses(definition: CreateTable, *words: str) -> list[CheckClause]:
    clauses = []
    for item in definition.items:
        for i, token in enumerate(item.tokens[:-1]):
            if item.tokens[i + 1].text == "(" and token.is_word(*words):
                start, end = _parentheses(item.tokens[i + 1 :])
                clauses.append(CheckClause(item.name, definition.sql[start:end], start))
    return clauses


def _parentheses(following: tuple[Token, ...]) -> tuple[int, int]:
    """Return where the text inside the first parentheses starts and ends."""
    depths = itertools.accumulate({"(": 1, ")": -1}.get(token.text, 0) for token in following)
    closing = next(token for token, depth in zip(following, depths, strict=False) if depth == 0)
    return following[0].end, closing.start
