"""A power failure restores no removed right and breaks no rule."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support import service_load
from support.audit_replay import replayed, stored
from support.power_cuts import Model, State, record_disk, states
from support.python_processes import environment

import waiaas

pytestmark = pytest.mark.slow

Line = Sequence[str]


def cut(
    folder: Path, model: Model, *, seed: int, steps: int, count: int, journal: str = "wal"
) -> tuple[int, list[str]]:
    """Cut the power during a load, and return the number of states and the problems found in them."""
    disk, after = folder / "disk", folder / "after"
    for each in (disk, after):
        each.mkdir()
    waiaas.connect(disk / "wallets.db").close()
    if journal != "wal":
        with closing(sqlite3.connect(disk / "wallets.db")) as database:
            database.execute(f"PRAGMA journal_mode = {journal}")
    command = [sys.executable, service_load.__file__, disk / "wallets.db", str(seed), str(steps), journal]
    log = record_disk(command, disk, env=environment())
    assert log.recording.code == 0, log.recording.errors.decode()
    number, wrong = 0, []
    for state in states(log, model, seed=seed, count=count):
        number += 1
        state.write(after)
        wrong += [f"after {state.position} calls: {each}" for each in problems(after / "wallets.db", state)]
        for file in after.iterdir():
            file.unlink()
    return number, wrong


def problems(path: Path, state: State) -> Iterator[str]:
    """Return the problems in a file after a power failure: restored rights and broken rules."""
    lines: list[Line] = [json.loads(line) for line in state.printed.decode().splitlines()]
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for row in database.execute("PRAGMA integrity_check").fetchall():
            if row != ("ok",):
                yield str(row)
        yield from (f"dangling: {row}" for row in database.execute("PRAGMA foreign_key_check"))
        yield from (
            f"no single default: {row}"
            for row in database.execute(
                "SELECT id, total(is_default) FROM sessions LEFT JOIN session_wallets ON session_id = id"
                " WHERE revoked_at IS NULL GROUP BY id HAVING total(is_default) <> 1"
            )
        )
        for number, (when, *line) in enumerate(lines):
            if when == "done" and not is_granted_again(line, lines[number:]) and not holds(database, line):
                yield f"undone: {line}"
    if stored(path) != replayed(path):
        yield "the audit log does not fit the tables"


def is_granted_again(line: Line, after: list[Line]) -> bool:
    """Return whether a later call may have granted the removed right again."""
    givers: dict[str, list[Line]] = {
        "suspend": [["begin", "resume", *line[1:]]],
        "activate": [["begin", "recover"]],
        "escalate": [["begin", "recover"]],
    }
    if line[0] == "set default":
        # Another default, or the next default.
        return any(each[:3] == ["begin", "set default", line[1]] or each[1] == "terminate" for each in after)
    return any(each in givers.get(line[0], []) for each in after)


def holds(database: sqlite3.Connection, line: Line) -> bool:
    """Return whether the right is still removed."""

    def value(query: str, *parameters: str) -> Any:
        row = database.execute(query, parameters).fetchone()
        return None if row is None else row[0]

    what, *ids = line
    if what == "revoke":
        return value("SELECT revoked_at FROM sessions WHERE id = ?", *ids) is not None
    if what == "unlink":
        return value("SELECT 1 FROM session_wallets WHERE session_id = ? AND wallet_id = ?", *ids) is None
    if what == "set default":
        is_revoked = value("SELECT revoked_at FROM sessions WHERE id = ?", ids[0]) is not None
        default = "SELECT is_default FROM session_wallets WHERE session_id = ? AND wallet_id = ?"
        return is_revoked or value(default, *ids) == 1
    if what == "renew":
        return value("SELECT token_hash FROM sessions WHERE id = ?", ids[0]) not in (None, ids[1])
    if what == "suspend":
        return value("SELECT status FROM wallets WHERE id = ?", *ids) in ("SUSPENDED", "TERMINATED")
    if what == "terminate":
        return value("SELECT status FROM wallets WHERE id = ?", *ids) == "TERMINATED"
    if what == "rotate":
        key = value("SELECT value FROM key_value_store WHERE key = 'jwt_secret_current'")
        return key is not None and sha256(key.encode()).hexdigest() != ids[0]
    state = value("SELECT value FROM key_value_store WHERE key = 'kill_switch_state'")
    if what == "activate":
        alive = {id_ for (id_,) in database.execute("SELECT id FROM sessions WHERE revoked_at IS NULL")}
        return state in ("SUSPENDED", "LOCKED") and not alive & set(ids)
    assert what == "escalate"
    return bool(state == "LOCKED")


@pytest.mark.parametrize("model", ["weak", "ordered"])
def test_a_power_cut_restores_no_right(tmp_path: Path, model: Model) -> None:
    """In each state after a power failure, removed rights stay removed and every rule holds."""
    found, wrong = cut(tmp_path, model, seed=1, steps=45, count=30)
    assert (found, wrong) == (30, [])


def test_a_power_cut_restores_no_right_with_a_rollback_journal(tmp_path: Path) -> None:
    """The same holds in rollback-journal mode, in which a hot journal can reappear after its commit."""
    found, wrong = cut(tmp_path, "weak", seed=1, steps=30, count=30, journal="delete")
    assert (found, wrong) == (30, [])


@pytest.mark.stress
@pytest.mark.parametrize("model", ["weak", "ordered"])
@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize("seed", range(2, 5))
def test_many_power_cuts_restore_no_right(tmp_path: Path, model: Model, journal: str, seed: int) -> None:
    """The same in 3,000 states of longer loads."""
    found, wrong = cut(tmp_path, model, seed=seed, steps=120, count=250, journal=journal)
    assert (found, wrong) == (250, [])
