"""The application of the how-to page about Flask, for clients of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
from flask.testing import FlaskClient
from support.documented_apps import ADMIN, PASSWORD, load_app

import waiaas
from waiaas.schemas import CreateWalletRequestSchema

WALLET = {"name": "payments", "chain": "solana", "environment": "testnet", "publicKey": "7xKX"}


@pytest.fixture(scope="module")
def flask_app() -> ModuleType:
    return load_app("flask_app")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wallets.db"


@pytest.fixture
def wallet(path: Path) -> str:
    """The id of a wallet in the file."""
    with waiaas.connect(path) as database:
        return database.wallets.create(**CreateWalletRequestSchema().load(WALLET), actor="admin").id


@pytest.fixture
def client(flask_app: ModuleType, path: Path, wallet: str) -> Iterator[FlaskClient]:
    app = flask_app.create_app(path, PASSWORD, lambda wallet, message: message[::-1])
    yield app.test_client()
    app.extensions["waiaas"].close()


def agent_of(client: FlaskClient, wallet: str) -> dict[str, str]:
    """Return the headers of an agent with a session for a wallet."""
    answer = client.post("/v1/sessions", json={"walletId": wallet}, headers=ADMIN)
    assert answer.json is not None
    return {"Authorization": f"Bearer {answer.json['token']}"}


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer   "])
def test_a_scheme_may_be_in_any_case(client: FlaskClient, wallet: str, scheme: str) -> None:
    """The agent is recognised with any case of the scheme, and one space or more."""
    token = agent_of(client, wallet)["Authorization"].partition(" ")[2]
    assert client.get("/v1/wallet", headers={"Authorization": f"{scheme}{token}"}).status_code == 200


@pytest.mark.parametrize("others", [["x"], ["Bearer x"], [""], None, ["Bearer x", "Bearer x"]])
@pytest.mark.parametrize("is_first", [True, False])
def test_one_token_only(client: FlaskClient, wallet: str, others: list[str] | None, is_first: bool) -> None:
    """A request with several Authorization headers is refused, even with the same valid token in each."""
    valid = agent_of(client, wallet)["Authorization"]
    values = [valid, *(others or [valid])]
    headers = [("Authorization", value) for value in (values if is_first else values[::-1])]
    answer = client.get("/v1/wallet", headers=headers)
    assert (answer.status_code, answer.json and answer.json["code"]) == (401, "INVALID_TOKEN")


@pytest.mark.parametrize("passwords", [[PASSWORD, "x"], ["x", PASSWORD], [PASSWORD, PASSWORD], [PASSWORD, ""]])
def test_one_password_only(client: FlaskClient, wallet: str, passwords: list[str]) -> None:
    """A request with several master passwords is refused, and no session is created."""
    headers = [("X-Master-Password", each) for each in passwords]
    answer = client.post("/v1/sessions", json={"walletId": wallet}, headers=headers)
    assert (answer.status_code, answer.json and answer.json["code"]) == (401, "INVALID_MASTER_PASSWORD")


@pytest.mark.parametrize("password", [None, "", "x", PASSWORD[:-1], f"{PASSWORD}é"])
def test_an_unauthenticated_administrator_gets_instructions(
    client: FlaskClient, wallet: str, password: str | None
) -> None:
    """Without the password, or with a wrong one, no session is created, and the error asks for it."""
    headers = {"Authorization": f"Bearer {PASSWORD}"} if password is None else {"X-Master-Password": password}
    answer = client.post("/v1/sessions", json={"walletId": wallet}, headers=headers)
    assert (answer.status_code, answer.json and answer.json["code"]) == (401, "INVALID_MASTER_PASSWORD")
    assert "X-Master-Password" in answer.text and "lock" not in answer.text


def test_an_application_without_a_password_is_refused(flask_app: ModuleType, path: Path) -> None:
    """An empty password, which every request without one would match, is refused before the file is created."""
    with pytest.raises(ValueError, match="without a password"):
        flask_app.create_app(path, "", lambda wallet, message: message)
    assert not path.exists()


def test_a_thread_keeps_its_connections(client: FlaskClient, path: Path, wallet: str) -> None:
    """Only the first request of a thread opens a connection, and the end of the thread closes it."""

    def connections() -> int:
        return len(client.application.extensions["waiaas"].peewee.connections())

    agent = agent_of(client, wallet)
    client.get("/v1/wallet", headers=agent)
    before = client.application.extensions["waiaas"].peewee.connection(), connections()
    assert {client.get("/v1/wallet", headers=agent).status_code for _ in range(20)} == {200}
    assert (client.application.extensions["waiaas"].peewee.connection(), connections()) == before
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(client.application.test_client().get, "/v1/wallet", headers=agent) for _ in range(40)]
        assert {each.result().status_code for each in asked} == {200}
        assert connections() <= before[1] + 4 * 2
    assert connections() == before[1]


@pytest.mark.parametrize(
    ("method", "where", "status"), [("GET", "/v1/nothing", 404), ("PUT", "/v1/wallet", 405), ("POST", "/", 404)]
)
def test_errors_of_flask_are_json_too(client: FlaskClient, method: str, where: str, status: int) -> None:
    """Every response is JSON, and the header lists the allowed methods."""
    answer = client.open(where, method=method)
    assert (answer.status_code, answer.mimetype) == (status, "application/json")
    assert answer.json is not None and answer.json["http_status"] == status and answer.json["message"]
    assert ("GET" in answer.headers.get("Allow", "")) == (status == 405)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("SUSPENDED", "WALLET_SUSPENDED"),
        ("CREATING", "INVALID_STATE_TRANSITION"),
        ("TERMINATING", "INVALID_STATE_TRANSITION"),
    ],
)
def test_an_inactive_wallet_does_not_sign(
    client: FlaskClient, path: Path, wallet: str, status: str, code: str
) -> None:
    """Only an active wallet signs; the wallet is shown in any status."""
    agent = agent_of(client, wallet)
    answer = client.post("/v1/signatures", data=b"abc", headers=agent)
    assert (answer.status_code, answer.json) == (201, {"signature": b"cba".hex()})
    with waiaas.connect(path) as database:
        database.peewee.execute_sql("UPDATE wallets SET status = ?", (status,))
    answer = client.post("/v1/signatures", data=b"abc", headers=agent)
    assert (answer.status_code, answer.json and answer.json["code"]) == (409, code)
    assert answer.json is not None and "signature" not in answer.json
    shown = client.get("/v1/wallet", headers=agent).json
    assert shown is not None and shown["status"] == status


def test_an_agent_renews_as_with_the_daemon(client: FlaskClient, path: Path, wallet: str) -> None:
    """An empty body renews the token of the header, a token in the body that one, and never another session's."""
    first, second = (
        client.post("/v1/sessions", json={"walletId": wallet, "ttl": 300, "expiresIn": 5}, headers=ADMIN).json
        for _ in range(2)
    )
    assert first is not None and second is not None
    agent = {"Authorization": f"Bearer {first['token']}"}
    answer = client.put(f"/v1/sessions/{second['id']}/renew", json={}, headers=agent)
    assert (answer.status_code, answer.json and answer.json["code"]) == (403, "SESSION_RENEWAL_MISMATCH")
    assert answer.json and "belongs to another session" in answer.json["message"]
    for body in ({}, {"token": first["token"]}):
        answer = client.put(f"/v1/sessions/{first['id']}/renew", json=body, headers=agent)
        assert (answer.status_code, answer.json and answer.json["code"]) == (403, "RENEWAL_TOO_EARLY")


def test_a_locked_system_answers_no_agent(client: FlaskClient, path: Path, wallet: str) -> None:
    """While the kill switch is not ACTIVE, each request of an agent gets status 503."""
    agent = agent_of(client, wallet)
    with waiaas.connect(path) as database:
        database.kill_switch.activate(actor="sam")
    for answer in (client.get("/v1/wallet", headers=agent), client.post("/v1/signatures", data=b"a", headers=agent)):
        assert (answer.status_code, answer.json and answer.json["code"]) == (503, "SYSTEM_LOCKED")
