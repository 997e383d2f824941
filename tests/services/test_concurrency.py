"""Concurrent calls of threads and processes have the same results as the calls in some serial order."""

from __future__ import annotations

import base64
import itertools
import json
import random
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from support.audit_replay import replayed, stored
from support.concurrent_callers import (
    SESSIONS_PER_WALLET,
    Call,
    Outcome,
    PostgresqlProcesses,
    Processes,
    Services,
    Threads,
    new_session,
    new_wallet,
)
from support.postgresql_server import Databases
from support.python_processes import start_python

import waiaas

pytestmark = pytest.mark.slow

NOW = 1_800_000_000
ROUNDS = 4
MANY_ROUNDS = 150


class Names(NamedTuple):
    """The ids in the file on which every race runs.

    Wallets `a`, `b`, `c`, `d`. Session `one` has wallet a; `two` has a (default) and b; `three` has b (default), a and
    c. `a` has the maximum number of sessions. `d` has no session. `token` is the token of `two`.
    """

    a: str
    b: str
    c: str
    d: str
    one: str
    two: str
    three: str
    token: str


@cache
def start() -> tuple[bytes, Names]:
    """Return a file and the ids in it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "wallets.db"
        services = Services(path, NOW)
        a, b, c, d = (services.wallets.create(**new_wallet(name)[2], actor="admin").id for name in "abcd")
        one = services.sessions.create(**new_session(a)[2], actor="admin")
        two = services.sessions.create(**new_session(a, b)[2], actor="admin")
        three = services.sessions.create(**new_session(b)[2], actor="admin")
        for moment, wallet in ((1, c), (2, a)):
            services.now = NOW + moment
            services.links.link(three.id, wallet, actor="admin")
        for number, status in enumerate(("PENDING", "PENDING", "CONFIRMED")):
            services.database.execute_sql(
                "INSERT INTO transactions (id, wallet_id, session_id, chain, type, status, created_at)"
                " VALUES (?, ?, ?, 'solana', 'TRANSFER', ?, ?)",
                (f"tx {number}", a, one.id, status, NOW),
            )
        services.database.close_all()
        return path.read_bytes(), Names(a, b, c, d, one.id, two.id, three.id, two.token)


@cache
def without_key() -> bytes:
    """Return a file with a wallet but no signing key."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "wallets.db"
        path.write_bytes(start()[0])
        with closing(sqlite3.connect(path)) as database:
            database.execute("DELETE FROM key_value_store")
            database.commit()
        return path.read_bytes()


# Late enough to renew a token, and too early for any token to expire.
LATER = NOW + 2_000_000

