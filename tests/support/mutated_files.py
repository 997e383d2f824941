"""Files with mutated bits, pages, logs or rows of sqlite_master, and the result of each command on them.

Run as a program, this file is the worker of such a run: for each line `[version, kind, seed]` it makes the file, runs
status, plan, check and upgrade on copies of it, and prints the results. The parent watches time and memory.
"""

from __future__ import annotations

import hashlib
import json
import random
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from support.old_files import make_file

import waiaas
from waiaas import WAIaaSError
from waiaas.ddl.untrusted import limit_heap
from waiaas.migrations.opening import open_read_only, open_to_change

VERSIONS = (1, 12, 18, 19)
ROWS = 12
_COLUMNS = ("type", "name", "tbl_name", "rootpage", "sql")
_NAMES = ("sessions", "wallets", "agents", "transactions", "schema_version", "mine", "session_wallets", "new_sessions")
_WORDS = (
    "TEXT",
    "INTEGER",
    "NOT NULL",
    "PRIMARY KEY",
    "REFERENCES",
    "CHECK",
    "(",
    ")",
    ",",
    "'",
    '"',
    "--",
    "/*",
    "x",
)
# Tables, an index, a view and a trigger of a user.
_OWN = (
    "CREATE TABLE mine (id INTEGER PRIMARY KEY, wallet TEXT, size INTEGER CHECK (size > 0))",
    "INSERT INTO mine VALUES (1, 'a', 1), (2, 'b', 2)",
    "CREATE INDEX mine_wallet ON mine (wallet)",
    "CREATE VIEW my_view AS SELECT wallet FROM mine",
    "CREATE TRIGGER my_trigger AFTER INSERT ON mine BEGIN DELETE FROM mine WHERE size = 0; END",
)


def original(folder: Path, version: int, *, wal: bool) -> Path:
    """Make a file of a version with user objects, in journal mode or with a full write-ahead log."""
    path = make_file(folder / "wallets.db", version, ROWS, wal=wal)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in _OWN:
            database.execute(statement)
        if wal:
            database.execute("INSERT INTO mine VALUES (3, 'in the log', 3)")
            shutil.copy(f"{path}-wal", folder / "kept")
            shutil.copy(path, folder / "kept.db")
    if wal:
        shutil.move(folder / "kept.db", path)
        shutil.move(folder / "kept", f"{path}-wal")
    return path


def flip_bits(path: Path, dice: random.Random) -> None:
    """Flip some bits of the file, most of them in used parts."""
    content = bytearray(path.read_bytes())
    for _ in range(dice.choice((1, 1, 1, 2, 4, 16))):
        places = [place for place in (dice.randrange(len(content)) for _ in range(8)) if content[place]]
        content[places[0] if places else 0] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def change_header(path: Path, dice: random.Random) -> None:
    """Change bytes of the header of the file or of its first page."""
    content = bytearray(path.read_bytes())
    for _ in range(dice.choice((1, 2, 4))):
        content[dice.randrange(16, 108)] = dice.choice((0, 1, 255, dice.randrange(256)))
    path.write_bytes(content)


def change_page(path: Path, dice: random.Random) -> None:
    """Replace a page or a part of it with zeros, noise or another page."""
    content = bytearray(path.read_bytes())
    pages = len(content) // 4096
    start, other = dice.randrange(pages) * 4096, dice.randrange(pages) * 4096
    size = dice.choice((512, 4096, 4096))
    start += dice.randrange(0, 4096 - size + 1, 512)
    content[start : start + size] = dice.choice(
        (bytes(size), dice.randbytes(size), content[other : other + size], b"\xff" * size)
    )
    path.write_bytes(content)


