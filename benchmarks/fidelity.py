"""What each tool keeps, loses, corrupts or refuses when one indexed foreign-key column is dropped.

    python benchmarks/run.py --only fidelity

`python benchmarks/fidelity.py drop TOOL FILE TABLE COLUMN` is one run; with a number at its end, the process ends
before the statement of that number, as in a power cut.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from fidelity_cases import CASES, OWNER, Case
from fidelity_tools import TOOLS
from measure import in_a_process, is_installed, machine, remove
from schema_facts import Facts, difference, facts, quote

INDEX = "t_owner"
_KILLED = 9
#: The table on which every tool is killed, with every feature that they must keep.
KILL_CASE = Case(
    (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, owner_id INTEGER REFERENCES owner (id))",
        "CREATE INDEX t_a ON t (a)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, t_id INTEGER NOT NULL REFERENCES t (id) ON DELETE CASCADE)",
        "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', NULL)",
        "INSERT INTO child VALUES (1, 1), (2, 2), (3, 2)",
    )
)


class State(NamedTuple):
    """The contents of a file: its schema as facts, its rows by table, the outcome of each probe."""

    schema: Facts
    rows: dict[str, list[Any]]
    outcomes: dict[str, list[Any]]


def run(folder: Path, limit: int | None = None) -> dict[str, Any]:
    """Run every tool on every case, and kill each of them before each statement in turn; `limit` shortens both."""
    tools = [name for name, tool in TOOLS.items() if is_installed(tool.needs)]
    chosen = dict(islice(CASES.items(), limit))
    # Nothing is timed here, so tools may run at the same time, each on files of its own.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        verdicts = dict(zip(tools, threads.map(lambda tool: _verdicts(tool, chosen, folder), tools), strict=True))
        kills = dict(
            zip(tools, threads.map(lambda tool: _kills(tool, folder / f"{tool}.db", limit), tools), strict=True)
        )
    found = {case: {tool: verdicts[tool][case] for tool in tools} for case in chosen}
    return {"machine": machine(), "cases": found, "kills": kills}


def _verdicts(tool: str, cases: dict[str, Case], folder: Path) -> dict[str, Any]:
    return {name: _verdict(tool, case, folder / f"{tool}.db") for name, case in cases.items()}


def make(path: Path, case: Case) -> None:
    """Make the file of a case, with the index of the column to drop."""
    remove(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        for statement in (*OWNER, *case.statements):
            database.execute(statement)
        database.execute(f"CREATE INDEX {INDEX} ON {quote(case.table)} ({case.column})")
        if any(statement == "ANALYZE" for statement in case.statements):
            database.execute("ANALYZE")


def state(path: Path, case: Case) -> State:
    """Read a file without changing it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA foreign_keys = ON")
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name.lower(): _rows(database, name, case) for name in tables if not name.startswith("sqlite_")}
        outcomes = {name: _probe(database, statements) for name, statements in case.probes.items()}
        outcomes["whole"] = [database.execute("PRAGMA integrity_check").fetchall() if not _broken(case) else []]
        outcomes["references"] = [database.execute("PRAGMA foreign_key_check").fetchall()]
        return State(facts(database), rows, outcomes)


def _broken(case: Case) -> bool:
    return any("ignore_check_constraints" in statement for statement in case.statements)


def _rows(database: sqlite3.Connection, table: str, case: Case) -> list[Any]:
    """Return the rows with the type of each value, without the column to drop."""
    columns = [
        quote(row[1])
        for row in database.execute(f"PRAGMA table_xinfo({quote(table)})").fetchall()
        if (table.lower(), row[1].lower()) != (case.table.lower(), case.column.lower())
    ]
    values = ", ".join(f"typeof({column}), quote({column})" for column in columns)
    return sorted(database.execute(f"SELECT {values} FROM {quote(table)}").fetchall())


def _probe(database: sqlite3.Connection, statements: tuple[str, ...]) -> list[Any]:
    """Return the outcome of each statement, in a transaction that is rolled back: rows, or the kind of error."""
    outcome: list[Any] = []
    database.execute("BEGIN")
    database.execute("SAVEPOINT probe")
    for statement in statements:
        try:
            outcome.append(database.execute(statement).fetchall())
        except sqlite3.Error as error:
            kind = str(error).partition(":")[0]
            outcome.append(f"{type(error).__name__}: {kind}")
            break
    if database.in_transaction:
        database.execute("ROLLBACK")
    return outcome


