"""Each change writes its audit rows in its own transaction, and no secret appears in the rows, a log or an error."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from support.application import CHANGES, NOBODY, NOW, Application, Scene, expect_refusal, sha256

from waiaas import WAIaaSError
from waiaas.services import AuditEntry
from waiaas.vocabularies import AUDIT_ACTIONS, SESSION_AUDIT_ACTIONS

_EMERGENCY = {"reason": "Kill switch activated"}
# The rows that each change writes: event, wallet, session, transaction, details; names are placeholders for ids.
EXPECTED: dict[str, list[tuple[str, str | None, str | None, str | None, dict[str, Any]]]] = {
    "create a wallet": [
        ("WALLET_CREATED", "new", None, None, {"name": "new", "chain": "solana", "environment": "testnet"})
    ],
    "suspend": [("WALLET_SUSPENDED", "third", None, None, {"reason": "why"})],
    "resume": [("WALLET_ACTIVATED", "suspended", None, None, {})],
    "terminate": [
        ("SESSION_DEFAULT_WALLET_SET", "second", "session", None, {"previousWalletIds": ["first"]}),
        ("SESSION_REVOKED", "first", "alone", None, {"reason": "WALLET_TERMINATED"}),
        ("TX_CANCELLED", "first", "session", "t-1", {"reason": "WALLET_TERMINATED"}),
        ("WALLET_TERMINATED", "first", None, None, {"sessions": 2, "transactions": 1}),
    ],
    "terminate another than the default": [
        ("SESSION_WALLET_UNLINKED", "second", "session", None, {"reason": "WALLET_TERMINATED"}),
        ("WALLET_TERMINATED", "second", None, None, {"sessions": 1, "transactions": 0}),
    ],
    "create a session": [
        ("SESSION_ISSUED", "third", "new", None, {"walletIds": ["second", "third"], "expiresAt": NOW + 900})
    ],
    "renew": [("SESSION_RENEWED", "first", "session", None, {"renewalCount": 1, "expiresAt": NOW + 1600})],
    "revoke": [("SESSION_REVOKED", "first", "session", None, {})],
    "link": [("SESSION_WALLET_LINKED", "third", "session", None, {"isDefault": False})],
    "unlink": [("SESSION_WALLET_UNLINKED", "second", "session", None, {})],
    "set the default": [("SESSION_DEFAULT_WALLET_SET", "second", "session", None, {"previousWalletIds": ["first"]})],
    "activate the kill switch": [
        *(("SESSION_REVOKED", "first", session, None, _EMERGENCY) for session in ("session", "alone")),
        ("TX_CANCELLED", "first", "session", "t-1", _EMERGENCY),
        *(("WALLET_SUSPENDED", wallet, None, None, _EMERGENCY) for wallet in ("first", "second", "third")),
        ("KILL_SWITCH_ACTIVATED", None, None, None, {"sessions": 2, "transactions": 1, "wallets": 3}),
    ],
    "rotate": [("KEY_ROTATED", None, None, None, {"key": "jwt_secret_current"})],
}
each_change = pytest.mark.parametrize("name", CHANGES)


def with_names(value: Any, names: dict[str, str]) -> Any:
    """Return a value with ids replaced by their names in the tables above."""
    if isinstance(value, dict):
        return {key: with_names(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [with_names(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


@each_change
def test_each_change_writes_its_rows(scene: Scene, name: str) -> None:
    """Each change records its actor, event, wallet, session or transaction, and details, and nothing else."""
    made, expected = CHANGES[name](scene, "sam@example.org"), EXPECTED[name]
    names = {
        getattr(scene, each) if isinstance(getattr(scene, each), str) else getattr(scene, each).id: each
        for each in ("first", "second", "third", "suspended", "session", "alone")
    }
    if "create" in name:
        names[made.id] = "new"
    events = with_names([list(event) for event in scene.app.events()], names)
    assert sorted(event[0] for event in events) == sorted(row[0] for row in expected)
    assert {event[1] for event in events} == {"sam@example.org"}
    assert [(event[0], *event[2:]) for event in events] == expected
    stamps = scene.app.query("SELECT DISTINCT timestamp, ip_address FROM audit_log")
    assert stamps == [(NOW + 600, None)]
    critical = scene.app.query("SELECT event_type FROM audit_log WHERE severity <> 'info'")
    assert critical == ([("KILL_SWITCH_ACTIVATED",)] if "kill switch" in name else [])


@pytest.mark.parametrize("name", [name for name in CHANGES if name not in ("renew", "activate the kill switch")])
def test_the_default_actor_is_admin(scene: Scene, name: str) -> None:
    """The actor is `admin` unless the caller passes another one."""
    operations: dict[str, Callable[[], Any]] = {
        "create a wallet": lambda: scene.app.wallet(),
        "suspend": lambda: scene.app.wallets.suspend(scene.third, actor="admin"),
        "resume": lambda: scene.app.wallets.resume(scene.suspended, actor="admin"),
        "terminate": lambda: scene.app.wallets.terminate(scene.first, actor="admin"),
        "terminate another than the default": lambda: scene.app.wallets.terminate(scene.second, actor="admin"),
        "create a session": lambda: scene.app.session(scene.third),
        "revoke": lambda: scene.app.sessions.revoke(scene.session.id, actor="admin"),
        "link": lambda: scene.app.links.link(scene.session.id, scene.third, actor="admin"),
        "unlink": lambda: scene.app.links.unlink(scene.session.id, scene.second, actor="admin"),
        "set the default": lambda: scene.app.links.set_default(scene.session.id, scene.second, actor="admin"),
        "rotate": lambda: scene.app.tokens.rotate(actor="admin"),
    }
    operations[name]()
    assert {event[1] for event in scene.app.events()} == {"admin"}


@each_change
def test_a_change_is_rolled_back_if_its_audit_row_cannot_be_written(scene: Scene, name: str) -> None:
    """If an audit row cannot be written, the change is rolled back with it."""
    with (
        scene.app.failing("INSERT", "audit_log") as reason,
        expect_refusal(scene.app, "DATABASE_UNAVAILABLE", reason),
    ):
        CHANGES[name](scene, "admin")
    CHANGES[name](scene, "admin")


def test_a_termination_is_rolled_back_if_its_last_audit_row_cannot_be_written(scene: Scene) -> None:
    """The rows of a change are written all or nothing, even if only the last one fails."""
    with (
        scene.app.failing("INSERT", "audit_log", "new.event_type = 'WALLET_TERMINATED'") as reason,
        expect_refusal(scene.app, "DATABASE_UNAVAILABLE", reason),
    ):
        scene.app.wallets.terminate(scene.first, actor="admin")


def test_only_documented_events_are_written(scene: Scene) -> None:
    """Every event is in the daemon's vocabulary or is one of this library's documented additions."""
    words = {row[0] for rows in EXPECTED.values() for row in rows}
    assert words <= {*AUDIT_ACTIONS, *SESSION_AUDIT_ACTIONS}
    assert set(SESSION_AUDIT_ACTIONS) <= words


class UndoneError(Exception):
    """Raised to roll a transaction back."""


@each_change
def test_a_change_in_a_callers_transaction_is_a_savepoint(scene: Scene, name: str) -> None:
    """In a caller's transaction a change is a savepoint: it is rolled back or committed with the transaction."""
    before = scene.app.rows()
    with suppress(UndoneError), scene.app.database.atomic():
        CHANGES[name](scene, "admin")
        raise UndoneError
    assert scene.app.rows() == before
    with scene.app.database.exclusive_transaction():
        CHANGES[name](scene, "admin")
    assert scene.app.rows() != before


