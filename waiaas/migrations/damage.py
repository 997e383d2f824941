"""Whether a database is whole: SQLite's look at its pages (https://www.sqlite.org/pragma.html#pragma_quick_check)."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from waiaas.errors import refusal
from waiaas.faults import file_of, uri
from waiaas.migrations.pulse import Pulse
from waiaas.migrations.report import Progress
from waiaas.migrations.stand_ins import stand_in

if TYPE_CHECKING:
    from peewee import SqliteDatabase

_MAPPED_BYTES = 2**31 - 1
# SQLite tells what is wrong with the pages all in one row, below this title (integrityCk in its pragma.c).
_TITLE_OF_PAGES = "*** in database main ***\n"


def damage(database: sqlite3.Connection, *, checks: bool) -> list[str]:
    """Return what SQLite finds wrong with the pages and rows of a database, a fact each (`PRAGMA quick_check`).

    Without `checks`, values that a CHECK does not allow are none of it, and it takes a third of the time.
    """
    (ignored,) = database.execute("PRAGMA ignore_check_constraints").fetchone()
    stand_ins = []
    try:
        database.execute(f"PRAGMA ignore_check_constraints = {ignored if checks else 1}")
        while True:
            try:
                lines = database.execute("PRAGMA main.quick_check").fetchall()
            except sqlite3.OperationalError as error:
                if (take_away := stand_in(database, error)) is None:
                    raise
                stand_ins.append(take_away)
            else:
                # Only the keys of a WITHOUT ROWID table are compared, and a stand-in collation orders them otherwise.
                misjudged = ("PRIMARY KEY order",) if stand_ins else ()
                facts = (fact for (line,) in lines for fact in _facts(line))
                return [fact for fact in facts if fact != "ok" and not any(text in fact for text in misjudged)]
    finally:
        database.execute(f"PRAGMA ignore_check_constraints = {ignored}")
        for take_away in stand_ins:
            take_away()


def _facts(line: str) -> list[str]:
    """What one row of SQLite's answer tells; only what it tells of pages is more than one fact."""
    return line.removeprefix(_TITLE_OF_PAGES).splitlines() if line.startswith(_TITLE_OF_PAGES) else [line]


def damage_of(path: Path, mode: str, pulse: Pulse, mapped_bytes: int = 0) -> list[str]:
    """Return what is wrong with the pages of a file, opened in a mode of SQLite's URIs (https://www.sqlite.org/uri.html).

    `mapped_bytes` of it are read through memory, which takes a third off the time; all of it in an immutable file, for
    nobody changes it meanwhile.
    """
    with closing(sqlite3.connect(uri(path, mode), uri=True)) as database, pulse.during(database):
        database.execute(f"PRAGMA mmap_size = {_MAPPED_BYTES if 'immutable' in mode else mapped_bytes}")
        return damage(database, checks=False)


def refuse_damage(database: SqliteDatabase) -> None:
    """Raise WAIaaSError with the reason `corrupt` where pages of a database are damaged."""
    _refuse(file_of(database), damage(database.connection(), checks=False))


def refuse_damaged_file(path: Path, name: str, mapped_bytes: int, pulse: Pulse) -> None:
    """Raise what `refuse_damage` raises, after a look by a connection of its own, which any thread may take.

    The refusal calls the file by `name`, as its owner does.
    """
    pulse(Progress("checking the pages"))
    _refuse(name, damage_of(path, "ro", pulse, mapped_bytes))


def refuse_cut_off(database: SqliteDatabase, path: Path) -> None:
    """Raise WAIaaSError `corrupt` where a file is shorter than its own page count says.

    SQLite itself does so only where a whole page is missing, and takes the missing end of one for zeros. The rest of a
    shorter file may stand in its write-ahead log.
    """
    size, whole = path.stat().st_size, database.pragma("page_count") * database.pragma("page_size")
    if size < whole and not has_log(path):
        raise refusal("corrupt", path=file_of(database), cause=f"{whole - size} of its {whole} bytes are missing")


def has_log(path: str | PathLike[str]) -> bool:
    """Tell whether a file has a write-ahead log that is not empty."""
    try:
        return os.path.getsize(f"{os.path.realpath(path)}-wal") > 0
    except FileNotFoundError:
        return False


def _refuse(file: str, wrong: list[str]) -> None:
    if wrong:
        raise refusal("corrupt", path=file, cause=wrong[0])