def truncate(path: Path, dice: random.Random) -> None:
    """Truncate the file, at a page or anywhere, or extend it."""
    content = path.read_bytes()
    at = dice.choice((dice.randrange(len(content)), dice.randrange(len(content) // 4096) * 4096))
    path.write_bytes(dice.choice((content[:at], content[:at], content + dice.randbytes(dice.randrange(1, 9000)))))


def change_log(path: Path, dice: random.Random) -> None:
    """Corrupt or truncate the write-ahead log, or replace it with noise or another file's pages."""
    log = Path(f"{path}-wal")
    content = bytearray(log.read_bytes()) if log.exists() else bytearray(dice.randbytes(5000))
    match dice.randrange(5):
        case 0:
            content = content[: dice.randrange(len(content))]
        case 1:
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        case 2:
            place = dice.randrange(len(content))
            content[place : place + 24] = dice.randbytes(24)
        case 3:
            content = content + content[: dice.randrange(len(content))]
        case 4:
            log.unlink(missing_ok=True)
            log = Path(f"{path}-journal")
            content = bytearray(bytes.fromhex("d9d505f920a163d7") + dice.randbytes(8) + bytes(496) + content[:4096])
    log.write_bytes(content)


def change_row(path: Path, dice: random.Random) -> None:
    """Change rows of sqlite_master as SQLite would not: other types, names, texts, pages, rows."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.text_factory = lambda value: value.decode("utf-8", "replace")
        database.execute("PRAGMA writable_schema = ON")
        for _ in range(dice.choice((1, 1, 2))):
            rows = database.execute("SELECT rowid, name, sql FROM sqlite_master").fetchall()
            rowid, _, sql = dice.choice(rows)
            column = dice.choice((*_COLUMNS, "name", "tbl_name", "sql", "sql", "sql"))
            with suppress(sqlite3.Error):
                _change_value(database, dice, rowid, column, sql)


def _change_value(database: sqlite3.Connection, dice: random.Random, rowid: int, column: str, sql: str | None) -> None:
    change = f"UPDATE sqlite_master SET {column} = {{}} WHERE rowid = {rowid}"
    match dice.randrange(9 if column == "sql" and sql else 7):
        case 0:
            database.execute(change.format(f"CAST({column} AS BLOB)"))
        case 1:
            database.execute(change.format(f"{column} || char(0)"))
        case 2:
            database.execute(change.format(dice.choice(("NULL", "0", "-1", "1.5", "x''", "''", "2", "zeroblob(9)"))))
        case 3:
            database.execute(change.format("?"), (dice.choice(_NAMES),))
        case 4:
            database.execute(change.format(f"CAST(CAST({column} AS BLOB) || x'80' AS TEXT)"))
        case 5:
            database.execute(change.format(dice.choice((f"upper({column})", f"' ' || {column}"))))
        case 6:
            where = f"WHERE rowid = {rowid}"
            database.execute(
                dice.choice(
                    (
                        f"DELETE FROM sqlite_master {where}",
                        f"INSERT INTO sqlite_master SELECT * FROM sqlite_master {where}",
                    )
                )
            )
        case _:
            database.execute(change.format("?"), (_edited(str(sql), dice),))


def _edited(sql: str, dice: random.Random) -> str:
    """Return a definition with a word omitted, duplicated, replaced or inserted."""
    words = sql.split(" ")
    place = dice.randrange(len(words))
    match dice.randrange(4):
        case 0:
            del words[place]
        case 1:
            words.insert(place, dice.choice(words))
        case 2:
            words[place] = dice.choice(_WORDS)
        case 3:
            words.insert(place, dice.choice(_WORDS))
    return " ".join(words)


KINDS: dict[str, Callable[[Path, random.Random], None]] = {
    "bits": flip_bits,
    "header": change_header,
    "pages": change_page,
    "truncations": truncate,
    "logs": change_log,
    "rows of sqlite_master": change_row,
}


def make_mutated(folder: Path, version: int, kind: str, seed: int) -> Path:
    """Make a mutated file: the same arguments give the same bytes."""
    dice = random.Random(f"{version} {kind} {seed}")
    path = original(folder, version, wal=kind == "logs" or (kind == "bits" and seed % 4 == 0))
    KINDS[kind](path, dice)
    return path


Rows = dict[str, dict[int, dict[str, Any]]]


def rows_of(path: Path) -> Rows:
    """Return every row of every table that has rowids, with plain SQLite, from the table and not from an index."""
    found: Rows = {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        database.text_factory = lambda value: value.decode("utf-8", "surrogateescape")
        tables = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
        for name, sql in tables:
            if not str(name).startswith("sqlite_") and "WITHOUT ROWID" not in str(sql):
                cursor = database.execute(f'SELECT rowid AS "the rowid", * FROM "{name}" NOT INDEXED')
                columns = [column for column, *_ in cursor.description]
                found[name.lower()] = {row[0]: dict(zip(columns, row, strict=True)) for row in cursor}
    return found


def misplaced(before: Rows, after: Rows) -> list[str]:
    """Return the tables in which a row is missing, or a value is wrong, after an upgrade."""
    wrong = []
    links = {row["session_id"]: row["wallet_id"] for row in after["session_wallets"].values()}
    for table, rows in before.items():
        new = {"agents": "wallets"}.get(table, table)
        now = after.get(new)
        if now is None or not rows.keys() <= now.keys():
            wrong.append(f"{table}: rows are missing")
            continue
        for key, row in rows.items():
            for column, value in row.items():
                if table == "sessions" and column in ("wallet_id", "agent_id") and "session_wallets" not in before:
                    if value is not None and links.get(row["id"]) != value:
                        wrong.append(f"{table}: the link of {row['id']!r}")
                    continue
                name = {"agent_id": "wallet_id"}.get(column, column)
                if new == "wallets" and column == "network":
                    name = "default_network"
                if name not in now[key] or (now[key][name] != value and not _is_meant(column, value, now[key][name])):
                    wrong.append(f"{table}.{column}: {value!r:.60} became {now[key].get(name)!r:.60}")
    return wrong


def _is_meant(column: str, before: object, after: object) -> bool:
    if column == "event_type":
        return str(after) == str(before).replace("AGENT_", "WALLET_")
    return column == "value" and (before, after) in (
        ("NORMAL", "ACTIVE"),
        ("RECOVERING", "ACTIVE"),
        ("ACTIVATED", "SUSPENDED"),
    )


def contents(path: Path) -> dict[str, str]:
    """Return the bytes of a file, its log and its journal."""
    files = [path, *(Path(f"{path}{suffix}") for suffix in ("-wal", "-journal"))]
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.exists() and file.stat().st_size
    }


def as_sqlite_opens_it(path: Path, folder: Path) -> Rows | None:
    """Return the rows that plain SQLite finds in a copy, or None if it cannot read all of them."""
    folder.mkdir()
    for suffix in ("", "-wal", "-journal"):
        if Path(f"{path}{suffix}").exists():
            shutil.copy(f"{path}{suffix}", folder / f"{path.name}{suffix}")
    try:
        with closing(sqlite3.connect(folder / path.name)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return rows_of(folder / path.name)
    except (sqlite3.Error, MemoryError, UnicodeDecodeError):
        return None
    finally:
        shutil.rmtree(folder)


def try_commands(folder: Path, version: int, kind: str, seed: int) -> dict[str, Any]:
    """Run every command on a mutated file, and return how each ended, and every problem."""
    path = make_mutated(folder, version, kind, seed)
    before, plain = contents(path), as_sqlite_opens_it(path, folder / "plain")
    seen: dict[str, Any] = {"wrong": [], "seconds": 0.0, "outcomes": {}}
    problems_before: set[tuple[str, str]] = set()
    for name in ("status", "plan", "check", "upgrade"):
        started = time.monotonic()
        try:
            outcome = COMMANDS[name](path)
            if name == "check":
                problems_before = outcome | _damage_without_views(path, folder / "no views")
            if name == "upgrade":
                seen["outcomes"][name] = "done" if outcome else "nothing to do"
                if outcome:
                    seen["wrong"] += _after_done(path, plain, problems_before)
            else:
                seen["outcomes"][name] = "answered"
        except WAIaaSError as error:
            seen["outcomes"][name] = str(error.reason)
            after = contents(path)
            # Every program that opens the file rolls a journal back; the result must be what SQLite reads.
            if after != before and (
                f"{path.name}-journal" not in before or as_sqlite_opens_it(path, folder / "now") != plain
            ):
                seen["wrong"].append(f"{name}: refused ({error.reason}), and the file changed")
            before = after
        except Exception:
            seen["outcomes"][name] = "traceback"
            seen["wrong"].append(f"{name}: {traceback.format_exc()[-1500:]}")
        seen["seconds"] = max(seen["seconds"], time.monotonic() - started)
    return seen


def _status(path: Path) -> object:
    with open_read_only(path) as database:
        answer = waiaas.status(database)
        if answer.error:
            raise answer.error
        return answer


def _plan(path: Path) -> object:
    with open_read_only(path) as database:
        return waiaas.plan(database)


def _check(path: Path) -> set[tuple[str, str]]:
    with open_read_only(path) as database:
        report = waiaas.check(database)
        json.dumps(report.to_dict())
        names = (("agents", "wallets"), ("agent_id", "wallet_id"), ("wallets.network", "wallets.default_network"))
        found = {(each.kind, each.where) for each in report.findings if each.severity == "problem"}
        for old, new in names if report.version < 7 else ():
            found = {(kind, where.replace(old, new)) for kind, where in found}
        return found


def _upgrade(path: Path) -> list[int]:
    with open_to_change(path) as database:
        return waiaas.upgrade(database).applied


COMMANDS: dict[str, Callable[[Path], Any]] = {
    "status": _status,
    "plan": _plan,
    "check": _check,
    "upgrade": _upgrade,
}


def _damage_without_views(path: Path, folder: Path) -> set[tuple[str, str]]:
    """Return the result of `integrity_check` on a copy without views.

    SQLite 3.40 looks for unused pages only if the first object in its hash table of names is not a view.
    """
    folder.mkdir()
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            shutil.copy(f"{path}{suffix}", folder / f"{path.name}{suffix}")
    try:
        with closing(sqlite3.connect(folder / path.name, isolation_level=None)) as database:
            database.execute("DROP VIEW my_view")
            is_whole = database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    except (sqlite3.Error, MemoryError):
        is_whole = False
    shutil.rmtree(folder)
    return set() if is_whole else {("damage", "file")}


def _after_done(path: Path, plain: Rows | None, problems_before: set[tuple[str, str]]) -> list[str]:
    new = [f"upgrade: done, and check finds {each}" for each in sorted(_check(path) - problems_before)]
    if plain is None:
        return [*new, "upgrade: done, though SQLite cannot read all rows of the file"]
    return [*new, *(f"upgrade: done, {each}" for each in misplaced(plain, rows_of(path)))]


def main() -> None:
    """Answer each line of standard input."""
    limit_heap()
    for line in sys.stdin:
        version, kind, seed = json.loads(line)
        with tempfile.TemporaryDirectory(prefix="waiaas-mutated-") as folder:
            seen = try_commands(Path(folder), version, kind, seed)
        seen["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main()
