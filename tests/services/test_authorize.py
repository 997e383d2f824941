"""`SessionService.authorize` returns the wallet that a request may use, or refuses with the right code."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from support.application import NOBODY, NOW, Application, Scene, expect_refusal, make_token

import waiaas
from waiaas.services import Authorization, AuthorizedWallet


def test_the_default_wallet_is_used_if_the_request_names_none(app: Application) -> None:
    """Without a wallet id, `authorize` returns the default wallet, the session id and the token's expiry."""
    wallet = app.wallet(name="pay", defaultNetwork="devnet", publicKey="7xKX")
    session = app.session(app.wallet(), wallet, defaultWalletId=wallet, ttl=300)
    assert app.sessions.authorize(session.token) == Authorization(
        AuthorizedWallet(wallet, "pay", "solana", "testnet", "devnet", "7xKX", "ACTIVE"),
        session.id,
        datetime.fromtimestamp(NOW + 300, timezone.utc),
    )


def test_a_linked_wallet_can_be_requested_by_id(scene: Scene) -> None:
    """A linked wallet can be requested by id, and the network is None if the wallet has no default network."""
    authorized = scene.app.sessions.authorize(scene.session.token, scene.second)
    assert (authorized.wallet.id, authorized.wallet.name, authorized.wallet.network) == (scene.second, "w1", None)


def test_the_authorization_is_frozen(scene: Scene) -> None:
    """An `Authorization` is frozen."""
    authorized = scene.app.sessions.authorize(scene.session.token)
    with pytest.raises(AttributeError):
        authorized.wallet.status = "ACTIVE"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        authorized.session_id = NOBODY  # type: ignore[misc]


#: In the order of the checks: the change to the scene, the requested wallet, and the refusal. Each refusal remains
#: when the later changes are made too.
CHECKS = {
    "SYSTEM_LOCKED": "INSERT INTO key_value_store VALUES ('kill_switch_state', 'SUSPENDED', 0)",
    "INVALID_TOKEN": "token",
    "TOKEN_EXPIRED": "clock",
    "SESSION_NOT_FOUND": "DELETE FROM sessions",
    "SESSION_REVOKED": f"UPDATE sessions SET revoked_at = {NOW}",
    "superseded": "UPDATE sessions SET token_hash = 'other'",
    "SESSION_EXPIRED": f"UPDATE sessions SET expires_at = {NOW}",
    "WALLET_ACCESS_DENIED": "DELETE FROM session_wallets",
    "WALLET_TERMINATED": "UPDATE wallets SET status = 'TERMINATED'",
    "WALLET_SUSPENDED": "UPDATE wallets SET status = 'SUSPENDED'",
    "INVALID_STATE_TRANSITION": "UPDATE wallets SET status = 'CREATING'",
}
# Statements that later ones would undo.
EXCLUSIVE = {"WALLET_TERMINATED", "WALLET_SUSPENDED", "INVALID_STATE_TRANSITION"}


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("check", CHECKS)
def test_the_first_check_that_fails_decides(scene: Scene, check: str, named: bool) -> None:
    """A refusal has the code of the first check that fails, in the documented order."""
    app, names = scene.app, list(CHECKS)
    token = scene.session.token
    if CHECKS[check] == "token":
        token = make_token(bytes(32), {"sub": scene.session.id, "wlt": scene.first, "iat": NOW, "exp": NOW + 1})
    for name in reversed(names[names.index(check) :]):
        if name == check or not (name in EXCLUSIVE and check in EXCLUSIVE):
            if CHECKS[name] == "clock":
                app.clock.now = NOW + 1000
            elif CHECKS[name] != "token":
                app.execute(CHECKS[name])
    code = "INVALID_TOKEN" if check == "superseded" else check
    with expect_refusal(app, code):
        app.sessions.authorize(token, scene.second if named else None)


def test_a_wallet_that_is_not_linked_is_denied(scene: Scene) -> None:
    """A wallet of another session, an unknown wallet and any other text are `WALLET_ACCESS_DENIED`."""
    for wallet_id in (scene.third, NOBODY, scene.first.upper(), "", "wai_sess_x.y.z"):
        with expect_refusal(scene.app, "WALLET_ACCESS_DENIED") as caught:
            scene.app.sessions.authorize(scene.session.token, wallet_id)
        assert "wai_sess_" not in str(caught.value.to_dict())


