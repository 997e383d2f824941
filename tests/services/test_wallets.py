"""Wallets: how they are created, suspended, resumed, listed, and terminated, with the effects on sessions."""

from __future__ import annotations

import sqlite3
import sys
from collections import Counter
from datetime import datetime, timezone
from functools import partial
from typing import Any

import pytest
from support.application import NOBODY, NOW, Application, expect_refusal

from waiaas.schemas import CreateWalletRequestSchema, WalletListResponseSchema, WalletResponseSchema
from waiaas.schemas.base import wire_key
from waiaas.vocabularies import CHAIN_TYPES, ENVIRONMENT_TYPES, TRANSACTION_STATUSES, WALLET_STATUSES

NETWORKS_OF = {
    "solana": ("mainnet", "devnet", "testnet"),
    "ethereum": tuple(
        f"{name}-{kind}"
        for name, test in (
            ("ethereum", "sepolia"),
            ("polygon", "amoy"),
            ("arbitrum", "sepolia"),
            ("optimism", "sepolia"),
            ("base", "sepolia"),
        )
        for kind in ("mainnet", test)
    ),
}
MAINNET = {"mainnet", *(network for network in NETWORKS_OF["ethereum"] if network.endswith("-mainnet"))}
REQUEST = {"name": "payments", "chain": "solana", "environment": "testnet", "publicKey": "7xKX"}


@pytest.mark.parametrize("column", ["created_at", "updated_at", "suspended_at"])
def test_an_out_of_range_time_does_not_hide_other_wallets(app: Application, column: str) -> None:
    """A wallet with milliseconds instead of seconds is returned, listed and serialized like the others."""
    bad, good = app.wallet(), app.wallet()
    app.execute(f"UPDATE wallets SET {column} = ? WHERE id = ?", NOW * 1000, bad)
    page = app.wallets.list()
    assert [wallet.id for wallet in page.items] == [bad, good]
    (sent, _) = WalletListResponseSchema().dump(page)["wallets"]
    assert sent[wire_key(column)] == 253_402_300_799
    assert sent == WalletResponseSchema().dump(app.wallets.get(bad))
    assert app.wallets.suspend(bad, actor="admin").status == "SUSPENDED"