Race = Callable[[Names], list[list[Call]]]
RACES: dict[str, Race] = {
    "link and unlink one wallet that is not linked": lambda n: [
        [("links", "link", n.two, n.c)],
        [("links", "unlink", n.two, n.c)],
    ],
    "link and unlink one wallet that is linked": lambda n: [
        [("links", "link", n.two, n.b)],
        [("links", "unlink", n.two, n.b)],
    ],
    "link one wallet twice": lambda n: [[("links", "link", n.two, n.c)]] * 3,
    "unlink one wallet twice": lambda n: [[("links", "unlink", n.three, n.c)]] * 3,
    "two defaults": lambda n: [
        [("links", "set_default", n.three, n.a)],
        [("links", "set_default", n.three, n.c)],
        [("links", "unlink", n.three, n.a)],
    ],
    "unlink the last two wallets": lambda n: [
        [("links", "unlink", n.two, n.a), ("links", "unlink", n.two, n.b)],
        [("links", "unlink", n.two, n.b), ("links", "unlink", n.two, n.a)],
        [("links", "set_default", n.two, n.b)],
    ],
    "create at the limit": lambda n: [
        [new_session(n.d), new_session(n.d)],
        [new_session(n.d)],
        [new_session(n.d, n.c)],
        [("links", "link", n.one, n.d)],
    ],
    "create if one session expires": lambda n: [
        [new_session(n.a)],
        [new_session(n.c, n.a)],
        [("sessions", "revoke", n.one)],
    ],
    "terminate a wallet that is linked elsewhere": lambda n: [
        [("wallets", "terminate", n.a)],
        [("links", "unlink", n.two, n.b)],
        [("links", "set_default", n.three, n.a)],
    ],
    "terminate a wallet on which a session is created": lambda n: [
        [("wallets", "terminate", n.d)],
        [new_session(n.d)],
        [("links", "link", n.one, n.d)],
        [("wallets", "suspend", n.d)],
    ],
    "terminate both wallets of a session": lambda n: [
        [("wallets", "terminate", n.a)],
        [("wallets", "terminate", n.b)],
        [("wallets", "terminate", n.c)],
    ],
    "terminate one wallet twice": lambda n: [[("wallets", "terminate", n.b)]] * 3,
    "terminate a wallet while its session is renewed": lambda n: [
        [("wallets", "terminate", n.a), ("wallets", "terminate", n.b)],
        [("sessions", "renew", n.token)],
    ],
    "suspend and resume": lambda n: [
        [("wallets", "suspend", n.a)],
        [("wallets", "suspend", n.a), ("wallets", "resume", n.a)],
        [("wallets", "resume", n.a)],
    ],
    "renew with one token": lambda n: [[("sessions", "renew", n.token)]] * 4,
    "renew and revoke": lambda n: [
        [("sessions", "renew", n.token)],
        [("sessions", "revoke", n.two)],
        [("sessions", "revoke", n.two)],
    ],
    "renew, and authenticate with the old token": lambda n: [
        [("sessions", "renew", n.token)],
        [("sessions", "authenticate", n.token)],
        [("sessions", "authenticate", n.token)],
        [("links", "set_default", n.two, n.b)],
    ],
    "rotate twice": lambda n: [[("tokens", "rotate")]] * 4,
    "rotate while sessions are made and known": lambda n: [
        [("tokens", "rotate")],
        [new_session(n.d)],
        [("sessions", "renew", n.token)],
        [("sessions", "authenticate", n.token)],
    ],
    "two wallets with one public key": lambda n: [[new_wallet("new")], [new_wallet("new")], [new_wallet("a")]],
    "resolve while the default changes": lambda n: [
        [("links", "resolve", n.two)],
        [("links", "set_default", n.two, n.b)],
        [("links", "resolve", n.two, n.b)],
        [("links", "unlink", n.two, n.b)],
    ],
}


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    made = Processes()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def postgresql_processes(databases: Databases) -> Iterator[PostgresqlProcesses]:
    made = PostgresqlProcesses(databases)
    yield made
    made.stop()


@pytest.fixture(params=["threads", "processes", "postgresql_processes"])
def callers(request: pytest.FixtureRequest) -> Iterator[Threads | Processes]:
    if request.param != "threads":
        yield request.getfixturevalue(request.param)
        return
    threads = Threads()
    yield threads
    threads.stop()


def check_invariants(path: Path) -> None:
    """Check what must always hold in a file: the rules of links, and an audit log that matches the rows."""
    with closing(sqlite3.connect(path)) as database:
        defaults = database.execute(
            "SELECT id, total(is_default) FROM sessions LEFT JOIN session_wallets ON session_id = id"
            " WHERE revoked_at IS NULL GROUP BY id"
        ).fetchall()
        assert [session for session, count in defaults if count != 1] == []
        terminated = database.execute(
            "SELECT session_id FROM session_wallets JOIN wallets ON wallet_id = id WHERE status = 'TERMINATED'"
        ).fetchall()
        assert terminated == []
    assert replayed(path) == stored(path)


def check_limit(path: Path) -> None:
    """Check that no wallet has more sessions than the limit; no session in these files is expired."""
    with closing(sqlite3.connect(path)) as database:
        crowded = database.execute(
            "SELECT wallet_id FROM session_wallets JOIN sessions ON session_id = id WHERE revoked_at IS NULL"
            " GROUP BY wallet_id HAVING count(*) > ?",
            (SESSIONS_PER_WALLET,),
        ).fetchall()
        assert crowded == []


