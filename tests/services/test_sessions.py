"""Sessions: how they are created, authenticated, renewed, revoked and listed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.application import NOBODY, NOW, Application, Clock, expect_refusal, make_token, sha256
from support.old_files import make_file, query, session_id, wallet_id

import waiaas
from waiaas import SessionSettings
from waiaas.models import Session
from waiaas.schemas import CreateSessionRequestSchema, SessionListResponseSchema
from waiaas.schemas.base import wire_key
from waiaas.services import AuthenticatedSession, LinkedWallet, SessionDetails
from waiaas.services.expiry import has_expired, has_not_expired
from waiaas.vocabularies import SESSION_STATUSES

LATEST = waiaas.LATEST_SCHEMA_VERSION

DAY = 86_400


def utc(seconds: int) -> datetime:
    """Return the UTC datetime of Unix seconds."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def test_a_limit_of_zero_sessions(tmp_path: Path) -> None:
    """If a wallet may have 0 sessions, not even the first can be created."""
    app = Application(tmp_path / "wallets.db", sessions_per_wallet=0)
    wallet = app.wallet()
    with expect_refusal(app, "SESSION_LIMIT_EXCEEDED") as caught:
        app.session(wallet)
    assert caught.value.details == {"walletId": wallet, "limit": 0}
    app.database.close()


def test_a_session_with_100_wallets(app: Application) -> None:
    """A session can be created with 100 wallets; if several are unknown, the error names the first."""
    first = app.wallet()
    rows = [(uuid_of(number), str(number)) for number in range(99)]
    for row in rows:
        app.execute(
            "INSERT INTO wallets (id, name, chain, environment, public_key, status, created_at, updated_at)"
            " VALUES (?, 'w', 'solana', 'testnet', ?, 'ACTIVE', 0, 0)",
            *row,
        )
    session = app.session(first, *(id_ for id_, _ in rows))
    assert len(session.wallets) == 100
    assert session.default_wallet_id == first
    unknown = [uuid_of(number) for number in range(100_000, 100_099)]
    with expect_refusal(app, "WALLET_NOT_FOUND") as caught:
        app.session(first, *unknown)
    assert caught.value.details == {"walletId": unknown[0]}


def uuid_of(number: int) -> str:
    """Return a UUID made from a number."""
    return f"0190a3f0-aaaa-7000-8000-{number:012}"


@pytest.mark.sqlite("SQLite takes any value in any column")
@pytest.mark.parametrize(
    "text", ["", "plain", "{", '{"a":', "\x00", b"\xff", "[" * 100_000], ids=lambda text: repr(text)[:9]
)
def test_constraints_that_are_not_json_are_refused(app: Application, text: object) -> None:
    """Unreadable limits never count as no limits; the error names the session, the cause and how to find the row."""
    wallet = app.wallet()
    session, _ = app.session(wallet, ttl=1000), app.session(wallet)
    app.execute("UPDATE sessions SET constraints = ?, usage_stats = ? WHERE id = ?", text, text, session.id)
    app.clock.now = NOW + 500
    for operation in (
        lambda: app.sessions.get(session.id).constraints,
        lambda: app.sessions.list().items[0].constraints,
        lambda: app.sessions.renew(session.token, actor="admin"),
    ):
        with expect_refusal(app, "DATABASE_UNAVAILABLE", "unreadable_value") as caught:
            operation()
        error = caught.value
        assert error.details["sessionId"] == session.id
        assert f"{app.path} cannot be read: constraints of session {session.id}: " in str(error)
        assert "damage" not in str(error) and "`waiaas check FILE`" in error.hint
    found = {finding.where: finding for finding in waiaas.check(app.database).findings}
    assert len(found["sessions.constraints"].rows) == 1
    assert app.sessions.authenticate(session.token).session_id == session.id


def test_a_damaged_session_can_be_revoked(app: Application) -> None:
    """A session with damaged columns can be revoked."""
    session = app.session(app.wallet())
    app.execute("UPDATE sessions SET constraints = '{'")
    assert app.sessions.revoke(session.id, actor="admin").status == "REVOKED"
    assert app.query("SELECT revoked_at FROM sessions") == [(NOW,)]
    with expect_refusal(app, "SESSION_REVOKED"):
        app.sessions.authenticate(session.token)


