"""Links between sessions and wallets, default wallets, and the wallet of a request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from support.application import NOBODY, NOW, Application, expect_refusal

from waiaas.services import LinkedWallet


@pytest.fixture
def wallets(app: Application) -> list[str]:
    """Four wallets; the tests link the first two or three of them."""
    return [app.wallet(name=f"wallet {number}") for number in range(4)]


class TestLink:
    """Linking adds a wallet to a session."""

    def test_result_and_rows(self, app: Application, wallets: list[str]) -> None:
        """The link has its creation time, and the default does not change."""
        session = app.session(wallets[0])
        app.clock.now = NOW + 60.5
        link = app.links.link(session.id, wallets[1], actor="admin")
        moment = datetime.fromtimestamp(NOW + 60, timezone.utc)
        assert link == LinkedWallet(
            *(wallets[1], "wallet 1", "solana", "testnet", None, "ACTIVE", False, moment, session.id)
        )
        assert app.links.list(session.id)[1] == link == app.sessions.get(session.id).wallets[1]
        assert app.default_links() == {session.id: [wallets[0]]}
        stored = "SELECT session_id, wallet_id, is_default, created_at FROM session_wallets WHERE wallet_id = ?"
        assert app.query(stored, wallets[1]) == [(session.id, wallets[1], 0, NOW + 60)]
        assert app.links.resolve(session.id, wallets[1]) == wallets[1]

    def test_order_of_refusals(self, app: Application, wallets: list[str]) -> None:
        """The session is checked first, then the wallet, then the limits, and last whether they are already linked."""
        own, terminated, full, free = wallets
        session, revoked = app.session(own, full), app.session(own)
        app.sessions.revoke(revoked.id, actor="admin")
        for _ in range(4):
            app.session(full)
        app.wallets.terminate(terminated, actor="admin")
        for code, to, wallet, details in (
            ("SESSION_NOT_FOUND", NOBODY, NOBODY, {"sessionId": NOBODY}),
            ("SESSION_NOT_FOUND", revoked.id, NOBODY, {"sessionId": revoked.id}),
            ("SESSION_NOT_FOUND", revoked.id, free, {"sessionId": revoked.id}),
            ("WALLET_NOT_FOUND", session.id, NOBODY, {"walletId": NOBODY}),
            ("WALLET_TERMINATED", session.id, terminated, {"walletId": terminated}),
            ("SESSION_LIMIT_EXCEEDED", session.id, full, {"walletId": full, "limit": 5}),
            ("WALLET_ALREADY_LINKED", session.id, own, {"sessionId": session.id, "walletId": own}),
        ):
            with expect_refusal(app, code) as caught:
                app.links.link(to, wallet, actor="admin")
            assert caught.value.details == details
        app.links.link(session.id, free, actor="admin")

    def test_an_expired_session(self, app: Application, wallets: list[str]) -> None:
        """An expired session can be linked, as in the daemon, although it gives access to nothing."""
        session = app.session(wallets[0], ttl=300)
        app.clock.now = NOW + 300
        assert not app.links.link(session.id, wallets[1], actor="admin").is_default
        with expect_refusal(app, "SESSION_EXPIRED"):
            app.links.resolve(session.id, wallets[1])

    def test_a_suspended_wallet(self, app: Application, wallets: list[str]) -> None:
        """A suspended wallet can be linked, because it can be resumed later."""
        app.wallets.suspend(wallets[1], actor="admin")
        assert app.links.link(app.session(wallets[0]).id, wallets[1], actor="admin").status == "SUSPENDED"


class TestUnlink:
    """Unlinking removes a wallet from a session."""

    def test_what_it_changes(self, app: Application, wallets: list[str]) -> None:
        """Only that link is deleted, and the wallet can be linked again."""
        session, other = app.session(*wallets[:3]), app.session(*wallets[:3])
        app.links.unlink(session.id, wallets[1], actor="admin")
        assert [link.id for link in app.links.list(session.id)] == [wallets[0], wallets[2]]
        assert len(app.links.list(other.id)) == 3
        with expect_refusal(app, "WALLET_ACCESS_DENIED"):
            app.links.resolve(session.id, wallets[1])
        app.clock.now = NOW + 5
        app.links.link(session.id, wallets[1], actor="admin")
        assert [link.id for link in app.links.list(session.id)] == [wallets[0], wallets[2], wallets[1]]

    def test_refusals(self, app: Application, wallets: list[str]) -> None:
        """The only or default wallet, an unlinked one, and wallets of a revoked session cannot be unlinked."""
        one, two, revoked = app.session(wallets[0]), app.session(*wallets[:2]), app.session(*wallets[:2])
        app.sessions.revoke(revoked.id, actor="admin")
        for code, of, wallet, details in (
            ("SESSION_NOT_FOUND", NOBODY, wallets[0], {"sessionId": NOBODY}),
            ("SESSION_NOT_FOUND", revoked.id, wallets[1], {"sessionId": revoked.id}),
            ("WALLET_ACCESS_DENIED", two.id, wallets[2], {"sessionId": two.id, "walletId": wallets[2]}),
            ("WALLET_ACCESS_DENIED", one.id, NOBODY, {"sessionId": one.id, "walletId": NOBODY}),
            ("SESSION_REQUIRES_WALLET", one.id, wallets[0], {"sessionId": one.id}),
            ("CANNOT_REMOVE_DEFAULT_WALLET", two.id, wallets[0], {"walletId": wallets[0]}),
        ):
            with expect_refusal(app, code) as caught:
                app.links.unlink(of, wallet, actor="admin")
            assert caught.value.details == details

    def test_all_but_the_last_can_be_unlinked(self, app: Application, wallets: list[str]) -> None:
        """All wallets except the default can be unlinked, and the last one never."""
        session = app.session(*wallets)
        app.links.set_default(session.id, wallets[2], actor="admin")
        for wallet in (wallets[3], wallets[0], wallets[1]):
            app.links.unlink(session.id, wallet, actor="admin")
        with expect_refusal(app, "SESSION_REQUIRES_WALLET"):
            app.links.unlink(session.id, wallets[2], actor="admin")
        assert app.default_links() == {session.id: [wallets[2]]}


class TestSetDefault:
    """Requests that do not name a wallet use the default wallet."""

    def test_result_and_rows(self, app: Application, wallets: list[str]) -> None:
        """The old default is unset and the new one set; other sessions keep theirs."""
        session, other = app.session(*wallets[:3]), app.session(*wallets[:3])
        link = app.links.set_default(session.id, wallets[2], actor="admin")
        assert (link.id, link.is_default) == (wallets[2], True)
        assert app.default_links() == {session.id: [wallets[2]], other.id: [wallets[0]]}
        assert app.links.resolve(session.id) == wallets[2]
        assert [each.id for each in app.links.list(session.id)] == [wallets[2], wallets[0], wallets[1]]

    def test_the_same_again(self, app: Application, wallets: list[str]) -> None:
        """If the wallet is already the default, nothing is written, not even to the audit log."""
        session = app.session(*wallets[:2])
        before = app.rows()
        assert app.links.set_default(session.id, wallets[0], actor="admin") == session.wallets[0]
        assert app.rows() == before

    @pytest.mark.sqlite("an index of PostgreSQL allows one default")
    def test_several_defaults_become_one(self, app: Application, wallets: list[str]) -> None:
        """If a session has two defaults, setting either of them repairs it."""
        session = app.session(*wallets[:3])
        app.execute("UPDATE session_wallets SET is_default = 1 WHERE wallet_id = ?", wallets[1])
        app.links.set_default(session.id, wallets[0], actor="admin")
        assert app.default_links() == {session.id: [wallets[0]]}
        assert app.events()[-1][5] == {"previousWalletIds": wallets[:2]}

    def test_no_default_becomes_one(self, app: Application, wallets: list[str]) -> None:
        """If a session has no default, setting one repairs it."""
        session = app.session(*wallets[:2])
        app.execute("UPDATE session_wallets SET is_default = 0")
        assert app.sessions.get(session.id).default_wallet_id is None
        assert app.sessions.get(session.id).wallet_name is None
        with expect_refusal(app, "WALLET_ACCESS_DENIED"):
            app.links.resolve(session.id)
        app.links.set_default(session.id, wallets[1], actor="admin")
        assert app.default_links() == {session.id: [wallets[1]]}

    def test_refusals(self, app: Application, wallets: list[str]) -> None:
        """Only a wallet linked to a session that is not revoked can become its default."""
        session, revoked = app.session(*wallets[:2]), app.session(*wallets[:2])
        app.sessions.revoke(revoked.id, actor="admin")
        for code, of, wallet, details in (
            ("SESSION_NOT_FOUND", NOBODY, wallets[0], {"sessionId": NOBODY}),
            ("SESSION_NOT_FOUND", revoked.id, wallets[1], {"sessionId": revoked.id}),
            ("WALLET_ACCESS_DENIED", session.id, wallets[2], {"sessionId": session.id, "walletId": wallets[2]}),
            ("WALLET_ACCESS_DENIED", session.id, NOBODY, {"sessionId": session.id, "walletId": NOBODY}),
        ):
            with expect_refusal(app, code) as caught:
                app.links.set_default(of, wallet, actor="admin")
            assert caught.value.details == details


class TestList:
    """The wallets of a session."""

    def test_order(self, app: Application, wallets: list[str]) -> None:
        """The default comes first, then the others in the order in which they were linked."""
        session = app.session(wallets[3], wallets[1])
        app.clock.now = NOW + 1
        app.links.link(session.id, wallets[2], actor="admin")
        app.links.link(session.id, wallets[0], actor="admin")
        order = [wallets[3], wallets[1], wallets[2], wallets[0]]
        assert [link.id for link in app.links.list(session.id)] == order
        app.links.set_default(session.id, wallets[2], actor="admin")
        order = [wallets[2], wallets[3], wallets[1], wallets[0]]
        assert [link.id for link in app.links.list(session.id)] == order
        assert app.sessions.get(session.id).wallets == app.links.list(session.id)

    def test_of_a_revoked_session(self, app: Application, wallets: list[str]) -> None:
        """A revoked session still shows its links."""
        session = app.session(*wallets[:2])
        app.sessions.revoke(session.id, actor="admin")
        assert [link.id for link in app.links.list(session.id)] == wallets[:2]

    def test_of_an_unknown_session(self, app: Application) -> None:
        """An unknown session is an error, not an empty list."""
        with expect_refusal(app, "SESSION_NOT_FOUND") as caught:
            app.links.list(NOBODY)
        assert caught.value.details == {"sessionId": NOBODY}


class TestResolve:
    """The wallet that a request is for."""

    def test_named_or_default(self, app: Application, wallets: list[str]) -> None:
        """It is the wallet that the request names, if linked, or else the default."""
        session, other = app.session(*wallets[:2]), app.session(*wallets[2:])
        assert app.links.resolve(session.id) == wallets[0]
        assert [app.links.resolve(session.id, wallet) for wallet in wallets[:2]] == wallets[:2]
        for wallet in (*wallets[2:], NOBODY, "", wallets[0].upper(), "%", "' OR 1 = 1 --"):
            with expect_refusal(app, "WALLET_ACCESS_DENIED") as caught:
                app.links.resolve(session.id, wallet)
            assert caught.value.details == {"sessionId": session.id, "walletId": wallet}
        assert app.links.resolve(other.id) == wallets[2]

    @pytest.mark.parametrize("named", [False, True], ids=["default", "named"])
    def test_sessions_without_access(self, app: Application, wallets: list[str], named: bool) -> None:
        """Unknown, revoked and expired sessions give access to no wallet."""
        session, expiring = app.session(*wallets[:2]), app.session(*wallets[:2], ttl=300)
        wallet = (wallets[1],) if named else ()
        app.clock.now = NOW + 299.9
        assert app.links.resolve(expiring.id, *wallet) == wallets[named]
        for now in (NOW + 300, NOW + 300.1):
            app.clock.now = now
            with expect_refusal(app, "SESSION_EXPIRED"):
                app.links.resolve(expiring.id, *wallet)
        app.sessions.revoke(session.id, actor="admin")
        app.sessions.revoke(expiring.id, actor="admin")
        for each in (session.id, expiring.id):
            for which in (*wallet, NOBODY):
                with expect_refusal(app, "SESSION_REVOKED"):
                    app.links.resolve(each, which)
        with expect_refusal(app, "SESSION_NOT_FOUND") as caught:
            app.links.resolve(NOBODY, *wallet)
        assert caught.value.details == {"sessionId": NOBODY}

    def test_a_suspended_wallet(self, app: Application, wallets: list[str]) -> None:
        """A suspended wallet is still resolved, because other calls check its status."""
        session = app.session(wallets[0])
        app.wallets.suspend(wallets[0], actor="admin")
        assert app.links.resolve(session.id) == wallets[0]

    def test_nothing_is_written(self, app: Application, wallets: list[str]) -> None:
        """`resolve` changes no row."""
        session = app.session(*wallets[:2])
        before = app.rows()
        app.links.resolve(session.id)
        app.links.resolve(session.id, wallets[1])
        assert app.rows() == before


def changes_of(app: Application) -> dict[str, Callable[[], Any]]:
    """Each operation on a session's links, for sessions and wallets created for it."""
    first, second, third = (app.wallet() for _ in range(3))
    session = app.session(first, second)
    return {
        "link": lambda: app.links.link(session.id, third, actor="admin"),
        "unlink": lambda: app.links.unlink(session.id, second, actor="admin"),
        "set_default": lambda: app.links.set_default(session.id, second, actor="admin"),
        "renew": lambda: app.sessions.renew(session.token, actor="admin"),
        "revoke": lambda: app.sessions.revoke(session.id, actor="admin"),
        "terminate the default": lambda: app.wallets.terminate(first, actor="admin"),
        "terminate another": lambda: app.wallets.terminate(second, actor="admin"),
    }


CHANGES = ("link", "unlink", "set_default", "renew", "revoke", "terminate the default", "terminate another")


@pytest.mark.parametrize("name", CHANGES)
def test_the_invariant_holds_after_each_change(app: Application, name: str) -> None:
    """After any change, each session that is not revoked has at least one wallet and exactly one default."""
    operation = changes_of(app)[name]
    app.clock.now = NOW + 2_000_000
    operation()
    broken = app.query(
        "SELECT id FROM sessions LEFT JOIN session_wallets ON session_id = id WHERE revoked_at IS NULL"
        " GROUP BY id HAVING count(session_id) = 0 OR sum(is_default) <> 1"
    )
    assert broken == []