def test_a_change_can_be_made_after_a_rollback_by_the_caller(scene: Scene) -> None:
    """After Peewee's `rollback` in a caller's transaction, another change can be made in it."""
    app = scene.app
    with app.database.atomic() as transaction:
        app.links.link(scene.session.id, scene.third, actor="admin")
        transaction.rollback()
        app.links.unlink(scene.session.id, scene.second, actor="admin")
    assert [link.id for link in app.links.list(scene.session.id)] == [scene.first]


def test_a_refused_change_keeps_the_callers_earlier_changes(scene: Scene) -> None:
    """A refused change does not undo the caller's earlier changes, and they can be committed."""
    app = scene.app
    with app.database.atomic():
        app.links.link(scene.session.id, scene.third, actor="admin")
        with pytest.raises(WAIaaSError, match="already linked"):
            app.links.link(scene.session.id, scene.third, actor="admin")
        app.links.unlink(scene.session.id, scene.second, actor="admin")
    assert [link.id for link in app.links.list(scene.session.id)] == [scene.first, scene.third]


class Secrets:
    """All secrets of a database, which must not appear in output."""

    def __init__(self) -> None:
        self.texts: set[str] = set()

    def add(self, app: Application, *tokens: str) -> None:
        self.texts |= {part for token in tokens for part in token.removeprefix("wai_sess_").split(".")[1:]}
        self.texts |= {sha256(token) for token in tokens}
        self.texts |= {text for (text,) in app.query("SELECT token_hash FROM sessions")}
        self.texts |= {app.key(name).hex() for (name,) in app.query("SELECT key FROM key_value_store")}

    def assert_absent(self, text: str) -> None:
        assert len(self.texts) > 5
        assert [secret for secret in self.texts if secret in text or secret[:20] in text] == []


