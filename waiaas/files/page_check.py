"""Whether the pages, rows and indexes of a database fit together, as SQLite checks it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from contextlib import closing
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final

from waiaas.ddl.sql import fold, quote
from waiaas.ddl.stubs import missing_name, stub_missing, with_stubs
from waiaas.errors import refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.probe import read_error
from waiaas.errors.sqlite import IOERR, cause_of, reason_for
from waiaas.paths import file_of, path_to_open, size_of, uri
from waiaas.progress import Progress, ProgressReporter

if TYPE_CHECKING:
    from peewee import SqliteDatabase

# fts5IntegrityMethod, fts3IntegrityMethod and rtreeIntegrity in SQLite's sources.
_VIRTUAL_TABLE_MESSAGES = re.compile(
    r"fts\d: |(malformed|unable to validate the) inverted index for FTS\d table |In RTree "
)
# The text of Python's sqlite3 for a function that failed, and for one that was taken away again.
_FUNCTION_FAILED = "user-defined function raised exception"
# checkTreePage in SQLite's btree.c; the code is the extended result code.
_FAILED_READ = re.compile(r".*unable to get the page\. error code=(\d+)")
# SQLite returns all problems of the pages in one row, below this title (integrityCk in its pragma.c).
_TITLE_OF_PAGES = "*** in database main ***\n"


#: The small tables in which a migration finds rows by an index. Their indexes are compared with their rows before a
#: change is committed: with a corrupt index a session could get another wallet. Everything else is read from the rows,
#: and comparing every index (`integrity_check`) takes ten times as long as `quick_check`, longer than the upgrade
#: itself.
LOOKED_UP: Final = ("agents", "wallets", "session_wallets", "key_value_store", "schema_version")


def damage(database: sqlite3.Connection, *, checks: bool, indexes_of: Collection[str] | None = None) -> list[str]:
    """Return what SQLite finds wrong with the pages, rows and indexes of a database, one fact each.

    :param checks: whether to report values that violate a CHECK, which takes three times as long.
    :param indexes_of: the tables whose indexes are compared with their rows; None for all tables.

    `PRAGMA quick_check` compares no index with the rows of its table, `PRAGMA integrity_check` does
    (https://www.sqlite.org/pragma.html#pragma_integrity_check).
    """
    (ignored,) = database.execute("PRAGMA ignore_check_constraints").fetchone()
    try:
        database.execute(f"PRAGMA ignore_check_constraints = {ignored if checks else 1}")
        if indexes_of is None:
            try:
                return _found(database, "integrity_check")
            except sqlite3.DatabaseError as error:
                # A problem in one table must not hide those in others.
                if not _is_of_one_table(error) and (reason_for(error) or not _has_virtual_tables(database)):
                    raise
        found = _quick_check(database)
        if not checks:
            # Since SQLite 3.44, virtual tables also check their content, which is not corruption of the pages.
            found = [fact for fact in found if not _VIRTUAL_TABLE_MESSAGES.match(fact)]
        for table in _names_of_tables(database):
            if indexes_of is None or fold(table) in indexes_of:
                found += _compared(database, table)
        return list(dict.fromkeys(found))
    finally:
        database.execute(f"PRAGMA ignore_check_constraints = {ignored}")


def _quick_check(database: sqlite3.Connection) -> list[str]:
    """Check the pages and rows, with stubs for functions and collations that only the user's program has."""
    stubs = []
    try:
        while True:
            try:
                found = _found(database, "quick_check")
            except sqlite3.OperationalError as error:
                if (remove_stub := stub_missing(database, error)) is not None:
                    stubs.append(remove_stub)
                    continue
                if reason_for(error) or not _has_virtual_tables(database):
                    raise
                found = _each_table(database)
            # Only the keys of a WITHOUT ROWID table are compared, and a stub collation orders them differently.
            misjudged = ("PRIMARY KEY order",) if stubs else ()
            return [fact for fact in found if not any(text in fact for text in misjudged)]
    finally:
        for remove_stub in stubs:
            remove_stub()


def _each_table(database: sqlite3.Connection) -> list[str]:
    """Check the pages of each table by itself, because SQLite stops at a virtual table that it cannot open.

    Its tokenizer may belong to the user's program. Pages that belong to no table, or to two, are not detected in this
    way.
    """
    return [
        fact
        for table in _names_of_tables(database)
        for fact in with_stubs(database, partial(_found, database, f"quick_check({quote(table)})"))
    ]


def _has_virtual_tables(database: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND rootpage = 0 LIMIT 1"
    return database.execute(query).fetchone() is not None


def _compared(database: sqlite3.Connection, table: str) -> list[str]:
    """Compare the indexes of a table with its rows; an index with a function of the user's program is skipped."""
    try:
        return _found(database, f"integrity_check({quote(table)})")
    except sqlite3.DatabaseError as error:
        if not _is_of_one_table(error):
            raise
        return [f"{table}: {error}"] if reason_for(error) == "corrupt" else []


def _is_of_one_table(error: sqlite3.DatabaseError) -> bool:
    is_function = missing_name(error) is not None or str(error) == _FUNCTION_FAILED
    return is_function or reason_for(error) == "corrupt"


def _found(database: sqlite3.Connection, pragma: str) -> list[str]:
    lines = database.execute(f"PRAGMA main.{pragma}").fetchall()
    return [fact for (line,) in lines for fact in _facts(line) if fact != "ok"]


def _names_of_tables(database: sqlite3.Connection) -> list[str]:
    rows = database.execute("SELECT name FROM main.sqlite_master WHERE type = 'table' AND rootpage <> 0").fetchall()
    return [name for (name,) in rows]


def _facts(line: str) -> list[str]:
    """Split one row of SQLite's result into facts; only a row about pages contains several."""
    return line.removeprefix(_TITLE_OF_PAGES).splitlines() if line.startswith(_TITLE_OF_PAGES) else [line]


def damage_of(path: Path, mode: str, reporter: ProgressReporter) -> list[str]:
    """Return what is wrong with the pages of a file, opened in a mode of SQLite's URIs (https://www.sqlite.org/uri.html).

    It is not mapped into memory, though that would take a third off the time: a bad sector of a mapped file ends the
    process with SIGBUS (https://www.sqlite.org/mmap.html).
    """
    with closing(sqlite3.connect(uri(path, mode), uri=True)) as database, reporter.during(database):
        database.execute("PRAGMA mmap_size = 0")
        return damage(database, checks=False, indexes_of=LOOKED_UP)


def refuse_damage(database: SqliteDatabase, indexes_of: Collection[str] | None = LOOKED_UP) -> None:
    """Raise WAIaaSError with the reason `corrupt` if pages, or indexes of some tables (None: all), are corrupt."""
    wrong = damage(database.connection(), checks=False, indexes_of=indexes_of)
    _refuse(path_to_open(database), file_of(database), wrong)


def refuse_damaged_file(path: Path, name: str, reporter: ProgressReporter) -> None:
    """Raise what `refuse_damage` raises, checked on a separate connection, which any thread may open.

    The refusal shows the file as `name`, the name that its owner uses.
    """
    reporter(Progress("checking the pages"))
    _refuse(path, name, damage_of(path, "ro", reporter))


def refuse_truncated(database: SqliteDatabase, path: Path) -> None:
    """Raise WAIaaSError `corrupt` if a file is shorter than its own page count.

    SQLite itself only does so if a whole page is missing, and treats the missing end of one as zeros. The rest of a
    shorter file may be in its write-ahead log.
    """
    size, whole = path.stat().st_size, database.pragma("page_count") * database.pragma("page_size")
    if size < whole and not has_log(path):
        raise refusal("corrupt", path=file_of(database), cause=f"{whole - size} of its {whole} bytes are missing")


def has_log(path: str | PathLike[str]) -> bool:
    """Return whether a file has a write-ahead log that is not empty."""
    return size_of(f"{os.path.realpath(path)}-wal") > 0


def _refuse(path: str | PathLike[str], name: str, wrong: list[str]) -> None:
    if wrong:
        refuse_unreadable(path, name, wrong)
        raise refusal("corrupt", path=name, cause=wrong[0])


def refuse_unreadable(path: str | PathLike[str], name: str, wrong: Sequence[str]) -> None:
    """Raise WAIaaSError with the reason `io_error` if a file cannot be read, which SQLite reports as corruption.

    `wrong` is what SQLite has found: a read that failed once has its code in it.
    """
    for fact in wrong:
        if (failed := _FAILED_READ.fullmatch(fact)) and int(failed[1]) & 0xFF == IOERR:
            raise refusal("io_error", path=name, cause=fact)
    if error := read_error(path):
        raise refusal("io_error", path=name, cause=cause_of(error)) from error