class TestCreate:
    """A wallet is registered by its public key."""

    def test_result_and_row(self, app: Application) -> None:
        """A wallet is active at once, without approval of an owner, and its row equals one of the daemon."""
        app.clock.now = NOW + 0.9
        request = CreateWalletRequestSchema().load(
            {
                **{"name": " 지갑 ", "chain": "ethereum", "environment": "mainnet", "publicKey": "0xAb"},
                **{"defaultNetwork": "polygon-mainnet", "ownerAddress": "0xOwner"},
            }
        )
        wallet = app.wallets.create(**request, actor="admin")
        (row,) = app.query("SELECT * FROM wallets")
        assert row[:6] == (wallet.id, " 지갑 ", "ethereum", "mainnet", "polygon-mainnet", "0xAb")
        assert row[6:11] == ("ACTIVE", "0xOwner", 0, NOW, NOW)
        assert set(row[11:]) == {None}
        assert (wallet.status, wallet.owner_verified) == ("ACTIVE", False)
        assert wallet.created_at == datetime.fromtimestamp(NOW, timezone.utc)
        assert app.wallets.get(wallet.id) == wallet

    @pytest.mark.parametrize("chain", CHAIN_TYPES)
    @pytest.mark.parametrize("environment", ENVIRONMENT_TYPES)
    def test_networks_of_the_environment(self, app: Application, chain: str, environment: str) -> None:
        """The default network is one of the wallet's environment, or none; each network belongs to one environment."""
        request = REQUEST | {"chain": chain, "environment": environment}
        good = 0
        for number, network in enumerate((None, *NETWORKS_OF[chain])):
            loaded = CreateWalletRequestSchema().load(request | {"publicKey": f"k{number}", "defaultNetwork": network})
            if network is None or (network in MAINNET) == (environment == "mainnet"):
                assert app.wallets.create(**loaded, actor="admin").default_network == network
                good += 1
                continue
            with expect_refusal(app, "ENVIRONMENT_NETWORK_MISMATCH") as caught:
                app.wallets.create(**loaded, actor="admin")
            assert caught.value.details == {"network": network, "environment": environment}
        assert good == {("solana", "mainnet"): 2, ("solana", "testnet"): 3}.get((chain, environment), 6)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"chain": "bitcoin"}, "chain"),
            ({"environment": "devnet"}, "environment"),
            ({"chain": "ethereum", "default_network": "devnet"}, "defaultNetwork"),
            ({"default_network": "solana-devnet"}, "defaultNetwork"),
            ({"name": ""}, "name"),
            ({"name": "x" * 101}, "name"),
            ({"name": None}, "name"),
            ({"public_key": "  "}, "publicKey"),
            ({"public_key": b"7xKX"}, "publicKey"),
            ({"owner_address": 5}, "ownerAddress"),
            ({"owner_address": "\ud800"}, "ownerAddress"),
        ],
    )
    def test_a_request_without_a_schema_is_checked(
        self, app: Application, changes: dict[str, Any], field: str
    ) -> None:
        """A request that breaks the schema's rules is refused under the wire key, and no row is written."""
        request = CreateWalletRequestSchema().load(REQUEST)
        with expect_refusal(app, "ACTION_VALIDATION_FAILED") as caught:
            app.wallets.create(**(request | changes), actor="admin")
        assert caught.value.details is not None
        assert list(caught.value.details["fields"]) == [field]  # type: ignore[call-overload]

    def test_an_existing_public_key(self, app: Application) -> None:
        """A public key has one wallet, even a terminated one; keys that differ in case are different."""
        wallet = app.wallet(publicKey="7xKX")
        for _ in range(2):
            with expect_refusal(app, "ACTION_VALIDATION_FAILED") as caught:
                app.wallet(publicKey="7xKX", chain="ethereum")
            assert caught.value.details == {"fields": {"publicKey": ["A wallet with this public key exists."]}}
            if app.wallets.get(wallet).status == "ACTIVE":
                app.wallets.terminate(wallet, actor="admin")
        app.wallet(publicKey="7xkx")


class TestSuspendAndResume:
    """A wallet can be suspended and resumed."""

    def test_suspend_and_resume(self, app: Application) -> None:
        """The time and reason of a suspension are stored, and deleted when the wallet is resumed; links stay."""
        wallet = app.wallet()
        session = app.session(wallet)
        app.clock.now = NOW + 5.5
        suspended = app.wallets.suspend(wallet, "이상 거래", actor="admin")
        assert (suspended.status, suspended.suspension_reason) == ("SUSPENDED", "이상 거래")
        columns = "SELECT status, suspended_at, suspension_reason, created_at, updated_at FROM wallets"
        assert app.query(columns) == [("SUSPENDED", NOW + 5, "이상 거래", NOW, NOW + 5)]
        assert app.sessions.get(session.id).wallets[0].status == "SUSPENDED"
        app.clock.now = NOW + 9
        assert app.wallets.resume(wallet, actor="admin").status == "ACTIVE"
        assert app.query(columns) == [("ACTIVE", None, None, NOW, NOW + 9)]
        assert app.default_links() == {session.id: [wallet]}

    STATES = (
        ("CREATING", "INVALID_STATE_TRANSITION", "INVALID_STATE_TRANSITION", None),
        ("ACTIVE", None, "INVALID_STATE_TRANSITION", None),
        ("SUSPENDED", "WALLET_SUSPENDED", None, None),
        ("TERMINATING", "INVALID_STATE_TRANSITION", "INVALID_STATE_TRANSITION", None),
        ("TERMINATED", "WALLET_TERMINATED", "WALLET_TERMINATED", "WALLET_TERMINATED"),
    )

    @pytest.mark.parametrize(("status", "suspend", "resume", "terminate"), STATES)
    def test_every_status(
        self, app: Application, status: str, suspend: str | None, resume: str | None, terminate: str | None
    ) -> None:
        """In each status, each change either succeeds or is refused with its own code."""
        assert [row[0] for row in self.STATES] == list(WALLET_STATUSES)
        for name, code, target in (
            ("suspend", suspend, "SUSPENDED"),
            ("resume", resume, "ACTIVE"),
            ("terminate", terminate, "TERMINATED"),
        ):
            wallet = app.wallet()
            app.execute("UPDATE wallets SET status = ? WHERE id = ?", status, wallet)
            operation = partial(getattr(app.wallets, name), actor="admin")
            if code is None:
                assert operation(wallet).status == target
                continue
            with expect_refusal(app, code) as caught:
                operation(wallet)
            is_move = code == "INVALID_STATE_TRANSITION"
            assert caught.value.details == ({"from": status, "to": target} if is_move else {"walletId": wallet})

    def test_an_unknown_wallet(self, app: Application) -> None:
        """An unknown wallet can be neither read nor changed."""
        changes = (app.wallets.suspend, app.wallets.resume, app.wallets.terminate)
        for operation in (app.wallets.get, *(partial(change, actor="admin") for change in changes)):
            with expect_refusal(app, "WALLET_NOT_FOUND") as caught:
                operation(NOBODY)
            assert caught.value.details == {"walletId": NOBODY}


