"""The rehearsal of an upgrade: it runs on a copy, which is compared and checked; the file is unchanged."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from waiaas.ddl.schema import Column, StoredObject, Table, canonical, describe, foreign_key_violations, stored_objects
from waiaas.ddl.sql import fold, quote
from waiaas.ddl.stubs import with_stubs
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.sqlite import cause_of
from waiaas.errors.translation import translate_errors
from waiaas.files.backup import copy_refusal, copy_verified
from waiaas.files.leftovers import REHEARSAL, remove_leftovers
from waiaas.files.opening import DatabaseFile, path_of
from waiaas.files.page_check import damage_of
from waiaas.files.private_folder import PrivateFolder
from waiaas.inspection.check import check
from waiaas.inspection.report import ChangeKind, CheckReport, Rehearsal, SchemaChange, TableRows
from waiaas.migrations.opening import open_read_only, open_to_change
from waiaas.migrations.runner import upgrade
from waiaas.migrations.version import existing_version
from waiaas.paths import size_of, uri
from waiaas.progress import Progress, ProgressReporter

if TYPE_CHECKING:
    from peewee import SqliteDatabase

    from waiaas.progress import ProgressCallback

# The renames in migrations: a renamed table or column is compared with that of the old name.
_RENAMED_TABLES = {"agents": "wallets"}
_RENAMED_COLUMNS = {"agent_id": "wallet_id"}
_RENAMED_COLUMNS_OF = {"wallets": {"network": "default_network"}}
# The copy, and the log of its upgrade: a quarter of the file from version 18, more from earlier versions.
_SPACE_FACTOR = 1.5
_ROWS_AT_ONCE = 50_000
_FIRST_ROWID, _LAST_ROWID = -(2**63), 2**63 - 1
_TYPES_THAT_CONVERT = ("int", "char", "clob", "text", "real", "floa", "doub")


def rehearse(
    path: str | bytes | PathLike[str], *, skip_orphans: bool = False, progress: ProgressCallback | None = None
) -> Rehearsal:
    """Rehearse the upgrade of a file, as documented in `waiaas.rehearse`.

    >>> import tempfile
    >>> from waiaas.demo import make_version_18
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "wallets.db"
    ...     make_version_18(path)
    ...     rehearsal = rehearse(path)
    >>> rehearsal.report.links_created
    12
    >>> [table.table for table in rehearsal.rows if table.differs]
    ['schema_version', 'session_wallets']
    """
    started = time.perf_counter()
    path, reporter = path_of(path), ProgressReporter(progress)
    file = DatabaseFile(path)
    file.inspect()
    _refuse_early(path)
    with private_copy(path, reporter) as copy:
        copied = time.perf_counter()
        with open_to_change(copy) as database, translate_errors(database):
            # With a write-ahead log one file contains the rows before the upgrade and those after it.
            database.pragma("journal_mode", "wal")
            with reporter.during(database.connection()):
                before = _read_snapshot(database)
                reporter(Progress("checking all foreign keys"))
                violations_before = foreign_key_violations(database)
            with closing(_before_and_after(copy)) as connection:
                report = upgrade(database, backup=False, skip_orphans=skip_orphans, progress=progress)
                with reporter.during(database.connection()), reporter.during(connection):
                    after = _read_snapshot(database)
                    rows = list(_compare_rows(connection, before.tables, after.tables, reporter))
                    reporter(Progress("checking the result"))
                    checked = check(database)
            reporter(Progress("writing the log back"))
            compared = time.perf_counter()
        written_back = time.perf_counter()
    return Rehearsal(
        report=report,
        schema=list(_compare_schemas(before, after)),
        rows=rows,
        foreign_key_violations_before=violations_before,
        foreign_key_violations_after=_violations(checked),
        check=checked,
        copy_seconds=copied - started,
        upgrade_seconds=report.seconds + written_back - compared,
        seconds=time.perf_counter() - started,
    )


def _refuse_early(path: str) -> None:
    """Refuse, before anything is copied, a file that an upgrade refuses without reading its rows."""
    if not _has_abandoned_log(path):
        _refuse_other_files(path)
    if not os.access(path, os.W_OK):
        raise refusal("read_only", path=path)


def _refuse_other_files(path: str) -> None:
    with open_read_only(path) as database:
        existing_version(database)


def _has_abandoned_log(path: str) -> bool:
    """Return whether there is a write-ahead log without its index (`-shm`), so that no process has the file open.

    SQLite would recreate the index, which would remain; so such a file is not opened.
    """
    real = os.path.realpath(path)
    return os.path.isfile(real) and os.path.exists(f"{real}-wal") and not os.path.exists(f"{real}-shm")


@contextmanager
def private_copy(path: str, reporter: ProgressReporter) -> Iterator[Path]:
    """Yield a verified copy of a file in a folder that only its user can enter, removed at the end.

    Refusals of the copy in the block name the original file.
    """
    file = DatabaseFile(path)
    parent = os.path.dirname(file.real)
    remove_leftovers(parent)
    try:
        _refuse_without_room(file, parent)
        folder = PrivateFolder(Path(parent), REHEARSAL)
    except OSError as error:
        raise refusal("copy_failed", path=path, cause=cause_of(error)) from error
    with folder, _naming_the_original(path, folder.copy):
        _copy(file, folder, reporter)
        yield folder.copy
    try:
        if folder.copy.parent.exists():
            shutil.rmtree(folder.copy.parent)
    except OSError as error:
        raise refusal("copy_left", path=path, folder=str(folder.copy.parent), cause=cause_of(error)) from error


def _refuse_without_room(database: DatabaseFile, folder: str) -> None:
    path, real = database.name, database.real
    size = size_of(real) + size_of(f"{real}-wal")
    needed, free = int(size * _SPACE_FACTOR), shutil.disk_usage(folder).free
    if free < needed:
        raise refusal("no_room_to_rehearse", path=path, needed=f"{needed:,}", free=f"{free:,}")


@contextmanager
def _naming_the_original(path: str, copy: Path) -> Iterator[None]:
    """Replace the path of the copy with that of the original in refusals."""
    try:
        yield
    except WAIaaSError as error:
        details = {
            name: value.replace(str(copy), path) if isinstance(value, str) else value
            for name, value in (error.details or {}).items()
        }
        # The copy is made like a backup, but omitting the backup would not avoid it.
        error.details = {**details, "reason": "copy_failed"} if error.reason == "backup_failed" else details
        raise


def _copy(file: DatabaseFile, folder: PrivateFolder, reporter: ProgressReporter) -> None:
    wrong: list[str] = []
    try:
        if _has_abandoned_log(file.name):
            wrong = _copy_with_log(file, folder.copy, reporter)
        else:
            # While this connection is open, the copying one is not the last, which would leave an empty log.
            with open_read_only(file.name):
                copy_verified(file, folder, reporter)
    except (sqlite3.Error, OSError) as error:
        raise copy_refusal(error, file, folder.copy) from error
    if wrong:
        raise refusal("corrupt", path=file.name, cause=wrong[0])


def _copy_with_log(file: DatabaseFile, copy: Path, reporter: ProgressReporter) -> list[str]:
    """Copy a file and its log byte for byte, and return the corruption found in both together."""
    shutil.copyfile(file.real, copy)
    shutil.copyfile(f"{file.real}-wal", f"{copy}-wal")
    os.chmod(f"{copy}-wal", 0o600)
    _refuse_other_files(str(copy))
    reporter(Progress("verifying the copy"))
    return damage_of(copy, "ro", reporter)


def _violations(report: CheckReport) -> dict[str, int]:
    """Count by table what `check` found, because it has already checked every foreign key."""
    counts: dict[str, int] = {}
    for finding in report.findings:
        if finding.kind == "foreign_key_violation":
            counts[finding.where] = counts.get(finding.where, 0) + len(finding.rows)
    return counts


class _SchemaSnapshot(NamedTuple):
    """The schema of a database at one time, with the tables by their names in lower case."""

    tables: dict[str, Table]
    objects: list[StoredObject]


def _read_snapshot(database: SqliteDatabase) -> _SchemaSnapshot:
    return _SchemaSnapshot(describe(database), stored_objects(database, "trigger", "view"))


def _before_and_after(copy: Path) -> sqlite3.Connection:
    """Open a connection whose `main` keeps the present snapshot, and whose `after` starts at its first read."""
    connection = sqlite3.connect(uri(copy, "ro"), uri=True, isolation_level=None)
    connection.execute("ATTACH ? AS after", (uri(copy, "ro"),))
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM main.sqlite_master").fetchone()
    return connection


def _pairs(before: Mapping[str, Table], after: Mapping[str, Table]) -> Iterator[tuple[Table | None, Table | None]]:
    """Pair the tables before with those after, including renamed ones, in alphabetical order."""
    renamed = {old: new for old, new in _RENAMED_TABLES.items() if old in before and old not in after}
    old_names = {renamed.get(name, name): name for name in before}
    for name in sorted(old_names.keys() | after.keys()):
        yield before.get(old_names.get(name, "")), after.get(name)


def _new_names(old: Table, new: Table) -> dict[str, str]:
    """Return the columns that a table has before and after the upgrade: their old and new names, in lower case."""
    before, after = old.column_names, new.column_names
    renamed = {**_RENAMED_COLUMNS, **_RENAMED_COLUMNS_OF.get(fold(new.name), {})}
    names = {name: name for name in before & after}
    for name in before - after:
        if renamed.get(name) in after - before:
            names[name] = renamed[name]
    return names


def _compare_schemas(before: _SchemaSnapshot, after: _SchemaSnapshot) -> Iterator[SchemaChange]:
    for old, new in _pairs(before.tables, after.tables):
        if old is not None and new is not None:
            if old.name != new.name:
                yield SchemaChange("table", new.name, old.name, new.name)
            yield from _differences(_entries(old, new), _entries(new, new))
        elif new is not None:
            yield SchemaChange("table", new.name, None, new.sql)
            yield from _differences({}, _indexes(new))
        elif old is not None:
            yield SchemaChange("table", old.name, old.sql, None)
    yield from _differences(_objects(before), _objects(after))


_Entries = dict[tuple[ChangeKind, str], str]


def _differences(before: _Entries, after: _Entries) -> Iterator[SchemaChange]:
    for kind, where in [*before, *(key for key in after if key not in before)]:
        old, new = before.get((kind, where)), after.get((kind, where))
        if old is None or new is None or canonical(old) != canonical(new):
            yield SchemaChange(kind, where, old, new)


def _entries(table: Table, new: Table) -> _Entries:
    """Return the entries of a table's definition, under the names after the upgrade."""
    if table.is_virtual:
        return {("table", new.name): table.sql}
    entries: _Entries = {}
    definition, names = table.definition, _new_names(table, new)
    for item in definition.items:
        text = definition.sql[item.start : item.end]
        if item.name is None:
            entries["constraint", f"{new.name} {canonical(text)}"] = text
        else:
            entries["column", f"{new.name}.{names.get(item.name, item.name)}"] = text
    options = ", ".join(sorted(definition.options))
    return {**entries, **({("options", new.name): options} if options else {}), **_indexes(table)}