class TestCreate:
    """A session is created for the wallets of a request."""

    def test_result_and_rows(self, app: Application) -> None:
        """The result describes the whole session, and the rows equal those that the daemon writes."""
        first = app.wallet(name="first", chain="ethereum", environment="mainnet", defaultNetwork="base-mainnet")
        second = app.wallet(name="second")
        constraints = {"spend": {"max": "10", "memo": "점심"}, "limit": 1.0}
        issued = app.session(first, second, constraints=constraints, ttl=3600)
        assert issued.wallets == (
            LinkedWallet(first, "first", "ethereum", "mainnet", "base-mainnet", "ACTIVE", True, utc(NOW), issued.id),
            LinkedWallet(second, "second", "solana", "testnet", None, "ACTIVE", False, utc(NOW), issued.id),
        )
        assert (issued.status, issued.default_wallet_id, issued.wallet_id) == ("ACTIVE", first, first)
        assert issued.wallet_name == "first"
        assert (issued.created_at, issued.expires_at) == (utc(NOW), utc(NOW + 3600))
        assert issued.absolute_expires_at == utc(NOW + 31_536_000)
        assert (issued.last_renewed_at, issued.revoked_at) == (None, None)
        assert (issued.renewal_count, issued.max_renewals, issued.source) == (0, 12, "api")
        assert issued.constraints == constraints
        row = (
            *(issued.id, sha256(issued.token), NOW + 3600),
            *('{"spend":{"max":"10","memo":"점심"},"limit":1.0}', None, None, 0, 12, None),
            *(NOW + 31_536_000, NOW, "api"),
        )
        assert app.query("SELECT * FROM sessions") == [row]
        links = "SELECT session_id, wallet_id, is_default, created_at FROM session_wallets ORDER BY is_default DESC"
        assert app.query(links) == [
            (issued.id, first, 1, NOW),
            (issued.id, second, 0, NOW),
        ]
        ((expires_at, created_at),) = app.query("SELECT expires_at, created_at FROM sessions")
        assert (type(expires_at), type(created_at)) == (int, int)
        found = app.sessions.get(issued.id)
        assert type(found) is SessionDetails
        assert vars(found) == {name: value for name, value in vars(issued).items() if name != "token"}

    def test_ids_are_of_version_7_and_sort_by_creation(self, app: Application) -> None:
        """Ids are lower-case UUIDs of version 7, and later ones are greater."""
        wallets = [app.wallet() for _ in range(3)]
        ids = [app.session(wallet).id for wallet in wallets]
        assert ids == sorted(ids)
        assert all(text == text.lower() and text[14] == "7" and len(text) == 36 for text in ids + wallets)

    def test_another_default(self, app: Application) -> None:
        """The default is the first wallet unless the request names another, and comes first in the result."""
        wallets = [app.wallet() for _ in range(3)]
        assert app.session(*wallets).default_wallet_id == wallets[0]
        session = app.session(*wallets, defaultWalletId=wallets[2])
        assert [wallet.id for wallet in session.wallets] == [wallets[2], wallets[0], wallets[1]]
        assert app.default_links()[session.id] == [wallets[2]]
        assert app.sessions.authenticate(session.token).wallet_id == wallets[2]

    def test_defaults_of_the_daemon(self, app: Application) -> None:
        """Without settings, a service uses the daemon's."""
        assert SessionSettings() == SessionSettings(2_592_000, 31_536_000, 12, 5)
        session = app.session(app.wallet())
        assert session.expires_at == utc(NOW + 2_592_000)

    def test_a_token_expires_at_the_absolute_end_at_the_latest(self, tmp_path: Path) -> None:
        """If the absolute lifetime is shorter than the time to live, the token expires at the absolute end."""
        app = Application(tmp_path / "wallets.db", absolute_lifetime=1000, ttl=5000, max_renewals=2)
        session = app.session(app.wallet())
        assert (session.expires_at, session.absolute_expires_at) == (utc(NOW + 1000), utc(NOW + 1000))
        assert session.max_renewals == 2
        app.clock.now = NOW + 1000
        with expect_refusal(app, "TOKEN_EXPIRED"):
            app.sessions.authenticate(session.token)
        app.database.close()

    def test_a_suspended_wallet_may_be_named(self, app: Application) -> None:
        """Only a terminated wallet cannot be linked, because a suspended one can be resumed later."""
        wallet = app.wallet()
        app.wallets.suspend(wallet, actor="admin")
        assert [each.status for each in app.session(wallet).wallets] == ["SUSPENDED"]

    def test_order_of_refusals(self, app: Application) -> None:
        """An unknown wallet is refused before a terminated one, and that before a full one; nothing is written."""
        full, terminated, good = app.wallet(), app.wallet(), app.wallet()
        for _ in range(5):
            app.session(full)
        app.wallets.terminate(terminated, actor="admin")
        for code, wallets, which in (
            ("WALLET_NOT_FOUND", (good, full, terminated, NOBODY), NOBODY),
            ("WALLET_TERMINATED", (good, full, terminated), terminated),
            ("SESSION_LIMIT_EXCEEDED", (good, full), full),
        ):
            with expect_refusal(app, code) as caught:
                app.session(*wallets)
            assert caught.value.details is not None
            assert caught.value.details["walletId"] == which
        assert app.session(good).status == "ACTIVE"

    def test_only_active_sessions_count(self, app: Application) -> None:
        """Revoked and expired sessions do not count towards the limit; links that are not the default do."""
        wallet, other = app.wallet(), app.wallet()
        revoked, *_ = [app.session(wallet, ttl=300 * (1 + number)) for number in range(4)]
        linked = app.session(other)
        app.links.link(linked.id, wallet, actor="admin")
        with expect_refusal(app, "SESSION_LIMIT_EXCEEDED") as caught:
            app.session(wallet)
        assert caught.value.details == {"walletId": wallet, "limit": 5}
        app.sessions.revoke(revoked.id, actor="admin")
        app.session(wallet)
        app.clock.now = NOW + 599
        with expect_refusal(app, "SESSION_LIMIT_EXCEEDED"):
            app.session(wallet)
        app.clock.now = NOW + 600
        app.session(wallet)
        app.links.unlink(linked.id, wallet, actor="admin")
        app.session(wallet)
        with expect_refusal(app, "SESSION_LIMIT_EXCEEDED"):
            app.session(wallet)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"default_wallet_id": NOBODY}, "defaultWalletId"),
            ({"wallet_ids": []}, "walletIds"),
            ({"wallet_ids": ["{0}", "{0}"]}, "walletIds"),
            ({"wallet_ids": ["{0}", "no uuid"]}, "walletIds"),
            ({"wallet_ids": "{0}"}, "walletIds"),
            ({"ttl": 299}, "ttl"),
            ({"ttl": 604_801}, "ttl"),
            ({"ttl": True}, "ttl"),
            ({"constraints": []}, "constraints"),
        ],
    )
    def test_a_request_without_a_schema_is_checked(
        self, app: Application, changes: dict[str, Any], field: str
    ) -> None:
        """A request that breaks the schema's rules is refused under the wire key, and no row is written."""
        wallet = app.wallet()
        request = CreateSessionRequestSchema().load({"walletId": wallet})
        ids = changes.get("wallet_ids")
        if isinstance(ids, list):
            changes = {"wallet_ids": [id_.format(wallet) for id_ in ids]}
        with expect_refusal(app, "ACTION_VALIDATION_FAILED") as caught:
            app.sessions.create(**request | changes, actor="admin")
        assert caught.value.details is not None
        assert field in caught.value.details["fields"]  # type: ignore[operator]