def test_a_token_passed_as_a_wallet_id_is_refused(scene: Scene) -> None:
    """A token passed as a wallet id is refused as too long, and is not repeated."""
    with expect_refusal(scene.app, "ACTION_VALIDATION_FAILED") as caught:
        scene.app.sessions.authorize(scene.session.token, scene.session.token)
    assert scene.session.token not in str(caught.value.to_dict())


def test_without_a_default_wallet_the_request_must_name_one(scene: Scene) -> None:
    """If a session has no default wallet, the request must name one."""
    scene.app.execute("UPDATE session_wallets SET is_default = 0")
    with expect_refusal(scene.app, "WALLET_ACCESS_DENIED"):
        scene.app.sessions.authorize(scene.session.token)
    assert scene.app.sessions.authorize(scene.session.token, scene.first).wallet.id == scene.first


@pytest.mark.sqlite("a PRAGMA lets a value in that a constraint forbids")
def test_a_link_to_a_missing_wallet_is_denied(scene: Scene) -> None:
    """A link to a wallet that has no row is denied."""
    scene.app.execute("PRAGMA foreign_keys = OFF")
    scene.app.execute("DELETE FROM wallets WHERE id = ?", scene.second)
    with expect_refusal(scene.app, "WALLET_ACCESS_DENIED"):
        scene.app.sessions.authorize(scene.session.token, scene.second)


@pytest.mark.parametrize("status", ["CREATING", "SUSPENDED", "TERMINATING"])
def test_an_inactive_wallet_is_returned_if_it_need_not_be_active(scene: Scene, status: str) -> None:
    """With `must_be_active=False`, a wallet of any status except terminated is returned."""
    check_inactive(scene, status)


@pytest.mark.sqlite("a PRAGMA lets a value in that a constraint forbids")
def test_a_wallet_of_an_unknown_status_is_inactive(scene: Scene) -> None:
    """So is a wallet of a status that no version knows."""
    scene.app.execute("PRAGMA ignore_check_constraints = ON")
    check_inactive(scene, "unheard of")


def check_inactive(scene: Scene, status: str) -> None:
    app = scene.app
    app.execute("UPDATE wallets SET status = ?", status)
    assert app.sessions.authorize(scene.session.token, must_be_active=False).wallet.status == status
    with expect_refusal(app, "WALLET_SUSPENDED" if status == "SUSPENDED" else "INVALID_STATE_TRANSITION") as caught:
        app.sessions.authorize(scene.session.token)
    assert caught.value.details == {"walletId": scene.first, "status": status}
    app.execute("UPDATE wallets SET status = 'TERMINATED'")
    with expect_refusal(app, "WALLET_TERMINATED"):
        app.sessions.authorize(scene.session.token, must_be_active=False)


@pytest.mark.sqlite("counts the statements of sqlite3")
def test_one_statement_decides(scene: Scene) -> None:
    """Once the keys are cached, `authorize`, `authenticate` and `resolve` run one statement each."""
    app, statements = scene.app, list[str]()
    app.sessions.authorize(scene.session.token)
    database = app.database
    assert isinstance(database, waiaas.backends.sqlite.WaiaasDatabase)
    database.latest().set_trace_callback(statements.append)
    database.connection().set_trace_callback(statements.append)
    app.sessions.authorize(scene.session.token)
    app.sessions.authorize(scene.session.token, scene.second)
    app.sessions.authenticate(scene.session.token)
    app.links.resolve(scene.session.id)
    assert len(statements) == 4


def test_a_rotated_key_is_accepted_for_five_minutes(scene: Scene) -> None:
    """A token signed with the previous key is accepted during the grace period of five minutes, and not afterwards."""
    app = scene.app
    app.clock.now = NOW + 300
    app.tokens.rotate(actor="admin")
    app.clock.now = NOW + 599
    assert app.sessions.authorize(scene.session.token).session_id == scene.session.id
    app.clock.now = NOW + 600
    with expect_refusal(app, "INVALID_TOKEN"):
        app.sessions.authorize(scene.session.token)
