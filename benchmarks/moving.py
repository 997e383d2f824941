"""The move of a file to PostgreSQL, next to `psql` with COPY and next to pgloader.

    python benchmarks/run.py --only moving

All three fill an empty database of one server, in turns. `psql` copies files with the same rows into tables without
indexes, and creates keys and indexes afterwards: it has nothing to convert and checks nothing. Afterwards every value
is compared with the file. pgloader is skipped if it is not installed.
"""

from __future__ import annotations

import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from measure import machine
from session_files import make_file

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

_OURS = "waiaas"
_CHECKS = "SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND conrelid = ANY(%s::regclass[])"
_NOT_NULLS = (
    "SELECT count(*) FROM pg_attribute WHERE attnotnull AND attnum > 0 AND NOT attisdropped"
    " AND attrelid = ANY(%s::regclass[])"
)


def run(sessions: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Measure in turns, and return the medians, the ratios and what is different afterwards."""
    from support.postgresql_server import Server

    file = _make_latest_file(folder / "moved.db", sessions)
    script = _write_script(file, folder)
    server = Server.create(max_wal_size="4GB", shared_buffers="512MB", maintenance_work_mem="256MB")
    # pgloader knows no SCRAM; the server listens on the loopback interface only.
    (server.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust\n", "ascii")
    server.execute("SELECT pg_reload_conf()")
    tools: dict[str, Callable[[str], None]] = {
        "psql": lambda url: _call("psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(script), url),
        _OURS: lambda url: _move(file, url),
    }
    if shutil.which("pgloader"):
        tools["pgloader"] = lambda url: _call("pgloader", str(file), url)
    seconds: dict[str, list[float]] = {name: [] for name in tools}
    found: dict[str, dict[str, int]] = {}
    try:
        for number in range(rounds):
            for name, tool in tools.items():
                with _database(server, f"{name}{number}") as url:
                    started = time.perf_counter()
                    tool(url)
                    seconds[name].append(time.perf_counter() - started)
                    if number == 0:
                        found[name] = _compare(file, url)
    finally:
        server.remove()
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return {
        "rows": _count(file),
        "tools": {
            name: {
                "seconds": medians[name],
                "ratio": statistics.median(
                    mine / other for mine, other in zip(seconds[_OURS], seconds[name], strict=True)
                ),
                **found[name],
            }
            for name in tools
        },
        "machine": machine(),
    }


def _make_latest_file(path: Path, sessions: int) -> Path:
    import waiaas

    make_file(path, sessions)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        # What is not the library's would stay in the file.
        database.execute("DROP TRIGGER note_revocation")
        database.execute("ALTER TABLE sessions DROP COLUMN label")
        database.execute("UPDATE transactions SET amount_usd = rowid / 7.0")
    waiaas.connect(path, backup=False).close()
    return path


def _write_script(file: Path, folder: Path) -> Path:
    """Write what `psql` copies, and the statements."""
    from waiaas.models.postgresql import tables
    from waiaas.transfer.obstacles import Scan
    from waiaas.transfer.rows import column_names, lines_of_file

    statements = ["BEGIN;", *(f"{table.create()};" for table in tables())]
    with closing(sqlite3.connect(file)) as database:
        database.text_factory = bytes
        scan = Scan()
        for table in tables():
            scan.read(database, table)
            rows = folder / f"{table.name}.tsv"
            with rows.open("wb") as stream:
                stream.writelines(lines for _, lines in lines_of_file(database, table, scan.special))
            statements.append(f"\\copy {table.name} ({column_names(table)}) FROM '{rows}' WITH (FREEZE)")
    statements += [f"{statement};" for table in tables() for statement in table.add_keys()]
    statements += [f"{statement};" for table in tables() for statement in table.add_foreign_keys()]
    script = folder / "copy.sql"
    script.write_text("\n".join([*statements, "COMMIT;"]), "utf-8")
    return script


def _move(file: Path, url: str) -> None:
    import waiaas

    waiaas.move(file, url)


def _call(program: str, *arguments: str) -> None:
    from support.postgresql_server import programs

    own = programs() / program
    command = str(own) if own.exists() else program
    subprocess.run([command, *arguments], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _database(server: Any, name: str) -> Iterator[str]:
    server.execute(f"CREATE DATABASE {name}")
    yield f"postgresql://postgres@127.0.0.1:{server.port}/{name}"
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _compare(file: Path, url: str) -> dict[str, int]:
    """Return how many values differ from the file, and how many CHECKs and NOT NULLs the tables have."""
    import psycopg

    from waiaas.models.postgresql import tables

    names = [table.name for table in tables()]
    with closing(sqlite3.connect(file)) as database, psycopg.connect(url) as server:
        wrong = 0
        for table in tables():
            columns = ", ".join(column.name for column in table.columns)
            order = ", ".join(table.primary_key)
            collated = ", ".join(
                f'{name} COLLATE "C"' if _is_text(table, name) else name for name in table.primary_key
            )
            ours = database.execute(f"SELECT {columns} FROM {table.name} ORDER BY {order}")
            cursor = server.cursor(name="rows")
            theirs = cursor.execute(f"SELECT {columns} FROM {table.name} ORDER BY {collated}")
            wrong += sum(
                a != b for mine, other in zip(ours, theirs, strict=True) for a, b in zip(mine, other, strict=True)
            )
            cursor.close()
        (checks,) = server.execute(_CHECKS, (names,)).fetchone() or (0,)
        (not_nulls,) = server.execute(_NOT_NULLS, (names,)).fetchone() or (0,)
    return {"different_values": wrong, "checks": checks, "not_nulls": not_nulls}


def _is_text(table: Any, name: str) -> bool:
    return any(column.name == name and column.type == "text" for column in table.columns)


def _count(file: Path) -> int:
    from waiaas.models.postgresql import tables

    with closing(sqlite3.connect(file)) as database:
        return sum(database.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0] for table in tables())