class TestAuthenticate:
    """A token identifies its session."""

    def test_result(self, app: Application) -> None:
        """It returns the session, the default wallet and the token's expiry, and follows a change of the default."""
        first, second = app.wallet(), app.wallet()
        session = app.session(first, second, ttl=3600)
        assert app.sessions.authenticate(session.token) == (session.id, first, utc(NOW + 3600))
        app.links.set_default(session.id, second, actor="admin")
        found = app.sessions.authenticate(session.token)
        assert found == AuthenticatedSession(session.id, second, utc(NOW + 3600))

    @pytest.mark.parametrize("before", [1, 0.5, 0.001])
    def test_the_exact_second_of_expiry(self, app: Application, before: float) -> None:
        """A token is valid until its last second, and expired from the second of its expiry on (RFC 7519, 4.1.4)."""
        session = app.session(app.wallet(), ttl=300)
        app.clock.now = NOW + 300 - before
        assert app.sessions.authenticate(session.token).session_id == session.id
        for now in (NOW + 300, NOW + 300.001, NOW + 301, NOW + 10**9):
            app.clock.now = now
            for operation in (app.sessions.authenticate, app.renew, app.tokens.verify):
                with expect_refusal(app, "TOKEN_EXPIRED"):
                    operation(session.token)

    def test_the_expiry_of_the_row_counts_too(self, app: Application) -> None:
        """If the session's row expires before its token, the session expires at that second."""
        session = app.session(app.wallet())
        app.execute("UPDATE sessions SET expires_at = ?", NOW + 10)
        app.clock.now = NOW + 9.9
        assert app.sessions.authenticate(session.token).session_id == session.id
        for now in (NOW + 10, NOW + 10.5):
            app.clock.now = now
            for operation in (app.sessions.authenticate, app.renew):
                with expect_refusal(app, "SESSION_EXPIRED"):
                    operation(session.token)
        assert app.sessions.get(session.id).status == "EXPIRED"

    def test_order_of_refusals(self, app: Application) -> None:
        """An invalid token is refused first, then an expired one, then the session for each of its reasons."""
        session = app.session(app.wallet(), ttl=1000)
        key = app.key()
        expired = make_token(key, {"sub": NOBODY, "wlt": NOBODY, "iat": NOW - 2, "exp": NOW})
        unknown = make_token(key, {"sub": NOBODY, "wlt": NOBODY, "iat": NOW - 2, "exp": NOW + 1})
        other = make_token(key, {"sub": session.id, "wlt": NOBODY, "iat": NOW - 2, "exp": NOW + 1})
        app.execute("UPDATE sessions SET expires_at = ?", NOW - 1)
        for code, token in (
            ("INVALID_TOKEN", expired[:-1] + ("A" if expired[-1] != "A" else "E")),
            ("TOKEN_EXPIRED", expired),
            ("SESSION_NOT_FOUND", unknown),
            ("INVALID_TOKEN", other),
            ("SESSION_EXPIRED", session.token),
        ):
            with expect_refusal(app, code):
                app.sessions.authenticate(token)
        app.sessions.revoke(session.id, actor="admin")
        for token in (session.token, other):
            with expect_refusal(app, "SESSION_REVOKED"):
                app.sessions.authenticate(token)

    def test_a_deleted_session_is_unknown(self, app: Application) -> None:
        """A token whose session has no row is refused."""
        session = app.session(app.wallet())
        app.execute("DELETE FROM sessions")
        with expect_refusal(app, "SESSION_NOT_FOUND"):
            app.sessions.authenticate(session.token)

    def test_nothing_is_written(self, app: Application) -> None:
        """`authenticate` changes no row."""
        session = app.session(app.wallet())
        before = app.rows()
        app.sessions.authenticate(session.token)
        assert app.rows() == before


