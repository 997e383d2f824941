"""What becomes of sessions: created, known by their token, renewed, revoked, listed."""

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
from support.old_files import make_file, query, session_id, wallet_id
from support.service_harness import NOBODY, NOW, Clock, World, make_token, refused, sha256

import waiaas
from waiaas import (
    AuthenticatedSession,
    CreateSessionRequestSchema,
    LinkedWallet,
    SessionDetails,
    SessionSettings,
)
from waiaas.schemas.base import wire_key
from waiaas.services.expiry import has_expired, has_not_expired
from waiaas.vocabularies import SESSION_STATUSES

DAY = 86_400


def utc(seconds: int) -> datetime:
    """The moment of Unix seconds."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def test_a_limit_of_no_sessions_admits_none(tmp_path: Path) -> None:
    """Where a wallet may have 0 sessions it gets not even a first one."""
    world = World(tmp_path / "wallets.db", sessions_per_wallet=0)
    wallet = world.wallet()
    with refused(world, "SESSION_LIMIT_EXCEEDED") as caught:
        world.session(wallet)
    assert caught.value.details == {"walletId": wallet, "limit": 0}
    world.database.close()


def test_a_session_with_100_wallets(world: World) -> None:
    """A session can have 100 wallets from the beginning; of unknown ones the first is named."""
    first = world.wallet()
    rows = [(uuid_of(number), str(number)) for number in range(99)]
    world.database.connection().executemany(
        "INSERT INTO wallets (id, name, chain, environment, public_key, status, created_at, updated_at)"
        " VALUES (?, 'w', 'solana', 'testnet', ?, 'ACTIVE', 0, 0)",
        rows,
    )
    session = world.session(first, *(id_ for id_, _ in rows))
    assert len(session.wallets) == 100
    assert session.default_wallet_id == first
    unknown = [uuid_of(number) for number in range(100_000, 100_099)]
    with refused(world, "WALLET_NOT_FOUND") as caught:
        world.session(first, *unknown)
    assert caught.value.details == {"walletId": unknown[0]}


def uuid_of(number: int) -> str:
    """A UUID for a number."""
    return f"0190a3f0-aaaa-7000-8000-{number:012}"


@pytest.mark.parametrize(
    "text", ["", "plain", "{", '{"a":', "\x00", b"\xff", "[" * 100_000], ids=lambda text: repr(text)[:9]
)
def test_constraints_that_are_no_json_are_a_refusal(world: World, text: object) -> None:
    """Limits that cannot be read are never none: the refusal names the session, the cause and what finds the row."""
    wallet = world.wallet()
    session, _ = world.session(wallet, ttl=1000), world.session(wallet)
    world.execute("UPDATE sessions SET constraints = ?, usage_stats = ? WHERE id = ?", text, text, session.id)
    world.clock.now = NOW + 500
    for operation in (
        lambda: world.sessions.get(session.id).constraints,
        lambda: world.sessions.list().items[0].constraints,
        lambda: world.sessions.renew(session.token, actor="admin"),
    ):
        with refused(world, "DATABASE_UNAVAILABLE", "unreadable_value") as caught:
            operation()
        error = caught.value
        assert error.details["sessionId"] == session.id
        assert f"{world.path} cannot be read: constraints of session {session.id}: " in str(error)
        assert "damage" not in str(error) and "`waiaas check FILE`" in error.hint
    found = {finding.where: finding for finding in waiaas.check(world.database).findings}
    assert len(found["sessions.constraints"].rows) == 1
    assert world.sessions.authenticate(session.token).session_id == session.id


def test_a_damaged_session_can_be_revoked(world: World) -> None:
    """Damage in its row keeps no session alive."""
    session = world.session(world.wallet())
    world.execute("UPDATE sessions SET constraints = '{'")
    assert world.sessions.revoke(session.id, actor="admin").status == "REVOKED"
    assert world.query("SELECT revoked_at FROM sessions") == [(NOW,)]
    with refused(world, "SESSION_REVOKED"):
        world.sessions.authenticate(session.token)


class TestCreate:
    """A session is created for the wallets of a request."""

    def test_what_it_gives_and_stores(self, world: World) -> None:
        """The answer says everything about the session, and the rows are those that the daemon writes."""
        first = world.wallet(name="first", chain="ethereum", environment="mainnet", defaultNetwork="base-mainnet")
        second = world.wallet(name="second")
        constraints = {"spend": {"max": "10", "memo": "점심"}, "limit": 1.0}
        issued = world.session(first, second, constraints=constraints, ttl=3600)
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
            *('{"spend":{"max":"10","memo":"점심"},"limit":1}', None, None, 0, 12, None),
            *(NOW + 31_536_000, NOW, "api"),
        )
        assert world.query("SELECT * FROM sessions") == [row]
        assert world.query("SELECT * FROM session_wallets ORDER BY is_default DESC") == [
            (issued.id, first, 1, NOW),
            (issued.id, second, 0, NOW),
        ]
        assert world.query("SELECT typeof(expires_at), typeof(created_at) FROM sessions") == [("integer", "integer")]
        found = world.sessions.get(issued.id)
        assert type(found) is SessionDetails
        assert vars(found) == {name: value for name, value in vars(issued).items() if name != "token"}

    def test_ids_are_of_version_7_and_sort_by_creation(self, world: World) -> None:
        """Ids are lower-case UUIDs of version 7, later ones greater."""
        wallets = [world.wallet() for _ in range(3)]
        ids = [world.session(wallet).id for wallet in wallets]
        assert ids == sorted(ids)
        assert all(text == text.lower() and text[14] == "7" and len(text) == 36 for text in ids + wallets)

    def test_another_default(self, world: World) -> None:
        """The default is the first wallet unless another of them is named, and comes first in the answer."""
        wallets = [world.wallet() for _ in range(3)]
        assert world.session(*wallets).default_wallet_id == wallets[0]
        session = world.session(*wallets, defaultWalletId=wallets[2])
        assert [wallet.id for wallet in session.wallets] == [wallets[2], wallets[0], wallets[1]]
        assert world.default_links()[session.id] == [wallets[2]]
        assert world.sessions.authenticate(session.token).wallet_id == wallets[2]

    def test_defaults_of_the_daemon(self, world: World) -> None:
        """Without settings of its own a service has the daemon's."""
        assert SessionSettings() == SessionSettings(2_592_000, 31_536_000, 12, 5)
        session = world.session(world.wallet())
        assert session.expires_at == utc(NOW + 2_592_000)

    def test_a_token_never_outlives_the_absolute_end(self, tmp_path: Path) -> None:
        """Where the absolute lifetime is shorter than the time to live, it is what counts."""
        world = World(tmp_path / "wallets.db", absolute_lifetime=1000, ttl=5000, max_renewals=2)
        session = world.session(world.wallet())
        assert (session.expires_at, session.absolute_expires_at) == (utc(NOW + 1000), utc(NOW + 1000))
        assert session.max_renewals == 2
        world.clock.now = NOW + 1000
        with refused(world, "TOKEN_EXPIRED"):
            world.sessions.authenticate(session.token)
        world.database.close()

    def test_a_suspended_wallet_may_be_named(self, world: World) -> None:
        """Only a terminated wallet cannot be linked: suspension ends one day."""
        wallet = world.wallet()
        world.wallets.suspend(wallet, actor="admin")
        assert [each.status for each in world.session(wallet).wallets] == ["SUSPENDED"]

    def test_refusals_in_their_order(self, world: World) -> None:
        """An unknown wallet is told before a terminated one, that before a full one; nothing is left behind."""
        full, terminated, good = world.wallet(), world.wallet(), world.wallet()
        for _ in range(5):
            world.session(full)
        world.wallets.terminate(terminated, actor="admin")
        for code, wallets, which in (
            ("WALLET_NOT_FOUND", (good, full, terminated, NOBODY), NOBODY),
            ("WALLET_TERMINATED", (good, full, terminated), terminated),
            ("SESSION_LIMIT_EXCEEDED", (good, full), full),
        ):
            with refused(world, code) as caught:
                world.session(*wallets)
            assert caught.value.details is not None
            assert caught.value.details["walletId"] == which
        assert world.session(good).status == "ACTIVE"

    def test_only_sessions_that_live_count(self, world: World) -> None:
        """Sessions that are revoked or expired make room, those linked later and not as default take it."""
        wallet, other = world.wallet(), world.wallet()
        revoked, *_ = [world.session(wallet, ttl=300 * (1 + number)) for number in range(4)]
        linked = world.session(other)
        world.links.link(linked.id, wallet, actor="admin")
        with refused(world, "SESSION_LIMIT_EXCEEDED") as caught:
            world.session(wallet)
        assert caught.value.details == {"walletId": wallet, "limit": 5}
        world.sessions.revoke(revoked.id, actor="admin")
        world.session(wallet)
        world.clock.now = NOW + 599
        with refused(world, "SESSION_LIMIT_EXCEEDED"):
            world.session(wallet)
        world.clock.now = NOW + 600
        world.session(wallet)
        world.links.unlink(linked.id, wallet, actor="admin")
        world.session(wallet)
        with refused(world, "SESSION_LIMIT_EXCEEDED"):
            world.session(wallet)

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
    def test_a_request_made_by_hand_is_checked(self, world: World, changes: dict[str, Any], field: str) -> None:
        """A request that breaks the schema's rules is refused under the wire key, and leaves no row behind."""
        wallet = world.wallet()
        request = CreateSessionRequestSchema().load({"walletId": wallet})
        ids = changes.get("wallet_ids")
        if isinstance(ids, list):
            changes = {"wallet_ids": [id_.format(wallet) for id_ in ids]}
        with refused(world, "ACTION_VALIDATION_FAILED") as caught:
            world.sessions.create(**request | changes, actor="admin")
        assert caught.value.details is not None
        assert field in caught.value.details["fields"]  # type: ignore[operator]


