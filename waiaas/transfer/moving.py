"""The move of a database from one engine to the other.

One snapshot of the source is read. The target is filled in one transaction, which is committed only if every row
that is read back from it equals that of the source.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from peewee import PeeweeException, SqliteDatabase

from waiaas.backends.postgresql import ALL_ROWS, SERVICES_LOCK, CommitUnknownError, PostgresqlDatabase, open_database
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import PsycopgError, sqlite3
from waiaas.errors.translation import refusal_for, safe_cause, translate_errors
from waiaas.files.background import Background
from waiaas.files.backup import remove
from waiaas.files.leftovers import REHEARSAL
from waiaas.files.opening import path_of
from waiaas.files.private_folder import PrivateFolder
from waiaas.inspection.rehearsal import private_copy
from waiaas.migrations import LATEST_SCHEMA_VERSION
from waiaas.migrations.opening import open_latest, open_read_only, open_to_change, refuse_existing
from waiaas.migrations.postgresql import read_version, refuse_unsuitable, upgrade_alone
from waiaas.migrations.runner import upgrade
from waiaas.migrations.version import existing_version
from waiaas.models.postgresql import Table, tables
from waiaas.paths import is_postgresql_url
from waiaas.progress import Progress, ProgressCallback, ProgressReporter
from waiaas.report import Report
from waiaas.transfer.obstacles import Obstacle, Scan, left_behind, refuse_obstacles, wrong_links, wrong_values
from waiaas.transfer.rows import Digest, column_names, lines_of_file, lines_of_server

_ROWS_AT_ONCE = 2000
# For the transaction that fills a server: it takes as long as it takes, is read back in the order in which it was
# written, is on the disk when COMMIT returns, and sorts its indexes in memory.
_SETTINGS = (
    ALL_ROWS,
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL synchronize_seqscans = off",
    "SET LOCAL synchronous_commit = on",
    "SET LOCAL maintenance_work_mem = '256MB'",
)


@dataclass(frozen=True)
class MovedTable:
    """A table that was moved: how many rows, and the SHA-256 of their lines, which both sides have."""

    table: str
    rows: int
    checksum: str


@dataclass(frozen=True)
class MoveReport(Report):
    """The report of `move`.

    `source` and `target` are a path and a URL without its password. `from_version` is the schema version of the
    source, `tables` has every table with its rows and checksum. `left_behind` names the tables, columns, views and
    triggers of a file that are not the library's; they stay in the file. `is_rehearsal` is True if nothing
    was committed.
    """

    COMPUTED = ("rows",)

    source: str
    target: str
    from_version: int
    tables: list[MovedTable]
    left_behind: list[str]
    is_rehearsal: bool
    seconds: float

    @property
    def rows(self) -> int:
        """How many rows were moved in all tables."""
        return sum(table.rows for table in self.tables)


class _File(NamedTuple):
    """A file whose values have been checked; `special` has the tables and columns with text that COPY escapes."""

    connection: sqlite3.Connection
    special: set[tuple[str, str]]


class _RehearsalEnd(Exception):  # noqa: N818  # not an error
    """Ends the transaction of a rehearsal with a rollback."""


def move(
    source: str | PathLike[str],
    target: str | PathLike[str],
    *,
    rehearse: bool = False,
    skip_orphans: bool = False,
    progress: ProgressCallback | None = None,
) -> MoveReport:
    """Move a database, as documented in `waiaas.move`."""
    if is_postgresql_url(source) == is_postgresql_url(target):
        raise ValueError("move takes the path of a file and the URL of a PostgreSQL database, in either order")
    reporter = ProgressReporter(progress)
    url = source if is_postgresql_url(source) else target
    server = open_database(str(url))
    with ExitStack() as stack, _server_errors(server):
        stack.callback(server.close_all)
        if is_postgresql_url(source):
            return _move_to_file(server, path_of(target), rehearse, reporter)
        return _move_to_server(path_of(source), server, rehearse, skip_orphans, reporter)


def _move_to_server(
    path: str, server: PostgresqlDatabase, rehearse: bool, skip_orphans: bool, reporter: ProgressReporter
) -> MoveReport:
    started = time.perf_counter()
    _refuse_filled(server)
    with (
        _unchanged(path) as refuse_changed,
        _latest(path, skip_orphans, reporter) as (database, version),
        translate_errors(database),
        database.atomic(),
    ):
        extra = left_behind(database)
        connection = database.connection()
        connection.text_factory = bytes
        with reporter.during(connection):
            file = _checked(database, path, reporter)
            try:
                moved = _fill_server(server, file, reporter, rehearse, refuse_changed)
            except _RehearsalEnd as end:
                (moved,) = end.args
    return MoveReport(path, server.address, version, moved, extra, rehearse, time.perf_counter() - started)


def _checked(database: SqliteDatabase, path: str, reporter: ProgressReporter) -> _File:
    """Refuse values that the server cannot store; a thread looks for broken references at the same time."""
    scan, connection = Scan(), database.connection()
    links = Background(partial(_wrong_links, database), reporter)
    is_done = False
    try:
        for table in tables():
            reporter(Progress(f"checking the values of {table.name}"))
            scan.read(connection, table)
        found = [*wrong_values(connection, scan.unclear), *links.result()]
        is_done = True
    finally:
        links.end(stop=not is_done)
    refuse_obstacles(found, path)
    return _File(connection, scan.special)


def _wrong_links(database: SqliteDatabase, reporter: ProgressReporter) -> list[Obstacle]:
    reporter(Progress("checking the references"))
    with database.connection_context(), reporter.during(database.connection()):
        return list(wrong_links(database.connection()))


def _refuse_filled(server: PostgresqlDatabase) -> None:
    if read_version(server) != 0:
        raise refusal("target_not_empty", path=server.address)


@contextmanager
def _unchanged(path: str) -> Iterator[Callable[[], None]]:
    """Yield a function that refuses a file to which another connection has written since the block began."""
    with open_read_only(path) as watcher:
        before = watcher.pragma("data_version")

        def refuse_changed() -> None:
            if watcher.pragma("data_version") != before:
                raise refusal("source_changed", path=path)

        yield refuse_changed


@contextmanager
def _latest(path: str, skip_orphans: bool, reporter: ProgressReporter) -> Iterator[tuple[SqliteDatabase, int]]:
    """Open a file at the latest version to read it, or an upgraded copy; also yield the file's own version."""
    with open_read_only(path) as database:
        version = existing_version(database)
        if version == LATEST_SCHEMA_VERSION:
            yield database, version
            return
    with private_copy(path, reporter) as copy:
        with open_to_change(copy) as old:
            upgrade(old, backup=False, skip_orphans=skip_orphans, progress=reporter)
        with open_read_only(copy) as database:
            yield database, version