def _expected(before: State, case: Case) -> State:
    """Return the state without the column, its foreign key and its index."""
    table, column = case.table.lower(), case.column.lower()
    gone = {
        f"column {table}.{column}",
        f"foreign key {table} ({column})",
        f"index {INDEX}",
        f"statistics of {INDEX}",
    }
    schema = {name: value for name, value in before.schema.items() if name not in gone}
    order = f"order of the columns of {table}"
    schema[order] = [name for name in schema[order] if name != column]
    return before._replace(schema=schema)


def differences(expected: State, found: State) -> tuple[list[str], list[str]]:
    """Describe what a file has lost or changed in its schema, and what is wrong with rows and behaviour."""
    schema = difference(expected.schema, found.schema)
    lost = [f"lost {name}" for name in schema.lost] + [f"changed {name}" for name in schema.changed]
    wrong = [
        f"{table} is gone" if table not in found.rows else f"rows of {table}"
        for table, rows in expected.rows.items()
        if found.rows.get(table) != rows
    ]
    wrong += [f"left {name}" for name in found.rows if name not in expected.rows]
    wrong += [name for name, outcome in expected.outcomes.items() if found.outcomes.get(name) != outcome]
    return lost, wrong


def verdict(before: State, after: State, case: Case, error: str | None) -> tuple[str, list[str]]:
    """Return one word for what a tool did, and the details.

    `keeps`: everything except the column; `refuses`: an error, and the file is unchanged; `loses`: a part of the
    schema; `corrupts`: rows or behaviour; `breaks`: an error, and the file is changed (the index of the column may be
    dropped if the tool's documentation asks for a DROP INDEX first).
    """
    if error is not None:
        lost, wrong = differences(before, after)
        # The index was dropped by a separate statement before the tool began.
        index_only = not wrong and set(lost) <= {f"lost index {INDEX}", f"lost statistics of {INDEX}"}
        return ("refuses", [error, *lost]) if index_only else ("breaks", [error, *wrong, *lost])
    lost, wrong = differences(_expected(before, case), after)
    if wrong:
        return "corrupts", [*wrong, *lost]
    if lost or case.must_refuse:
        return "loses", lost or ["what needed the column"]
    return "keeps", []


def _verdict(tool: str, case: Case, path: Path) -> tuple[str, list[str]]:
    make(path, case)
    before = state(path, case)
    error = in_a_process(__file__, "drop", tool, path, case.table, case.column)["error"]
    return verdict(before, state(path, case), case, error)


def _kills(tool: str, path: Path, limit: int | None) -> dict[str, Any]:
    """Kill a tool before each of its statements, and count how often the file was unchanged, done, or in between."""
    make(path, KILL_CASE)
    before = state(path, KILL_CASE)
    statements = in_a_process(__file__, "drop", tool, path, KILL_CASE.table, KILL_CASE.column)["statements"]
    done = state(path, KILL_CASE)
    found: Counter[str] = Counter()
    between: Counter[str] = Counter()
    for number in islice(range(1, statements + 1), limit):
        make(path, KILL_CASE)
        in_a_process(__file__, "drop", tool, path, KILL_CASE.table, KILL_CASE.column, number)
        after = state(path, KILL_CASE)
        if after.schema == before.schema and after.rows == before.rows:
            found["as before"] += 1
        elif after.schema == done.schema and after.rows == done.rows:
            found["done"] += 1
        else:
            found["between"] += 1
            lost, wrong = differences(before, after)
            gone = {f"lost index {INDEX}", f"lost column {KILL_CASE.table}.{KILL_CASE.column}"}
            between.update([*wrong, *(each for each in lost if each in gone or each.startswith("lost index"))])
    return {"statements": statements, **found, "what": dict(between.most_common())}


def _drop(tool: str, path: Path, table: str, column: str, kill_before: int) -> dict[str, Any]:
    """Run one tool in this process, which counts its statements and ends before one of them."""
    statements = 0

    def note(_: str) -> None:
        nonlocal statements
        statements += 1
        if statements == kill_before:
            print(json.dumps({"error": "killed", "statements": statements}), flush=True)
            os._exit(0)

    connect = sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(note)
        return connection

    sqlite3.connect = sqlite3.dbapi2.connect = traced  # type: ignore[assignment]
    try:
        TOOLS[tool].drop(path, table, column, INDEX)
    except Exception as error:
        message = (str(error).splitlines() or [""])[0]
        return {"error": f"{type(error).__name__}: {message}", "statements": statements}
    return {"error": None, "statements": statements}


if __name__ == "__main__":
    _, _, tool, file, table, column, *number = sys.argv
    print(json.dumps(_drop(tool, Path(file), table, column, int(number[0]) if number else 0)))