@pytest.fixture
def debug_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that is logged, including Peewee's statements and their parameters."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="peewee")
    return caplog


def test_no_secret_is_logged_or_shown(app: Application, debug_log: pytest.LogCaptureFixture) -> None:
    """No operation or refusal exposes a token, hash or key in a log, a `repr`, an error or the audit log."""
    secrets = Secrets()
    scene = Scene(app)
    secrets.add(app, scene.session.token, scene.alone.token)
    outputs: list[object] = [scene.session, scene.alone]
    for change in CHANGES.values():
        with suppress(UndoneError), app.database.atomic():
            made = change(scene, "admin")
            secrets.add(app)
            outputs.append(made)
            if hasattr(made, "token"):
                secrets.add(app, made.token)
            raise UndoneError
    renewed = app.sessions.renew(scene.session.token, actor="admin")
    app.tokens.rotate(actor="admin")
    secrets.add(app, renewed.token)
    outputs += [app.sessions, app.links, app.tokens, vars(app.tokens), vars(app.sessions)]
    outputs += [app.sessions.authenticate(renewed.token), app.tokens.verify(renewed.token), app.sessions.list()]
    broken = renewed.token[:-20] + "A" * 20
    failures: list[Callable[[], object]] = [
        *(
            lambda operation=operation, token=token: operation(token)
            for operation in (app.sessions.authenticate, app.renew, app.tokens.verify)
            for token in (broken, renewed.token + "x", scene.session.token[:60])
        ),
        lambda: app.sessions.authenticate(scene.session.token),
        lambda: app.sessions.renew(scene.session.token, actor="admin"),
        lambda: app.sessions.renew(renewed.token, actor="admin"),
        lambda: app.tokens.rotate(actor="admin"),
        lambda: app.links.resolve(scene.session.id, NOBODY),
    ]
    errors = []
    for failure in failures:
        with pytest.raises(WAIaaSError) as caught:
            failure()
        errors.append(caught.value)
    app.clock.now = NOW + 10_000_000
    with pytest.raises(WAIaaSError) as caught:
        app.sessions.authenticate(renewed.token)
    errors.append(caught.value)
    with app.failing("INSERT", "sessions"), pytest.raises(WAIaaSError) as caught:
        app.session(scene.third)
    errors.append(caught.value)
    for error in errors:
        outputs += [error, error.to_dict(), error.to_dict("ko"), error.details, error.args]
        outputs += traceback.format_exception(error)
    shown = "\n".join(f"{each!r}\n{each!s}" for each in outputs)
    secrets.assert_absent(shown)
    assert len(debug_log.records) > 100
    assert "INSERT INTO" in debug_log.text and "key_value_store" in debug_log.text
    secrets.assert_absent(debug_log.text)
    secrets.assert_absent("\n".join(repr(record.__dict__) for record in debug_log.records))
    secrets.assert_absent(repr(app.query("SELECT * FROM audit_log")))


def test_only_the_token_attribute_shows_the_token(app: Application) -> None:
    """Only the attribute of a new session shows its token; `repr`, `str` and formatting do not."""
    session = app.session(app.wallet())
    part = session.token[-43:]
    for text in (repr(session), str(session), f"{session}", f"{[session]}", repr((session,))):
        assert part not in text
    assert "token" not in repr(session)
    for same in (copy.copy(session), pickle.loads(pickle.dumps(session))):
        assert same == session and same.token == session.token


def test_no_token_is_stored(app: Application, engine: str) -> None:
    """The file and its write-ahead log, or the server's tables, contain a token's hash, but no part of the token."""
    session = app.session(app.wallet())
    app.clock.now = NOW + 2_000_000
    renewed = app.sessions.renew(session.token, actor="admin")
    if engine == "postgresql":
        stored = repr(app.rows()).encode()
    else:
        stored = b"".join(path.read_bytes() for path in sorted(app.path.parent.glob("wallets.db*")))
    ((stored_hash,),) = app.query("SELECT token_hash FROM sessions")
    assert stored_hash.encode() in stored
    for token in (session.token, renewed.token):
        for part in token.removeprefix("wai_sess_").split("."):
            assert part.encode() not in stored
    assert b"wai_sess_" not in stored