def _fill_server(
    server: PostgresqlDatabase,
    file: _File,
    reporter: ProgressReporter,
    rehearse: bool,
    refuse_changed: Callable[[], None],
) -> list[MovedTable]:
    moved: list[MovedTable] = []
    with _server_errors(server):
        try:
            with upgrade_alone(server, reporter):
                # Another process may have just created them.
                _refuse_filled(server)
                refuse_unsuitable(server)
                moved += _fill(server, file, reporter)
                refuse_changed()
                if rehearse:
                    raise _RehearsalEnd(moved)
                reporter(Progress("committing"))
        except CommitUnknownError:
            # Everything was committed, or nothing.
            if read_version(server) != LATEST_SCHEMA_VERSION:
                raise
    return moved


def _fill(server: PostgresqlDatabase, file: _File, reporter: ProgressReporter) -> list[MovedTable]:
    """Create the tables, copy all rows, create keys and indexes, and read everything back."""
    for statement in chain(_SETTINGS, (table.create() for table in tables())):
        server.execute_sql(statement)
    sent = _copy_to_server(server, file, reporter)
    for table in tables():
        reporter(Progress(f"creating the indexes of {table.name}"))
        for statement in table.add_keys():
            server.execute_sql(statement)
    reporter(Progress("checking all foreign keys"))
    for statement in (each for table in tables() for each in table.add_foreign_keys()):
        server.execute_sql(statement)
    _set_next_number(server, file.connection)
    # Without names, other tables of the database would be analyzed, too.
    server.execute_sql(f"ANALYZE {', '.join(table.name for table in tables())}")
    return list(_compare(sent, partial(_digest_of_server, server), server.address, reporter))


@contextmanager
def _server_errors(server: PostgresqlDatabase) -> Iterator[None]:
    """Raise errors of the server and its driver as refusals; errors of the file pass."""
    try:
        yield
    except WAIaaSError:
        raise
    except (PeeweeException, PsycopgError) as error:
        raise refusal_for(error, server) from safe_cause(error)


def _copy_to_server(server: PostgresqlDatabase, file: _File, reporter: ProgressReporter) -> dict[str, Digest]:
    sent: dict[str, Digest] = {}
    for table in tables():
        (total,) = file.connection.execute(f"SELECT count(*) FROM main.{table.name}").fetchone()
        digest = sent[table.name] = Digest()
        statement = f"COPY {table.name} ({column_names(table)}) FROM STDIN WITH (FREEZE)"
        with server.connection().cursor() as cursor, cursor.copy(statement) as copy:
            for rows, lines in lines_of_file(file.connection, table, file.special):
                copy.write(lines)
                digest.add(rows, lines)
                reporter(Progress(f"copying {table.name}", done=digest.rows, total=total))
        if digest.rows != total:
            raise refusal("copy_differs", path=server.address, table=table.name, before=total, after=digest.rows)
    return sent


def _set_next_number(server: PostgresqlDatabase, connection: sqlite3.Connection) -> None:
    """Continue the numbers of the audit log after those of the file, so that no number is reused."""
    row = connection.execute("SELECT seq FROM main.sqlite_sequence WHERE name = 'audit_log'").fetchone()
    if row is not None and int(row[0]) > 0:
        sequence = "pg_get_serial_sequence('audit_log', 'id')"
        server.execute_sql(f"SELECT setval({sequence}, greatest(%s, (SELECT max(id) FROM audit_log)))", (int(row[0]),))


