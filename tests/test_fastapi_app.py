"""The application of the how-to page about FastAPI, for the daemon's own clients and for wrong requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from starlette.testclient import TestClient
from support.documented_apps import ADMIN, PASSWORD, load_app

import waiaas
from waiaas import openapi
from waiaas.testing import WalletClock

ID = "0190a3f0-1111-7abc-8def-0123456789ab"
WALLET = {"name": "payments", "chain": "solana", "environment": "testnet"}
OPERATIONS = {
    (method.upper(), route): operation
    for route, item in openapi.document()["paths"].items()
    for method, operation in item.items()
}
OF_AGENTS = [("GET", "/v1/wallet/address"), ("POST", "/v1/signatures"), ("PUT", f"/v1/sessions/{ID}/renew")]
OF_ADMINISTRATOR = [
    (method, re.sub("{.*?}", ID, route))
    for (method, route), operation in OPERATIONS.items()
    if operation["security"] == [{"admin": []}]
]

#: The keys of the daemon's responses.
SESSION_KEYS = {
    *("id", "walletId", "walletName", "wallets", "status", "renewalCount", "maxRenewals", "expiresAt"),
    *("absoluteExpiresAt", "createdAt", "lastRenewedAt", "source"),
}
WALLET_KEYS = {
    *(
        "id",
        "name",
        "chain",
        "network",
        "environment",
        "publicKey",
        "status",
        "ownerAddress",
        "ownerState",
        "createdAt",
    )
}


class Keystore:
    """Numbers its keys, and signs by reversing a message."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def create_key(self, chain: str, environment: str) -> str:
        self.keys.append(f"{chain} {environment} {len(self.keys)}")
        return self.keys[-1]

    async def sign(self, public_key: str, message: bytes) -> bytes:
        assert public_key in self.keys
        return message[::-1]


@pytest.fixture(scope="module")
def fastapi_app() -> ModuleType:
    return load_app("fastapi_app")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wallets.db"


@pytest.fixture
def clock() -> WalletClock:
    return WalletClock(1_800_000_000)


@pytest.fixture
def target(request: pytest.FixtureRequest, path: Path) -> Path | str:
    """The database of the application: a file, or PostgreSQL if the test asks for it."""
    is_file = getattr(request, "param", "file") == "file"
    return path if is_file else str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def client(fastapi_app: ModuleType, target: Path | str, clock: WalletClock) -> Iterator[TestClient]:
    app = fastapi_app.create_app(target, is_master_password=PASSWORD.__eq__, keystore=Keystore(), clock=clock)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def database(client: TestClient) -> waiaas.Database:
    """The database that the application has opened."""
    opened: waiaas.Database = client.app.state.database  # type: ignore[attr-defined]
    return opened


