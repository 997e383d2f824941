"""Every error code can be provoked or is reserved, and errors of the file's environment are translated."""

from __future__ import annotations

import ast
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from peewee import OperationalError, PostgresqlDatabase
from support.application import CHANGES, NOBODY, NOW, Application, Scene, expect_refusal, make_token
from support.connect_results import open_unchanged
from support.old_files import make_file
from support.python_processes import start_python

import waiaas
import waiaas.services
from waiaas import services
from waiaas.backends.sqlite import WaiaasDatabase
from waiaas.errors import ALL_CODES
from waiaas.errors.translation import refusal_for
from waiaas.services import SessionService, SessionWalletService

pytestmark = pytest.mark.sqlite("damaged, locked and read-only files")

#: Codes that this library never raises: they are reserved for the rest of WAIaaS.
RESERVED = """
    INVALID_SIGNATURE INVALID_NONCE INVALID_MASTER_PASSWORD MASTER_PASSWORD_LOCKED CONSTRAINT_VIOLATED
    PIPELINE_HALTED INSUFFICIENT_BALANCE INVALID_ADDRESS TX_NOT_FOUND TX_EXPIRED TX_ALREADY_PROCESSED CHAIN_ERROR
    SIMULATION_FAILED TOKEN_NOT_FOUND TOKEN_NOT_ALLOWED INSUFFICIENT_TOKEN_BALANCE CONTRACT_CALL_DISABLED
    CONTRACT_NOT_WHITELISTED METHOD_NOT_WHITELISTED APPROVE_DISABLED SPENDER_NOT_APPROVED APPROVE_AMOUNT_EXCEEDED
    UNLIMITED_APPROVE_BLOCKED BATCH_NOT_SUPPORTED BATCH_SIZE_EXCEEDED BATCH_POLICY_VIOLATION INVALID_TRANSACTION
    WALLET_NOT_SIGNER UNSUPPORTED_TX_TYPE CHAIN_ID_MISMATCH ABI_ENCODING_FAILED POLICY_NOT_FOUND POLICY_DENIED
    SPENDING_LIMIT_EXCEEDED RATE_LIMIT_EXCEEDED WHITELIST_DENIED OWNER_ALREADY_CONNECTED OWNER_NOT_CONNECTED
    OWNER_NOT_FOUND APPROVAL_TIMEOUT APPROVAL_NOT_FOUND OWNER_NOT_SET OWNER_ADDRESS_MISMATCH KILL_SWITCH_ACTIVE
    KEYSTORE_LOCKED CHAIN_NOT_SUPPORTED SHUTTING_DOWN
    ADAPTER_NOT_AVAILABLE SKILL_NOT_FOUND WC_SESSION_EXISTS WC_SESSION_NOT_FOUND WC_NOT_CONFIGURED WC_SIGNING_FAILED
    NO_OWNER WITHDRAW_LOCKED_ONLY SWEEP_TOTAL_FAILURE INSUFFICIENT_FOR_FEE ACTION_NOT_FOUND API_KEY_REQUIRED
    ACTION_RESOLVE_FAILED ACTION_RETURN_INVALID ACTION_PLUGIN_LOAD_FAILED ACTION_NAME_CONFLICT ACTION_CHAIN_MISMATCH
    X402_DISABLED X402_DOMAIN_NOT_ALLOWED X402_SSRF_BLOCKED X402_UNSUPPORTED_SCHEME X402_PAYMENT_REJECTED
    X402_DELAY_TIMEOUT X402_APPROVAL_REQUIRED X402_SERVER_ERROR WALLET_NOT_REGISTERED SIGNING_SDK_DISABLED
    SIGN_REQUEST_NOT_FOUND SIGN_REQUEST_EXPIRED SIGNER_ADDRESS_MISMATCH INVALID_SIGN_RESPONSE
    SIGN_REQUEST_ALREADY_PROCESSED
"""