class TestAuthenticate:
    """A token says whose request it is."""

    def test_what_it_gives(self, world: World) -> None:
        """It gives session, default wallet and the end of the token, and follows a change of the default."""
        first, second = world.wallet(), world.wallet()
        session = world.session(first, second, ttl=3600)
        assert world.sessions.authenticate(session.token) == (session.id, first, utc(NOW + 3600))
        world.links.set_default(session.id, second, actor="admin")
        found = world.sessions.authenticate(session.token)
        assert found == AuthenticatedSession(session.id, second, utc(NOW + 3600))

    @pytest.mark.parametrize("before", [1, 0.5, 0.001])
    def test_the_exact_second_of_expiry(self, world: World, before: float) -> None:
        """A token is good up to its last second and expired from the second of its end on (RFC 7519, 4.1.4)."""
        session = world.session(world.wallet(), ttl=300)
        world.clock.now = NOW + 300 - before
        assert world.sessions.authenticate(session.token).session_id == session.id
        for now in (NOW + 300, NOW + 300.001, NOW + 301, NOW + 10**9):
            world.clock.now = now
            for operation in (world.sessions.authenticate, world.renew, world.tokens.verify):
                with refused(world, "TOKEN_EXPIRED"):
                    operation(session.token)

    def test_the_rows_end_counts_too(self, world: World) -> None:
        """Where the session's row ends before its token does, it has expired at that second."""
        session = world.session(world.wallet())
        world.execute("UPDATE sessions SET expires_at = ?", NOW + 10)
        world.clock.now = NOW + 9.9
        assert world.sessions.authenticate(session.token).session_id == session.id
        for now in (NOW + 10, NOW + 10.5):
            world.clock.now = now
            for operation in (world.sessions.authenticate, world.renew):
                with refused(world, "SESSION_EXPIRED"):
                    operation(session.token)
        assert world.sessions.get(session.id).status == "EXPIRED"

    def test_refusals_in_their_order(self, world: World) -> None:
        """A bad token comes before an expired one, that before the session: unknown, revoked, another token, over."""
        session = world.session(world.wallet(), ttl=1000)
        key = world.key()
        expired = make_token(key, {"sub": NOBODY, "wlt": NOBODY, "iat": NOW - 2, "exp": NOW})
        unknown = make_token(key, {"sub": NOBODY, "wlt": NOBODY, "iat": NOW - 2, "exp": NOW + 1})
        other = make_token(key, {"sub": session.id, "wlt": NOBODY, "iat": NOW - 2, "exp": NOW + 1})
        world.execute("UPDATE sessions SET expires_at = ?", NOW - 1)
        for code, token in (
            ("INVALID_TOKEN", expired[:-1] + ("A" if expired[-1] != "A" else "E")),
            ("TOKEN_EXPIRED", expired),
            ("SESSION_NOT_FOUND", unknown),
            ("INVALID_TOKEN", other),
            ("SESSION_EXPIRED", session.token),
        ):
            with refused(world, code):
                world.sessions.authenticate(token)
        world.sessions.revoke(session.id, actor="admin")
        for token in (session.token, other):
            with refused(world, "SESSION_REVOKED"):
                world.sessions.authenticate(token)

    def test_a_deleted_session_is_unknown(self, world: World) -> None:
        """A token whose session's row is gone reaches nothing."""
        session = world.session(world.wallet())
        world.execute("DELETE FROM sessions")
        with refused(world, "SESSION_NOT_FOUND"):
            world.sessions.authenticate(session.token)

    def test_nothing_is_written(self, world: World) -> None:
        """Knowing a session by its token changes no row."""
        session = world.session(world.wallet())
        before = world.rows()
        world.sessions.authenticate(session.token)
        assert world.rows() == before