def _digest_of_server(server: PostgresqlDatabase, table: Table, order: str | None = None) -> Digest:
    return Digest(lines_of_server(server.connection(), table, order))


def _compare(
    expected: dict[str, Digest], read_back: Callable[[Table], Digest], target: str, reporter: ProgressReporter
) -> Iterator[MovedTable]:
    """Read every table of the target and compare it with the source."""
    for table in tables():
        reporter(Progress(f"comparing {table.name}"))
        wanted, found = expected[table.name], read_back(table)
        if (wanted.rows, wanted.checksum) != (found.rows, found.checksum):
            raise refusal("copy_differs", path=target, table=table.name, before=wanted.rows, after=found.rows)
        yield MovedTable(table.name, found.rows, found.checksum)


def _move_to_file(server: PostgresqlDatabase, path: str, rehearse: bool, reporter: ProgressReporter) -> MoveReport:
    started = time.perf_counter()
    version = existing_version(server)
    if not rehearse:
        refuse_existing(path)
    with _new_file(path, rehearse) as database, _snapshot(server):
        connection = database.connection()
        try:
            with translate_errors(database), database.atomic("IMMEDIATE"), _server_errors(server):
                # A batch can come before the transaction that it is part of.
                connection.execute("PRAGMA defer_foreign_keys = ON")
                connection.execute("DELETE FROM schema_version")
                for table in tables():
                    _copy_to_file(server, connection, table, reporter)
                _keep_next_number(server, connection)
                connection.text_factory = bytes
                expected = {table.name: _digest_of_server(server, table, _order(table)) for table in tables()}
                moved = list(_compare(expected, partial(_digest_of_file, connection), path, reporter))
                if rehearse:
                    raise _RehearsalEnd
                reporter(Progress("committing"))
        except _RehearsalEnd:
            pass
        finally:
            connection.text_factory = str
    return MoveReport(server.address, path, version, moved, [], rehearse, time.perf_counter() - started)


@contextmanager
def _new_file(path: str, rehearse: bool) -> Iterator[Any]:
    """Yield a new database at a path, or in a private folder for a rehearsal; it is removed if the block fails."""
    with ExitStack() as stack:
        if rehearse:
            parent = Path(os.path.realpath(path)).parent
            path = str(stack.enter_context(PrivateFolder(parent, REHEARSAL)).copy)
        database, _ = open_latest(path)
        try:
            yield database
            database.close_all()
        except BaseException:
            database.close()
            remove(Path(path))
            raise


@contextmanager
def _snapshot(server: PostgresqlDatabase) -> Iterator[None]:
    """Read one snapshot of a server in a block, while services wait that would change something."""
    # In the transaction, the statement that waits for this lock would have taken the snapshot already.
    server.execute_sql(f"SELECT pg_advisory_lock({SERVICES_LOCK})")
    try:
        with server.atomic("REPEATABLE READ"):
            server.execute_sql(ALL_ROWS)
            yield
    finally:
        with suppress(WAIaaSError):
            server.execute_sql(f"SELECT pg_advisory_unlock({SERVICES_LOCK})")


def _copy_to_file(
    server: PostgresqlDatabase, connection: sqlite3.Connection, table: Table, reporter: ProgressReporter
) -> None:
    names = column_names(table)
    marks = ", ".join("?" * len(table.columns))
    (total,) = server.execute_sql(f"SELECT count(*) FROM {table.name}").fetchone()
    done = 0
    with server.connection().cursor(name="move") as cursor:
        cursor.execute(f"SELECT {names} FROM {table.name} ORDER BY {_order(table)}")
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            connection.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", rows)
            done += len(rows)
            reporter(Progress(f"copying {table.name}", done=done, total=total))


def _keep_next_number(server: PostgresqlDatabase, connection: sqlite3.Connection) -> None:
    """Continue the numbers of the audit log after those of the server."""
    (sequence,) = server.execute_sql("SELECT pg_get_serial_sequence('audit_log', 'id')").fetchone()
    last, is_used = server.execute_sql(f"SELECT last_value, is_called FROM {sequence}").fetchone()
    if is_used:
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'audit_log'")
        connection.execute(
            "INSERT INTO sqlite_sequence SELECT 'audit_log', max(?, ifnull(max(id), 0)) FROM audit_log", (last,)
        )


def _order(table: Table) -> str:
    """Return the order in which rows are inserted into a file: SQLite assigns them rowids in this order."""
    return ", ".join(column.name for column in table.numbers) or ", ".join(table.primary_key)


def _digest_of_file(connection: sqlite3.Connection, table: Table) -> Digest:
    scan = Scan()
    scan.read(connection, table)
    return Digest(lines_of_file(connection, table, scan.special))