class TestReading:
    """`AuditService.list` filters entries by subject, actor and time."""

    def test_an_entry_has_all_columns(self, app: Application) -> None:
        """An entry contains all columns, with the time as a datetime and the details as a dictionary."""
        wallet = app.wallet(name="first")
        (entry,) = app.audit.list()
        details = {"name": "first", "chain": "solana", "environment": "testnet"}
        when = datetime.fromtimestamp(NOW, timezone.utc)
        assert entry == AuditEntry(1, when, "WALLET_CREATED", "admin", wallet, None, None, details, "info", None)

    def test_filters_select_the_matching_entries(self, scene: Scene) -> None:
        """Each filter selects the matching entries, and two filters select the entries that match both."""
        app = scene.app
        start = app.clock.now
        app.sessions.revoke(scene.alone.id, actor="sam")
        app.clock.now += 10
        app.links.unlink(scene.session.id, scene.second, actor="kim")
        app.clock.now += 10
        app.wallets.suspend(scene.third, actor="sam")
        when = [datetime.fromtimestamp(int(start) + seconds, timezone.utc) for seconds in (0, 10, 20)]
        for conditions, expected in (
            ({}, ["WALLET_SUSPENDED", "SESSION_WALLET_UNLINKED", "SESSION_REVOKED"]),
            ({"actor": "sam"}, ["WALLET_SUSPENDED", "SESSION_REVOKED"]),
            ({"session_id": scene.alone.id}, ["SESSION_REVOKED"]),
            ({"wallet_id": scene.second}, ["SESSION_WALLET_UNLINKED"]),
            ({"event_type": "SESSION_REVOKED"}, ["SESSION_REVOKED"]),
            ({"event_type": "SESSION_REVOKED", "actor": "kim"}, []),
            ({"since": when[1]}, ["WALLET_SUSPENDED", "SESSION_WALLET_UNLINKED"]),
            ({"until": when[1]}, ["SESSION_REVOKED"]),
            ({"since": when[1], "until": when[2]}, ["SESSION_WALLET_UNLINKED"]),
            (
                {"since": when[1].astimezone(timezone(timedelta(hours=9)))},
                ["WALLET_SUSPENDED", "SESSION_WALLET_UNLINKED"],
            ),
        ):
            found = app.audit.list(**conditions)  # type: ignore[arg-type]
            assert [entry.event_type for entry in found] == expected

    def test_pages_contain_each_entry_once(self, app: Application) -> None:
        """The pages contain each entry once, even if entries are added while they are read."""
        for _ in range(5):
            app.wallet()
        page, seen = app.audit.list(limit=2, actor="admin"), []
        while page is not None:
            seen += [entry.id for entry in page]
            app.wallet()
            page = page.next()
        assert seen == [5, 4, 3, 2, 1]

    @pytest.mark.parametrize("after", ["", "x", "-1", "1.0", 5, "9" * 19, "٣"])
    def test_an_invalid_cursor_is_refused(self, app: Application, after: Any) -> None:
        """Only the `next_after` of a page is a valid `after`."""
        with expect_refusal(app, "ACTION_VALIDATION_FAILED"):
            app.audit.list(after=after)

    @pytest.mark.parametrize("time", [NOW, "2027-01-15", datetime(2027, 1, 15)])
    @pytest.mark.parametrize("key", ["since", "until"])
    def test_a_time_is_an_aware_datetime(self, app: Application, key: str, time: Any) -> None:
        """A naive time is refused, because its meaning depends on the machine."""
        with expect_refusal(app, "ACTION_VALIDATION_FAILED") as caught:
            app.audit.list(**{key: time})
        assert caught.value.details == {"fields": {key: ["Must be a datetime with a time zone."]}}

    @pytest.mark.parametrize("stored", ["{", "[1]", b"\xff", "[" * 100_000, 5])
    def test_an_entry_with_unreadable_details_is_listed(self, app: Application, stored: object) -> None:
        """An entry with details that are not a JSON object is listed with None as its details."""
        app.wallet()
        app.execute("UPDATE audit_log SET details = ?", stored)
        assert [entry.details for entry in app.audit.list()] == [None]