class TestRenew:
    """A session's token is replaced by a new one."""

    def test_what_it_gives_and_stores(self, world: World) -> None:
        """The new token lives as long as the last one did, and only it is good from then on."""
        first, second = world.wallet(), world.wallet()
        session = world.session(first, second, ttl=1000)
        world.links.set_default(session.id, second, actor="admin")
        world.clock.now = NOW + 500.9
        renewed = world.sessions.renew(session.token, actor="admin")
        assert renewed.token != session.token
        assert (renewed.id, renewed.default_wallet_id) == (session.id, second)
        assert (renewed.expires_at, renewed.last_renewed_at) == (utc(NOW + 1500), utc(NOW + 500))
        assert (renewed.renewal_count, renewed.created_at) == (1, session.created_at)
        claims = world.tokens.verify(renewed.token)
        assert claims == (session.id, second, NOW + 500, NOW + 1500)
        stored = world.query("SELECT token_hash, expires_at, renewal_count, last_renewed_at FROM sessions")
        assert stored == [(sha256(renewed.token), NOW + 1500, 1, NOW + 500)]
        assert world.sessions.authenticate(renewed.token).session_id == session.id
        with refused(world, "INVALID_TOKEN"):
            world.sessions.authenticate(session.token)
        with refused(world, "SESSION_RENEWAL_MISMATCH"):
            world.sessions.renew(session.token, actor="admin")
        assert world.tokens.verify(session.token).session_id == session.id

    @pytest.mark.parametrize(("ttl", "half"), [(1000, 500), (301, 151), (303, 152), (604_800, 302_400)])
    def test_half_of_the_life_must_be_over(self, world: World, ttl: int, half: int) -> None:
        """It is too early until at least half of the token's own life is over; when that is, is told."""
        session = world.session(world.wallet(), ttl=ttl)
        for now in (NOW, NOW + half - 1, NOW + half - 0.01):
            world.clock.now = now
            with refused(world, "RENEWAL_TOO_EARLY") as caught:
                world.sessions.renew(session.token, actor="admin")
            assert caught.value.details == {"renewableAt": NOW + half}
            assert caught.value.retryable
        world.clock.now = NOW + half
        assert world.sessions.renew(session.token, actor="admin").expires_at == utc(NOW + half + ttl)

    def test_the_limit_of_renewals(self, tmp_path: Path) -> None:
        """After as many renewals as the session allows the next one is refused, and the last token lives on."""
        world = World(tmp_path / "wallets.db", max_renewals=3)
        session = world.session(world.wallet(), ttl=300)
        token = session.token
        for number in range(3):
            world.clock.now += 150
            renewed = world.sessions.renew(token, actor="admin")
            token = renewed.token
            assert renewed.renewal_count == number + 1
        for seconds in (0, 150):
            world.clock.now += seconds
            with refused(world, "RENEWAL_LIMIT_REACHED") as caught:
                world.sessions.renew(token, actor="admin")
            assert caught.value.details == {"maxRenewals": 3}
        assert world.sessions.authenticate(token).session_id == session.id
        world.database.close()

    def test_never_past_the_absolute_end(self, tmp_path: Path) -> None:
        """The last token is cut at the session's absolute end, and lives no longer at a further renewal."""
        world = World(tmp_path / "wallets.db", absolute_lifetime=1000)
        session = world.session(world.wallet(), ttl=800)
        world.clock.now = NOW + 500
        renewed = world.sessions.renew(session.token, actor="admin")
        assert renewed.expires_at == renewed.absolute_expires_at == utc(NOW + 1000)
        world.clock.now = NOW + 750
        again = world.sessions.renew(renewed.token, actor="admin")
        assert again.expires_at == utc(NOW + 1000)
        world.clock.now = NOW + 1000
        with refused(world, "TOKEN_EXPIRED"):
            world.sessions.renew(again.token, actor="admin")
        world.database.close()

    def test_refusals_in_their_order(self, world: World) -> None:
        """Each check comes before the next: session, its token, renewals left, absolute end, half of the life."""
        session = world.session(world.wallet(), ttl=1000)
        other = make_token(world.key(), {"sub": session.id, "wlt": NOBODY, "iat": NOW, "exp": NOW + 1000})
        world.execute("DELETE FROM session_wallets")
        world.execute("UPDATE sessions SET renewal_count = 12, absolute_expires_at = ?", NOW)
        end = "UPDATE sessions SET absolute_expires_at = ?"
        for code, token, mend in (
            ("SESSION_RENEWAL_MISMATCH", other, ("SELECT 1",)),
            ("RENEWAL_LIMIT_REACHED", session.token, ("UPDATE sessions SET renewal_count = 11",)),
            ("SESSION_ABSOLUTE_LIFETIME_EXCEEDED", session.token, (end, NOW + 1)),
            ("RENEWAL_TOO_EARLY", session.token, (end, NOW + 9999)),
        ):
            with refused(world, code):
                world.sessions.renew(token, actor="admin")
            world.execute(*mend)
        world.clock.now = NOW + 500
        with refused(world, "SESSION_REQUIRES_WALLET") as caught:
            world.sessions.renew(session.token, actor="admin")
        assert caught.value.details == {"sessionId": session.id}
        world.execute("UPDATE sessions SET expires_at = ?", NOW + 500)
        with refused(world, "SESSION_EXPIRED"):
            world.sessions.renew(session.token, actor="admin")
        with refused(world, "SESSION_RENEWAL_MISMATCH"):
            world.sessions.renew(other, actor="admin")
        world.sessions.revoke(session.id, actor="admin")
        for token in (session.token, other):
            with refused(world, "SESSION_REVOKED"):
                world.sessions.renew(token, actor="admin")