def check_tokens(path: Path, outcomes: list[list[Outcome]]) -> None:
    """Check that each returned token is valid, or invalid because its session was changed later."""
    services = Services(path, LATER)
    tokens = [outcome.token for of_caller in outcomes for outcome in of_caller if outcome.token]
    sessions = [services.tokens.verify(token).session_id for token in tokens]
    assert len(tokens) == len(set(tokens))
    for token, session_id in zip(tokens, sessions, strict=True):
        result = services.ask(("sessions", "authenticate", token)).result
        details = services.sessions.get(session_id)
        assert result == ("SESSION_REVOKED" if details.status == "REVOKED" else f"reaches {details.default_wallet_id}")
    services.database.close_all()


def remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def after(path: Path, content: bytes) -> tuple[Any, ...]:
    """Return the final content of a file; ids and keys created in it are replaced by the same placeholder."""
    names = content.decode("latin-1")

    def known(id_: str) -> str:
        return id_ if id_ in names else "new"

    state = stored(path)
    with closing(sqlite3.connect(path)) as database:
        events = database.execute("SELECT event_type, actor, session_id, wallet_id, tx_id FROM audit_log").fetchall()
    return (
        sorted((known(session), *values) for session, values in state.sessions.items()),
        sorted((known(session), known(wallet), default) for (session, wallet), default in state.links.items()),
        sorted((known(wallet), status) for wallet, status in state.wallets.items()),
        sorted(state.cancelled),
        state.rotated,
        sorted(str([known(str(value)) for value in event]) for event in events),
    )


def orders(lengths: list[int]) -> Iterator[tuple[int, ...]]:
    """Return every order in which callers with these numbers of calls can take turns."""
    return iter(set(itertools.permutations([caller for caller, count in enumerate(lengths) for _ in range(count)])))


@cache
def serial_outcomes(race: str) -> set[str]:
    """Return the results of a race's calls in each serial order."""
    content, names = start()
    calls = RACES[race](names)
    found = set()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "wallets.db"
        for order in orders([len(each) for each in calls]):
            path.write_bytes(content)
            services = Services(path, LATER)
            left = [iter(each) for each in calls]
            results: list[list[str]] = [[] for _ in calls]
            for caller in order:
                results[caller].append(services.ask(next(left[caller])).result)
            services.database.close_all()
            found.add(str((results, after(path, content))))
            remove(path)
    return found