def create_wallet(client: TestClient, **options: Any) -> Any:
    answer = client.post("/v1/wallets", json=WALLET | options, headers=ADMIN)
    assert answer.status_code == 201
    return answer.json()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def open_connections(path: Path) -> int:
    """Return how often this process has a file open."""
    return sum(each.resolve() == path for each in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("target", ["file", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True)
class TestDaemonClients:
    """The requests of the daemon's clients, and the keys that they read."""

    def test_wallets(self, client: TestClient) -> None:
        """The keystore creates the key of a wallet, which has a network and by default a session."""
        first, second = create_wallet(client), create_wallet(client, chain="ethereum", createSession=False)
        assert {*WALLET_KEYS, "session"} <= set(first) and {"id", "token", "expiresAt"} <= set(first["session"])
        assert (first["network"], first["publicKey"]) == ("devnet", "solana testnet 0")
        assert (second["network"], second["publicKey"], second["session"]) == (
            *("ethereum-sepolia", "ethereum testnet 1", None),
        )
        items = client.get("/v1/wallets", headers=ADMIN).json()["items"]
        assert [item["id"] for item in items] == [first["id"], second["id"]]
        shown = client.get(f"/v1/wallets/{first['id']}", headers=ADMIN).json()
        assert {*WALLET_KEYS, "defaultNetwork", "ownerVerified", "approvalMethod", "updatedAt"} <= set(shown)
        ended = client.delete(f"/v1/wallets/{first['id']}", headers=ADMIN)
        assert (ended.status_code, ended.json()["status"]) == (200, "TERMINATED")

    def test_a_key_is_made_for_a_valid_request_only(self, client: TestClient) -> None:
        """A refused request creates no key."""
        answer = client.post("/v1/wallets", json={"name": "payments", "chain": "bitcoin"}, headers=ADMIN)
        assert answer.status_code == 400
        assert create_wallet(client)["publicKey"].endswith(" 0")

    def test_sessions(self, client: TestClient, clock: WalletClock) -> None:
        """A session is created, listed, renewed by the token in the header, and revoked."""
        first, second = (create_wallet(client, createSession=False)["id"] for _ in range(2))
        body = {"walletIds": [first, second], "defaultWalletId": second, "expiresIn": 5, "source": "mcp", "ttl": 600}
        answer = client.post("/v1/sessions", json=body, headers=ADMIN)
        session = answer.json()
        assert (answer.status_code, session["walletId"], session["expiresAt"]) == (201, second, clock() + 600)
        assert [(wallet["id"], wallet["isDefault"]) for wallet in session["wallets"]] == [
            (second, True),
            (first, False),
        ]
        clock.advance(300)
        newer = client.post("/v1/sessions", json={"walletId": first}, headers=ADMIN).json()
        listed = client.get("/v1/sessions", headers=ADMIN).json()
        assert [each["id"] for each in listed] == [newer["id"], session["id"]]
        assert set(listed[0]) >= SESSION_KEYS
        of_second = client.get("/v1/sessions", params={"walletId": second.upper()}, headers=ADMIN).json()
        assert [each["id"] for each in of_second] == [session["id"]]
        renewed = client.put(f"/v1/sessions/{session['id']}/renew", json={}, headers=bearer(session["token"]))
        assert (renewed.status_code, renewed.json()["renewalCount"]) == (200, 1)
        assert {"id", "token", "expiresAt"} <= set(renewed.json())
        revoked = client.delete(f"/v1/sessions/{session['id']}", headers=ADMIN).json()
        again = client.delete(f"/v1/sessions/{session['id']}", headers=ADMIN).json()
        assert (revoked["status"], "message" in revoked) == ("REVOKED", False)
        assert (again["status"], "message" in again) == ("REVOKED", True)
        clock.advance(10**9)
        listed = client.get("/v1/sessions", headers=ADMIN).json()
        assert [(each["id"], each["status"]) for each in listed] == [(newer["id"], "EXPIRED")]

    def test_all_sessions_are_in_one_list(self, client: TestClient, database: waiaas.Database) -> None:
        """A list has no pages, because the daemon's clients do not support them."""
        wallets = [create_wallet(client, createSession=False)["id"] for _ in range(45)]
        ids = [database.sessions.create(wallet_ids=[wallet], actor="sam").id for wallet in wallets for _ in range(5)]
        listed = client.get("/v1/sessions", headers=ADMIN).json()
        assert [each["id"] for each in listed] == ids[::-1]
        assert len(client.get("/v1/wallets", headers=ADMIN).json()["items"]) == len(wallets)

    def test_links(self, client: TestClient) -> None:
        """A wallet is linked, made the default, listed and unlinked, and requests use the default."""
        first, second = create_wallet(client), create_wallet(client, createSession=False)
        session = f"/v1/sessions/{first['session']['id']}"
        answer = client.post(f"{session}/wallets", json={"walletId": second["id"]}, headers=ADMIN)
        assert (answer.status_code, answer.json()["isDefault"]) == (201, False)
        assert {"sessionId", "walletId", "isDefault", "createdAt"} <= set(answer.json())
        answer = client.patch(f"{session}/wallets/{second['id']}/default", headers=ADMIN)
        assert (answer.status_code, answer.json()["defaultWalletId"]) == (200, second["id"])
        assert answer.json()["sessionId"] == first["session"]["id"]
        agent = bearer(first["session"]["token"])
        assert client.get("/v1/wallet/address", headers=agent).json()["walletId"] == second["id"]
        answer = client.delete(f"{session}/wallets/{first['id']}", headers=ADMIN)
        assert (answer.status_code, answer.content) == (204, b"")
        (left,) = client.get(f"{session}/wallets", headers=ADMIN).json()["wallets"]
        assert left["id"] == second["id"] and {"id", "name", "chain", "isDefault", "createdAt"} <= set(left)

    def test_another_session_is_not_renewed(self, client: TestClient) -> None:
        """A token renews only its own session."""
        first, second = create_wallet(client)["session"], create_wallet(client)["session"]
        answer = client.put(f"/v1/sessions/{second['id']}/renew", json={}, headers=bearer(first["token"]))
        assert (answer.status_code, answer.json()["code"]) == (403, "SESSION_RENEWAL_MISMATCH")

    def test_an_agent_uses_its_wallet(self, client: TestClient, database: waiaas.Database) -> None:
        """Only an active wallet signs; the address of a suspended one is still shown."""
        wallet = create_wallet(client)
        agent = bearer(wallet["session"]["token"])
        answer = client.post("/v1/signatures", content=b"abc", headers=agent)
        assert (answer.status_code, answer.json()) == (201, {"walletId": wallet["id"], "signature": b"cba".hex()})
        suspended = client.post(f"/v1/wallets/{wallet['id']}/suspend", json={"reason": "audit"}, headers=ADMIN)
        assert suspended.json()["status"] == "SUSPENDED"
        answer = client.post("/v1/signatures", content=b"abc", headers=agent)
        assert (answer.status_code, answer.json()["code"]) == (409, "WALLET_SUSPENDED")
        assert client.get("/v1/wallet/address", headers=agent).json()["address"] == wallet["publicKey"]
        assert client.post(f"/v1/wallets/{wallet['id']}/resume", headers=ADMIN).json()["status"] == "ACTIVE"
        assert client.post("/v1/signatures", content=b"abc", headers=agent).status_code == 201


class TestRefusals:
    """The requests that are refused."""

    @pytest.mark.parametrize("headers", [{}, {"X-Master-Password": ""}, {"X-Master-Password": f"{PASSWORD}."}])
    def test_only_the_administrator(self, client: TestClient, headers: dict[str, str]) -> None:
        """Without the master password nothing is shown and nothing changes."""
        for method, route in OF_ADMINISTRATOR:
            answer = client.request(method, route, json={}, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "INVALID_MASTER_PASSWORD"), route
            assert "X-Master-Password" in answer.json()["hint"]

    @pytest.mark.parametrize("header", [None, "", "wai_sess_x", "Bearer", "Bearer x", "Basic x", f"Bearer {PASSWORD}"])
    def test_only_an_agent(self, client: TestClient, header: str | None) -> None:
        """Without a session's token no wallet is shown."""
        create_wallet(client)
        headers = ADMIN if header is None else ADMIN | {"Authorization": header}
        for method, route in OF_AGENTS:
            answer = client.request(method, route, json={}, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "INVALID_TOKEN"), route

    @pytest.mark.parametrize("others", [["x"], ["Bearer x"], [""], None, ["Bearer x", "Bearer x"]])
    @pytest.mark.parametrize("is_first", [True, False])
    def test_one_token_only(self, client: TestClient, others: list[str] | None, is_first: bool) -> None:
        """A request with several Authorization headers is refused, even with the same valid token in each."""
        valid = bearer(create_wallet(client)["session"]["token"])["Authorization"]
        values = [valid, *(others or [valid])]
        headers = [("Authorization", value) for value in (values if is_first else values[::-1])]
        answer = client.get("/v1/wallet/address", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "INVALID_TOKEN")

    @pytest.mark.parametrize("passwords", [[PASSWORD, "x"], ["x", PASSWORD], [PASSWORD, PASSWORD], [PASSWORD, ""]])
    def test_one_password_only(self, client: TestClient, passwords: list[str]) -> None:
        """A request with several master passwords is refused."""
        answer = client.get("/v1/wallets", headers=[("X-Master-Password", each) for each in passwords])
        assert (answer.status_code, answer.json()["code"]) == (401, "INVALID_MASTER_PASSWORD")

    @pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "Bearer   "])
    def test_a_scheme_may_be_in_any_case(self, client: TestClient, scheme: str) -> None:
        """An agent is authenticated however its client writes the scheme."""
        token = create_wallet(client)["session"]["token"]
        assert client.get("/v1/wallet/address", headers={"Authorization": f"{scheme}{token}"}).status_code == 200

    def test_a_locked_system(self, client: TestClient, database: waiaas.Database) -> None:
        """While the kill switch is not ACTIVE, every route answers 503, as in the daemon."""
        token = create_wallet(client)["session"]["token"]
        database.kill_switch.activate(actor="sam")
        for method, route in [*OF_ADMINISTRATOR, *OF_AGENTS]:
            answer = client.request(method, route, json={}, headers=ADMIN | bearer(token))
            assert (answer.status_code, answer.json()["code"]) == (503, "SYSTEM_LOCKED"), route

    @pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"\xff", b'"x"'])
    def test_a_body_that_is_not_an_object(self, client: TestClient, content: bytes) -> None:
        """A body that is not a JSON object is refused with a code."""
        headers = ADMIN | {"Content-Type": "application/json"}
        answer = client.post("/v1/sessions", content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "ACTION_VALIDATION_FAILED")

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            ("ko-KR,en;q=0.5", "이 세션에 연결되지 않은 지갑입니다."),
            ("fr, en", "The wallet is not linked to this session."),
            ("", "The wallet is not linked to this session."),
        ],
    )
    def test_an_error_is_in_the_language_of_the_client(self, client: TestClient, header: str, message: str) -> None:
        """The error is in the first supported language of the request."""
        headers = bearer(create_wallet(client)["session"]["token"]) | {"Accept-Language": header}
        answer = client.get("/v1/wallet/address", params={"walletId": ID}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "WALLET_ACCESS_DENIED")
        assert answer.json()["message"] == message

    def test_an_error_of_the_database_shows_nothing(
        self, client: TestClient, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The path and the cause are in the log, and not in the response."""
        token = create_wallet(client)["session"]["token"]
        path.rename(path.with_name("elsewhere.db"))
        answer = client.get("/v1/wallet/address", headers=bearer(token))
        assert (answer.status_code, answer.json()["code"]) == (503, "DATABASE_UNAVAILABLE")
        assert path.name not in answer.text and "file_replaced" not in answer.text
        assert str(path) in caplog.text
        path.with_name("elsewhere.db").rename(path)

    def test_health(self, client: TestClient, database: waiaas.Database, path: Path) -> None:
        """A monitor gets 200 from a locked system, and 503 if the database cannot be used."""
        database.kill_switch.activate(actor="sam")
        answer = client.get("/health")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        path.rename(path.with_name("elsewhere.db"))
        answer = client.get("/health")
        assert (answer.status_code, answer.json()) == (503, {"status": "error"})
        path.with_name("elsewhere.db").rename(path)

    def test_a_route_that_does_not_exist(self, client: TestClient) -> None:
        """Refusals of the framework are JSON too."""
        missing, wrong = client.get("/v1/nothing"), client.put("/v1/wallet/address")
        assert (missing.status_code, missing.json()["message"]) == (404, "Not Found")
        assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET")


def test_the_routes_are_those_of_the_document(client: TestClient) -> None:
    """Each operation of the document is a route, and each route except the agent's own is in the document."""
    described = client.get("/openapi.json").json()
    assert described["paths"] == openapi.document()["paths"]
    for (method, route), operation in OPERATIONS.items():
        expected = 401 if operation["security"] == [{"admin": []}] or "renew" in route else 400
        answer = client.request(method, re.sub("{.*?}", ID, route), json={})
        assert answer.status_code == expected
    required = described["components"]["schemas"]["CreateWalletRequest"]["required"]
    assert set(required) == {"name", "chain", "environment"}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
class TestConnections:
    """The connections to the database."""

    def test_are_kept(self, client: TestClient, path: Path) -> None:
        """A thread keeps its connections for its next request, and has two at most."""
        agent = bearer(create_wallet(client)["session"]["token"])

        def ask(_: int) -> int:
            return client.get("/v1/wallet/address", headers=agent).status_code

        with ThreadPoolExecutor(60) as threads:
            assert set(threads.map(ask, range(400))) == {200}
        few = open_connections(path)
        assert 2 <= few <= 2 * 40
        assert {ask(each) for each in range(20)} == {200}
        assert open_connections(path) == few

    def test_authorize_can_run_on_the_event_loop(self, fastapi_app: ModuleType, path: Path) -> None:
        """As the page says, `authorize` may be an `async def` on a file: it decides the same, on fewer connections."""
        assert fastapi_app.__file__ is not None
        source = Path(fastapi_app.__file__).read_text("utf-8")
        assert source.count("\ndef authorize") == 2
        inline = ModuleType("inline_app")
        exec(source.replace("\ndef authorize", "\nasync def authorize"), inline.__dict__)
        app = inline.create_app(path, is_master_password=PASSWORD.__eq__, keystore=Keystore())
        with TestClient(app, raise_server_exceptions=False) as client:
            wallet = create_wallet(client)
            agent = bearer(wallet["session"]["token"])
            before = open_connections(path)
            assert {client.get("/v1/wallet/address", headers=agent).status_code for _ in range(20)} == {200}
            assert client.post("/v1/signatures", content=b"hello", headers=agent).status_code == 201
            assert open_connections(path) <= before + 2
            client.post(f"/v1/wallets/{wallet['id']}/suspend", json={}, headers=ADMIN)
            assert client.get("/v1/wallet/address", headers=agent).status_code == 200
            refused = client.post("/v1/signatures", content=b"hello", headers=agent)
            assert (refused.status_code, refused.json()["code"]) == (409, "WALLET_SUSPENDED")

    def test_are_closed_at_the_end(self, fastapi_app: ModuleType, path: Path) -> None:
        """When the server stops, the connections of all threads are closed, and the log is checkpointed."""
        app = fastapi_app.create_app(path, is_master_password=PASSWORD.__eq__, keystore=Keystore())
        with TestClient(app) as client:
            create_wallet(client)
            assert open_connections(path) > 0
        assert open_connections(path) == 0
        assert [each.name for each in path.parent.iterdir()] == [path.name]