class TestRenew:
    """A renewal replaces a session's token with a new one."""

    def test_result_and_rows(self, app: Application) -> None:
        """The new token has the lifetime of the last one, and the last one is no longer valid."""
        first, second = app.wallet(), app.wallet()
        session = app.session(first, second, ttl=1000)
        app.links.set_default(session.id, second, actor="admin")
        app.clock.now = NOW + 500.9
        renewed = app.sessions.renew(session.token, actor="admin")
        assert renewed.token != session.token
        assert (renewed.id, renewed.default_wallet_id) == (session.id, second)
        assert (renewed.expires_at, renewed.last_renewed_at) == (utc(NOW + 1500), utc(NOW + 500))
        assert (renewed.renewal_count, renewed.created_at) == (1, session.created_at)
        claims = app.tokens.verify(renewed.token)
        assert claims == (session.id, second, NOW + 500, NOW + 1500)
        stored = app.query("SELECT token_hash, expires_at, renewal_count, last_renewed_at FROM sessions")
        assert stored == [(sha256(renewed.token), NOW + 1500, 1, NOW + 500)]
        assert app.sessions.authenticate(renewed.token).session_id == session.id
        with expect_refusal(app, "INVALID_TOKEN"):
            app.sessions.authenticate(session.token)
        with expect_refusal(app, "SESSION_RENEWAL_MISMATCH"):
            app.sessions.renew(session.token, actor="admin")
        assert app.tokens.verify(session.token).session_id == session.id

    @pytest.mark.parametrize(("ttl", "half"), [(1000, 500), (301, 151), (303, 152), (604_800, 302_400)])
    def test_half_of_the_lifetime_must_be_over(self, app: Application, ttl: int, half: int) -> None:
        """A token cannot be renewed before half of its lifetime is over; the error contains the time when it can."""
        session = app.session(app.wallet(), ttl=ttl)
        for now in (NOW, NOW + half - 1, NOW + half - 0.01):
            app.clock.now = now
            with expect_refusal(app, "RENEWAL_TOO_EARLY") as caught:
                app.sessions.renew(session.token, actor="admin")
            assert caught.value.details == {"renewableAt": NOW + half}
            assert caught.value.retryable
        app.clock.now = NOW + half
        assert app.sessions.renew(session.token, actor="admin").expires_at == utc(NOW + half + ttl)

    def test_the_limit_of_renewals(self, tmp_path: Path) -> None:
        """After the maximum number of renewals, the next one is refused and the last token stays valid."""
        app = Application(tmp_path / "wallets.db", max_renewals=3)
        session = app.session(app.wallet(), ttl=300)
        token = session.token
        for number in range(3):
            app.clock.now += 150
            renewed = app.sessions.renew(token, actor="admin")
            token = renewed.token
            assert renewed.renewal_count == number + 1
        for seconds in (0, 150):
            app.clock.now += seconds
            with expect_refusal(app, "RENEWAL_LIMIT_REACHED") as caught:
                app.sessions.renew(token, actor="admin")
            assert caught.value.details == {"maxRenewals": 3}
        assert app.sessions.authenticate(token).session_id == session.id
        app.database.close()

    def test_never_past_the_absolute_end(self, tmp_path: Path) -> None:
        """The last token expires at the session's absolute end, and another renewal does not extend it."""
        app = Application(tmp_path / "wallets.db", absolute_lifetime=1000)
        session = app.session(app.wallet(), ttl=800)
        app.clock.now = NOW + 500
        renewed = app.sessions.renew(session.token, actor="admin")
        assert renewed.expires_at == renewed.absolute_expires_at == utc(NOW + 1000)
        app.clock.now = NOW + 750
        again = app.sessions.renew(renewed.token, actor="admin")
        assert again.expires_at == utc(NOW + 1000)
        app.clock.now = NOW + 1000
        with expect_refusal(app, "TOKEN_EXPIRED"):
            app.sessions.renew(again.token, actor="admin")
        app.database.close()

    def test_order_of_refusals(self, app: Application) -> None:
        """The checks have this order: session, its token, renewals left, absolute end, half of the lifetime."""
        session = app.session(app.wallet(), ttl=1000)
        other = make_token(app.key(), {"sub": session.id, "wlt": NOBODY, "iat": NOW, "exp": NOW + 1000})
        app.execute("DELETE FROM session_wallets")
        app.execute("UPDATE sessions SET renewal_count = 12, absolute_expires_at = ?", NOW)
        end = "UPDATE sessions SET absolute_expires_at = ?"
        for code, token, repair in (
            ("SESSION_RENEWAL_MISMATCH", other, ("SELECT 1",)),
            ("RENEWAL_LIMIT_REACHED", session.token, ("UPDATE sessions SET renewal_count = 11",)),
            ("SESSION_ABSOLUTE_LIFETIME_EXCEEDED", session.token, (end, NOW + 1)),
            ("RENEWAL_TOO_EARLY", session.token, (end, NOW + 9999)),
        ):
            with expect_refusal(app, code):
                app.sessions.renew(token, actor="admin")
            app.execute(*repair)
        app.clock.now = NOW + 500
        with expect_refusal(app, "SESSION_REQUIRES_WALLET") as caught:
            app.sessions.renew(session.token, actor="admin")
        assert caught.value.details == {"sessionId": session.id}
        app.execute("UPDATE sessions SET expires_at = ?", NOW + 500)
        with expect_refusal(app, "SESSION_EXPIRED"):
            app.sessions.renew(session.token, actor="admin")
        with expect_refusal(app, "SESSION_RENEWAL_MISMATCH"):
            app.sessions.renew(other, actor="admin")
        app.sessions.revoke(session.id, actor="admin")
        for token in (session.token, other):
            with expect_refusal(app, "SESSION_REVOKED"):
                app.sessions.renew(token, actor="admin")