def run_race(callers: Threads | Processes, folder: Path, race: str, rounds: int) -> int:
    """Run a race many times, and return how many different outcomes occurred."""
    content, names = start()
    if isinstance(callers, PostgresqlProcesses):
        # Each round moves the file there and back.
        rounds = max(1, rounds // 4)
    calls, possible = RACES[race](names), serial_outcomes(race)
    seen = set()
    for number in range(rounds):
        path = folder / f"{number}.db"
        path.write_bytes(content)
        callers.open(path, LATER)
        outcomes = callers.race(calls)
        callers.close()
        outcome = str(([[each.result for each in of_caller] for of_caller in outcomes], after(path, content)))
        assert outcome in possible, number
        seen.add(outcome)
        check_invariants(path)
        check_limit(path)
        check_tokens(path, outcomes)
        remove(path)
    return len(seen)


@pytest.mark.parametrize("race", RACES)
def test_a_race_has_the_outcome_of_a_serial_order(callers: Threads | Processes, tmp_path: Path, race: str) -> None:
    """Results, refusals, rows and audit log are those of one serial order."""
    run_race(callers, tmp_path, race, ROUNDS)


@pytest.mark.stress
@pytest.mark.parametrize("race", RACES)
def test_many_races_have_the_outcome_of_a_serial_order(
    callers: Threads | Processes, tmp_path: Path, race: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same with enough rounds that more than one order occurs."""
    seen = run_race(callers, tmp_path, race, MANY_ROUNDS)
    with capsys.disabled():
        print(f"\n{race}: {seen} of {len(serial_outcomes(race))} outcomes")


def test_concurrent_callers_create_one_first_key(callers: Threads | Processes, tmp_path: Path) -> None:
    """If several callers need the first key at once, one key is created, and all of their tokens are valid."""
    content, names = without_key(), start()[1]
    for number in range(ROUNDS):
        path = tmp_path / f"{number}.db"
        path.write_bytes(content)
        callers.open(path, LATER)
        outcomes = callers.race(
            [
                [new_session(names.d)],
                [new_session(names.c)],
                [("sessions", "authenticate", names.token), new_session(names.d)],
                [("tokens", "verify", names.token), new_session(names.d, names.c)],
            ]
        )
        callers.close()
        assert [[each.result for each in of_caller] for of_caller in outcomes] == [
            ["done"],
            ["done"],
            ["INVALID_TOKEN", "done"],
            ["INVALID_TOKEN", "done"],
        ]
        check_invariants(path)
        check_limit(path)
        check_tokens(path, outcomes)
        remove(path)


def test_a_reader_never_sees_half_a_change(callers: Threads | Processes, tmp_path: Path) -> None:
    """While defaults and links change, every read of a session shows exactly one default, which is a linked wallet."""
    content, names = start()
    path = tmp_path / "wallets.db"
    path.write_bytes(content)
    callers.open(path, LATER)
    changes = [
        ("links", "set_default", names.three, names.a),
        ("links", "unlink", names.three, names.b),
        ("links", "set_default", names.three, names.c),
        ("links", "link", names.three, names.b),
        ("links", "set_default", names.three, names.b),
    ]
    readings = [("links", "resolve", names.three), ("sessions", "authenticate", names.token)]
    outcomes = callers.race([changes * 20, readings * 100, readings * 100])
    callers.close()
    assert {outcome.result for outcome in outcomes[0]} == {"done"}
    resolved = {outcome.result for of_caller in outcomes[1:] for outcome in of_caller[::2]}
    known = {outcome.result for of_caller in outcomes[1:] for outcome in of_caller[1::2]}
    assert resolved <= {f"reaches {wallet}" for wallet in (names.a, names.b, names.c)}
    assert known == {f"reaches {names.a}"}
    check_invariants(path)


def test_no_writer_is_starved(callers: Threads | Processes, tmp_path: Path) -> None:
    """Callers that write without a pause do not starve each other: no call is refused, and no change is lost."""
    content, names = start()
    path = tmp_path / "wallets.db"
    path.write_bytes(content)
    callers.open(path, LATER)
    busy: list[Call] = [("wallets", "suspend", names.d), ("wallets", "resume", names.d)] * 100
    outcomes = callers.race(
        [
            busy,
            [("links", "set_default", names.three, wallet) for wallet in (names.a, names.c)] * 100,
            [(*call[:2], names.c) for call in busy],
            [
                call
                for _ in range(50)
                for call in (("links", "link", names.one, names.d), ("links", "unlink", names.one, names.d))
            ],
        ]
    )
    callers.close()
    assert {outcome.result for of_caller in outcomes for outcome in of_caller} == {"done"}
    with closing(sqlite3.connect(path)) as database:
        assert database.execute(
            "SELECT event_type, count(*) FROM audit_log WHERE timestamp = ? GROUP BY 1 ORDER BY 1", (LATER,)
        ).fetchall() == [
            ("SESSION_DEFAULT_WALLET_SET", 200),
            ("SESSION_WALLET_LINKED", 50),
            ("SESSION_WALLET_UNLINKED", 50),
            ("WALLET_ACTIVATED", 200),
            ("WALLET_SUSPENDED", 200),
        ]
    check_invariants(path)
    assert_no_findings(path)


def assert_no_findings(path: Path) -> None:
    """Assert that `waiaas.check` finds nothing."""
    database = waiaas.connect(path).peewee
    assert waiaas.check(database).findings == []
    database.close_all()


def test_random_concurrent_changes(callers: Threads | Processes, tmp_path: Path) -> None:
    """Four callers that make random changes leave a file that matches its audit log."""
    content, names = start()
    for number in range(3):
        path = tmp_path / f"{number}.db"
        path.write_bytes(content)
        dice = random.Random(number)
        wallets, sessions = (names.a, names.b, names.c, names.d), (names.one, names.two, names.three)
        callers.open(path, LATER)
        outcomes = callers.race([[any_call(dice, wallets, sessions) for _ in range(40)] for _ in range(4)])
        callers.close()
        assert not any("DATABASE_" in outcome.result for of_caller in outcomes for outcome in of_caller)
        check_invariants(path)
        check_limit(path)
        check_tokens(path, outcomes)
        assert_no_findings(path)


def any_call(dice: random.Random, wallets: tuple[str, ...], sessions: tuple[str, ...]) -> Call:
    wallet, session = dice.choice(wallets), dice.choice(sessions)
    return dice.choices(
        [
            ("links", "link", session, wallet),
            ("links", "unlink", session, wallet),
            ("links", "set_default", session, wallet),
            ("sessions", "get", session),
            ("sessions", "list", wallet),
            ("wallets", "suspend", wallet),
            ("wallets", "resume", wallet),
            new_session(*dice.sample(wallets, dice.randint(1, 3))),
            new_wallet(f"key {dice.randrange(20)}"),
            ("sessions", "revoke", session),
            ("wallets", "terminate", wallet),
            ("tokens", "rotate"),
        ],
        [9, 9, 9, 3, 3, 3, 3, 4, 2, 0.2, 0.2, 1],
    )[0]


class Reported(NamedTuple):
    """What a writing process reported before it was killed: the outcome of each call, and the call without one."""

    outcomes: list[tuple[str, Any]]
    in_flight: set[str]


def write_and_kill(path: Path, seed: int, lines: int) -> Reported:
    """Let a process write until it has reported this many lines, then kill it."""
    with start_python("-m", "support.service_writer", path, seed) as process:
        assert process.stdout is not None
        reported = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        # Not `communicate`, which would miss the lines that are in the buffer already.
        reported += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    outcomes, asked = [], {}
    for line in reported:
        assert line.endswith("\n")
        thread, word, text = line.split(" ", 2)
        value = json.loads(text)
        if word == "asks":
            asked[thread] = value
        else:
            del asked[thread]
            outcomes.append((word, value))
    return Reported(outcomes, {about for about in asked.values() if about is not None})


def check_reported(path: Path, reported: Reported, tokens: dict[str, str]) -> None:
    """Check that everything reported is in the file; `tokens` holds each session's last token, across processes."""
    assert_no_findings(path)
    check_invariants(path)
    state = stored(path)
    for word, value in reported.outcomes:
        if word == "session":
            tokens[value[0]] = value[1]
        elif word == "wallet":
            assert value in state.wallets
        elif word == "terminated":
            assert state.wallets[value] == "TERMINATED"
        elif word == "revoked":
            assert state.sessions[value][0]
    services = Services(path, 0)
    for session_id, token in tokens.items():
        services.now = claims_of(token)["iat"]
        value = services.ask(("sessions", "authenticate", token)).result
        if state.sessions[session_id][0]:
            assert value == "SESSION_REVOKED"
        elif session_id in reported.in_flight and value == "INVALID_TOKEN":
            # Its renewal was committed, and the process was killed before it could report the new token.
            assert state.sessions[session_id][1] > 0
        else:
            assert value == f"reaches {services.links.resolve(session_id)}"
    services.database.close_all()


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def kill_writers(folder: Path, rounds: int) -> None:
    """Kill one writing process after another on the same file, and check the file after each."""
    path = folder / "wallets.db"
    waiaas.connect(path).close()
    dice = random.Random("kill -9")
    tokens: dict[str, str] = {}
    lost: set[str] = set()
    for number in range(rounds):
        reported = write_and_kill(path, number, dice.randint(20, 160))
        check_reported(path, reported, tokens)
        # A session that was never reported cannot be used in later rounds.
        lost |= reported.in_flight
        for session_id in lost & tokens.keys():
            del tokens[session_id]
    assert len(tokens) > rounds


def test_a_killed_writer_loses_no_reported_change(tmp_path: Path) -> None:
    """After `kill -9` during writes, the file is intact and every reported session authenticates."""
    kill_writers(tmp_path, 5)


@pytest.mark.stress
def test_many_killed_writers_lose_no_reported_change(tmp_path: Path) -> None:
    """The same, several hundred times on one file."""
    kill_writers(tmp_path, 300)
