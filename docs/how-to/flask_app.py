"""A web service over a WAIaaS file: an administrator creates sessions, and agents sign with their wallets."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from os import PathLike
from typing import Any

import flask
from werkzeug.exceptions import HTTPException

import waiaas
from waiaas.errors import LANGUAGES
from waiaas.schemas import (
    CreateSessionRequestSchema,
    IssuedSessionResponseSchema,
    RenewSessionRequestSchema,
    SessionResponseSchema,
    WalletResponseSchema,
)
from waiaas.services import AuthorizedWallet

Answer = tuple[dict[str, Any], int]


def create_app(
    path: str | PathLike[str], admin_key: str, sign: Callable[[AuthorizedWallet, bytes], bytes]
) -> flask.Flask:
    """Make the application for one database file; whoever has the key is the administrator."""
    if not admin_key:
        raise ValueError("without a key everybody would be the administrator")
    # One for all threads: each has connections of its own, which are closed when the thread ends.
    database = waiaas.connect(path)
    sessions = database.sessions
    app = flask.Flask(__name__)

    @app.errorhandler(waiaas.WAIaaSError)
    def answer_error(error: waiaas.WAIaaSError) -> Answer:
        if error.reason is not None:
            # The operator needs the path and the cause; the client must not see them.
            app.logger.error("%s: %s %s", error.reason, error.message, error.hint)
        language = flask.request.accept_languages.best_match(LANGUAGES) or "en"
        return error.to_public_dict(language), error.http_status

    @app.errorhandler(HTTPException)
    def tell_of_request(error: HTTPException) -> flask.typing.ResponseReturnValue:
        # Flask's own: no such path or method. Its headers stay, such as Allow; the page of HTML does not.
        answer = error.get_response()
        answer.data = flask.json.dumps({"http_status": error.code, "message": error.description})
        answer.content_type = "application/json"
        return answer

    def bearer() -> str:
        # The name of a scheme may be in any case (RFC 9110, section 11.1).
        kind, _, token = flask.request.headers.get("Authorization", "").partition(" ")
        return token.lstrip(" ") if kind.lower() == "bearer" else ""

    def require_administrator() -> None:
        if not hmac.compare_digest(bearer().encode(), admin_key.encode()):
            raise waiaas.WAIaaSError(
                "INVALID_MASTER_PASSWORD",
                "The administrator's key is missing or wrong.",
                hint="Send the key as a bearer token, in the header Authorization.",
            )

    @app.post("/v1/sessions")
    def create_session() -> Answer:
        require_administrator()
        request = CreateSessionRequestSchema().load(flask.request.get_json(silent=True))
        return IssuedSessionResponseSchema().dump(sessions.create(**request, actor="admin")), 201

    @app.delete("/v1/sessions/<session_id>")
    def revoke_session(session_id: str) -> Answer:
        require_administrator()
        return SessionResponseSchema().dump(sessions.revoke(session_id, actor="admin")), 200

    @app.put("/v1/sessions/<session_id>/renew")
    def renew_session(session_id: str) -> Answer:
        request = RenewSessionRequestSchema().load(flask.request.get_json(silent=True) or {})
        token = request.get("token", bearer())
        if sessions.authenticate(token).session_id != session_id:
            raise waiaas.WAIaaSError("SESSION_RENEWAL_MISMATCH")
        return IssuedSessionResponseSchema().dump(sessions.renew(token, actor="admin")), 200

    def wallet_of_agent(*, must_be_active: bool) -> AuthorizedWallet:
        named = flask.request.args.get("walletId")
        return sessions.authorize(bearer(), named, must_be_active=must_be_active).wallet

    @app.get("/v1/wallet")
    def show_wallet() -> Answer:
        wallet = wallet_of_agent(must_be_active=False)
        return WalletResponseSchema().dump(database.wallets.get(wallet.id)), 200

    @app.post("/v1/signatures")
    def sign_message() -> Answer:
        wallet = wallet_of_agent(must_be_active=True)
        return {"signature": sign(wallet, flask.request.get_data()).hex()}, 201

    return app