class TestRevoke:
    """A revocation ends a session permanently."""

    def test_result_and_rows(self, app: Application) -> None:
        """The token is invalid at once; the session and its links can still be read."""
        wallets = [app.wallet(), app.wallet()]
        session = app.session(*wallets)
        app.clock.now = NOW + 7.5
        revoked = app.sessions.revoke(session.id, actor="admin")
        assert (revoked.status, revoked.revoked_at) == ("REVOKED", utc(NOW + 7))
        assert [wallet.id for wallet in revoked.wallets] == wallets
        assert app.sessions.get(session.id) == revoked
        with expect_refusal(app, "SESSION_REVOKED"):
            app.sessions.authenticate(session.token)
        assert app.query("SELECT revoked_at FROM sessions") == [(NOW + 7,)]

    def test_again(self, app: Application) -> None:
        """Revoking a revoked session changes nothing, and writes no second row to the audit log."""
        session = app.session(app.wallet())
        revoked = app.sessions.revoke(session.id, actor="admin")
        before = app.rows()
        app.clock.now = NOW + 100
        assert app.sessions.revoke(session.id, actor="admin") == revoked
        assert app.rows() == before

    def test_an_expired_session(self, app: Application) -> None:
        """An expired session can still be revoked, and its status is then revoked."""
        session = app.session(app.wallet(), ttl=300)
        app.clock.now = NOW + 300
        assert app.sessions.get(session.id).status == "EXPIRED"
        assert app.sessions.revoke(session.id, actor="admin").status == "REVOKED"

    def test_an_unknown_session(self, app: Application) -> None:
        """An unknown session can be neither revoked nor read."""
        for operation in (partial(app.sessions.revoke, actor="admin"), app.sessions.get):
            with expect_refusal(app, "SESSION_NOT_FOUND") as caught:
                operation(NOBODY)
            assert caught.value.details == {"sessionId": NOBODY}


def test_invalid_settings_are_refused() -> None:
    """A setting is a whole number below 2^31: a time is at least 1, a count at least 0."""
    for name in ("ttl", "absolute_lifetime", "max_renewals", "sessions_per_wallet"):
        for value in (-1, 1.5, "5", True, None, 2**31):
            with pytest.raises(ValueError, match=name):
                SessionSettings(**{name: value})  # type: ignore[arg-type]
    for name in ("ttl", "absolute_lifetime"):
        with pytest.raises(ValueError, match="from 1"):
            SessionSettings(**{name: 0})
    assert SessionSettings(max_renewals=0, sessions_per_wallet=0).max_renewals == 0


def test_the_largest_settings_work(tmp_path: Path) -> None:
    """With the largest settings a session is created, and Python can represent its times."""
    most = 2**31 - 1
    app = Application(
        tmp_path / "wallets.db", ttl=most, absolute_lifetime=most, max_renewals=most, sessions_per_wallet=most
    )
    session = app.session(app.wallet())
    assert session.expires_at == session.absolute_expires_at == utc(NOW + most)
    assert app.sessions.authenticate(session.token).expires_at == utc(NOW + most)
    app.database.close()