# The change to the scene, in SQL or to its clock, and the call that is then refused.
Provocation = tuple[str | int, Callable[[Scene], Any]]
PROVOCATIONS: dict[str, Provocation] = {
    "INVALID_TOKEN": ("", lambda scene: scene.app.sessions.authenticate(f"{scene.session.token}x")),
    "TOKEN_EXPIRED": (NOW + 1000, lambda scene: scene.app.sessions.authenticate(scene.session.token)),
    "SESSION_REVOKED": (
        f"UPDATE sessions SET revoked_at = {NOW}",
        lambda scene: scene.app.sessions.authenticate(scene.session.token),
    ),
    "SESSION_NOT_FOUND": ("", lambda scene: scene.app.sessions.get(NOBODY)),
    "SESSION_EXPIRED": (NOW + 1000, lambda scene: scene.app.links.resolve(scene.session.id)),
    "SESSION_LIMIT_EXCEEDED": ("", lambda scene: [scene.app.session(scene.third) for _ in range(6)]),
    "RENEWAL_LIMIT_REACHED": (
        "UPDATE sessions SET renewal_count = max_renewals",
        lambda scene: scene.app.sessions.renew(scene.session.token, actor="admin"),
    ),
    "SESSION_ABSOLUTE_LIFETIME_EXCEEDED": (
        f"UPDATE sessions SET absolute_expires_at = {NOW}",
        lambda scene: scene.app.sessions.renew(scene.session.token, actor="admin"),
    ),
    "RENEWAL_TOO_EARLY": (NOW + 499, lambda scene: scene.app.sessions.renew(scene.session.token, actor="admin")),
    "SESSION_RENEWAL_MISMATCH": (
        "UPDATE sessions SET token_hash = 'another'",
        lambda scene: scene.app.sessions.renew(scene.session.token, actor="admin"),
    ),
    "WALLET_ACCESS_DENIED": ("", lambda scene: scene.app.links.resolve(scene.session.id, scene.third)),
    "WALLET_ALREADY_LINKED": ("", lambda scene: scene.app.links.link(scene.session.id, scene.second, actor="admin")),
    "CANNOT_REMOVE_DEFAULT_WALLET": (
        "",
        lambda scene: scene.app.links.unlink(scene.session.id, scene.first, actor="admin"),
    ),
    "SESSION_REQUIRES_WALLET": (
        "",
        lambda scene: scene.app.links.unlink(scene.alone.id, scene.first, actor="admin"),
    ),
    "ENVIRONMENT_NETWORK_MISMATCH": ("", lambda scene: scene.app.wallet(defaultNetwork="mainnet")),
    "INVALID_STATE_TRANSITION": ("", lambda scene: scene.app.wallets.resume(scene.first, actor="admin")),
    "DATABASE_UNAVAILABLE": (
        "DROP TABLE audit_log",
        lambda scene: scene.app.sessions.revoke(scene.session.id, actor="admin"),
    ),
    "SCHEMA_INCOMPATIBLE": ("DROP TABLE session_wallets", lambda scene: scene.app.sessions.get(scene.session.id)),
    "WALLET_NOT_FOUND": ("", lambda scene: scene.app.wallets.get(NOBODY)),
    "WALLET_SUSPENDED": ("", lambda scene: scene.app.wallets.suspend(scene.suspended, actor="admin")),
    "WALLET_TERMINATED": (
        "UPDATE wallets SET status = 'TERMINATED'",
        lambda scene: scene.app.wallets.terminate(scene.first, actor="admin"),
    ),
    "ACTION_VALIDATION_FAILED": ("", lambda scene: scene.app.sessions.list(limit=0)),
    "SYSTEM_LOCKED": (
        "INSERT INTO key_value_store VALUES ('kill_switch_state', 'LOCKED', 0)",
        lambda scene: scene.app.sessions.authorize(scene.session.token),
    ),
    "KILL_SWITCH_ALREADY_ACTIVE": (
        "INSERT INTO key_value_store VALUES ('kill_switch_state', 'SUSPENDED', 0)",
        lambda scene: scene.app.kill_switch.activate(actor="sam"),
    ),
    "KILL_SWITCH_NOT_ACTIVE": ("", lambda scene: scene.app.kill_switch.recover(actor="sam")),
    "ROTATION_TOO_RECENT": (
        "",
        lambda scene: [scene.app.tokens.rotate(actor="admin"), scene.app.tokens.rotate(actor="admin")],
    ),
}


@pytest.mark.parametrize("code", PROVOCATIONS)
def test_each_code_can_be_provoked(scene: Scene, code: str) -> None:
    """Each code that the services raise has its HTTP status and a message in both languages."""
    before, provoke = PROVOCATIONS[code]
    if isinstance(before, int):
        scene.app.clock.now = before
    elif before:
        scene.app.execute(before)
    with pytest.raises(waiaas.WAIaaSError) as caught:
        provoke(scene)
    error = caught.value
    assert error.code == code
    english, korean = error.to_dict("en"), error.to_dict("ko")
    assert english["message"] and korean["message"] and english["message"] != korean["message"]
    assert (error.http_status, error.domain) == (ALL_CODES[code].http_status, ALL_CODES[code].domain)


def test_each_code_is_raised_or_reserved() -> None:
    """Every code is either provoked here or reserved for the rest of WAIaaS, never both."""
    elsewhere = ["DATABASE_BUSY"]  # See `test_a_lock_that_is_held_too_long`.
    assert sorted([*RESERVED.split(), *PROVOCATIONS, *elsewhere]) == sorted(ALL_CODES)