def _indexes(table: Table) -> _Entries:
    return {("index", index.name): index.sql for index in table.indexes if index.sql}


def _objects(moment: _SchemaSnapshot) -> _Entries:
    return {(stored.kind, stored.name): stored.sql for stored in moment.objects}


def _compare_rows(
    connection: sqlite3.Connection, before: Mapping[str, Table], after: Mapping[str, Table], reporter: ProgressReporter
) -> Iterator[TableRows]:
    for old, new in _pairs(before, after):
        if (old and old.is_virtual) or (new and new.is_virtual):
            continue  # a module keeps its rows in ordinary tables, which are compared
        if old is not None and new is not None:
            yield _Comparison(connection, old, new, reporter).run()
        elif new is not None:
            count = _count(connection, "after", new)
            yield TableRows(new.name, None, count, added=count, removed=0, changed=0)
        elif old is not None:
            count = _count(connection, "main", old)
            yield TableRows(old.name, count, None, added=0, removed=count, changed=0)


def _count(connection: sqlite3.Connection, schema: str, table: Table) -> int:
    (count,) = _one_row(connection, f"SELECT count(*) FROM {schema}.{quote(table.name)}")
    return int(count)


def _one_row(connection: sqlite3.Connection, query: str, parameters: tuple[object, ...] = ()) -> Any:
    """Read one row; a table may have a collation that only the user's program has, so none is used to compare."""
    return with_stubs(connection, lambda: connection.execute(query, parameters).fetchone())