class TestMigrated:
    """Sessions from before the upgrade."""

    KEY = bytes(range(100, 132))

    def made(self, path: Path, *, wallet: str | None) -> tuple[Application, str, str]:
        """Upgrade a version-18 file with one session whose token the daemon issued."""
        session = session_id(99)
        claims = {"sub": session, "wlt": wallet or NOBODY, "iat": NOW - 2000, "exp": NOW + 2000}
        token = make_token(self.KEY, claims)
        make_file(path, 18)
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("DELETE FROM audit_log")
            database.execute("DELETE FROM key_value_store")
            database.execute(
                "INSERT INTO key_value_store VALUES ('jwt_secret_current', ?, ?)",
                (f'{{"secret":"{self.KEY.hex()}","createdAt":{NOW - 9000}}}', NOW - 9000),
            )
            database.execute(
                "INSERT INTO sessions (id, wallet_id, token_hash, expires_at, absolute_expires_at, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (session, wallet or NOBODY, sha256(token), NOW + 2000, NOW + 9000, NOW - 2000),
            )
        waiaas.connect(path, backup=False, skip_orphans=True).close()
        return Application(path), session, token

    def test_the_old_token_is_valid(self, tmp_path: Path) -> None:
        """A session from before the upgrade authenticates with its old token, resolves and can be renewed."""
        wallet = wallet_id(1)
        app, session, token = self.made(tmp_path / "wallets.db", wallet=wallet)
        assert query(app.path, "SELECT max(version) FROM schema_version") == [(LATEST,)]
        assert app.sessions.authenticate(token) == (session, wallet, utc(NOW + 2000))
        assert app.links.resolve(session) == wallet
        details = app.sessions.get(session)
        assert (details.wallet_id, details.max_renewals, details.source) == (wallet, 30, "api")
        assert [link.linked_at for link in details.wallets] == [utc(NOW - 2000)]
        renewed = app.sessions.renew(token, actor="admin")
        assert renewed.expires_at == utc(NOW + 4000)
        assert app.sessions.authenticate(renewed.token).wallet_id == wallet
        app.database.close()

    def test_one_without_a_wallet(self, tmp_path: Path) -> None:
        """A session whose wallet was unknown authenticates without access, and its first link is its default."""
        app, session, token = self.made(tmp_path / "wallets.db", wallet=None)
        assert app.sessions.authenticate(token) == (session, None, utc(NOW + 2000))
        details = app.sessions.get(session)
        assert (details.wallets, details.wallet_id, details.wallet_name) == ((), None, None)
        with expect_refusal(app, "WALLET_ACCESS_DENIED"):
            app.links.resolve(session)
        with expect_refusal(app, "SESSION_REQUIRES_WALLET"):
            app.sessions.renew(token, actor="admin")
        for operation in (app.links.unlink, app.links.set_default):
            with expect_refusal(app, "WALLET_ACCESS_DENIED"):
                operation(session, wallet_id(1), actor="admin")
        wallets = [app.wallet(), app.wallet()]
        assert [app.links.link(session, wallet, actor="admin").is_default for wallet in wallets] == [True, False]
        assert app.links.resolve(session) == wallets[0]
        assert app.sessions.authenticate(token).wallet_id == wallets[0]
        assert app.sessions.renew(token, actor="admin").default_wallet_id == wallets[0]
        assert app.default_links()[session] == [wallets[0]]
        app.database.close()

    def test_one_without_a_wallet_can_be_revoked(self, tmp_path: Path) -> None:
        """A session without a wallet can be revoked, and its audit row has no wallet id."""
        app, session, token = self.made(tmp_path / "wallets.db", wallet=None)
        assert app.sessions.revoke(session, actor="admin").status == "REVOKED"
        assert app.events()[-1] == ("SESSION_REVOKED", "admin", None, session, None, {})
        with expect_refusal(app, "SESSION_REVOKED"):
            app.sessions.authenticate(token)
        app.database.close()


MOMENTS = {
    "31 January": "2027-01-31T23:59:59",
    "31 December": "2026-12-31T23:59:59",
    "before a leap day": "2028-02-28T12:00:00",
    "leap day": "2028-02-29T00:00:00",
    "daylight saving begins in New York": "2027-03-14T06:59:59",
    "daylight saving ends in New York": "2027-11-07T05:30:00",
    "last second of 32 bits": "2038-01-19T03:14:07",
    "first second after 32 bits": "2038-01-19T03:14:08",
    "year 2100, which has no leap day": "2100-02-28T23:59:59",
    "after unsigned 32 bits": "2106-02-07T06:28:16",
}