class TestRevoke:
    """A session is ended for good."""

    def test_what_it_gives_and_stores(self, world: World) -> None:
        """The token is void at once; the session stays to be read, with its links."""
        wallets = [world.wallet(), world.wallet()]
        session = world.session(*wallets)
        world.clock.now = NOW + 7.5
        revoked = world.sessions.revoke(session.id, actor="admin")
        assert (revoked.status, revoked.revoked_at) == ("REVOKED", utc(NOW + 7))
        assert [wallet.id for wallet in revoked.wallets] == wallets
        assert world.sessions.get(session.id) == revoked
        with refused(world, "SESSION_REVOKED"):
            world.sessions.authenticate(session.token)
        assert world.query("SELECT revoked_at FROM sessions") == [(NOW + 7,)]

    def test_again(self, world: World) -> None:
        """A session that is revoked already stays as it is, and no second row is written to the audit log."""
        session = world.session(world.wallet())
        revoked = world.sessions.revoke(session.id, actor="admin")
        before = world.rows()
        world.clock.now = NOW + 100
        assert world.sessions.revoke(session.id, actor="admin") == revoked
        assert world.rows() == before

    def test_an_expired_session(self, world: World) -> None:
        """An expired session can still be revoked, and counts as revoked from then on."""
        session = world.session(world.wallet(), ttl=300)
        world.clock.now = NOW + 300
        assert world.sessions.get(session.id).status == "EXPIRED"
        assert world.sessions.revoke(session.id, actor="admin").status == "REVOKED"

    def test_an_unknown_session(self, world: World) -> None:
        """What is not there can be neither revoked nor read."""
        for operation in (partial(world.sessions.revoke, actor="admin"), world.sessions.get):
            with refused(world, "SESSION_NOT_FOUND") as caught:
                operation(NOBODY)
            assert caught.value.details == {"sessionId": NOBODY}