class _Comparison:
    """The comparison of every row of one table before and after, in the columns that both have.

    Collations are ignored and types count: 'A' is not 'a', and 1 is not 1.0 or '1'.
    """

    def __init__(self, connection: sqlite3.Connection, old: Table, new: Table, reporter: ProgressReporter) -> None:
        self._connection = connection
        self._old = old
        self._new = new
        self._reporter = reporter
        names = _new_names(old, new)
        after = {fold(column.name): column for column in new.columns}
        self._columns = [
            (column, after[names[fold(column.name)]]) for column in old.columns if fold(column.name) in names
        ]

    def run(self) -> TableRows:
        """Compare the rows, and report the progress."""
        before, after = _count(self._connection, "main", self._old), _count(self._connection, "after", self._new)
        self._reporter(Progress(f"comparing {self._new.name}", None, 0, before))
        keys = self._old.rowid_name, self._new.rowid_name
        if keys[0] is None or keys[1] is None:
            added, removed = self._by_whole_rows()
            return TableRows(self._new.name, before, after, added, removed, changed=0)
        matched, same = self._by_rowid(keys[0], keys[1], before)
        return TableRows(self._new.name, before, after, after - matched, before - matched, matched - same)

    def _by_rowid(self, old_key: str, new_key: str, total: int) -> tuple[int, int]:
        """Count the rows that exist before and after, and those of them that are the same."""
        old, new = f"main.{quote(self._old.name)}", f"after.{quote(self._new.name)}"
        chunk = (
            f"SELECT max(key), count(*) FROM (SELECT {old_key} AS key FROM {old}"
            f" WHERE {old_key} >= ? ORDER BY {old_key} LIMIT {_ROWS_AT_ONCE})"
        )
        pairs = (
            f"SELECT count(*) FROM {old} AS b CROSS JOIN {new} AS a ON a.{new_key} = b.{old_key}"
            f" WHERE b.{old_key} BETWEEN ? AND ?"
        )
        first, done, matched, same = _FIRST_ROWID, 0, 0, 0
        while done < total:
            last, count = _one_row(self._connection, chunk, (first,))
            (found,) = _one_row(self._connection, pairs, (first, last))
            (equal,) = _one_row(self._connection, f"{pairs} AND {self._same()}", (first, last))
            first, done, matched, same = min(last + 1, _LAST_ROWID), done + count, matched + found, same + equal
            self._reporter(Progress(f"comparing {self._new.name}", None, done, total))
        return matched, same

    def _same(self) -> str:
        """Return a condition that is true if all values are the same, as row values: SQLite limits nested ANDs.

        CASE prevents SQLite from using an index on one of the columns instead of the rowid.
        """
        if not self._columns:
            return "1"
        values = [f"b.{quote(old.name)} COLLATE BINARY" for old, _ in self._columns]
        values += [f"typeof(b.{quote(old.name)})" for old, new in self._columns if _type_may_differ(old, new)]
        others = [f"a.{quote(new.name)}" for _, new in self._columns]
        others += [f"typeof(a.{quote(new.name)})" for old, new in self._columns if _type_may_differ(old, new)]
        return f"CASE WHEN ({', '.join(values)}) IS ({', '.join(others)}) THEN 1 ELSE 0 END"

    def _by_whole_rows(self) -> tuple[int, int]:
        """Count the rows that exist more often after than before, and the other way round."""
        sides = (
            ", ".join(f"{quote(column.name)} AS c{n}, typeof({quote(column.name)}) AS t{n}" for n, column in each)
            for each in (enumerate(old for old, _ in self._columns), enumerate(new for _, new in self._columns))
        )
        row = ", ".join(f"c{n} COLLATE BINARY, t{n}" for n in range(len(self._columns)))
        added, removed = _one_row(
            self._connection,
            "SELECT total(max(surplus, 0)), total(max(-surplus, 0)) FROM (SELECT sum(side) AS surplus FROM"
            f" (SELECT -1 AS side, {next(sides)} FROM main.{quote(self._old.name)}"
            f" UNION ALL SELECT 1, {next(sides)} FROM after.{quote(self._new.name)}) GROUP BY {row})",
        )
        return int(added), int(removed)


def _type_may_differ(old: Column, new: Column) -> bool:
    """Return whether equal values may have two types: 1 and 1.0, or 1 and '1' if it converts.

    They cannot if both columns convert all their values to one of text, integer or real when these are stored
    (https://www.sqlite.org/datatype3.html#determination_of_column_affinity).
    """
    return fold(old.type) != fold(new.type) or not any(word in fold(new.type) for word in _TYPES_THAT_CONVERT)