def test_every_code_in_the_services_is_provoked() -> None:
    """Every code that the services name is provoked here."""
    named = set()
    for file in sorted(Path(services.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "WAIaaSError":
                (code,) = node.args
                assert isinstance(code, ast.Constant), f"{file.name}:{node.lineno}"
                named.add(code.value)
    # These are raised by `refusal` and `RequestValidationError`.
    raised_elsewhere = {"SCHEMA_INCOMPATIBLE", "DATABASE_UNAVAILABLE", "ACTION_VALIDATION_FAILED"}
    assert named | raised_elsewhere == set(PROVOCATIONS)


READS: dict[str, Callable[[Scene], Any]] = {
    "authorize": lambda scene: scene.app.sessions.authorize(scene.session.token),
    "authorize a named wallet": lambda scene: scene.app.sessions.authorize(scene.session.token, scene.second),
    "authenticate": lambda scene: scene.app.sessions.authenticate(scene.session.token),
    "the kill switch": lambda scene: scene.app.kill_switch.state(),
    "verify": lambda scene: scene.app.tokens.verify(scene.session.token),
    "resolve": lambda scene: scene.app.links.resolve(scene.session.id, scene.second),
    "resolve the default": lambda scene: scene.app.links.resolve(scene.session.id),
    "get a session": lambda scene: scene.app.sessions.get(scene.session.id),
    "list sessions": lambda scene: scene.app.sessions.list(),
    "list links": lambda scene: scene.app.links.list(scene.session.id),
    "get a wallet": lambda scene: scene.app.wallets.get(scene.first),
    "list wallets": lambda scene: scene.app.wallets.list(),
}
each_change = pytest.mark.parametrize("name", CHANGES)


def with_database(scene: Scene, database: WaiaasDatabase) -> Application:
    """Run the scene's operations on another connection."""
    own = scene.app
    scene.app = Application(own.path, own.clock, database)
    return own


@each_change
def test_a_read_only_file(scene: Scene, name: str) -> None:
    """On a read-only file, each change is refused with that reason, and all reads work."""
    reading = WaiaasDatabase(f"file:{scene.app.path}?mode=ro", uri=True)
    own = with_database(scene, reading)
    with expect_refusal(own, "DATABASE_UNAVAILABLE", "read_only"):
        CHANGES[name](scene, "admin")
    for read in READS.values():
        read(scene)
    reading.close()


def test_a_first_key_that_cannot_be_created(tmp_path: Path) -> None:
    """If the file has no key and is read-only, every token is refused and no key is created."""
    app = Application(tmp_path / "wallets.db")
    app.database.close_all()
    reading = Application(app.path, app.clock, WaiaasDatabase(f"file:{app.path}?mode=ro", uri=True))
    token = make_token(bytes(32), {"sub": NOBODY, "wlt": NOBODY, "iat": NOW, "exp": NOW + 300})
    for operation in (reading.sessions.authenticate, reading.renew, reading.tokens.verify):
        with expect_refusal(reading, "INVALID_TOKEN"):
            operation(token)
    with expect_refusal(reading, "DATABASE_UNAVAILABLE", "read_only"):
        reading.tokens.sign(NOBODY, NOBODY, issued_at=NOW, expires_at=NOW + 300)
    reading.database.close()


HOLD_THE_LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
database.execute("ROLLBACK")
database.close()
"""


@contextmanager
def lock_held(path: Path) -> Iterator[None]:
    """Hold the write lock of a file in another process."""
    with start_python("-c", HOLD_THE_LOCK, path) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            yield
        finally:
            other.stdin.close()
    assert other.returncode == 0


def test_a_lock_that_is_held_too_long(scene: Scene) -> None:
    """While another process holds the lock for longer than the timeout, each change is refused, and reads continue."""
    database = waiaas.connect(scene.app.path, busy_timeout=0.01).peewee
    own = with_database(scene, database)
    with lock_held(own.path):
        for change in CHANGES.values():
            with expect_refusal(own, "DATABASE_BUSY", "database_busy") as caught:
                change(scene, "admin")
            assert caught.value.retryable
        for read in READS.values():
            read(scene)
    scene.app.sessions.revoke(scene.session.id, actor="admin")
    database.close_all()


def test_a_full_disk(scene: Scene) -> None:
    """If the disk is full, a change is refused and rolled back; it can be made again once there is room."""
    # Each row of the audit log takes 25 pages, so that no change fits into the free space of existing pages.
    scene.app.execute(
        "CREATE TRIGGER large AFTER INSERT ON audit_log"
        " BEGIN UPDATE audit_log SET ip_address = hex(zeroblob(50000)) WHERE id = new.id; END"
    )
    (pages,) = scene.app.query("PRAGMA page_count")[0]
    requests: list[Callable[[], Any]] = [
        lambda: scene.app.session(scene.third),
        lambda: scene.app.wallets.suspend(scene.first, "why", actor="admin"),
        lambda: scene.app.wallet(),
        lambda: scene.app.links.link(scene.session.id, scene.third, actor="admin"),
        lambda: scene.app.links.set_default(scene.session.id, scene.second, actor="admin"),
        lambda: scene.app.links.unlink(scene.session.id, scene.first, actor="admin"),
        lambda: scene.app.sessions.renew(scene.session.token, actor="admin"),
        lambda: scene.app.tokens.rotate(actor="admin"),
        lambda: scene.app.sessions.revoke(scene.session.id, actor="admin"),
        lambda: scene.app.wallets.terminate(scene.second, actor="admin"),
    ]
    for request in requests:
        scene.app.execute(f"PRAGMA max_page_count = {pages}")
        with expect_refusal(scene.app, "DATABASE_UNAVAILABLE", "disk_full") as caught:
            request()
        assert caught.value.retryable
        scene.app.execute("PRAGMA max_page_count = 1000000")
        request()
        (pages,) = scene.app.query("PRAGMA page_count")[0]
    with closing(sqlite3.connect(scene.app.path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_damaged_file(scene: Scene) -> None:
    """If a page cannot be read, every operation raises the documented error and none returns a wrong result."""
    path = scene.app.path
    scene.app.database.close_all()
    with closing(sqlite3.connect(path)) as database:
        roots = [root for (root,) in database.execute("SELECT rootpage FROM sqlite_master WHERE rootpage > 0")]
        (size,) = database.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    for root in roots:
        content[(root - 1) * size : root * size] = b"\xff" * size
    path.write_bytes(content)
    database = WaiaasDatabase(path)
    own = with_database(scene, database)
    for operation in [
        *READS.values(),
        *(lambda scene, change=change: change(scene, "admin") for change in CHANGES.values()),
    ]:
        with pytest.raises(waiaas.WAIaaSError) as caught:
            operation(scene)
        assert (caught.value.code, caught.value.reason) == ("DATABASE_UNAVAILABLE", "corrupt")
    assert path.read_bytes() == bytes(content)
    database.close()
    own.database.close()


def test_a_key_that_is_not_utf_8(scene: Scene) -> None:
    """A key that is not UTF-8 is reported as an unreadable value, with its column and without the text."""
    key = scene.app.key().hex()
    scene.app.execute("UPDATE key_value_store SET value = CAST(value || CAST(X'ff' AS TEXT) AS TEXT)")
    for operation in (
        lambda: scene.app.sessions.authenticate(scene.session.token),
        lambda: scene.app.tokens.verify(scene.session.token),
        lambda: scene.app.tokens.rotate(actor="admin"),
    ):
        with pytest.raises(waiaas.WAIaaSError) as caught:
            operation()
        error = caught.value
        assert error.reason == "unreadable_value"
        assert str(error).endswith(" cannot be read: Could not decode to UTF-8 column 'jwt_secret_current'.")
        shown = [str(error.to_dict("en")), str(error.to_dict("ko")), *traceback.format_exception(error)]
        assert key[:8] not in "".join(shown)


def test_a_file_that_was_not_upgraded(tmp_path: Path) -> None:
    """A file older than version 19, opened without an upgrade, refuses every session and names the remedy."""
    path = make_file(tmp_path / "wallets.db", 18)
    before = path.read_bytes()
    database = open_unchanged(path)
    for operation in (
        SessionService(database).list,
        lambda: SessionWalletService(database).resolve("s"),
    ):
        with pytest.raises(waiaas.WAIaaSError) as caught:
            operation()
        assert caught.value.reason == "upgrade_pending"
        assert str(path) in str(caught.value)
    database.close_all()
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["SessionService", "TokenService", "SessionWalletService", "WalletService"])
@pytest.mark.parametrize("given", ["wallets.db", Path("wallets.db"), None, waiaas.connect])
def test_a_target_that_is_not_a_database_is_refused(name: str, given: object) -> None:
    """A path passed instead of a database is refused immediately, and not at the first statement."""
    with pytest.raises(TypeError, match=rf"a service takes .*, not {type(given).__name__}$"):
        getattr(waiaas.services, name)(given)


@pytest.mark.parametrize("name", ["postgresql://me:hush@127.0.0.1/wallets", "dbname=wallets password=hush"])
def test_a_servers_password_is_not_shown(name: str) -> None:
    """No error for a database on a server contains its connection parameters, in any form."""
    error = refusal_for(OperationalError("server closed the connection"), PostgresqlDatabase(name))
    assert (error.reason, "server closed the connection" in str(error)) == ("connection_lost", True)
    assert "hush" not in f"{error} {error.to_dict('en')} {error.to_dict('ko')}"