def test_settings_that_cannot_be_meant_are_refused() -> None:
    """A setting is a whole number, a time at least 1, a count at least 0, and neither beyond 31 bits."""
    for name in ("ttl", "absolute_lifetime", "max_renewals", "sessions_per_wallet"):
        for value in (-1, 1.5, "5", True, None, 2**31):
            with pytest.raises(ValueError, match=name):
                SessionSettings(**{name: value})  # type: ignore[arg-type]
    for name in ("ttl", "absolute_lifetime"):
        with pytest.raises(ValueError, match="from 1"):
            SessionSettings(**{name: 0})
    assert SessionSettings(max_renewals=0, sessions_per_wallet=0).max_renewals == 0


def test_the_largest_settings_work(tmp_path: Path) -> None:
    """With the largest settings a session is created, and its times are ones that Python knows."""
    most = 2**31 - 1
    world = World(
        tmp_path / "wallets.db", ttl=most, absolute_lifetime=most, max_renewals=most, sessions_per_wallet=most
    )
    session = world.session(world.wallet())
    assert session.expires_at == session.absolute_expires_at == utc(NOW + most)
    assert world.sessions.authenticate(session.token).expires_at == utc(NOW + most)
    world.database.close()


class TestMigrated:
    """Sessions that were there before the upgrade."""

    KEY = bytes(range(100, 132))

    def made(self, path: Path, *, wallet: str | None) -> tuple[World, str, str]:
        """A version-18 file with one session whose token the daemon gave out, upgraded."""
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
        waiaas.close(waiaas.connect(path, backup=False, skip_orphans=True))
        return World(path), session, token

    def test_its_old_token_is_good(self, tmp_path: Path) -> None:
        """A session made before the upgrade is known by its old token after it, resolves and is renewed."""
        wallet = wallet_id(1)
        world, session, token = self.made(tmp_path / "wallets.db", wallet=wallet)
        assert query(world.path, "SELECT max(version) FROM schema_version") == [(19,)]
        assert world.sessions.authenticate(token) == (session, wallet, utc(NOW + 2000))
        assert world.links.resolve(session) == wallet
        details = world.sessions.get(session)
        assert (details.wallet_id, details.max_renewals, details.source) == (wallet, 30, "api")
        assert [link.linked_at for link in details.wallets] == [utc(NOW - 2000)]
        renewed = world.sessions.renew(token, actor="admin")
        assert renewed.expires_at == utc(NOW + 4000)
        assert world.sessions.authenticate(renewed.token).wallet_id == wallet
        world.database.close()

    def test_one_without_a_wallet(self, tmp_path: Path) -> None:
        """A session whose wallet was unknown is known, reaches nothing, and its first link is its default."""
        world, session, token = self.made(tmp_path / "wallets.db", wallet=None)
        assert world.sessions.authenticate(token) == (session, None, utc(NOW + 2000))
        details = world.sessions.get(session)
        assert (details.wallets, details.wallet_id, details.wallet_name) == ((), None, None)
        with refused(world, "WALLET_ACCESS_DENIED"):
            world.links.resolve(session)
        with refused(world, "SESSION_REQUIRES_WALLET"):
            world.sessions.renew(token, actor="admin")
        for operation in (world.links.unlink, world.links.set_default):
            with refused(world, "WALLET_ACCESS_DENIED"):
                operation(session, wallet_id(1), actor="admin")
        wallets = [world.wallet(), world.wallet()]
        assert [world.links.link(session, wallet, actor="admin").is_default for wallet in wallets] == [True, False]
        assert world.links.resolve(session) == wallets[0]
        assert world.sessions.authenticate(token).wallet_id == wallets[0]
        assert world.sessions.renew(token, actor="admin").default_wallet_id == wallets[0]
        assert world.default_links()[session] == [wallets[0]]
        world.database.close()

    def test_one_without_a_wallet_can_be_revoked(self, tmp_path: Path) -> None:
        """Revoking needs no wallet; the row in the audit log names none."""
        world, session, token = self.made(tmp_path / "wallets.db", wallet=None)
        assert world.sessions.revoke(session, actor="admin").status == "REVOKED"
        assert world.events()[-1] == ("SESSION_REVOKED", "admin", None, session, None, {})
        with refused(world, "SESSION_REVOKED"):
            world.sessions.authenticate(token)
        world.database.close()


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
    """Seconds in UTC, whatever the machine thinks of time."""

    @pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())
    @pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/New_York"])
    def test_in_the_process(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, zone: str) -> None:
        """A life of days is so many times 86,400 seconds at any date, in any timezone of the process."""
        start = int(datetime.fromisoformat(moment + "+00:00").timestamp())
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        try:
            world = World(tmp_path / "wallets.db", Clock(start + 0.75))
            session = world.session(world.wallet(), ttl=2 * DAY)
            assert (session.created_at, session.expires_at) == (utc(start), utc(start + 2 * DAY))
            assert session.created_at.isoformat() == moment + "+00:00"
            world.clock.now = start + DAY
            renewed = world.sessions.renew(session.token, actor="admin")
            assert world.sessions.authenticate(renewed.token).expires_at == utc(start + 3 * DAY)
            assert world.query(
                "SELECT created_at, expires_at, absolute_expires_at, last_renewed_at FROM sessions"
            ) == [(start, start + 3 * DAY, start + 365 * DAY, start + DAY)]
            world.clock.now = start + 3 * DAY
            with refused(world, "TOKEN_EXPIRED"):
                world.sessions.authenticate(renewed.token)
            world.database.close()
        finally:
            monkeypatch.undo()
            time.tzset()

    @pytest.mark.parametrize("zone", ["Asia/Seoul", "America/New_York"])
    def test_in_another_process(self, world: World, zone: str) -> None:
        """A process in another timezone reads and writes the same seconds."""
        wallet = world.wallet()
        session = world.session(wallet, ttl=1000)
        text = (
            "import sys, waiaas\n"
            "path, session, wallet, token = sys.argv[1:]\n"
            f"service = waiaas.SessionService(waiaas.connect(path), clock=lambda: {NOW + 500}.25)\n"
            "print(service.get(session).expires_at.isoformat(), service.authenticate(token).expires_at.isoformat())\n"
            "print(service.renew(token, actor='admin').expires_at.isoformat())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", text, str(world.path), session.id, wallet, session.token],
            env={**os.environ, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [*[utc(NOW + 1000).isoformat()] * 2, utc(NOW + 1500).isoformat()]
        assert world.query("SELECT expires_at, last_renewed_at FROM sessions") == [(NOW + 1500, NOW + 500)]
        assert world.sessions.get(session.id).expires_at == utc(NOW + 1500)

    TIMES = ("created_at", "expires_at", "absolute_expires_at", "last_renewed_at", "revoked_at")

    @pytest.mark.parametrize("column", TIMES)
    @pytest.mark.parametrize("stored", [NOW * 1000, -NOW * 1000, 2**63 - 1], ids=["late", "early", "latest"])
    def test_that_no_year_has_hides_no_other_session(self, world: World, column: str, stored: int) -> None:
        """A session with milliseconds where seconds belong is got, listed and sent with the others, at its status."""
        bad, good = world.session(world.wallet(), ttl=1000), world.session(world.wallet(), ttl=1000)
        world.execute(f"UPDATE sessions SET {column} = ? WHERE id = ?", stored, bad.id)
        world.execute("UPDATE session_wallets SET created_at = ? WHERE session_id = ?", stored, bad.id)
        nearest = 253_402_300_799 if stored > 0 else -62_135_596_800
        found = world.sessions.get(bad.id)
        assert getattr(found, column) == found.wallets[0].linked_at == utc(nearest)
        page = world.sessions.list()
        assert page.items == (found, world.sessions.get(good.id))
        (sent, _) = waiaas.SessionListResponseSchema().dump(page)["sessions"]
        assert sent[wire_key(column)] == sent["wallets"][0]["linkedAt"] == nearest
        assert bad.id in [each.id for each in world.sessions.list(status=found.status).items]
        assert world.query(f"SELECT {column} FROM sessions WHERE id = ?", bad.id) == [(stored,)]

    #: What is no end of a session: what a clock in milliseconds or in text would write, and what nobody would.
    NO_END = {
        "milliseconds": (NOW + 1000) * 1000,
        "microseconds": (NOW + 1000) * 1_000_000,
        "the second after the last": 253_402_300_800,
        "infinity": float("inf"),
        "text": "2027-01-15T09:00:00Z",
        "empty text": "",
        "bytes": b"2027",
    }

    @pytest.mark.parametrize("stored", NO_END.values(), ids=NO_END)
    def test_a_session_without_a_readable_end_has_ended(self, world: World, stored: object) -> None:
        """What is no Unix seconds up to the year 9999 lets a session live for no second: nobody gets in by it."""
        wallet = world.wallet()
        bad, good = world.session(wallet, ttl=1000), world.session(wallet, ttl=1000)
        world.execute("UPDATE sessions SET expires_at = ? WHERE id = ?", stored, bad.id)
        world.clock.now = NOW + 500.5
        for operation in (
            lambda: world.links.resolve(bad.id),
            lambda: world.links.resolve(bad.id, wallet),
            lambda: world.sessions.authenticate(bad.token),
            lambda: world.sessions.renew(bad.token, actor="admin"),
        ):
            with refused(world, "SESSION_EXPIRED"):
                operation()
        assert world.sessions.get(bad.id).status == "EXPIRED"
        listed = {
            status: [each.id for each in world.sessions.list(status=status).items] for status in SESSION_STATUSES
        }
        assert listed == {"ACTIVE": [good.id], "EXPIRED": [bad.id], "REVOKED": []}
        assert world.links.resolve(good.id) == wallet

    @pytest.mark.parametrize("stored", NO_END.values(), ids=NO_END)
    def test_a_session_without_a_readable_end_takes_no_room(self, world: World, stored: object) -> None:
        """A session that has ended by what stands in its row does not count against those that a wallet may have."""
        wallet = world.wallet()
        bad, *_ = [world.session(wallet) for _ in range(5)]
        with refused(world, "SESSION_LIMIT_EXCEEDED"):
            world.session(wallet)
        world.execute("UPDATE sessions SET expires_at = ? WHERE id = ?", stored, bad.id)
        assert world.session(wallet).status == "ACTIVE"

    @pytest.mark.parametrize("stored", NO_END.values(), ids=NO_END)
    def test_an_absolute_end_that_cannot_be_read_is_over(self, world: World, stored: object) -> None:
        """A session whose absolute end is no Unix seconds is not renewed, and ends when its token does."""
        session = world.session(world.wallet(), ttl=1000)
        world.execute("UPDATE sessions SET absolute_expires_at = ?", stored)
        world.clock.now = NOW + 500
        with refused(world, "SESSION_ABSOLUTE_LIFETIME_EXCEEDED"):
            world.sessions.renew(session.token, actor="admin")
        assert world.sessions.authenticate(session.token).session_id == session.id

    @pytest.mark.parametrize("end", [NOW + 501, NOW + 500.75, 253_402_300_799])
    def test_an_end_is_any_number_of_seconds_ahead(self, world: World, end: float) -> None:
        """A session lives until its end, whole number or not, up to the last second of the year 9999."""
        session = world.session(world.wallet(), ttl=1000)
        world.execute("UPDATE sessions SET expires_at = ?, absolute_expires_at = ?", end, end)
        world.clock.now = NOW + 500.5
        assert world.sessions.get(session.id).status == "ACTIVE"
        assert [each.id for each in world.sessions.list(status="ACTIVE").items] == [session.id]
        assert world.sessions.authenticate(session.token).session_id == session.id
        assert world.links.resolve(session.id) == session.wallet_id
        assert world.sessions.renew(session.token, actor="admin").expires_at == utc(min(NOW + 1500, int(end)))

    @pytest.mark.parametrize("column", TIMES)
    @pytest.mark.parametrize("stored", ["2027-01-15", b"2027"], ids=["text", "bytes"])
    def test_that_is_no_number_hides_no_other_session(self, world: World, column: str, stored: object) -> None:
        """A session with text where seconds belong is got, listed and revoked like another one."""
        bad, good = world.session(world.wallet()), world.session(world.wallet())
        world.execute(f"UPDATE sessions SET {column} = ? WHERE id = ?", stored, bad.id)
        world.execute("UPDATE session_wallets SET created_at = ? WHERE session_id = ?", stored, bad.id)
        found = world.sessions.get(bad.id)
        assert world.sessions.list().items == (found, world.sessions.get(good.id))
        assert world.links.list(bad.id) == found.wallets
        assert world.sessions.revoke(bad.id, actor="admin").status == "REVOKED"
        with refused(world, "SESSION_REVOKED"):
            world.sessions.authenticate(bad.token)

    def test_a_page_of_sessions_that_live_is_not_read_by_their_ends(self, world: World) -> None:
        """The sessions of a status come in order from the index of the ids: none is read and sorted beside them."""
        for condition in (has_not_expired(NOW), has_expired(NOW)):
            query = waiaas.Session.select(waiaas.Session.id).where(condition).order_by(waiaas.Session.id).limit(51)
            sql, parameters = world.database.get_sql_context().sql(query).query()
            plan = [row[3] for row in world.query(f"EXPLAIN QUERY PLAN {sql}", *parameters)]
            assert all("TEMP B-TREE" not in step and "idx_sessions_expires_at" not in step for step in plan), plan

    @pytest.mark.parametrize("column", ["renewal_count", "max_renewals"])
    @pytest.mark.parametrize("stored", ["many", b"9", 1.5], ids=["text", "bytes", "fraction"])
    def test_renewals_that_cannot_be_counted_are_used_up(self, world: World, column: str, stored: object) -> None:
        """A count or a limit that is no whole number leaves a session no renewal."""
        session = world.session(world.wallet(), ttl=1000)
        world.execute(f"UPDATE sessions SET {column} = ?", stored)
        world.clock.now = NOW + 500
        with refused(world, "RENEWAL_LIMIT_REACHED"):
            world.sessions.renew(session.token, actor="admin")

    def test_a_hash_that_is_no_text_is_no_token_s(self, world: World) -> None:
        """Bytes in the place of the token's hash let nobody in, not even those of the hash."""
        session = world.session(world.wallet(), ttl=1000)
        world.execute("UPDATE sessions SET token_hash = CAST(token_hash AS BLOB)")
        with refused(world, "INVALID_TOKEN"):
            world.sessions.authenticate(session.token)
        with refused(world, "SESSION_RENEWAL_MISMATCH"):
            world.sessions.renew(session.token, actor="admin")


def test_the_statement_of_each_request_uses_indexes_only(world: World) -> None:
    """What runs for every request of every agent searches by keys: it never reads a table through."""
    statements = {
        "session": (world.sessions._find_session, [NOBODY]),
        "default wallet": (world.sessions._find_default_wallet, [NOBODY]),
        "named wallet": (world.sessions._find_named_wallet, [NOBODY, NOBODY]),
        "named": (world.links._find_named, [NOBODY, NOBODY]),
        "default": (world.links._find_default, [NOBODY]),
    }
    for name, (sql, parameters) in statements.items():
        plan = [row[3] for row in world.query(f"EXPLAIN QUERY PLAN {sql}", *parameters)]
        # The one row that each statement returns is no table.
        steps = [step for step in plan if step not in ("SCAN CONSTANT ROW", "SCAN request") and "SCAN" in step]
        searches = [step for step in plan if step.startswith("SEARCH ")]
        assert not steps and all(" USING " in step for step in searches) and len(searches) > 2, (name, plan)


def test_the_database_may_be_left_open_by_several_services(world: World) -> None:
    """Services on connections of their own see at once what another one has changed."""
    other = World(world.path, world.clock)
    session = world.session(world.wallet())
    assert other.sessions.authenticate(session.token).session_id == session.id
    other.sessions.revoke(session.id, actor="admin")
    with refused(world, "SESSION_REVOKED"):
        world.sessions.authenticate(session.token)
    waiaas.close(other.database)
