"""A web service over a WAIaaS database with the daemon's routes: agents use wallets, an administrator manages them."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from os import PathLike
from typing import Annotated, Any, Protocol, TypeVar

import fastapi
from fastapi import Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

import waiaas
from waiaas import openapi, schemas
from waiaas.errors import LANGUAGES
from waiaas.services import Authorization, Page

LOG = logging.getLogger(__name__)

Item = TypeVar("Item")
JSON = dict[str, Any]
Body = Annotated[Any, fastapi.Body()]
WalletId = Annotated[str | None, Query(alias="walletId")]

SESSION = schemas.SessionResponseSchema()
ISSUED_SESSION = schemas.IssuedSessionResponseSchema()
WALLET = schemas.WalletResponseSchema()
DEFAULT_NETWORKS = {
    ("solana", "mainnet"): "mainnet",
    ("solana", "testnet"): "devnet",
    ("ethereum", "mainnet"): "ethereum-mainnet",
    ("ethereum", "testnet"): "ethereum-sepolia",
}


class Keystore(Protocol):
    """Keeps the private keys, which are not in the database."""

    def create_key(self, chain: str, environment: str) -> str:
        """Make a key pair, and return its public key."""

    async def sign(self, public_key: str, message: bytes) -> bytes:
        """Sign a message with the private key of a public key."""


# A dependency or an endpoint that calls the database is a plain function: FastAPI runs it in a thread of its pool, so
# that the event loop does not wait for a lock or a server. What waits for nothing is an `async def`.


async def get_database(request: Request) -> waiaas.Database:
    return request.app.state.database


Database = Annotated[waiaas.Database, Depends(get_database)]


def only_header(request: Request, name: str) -> str:
    """Return the value of a header; empty if it is missing or, unlike a list (RFC 9110, section 5.3), repeated."""
    values = request.headers.getlist(name)
    return values[0] if len(values) == 1 else ""


async def get_token(request: Request) -> str:
    # The name of a scheme may be in any case (RFC 9110, section 11.1).
    scheme, _, token = only_header(request, "Authorization").partition(" ")
    return token.lstrip(" ") if scheme.lower() == "bearer" else ""


Token = Annotated[str, Depends(get_token)]


def authorize(database: Database, token: Token, wallet_id: WalletId = None) -> Authorization:
    return database.sessions.authorize(token, wallet_id)


def authorize_to_look(database: Database, token: Token, wallet_id: WalletId = None) -> Authorization:
    return database.sessions.authorize(token, wallet_id, must_be_active=False)


def require_administrator(request: Request, database: Database) -> None:
    if database.kill_switch.state().is_locked:
        raise waiaas.WAIaaSError("SYSTEM_LOCKED")
    password = only_header(request, "X-Master-Password")
    if not password or not request.app.state.is_master_password(password):
        raise waiaas.WAIaaSError(
            "INVALID_MASTER_PASSWORD",
            "The master password is missing or wrong.",
            hint="Send it in the header X-Master-Password.",
        )


monitor = fastapi.APIRouter()
agent = fastapi.APIRouter(prefix="/v1")
administrator = fastapi.APIRouter(prefix="/v1", dependencies=[Depends(require_administrator)])


@monitor.get("/health")
def show_health(database: Database) -> JSONResponse:
    is_ok = database.health().ok
    return JSONResponse({"status": "ok" if is_ok else "error"}, 200 if is_ok else 503)


@agent.get("/wallet/address")
async def show_address(allowed: Annotated[Authorization, Depends(authorize_to_look)]) -> JSON:
    wallet = allowed.wallet
    return {
        "walletId": wallet.id,
        "chain": wallet.chain,
        "network": wallet.network,
        "environment": wallet.environment,
        "address": wallet.public_key,
    }


@agent.post("/signatures", status_code=201)
async def sign(allowed: Annotated[Authorization, Depends(authorize)], request: Request) -> JSON:
    keystore: Keystore = request.app.state.keystore
    signature = await keystore.sign(allowed.wallet.public_key, await request.body())
    return {"walletId": allowed.wallet.id, "signature": signature.hex()}


@agent.put("/sessions/{session_id}/renew")
def renew_session(database: Database, session_id: str, token: Token, body: Body) -> JSON:
    request = schemas.RenewSessionRequestSchema().load(body)
    token = request.get("token", token)
    if database.sessions.authenticate(token).session_id != session_id:
        raise waiaas.WAIaaSError("SESSION_RENEWAL_MISMATCH")
    return ISSUED_SESSION.dump(database.sessions.renew(token, actor=f"session:{session_id}"))


@administrator.post("/sessions", status_code=201)
def create_session(database: Database, body: Body) -> JSON:
    request = schemas.CreateSessionRequestSchema().load(body)
    return ISSUED_SESSION.dump(database.sessions.create(**request, actor="admin"))


@administrator.get("/sessions")
def list_sessions(database: Database, wallet_id: WalletId = None) -> list[JSON]:
    named = {} if wallet_id is None else {"walletId": wallet_id}
    wallet_id = schemas.ListSessionsRequestSchema().load(named)["wallet_id"]
    # By their ids: a session that expires meanwhile is in both lists.
    sessions = {
        session.id: session
        for status in ("ACTIVE", "EXPIRED")
        for session in all_of(database.sessions.list(wallet_id, status=status, limit=schemas.MAX_LIMIT))
    }
    newest_first = sorted(sessions.values(), key=lambda session: (session.created_at, session.id), reverse=True)
    return SESSION.dump(newest_first, many=True)


@administrator.get("/sessions/{session_id}")
def show_session(database: Database, session_id: str) -> JSON:
    return SESSION.dump(database.sessions.get(session_id))


@administrator.delete("/sessions/{session_id}")
def revoke_session(database: Database, session_id: str) -> JSON:
    was_revoked = database.sessions.get(session_id).status == "REVOKED"
    answer = SESSION.dump(database.sessions.revoke(session_id, actor="admin"))
    return answer | {"message": "The session was already revoked."} if was_revoked else answer


@administrator.get("/sessions/{session_id}/wallets")
def list_session_wallets(database: Database, session_id: str) -> JSON:
    return schemas.SessionWalletListResponseSchema().dump(database.links.list(session_id))


@administrator.post("/sessions/{session_id}/wallets", status_code=201)
def link_wallet(database: Database, session_id: str, body: Body) -> JSON:
    request = schemas.LinkWalletRequestSchema().load(body)
    return schemas.SessionWalletResponseSchema().dump(database.links.link(session_id, **request, actor="admin"))


@administrator.delete("/sessions/{session_id}/wallets/{wallet_id}", status_code=204)
def unlink_wallet(database: Database, session_id: str, wallet_id: str) -> None:
    database.links.unlink(session_id, wallet_id, actor="admin")


@administrator.patch("/sessions/{session_id}/wallets/{wallet_id}/default")
def set_default_wallet(database: Database, session_id: str, wallet_id: str) -> JSON:
    link = database.links.set_default(session_id, wallet_id, actor="admin")
    return schemas.DefaultWalletResponseSchema().dump(link)


@administrator.post("/wallets", status_code=201)
def create_wallet(request: Request, database: Database, body: Body) -> JSON:
    wallet = schemas.CreateWalletRequestSchema().load(body, partial=["public_key"])
    kind = wallet["chain"], wallet["environment"]
    # The daemon's clients name neither: the keystore makes the key, and the network follows from the rest.
    wallet["public_key"] = wallet.get("public_key") or request.app.state.keystore.create_key(*kind)
    wallet["default_network"] = wallet["default_network"] or DEFAULT_NETWORKS[kind]
    with database.transaction():
        created = database.wallets.create(**wallet, actor="admin")
        wants_session = body.get("createSession", True)
        session = database.sessions.create(wallet_ids=[created.id], actor="admin") if wants_session else None
    return schemas.CreatedWalletResponseSchema().dump({"wallet": created, "session": session})


@administrator.get("/wallets")
def list_wallets(database: Database) -> JSON:
    return {"items": WALLET.dump(all_of(database.wallets.list(limit=schemas.MAX_LIMIT)), many=True)}


@administrator.get("/wallets/{wallet_id}")
def show_wallet(database: Database, wallet_id: str) -> JSON:
    return WALLET.dump(database.wallets.get(wallet_id))


@administrator.delete("/wallets/{wallet_id}")
def terminate_wallet(database: Database, wallet_id: str) -> JSON:
    return WALLET.dump(database.wallets.terminate(wallet_id, actor="admin"))


@administrator.post("/wallets/{wallet_id}/suspend")
def suspend_wallet(database: Database, wallet_id: str, body: Body) -> JSON:
    request = schemas.SuspendWalletRequestSchema().load(body)
    return WALLET.dump(database.wallets.suspend(wallet_id, **request, actor="admin"))


@administrator.post("/wallets/{wallet_id}/resume")
def resume_wallet(database: Database, wallet_id: str) -> JSON:
    return WALLET.dump(database.wallets.resume(wallet_id, actor="admin"))


def all_of(page: Page[Item] | None) -> Iterator[Item]:
    """Iterate over the items of a page and of the pages after it."""
    while page is not None:
        yield from page
        page = page.next()


def describe() -> JSON:
    """Make the OpenAPI document: that of the library, in which the client makes the key of a wallet."""
    described = openapi.document()
    described["components"]["schemas"]["CreateWalletRequest"]["required"].remove("publicKey")
    return described


async def answer_error(request: Request, error: waiaas.WAIaaSError) -> JSONResponse:
    if error.reason is not None:
        # The operator needs the path and the cause; the client must not see them.
        LOG.error("%s: %s %s", error.reason, error.message, error.hint)
    accepted = (part.strip()[:2].lower() for part in request.headers.get("Accept-Language", "").split(","))
    language = next((each for each in accepted if each in LANGUAGES), "en")
    return JSONResponse(error.to_public_dict(language), error.http_status)


async def answer_invalid_body(request: Request, error: Exception) -> JSONResponse:
    # FastAPI's own: the body is not JSON.
    return await answer_error(request, waiaas.WAIaaSError("ACTION_VALIDATION_FAILED"))


async def answer_http_error(request: Request, error: HTTPException) -> JSONResponse:
    # Starlette's own, which has no code: there is no such path or method.
    body = {"message": error.detail, "retryable": False, "http_status": error.status_code}
    return JSONResponse(body, error.status_code, error.headers)


def create_app(
    target: str | PathLike[str], *, is_master_password: Callable[[str], bool], keystore: Keystore, **options: Any
) -> fastapi.FastAPI:
    """Make the application for the database at a path or URL; ``options`` are those of ``waiaas.connect``."""

    @asynccontextmanager
    async def lifespan(app: fastapi.FastAPI) -> AsyncIterator[None]:
        # Each worker process opens the database. The first one upgrades an older database, and the others wait.
        app.state.database = await run_in_threadpool(waiaas.connect, target, **options)
        try:
            yield
        finally:
            app.state.database.close()

    app = fastapi.FastAPI(lifespan=lifespan)
    app.state.is_master_password = is_master_password
    app.state.keystore = keystore
    app.include_router(monitor)
    app.include_router(agent)
    app.include_router(administrator)
    app.add_exception_handler(waiaas.WAIaaSError, answer_error)
    app.add_exception_handler(RequestValidationError, answer_invalid_body)
    app.add_exception_handler(400, answer_invalid_body)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.openapi = describe
    return app