class TestTime:
    """Times are seconds in UTC, whatever the timezone of the machine."""

    @pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())
    @pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/New_York"])
    def test_in_the_process(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, zone: str) -> None:
        """A lifetime of n days is n times 86,400 seconds at any date, in any timezone of the process."""
        start = int(datetime.fromisoformat(moment + "+00:00").timestamp())
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        try:
            app = Application(tmp_path / "wallets.db", Clock(start + 0.75))
            session = app.session(app.wallet(), ttl=2 * DAY)
            assert (session.created_at, session.expires_at) == (utc(start), utc(start + 2 * DAY))
            assert session.created_at.isoformat() == moment + "+00:00"
            app.clock.now = start + DAY
            renewed = app.sessions.renew(session.token, actor="admin")
            assert app.sessions.authenticate(renewed.token).expires_at == utc(start + 3 * DAY)
            assert app.query("SELECT created_at, expires_at, absolute_expires_at, last_renewed_at FROM sessions") == [
                (start, start + 3 * DAY, start + 365 * DAY, start + DAY)
            ]
            app.clock.now = start + 3 * DAY
            with expect_refusal(app, "TOKEN_EXPIRED"):
                app.sessions.authenticate(renewed.token)
            app.database.close()
        finally:
            monkeypatch.undo()
            time.tzset()

    @pytest.mark.slow
    @pytest.mark.parametrize("zone", ["Asia/Seoul", "America/New_York"])
    def test_in_another_process(self, app: Application, zone: str) -> None:
        """A process in another timezone reads and writes the same seconds."""
        wallet = app.wallet()
        session = app.session(wallet, ttl=1000)
        text = (
            "import sys, waiaas\n"
            "from waiaas.services import SessionService\n"
            "path, session, wallet, token = sys.argv[1:]\n"
            f"service = SessionService(waiaas.connect(path).peewee, clock=lambda: {NOW + 500}.25)\n"
            "print(service.get(session).expires_at.isoformat(), service.authenticate(token).expires_at.isoformat())\n"
            "print(service.renew(token, actor='admin').expires_at.isoformat())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", text, app.target, session.id, wallet, session.token],
            env={**os.environ, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [*[utc(NOW + 1000).isoformat()] * 2, utc(NOW + 1500).isoformat()]
        assert app.query("SELECT expires_at, last_renewed_at FROM sessions") == [(NOW + 1500, NOW + 500)]
        assert app.sessions.get(session.id).expires_at == utc(NOW + 1500)

    TIMES = ("created_at", "expires_at", "absolute_expires_at", "last_renewed_at", "revoked_at")

    @pytest.mark.parametrize("column", TIMES)
    @pytest.mark.parametrize("stored", [NOW * 1000, -NOW * 1000, 2**63 - 1], ids=["late", "early", "latest"])
    def test_an_out_of_range_time_does_not_hide_other_sessions(
        self, app: Application, column: str, stored: int
    ) -> None:
        """A session with milliseconds instead of seconds is returned, listed and serialized with its status."""
        bad, good = app.session(app.wallet(), ttl=1000), app.session(app.wallet(), ttl=1000)
        app.execute(f"UPDATE sessions SET {column} = ? WHERE id = ?", stored, bad.id)
        app.execute("UPDATE session_wallets SET created_at = ? WHERE session_id = ?", stored, bad.id)
        nearest = 253_402_300_799 if stored > 0 else -62_135_596_800
        found = app.sessions.get(bad.id)
        assert getattr(found, column) == found.wallets[0].linked_at == utc(nearest)
        page = app.sessions.list()
        assert page.items == (found, app.sessions.get(good.id))
        (sent, _) = SessionListResponseSchema().dump(page)["sessions"]
        assert sent[wire_key(column)] == sent["wallets"][0]["linkedAt"] == nearest
        assert bad.id in [each.id for each in app.sessions.list(status=found.status).items]
        assert app.query(f"SELECT {column} FROM sessions WHERE id = ?", bad.id) == [(stored,)]

    #: Invalid expiries of a session: values that a clock in milliseconds or in text would write, and others.
    NO_END = {
        "milliseconds": (NOW + 1000) * 1000,
        "microseconds": (NOW + 1000) * 1_000_000,
        "the second after the last": 253_402_300_800,
        "infinity": float("inf"),
        "text": "2027-01-15T09:00:00Z",
        "empty text": "",
        "bytes": b"2027",
    }

    @pytest.mark.sqlite("SQLite takes any value in any column")
    @pytest.mark.parametrize("stored", NO_END.values(), ids=NO_END)
    def test_a_session_with_an_unreadable_expiry_is_expired(self, app: Application, stored: object) -> None:
        """A session whose expiry is not Unix seconds up to the year 9999 counts as expired and gives no access."""
        wallet = app.wallet()
        bad, good = app.session(wallet, ttl=1000), app.session(wallet, ttl=1000)
        app.execute("UPDATE sessions SET expires_at = ? WHERE id = ?", stored, bad.id)
        app.clock.now = NOW + 500.5
        for operation in (
            lambda: app.links.resolve(bad.id),
            lambda: app.links.resolve(bad.id, wallet),
            lambda: app.sessions.authenticate(bad.token),
            lambda: app.sessions.renew(bad.token, actor="admin"),
        ):
            with expect_refusal(app, "SESSION_EXPIRED"):
                operation()
        assert app.sessions.get(bad.id).status == "EXPIRED"
        listed = {status: [each.id for each in app.sessions.list(status=status).items] for status in SESSION_STATUSES}
        assert listed == {"ACTIVE": [good.id], "EXPIRED": [bad.id], "REVOKED": []}
        assert app.links.resolve(good.id) == wallet

    @pytest.mark.sqlite("SQLite takes any value in any column")
    @pytest.mark.parametrize("stored", NO_END.values(), ids=NO_END)
    def test_a_session_with_an_unreadable_expiry_does_not_count(self, app: Application, stored: object) -> None:
        """A session with an unreadable expiry does not count towards the sessions of a wallet."""
        wallet = app.wallet()
        bad, *_ = [app.session(wallet) for _ in range(5)]
        with expect_refusal(app, "SESSION_LIMIT_EXCEEDED"):
            app.session(wallet)
        app.execute("UPDATE sessions SET expires_at = ? WHERE id = ?", stored, bad.id)
        assert app.session(wallet).status == "ACTIVE"

    @pytest.mark.sqlite("SQLite takes any value in any column")
    @pytest.mark.parametrize("stored", NO_END.values(), ids=NO_END)
    def test_an_unreadable_absolute_end_is_over(self, app: Application, stored: object) -> None:
        """A session whose absolute end is not Unix seconds cannot be renewed, and expires with its token."""
        session = app.session(app.wallet(), ttl=1000)
        app.execute("UPDATE sessions SET absolute_expires_at = ?", stored)
        app.clock.now = NOW + 500
        with expect_refusal(app, "SESSION_ABSOLUTE_LIFETIME_EXCEEDED"):
            app.sessions.renew(session.token, actor="admin")
        assert app.sessions.authenticate(session.token).session_id == session.id

    @pytest.mark.sqlite("SQLite takes any value in any column")
    @pytest.mark.parametrize("end", [NOW + 501, NOW + 500.75, 253_402_300_799])
    def test_an_expiry_is_any_future_number_of_seconds(self, app: Application, end: float) -> None:
        """A session is valid until its expiry, a whole number or not, up to the last second of the year 9999."""
        session = app.session(app.wallet(), ttl=1000)
        app.execute("UPDATE sessions SET expires_at = ?, absolute_expires_at = ?", end, end)
        app.clock.now = NOW + 500.5
        assert app.sessions.get(session.id).status == "ACTIVE"
        assert [each.id for each in app.sessions.list(status="ACTIVE").items] == [session.id]
        assert app.sessions.authenticate(session.token).session_id == session.id
        assert app.links.resolve(session.id) == session.wallet_id
        assert app.sessions.renew(session.token, actor="admin").expires_at == utc(min(NOW + 1500, int(end)))

    @pytest.mark.sqlite("SQLite takes any value in any column")
    @pytest.mark.parametrize("column", TIMES)
    @pytest.mark.parametrize("stored", ["2027-01-15", b"2027"], ids=["text", "bytes"])
    def test_a_time_that_is_not_a_number_does_not_hide_other_sessions(
        self, app: Application, column: str, stored: object
    ) -> None:
        """A session with text instead of seconds is returned, listed and revoked like the others."""
        bad, good = app.session(app.wallet()), app.session(app.wallet())
        app.execute(f"UPDATE sessions SET {column} = ? WHERE id = ?", stored, bad.id)
        app.execute("UPDATE session_wallets SET created_at = ? WHERE session_id = ?", stored, bad.id)
        found = app.sessions.get(bad.id)
        assert app.sessions.list().items == (found, app.sessions.get(good.id))
        assert app.links.list(bad.id) == found.wallets
        assert app.sessions.revoke(bad.id, actor="admin").status == "REVOKED"
        with expect_refusal(app, "SESSION_REVOKED"):
            app.sessions.authenticate(bad.token)

    @pytest.mark.sqlite("a plan of SQLite")
    def test_a_page_of_active_sessions_uses_the_id_index(self, app: Application) -> None:
        """Sessions of a status are read in the order of the id index, without sorting."""
        for condition in (has_not_expired(NOW), has_expired(NOW)):
            query = Session.select(Session.id).where(condition).order_by(Session.id).limit(51)
            sql, parameters = app.database.get_sql_context().sql(query).query()
            plan = [row[3] for row in app.query(f"EXPLAIN QUERY PLAN {sql}", *parameters)]
            assert all("TEMP B-TREE" not in step and "idx_sessions_expires_at" not in step for step in plan), plan

    @pytest.mark.sqlite("SQLite takes any value in any column")
    @pytest.mark.parametrize("column", ["renewal_count", "max_renewals"])
    @pytest.mark.parametrize("stored", ["many", b"9", 1.5], ids=["text", "bytes", "fraction"])
    def test_unreadable_renewal_counts_leave_no_renewal(self, app: Application, column: str, stored: object) -> None:
        """If a count or limit of renewals is not a whole number, no renewal is left."""
        session = app.session(app.wallet(), ttl=1000)
        app.execute(f"UPDATE sessions SET {column} = ?", stored)
        app.clock.now = NOW + 500
        with expect_refusal(app, "RENEWAL_LIMIT_REACHED"):
            app.sessions.renew(session.token, actor="admin")

    @pytest.mark.sqlite("SQLite takes any value in any column")
    def test_a_hash_stored_as_bytes_matches_no_token(self, app: Application) -> None:
        """A token hash stored as bytes matches no token, not even with the right bytes."""
        session = app.session(app.wallet(), ttl=1000)
        app.execute("UPDATE sessions SET token_hash = CAST(token_hash AS BLOB)")
        with expect_refusal(app, "INVALID_TOKEN"):
            app.sessions.authenticate(session.token)
        with expect_refusal(app, "SESSION_RENEWAL_MISMATCH"):
            app.sessions.renew(session.token, actor="admin")


@pytest.mark.sqlite("plans of SQLite")
def test_statements_of_each_request_use_indexes_only(app: Application) -> None:
    """The statements that run for every request use indexes and never scan a table."""
    statements = {
        "session": (app.sessions._find_session, [NOBODY]),
        "default wallet": (app.sessions._find_default_wallet, [NOBODY]),
        "named wallet": (app.sessions._find_named_wallet, [NOBODY, NOBODY]),
        "named": (app.links._find_named, [NOBODY, NOBODY]),
        "default": (app.links._find_default, [NOBODY]),
    }
    for name, (sql, parameters) in statements.items():
        plan = [row[3] for row in app.query(f"EXPLAIN QUERY PLAN {sql}", *parameters)]
        # The one row that each statement returns is not a table.
        steps = [step for step in plan if step not in ("SCAN CONSTANT ROW", "SCAN request") and "SCAN" in step]
        searches = [step for step in plan if step.startswith("SEARCH ")]
        assert not steps and all(" USING " in step for step in searches) and len(searches) > 2, (name, plan)


def test_services_on_separate_connections_see_each_others_changes(app: Application) -> None:
    """Services on separate connections see each other's changes at once."""
    other = app.other()
    session = app.session(app.wallet())
    assert other.sessions.authenticate(session.token).session_id == session.id
    other.sessions.revoke(session.id, actor="admin")
    with expect_refusal(app, "SESSION_REVOKED"):
        app.sessions.authenticate(session.token)
    other.database.close_all()