class TestTerminate:
    """A terminated wallet cannot be resumed, which affects its sessions and transactions."""

    def test_cascade(self, app: Application) -> None:
        """Sessions with no other wallet are revoked, other sessions get a new default, and nothing else changes."""
        gone, other, third = (app.wallet(name=name) for name in ("gone", "other", "third"))
        only = app.session(gone)
        default = app.session(gone, third, other)
        side = app.session(other, gone)
        apart = app.session(third)
        expired = app.session(gone, ttl=300)
        app.clock.now = NOW + 400.5
        revoked = app.session(gone, other)
        revoked_alone = app.session(gone)
        for session in (revoked, revoked_alone):
            app.sessions.revoke(session.id, actor="admin")
        app.clock.now = NOW + 500.5
        before = {each.id: app.sessions.get(each.id) for each in (apart, side)}
        assert app.wallets.terminate(gone, actor="admin").status == "TERMINATED"
        assert app.query("SELECT status, updated_at FROM wallets WHERE id = ?", gone) == [("TERMINATED", NOW + 500)]
        ended = dict(app.query("SELECT id, revoked_at FROM sessions"))
        assert ended == {
            only.id: NOW + 500,
            default.id: None,
            side.id: None,
            apart.id: None,
            expired.id: NOW + 500,
            revoked.id: NOW + 400,
            revoked_alone.id: NOW + 400,
        }
        assert app.default_links() == {
            default.id: [third],
            side.id: [other],
            apart.id: [third],
            revoked.id: [other],
        }
        assert app.sessions.get(apart.id) == before[apart.id]
        assert app.sessions.get(side.id).wallets == before[side.id].wallets[:1]
        assert app.query("SELECT * FROM session_wallets WHERE wallet_id = ?", gone) == []
        recorded = {event[3]: event[0] for event in app.events() if event[0].startswith("SESSION_")}
        assert recorded == {
            only.id: "SESSION_REVOKED",
            expired.id: "SESSION_REVOKED",
            default.id: "SESSION_DEFAULT_WALLET_SET",
            revoked.id: "SESSION_DEFAULT_WALLET_SET",
            side.id: "SESSION_WALLET_UNLINKED",
            revoked_alone.id: "SESSION_WALLET_UNLINKED",
            apart.id: "SESSION_ISSUED",
        }
        with expect_refusal(app, "SESSION_REVOKED"):
            app.sessions.authenticate(only.token)
        assert app.sessions.authenticate(default.token).wallet_id == third
        with expect_refusal(app, "WALLET_ACCESS_DENIED"):
            app.links.resolve(side.id, gone)
        with expect_refusal(app, "WALLET_TERMINATED"):
            app.wallets.terminate(gone, actor="admin")

    def test_the_link_made_earliest_becomes_the_default(self, app: Application) -> None:
        """The wallet that was linked first becomes the default, even among links of the same second."""
        wallets = [app.wallet() for _ in range(5)]
        gone, late, tie_high, tie_low = wallets[2], wallets[0], wallets[4], wallets[1]
        session = app.session(gone)
        app.clock.now = NOW + 1
        app.links.link(session.id, tie_high, actor="admin")
        app.links.link(session.id, tie_low, actor="admin")
        app.clock.now = NOW + 2
        app.links.link(session.id, late, actor="admin")
        for wallet, next_default in ((gone, tie_high), (tie_high, tie_low), (tie_low, late)):
            app.wallets.terminate(wallet, actor="admin")
            assert app.default_links() == {session.id: [next_default]}
        app.wallets.terminate(late, actor="admin")
        assert app.default_links() == {}
        assert app.sessions.get(session.id).status == "REVOKED"

    def test_only_its_pending_transactions_are_cancelled(self, app: Application) -> None:
        """Transactions in any other status, and those of other wallets, stay unchanged."""
        gone, other = app.wallet(), app.wallet()
        session = app.session(gone, other)
        for number, (wallet, status) in enumerate((w, s) for w in (gone, other) for s in TRANSACTION_STATUSES):
            app.execute(
                "INSERT INTO transactions (id, wallet_id, session_id, chain, type, status, created_at)"
                " VALUES (?, ?, ?, 'solana', 'TRANSFER', ?, ?)",
                *(f"t-{number:02}", wallet, session.id if number % 2 == 0 else None, status, NOW),
            )
        before = dict(app.query("SELECT id, status FROM transactions"))
        app.wallets.terminate(gone, actor="admin")
        after = dict(app.query("SELECT id, status FROM transactions"))
        assert {id_: after[id_] for id_ in after if after[id_] != before[id_]} == {"t-00": "CANCELLED"}
        assert before["t-00"] == "PENDING"
        assert [event for event in app.events() if event[0] == "TX_CANCELLED"] == [
            ("TX_CANCELLED", "admin", gone, session.id, "t-00", {"reason": "WALLET_TERMINATED"})
        ]

    @pytest.mark.sqlite("a limit of SQLite")
    @pytest.mark.slow
    def test_thousands_of_links(self, app: Application) -> None:
        """A wallet with 3,000 sessions is terminated in one call, whatever SQLite's limit on parameters."""
        gone, other = app.wallet(), app.wallet()
        if sys.version_info >= (3, 11):
            app.database.connection().setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 10_000)
        ids = [f"s-{number:04}" for number in range(3_000)]
        app.database.connection().executemany(
            "INSERT INTO sessions (id, token_hash, expires_at, absolute_expires_at, created_at)"
            f" VALUES (?, '', {NOW + 9}, {NOW + 9}, {NOW})",
            [(id_,) for id_ in ids],
        )
        links = [(id_, gone, 1) for id_ in ids] + [(id_, other, 0) for id_ in ids[:1500]]
        app.database.connection().executemany(f"INSERT INTO session_wallets VALUES (?, ?, ?, {NOW})", links)
        app.wallets.terminate(gone, actor="admin")
        assert app.default_links() == {id_: [other] for id_ in ids[:1500]}
        revoked = app.query("SELECT id FROM sessions WHERE revoked_at = ? ORDER BY id", NOW)
        assert [id_ for (id_,) in revoked] == ids[1500:]
        words = Counter(event[0] for event in app.events())
        assert words == {
            "WALLET_CREATED": 2,
            "SESSION_DEFAULT_WALLET_SET": 1500,
            "SESSION_REVOKED": 1500,
            "WALLET_TERMINATED": 1,
        }
        assert app.events()[-1][5] == {"sessions": 3000, "transactions": 0}

    def test_a_new_default_for_each_session(self, app: Application) -> None:
        """If each session has a different second wallet, each becomes the default of its own session only."""
        gone = app.wallet()
        sessions = [(app.session(gone, wallet), wallet) for wallet in (app.wallet() for _ in range(5))]
        app.wallets.terminate(gone, actor="admin")
        assert app.default_links() == {session.id: [wallet] for session, wallet in sessions}

    def test_without_sessions(self, app: Application) -> None:
        """A wallet without references is just marked as terminated."""
        wallet = app.wallet()
        app.wallets.terminate(wallet, actor="admin")
        assert app.events()[-1] == (
            *("WALLET_TERMINATED", "admin", wallet, None, None),
            {"sessions": 0, "transactions": 0},
        )
